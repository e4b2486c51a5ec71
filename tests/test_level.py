"""Levels of signals whose level is known by arithmetic, and a second reading of ITU-T P.56."""

from __future__ import annotations

import math
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import ParameterError
from pipeline.signal.level import (
    active_speech_level,
    gated_rms_dbfs,
    level_track,
    loudness_lufs,
)

SR = 8000
SAMPLES = Path(__file__).parents[1] / "data" / "samples"
SINE_DB = 20 * math.log10(math.sqrt(0.5))  # a full-scale sine, -3.01 dBFS
GAINS = st.floats(-40, 0)
MEASURES = [gated_rms_dbfs, lambda y, sr: active_speech_level(y, sr)[0], loudness_lufs]


def sine(seconds=2.0, hz=1000.0, peak=1.0, sr=SR):
    return peak * np.sin(2 * np.pi * hz * np.arange(round(seconds * sr)) / sr)


def speech_like(seed=0, seconds=6.0):
    """Noise in bursts of 0.3-1.5 s with pauses, its level moving as speech does."""
    rng = np.random.default_rng(seed)
    parts = []
    while sum(map(len, parts)) < seconds * SR:
        burst = rng.standard_normal(int(rng.uniform(0.3, 1.5) * SR))
        swell = 1 + 0.7 * np.sin(2 * np.pi * 4 * np.arange(burst.size) / SR)
        parts += [0.05 * swell * burst, 1e-4 * rng.standard_normal(int(rng.uniform(0.2, 1) * SR))]
    return np.concatenate(parts)


def p56_by_the_book(x, sr):
    """The published procedure: 15 thresholds 6 dB apart, counted sample by sample, interpolated."""
    g = math.exp(-1 / (sr * 0.03))
    hang_limit = math.ceil(0.2 * sr)
    thresholds = [2.0**-k for k in range(15, 0, -1)]
    counts, hang = [0] * 15, [hang_limit] * 15
    p = q = 0.0
    for sample in x:
        p = g * p + (1 - g) * abs(sample)
        q = g * q + (1 - g) * p
        for j, c in enumerate(thresholds):
            if q >= c:
                counts[j] += 1
                hang[j] = 0
            elif hang[j] < hang_limit:
                counts[j] += 1
                hang[j] += 1
            else:
                break
    energy = float(np.sum(x**2))
    before = None
    for count, c in zip(counts, thresholds, strict=True):
        level, threshold = 10 * math.log10(energy / count), 20 * math.log10(c)
        if before and level - threshold <= 15.9:
            gap = before[0] - before[1] - 15.9
            share = gap / (gap - (level - threshold - 15.9))
            return before[0] + share * (level - before[0])
        before = (level, threshold)
    raise AssertionError("no crossing")


# --- gated RMS -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "expected"),
    [
        (sine(), SINE_DB),
        (np.ones(SR), 0.0),
        (np.full(SR, 0.1), -20.0),
        (np.sign(sine(hz=250.3)), 0.0),
        (np.linspace(-1, 1, 10 * SR), None),
    ],
    ids=["sine", "full scale", "a tenth", "square", "ramp"],
)
def test_gated_rms_of_known_signals(y, expected):
    level = gated_rms_dbfs(y, SR)
    if expected is None:  # ramp: blocks with |x| under the gate |x| = sqrt(0.1/3) fall out
        edge = math.sqrt(0.1 / 3)
        expected = 10 * math.log10((1 - edge**3) / 3 / (1 - edge))
        assert level == pytest.approx(expected, abs=0.1)
    else:
        assert level == pytest.approx(expected, abs=0.01)


def test_gated_rms_leaves_pauses_out():
    y = np.concatenate([sine(2), np.zeros(6 * SR), sine(2)])
    assert gated_rms_dbfs(y, SR) == pytest.approx(SINE_DB, abs=0.01)


def test_gated_rms_hears_only_the_regions():
    y = np.concatenate([sine(2, peak=0.1), sine(2, peak=1.0), sine(2, peak=0.1)])
    assert gated_rms_dbfs(y, SR, [(0, 2), (4, 6)]) == pytest.approx(SINE_DB - 20, abs=0.01)
    assert gated_rms_dbfs(y, SR, [(4, 9), (0, 1), (0.5, 2), (-3, 1)]) == pytest.approx(
        SINE_DB - 20, abs=0.01
    )


def test_gated_rms_of_a_region_shorter_than_a_block():
    y = np.concatenate([np.zeros(SR), sine(0.1), np.zeros(SR)])
    assert gated_rms_dbfs(y, SR, [(1.0, 1.1)]) == pytest.approx(SINE_DB, abs=0.01)


# --- ITU-T P.56 ------------------------------------------------------------------------------


def test_active_level_of_a_full_scale_sine():
    asl, activity = active_speech_level(sine(20), SR)
    assert asl == pytest.approx(SINE_DB, abs=0.02)  # the envelope takes 60 ms to rise
    assert activity == pytest.approx(1.0, abs=0.005)


def test_active_level_of_a_half_silent_signal():
    # 5 s of sine in 10 s: what counts is the burst, plus the hangover and the envelope's fall.
    asl, activity = active_speech_level(np.concatenate([sine(5), np.zeros(5 * SR)]), SR)
    assert 5.2 / 10 < activity < 5.35 / 10
    assert asl == pytest.approx(SINE_DB + 10 * math.log10(0.5 / activity), abs=1e-6)


def test_active_level_activity_identity():
    # By definition: level + 10 log10(activity) is the long-term mean power.
    y = speech_like()
    asl, activity = active_speech_level(y, SR)
    assert asl + 10 * math.log10(activity) == pytest.approx(10 * math.log10(np.mean(y**2)))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_active_level_agrees_with_the_published_procedure(seed):
    y = speech_like(seed, seconds=4.0)
    assert active_speech_level(y, SR)[0] == pytest.approx(p56_by_the_book(y, SR), abs=0.1)


# Level (dBov) and activity factor that the speech voltmeter of ITU-T G.191 (module sv-p56.c, version
# 2.3, with its tolerance of 0.5 dB) gives for the sample calls: recording, channel, level, activity.
SPEECH_VOLTMETER = (
    ("coupon_bare_wait", 0, -27.0671, 0.74173), ("courier_complaint", 0, -28.1713, 0.62175),
    ("courier_complaint", 1, -27.0460, 0.32508), ("exchange_dead_air", 0, -29.1365, 0.32885),
    ("exchange_dead_air", 1, -33.9726, 0.44817), ("invoice_mono", 0, -28.9561, 0.89844),
    ("outbound_delivery", 0, -30.1739, 0.66694), ("outbound_delivery", 1, -29.1430, 0.23451),
    ("refund_silent_hold", 0, -24.8572, 0.26959), ("refund_silent_hold", 1, -30.2253, 0.41557),
    ("return_music_hold", 0, -29.4109, 0.75414), ("return_music_hold", 1, -31.9744, 0.18882),
    ("wrong_number", 0, -29.3110, 0.90232),
)  # fmt: skip


@pytest.mark.parametrize(("name", "channel", "level", "activity"), SPEECH_VOLTMETER)
def test_active_level_agrees_with_the_speech_voltmeter_of_g191(name, channel, level, activity):
    samples, rate = soundfile.read(SAMPLES / f"{name}.wav", always_2d=True)
    asl, active = active_speech_level(samples[:, channel], rate)
    assert asl == pytest.approx(level, abs=0.1)
    assert active == pytest.approx(activity, rel=0.025)


def test_active_level_of_regions_is_that_of_what_they_hold():
    y = speech_like(4)
    apart = np.concatenate([y, np.zeros(3 * SR), y])
    regions = [(0.0, y.size / SR), (y.size / SR + 3.0, 2 * y.size / SR + 3.0)]
    joined = active_speech_level(np.concatenate([y, y]), SR)
    assert active_speech_level(apart, SR, regions) == pytest.approx(joined, abs=1e-9)
    assert loudness_lufs(apart, SR, regions) == pytest.approx(
        loudness_lufs(np.concatenate([y, y]), SR), abs=1e-9
    )


def test_long_speech_is_measured_in_pieces_with_the_same_result(monkeypatch):
    y = speech_like(5, seconds=20.0)
    whole = active_speech_level(y, SR), loudness_lufs(y, SR)
    monkeypatch.setattr("pipeline.signal.level.PIECE_S", 1.7)
    assert active_speech_level(y, SR) == pytest.approx(whole[0], abs=1e-9)
    assert loudness_lufs(y, SR) == pytest.approx(whole[1], abs=0.1)


def test_active_level_is_below_the_gated_level_of_short_bursts():
    y = np.concatenate([np.concatenate([sine(0.5), np.zeros(SR)]) for _ in range(8)])
    below = gated_rms_dbfs(y, SR, [(1.5 * i, 1.5 * i + 0.5) for i in range(8)])
    assert 1.5 < below - active_speech_level(y, SR)[0] < 2.3


# --- BS.1770 ---------------------------------------------------------------------------------


def test_loudness_of_the_reference_tone():
    # BS.1770: a 997 Hz sine at 0 dBFS in one front channel reads -3.01 LKFS.
    assert loudness_lufs(sine(5, hz=997, sr=48000), 48000) == pytest.approx(-3.01, abs=0.05)
    assert loudness_lufs(sine(5, hz=997), SR) == pytest.approx(-3.01, abs=0.3)


@pytest.mark.parametrize(
    "parts",
    [
        [(20, -23)],
        [(10, -36), (60, -23), (10, -36)],
        [(10, -72), (10, -36), (60, -23), (10, -36), (10, -72)],
        [(20, -26), (20.1, -20), (20, -26)],
    ],
    ids=["case 1", "case 3", "case 4", "case 5"],
)
def test_loudness_of_the_test_signals_of_ebu_tech_3341(parts):
    # Their two channels read -23.0 LUFS (+-0.1); one of them is half the power.
    tones = [sine(s, hz=1000, peak=10 ** (db / 20), sr=48000) for s, db in parts]
    expected = -23.0 - 10 * math.log10(2)
    assert loudness_lufs(np.concatenate(tones), 48000) == pytest.approx(expected, abs=0.1)


def test_loudness_gate_drops_pauses():
    tone = sine(10, hz=997, peak=0.1)
    quiet = sine(20, hz=997, peak=0.001)
    alone = loudness_lufs(tone, SR)
    assert loudness_lufs(np.concatenate([quiet, tone, quiet]), SR) == pytest.approx(alone, abs=0.2)


@pytest.mark.parametrize("seconds", [0.05, 0.1, 0.123, 0.399, 0.4, 0.401, 0.77])
def test_loudness_of_short_input(seconds):
    assert loudness_lufs(sine(seconds, hz=997), SR) == pytest.approx(-3.01, abs=0.6)


def test_loudness_too_short_is_nan():
    assert math.isnan(loudness_lufs(sine(0.04), SR))


# --- short-term level ------------------------------------------------------------------------


def test_track_of_a_staircase():
    y = np.concatenate([sine(0.5, peak=p) for p in (0.01, 0.1, 1.0)])
    track = level_track(y, SR)
    assert track == pytest.approx(np.repeat([-40, -20, 0], 5) + SINE_DB, abs=0.01)


def test_track_of_a_region():
    y = np.concatenate([sine(1, peak=0.1), sine(1, peak=1.0)])
    track = level_track(y, SR, (0.8, 1.27))
    assert track == pytest.approx(np.array([-20, -20, 0, 0, 0]) + SINE_DB, abs=0.02)


def test_track_drops_a_small_rest_and_tiny_regions():
    assert level_track(sine(0.54), SR).size == 5
    assert level_track(sine(0.56), SR).size == 6
    assert level_track(sine(1), SR, (0.5, 0.54)).size == 0
    assert level_track(sine(1), SR, (5.0, 6.0)).size == 0


# --- edges -----------------------------------------------------------------------------------


def test_silence_is_minus_infinity():
    silence = np.zeros(2 * SR)
    assert gated_rms_dbfs(silence, SR) == -math.inf
    assert active_speech_level(silence, SR) == (-math.inf, 0.0)
    assert loudness_lufs(silence, SR) == -math.inf
    assert np.all(level_track(silence, SR) == -math.inf)


def test_nothing_is_nan():
    nothing = np.zeros(0)
    assert math.isnan(gated_rms_dbfs(nothing, SR))
    assert math.isnan(gated_rms_dbfs(sine(), SR, []))
    assert math.isnan(gated_rms_dbfs(sine(), SR, [(7.0, 8.0)]))
    assert all(map(math.isnan, active_speech_level(nothing, SR)))
    assert math.isnan(loudness_lufs(nothing, SR))
    assert level_track(nothing, SR).size == 0


@pytest.mark.parametrize("measure", [*MEASURES, level_track])
@pytest.mark.parametrize(
    ("y", "sr", "words"),
    [
        ([math.nan] + [0.0] * SR, SR, "1 that are NaN"),
        ([math.inf] + [0.0] * SR, SR, "finite"),
        ([[0.0, 0.1], [0.2, 0.3]], SR, "one dimension"),
        ([0.0, 0.1], 0, "above 0 Hz"),
    ],
)
def test_malformed_input_is_refused(measure, y, sr, words):
    with pytest.raises(ParameterError, match=words):
        measure(y, sr)


def test_malformed_arguments_are_refused():
    with pytest.raises(ParameterError, match="start <= end"):
        gated_rms_dbfs(sine(), SR, [(2.0, 1.0)])
    with pytest.raises(ParameterError, match="start <= end"):
        gated_rms_dbfs(sine(), SR, [(math.nan, 1.0)])
    with pytest.raises(ParameterError, match="one sample"):
        gated_rms_dbfs(sine(), SR, block_s=0)
    with pytest.raises(ParameterError, match="one sample"):
        level_track(sine(), SR, hop_s=-1)


@pytest.mark.parametrize(
    "measure",
    [
        lambda y: gated_rms_dbfs(y, SR, [(1.0, 2.0)]),
        lambda y: active_speech_level(y, SR, [(1.0, 2.0)])[0],
        lambda y: loudness_lufs(y, SR, [(1.0, 2.0)]),
        lambda y: level_track(y, SR, (1.0, 2.0))[0],
    ],
)
def test_a_second_of_a_long_recording_is_neither_changed_nor_paid_for_by_the_rest(measure):
    y = np.full(600 * SR, np.nan, np.float32)  # outside of the region nothing is looked at
    y[SR : 2 * SR] = sine(1.0, hz=997)
    alone = measure(np.concatenate([np.zeros(SR), y[SR : 2 * SR], np.zeros(SR)]))
    tracemalloc.start()
    try:
        assert measure(y) == alone
        assert tracemalloc.get_traced_memory()[1] < y.nbytes / 10
    finally:
        tracemalloc.stop()


def test_the_input_is_not_changed():
    y = speech_like()
    before = y.copy()
    for measure in [*MEASURES, level_track]:
        measure(y, SR)
    assert np.array_equal(y, before)


# --- properties ------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(gain_db=GAINS, seed=st.integers(0, 50))
def test_a_gain_moves_every_level_by_itself(gain_db, seed):
    y = speech_like(seed, seconds=3.0)
    gained = y * 10 ** (gain_db / 20)
    for measure in MEASURES[:2]:
        assert measure(gained, SR) - measure(y, SR) == pytest.approx(gain_db, abs=0.01)
    track, other = level_track(y, SR), level_track(gained, SR)
    assert other - track == pytest.approx(np.full(track.size, gain_db), abs=0.01)


@settings(max_examples=10, deadline=None)
@given(gain_db=st.floats(-20, 10))
def test_a_gain_moves_loudness_above_the_absolute_gate(gain_db):
    y = speech_like(1, seconds=3.0)  # the pauses are under -70 LUFS at every gain here
    change = loudness_lufs(y * 10 ** (gain_db / 20), SR) - loudness_lufs(y, SR)
    assert change == pytest.approx(gain_db, abs=0.01)


@settings(max_examples=15, deadline=None)
@given(cut=st.floats(0.1, 5.9))
def test_the_order_of_regions_does_not_matter(cut):
    y = speech_like(2)
    regions = [(0.0, cut), (cut + 0.05, 6.0)]
    assert gated_rms_dbfs(y, SR, regions) == gated_rms_dbfs(y, SR, regions[::-1])


@settings(max_examples=10, deadline=None)
@given(level=st.floats(-60, -3.1))
def test_activity_factor_does_not_depend_on_the_gain(level):
    y = speech_like(3, seconds=3.0)
    _, activity = active_speech_level(y, SR)
    assert active_speech_level(y * 10 ** (level / 20), SR)[1] == pytest.approx(activity, abs=1e-3)
