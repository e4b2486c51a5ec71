"""Scores by the verdicts in force: people's where they reviewed, else the machine's.

Conventions
-----------
``calls.reviewed_score`` is made by the code that makes ``compliance_score``, from the newest review of
each item of the call's rubric and the machine's verdict on the others; where nobody reviewed, both are the
same. ``reviewed_items`` says how many items people reviewed. The tables are given, so that a
migration can use those of its own version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from pipeline.rubric.load import MIN_JUDGED_SHARE
from pipeline.rubric.scoring import Judged, points


def reviewed(
    connection: Connection, tables: Mapping[str, sa.Table], call_ids: Sequence[str]
) -> dict[str, dict[str, str]]:
    """The newest review of each item, by call, of those of the calls that have some."""
    reviews = tables["reviews"].c
    query = sa.select(reviews.call_id, reviews.item_id, reviews.verdict)
    query = query.where(reviews.call_id.in_(call_ids)).order_by(reviews.id)
    found: dict[str, dict[str, str]] = {}
    for call_id, item_id, verdict in connection.execute(query):
        found.setdefault(call_id, {})[item_id] = verdict
    return found


def blind(connection: Connection, tables: Mapping[str, sa.Table]) -> list[tuple[str, str, str]]:
    """Call, item and verdict of the newest blind review of each item of each call, in their order."""
    reviews = tables["reviews"].c
    query = sa.select(reviews.call_id, reviews.item_id, reviews.verdict)
    query = query.where(reviews.why == "sample").order_by(reviews.id)
    found = {(call, item): verdict for call, item, verdict in connection.execute(query)}
    return [(*key, found[key]) for key in sorted(found)]


def merge(connection: Connection, tables: Mapping[str, sa.Table], call_ids: Sequence[str]) -> None:
    """Bring the reviewed score of these calls up to date, of those that people reviewed.

    A call whose rubric is not kept has none: nobody knows any more what would be a veto.
    """
    calls, verdicts, rubrics = tables["calls"], tables["verdicts"], tables["rubrics"]
    by_call = reviewed(connection, tables, call_ids)
    query = sa.select(calls.c.call_id, rubrics.c.body).select_from(
        calls.outerjoin(rubrics, rubrics.c.hash == calls.c.rubric_hash)
    )
    for call_id, body in connection.execute(query.where(calls.c.call_id.in_(by_call))).all():
        judged = sa.select(verdicts.c.item_id, verdicts.c.verdict, verdicts.c.weight).where(
            verdicts.c.call_id == call_id, verdicts.c.source == "rubric"
        )
        rows = connection.execute(judged.order_by(verdicts.c.position)).all()
        known = {item for item, _, _ in rows}
        people = {k: v for k, v in by_call[call_id].items() if k in known}
        score = None if body is None else _score(rows, people, json.loads(body))
        values = {"reviewed_score": score, "reviewed_items": len(people)}
        connection.execute(calls.update().where(calls.c.call_id == call_id).values(values))


def _score(
    rows: Sequence[Any], people: Mapping[str, str], outline: Mapping[str, Any]
) -> float | None:
    vetoes = {item["id"] for item in outline["items"] if item["severity"] == "veto"}
    scored = (
        Judged(people.get(item, verdict), weight, item in vetoes)
        for item, verdict, weight in rows
        if weight
    )
    return points(scored, outline.get("min_judged_share", MIN_JUDGED_SHARE)).score
