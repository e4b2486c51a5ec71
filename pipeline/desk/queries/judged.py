"""Verdicts of many calls at once, as bytes (``pipeline.store.verdict_codes``), and what people said of some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pipeline.desk.queries.decisions import newest_reviews
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


def overruled(filters: Filters) -> sa.Select[Any]:
    """What people said of items of calls, beside what the machine says."""
    calls, verdicts, reviewed = SQL["calls"].c, SQL["verdicts"].c, newest_reviews()
    same = sa.and_(
        reviewed.c.call_id == verdicts.call_id,
        reviewed.c.item_id == verdicts.item_id,
        verdicts.source == "rubric",
    )
    query = (
        sa.select(
            calls.agent_id, sa.func.substr(calls.started_at, 1, 10).label("day"), verdicts.item_id,
            verdicts.verdict.label("machine"), reviewed.c.verdict.label("person"),
            reviewed.c.seen_verdict,
        )
        .join_from(reviewed, SQL["calls"], calls.call_id == reviewed.c.call_id)
        .join(SQL["verdicts"], same)
    )  # fmt: skip
    return filters.apply(query)


def of_team(
    query: sa.Select[Any], team: str | None, weeks: tuple[str, str] | None
) -> sa.Select[Any]:
    """Narrow to calls with an agent, of one team and some weeks."""
    calls = SQL["calls"].c
    query = query.where(
        calls.agent_id.is_not(None), calls.team.is_(None) if team is None else calls.team == team
    )
    return query if weeks is None else query.where(calls.week.between(*weeks))


def of_rubric(query: sa.Select[Any], rubric_hash: str, week: str | None) -> sa.Select[Any]:
    """Narrow to calls judged by a rubric, in a week where one is given."""
    calls = SQL["calls"].c
    query = query.where(calls.rubric_hash == rubric_hash)
    return query if week is None else query.where(calls.week == week)


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
