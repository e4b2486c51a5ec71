"""Pass rates of items, runs and failures, and words that were said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pipeline.desk.queries.filters import Filters
from pipeline.store import SQL


def weeks() -> sa.Select[Any]:
    """The weeks that have calls, the newest first."""
    week = SQL["calls"].c.week
    return sa.select(week).where(week.is_not(None)).distinct().order_by(week.desc()).limit(200)


def of_item(item_id: str, call_ids: Sequence[str]) -> sa.Select[Any]:
    """The verdicts on an item in some calls, with their calls, the newest first."""
    calls, verdicts = SQL["calls"].c, SQL["verdicts"]
    query = sa.select(calls.slug, calls.started_at, verdicts)
    query = query.join_from(verdicts, SQL["calls"], calls.call_id == verdicts.c.call_id)
    query = query.where(
        verdicts.c.call_id.in_(call_ids),
        verdicts.c.item_id == item_id,
        verdicts.c.source == "rubric",
    )
    return query.order_by(calls.started_at.desc().nulls_last(), calls.call_id)


def runs(limit: int, before: int | None = None) -> sa.Select[Any]:
    """The newest runs, of those before one where it is given."""
    table = SQL["runs"]
    query = sa.select(table).order_by(table.c.run.desc()).limit(limit)
    return query if before is None else query.where(table.c.run < before)


def failed_calls(after: str | None, limit: int) -> sa.Select[Any]:
    """Ids of calls whose recordings failed, in order, after one where it is given; one more than ``limit``."""
    call_id = SQL["failures"].c.call_id
    query = sa.select(call_id).distinct().order_by(call_id).limit(limit + 1)
    return query if after is None else query.where(call_id > after)


def failures_of(call_ids: Sequence[str]) -> sa.Select[Any]:
    """What went wrong with some calls, without where their recordings lie."""
    table = SQL["failures"]
    names = ("call_id", "stage", "error_type", "message", "hint")
    query = sa.select(*(table.c[name] for name in names)).where(table.c.call_id.in_(call_ids))
    return query.order_by(table.c.call_id, table.c.path, table.c.position)


def failures() -> sa.Select[Any]:
    """Failures by kind, the commonest first, with an example of the words."""
    f = SQL["failures"].c
    number = sa.func.count().label("n")
    query = sa.select(
        f.error_type, f.stage, number, sa.func.min(f.message).label("message"),
        sa.func.min(f.hint).label("hint"), sa.func.min(f.call_id).label("call_id"),
    ).group_by(f.error_type, f.stage)  # fmt: skip
    return query.order_by(number.desc()).limit(100)


def said_in(
    filters: Filters, hits: sa.Subquery, before: int | None, between: tuple[int, int], limit: int
) -> sa.Select[Any]:
    """The newest calls of those found in the index of what was said, after a number of that index."""
    calls, said = SQL["calls"].c, SQL["said"].c
    query = filters.apply(
        sa.select(
            hits.c.doc,
            calls.call_id,
            calls.slug,
            calls.started_at,
            calls.agent_name,
            calls.agent_id,
        )
        .join_from(hits, SQL["said"], said.doc == hits.c.doc)
        .join(SQL["calls"], calls.call_id == said.call_id)
    )
    query = query.where(hits.c.doc.between(*between))
    if before is not None:
        query = query.where(hits.c.doc < before)
    return query.order_by(hits.c.doc.desc()).limit(limit)


def turns_of(call_ids: Sequence[str]) -> sa.Select[Any]:
    """What was said in some calls, masked where it is to be, in order."""
    turns = SQL["turns"].c
    words = sa.func.coalesce(turns.text_masked, turns.text).label("text")
    query = sa.select(
        turns.call_id, turns.turn, turns.speaker, turns.start, turns.end, words
    ).where(turns.call_id.in_(call_ids))
    return query.order_by(turns.call_id, turns.turn)
