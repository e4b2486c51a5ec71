"""How quick this processor is at Python, to hold time limits against on slower ones."""

from __future__ import annotations

import time
from collections.abc import Callable

USUAL_S = 0.025  # what a loop of a million steps takes on the processors that limits were set on


def seconds(work: Callable[[], object]) -> float:
    """Time of the processor that something takes."""
    start = time.process_time()
    work()
    return time.process_time() - start


def counting_s(times: int = 7) -> float:
    """What a loop of a million steps takes here and now, the quickest of some."""
    return min(seconds(_count) for _ in range(times))


def slower() -> float:
    """How many times slower this processor is than usual, here and now; never below 1."""
    return max(1.0, counting_s(3) / USUAL_S)


def _count() -> int:
    total = 0
    for i in range(1_000_000):
        total += i % 7
    return total
