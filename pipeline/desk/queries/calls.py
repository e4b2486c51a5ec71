"""Lists of calls, the newest first, by key and not by number of page."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pipeline.desk.queries.filters import Filters
from pipeline.desk.refusals import Refused
from pipeline.store import SQL

MOST_COUNTED = 10_000
_SHOWN = (
    "call_id", "slug", "started_at", "duration", "agent_id", "agent_name", "team", "direction",
    "queue", "status", "error", "warnings", "preset", "speaker_source", "compliance_score",
    "reviewed_score", "reviewed_items",
    "outside_score", "agent_speaking_rate", "agent_interruptions", "holds", "dead_air",
)  # fmt: skip


def newest(
    filters: Filters, after: str | None, limit: int, columns: Sequence[str] = _SHOWN
) -> sa.Select[Any]:
    """The newest calls after a cursor, and one more than ``limit`` to tell whether that is all.

    ``columns`` hold ``started_at`` and ``call_id``, which name the place in the list.

    Raises
    ------
    ParameterError
        If the cursor is none.
    """
    calls = SQL["calls"].c
    chosen = sa.select(*(calls[name] for name in dict.fromkeys(columns)))
    query = filters.apply(chosen, newest_first=True)
    if after:
        query = query.where(_follows(*_read_cursor(after)))
    order = (calls.started_at.desc().nulls_last(), calls.call_id.desc())
    return query.order_by(*order).limit(limit + 1)


def counted(filters: Filters) -> sa.Select[Any]:
    """How many calls pass, counted up to one more than ``MOST_COUNTED``."""
    some = filters.apply(sa.select(SQL["calls"].c.call_id)).limit(MOST_COUNTED + 1).subquery()
    return sa.select(sa.func.count()).select_from(some)


def choices(column: str) -> sa.Select[Any]:
    """The values of a column of ``calls`` to choose from, in order."""
    values = SQL["calls"].c[column]
    return sa.select(values).where(values.is_not(None)).distinct().order_by(values).limit(1000)


def agents() -> sa.Select[Any]:
    """Id and newest name of every agent."""
    calls = SQL["calls"].c
    query = sa.select(calls.agent_id, sa.func.max(calls.agent_name).label("agent_name"))
    query = query.where(calls.agent_id.is_not(None)).group_by(calls.agent_id)
    return query.order_by(calls.agent_id).limit(1000)


def cursor(row: sa.Row[Any]) -> str:
    """What names the place of a row in the list."""
    key = json.dumps([row.started_at, row.call_id]).encode()
    return base64.urlsafe_b64encode(key).decode().rstrip("=")


def _read_cursor(text: str) -> tuple[str | None, str]:
    try:
        started_at, call_id = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if not (isinstance(call_id, str) and isinstance(started_at, str | None)):
            raise ValueError(text)
    except (ValueError, TypeError, binascii.Error) as cause:
        raise Refused("after", "after") from cause
    return started_at, call_id


def _follows(started_at: str | None, call_id: str) -> sa.ColumnElement[bool]:
    calls = SQL["calls"].c
    if started_at is None:
        return sa.and_(calls.started_at.is_(None), calls.call_id < call_id)
    same = sa.and_(calls.started_at == started_at, calls.call_id < call_id)
    return sa.or_(calls.started_at < started_at, same, calls.started_at.is_(None))


def of_slug(slug: str) -> sa.Select[Any]:
    """The id of the call that an address names."""
    return sa.select(SQL["calls"].c.call_id).where(SQL["calls"].c.slug == slug)


def newest_ids(limit: int) -> sa.Select[Any]:
    """The ids of the newest calls."""
    calls = SQL["calls"].c
    return sa.select(calls.call_id).order_by(calls.started_at.desc().nulls_last()).limit(limit)
