"""How a short sound is made, whatever words are in it: how often it swells, how loud it is for its voice.

A sign of listening has one or two syllables and is softer than the talk of the same voice; who wants
the floor says more, and not more softly (French and Local 1983; Kurtic et al. 2013).

Conventions: samples of shape (n,); times in seconds; levels in dB.

References
----------
P. French and J. Local, "Turn-competitive incomings", Journal of Pragmatics 7 (1983).
E. Kurtic, G. Brown and B. Wells, "Resources for turn competition in overlapping talk", Speech
Communication 55 (2013).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.schema import Audio, Span

HOP_S, WINDOW_S, SMOOTH = 0.01, 0.025, 11  # of the envelope; frames of smoothing
DIP_DB, FAINT_DB = 3.0, 12.0  # between two swells; under the loudest nothing counts
SHORTEST_S, TALK_S = 0.08, 0.8
QUIET_DB = -120.0

Floats = NDArray[np.float64]


class Vocal(NamedTuple):
    """What a sound is like: ``swells`` are about its syllables, ``level_db`` is over the own talk."""

    swells: int
    level_db: float


class Vocals:
    """The sounds of one voice.

    Parameters
    ----------
    samples : ndarray, shape (n,)
        The channel it is heard in, alone.
    sample_rate : int
        Hz.
    speech : sequence of (start, end)
        Where it speaks.
    """

    def __init__(self, samples: Audio, sample_rate: int, speech: Sequence[Span]) -> None:
        self._samples, self._rate, self._speech = samples, sample_rate, speech

    def __call__(self, spans: Sequence[Span]) -> Vocal | None:
        """What is heard in these spans; None of next to nothing, or where the voice never talks."""
        sound = np.concatenate([np.zeros(0), *(self._cut(s) for s in spans)])
        if sound.size < SHORTEST_S * self._rate or self._talk_db is None:
            return None
        return Vocal(swells(sound, self._rate), _level_db(sound) - self._talk_db)

    @cached_property
    def _talk_db(self) -> float | None:
        levels = [_level_db(self._cut(s)) for s in self._speech if s[1] - s[0] >= TALK_S]
        return float(np.median(levels)) if levels else None

    def _cut(self, span: Span) -> Floats:
        first, last = (round(at * self._rate) for at in span)
        return np.asarray(self._samples[first:last], np.float64)


def swells(sound: Floats, sample_rate: int) -> int:
    """How often the envelope rises and falls by 3 dB and more, 1 at least.

    Parameters
    ----------
    sound : ndarray, shape (n,)
    sample_rate : int
        Hz.
    """
    size, hop = round(WINDOW_S * sample_rate), round(HOP_S * sample_rate)
    padded = np.pad(sound, (0, max(0, size - sound.size)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, size)[::hop]
    window = np.hanning(size)
    power = 10 * np.log10(np.mean((frames * window) ** 2, axis=1) + 10 ** (QUIET_DB / 10))
    least = np.percentile(power, 95) - FAINT_DB
    kernel = np.hanning(SMOOTH + 2)[1:-1]
    around = np.pad(power, SMOOTH // 2, mode="edge")
    count, rising, extreme = 0, True, -np.inf
    for level in np.convolve(around, kernel / kernel.sum(), "valid"):
        extreme = max(extreme, level) if rising else min(extreme, level)
        if rising and level < extreme - DIP_DB:
            count += extreme > least
            rising, extreme = False, level
        elif not rising and level > extreme + DIP_DB:
            rising, extreme = True, level
    return max(1, count + bool(rising and extreme > least))


def _level_db(sound: Floats) -> float:
    return (
        float(10 * np.log10(np.mean(sound**2) + 10 ** (QUIET_DB / 10))) if sound.size else QUIET_DB
    )
