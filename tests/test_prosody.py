"""Level and pitch per turn and speaker: on exclusive speech, with known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.prosody import VoiceOptions, measure_voices
from pipeline.schema import AGENT, CUSTOMER, Audio, Span, Turn, Voice
from tests.fakes import RATE, noise, place

SHORT = VoiceOptions(min_voiced_s=0.5)


def turn(number: int, speaker: str, *spans: Span) -> Turn:
    return Turn(number, speaker, spans[0][0], spans[-1][1], spans, "", (), 0.0)


def voice(seconds: float, hz: float, dbfs: float, swing_st: float = 0.0) -> Audio:
    """A buzz of a level, its pitch swinging evenly around ``hz`` by ``swing_st`` either way."""
    t = np.arange(round(seconds * RATE)) / RATE
    pitch = hz * 2 ** (swing_st * np.sin(2 * np.pi * 0.8 * t) / 12)
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    tone = sum(np.sin(k * phase) / k for k in range(1, 8))
    return np.asarray(tone * 10 ** (dbfs / 20) / np.sqrt(np.mean(np.square(tone))), np.float32)


def line(*sounds: tuple[float, Audio], seconds: float = 20.0) -> Audio:
    samples = noise(seconds)
    for start, sound in sounds:
        place(samples, sound, start)
    return samples


def test_level_and_pitch_of_a_known_voice():
    audio = {
        AGENT: line((1, voice(3, 220, -20)), (9, voice(3, 220, -20))),
        CUSTOMER: line((5, voice(3, 120, -30))),
    }
    turns = [turn(0, AGENT, (1, 4)), turn(1, CUSTOMER, (5, 8)), turn(2, AGENT, (9, 12))]
    measured, voices, events = measure_voices(turns, audio, RATE)
    assert voices[AGENT].level_dbfs == pytest.approx(-20, abs=0.3)
    assert voices[CUSTOMER].level_dbfs == pytest.approx(-30, abs=0.3)
    assert voices[AGENT].f0_median_hz == pytest.approx(220, rel=0.01)
    assert voices[CUSTOMER].f0_median_hz == pytest.approx(120, rel=0.01)
    assert voices[AGENT].pitch_sd_st == pytest.approx(0, abs=0.2)
    assert voices[AGENT].voiced_s == pytest.approx(6, abs=0.3)
    assert [t.level_dbfs for t in measured] == pytest.approx([-20, -30, -20], abs=0.3)
    assert [t.f0_median_hz for t in measured] == pytest.approx([220, 120, 220], rel=0.01)
    assert [t.turn for t in measured] == [0, 1, 2]
    assert events == ()


@pytest.mark.parametrize("swing_st", [1.0, 3.0])
def test_the_spread_of_pitch_is_that_of_the_swing(swing_st: float):
    audio = {AGENT: line((1, voice(10, 200, -20, swing_st)))}
    _, voices, _ = measure_voices([turn(0, AGENT, (1, 11))], audio, RATE)
    assert voices[AGENT].pitch_sd_st == pytest.approx(swing_st / math.sqrt(2), abs=0.25)
    assert voices[AGENT].pitch_range_st == pytest.approx(2 * swing_st, rel=0.2)


def test_speech_under_another_voice_is_not_measured():
    shared = line((1, voice(6, 220, -25)), (4, voice(6, 120, -10)))
    turns = [turn(0, AGENT, (1, 7)), turn(1, CUSTOMER, (4, 10))]
    measured, voices, _ = measure_voices(turns, {AGENT: shared, CUSTOMER: shared}, RATE, SHORT)
    assert voices[AGENT].level_dbfs == pytest.approx(-25, abs=0.5)
    assert voices[CUSTOMER].level_dbfs == pytest.approx(-10, abs=0.5)
    assert voices[AGENT].f0_median_hz == pytest.approx(220, rel=0.02)
    assert measured[0].f0_median_hz == pytest.approx(220, rel=0.02)


def test_a_turn_wholly_under_the_other_voice_is_not_measurable():
    shared = line((1, voice(8, 120, -20)), (4, voice(1, 220, -20)))
    turns = [turn(0, CUSTOMER, (1, 9)), turn(1, AGENT, (4, 5))]
    measured, voices, _ = measure_voices(turns, {AGENT: shared, CUSTOMER: shared}, RATE)
    assert (measured[1].level_dbfs, measured[1].f0_median_hz) == (None, None)
    assert voices[AGENT] == Voice()
    assert voices[CUSTOMER].level_dbfs is not None


def test_too_little_voice_has_no_spread():
    audio = {AGENT: line((1, voice(0.8, 200, -20)))}
    _, voices, _ = measure_voices([turn(0, AGENT, (1, 1.8))], audio, RATE)
    assert voices[AGENT].pitch_sd_st is None
    assert voices[AGENT].level_dbfs == pytest.approx(-20, abs=0.5)


def test_silence_has_no_level_and_no_pitch():
    silent = np.zeros(10 * RATE, np.float32)
    measured, voices, events = measure_voices([turn(0, AGENT, (1, 5))], {AGENT: silent}, RATE)
    assert (measured[0].level_dbfs, measured[0].f0_median_hz) == (None, None)
    assert voices[AGENT].level_dbfs is None
    assert voices[AGENT].pitch_sd_st is None
    assert events == ()


def test_a_speaker_without_turns_has_an_empty_voice():
    assert measure_voices([], {AGENT: noise(5)}, RATE) == ((), {AGENT: Voice()}, ())


def test_turns_of_a_voice_without_audio_stay_as_they_are():
    turns = (turn(0, CUSTOMER, (1, 2)),)
    assert measure_voices(turns, {}, RATE) == (turns, {}, ())


def loud_third(over_db: float, seconds: float = 3.0) -> tuple[list[Turn], dict[str, Audio]]:
    levels = [-30, -30, -30 + over_db, -30]
    audio = line(*((1 + 4.5 * i, voice(seconds, 200, d)) for i, d in enumerate(levels)))
    turns = [turn(i, AGENT, (1 + 4.5 * i, 1 + 4.5 * i + seconds)) for i in range(4)]
    return turns, {AGENT: audio}


def test_a_raised_voice_is_an_event_with_its_size():
    turns, audio = loud_third(9)
    _, _, events = measure_voices(turns, audio, RATE)
    assert [(e.kind, e.by, e.start, e.end) for e in events] == [("raised_voice", AGENT, 10.0, 13.0)]
    assert events[0].detail["over_own_median_db"] == pytest.approx(9, abs=0.5)


@pytest.mark.parametrize(("over_db", "seconds"), [(4.0, 3.0), (9.0, 1.5)])
def test_a_little_louder_or_a_moment_is_no_raised_voice(over_db: float, seconds: float):
    assert measure_voices(*loud_third(over_db, seconds), RATE)[2] == ()


@given(st.floats(-12, 6))
@settings(max_examples=6, deadline=None)
def test_gain_moves_the_level_by_as_much_and_nothing_else(gain_db: float):
    turns, audio = loud_third(9)
    louder = {AGENT: (audio[AGENT] * 10 ** (gain_db / 20)).astype(np.float32)}
    before, after = (measure_voices(turns, a, RATE) for a in (audio, louder))
    assert after[1][AGENT].level_dbfs == pytest.approx(
        before[1][AGENT].level_dbfs + gain_db, abs=0.01
    )
    assert after[1][AGENT].level_sd_db == pytest.approx(before[1][AGENT].level_sd_db, abs=0.01)
    assert after[1][AGENT].pitch_sd_st == pytest.approx(before[1][AGENT].pitch_sd_st, abs=0.01)
    assert after[1][AGENT].f0_median_hz == pytest.approx(before[1][AGENT].f0_median_hz, rel=1e-3)
    assert [e.kind for e in after[2]] == [e.kind for e in before[2]]
