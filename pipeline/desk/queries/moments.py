"""Events worth hearing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pipeline.desk.queries.filters import Filters
from pipeline.store import SQL


def longest_events(
    filters: Filters,
    agent_id: str,
    weeks: tuple[str, str] | None,
    kinds: Sequence[str],
    limit: int,
) -> sa.Select[Any]:
    """The longest events of some kinds in the calls of an agent, not those of the customer."""
    calls, events = SQL["calls"].c, SQL["events"].c
    query: sa.Select[Any] = sa.select(
        calls.slug, calls.started_at, events.kind, events.start, events.end, events.seconds
    )
    query = query.join_from(SQL["calls"], SQL["events"], calls.call_id == events.call_id)
    query = filters.apply(query).where(
        calls.agent_id == agent_id,
        events.kind.in_(kinds),
        events.superseded.is_not(True),
        sa.or_(events.by.is_(None), events.by != "customer"),
    )
    if weeks is not None:
        query = query.where(calls.week.between(*weeks))
    return query.order_by(events.seconds.desc(), calls.call_id).limit(limit)
