"""Outside scores within the store: which calls have some, and what they change there.

Conventions
-----------
``outside_scores`` keeps the imported rows, one group per file, whatever is analysed again. Where a
call has some, its verdicts with source ``outside``, its ``outside_score`` and its
``outside_agreement`` are made from them, and take the place of those within the stored result.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from statistics import fmean
from typing import Any

import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from pipeline.qa_scores import reading as outside
from pipeline.schema import CallResult, Verdict, from_json
from pipeline.store.migrations import SQL
from pipeline.store.rows import clean, typed, unpack

OUTSIDE_POSITION = 1_000_000  # outside verdicts come after those of the rubric


def replace_file(connection: Connection, file: str, joined: outside.Joined) -> list[str]:
    """Put the rows of one imported file in place of its earlier ones; returns the calls concerned."""
    table = SQL["outside_scores"]
    of_file = table.c.file == clean(file)
    calls = sa.select(table.c.call_id).where(of_file, table.c.call_id.is_not(None)).distinct()
    rows = [
        typed("outside_scores", {"file": file, **{str(k): v for k, v in record.items()}})
        for record in joined.rows.astype(object).to_dict("records")
    ]
    concerned = set(connection.scalars(calls))
    connection.execute(table.delete().where(of_file))
    if rows:
        connection.execute(table.insert(), rows)
    return sorted(concerned.union(connection.scalars(calls)))


def merge(connection: Connection, call_ids: Sequence[str]) -> None:
    """Bring the outside verdicts, score and agreement of these calls up to date."""
    scores, calls, verdicts = SQL["outside_scores"], SQL["calls"], SQL["verdicts"]
    of_these = verdicts.c.call_id.in_(call_ids)
    connection.execute(verdicts.delete().where(of_these, verdicts.c.source == "outside"))
    usable = sa.select(scores).where(scores.c.call_id.in_(call_ids), scores.c.problem.is_(None))
    found = connection.execute(usable.order_by(scores.c.file, scores.c.row)).mappings().all()
    rows = [
        typed("verdicts", {**row, "source": "outside"}) | {"position": OUTSIDE_POSITION + i}
        for i, row in enumerate(r for r in found if r["item_id"] is not None)
    ]
    if rows:
        connection.execute(verdicts.insert(), rows)
    columns = ("call_id", "item_id", "source", "verdict")
    judged = connection.execute(sa.select(*(verdicts.c[c] for c in columns)).where(of_these)).all()
    agreement = outside.call_agreement(pd.DataFrame.from_records(judged, columns=columns))
    overall: dict[str, list[float]] = {}
    for row in found:
        if row["item_id"] is None and row["score"] is not None:
            overall.setdefault(row["call_id"], []).append(row["score"])
    update = calls.update().where(calls.c.call_id == sa.bindparam("of_call"))
    connection.execute(
        update,
        [
            {
                "of_call": call_id,
                "outside_score": fmean(overall[call_id]) if call_id in overall else None,
                "outside_agreement": agreement.get(call_id),
            }
            for call_id in call_ids
        ],
    )


def results_of(connection: Connection, rows: Sequence[Any]) -> list[CallResult]:
    """Rebuild results, with what the outside scores have changed since they were saved."""
    calls, verdicts = SQL["calls"], SQL["verdicts"]
    have_scores = scored(connection, [row.call_id for row in rows])
    judged: dict[str, list[Verdict]] = {call_id: [] for call_id in have_scores}
    measures: dict[str, dict[str, float | None]] = {}
    if have_scores:
        query = sa.select(verdicts).where(
            verdicts.c.call_id.in_(have_scores), verdicts.c.source == "outside"
        )
        for row in connection.execute(query.order_by(verdicts.c.call_id, verdicts.c.position)):
            judged[row.call_id].append(from_json(Verdict, row._mapping))
        kept = sa.select(calls.c.call_id, calls.c.outside_score, calls.c.outside_agreement)
        for call_id, score, agreement in connection.execute(
            kept.where(calls.c.call_id.in_(have_scores))
        ):
            measures[call_id] = {"outside_score": score, "outside_agreement": agreement}
    results = []
    for row in rows:
        result = unpack(row.payload)
        if row.call_id in have_scores:
            own = tuple(v for v in result.verdicts if v.source == "rubric")
            result = dataclasses.replace(
                result,
                verdicts=own + tuple(judged[row.call_id]),
                measures={**result.measures, **measures[row.call_id]},
            )
        results.append(result)
    return results


def scored(connection: Connection, call_ids: Sequence[str]) -> set[str]:
    """Those of the calls that have outside scores."""
    column = SQL["outside_scores"].c.call_id
    return set(connection.scalars(sa.select(column).where(column.in_(call_ids)).distinct()))
