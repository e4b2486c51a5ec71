"""What people decided: reviews, appeals, goals, notes, examples, and what waits for a decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from pipeline.store import SQL

REVIEWS, APPEALS, APPEAL_STEPS = SQL["reviews"], SQL["appeals"], SQL["appeal_steps"]
GOALS, GOAL_STEPS, NOTES, EXAMPLES = (
    SQL[name] for name in ("goals", "goal_steps", "notes", "examples")
)


def newest_reviews() -> sa.Subquery:
    """The newest review of each item of each call."""
    newest = sa.select(sa.func.max(REVIEWS.c.id)).group_by(REVIEWS.c.call_id, REVIEWS.c.item_id)
    return sa.select(REVIEWS).where(REVIEWS.c.id.in_(newest)).subquery()


def last_review() -> sa.Select[Any]:
    """Number of the newest review of all."""
    return sa.select(sa.func.max(REVIEWS.c.id))


def reviews_of(call_id: str, item_id: str) -> sa.Select[Any]:
    """All reviews of an item of a call, in order."""
    query = sa.select(REVIEWS).where(REVIEWS.c.call_id == call_id, REVIEWS.c.item_id == item_id)
    return query.order_by(REVIEWS.c.id)


def reviews_of_call(call_id: str) -> sa.Select[Any]:
    """All reviews of a call, in order."""
    return sa.select(REVIEWS).where(REVIEWS.c.call_id == call_id).order_by(REVIEWS.c.id)


def appeals_of(call_id: str, item_id: str) -> sa.Select[Any]:
    """All appeals of an item of a call, in order."""
    query = sa.select(APPEALS).where(APPEALS.c.call_id == call_id, APPEALS.c.item_id == item_id)
    return query.order_by(APPEALS.c.id)


def appeal(appeal_id: int) -> sa.Select[Any]:
    """One appeal."""
    return sa.select(APPEALS).where(APPEALS.c.id == appeal_id)


def steps_of(appeal_id: int) -> sa.Select[Any]:
    """The steps of an appeal, in order."""
    query = sa.select(APPEAL_STEPS).where(APPEAL_STEPS.c.appeal_id == appeal_id)
    return query.order_by(APPEAL_STEPS.c.id)


def open_appeals(limit: int) -> sa.Select[Any]:
    """Appeals that wait for an answer, the oldest first, with their call."""
    newest = sa.select(sa.func.max(APPEAL_STEPS.c.id)).group_by(APPEAL_STEPS.c.appeal_id)
    last = sa.select(APPEAL_STEPS.c.appeal_id, APPEAL_STEPS.c.action, APPEAL_STEPS.c.at)
    steps = last.where(APPEAL_STEPS.c.id.in_(newest)).subquery()
    calls = SQL["calls"].c
    asked = sa.func.coalesce(steps.c.at, APPEALS.c.at).label("asked")
    query = (
        sa.select(APPEALS, asked, calls.slug, calls.started_at, calls.agent_name, calls.agent_id)
        .join_from(APPEALS, SQL["calls"], calls.call_id == APPEALS.c.call_id)
        .outerjoin(steps, steps.c.appeal_id == APPEALS.c.id)
    )
    query = query.where(sa.or_(steps.c.action.is_(None), steps.c.action == "again"))
    return query.order_by(asked).limit(limit)


def judged(call_id: str, item_id: str) -> sa.Select[Any]:
    """The machine's verdict on an item of a call."""
    verdicts = SQL["verdicts"]
    return sa.select(verdicts).where(
        verdicts.c.call_id == call_id,
        verdicts.c.item_id == item_id,
        verdicts.c.source == "rubric",
    )


def published(call_id: str) -> sa.Select[Any]:
    """When a call was judged."""
    results = SQL["results"].c
    return sa.select(results.saved_at).where(results.call_id == call_id)


def stale(limit: int) -> sa.Select[Any]:
    """Verdicts of the machine that are other ones than the newest review saw, the newest calls first."""
    calls, verdicts, reviewed = SQL["calls"].c, SQL["verdicts"], newest_reviews()
    same = sa.and_(
        reviewed.c.call_id == verdicts.c.call_id,
        reviewed.c.item_id == verdicts.c.item_id,
        verdicts.c.source == "rubric",
    )
    query = (
        sa.select(
            verdicts.c.call_id, verdicts.c.item_id, verdicts.c.verdict, calls.slug,
            calls.started_at, calls.agent_name, calls.agent_id,
        )
        .join_from(reviewed, verdicts, same)
        .join(SQL["calls"], calls.call_id == verdicts.c.call_id)
        .where(reviewed.c.seen_verdict != verdicts.c.verdict)
    )  # fmt: skip
    order = (calls.started_at.desc().nulls_last(), verdicts.c.call_id, verdicts.c.position)
    return query.order_by(*order).limit(limit)


def newest_week() -> sa.Select[Any]:
    """The newest week that has calls."""
    return sa.select(sa.func.max(SQL["calls"].c.week))


def blind_reviews() -> sa.Select[Any]:
    """What people and the machine said of samples that were judged blind."""
    query = sa.select(REVIEWS.c.item_id, REVIEWS.c.verdict, REVIEWS.c.seen_verdict)
    return query.where(REVIEWS.c.why == "sample")


def goals_of(agent_id: str) -> sa.Select[Any]:
    """The goals of an agent, the newest first."""
    return sa.select(GOALS).where(GOALS.c.agent_id == agent_id).order_by(GOALS.c.id.desc())


def goal(goal_id: int) -> sa.Select[Any]:
    """One goal."""
    return sa.select(GOALS).where(GOALS.c.id == goal_id)


def goal_steps(goal_id: int) -> sa.Select[Any]:
    """What was done with a goal, in order."""
    return sa.select(GOAL_STEPS).where(GOAL_STEPS.c.goal_id == goal_id).order_by(GOAL_STEPS.c.id)


def notes_of(agent_id: str, limit: int) -> sa.Select[Any]:
    """Notes on an agent, the newest first."""
    calls = SQL["calls"].c
    query = sa.select(NOTES, calls.slug).join_from(
        NOTES, SQL["calls"], calls.call_id == NOTES.c.call_id, isouter=True
    )
    return query.where(NOTES.c.agent_id == agent_id).order_by(NOTES.c.id.desc()).limit(limit)


def examples_of(item_id: str, limit: int) -> sa.Select[Any]:
    """Examples of an item, the newest first, of calls that are still there."""
    calls = SQL["calls"].c
    query = sa.select(EXAMPLES, calls.slug, calls.started_at).join_from(
        EXAMPLES, SQL["calls"], calls.call_id == EXAMPLES.c.call_id
    )
    return query.where(EXAMPLES.c.item_id == item_id).order_by(EXAMPLES.c.id.desc()).limit(limit)


def listed(
    table: str, before: int | None, limit: int, equal: Mapping[str, str | None]
) -> sa.Select[Any]:
    """Rows of a table of decisions on visible calls, the newest first, one more than ``limit``.

    ``equal`` narrows by columns of the table; ``agent_id``, where it has none, by that of the call.
    """
    rows, calls = SQL[table], SQL["calls"].c
    query = sa.select(rows)
    if "call_id" in rows.c and "agent_id" not in rows.c:
        query = query.add_columns(calls.slug, calls.agent_id)
        query = query.join_from(rows, SQL["calls"], calls.call_id == rows.c.call_id)
    for name, value in equal.items():
        if value:
            column = rows.c[name] if name in rows.c else calls[name]
            query = query.where(column == value)
    if before is not None:
        query = query.where(rows.c.id < before)
    return query.order_by(rows.c.id.desc()).limit(limit + 1)


def decided(table: str, row: int) -> sa.Select[Any]:
    """One row of a table of decisions."""
    return sa.select(SQL[table]).where(SQL[table].c.id == row)


def steps_of_all(appeal_ids: Sequence[int]) -> sa.Select[Any]:
    """The steps of some appeals, in order."""
    steps = APPEAL_STEPS.c
    return sa.select(APPEAL_STEPS).where(steps.appeal_id.in_(appeal_ids)).order_by(steps.id)
