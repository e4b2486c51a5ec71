"""Pair what is true with what was found: one with one, the best pairs in all.

The assignment is that of the Hungarian method (scipy), so it does not depend on the order in which
events are listed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
from scipy.optimize import linear_sum_assignment

from pipeline.schema import Span
from pipeline.spans import overlap_s

T = TypeVar("T")
F = TypeVar("F")


def pair(
    truths: Sequence[T], found: Sequence[F], gain: Callable[[T, F], float]
) -> list[tuple[int, int]]:
    """Pair two lists so that the sum of gains is greatest.

    Parameters
    ----------
    truths, found : sequences
    gain : callable
        What a pair is worth; 0 or less means that the two must not be paired.

    Returns
    -------
    list of (int, int)
        Positions in ``truths`` and ``found``, ordered by the first.
    """
    if not truths or not found:
        return []
    gains = np.array([[max(0.0, gain(t, f)) for f in found] for t in truths])
    rows, columns = linear_sum_assignment(gains, maximize=True)
    return [(int(i), int(j)) for i, j in zip(rows, columns, strict=True) if gains[i, j] > 0]


def intersection_over_union(one: Span, other: Span) -> float:
    """Shared time / joint time of two spans, 0-1.

    >>> intersection_over_union((0.0, 3.0), (1.0, 4.0))
    0.5
    """
    shared = overlap_s(one, other)
    union = (one[1] - one[0]) + (other[1] - other[0]) - shared
    return shared / union if union > 0 else 0.0
