"""Which call a recording is: by its place, by its content, and the name it carries.

Conventions
-----------
The place of a call is its path or URL as it is shown (:func:`pipeline.io.files.shown`). ``recordings``
keeps all that is known of each call's recording, as JSON, and a stamp of the file it was read from.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePath
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from pipeline.io import files
from pipeline.schema import CallResult, Recording, Seconds, from_json, to_json
from pipeline.settings import DEFAULT_ZONE
from pipeline.store.migrations import SQL, size_in
from pipeline.store.rows import Identity, clean, place_of

AT_ONCE = 500  # values in one statement

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Known:
    """What a store knows of a call before its result is read.

    ``identity`` is None where there is no result; ``stamp`` is empty where no file was looked at.
    """

    recording: Recording
    identity: Identity | None
    stamp: str
    duration: Seconds
    warnings: tuple[str, ...]


class Basis(NamedTuple):
    """What some calls rest on; hashes in hexadecimal."""

    calls: int
    preset: str | None
    settings_hash: str
    weights_hash: str
    rubric_hash: str


def bases(connection: Connection) -> list[Basis]:
    """What the results rest on, the commonest first."""
    calls, results = SQL["calls"], SQL["results"]
    kinds = (calls.c.preset, results.c.settings_hash, results.c.weights_hash, results.c.rubric_hash)
    both = calls.join(results, results.c.call_id == calls.c.call_id)
    query = sa.select(sa.func.count(), *kinds).select_from(both).group_by(*kinds)
    return sorted((Basis(*row) for row in connection.execute(query)), reverse=True)


def zone(connection: Connection) -> str:
    """The business time zone (``time.zone``) that most results were made with."""
    settings = SQL["settings"]
    for basis in bases(connection):
        query = sa.select(settings.c.body).where(settings.c.hash == basis.settings_hash)
        if body := connection.scalar(query):
            return str(json.loads(body).get("time", {}).get("zone", DEFAULT_ZONE))
    return DEFAULT_ZONE


def alike(connection: Connection, call: CallResult, least: float, limit: int) -> tuple[str, ...]:
    """Ids of calls of the folder, queue and codec of this one whose roles are so sure, newest first."""
    calls, folder = SQL["calls"], str(PurePath(files.shown(call.recording.path)).parent)
    query = sa.select(calls.c.call_id, calls.c.path).where(
        calls.c.role_confidence >= least,
        calls.c.speaker_source == "channel",
        calls.c.codec.is_not_distinct_from(call.codec),
        calls.c.queue.is_not_distinct_from(call.recording.queue),
        calls.c.path.startswith(folder, autoescape=True),
    )
    newest = query.order_by(sa.func.coalesce(calls.c.started_at, "").desc(), calls.c.call_id.desc())
    found = (i for i, path in connection.execute(newest) if str(PurePath(path).parent) == folder)
    return tuple(islice(found, limit))


def ids_at(connection: Connection, paths: Sequence[str]) -> dict[str, str]:
    """Call id of each of these places that is known."""
    calls = SQL["calls"]
    given = {clean(files.shown(path)): path for path in paths}
    found: dict[str, str] = {}
    for some in _parts(list(given)):
        query = sa.select(calls.c.path, calls.c.call_id).where(calls.c.path.in_(some))
        found |= {given[path]: call_id for path, call_id in connection.execute(query)}
    return found


def starts_at(connection: Connection, paths: Sequence[str]) -> dict[str, str]:
    """When the call at each of these places began, where that is known."""
    calls = SQL["calls"]
    given = {clean(files.shown(path)): path for path in paths}
    found: dict[str, str] = {}
    for some in _parts(list(given)):
        query = sa.select(calls.c.path, calls.c.started_at).where(calls.c.path.in_(some))
        found |= {given[path]: start for path, start in connection.execute(query) if start}
    return found


def owners(connection: Connection, call_ids: Sequence[str]) -> dict[str, tuple[str, str | None]]:
    """Place, and SHA-256 if there is a result, of each of these calls that is known."""
    calls, results = SQL["calls"], SQL["results"]
    both = calls.outerjoin(results, results.c.call_id == calls.c.call_id)
    columns = (calls.c.call_id, calls.c.path, results.c.sha256)
    given = {clean(call_id): call_id for call_id in call_ids}
    found: dict[str, tuple[str, str | None]] = {}
    for some in _parts(list(given)):
        query = sa.select(*columns).select_from(both).where(calls.c.call_id.in_(some))
        found |= {given[i]: (path, sha256) for i, path, sha256 in connection.execute(query)}
    return found


def of_contents(connection: Connection, hashes: Sequence[str]) -> dict[str, dict[str, str]]:
    """Call ids and places of the calls whose recordings have these contents, by SHA-256."""
    calls, results = SQL["calls"], SQL["results"]
    both = calls.join(results, results.c.call_id == calls.c.call_id)
    query = sa.select(results.c.sha256, calls.c.call_id, calls.c.path).select_from(both)
    found: dict[str, dict[str, str]] = {}
    for some in _parts(hashes):
        of_these = query.where(results.c.sha256.in_(some)).order_by(calls.c.call_id)
        for sha256, call_id, path in connection.execute(of_these):
            found.setdefault(sha256, {})[call_id] = path
    return found


def of_sizes(connection: Connection, sizes: Sequence[int]) -> dict[int, list[tuple[str, str]]]:
    """Places and stamps of the calls with results whose recordings had these sizes, by size."""
    recordings = SQL["recordings"]
    query = _with_results(recordings.c.size, recordings.c.stamp)
    found: dict[int, list[tuple[str, str]]] = {}
    for some in _parts(sizes):
        for path, size, stamp in connection.execute(query.where(recordings.c.size.in_(some))):
            found.setdefault(size, []).append((path, stamp))
    return found


def unsized(connection: Connection) -> list[str]:
    """Places of the calls with results of whose recordings no size is known."""
    query = _with_results().where(SQL["recordings"].c.size.is_(None))
    return list(connection.scalars(query))


def _with_results(*columns: sa.Column[Any]) -> sa.Select[Any]:
    calls, results, recordings = SQL["calls"], SQL["results"], SQL["recordings"]
    both = recordings.join(calls, calls.c.call_id == recordings.c.call_id)
    both = both.join(results, results.c.call_id == recordings.c.call_id)
    return sa.select(calls.c.path, *columns).select_from(both)


def known(connection: Connection, call_ids: Sequence[str]) -> dict[str, Known]:
    """What is known of each of these calls, by call id."""
    calls, results, recordings = SQL["calls"], SQL["results"], SQL["recordings"]
    all_three = calls.outerjoin(results, results.c.call_id == calls.c.call_id).outerjoin(
        recordings, recordings.c.call_id == calls.c.call_id
    )
    identity = [results.c[f.name] for f in dataclasses.fields(Identity) if f.name != "call_id"]
    columns = [f.name for f in dataclasses.fields(Recording) if f.name in calls.c]
    query = sa.select(
        calls.c.duration, calls.c.warnings, recordings.c.known, recordings.c.stamp,
        *(calls.c[name] for name in columns), *identity,
    ).select_from(all_three)  # fmt: skip
    given = {clean(call_id): call_id for call_id in call_ids}
    found: dict[str, Known] = {}
    for some in _parts(list(given)):
        for row in connection.execute(query.where(calls.c.call_id.in_(some))):
            duration, warnings, body, stamp, *rest = row
            said = dict(zip(columns, rest, strict=False))
            made, call_id = rest[len(columns) :], said["call_id"]
            said = json.loads(body) if body else said
            found[given[call_id]] = Known(
                from_json(Recording, said | {"call_id": given[call_id]}),
                Identity(call_id, *made) if made[0] is not None else None,
                stamp or "",
                duration or 0.0,
                tuple(warnings.split("; ")) if warnings else (),
            )
    return found


def remember(connection: Connection, recording: Recording, stamp: str) -> None:
    """Keep what is known of a recording, in place of what was known."""
    table, call_id = SQL["recordings"], clean(recording.call_id)
    body = json.dumps(to_json(recording) | {"path": files.shown(recording.path)})
    row = {"call_id": call_id, "known": body, "stamp": stamp}
    connection.execute(table.delete().where(table.c.call_id == call_id))
    connection.execute(table.insert(), [row | {"size": size_in(stamp)}])


def rename(connection: Connection, names: Mapping[str, str]) -> None:
    """Give calls other ids, in every table; they may change ids among themselves.

    A failed call without a result gives way to one that gets its id.
    """
    olds = [clean(old) for old in names]
    news = [clean(new) for new in names.values()]
    between = [f"\ue000{i}" for i in range(len(olds))]
    tables = [t for t in SQL.values() if "call_id" in t.c and t.name != "failures"]
    results = sa.select(SQL["results"].c.call_id)
    for some in _parts([new for new in news if new not in olds]):
        for name in ("calls", "recordings"):
            column = SQL[name].c.call_id
            connection.execute(SQL[name].delete().where(column.in_(some), column.not_in(results)))
    for before, after in ((olds, between), (between, news)):
        pairs = [{"before": b, "after": a} for b, a in zip(before, after, strict=True)]
        for table in tables:
            values: dict[str, Any] = {"call_id": sa.bindparam("after")}
            rows = pairs
            if table.name == "calls":
                values["slug"] = sa.bindparam("new_slug")
                rows = [p | {"new_slug": place_of(p["after"], None)["slug"] or ""} for p in pairs]
            update = table.update().where(table.c.call_id == sa.bindparam("before"))
            connection.execute(update.values(**values), rows)


def _parts(values: Sequence[T]) -> Iterator[Sequence[T]]:
    return (values[first : first + AT_ONCE] for first in range(0, len(values), AT_ONCE))
