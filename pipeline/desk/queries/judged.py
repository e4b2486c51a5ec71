"""Verdicts of many calls at once, as bytes (``pipeline.store.verdict_codes``), and what people said of some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pipeline.desk.queries.filters import Filters
from pipeline.store import SQL


def codes(filters: Filters, *columns: str) -> sa.Select[Any]:
    """Items and bytes of each call, before some columns of it."""
    calls, judged = SQL["calls"].c, SQL["judged"].c
    chosen = (judged.item_list, judged.codes, *(calls[name] for name in columns))
    query: sa.Select[Any] = sa.select(*chosen)
    query = query.join_from(SQL["calls"], SQL["judged"], calls.call_id == judged.call_id)
    return filters.apply(query)


def items() -> sa.Select[Any]:
    """The ids of the items behind each hash."""
    return sa.select(SQL["judged_items"])


def of_week(query: sa.Select[Any], week: str) -> sa.Select[Any]:
    """Narrow to one week."""
    return query.where(SQL["calls"].c.week == week)


def newest(query: sa.Select[Any], limit: int) -> sa.Select[Any]:
    """The newest calls."""
    return query.order_by(SQL["calls"].c.started_at.desc()).limit(limit)


def reviewed_of(call_ids: Sequence[str] | None, *, blind: bool) -> sa.Select[Any]:
    """Call and item of what people reviewed, blind or at all."""
    reviews = SQL["reviews"].c
    query = sa.select(reviews.call_id, reviews.item_id)
    query = query.where(reviews.why == "sample") if blind else query
    return query if call_ids is None else query.where(reviews.call_id.in_(call_ids))
