"""Where voices change and overlap in a mono recording: pyannote's segmentation model, window by window.

The model hears ten seconds at a time and names up to three voices in each window by numbers of its own.
Windows overlap, so each is given the numbers of those before it that fit it best where both heard; a
frame has as many voices as the windows over it hear on average, the most active ones. The numbers hold
from window to window, not over a call: they say where voices change, not whose they are
(:mod:`pipeline.speech.diarization.voices` says that).

A second voice under the first is often soft, and the model leaves it in doubt. So where two speak at once
is found by the probability of two: an overlap is where that comes up to :data:`TOGETHER`, and lasts as
long as it is over :data:`TOGETHER_LASTS` of its peak. Where one voice follows the other closely the model may
be in doubt for seconds: what lasts longer than :data:`LONG_S` has to reach :data:`LONG_TOGETHER` on average.

Conventions: audio float32 at 16 kHz, shape (n,); times in seconds; segments are ordered by start and
may overlap.

References
----------
A. Plaquet and H. Bredin, "Powerset multi-class cross entropy loss for neural speaker diarization",
Interspeech 2023.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from pipeline.schema import SAMPLE_RATE, Audio, Span, SpeakerSegment
from pipeline.spans import runs

TOGETHER, TOGETHER_LASTS = 0.4, 0.5
LONG_S, LONG_TOGETHER = 1.2, 0.55
VOICES = 3  # in a window
# What the model tells apart: nobody, each voice alone, each two of them.
SETS = ((), *((v,) for v in range(VOICES)), *combinations(range(VOICES), 2))
VOICES_OF = np.array([[float(v in voices) for v in range(VOICES)] for voices in SETS])
OF_TWO = VOICES_OF.sum(axis=1) == 2

Activity = NDArray[np.float64]


class Segments(NamedTuple):
    """Stretches of one voice each, and where two are likely to speak at once."""

    voices: tuple[SpeakerSegment, ...]
    together: tuple[Span, ...] = ()


class Segmenter:
    """The segmentation model, slid over a recording."""

    def __init__(self, inference: Any) -> None:
        self._inference = inference  # of pyannote.audio; neither aggregates nor converts

    def __call__(self, audio: Audio) -> Segments:
        """Stretches of one voice; the labels only tell voices apart that are near each other."""
        import torch

        if audio.size == 0:
            return Segments(())
        heard = self._inference(
            {"waveform": torch.from_numpy(audio)[None], "sample_rate": SAMPLE_RATE}
        )
        frames = self._inference.model.receptive_field
        starts = [round(window.start / frames.step) for window, _ in heard]
        likely = np.asarray(heard.data, np.float32)  # logarithms of probabilities
        active = _loudest(stitched(VOICES_OF[likely.argmax(axis=2)], starts))
        both = averaged(np.exp(likely) @ OF_TWO[:, None], starts)[:, 0]
        seconds, middle = audio.size / SAMPLE_RATE, frames.start + frames.duration / 2
        found = [
            SpeakerSegment(middle + start, min(middle + end, seconds), str(voice))
            for voice, own in enumerate(active.T)
            for start, end in runs(own, frames.step)
            if middle + start < seconds
        ]
        overlaps = ((middle + a, min(middle + b, seconds)) for a, b in _peaks(both, frames.step))
        return Segments(
            tuple(sorted(found, key=lambda s: (s.start, s.end, s.speaker))),
            tuple(o for o in overlaps if o[0] < o[1]),
        )


def averaged(windows: Activity, starts: Sequence[int]) -> Activity:
    """Mean over overlapping windows, shapes as for :func:`stitched`."""
    frames, columns = windows.shape[1:]
    total, seen = np.zeros((starts[-1] + frames, columns)), np.zeros(starts[-1] + frames)
    for window, start in zip(windows, starts, strict=True):
        total[start : start + frames] += window
        seen[start : start + frames] += 1
    return total / np.maximum(seen, 1)[:, None]


def _peaks(both: Activity, step: float) -> list[Span]:
    """Spans of a probability of frames around each peak, as the module says."""
    kept = np.zeros(both.size, bool)
    for start, end in runs(both >= TOGETHER * TOGETHER_LASTS, step):
        here = slice(round(start / step), round(end / step))
        peak = both[here].max()
        kept[here] = (peak >= TOGETHER) & (both[here] >= TOGETHER_LASTS * peak)
    return [
        (a, b)
        for a, b in runs(kept, step)
        if b - a <= LONG_S or both[round(a / step) : round(b / step)].mean() >= LONG_TOGETHER
    ]


def stitched(windows: Activity, starts: list[int]) -> Activity:
    """Join overlapping windows whose voices are numbered each for itself.

    Parameters
    ----------
    windows : ndarray, shape (n, frames, voices)
        How active each voice is, 0 to 1.
    starts : list of int
        First frame of each window in the recording, ascending.

    Returns
    -------
    ndarray, shape (starts[-1] + frames, voices)
        Mean over the windows; 0 where there is none.
    """
    frames, voices = windows.shape[1:]
    total, seen = np.zeros((starts[-1] + frames, voices)), np.zeros(starts[-1] + frames)
    for window, start in zip(windows, starts, strict=True):
        here = slice(start, start + frames)
        before = np.flatnonzero(seen[here])
        known = total[here][before] / seen[here][before, None]
        unlike = np.abs(window[before, :, None] - known[:, None, :]).sum(axis=0)
        own, given = linear_sum_assignment(unlike)
        total[here, given] += window[:, own]
        seen[here] += 1
    return total / np.maximum(seen, 1)[:, None]


def _loudest(activity: Activity) -> NDArray[np.bool_]:
    """In each frame as many voices as are active on average, the most active ones."""
    count = np.rint(activity.sum(axis=1))
    rank = np.argsort(np.argsort(-activity, axis=1, kind="stable"), axis=1)
    return np.asarray(rank < count[:, None])
