"""The tables of agents and weeks as data frames (pandas), for exports and analysts.

Per measure ``m`` the tables carry the ``STATISTICS``: ``m_calls`` (calls with a value), ``m_mean``,
``m_low`` and ``m_high`` (95 % interval), ``m_shrunk`` with ``m_shrunk_low`` and ``m_shrunk_high``,
``m_reliability`` (0-1), ``m_team_median`` (of the agents with enough calls), ``m_percentile`` (0-100,
midrank of ``m_shrunk`` among the team's agents with enough calls and a reliability of 0.7; high
means much, not good), ``m_state`` (see :mod:`pipeline.agents.comparison`), and where a change
stands (see :mod:`pipeline.agents.change`; in ``agents`` as of the newest week, in ``agent_weeks`` as
of that week) ``m_change_since``, its first week, and ``m_change``, its size.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from pipeline.agents.case_mix import By, CaseMix
from pipeline.agents.change import Changes, changes
from pipeline.agents.pool import DECIMALS, KIND_TEXTS, MIN_CALLS, NAMES, Pool
from pipeline.measures import POOLED

STATISTICS = (
    "calls", "mean", "low", "high", "shrunk", "shrunk_low", "shrunk_high", "reliability",
    "team_median", "percentile", "state", "change_since", "change",
)  # fmt: skip
AgentTable = Literal["agents", "agent_weeks"]
AGENT_TABLES: tuple[AgentTable, ...] = ("agents", "agent_weeks")
SUSPECTS_SHOWN = 5
TEXTS = ("agent_id", *NAMES, "started_at", "status", *KIND_TEXTS)
COLUMNS = Pool().columns
"""The columns of the calls table that the tables of agents are made from."""
_KEYS = ("agent_id", *NAMES, "week", "adjusted_for")
_NUMBERS = (frozenset(COLUMNS) | {"duration"}) - frozenset(TEXTS)
_log = logging.getLogger(__name__)


def agent_table(
    calls: pd.DataFrame,
    *,
    team: str | None = None,
    min_calls: int = MIN_CALLS,
    adjust: Sequence[By] = (),
) -> pd.DataFrame:
    """Pool the calls of each agent.

    Parameters
    ----------
    calls : DataFrame
        The calls table. Failed calls are left out; a measure without a column is null.
    team : str, optional
        Only the agents of this team.
    min_calls : int
        Calls from which on an agent is compared with its team.
    adjust : sequence of By
        What kinds of calls to adjust for: see :mod:`pipeline.agents.case_mix`.

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
    mix = CaseMix(adjust)
    if adjust:
        mix.add(values_of(calls))
    pool = Pool(shift=mix.fit() if adjust else None)
    pool.add(values_of(calls))
    return frame_of_pool(pool, "agents", team=team, min_calls=min_calls)


def agent_weeks(
    calls: pd.DataFrame, *, team: str | None = None, min_calls: int = MIN_CALLS
) -> pd.DataFrame:
    """Pool the calls of each agent and ISO week, beside the team the agent was in that week.

    Calls without a readable date form the row of a null week. Parameters, columns and errors
    otherwise as in :func:`agent_table`.
    """
    pool = Pool()
    pool.add(values_of(calls))
    return frame_of_pool(pool, "agent_weeks", team=team, min_calls=min_calls)


def frame_of_pool(
    pool: Pool,
    table: AgentTable,
    *,
    team: str | None = None,
    min_calls: int = MIN_CALLS,
    watched: Changes | None = None,
) -> pd.DataFrame:
    """The table of a pool; parameters as in :func:`agent_table`.

    ``watched``, if they are known already: the changes of its history.
    """
    if table == "agents":
        found = pool.agents(team=team, min_calls=min_calls)
        _warn(pool)
    else:
        found = pool.weeks(team=team, min_calls=min_calls)
    keys = ["agent_id"] if table == "agents" else ["agent_id", "week"]
    data: dict[str, Any] = {
        "agent_id": found.agent_id,
        "agent_name": found.agent_name,
        "team": found.team,
        "week": found.week,
        "calls": found.calls,
        "talk_s": np.round(found.talk_s, DECIMALS),
        "enough_calls": found.enough_calls,
        "adjusted_for": [pool.shift.name if pool.shift else None] * len(found.agent_id),
    }
    watched = changes(pool.history()) if watched is None else watched
    weeks = [w or "" for w in found.week] if table == "agent_weeks" else found.week
    row, column = watched.at(found.agent_id, weeks)
    dated = column >= 0
    for name, e in found.of.items():
        numbers = [s for s in STATISTICS if s in e._fields]
        data |= {f"{name}_{s}": np.round(getattr(e, s), DECIMALS) + 0.0 for s in numbers}
        data[f"{name}_state"] = found.state[name]
        since, size = np.full(len(row), -1, dtype=np.intp), np.full(len(row), np.nan)
        since[dated] = watched.of[name].since[row[dated], column[dated]]
        size[dated] = watched.of[name].size[row[dated], column[dated]]
        data[f"{name}_change_since"] = [watched.weeks[s] if s >= 0 else None for s in since]
        data[f"{name}_change"] = np.round(size, DECIMALS)
    names = columns(keys, [m.name for m in pool.measures])
    types = {c: "Int64" for c in names if c == "calls" or c.endswith("_calls")}
    types |= {c: "str" for c in names if c in _KEYS or c.endswith(("_state", "_change_since"))}
    types["enough_calls"] = "boolean"
    typed = {n: pd.array(data[n], types[n]) if n in types else data[n] for n in names}
    return pd.DataFrame(typed)


def columns(
    keys: Sequence[str] = ("agent_id",), measures: Iterable[str] | None = None
) -> list[str]:
    """Names of the columns of a table with these keys, in order."""
    first = ["agent_id", "agent_name", "team", *keys[1:], "calls", "talk_s", "enough_calls"]
    first.append("adjusted_for")
    names = [m.name for m in POOLED] if measures is None else measures
    return first + [f"{m}_{s}" for m in names for s in STATISTICS]


def values_of(calls: pd.DataFrame) -> dict[str, Any]:
    """The columns of a frame as :meth:`Pool.add` takes them."""
    found: dict[str, Any] = {}
    for name in calls.columns:
        values = calls[name]
        if name in TEXTS:
            found[name] = values.astype(object).where(values.notna(), None).tolist()
        elif name in _NUMBERS:
            if values.dtype == object:
                values = values.astype("Float64")
            found[name] = values.to_numpy(np.float64, na_value=np.nan)
    found.setdefault("agent_id", [None] * len(calls))
    return found


def _warn(pool: Pool) -> None:
    without, calls = pool.unnamed_calls
    if without:
        _log.warning("%d of %d calls carry no agent_id; they form one row", without, calls)
    if suspects := pool.suspects():
        alike = "; ".join(", ".join(f'"{i}"' for i in ids) for ids in suspects[:SUSPECTS_SHOWN])
        text = "%d agent ids differ only in case, width or blanks and are kept apart: %s"
        _log.warning(text, len(suspects), alike)
