"""Ringing and hold music: counted and found, and never mixed up with speech."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from pipeline.audio import decode, resample
from pipeline.schema import Audio, Waveform
from pipeline.signal.tones import find_music, find_ringing, find_tones
from tests.fakes import RATE, buzz, chords, noise, place, rings

DATA = Path(__file__).parents[1] / "data"
CLIPS = sorted((DATA / "utterances").glob("*.flac"))
SAMPLES = sorted((DATA / "samples").glob("*.wav"))


def line(*sounds: tuple[float, Audio], seconds: float) -> Audio:
    """Sounds at their times over faint noise."""
    samples = noise(seconds)
    for start, sound in sounds:
        place(samples, sound, start)
    return samples


def speech(names: str) -> Audio:
    """Clips of the utterance bank one after the other at 8 kHz, 0.3 s apart."""
    parts = []
    for path in CLIPS:
        if path.stem.startswith(names):
            samples, rate = soundfile.read(path, dtype="float32")
            parts += [resample(samples, rate, RATE), np.zeros(round(0.3 * RATE), np.float32)]
    return np.concatenate(parts)


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("rate", [8000, 16_000])
def test_rings_are_counted_and_timed(count: int, rate: int):
    audio = resample(line((0.5, rings(count)), seconds=5 * count + 2), RATE, rate)
    found = find_ringing(audio, rate)
    assert len(found) == count
    for i, span in enumerate(found):
        assert span == pytest.approx((0.5 + 5 * i, 1.5 + 5 * i), abs=0.06)


def test_rings_are_counted_in_noise_and_at_any_level():
    for gain in (0.02, 1.0, 5.0):
        assert len(find_ringing(gain * line((0.5, rings(3)), seconds=16), RATE)) == 3
    noisy = line((0.5, rings(3)), seconds=16) + noise(16, 1, dbfs=-40)
    assert len(find_ringing(noisy, RATE)) == 3


@pytest.mark.parametrize(
    "sound",
    [
        rings(1, hz=1000),
        rings(1, hz=350),
        rings(3, on=0.3, off=0.3),
        rings(1, on=4.0, off=1.0),
        chords(6),
        buzz("我想问一下我的订单到哪里了", 225),
    ],
    ids=["1000 Hz", "350 Hz", "busy tone", "one long tone", "music", "speech"],
)
def test_other_sounds_are_no_rings(sound: Audio):
    assert find_ringing(line((1.0, sound), seconds=9), RATE) == []


def test_rings_are_only_looked_for_before_a_time():
    audio = line((0.5, rings(3)), seconds=17)
    assert len(find_ringing(audio, RATE, until=6.8)) == 2


def test_tones_after_the_last_ring_and_in_music_are_no_rings():
    later = line((0.5, rings(2)), (30.0, rings(1)), seconds=34)
    with_music = line((0.5, rings(2)), (12.0, chords(12, 0.05)), (14.0, rings(1)), seconds=26)
    for audio in (later, with_music):
        wave = Waveform(np.stack([audio, noise(audio.size / RATE, 3)]), RATE, RATE, "pcm", "")
        assert len(find_tones(wave, (0, 1)).rings) == 2


@pytest.mark.parametrize("seconds", [4, 12, 40])
@pytest.mark.parametrize("level", [0.01, 0.05, 0.3])
def test_music_is_found_with_its_edges(seconds: int, level: float):
    audio = line((5.0, chords(seconds, level)), seconds=seconds + 10)
    found = find_music(audio, RATE)
    assert len(found) == 1
    assert found[0] == pytest.approx((5.0, 5.0 + seconds), abs=0.3)


def plucked(seconds: float, every_s: float, fades_s: float) -> Audio:
    """Notes of a pentatonic scale, each struck and fading, with silence before the next."""
    samples, rng = np.zeros(round(seconds * RATE), np.float32), np.random.default_rng(4)
    t = np.arange(round(every_s * RATE)) / RATE
    for start in range(0, samples.size - t.size + 1, t.size):
        hz = 220 * 2 ** (rng.choice([0, 2, 4, 7, 9, 12, 14]) / 12)
        partials = sum(np.sin(2 * np.pi * k * hz * t) / k for k in range(1, 5))
        samples[start : start + t.size] = 0.1 * partials * np.exp(-t / fades_s)
    return samples


@pytest.mark.parametrize(("every_s", "fades_s"), [(0.5, 0.08), (0.6, 0.06), (0.9, 0.09)])
def test_plucked_strings_that_fade_between_notes_are_music(every_s: float, fades_s: float):
    said = speech("courier_a1")[: 4 * RATE]
    music = plucked(12, every_s, fades_s)
    audio = line((0.5, said), (5.0, music), (17.5, said), seconds=22)
    (found,) = find_music(audio, RATE)
    assert found == pytest.approx((5.0, 17.0), abs=every_s)


def test_a_busy_tone_is_no_music():
    assert find_music(line((1.0, rings(12, on=0.35, off=0.35)), seconds=12), RATE) == []


@pytest.mark.parametrize("audio", [np.zeros(0), np.zeros(100), np.zeros(8000 * 10), noise(10)])
def test_silence_and_noise_are_neither_music_nor_rings(audio: Audio):
    audio = audio.astype(np.float32)
    assert find_music(audio, RATE) == []
    assert find_ringing(audio, RATE) == []


@pytest.mark.parametrize("call", sorted({p.stem.partition("_")[0] for p in CLIPS}))
def test_speech_is_no_music_and_no_ring(call: str):
    said = speech(call)
    audio = line((0.5, said), seconds=said.size / RATE + 1)
    assert find_music(audio, RATE) == []
    assert find_ringing(audio, RATE) == []


@pytest.mark.parametrize("path", SAMPLES, ids=lambda p: p.stem)
def test_rings_and_music_of_the_sample_calls(path: Path):
    truth = json.loads(path.with_suffix(".truth.json").read_text("utf-8"))
    wave = decode(path)
    ringing = max((find_ringing(c, wave.sample_rate) for c in wave.samples), key=len)
    assert [pytest.approx((r["start"], r["end"]), abs=0.06) for r in truth["rings"]] == ringing
    music = [s for c in wave.samples for s in find_music(c, wave.sample_rate)]
    holds = [h for h in truth["holds"] if h["kind"] == "music"]
    assert [pytest.approx((h["start"], h["end"]), abs=0.5) for h in holds] == music
