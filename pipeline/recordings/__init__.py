"""Find the recordings to analyse and join what is known of them.

What
----
Inputs are files, folders (searched to any depth) and glob patterns, on this machine or by URL, and
manifests: tables (CSV, XLSX, Parquet) that list recordings. What is known of a recording comes
from a metadata table or the manifest, from its file name through a pattern with named groups, or
from both; the table wins.

Conventions
-----------
A call id that nobody gave is the file name without suffix; where that is not unique it is led by
as many folder names as it takes. A time with an offset is turned into business time; one without
is taken as business time. Rows and recordings that do not find each other are reported,
never dropped. A value that cannot be used is left out and reported; a table that cannot be used
stops the run.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from zoneinfo import ZoneInfo

from pipeline.errors import UsageError, nearest
from pipeline.io import files
from pipeline.io.names import Names
from pipeline.io.times import local_time
from pipeline.recordings.halves import note_halves, pairs_by, read_marks
from pipeline.recordings.listing import list_paths
from pipeline.recordings.notes import LISTED, Notes
from pipeline.recordings.switch_tables import EventRow, placed, read_events
from pipeline.recordings.table import Row, is_manifest, read_rows
from pipeline.recordings.values import FIELDS, LOST_DIGITS, put
from pipeline.schema import Failure, Recording, SwitchEvent
from pipeline.settings import DEFAULT_ZONE

__all__ = [
    "FIELDS",
    "EventRow",
    "Found",
    "Knows",
    "Row",
    "find_recordings",
    "id_taken",
    "names_from_paths",
    "read_events",
    "read_rows",
]


class Knows(Protocol):
    """What knows calls of earlier runs: a store."""

    def ids_at(self, paths: Sequence[str]) -> Mapping[str, str]:
        """Call id of each of these places that is known."""
        ...

    def starts_at(self, paths: Sequence[str]) -> Mapping[str, str]:
        """When the call of each of these places began, where that is known."""
        ...


class Found(NamedTuple):
    """What :func:`find_recordings` returns.

    ``failures`` are recordings that cannot enter the run, one row each; ``warnings`` are sentences
    for the log; ``named`` are the paths of the recordings whose call id was given, not made.
    """

    recordings: list[Recording]
    failures: list[Failure]
    warnings: list[str]
    named: frozenset[str] = frozenset()


def find_recordings(
    inputs: Sequence[str],
    *,
    suffixes: Collection[str],
    metadata: str | Path | Sequence[Row] | None = None,
    name_pattern: str | None = None,
    zone: str = DEFAULT_ZONE,
    events: str | Path | Sequence[EventRow] | None = None,
    earlier: Knows | None = None,
    pair_legs: str | None = None,
) -> Found:
    """List the recordings that the inputs name, each with its metadata.

    Parameters
    ----------
    inputs : sequence of str
        Files (taken whatever their suffix), folders and glob patterns (``**`` for any depth), as
        paths or URLs, and manifests: tables as ``metadata``, each row a recording to take. What
        is named twice counts once.
    suffixes : collection of str
        Lower-case suffixes by which recordings are recognised in folders and glob patterns.
    metadata : str, Path or sequence of Row, optional
        Table with a column ``recording`` (file name, path or URL) or ``call_id``, and any of
        :data:`FIELDS`, or its rows; they go before those of a manifest.
    name_pattern : str, optional
        Regular expression with named groups out of :data:`FIELDS`, searched in the file name, or
        in the whole path with ``/`` when the pattern contains a ``/``.
    zone : str
        Business time zone, as an IANA name.
    events : str, Path or sequence of EventRow, optional
        Table of what a switch knows of the calls (:mod:`pipeline.recordings.switch_tables`), or its rows.
    earlier : Knows, optional
        The calls of earlier runs.
    pair_legs : str, optional
        What the names of the two files of a call differ by, such as ``-in/-out``: the first is
        channel 0, the second channel 1. A row may name either file, or the name without the mark.

    Returns
    -------
    Found
        Recordings in the order of their paths, failures and warnings.

    Raises
    ------
    NoRecordings
        If no recording is found.
    UsageError
        If the name pattern or a URL is not valid.
    MetadataError
        If the table cannot be read, or its columns are missing or misspelt.
    """
    notes = Notes()
    pattern = None if name_pattern is None else _compile(name_pattern)
    manifests = [given for given in inputs if is_manifest(given)]
    listed = [
        row
        for path in manifests
        for row in read_rows(path, notes, f"{files.name(path)} ", lists=True)
    ]
    rows = read_rows(str(metadata), notes) if isinstance(metadata, (str, Path)) else metadata or []
    others = [given for given in inputs if given not in manifests]
    addresses = [row.address for row in listed if row.address is not None]
    paths, failures = list_paths(others, addresses, frozenset(suffixes), notes)
    known: dict[str, dict[str, Any]] = {path: {} for path in paths}
    called = [(path, path) for path in paths]
    if pair_legs is None:
        note_halves(paths, notes)
    else:
        called += _paired(known, read_marks(pair_legs), notes)
    if pattern is not None:
        _apply_pattern(pattern, known, notes)
    said = _apply_rows(listed, None, known, notes)
    if metadata is not None:
        names = Names([c for c in called if c[0] in known], _ids(known, earlier))
        said = _apply_rows(rows, names, known, notes) | said
    if metadata is not None or manifests:
        for path in (path for path in known if path not in said):
            notes.count("Recordings without a metadata row:", files.name(path))
    _to_business_time(known.values(), zone, notes)
    if events is not None:
        told = read_events(str(events), notes) if isinstance(events, (str, Path)) else events
        _apply_events(told, known, earlier, zone, notes)
    ordered = {path: known[path] for path in (*said, *known)}
    recordings, clashes = _with_call_ids(ordered, notes)
    recordings.sort(key=lambda recording: recording.path)
    named = frozenset(path for path, values in known.items() if "call_id" in values)
    return Found(recordings, failures + clashes, notes.sentences(), named)


def _paired(
    known: dict[str, dict[str, Any]], marks: tuple[str, str], notes: Notes
) -> list[tuple[str, str]]:
    """Make one recording of the legs of each call; what else it may be called."""
    names: list[tuple[str, str]] = []
    for first, second, whole in list(pairs_by(known, marks)):
        if first is None or second is None:
            notes.count("Legs without the other one:", files.name(str(first or second)))
            continue
        known[first]["path_2"] = second
        known.pop(second, None)
        names += [(first, second), (first, str(whole))]
    return names


# -- file names ----------------------------------------------------------------------------------


def _compile(name_pattern: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(name_pattern)
    except re.error as error:
        raise UsageError(
            f'The name pattern "{name_pattern}" is not a regular expression: {error}.',
            r"Example: (?P<agent_id>A\d+)_(?P<started_at>\d{14})",
        ) from error
    unknown = [name for name in pattern.groupindex if name not in FIELDS]
    if unknown:
        raise UsageError(
            f'The name pattern has an unknown group "{unknown[0]}".', nearest(unknown[0], FIELDS)
        )
    if not pattern.groupindex:
        raise UsageError(
            f'The name pattern "{name_pattern}" has no named group.',
            r"Example: (?P<agent_id>A\d+)_(?P<started_at>\d{14})",
        )
    return pattern


def _apply_pattern(
    pattern: re.Pattern[str], known: dict[str, dict[str, Any]], notes: Notes
) -> None:
    for path, values in known.items():
        whole, name = path.replace(os.sep, "/"), files.name(path)
        match = pattern.search(whole if "/" in pattern.pattern else name)
        if match is None:
            notes.count("The name pattern does not fit:", name)
            continue
        for group, text in match.groupdict().items():
            put(values, group, text, f"file name {name}", notes)


# -- rows ----------------------------------------------------------------------------------------


def _apply_rows(
    rows: Sequence[Row], names: Names | None, known: Mapping[str, dict[str, Any]], notes: Notes
) -> dict[str, str]:
    """Give each row to the recording it names; return which row each got, in their order.

    Without ``names`` a row names its recording by the whole address.
    """
    taken: dict[str, str] = {}
    for row in rows:
        hits = [row.address] if row.address is not None and row.address in known else []
        called = row.recording or str(row.values["call_id"])
        if names is not None:
            by_name = row.recording is not None
            hits = names.find(called, row.address) if by_name else names.of_call(called)
        name = f"{row.where} ({called}"
        if not hits:
            missing = "Metadata rows without a recording:"
            if names is not None and len(notes.alike[missing]) < LISTED:
                nearest_name = names.nearest(called)
                name += f"; nearest: {nearest_name}" if nearest_name else ""
            notes.count(missing, f"{name})")
        elif len(hits) > 1:
            notes.count("Metadata rows not used, as several recordings bear the name:", f"{name})")
        elif hits[0] in taken:
            notes.count(
                "Metadata rows not used, as an earlier row names the same recording:",
                f"{name}, as {taken[hits[0]]})",
            )
        else:
            taken[hits[0]] = row.where
            known[hits[0]].update(row.values)
    return taken


def _ids(known: Mapping[str, dict[str, Any]], earlier: Knows | None) -> dict[str, str]:
    """Call id by path: the one that is given now, else the one that it has."""
    ids = dict(earlier.ids_at(list(known))) if earlier is not None else {}
    return ids | {path: v["call_id"] for path, v in known.items() if "call_id" in v}


def _apply_events(
    rows: Sequence[EventRow],
    known: Mapping[str, dict[str, Any]],
    earlier: Knows | None,
    zone: str,
    notes: Notes,
) -> None:
    """Give the events of a switch to the recordings they are of."""
    names = Names(((path, path) for path in known), _ids(known, earlier))
    hits: dict[tuple[str | None, str | None], list[str]] = {}
    for row in rows:
        key = row.call_id, row.recording
        if key not in hits:
            by_id = names.known(row.call_id) if row.call_id else []
            hits[key] = by_id or (
                names.find(row.recording) if row.recording else names.find(str(row.call_id))
            )
    paths = list({found[0]: None for found in hits.values() if len(found) == 1})
    starts = dict(earlier.starts_at(paths)) if earlier is not None else {}
    events: dict[str, dict[SwitchEvent, None]] = {}
    for row in rows:
        found, name = hits[row.call_id, row.recording], row.recording or row.call_id
        if len(found) != 1:
            several = "Events not used, as several recordings bear the name:"
            missing = "Events of calls that are not among these recordings:"
            is_shown = not found and len(notes.alike[missing]) < LISTED
            near = names.nearest(str(name)) if is_shown else None
            nearest_name = f"; nearest: {near}" if near else ""
            notes.count(several if found else missing, f"{row.where} ({name}{nearest_name})")
            continue
        values = known[found[0]]
        event = placed(row, values.get("started_at") or starts.get(found[0]), zone)
        if isinstance(event, str):
            notes.count("Events that cannot be used:", f"{row.where} ({event})")
        else:
            events.setdefault(found[0], {})[event] = None
    for path, of_call in events.items():
        known[path]["switch"] = tuple(sorted(of_call, key=lambda e: (e.start, e.end, e.kind)))
    if rows:
        count = sum(len(of_call) for of_call in events.values())
        notes.add(f"Events of the switch: {count} of {len(events)} calls.")


def _to_business_time(known: Iterable[dict[str, Any]], zone: str, notes: Notes) -> None:
    """Convert times that have an offset."""
    converted = 0
    for values in known:
        text = values.get("started_at", "")
        values |= {"started_at": local_time(text, ZoneInfo(zone))} if text else {}
        converted += values.get("started_at", "") != text
    if converted:
        notes.add(f"Times with an offset were converted to {zone} (time.zone): {converted}.")


# -- call ids ------------------------------------------------------------------------------------


def _with_call_ids(
    known: Mapping[str, Mapping[str, Any]], notes: Notes
) -> tuple[list[Recording], list[Failure]]:
    """Build the recordings; an id given to two of them costs the later ones a failure row."""
    given = {path: values["call_id"] for path, values in known.items() if "call_id" in values}
    made = names_from_paths([path for path in known if path not in given], set(given.values()))
    for path, call_id in made.items():
        if call_id != files.stem(path):
            notes.count("File names that are not unique; the call id got a prefix:", call_id)
    for call_id in {i for i in given.values() if LOST_DIGITS.fullmatch(i)}:
        notes.count("Call ids that seem to have lost digits in a spreadsheet:", call_id)
    owner: dict[str, str] = {}
    recordings, failures = [], []
    for path, values in known.items():
        call_id = given.get(path) or made[path]
        first = owner.setdefault(call_id, path)
        if first == path:
            recordings.append(Recording(path=path, **{**values, "call_id": call_id}))
            continue
        failures.append(id_taken(path, call_id, first))
    return recordings, failures


def id_taken(path: str, call_id: str, owner: str) -> Failure:
    """The failure of a recording whose given call id is that of another one."""
    hint = "Give every recording its own call_id in the metadata."
    if LOST_DIGITS.fullmatch(call_id):
        hint = (
            "The id lost digits in a spreadsheet, which keeps 15 of them: export it again with "
            "the column formatted as text."
        )
    return Failure(
        path=path,
        call_id=call_id,
        stage="recordings",
        error_type="MetadataError",
        message=f'The call id "{call_id}" is already that of {files.name(owner)}.',
        hint=hint,
    )


def names_from_paths(paths: Sequence[str], taken: Collection[str]) -> dict[str, str]:
    """Name each path by its stem, led by as many folders as it takes to be unique."""
    names = {path: files.stem(path) for path in paths}
    for depth in range(1, max((len(files.parts(path)) for path in paths), default=0) + 1):
        count = Counter(names.values())
        clashing = [path for path in paths if count[names[path]] > 1 or names[path] in taken]
        if not clashing:
            break
        same_place = Counter((*files.parts(path)[:-1], files.stem(path)) for path in clashing)
        for path in clashing:
            *folders, last = files.parts(path)
            whole = same_place[(*folders, files.stem(path))] > 1
            last = last.replace(".", "_") if whole else files.stem(path)
            names[path] = "_".join((*folders[-depth:], last))
    return names
