"""The tables in the database, and how a store of an earlier version comes up to date.

Conventions
-----------
Migration N makes the tables of version N - 1 those of version N; each is applied in one
transaction together with its record in ``migrations``. Two programs that open a store at the same
moment do not apply one twice.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.engine import Connection, Engine

from pipeline.errors import OutputError
from pipeline.io.times import local_time
from pipeline.measures import KINDS, Dtype
from pipeline.schema import SPEAKERS
from pipeline.settings import DEFAULT_ZONE
from pipeline.store import agent_weeks, item_weeks, reviewed, said, verdict_codes
from pipeline.store.database import now, shown, writing
from pipeline.store.rows import Identity, place_of, queue_of, recording_in, restarted
from pipeline.store.tables import TABLES

ROWS = 1000  # of a table brought up to date at a time
LOCK_KEY = 7_316_021  # PostgreSQL advisory lock that orders concurrent migrations
KEYS: Mapping[str, tuple[str, ...]] = {
    "calls": ("call_id",),
    "turns": ("call_id", "turn"),
    "events": ("call_id", "event"),
    "verdicts": ("call_id", "position"),
    "failures": ("path", "call_id", "position"),
    "outside_scores": ("position",),
}
_INDEXES: Mapping[str, tuple[str, ...]] = {
    "calls": ("agent_id", "started_at"),
    "verdicts": ("item_id",),
    "outside_scores": ("call_id",),
}
DECIDED: Mapping[str, Mapping[str, Callable[[], sa.types.TypeEngine[Any]]]] = {
    "reviews": {
        "call_id": sa.Text, "item_id": sa.Text, "why": sa.Text, "verdict": sa.Text, "note": sa.Text,
        "seen_verdict": sa.Text, "seen_rubric": sa.Text, "seen_start": sa.Double,
    },
    "appeals": {
        "call_id": sa.Text, "item_id": sa.Text, "wanted": sa.Text, "reason": sa.Text,
        "second": sa.Double,
    },
    "appeal_steps": {"appeal_id": sa.BigInteger, "action": sa.Text, "verdict": sa.Text, "note": sa.Text},
    "goals": {
        "agent_id": sa.Text, "measure": sa.Text, "aim": sa.Double, "wait_calls": sa.BigInteger,
        "since": sa.Text, "baseline": sa.Text,
    },
    "goal_steps": {"goal_id": sa.BigInteger, "action": sa.Text, "note": sa.Text},
    "notes": {
        "agent_id": sa.Text, "audience": sa.Text, "text": sa.Text, "call_id": sa.Text,
        "second": sa.Double,
    },
    "examples": {
        "item_id": sa.Text, "call_id": sa.Text, "start": sa.Double, "end": sa.Double,
        "kind": sa.Text, "text": sa.Text,
    },
}  # fmt: skip
"""What people decided, beside id, time (UTC) and who; foreign ids by value, as they outlive calls."""
_SQL_TYPES: Mapping[Dtype, Callable[[], sa.types.TypeEngine[Any]]] = {
    "str": sa.Text,
    "Int64": sa.BigInteger,
    "float64": sa.Double,
    "boolean": sa.Boolean,
}


def _first_tables(connection: Connection) -> None:
    tables_of(1).create_all(connection)


def _runs_and_levels(connection: Connection) -> None:
    """Record runs; add active level, loudness, and how many interruptions took the floor."""
    _add_columns(connection, 2)
    tables_of(2).tables["runs"].create(connection)


def _desk(connection: Connection) -> None:
    """What the desk reads: addresses, weeks and queues of calls, sound, rubrics, settings."""
    _add_columns(connection, 3)
    tables = tables_of(3).tables
    for name in ("sound", "rubrics", "settings", "changes", "audit"):
        tables[name].create(connection)
    connection.execute(tables["changes"].insert(), [{"counter": 0}])
    calls, results = tables["calls"], tables["results"]
    made_from = sa.select(results.c.settings_hash, results.c.rubric_hash)
    made_from = made_from.where(results.c.call_id == calls.c.call_id)
    connection.execute(
        calls.update().values(
            settings_hash=made_from.with_only_columns(results.c.settings_hash).scalar_subquery(),
            rubric_hash=made_from.with_only_columns(results.c.rubric_hash).scalar_subquery(),
        )
    )
    known = sa.select(calls.c.call_id, calls.c.started_at, results.c.payload)
    known = known.outerjoin(results, results.c.call_id == calls.c.call_id)
    update = calls.update().where(calls.c.call_id == sa.bindparam("of_call"))
    last = ""
    while rows := connection.execute(
        known.where(calls.c.call_id > last).order_by(calls.c.call_id).limit(ROWS)
    ).all():
        last = rows[-1].call_id
        connection.execute(
            update,
            [
                {"of_call": call_id, **place_of(call_id, started_at), **queue_of(payload)}
                for call_id, started_at, payload in rows
            ],
        )
    sa.Index("calls_slug", calls.c.slug, unique=True).create(connection)
    sa.Index("calls_agent_started", calls.c.agent_id, calls.c.started_at).create(connection)
    sa.Index("calls_week", calls.c.week, calls.c.team).create(connection)


def _add_columns(connection: Connection, version: int) -> None:
    """Add the columns of the contract that came with one version."""
    for name, table in tables_of(version).tables.items():
        for column in (c for c in TABLES.get(name, ()) if c.since == version):
            _add_column(connection, table.c[column.name])


def _add_column(connection: Connection, column: sa.Column[Any], before: str = "NULL") -> None:
    """Add a column; rows that are there get the literal ``before``."""
    name = connection.dialect.identifier_preparer.quote(column.name)
    kind = f"{name} {column.type.compile(connection.dialect)} DEFAULT {before}"
    connection.execute(sa.text(f"ALTER TABLE {column.table.name} ADD COLUMN {kind}"))


def _scores_by_judgement(connection: Connection) -> None:
    """Number outside scores in the order they came, as files of one name may hold other scores."""
    old, new = (tables_of(v).tables["outside_scores"] for v in (3, 4))
    rows = connection.execute(sa.select(old).order_by(old.c.file, old.c.row)).mappings().all()
    old.drop(connection)
    new.create(connection)
    if rows:
        numbered = [{**row, "position": position} for position, row in enumerate(rows)]
        connection.execute(new.insert(), numbered)


def _places(connection: Connection) -> None:
    """Know calls by place and content; keep failures by the recording that failed."""
    old, tables = tables_of(4).tables["failures"], tables_of(5).tables
    failed = connection.execute(sa.select(old)).mappings().all()
    old.drop(connection)
    tables["failures"].create(connection)
    if failed:
        rows = [{**row, "path": row["path"] or ""} for row in failed]
        connection.execute(tables["failures"].insert(), rows)
    tables["recordings"].create(connection)
    calls, results = tables["calls"], tables["results"]
    known = sa.select(calls.c.call_id, results.c.payload)
    known = known.join(results, results.c.call_id == calls.c.call_id)
    last = ""
    while found := connection.execute(
        known.where(calls.c.call_id > last).order_by(calls.c.call_id).limit(ROWS)
    ).all():
        last = found[-1].call_id
        rows = [
            {"call_id": call_id, "known": json.dumps(recording_in(payload)), "stamp": ""}
            for call_id, payload in found
        ]
        connection.execute(tables["recordings"].insert(), rows)
    sa.Index("calls_path", calls.c.path).create(connection)
    sa.Index("results_sha256", results.c.sha256).create(connection)


def _surety(connection: Connection) -> None:
    """Say how much of a call was judged, and how sure its score is."""
    _add_columns(connection, 6)


def _evidence(connection: Connection) -> None:
    """Say of each verdict what its evidence is, where its trigger lies, and how sure it is."""
    _add_columns(connection, 7)


def _coaching(connection: Connection) -> None:
    """What people decide at the desk: reviews, appeals, goals, notes, examples; rows are only added."""
    tables = tables_of(8).tables
    for name in DECIDED:
        tables[name].create(connection)


def _rated_time(connection: Connection) -> None:
    """Keep the time that rates are formed over, of older calls from their turns."""
    _add_columns(connection, 9)
    tables = tables_of(9).tables
    calls, turns = tables["calls"], tables["turns"]
    formed = {
        "rated_s": (turns.c.speaking_rate, turns.c.end - turns.c.start),
        "articulated_s": (
            turns.c.articulation_rate,
            60.0 * turns.c.units / turns.c.articulation_rate,
        ),
    }
    values = {
        f"{speaker}_{name}": sa.select(sa.func.coalesce(sa.func.sum(seconds), 0.0))
        .where(turns.c.call_id == calls.c.call_id, turns.c.speaker == speaker, rate > 0)
        .scalar_subquery()
        for speaker in SPEAKERS
        for name, (rate, seconds) in formed.items()
    }
    known = sa.exists().where(turns.c.call_id == calls.c.call_id)
    connection.execute(calls.update().where(known).values(values))


def _sizes(connection: Connection) -> None:
    """Know the size of each recording, so that few have to be read to find one that moved."""
    _add_column(connection, tables_of(10).tables["recordings"].c.size)
    recordings = tables_of(10).tables["recordings"]
    stamps = sa.select(recordings.c.call_id, recordings.c.stamp)
    update = recordings.update().where(recordings.c.call_id == sa.bindparam("of_call"))
    last = ""
    while rows := connection.execute(
        stamps.where(recordings.c.call_id > last).order_by(recordings.c.call_id).limit(ROWS)
    ).all():
        last = rows[-1].call_id
        sizes = [{"of_call": call_id, "size": size_in(stamp)} for call_id, stamp in rows]
        connection.execute(update, sizes)
    sa.Index("recordings_size", recordings.c.size).create(connection)


def _business_time(connection: Connection) -> None:
    """Give starts with an offset, and their weeks, in the time zone that their settings name."""
    tables = tables_of(11).tables
    calls, settings, results, recordings = (
        tables[name] for name in ("calls", "settings", "results", "recordings")
    )
    zones = {
        digest: json.loads(body).get("time", {}).get("zone", DEFAULT_ZONE)
        for digest, body in connection.execute(sa.select(settings))
    }
    query = sa.select(calls.c.call_id, calls.c.started_at, calls.c.settings_hash)
    last = ""
    while rows := connection.execute(
        query.where(calls.c.call_id > last).order_by(calls.c.call_id).limit(ROWS)
    ).all():
        last = rows[-1].call_id
        for call_id, started_at, digest in rows:
            zone = zones.get(digest, DEFAULT_ZONE)
            if not started_at or (start := local_time(started_at, ZoneInfo(zone))) == started_at:
                continue
            week = place_of(call_id, start)["week"]
            of_call = calls.update().where(calls.c.call_id == call_id)
            connection.execute(of_call.values(started_at=start, week=week))
            result = results.c.call_id == call_id
            if payload := connection.scalar(sa.select(results.c.payload).where(result)):
                update = results.update().where(result)
                connection.execute(update.values(payload=restarted(payload, start)))
            known = recordings.c.call_id == call_id
            if body := connection.scalar(sa.select(recordings.c.known).where(known)):
                body = json.dumps(json.loads(body) | {"started_at": start})
                connection.execute(recordings.update().where(known).values(known=body))


def size_in(stamp: str) -> int | None:
    """Bytes of the file that a stamp is of; None where no file was looked at."""
    return int(stamp.partition(":")[0]) if stamp else None


def _both_scores(connection: Connection) -> None:
    """Keep beside the machine's score the one by the verdicts in force."""
    _add_columns(connection, 12)
    tables = tables_of(12).tables
    calls, reviews = tables["calls"], tables["reviews"]
    same = {"reviewed_score": calls.c.compliance_score, "reviewed_items": 0}
    connection.execute(calls.update().where(calls.c.status != "failed").values(same))
    for call_id in connection.scalars(sa.select(reviews.c.call_id).distinct()).all():
        reviewed.merge(connection, tables, [call_id])


def _said(connection: Connection) -> None:
    """Find what was said, by characters and by sound, without looking through all turns."""
    tables = tables_of(13).tables
    calls, turns = tables["calls"], tables["turns"]
    tables["said"].create(connection)
    said.make(connection)
    query = sa.select(calls.c.call_id, calls.c.started_at).order_by(calls.c.call_id)
    query = query.where(sa.exists().where(turns.c.call_id == calls.c.call_id))
    last = ""
    while rows := connection.execute(query.where(calls.c.call_id > last).limit(ROWS)).all():
        last = rows[-1].call_id
        by_call: dict[str, list[tuple[str, str | None]]] = {row.call_id: [] for row in rows}
        shown = sa.func.coalesce(turns.c.text_masked, turns.c.text)
        spoken = sa.select(turns.c.call_id, turns.c.speaker, shown)
        within = turns.c.call_id.between(rows[0].call_id, last)
        for call_id, speaker, text in connection.execute(spoken.where(within)):
            by_call[call_id].append((speaker, text))
        for call_id, started_at in rows:
            said.index(connection, tables, call_id, started_at, by_call[call_id])


def _understood(connection: Connection) -> None:
    """Say how much of each party was not understood, and in which language they speak."""
    _add_columns(connection, 14)


def _requests(connection: Connection) -> None:
    """Know requests that decided something, so that one that comes again decides nothing more."""
    tables_of(15).tables["requests"].create(connection)


def _switch(connection: Connection) -> None:
    """Tell what a switch knows from what was heard; all of earlier stores was heard, and counts."""
    tables = tables_of(16).tables
    _add_column(connection, tables["turns"].c.aside)
    _add_column(connection, tables["events"].c.source, "'heard'")
    _add_column(connection, tables["events"].c.superseded, "FALSE")


def _legs(connection: Connection) -> None:
    """Number the legs of calls; all of older calls is one."""
    _add_columns(connection, 17)
    tables = tables_of(17).tables
    turns, calls = tables["turns"], tables["calls"]
    connection.execute(turns.update().values(leg=1))
    known = sa.exists().where(turns.c.call_id == calls.c.call_id)
    connection.execute(calls.update().where(known).values(legs=1))


def _judged(connection: Connection) -> None:
    """Keep the verdicts on a call as bytes beside their rows."""
    tables = tables_of(18).tables
    calls, verdicts = tables["calls"], tables["verdicts"]
    for name in ("judged", "judged_items"):
        tables[name].create(connection)
    query = sa.select(calls.c.call_id).order_by(calls.c.call_id).limit(ROWS)
    columns = (verdicts.c[n] for n in ("call_id", "item_id", "verdict", "confidence"))
    rows = sa.select(*columns).where(verdicts.c.source == "rubric")
    rows = rows.order_by(verdicts.c.call_id, verdicts.c.position)
    last = ""
    while ids := connection.scalars(query.where(calls.c.call_id > last)).all():
        last = ids[-1]
        by_call: dict[str, list[tuple[str, str, float | None]]] = {}
        for call_id, *verdict in connection.execute(
            rows.where(verdicts.c.call_id.between(ids[0], last))
        ):
            by_call.setdefault(call_id, []).append((verdict[0], verdict[1], verdict[2]))
        for call_id, found in by_call.items():
            verdict_codes.write(connection, tables, call_id, found)


def _prints(connection: Connection) -> None:
    """Keep fingerprints of what may be speech of machines, to find it in other calls."""
    tables_of(19).tables["prints"].create(connection)


def _by_score(connection: Connection) -> None:
    """Find the newest calls of a score without looking at the calls themselves."""
    calls = tables_of(20).tables["calls"].c
    sa.Index("calls_started_score", calls.started_at, calls.compliance_score).create(connection)


def _agent_weeks(connection: Connection) -> None:
    """Keep the sums of each agent and week, made when asked for, and count calls of a score quickly."""
    tables = tables_of(21).tables
    for name in ("agent_week_sums", "item_weeks"):
        tables[name].create(connection)
    items = tables["item_weeks"].c
    for column in (items.team, items.rubric_hash):
        sa.Index(f"item_weeks_{column.name}", column, items.week).create(connection)
    calls = tables["calls"].c
    sa.Index("calls_agent_week", calls.agent_id, calls.week).create(connection)
    sa.Index("calls_score", calls.compliance_score).create(connection)
    agent_weeks.mark_all(connection, tables)


Migration = Callable[[Connection], None]
MIGRATIONS: tuple[Migration, ...] = (
    _first_tables,
    _runs_and_levels,
    _desk,
    _scores_by_judgement,
    _places,
    _surety,
    _evidence,
    _coaching,
    _rated_time,
    _sizes,
    _business_time,
    _both_scores,
    _said,
    _understood,
    _requests,
    _switch,
    _legs,
    _judged,
    _prints,
    _by_score,
    _agent_weeks,
)


def tables_of(version: int) -> sa.MetaData:
    """Tables as they are in one version of the schema."""
    metadata = sa.MetaData()
    for name, contract in TABLES.items():
        keys = KEYS[name]
        if name == "outside_scores" and version < 4:
            keys = ("file", "row")
        if name == "failures" and version < 5:
            keys = ("call_id", "position")
        columns = [sa.Column("position", sa.BigInteger)] if "position" in keys else []
        columns += [
            sa.Column(c.name, _SQL_TYPES[KINDS[c.kind].dtype]())
            for c in contract
            if c.since <= version
        ]
        indexes = [sa.Index(f"{name}_{c}", c) for c in _INDEXES.get(name, ())]
        if name == "calls" and version >= 5:
            indexes.append(sa.Index("calls_path", "path"))
        sa.Table(name, metadata, *columns, sa.PrimaryKeyConstraint(*keys), *indexes)
    sa.Table(
        "results",
        metadata,
        *(sa.Column(f.name, sa.Text, nullable=False) for f in dataclasses.fields(Identity)),
        sa.Column("saved_at", sa.Text, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("call_id"),
        *([sa.Index("results_sha256", "sha256")] if version >= 5 else []),
    )
    if version >= 2:
        _runs(metadata)
    if version >= 3:
        _desk_tables(metadata)
    if version >= 5:
        size = sa.Column("size", sa.BigInteger)  # bytes, from the stamp
        sa.Table(
            "recordings",
            metadata,
            sa.Column("call_id", sa.Text, primary_key=True),
            sa.Column("known", sa.Text, nullable=False),
            sa.Column("stamp", sa.Text, nullable=False),
            *([size, sa.Index("recordings_size", "size")] if version >= 10 else []),
        )
    if version >= 8:
        _decided(metadata)
    if version >= 13:
        sa.Table(
            "said",
            metadata,
            sa.Column("doc", sa.BigInteger, primary_key=True, autoincrement=False),
            sa.Column("call_id", sa.Text, index=True),  # null: what was heard before
            sa.Column("hash", sa.Text, nullable=False),
            sa.Column("tokens", sa.Text().with_variant(ARRAY(sa.Text), "postgresql")),
        )
    if version >= 19:
        sa.Table(
            "prints",
            metadata,
            sa.Column("call_id", sa.Text, primary_key=True),
            sa.Column("position", sa.BigInteger, primary_key=True),
            sa.Column("channel", sa.BigInteger, nullable=False),
            sa.Column("start", sa.Double, nullable=False),
            sa.Column("end", sa.Double, nullable=False),
            sa.Column("is_open", sa.Boolean, nullable=False),
            sa.Column("repeated", sa.Boolean, nullable=False),
            sa.Column("marks", sa.LargeBinary, nullable=False),
        )
    if version >= 21:
        sa.Table("agent_week_sums", metadata, *agent_weeks.columns())
        sa.Table("item_weeks", metadata, *item_weeks.columns())
    if version >= 15:
        sa.Table(
            "requests",
            metadata,
            sa.Column("key", sa.Text, primary_key=True),
            sa.Column("digest", sa.Text, nullable=False),
            sa.Column("decided", sa.Text, nullable=False),  # table and id of what it decided
            sa.Column("row", sa.BigInteger, nullable=False),
            sa.Column("at", sa.Text, nullable=False),
        )
    if version >= 18:
        sa.Table(
            "judged",
            metadata,
            sa.Column("call_id", sa.Text, primary_key=True),
            sa.Column("item_list", sa.Text, nullable=False),
            sa.Column("codes", sa.LargeBinary, nullable=False),
        )
        sa.Table(
            "judged_items",
            metadata,
            sa.Column("hash", sa.Text, primary_key=True),
            sa.Column("ids", sa.Text, nullable=False),
        )
    return metadata


def _runs(metadata: sa.MetaData) -> None:
    texts = ("started_at", "updated_at", "finished_at", "host", "state")
    counts = ("pid", "recordings", "done", "unchanged", "failed")
    sa.Table(
        "runs",
        metadata,
        sa.Column("run", sa.Integer, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=name == "finished_at") for name in texts),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in counts),
        sa.Column("audio_s", sa.Double, nullable=False),
    )


def _desk_tables(metadata: sa.MetaData) -> None:
    sa.Table(
        "sound",
        metadata,
        sa.Column("call_id", sa.Text, primary_key=True),
        sa.Column("sha256", sa.Text, nullable=False),  # of the recording it was made from
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("curves", sa.LargeBinary, nullable=False),
    )
    for name in ("rubrics", "settings"):
        sa.Table(
            name,
            metadata,
            sa.Column("hash", sa.Text, primary_key=True),
            sa.Column("body", sa.Text, nullable=False),
        )
    sa.Table("changes", metadata, sa.Column("counter", sa.BigInteger, nullable=False))
    texts = ("at", "actor", "action", "object", "detail")
    sa.Table("audit", metadata, *(sa.Column(name, sa.Text, nullable=False) for name in texts))


def _decided(metadata: sa.MetaData) -> None:
    for name, columns in DECIDED.items():
        of_call = [sa.Index(f"{name}_call", "call_id", "item_id")] if "item_id" in columns else []
        of_agent = [sa.Index(f"{name}_agent", "agent_id")] if "agent_id" in columns else []
        sa.Table(
            name,
            metadata,
            sa.Column("id", sa.Integer, primary_key=True),
            sa.Column("at", sa.Text, nullable=False),  # UTC
            sa.Column("actor", sa.Text, nullable=False),
            *(sa.Column(column, kind()) for column, kind in columns.items()),
            *of_call,
            *of_agent,
        )


SQL: Mapping[str, sa.Table] = tables_of(len(MIGRATIONS)).tables
APPLIED = sa.Table(
    "migrations",
    sa.MetaData(),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("applied_at", sa.Text, nullable=False),
)


def migrate(engine: Engine, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Apply what is missing, each migration in one transaction together with its record.

    Raises
    ------
    OutputError
        If the database is no store, or that of a newer program.
    """
    done = _applied(engine)
    if done > len(migrations):
        raise OutputError(
            f"{shown(engine.url)} was written by a newer program (schema {done}, "
            f"this one knows up to {len(migrations)}).",
            "Update callcoach, or choose another output folder.",
        )
    for version, migration in enumerate(migrations[done:], start=done + 1):
        with _migrating(engine) as connection:
            if _version(connection) == version - 1:
                migration(connection)
                record = {"version": version, "name": migration.__name__.strip("_")}
                connection.execute(APPLIED.insert(), [record | {"applied_at": now()}])


def check_writable(engine: Engine) -> None:
    """Run a statement that writes, and changes nothing."""
    with _migrating(engine) as connection:
        connection.execute(APPLIED.delete().where(APPLIED.c.version < 0))


def _applied(engine: Engine) -> int:
    """Number of migrations applied so far; makes the table that counts them."""
    with _migrating(engine) as connection:
        names = sa.inspect(connection).get_table_names()
        if connection.dialect.name == "sqlite" and names and "migrations" not in names:
            raise OutputError(
                f"{shown(engine.url)} is a database of another program.",
                "Choose another output folder, or move that file away.",
            )
        APPLIED.create(connection, checkfirst=True)
        return _version(connection)


def _version(connection: Connection) -> int:
    return connection.scalar(sa.select(sa.func.max(APPLIED.c.version))) or 0


@contextmanager
def _migrating(engine: Engine) -> Iterator[Connection]:
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(LOCK_KEY)))
        yield connection
