"""The store of results: write a call, read calls and tables, one run at a time."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from pipeline.agents.pool import Pool
from pipeline.errors import Conflict, OutputError, ParameterError, nearest
from pipeline.io import files
from pipeline.schema import CallResult, Failure, Recording, Seconds
from pipeline.store import (
    agent_weeks,
    database,
    item_weeks,
    known_recordings,
    migrations,
    packed,
    reviewed,
    runs,
    said,
    scores,
    verdict_codes,
)
from pipeline.store.item_weeks import ItemWeek
from pipeline.store.known_recordings import Basis, Known
from pipeline.store.lock import Holder, Lock, acquire, lock_of
from pipeline.store.migrations import DECIDED, KEYS, SQL
from pipeline.store.rows import (
    clean,
    failed_call_row,
    failure_row,
    frame_of,
    rows_of,
    sound_row,
    to_batch,
)
from pipeline.store.runs import Run, State
from pipeline.store.tables import Column, columns_of

if TYPE_CHECKING:
    import pandas as pd

BATCH_ROWS = 20_000
FETCH_ROWS = 1000  # at a time: more of them no longer fit the processor's cache
RESULT_ROWS = 100
PRINT_ROWS, PRINT_CALLS = 5000, 500  # at a time
QUERY_S = 2.0  # a page waits no longer for one query

T = TypeVar("T")
Conditions = Callable[[sa.FromClause], Sequence[sa.ColumnElement[bool]]]


class Once(NamedTuple):
    """A request that is carried out once: the key it came with, and a hash of what it asks."""

    key: str
    digest: str


class Store:
    """One database of results, from :meth:`open`; a context manager that closes it."""

    def __init__(self, engine: Engine, pinned: Connection | None = None) -> None:
        self._engine = engine
        self._pinned = pinned
        self._lock: Lock | None = None

    @classmethod
    def open(cls, target: str | Path, *, create: bool = True) -> Store:
        """Open the store and bring its tables up to date.

        Parameters
        ----------
        target : str or Path
            A file, a folder (its ``callcoach.db``), or a ``postgresql://`` or ``sqlite:///`` URL.
        create : bool
            Whether a file that is not there is made; if not, the store need not be writable.

        Raises
        ------
        OutputError
            If it cannot be created, opened or written, is no store, or is of a newer program.
        """
        url = database.address(target, create)
        with database.explained(url):
            engine = database.connect(url)
        try:
            with database.explained(url):
                migrations.migrate(engine)
                if create:
                    migrations.check_writable(engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine)

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def exclusive(self, *, wait: bool = False) -> Iterator[None]:
        """Hold the right to write for a whole run; readers go on meanwhile.

        It ends with the process however that ends, and is taken again when a server has been
        restarted.

        Parameters
        ----------
        wait : bool
            Whether to wait until another run has ended.

        Raises
        ------
        OutputError
            If another run writes; says who it is. Within it, writing raises this if a server was
            restarted and another run was faster.
        """
        with database.explained(self._engine.url):
            lock = lock_of(self._engine)
            acquire(lock, self._engine, wait=wait)
        self._lock = lock
        try:
            yield
        finally:
            self._lock = None
            lock.release()

    def writer(self) -> Holder | None:
        """The process that holds :meth:`exclusive` now, or None."""
        with database.explained(self._engine.url):
            return lock_of(self._engine).holder()

    @contextmanager
    def snapshot(self) -> Iterator[Store]:
        """Give a view of the store in which nothing changes while it is read, whoever writes."""
        with self._streaming() as connection:
            yield Store(self._engine, connection)

    # --- writing --------------------------------------------------------------------------------

    def save(self, result: CallResult, *, stamp: str = "") -> None:
        """Write one call; earlier rows of the call are replaced.

        ``stamp`` is that of the file it was read from, see :meth:`known`.

        Raises
        ------
        OutputError
            If the database cannot be written. Nothing of the call has changed then.
        """
        rows = rows_of(result, database.now())
        call_id = clean(result.recording.call_id)
        given = [
            (v["item_id"], v["verdict"], v["confidence"])
            for v in rows["verdicts"]
            if v["source"] == "rubric"
        ]
        spoken = [(t["speaker"], t["text_masked"] or t["text"]) for t in rows["turns"]]

        def write(connection: Connection) -> None:
            _resolve(connection, call_id, result.recording.path)
            agent_weeks.mark(connection, SQL, [call_id])
            for name, group in rows.items():
                table = SQL[name]
                connection.execute(table.delete().where(table.c.call_id == call_id))
                if group:
                    connection.execute(table.insert(), group)
            known_recordings.remember(connection, result.recording, stamp)
            if scores.scored(connection, [call_id]):
                scores.merge(connection, [call_id])
            reviewed.merge(connection, SQL, [call_id])
            said.index(connection, SQL, call_id, result.recording.started_at, spoken)
            verdict_codes.write(connection, SQL, call_id, given)
            agent_weeks.mark(connection, SQL, [call_id])

        self._write(call_id, write)

    def save_failure(self, failure: Failure, recording: Recording | None = None) -> None:
        """Write that a recording could not be analysed; ``recording`` fills in its metadata.

        An earlier good result of the same call is kept, and ``calls.error`` then says so. The row
        stays until the recording at this place succeeds, that of an id until another is given. A
        call of the same id at another place is left as it is.
        """
        call_id = clean(failure.call_id)
        known = recording or Recording(path=failure.path, call_id=call_id)
        calls, failures, results = SQL["calls"], SQL["failures"], SQL["results"]
        path = clean(files.shown(failure.path))
        earlier = sa.select(results.c.call_id).where(results.c.call_id == call_id)
        place = sa.select(calls.c.path).where(calls.c.call_id == call_id)

        def write(connection: Connection) -> None:
            connection.execute(failures.delete().where(failures.c.path == path))
            connection.execute(failures.insert(), [failure_row(call_id, failure)])
            if connection.scalar(place) not in (None, path):
                return
            if connection.scalar(earlier):
                error = f"The newest attempt failed, the earlier result is kept: {failure.message}"
                update = calls.update().where(calls.c.call_id == call_id)
                connection.execute(update.values(error=clean(error)))
                return
            agent_weeks.mark(connection, SQL, [call_id])
            connection.execute(calls.delete().where(calls.c.call_id == call_id))
            connection.execute(calls.insert(), [failed_call_row(known, failure)])
            known_recordings.remember(connection, known, "")
            if scores.scored(connection, [call_id]):
                scores.merge(connection, [call_id])

        self._write(call_id, write)

    def rename(self, names: Mapping[str, str]) -> None:
        """Give calls other ids, from old to new, in every table at once.

        No new id may be that of a call that keeps its own.
        """
        if names:
            self._write("rename", lambda c: known_recordings.rename(c, names))

    def stamp(self, call_id: str, recording: Recording, stamp: str) -> None:
        """Remember the stamp of a file that was found unchanged, and where it is."""
        self._write(clean(call_id), lambda c: known_recordings.remember(c, recording, stamp))

    def resolve(self, path: str) -> None:
        """Remove what is said of a failure at a place whose result holds again.

        An id that could not be given stays so until :meth:`accept_ids`.
        """
        calls, failures = SQL["calls"], SQL["failures"]
        place = clean(files.shown(path))

        def write(connection: Connection) -> None:
            connection.execute(failures.delete().where(failures.c.path == place, ~_refused()))
            connection.execute(calls.update().where(calls.c.path == place).values(error=None))

        self._write(place, write)

    def forget_missing(self) -> None:
        """Remove what is said of names that led nowhere in an earlier run: this one says it anew."""
        calls, failures, results = SQL["calls"], SQL["failures"], SQL["results"]
        nowhere = failures.c.stage == "recordings", failures.c.error_type == "UnreadableAudio"
        rows = self._read(
            lambda c: c.execute(
                sa.select(failures.c.path, failures.c.call_id).where(*nowhere)
            ).all()
        )

        def write(connection: Connection) -> None:
            for path, call_id in rows:
                connection.execute(failures.delete().where(failures.c.path == path))
                here = calls.c.call_id == call_id, calls.c.path == path
                if connection.scalar(
                    sa.select(results.c.call_id).where(results.c.call_id == call_id)
                ):
                    connection.execute(calls.update().where(*here).values(error=None))
                elif connection.scalar(sa.select(calls.c.call_id).where(*here)):
                    agent_weeks.mark(connection, SQL, [call_id])
                    for table in (calls, SQL["recordings"]):
                        connection.execute(table.delete().where(table.c.call_id == call_id))

        if rows:
            self._write("missing", write)

    def failed_places(self) -> set[str]:
        """The places of all recordings that failed."""
        return set(self._read(lambda c: c.scalars(sa.select(SQL["failures"].c.path)).all()))

    def refused_ids(self) -> dict[str, str]:
        """The ids that were given to recordings and are those of others, by place."""
        failures = SQL["failures"].c
        query = sa.select(failures.path, failures.call_id).where(_refused())
        return {row.path: row.call_id for row in self._read(lambda c: c.execute(query).all())}

    def accept_ids(self, paths: Sequence[str]) -> None:
        """Remove what is said of ids of these recordings that could not be given."""
        failures, places = SQL["failures"], [clean(files.shown(path)) for path in paths]

        def write(connection: Connection) -> None:
            for place in places:
                of_this = failures.c.path == place
                connection.execute(failures.delete().where(of_this, _refused()))

        if places:
            self._write("ids", write)

    def save_outside(self, rows: pd.DataFrame) -> None:
        """Write imported outside scores, as :func:`pipeline.qa_scores.join` gives them.

        A row replaces what was imported of the same call, item, reviewer and time, whatever the
        file is called. The verdicts with source ``outside``, ``outside_score`` and
        ``outside_agreement`` of every call concerned are brought up to date. Rows that match no
        call are kept as well.
        """

        def write(connection: Connection) -> None:
            concerned = scores.add(connection, rows)
            agent_weeks.mark(connection, SQL, concerned)
            for first in range(0, len(concerned), RESULT_ROWS):
                scores.merge(connection, concerned[first : first + RESULT_ROWS])

        self._write("outside", write)

    def pending_outside(self) -> pd.DataFrame:
        """Imported rows whose call was not there yet, to be joined again."""
        return self._read(scores.pending)

    def begin_run(self, recordings: int) -> int:
        """Record that a run over so many recordings begins; returns its number.

        Within :meth:`exclusive`, runs that were left ``running`` are marked as stopped.
        """
        started_at, alone = datetime.now(UTC).isoformat(), self._lock is not None
        return self._write("runs", lambda c: runs.begin(c, recordings, started_at, alone=alone))

    def update_run(
        self, run: int, *, done: int, unchanged: int, failed: int, audio_s: Seconds
    ) -> None:
        """Record how far a run has come, in all so far."""
        self._write("runs", lambda c: runs.update(c, run, done, unchanged, failed, audio_s))

    def end_run(self, run: int, state: State) -> None:
        """Record that a run has ended: ``finished`` or ``stopped``."""
        self._write("runs", lambda c: runs.end(c, run, state))

    def keep_document(self, kind: Literal["rubrics", "settings"], digest: str, body: str) -> None:
        """Keep what a hash in ``calls`` stands for; what is kept already stays as it is."""
        table = SQL[kind]
        known = sa.select(table.c.hash).where(table.c.hash == digest)
        if self._read(lambda c: c.scalar(known)) is None:
            row = {"hash": digest, "body": body}
            self._write(f"{kind} {digest}", lambda c: database.insert_once(c, table, row))

    def documents(self, kind: Literal["rubrics", "settings"]) -> list[Any]:
        """All documents of a kind, in no order that means anything."""
        bodies = self._read(lambda c: c.scalars(sa.select(SQL[kind].c.body)).all())
        return [json.loads(body) for body in bodies]

    def save_sound(self, call_id: str, sha256: str, version: int, curves: bytes) -> None:
        """Keep the curves of a call, in place of earlier ones; see ``pipeline.signal.curves``."""
        table, key = SQL["sound"], clean(call_id)
        row = [sound_row(call_id, sha256, version, curves)]

        def write(connection: Connection) -> None:
            connection.execute(table.delete().where(table.c.call_id == key))
            connection.execute(table.insert(), row)

        self._write(f"sound {key}", write)

    def prints(self, call_ids: Sequence[str] | None = None) -> Iterator[Sequence[sa.Row[Any]]]:
        """Rows of ``prints`` in parts, of some calls or of all, in the order of calls."""
        table = SQL["prints"]
        ordered = sa.select(table).order_by(table.c.call_id, table.c.position)

        def rows_of(query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
            return self._read(lambda c: c.execute(query).all())

        if call_ids is not None:
            chosen = sorted({clean(i) for i in call_ids})
            for first in range(0, len(chosen), PRINT_CALLS):
                some = chosen[first : first + PRINT_CALLS]
                yield rows_of(ordered.where(table.c.call_id.in_(some)))
            return
        key = sa.tuple_(table.c.call_id, table.c.position)
        last: tuple[str, int] = ("", -1)
        while rows := rows_of(ordered.where(key > last).limit(PRINT_ROWS)):
            yield rows
            last = (rows[-1].call_id, rows[-1].position)

    def mark_repeated(self, keys: Sequence[tuple[str, int]]) -> None:
        """Keep that these prints (call, position) are heard in other calls as well."""
        table = SQL["prints"]
        update = table.update().where(
            table.c.call_id == sa.bindparam("of_call"), table.c.position == sa.bindparam("at")
        )
        rows = [{"of_call": call_id, "at": position} for call_id, position in keys]
        if rows:
            self._write("prints", lambda c: c.execute(update.values(repeated=True), rows))

    def note(self, actor: str, action: str, object_: str, detail: str = "") -> None:
        """Add a row to ``audit``: who did what to what, now (UTC)."""
        row = {"at": database.now(), "actor": actor, "action": action, "object": clean(object_)}
        rows = [row | {"detail": clean(detail)}]
        self._write("audit", lambda c: c.execute(SQL["audit"].insert(), rows), counted=False)

    def decide(self, table: str, actor: str, **values: str | float | None) -> int:
        """Add a row to one of the tables of decisions (``migrations.DECIDED``); returns its id.

        Nothing in these tables is ever changed or deleted. A review brings the reviewed score of its
        call up to date.

        Raises
        ------
        ParameterError
            If there is no such table.
        """
        return self.decide_together(actor, [(table, values)])

    def decide_together(
        self,
        actor: str,
        rows: Sequence[tuple[str, Mapping[str, str | float | None]]],
        *,
        once: Once | None = None,
    ) -> int:
        """Add several rows as :meth:`decide` does, all or none; returns the id of the last.

        ``once`` names the request, so that :meth:`decided` knows it when it comes again.

        Raises
        ------
        ParameterError
            If there is no such table.
        """
        for table, _ in rows:
            if table not in DECIDED:
                raise ParameterError(f"There is no table {table!r}.", nearest(table, DECIDED))

        def write(connection: Connection) -> int:
            last = 0
            for table, given in rows:
                row = {k: clean(v) if isinstance(v, str) else v for k, v in given.items()}
                row |= {"at": database.now(), "actor": clean(actor)}
                added = connection.execute(SQL[table].insert().values(row)).inserted_primary_key
                assert added is not None
                last = int(added[0])
                if table == "reviews":
                    reviewed.merge(connection, SQL, [str(row["call_id"])])
                    agent_weeks.mark(connection, SQL, [str(row["call_id"])])
            if once is not None:
                request = {
                    "key": once.key,
                    "digest": once.digest,
                    "decided": rows[-1][0],
                    "row": last,
                }
                connection.execute(SQL["requests"].insert(), [request | {"at": database.now()}])
            return last

        return self._write("decisions", write)

    def decided(self, once: Once) -> tuple[str, int] | None:
        """Table and id of what a request decided when it came before; None where it did not.

        Raises
        ------
        Conflict
            If another request came with this key.
        """
        requests = SQL["requests"]
        query = sa.select(requests).where(requests.c.key == once.key)
        known = self._read(lambda c: c.execute(query).first())
        if known is None:
            return None
        if known.digest != once.digest:
            raise Conflict("This Idempotency-Key came with another request.", "Choose another key.")
        return known.decided, known.row

    # --- reading --------------------------------------------------------------------------------

    def runs(self, limit: int = 100) -> list[Run]:
        """The newest runs, the newest first."""
        return self._read(lambda c: runs.newest(c, limit))

    def ids_at(self, paths: Sequence[str]) -> dict[str, str]:
        """Call id of each of these places that is known."""
        return self._read(lambda c: known_recordings.ids_at(c, paths))

    def alike(self, call: CallResult, least: float, limit: int) -> tuple[str, ...]:
        """Ids of calls of the folder, queue and codec of this one whose roles are so sure, newest first."""
        return self._read(lambda c: known_recordings.alike(c, call, least, limit))

    def starts_at(self, paths: Sequence[str]) -> dict[str, str]:
        """When the call at each of these places began (ISO 8601), where that is known."""
        return self._read(lambda c: known_recordings.starts_at(c, paths))

    def owners(self, call_ids: Sequence[str]) -> dict[str, tuple[str, str | None]]:
        """Place, and SHA-256 if there is a result, of each of these calls that is known."""
        return self._read(lambda c: known_recordings.owners(c, call_ids))

    def of_contents(self, hashes: Sequence[str]) -> dict[str, dict[str, str]]:
        """Call ids and places of the calls whose recordings have these contents, by SHA-256."""
        return self._read(lambda c: known_recordings.of_contents(c, hashes))

    def of_sizes(self, sizes: Sequence[int]) -> dict[int, list[tuple[str, str]]]:
        """Places and stamps of the calls whose recordings had these sizes in bytes, by size."""
        return self._read(lambda c: known_recordings.of_sizes(c, sizes))

    def unsized(self) -> list[str]:
        """Places of the calls of whose recordings no size is known, such as those by URL."""
        return self._read(known_recordings.unsized)

    def known(self, call_ids: Sequence[str]) -> dict[str, Known]:
        """What is known of each of these calls without reading its result, by call id."""
        return self._read(lambda c: known_recordings.known(c, call_ids))

    def bases(self) -> list[Basis]:
        """What the results rest on: each kind of settings, weights and rubric, commonest first."""
        return self._read(known_recordings.bases)

    def zone(self) -> ZoneInfo:
        """The business time zone that most results were made with."""
        return ZoneInfo(self._read(known_recordings.zone))

    def load(self, call_id: str) -> CallResult:
        """Read one whole result.

        Raises
        ------
        ParameterError
            If the store holds no result of this call.
        """
        table = SQL["results"]
        query = sa.select(table.c.call_id, table.c.payload).where(table.c.call_id == clean(call_id))
        found = self._read(lambda c: scores.results_of(c, c.execute(query).all()))
        if found:
            return found[0]
        ids = self._read(lambda c: c.scalars(sa.select(table.c.call_id).limit(1000)).all())
        raise ParameterError(f"The store has no result of call {call_id!r}.", nearest(call_id, ids))

    def blind_reviews(self) -> list[tuple[str, str, str]]:
        """What people said of verdicts they did not see: call, item, and the newest verdict of theirs."""
        return self._read(lambda c: reviewed.blind(c, SQL))

    def results(self) -> Iterator[CallResult]:
        """Read all whole results in the order of their call ids, a few at a time."""
        table = SQL["results"]
        query = sa.select(table.c.call_id, table.c.payload).order_by(table.c.call_id)
        with self._streaming() as connection:
            last = ""
            while rows := connection.execute(
                query.where(table.c.call_id > last).limit(RESULT_ROWS)
            ).all():
                yield from scores.results_of(connection, rows)
                last = rows[-1].call_id

    def fetch(self, query: sa.Select[Any], limit_s: Seconds = QUERY_S) -> Sequence[sa.Row[Any]]:
        """Rows of one query of another room over :data:`SQL`, read in one transaction.

        Raises
        ------
        SlowQuery
            If it takes longer than ``limit_s``.
        """
        return self._read(lambda c: database.within(c, query, limit_s))

    def pool(self, query: sa.Select[Any] | None = None) -> Pool:
        """The calls summed by agent and week: all of them, or those of a query over ``calls``.

        All are taken from the sums that are kept (``agent_week_sums``), which are brought up to date
        first where the store can be written. The calls of a query are read one by one.
        """
        if query is not None:
            with self._streaming() as connection:
                found = Pool()
                agent_weeks.read(connection, SQL, query, found)
                return found
        self.sum_weeks()
        with self._streaming() as connection:
            return agent_weeks.pool(connection, SQL)

    def item_weeks(
        self, conditions: Conditions, query: sa.Select[Any] | None = None
    ) -> list[ItemWeek]:
        """What was judged, by agent, week, team and rubric; of all calls or those of a query over ``calls``.

        ``conditions`` are those on the columns ``agent_id``, ``week``, ``team`` and ``rubric_hash``.
        """
        if query is not None:
            only = query.where(*conditions(SQL["calls"]))
            return self._read(lambda c: list(item_weeks.counted(c, SQL, only)))
        self.sum_weeks()
        return self._read(lambda c: agent_weeks.items(c, SQL, conditions))

    def item_ids(self) -> dict[str, list[str]]:
        """The ids of the items in each list that :meth:`item_weeks` names."""
        return self._read(lambda c: item_weeks.item_ids(c, SQL))

    def sum_weeks(self) -> None:
        """Bring the sums of agents and weeks up to date, where the store can be written."""
        if self._pinned is None and self._read(lambda c: agent_weeks.any_stale(c, SQL)):
            with contextlib.suppress(OutputError):  # a reader makes up for it
                while self._write("sums", lambda c: agent_weeks.renew(c, SQL), counted=False):
                    pass

    def calls_saying(self, wanted: Sequence[Sequence[str]]) -> Any:
        """A subquery with the number (``doc`` of ``said``) of each call that may hold a text.

        ``wanted`` are lists of tokens, of which one is to be there (:func:`pipeline.store.said.tokens_for`).
        """
        return said.hits(self._engine.dialect.name, SQL, wanted)

    def sound(self, call_id: str, sha256: str, version: int) -> bytes | None:
        """The curves of a call, if they are kept of this recording and in this version."""
        table = SQL["sound"].c
        query = sa.select(table.curves).where(
            table.call_id == clean(call_id), table.sha256 == sha256, table.version == version
        )
        return self._read(lambda c: c.scalar(query))

    def changes(self) -> int:
        """A number that is another one after every change of the store."""
        return int(self._read(lambda c: c.scalar(sa.select(SQL["changes"].c.counter))) or 0)

    def count(self, table: str) -> int:
        """Number of rows of one table of the contract."""
        columns_of(table)
        query = sa.select(sa.func.count()).select_from(SQL[table])
        return int(self._read(lambda c: c.scalar(query)) or 0)

    def batches(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        *,
        rows: int = BATCH_ROWS,
        ordered: bool = True,
    ) -> Iterator[pa.RecordBatch]:
        """Read one table of the contract in batches, however many rows it has.

        Parameters
        ----------
        table : str
        columns : sequence of str, optional
            Only these columns, in the order of the contract.
        rows : int
            Most rows of a batch.
        ordered : bool
            In the order of the keys; without, in the order that is quickest.

        Yields
        ------
        RecordBatch
            With the types of the contract; the first is given even when the table is empty.

        Raises
        ------
        ParameterError
            If there is no such table or column.
        """
        kept = _chosen(table, columns)
        if self._engine.dialect.name == "sqlite":
            query, batch_of = packed.select(SQL[table], kept), packed.to_batch
        else:
            query, batch_of = sa.select(*(SQL[table].c[c.name] for c in kept)), _joined
        if ordered:
            query = query.order_by(*(SQL[table].c[key] for key in KEYS[table]))
        with self._streaming() as connection:
            fetched = min(rows, FETCH_ROWS)
            found = connection.execute(query, execution_options={"yield_per": fetched})
            parts = found.partitions()
            yield batch_of(kept, itertools.islice(parts, rows // fetched))
            while (batch := batch_of(kept, itertools.islice(parts, rows // fetched))).num_rows:
                yield batch
                del batch  # so that there are never two

    def frame(
        self, table: str, call_id: str | None = None, *, columns: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Read one table of the contract as a whole, or its rows of one call, into memory.

        Errors as in :meth:`batches`; a store of many calls is better read by that, or by few
        columns.
        """
        if call_id is None:
            return frame_of(list(self.batches(table, columns)))
        kept = _chosen(table, columns)
        query = sa.select(*(SQL[table].c[c.name] for c in kept))
        query = query.where(SQL[table].c.call_id == clean(call_id))
        query = query.order_by(*(SQL[table].c[k] for k in KEYS[table]))
        rows = self._read(lambda c: c.execute(query).all())
        return frame_of([to_batch(kept, rows)])

    def patiently(self, work: Callable[[], T]) -> T:
        """Do something that reads and can be repeated; again when a server was restarted."""
        return database.patiently(self._engine.url, work)

    # --- transactions ---------------------------------------------------------------------------

    def _read(self, work: Callable[[Connection], T]) -> T:
        """Do something that reads, at once and in one transaction."""

        def attempt() -> T:
            with self._reading() as connection:
                return work(connection)

        return attempt() if self._pinned else database.patiently(self._engine.url, attempt)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        if self._pinned is not None:
            yield self._pinned
            return
        with self._engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                yield connection

    @contextmanager
    def _streaming(self) -> Iterator[Connection]:
        """Read for as long as the caller takes; a server that goes away ends it."""
        with database.explained(self._engine.url), self._reading() as connection:
            yield connection

    def _write(self, subject: str, work: Callable[[Connection], T], *, counted: bool = True) -> T:
        """Do something that writes in one transaction; two with one subject follow each other.

        ``counted``: whether what pages show has changed by it.
        """
        if self._pinned is not None:
            raise ParameterError("A snapshot cannot be written.", "Write to the store itself.")

        changes = SQL["changes"]

        def attempt() -> T:
            if self._lock is not None:
                self._lock.confirm()
            with database.writing(self._engine) as connection:
                if connection.dialect.name == "postgresql":
                    key = sa.func.hashtextextended(subject, 0)
                    connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))
                done = work(connection)
                if counted:
                    connection.execute(changes.update().values(counter=changes.c.counter + 1))
                return done

        return database.patiently(self._engine.url, attempt)


def _resolve(connection: Connection, call_id: str, path: str) -> None:
    """Remove the failures of a call that succeeded, at its place and where it was before."""
    calls, failures = SQL["calls"], SQL["failures"]
    before = connection.scalar(sa.select(calls.c.path).where(calls.c.call_id == call_id))
    here = clean(files.shown(path))
    gone = [] if before in (None, here) else [failures.c.path == before]
    here_and_gone = sa.or_(sa.and_(failures.c.path == here, ~_refused()), *gone)
    connection.execute(failures.delete().where(here_and_gone))


def _refused() -> sa.ColumnElement[bool]:
    """Whether a failure is that of an id alone, which is another recording's."""
    failures = SQL["failures"].c
    return sa.and_(failures.stage == "recordings", failures.error_type == "MetadataError")


def _joined(columns: Sequence[Column], parts: Iterable[Sequence[Any]]) -> pa.RecordBatch:
    return to_batch(columns, list(itertools.chain.from_iterable(parts)))


def _chosen(table: str, names: Sequence[str] | None) -> list[Column]:
    """The columns of these names, in the order of the contract; all when none are given."""
    columns = columns_of(table)
    allowed = [c.name for c in columns]
    for name in names or ():
        if name not in allowed:
            raise ParameterError(f"{table} has no column {name!r}.", nearest(name, allowed))
    return [c for c in columns if names is None or c.name in names]
