"""The tables in the database, and how a store of an earlier version comes up to date.

Conventions
-----------
Migration N makes the tables of version N - 1 those of version N; each is applied in one
transaction together with its record in ``migrations``. Two programs that open a store at the same
moment do not apply one twice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from pipeline.errors import OutputError
from pipeline.measures import KINDS, Dtype
from pipeline.store.database import now, shown, writing
from pipeline.store.rows import Identity
from pipeline.store.tables import TABLES

LOCK_KEY = 7_316_021  # PostgreSQL advisory lock that orders concurrent migrations
KEYS: Mapping[str, tuple[str, ...]] = {
    "calls": ("call_id",),
    "turns": ("call_id", "turn"),
    "events": ("call_id", "event"),
    "verdicts": ("call_id", "position"),
    "failures": ("call_id", "position"),
    "outside_scores": ("file", "row"),
}
_INDEXES: Mapping[str, tuple[str, ...]] = {
    "calls": ("agent_id", "started_at"),
    "verdicts": ("item_id",),
    "outside_scores": ("call_id",),
}
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
    tables = tables_of(2).tables
    calls = tables["calls"]
    quote = connection.dialect.identifier_preparer.quote
    for name in (c.name for c in TABLES["calls"] if c.since == 2):
        kind = calls.c[name].type.compile(connection.dialect)
        connection.execute(sa.text(f"ALTER TABLE calls ADD COLUMN {quote(name)} {kind}"))
    tables["runs"].create(connection)


Migration = Callable[[Connection], None]
MIGRATIONS: tuple[Migration, ...] = (_first_tables, _runs_and_levels)


def tables_of(version: int) -> sa.MetaData:
    """Tables as they are in one version of the schema."""
    metadata = sa.MetaData()
    for name, contract in TABLES.items():
        keys = KEYS[name]
        columns = [sa.Column("position", sa.BigInteger)] if "position" in keys else []
        columns += [
            sa.Column(c.name, _SQL_TYPES[KINDS[c.kind].dtype]())
            for c in contract
            if c.since <= version
        ]
        indexes = [sa.Index(f"{name}_{c}", c) for c in _INDEXES.get(name, ())]
        sa.Table(name, metadata, *columns, sa.PrimaryKeyConstraint(*keys), *indexes)
    sa.Table(
        "results",
        metadata,
        *(sa.Column(f.name, sa.Text, nullable=False) for f in dataclasses.fields(Identity)),
        sa.Column("saved_at", sa.Text, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("call_id"),
    )
    if version >= 2:
        _runs(metadata)
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
