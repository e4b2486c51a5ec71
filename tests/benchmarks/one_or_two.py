"""How often one voice becomes two, and a second voice is missed, on recordings composed of a bank of clips.

A bank is a folder with an ``index.csv`` (file, speaker; half and kind where known), such as
``data/make_voices.py`` makes, or recordings of people. Without a column ``half`` every other speaker is
of the reporting half. Half of the recordings are one voice, half are two that take turns; the second
says 8 to 50 % of it. Every second one goes through a telephone line (300-3400 Hz, u-law, noise 18 to
38 dB under the speech), one in three has one of its voices in a room.

    python -m tests.benchmarks.one_or_two BANK --half report --recordings 120
    python -m tests.benchmarks.one_or_two --calls data/held_out data/fresh

The second heard as the product hears them: calls of two channels, each channel alone and both in one, with
recognised words, which may vouch for a second voice.

What a second voice of less than ``--second`` seconds is worth is a matter of taste: it is counted apart.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import soundfile
from numpy.typing import NDArray
from scipy.signal import butter, fftconvolve, resample_poly, sosfiltfilt

from pipeline.audio import Resampled, decode_recording
from pipeline.schema import Recording
from pipeline.settings import Settings, load_settings
from pipeline.signal.channels import usable
from pipeline.signal.tones import find_tones
from pipeline.speech.hearing import hear
from pipeline.speech.models import load_diarizer, load_models
from pipeline.speech.roles import LATER
from pipeline.speech.speaker_assignment import assign_speech
from pipeline.speech.vad import SileroDetector, detect_speech

RATE = 16_000
SPEECH_RMS = 0.05
LEAST_S = 4.5  # of speech; of less nobody can say

Array = NDArray[np.float64]


class Composed(NamedTuple):
    """One recording, and the seconds each of its voices speaks."""

    samples: Array
    seconds: Mapping[str, float]


def read_bank(folder: Path, half: str) -> dict[str, list[Array]]:
    """Clips of each speaker of one half, at 16 kHz and one level."""
    index = pd.read_csv(folder / "index.csv")
    if "half" not in index:
        speakers = sorted(index.speaker.unique())
        index["half"] = [("tune", "report")[speakers.index(s) % 2] for s in index.speaker]
    if "kind" in index:
        index = index[index.kind != "listen"]
    clips: dict[str, list[Array]] = {}
    for row in index[index.half == half].itertuples():
        samples, rate = soundfile.read(folder / str(row.file), always_2d=True)
        wide = resample_poly(samples.mean(axis=1), RATE, rate)
        if wide.size >= RATE:
            level = SPEECH_RMS / np.sqrt(np.mean(wide**2))
            clips.setdefault(str(row.speaker), []).append(wide * level)
    return clips


def compose(bank: Mapping[str, Sequence[Array]], two: bool, rng: np.random.Generator) -> Composed:
    """One voice, clip after clip and none twice; or two that take turns."""
    names = sorted(bank)
    first, second = (str(n) for n in rng.choice(names, 2, replace=False))
    length, share = rng.choice([8, 15, 30, 60]), rng.choice([0.5, 0.3, 0.15, 0.08])
    parts: list[tuple[str, Array]] = []
    if two:
        wanted = {first: length * (1 - share), second: max(length * share, 1.2)}
        have = dict.fromkeys(wanted, 0.0)
        at = str(rng.choice(list(wanted)))
        for _ in range(60):
            if have[at] < wanted[at]:
                clip = bank[at][rng.integers(len(bank[at]))]
                parts.append((at, _stretch(clip, min(rng.uniform(1, 5), wanted[at]), rng)))
                have[at] += parts[-1][1].size / RATE
            at = second if at == first else first
    else:
        for i in rng.permutation(len(bank[first])):
            if sum(p.size for _, p in parts) < length * RATE:
                parts.append((first, bank[first][i]))
    return _laid(parts, first if rng.random() < 0.3 else None, rng)


def _stretch(clip: Array, seconds: float, rng: np.random.Generator) -> Array:
    """About so many seconds of a clip, from one quiet place to another."""
    size = round(seconds * RATE)
    if clip.size <= 1.15 * size:
        return clip
    quiet = np.convolve(np.abs(clip), np.ones(480) / 480, "same")
    start = int(rng.integers(clip.size - size))
    start += int(np.argmin(quiet[start : start + RATE // 4]))
    end = max(start + RATE // 3, start + size - RATE // 4)
    return clip[start : end + int(np.argmin(quiet[end : end + RATE // 4]))]


def _laid(
    parts: Sequence[tuple[str, Array]], in_room: str | None, rng: np.random.Generator
) -> Composed:
    gains = {name: 10 ** (rng.uniform(-4, 4) / 20) for name, _ in parts}
    decay = rng.standard_normal(RATE // 4) * np.exp(-np.linspace(0, 6.9, RATE // 4))
    decay *= 10 ** (-rng.uniform(6, 14) / 20) / np.sqrt((decay**2).sum())
    decay[0] = 1.0
    sound, seconds = [np.zeros(RATE // 2)], dict.fromkeys(gains, 0.0)
    for name, clip in parts:
        heard = fftconvolve(clip, decay)[: clip.size] if name == in_room else clip
        sound += [heard * gains[name], np.zeros(round(rng.uniform(0.1, 1.2) * RATE))]
        seconds[name] += clip.size / RATE
    return Composed(_on_line(np.concatenate(sound), rng), seconds)


def _on_line(samples: Array, rng: np.random.Generator) -> Array:
    speech = np.sqrt(np.mean(samples[np.abs(samples) > 1e-4] ** 2))
    noise = rng.standard_normal(samples.size)
    if rng.random() < 0.5:
        return samples + noise * speech * 10 ** (-rng.uniform(30, 45) / 20)
    band = butter(4, (300, 3400), "bandpass", fs=RATE, output="sos")
    narrow = sosfiltfilt(band, samples + noise * speech * 10 ** (-rng.uniform(18, 38) / 20))
    scaled = narrow / np.abs(narrow).max() * 0.5
    coded = np.round(np.sign(scaled) * np.log1p(255 * np.abs(scaled)) / np.log(256) * 127) / 127
    return np.asarray(np.sign(coded) * np.expm1(np.abs(coded) * np.log(256)) / 255)


def voices_of_calls(folders: Sequence[Path]) -> str:
    """Count voices of calls of two channels, both mixed and the louder one alone."""
    settings = load_settings()
    models = load_models(settings)
    counts: Counter[str] = Counter()
    for path in sorted(p for folder in folders for p in folder.glob("*.wav")):
        samples, rate = soundfile.read(path, always_2d=True)
        if samples.shape[1] != 2:
            continue
        for kind, channel in (
            ("two", samples.mean(axis=1)), ("one", samples[:, np.argmax(samples.std(axis=0))]),
        ):  # fmt: skip
            with tempfile.TemporaryDirectory() as folder:
                mono = Path(folder) / path.name
                soundfile.write(mono, channel, rate)
                wave = decode_recording(Recording(str(mono), path.stem))
            channels = usable(wave)
            audio = {
                c: Resampled(wave.samples[c], wave.sample_rate, RATE) for c in channels.channels
            }
            tones = find_tones(wave, channels.channels)
            found = assign_speech(audio, channels, tones, settings, models)
            if found.perhaps is None:
                outcome = f"{kind}: heard as {len(found.speech)}"
            else:
                labels = hear(found, settings, models).voices.speech
                count = len({label.rstrip(LATER) for label in labels})  # told anew after a transfer
                outcome = f"{kind}: in doubt, by words {count}"
                print(f"{path.name}: {outcome}", flush=True)
            counts[outcome] += 1
    return "; ".join(f"{outcome} {count}" for outcome, count in sorted(counts.items()))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one line of counts."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bank", type=Path, nargs="?")
    parser.add_argument("--calls", type=Path, nargs="+", help="folders of calls")
    parser.add_argument("--half", choices=("tune", "report"), default="report")
    parser.add_argument("--recordings", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--second", type=float, default=3.0)
    options = parser.parse_args(arguments)
    if options.calls:
        print(voices_of_calls(options.calls))
        return
    if options.bank is None:
        parser.error("give a bank, or folders of calls with --calls")
    settings, detector = Settings(), SileroDetector()
    diarizer, bank = load_diarizer(settings.diarization), read_bank(options.bank, options.half)
    split = ones = missed = twos = missed_short = short = 0
    for number in range(options.recordings):
        two = number % 2 == 1
        made = compose(bank, two, np.random.default_rng((options.seed, number)))
        if sum(made.seconds.values()) < LEAST_S:
            continue
        audio = made.samples.astype(np.float32)
        speech = detect_speech(audio, detector, settings.vad)
        found = len({s.speaker for s in diarizer(audio, speech, 2) if s.sure})
        if not two:
            ones, split = ones + 1, split + (found > 1)
        elif min(made.seconds.values()) >= options.second:
            twos, missed = twos + 1, missed + (found < 2)
        else:
            short, missed_short = short + 1, missed_short + (found < 2)
    print(
        f"{options.bank.name}, {options.half}, {len(bank)} voices: one voice split {split} of {ones}; "
        f"second voice missed {missed} of {twos}; of a second voice under {options.second:g} s "
        f"{missed_short} of {short}"
    )


if __name__ == "__main__":
    main()
