"""How speech is cut into utterances and windows, and how what was heard is shared out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.schema import Span, Word
from pipeline.speech.asr.windows import (
    PAD_S,
    PAUSE_S,
    Heard,
    Window,
    padded,
    utterances,
    windows_of,
)

RATE = 16_000
SOUND = np.random.default_rng(3).normal(0, 0.1, 60 * RATE).astype(np.float32)


def cut(speech: list[Span], short_s: float = 3.0, max_s: float = 24.0) -> list[tuple[Span, ...]]:
    found = windows_of(SOUND, "A", speech, join_gap_s=1.0, max_s=max_s, short_s=short_s)
    return [window.spans for window in found]


def test_short_utterances_ride_with_the_one_before():
    assert cut([(1, 6), (8, 9), (11, 16), (20, 21), (23, 23.5)]) == [
        ((1, 6), (8, 9)), ((11, 16), (20, 21), (23, 23.5)),
    ]  # fmt: skip


def test_short_utterances_with_nothing_before_them_ride_with_the_next():
    assert cut([(1, 2), (4, 5), (8, 12)]) == [((1, 2), (4, 5), (8, 12))]
    assert cut([(1, 2), (4, 5), (8, 12), (14, 15), (17, 21)]) == [
        ((1, 2), (4, 5), (8, 12), (14, 15)), ((17, 21),),
    ]  # fmt: skip
    assert cut([(1, 2), (4, 16)], max_s=13.0) == [((1, 2),), ((4, 16),)]
    assert cut([(1, 2), (4, 5)]) == [((1, 2), (4, 5))]


def test_a_window_holds_no_more_than_it_may():
    assert cut([(0, 8), (10, 12), (14, 16)], max_s=13.0) == [((0, 8), (10, 12)), ((14, 16),)]
    assert cut([(0, 8), (10, 12)], short_s=0.0) == [((0, 8),), ((10, 12),)]


def test_utterances_of_a_window_keep_a_pause_between_them():
    window = Window(
        "A", ((1.0, 3.0), (10.0, 11.0)), SOUND, tuple(padded(((1.0, 3.0), (10.0, 11.0))))
    )
    own = [SOUND[round((a - PAD_S) * RATE) : round((b + PAD_S) * RATE)] for a, b in window.spans]
    audio = window.audio
    assert audio.size == sum(o.size for o in own) + round(PAUSE_S * RATE)
    assert (audio[: own[0].size] == own[0]).all()
    assert (audio[own[0].size : -own[1].size] == 0).all()
    assert (audio[-own[1].size :] == own[1]).all()


def test_words_go_to_the_utterance_in_whose_time_they_are():
    window = Window(
        "A", ((1.0, 3.0), (10.0, 11.0)), SOUND, tuple(padded(((1.0, 3.0), (10.0, 11.0))))
    )  # 2.8 s, a pause of 0.6 s, 1.8 s
    words = [Word(0.3, 0.5, "您", 1.0), Word(2.7, 3.05, "好", 1.0), Word(3.15, 3.7, "再", 1.0),
             Word(3.7, 5.4, "见", 1.0)]  # fmt: skip
    first, second = window.shared_out(Heard(tuple(words), -0.2, 0.1))
    assert [(w.text, w.start, w.end) for w in first.words] == [("您", 0.3, 0.5), ("好", 2.7, 2.8)]
    assert [w.text for w in second.words] == ["再", "见"]
    assert [w.start for w in second.words] == pytest.approx([0.0, 0.3])
    assert [w.end for w in second.words] == pytest.approx([0.3, 1.8])
    assert (first.logprob, second.no_speech) == (-0.2, 0.1)


def test_a_window_of_one_utterance_keeps_what_was_heard():
    heard = Heard((Word(0.0, 9.9, "您", 1.0),), -0.2, 0.1)
    assert Window("A", ((1.0, 3.0),), SOUND, tuple(padded(((1.0, 3.0),)))).shared_out(heard) == [
        heard
    ]


def test_speech_is_joined_over_short_pauses_and_cut_at_long_ones():
    spans = [(0.0, 1.0), (1.5, 2.0), (3.0, 4.0)]
    assert utterances(spans, 1.0, 20) == [(0.0, 2.0), (3.0, 4.0)]
    assert utterances(spans, 2.0, 20) == [(0.0, 4.0)]
    assert utterances([], 1.0, 20) == []


def test_a_long_utterance_is_split_at_its_longest_pause():
    spans = [(0.0, 9.0), (9.3, 14.0), (14.8, 20.0), (20.2, 29.0)]
    assert utterances(spans, 1.0, 20) == [(0.0, 14.0), (14.8, 29.0)]


def test_speech_without_a_pause_is_split_evenly():
    assert utterances([(0.0, 30.0)], 1.0, 12) == [(0.0, 10.0), (10.0, 20.0), (20.0, 30.0)]


@given(
    st.lists(st.tuples(st.floats(0.1, 9), st.floats(0.05, 3)), min_size=1, max_size=25),
    st.floats(0.2, 2),
    st.floats(5, 28),
)
def test_utterances_hold_all_speech_and_are_never_too_long(lengths, gap_s: float, max_s: float):
    spans, at = [], 0.0
    for speech, pause in lengths:
        spans.append((at, at + speech))
        at += speech + pause
    found = utterances(spans, gap_s, max_s)
    assert all(end - start <= max_s + 1e-6 for start, end in found)
    assert all(a[1] <= b[0] for a, b in zip(found[:-1], found[1:], strict=True))
    for start, end in spans:
        inside = sum(min(e, end) - max(s, start) for s, e in found if s < end and e > start)
        assert inside == pytest.approx(end - start)
    edges = {x for s in spans for x in s}
    if max(e - s for s, e in spans) <= max_s:
        assert all(x in edges for s in found for x in s)


def test_an_utterance_takes_in_half_of_a_pause_and_nothing_of_the_others():
    assert padded([(1.0, 2.0), (2.4, 3.0)]) == [(0.6, 2.2), (2.2, 3.4)]
    assert padded([(0.1, 2.0)], others=[(2.1, 3.0)]) == [(0.0, 2.1)]
    assert padded([(1.0, 2.0)], others=[(0.2, 0.8), (1.5, 2.5)]) == [(0.8, 2.05)]
    assert padded([(1.0, 2.0)], others=[(1.2, 1.8), (5.0, 6.0)]) == [(0.6, 2.4)]


def test_the_words_of_another_in_the_same_sound_are_not_taken_into_an_utterance():
    spans = [(1.0, 2.0), (2.8, 4.0)]
    assert utterances(spans, 1.0, 24.0, others=[(2.2, 2.6)]) == spans
    assert utterances(spans, 1.0, 24.0, others=[(2.9, 3.5)]) == [(1.0, 4.0)]
