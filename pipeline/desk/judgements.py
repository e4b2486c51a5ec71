"""Verdicts of many calls counted, drawn and looked through, from bytes (``pipeline.store.verdict_codes``)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.agents.pool import WeekSums
from pipeline.desk.queries import judged as queries
from pipeline.desk.queries.agents import pooled
from pipeline.desk.queries.filters import Filters
from pipeline.desk.scope import Scope
from pipeline.store.item_weeks import NUMBERS
from pipeline.store.verdict_codes import CODES, DOUBTFUL

PASS, FAIL, CANNOT_TELL = (CODES.index(v) for v in ("pass", "fail", "cannot_tell"))
LOOKED = 5000  # calls that are looked through for what is doubtful


class ItemCount(NamedTuple):
    """Calls with a verdict in force on an item, and how many people reviewed and overturned."""

    calls: int
    reviewed: int
    overturned: int


class Waiting(NamedTuple):
    """A verdict with its call."""

    call_id: str
    item_id: str
    verdict: str
    slug: str
    started_at: str | None
    agent_name: str | None
    agent_id: str | None


OF_CALL = ("call_id", "slug", "started_at", "agent_name", "agent_id")


def _matrices(
    scope: Scope, rows: Sequence[Any]
) -> Iterator[tuple[list[str], list[Any], NDArray[np.uint8]]]:
    """The rows with one list of items: its ids, the rows, and a matrix of rows by items."""
    ids = {row.hash: json.loads(row.ids) for row in scope.rows(queries.items())}
    by_items: dict[str, list[Any]] = {}
    for row in rows:
        by_items.setdefault(row[0], []).append(row)
    for digest, some in by_items.items():
        codes = np.frombuffer(b"".join(bytes(row[1]) for row in some), np.uint8)
        yield ids[digest], some, codes.reshape(len(some), -1)


def item_pool(
    scope: Scope, filters: Filters, team: str | None, weeks: tuple[str, str] | None
) -> tuple[list[str], list[WeekSums]]:
    """The items judged in the calls of a team, and how often each agent passed each in each week.

    By the verdicts in force; the sums are those of :func:`pipeline.measures.pass_rate`, about 0.
    """
    query = None if filters == Filters() else pooled(filters)
    ids, found = scope.item_ids(), scope.item_weeks({"team": team}, weeks, query)
    items = list(dict.fromkeys(i for one in found for i in ids[one.item_list]))
    column = {item: n for n, item in enumerate(items)}
    sums: dict[tuple[str, str | None], NDArray[np.int64]] = {}
    for one in found:
        if one.agent_id is None:
            continue
        of_week = sums.setdefault(
            (one.agent_id, one.week), np.zeros((NUMBERS, len(items)), np.int64)
        )
        of_week[:, [column[i] for i in ids[one.item_list]]] += one.numbers
    total = sum(sums.values(), np.zeros((NUMBERS, len(items)), np.int64))
    judged = np.flatnonzero(total[PASS] + total[FAIL])
    parts = []
    for (agent, week), numbers in sums.items():
        passed, failed = numbers[PASS], numbers[FAIL]
        tried, days = passed + failed, numbers[-3:]
        of_items = np.array([tried, passed, tried, passed, passed, passed, tried, *days])
        named = None if team is None else ("", team)
        calls = float(tried.max(initial=0))
        parts.append(WeekSums(agent, week, None, named, calls, 0.0, of_items[:, judged].T))
    return [items[n] for n in judged], parts


def item_counts(
    scope: Scope, rubric_hash: str, weeks: Sequence[str]
) -> dict[str, dict[str, ItemCount]]:
    """Of each item of a rubric, by verdict in force: calls, and what people reviewed and overturned.

    From the first to the last of some weeks; in all calls where there are none.
    """
    ids, totals = scope.item_ids(), dict[str, NDArray[np.int64]]()
    span = (min(weeks), max(weeks)) if weeks else None
    for one in scope.item_weeks({"rubric_hash": rubric_hash}, span, None):
        total = totals.setdefault(one.item_list, np.zeros(one.numbers.shape, np.int64))
        total += one.numbers
    counts: dict[str, dict[str, NDArray[np.int64]]] = {}
    for digest, numbers in totals.items():
        for code, verdict in enumerate(CODES):
            for item, three in zip(ids[digest], numbers[code : -3 : len(CODES)].T, strict=True):
                of_item = counts.setdefault(item, {})
                of_item[verdict] = of_item.get(verdict, 0) + three
    return {
        item: {v: ItemCount(*three.tolist()) for v, three in of_item.items() if three[0]}
        for item, of_item in counts.items()
    }


def drawn(scope: Scope, week: str, most: int) -> list[Waiting]:
    """Passes and fails of a week by lot, the same for everybody: so many of each item and outcome."""
    query = queries.of_week(queries.codes(Filters(), *OF_CALL), week)
    found: list[tuple[int, Waiting]] = []
    for ids, some, codes in _matrices(scope, scope.rows(scope.calls(query))):
        of_calls = np.array([_lot(f"{week} {row.call_id}") for row in some], np.uint64)
        of_items = np.array([_lot(item) for item in ids], np.uint64)
        lots = _mixed(of_calls[:, None] ^ of_items[None, :])
        for code in (PASS, FAIL):
            for column, item in enumerate(ids):
                rows = np.flatnonzero(codes[:, column] % DOUBTFUL == code)
                chosen = rows[np.argsort(lots[rows, column])[:most]]
                found += [
                    (int(lots[r, column]), _waiting(some[r], item, CODES[code])) for r in chosen
                ]
    return [one for _, one in sorted(found)]


def newest_with(scope: Scope, item: str, verdict: str, most: int) -> list[str]:
    """The newest of ``LOOKED`` calls in which the machine gave a verdict on an item: their ids."""
    query = queries.newest(queries.codes(Filters(), "call_id"), LOOKED)
    found: list[str] = []
    for ids, some, codes in _matrices(scope, scope.rows(scope.calls(query))):
        if item in ids:
            given = codes[:, ids.index(item)] % DOUBTFUL == CODES.index(verdict)
            found += [some[row].call_id for row in np.flatnonzero(given)[:most]]
    return found[:most]


def doubtful(scope: Scope, most: int) -> list[Waiting]:
    """What could not be told or is not sure, and nobody reviewed, in the newest ``LOOKED`` calls."""
    query = queries.newest(queries.codes(Filters(), *OF_CALL), LOOKED)
    found: list[Waiting] = []
    for ids, some, codes in _matrices(scope, scope.rows(scope.calls(query))):
        for row, column in np.argwhere((codes == CANNOT_TELL) | (codes > DOUBTFUL)):
            verdict = CODES[int(codes[row, column]) % DOUBTFUL]
            found.append(_waiting(some[row], ids[column], verdict))
            if len(found) >= 4 * most:
                break
    found = found[: 4 * most]
    done = queries.reviewed_of([one.call_id for one in found], blind=False)
    reviewed = {(row.call_id, row.item_id) for row in scope.rows(done)}
    return [one for one in found if (one.call_id, one.item_id) not in reviewed][:most]


def _waiting(row: Any, item: str, verdict: str) -> Waiting:
    return Waiting(
        row.call_id, item, verdict, row.slug, row.started_at, row.agent_name, row.agent_id
    )


def _lot(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def _mixed(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Spread the bits of numbers evenly (the end of SplitMix64, Steele et al. 2014)."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
