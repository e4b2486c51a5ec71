"""The shared values: to JSON and back without loss, and what they derive."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.schema import (
    CallResult,
    ChannelQuality,
    Event,
    Party,
    Recording,
    Turn,
    Utterance,
    Verdict,
    Voice,
    Waveform,
    Word,
    from_json,
    to_json,
)
from tests.test_store import make_result

times = st.floats(0, 36_000, allow_nan=False)
words = st.builds(Word, times, times, st.text(max_size=3), st.floats(0, 1))


def through_json(value: object) -> object:
    return json.loads(json.dumps(to_json(value), ensure_ascii=False, allow_nan=False))


def test_a_whole_result_comes_back_equal():
    result = make_result(parties=(Party("agent", 1), Party("customer", 0, live=False)))
    back = from_json(CallResult, through_json(result))
    assert back == result
    assert isinstance(back.turns[0].spans[0], tuple)
    assert isinstance(back.quality[0], ChannelQuality)


@given(
    st.builds(
        Utterance,
        st.sampled_from(["agent", "customer", "0"]),
        times,
        times,
        st.text(),
        st.lists(words, max_size=4).map(tuple),
        st.floats(0, 1),
        st.none() | st.sampled_from(["silence", "loop"]),
    )
)
def test_utterances_come_back_equal(utterance: Utterance):
    assert from_json(Utterance, through_json(utterance)) == utterance


def test_values_of_numpy_become_plain_numbers():
    event = Event("hold", np.float64(1.5), np.float32(2.5), "agent", {"n": np.int64(3)})
    data = to_json(event)
    assert data == {
        "kind": "hold",
        "start": 1.5,
        "end": 2.5,
        "by": "agent",
        "detail": {"n": 3},
        "confidence": 1.0,
        "source": "heard",
    }
    assert type(data["detail"]["n"]) is int


def test_unknown_keys_of_a_newer_version_are_ignored():
    data = to_json(Verdict("opening_greeting", "rubric", "pass")) | {"mood": "sunny"}
    assert from_json(Verdict, data) == Verdict("opening_greeting", "rubric", "pass")


def test_a_missing_field_without_default_is_an_error():
    with pytest.raises((KeyError, TypeError)):
        from_json(Recording, {"path": "/a.wav"})
    assert from_json(Recording, {"path": "/a.wav", "call_id": "a"}) == Recording("/a.wav", "a")


@pytest.mark.parametrize("value", [Recording("a", "b"), Voice(), make_result()])
def test_values_cannot_be_changed(value: object):
    name = dataclasses.fields(value)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, "other")


def test_lengths_are_derived():
    wave = Waveform(np.zeros((2, 4000), np.float32), 8000, 44_100, "mp3", "0")
    assert (wave.channels, wave.duration) == (2, 0.5)
    assert Event("silence", 2.0, 5.5).seconds == 3.5
    turn = Turn(0, "agent", 1.0, 4.0, ((1.0, 2.0), (3.0, 4.0)), "", (), 0.0)
    assert turn.duration == 3.0


def test_the_length_of_an_event_is_rounded_to_the_millisecond():
    assert Event("overlap", 1.7, 2.3).seconds == 0.6
