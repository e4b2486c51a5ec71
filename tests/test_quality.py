"""Synthetic two-channel calls with known noise, leak, clipping and bandwidth."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.errors import ParameterError
from pipeline.schema import ChannelQuality, Waveform
from pipeline.signal.channels import assess, channel_findings, crosstalk_db, leaked, usable

RATE = 8000
HOP = RATE // 50


def wave(*channels: NDArray, rate: int = RATE) -> Waveform:
    return Waveform(np.asarray(np.stack(channels), np.float32), rate, rate, "pcm_s16le", "")


def voice(spans: list[tuple[float, float]], seconds: float, seed: int, rate: int = RATE) -> NDArray:
    """Syllables at about four a second: noise with a speech-like slope, silent outside spans."""
    rng = np.random.default_rng(seed)
    n = round(seconds * rate)
    spectrum = np.fft.rfft(rng.standard_normal(n))
    hz = np.fft.rfftfreq(n, 1 / rate)
    spectrum *= (hz > 100) / (1 + (hz / 700) ** 2)
    carrier = np.fft.irfft(spectrum, n)
    carrier /= np.sqrt((carrier**2).mean())
    t = np.arange(n) / rate
    beat = 4 + 0.8 * np.sin(2 * np.pi * 0.31 * t + seed)
    syllable = 0.05 + np.maximum(0, np.sin(2 * np.pi * np.cumsum(beat) / rate))
    gate = np.zeros(n)
    for start, end in spans:
        gate[round(start * rate) : round(end * rate)] = 1
    return 0.15 * carrier * syllable * gate


def hiss(seconds: float, level_db: float, seed: int, rate: int = RATE) -> NDArray:
    return 10 ** (level_db / 20) * np.random.default_rng(seed).standard_normal(
        round(seconds * rate)
    )


def low_pass(x: NDArray, edge_hz: float, rate: int = RATE) -> NDArray:
    spectrum = np.fft.rfft(x)
    spectrum[np.fft.rfftfreq(len(x), 1 / rate) > edge_hz] = 0
    return np.fft.irfft(spectrum, len(x))


A_SPANS = [(1.0, 6.0), (11.0, 15.0), (20.0, 27.0), (33.0, 38.0)]
C_SPANS = [(6.5, 10.5), (14.5, 19.5), (28.0, 32.0), (36.0, 39.0)]
AGENT = voice(A_SPANS, 40, 1)
CUSTOMER = voice(C_SPANS, 40, 2)


def problems(quality: tuple[ChannelQuality, ...]) -> list[tuple[str, ...]]:
    return [q.problems for q in quality]


def test_a_clean_call_has_no_problems() -> None:
    call = wave(AGENT + hiss(40, -60, 3), CUSTOMER + hiss(40, -60, 4))
    assert problems(assess(call)) == [(), ()]
    assert channel_findings(call) == ()


# -- signal-to-noise ratio ----------------------------------------------------------------------


@pytest.mark.parametrize("snr_db", [8, 12, 18, 25, 35])
@pytest.mark.parametrize("gain", [0.02, 1.0, 3.0])
def test_snr_is_right_at_any_gain(snr_db: float, gain: float) -> None:
    loud = (AGENT.reshape(-1, HOP) ** 2).mean(axis=1)
    loud = loud[loud > loud.max() / 1000].mean()
    noisy = AGENT + hiss(40, 10 * np.log10(loud) - snr_db, 5)
    (quality,) = assess(wave(noisy * gain))
    assert quality.snr_db == pytest.approx(snr_db, abs=2.5)
    assert ("noisy" in quality.problems) == (quality.snr_db < 15)


@pytest.mark.parametrize("snr_db", [8, 25])
def test_digital_silence_is_not_a_noise_floor(snr_db: float) -> None:
    """A recorder that zeroes the pauses must not turn a noisy channel into a clean one."""
    loud = 10 * np.log10((AGENT[AGENT != 0] ** 2).mean())
    gated = (AGENT + hiss(40, loud - snr_db, 5)) * (AGENT != 0)
    (quality,) = assess(wave(gated))
    assert snr_db - 7 < quality.snr_db < snr_db + 3  # judged by the dips of speech: errs low
    assert ("noisy" in quality.problems) == (snr_db < 15)


def test_snr_without_any_noise_is_capped() -> None:
    tone = 0.3 * np.sin(np.arange(RATE * 5) * 0.7)
    (quality,) = assess(wave(np.concatenate((tone, 1e-6 * tone, tone))))
    assert quality.snr_db == 60


def test_level_and_activity() -> None:
    (quality,) = assess(wave(AGENT + hiss(40, -60, 3)))
    (half,) = assess(wave((AGENT + hiss(40, -60, 3)) / 2))
    assert quality.level_dbfs - half.level_dbfs == pytest.approx(6.02, abs=0.01)
    assert half.speech_s == quality.speech_s
    assert quality.speech_s == pytest.approx(sum(b - a for a, b in A_SPANS), abs=2)


# -- clipping -----------------------------------------------------------------------------------


@pytest.mark.parametrize("gain_after", [1.0, 0.3, 0.02])
def test_clipping_is_seen_also_after_attenuation(gain_after: float) -> None:
    loud = AGENT * 6
    truth = (np.abs(loud) >= 1).sum()
    (quality,) = assess(wave(np.clip(loud, -1, 1) * gain_after))
    assert "clipped" in quality.problems
    counted = quality.clipping_ratio * quality.speech_s * RATE
    assert 0.3 * truth < counted <= truth  # runs of one and two samples do not count


def test_g711_ceiling_is_clipping() -> None:
    (quality,) = assess(wave(np.clip(AGENT * 6, -0.9803, 0.9803)))
    assert "clipped" in quality.problems


@pytest.mark.parametrize("hz", [50.0, 440.0])
def test_loud_but_whole_is_not_clipped(hz: float) -> None:
    t = np.arange(10 * RATE) / RATE
    for signal in (0.97 * np.sin(2 * np.pi * hz * t), AGENT / np.abs(AGENT).max() * 0.97):
        (quality,) = assess(wave(signal))
        assert quality.clipping_ratio < 1e-3
        assert "clipped" not in quality.problems


# -- bandwidth ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("edge_hz", "narrow"), [(1500, True), (2000, True), (3400, False)])
@pytest.mark.parametrize("gain", [0.05, 1.0])
def test_bandwidth_of_telephone_speech(edge_hz: float, narrow: bool, gain: float) -> None:
    (quality,) = assess(wave((low_pass(AGENT, edge_hz) + hiss(40, -62, 3)) * gain))
    assert quality.bandwidth_hz == pytest.approx(edge_hz, abs=150)
    assert ("narrow" in quality.problems) == narrow


def test_bandwidth_of_an_upsampled_call() -> None:
    speech = voice(A_SPANS, 40, 1, rate=16_000)
    (full,) = assess(wave(speech + hiss(40, -70, 3, 16_000), rate=16_000))
    (upsampled,) = assess(wave(low_pass(speech, 3900, 16_000), rate=16_000))
    assert full.bandwidth_hz > 5000
    assert upsampled.bandwidth_hz == pytest.approx(3900, abs=150)


# -- dead channels ------------------------------------------------------------------------------


def dead_channels() -> dict[str, NDArray]:
    n = 40 * RATE
    click = np.zeros(n)
    click[5000:5100] = 0.5
    return {
        "zeros": np.zeros(n),
        "A-law idle": np.full(n, 8 / 32768),
        "A-law idle, toggling": 8 / 32768 * np.random.default_rng(1).choice([-1.0, 1.0], n),
        "very quiet noise": hiss(40, -75, 1),
        "a click": click,
    }


@pytest.mark.parametrize("kind", dead_channels())
def test_dead_channel(kind: str) -> None:
    call = wave(AGENT + hiss(40, -60, 3), dead_channels()[kind])
    assert [(f.problem, f.channel) for f in channel_findings(call)] == [("dead", 1)]
    assert problems(assess(call)) == [(), ("dead",)]


def test_a_silent_caller_is_not_a_dead_line() -> None:
    call = wave(AGENT + hiss(40, -60, 3), hiss(40, -58, 4) + 0.006 * AGENT)
    quality = assess(call)
    assert quality[1].problems == ()
    assert quality[1].snr_db is None
    assert quality[1].speech_s == 0


# -- identical channels -------------------------------------------------------------------------

MIXED = AGENT + CUSTOMER + hiss(40, -55, 3)


@pytest.mark.parametrize("gain", [1.0, 0.4, -0.7])
@pytest.mark.parametrize("delay", [0, 3, 160, -240])
def test_fake_stereo_is_found(gain: float, delay: int) -> None:
    call = wave(MIXED, gain * np.roll(MIXED, delay) + hiss(40, -70, 9))
    (finding,) = channel_findings(call)
    assert (finding.problem, finding.channel, finding.other) == ("identical", 1, 0)
    assert finding.value > 0.95
    assert finding.delay_s == pytest.approx(delay / RATE)
    assert problems(assess(call)) == [("identical",), ("identical",)]


@pytest.mark.parametrize("leak_db", [-3, -6, -10, -20])
def test_a_leak_however_loud_is_not_fake_stereo(leak_db: float) -> None:
    g = 10 ** (leak_db / 20)
    call = wave(AGENT + g * CUSTOMER + hiss(40, -60, 3), CUSTOMER + g * AGENT + hiss(40, -60, 4))
    assert "identical" not in {f.problem for f in channel_findings(call)}


def test_a_mix_on_one_side_and_a_loud_speaker_on_the_other_is_not_fake_stereo() -> None:
    call = wave(4 * AGENT + CUSTOMER, 4 * AGENT + hiss(40, -60, 4))
    assert "identical" not in {f.problem for f in channel_findings(call)}


def test_third_channel_equal_to_the_first() -> None:
    call = wave(AGENT + hiss(40, -60, 3), CUSTOMER + hiss(40, -60, 4), AGENT + hiss(40, -60, 3))
    found = channel_findings(call)
    assert [(f.problem, f.channel, f.other) for f in found] == [("identical", 2, 0)]


# -- leaking channels ---------------------------------------------------------------------------


@pytest.mark.parametrize("leak_db", [-12, -20, -30, -40])
@pytest.mark.parametrize("delay", [0, 320, 1600])
def test_crosstalk_level_and_delay(leak_db: float, delay: int) -> None:
    heard = 10 ** (leak_db / 20) * np.roll(AGENT, delay)
    call = wave(AGENT + hiss(40, -60, 3), CUSTOMER + heard + hiss(40, -60, 4))
    matrix = crosstalk_db(call)
    assert matrix[1, 0] == pytest.approx(leak_db, abs=1.0)
    assert matrix[0, 1] == -np.inf
    assert np.diag(matrix).tolist() == [0, 0]
    found = channel_findings(call)
    assert [(f.problem, f.channel, f.other) for f in found] == (
        [("leaking", 1, 0)] if leak_db > -35 else []
    )
    if found:
        assert found[0].delay_s == pytest.approx(delay / RATE, abs=0.001)


def test_crosstalk_through_a_filter_and_with_given_speech() -> None:
    echo = 0.1 * AGENT + 0.06 * np.roll(AGENT, 5) - 0.04 * np.roll(AGENT, 11)
    truth = 10 * np.log10((echo**2).sum() / (AGENT**2).sum())
    call = wave(AGENT + hiss(40, -60, 3), CUSTOMER + echo + hiss(40, -60, 4))
    assert crosstalk_db(call)[1, 0] == pytest.approx(truth, abs=1.0)
    assert crosstalk_db(call, {0: A_SPANS, 1: C_SPANS})[1, 0] == pytest.approx(truth, abs=1.0)
    assert np.isnan(crosstalk_db(call, {0: [], 1: C_SPANS})[1, 0])
    with pytest.raises(ParameterError, match="channel 2 of 2"):
        crosstalk_db(call, {2: A_SPANS})


def levels(x: NDArray) -> NDArray:
    return 10 * np.log10((x[: len(x) // HOP * HOP].reshape(-1, HOP) ** 2).mean(axis=1) + 1e-12)


@pytest.mark.parametrize(
    ("leak_db", "known"), [(-15, True), (-20, True), (-30, True), (-20, False), (-30, False)]
)
def test_leaked_frames_are_marked_and_speech_is_kept(leak_db: float, known: bool) -> None:
    heard = 10 ** (leak_db / 20) * AGENT
    soft = 0.25 * voice([(3.0, 3.6), (23.0, 23.6), (25.0, 25.5)], 40, 7)  # answers 12 dB down
    other = CUSTOMER + soft
    call = wave(AGENT + hiss(40, -62, 3), other + heard + hiss(40, -62, 4))
    track = np.stack([levels(c) for c in call.samples])
    mask = leaked(track, crosstalk_db(call) if known else None)
    talking = (levels(other) > -45) & (levels(other) > levels(heard))
    only_leak = (levels(heard) > -55) & (levels(other) < -80)
    assert only_leak.sum() > 300
    assert mask[1][only_leak].mean() > 0.9
    assert mask[1][talking & (levels(CUSTOMER) > -45)].mean() < 0.01
    if known and leak_db <= -30:
        assert mask[1][talking & (levels(soft) > -45)].mean() < 0.1
    assert mask[0][levels(AGENT) > -45].mean() < 0.02


def test_leak_is_marked_up_to_where_an_answer_begins() -> None:
    talker = voice([(1.0, 9.0)], 40, 3)
    answer = voice([(4.0, 6.0)], 40, 5)
    heard = 10 ** (-25 / 20) * talker
    call = wave(talker + hiss(40, -62, 3), answer + heard + hiss(40, -62, 4))
    mask = leaked(np.stack([levels(c) for c in call.samples]), np.array([[0, np.nan], [-25, 0]]))
    frames = round(1 / (HOP / RATE))
    only_leak = (levels(heard) > -55) & (levels(answer) < -80)
    for edge in (slice(4 * frames - 12, 4 * frames), slice(6 * frames, 6 * frames + 12)):
        assert mask[1][edge][only_leak[edge]].mean() > 0.8
    assert mask[1][levels(answer) > -45].mean() < 0.05


@pytest.mark.parametrize(
    ("late_s", "leak_db", "both"),
    [(0.03, -25, False), (0.06, -25, False), (0.25, -30, False), (0.4, -25, False),
     (0.12, -25, True), (0.12, -16, True)],
)  # fmt: skip
def test_an_echo_is_marked_however_late_it_comes(late_s: float, leak_db: float, both: bool) -> None:
    late, gain = round(late_s * RATE), 10 ** (leak_db / 20)
    echo = gain * np.roll(AGENT, late)
    back = gain * np.roll(CUSTOMER, late) * both
    call = wave(AGENT + back + hiss(40, -62, 3), CUSTOMER + echo + hiss(40, -62, 4))
    found = usable(call)
    assert (
        found.warnings[-1] == f"Channel 1 carries channel 0 at {leak_db} dB, {late_s:.2f} s late."
    )
    assert found.delays_s[1, 0] == pytest.approx(late_s, abs=0.001)
    assert found.delays_s[0, 1] == pytest.approx(late_s * both, abs=0.001)
    frames = np.rint(found.delays_s * RATE / HOP).astype(int)
    mask = leaked(np.stack([levels(c) for c in call.samples]), found.leaks, delay_frames=frames)
    for channel, (own, other) in enumerate(((AGENT, back), (CUSTOMER, echo))):
        only_leak = (levels(other) > -55) & (levels(own) < -80)
        assert (mask[channel] & only_leak).sum() >= 0.9 * only_leak.sum()
        talking = (levels(own) > -45) & (levels(own) > levels(other))
        assert mask[channel][talking].mean() < 0.04  # dips of syllables, where both talk at once


def test_leaked_without_leak_or_frames() -> None:
    call = wave(AGENT + hiss(40, -60, 3), CUSTOMER + hiss(40, -60, 4))
    track = np.stack([levels(c) for c in call.samples])
    assert not leaked(track, crosstalk_db(call)).any()
    assert leaked(np.zeros((2, 0))).shape == (2, 0)
    assert not leaked(np.full((2, 50), -np.inf)).any()
    assert not leaked(track[:1]).any()
    with pytest.raises(ParameterError):
        leaked(track[0])


@pytest.mark.parametrize("leak_db", [-16, -25])
@pytest.mark.parametrize("kind", ["room", "changing delay"])
def test_an_echo_is_told_by_its_course_alone(kind: str, leak_db: float) -> None:
    """Where a room or a changing delay leaves hardly anything that samples have in common."""
    rng = np.random.default_rng(6)
    if kind == "room":
        tail = rng.standard_normal(round(0.4 * RATE)) * np.exp(-np.arange(round(0.4 * RATE)) / 480)
        echo = np.convolve(np.r_[np.zeros(round(0.1 * RATE)), tail], AGENT)[: len(AGENT)]
    else:
        late = np.repeat(rng.uniform(0.1, 0.16, 20), len(AGENT) // 20) * RATE
        echo = np.interp(np.arange(len(AGENT)) - late, np.arange(len(AGENT)), AGENT)
    echo *= 10 ** (leak_db / 20) * AGENT.std() / echo.std()
    found = usable(wave(AGENT + hiss(40, -62, 3), CUSTOMER + echo + hiss(40, -62, 4)))
    assert found.blurred.tolist() == [[False, False], [True, False]]
    assert "blurred" in found.warnings[-1]
    assert found.leaks[1, 0] == pytest.approx(leak_db, abs=3)
    assert 0.1 <= found.delays_s[1, 0] <= 0.18
    mask = leaked(
        np.stack([levels(c) for c in (AGENT + hiss(40, -62, 3), CUSTOMER + echo)]),
        found.leaks,
        delay_frames=np.rint(found.delays_s * RATE / HOP).astype(int),
        blur_frames=2 * found.blurred,
    )
    only_leak = (levels(echo) > -50) & (levels(CUSTOMER) < -80)
    assert mask[1][only_leak].mean() > 0.9
    talking = (levels(CUSTOMER) > -45) & (levels(CUSTOMER) > levels(echo))
    assert mask[1][talking].mean() < 0.08  # both talk at once, at four syllables a second
    assert not mask[0].any()


@pytest.mark.parametrize("gain", [1.0, 0.5])
@pytest.mark.parametrize("late_s", [0.2, -0.3])
def test_a_late_copy_is_the_same_sound(late_s: float, gain: float) -> None:
    mix = AGENT + CUSTOMER + hiss(40, -60, 3)
    late = round(late_s * RATE)
    copy = gain * (
        np.r_[np.zeros(late), mix[:-late]] if late > 0 else np.r_[mix[-late:], np.zeros(-late)]
    )
    found = usable(wave(mix, copy))
    assert found.channels == (0,)
    assert found.warnings == (
        f"Channels 0 and 1 are the same sound, {abs(late_s):.2f} s apart: treated as mono.",
    )


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_channel_that_is_the_sum_of_two_others_is_left_out(place: int) -> None:
    own = [AGENT + hiss(40, -60, 3), CUSTOMER + hiss(40, -60, 4)]
    channels = [*own]
    channels.insert(place, 0.7 * (own[0] + own[1]) + hiss(40, -65, 5))
    found = usable(wave(*channels))
    first, second = (c for c in range(3) if c != place)
    assert found.channels == (first, second)
    assert found.warnings == (
        f"Channel {place} is the sum of channels {first} and {second}: left out.",
    )
    assert problems(found.quality) == [(), ()]


def test_three_voices_are_no_sum_of_each_other() -> None:
    third = voice([(1.0, 3.0), (16.0, 18.0)], 40, 9)
    call = wave(*(v + hiss(40, -60, n) for n, v in enumerate((AGENT, CUSTOMER, third))))
    assert "sum" not in [f.problem for f in channel_findings(call)]


# -- edges --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 100, 161, 3000])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_very_short_recordings(n: int, channels: int) -> None:
    rng = np.random.default_rng(n)
    call = wave(*rng.standard_normal((channels, n)) / 5)
    assert [q.channel for q in assess(call)] == list(range(channels))
    assert crosstalk_db(call).shape == (channels, channels)


def test_a_recording_of_pure_silence() -> None:
    call = wave(np.zeros(RATE * 3), np.zeros(RATE * 3))
    assert problems(assess(call)) == [("dead",), ("dead",)]


def test_findings_read_as_sentences() -> None:
    call = wave(MIXED, 0.5 * MIXED, np.zeros_like(MIXED))
    messages = {f.message for f in channel_findings(call)}
    assert "Channel 2 carries no signal." in messages
    assert "Channels 0 and 1 are the same sound: treated as mono." in messages


@pytest.mark.slow
def test_real_time_factor() -> None:
    call = wave(*np.tile(np.stack((AGENT + hiss(40, -60, 3), CUSTOMER + hiss(40, -60, 4))), 8))
    assess(call)
    began = time.process_time()
    assess(call)
    assert (time.process_time() - began) / call.duration < 0.001


# -- long recordings ---------------------------------------------------------------------------


def test_a_clipped_peak_counts_wherever_it_lies() -> None:
    """Samples are counted a million at a time; a run across the border is one run."""
    sound = np.tile(AGENT, 4)
    ratios = []
    for start in (2**19, 2**20 - 5, 2**20 - 1, 2**20):
        call = sound.copy()
        call[start : start + 10] = 1.0
        (found,) = assess(wave(call))
        ratios.append(found.clipping_ratio * found.speech_s * RATE)
    assert ratios == pytest.approx([10] * 4, abs=0.2)


def test_a_long_recording_is_judged_in_little_memory() -> None:
    call = wave(np.tile(AGENT, 30), np.tile(CUSTOMER, 30))
    tracemalloc.start()
    try:
        assess(call), channel_findings(call), crosstalk_db(call)
        assert tracemalloc.get_traced_memory()[1] < call.samples.nbytes / 3
    finally:
        tracemalloc.stop()
