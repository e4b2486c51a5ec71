"""Agents compared fairly: pooled measures with intervals, shrinkage and the place in the team.

Conventions
-----------
``pipeline.measures`` says how each measure of the calls table is pooled over an agent's calls. Per measure
``m`` the tables carry ``m_calls`` (calls with a value), ``m_mean``, ``m_low`` and ``m_high`` (95 %
interval), ``m_shrunk`` (the mean drawn towards the team, the more so the fewer the calls),
``m_team_median`` and ``m_percentile`` (0-100, midrank of ``m_shrunk`` among the team's agents with
enough calls; high means much, not good). An agent's comparison group is the team; where the team's
agents differ no more than chance explains, all are shrunk to one value and tie.

Calls without ``agent_id`` form one row with a null ``agent_id``, which is compared with nobody.

All this follows from a few sums per agent, week and measure, which calls are added to in
parts: memory grows with the agents and weeks, not with the calls. A week is written ``2026-W11``
(ISO 8601), by the local date of ``started_at`` as it is written there.

Parts: ``pool`` sums and tables; ``estimates`` the statistics.
"""

from __future__ import annotations

import pandas as pd

from pipeline.agents.estimates import STATISTICS
from pipeline.agents.pool import COLUMNS, MIN_CALLS, Pool, columns
from pipeline.measures import POOLED

__all__ = [
    "COLUMNS",
    "MIN_CALLS",
    "POOLED",
    "STATISTICS",
    "Pool",
    "agent_table",
    "agent_weeks",
    "columns",
]


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
    pool = Pool()
    pool.add(calls)
    return pool.agents(team=team, min_calls=min_calls)


def agent_weeks(
    calls: pd.DataFrame, *, team: str | None = None, min_calls: int = MIN_CALLS
) -> pd.DataFrame:
    """Pool the calls of each agent and ISO week; the comparison is with the team in that week.

    Calls without a readable date form the row of a null week. Parameters, columns and errors
    otherwise as in :func:`agent_table`.
    """
    pool = Pool()
    pool.add(calls)
    return pool.weeks(team=team, min_calls=min_calls)
