"""What the figures of agents are made from, and what an agent's page lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from pipeline.desk.queries.decisions import newest_reviews
from pipeline.desk.queries.filters import Filters
from pipeline.store import SQL


def pooled(filters: Filters) -> sa.Select[Any]:
    """The calls that are pooled."""
    return filters.apply(sa.select(SQL["calls"].c.call_id))


def _with_reviews(query: sa.Select[Any], reviewed: sa.Subquery) -> sa.Select[Any]:
    verdicts = SQL["verdicts"].c
    same = sa.and_(reviewed.c.call_id == verdicts.call_id, reviewed.c.item_id == verdicts.item_id)
    return query.outerjoin(reviewed, same)


def evidence(
    filters: Filters, agent_id: str, weeks: tuple[str, str] | None, limit: int
) -> sa.Select[Any]:
    """The newest judged verdicts of an agent, with the verdict in force as ``in_force``."""
    calls, verdicts, reviewed = SQL["calls"].c, SQL["verdicts"], newest_reviews()
    verdict = sa.func.coalesce(reviewed.c.verdict, verdicts.c.verdict)
    names = ("call_id", "item_id", "source", "verdict", "speaker", "start", "end", "quote", "matched", "note",
             "evidence", "trigger_start", "trigger_end", "probability")  # fmt: skip
    columns = (verdicts.c[name] for name in names)
    query = sa.select(calls.slug, calls.started_at, verdict.label("in_force"), *columns)
    query = query.join_from(SQL["calls"], verdicts, calls.call_id == verdicts.c.call_id)
    query = _with_reviews(query, reviewed)
    query = filters.apply(query).where(
        calls.agent_id == agent_id,
        verdicts.c.source == "rubric",
        verdict.in_(("pass", "fail")),
    )
    if weeks is not None:
        query = query.where(calls.week.between(*weeks))
    order = (calls.started_at.desc().nulls_last(), calls.call_id.desc(), verdicts.c.position)
    return query.order_by(*order).limit(limit)


def calls_of(
    filters: Filters,
    agent_id: str,
    weeks: tuple[str, str] | None,
    columns: Sequence[str],
    limit: int,
) -> sa.Select[Any]:
    """The newest calls of an agent with some columns."""
    calls = SQL["calls"].c
    names = ("slug", "started_at", "duration", "preset", "speaker_source", "compliance_score",
             "reviewed_score", "reviewed_items",
             "outside_score", "agent_speaking_rate", "agent_interruptions", "hold_s")  # fmt: skip
    query = filters.apply(sa.select(*(calls[n] for n in dict.fromkeys((*names, *columns)))))
    query = query.where(calls.agent_id == agent_id, calls.status != "failed")
    if weeks is not None:
        query = query.where(calls.week.between(*weeks))
    return query.order_by(calls.started_at.desc().nulls_last(), calls.call_id.desc()).limit(limit)


def heard_by(
    filters: Filters, agent_id: str | None, team: str | None, weeks: tuple[str, str] | None
) -> sa.Select[Any]:
    """By which presets, rubrics and ways of telling speakers apart some calls were heard."""
    calls = SQL["calls"].c
    how = (calls.preset, calls.rubric_hash, calls.speaker_source)
    query = filters.apply(sa.select(*how, sa.func.count().label("calls")))
    query = query.where(calls.status != "failed")
    if agent_id is not None:
        query = query.where(calls.agent_id == agent_id)
    if team is not None:
        query = query.where(calls.team == team)
    if weeks is not None:
        query = query.where(calls.week.between(*weeks))
    return query.group_by(*how).order_by(sa.func.count().desc())
