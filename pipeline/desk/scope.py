"""The one gate to the store: what a viewer may see, and the only use of ``Store`` in the desk.

Until there are accounts the only scope is this machine, which sees everything. A query of the desk is
built by :mod:`pipeline.desk.queries` and passes through :meth:`Scope.calls` where it reads calls,
so that a later scope narrows every page, answer and sound at one place. What is not visible is not
there: it raises :class:`NotFound`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import sqlalchemy as sa

from pipeline.agents import Pool
from pipeline.errors import CallcoachError, ParameterError
from pipeline.schema import CURVES_VERSION, CallResult, Seconds, Turn, Verdict
from pipeline.store import SQL, ItemWeek, Once, Store

HANZI = re.compile(r"[\u4e00-\u9fff]")

Select = sa.Select[Any]

THIS_MACHINE = "this machine"
DESK_WRITES = ("appeals", "goals", "goal_steps", "notes", "examples")
"""Tables that the desk adds rows to without changing a call, each row a change that is counted."""


class NotFound(CallcoachError):
    """What an address names is not there, or this viewer may not see it."""


class Scope:
    """What one viewer may read, and how it is read."""

    def __init__(self, store: Store, viewer: str = THIS_MACHINE, once: Once | None = None) -> None:
        self._store = store
        self._once = once
        self.viewer = viewer

    def calls(self, query: Select) -> Select:
        """A query over ``calls``, narrowed to what the viewer may see."""
        return query

    def rows(self, query: Select) -> Sequence[sa.Row[Any]]:
        """All rows of a query.

        Raises
        ------
        SlowQuery
            If it takes too long.
        """
        return self._store.fetch(query)

    def first(self, query: Select) -> sa.Row[Any] | None:
        """The first row of a query, if any."""
        return next(iter(self._store.fetch(query.limit(1))), None)

    def pool(self, query: Select | None) -> Pool:
        """The calls of a query summed by agent and week; without one, all that the viewer may see."""
        return self._store.pool(None if query is None else self.calls(query))

    def item_weeks(
        self, of: Mapping[str, str | None], weeks: tuple[str, str] | None, query: Select | None
    ) -> list[ItemWeek]:
        """What was judged of each agent, from week to week, of the calls of a query or all.

        ``of`` narrows by ``team`` or ``rubric_hash``.
        """

        def conditions(table: sa.FromClause) -> list[sa.ColumnElement[bool]]:
            found = [table.c[n].is_(None) if v is None else table.c[n] == v for n, v in of.items()]
            return found if weeks is None else [*found, table.c.week.between(*weeks)]

        return self._store.item_weeks(conditions, None if query is None else self.calls(query))

    def item_ids(self) -> Mapping[str, Sequence[str]]:
        """The ids of the items in each list that :meth:`item_weeks` names."""
        return self._store.item_ids()

    def calls_saying(self, wanted: Sequence[Sequence[str]]) -> Any:
        """A subquery with the numbers of calls that may hold a text; to be joined to what may be seen."""
        return self._store.calls_saying(wanted)

    def call(self, slug: str) -> sa.Row[Any]:
        """The row of ``calls`` that an address names.

        Raises
        ------
        NotFound
        """
        calls = SQL["calls"]
        found = self.first(self.calls(sa.select(calls).where(calls.c.slug == slug)))
        if found is None:
            raise NotFound("error.no_call")
        return found

    def result(self, call_id: str) -> CallResult | None:
        """The result of a visible call, with masked words; None where only a failure is known of it.

        A turn that is masked shows what is left of it: no single words, and quotes from it likewise.
        """
        try:
            result = self._store.load(call_id)
        except ParameterError:
            return None
        turns = SQL["turns"].c
        query = sa.select(turns.turn, turns.text_masked).where(
            turns.call_id == call_id, turns.text_masked.is_not(None)
        )
        masked = {row.turn: row.text_masked for row in self._store.fetch(query)}
        return _without_hidden(result, masked) if masked else result

    def hidden(self, call_ids: Iterable[str]) -> Mapping[str, Sequence[Any]]:
        """The masked turns of some calls, by call, for :func:`as_shown`."""
        turns = SQL["turns"].c
        query = sa.select(turns.call_id, turns.start, turns.end, turns.text, turns.text_masked)
        of_calls = turns.call_id.in_(sorted(set(call_ids)))
        found: dict[str, list[Any]] = {}
        for row in self._store.fetch(query.where(of_calls, turns.text_masked.is_not(None))):
            found.setdefault(row.call_id, []).append(row)
        return found

    def sound(self, call_id: str, sha256: str) -> bytes | None:
        """The kept curves of a visible call."""
        return self._store.sound(call_id, sha256, CURVES_VERSION)

    def keep_sound(self, call_id: str, sha256: str, curves: bytes) -> None:
        """Keep curves that were made on demand."""
        self._store.save_sound(call_id, sha256, CURVES_VERSION, curves)

    def document(self, kind: str, digest: str | None) -> Mapping[str, Any] | None:
        """What a hash in ``calls`` stands for (``rubrics`` or ``settings``), if it was kept."""
        table = SQL[kind]
        found = self.first(sa.select(table.c.body).where(table.c.hash == (digest or "")))
        return None if found is None else json.loads(found.body)

    def documents(self, kind: str) -> list[Mapping[str, Any]]:
        """All documents of a kind, in no order that means anything."""
        return [json.loads(body) for (body,) in self.rows(sa.select(SQL[kind].c.body))]

    def changes(self) -> int:
        """A number that is another one after every change of the store."""
        return self._store.changes()

    def analysed(self) -> int:
        """A number that is another one after calls have changed; what the desk itself adds does not count."""
        rows = [
            sa.select(sa.func.count()).select_from(SQL[t]).scalar_subquery() for t in DESK_WRITES
        ]
        added = self.rows(sa.select(sum(rows[1:], rows[0])))[0][0]
        return self._store.changes() - int(added)

    def decide(self, table: str, **values: str | float | None) -> int:
        """Add a decision of this viewer to a table that only grows; returns its id."""
        return self.decide_together([(table, values)])

    def decide_together(self, rows: Sequence[tuple[str, Mapping[str, str | float | None]]]) -> int:
        """Add several decisions of this viewer, all or none; returns the id of the last."""
        return self._store.decide_together(self.viewer, rows, once=self._once)

    def decided(self) -> tuple[str, int] | None:
        """Table and id of what this very request decided when it came before."""
        return None if self._once is None else self._store.decided(self._once)

    def note(self, action: str, object_: str, detail: str = "") -> None:
        """Write into the audit what this viewer did."""
        self._store.note(self.viewer, action, object_, detail)


def _without_hidden(result: CallResult, masked: Mapping[int, str]) -> CallResult:
    """A result as it may be shown, ``masked`` texts by number of the turn."""
    hidden = [
        Masked(t.start, t.end, t.text, masked[t.turn])
        for t in (*result.turns, *result.aside)
        if t.turn in masked
    ]

    def shown(turns: Sequence[Turn]) -> tuple[Turn, ...]:
        return tuple(
            replace(t, text=masked[t.turn], words=()) if t.turn in masked else t for t in turns
        )

    return replace(
        result,
        turns=shown(result.turns),
        aside=shown(result.aside),
        verdicts=tuple(as_shown(v, hidden) for v in result.verdicts),
    )


class Masked(NamedTuple):
    """A turn of which some words are not shown."""

    start: Seconds
    end: Seconds
    text: str
    text_masked: str


def _masked_note(note: str, hidden: Sequence[Any]) -> str:
    for turn in hidden:
        if turn.text and turn.text in note:
            note = note.replace(turn.text, turn.text_masked)
        for piece in re.split(r"[:;：；“”…]\s*", note):
            words = piece.strip()
            if len(words) > 1 and HANZI.search(words) and words in turn.text:
                note = note.replace(words, turn.text_masked)
    return note


def as_shown(verdict: Verdict, hidden: Sequence[Any]) -> Verdict:
    """A verdict whose quote is the masked turn, where it is from one of these masked turns.

    What its note repeats of a masked turn is masked as well.
    """
    if verdict.note:
        verdict = replace(verdict, note=_masked_note(verdict.note, hidden))
    quote = verdict.quote
    if not quote:
        return verdict
    start = verdict.trigger_start if verdict.start is None else verdict.start
    end = verdict.trigger_end if verdict.start is None else verdict.end
    for turn in hidden:
        is_then = start is not None and start < turn.end and (end or start) >= turn.start
        if is_then or quote in turn.text or turn.text in quote:
            said = (verdict.matched or "").startswith("detail ")  # a number, a name
            matched = None if said else verdict.matched
            return replace(verdict, quote=turn.text_masked, matched=matched)
    return verdict
