"""Limits of a funnel plot and of a control chart: how far a mean of so many calls usually strays.

``z sqrt(s^2 / n + tau^2)`` about the centre: of a team, where agents differ as they usually do, or of a
team's weeks, where weeks do. The variance between them, tau^2, is that of DerSimonian & Laird 1986
with the outer tenth drawn in (Spiegelhalter 2005), so that the few that stand out do not widen the
limits for all. Control limits lie 3 standard deviations out (Shewhart 1931); nothing but a point
outside is a signal.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.agents.estimates import Z95, Estimate, Values
from pipeline.agents.pool import Compared

Z998 = 3.090232
CONTROL = 3.0
BASELINE_WEEKS = 12
DRAWN_IN = 0.1


class Funnel(NamedTuple):
    """Centre of a team, variance of its calls and variance between its agents."""

    centre: float
    of_calls: float
    between: float

    def limits(self, calls: float) -> tuple[float, float, float, float]:
        """The 95 % limits and the 99.8 % limits of a mean of so many calls."""
        sd = float(np.sqrt(self.of_calls / max(calls, 1e-9) + self.between))
        near, far = Z95 * sd, Z998 * sd
        return self.centre - near, self.centre + near, self.centre - far, self.centre + far

    def control(self, calls: float) -> tuple[float, float]:
        """The control limits of a mean of so many calls."""
        sd = float(np.sqrt(self.of_calls / max(calls, 1e-9) + self.between))
        return self.centre - CONTROL * sd, self.centre + CONTROL * sd


class TeamWeek(NamedTuple):
    """A week of a team: the mean of its calls, how many, and the variance of that mean."""

    week: str
    mean: float
    calls: int
    variance: float


def team_weeks(by_week: Compared, measure: str, rows: Iterable[int]) -> list[TeamWeek]:
    """The weeks of a team, in order, of a measure that is the mean over calls.

    Parameters
    ----------
    by_week : Compared
        Agents and weeks: :meth:`pipeline.agents.Pool.weeks`.
    measure : str
    rows : iterable of int
        The rows of the team.
    """
    e = by_week.of[measure]
    found: dict[str, list[int]] = {}
    for row in rows:
        if by_week.week[row] is not None and e.calls[row]:
            found.setdefault(str(by_week.week[row]), []).append(row)
    weeks = []
    for week, of_week in sorted(found.items()):
        calls = e.calls[of_week].astype(np.float64)
        n = float(calls.sum())
        variance = float(np.nansum(calls**2 * e.variance[of_week]) / n**2)
        weeks.append(TeamWeek(week, float(calls @ e.mean[of_week] / n), round(n), variance))
    return weeks


def control(weeks: Sequence[TeamWeek]) -> Funnel | None:
    """What the first weeks say of a team, as limits for all; None before there are as many as that."""
    if len(weeks) < BASELINE_WEEKS:
        return None
    first = weeks[:BASELINE_WEEKS]
    return _limits(
        np.array([w.mean for w in first]),
        np.array([w.calls for w in first], dtype=np.float64),
        np.array([w.variance for w in first]),
    )


def funnel(estimate: Estimate, rows: Sequence[int]) -> Funnel | None:
    """The funnel of the agents of these rows; None where fewer than three have a known mean."""
    mean, calls, variance = (
        np.asarray(v[list(rows)], dtype=np.float64)
        for v in (estimate.mean, estimate.calls, estimate.variance)
    )
    return _limits(mean, calls, variance)


def _limits(mean: Values, calls: Values, variance: Values) -> Funnel | None:
    known = np.isfinite(mean) & np.isfinite(variance) & (variance > 0)
    if known.sum() < 3:
        return None
    mean, calls, variance = mean[known], calls[known], variance[known]
    of_calls = float(np.median(variance * calls))
    variance = of_calls / calls
    centre = float((mean / variance).sum() / (1 / variance).sum())
    z = (mean - centre) / np.sqrt(variance)
    z = np.clip(z, *np.quantile(z, [DRAWN_IN, 1 - DRAWN_IN]))
    weight = 1 / variance
    spread = (z**2).sum() - (len(z) - 1)
    between = max(0.0, float(spread / (weight.sum() - (weight**2).sum() / weight.sum())))
    weight = 1 / (variance + between)
    return Funnel(float((weight * mean).sum() / weight.sum()), of_calls, between)
