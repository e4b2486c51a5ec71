"""One voice-activity timeline per channel, with tight edges, that carries every timing measure.

A neural detector (Silero VAD v6, which comes inside faster-whisper) says *whether* a stretch is speech;
the frame energy says *where exactly* it begins and ends. Silero alone starts some 80 ms late on
telephone audio, pads nothing and knows nothing of line noise; energy alone takes music and tones for
speech. Together they give edges within a few tens of milliseconds.

Conventions: times in seconds; frames of 10 ms; audio float32 at 16 kHz, shape (n,).

References
----------
Silero VAD, MIT licence, https://github.com/snakers4/silero-vad
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.schema import Audio, Seconds, Span

SAMPLE_RATE = 16_000
FRAME_S = 0.010
PROBABILITY_FRAME_S = 512 / SAMPLE_RATE


@dataclass(frozen=True, slots=True)
class VadOptions:
    """How speech is told from the rest. All times in seconds, levels in dB."""

    threshold: float = 0.5
    reach_s: Seconds = 0.30
    above_floor_db: float = 6.0
    below_peak_db: float = 38.0
    min_speech_s: Seconds = 0.08
    min_pause_s: Seconds = 0.18


class SpeechDetector(Protocol):
    """Anything that gives the probability of speech for every 512 samples at 16 kHz."""

    def __call__(self, audio: Audio) -> NDArray[np.float32]:
        """Probabilities, shape (ceil(n / 512),)."""
        ...


class SileroDetector:
    """Silero VAD v6 as bundled with faster-whisper (ONNX, one thread)."""

    def __init__(self) -> None:
        from faster_whisper.vad import get_vad_model

        self._model = get_vad_model()

    def __call__(self, audio: Audio) -> NDArray[np.float32]:
        """Probabilities of speech, shape (ceil(n / 512),)."""
        if audio.size == 0:
            return np.zeros(0, np.float32)
        padded = np.pad(audio, (0, -audio.size % 512))
        return np.asarray(self._model(padded), np.float32).reshape(-1)


def detect_speech(
    audio: Audio,
    detector: SpeechDetector,
    options: VadOptions = VadOptions(),
    *,
    ignore: NDArray[np.bool_] | None = None,
) -> tuple[Span, ...]:
    """Find where speech is.

    Parameters
    ----------
    audio : ndarray, shape (n,), float32, 16 kHz
    detector : SpeechDetector
    options : VadOptions
    ignore : ndarray of bool, shape (frames of 10 ms,), optional
        Frames that are known not to be this speaker's (crosstalk, tones).

    Returns
    -------
    tuple of (start, end)
        Disjoint, ordered; gaps shorter than ``min_pause_s`` are closed.
    """
    if audio.size < SAMPLE_RATE // 50:
        return ()
    level = frame_levels_db(audio)
    likely = _per_frame(detector(audio) >= options.threshold, level.size)
    if ignore is not None:
        likely = likely & ~_fit(ignore, level.size)
    if not likely.any():
        return ()
    reach = round(options.reach_s / FRAME_S)
    near = np.convolve(likely, np.ones(2 * reach + 1), "same") > 0.5
    floor = noise_floor_db(level)
    loud = level > _threshold_db(level, likely, floor, options)
    active = near & loud
    if ignore is not None:
        active &= ~_fit(ignore, level.size)
    spans = runs(active)
    spans = close_gaps(spans, options.min_pause_s)
    return tuple(s for s in spans if s[1] - s[0] >= options.min_speech_s and _covers(likely, s))


def frame_levels_db(audio: Audio, sample_rate: int = SAMPLE_RATE) -> NDArray[np.float64]:
    """RMS level of every 10 ms frame in dBFS, shape (n // frame,); digital silence is -120."""
    hop = round(sample_rate * FRAME_S)
    n = audio.size // hop
    power = np.mean(np.square(audio[: n * hop].reshape(n, hop), dtype=np.float64), axis=1)
    return np.asarray(10 * np.log10(np.maximum(power, 1e-12)))


def noise_floor_db(level: NDArray[np.float64]) -> float:
    """Level of the line noise: the 10th percentile of the frames that carry any signal."""
    alive = level[level > -100]
    return float(np.percentile(alive, 10)) if alive.size else -100.0


def runs(active: NDArray[np.bool_], frame_s: Seconds = FRAME_S) -> list[Span]:
    """Turn a mask into (start, end) spans."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], active.astype(np.int8), [0]))))
    return [
        (a * frame_s, b * frame_s)
        for a, b in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    ]


def close_gaps(spans: Sequence[Span], gap_s: Seconds) -> list[Span]:
    """Join ordered spans whose gap is shorter than ``gap_s``."""
    joined: list[Span] = []
    for start, end in spans:
        if joined and start - joined[-1][1] < gap_s:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _threshold_db(
    level: NDArray[np.float64], likely: NDArray[np.bool_], floor: float, options: VadOptions
) -> float:
    """Between the noise floor and the talker: never so low that noise counts as speech."""
    peak = float(np.percentile(level[likely], 95))
    return max(min(floor + options.above_floor_db, peak - 6.0), peak - options.below_peak_db)


def _per_frame(flags: NDArray[np.bool_], frames: int) -> NDArray[np.bool_]:
    index = ((np.arange(frames) + 0.5) * FRAME_S / PROBABILITY_FRAME_S).astype(int)
    return np.asarray(flags[np.minimum(index, flags.size - 1)])


def _fit(mask: NDArray[np.bool_], frames: int) -> NDArray[np.bool_]:
    fitted = np.zeros(frames, bool)
    fitted[: min(frames, mask.size)] = mask[:frames]
    return fitted


def _covers(likely: NDArray[np.bool_], span: Span) -> bool:
    a, b = round(span[0] / FRAME_S), round(span[1] / FRAME_S)
    return bool(likely[a:b].any())
