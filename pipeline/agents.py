"""Agents compared fairly: pooled measures with intervals, shrinkage and the place in the team.

Conventions
-----------
``MEASURES`` says how each measure of the calls table is pooled over an agent's calls:

* ``mean``: the mean over calls.
* ``ratio``: sum over sum, written as the mean weighted by the denominator (``weight`` columns).
* ``count``: events per call, or per ``per`` seconds of an exposure such as the other's talk time.

Per measure ``m`` the tables carry ``m_calls`` (calls with a value), ``m_mean``, ``m_low`` and
``m_high`` (95 % interval), ``m_shrunk`` (the mean drawn towards the team, the more so the fewer
the calls), ``m_team_median`` and ``m_percentile`` (0-100, midrank of ``m_shrunk`` among the team's
agents with enough calls; high means much, not good). An agent's comparison group is the team;
where the team's agents differ no more than chance explains, all are shrunk to one value and tie.

Means and ratios: the interval is Student's t on the linearised values of the calls (each call is
one cluster), with the variance of the agent steadied by ``PRIOR_CALLS`` calls' worth of the
variance within all agents. Shrinkage is empirical Bayes, with the variance between agents after
DerSimonian and Laird. Counts: Gamma-Poisson, overdispersion estimated by Pearson's chi-square.

Calls without ``agent_id`` form one row with a null ``agent_id``, which is compared with nobody.

Sources: Cochran 1977 (variance of a ratio), DerSimonian and Laird 1986, Efron and Morris 1975,
Garwood 1936 (exact Poisson limits), Clayton and Kaldor 1987 (Gamma-Poisson).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from pipeline.errors import ParameterError

MIN_CALLS = 10
PRIOR_CALLS = 4  # weight of the common variance in an agent's own
CONFIDENCE_LEVEL = 0.95
TALK_10_MIN_S = 600.0
STATISTICS = ("calls", "mean", "low", "high", "shrunk", "team_median", "percentile")

Values = NDArray[np.float64]
Codes = NDArray[np.intp]
_log = logging.getLogger(__name__)


class Measure(NamedTuple):
    """How one measure is pooled.

    ``source`` is its column in calls, ``weight`` the columns whose sum is the denominator of a
    ratio or the exposure of a count, ``per`` the exposure that a count is stated for.
    ``low`` and ``high`` are the limits of what the measure can be.
    """

    name: str
    method: Literal["mean", "ratio", "count"]
    weight: tuple[str, ...] = ()
    source: str = ""
    per: float = 1.0
    low: float = -np.inf
    high: float = np.inf


def _measures() -> tuple[Measure, ...]:
    talk = ("agent_talk_s", "customer_talk_s")
    rows = [
        Measure("compliance_score", "mean", low=0, high=100),
        Measure("outside_score", "mean", low=0, high=100),
    ]
    for who, other in (("agent", "customer"), ("customer", "agent")):
        own = (f"{who}_talk_s",)
        rows += [Measure(f"{who}_talk_ratio", "ratio", talk, low=0, high=1)]
        rates = ("speaking_rate", "articulation_rate")
        rows += [Measure(f"{who}_{m}", "ratio", own, low=0) for m in rates]
        spread = ("speaking_rate_p10", "speaking_rate_p50", "speaking_rate_p90", "talk_s", "units",
                  "level_sd_db", "f0_median_hz", "pitch_sd_st", "pitch_range_st",
                  "interruption_s", "longest_turn_s")  # fmt: skip
        rows += [Measure(f"{who}_{m}", "mean", low=0) for m in spread]
        signed = ("level_dbfs", "response_latency_p50", "response_latency_p90")
        rows += [Measure(f"{who}_{m}", "mean") for m in signed]
        rows += [Measure(f"{who}_{m}", "count") for m in ("turns", "interruptions", "backchannels")]
        rows += [
            Measure(
                f"{who}_{m}_per_10min", "count", (f"{other}_talk_s",), f"{who}_{m}", TALK_10_MIN_S
            )
            for m in ("interruptions", "backchannels")
        ]
    rows += [Measure("speaking_rate_vs_norm", "ratio", ("agent_talk_s",), low=0)]
    rows += [Measure(m, "mean") for m in ("rate_gap", "level_gap_db")]
    seconds = ("hold_s", "longest_hold_s", "dead_air_s", "first_speech_s", "overlap_s")
    rows += [Measure(m, "mean", low=0) for m in seconds]
    counts = ("holds", "holds_unannounced", "dead_air", "rings", "compliance_passed",
              "compliance_failed", "compliance_unjudged")  # fmt: skip
    rows += [Measure(m, "count") for m in counts]
    rows += [Measure("dead_air_per_10min", "count", ("duration",), "dead_air", TALK_10_MIN_S)]
    shares = ("overlap_ratio", "silence_ratio")
    rows += [Measure(m, "ratio", ("duration",), low=0, high=1) for m in shares]
    rows += [Measure("outside_agreement", "mean", low=0, high=1)]
    return tuple(rows)


MEASURES: tuple[Measure, ...] = _measures()


@dataclass(frozen=True, slots=True)
class _Groups:
    """Calls numbered by agent (``code``, one per call) and agents numbered by team (``team``)."""

    code: Codes
    team: Codes
    compared: NDArray[np.bool_]

    def sum(self, values: Values) -> Values:
        """Sum per agent; null values count as nothing."""
        found = np.bincount(self.code, np.nan_to_num(values), len(self.team))
        return found.astype(np.float64)

    def team_sum(self, values: Values) -> Values:
        """Sum per team over the agents that are compared, given back per agent."""
        kept = np.where(self.compared, np.nan_to_num(values), 0.0)
        found = np.bincount(self.team, kept, self.team.max(initial=0) + 1)
        return found.astype(np.float64)[self.team]


def agent_table(
    calls: pd.DataFrame, *, team: str | None = None, min_calls: int = MIN_CALLS
) -> pd.DataFrame:
    """Pool the calls of each agent.

    Parameters
    ----------
    calls : DataFrame
        The calls table. Failed calls are left out; a measure without a column is null.
    team : str, optional
        Only the agents of this team.
    min_calls : int
        Calls from which on an agent has ``enough_calls`` and a percentile.

    Returns
    -------
    DataFrame
        One row per agent, ordered by team and id: ``agent_id, agent_name, team, calls, talk_s,
        enough_calls`` and the ``STATISTICS`` of every measure.

    Raises
    ------
    ParameterError
        If ``min_calls`` is less than 1.
    """
    return _table(calls, ["agent_id"], team, min_calls)


def agent_weeks(
    calls: pd.DataFrame, *, team: str | None = None, min_calls: int = MIN_CALLS
) -> pd.DataFrame:
    """Pool the calls of each agent and ISO week; the comparison is with the team in that week.

    ``week`` is written as ``2026-W11``, by the local date of ``started_at`` as it is written
    there. Calls without a readable date form the row of a null week. Parameters, columns and
    errors otherwise as in :func:`agent_table`.
    """
    if "started_at" in calls:
        dates = pd.to_datetime(calls["started_at"].str[:10], format="%Y-%m-%d", errors="coerce")
    else:
        dates = pd.Series(pd.NaT, index=calls.index, dtype="datetime64[s]")
    iso = dates.dt.isocalendar()
    year, week = iso["year"].astype("str"), iso["week"].astype("str").str.zfill(2)
    weeks = (year + "-W" + week).where(dates.notna())
    return _table(calls.assign(week=weeks.astype("str")), ["agent_id", "week"], team, min_calls)


def columns(keys: Sequence[str] = ("agent_id",)) -> list[str]:
    """Names of the columns of a table with these keys, in order."""
    first = ["agent_id", "agent_name", "team", *keys[1:], "calls", "talk_s", "enough_calls"]
    return first + [f"{m.name}_{s}" for m in MEASURES for s in STATISTICS]


# --- the table ----------------------------------------------------------------------------------


def _table(calls: pd.DataFrame, keys: list[str], team: str | None, min_calls: int) -> pd.DataFrame:
    if min_calls < 1:
        raise ParameterError(f"min_calls is {min_calls}.", "Allowed: 1 or more.")
    calls = _usable(calls)
    agents = _agents(calls)
    calls = calls.assign(team=calls["agent_id"].map(agents["team"]).astype("str"))
    if team is not None:
        calls = calls[calls["team"] == team]
    by_agent = calls.groupby(keys, dropna=False, sort=True)
    code = np.asarray(by_agent.ngroup(), dtype=np.intp)
    rows = by_agent.size().rename("calls").reset_index()
    rows["agent_name"] = rows["agent_id"].map(agents["agent_name"]).astype("str")
    rows["team"] = rows["agent_id"].map(agents["team"]).astype("str")
    rivals = rows.groupby(["team", *keys[1:]], dropna=False).ngroup()
    compared = np.asarray(rows["agent_id"].notna(), dtype=bool)
    groups = _Groups(code, np.asarray(rivals, dtype=np.intp), compared)
    rows["talk_s"] = groups.sum(_values(calls, "agent_talk_s"))
    rows["enough_calls"] = (rows["calls"] >= min_calls) & rows["agent_id"].notna()
    pooled: dict[str, Values] = {}
    for measure in MEASURES:
        for statistic, values in _pool(calls, groups, measure, min_calls).items():
            pooled[f"{measure.name}_{statistic}"] = values
    table = pd.concat([rows, pd.DataFrame(pooled, index=rows.index)], axis=1)[columns(keys)]
    types = {c: "Int64" for c in table if c == "calls" or str(c).endswith("_calls")}
    table = table.astype(types | {"enough_calls": "boolean"})
    return table.sort_values(["team", *keys], na_position="last").reset_index(drop=True)


def _usable(calls: pd.DataFrame) -> pd.DataFrame:
    """Leave out failed calls; say how many cannot be given to an agent."""
    if "status" in calls:
        calls = calls[calls["status"].ne("failed").fillna(True)]
    absent = [c for c in ("agent_id", "agent_name", "team", "started_at") if c not in calls]
    calls = calls.assign(**{c: pd.Series(index=calls.index, dtype="str") for c in absent})
    unknown = int(calls["agent_id"].isna().sum())
    if unknown:
        _log.warning("%d of %d calls carry no agent_id; they form one row", unknown, len(calls))
    return calls


def _agents(calls: pd.DataFrame) -> pd.DataFrame:
    """Name and team of each agent, as in the newest call that gives them."""
    known = calls[calls["agent_id"].notna()].sort_values("started_at", na_position="first")
    return known.groupby("agent_id")[["agent_name", "team"]].last()


def _values(calls: pd.DataFrame, name: str) -> Values:
    if name not in calls:
        return np.full(len(calls), np.nan)
    return np.asarray(calls[name].astype("Float64").to_numpy(np.float64, na_value=np.nan))


def _weights(calls: pd.DataFrame, measure: Measure) -> Values:
    if not measure.weight:
        return np.ones(len(calls))
    total: Values = sum((_values(calls, w) for w in measure.weight), np.zeros(len(calls)))
    return total / measure.per


def _pool(
    calls: pd.DataFrame, groups: _Groups, measure: Measure, min_calls: int
) -> dict[str, Values]:
    values = _values(calls, measure.source or measure.name)
    weights = _weights(calls, measure)
    known = np.isfinite(values) & np.isfinite(weights) & (weights > 0)
    values, weights = np.where(known, values, np.nan), np.where(known, weights, np.nan)
    n = groups.sum(known.astype(np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        pool = _count if measure.method == "count" else _mean
        mean, low, high, shrunk = pool(groups, values, weights, n)
    low, high = np.maximum(low, measure.low), np.minimum(high, measure.high)
    median, percentile = _place(groups, mean, shrunk, n >= min_calls)
    found = (n, mean, low, high, shrunk, median, percentile)
    return dict(zip(STATISTICS, found, strict=True))


def _mean(
    groups: _Groups, values: Values, weights: Values, n: Values
) -> tuple[Values, Values, Values, Values]:
    """Weighted mean, interval and shrunken mean per agent."""
    total = groups.sum(weights)
    mean = groups.sum(values * weights) / total
    deviation = weights * (values - mean[groups.code]) * (n / total)[groups.code]
    squares = groups.sum(deviation**2)
    freedom = np.maximum(n - 1, 0).sum()
    within = squares.sum() / freedom if freedom else np.nan
    prior = PRIOR_CALLS if freedom else 0
    steadied = (prior * np.nan_to_num(within) + squares) / (prior + n - 1)
    half = special.stdtrit(prior + n - 1, 0.5 + CONFIDENCE_LEVEL / 2) * np.sqrt(steadied / n)
    if not freedom:
        half = np.full_like(mean, np.nan)  # nobody has two calls: the spread is not known
    return mean, mean - half, mean + half, _shrunk(groups, mean, within / n)


def _shrunk(groups: _Groups, mean: Values, variance: Values) -> Values:
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


def _count(
    groups: _Groups, values: Values, exposure: Values, n: Values
) -> tuple[Values, Values, Values, Values]:
    """Events per exposure, interval and Gamma-Poisson estimate per agent."""
    events, total = groups.sum(values), groups.sum(exposure)
    rate = events / total
    expected = rate[groups.code] * exposure
    freedom = np.maximum(n - 1, 0).sum()
    chi_square = np.nansum((values - expected) ** 2 / expected)
    dispersion = max(1.0, chi_square / freedom) if freedom else 1.0
    k, tail = events / dispersion, (1 - CONFIDENCE_LEVEL) / 2
    low = np.where(k > 0, special.gammaincinv(k, tail), 0.0) * dispersion / total
    high = special.gammaincinv(k + 1, 1 - tail) * dispersion / total
    missing = total == 0
    low, high = np.where(missing, np.nan, low), np.where(missing, np.nan, high)
    return rate, low, high, _gamma_poisson(groups, events, total, dispersion)


def _gamma_poisson(groups: _Groups, events: Values, total: Values, dispersion: float) -> Values:
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
    groups: _Groups, mean: Values, shrunk: Values, enough: NDArray[np.bool_]
) -> tuple[Values, Values]:
    """Median of the team's means, and percentile (midrank) among those with enough calls."""
    frame = pd.DataFrame({"team": groups.team, "mean": mean, "shrunk": shrunk})
    median = frame["mean"].where(groups.compared).groupby(frame["team"]).transform("median")
    median = median.where(groups.compared)
    ranked = frame["shrunk"].where(groups.compared & enough).groupby(frame["team"])
    percentile = 100 * (ranked.rank() - 0.5) / ranked.transform("count")
    as_float: Any = np.float64
    return median.to_numpy(as_float), percentile.to_numpy(as_float)
