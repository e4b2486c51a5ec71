"""The sums of each agent's calls of a week, kept so that pages over many calls need not read them.

Conventions
-----------
``agent_week_sums`` has a row for each agent and ISO week that has calls: the sums of
:class:`pipeline.agents.pool.WeekSums`, about 0, and what they were made by (``BY``). Whatever changes a
call calls :func:`mark` in its own transaction, before and after: the row then says that it is made by
nothing. :func:`renew` sums such weeks anew from their calls, so that nothing drifts; until then
:func:`pool` reads those calls themselves. A failed call counts nowhere, here as in a pool.

A row is locked from when it is marked, or looked at to be renewed, to the end of the transaction: so a
call that is written meanwhile either is in the sums, or marks them again. What was judged is kept
beside them in ``item_weeks``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection

from pipeline.agents.estimates import Sums
from pipeline.agents.pool import Pool, WeekSums
from pipeline.measures import POOLED
from pipeline.store import item_weeks, packed
from pipeline.store.item_weeks import ItemWeek
from pipeline.store.rows import to_batch
from pipeline.store.tables import columns_of

ABOUT = 0.0
AT_ONCE = 200  # agents and weeks summed in one transaction, and ids in one statement
ROWS = 1000  # calls read at a time
SHAPE = (len(POOLED), len(Sums._fields))
MADE_AS = 1  # to be raised when the same measures are summed otherwise
_MEASURED = [(p.name, p.source, p.weight, p.given, p.measure.pool, p.measure.per_s) for p in POOLED]
BY = hashlib.sha256(repr((MADE_AS, _MEASURED)).encode()).hexdigest()[:16]


def columns() -> Sequence[sa.Column[Any]]:
    """The columns of the table."""
    return (
        sa.Column("place", sa.Text, primary_key=True),  # agent and week as JSON
        sa.Column("agent_id", sa.Text),
        sa.Column("week", sa.Text),
        sa.Column("made_by", sa.Text),  # null: calls have changed since
        sa.Column("newest", sa.Text),  # name and team, each with the start of the call, as JSON
        sa.Column("sums", sa.LargeBinary),  # calls, s of talk, then measures by sums; float64
    )


def mark(connection: Connection, tables: Mapping[str, sa.Table], call_ids: Sequence[str]) -> None:
    """Say that these calls are about to change, or have changed."""
    calls = tables["calls"].c
    places: set[tuple[str | None, str | None]] = set()
    for first in range(0, len(call_ids), AT_ONCE):
        some = call_ids[first : first + AT_ONCE]
        query = sa.select(calls.agent_id, calls.week).where(calls.call_id.in_(some))
        places |= {(agent, week) for agent, week in connection.execute(query)}
    _mark(connection, tables, places)


def mark_all(connection: Connection, tables: Mapping[str, sa.Table]) -> None:
    """Say that all calls have changed."""
    calls = tables["calls"].c
    query = sa.select(calls.agent_id, calls.week).distinct()
    _mark(connection, tables, {(agent, week) for agent, week in connection.execute(query)})


def _mark(
    connection: Connection,
    tables: Mapping[str, sa.Table],
    places: set[tuple[str | None, str | None]],
) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    insert = dialect.insert(tables["agent_week_sums"])
    insert = insert.on_conflict_do_update(
        index_elements=["place"],
        set_={"made_by": None},
        where=tables["agent_week_sums"].c.made_by.is_not(None),
    )
    rows = [
        {"place": json.dumps(place, ensure_ascii=False), "agent_id": place[0], "week": place[1]}
        for place in places
    ]
    if rows:  # in one order, so that two writers do not wait for each other
        connection.execute(insert, sorted(rows, key=lambda row: str(row["place"])))


def any_stale(connection: Connection, tables: Mapping[str, sa.Table]) -> bool:
    """Whether calls have changed since their weeks were summed."""
    sums = tables["agent_week_sums"]
    found = connection.execute(sa.select(sums.c.place).where(_is_stale(sums)).limit(1))
    return found.first() is not None


def renew(connection: Connection, tables: Mapping[str, sa.Table]) -> bool:
    """Sum some weeks anew whose calls have changed; whether there were any."""
    sums = tables["agent_week_sums"]
    query = sa.select(sums.c.place, sums.c.agent_id, sums.c.week).where(_is_stale(sums))
    stale = connection.execute(query.order_by(sums.c.place).limit(AT_ONCE).with_for_update()).all()
    if not stale:
        return False
    made = {(one.agent_id, one.week): one for one in _summed(connection, tables, stale)}
    _renew_items(connection, tables, stale)
    table = sums.update().where(sums.c.place == sa.bindparam("at"))
    rows = [
        {
            "at": row.place,
            "made_by": BY,
            "newest": json.dumps((one.newest_name, one.newest_team), ensure_ascii=False),
            "sums": np.array([one.calls, one.talk_s, *one.sums.ravel()]).tobytes(),
        }
        for row in stale
        if (one := made.get((row.agent_id, row.week))) is not None
    ]
    if rows:
        connection.execute(table, rows)
    gone = [row.place for row in stale if (row.agent_id, row.week) not in made]
    connection.execute(sums.delete().where(sums.c.place.in_(gone)))
    return True


def _renew_items(
    connection: Connection, tables: Mapping[str, sa.Table], stale: Sequence[Any]
) -> None:
    items = tables["item_weeks"]
    connection.execute(items.delete().where(items.c.place.in_([row.place for row in stale])))
    found: dict[tuple[str | None, str | None], list[ItemWeek]] = {}
    for query, _ in _calls_of(tables, stale):
        for one in item_weeks.counted(connection, tables, query):
            found.setdefault((one.agent_id, one.week), []).append(one)
    rows = [
        row
        for place in stale
        for row in item_weeks.pack(place.place, found.get((place.agent_id, place.week), ()))
    ]
    if rows:
        connection.execute(items.insert(), rows)


def items(
    connection: Connection,
    tables: Mapping[str, sa.Table],
    conditions: Callable[[sa.FromClause], Sequence[sa.ColumnElement[bool]]],
) -> list[ItemWeek]:
    """What was judged, from what is kept; that of weeks that are not summed yet is counted itself.

    ``conditions`` are those on ``agent_id``, ``week``, ``team`` and ``rubric_hash`` of a table.
    """
    sums, kept = tables["agent_week_sums"], tables["item_weeks"]
    fresh = sa.select(kept).join(sums, sums.c.place == kept.c.place).where(~_is_stale(sums))
    fresh = fresh.where(*conditions(kept)).order_by(kept.c.place, kept.c.number)
    found = list(item_weeks.kept(connection, fresh))
    stale = connection.execute(sa.select(sums.c.agent_id, sums.c.week).where(_is_stale(sums))).all()
    for query, _ in _calls_of(tables, stale):
        some = query.where(*conditions(tables["calls"]))
        found += item_weeks.counted(connection, tables, some)
    return found


def pool(connection: Connection, tables: Mapping[str, sa.Table]) -> Pool:
    """All calls, from their sums; those of weeks that are not summed yet are read themselves."""
    sums = tables["agent_week_sums"]
    query = sa.select(sums.c.place, sums.c.agent_id, sums.c.week).where(_is_stale(sums))
    fresh = list(_summed(connection, tables, connection.execute(query).all()))
    known = connection.scalar(sa.select(sa.func.count()).where(~_is_stale(sums))) or 0

    def parts() -> Iterator[WeekSums]:
        yield from fresh
        columns = (sums.c.agent_id, sums.c.week, sums.c.newest, sums.c.sums)
        rows = sa.select(*columns).where(~_is_stale(sums)).order_by(sums.c.place)
        for agent, week, newest, body in connection.execute(
            rows, execution_options={"yield_per": ROWS}
        ):
            name, team = (tuple(one) if one else None for one in json.loads(newest))
            numbers = np.frombuffer(body)
            calls, talk_s = numbers[:2].tolist()
            yield WeekSums(agent, week, name, team, calls, talk_s, numbers[2:].reshape(SHAPE))

    return Pool.of(parts(), len(fresh) + known, ABOUT)


def _is_stale(sums: sa.Table) -> sa.ColumnElement[bool]:
    return sa.or_(sums.c.made_by.is_(None), sums.c.made_by != BY)


def _summed(
    connection: Connection, tables: Mapping[str, sa.Table], places: Sequence[Any]
) -> Iterator[WeekSums]:
    """The sums of some agents and weeks (``agent_id``, ``week``) from their calls."""
    for query, is_dated in _calls_of(tables, places):
        found = Pool(about=ABOUT)
        read(connection, tables, query, found, is_dated=is_dated)
        yield from found.week_sums()


def _calls_of(
    tables: Mapping[str, sa.Table], places: Sequence[Any]
) -> Iterator[tuple[sa.Select[Any], bool]]:
    """Queries of the calls of some agents and weeks: of each agent those with a week, and those without."""
    calls = tables["calls"].c
    weeks_of: dict[str | None, list[str | None]] = {}
    for place in places:
        weeks_of.setdefault(place.agent_id, []).append(place.week)
    for agent, weeks in weeks_of.items():
        of_agent = calls.agent_id.is_(None) if agent is None else calls.agent_id == agent
        query = sa.select(calls.call_id).where(of_agent)
        if dated := [week for week in weeks if week is not None]:
            yield query.where(calls.week.in_(dated)), True
        if None in weeks:
            yield query.where(calls.week.is_(None)), False


def read(
    connection: Connection,
    tables: Mapping[str, sa.Table],
    query: sa.Select[Any],
    into: Pool,
    *,
    is_dated: bool = True,
) -> None:
    """Add the calls of a query over ``calls`` to a pool, in the order of their ids; dated or not."""
    calls = tables["calls"]
    chosen = [c for c in columns_of("calls") if c.name in into.columns]
    query = query.where(calls.c.status.is_distinct_from("failed")).order_by(calls.c.call_id)
    is_sqlite = connection.dialect.name == "sqlite"
    what = (
        packed.select(calls, chosen) if is_sqlite else sa.select(*(calls.c[c.name] for c in chosen))
    )
    query = query.with_only_columns(*what.selected_columns)
    for rows in connection.execute(query, execution_options={"yield_per": ROWS}).partitions():
        batch = packed.to_batch(chosen, [rows]) if is_sqlite else to_batch(chosen, rows)
        values = {
            name: column.to_pylist()
            if pa.types.is_string(column.type)
            else column.cast(pa.float64()).to_numpy(zero_copy_only=False)
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        }
        into.add(values if is_dated else values | {"started_at": [None] * len(rows)})
