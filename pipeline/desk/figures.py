"""The figures of agents for pages: :mod:`pipeline.agents` over what a viewer may see, kept until it changes.

The calls are read once, in parts, into sums by agent and day; weeks are chosen among these. What is
kept holds for one choice of calls and one state of the store, and for all viewers while all see the same.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np

from pipeline.agents import MIN_CALLS, Changes, Compared, Pool, changes
from pipeline.desk.judgements import ItemCount, Waiting, drawn, item_counts, item_days
from pipeline.desk.queries import agents as queries
from pipeline.desk.queries import decisions as decided
from pipeline.desk.queries.filters import Filters
from pipeline.desk.scope import Scope, Select
from pipeline.measures import Pooled, pass_rate

ROWS = 5000  # calls read at a time: far below the time limit of a query
KEPT = 48
PATIENCE = 20.0  # a figure that took long to make is kept so many times as long while calls come in

T = TypeVar("T")


class Weeks(NamedTuple):
    """The ISO weeks a page is about, both included; None stands for all calls, also without dates."""

    first: str
    last: str


class Figures:
    """What was made of the calls of a store, by viewer and filters; safe between threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Hashable, tuple[int, float, Any]] = OrderedDict()
        self._making: dict[Hashable, threading.RLock] = {}
        self._lock = threading.Lock()

    def pool(self, scope: Scope, filters: Filters) -> Pool:
        """All calls of a direction and queue, summed by agent and day."""

        def make() -> Pool:
            pool, last = Pool(), ""
            columns = pool.columns
            while rows := scope.rows(scope.calls(queries.pooled(filters, columns, last, ROWS))):
                values = list(zip(*rows, strict=True))
                pool.add(
                    {
                        name: np.array(column, dtype=np.float64) if i >= 5 else list(column)
                        for i, (name, column) in enumerate(zip(columns, values, strict=False))
                    }
                )
                last = rows[-1].call_id
                if len(rows) < ROWS:
                    break
            return pool

        return self._of(scope, ("pool", filters), make)

    def compared(
        self, scope: Scope, filters: Filters, weeks: Weeks | None, min_calls: int = MIN_CALLS
    ) -> Compared:
        """Every agent in some weeks, beside the team."""

        def make() -> Compared:
            pool = self.pool(scope, filters)
            some = pool if weeks is None else pool.within(*weeks)
            return some.agents(min_calls=min_calls)

        return self._of(scope, ("compared", filters, weeks, min_calls), make)

    def by_week(self, scope: Scope, filters: Filters) -> Compared:
        """Every agent and week."""
        return self._of(scope, ("weeks", filters), lambda: self.pool(scope, filters).weeks())

    def changes(self, scope: Scope, filters: Filters, last: str | None) -> Changes:
        """What changed, as known at the end of a week."""

        def make() -> Changes:
            pool = self.pool(scope, filters)
            return changes((pool if last is None else pool.within("", last)).history())

        return self._of(scope, ("changes", filters, last), make)

    def items(
        self,
        scope: Scope,
        filters: Filters,
        team: str | None,
        weeks: Weeks | None,
        names: Mapping[str, tuple[str, str]],
    ) -> tuple[Compared, tuple[Pooled, ...]]:
        """Pass rates of the items of a rubric (id, names) in a team."""

        def make() -> tuple[Compared, tuple[Pooled, ...]]:
            rows = item_days(scope, filters, team, weeks)
            judged = {row.item_id for row in rows}
            rates = tuple(pass_rate(i, *names[i]) for i in names if i in judged)
            pool = Pool(rates)
            pool.add(_as_calls(rows, [r.name for r in rates], team))
            return pool.agents(), rates

        reviews = scope.rows(decided.last_review())[0][0]
        return self._of(scope, ("items", filters, team, weeks, tuple(names), reviews), make)

    def known(self, scope: Scope, name: str, query: Select) -> Sequence[Any]:
        """Rows of a query over all visible calls that only changes with them, by a name of its own."""
        return self._of(scope, ("rows", name), lambda: scope.rows(scope.calls(query)))

    def item_counts(
        self, scope: Scope, rubric_hash: str, weeks: tuple[str, ...]
    ) -> dict[str, dict[str, ItemCount]]:
        """Verdicts in force on each item of a rubric in some weeks; in all calls where there are none."""
        reviews = scope.rows(decided.last_review())[0][0]
        return self._of(
            scope,
            ("counts", rubric_hash, weeks, reviews),
            lambda: item_counts(scope, rubric_hash, weeks),
        )

    def drawn(self, scope: Scope, week: str, most: int) -> list[Waiting]:
        """What is drawn of a week for blind reviews, those that are done too."""
        return self._of(scope, ("drawn", week, most), lambda: drawn(scope, week, most))

    def _of(self, scope: Scope, key: Hashable, make: Callable[[], T]) -> T:
        """What was made of this state of the store, or made now; others wait only for the same."""
        counter = scope.analysed()
        with self._lock:
            making = self._making.setdefault(key, threading.RLock())
        with making:
            with self._lock:
                known = self._kept.get(key)
                if known is not None and (known[0] == counter or time.monotonic() < known[1]):
                    self._kept.move_to_end(key)
                    self._making.pop(key, None)
                    return cast(T, known[2])
            start = time.monotonic()
            try:
                made = make()
                took = time.monotonic() - start
                until = start + PATIENCE * took if took > 1 else 0.0
                with self._lock:
                    self._kept[key] = (counter, until, made)
                    while len(self._kept) > KEPT:
                        self._kept.popitem(last=False)
            finally:
                with self._lock:
                    self._making.pop(key, None)
            return made


def _as_calls(rows: Iterable[Any], items: list[str], team: str | None) -> dict[str, Any]:
    """Counts by agent and day as calls whose sums are the same: 1 passed, 0 failed, nan not judged.

    Within a day the estimates know only how many calls of it passed, not which.
    """
    days: dict[tuple[str, str | None], dict[str, tuple[int, int]]] = {}
    for row in rows:
        day = row.started_at and row.started_at[:10]
        days.setdefault((row.agent_id, day), {})[row.item_id] = (row.judged, int(row.passed))
    number = [max(judged for judged, _ in day.values()) for day in days.values()]
    values = {item: np.full(sum(number), np.nan) for item in items}
    agents: list[str] = []
    dates: list[str | None] = []
    for (agent, date), of_day, n in zip(days, days.values(), number, strict=True):
        at = len(agents)
        for item, (judged, passed) in of_day.items():
            if item in values:
                values[item][at : at + judged] = 0.0
                values[item][at : at + passed] = 1.0
        agents += [agent] * n
        dates += [date] * n
    teams = [team] * len(agents)
    return {"agent_id": agents, "started_at": dates, "team": teams, **values}
