"""Means, rates and shares of agents with intervals, and what they are worth beside the team.

Everything follows from :class:`Sums` over the calls of an agent and its local days. NumPy alone:
pages import this, and SciPy would double their start; quantiles are formed by :func:`t_quantile`,
:func:`gamma_quantile` and Wilson's formula, which the tests compare with SciPy.

Spread
    The variance of a mean is that of its linearised calls (Cochran 1977), divided into calls and
    days: calls of one day are alike, by a share that all agents have in common. The spread of
    an agent is steadied by at most ``PRIOR_CALLS`` calls' worth of that of the *others*; degrees of
    freedom are Satterthwaite's (1946).
Interval, 95 %
    Means: Student's t, on the log scale where the measure has no upper limit but a lower one of 0.
    Counts and amounts: gamma limits with the agent's own dispersion, over or under 1 (Byar's
    approximation, Rothman & Boice 1979); none where that rests on fewer degrees of freedom than
    ``MIN_FREEDOM``. Shares: Wilson 1927 with a fifth of a call of continuity correction, on as
    many calls as the days leave independent.
Shrinkage
    Normal hierarchical model: calls in agents in teams. The spread between agents is integrated out
    over a half-Cauchy prior (Gelman 2006), so that few agents do not pretend to know it; a team is
    drawn to the other teams by DerSimonian & Laird 1986. The variance of counts and shares is taken
    at the centre of the team, which makes it the credibility formula of Buehlmann & Straub 1970.
Difference
    Agent minus the others of the team, whose centre is weighted and has its own error. The limits
    of both are joined by MOVER (Zou & Donner 2008), so that they agree with the intervals shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.measures import Measure

MIN_FREEDOM = 2.0  # of the dispersion of counts, without which a limit says nothing
PRIOR_CALLS = 4.0  # weight of the spread of the others in an agent's own
PRIOR_EVENTS = 40.0  # the same for the dispersion of counts, which a few events hardly show
PRIOR_CALLS_SHRUNK = 30.0  # the same where it weighs the agent against the team
Z95 = 1.959964
NEGLIGIBLE = 1e-12  # spread that is only rounding, as a share of the sum of squares
MIN_RELIABILITY = 0.7  # from which on a place in the team is told
MIN_RANKED = 3  # agents
# Between counts there is nothing: limits are those of so much of an event more (mid-P: about these).
STEPS = {"count": (0.3, 0.7), "amount": (0.65, 0.35)}

Values = NDArray[np.float64]
Codes = NDArray[np.intp]
Flags = NDArray[np.bool_]

# Student's t, 97.5 %, by degrees of freedom; between them log t is linear in 1 / df (within 1.4 %).
_DF = np.array([0.5, 0.75, 1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 7, 10, 15, 20, 30, 60, 120, np.inf])
_T = np.array([164.5577, 28.7464, 12.7062, 8.028, 6.0167, 4.3027, 3.5747, 3.1824, 2.7764, 2.5706,
               2.3646, 2.2281, 2.1314, 2.086, 2.0423, 2.0003, 1.9799, Z95])  # fmt: skip
# What the spread between agents may be, in spreads of calls, and its prior: half-Cauchy, scale 1/2.
_TAUS = np.geomspace(0.004, 8, 24)
_LOG_PRIOR = np.log(_TAUS**2 / (1 + (_TAUS / 0.5) ** 2) ** 1.5)


class Sums(NamedTuple):
    """Sums over the calls of each agent, with ``d`` the value less a centre and ``w`` its weight.

    ``calls`` with a value, ``nonzero`` of them; ``weight`` = sum of w, ``value`` of wd, ``square``
    of (wd)^2, ``cross`` of w^2 d, ``weight_square`` of w^2. The ``day_`` sums are the last three
    over the totals of local days instead of calls. A count has d = events / exposure, w = exposure.
    """

    calls: Values
    nonzero: Values
    weight: Values
    value: Values
    square: Values
    cross: Values
    weight_square: Values
    day_square: Values
    day_cross: Values
    day_weight_square: Values


@dataclass(frozen=True, slots=True)
class Groups:
    """Agents numbered by team, and which of them are compared with others."""

    team: Codes
    compared: Flags

    def total(self, values: Values) -> Values:
        """Sum per team over the last axis, of the agents that are compared."""
        kept = np.where(self.compared, np.nan_to_num(values), 0.0)
        size = int(self.team.max(initial=-1)) + 1
        if kept.ndim == 1:
            return np.bincount(self.team, kept, size).astype(np.float64)
        rows = np.arange(len(kept))[:, None] * size + self.team
        flat = np.bincount(rows.ravel(), kept.ravel(), len(kept) * size)
        return flat.reshape(len(kept), size).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Spread:
    """How much the calls of one measure vary.

    ``unit`` is the variance of the mean (for counts and amounts over the mean), ``freedom`` its
    degrees of freedom, ``calls`` how many calls the days leave independent. ``scale`` is that of one
    call (for counts and amounts the dispersion). ``common`` is ``unit`` with more of the spread
    of the others in it, and so hardly tied to the agent's own mean.
    """

    unit: Values
    freedom: Values
    calls: Values
    scale: Values
    common: Values


class Estimate(NamedTuple):
    """One measure of every agent; null (nan) where it cannot be said.

    ``low``, ``high``: 95 % interval of ``mean``. ``shrunk`` with its interval: the mean drawn to
    the team, the more so the fewer the calls. ``reliability``, 0-1: the share of the variance of
    ``mean`` that is between agents. ``difference`` is the mean less that of the others of the
    team (``others``); both have a 95 % interval. ``shrunk_sd`` is the standard error of ``shrunk``,
    ``variance`` the square of that of ``mean``, by the spread that the team has in common.
    """

    calls: Values
    mean: Values
    low: Values
    high: Values
    shrunk: Values
    shrunk_low: Values
    shrunk_high: Values
    shrunk_sd: Values
    reliability: Values
    team_median: Values
    percentile: Values
    others: Values
    others_low: Values
    others_high: Values
    difference: Values
    difference_low: Values
    difference_high: Values
    variance: Values
    centre: Values
    centre_sd: Values
    spread: Spread


def estimate(
    measure: Measure, sums: Sums, centre: float, groups: Groups, min_calls: int
) -> Estimate:
    """Estimate one measure of every agent.

    Parameters
    ----------
    measure : Measure
    sums : Sums
        Of every agent; each array of shape (agents,).
    centre : float
        What was taken from the values before they were squared (0 for counts and shares).
    groups : Groups
    min_calls : int
        Agents with fewer calls have no place in the team and do not count for its median.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        mean = centre + sums.value / sums.weight
        spread = spread_of(measure, sums, mean - centre)
        low, high = interval(measure, mean, spread.unit, spread.freedom, spread.calls)
        typical = _variance_at_centre(measure, sums, mean, spread, groups)
        shrunk, sd, reliability, team, team_sd = shrink(groups, mean, typical)
        around = np.where(team > 0, team, shrunk)
        sd_unit = sd**2 / around if measure.pool in ("count", "amount") else sd**2
        posterior = np.maximum(around * (1 - around) / sd**2 - 1, 0.1)
        shrunk_low, shrunk_high = interval(measure, shrunk, sd_unit, None, posterior, exact=False)
        shrunk_low, shrunk_high = np.fmin(shrunk_low, shrunk), np.fmax(shrunk_high, shrunk)
        others, others_low, others_high = _others(measure, groups, mean, typical, reliability)
        below = np.hypot(mean - low, others_high - others)
        above = np.hypot(high - mean, others - others_low)
        enough = sums.calls >= min_calls
        median = _median(groups, np.where(enough, mean, np.nan))
        ranked = np.where(enough & (reliability >= MIN_RELIABILITY), shrunk, np.nan)
        return Estimate(
            sums.calls, mean, low, high, shrunk, shrunk_low, shrunk_high, sd, reliability,
            median, _percentile(groups, ranked), others, others_low, others_high, mean - others,
            mean - others - below, mean - others + above, typical, team, team_sd, spread,
        )  # fmt: skip


def spread_of(measure: Measure, sums: Sums, offset: Values) -> Spread:
    """The spread of each agent, of sums whose mean less the centre is ``offset``."""
    n, total = sums.calls, sums.weight
    few, days = sums.weight_square / total**2, sums.day_weight_square / total**2
    squares = sums.square - 2 * offset * sums.cross + offset**2 * sums.weight_square
    squares = np.where(squares > NEGLIGIBLE * sums.square, squares, 0.0)
    of_days = sums.day_square - 2 * offset * sums.day_cross + offset**2 * sums.day_weight_square
    of_days = np.where(of_days > NEGLIGIBLE * sums.day_square, of_days, 0.0)
    share, day_size, day_freedom = _day_share(
        squares, of_days, sums, np.nan_to_num(few), np.nan_to_num(days)
    )
    free = (1 - few) + share * (1 - days)
    clustered = few + share * days
    if measure.pool == "share":
        independent = (1 + share) / clustered
        value = offset * (1 - offset)
        unit, sure = value / independent, np.full(len(n), np.inf)
        return Spread(unit, sure, independent, value, unit)
    if measure.pool == "mean" or measure.pool == "ratio":
        own = np.where(n > 1, 1 / few - 1, 0.0)
        of_agent = squares / (free * sums.weight_square)
        of_agent, known_by = np.where(own > 0, of_agent, 0.0), own
        to_unit = clustered
    else:  # the dispersion: variance over what chance alone would give
        own = np.where(n > 1, np.minimum(1 / few, sums.nonzero) - 1, 0.0)
        own = np.maximum(own, 0.0)
        of_agent = np.where((n > 1) & (offset > 0), squares / (free * total * offset), 0.0)
        known_by = np.where(n > 1, total * offset, 0.0)
        to_unit = clustered / (few * total)
    own, known_by = np.nan_to_num(own), np.nan_to_num(known_by)
    telling = own if measure.pool in ("mean", "ratio") else np.where(n > 1, sums.nonzero, 0.0)
    others = (known_by * of_agent).sum() - known_by * of_agent
    others = others / np.maximum(known_by.sum() - known_by, 1e-300)
    prior = np.where(others > 0, telling.sum() - telling, 0.0)
    common = np.minimum(prior, PRIOR_CALLS_SHRUNK)
    common = (common * others + own * of_agent) / (common + own)
    prior = np.minimum(prior, PRIOR_CALLS if measure.pool in ("mean", "ratio") else PRIOR_EVENTS)
    scale = (prior * others + own * of_agent) / (prior + own)
    freedom = prior + own
    if measure.pool == "count":  # with nothing to go by, chance alone
        scale = np.where(freedom > 0, scale, 1.0)
        freedom = np.where(freedom > 0, freedom, np.inf)
    if measure.pool == "amount":
        scale = np.where((prior + own == 0) & (of_agent > 0), of_agent, scale)
    by_days = share * days / clustered * (1 + share * day_size) / max(share * day_size, 1e-300)
    freedom = 1 / (1 / freedom + np.where(share > 0, by_days**2 / day_freedom, 0.0))
    if measure.pool in ("count", "amount"):
        freedom = np.maximum(freedom, 1.0)
    scale = np.where((scale > 0) & (n > 0), scale, np.nan)
    common = np.where(np.isfinite(scale) & (common > 0), common, scale)
    return Spread(scale * to_unit, freedom, 1 / few, scale, common * to_unit)


def interval(
    measure: Measure,
    mean: Values,
    unit: Values,
    freedom: Values | None,
    calls: Values,
    *,
    exact: bool = True,
) -> tuple[Values, Values]:
    """Limits of the 95 % interval of a mean, clipped to what the measure can be.

    Parameters
    ----------
    measure : Measure
    mean : ndarray of shape (agents,)
    unit, freedom, calls
        As in :class:`Spread`; ``freedom`` None is infinite.
    exact : bool
        Whether the mean is one of counts of whole calls; a shrunken one is not.
    """
    t = Z95 if freedom is None else t_quantile(freedom)
    if measure.pool == "share" and not exact:
        low, high = _beta_limits(mean * calls, (1 - mean) * calls)
    elif measure.pool == "share":
        steps = 0.2 / calls
        low, high = wilson(mean - steps, calls, -1), wilson(mean + steps, calls, 1)
        low, high = np.where(mean <= 0, 0.0, low), np.where(mean >= 1, 1.0, high)
    elif measure.pool in ("count", "amount"):
        wide = unit * (t / Z95) ** 2
        down, up = STEPS[measure.pool] if exact else (0.0, 0.0)
        shape = mean / wide
        low = np.where(mean > 0, gamma_quantile(shape + down, -Z95) * wide, 0.0)
        high = gamma_quantile(shape + up, Z95) * wide
        low, high = np.minimum(low, mean), np.maximum(high, mean)
        if freedom is not None:
            low, high = (np.where(freedom >= MIN_FREEDOM, x, np.nan) for x in (low, high))
    elif measure.low == 0 and measure.high == np.inf:
        half = t * np.sqrt(unit)
        ratio = np.exp(half / np.where(mean > 0, mean, np.nan))
        low = np.where(mean > 0, mean / ratio, mean - half)
        high = np.where(mean > 0, mean * ratio, mean + half)
    else:
        half = t * np.sqrt(unit)
        low, high = mean - half, mean + half
    return np.maximum(low, measure.low), np.minimum(high, np.maximum(measure.high, mean))


def shrink(
    groups: Groups, mean: Values, variance: Values
) -> tuple[Values, Values, Values, Values, Values]:
    """Draw means to their team.

    Parameters
    ----------
    groups : Groups
    mean, variance : ndarray of shape (agents,)
        And the variance of each mean.

    Returns
    -------
    tuple of ndarray of shape (agents,)
        Shrunken mean, its standard error, reliability 0-1, centre of the team, its standard error.
        An agent that is compared with nobody keeps its mean.
    """
    kept = groups.compared & np.isfinite(mean) & np.isfinite(variance) & (variance > 0)
    if not kept.any():
        empty = np.full(len(mean), np.nan)
        return mean, np.sqrt(variance), empty, empty, empty
    groups = Groups(groups.team, kept)
    typical = float(np.median(variance[kept]))
    few = np.nan_to_num(np.where(kept, variance, np.nan), nan=np.inf)
    taus = _TAUS[:, None] ** 2 * _call_variance(mean, kept, typical)
    weight = np.where(kept, 1 / (few + taus), 0.0)
    value = np.where(kept, mean, 0.0)
    precision = groups.total(weight)
    known = precision > 0
    precision = np.where(known, precision, np.nan)
    centre = groups.total(weight * value) / precision
    residual = np.where(kept, value - centre[:, groups.team], 0.0)
    fit = 0.5 * (
        np.log(np.where(kept, weight, 1.0)).sum(1)
        - (weight * residual**2).sum(1)
        - np.nansum(np.log(precision), 1)
    )
    fit += _LOG_PRIOR
    chance = np.exp(fit - fit.max())
    chance /= chance.sum()
    centre, centre_variance = _teams(centre, 1 / precision)
    of_team, of_error = centre[:, groups.team], centre_variance[:, groups.team]
    trust = np.where(kept, taus / (taus + few), np.nan)
    found = of_team + trust * (np.where(kept, mean, np.nan) - of_team)
    error = taus * (1 - trust) + (1 - trust) ** 2 * of_error
    shrunk, team = chance @ found, chance @ of_team
    sd = np.sqrt(chance @ (error + (found - shrunk) ** 2))
    team_sd = np.sqrt(chance @ (of_error + (of_team - team) ** 2))
    shrunk, sd = np.where(kept, shrunk, mean), np.where(kept, sd, np.sqrt(variance))
    return shrunk, sd, chance @ trust, team, team_sd


def t_quantile(freedom: Values) -> Values:
    """97.5 % quantile of Student's t; nan under half a degree of freedom."""
    log_t = np.interp(1 / freedom, 1 / _DF[::-1], np.log(_T[::-1]), right=np.nan)
    return np.asarray(np.exp(log_t))


def gamma_quantile(shape: Values, z: float) -> Values:
    """Quantile of the gamma distribution of unit scale, at the normal quantile ``z``."""
    cube = np.maximum(0.0, 1 - 1 / (9 * shape) + z / (3 * np.sqrt(shape)))
    return np.asarray(shape * cube**3)  # Wilson & Hilferty 1931


def _beta_limits(passed: Values, failed: Values) -> tuple[Values, Values]:
    """95 % of a beta distribution: its odds are those of two gammas, joined by MOVER on the log."""
    log_odds = np.log(passed / failed)
    down, up = (
        np.hypot(
            np.log(gamma_quantile(passed, side * Z95) / passed),
            np.log(gamma_quantile(failed, -side * Z95) / failed),
        )
        for side in (-1, 1)
    )
    low, high = (1 / (1 + np.exp(-x)) for x in (log_odds - down, log_odds + up))
    return np.asarray(low), np.asarray(high)


def wilson(share: Values, calls: Values, side: int) -> Values:
    """One end of the 95 % interval of shares of so many calls, ``side`` -1 or 1 (Wilson 1927)."""
    share = np.clip(share, 0.0, 1.0)
    z2 = Z95**2 / calls
    root = Z95 * np.sqrt(share * (1 - share) / calls + z2 / (4 * calls))
    return np.asarray((share + z2 / 2 + side * root) / (1 + z2))


def _day_share(
    squares: Values, of_days: Values, sums: Sums, few: Values, days: Values
) -> tuple[float, float, float]:
    """Variance between days over that within, calls a day, and degrees of freedom of days.

    Solves for both variances what the squares of calls and of days are expected to be.
    """
    alone = np.where(sums.calls > 1, 1 - days, 0.0)
    within = (sums.weight_square * np.where(sums.calls > 1, 1 - few, 0.0)).sum()
    shared = (sums.weight_square * alone).sum()
    between = (sums.day_weight_square * alone).sum()
    calls_square, days_square = np.nansum(squares), np.nansum(of_days)
    determinant = within * between - shared**2
    freedom = float(np.nan_to_num(np.where(alone > 0, 1 / days - 1, 0.0)).sum())
    if not shared or determinant <= 1e-9 * within * between:
        return 0.0, 1.0, 1.0
    of_call = (between * calls_square - shared * days_square) / determinant
    of_day = (within * days_square - shared * calls_square) / determinant
    if of_call <= 0 or of_day <= 0:
        return 0.0, 1.0, 1.0
    return float(of_day / of_call), float(between / shared), max(freedom, 1.0)


def _variance_at_centre(
    measure: Measure, sums: Sums, mean: Values, spread: Spread, groups: Groups
) -> Values:
    """Variance of each mean, not made small by the chance that a count or share is low."""
    if measure.pool == "mean" or measure.pool == "ratio":
        return spread.common
    overall = groups.total(sums.value).sum() / groups.total(sums.weight).sum()
    some = PRIOR_CALLS * sums.weight.sum() / sums.calls.sum()
    weight = groups.total(sums.weight)
    centre = (groups.total(sums.value) + some * overall) / (weight + some)
    at = centre[groups.team]
    if measure.pool == "share":
        return np.asarray(at * (1 - at) / spread.calls)
    return np.asarray(spread.common * at)


def _others(
    measure: Measure, groups: Groups, mean: Values, variance: Values, reliability: Values
) -> tuple[Values, Values, Values]:
    """Weighted mean of the others of each agent's team, and its 95 % limits."""
    kept = groups.compared & np.isfinite(mean) & np.isfinite(reliability) & (variance > 0)
    groups = Groups(groups.team, kept)
    spread = (variance * reliability / (1 - reliability))[kept]
    between = float(np.median(spread)) if kept.any() else 0.0
    weight = np.where(kept, 1 / (variance + between), 0.0)
    parts = [weight, weight * np.where(kept, mean, 0.0), weight**2 * np.where(kept, variance, 0.0)]
    total, value, error = (groups.total(p)[groups.team] - p for p in parts)
    several = np.where(kept, groups.total(kept.astype(np.float64))[groups.team] > 1, False)
    total = np.where(several & (total > 1e-9 * weight), total, np.nan)
    others = value / total
    error = np.maximum(error, 0.0) / total**2
    if measure.pool in ("count", "amount"):
        unit, calls = error / others, error
    else:
        unit, calls = error, others * (1 - others) / error
    return others, *interval(measure, others, unit, None, calls, exact=False)


def _teams(centre: Values, variance: Values) -> tuple[Values, Values]:
    """Draw the centres of teams to each other (rows: one supposed spread between agents each)."""
    weight = np.nan_to_num(1 / variance)
    value = np.nan_to_num(centre)
    total = weight.sum(1, keepdims=True)
    grand = (weight * value).sum(1, keepdims=True) / total
    scatter = (weight * (value - grand) ** 2).sum(1, keepdims=True)
    freedom = (weight > 0).sum(1, keepdims=True) - 1
    scale = total - (weight**2).sum(1, keepdims=True) / total
    between = np.where(freedom > 0, np.maximum(0.0, (scatter - freedom) / scale), 0.0)
    weight = np.nan_to_num(1 / (variance + between))
    grand_variance = 1 / weight.sum(1, keepdims=True)
    grand = (weight * value).sum(1, keepdims=True) * grand_variance
    trust = between / (between + variance)
    drawn = np.where(freedom > 0, grand + trust * (centre - grand), centre)
    error = np.where(freedom > 0, trust * variance + (1 - trust) ** 2 * grand_variance, variance)
    return drawn, error


def _call_variance(mean: Values, kept: Flags, typical: float) -> float:
    """A scale for the spread between agents: what the means themselves scatter, or their error."""
    return max(float(np.var(mean[kept])), typical)


def _median(groups: Groups, values: Values) -> Values:
    kept = groups.compared & np.isfinite(values)
    order = np.lexsort((values[kept], groups.team[kept]))
    ordered, teams = values[kept][order], groups.team[kept][order]
    size = np.bincount(teams, minlength=int(groups.team.max(initial=-1)) + 1)
    first = np.cumsum(size) - size
    found = np.full(len(size), np.nan)
    some = size > 0
    lower, upper = first + (size - 1) // 2, first + size // 2
    found[some] = (ordered[lower[some]] + ordered[upper[some]]) / 2
    return np.where(groups.compared, found[groups.team], np.nan)


def _percentile(groups: Groups, values: Values) -> Values:
    """Midrank within the team, 0-100, where at least ``MIN_RANKED`` can be ranked."""
    kept = groups.compared & np.isfinite(values)
    pairs, place, ties = np.unique(
        groups.team[kept] + 1j * values[kept], return_inverse=True, return_counts=True
    )
    size = np.bincount(groups.team[kept], minlength=int(groups.team.max(initial=-1)) + 1)
    first = (np.cumsum(size) - size)[pairs.real.astype(np.intp)]
    rank = np.cumsum(ties) - ties - first + ties / 2
    found = np.full(len(values), np.nan)
    of = size[groups.team[kept]]
    found[kept] = np.where(of >= MIN_RANKED, 100 * rank[place] / of, np.nan)
    return found
