"""Where voices change and overlap in a mono recording: pyannote's segmentation model, window by window.

The model hears ten seconds at a time and names up to three voices in each window by numbers of its own.
Windows overlap, so each is given the numbers of those before it that fit it best where both heard; a
frame has as many voices as the windows over it hear on average, the most active ones. The numbers hold
from window to window, not over a call: they say where voices change, not whose they are
(:mod:`pipeline.speech.diarization.voices` says that).

Conventions: audio float32 at 16 kHz, shape (n,); times in seconds; segments are ordered by start and
may overlap.

References
----------
A. Plaquet and H. Bredin, "Powerset multi-class cross entropy loss for neural speaker diarization",
Interspeech 2023.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from pipeline.schema import SAMPLE_RATE, Audio, SpeakerSegment
from pipeline.spans import runs

Activity = NDArray[np.float64]


class Segmenter:
    """The segmentation model, slid over a recording."""

    def __init__(self, inference: Any) -> None:
        self._inference = inference  # a pyannote.audio Inference that does not aggregate

    def __call__(self, audio: Audio) -> tuple[SpeakerSegment, ...]:
        """Stretches of one voice; the labels only tell voices apart that are near each other."""
        import torch

        if audio.size == 0:
            return ()
        heard = self._inference(
            {"waveform": torch.from_numpy(audio)[None], "sample_rate": SAMPLE_RATE}
        )
        frames = self._inference.model.receptive_field
        starts = [round(window.start / frames.step) for window, _ in heard]
        active = _loudest(stitched(np.asarray(heard.data, np.float64), starts))
        seconds, middle = audio.size / SAMPLE_RATE, frames.start + frames.duration / 2
        found = [
            SpeakerSegment(middle + start, min(middle + end, seconds), str(voice))
            for voice, own in enumerate(active.T)
            for start, end in runs(own, frames.step)
            if middle + start < seconds
        ]
        return tuple(sorted(found, key=lambda s: (s.start, s.end, s.speaker)))


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
