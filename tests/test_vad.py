"""The voice-activity timeline: tight edges, also in noise; short hums; nothing that is no speech."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, sosfilt

from pipeline.schema import Audio
from pipeline.settings import Vad, load_settings
from pipeline.speech.vad import (
    FRAME_S,
    PROBABILITY_FRAME_S,
    SileroDetector,
    detect_speech,
    frame_levels_db,
    noise_floor_db,
    runs,
)
from tests.fakes import EnergyDetector

RATE = 16_000
EDGE_S = 0.030
UTTERANCES = Path(__file__).parents[1] / "data/utterances"
CLIPS = sorted(UTTERANCES.glob("*.flac"))
SILERO = SileroDetector()
BANK = json.loads((UTTERANCES / "index.json").read_text(encoding="utf-8"))
SPEECH_DBFS = -26.0


class Says:
    """A detector that finds speech in given stretches, as coarse and as late as told.

    In the stretches of ``doubts`` it gives a probability of ``doubt``.
    """

    def __init__(
        self,
        *spans: tuple[float, float],
        late_s: float = 0.0,
        doubts: Sequence[tuple[float, float]] = (),
        doubt: float = 0.2,
    ) -> None:
        self.spans = spans
        self.doubt = doubt
        self.late_s = late_s
        self.doubts = doubts

    def __call__(self, audio: Audio) -> np.ndarray:
        frames = -(-audio.size // 512)
        middle = (np.arange(frames) + 0.5) * PROBABILITY_FRAME_S - self.late_s
        probability = np.zeros(frames, np.float32)
        for value, spans in ((self.doubt, self.doubts), (1.0, self.spans)):
            for start, end in spans:
                probability[(middle >= start) & (middle < end)] = value
        return probability


def hiss(seconds: float, dbfs: float = -65.0, seed: int = 0) -> Audio:
    samples = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    return np.asarray(samples * 10 ** (dbfs / 20), np.float32)


def voiced(
    seconds: float, bursts: Sequence[tuple[float, float]], dbfs: float = -25.0, noise: float = -65.0
) -> Audio:
    """Buzzes of 150 Hz with hard edges over noise."""
    audio = hiss(seconds, noise)
    for start, end in bursts:
        t = np.arange(round((end - start) * RATE)) / RATE
        tone = sum(np.sin(2 * np.pi * 150 * k * t) / k for k in range(1, 12))
        tone *= 10 ** (dbfs / 20) / np.sqrt(np.mean(np.square(tone)))
        audio[round(start * RATE) :][: t.size] += tone.astype(np.float32)
    return audio


def tightened(clip: Audio) -> Audio:
    """Cut at the first and last 10 ms frame within 40 dB of the peak."""
    frames = np.abs(clip[: clip.size // 160 * 160]).reshape(-1, 160).max(axis=1)
    loud = np.flatnonzero(frames >= frames.max() / 100)
    return clip[loud[0] * 160 : (loud[-1] + 1) * 160]


def times(seconds: float) -> np.ndarray:
    return np.arange(round(seconds * RATE)) / RATE


def harmonics(hz: np.ndarray, top_hz: float = 3000.0) -> np.ndarray:
    """A buzz that follows a pitch, the lowest partials the strongest."""
    phase = 2 * np.pi * np.cumsum(hz) / RATE
    count = int(top_hz / hz.max())
    return np.asarray(sum(np.sin(k * phase) / k for k in range(1, count + 1)))


def hum(seconds: float, from_hz: float, to_hz: float) -> np.ndarray:
    return harmonics(np.geomspace(from_hz, to_hz, round(seconds * RATE)))


def tones(seconds: float, *hz: float) -> np.ndarray:
    return np.asarray(sum(np.sin(2 * np.pi * f * times(seconds)) for f in hz))


def placed(audio: Audio, sound: np.ndarray, start: float, dbfs: float = -28.0) -> None:
    """Lay a sound on the audio, its loudest 20 ms at the given level, its edges ramped."""
    ramp = np.minimum(1.0, np.minimum(np.arange(sound.size), np.arange(sound.size)[::-1]) / 64)
    sound = sound * ramp
    blocks = np.array_split(sound, max(1, sound.size // 320))
    loudest = max(float(np.sqrt(np.mean(np.square(b)))) for b in blocks)
    first = round(start * RATE)
    audio[first : first + sound.size] += (sound / loudest * 10 ** (dbfs / 20)).astype(np.float32)


def clip(name: str) -> Audio:
    """A tight clip of the bank as a telephone carries it, its RMS at ``SPEECH_DBFS``."""
    samples, rate = soundfile.read(UTTERANCES / f"{name}.flac", dtype="float32")
    assert rate == RATE
    band = sosfilt(butter(4, (300, 3400), "bandpass", fs=RATE, output="sos"), samples)
    tight = tightened(band.astype(np.float32))
    return tight * np.float32(10 ** (SPEECH_DBFS / 20) / np.sqrt(np.mean(np.square(tight))))


def line(seconds: float, snr_db: float, seed: int = 0) -> Audio:
    """Noise of a telephone line, so far under the speech."""
    noise = sosfilt(
        butter(4, (300, 3400), "bandpass", fs=RATE, output="sos"), hiss(seconds, 0.0, seed)
    )
    return np.asarray(noise / np.std(noise) * 10 ** ((SPEECH_DBFS - snr_db) / 20), dtype=np.float32)


def spoken(names: Sequence[str], snr_db: float, pause_s: float = 2.0) -> tuple[Audio, list]:
    """Clips with pauses between them on one line, and where they are."""
    clips = [clip(n) for n in names]
    audio = line(sum(c.size for c in clips) / RATE + pause_s * (len(clips) + 1), snr_db)
    at, truth = pause_s, []
    for samples in clips:
        first = round(at * RATE)
        audio[first : first + samples.size] += samples
        truth.append((first / RATE, (first + samples.size) / RATE))
        at = truth[-1][1] + pause_s
    return audio, truth


def of_voice(voice: str, *, backchannels: bool) -> list[str]:
    """Names of clips of one voice: its listening signals, or its long sentences."""
    return [
        e["id"]
        for e in BANK
        if e["voice"] == voice
        and (e["kind"] == "backchannel" if backchannels else e["seconds"] > 3.0)
    ]


VOICES = sorted({e["voice"] for e in BANK})


@pytest.mark.parametrize("late_s", [-0.1, 0.0, 0.08, 0.2])
@pytest.mark.parametrize(("dbfs", "noise"), [(-25, -65), (-25, -45), (-45, -70), (-6, -60)])
def test_edges_are_those_of_the_sound_however_late_the_detector(late_s, dbfs, noise):
    bursts = [(0.513, 1.874), (2.4, 4.1)]
    found = detect_speech(voiced(5, bursts, dbfs, noise), Says(*bursts, late_s=late_s))
    assert len(found) == 2
    for (start, end), (true_start, true_end) in zip(found, bursts, strict=True):
        assert abs(start - true_start) <= EDGE_S
        assert abs(end - true_end) <= EDGE_S


def test_edges_of_real_speech():
    options = Vad(**load_settings().vad.model_dump())
    errors = []
    for clip in CLIPS:
        samples, rate = soundfile.read(clip, dtype="float32")
        assert rate == RATE
        speech = tightened(samples)
        audio = hiss(2 + speech.size / RATE)
        audio[RATE : RATE + speech.size] += speech
        found = detect_speech(audio, SILERO, options)
        errors += [found[0][0] - 1.0, found[-1][1] - 1.0 - speech.size / RATE]
    off = np.abs(errors)
    assert np.mean(off <= EDGE_S) >= 0.98
    assert off.max() <= 0.1  # a last breath 40 dB under the peak may be missed


@pytest.mark.parametrize("rate_hz", [0.0, 450.0, 1000.0])
def test_what_the_detector_does_not_call_speech_is_none_however_loud(rate_hz: float):
    t = np.arange(3 * RATE) / RATE
    tone = 0.5 * np.sin(2 * np.pi * rate_hz * t).astype(np.float32) + hiss(3)
    assert detect_speech(tone, Says()) == ()
    assert detect_speech(tone, SILERO) == ()


@pytest.mark.parametrize("audio", [np.zeros(0), np.zeros(100), np.zeros(2 * RATE), hiss(2)])
def test_silence_and_noise_have_no_speech(audio: Audio):
    audio = audio.astype(np.float32)
    assert detect_speech(audio, SILERO) == ()
    assert detect_speech(audio, Says()) == ()


def test_noise_that_the_detector_takes_for_speech_does_not_lend_its_edges():
    found = detect_speech(voiced(4, [(1.0, 2.0)]), Says((0.2, 3.8)))
    assert len(found) == 1
    assert found[0] == pytest.approx((1.0, 2.0), abs=EDGE_S)


@pytest.mark.parametrize(("doubt", "end"), [(0.3, 4.0), (0.2, 2.3)])
def test_speech_that_has_begun_goes_on_until_it_is_unlikely(doubt: float, end: float):
    audio = voiced(5, [(1.0, 4.0)])
    (span,) = detect_speech(audio, Says((1.0, 2.0), doubts=[(2.0, 4.0)], doubt=doubt))
    assert span == pytest.approx((1.0, end), abs=0.05)


def test_energy_reaches_only_so_far_from_a_detection():
    audio = voiced(6, [(1.0, 5.0)])
    near = detect_speech(audio, Says((2.9, 3.1)), Vad(reach_s=0.2))
    far = detect_speech(audio, Says((2.9, 3.1)), Vad(reach_s=0.5))
    assert near[0] == pytest.approx((2.7, 3.3), abs=0.06)
    assert far[0] == pytest.approx((2.4, 3.6), abs=0.06)


def test_short_pauses_are_part_of_speech_and_longer_ones_are_not():
    bursts = [(0.5, 1.0), (1.1, 1.6), (1.9, 2.4)]
    found = detect_speech(voiced(3, bursts), Says((0.5, 2.4)), Vad(min_pause_s=0.18))
    assert [pytest.approx(s, abs=EDGE_S) for s in found] == [(0.5, 1.6), (1.9, 2.4)]
    apart = detect_speech(voiced(3, bursts), Says((0.5, 2.4)), Vad(min_pause_s=0.05))
    assert len(apart) == 3


def test_bursts_too_short_to_be_speech_are_dropped():
    audio = voiced(3, [(0.5, 0.55), (1.5, 2.0)])
    found = detect_speech(audio, Says((0.4, 2.1)), Vad(min_speech_s=0.08))
    assert [pytest.approx(s, abs=EDGE_S) for s in found] == [(1.5, 2.0)]


def test_ignored_frames_are_cut_out():
    audio = voiced(4, [(0.5, 3.5)])
    ignore = np.zeros(400, bool)
    ignore[150:250] = True
    found = detect_speech(audio, Says((0.5, 3.5)), ignore=ignore)
    assert [pytest.approx(s, abs=EDGE_S) for s in found] == [(0.5, 1.5), (2.5, 3.5)]
    short = detect_speech(audio, Says((0.5, 3.5)), ignore=ignore[:200])
    assert [pytest.approx(s, abs=EDGE_S) for s in short] == [(0.5, 1.5), (2.0, 3.5)]
    assert detect_speech(audio, Says((0.5, 3.5)), ignore=np.ones(900, bool)) == ()


@pytest.mark.parametrize("voice", VOICES)
def test_a_listeners_short_words_are_found(voice: str):
    listening = of_voice(voice, backchannels=True)
    audio, truth = spoken([of_voice(voice, backchannels=False)[0], *listening], 20.0)
    found = detect_speech(audio, SILERO)
    assert len(truth) == 6
    for start, end in truth:
        heard = [s for s in found if s[0] < end and s[1] > start]
        assert heard
        assert heard[0][0] == pytest.approx(start, abs=0.1)
        assert heard[-1][1] == pytest.approx(end, abs=0.2)
    outside = [s for s in found if not any(s[0] < end and s[1] > start for start, end in truth)]
    assert outside == []


@pytest.mark.parametrize(("from_hz", "to_hz"), [(110, 125), (230, 205), (180, 260)])
@pytest.mark.parametrize("seconds", [0.15, 0.3, 0.8])
def test_a_hum_that_the_detector_doubts_is_found(from_hz: float, to_hz: float, seconds: float):
    audio = voiced(5, [(0.5, 1.5)])
    placed(audio, hum(seconds, from_hz, to_hz), 3.0)
    found = detect_speech(audio, Says((0.5, 1.5), doubts=[(3.0, 3.0 + seconds)]))
    assert found[1:] == (pytest.approx((3.0, 3.0 + seconds), abs=EDGE_S),)
    assert len(detect_speech(audio, Says((0.5, 1.5)))) == 1, "it says: surely no speech"


NO_VOICE = {
    "tone": tones(0.3, 450.0),
    "two tones": tones(0.3, 440.0, 480.0),
    "digit": tones(0.2, 770.0, 1336.0),
    "beep": harmonics(np.full(4800, 300.0)),
    "mains": harmonics(np.full(4800, 50.0)),
    "breath": hiss(0.4, 0.0) * np.hanning(6400),
    "click": np.concatenate((np.zeros(1600), np.ones(1), np.zeros(1600))),
    "knock": tones(0.2, 300.0, 690.0) * np.exp(-times(0.2) / 0.03),
    "warble": np.sin(
        2 * np.pi * np.cumsum(np.where(np.sin(2 * np.pi * 20 * times(0.4)) > 0, 750, 450)) / RATE
    ),
    "long": hum(1.5, 150.0, 200.0),
}


@pytest.mark.parametrize("name", sorted(NO_VOICE))
@pytest.mark.parametrize("noise", [-65.0, -45.0])
def test_sounds_that_are_no_voice_are_no_hum_however_the_detector_doubts(name: str, noise: float):
    audio = voiced(5, [(0.5, 1.5)], noise=noise)
    placed(audio, NO_VOICE[name], 3.0, -22.0)
    found = detect_speech(audio, Says((0.5, 1.5), doubts=[(2.9, 4.6)]))
    assert found == (pytest.approx((0.5, 1.5), abs=EDGE_S),)


def test_a_hum_that_hardly_stands_out_of_the_noise_is_left_alone():
    audio = voiced(5, [(0.5, 1.5)], noise=-45.0)
    placed(audio, hum(0.3, 110, 125), 3.0, -40.0)
    assert len(detect_speech(audio, Says((0.5, 1.5), doubts=[(3.0, 3.3)]))) == 1


@pytest.mark.parametrize(
    ("snr_db", "median_ms", "p95_ms"), [(30.0, 15, 60), (15.0, 25, 110), (10.0, 45, 250)]
)
def test_edges_in_noise(snr_db: float, median_ms: float, p95_ms: float):
    off = []
    for voice in VOICES[::2]:
        audio, truth = spoken(of_voice(voice, backchannels=False)[:5], snr_db)
        found = detect_speech(audio, SILERO)
        for start, end in truth:
            heard = [s for s in found if s[0] < end and s[1] > start]
            off += [abs(heard[0][0] - start), abs(heard[-1][1] - end)]
    assert 1000 * np.median(off) <= median_ms
    assert 1000 * np.percentile(off, 95) <= p95_ms


def test_noise_that_swells_lends_no_edges():
    swell = 10 ** (np.interp(times(12), np.arange(0, 12, 0.25), [-8, 4, -2, 8] * 12) / 20)
    audio = line(12, 24.0) * swell.astype(np.float32)
    bursts = [(2.0, 3.5), (6.0, 8.0)]
    for start, end in bursts:
        placed(audio, hum(end - start, 150, 180), start, SPEECH_DBFS)
    found = detect_speech(audio, Says((1.8, 3.7), (5.7, 8.3)))
    assert found == tuple(pytest.approx(b, abs=EDGE_S) for b in bursts)


def test_music_in_fewer_than_a_third_of_the_pauses_moves_no_edge():
    audio, truth = spoken(of_voice(VOICES[0], backchannels=False)[:4], 30.0, pause_s=4.0)
    before = detect_speech(audio, Says(*truth))
    placed(audio, tones(3.0, 300.0, 375.0, 450.0), truth[1][1] + 0.5, SPEECH_DBFS)
    after = detect_speech(audio, Says(*truth))
    assert len(before) >= len(truth)
    assert after == tuple(pytest.approx(s, abs=0.03) for s in before)


@pytest.mark.parametrize("crackle", [False, True])
def test_what_is_louder_than_speech_is_not_its_noise(crackle: bool):
    audio, truth = spoken(of_voice(VOICES[0], backchannels=False)[:4], 30.0, pause_s=0.8)
    before = detect_speech(audio, Says(*truth))
    other = hiss(8.0, 0.0, 1) if crackle else tones(8.0, 300.0, 375.0, 450.0)
    loud = other / np.std(other) * 10 ** ((SPEECH_DBFS + 6) / 20)
    after = detect_speech(np.append(audio, loud.astype(np.float32)), Says(*truth))
    assert after == tuple(pytest.approx(s, abs=0.03) for s in before)


@given(st.floats(-18, 12), st.integers(0, 3))
@settings(max_examples=15, deadline=None)
def test_the_gain_of_the_recording_moves_no_edge(gain_db: float, seed: int):
    audio = voiced(4, [(0.5, 1.2), (2.0, 3.1)], dbfs=-30, noise=-60) + hiss(4, -62, seed)
    louder = (audio * 10 ** (gain_db / 20)).astype(np.float32)
    detector = EnergyDetector()
    assert detect_speech(louder, detector) == detect_speech(audio, detector)


@given(st.integers(1, 300))
@settings(max_examples=15, deadline=None)
def test_a_later_start_moves_every_edge_by_as_much(frames: int):
    bursts = [(0.6, 1.3), (2.0, 3.1)]
    audio = voiced(4, bursts)
    later = np.concatenate((hiss(frames * FRAME_S, seed=1), audio))
    by = frames * FRAME_S
    moved = [(a + by, b + by) for a, b in bursts]
    before = detect_speech(audio, Says(*bursts))
    after = detect_speech(later, Says(*moved))
    assert [pytest.approx((a + by, b + by), abs=0.011) for a, b in before] == list(after)


def test_levels_and_floor():
    level = frame_levels_db(np.concatenate((np.zeros(1600), np.full(1600, 0.1))).astype(np.float32))
    assert level.shape == (20,)
    assert level[:10].tolist() == [-120.0] * 10
    assert level[10:] == pytest.approx([-20.0] * 10, abs=1e-4)
    assert noise_floor_db(level) == pytest.approx(-20.0, abs=1e-4)
    assert noise_floor_db(np.full(10, -120.0)) == -100.0


@given(st.lists(st.booleans(), max_size=60))
def test_runs_are_the_mask(mask: list[bool]):
    spans = runs(np.array(mask, bool), 1.0)
    back = np.zeros(len(mask), bool)
    for start, end in spans:
        assert end > start
        back[int(start) : int(end)] = True
    assert back.tolist() == mask
    assert all(a[1] < b[0] for a, b in zip(spans[:-1], spans[1:], strict=True))
