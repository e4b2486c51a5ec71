"""Runs: how far the analysis of many recordings has come, for people who ask meanwhile."""

from __future__ import annotations

import dataclasses
import os
import socket
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from pipeline.schema import Seconds
from pipeline.store.database import now
from pipeline.store.migrations import SQL

State = Literal["running", "finished", "stopped"]


@dataclass(frozen=True, slots=True)
class Run:
    """One run. ``done`` were analysed now, ``unchanged`` before; ``audio_s`` is that of ``done``.

    A run that was killed stays ``running`` until the next one begins; ``updated_at`` tells.
    """

    run: int
    started_at: str
    updated_at: str
    finished_at: str | None
    host: str
    pid: int
    recordings: int
    done: int
    unchanged: int
    failed: int
    audio_s: Seconds
    state: State


def begin(connection: Connection, recordings: int, started_at: str, *, alone: bool) -> int:
    """Record that a run begins; ``alone`` if no other can be running. May be repeated."""
    table = SQL["runs"]
    own = {"started_at": started_at, "host": socket.gethostname(), "pid": os.getpid()}
    same = sa.select(table.c.run).where(*(table.c[k] == v for k, v in own.items()))
    known = connection.scalar(same)
    if known is not None:
        return int(known)
    if alone:
        left = table.update().where(table.c.state == "running")
        connection.execute(left.values(state="stopped"))
    counts = dict.fromkeys(("done", "unchanged", "failed"), 0)
    row = own | counts | {"updated_at": started_at, "recordings": recordings}
    insert = table.insert().values(**row, audio_s=0.0, state="running")
    return int(connection.execute(insert.returning(table.c.run)).scalar_one())


def update(
    connection: Connection, run: int, done: int, unchanged: int, failed: int, audio_s: Seconds
) -> None:
    """Record how far a run has come, in all."""
    table = SQL["runs"]
    counts = {"done": done, "unchanged": unchanged, "failed": failed, "audio_s": audio_s}
    connection.execute(table.update().where(table.c.run == run), counts | {"updated_at": now()})


def end(connection: Connection, run: int, state: State) -> None:
    """Record that a run has ended."""
    table, time = SQL["runs"], now()
    values = {"state": state, "updated_at": time, "finished_at": time}
    connection.execute(table.update().where(table.c.run == run), values)


def newest(connection: Connection, limit: int) -> list[Run]:
    """The runs, newest first."""
    table = SQL["runs"]
    names = [f.name for f in dataclasses.fields(Run)]
    query = sa.select(*(table.c[n] for n in names)).order_by(table.c.run.desc()).limit(limit)
    return [Run(*row) for row in connection.execute(query)]
