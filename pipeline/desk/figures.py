"""The figures of agents for pages: :mod:`pipeline.agents` over what a viewer may see, kept until it changes.

They are made from the sums by agent and week that the store keeps; where a direction or queue is chosen,
the calls are read. What is kept here holds for one choice of calls and one state of the store, and for all
viewers while all see the same.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

from pipeline.agents import MIN_CALLS, Compared, Pool, changes
from pipeline.desk.judgements import ItemCount, Waiting, drawn, item_counts, item_pool
from pipeline.desk.queries import agents as queries
from pipeline.desk.queries import decisions as decided
from pipeline.desk.queries.filters import Filters
from pipeline.desk.scope import Scope, Select
from pipeline.measures import Pooled, pass_rate

KEPT = 48
# A figure that takes so many s to make is kept so many times as long while calls come in.
SLOW_S, PATIENCE = 0.2, 20.0
DEFAULT_WEEKS = 13  # the newest ones, where no others are asked for

T = TypeVar("T")
Standing = Mapping[str, tuple[str, float, float, float]]
"""Changes of an agent that stand: by measure the week since, size, low, high."""


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
            return scope.pool(None if filters == Filters() else queries.pooled(filters))

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

    def by_week(self, scope: Scope, filters: Filters, measures: Sequence[str]) -> Compared:
        """Some measures of every agent and week; kept where it is one: of all it would be large."""

        def make() -> Compared:
            return self.pool(scope, filters).only(measures).weeks()

        return (
            self._of(scope, ("weeks", filters, *measures), make) if len(measures) == 1 else make()
        )

    def changes(self, scope: Scope, filters: Filters, last: str | None) -> Mapping[str, Standing]:
        """What has changed with each agent, as known at the end of a week: see :meth:`Changes.now`."""

        def make() -> Mapping[str, Standing]:
            pool = self.pool(scope, filters)
            if last is not None and pool.known_weeks[-1:] > [last]:
                pool = pool.within("", last)
            found = changes(pool.history())
            return {agent: found.now(agent) for agent in found.agent_id if agent is not None}

        return self._of(scope, ("changes", filters, last), make)

    def warm(self, scope: Scope) -> None:
        """Make what the first pages show of all calls, before somebody asks for it."""
        pool = self.pool(scope, Filters())
        known = pool.known_weeks[-DEFAULT_WEEKS:]
        weeks = Weeks(known[0], known[-1]) if known else None
        for shown in (weeks, None):
            self.compared(scope, Filters(), shown)
        if weeks is not None:
            self.changes(scope, Filters(), weeks.last)

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
            judged, parts = item_pool(scope, filters, team, weeks)
            rates = tuple(pass_rate(i, *names[i]) for i in names if i in judged)
            rows = [judged.index(rate.name) for rate in rates]
            of_rates = [part._replace(sums=part.sums[rows]) for part in parts]
            return Pool.of(of_rates, len(parts), 0.0, rates).agents(), rates

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
            begun = time.thread_time()  # work: another process may take the rest of the time
            try:
                made = make()
                took = time.thread_time() - begun
                until = time.monotonic() + PATIENCE * took if took > SLOW_S else 0.0
                with self._lock:
                    self._kept[key] = (counter, until, made)
                    while len(self._kept) > KEPT:
                        self._kept.popitem(last=False)
            finally:
                with self._lock:
                    self._making.pop(key, None)
            return made
