"""Verdicts of many calls counted, drawn and looked through, from bytes (``pipeline.store.verdict_codes``)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.desk.queries import judged as queries
from pipeline.desk.queries.filters import Filters
from pipeline.desk.scope import Scope
from pipeline.store.verdict_codes import CODES, DOUBTFUL

PASS, FAIL, CANNOT_TELL = (CODES.index(v) for v in ("pass", "fail", "cannot_tell"))
LOOKED = 5000  # calls that are looked through for what is doubtful


class ItemDay(NamedTuple):
    """How often an agent passed an item on a day, of the calls judged."""

    agent_id: str
    started_at: str | None
    item_id: str
    judged: int
    passed: int


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


def item_days(
    scope: Scope, filters: Filters, team: str | None, weeks: tuple[str, str] | None
) -> list[ItemDay]:
    """How often each agent of a team passed each item on each day, by the verdicts in force."""
    query = queries.of_team(queries.codes(filters, "agent_id", "started_at"), team, weeks)
    rows = scope.rows(scope.calls(query))
    counts: dict[tuple[str, str | None, str], list[int]] = {}
    for ids, some, codes in _matrices(scope, rows):
        days = [(row.agent_id, row.started_at and row.started_at[:10]) for row in some]
        number = {day: n for n, day in enumerate(dict.fromkeys(days))}
        at = np.array([number[day] for day in days])
        verdicts = codes % DOUBTFUL
        passed, failed = (np.zeros((len(number), len(ids)), np.int64) for _ in range(2))
        np.add.at(passed, at, verdicts == PASS)
        np.add.at(failed, at, verdicts == FAIL)
        for (agent, day), n in number.items():
            for item, p, f in zip(ids, passed[n].tolist(), failed[n].tolist(), strict=True):
                count = counts.setdefault((agent, day, item), [0, 0])
                count[0] += p
                count[1] += f
    changed = queries.of_team(queries.overruled(filters), team, weeks)
    for row in scope.rows(scope.calls(changed)):
        count = counts.setdefault((row.agent_id, row.day, row.item_id), [0, 0])
        for verdict, by in ((row.machine, -1), (row.person, 1)):
            if verdict in ("pass", "fail"):
                count[("pass", "fail").index(verdict)] += by
    return [ItemDay(*key, p + f, p) for key, (p, f) in counts.items() if p + f]


def item_counts(
    scope: Scope, rubric_hash: str, weeks: Sequence[str]
) -> dict[str, dict[str, ItemCount]]:
    """Of each item of a rubric, by verdict in force: calls, and what people reviewed and overturned.

    In some weeks, read one at a time so that no query takes long; in all calls where there are none.
    """
    counts: dict[str, dict[str, list[int]]] = {}
    changed: list[Any] = []
    for week in weeks or (None,):
        query = queries.of_rubric(queries.codes(Filters()), rubric_hash, week)
        for ids, _, codes in _matrices(scope, scope.rows(scope.calls(query))):
            for code, verdict in enumerate(CODES):
                found = (codes % DOUBTFUL == code).sum(axis=0).tolist()
                for item, n in zip(ids, found, strict=True):
                    if n:
                        counts.setdefault(item, {}).setdefault(verdict, [0, 0, 0])[0] += n
        overruled = queries.of_rubric(queries.overruled(Filters()), rubric_hash, week)
        changed += scope.rows(scope.calls(overruled))
    for row in changed:
        of_item = counts.setdefault(row.item_id, {})
        of_item.setdefault(row.machine, [0, 0, 0])[0] -= 1
        now = of_item.setdefault(row.person, [0, 0, 0])
        now[0] += 1
        now[1] += 1
        now[2] += row.person != row.seen_verdict
    return {i: {v: ItemCount(*n) for v, n in of.items() if n[0]} for i, of in counts.items()}


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
