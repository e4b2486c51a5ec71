"""Tables that say what is known of recordings: metadata, and manifests that list them as well.

Conventions
-----------
One row a recording, named in the column ``recording`` by path, file name or URL, and any of
:data:`~pipeline.recordings.values.FIELDS`, under our names or the usual ones. A name without an
absolute path is looked for from the folder of the table. A table that cannot be used stops the run.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import MetadataError
from pipeline.io import files
from pipeline.io.tables import SUFFIXES, read_table
from pipeline.recordings.notes import Notes
from pipeline.recordings.values import COLUMNS, FIELDS, put

MANIFEST_SUFFIXES = tuple(suffix for suffix in SUFFIXES if suffix != ".txt")


@dataclass(frozen=True, slots=True)
class Row:
    """What one row says of the recording it names.

    ``where`` is the row as a spreadsheet shows it, with the name of the table where there are
    several; ``address`` is what ``recording`` means seen from the table.
    """

    where: str
    recording: str
    address: str
    values: Mapping[str, Any]


def is_manifest(given: str) -> bool:
    """Whether an input is a table that lists recordings."""
    return files.suffix(given) in MANIFEST_SUFFIXES and not files.has_pattern(given)


def read_rows(path: str, notes: Notes, label: str = "") -> list[Row]:
    """Read a table.

    Parameters
    ----------
    path : str
        Path or URL.
    notes : Notes
        Takes what was understood, what was left out and why.
    label : str
        What comes before "row 2" in a warning.

    Raises
    ------
    MetadataError
        If the table cannot be read, or its columns are missing or misspelt.
    """
    table = read_table(path, COLUMNS, [["recording"]], MetadataError)
    for note in table.notes:
        notes.add(note)
    rows = []
    for found in table.rows:
        where = f"{label}{found.where}"
        recording = found.cells.get("recording")
        if recording is None:
            if found.cells:
                notes.count("Metadata rows without a recording name:", where)
            continue
        if not files.is_url(recording):
            recording = recording.replace("\\", "/")
        values: dict[str, Any] = {}
        for name in FIELDS:
            put(values, name, found.cells.get(name), where, notes)
        rows.append(Row(where, recording, _address(path, recording), values))
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
