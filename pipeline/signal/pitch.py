"""Fundamental frequency of telephone speech, and how much a voice moves.

An autocorrelation tracker after Boersma (1993): each frame's autocorrelation is divided by that of
the window, its peaks are the candidates, and the best path through them (voicing, octave and jump
costs) is the track. Two things are made for the telephone band, which has no fundamental and where
the harmonic nearest the first formant can pass for one:

- the autocorrelation is that of a mixture of power and amplitude spectrum, so that one strong
  harmonic does not outvote the others (after Tolonen and Karjalainen 2000);
- a speaker is tracked twice, first within 60-500 Hz, then within a range drawn from the speaker's
  own quartiles (after De Looze and Hirst 2008), which leaves little room for octave errors.

Conventions: F0 in Hz, nan where unvoiced; spread in semitones; times in seconds.

References
----------
P. Boersma (1993), Accurate short-term analysis of the fundamental frequency and the
harmonics-to-noise ratio of a sampled sound. IFA Proceedings 17, 97-110.
T. Tolonen, M. Karjalainen (2000), A computationally efficient multipitch analysis model.
IEEE Transactions on Speech and Audio Processing 8(6), 708-716.
C. De Looze, D. Hirst (2008), Detecting changes in key and range for the automatic modelling and
coding of intonation. Speech Prosody, 135-138.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from pipeline.errors import ParameterError
from pipeline.signal.level import Region, Samples, mono_samples, sample_spans, span_samples

# First pass: any adult voice. Second pass: these multiples of the speaker's quartiles, kept inside
# the outer limits.
FIRST_FLOOR_HZ, FIRST_CEILING_HZ = 60.0, 500.0
FLOOR_OF_P25, CEILING_OF_P75 = 0.6, 1.9
OUTER_FLOOR_HZ, OUTER_CEILING_HZ = 50.0, 600.0
# Fewer voiced frames than this give no quartiles to speak of; the first pass stands.
MIN_FRAMES_FOR_RANGE = 20
# No voice spans more than this; what lies outside of the densest stretch this wide are harmonics
# taken for the fundamental, which on low voices can be a quarter of all frames.
WIDEST_RANGE_ST = 18.0

# Lowest floor and, as a share of the sampling rate, highest ceiling that can be asked for.
LOWEST_FLOOR_HZ = 20.0
HIGHEST_CEILING = 0.125

WINDOW_PERIODS = 3.0  # window length in periods of the floor
BAND_HZ = 3500.0  # harmonics above add noise rather than evidence
AMPLITUDE_SHARE = 0.4  # of the amplitude spectrum in the mixture; the rest is power
LAG_RATE_HZ = 16_000.0  # autocorrelation is sampled about this densely, peaks lie between

MAX_CANDIDATES = 8  # the unvoiced one included
VOICING_STRENGTH = 0.27  # of the unvoiced candidate; lower finds more voiced frames
SURE_STRENGTH = 0.5  # of a frame that counts for the spread of a voice
SILENCE_PEAK = 0.03  # frames that peak below this share of the loud ones tend to unvoiced
OCTAVE_COST = 0.01  # per octave below the ceiling
JUMP_COST = 0.35  # per octave between frames 10 ms apart
VOICING_COST = 0.2  # per change of voicing between frames 10 ms apart

# `pitch_spread`: least voiced time for a value, and for percentiles as far out as P5 and P95.
MIN_VOICED_S = 10.0
WIDE_RANGE_VOICED_S = 20.0

_FRAMES_AT_ONCE = 256
_STEPS_AT_ONCE = 4096
_SILENT_PEAK = 1e-3  # where nearly all is silence; the loudest sample is 1
_TINY = 1e-12

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class F0Track:
    """Fundamental frequency over time.

    Attributes
    ----------
    times : ndarray of float64, shape (n,)
        Frame centres: multiples of the hop inside the regions, seconds.
    f0_hz : ndarray of float64, shape (n,)
        Hz; nan where unvoiced.
    strength : ndarray of float64, shape (n,)
        Height of the chosen peak of the normalised autocorrelation, 0-1; 0 where unvoiced.
    """

    times: FloatArray
    f0_hz: FloatArray
    strength: FloatArray

    @property
    def sure_hz(self) -> FloatArray:
        """Hz, shape (n,), of frames of ``SURE_STRENGTH`` and more; nan elsewhere.

        Frames where voicing begins, ends or creaks stray: they make a flat voice look lively.
        """
        return np.where(self.strength >= SURE_STRENGTH, self.f0_hz, np.nan)


@dataclass(frozen=True, slots=True)
class PitchSpread:
    """How much a voice moves. Values are nan where ``reason`` is not empty.

    Attributes
    ----------
    median_hz : float
        Median F0, Hz: the reference of the semitones.
    sd_st : float
        Standard deviation of F0 in semitones above the median.
    range_st : float
        Distance of the two ``percentiles``, semitones.
    percentiles : (int, int)
        (5, 95); (10, 90) when less than 20 s are voiced.
    n_frames, voiced_s : int, float
        Voiced frames, and their time in seconds.
    reason : str
        Why there is no value; empty when there is one.
    """

    median_hz: float
    sd_st: float
    range_st: float
    percentiles: tuple[int, int]
    n_frames: int
    voiced_s: float
    reason: str = ""


def track_f0(
    y: npt.ArrayLike,
    sr: int,
    *,
    floor_hz: float,
    ceiling_hz: float,
    hop_s: float = 0.01,
    regions: Sequence[Region] | None = None,
) -> F0Track:
    """Track F0 within a given range.

    Parameters
    ----------
    y : array_like of float, shape (n,)
        Mono samples; the gain does not matter.
    sr : int
        Sampling rate, Hz.
    floor_hz, ceiling_hz : float
        Range of F0, Hz: 20 <= floor < ceiling <= sr / 8. The window is three periods of the floor.
    hop_s : float
        Distance of frames, seconds, > 0.
    regions : sequence of (start, end), optional
        Where to track, seconds. Overlapping ones are merged, parts outside of the recording are
        cut off; sound outside of them is neither looked at nor paid for. Default: everything.

    Returns
    -------
    F0Track
        Empty when the regions hold no frame.

    Raises
    ------
    ParameterError
        For samples that are not mono or not finite, and for a rate, range, hop or region that
        is not as above.
    """
    samples = mono_samples(y, sr)
    spans = sample_spans(regions, sr, samples.size)
    if not LOWEST_FLOOR_HZ <= floor_hz < ceiling_hz <= HIGHEST_CEILING * sr:
        raise ParameterError(
            f"F0 range must be {LOWEST_FLOOR_HZ:g} <= floor < ceiling <= "
            f"{HIGHEST_CEILING * sr:g} Hz at {sr} Hz, got {floor_hz:g}-{ceiling_hz:g} Hz."
        )
    if not (math.isfinite(hop_s) and hop_s * sr >= 1):
        raise ParameterError(f"hop must be one sample or more, got {hop_s} s.")
    half = round(WINDOW_PERIODS * sr / floor_hz / 2)
    packed, starts, frames, runs = _pack(samples, spans, half, hop_s * sr)
    times = np.asarray(frames * hop_s, dtype=np.float64)
    if frames.size == 0 or not packed.any():
        return F0Track(times, np.full(frames.size, np.nan), np.zeros(frames.size))
    windows = np.lib.stride_tricks.sliding_window_view(packed, 2 * half)
    pitch, height, peak = _candidates(windows, starts, sr, floor_hz, ceiling_hz)
    path = _cheapest_path(pitch, _scores(pitch, height, peak, ceiling_hz), runs, 0.01 / hop_s)
    voiced, chosen = path > 0, (np.arange(frames.size), path)
    strength = np.where(voiced, height[chosen], 0.0)
    return F0Track(times, np.where(voiced, pitch[chosen], np.nan), strength)


def track_speaker_f0(
    y: npt.ArrayLike, sr: int, regions: Sequence[Region], *, hop_s: float = 0.01
) -> F0Track:
    """Track the F0 of one speaker in two passes, the second in the speaker's own range.

    Parameters
    ----------
    y, sr
        As for `track_f0`; a rate of 4000 Hz or more.
    regions : sequence of (start, end)
        Where this speaker and nobody else speaks, seconds; a second voice widens the range.
    hop_s : float
        Distance of frames, seconds, > 0.

    Returns
    -------
    F0Track
        As from `track_f0`. Below a signal-to-noise ratio of 15 dB do not score its spread.

    Raises
    ------
    ParameterError
        As for `track_f0`.
    """
    first = track_f0(
        y, sr, floor_hz=FIRST_FLOOR_HZ, ceiling_hz=FIRST_CEILING_HZ, hop_s=hop_s, regions=regions
    )
    voiced = first.f0_hz[np.isfinite(first.f0_hz)]
    if voiced.size < MIN_FRAMES_FOR_RANGE:
        return first
    low, high = np.percentile(_densest(voiced), [25, 75])
    return track_f0(
        y,
        sr,
        floor_hz=max(OUTER_FLOOR_HZ, FLOOR_OF_P25 * float(low)),
        ceiling_hz=min(OUTER_CEILING_HZ, HIGHEST_CEILING * sr, CEILING_OF_P75 * float(high)),
        hop_s=hop_s,
        regions=regions,
    )


def _densest(f0_hz: FloatArray) -> FloatArray:
    """The frames within the 18 semitones that hold most of them."""
    ordered = np.sort(f0_hz)
    ends = np.searchsorted(ordered, ordered * 2 ** (WIDEST_RANGE_ST / 12), side="right")
    start = int(np.argmax(ends - np.arange(ordered.size)))
    return ordered[start : int(ends[start])]


def pitch_spread(
    f0_hz: npt.ArrayLike, *, min_voiced_s: float = MIN_VOICED_S, hop_s: float = 0.01
) -> PitchSpread:
    """Centre and spread of a track, in semitones.

    Parameters
    ----------
    f0_hz : array_like of float, shape (n,)
        Hz; nan (unvoiced) frames are left out.
    min_voiced_s : float
        Least voiced time that gives a value, seconds, >= 0.
    hop_s : float
        Distance of frames, seconds, > 0.

    Returns
    -------
    PitchSpread
        With nan and a reason when less than `min_voiced_s`, or less than two frames, are voiced.

    Raises
    ------
    ParameterError
        For a track that is not one-dimensional or holds values that are not above 0 Hz.
    """
    track = np.asarray(f0_hz, dtype=np.float64)
    if track.ndim != 1:
        raise ParameterError(f"an F0 track must have one dimension, got shape {track.shape}.")
    voiced = track[~np.isnan(track)]
    if not np.all((voiced > 0) & (voiced < np.inf)):
        raise ParameterError(
            f"F0 must be above 0 Hz and finite, got {voiced.min():g} to {voiced.max():g} Hz.",
            "Mark unvoiced frames with nan.",
        )
    if not (min_voiced_s >= 0 and hop_s > 0):
        raise ParameterError(f"got min_voiced_s={min_voiced_s}, hop_s={hop_s}; need >= 0 and > 0.")
    voiced_s = round(voiced.size * hop_s, 9)  # so that a track of just the minimum passes
    ends = (5, 95) if voiced_s >= WIDE_RANGE_VOICED_S else (10, 90)
    if voiced.size < 2 or voiced_s < min_voiced_s:
        reason = f"{voiced_s:.1f} s voiced, {min_voiced_s:g} s needed"
        return PitchSpread(math.nan, math.nan, math.nan, ends, voiced.size, voiced_s, reason)
    median = float(np.median(voiced))
    semitones = 12 * np.log2(voiced / median)
    low, high = (float(end) for end in np.percentile(semitones, ends))
    return PitchSpread(median, float(semitones.std()), high - low, ends, voiced.size, voiced_s)


def _pack(
    samples: Samples, spans: Sequence[tuple[int, int]], half: int, hop: float
) -> tuple[Float32Array, IntArray, IntArray, IntArray]:
    """Copy the spans, their offset removed, into one buffer, half a window of silence between.

    Returns the buffer (peak 1), where each frame's window starts in it, each frame's number on the
    grid of the whole recording, and the number of each frame's span.
    """
    size = sum(stop - start for start, stop in spans) + half * (len(spans) + 2)
    packed = np.zeros(size, dtype=np.float32)
    columns = [np.zeros((3, 0), dtype=np.int64)]
    at = 0
    for run, (start, stop) in enumerate(spans):
        sound = span_samples(samples, start, stop)
        packed[at + half : at + half + sound.size] = sound - sound.mean()
        frames = np.arange(math.ceil(start / hop), math.ceil(stop / hop))
        centres = np.clip(np.round(frames * hop), start, stop - 1).astype(np.int64)
        columns.append(np.stack([centres - start + at, frames, np.full(frames.size, run)]))
        at += half + sound.size
    packed /= max(packed.max(), -packed.min()) or 1.0
    starts, numbers, runs = np.concatenate(columns, axis=1)
    return packed, starts, numbers, runs


def _candidates(
    windows: Float32Array, starts: IntArray, sr: int, floor_hz: float, ceiling_hz: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Pitch (Hz) and height of each frame's best peaks, and the frame's peak amplitude.

    Column 0 is the unvoiced candidate; empty places have height -inf and the ceiling as pitch.
    """
    shape = (starts.size, MAX_CANDIDATES)
    pitch, height = np.full(shape, ceiling_hz), np.full(shape, -np.inf)
    peak = np.zeros(starts.size)
    rate, blocks = _autocorrelations(windows, starts, sr, floor_hz)
    first = math.floor(rate / ceiling_hz)
    for rows, correlation, loudest in blocks:
        peak[rows] = loudest
        lags = np.arange(first, correlation.shape[1] - 1)
        before, here, after = (correlation[:, lags + i] for i in (-1, 0, 1))
        is_peak = (here > before) & (here >= after) & (here > 0.5 * VOICING_STRENGTH)
        rank = np.where(is_peak, OCTAVE_COST * np.log2(lags) - here, np.inf)
        best = np.argpartition(rank, min(MAX_CANDIDATES, lags.size) - 2)[:, : MAX_CANDIDATES - 1]
        at = (np.arange(best.shape[0])[:, None], best)
        left, middle, right = before[at], here[at], after[at]
        # A parabola through the three points; where noise lifts its top over 1, nearer is better.
        shift = 0.5 * (right - left) / np.maximum(2 * middle - left - right, _TINY)
        top = middle + 0.25 * (right - left) * shift
        found = rate / (lags[best] + shift)
        good = is_peak[at] & (found >= floor_hz) & (found <= ceiling_hz)
        columns = slice(1, 1 + best.shape[1])
        pitch[rows, columns] = np.where(good, found, ceiling_hz)
        height[rows, columns] = np.where(good, np.minimum(top, 1 / np.maximum(top, 1)), -np.inf)
    return pitch, height, peak


def _autocorrelations(
    windows: Float32Array, starts: IntArray, sr: int, floor_hz: float
) -> tuple[float, Iterator[tuple[slice, Float32Array, Float32Array]]]:
    """Lags per second, and per block of frames its rows, autocorrelations and peak amplitudes.

    The peak is that of the middle of the window, one period of the floor long: a frame in a closure
    is silent, whatever the syllables before and after it put into its window.
    """
    length = windows.shape[1]
    size = _fast_size(length + math.ceil(sr / floor_hz) + 2)
    lag_size = 2 * _fast_size(math.ceil(size * LAG_RATE_HZ / sr / 2))
    rate = sr * lag_size / size
    lags = min(math.ceil(rate / floor_hz) + 3, lag_size // 2)
    band = fft.rfftfreq(size, 1 / sr) <= BAND_HZ
    period = round(length / WINDOW_PERIODS)
    middle = slice((length - period) // 2, (length + period) // 2)
    taper = np.hanning(length + 2)[1:-1].astype(np.float32)
    own = fft.irfft(np.abs(fft.rfft(taper, size)) ** 2, lag_size)[:lags]
    correction = np.asarray(own[0] / own, dtype=np.float32)

    def blocks() -> Iterator[tuple[slice, Float32Array, Float32Array]]:
        for at in range(0, starts.size, _FRAMES_AT_ONCE):
            rows = slice(at, at + _FRAMES_AT_ONCE)
            frames = windows[starts[rows]]
            frames = frames - frames.mean(axis=1, keepdims=True)
            size_of = np.abs(fft.rfft(frames * taper, size)) * band
            power = size_of**2
            mixed = (1 - AMPLITUDE_SHARE) * power / (power.sum(axis=1, keepdims=True) + _TINY)
            mixed += AMPLITUDE_SHARE * size_of / (size_of.sum(axis=1, keepdims=True) + _TINY)
            raw = np.asarray(fft.irfft(mixed, lag_size)[:, :lags], dtype=np.float32)
            peak = np.abs(frames[:, middle]).max(axis=1)
            yield rows, raw / (raw[:, :1] + _TINY) * correction, peak

    return rate, blocks()


def _scores(pitch: FloatArray, height: FloatArray, peak: FloatArray, ceiling: float) -> FloatArray:
    """Local score of each candidate; frames far below the loud ones tend to the unvoiced one."""
    score = height + OCTAVE_COST * np.log2(pitch / ceiling)
    loudness = peak / max(float(np.percentile(peak, 99)), _SILENT_PEAK)
    quiet = 2.0 - loudness * (1.0 + VOICING_STRENGTH) / SILENCE_PEAK
    score[:, 0] = VOICING_STRENGTH + np.maximum(0.0, quiet)
    return np.asarray(np.maximum(score, -1e6))  # finite sums where a place is empty


def _cheapest_path(
    pitch: FloatArray, score: FloatArray, runs: IntArray, per_step: float
) -> IntArray:
    """Column of each frame on the path of highest score less jumps and changes of voicing.

    Frames of different runs are not held against each other.
    """
    n, width = score.shape
    octaves = np.log2(pitch)
    voiced = np.arange(width) > 0
    change = VOICING_COST * (voiced[:, None] != voiced[None, :])
    both = JUMP_COST * (voiced[:, None] & voiced[None, :])
    same_run = (np.diff(runs) == 0) * per_step
    came_from = np.zeros((n, width), dtype=np.int8)
    best = score[0]
    for at in range(0, n - 1, _STEPS_AT_ONCE):
        block = octaves[at : at + _STEPS_AT_ONCE + 1]
        cost = both * np.abs(block[:-1, :, None] - block[1:, None, :]) + change
        cost *= same_run[at : at + _STEPS_AT_ONCE, None, None]
        for i, step in enumerate(cost, start=at + 1):
            options = best[:, None] - step
            came_from[i] = options.argmax(axis=0)
            best = options.max(axis=0) + score[i]
    path = np.zeros(n, dtype=np.int64)
    path[-1] = best.argmax()
    for i in range(n - 1, 0, -1):
        path[i - 1] = came_from[i, path[i]]
    return path


def _fast_size(n: int) -> int:
    """Smallest product of powers of 2, 3 and 5 that is `n` or more: a quick FFT length."""
    while True:
        rest = n
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return n
        n += 1
