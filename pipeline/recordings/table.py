"""Tables that say what is known of recordings: metadata, and manifests that list them as well.

Conventions
-----------
One row a recording, named in the column ``recording`` by path, file name or URL, and any of
:data:`~pipeline.recordings.values.FIELDS`. A name without an absolute path is looked for from the
folder of the table. A table that cannot be used stops the run.

Source: GB 18030 (the encoding of CSV files saved by Chinese spreadsheet programs).
"""

from __future__ import annotations

import csv
import difflib
import io
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import dropwhile
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.errors import MetadataError, RecordingError, nearest
from pipeline.io import files
from pipeline.recordings.notes import Notes
from pipeline.recordings.values import FIELDS, cell_text, put

MANIFEST_SUFFIXES = (".csv", ".tsv", ".xlsx", ".xlsm", ".parquet")
_ENCODINGS = ("utf-8-sig", "gb18030")
_DELIMITERS = ",\t;|"


@dataclass(frozen=True, slots=True)
class Row:
    """What one row says of the recording it names.

    ``where`` is the row as a spreadsheet shows it (the header is row 1), with the name of the
    table where there are several; ``address`` is what ``recording`` means seen from the table.
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
        Takes what was left out and why.
    label : str
        What comes before "row 2" in a warning.

    Raises
    ------
    MetadataError
        If the table cannot be read, or its columns are missing or misspelt.
    """
    try:
        with files.local(path) as copy:
            table = _read_table(Path(copy), path)
    except RecordingError as error:
        raise MetadataError(error.message, error.hint) from error
    table.columns = [str(name).strip().lower() for name in table.columns]
    _check_columns(list(table.columns), path, notes)
    columns = [name for name in table.columns if name in FIELDS]
    rows = []
    for number, cells in enumerate(table.to_dict("records"), start=2):
        where = f"{label}row {number}"
        recording = cell_text(cells["recording"])
        if not files.is_url(recording):
            recording = recording.replace("\\", "/")
        if not recording:
            if any(cell_text(cell) for cell in cells.values()):
                notes.count("Metadata rows without a recording name:", where)
            continue
        values: dict[str, Any] = {}
        for name in columns:
            put(values, name, cell_text(cells[name]), where, notes)
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


def _read_table(copy: Path, path: str) -> pd.DataFrame:
    """Read the copy here of the table at ``path`` as text."""
    readers: dict[str, Callable[[Path], pd.DataFrame]] = {
        ".csv": lambda p: _read_csv(p, path),
        ".tsv": lambda p: _read_csv(p, path),
        ".txt": lambda p: _read_csv(p, path),
        ".xlsx": lambda p: pd.read_excel(p, dtype=object, engine="openpyxl"),
        ".xlsm": lambda p: pd.read_excel(p, dtype=object, engine="openpyxl"),
        ".parquet": lambda p: pd.read_parquet(p, dtype_backend="numpy_nullable"),
    }  # fmt: skip
    reader = readers.get(copy.suffix.lower())
    if reader is None:
        raise MetadataError(
            f'The metadata file {path} ends in "{copy.suffix}"; allowed are {", ".join(readers)}.',
            "Save the table as CSV (UTF-8) or XLSX.",
        )
    try:
        return reader(copy)
    except MetadataError:
        raise
    except Exception as error:  # three parsers, each with its own family of errors
        text = " ".join(str(error).split()) or type(error).__name__
        raise MetadataError(
            f"The metadata file {path} cannot be read: {text}", "Open it and save it again."
        ) from error


def _read_csv(copy: Path, path: str) -> pd.DataFrame:
    content = copy.read_bytes()
    encodings = ("utf-16",) if content[:2] in (b"\xff\xfe", b"\xfe\xff") else _ENCODINGS
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        header = text.lstrip().split("\n", 1)[0]
        delimiter = max(_DELIMITERS, key=header.count)
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
        rows = list(dropwhile(lambda line: not any(cell.strip() for cell in line), lines))
        if not rows:
            raise MetadataError(f"The metadata file {path} is empty.", "It needs a header row.")
        width = len(rows[0])
        long = [cell for row in rows for cell in row[width:] if cell.strip()]
        if long:
            raise MetadataError(
                f'The metadata file {path} has rows longer than its header, as at "{long[0]}".',
                "Put quotes around cells that contain the delimiter.",
            )
        cells = [(row + [""] * width)[:width] for row in rows]
        return pd.DataFrame(cells[1:], columns=cells[0], dtype=object)
    raise MetadataError(
        f"The metadata file {path} is neither UTF-8 nor GB 18030 text.", "Save it as CSV (UTF-8)."
    )


def _check_columns(columns: Sequence[str], path: str, notes: Notes) -> None:
    allowed = ("recording", *FIELDS)
    twice = [name for name, count in Counter(columns).items() if count > 1 and name in allowed]
    if twice:
        raise MetadataError(
            f'The metadata file {path} has the column "{twice[0]}" more than once.',
            "Keep one of them.",
        )
    free = [name for name in allowed if name not in columns]
    for name in columns:
        close = difflib.get_close_matches(name, free, n=1, cutoff=0.75)
        if name not in allowed and close:
            raise MetadataError(
                f'The metadata file {path} has an unknown column "{name}".', nearest(name, allowed)
            )
    if "recording" not in columns:
        raise MetadataError(
            f'The metadata file {path} has no column "recording" (it has: {", ".join(columns)}).',
            "Name the column that holds the file names of the recordings so.",
        )
    extra = [name for name in columns if name not in allowed and not name.startswith("unnamed:")]
    if extra:
        notes.add(f"Metadata columns that are not used: {', '.join(extra)}.")
