"""Means, rates, intervals and fair estimates of agents, from sums over their calls.

Means and ratios: the interval is Student's t on the linearised values of the calls (each call is
one cluster), with the variance of the agent steadied by ``PRIOR_CALLS`` calls' worth of the
variance within all agents. Shrinkage is empirical Bayes, with the variance between agents after
DerSimonian and Laird. Counts: Gamma-Poisson, overdispersion estimated by Pearson's chi-square.

Sources: Cochran 1977 (variance of a ratio), DerSimonian and Laird 1986, Efron and Morris 1975,
Garwood 1936 (exact Poisson limits), Clayton and Kaldor 1987 (Gamma-Poisson).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from pipeline.measures import Pooled

PRIOR_CALLS = 4  # weight of the common variance in an agent's own
CONFIDENCE_LEVEL = 0.95
NEGLIGIBLE = 1e-12  # spread that is only rounding, as a share of the sum of squares
STATISTICS = ("calls", "mean", "low", "high", "shrunk", "team_median", "percentile")

Values = NDArray[np.float64]
Codes = NDArray[np.intp]


class Sums(NamedTuple):
    """Sums over the calls of each agent.

    Of a mean or ratio, with ``d`` the value less the centre and ``w`` its weight: ``calls``, ``w``,
    ``wd``, ``(wd)^2``, ``w^2 d``, ``w^2``. Of a count, with ``e`` the exposure: ``calls``, ``e``,
    the events, and their squares over ``e``.
    """

    calls: Values
    weight: Values
    value: Values
    square: Values
    cross: Values
    weight_square: Values


@dataclass(frozen=True, slots=True)
class Groups:
    """Agents numbered by team, and which of them are compared with others."""

    team: Codes
    compared: NDArray[np.bool_]

    def team_sum(self, values: Values) -> Values:
        """Sum per team over the agents that are compared, given back per agent."""
        kept = np.where(self.compared, np.nan_to_num(values), 0.0)
        found = np.bincount(self.team, kept, self.team.max(initial=0) + 1)
        return found.astype(np.float64)[self.team]


def pool(
    measure: Pooled, sums: Sums, centre: float, groups: Groups, min_calls: int
) -> tuple[Values, ...]:
    """The ``STATISTICS`` of one measure."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if measure.measure.pool == "count":
            mean, low, high, shrunk = _count(groups, sums)
        else:
            mean, low, high, shrunk = _mean(groups, sums, centre)
    low, high = np.maximum(low, measure.measure.low), np.minimum(high, measure.measure.high)
    median, percentile = _place(groups, mean, shrunk, sums.calls >= min_calls)
    return sums.calls, mean, low, high, shrunk, median, percentile


def _mean(groups: Groups, sums: Sums, centre: float) -> tuple[Values, Values, Values, Values]:
    """Weighted mean, interval and shrunken mean per agent."""
    n, total = sums.calls, sums.weight
    offset = sums.value / total
    mean = centre + offset
    squares = sums.square - 2 * offset * sums.cross + offset**2 * sums.weight_square
    squares = np.where(squares > NEGLIGIBLE * sums.square, squares, 0.0) * (n / total) ** 2
    squares = np.nan_to_num(squares)
    freedom = np.maximum(n - 1, 0).sum()
    within = squares.sum() / freedom if freedom else np.nan
    prior = PRIOR_CALLS if freedom else 0
    steadied = (prior * np.nan_to_num(within) + squares) / (prior + n - 1)
    half = special.stdtrit(prior + n - 1, 0.5 + CONFIDENCE_LEVEL / 2) * np.sqrt(steadied / n)
    if not freedom:
        half = np.full_like(mean, np.nan)  # nobody has two calls: the spread is not known
    return mean, mean - half, mean + half, _shrunk(groups, mean, within / n)


def _shrunk(groups: Groups, mean: Values, variance: Values) -> Values:
    """Empirical Bayes towards the team's mean, one between-agent variance for all teams."""
    kept = groups.compared & np.isfinite(mean) & np.isfinite(variance) & (variance > 0)
    precision = np.where(kept, 1 / variance, 0.0)
    total = groups.team_sum(precision)
    centre = groups.team_sum(precision * np.nan_to_num(mean)) / total
    share = precision / total  # summed over a team: 1 for each team
    scatter = np.nansum(precision * (mean - centre) ** 2)
    freedom = kept.sum() - np.nansum(share)
    scale = precision.sum() - np.nansum(precision * share)
    between = max(0.0, (scatter - freedom) / scale) if scale > 0 else 0.0
    weight = np.where(kept, 1 / (variance + between), 0.0)
    centre = groups.team_sum(weight * np.nan_to_num(mean)) / groups.team_sum(weight)
    trust = between / (between + variance)
    return np.where(kept, centre + trust * (mean - centre), mean)


def _count(groups: Groups, sums: Sums) -> tuple[Values, Values, Values, Values]:
    """Events per exposure, interval and Gamma-Poisson estimate per agent."""
    total, events = sums.weight, sums.value
    rate = events / total
    freedom = np.maximum(sums.calls - 1, 0).sum()
    chi_square = np.nansum(sums.square / rate - events)
    dispersion = max(1.0, chi_square / freedom) if freedom else 1.0
    k, tail = events / dispersion, (1 - CONFIDENCE_LEVEL) / 2
    low = np.where(k > 0, special.gammaincinv(k, tail), 0.0) * dispersion / total
    high = special.gammaincinv(k + 1, 1 - tail) * dispersion / total
    missing = total == 0
    low, high = np.where(missing, np.nan, low), np.where(missing, np.nan, high)
    return rate, low, high, _gamma_poisson(groups, events, total, dispersion)


def _gamma_poisson(groups: Groups, events: Values, total: Values, dispersion: float) -> Values:
    kept = groups.compared & (total > 0)
    exposure = np.where(kept, total, 0.0)
    team_total = groups.team_sum(exposure)
    centre = groups.team_sum(events) / team_total
    rate = events / total
    share = exposure / team_total
    scatter = np.nansum(np.where(kept, exposure * (rate - centre) ** 2, 0.0))
    chance = dispersion * np.nansum(np.where(kept, centre * (1 - share), 0.0))
    scale = exposure.sum() - np.nansum(exposure * share)
    between = max(0.0, (scatter - chance) / scale) if scale > 0 else 0.0
    trust = between / (between + dispersion * centre / total)
    trust = np.where(centre > 0, trust, 0.0)
    return np.where(kept, centre + trust * (rate - centre), rate)


def _place(
    groups: Groups, mean: Values, shrunk: Values, enough: NDArray[np.bool_]
) -> tuple[Values, Values]:
    """Median of the team's means, and percentile (midrank) among those with enough calls."""
    frame = pd.DataFrame({"team": groups.team, "mean": mean, "shrunk": shrunk})
    median = frame["mean"].where(groups.compared).groupby(frame["team"]).transform("median")
    median = median.where(groups.compared)
    ranked = frame["shrunk"].where(groups.compared & enough).groupby(frame["team"])
    percentile = 100 * (ranked.rank() - 0.5) / ranked.transform("count")
    as_float: Any = np.float64
    return median.to_numpy(as_float), percentile.to_numpy(as_float)
