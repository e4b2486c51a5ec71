"""Level and pitch per turn and speaker: on exclusive speech, with known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.prosody import measure_voices
from pipeline.schema import AGENT, CUSTOMER, Audio, ChannelQuality, Span, Turn, Voice
from pipeline.settings import Voice as VoiceSettings
from tests.fakes import RATE, noise, place

SHORT = VoiceSettings(min_voiced_s=0.5)


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
    measured, voices, events, withheld = measure_voices(turns, audio, RATE)[:4]
    assert voices[AGENT].level_dbfs == pytest.approx(-20, abs=0.3)
    assert voices[CUSTOMER].level_dbfs == pytest.approx(-30, abs=0.3)
    assert voices[AGENT].f0_median_hz == pytest.approx(220, rel=0.01)
    assert voices[CUSTOMER].f0_median_hz == pytest.approx(120, rel=0.01)
    assert voices[AGENT].pitch_sd_st == pytest.approx(0, abs=0.2)
    assert voices[AGENT].voiced_s == pytest.approx(6, abs=0.3)
    assert [t.level_dbfs for t in measured] == pytest.approx([-20, -30, -20], abs=0.3)
    assert [t.f0_median_hz for t in measured] == pytest.approx([220, 120, 220], rel=0.01)
    assert [t.turn for t in measured] == [0, 1, 2]
    assert (events, withheld) == ((), ())


@pytest.mark.parametrize("swing_st", [1.0, 3.0])
def test_the_spread_of_pitch_is_that_of_the_swing(swing_st: float):
    audio = {AGENT: line((1, voice(10, 200, -20, swing_st)))}
    voices = measure_voices([turn(0, AGENT, (1, 11))], audio, RATE).voices
    assert voices[AGENT].pitch_sd_st == pytest.approx(swing_st / math.sqrt(2), abs=0.25)
    assert voices[AGENT].pitch_range_st == pytest.approx(2 * swing_st, rel=0.2)


def test_speech_under_another_voice_is_not_measured():
    shared = line((1, voice(6, 220, -25)), (4, voice(6, 120, -10)))
    turns = [turn(0, AGENT, (1, 7)), turn(1, CUSTOMER, (4, 10))]
    measured, voices, _, _ = measure_voices(turns, {AGENT: shared, CUSTOMER: shared}, RATE, SHORT)[
        :4
    ]
    assert voices[AGENT].level_dbfs == pytest.approx(-25, abs=0.5)
    assert voices[CUSTOMER].level_dbfs == pytest.approx(-10, abs=0.5)
    assert voices[AGENT].f0_median_hz == pytest.approx(220, rel=0.02)
    assert measured[0].f0_median_hz == pytest.approx(220, rel=0.02)


def test_a_turn_wholly_under_the_other_voice_is_not_measurable():
    shared = line((1, voice(8, 120, -20)), (4, voice(1, 220, -20)))
    turns = [turn(0, CUSTOMER, (1, 9)), turn(1, AGENT, (4, 5))]
    both = {AGENT: shared, CUSTOMER: shared}
    measured, voices, _, withheld = measure_voices(turns, both, RATE)[:4]
    assert (measured[1].level_dbfs, measured[1].f0_median_hz) == (None, None)
    assert [line.split(" of ")[0] for line in withheld] == ["Level", "Pitch"]
    assert all("agent" in line for line in withheld)
    assert voices[AGENT] == Voice()
    assert voices[CUSTOMER].level_dbfs is not None


def test_too_little_voice_has_no_spread():
    audio = {AGENT: line((1, voice(1.2, 200, -20)))}
    _, voices, _, withheld = measure_voices([turn(0, AGENT, (1, 2.2))], audio, RATE)[:4]
    assert voices[AGENT].pitch_sd_st is None
    assert voices[AGENT].level_dbfs == pytest.approx(-20, abs=0.5)
    assert withheld == ("Pitch of the agent is not scored: 1.2 s are voiced, 2 s are needed.",)


def test_hardly_a_word_has_no_level_either():
    audio = {AGENT: line((1, voice(0.5, 200, -20)))}
    measured, voices, _, withheld = measure_voices([turn(0, AGENT, (1, 1.5))], audio, RATE)[:4]
    assert voices[AGENT] == Voice(voiced_s=voices[AGENT].voiced_s)
    assert measured[0].level_dbfs is None
    assert "0.5 s are said" in withheld[0]


def test_silence_has_no_level_and_no_pitch():
    silent = np.zeros(10 * RATE, np.float32)
    measured, voices, events, _ = measure_voices([turn(0, AGENT, (1, 5))], {AGENT: silent}, RATE)[
        :4
    ]
    assert (measured[0].level_dbfs, measured[0].f0_median_hz) == (None, None)
    assert voices[AGENT] == Voice()
    assert events == ()


def test_a_speaker_without_turns_has_an_empty_voice():
    assert measure_voices([], {AGENT: noise(5)}, RATE)[:4] == ((), {AGENT: Voice()}, (), ())


def test_turns_of_a_voice_without_audio_stay_as_they_are():
    turns = (turn(0, CUSTOMER, (1, 2)),)
    assert measure_voices(turns, {}, RATE)[:4] == (turns, {}, (), ())


def loud_third(over_db: float, seconds: float = 3.0) -> tuple[list[Turn], dict[str, Audio]]:
    levels = [-30, -30, -30 + over_db, -30]
    audio = line(*((1 + 4.5 * i, voice(seconds, 200, d)) for i, d in enumerate(levels)))
    turns = [turn(i, AGENT, (1 + 4.5 * i, 1 + 4.5 * i + seconds)) for i in range(4)]
    return turns, {AGENT: audio}


def test_a_raised_voice_is_an_event_with_its_size():
    turns, audio = loud_third(9)
    events = measure_voices(turns, audio, RATE).events
    assert [(e.kind, e.by, e.start, e.end) for e in events] == [("raised_voice", AGENT, 10.0, 13.0)]
    assert events[0].detail["over_own_median_db"] == pytest.approx(9, abs=0.5)


@pytest.mark.parametrize(("over_db", "seconds"), [(4.0, 3.0), (9.0, 1.5)])
def test_a_little_louder_or_a_moment_is_no_raised_voice(over_db: float, seconds: float):
    assert measure_voices(*loud_third(over_db, seconds), RATE).events == ()


@given(st.floats(-12, 6))
@settings(max_examples=6, deadline=None)
def test_gain_moves_the_level_by_as_much_and_nothing_else(gain_db: float):
    turns, audio = loud_third(9)
    louder = {AGENT: (audio[AGENT] * 10 ** (gain_db / 20)).astype(np.float32)}
    before, after = (measure_voices(turns, a, RATE) for a in (audio, louder))
    one, two = before.voices[AGENT], after.voices[AGENT]
    for name in ("level_dbfs", "active_level_dbfs", "loudness_lufs"):
        moved = getattr(two, name) - getattr(one, name)
        assert moved == pytest.approx(gain_db, abs=0.02), name
    assert two.level_sd_db == pytest.approx(one.level_sd_db, abs=0.01)
    assert two.pitch_sd_st == pytest.approx(one.pitch_sd_st, abs=0.01)
    assert two.f0_median_hz == pytest.approx(one.f0_median_hz, rel=1e-3)
    assert [e.kind for e in after.events] == [e.kind for e in before.events]


# Three readings of one level.


def test_the_three_levels_of_a_steady_voice_agree():
    sound = voice(6, 200, -20)
    heard = measure_voices([turn(0, AGENT, (1, 7))], {AGENT: line((1, sound))}, RATE)
    one = heard.voices[AGENT]
    assert one.level_dbfs == pytest.approx(-20, abs=0.1)
    assert one.active_level_dbfs == pytest.approx(-20, abs=0.1)
    # K-weighting leaves what is about 1 kHz as it is, which reads 3 dB under a sine of full scale
    # at -3 dBFS: a voice reads within 3 dB of its RMS.
    assert one.loudness_lufs == pytest.approx(-20, abs=3)


def test_what_is_said_alone_is_all_that_the_levels_hear():
    shared = line((1, voice(6, 220, -25)), (4, voice(6, 120, -10)))
    turns = [turn(0, AGENT, (1, 7)), turn(1, CUSTOMER, (4, 10))]
    voices = measure_voices(turns, {AGENT: shared, CUSTOMER: shared}, RATE, SHORT).voices
    assert voices[AGENT].active_level_dbfs == pytest.approx(-25, abs=0.3)
    assert voices[CUSTOMER].active_level_dbfs == pytest.approx(-10, abs=0.3)
    assert voices[CUSTOMER].loudness_lufs - voices[AGENT].loudness_lufs == pytest.approx(15, abs=1)


# What the audio is too poor for.


def told(**changes: object) -> ChannelQuality:
    good = {"snr_db": 40.0, "clipping_ratio": 0.0, "bandwidth_hz": 3500.0, "level_dbfs": -20.0}
    return ChannelQuality(channel=0, speech_s=9.0, **(good | changes))


def heard_with(quality: ChannelQuality):
    turns, audio = loud_third(9)
    return measure_voices(turns, audio, RATE, quality={AGENT: quality})


def test_the_power_of_the_noise_is_taken_out_of_the_level():
    sound, hiss = voice(8, 200, -26), noise(20, 3, dbfs=-40)
    audio = {AGENT: line((1, sound)) + hiss}
    turns = [turn(0, AGENT, (1, 9))]
    quality = told(snr_db=14.0 - 0.17, level_dbfs=-26 + 0.17)
    options = VoiceSettings(min_snr_db=10)
    plain = measure_voices(turns, audio, RATE, options).voices[AGENT]
    clean = measure_voices(turns, audio, RATE, options, {AGENT: quality}).voices[AGENT]
    assert plain.level_dbfs == pytest.approx(-25.83, abs=0.03)
    assert clean.level_dbfs == pytest.approx(-26.0, abs=0.03)
    assert clean.active_level_dbfs == plain.active_level_dbfs  # P.56 is as the standard has it


def test_what_decides_is_shown_where_rounding_would_hide_it():
    (line_told,) = heard_with(told(snr_db=14.97, level_dbfs=-30.0)).withheld
    assert "ratio is 14.9 dB, under 15 dB" in line_told


def test_under_noise_neither_level_nor_pitch_is_scored():
    found = heard_with(told(snr_db=14.0, level_dbfs=-30.0))
    voice_found = found.voices[AGENT]
    assert voice_found == Voice(voiced_s=voice_found.voiced_s)
    assert found.events == ()
    assert all((t.level_dbfs, t.f0_median_hz, t.pitch_sd_st) == (None,) * 3 for t in found.turns)
    (line_told,) = found.withheld
    assert line_told == (
        "Level and pitch of the agent are not scored: "
        "the signal-to-noise ratio is 14 dB, under 15 dB."
    )


def test_the_softer_voice_of_a_channel_has_its_own_noise_ratio():
    shared = line((1, voice(4, 220, -20)), (7, voice(4, 120, -38)))
    turns = [turn(0, AGENT, (1, 5)), turn(1, CUSTOMER, (7, 11))]
    quality = told(snr_db=27.0, level_dbfs=-23.0)  # noise at -50 dBFS
    both = {AGENT: shared[:], CUSTOMER: shared[:]}  # as one row of the samples is taken twice
    of_both = {AGENT: quality, CUSTOMER: quality}
    found = measure_voices(turns, both, RATE, quality=of_both)
    assert found.voices[AGENT].level_dbfs == pytest.approx(-20, abs=0.3)
    assert found.voices[CUSTOMER].level_dbfs is None
    assert ["customer" in line_told for line_told in found.withheld] == [True]
    apart = np.stack((shared, shared))
    alone = measure_voices(turns, {AGENT: apart[0], CUSTOMER: apart[1]}, RATE, quality=of_both)
    assert alone.voices[CUSTOMER].level_dbfs is not None


@pytest.mark.parametrize(
    ("quality", "why"),
    [
        (told(clipping_ratio=0.02, problems=("clipped",)), "2.0% of the speech is clipped"),
        (told(bandwidth_hz=1800.0, problems=("narrow",)), "ends at 1800 Hz"),
        (told(problems=("mixed",)), "both voices"),
    ],
)
def test_a_level_that_would_be_wrong_is_withheld_and_the_pitch_is_not(quality, why):
    found, good = heard_with(quality), heard_with(told())
    assert found.voices[AGENT].pitch_sd_st == good.voices[AGENT].pitch_sd_st is not None
    assert [e.kind for e in good.events] == ["raised_voice"]
    assert found.events == ()
    for name in ("level_dbfs", "active_level_dbfs", "loudness_lufs", "level_sd_db"):
        assert getattr(good.voices[AGENT], name) is not None
        assert getattr(found.voices[AGENT], name) is None
    assert all(t.level_dbfs is None for t in found.turns)
    (line_told,) = found.withheld
    assert line_told.startswith("Level of the agent is not scored: ")
    assert why in line_told


def test_a_little_clipping_is_not_enough_to_withhold_anything():
    assert heard_with(told(clipping_ratio=0.002, problems=("clipped",))).withheld == ()
