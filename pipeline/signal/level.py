"""How loud: speech-gated level, ITU-T P.56 active level, BS.1770 loudness, short-term level.

Conventions: samples are floats with full scale at 1.0. dBFS here is 20*log10(RMS), so a full-scale
square wave is 0 dBFS and a full-scale sine -3.01 dBFS; that is also dBov of ITU-T G.100.1. Digital
silence has the level -inf, no samples at all have the level nan. Multiplying a recording by a gain
of g dB adds g dB to every level, except where the absolute gate of BS.1770 (-70 LUFS) takes part.

P.56 counts 200 ms of hangover as speech, so it reads below the gated level by design, the more the
shorter the bursts: compare P.56 with P.56 only. BS.1770 weights the upper band, so two voices
of one RMS may differ in LUFS: compare within a call.

References
----------
ITU-T P.56 (2011), Objective measurement of active speech level, method B.
ITU-R BS.1770-4 (2015), Algorithms to measure audio programme loudness.
ITU-T G.100.1 (2015), The use of the decibel and of relative levels in speechband
telecommunications.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from pipeline.errors import ParameterError

# P.56 method B: time constant of both smoothers, hangover, margin between level and threshold.
P56_TIME_CONSTANT_S = 0.03
P56_HANGOVER_S = 0.2
P56_MARGIN_DB = 15.9
# The envelope is counted in steps this fine, from this level on up.
P56_STEP_DB = 0.01
P56_LOWEST_DB = -160.0
P56_STEPS = 24_000

# Blocks this far below the mean of all blocks are pauses (the relative gate of BS.1770).
RELATIVE_GATE_DB = -10.0

LUFS_BLOCK_S = 0.4
# Shorter than this, the K-weighting filter has not settled and a reading means nothing.
LUFS_MIN_S = 0.05
LUFS_OFFSET_DB = -0.691
LUFS_ABSOLUTE_GATE = -70.0

# Speech is measured in pieces of this length, so that memory does not grow with the recording.
PIECE_S = 120.0

Region = tuple[float, float]
FloatArray = npt.NDArray[np.float64]
Samples = npt.NDArray[np.floating]


def gated_rms_dbfs(
    y: npt.ArrayLike,
    sr: int,
    regions: Sequence[Region] | None = None,
    block_s: float = 0.4,
) -> float:
    """Level of the speech in a recording, pauses left out.

    The regions are cut into blocks of `block_s` (the rest of a region, if shorter, is a block of
    its own); blocks more than 10 dB below the mean power of all blocks are pauses and are dropped;
    the level is the mean power of what remains.

    Parameters
    ----------
    y : array_like of float, shape (n,)
        Mono samples, full scale at 1.0.
    sr : int
        Sampling rate, Hz.
    regions : sequence of (start, end), optional
        Where the speaker speaks, seconds. Overlapping ones are merged, parts outside of the
        recording are cut off. Default: everything.
    block_s : float
        Block length, seconds, > 0.

    Returns
    -------
    float
        dBFS (full-scale sine: -3.01). -inf for digital silence, nan when there are no samples.

    Raises
    ------
    ParameterError
        For samples that are not mono or not finite, a rate or block length that is not positive,
        or a region that ends before it starts.
    """
    samples = mono_samples(y, sr)
    size = _block_size(block_s, sr)
    energy: list[FloatArray] = []
    counts: list[FloatArray] = []
    for start, stop in sample_spans(regions, sr, samples.size):
        edges = np.arange(0, stop - start, size)
        energy.append(np.add.reduceat(span_samples(samples, start, stop) ** 2, edges))
        counts.append(np.diff(edges, append=stop - start).astype(np.float64))
    if not counts:
        return math.nan
    return _gated_mean_db(np.concatenate(energy), np.concatenate(counts))


def active_speech_level(
    y: npt.ArrayLike, sr: int, regions: Sequence[Region] | None = None
) -> tuple[float, float]:
    """Active speech level and activity factor by ITU-T P.56, method B.

    The rectified signal is smoothed twice (30 ms); a sample is active at a threshold when the
    envelope reached it in the last 200 ms; the threshold is the one that lies 15.9 dB below the
    level computed over its own active time. The standard counts on thresholds 6 dB apart and
    interpolates; here they are 0.01 dB apart, which needs no interpolation.

    Parameters
    ----------
    y : array_like of float, shape (n,)
        Mono samples, full scale at 1.0.
    sr : int
        Sampling rate, Hz.
    regions : sequence of (start, end), optional
        What to measure, seconds, one region after the other as if joined. Default: everything.

    Returns
    -------
    asl_dbov : float
        Active speech level, dBov (full-scale sine: -3.01). -inf for digital silence, nan for no
        samples.
    activity_factor : float
        Active share of the time, 0-1; nan for no samples.

    Raises
    ------
    ParameterError
        As for `gated_rms_dbfs`.

    Notes
    -----
    Below about 15 dB of signal-to-noise ratio the noise counts as active: the activity factor
    goes to 1 and the level is the mean level of everything.
    """
    samples = mono_samples(y, sr)
    spans = sample_spans(regions, sr, samples.size)
    counts = np.zeros(P56_STEPS, dtype=np.int64)
    energy = 0.0
    for piece, held in _held_envelopes(_pieces(samples, spans, round(PIECE_S * sr)), sr):
        energy += float(piece @ piece)
        with np.errstate(divide="ignore"):
            step = np.floor((20 * np.log10(held) - P56_LOWEST_DB) / P56_STEP_DB)
        counts += np.bincount(np.clip(step, 0, P56_STEPS - 1).astype(np.intp), minlength=P56_STEPS)
    if not counts.any():
        return math.nan, math.nan
    if energy == 0.0:
        return -math.inf, 0.0
    active = np.cumsum(counts[::-1])[::-1]  # samples at or above each threshold
    thresholds = P56_LOWEST_DB + P56_STEP_DB * np.arange(P56_STEPS)
    reached = active > 0
    levels = 10 * np.log10(energy / active[reached])
    # Level minus threshold falls with the threshold: the first within the margin is the crossing.
    within = np.flatnonzero(levels - thresholds[reached] <= P56_MARGIN_DB)
    if within.size == 0:
        return -math.inf, 0.0
    return float(levels[within[0]]), float(active[within[0]] / active[0])


def loudness_lufs(y: npt.ArrayLike, sr: int, regions: Sequence[Region] | None = None) -> float:
    """Integrated loudness by ITU-R BS.1770-4 (K-weighted, 400 ms blocks, gated).

    Input shorter than one block is measured as one block of its own length.

    Parameters
    ----------
    y : array_like of float, shape (n,)
        Mono samples, full scale at 1.0.
    sr : int
        Sampling rate, Hz.
    regions : sequence of (start, end), optional
        What to measure, seconds, one region after the other as if joined. Default: everything.

    Returns
    -------
    float
        LUFS. -inf when nothing passes the absolute gate of -70 LUFS; nan under 50 ms.

    Raises
    ------
    ParameterError
        As for `gated_rms_dbfs`.

    Notes
    -----
    At 8 kHz the reading is within 0.3 LU of the one at 48 kHz for telephone-band speech.
    """
    import pyloudnorm

    samples = mono_samples(y, sr)
    spans = sample_spans(regions, sr, samples.size)
    total = sum(stop - start for start, stop in spans)
    if total < LUFS_MIN_S * sr:
        return math.nan
    meter = pyloudnorm.Meter(sr, block_size=min(LUFS_BLOCK_S, total / sr))
    pieces = math.ceil(total / (PIECE_S * sr))  # of one length, so that none is under a block
    blocks: list[float] = []
    with np.errstate(divide="ignore", invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # means of no blocks: silence
        for piece in _pieces(samples, spans, math.ceil(total / pieces)):
            meter.integrated_loudness(piece)
            blocks += meter.blockwise_loudness
    return _gated_loudness(np.array(blocks))


def level_track(
    y: npt.ArrayLike, sr: int, region: Region | None = None, hop_s: float = 0.1
) -> FloatArray:
    """Short-term level of one region, one value per `hop_s`.

    Parameters
    ----------
    y : array_like of float, shape (n,)
        Mono samples, full scale at 1.0.
    sr : int
        Sampling rate, Hz.
    region : (start, end), optional
        Seconds; cut off at the ends of the recording. Default: everything.
    hop_s : float
        Block length and distance, seconds, > 0. A rest of less than half a block is left out.

    Returns
    -------
    ndarray of float64, shape (n,)
        RMS of each block in dBFS, -inf for digital silence. Empty when the region holds less than
        half a block.

    Raises
    ------
    ParameterError
        As for `gated_rms_dbfs`.
    """
    samples = mono_samples(y, sr)
    size = _block_size(hop_s, sr)
    spans = sample_spans(None if region is None else [region], sr, samples.size)
    if not spans or spans[0][1] - spans[0][0] < size / 2:
        return np.zeros(0)
    start, stop = spans[0]
    edges = np.arange(start, stop, size)
    if stop - edges[-1] < size / 2:
        stop, edges = int(edges[-1]), edges[:-1]
    counts = np.diff(edges, append=stop)
    power = np.add.reduceat(span_samples(samples, start, stop) ** 2, edges - start) / counts
    with np.errstate(divide="ignore"):
        levels: FloatArray = 10 * np.log10(power)
    return levels


def mono_samples(y: npt.ArrayLike, sr: int) -> Samples:
    """Return `y` as an array, not copied, after checking that it is mono, or raise ParameterError.

    Only what is measured is copied and checked further (`span_samples`): a call of hours is
    measured in hundreds of short spans.
    """
    samples = np.asarray(y)
    if samples.ndim != 1:
        raise ParameterError(
            f"samples must be mono, one dimension, got shape {samples.shape}.",
            "Pass one channel at a time.",
        )
    if not sr > 0:
        raise ParameterError(f"sampling rate must be above 0 Hz, got {sr}.")
    return samples


def span_samples(samples: Samples, start: int, stop: int) -> FloatArray:
    """Samples `start` to `stop` as float64, or ParameterError where some are not finite."""
    span = np.asarray(samples[start:stop], dtype=np.float64)
    bad = span.size - int(np.count_nonzero(np.isfinite(span)))
    if bad:
        raise ParameterError(f"samples must be finite, got {bad} that are NaN or infinite.")
    return span


def sample_spans(regions: Sequence[Region] | None, sr: int, n: int) -> list[tuple[int, int]]:
    """Regions as sample ranges: inside the recording, sorted, merged, none of them empty."""
    if regions is None:
        return [(0, n)] if n else []
    spans: list[tuple[int, int]] = []
    for start_s, end_s in sorted(regions):
        if not (math.isfinite(start_s) and math.isfinite(end_s) and start_s <= end_s):
            raise ParameterError(f"a region must be (start <= end) in s, got ({start_s}, {end_s}).")
        start, stop = max(round(start_s * sr), 0), min(round(end_s * sr), n)
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], stop))
        elif start < stop:
            spans.append((start, stop))
    return spans


def _block_size(seconds: float, sr: int) -> int:
    if not (math.isfinite(seconds) and seconds * sr >= 1):
        raise ParameterError(f"block length must be one sample or more, got {seconds} s.")
    return round(seconds * sr)


def _gated_mean_db(energy: FloatArray, counts: FloatArray) -> float:
    """Mean power in dB of the blocks that pass the relative gate; blocks weigh by their length."""
    mean = energy.sum() / counts.sum()
    if mean == 0.0:
        return -math.inf
    loud = energy / counts >= mean * 10 ** (RELATIVE_GATE_DB / 10)
    return 10 * math.log10(energy[loud].sum() / counts[loud].sum())


def _gated_loudness(blocks: FloatArray) -> float:
    """Integrated loudness of the loudness of blocks: the two gates of BS.1770."""
    power = 10 ** ((blocks - LUFS_OFFSET_DB) / 10)
    audible = blocks >= LUFS_ABSOLUTE_GATE
    if not audible.any():
        return -math.inf
    mean = LUFS_OFFSET_DB + 10 * math.log10(power[audible].mean())
    loud = audible & (blocks > mean + RELATIVE_GATE_DB)
    return LUFS_OFFSET_DB + 10 * math.log10(power[loud].mean())


def _pieces(samples: Samples, spans: Sequence[tuple[int, int]], size: int) -> Iterator[FloatArray]:
    """The spans joined, in pieces of `size` samples and a last one that may be shorter."""
    parts: list[FloatArray] = []
    room = size
    for start, stop in spans:
        while start < stop:
            step = min(stop - start, room)
            parts.append(span_samples(samples, start, start + step))
            start, room = start + step, room - step
            if room == 0:
                yield np.concatenate(parts)
                parts, room = [], size
    if parts:
        yield np.concatenate(parts)


def _held_envelopes(
    pieces: Iterable[FloatArray], sr: int
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Each piece and its envelope: smoothed twice, raised to the highest of the hangover before."""
    from scipy.ndimage import maximum_filter1d
    from scipy.signal import lfilter

    keep = math.exp(-1.0 / (sr * P56_TIME_CONSTANT_S))
    hangover = math.ceil(sr * P56_HANGOVER_S)
    once, twice = np.zeros(1), np.zeros(1)
    before = np.zeros(hangover)
    for piece in pieces:
        rectified, once = lfilter([1 - keep], [1, -keep], np.abs(piece), zi=once)
        envelope, twice = lfilter([1 - keep], [1, -keep], rectified, zi=twice)
        reach = np.concatenate([before, envelope])
        # The window of hangover + 1 samples ends at the sample itself.
        held = maximum_filter1d(reach, hangover + 1, origin=hangover // 2, mode="nearest")
        before = reach[-hangover:]
        yield piece, held[hangover:]
