"""Pass rates of items, runs and failures, and words that were said."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from pipeline.desk.queries.decisions import newest_reviews
from pipeline.desk.queries.filters import Filters
from pipeline.store import SQL


def item_counts(rubric_hash: str, week_from: str | None) -> sa.Select[Any]:
    """Of each item of a rubric: verdicts in force, and how many people overturned."""
    calls, verdicts, reviewed = SQL["calls"].c, SQL["verdicts"].c, newest_reviews()
    verdict = sa.func.coalesce(reviewed.c.verdict, verdicts.verdict)
    overturned = sa.case((reviewed.c.verdict != reviewed.c.seen_verdict, 1), else_=0)
    same = sa.and_(reviewed.c.call_id == verdicts.call_id, reviewed.c.item_id == verdicts.item_id)
    query = sa.select(
        verdicts.item_id,
        verdict.label("verdict"),
        sa.func.count().label("calls"),
        sa.func.count(reviewed.c.id).label("reviewed"),
        sa.func.sum(overturned).label("overturned"),
    ).join_from(SQL["calls"], SQL["verdicts"], calls.call_id == verdicts.call_id)
    query = query.outerjoin(reviewed, same).where(
        verdicts.source == "rubric", calls.rubric_hash == rubric_hash
    )
    if week_from is not None:
        query = query.where(calls.week >= week_from)
    return query.group_by(verdicts.item_id, verdict)


def weeks() -> sa.Select[Any]:
    """The weeks that have calls, the newest first."""
    week = SQL["calls"].c.week
    return sa.select(week).where(week.is_not(None)).distinct().order_by(week.desc()).limit(200)


def of_item(item_id: str, verdict: str, limit: int) -> sa.Select[Any]:
    """The newest verdicts of an item of one kind, with their calls."""
    calls, verdicts = SQL["calls"].c, SQL["verdicts"]
    query = sa.select(calls.slug, calls.started_at, verdicts)
    query = query.join_from(verdicts, SQL["calls"], calls.call_id == verdicts.c.call_id)
    query = query.where(
        verdicts.c.item_id == item_id,
        verdicts.c.verdict == verdict,
        verdicts.c.source == "rubric",
    )
    return query.order_by(calls.started_at.desc().nulls_last(), calls.call_id).limit(limit)


def runs(limit: int) -> sa.Select[Any]:
    """The newest runs."""
    return sa.select(SQL["runs"]).order_by(SQL["runs"].c.run.desc()).limit(limit)


def failures() -> sa.Select[Any]:
    """Failures by kind, the commonest first, with an example of the words."""
    f = SQL["failures"].c
    number = sa.func.count().label("n")
    query = sa.select(
        f.error_type, f.stage, number, sa.func.min(f.message).label("message"),
        sa.func.min(f.hint).label("hint"), sa.func.min(f.call_id).label("call_id"),
    ).group_by(f.error_type, f.stage)  # fmt: skip
    return query.order_by(number.desc()).limit(100)


def said(filters: Filters, text: str, speaker: str | None, limit: int) -> sa.Select[Any]:
    """The newest turns in which a text was said; what may mean more in LIKE means itself."""
    calls, turns = SQL["calls"].c, SQL["turns"].c
    words = sa.func.coalesce(turns.text_masked, turns.text)
    query: sa.Select[Any] = sa.select(
        turns.call_id, turns.turn, turns.speaker, turns.start, turns.end, words.label("text"),
        calls.slug, calls.started_at, calls.agent_name, calls.agent_id,
    ).join_from(SQL["calls"], SQL["turns"], calls.call_id == turns.call_id)  # fmt: skip
    query = filters.apply(query).where(words.contains(text, autoescape=True))
    if speaker is not None:
        query = query.where(turns.speaker == speaker)
    order = (calls.started_at.desc().nulls_last(), calls.call_id, turns.turn)
    return query.order_by(*order).limit(limit)


def around(call_id: str, turn: int) -> sa.Select[Any]:
    """The turns before and after one of a call."""
    turns = SQL["turns"].c
    words = sa.func.coalesce(turns.text_masked, turns.text).label("text")
    query = sa.select(turns.turn, turns.speaker, words)
    return query.where(turns.call_id == call_id, turns.turn.between(turn - 1, turn + 1)).order_by(
        turns.turn
    )
