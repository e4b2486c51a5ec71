"""Stretches in which the recorder stood still: every channel holds one and the same sample.

A line whose silence is suppressed sends such stretches in every pause of the talk. There they are how
silence sounds, and no pause of the recorder. Codecs may end a pause some samples early or late.

Conventions: times in seconds; a recorder writes zeros, or the idle code of its companding.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from pipeline.schema import Seconds, Span, Waveform

HOP_S = 0.01
MIN_PAUSE_S = 2.0
SHORT_S = 0.05  # shorter runs of one sample are chance or a lost packet
SUPPRESSED = 3  # so many short runs, and more than long ones: the silence of this line is digital
IDLE = 2.0**-11  # the idle code of A-law is 2 ** -12


def recorder_pauses(wave: Waveform) -> tuple[Span, ...]:
    """Find the stretches of at least ``MIN_PAUSE_S`` in which no channel moves.

    Returns
    -------
    tuple of (start, end)
        None where the silence of the line itself is digital.
    """
    samples, hop = wave.samples, round(HOP_S * wave.sample_rate)
    coarse = samples[:, ::hop]
    idle = np.abs(coarse).max(axis=0, initial=0.0) <= IDLE
    still = idle[1:] & idle[:-1] & (coarse[:, 1:] == coarse[:, :-1]).all(axis=0)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], still.astype(np.int8), [0])))).tolist()
    found: list[tuple[Seconds, Seconds]] = []
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        # What looks still every 10 ms is cut where a sample in between moves.
        begin, end = max(first - 1, 0) * hop, min((last + 1) * hop, samples.shape[1])
        part = samples[:, begin:end]
        moved = (part[:, 1:] != part[:, :-1]).any(axis=0)
        at = [-1, *np.flatnonzero(moved).tolist(), part.shape[1] - 1]
        found += [
            ((begin + a + 1) / wave.sample_rate, (begin + b + 1) / wave.sample_rate)
            for a, b in pairwise(at)
            if b - a >= SHORT_S * wave.sample_rate and np.abs(part[:, b]).max() <= IDLE
        ]
    long = tuple(s for s in found if s[1] - s[0] >= MIN_PAUSE_S)
    short = len(found) - len(long)
    return () if short >= SUPPRESSED and short > len(long) else long
