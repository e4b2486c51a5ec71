"""Pitch trackers side by side on synthetic Mandarin speech, over the telephone, and on recordings.

Part one has exact truth: eight source-filter speakers (glottal pulses, formants, the four tones
and the neutral one, 100-250 Hz, spread 1.3-4.3 semitones), clean and through 300-3400 Hz, noise and
G.711 A-law. Part two takes recordings: pseudo-truth is the nearest pair of three trackers on the
recording as it is, where that pair is within a semitone; then all hear it over the telephone.

    python -m tests.benchmarks.pitch_trackers
    python -m tests.benchmarks.pitch_trackers --snr 20 --trackers ours swift-f0 --real reading.wav

Prints one Markdown table a condition, the means over the speakers; two minutes on one core. Needs
librosa, pyworld, swift-f0, scipy and soundfile; a tracker that is not installed is left out with a
word. Gross error: frames voiced in both that are more than 20 % off. Recall: truly voiced frames
that are called voiced. Within 50 cents: of the truly voiced frames. Voicing error: frames with the
wrong voicing. SD error, range error: error of a speaker's spread and of the P95-P5 range,
semitones. Real-time factor: CPU seconds per second of audio.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import sys
import time
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import signal as sps

from pipeline.signal.level import gated_rms_dbfs
from pipeline.signal.pitch import track_f0, track_speaker_f0

Array = NDArray[np.float64]
Tracker = Callable[[Array, int], tuple[Array, Array]]

SYNTH_SR = 48_000
SPEECH_SR = 16_000
PHONE_SR = 8_000
HOP_S = 0.01
# Eight speakers: median F0 (Hz), spread (semitones), corner of the source's tilt (Hz; low: dull).
SPEAKERS: tuple[tuple[float, float, float], ...] = (
    (100, 1.3, 1500),
    (115, 2.6, 400),
    (130, 4.3, 900),
    (150, 3.2, 250),
    (180, 1.8, 600),
    (205, 3.6, 1500),
    (225, 2.4, 300),
    (250, 4.0, 400),
)
# Tone contours as Chao pitch levels (1-5) at equal steps through the syllable.
TONES: tuple[tuple[float, ...], ...] = ((5, 5, 5), (3, 3.6, 5), (2, 1, 1, 3), (5, 3.5, 1), (3, 2.5))
# First four formants (Hz) of six vowels, a man's; a woman's are 1.15 times as high.
VOWELS: tuple[tuple[float, ...], ...] = (
    (800, 1250, 2550, 3500),
    (300, 2250, 3000, 3700),
    (350, 750, 2450, 3400),
    (500, 1150, 2450, 3500),
    (550, 900, 2500, 3400),
    (310, 1900, 2350, 3400),
)
COLUMNS = (
    "gross error", "SD error", "range error", "recall", "within 50 cents", "voicing error",
    "real-time factor",
)  # fmt: skip
BANDWIDTHS = (70.0, 90.0, 140.0, 200.0)


@dataclass(frozen=True, slots=True)
class Stimulus:
    """Sound with its true F0 at ``arange(n) * HOP_S``; nan where unvoiced, masked where unknown."""

    name: str
    y: Array
    sr: int
    f0_hz: Array
    known: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Score:
    """One tracker against one stimulus; ratios 0-1, errors in semitones."""

    rpa50: float
    gpe: float
    recall: float
    vde: float
    sd_error_st: float
    range_error_st: float
    rtf: float


# --- stimuli ---------------------------------------------------------------------------------


def synthetic_speaker(index: int, *, seconds: float = 30.0, seed: int = 7) -> Stimulus:
    """Speaker ``index`` (0-7) reading random tones for ``seconds``, 16 kHz, exact F0."""
    median_hz, sd_st, tilt = SPEAKERS[index]
    rng = np.random.default_rng([seed, index])
    n = int(seconds * SYNTH_SR)
    shape, voicing, vowel = _utterance_plan(rng, n)
    voiced = voicing > 0
    shape = shape - np.median(shape[voiced])
    contour = shape * (sd_st / shape[voiced].std())
    f0 = median_hz * 2.0 ** (contour / 12.0)
    source = _glottal_source(rng, f0, voicing, tilt)
    sound = _formants(source, vowel, 1.0 if median_hz < 165 else 1.15)
    breath = rng.standard_normal(n) * (~voiced & (vowel >= 0))
    hiss = sps.sosfilt(sps.butter(2, [2500, 6500], "bandpass", fs=SYNTH_SR, output="sos"), breath)
    sound = sound / np.sqrt(np.mean(sound[voiced] ** 2)) + 0.35 * hiss
    y = sps.resample_poly(0.1 * sound, 1, SYNTH_SR // SPEECH_SR)
    at = np.round(np.arange(int(seconds / HOP_S)) * HOP_S * SYNTH_SR).astype(int)
    truth = np.where(voicing[at] > 0, f0[at], np.nan)
    return Stimulus(
        f"synthetic {median_hz:.0f} Hz", y, SPEECH_SR, truth, np.ones(truth.size, dtype=bool)
    )


def telephone(y: Array, sr: int, *, snr_db: float | None = 20.0, seed: int = 1) -> Array:
    """Over the telephone: 8 kHz, 300-3400 Hz (4th order), white noise, A-law."""
    narrow = y if sr == PHONE_SR else sps.resample_poly(y, PHONE_SR, sr)
    band = sps.butter(4, [300, 3400], "bandpass", fs=PHONE_SR, output="sos")
    out = sps.sosfilt(band, narrow)
    if snr_db is not None:
        loud = 10.0 ** (gated_rms_dbfs(out, PHONE_SR) / 20.0)
        noise = np.random.default_rng(seed).standard_normal(out.size)
        out = out + noise * loud * 10.0 ** (-snr_db / 20.0)
    return a_law(0.5 * out / np.abs(out).max())


def a_law(y: Array) -> Array:
    """G.711 A-law there and back (continuous curve, 8-bit steps), for ``|y| <= 1``."""
    size, scale = np.abs(y), 1.0 + np.log(87.6)
    bent = np.where(size < 1 / 87.6, 87.6 * size, 1.0 + np.log(np.maximum(87.6 * size, 1.0)))
    code = (np.minimum(np.floor(bent / scale * 128.0), 127.0) + 0.5) / 128.0 * scale
    return np.sign(y) * np.where(code < 1.0, code, np.exp(code - 1.0)) / 87.6


def through_telephone(stimulus: Stimulus, *, snr_db: float | None = 20.0) -> Stimulus:
    """The stimulus with its sound sent through `telephone`; truth unchanged."""
    y = telephone(stimulus.y, stimulus.sr, snr_db=snr_db)
    return Stimulus(stimulus.name, y, PHONE_SR, stimulus.f0_hz, stimulus.known)


def real_stimulus(path: Path, channel: int = 0) -> Stimulus:
    """A recording with pseudo-truth where two of three trackers are within a semitone."""
    import soundfile

    data, sr = soundfile.read(path, always_2d=True)
    y = np.ascontiguousarray(data[:, channel])
    n = int(y.size / sr / HOP_S)
    tracks = [_on_grid(*TRACKERS[name](y, sr), n) for name in ("ours", "harvest", "swift-f0")]
    heights = np.sort(12 * np.log2(np.stack(tracks)), axis=0)  # nan goes last
    votes = np.isfinite(heights).sum(0)
    low, high = heights[1] - heights[0], heights[2] - heights[1]
    upper = np.where(np.isnan(high), False, high < np.where(np.isnan(low), np.inf, low))
    gap = np.where(upper, high, low)
    agreed = (votes >= 2) & (gap < 1.0)
    pair = np.where(upper, heights[1] + heights[2], heights[0] + heights[1]) / 2
    middle = np.where(agreed, 2.0 ** (pair / 12), np.nan)
    known = (votes == 0) | agreed
    return Stimulus(f"{path.stem}[{channel}]", y, sr, middle, known)


# --- trackers --------------------------------------------------------------------------------


def _ours(y: Array, sr: int) -> tuple[Array, Array]:
    track = track_speaker_f0(y, sr, [(0.0, y.size / sr)])
    return track.times, track.f0_hz


def _ours_one_pass(y: Array, sr: int) -> tuple[Array, Array]:
    track = track_f0(y, sr, floor_hz=60.0, ceiling_hz=500.0)
    return track.times, track.f0_hz


def _librosa(method: str, y: Array, sr: int) -> tuple[Array, Array]:
    import librosa

    hop, length = round(HOP_S * sr), round(0.064 * sr)
    options = {"fmin": 60, "fmax": 500, "sr": sr, "frame_length": length, "hop_length": hop}
    found = getattr(librosa, method)(y, **options)
    f0 = found[0] if isinstance(found, tuple) else found
    return np.arange(f0.size) * hop / sr, f0


@cache
def _pyworld() -> Any:
    """Import pyworld, which asks pkg_resources for its version; setuptools 82 has it no more."""
    if "pkg_resources" not in sys.modules and importlib.util.find_spec("pkg_resources") is None:
        stand_in: Any = types.ModuleType("pkg_resources")
        stand_in.get_distribution = importlib.metadata.distribution
        sys.modules["pkg_resources"] = stand_in
    return importlib.import_module("pyworld")


def _harvest(y: Array, sr: int) -> tuple[Array, Array]:
    f0, times = _pyworld().harvest(y, sr, f0_floor=60.0, f0_ceil=500.0, frame_period=1000 * HOP_S)
    return times, np.where(f0 > 0, f0, np.nan)


def _dio(y: Array, sr: int) -> tuple[Array, Array]:
    world = _pyworld()
    rough, times = world.dio(y, sr, f0_floor=60.0, f0_ceil=500.0, frame_period=1000 * HOP_S)
    f0 = world.stonemask(y, rough, times, sr)
    return times, np.where(f0 > 0, f0, np.nan)


@cache
def _swift_model() -> Any:
    from swift_f0 import SwiftF0

    return SwiftF0(threads=1, spin=False)


def _swift(y: Array, sr: int, low: float = 60.0, high: float = 500.0) -> tuple[Array, Array]:
    found = _swift_model().detect(y, sr, fmin=low, fmax=high)
    return found.timestamps, np.where(found.confidence >= 0.5, found.pitch_hz, np.nan)


def _swift_two_pass(y: Array, sr: int) -> tuple[Array, Array]:
    _, f0 = _swift(y, sr)
    if not np.isfinite(f0).any():
        return _swift(y, sr)
    low, high = np.nanpercentile(f0, [25, 75])
    return _swift(y, sr, max(60.0, 0.6 * low), min(500.0, 1.9 * high))


TRACKERS: dict[str, Tracker] = {
    "ours": _ours,
    "ours one pass": _ours_one_pass,
    "swift-f0": _swift,
    "swift-f0 two pass": _swift_two_pass,
    "harvest": _harvest,
    "dio": _dio,
    "pyin": partial(_librosa, "pyin"),
    "yin": partial(_librosa, "yin"),
}


# --- scores ----------------------------------------------------------------------------------


def score(stimulus: Stimulus, tracker: Tracker) -> Score:
    """Run one tracker on one stimulus and compare it with the truth."""
    began = time.process_time()
    times, f0 = tracker(stimulus.y, stimulus.sr)
    rtf = (time.process_time() - began) / (stimulus.y.size / stimulus.sr)
    return compare(stimulus, _on_grid(times, f0, stimulus.f0_hz.size), rtf)


def compare(stimulus: Stimulus, found: Array, rtf: float = float("nan")) -> Score:
    """Errors of ``found`` (Hz on the truth's grid) where the truth is known."""
    truth, mine = stimulus.f0_hz[stimulus.known], found[stimulus.known]
    voiced, said = np.isfinite(truth), np.isfinite(mine)
    both = voiced & said
    off = np.abs(np.log2(mine[both] / truth[both]))
    gross = np.abs(mine[both] / truth[both] - 1.0) > 0.2
    real_st, mine_st = _spread(truth[voiced]), _spread(mine[said])
    return Score(
        rpa50=float((off < 50 / 1200).sum() / max(voiced.sum(), 1)),
        gpe=float(gross.mean()) if both.any() else float("nan"),
        recall=float(both.sum() / max(voiced.sum(), 1)),
        vde=float((voiced != said).mean()),
        sd_error_st=abs(mine_st[0] - real_st[0]),
        range_error_st=abs(mine_st[1] - real_st[1]),
        rtf=rtf,
    )


def table(stimuli: Sequence[Stimulus], names: Sequence[str]) -> dict[str, Score]:
    """Mean score of each tracker over the stimuli, in the order named."""
    rows: dict[str, Score] = {}
    for name in names:
        try:
            TRACKERS[name](np.zeros(SPEECH_SR), SPEECH_SR)  # imports and compilation are not timed
            got = [score(stimulus, TRACKERS[name]) for stimulus in stimuli]
        except ImportError as missing:
            print(f"{name}: left out, {missing}", file=sys.stderr)
            continue
        fields = Score.__dataclass_fields__
        rows[name] = Score(**{f: float(np.mean([getattr(s, f) for s in got])) for f in fields})
    return rows


def markdown(title: str, rows: dict[str, Score]) -> str:
    """One condition as a heading and a Markdown table."""
    lines = [f"### {title}", "", f"| {' | '.join(('tracker', *COLUMNS))} |"]
    lines.append("|---|" + "---:|" * len(COLUMNS))
    for name, s in rows.items():
        cells = (
            f"{100 * s.gpe:.2f} %", f"{s.sd_error_st:.2f} st", f"{s.range_error_st:.2f} st",
            f"{100 * s.recall:.1f} %", f"{100 * s.rpa50:.1f} %", f"{100 * s.vde:.1f} %",
            f"{s.rtf:.4f}",
        )  # fmt: skip
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def main(argv: Sequence[str] | None = None) -> int:
    """Print one table per condition."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--trackers", nargs="+", choices=sorted(TRACKERS), default=list(TRACKERS))
    parser.add_argument("--snr", nargs="+", type=float, default=[20.0], help="dB")
    parser.add_argument("--seconds", type=float, default=10.0, help="per synthetic speaker")
    parser.add_argument("--real", nargs="*", default=[], help="recordings: FILE or FILE:CHANNEL")
    options = parser.parse_args(argv)
    speakers = [synthetic_speaker(i, seconds=options.seconds) for i in range(len(SPEAKERS))]
    print(markdown("Synthetic speakers, 16 kHz", table(speakers, options.trackers)), flush=True)
    for snr in options.snr:
        heard = [through_telephone(speaker, snr_db=snr) for speaker in speakers]
        title = f"Synthetic speakers, telephone 300-3400 Hz, {snr:.0f} dB"
        print(markdown(title, table(heard, options.trackers)), flush=True)
    for path in options.real:
        file, _, channel = path.partition(":")
        truth = real_stimulus(Path(file), int(channel or 0))
        for snr in options.snr:
            rows = table([through_telephone(truth, snr_db=snr)], options.trackers)
            print(markdown(f"{truth.name}, telephone, {snr:.0f} dB", rows), flush=True)
    return 0


# --- helpers ---------------------------------------------------------------------------------


def _on_grid(times: Array, f0: Array, n: int) -> Array:
    """Track at ``arange(n) * HOP_S``: between two voiced frames on a straight line in semitones."""
    grid = np.arange(n) * HOP_S
    after = np.clip(np.searchsorted(times, grid), 1, times.size - 1)
    share = (grid - times[after - 1]) / (times[after] - times[after - 1])
    with np.errstate(invalid="ignore"):
        line = f0[after - 1] ** (1 - share) * f0[after] ** share
    nearest = np.where(share <= 0.5, f0[after - 1], f0[after])
    found = np.where(np.isfinite(nearest) & np.isfinite(line), line, nearest)
    return np.where((share > -1) & (share < 2), found, np.nan)


def _spread(f0: Array) -> tuple[float, float]:
    if f0.size < 2:
        return float("nan"), float("nan")
    semitones = 12 * np.log2(f0)
    low, high = np.percentile(semitones, [5, 95])
    return float(semitones.std()), float(high - low)


def _utterance_plan(rng: np.random.Generator, n: int) -> tuple[Array, Array, NDArray[np.int_]]:
    """Pitch shape (Chao levels), voicing gain (0-1) and vowel index (-1 in pauses) per sample."""
    shape, voicing, vowel = np.zeros(n), np.zeros(n), np.full(n, -1)
    at, level = int(0.3 * SYNTH_SR), 0.0
    while True:
        phrase_start, syllables = at, int(rng.integers(5, 13))
        for _ in range(syllables):
            onset = int(rng.choice([0.0, 0.06, 0.1]) * SYNTH_SR)
            length = int(rng.uniform(0.14, 0.28) * SYNTH_SR)
            if at + onset + length > n - SYNTH_SR // 4:
                return shape, voicing, vowel
            which, tone = (
                int(rng.integers(len(VOWELS))),
                TONES[int(rng.choice(5, p=[0.2, 0.23, 0.17, 0.3, 0.1]))],
            )
            vowel[at : at + onset + length] = which
            at += onset
            x = np.linspace(0, 1, length)
            contour = np.interp(x, np.linspace(0, 1, len(tone)), tone)
            start = level if onset == 0 and level else contour[0]
            glide = np.clip(x / 0.3, 0, 1)
            contour = start * (1 - glide) + contour * glide - 0.15 * (at - phrase_start) / SYNTH_SR
            shape[at : at + length], level = contour, float(contour[-1])
            edge = np.clip(np.minimum(x, 1 - x) * length / (0.02 * SYNTH_SR), 0, 1)
            voicing[at : at + length] = (0.25 + 0.75 * edge) * rng.uniform(0.6, 1.0)
            at += length
        at, level = at + int(rng.uniform(0.25, 0.6) * SYNTH_SR), 0.0


def _glottal_source(rng: np.random.Generator, f0: Array, voicing: Array, tilt: float) -> Array:
    """Derivative of Rosenberg pulses, open quotient 0.6: 1 % jitter, 0.5 dB shimmer, breath."""
    cycles = np.cumsum(f0) / SYNTH_SR
    count = int(cycles[-1]) + 2
    cycles = cycles + np.interp(cycles, np.arange(count), 0.005 * rng.standard_normal(count))
    phase, which = cycles % 1.0, cycles.astype(int)
    x = np.clip(phase / 0.6, 0, 1)
    pulse = np.where(phase < 0.6, 2 * x - 3 * x**2, 0.0)
    pulse = pulse * 10.0 ** (rng.standard_normal(count) * 0.5 / 20.0)[which]
    keep = np.exp(-2 * np.pi * tilt / SYNTH_SR)
    source = voicing * (pulse + 0.05 * rng.standard_normal(f0.size))
    return np.asarray(sps.lfilter([1 - keep], [1, -keep], source))


def _formants(source: Array, vowel: NDArray[np.int_], scale: float) -> Array:
    """Cascade of four resonators, switched per syllable with their state carried over."""
    out = np.zeros_like(source)
    edges = np.flatnonzero(np.diff(vowel)) + 1
    state = [np.zeros(2)] * len(BANDWIDTHS)
    for start, stop in zip(np.r_[0, edges], np.r_[edges, source.size], strict=True):
        part = source[start:stop]
        for i, (hz, width) in enumerate(zip(VOWELS[vowel[start]], BANDWIDTHS, strict=True)):
            radius = np.exp(-np.pi * width / SYNTH_SR)
            a = [1.0, -2 * radius * np.cos(2 * np.pi * scale * hz / SYNTH_SR), radius**2]
            part, state[i] = sps.lfilter([sum(a)], a, part, zi=state[i])
        out[start:stop] = part
    return out


if __name__ == "__main__":
    sys.exit(main())
