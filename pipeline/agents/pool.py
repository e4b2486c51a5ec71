"""The sums of the calls of each agent and week, and the tables that are made from them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from pipeline.agents.estimates import STATISTICS, Codes, Groups, Sums, Values, pool
from pipeline.errors import ParameterError
from pipeline.measures import POOLED, Pooled

MIN_CALLS = 10
_log = logging.getLogger(__name__)
_NUMBERS = tuple(dict.fromkeys(name for m in POOLED for name in (m.source, *m.weight)))
DECIMALS = 9
_NAMES = ("agent_name", "team")
COLUMNS = ("agent_id", *_NAMES, "started_at", "status", *_NUMBERS)
"""The columns of the calls table that the agents tables are made from."""


class Pool:
    """The sums of the calls of each agent and week, from which the tables are made."""

    def __init__(self) -> None:
        self._places: dict[tuple[str | None, str | None], int] = {}
        self._sums = np.zeros((len(POOLED), len(Sums._fields), 0))
        self._totals = np.zeros((2, 0))  # calls, and seconds the agent talks
        self._centres = np.full(len(POOLED), np.nan)  # squares are taken about these
        self._newest = {
            n: pd.DataFrame(columns=["agent_id", n, "started_at"], dtype="str") for n in _NAMES
        }

    def add(self, calls: pd.DataFrame) -> None:
        """Add calls.

        Parameters
        ----------
        calls : DataFrame
            ``COLUMNS`` of the calls table. Failed calls are left out; a measure without a column
            is null.
        """
        if "status" in calls:
            calls = calls[calls["status"].ne("failed").fillna(True)]
        absent = [c for c in ("agent_id", *_NAMES, "started_at") if c not in calls]
        calls = calls.assign(**{c: pd.Series(index=calls.index, dtype="str") for c in absent})
        code, keys = _keys(calls)
        places = self._room(keys)
        numbers = {name: _values(calls, name) for name in _NUMBERS}
        totals = (np.ones(len(calls)), np.nan_to_num(numbers["agent_talk_s"]))
        for row, values in enumerate(totals):
            self._totals[row, places] += _sum(code, values, len(keys))
        for row, measure in enumerate(POOLED):
            for at, terms in enumerate(self._terms(row, measure, numbers)):
                self._sums[row, at][places] += _sum(code, terms, len(keys))
        self._remember(calls)

    def agents(self, *, team: str | None = None, min_calls: int = MIN_CALLS) -> pd.DataFrame:
        """The table of :func:`agent_table`."""
        unknown = sum(
            self._totals[0, place] for (agent, _), place in self._places.items() if agent is None
        )
        if unknown:
            text = "%d of %d calls carry no agent_id; they form one row"
            _log.warning(text, unknown, self._totals[0].sum())
        return self._table(["agent_id"], team, min_calls)

    def weeks(self, *, team: str | None = None, min_calls: int = MIN_CALLS) -> pd.DataFrame:
        """The table of :func:`agent_weeks`."""
        return self._table(["agent_id", "week"], team, min_calls)

    def _room(self, keys: Sequence[tuple[str | None, str | None]]) -> Codes:
        """Place of each agent and week in the sums; makes room for new ones."""
        for key in keys:
            self._places.setdefault(key, len(self._places))
        room = self._totals.shape[1]
        if len(self._places) > room:
            more = (0, max(len(self._places), 2 * room) - room)
            self._totals = np.pad(self._totals, ((0, 0), more))
            self._sums = np.pad(self._sums, ((0, 0), (0, 0), more))
        return np.array([self._places[key] for key in keys], dtype=np.intp)

    def _terms(
        self, row: int, measure: Pooled, numbers: Mapping[str, Values]
    ) -> tuple[Values, ...]:
        """What each call adds to each of the sums of a measure; nothing where none is known."""
        values = numbers[measure.source]
        weights = np.ones(len(values))
        if measure.weight:
            weights = (
                sum((numbers[w] for w in measure.weight), np.zeros(len(values)))
                / measure.measure.per_s
            )
        known = np.isfinite(values) & np.isfinite(weights) & (weights > 0)
        if not known.any():
            return ()
        weights = np.where(known, weights, 0.0)
        if measure.measure.pool == "count":
            values = np.where(known, values, 0.0)
            squares = np.divide(values**2, weights, out=np.zeros(len(values)), where=known)
            return known.astype(np.float64), weights, values, squares
        if np.isnan(self._centres[row]):
            self._centres[row] = values[known].mean()
        weighted = weights * (np.where(known, values, 0.0) - self._centres[row])
        return (known.astype(np.float64), weights, weighted, weighted**2, weights * weighted,
                weights**2)  # fmt: skip

    def _remember(self, calls: pd.DataFrame) -> None:
        """Keep of each agent the newest name and team that a call gives."""
        for name in _NAMES:
            said = calls[["agent_id", name, "started_at"]].dropna(subset=["agent_id", name])
            types = pa.schema([(column, pa.string()) for column in said])
            table = pa.Table.from_pandas(said, types, preserve_index=False)
            last = table.group_by(["agent_id", name]).aggregate([("started_at", "max")])
            newest = last.rename_columns(said.columns.to_list()).to_pandas().astype("str")
            both = pd.concat([self._newest[name], newest])
            both = both.sort_values(["started_at", name], na_position="first")
            self._newest[name] = both.drop_duplicates("agent_id", keep="last")

    def _table(self, keys: list[str], team: str | None, min_calls: int) -> pd.DataFrame:
        if min_calls < 1:
            raise ParameterError(f"min_calls is {min_calls}.", "Allowed: 1 or more.")
        parts = pd.DataFrame(list(self._places), columns=["agent_id", "week"], dtype="str")
        for name in _NAMES:
            newest = self._newest[name].set_index("agent_id")[name]
            parts[name] = parts["agent_id"].map(newest).astype("str")
        kept = np.arange(len(parts)) if team is None else np.flatnonzero(parts["team"] == team)
        by = parts.iloc[kept].groupby(keys, dropna=False, sort=True)
        code, size = np.asarray(by.ngroup(), dtype=np.intp), by.ngroups
        rows = by[list(_NAMES)].first().reset_index()
        rivals = rows.groupby(["team", *keys[1:]], dropna=False).ngroup()
        compared = np.asarray(rows["agent_id"].notna(), dtype=bool)
        groups = Groups(np.asarray(rivals, dtype=np.intp), compared)
        calls, talk_s = (_sum(code, t, size) for t in self._totals[:, kept])
        rows["talk_s"] = np.round(talk_s, DECIMALS)
        rows["calls"] = calls.astype(np.int64)
        rows["enough_calls"] = (rows["calls"] >= min_calls) & rows["agent_id"].notna()
        pooled: dict[str, Values] = {}
        for row, measure in enumerate(POOLED):
            sums = [_sum(code, s, size) for s in self._sums[row][:, kept]]
            found = pool(measure, Sums(*sums), self._centres[row], groups, min_calls)
            pooled |= {
                f"{measure.name}_{s}": np.round(v, DECIMALS) + 0.0  # the order of sums shows below
                for s, v in zip(STATISTICS, found, strict=True)
            }
        table = pd.concat([rows, pd.DataFrame(pooled, index=rows.index)], axis=1)[columns(keys)]
        types = {c: "Int64" for c in table if c == "calls" or str(c).endswith("_calls")}
        types |= dict.fromkeys((*keys, *_NAMES), "str")
        table = table.astype(types | {"enough_calls": "boolean"})
        return table.sort_values(["team", *keys], na_position="last").reset_index(drop=True)


def columns(keys: Sequence[str] = ("agent_id",)) -> list[str]:
    """Names of the columns of a table with these keys, in order."""
    first = ["agent_id", "agent_name", "team", *keys[1:], "calls", "talk_s", "enough_calls"]
    return first + [f"{m.name}_{s}" for m in POOLED for s in STATISTICS]


def _keys(calls: pd.DataFrame) -> tuple[Codes, list[tuple[str | None, str | None]]]:
    """Number of its agent and week for each call, and what the numbers stand for."""
    agent, agents = pd.factorize(calls["agent_id"])
    date, dates = pd.factorize(calls["started_at"].str[:10])
    week, weeks = pd.factorize(_weeks(dates))
    week = np.append(week, -1)[date]  # date -1 is none
    pairs, code = np.unique((agent + 1) * (len(weeks) + 1) + week + 1, return_inverse=True)
    agent_of, week_of = np.divmod(pairs, len(weeks) + 1)
    known: list[str | None] = [None, *agents]
    named: list[str | None] = [None, *weeks]
    return code, [(known[a], named[w]) for a, w in zip(agent_of, week_of, strict=True)]


def _weeks(dates: pd.Index[Any]) -> pd.Series[Any]:
    """ISO week of each date; null where it is no date."""
    days = pd.Series(pd.to_datetime(dates, format="%Y-%m-%d", errors="coerce"))
    iso = days.dt.isocalendar()
    year, week = iso["year"].astype("str"), iso["week"].astype("str").str.zfill(2)
    return (year + "-W" + week).where(days.notna())


def _values(calls: pd.DataFrame, name: str) -> Values:
    if name not in calls:
        return np.full(len(calls), np.nan)
    values = calls[name]
    if values.dtype == object:
        values = values.astype("Float64")
    return np.asarray(values.to_numpy(np.float64, na_value=np.nan))


def _sum(code: Codes, values: Values, size: int) -> Values:
    """Sum of the values of each code."""
    return np.bincount(code, values, size).astype(np.float64)
