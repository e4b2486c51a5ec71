"""How often each item of the rubric was passed in each agent's calls of a week, by the verdicts in force.

Conventions
-----------
``item_weeks`` has rows for each agent and ISO week, one for each team, rubric and list of items met
there: an array of ``NUMBERS`` by items. It is written with the sums of measures, see
:mod:`pipeline.store.agent_weeks`. In force is the newest review of an item, else the machine's verdict.

The last three numbers are sums over local days of squares and products of how many calls of the day were
judged and passed; calls without a date are days of their own.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray
from sqlalchemy.engine import Connection

from pipeline.store.verdict_codes import CODES, DOUBTFUL

PASS, FAIL = CODES.index("pass"), CODES.index("fail")
NUMBERS = 3 * len(CODES) + 3
"""Calls, reviewed and overturned by verdict in force (``CODES``), then day sums: passed squared, passed
times judged, judged squared."""
KEY = ("agent_id", "week", "team", "rubric_hash", "item_list")


class ItemWeek(NamedTuple):
    """What was judged of one agent in one week, team and rubric; ``numbers`` are ``NUMBERS`` by items."""

    agent_id: str | None
    week: str | None
    team: str | None
    rubric_hash: str | None
    item_list: str
    numbers: NDArray[np.integer[Any]]


def columns() -> Sequence[sa.Column[Any]]:
    """The columns of the table."""
    return (
        sa.Column("place", sa.Text, primary_key=True),  # of agent_week_sums
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.Text) for name in KEY),
        sa.Column("numbers", sa.LargeBinary, nullable=False),  # zlib, uint32
    )


def pack(place: str, parts: Iterable[ItemWeek]) -> list[dict[str, Any]]:
    """The rows of an agent and week."""
    return [
        {"place": place, "number": i, **{name: getattr(one, name) for name in KEY}}
        | {"numbers": zlib.compress(one.numbers.astype("<u4").tobytes(), 1)}
        for i, one in enumerate(parts)
    ]


def kept(connection: Connection, query: sa.Select[Any]) -> Iterator[ItemWeek]:
    """Those of the rows that a query over ``item_weeks`` gives."""
    for row in connection.execute(query):
        numbers = np.frombuffer(zlib.decompress(row.numbers), "<u4")
        agent, week, team, rubric, items = (getattr(row, name) for name in KEY)
        yield ItemWeek(agent, week, team, rubric, items, numbers.reshape(NUMBERS, -1))


def counted(
    connection: Connection, tables: Mapping[str, sa.Table], query: sa.Select[Any]
) -> Iterator[ItemWeek]:
    """What was judged in the calls of a query over ``calls``, from the verdicts themselves."""
    calls, judged, reviews = tables["calls"].c, tables["judged"].c, tables["reviews"].c
    said = query.with_only_columns(
        reviews.call_id, reviews.item_id, reviews.verdict, reviews.seen_verdict
    ).join_from(tables["calls"], tables["reviews"], reviews.call_id == calls.call_id)
    people: dict[str, dict[str, tuple[str, str]]] = {}
    for call_id, item, verdict, seen in connection.execute(said.order_by(reviews.id)):
        people.setdefault(call_id, {})[item] = (verdict, seen)
    ids = item_ids(connection, tables)
    keys = (calls.agent_id, calls.week, calls.team, calls.rubric_hash, judged.item_list)
    rows = query.with_only_columns(
        *keys, calls.call_id, sa.func.substr(calls.started_at, 1, 10), judged.codes
    ).join_from(tables["calls"], tables["judged"], judged.call_id == calls.call_id)
    groups: dict[Any, list[Any]] = {}
    for row in connection.execute(rows):
        groups.setdefault(tuple(row[: len(KEY)]), []).append(row[len(KEY) :])
    for (agent, week, team, rubric, items), some in groups.items():
        numbers = _numbers(ids[items], some, people, is_dated=week is not None)
        yield ItemWeek(agent, week, team, rubric, items, numbers)


def item_ids(connection: Connection, tables: Mapping[str, sa.Table]) -> dict[str, list[str]]:
    """The ids of the items in each list."""
    items = tables["judged_items"]
    return {digest: json.loads(ids) for digest, ids in connection.execute(sa.select(items))}


def _numbers(
    ids: Sequence[str],
    rows: Sequence[tuple[str, str | None, bytes]],
    people: Mapping[str, Mapping[str, tuple[str, str]]],
    *,
    is_dated: bool,
) -> NDArray[np.int64]:
    codes = np.frombuffer(b"".join(bytes(codes) for _, _, codes in rows), np.uint8)
    codes = codes.reshape(len(rows), -1) % DOUBTFUL
    numbers = np.zeros((NUMBERS, len(ids)), np.int64)
    for i, (call_id, _, _) in enumerate(rows):
        for item, (verdict, seen) in people.get(call_id, {}).items():
            if item in ids:
                at, code = ids.index(item), CODES.index(verdict)
                codes[i, at] = code
                numbers[len(CODES) + code, at] += 1
                numbers[2 * len(CODES) + code, at] += verdict != seen
    for code in range(len(CODES)):
        numbers[code] = (codes == code).sum(axis=0)
    days = {day: n for n, day in enumerate(dict.fromkeys(day for _, day, _ in rows))}
    day_of = [days[day] if is_dated else i for i, (_, day, _) in enumerate(rows)]
    passed = np.zeros((max(day_of) + 1, len(ids)), np.int64)
    tried = np.zeros_like(passed)
    np.add.at(passed, day_of, codes == PASS)
    np.add.at(tried, day_of, (codes == PASS) | (codes == FAIL))
    numbers[-3:] = [(passed**2).sum(0), (passed * tried).sum(0), (tried**2).sum(0)]
    return numbers
