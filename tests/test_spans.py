"""Interval algebra: examples whose answer fits in a comment, and laws on random lists."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import spans
from pipeline.schema import Span

FRAME_S = 0.25  # so that times are exact in binary


@st.composite
def lists(draw: st.DrawFn) -> list[Span]:
    """Spans in any order, overlapping or not, on a grid of quarter seconds."""
    rows = draw(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 12)), max_size=8))
    return [(a * FRAME_S, (a + n) * FRAME_S) for a, n in rows]


def seen(listed: list[Span], frames: int = 80) -> list[bool]:
    """Which quarter seconds lie in a list, one by one."""
    middles = [(i + 0.5) * FRAME_S for i in range(frames)]
    return [any(a <= t < b for a, b in listed) for t in middles]


def sound(listed: list[Span]) -> bool:
    """Ordered, disjoint and without empty spans, as results are promised to be."""
    flat = [t for span in listed for t in span]
    return flat == sorted(flat) and all(a < b for a, b in listed)


@given(lists(), lists())
def test_union_and_intersection_are_or_and_and(one, other):
    either, both = spans.union(one, other), spans.intersection(one, other)
    assert sound(either)
    assert sound(both)
    assert seen(either) == [a or b for a, b in zip(seen(one), seen(other), strict=True)]
    assert seen(both) == [a and b for a, b in zip(seen(one), seen(other), strict=True)]


@given(lists(), lists())
def test_what_is_subtracted_and_what_is_left_make_the_whole(one, other):
    left = spans.subtract(one, other)
    assert sound(left)
    assert seen(left) == [a and not b for a, b in zip(seen(one), seen(other), strict=True)]
    parts = spans.total_s(left) + spans.total_s(spans.intersection(one, other))
    assert parts == spans.total_s(spans.union(one))


@given(lists(), st.integers(0, 30), st.integers(0, 30))
def test_gaps_are_the_rest_of_a_stretch(listed, first, length):
    start, end = first * FRAME_S, (first + length) * FRAME_S
    found = spans.gaps(listed, start, end)
    assert sound(found)
    inside = [first <= i < first + length for i in range(80)]
    assert seen(found) == [w and not s for w, s in zip(inside, seen(listed), strict=True)]
    assert seen(spans.clip(listed, start, end)) == [
        w and s for w, s in zip(inside, seen(listed), strict=True)
    ]


@given(lists(), st.integers(0, 8))
def test_joined_spans_lie_apart_and_cover_what_was_given(listed, frames):
    gap_s = frames * FRAME_S
    found = spans.join(listed, gap_s)
    assert all(b[0] - a[1] >= gap_s for a, b in zip(found[:-1], found[1:], strict=True))
    assert spans.subtract(listed, found) == []


@given(lists())
def test_masks_and_runs_are_each_others_inverse(listed):
    mask = spans.mask_of(listed, 80, FRAME_S)
    assert mask.tolist() == seen(listed)
    assert spans.runs(mask, FRAME_S) == spans.union(listed)


@given(lists(), st.integers(-5, 5))
def test_shifted_spans_keep_their_lengths(listed, by):
    moved = spans.shift(listed, by * FRAME_S)
    assert spans.total_s(moved) == spans.total_s(listed)
    assert spans.shift(moved, -by * FRAME_S) == listed


def test_what_is_empty_stays_empty():
    assert spans.union() == spans.join([], 1.0) == spans.intersection([], [(0, 1)]) == []
    assert spans.subtract([], [(0, 1)]) == spans.clip([(0, 1)], 2, 1) == []
    assert spans.runs(np.zeros(0, bool), 0.01) == []
    assert spans.gaps([], 1, 2) == [(1, 2)]


def test_examples():
    assert spans.join([(0, 1), (1.2, 2), (3, 4)], 0.5) == [(0, 2), (3, 4)]
    assert spans.intersection([(0, 4)], [(1, 2), (3, 5)]) == [(1, 2), (3, 4)]
    assert spans.subtract([(0, 4)], [(1, 2)]) == [(0, 1), (2, 4)]
    assert spans.overlap_s((0, 2), (1, 5)) == 1
    assert spans.overlap_s((0, 1), (1, 5)) == 0
    assert spans.touches((0, 1), [(0.5, 2)])
    assert not spans.touches((0, 1), [(1, 2)])
    assert spans.contains([(0, 2)], (1, 2))
    assert spans.mask_of([(0.5, 1.0)], 6, 0.25, 0.25).tolist() == [False] + [True] * 4 + [False]


@pytest.mark.parametrize("n", [0, 1, 20_000])
def test_long_lists_take_no_time(n):
    listed = [(float(i), i + 0.5) for i in range(n)]
    assert spans.intersection(listed, listed) == listed
