"""Which stored call each recording is: by its place, by its content, and by the id it is given.

Conventions
-----------
A recording at a place that the store knows is that call, and keeps its id unless another one is given
now: then the call is renamed. Content that lies at a new place while the old one is gone is a call that
moved; content at two places is one call, and said. Everything else is a new call; an id that nobody
gave is led by as many folder names as it takes to be nobody else's. A given id that another call has
costs a failure row, which stays until an id is given that can be. What is known of a call and is not
said again stays. A recording is read whole for this only where another one has its
size and its ends, and never beyond ``MAX_BYTES``.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import NamedTuple
from zoneinfo import ZoneInfo

from pipeline.audio import MAX_BYTES, both
from pipeline.errors import RecordingError, first_few
from pipeline.io import files
from pipeline.io.times import local_time
from pipeline.recordings import Found, id_taken, names_from_paths
from pipeline.schema import Failure, Recording
from pipeline.store import Store

END_BYTES = 64 * 1024  # at either end of a recording, by which most are told apart


class Copy(NamedTuple):
    """A recording that holds the same as the one at another place."""

    recording: Recording
    sha256: str
    place: str


class Settled(NamedTuple):
    """Recordings with the ids of their calls, copies of them, and those that cannot have their id."""

    recordings: list[Recording]
    copies: list[Copy]
    failures: list[Failure]
    notes: list[str]


def settle(found: Found, store: Store) -> Settled:
    """Find the call of each recording, and give calls the ids that are given now.

    Parameters
    ----------
    found : Found
    store : Store
        Calls in it are renamed.
    """
    given = {r.path: r.call_id for r in found.recordings if r.path in found.named}
    at = store.ids_at([r.path for r in found.recordings])
    owners = store.owners(list(given.values()))
    at |= {p: name for p, name in given.items() if owners.get(name, ("",))[0] == files.shown(p)}
    copies = _find_moved([r for r in found.recordings if r.path not in at], at, store)
    apart = {copy.recording.path for copy in copies}
    given = {path: name for path, name in given.items() if path not in apart}
    failures: dict[str, Failure] = {}
    while True:
        # A call that cannot have its new id keeps the old one, which another may have wanted.
        renamed = {
            at[path]: name
            for path, name in given.items()
            if at.get(path, name) != name and path not in failures
        }
        taken = {
            path: id_taken(path, name, owners[name][0])
            for path, name in given.items()
            if path not in failures
            and name != at.get(path)
            and owners.get(name, ("", None))[1] is not None
            and name not in renamed
        }
        if not taken:
            break
        failures |= taken
    store.rename(renamed)
    settled = [r for r in found.recordings if r.path not in apart and r.path not in failures]
    ids = {path: renamed.get(call_id, call_id) for path, call_id in at.items()} | given
    ids |= _free_names([r for r in settled if r.path not in ids], set(ids.values()), store)
    notes = []
    if renamed:
        shown = first_few([f"{old} is {name}" for old, name in renamed.items()])
        notes.append(f"Calls got the ids that are given now: {shown}.")
    refused = store.refused_ids()
    waiting = [r.path for r in settled if files.shown(r.path) in refused]
    has_own = {
        p for p in waiting if p in given or files.stem(p) not in ids[p]
    }  # not made of its name
    store.accept_ids(sorted(has_own))
    if without := [
        f"{files.name(p)} ({refused[files.shown(p)]})" for p in waiting if p not in has_own
    ]:
        notes.append(
            f"Recordings still without the id that an earlier table gave them, which is that of another "
            f"one: {first_few(without)}. Give each an id of its own in the metadata."
        )
    calls = [replace(r, call_id=ids[r.path]) for r in settled]
    return Settled(calls, copies, list(failures.values()), notes)


def filled(recording: Recording, known: Recording, zone: str) -> Recording:
    """What is said of a recording now, and where that is nothing, what was known of it."""
    kept = {
        f.name: getattr(known, f.name)
        for f in fields(Recording)
        if getattr(recording, f.name) is None and getattr(known, f.name) is not None
    }
    if "started_at" in kept:
        kept["started_at"] = local_time(kept["started_at"], ZoneInfo(zone))
    return replace(recording, **kept)


def stamp_of(path: str, other: str | None = None) -> str:
    """Size and time of change of a file on this machine, and of the other leg's; empty where none is."""
    if other is not None:
        stamps = [stamp_of(path), stamp_of(other)]
        return "+".join(stamps) if all(stamps) else ""
    try:
        about = os.stat(files.plain(path))
    except OSError:
        return ""
    return f"{about.st_size}:{about.st_mtime_ns}"


def content_of(recording: Recording) -> str:
    """SHA-256 of a recording, of both its files where it has two."""
    own = files.sha256(recording.path)
    return own if recording.path_2 is None else both(own, files.sha256(recording.path_2))


def _find_moved(new: Sequence[Recording], at: dict[str, str], store: Store) -> list[Copy]:
    """Add to ``at`` the recordings of calls that lay elsewhere; return those that are copies.

    Recordings by URL are not fetched for that.
    """
    contents = _contents(new, store)
    known = store.of_contents(sorted(set(contents.values())))
    copies: list[Copy] = []
    first: dict[str, str] = {}
    for recording in new:
        path, sha256 = recording.path, contents.get(recording.path)
        if sha256 is None:
            continue
        for call_id, place in known.get(sha256, {}).items():
            if (not files.is_url(place) and not os.path.exists(place)) or _is_same(place, path):
                at[path] = call_id
                del known[sha256][call_id]
                break
        else:
            place = next(iter(known.get(sha256, {}).values()), first.setdefault(sha256, path))
            if place != path:
                copies.append(Copy(recording, sha256, place))
    return copies


def _contents(new: Sequence[Recording], store: Store) -> dict[str, str]:
    """SHA-256 by path of the recordings that may hold what another one holds.

    That takes the same size, and the same bytes at both ends where that is less to read than the
    whole. A call of which neither size nor recording is left may be any of them.
    """
    paths: dict[int, list[str]] = {}
    for recording in new:
        if (size := _size(recording.path)) is not None:
            paths.setdefault(size, []).append(recording.path)
    stored = store.of_sizes(list(paths))
    is_lost = False
    for place in store.unsized() if paths else ():
        size = _size(place)
        is_lost |= size is None
        if size in paths:
            stored.setdefault(size, []).append((place, stamp_of(place)))
    contents: dict[str, str] = {}
    for size, alike in paths.items():
        others = [place for place, _ in stored.get(size, ())]
        wanted = alike
        if not is_lost and all(stamp_of(place) == was for place, was in stored.get(size, ())):
            if len(alike) + len(others) == 1:
                continue
            if len(others) * 2 * END_BYTES < size * len(alike):
                ends = {path: _ends(path, size) for path in (*alike, *others)}
                count = Counter(ends.values())
                wanted = [path for path in alike if count[ends[path]] > 1]
        for path in wanted:
            with contextlib.suppress(RecordingError):  # its failure comes when it is read
                contents[path] = files.sha256(path)
    return contents


def _ends(path: str, size: int) -> bytes:
    """The first and the last bytes of a file; of one that cannot be read, something else."""
    try:
        with open(files.plain(path), "rb") as file:
            first = file.read(END_BYTES)
            file.seek(max(size - END_BYTES, 0))
            return hashlib.sha256(first + file.read(END_BYTES)).digest()
    except OSError:
        return path.encode("utf-8", "surrogateescape")


def _size(path: str) -> int | None:
    """Bytes of a file of this machine that can be a recording; None of all else."""
    try:
        about = os.stat(files.plain(path))
    except OSError:
        return None
    return about.st_size if stat.S_ISREG(about.st_mode) and about.st_size <= MAX_BYTES else None


def _is_same(place: str, path: str) -> bool:
    return os.path.exists(place) and os.path.samefile(place, path)


def _free_names(new: Sequence[Recording], taken: set[str], store: Store) -> dict[str, str]:
    """Ids for recordings of which nobody gave one, none of them that of another call."""
    names = {r.path: r.call_id for r in new}
    while clashing := store.owners(list(names.values())).keys() - taken:
        taken |= clashing
        names = names_from_paths([r.path for r in new], taken)
    for path, name in names.items():  # all folders may not be enough
        number = 2
        while names[path] in taken:
            names[path], number = f"{name}_{number}", number + 1
    return names
