"""Tables that say what is known of recordings: metadata, and manifests that list them as well.

Conventions
-----------
One row a recording, named in the column ``recording`` by path, file name or URL, or in ``call_id``
alone, and any of :data:`~pipeline.recordings.values.FIELDS`, under our names or the usual ones.
A name without an absolute path is looked for from the folder of the table. A table that cannot be
used stops the run.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import MetadataError
from pipeline.io import files
from pipeline.io.times import clock, iso_time, year_first
from pipeline.io.user_tables import SUFFIXES, read_table
from pipeline.recordings.notes import Notes
from pipeline.recordings.values import COLUMNS, FIELDS, put

MANIFEST_SUFFIXES = tuple(suffix for suffix in SUFFIXES if suffix != ".txt")


@dataclass(frozen=True, slots=True)
class Row:
    """What one row says of the recording it names.

    ``where`` is the row as a spreadsheet shows it, with the name of the table where there are
    several; ``address`` is what ``recording`` means seen from the table. Both are None where only
    the call id is given.
    """

    where: str
    recording: str | None
    address: str | None
    values: Mapping[str, Any]


def is_manifest(given: str) -> bool:
    """Whether an input is a table that lists recordings."""
    return files.suffix(given) in MANIFEST_SUFFIXES and not files.has_pattern(given)


def read_rows(path: str, notes: Notes, label: str = "", *, lists: bool = False) -> list[Row]:
    """Read a table.

    Parameters
    ----------
    path : str
        Path or URL.
    notes : Notes
        Takes what was understood, what was left out and why.
    label : str
        What comes before "row 2" in a warning.
    lists : bool
        It lists recordings: each row must name one.

    Raises
    ------
    MetadataError
        If the table cannot be read, or its columns are missing or misspelt.
    """
    needs = ["recording"] if lists else ["recording", "call_id"]
    table = read_table(path, COLUMNS, [needs], MetadataError)
    for note in table.notes:
        notes.add(note)
    if "recording" not in table.headers:
        notes.add(f"{files.name(path)} names no recordings: its rows are matched by call id.")
    if "agent_name" in table.headers and "agent_id" not in table.headers:
        notes.add(
            f"{files.name(path)} names agents without their ids: no figures are made of single agents. "
            f"Add a column 工号 (agent_id); names will do in it where no two agents share one."
        )
    rows = []
    written = {
        name: year_first(found.cells.get(name) for found in table.rows)
        for name in ("started_at", "date")
    }
    for found in table.rows:
        where = f"{label}{found.where}"
        recording = found.cells.get("recording")
        if recording is None and (lists or "call_id" not in found.cells):
            if found.cells:
                notes.count("Metadata rows without a recording name:", where)
            continue
        if recording is not None and not files.is_url(recording):
            recording = recording.replace("\\", "/")
        values: dict[str, Any] = {}
        start, date = (
            written[name](unicodedata.normalize("NFKC", found.cells.get(name, "")))
            for name in ("started_at", "date")
        )
        if date and not iso_time(start):  # day and time in two columns, or the day alone
            start = f"{(iso_time(date) or date).partition('T')[0]} {clock(start)}"
        for name in FIELDS:
            text = start if name == "started_at" else found.cells.get(name)
            put(values, name, text, where, notes)
        address = None if recording is None else _address(path, recording)
        rows.append(Row(where, recording, address, values))
    return rows


def _address(table: str, recording: str) -> str:
    """Resolve the name of a recording from the folder of its table."""
    recording = files.plain(recording)
    if files.is_url(recording):
        return recording
    if files.is_url(table) and not os.path.isabs(recording):
        return f"{table.rpartition('/')[0]}/{recording.removeprefix('./')}"
    folder = os.path.dirname(os.path.abspath(files.plain(table)))
    return os.path.normpath(os.path.join(folder, recording))
