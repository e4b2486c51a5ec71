"""Interval algebra: union, intersection, difference and gaps of stretches of time.

Conventions
-----------
A span is ``(start, end)`` in seconds with ``start <= end``. Lists that are given may overlap and be
in any order where nothing else is said; lists that come back are ordered, disjoint and hold no
empty span. Edges of results are edges of what was given: nothing is rounded. Masks have one value
a frame of ``frame_s`` seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.schema import Seconds, Span

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


def total_s(spans: Iterable[Span]) -> Seconds:
    """Sum of the lengths, seconds; what overlaps counts as often as it is there."""
    return sum(end - start for start, end in spans)


def overlap_s(one: Span, other: Span) -> Seconds:
    """Seconds that two spans share; 0 when they do not meet."""
    return max(0.0, min(one[1], other[1]) - max(one[0], other[0]))


def touches(span: Span, spans: Iterable[Span]) -> bool:
    """Whether a span shares time with any of the spans."""
    return any(span[0] < end and span[1] > start for start, end in spans)


def contains(spans: Iterable[Span], span: Span) -> bool:
    """Whether a span lies wholly in one of the spans."""
    return any(start <= span[0] and span[1] <= end for start, end in spans)


def join(spans: Iterable[Span], gap_s: Seconds) -> list[Span]:
    """Unite spans that overlap, touch, or lie less than ``gap_s`` apart."""
    array = _array(spans)
    if not len(array):
        return []
    array = array[np.argsort(array[:, 0], kind="stable")]
    reached = np.maximum.accumulate(array[:, 1])
    apart = array[1:, 0] - reached[:-1]
    new = np.concatenate(([True], (apart > 0) & (apart >= gap_s)))
    last = np.concatenate((new[1:], [True]))
    return _spans(np.column_stack((array[new, 0], reached[last])))


def union(*lists: Iterable[Span]) -> list[Span]:
    """Time that lies in any of the lists."""
    return join((span for spans in lists for span in spans), 0.0)


def intersection(one: Iterable[Span], other: Iterable[Span]) -> list[Span]:
    """Time that lies in both lists."""
    a, b = _array(union(one)), _array(union(other))
    if not len(a) or not len(b):
        return []
    first = np.searchsorted(b[:, 1], a[:, 0], side="right")  # the first b that ends after a starts
    stop = np.searchsorted(b[:, 0], a[:, 1], side="left")  # the first b that starts after a ends
    count = np.maximum(stop - first, 0)
    row = np.repeat(np.arange(len(a)), count)
    at = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count) + first[row]
    return _spans(
        np.column_stack((np.maximum(a[row, 0], b[at, 0]), np.minimum(a[row, 1], b[at, 1])))
    )


def gaps(spans: Iterable[Span], start: Seconds, end: Seconds) -> list[Span]:
    """Time from ``start`` to ``end`` that lies in none of the spans."""
    inner = _array(union(spans)).ravel()
    edges = np.clip([start, *inner.tolist(), end], start, end)
    return _spans(edges.astype(np.float64).reshape(-1, 2))


def subtract(spans: Iterable[Span], others: Iterable[Span]) -> list[Span]:
    """Time of the spans that lies in none of the others."""
    kept = union(spans)
    return intersection(kept, gaps(others, kept[0][0], kept[-1][1])) if kept else []


def clip(spans: Iterable[Span], start: Seconds, end: Seconds) -> list[Span]:
    """What of the spans lies between ``start`` and ``end``."""
    return intersection(spans, [(start, end)]) if start < end else []


def shift(spans: Iterable[Span], by_s: Seconds) -> list[Span]:
    """Spans moved later by so many seconds, in the order given."""
    return [(start + by_s, end + by_s) for start, end in spans]


def runs(mask: Mask, frame_s: Seconds) -> list[Span]:
    """Spans of the frames that are true, shape (n,)."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], mask.astype(np.int8), [0]))))
    return _spans((edges.astype(np.float64) * frame_s).reshape(-1, 2))


def mask_of(spans: Sequence[Span], frames: int, frame_s: Seconds, margin_s: Seconds = 0.0) -> Mask:
    """Frames that lie in the spans, each widened by ``margin_s`` on either side; shape (frames,)."""
    mask = np.zeros(frames, bool)
    for start, end in spans:
        first = max(0, round((start - margin_s) / frame_s))
        mask[first : max(0, round((end + margin_s) / frame_s))] = True
    return mask


def _array(spans: Iterable[Span]) -> Floats:
    return np.asarray(list(spans), np.float64).reshape(-1, 2)


def _spans(array: Floats) -> list[Span]:
    """Rows as tuples, without the empty ones."""
    return [(start, end) for start, end in array.tolist() if end > start]
