"""Figures of agents on populations with known truth: a small run of ``make fairness``.

Bounds are those of docs/fairness.md, with what chance allows to the number of draws (1 in 10,000).
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tests.benchmarks import fairness

DRAWS = 400
RISK = 1e-4
# What can happen comes in jumps there: see docs/fairness.md.
COARSE = (
    "item pass rate, all",
    "item by day",
    "hold_s",
    "holds",
    "interruption rate",
    "item pass rate",
)


def at_least(share: float, true: float, draws: int) -> bool:
    """Whether so small a share is no sign that the true one is less."""
    return share * draws >= stats.binom.ppf(RISK, draws, true)


def at_most(share: float, true: float, draws: int) -> bool:
    """Whether so large a share is no sign that the true one is more."""
    return share * draws <= stats.binom.ppf(1 - RISK, draws, true)


@pytest.mark.parametrize("population", fairness.POPULATIONS, ids=lambda p: p.name)
def test_intervals_cover(population: fairness.Population):
    for calls in (3, 10, 30, 100):
        rng = np.random.default_rng([1, calls])
        plain, shrunk = fairness.coverage(rng, population, calls, DRAWS)
        assert at_least(plain, 0.94, DRAWS), (calls, plain)
        if calls >= 10 and not population.name.startswith(COARSE):
            assert at_most(plain, 0.965, DRAWS), (calls, plain)
        if calls >= 10:
            assert at_least(shrunk, 0.90, DRAWS), (calls, shrunk)


@pytest.mark.parametrize("calls", [2, 3, 10])
def test_intervals_of_an_agent_alone_cover(calls: int):
    share = fairness.alone(np.random.default_rng(calls), calls, DRAWS)
    assert at_least(share, 0.94, DRAWS)
    assert at_most(share, 0.965, DRAWS)


@pytest.mark.parametrize("calls", [[10] * 8, [100] * 8, [300, 300, 1, 1, 1], [100, 100]])
def test_equal_teams_are_seldom_told_apart(calls: list[int]):
    share = fairness.equal_teams(np.random.default_rng(len(calls)), calls, 40)
    assert at_most(share, 0.05, 40 * len(calls))


def test_who_is_far_off_is_told():
    assert fairness.different(np.random.default_rng(5), 1.0, 30, 40) > 0.9


def test_who_takes_the_complaints_is_not_worse_for_it():
    points, factor, _ = fairness.complaints(np.random.default_rng(6), False, 10)
    assert points < -7
    assert factor > 1.5
    points, factor, below = fairness.complaints(np.random.default_rng(6), True, 10)
    assert abs(points) < 1.5  # its standard error: 0.6
    assert 0.85 < factor < 1.15
    assert below < 0.2


def test_a_page_is_made_of_the_figures(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(fairness, "POPULATIONS", fairness.POPULATIONS[:1])
    text = fairness.page(fairness.measure(40))
    assert "| level |" in text
    assert text.count("|---") >= 8
