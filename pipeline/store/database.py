"""The database: its address, its connections, and what its errors mean for a user.

Conventions
-----------
SQLite keeps a write-ahead log, so that readers never wait; a writer waits ``BUSY_TIMEOUT_S`` for
another. A server that goes away is waited for ``PATIENCE_S``: whatever is done by
:func:`patiently` is one transaction that can be repeated as a whole.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError

from pipeline.errors import OutputError, SlowQuery
from pipeline.store import packed

STORE_NAME = "callcoach.db"
BUSY_TIMEOUT_S = 30
PATIENCE_S = 60.0
PAUSES_S = (0.5, 5.0)  # before the second attempt, and the longest: each is twice the one before
ADDRESS_HINT = (
    "Give a file, a folder, or postgresql://USER@HOST/DATABASE with the password in PGPASSWORD."
)
_DRIVERS = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+pg8000"}
_PASSING_STATES = ("08", "57P01", "57P02", "57P03", "40001", "40P01")  # SQLSTATE, or its class
_PASSING_TEXTS = ("network error", "can't create a connection", "connection is closed")
_STEPS_BETWEEN_LOOKS = 10_000  # instructions of SQLite's machine: about a millisecond
_FULL = "Free some space on the disk and run the command again; finished calls are kept."
_WAL_PATIENCE_S = 5
_DAMAGED = "The file is damaged: restore a copy, or move it away and analyse again."
_ADVICE = (
    ("readonly", "Choose an output folder you may write to."),
    ("unable to open", "Choose an output folder that exists and that you may write to."),
    ("full", _FULL),
    ("no space left", _FULL),
    ("disk i/o", "Check that the disk works and that neither it nor your share of it is full."),
    ("not a database", "Choose another output folder, or move that file away."),
    ("malformed", _DAMAGED),
    ("user-defined function", _DAMAGED),  # what should be a number is none
    ("locked", "Another program holds the store: close it and run the command again."),
    ("authentication", "Check the user name and the password in the address."),
    ("permission", "Ask for the right to create and write tables in this database."),
    ("connection", "Check that the database server runs and that its address is right."),
    ("network", "Check that the database server runs and that its address is right."),
    ("", "Check the address and the rights of the store and run the command again."),
)

T = TypeVar("T")
_log = logging.getLogger(__name__)


def address(target: str | Path, create: bool) -> URL:
    """Address of the database that a file, a folder or a URL stands for."""
    if isinstance(target, str) and "://" in target:
        try:
            url = make_url(target)
        except ArgumentError as error:
            raise OutputError(f"Not a database address: {error}.", ADDRESS_HINT) from error
        backend = url.get_backend_name()
        if backend not in _DRIVERS:
            raise OutputError(f"Databases of type {backend!r} are not supported.", ADDRESS_HINT)
        if backend == "postgresql" and url.password is None:
            url = url.set(password=_password(url))
        return url.set(drivername=_DRIVERS[backend])
    path = Path(target)
    path = path / STORE_NAME if path.is_dir() else path
    if not path.exists():
        if not create:
            raise OutputError(
                f"There is no store at {path}.", "Run callcoach analyze first, or check --out."
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"The folder {path.parent} cannot be made: {error.strerror}.",
                "Choose an output folder you may write to.",
            ) from error
    return URL.create("sqlite+pysqlite", database=str(path))


def _password(url: URL) -> str | None:
    """The password that ``PGPASSWORD`` or the password file of PostgreSQL gives, if any."""
    if given := os.environ.get("PGPASSWORD"):
        return given
    path = Path(os.environ.get("PGPASSFILE") or Path.home() / ".pgpass")
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    wanted = (
        url.host or "localhost",
        str(url.port or 5432),
        url.database or "",
        url.username or "",
    )
    for line in lines:
        parts = [p.replace("\0", ":") for p in line.replace("\\:", "\0").split(":")]
        if len(parts) == 5 and all(p in ("*", w) for p, w in zip(parts, wanted, strict=False)):
            return parts[4]
    return None


def connect(url: URL) -> Engine:
    """Engine of the database at this address; nothing is opened yet."""
    options: dict[str, Any] = {"pool_pre_ping": True}
    if url.get_backend_name() == "sqlite":
        options = {"creator": partial(_open_sealed, url)} if _is_sealed(url) else {}
    try:
        engine = sa.create_engine(url, **options)
    except ModuleNotFoundError as error:
        raise OutputError(
            f"The driver for {shown(url)} is not installed ({error.name}).",
            'Install it with: pip install "callcoach[postgresql]"',
        ) from error
    # A server that goes away is our affair, not one for a traceback on the screen.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", _configure_sqlite)
        sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Give a connection in a transaction that writes."""
    with engine.connect() as connection:
        connection = connection.execution_options(writing=True)
        with connection.begin():
            yield connection


def insert_once(connection: Connection, table: sa.Table, row: Mapping[str, Any]) -> None:
    """Add a row unless its key is there, also where another process is adding the same."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(dialect.insert(table).on_conflict_do_nothing(), [dict(row)])


def patiently(url: URL, attempt: Callable[[], T]) -> T:
    """Do something that can be repeated; again when the server has gone away meanwhile.

    Raises
    ------
    OutputError
        If it cannot be done, or the server has not come back within ``PATIENCE_S``.
    """
    end, (pause, longest) = time.monotonic() + PATIENCE_S, PAUSES_S
    with explained(url):
        while True:
            try:
                return attempt()
            except (DBAPIError, OutputError, ConnectionError) as error:
                if not _is_passing(error) or time.monotonic() + pause > end:
                    raise
                _log.warning("%s does not answer; trying again in %.1f s", shown(url), pause)
            time.sleep(pause)
            pause = min(2 * pause, longest)


def within(connection: Connection, query: sa.Select[Any], limit_s: float) -> Sequence[sa.Row[Any]]:
    """Rows of a query that is given up after ``limit_s`` seconds.

    Raises
    ------
    SlowQuery
        When it is.
    """
    end = time.monotonic() + limit_s
    driver: Any = connection.connection.driver_connection
    is_sqlite = connection.dialect.name == "sqlite"
    if is_sqlite:
        driver.set_progress_handler(lambda: time.monotonic() > end, _STEPS_BETWEEN_LOOKS)
    else:
        connection.execute(sa.text(f"SET LOCAL statement_timeout = {round(1000 * limit_s)}"))
    try:
        return connection.execute(query).all()
    except DBAPIError as error:
        if _details(error.orig).get("C") == "57014" or "interrupted" in str(error.orig):
            raise SlowQuery(
                f"The answer takes longer than {limit_s:g} s.",
                "Narrow the dates, or choose one team or one agent.",
            ) from error
        raise
    finally:
        if is_sqlite:
            driver.set_progress_handler(None, 0)


@contextmanager
def explained(url: URL) -> Iterator[None]:
    """Turn errors of the database into an :class:`OutputError` that says what to do."""
    try:
        yield
    except IntegrityError:
        raise
    except (DBAPIError, sqlite3.Error, ConnectionError) as error:  # pg8000 lets the last through
        cause = error.orig if isinstance(error, DBAPIError) else error
        text = _details(cause).get("M") or str(cause)
        hint = next(hint for sign, hint in _ADVICE if sign in text.lower())
        raise OutputError(f"The store {shown(url)} cannot be used: {text}.", hint) from error


def shown_address(target: str | Path) -> str:
    """A file, folder or URL as it may be shown, without the password."""
    return shown(address(target, create=True)) if "://" in str(target) else str(target)


def shown(url: URL) -> str:
    """The address as it may be shown, without the password."""
    if url.get_backend_name() == "sqlite":
        return url.database or ":memory:"
    return url.render_as_string(hide_password=True)


def now() -> str:
    """The present time as it is stored: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _is_passing(error: BaseException | None) -> bool:
    """Whether the same may succeed later: the server is away, or it was in the way."""
    if isinstance(error, OutputError):  # explained already
        return _is_passing(error.__cause__)
    if not isinstance(error, DBAPIError):
        return isinstance(error, ConnectionError)
    state = str(_details(error.orig).get("C", ""))
    text = str(error.orig).lower()
    return (
        error.connection_invalidated
        or state.startswith(_PASSING_STATES)
        or any(sign in text for sign in _PASSING_TEXTS)
    )


def _details(cause: BaseException | None) -> dict[str, Any]:
    """Fields of an error of PostgreSQL: ``C`` its SQLSTATE, ``M`` its message."""
    first = cause.args[0] if cause is not None and cause.args else None
    return first if isinstance(first, dict) else {}


def _is_sealed(url: URL) -> bool:
    """Whether a finished database lies in a folder that cannot be written, not even for its log."""
    path = Path(url.database or ":memory:")
    log = path.with_name(f"{path.name}-wal")
    return path.is_file() and not log.exists() and not os.access(path.parent, os.W_OK)


def _open_sealed(url: URL) -> sqlite3.Connection:
    """Read a database as it lies there, without the files that SQLite keeps beside it."""
    address = f"{Path(url.database or '').absolute().as_uri()}?immutable=1"
    return sqlite3.connect(address, uri=True, check_same_thread=False)


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we say BEGIN ourselves, so that DDL is transactional too
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}")
    end = time.monotonic() + _WAL_PATIENCE_S
    while True:  # SQLite does not wait for another that is changing it too
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            break
        except sqlite3.OperationalError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)
    connection.execute("PRAGMA synchronous = NORMAL")
    packed.teach(connection)


def _begin_sqlite(connection: Connection) -> None:
    is_writing = connection.get_execution_options().get("writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_writing else "BEGIN")
