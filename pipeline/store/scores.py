"""Outside scores within the store: which calls have some, and what they change there.

Conventions
-----------
``outside_scores`` keeps the imported rows in the order in which they came, whatever is analysed
again; a row takes the place of one that says the same judgement. Where a call has some, its
verdicts with source ``outside``, its ``outside_score`` and its ``outside_agreement`` are made from
them, and take the place of those within the stored result.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from pipeline.schema import CallResult, Verdict, from_json
from pipeline.store.migrations import SQL
from pipeline.store.rows import typed, unpack

if TYPE_CHECKING:
    import pandas as pd

OUTSIDE_POSITION = 1_000_000  # outside verdicts come after those of the rubric
FULL_MARKS = 100.0  # of an overall score
AT_ONCE = 500  # values in one statement
_NAMES = ("call_id", "given_call_id", "recording")
_JUDGEMENT = (*_NAMES, "item_id", "reviewer", "scored_at")


def add(connection: Connection, rows: pd.DataFrame) -> list[str]:
    """Add imported rows in place of those that say the same judgement; returns the calls concerned.

    A judgement is known by call (or what the row calls it), item, reviewer and time; rows of one
    import that name no call and read the same are all kept.
    """
    table = SQL["outside_scores"]
    last = connection.scalar(sa.select(sa.func.max(table.c.position)))
    added: dict[tuple[Any, ...], dict[str, Any]] = {}
    for record in rows.astype(object).where(rows.notna(), None).to_dict("records"):
        row = typed("outside_scores", {str(k): v for k, v in record.items()})
        key = _judgement(row)
        if row["call_id"] is None:  # several may be called 听录音
            key += row["file"], row["row"]
        added.pop(key, None)
        added[key] = row
    named = {_unmatched(row) for row in added.values()}
    columns = [table.c[name] for name in ("position", *_JUDGEMENT)]
    given = sorted({row[name] for row in added.values() for name in _NAMES if row[name]})
    replaced = []
    for first in range(0, len(given), AT_ONCE):
        names = given[first : first + AT_ONCE]
        of_these = sa.or_(*(table.c[name].in_(names) for name in _NAMES))
        replaced += [
            row["position"]
            for row in connection.execute(sa.select(*columns).where(of_these)).mappings()
            if _judgement(row) in added or (row["call_id"] is None and _unmatched(row) in named)
        ]
    for first in range(0, len(replaced), AT_ONCE):
        some = replaced[first : first + AT_ONCE]
        connection.execute(table.delete().where(table.c.position.in_(some)))
    numbered = [
        row | {"position": position}
        for position, row in enumerate(added.values(), start=(-1 if last is None else last) + 1)
    ]
    if numbered:
        connection.execute(table.insert(), numbered)
    return sorted({row["call_id"] for row in numbered if row["call_id"]})


def pending(connection: Connection) -> pd.DataFrame:
    """The rows that lacked nothing but their call when they were imported, as they were read."""
    import pandas as pd

    from pipeline.qa_scores import is_missing_call

    table = SQL["outside_scores"]
    query = sa.select(table).where(table.c.call_id.is_(None)).order_by(table.c.position)
    found = connection.execute(query).mappings().all()
    rows = [
        {**row, "call_id": row["given_call_id"], "problem": None}
        for row in found
        if is_missing_call(row["problem"] or "")
    ]
    columns = [c.name for c in table.c if c.name not in ("given_call_id", "position")]
    return pd.DataFrame(rows, columns=columns, dtype=object)


def _judgement(row: Mapping[Any, Any]) -> tuple[str | None, ...]:
    if row["call_id"] is None:
        return _unmatched(row)
    return tuple(row[name] for name in ("call_id", "item_id", "reviewer", "scored_at"))


def _unmatched(row: Mapping[Any, Any]) -> tuple[str | None, ...]:
    return tuple(row[name] for name in _JUDGEMENT[1:])


def merge(connection: Connection, call_ids: Sequence[str]) -> None:
    """Bring the outside verdicts, score and agreement of these calls up to date."""
    import pandas as pd

    from pipeline import qa_scores as outside

    scores, calls, verdicts = SQL["outside_scores"], SQL["calls"], SQL["verdicts"]
    of_these = verdicts.c.call_id.in_(call_ids)
    connection.execute(verdicts.delete().where(of_these, verdicts.c.source == "outside"))
    usable = sa.select(scores).where(scores.c.call_id.in_(call_ids), scores.c.problem.is_(None))
    found = outside.newest(connection.execute(usable.order_by(scores.c.position)).mappings().all())
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
            share = row["score"] / (row["max_score"] or FULL_MARKS)
            overall.setdefault(row["call_id"], []).append(round(share * FULL_MARKS, 6))
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
        result = unpack(row.call_id, row.payload)
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
