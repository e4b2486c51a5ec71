"""The right to write a store for the length of a run: one run at a time, readers at any time.

Conventions
-----------
Beside a SQLite file the lock is one of the operating system on ``NAME.lock``, for a server one of
the session on a connection of its own. Both end with the process that holds them, however it
ends, so that nothing stale is ever left to remove.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import NamedTuple, Protocol

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError

from pipeline.errors import OutputError
from pipeline.store.database import now, shown

ATTEMPTS = 3  # a reader who asks who writes may be in the way for a moment
PAUSE_S = 0.1
WAIT_PAUSE_S = 1.0
SERVER_KEY = 7_316_022  # PostgreSQL advisory lock of the run that writes
LOCKED_BYTE = 1 << 30  # on Windows a locked byte cannot be read: one far behind the text

if sys.platform == "win32":
    import msvcrt

    def _try(file: int, *, shared: bool) -> bool:
        os.lseek(file, LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _try(file: int, *, shared: bool) -> bool:
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


class Holder(NamedTuple):
    """The process that writes a store."""

    host: str
    pid: int
    since: str

    @classmethod
    def me(cls) -> Holder:
        """The process that asks, from now on."""
        return cls(socket.gethostname(), os.getpid(), now())


class Lock(Protocol):
    """A lock of one store."""

    def take(self) -> bool:
        """Take the lock if it is free; whether it was."""

    def confirm(self) -> None:
        """Make sure that it is still held; take it again where a server has lost it."""

    def release(self) -> None:
        """Give it up."""

    def holder(self) -> Holder | None:
        """Who holds it; None if nobody does."""


def lock_of(engine: Engine) -> Lock:
    """The lock of the store in this database, not yet taken."""
    if engine.dialect.name == "postgresql":
        return ServerLock(engine)
    with engine.connect() as connection:
        path = connection.exec_driver_sql("PRAGMA database_list").first()
    if path is None or not path[2]:
        raise OutputError("A store in memory cannot be locked.", "Give a file or a folder.")
    return FileLock(Path(f"{path[2]}.lock"))


def acquire(lock: Lock, engine: Engine, *, wait: bool) -> None:
    """Take the lock, or wait for it, or say who holds it."""
    for attempt in itertools.count(1):
        if lock.take():
            return
        if not wait and attempt == ATTEMPTS:
            raise taken(engine, lock.holder())
        time.sleep(WAIT_PAUSE_S if wait else PAUSE_S)


def taken(engine: Engine, holder: Holder | None) -> OutputError:
    """The error that says who writes the store."""
    who = f"process {holder.pid} on {holder.host}, since {holder.since}" if holder else "unknown"
    return OutputError(
        f"Another run is writing to {shown(engine.url)} ({who}).",
        "Wait until it has ended, or end it, and run the command again; "
        "or choose another output folder.",
    )


class FileLock:
    """A lock on a file that exists as long as it is held."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def take(self) -> bool:
        """Take the lock if it is free; whether it was."""
        try:
            return self._take()
        except OSError as error:
            raise OutputError(
                f"The lock {self._path} cannot be made: {error.strerror}.",
                "Choose an output folder that you may write to, on a disk of this computer.",
            ) from error

    def _take(self) -> bool:
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        if not (_try(file, shared=False) and self._is_there(file)):
            os.close(file)
            return False
        self._file = file
        os.ftruncate(file, 0)
        os.lseek(file, 0, os.SEEK_SET)
        os.write(file, json.dumps(Holder.me()._asdict()).encode())
        return True

    def confirm(self) -> None:
        """Nothing: the operating system takes it from nobody."""

    def release(self) -> None:
        """Remove the file and give the lock up."""
        if self._file is not None:
            with contextlib.suppress(PermissionError):  # Windows removes no open file: it stays
                self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = None

    def holder(self) -> Holder | None:
        """Who holds it; None if nobody does."""
        try:
            file = os.open(self._path, os.O_RDONLY)
        except OSError:
            return None
        try:
            if _try(file, shared=True):
                return None
            os.lseek(file, 0, os.SEEK_SET)
            return Holder(**json.loads(os.read(file, 1000)))
        except ValueError:  # it is about to write who it is
            return None
        finally:
            os.close(file)

    def _is_there(self, file: int) -> bool:
        """Whether the locked file is still the one of this name; its last holder removes it."""
        try:
            return os.path.samestat(os.fstat(file), os.stat(self._path))
        except FileNotFoundError:
            return False


class ServerLock:
    """An advisory lock of a session; the session's name tells the others who it is."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    def take(self) -> bool:
        """Take the lock if it is free; whether it was."""
        self.release()
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        name = "callcoach {pid} {since} {host}".format(**Holder.me()._asdict())
        try:
            connection.execute(sa.select(sa.func.set_config("application_name", name, False)))
            if connection.scalar(sa.select(sa.func.pg_try_advisory_lock(SERVER_KEY))):
                self._connection = connection
        finally:
            if self._connection is None:
                connection.close()
        return self._connection is not None

    def confirm(self) -> None:
        """Make sure that it is still held; take it again where the server was restarted."""
        try:
            if self._connection is not None:
                self._connection.execute(sa.select(1))
                return
        except DBAPIError:
            self.release()
        if not self.take():
            raise taken(self._engine, self.holder())

    def release(self) -> None:
        """End the session, and the lock with it."""
        if self._connection is not None:
            self._connection.invalidate()
            self._connection.close()
            self._connection = None

    def holder(self) -> Holder | None:
        """Who holds it; None if nobody does."""
        query = sa.text(
            "SELECT application_name FROM pg_stat_activity JOIN pg_locks USING (pid)"
            " WHERE locktype = 'advisory' AND granted AND classid = 0 AND objsubid = 1"
            " AND objid = :key AND pg_locks.database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        with self._engine.connect() as connection:
            name = connection.scalar(query, {"key": SERVER_KEY})
        match str(name or "").split(" ", 3):
            case ["callcoach", pid, since, host]:
                return Holder(host, int(pid), since)
        return None
