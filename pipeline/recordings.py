"""Find the recordings to analyse and join what is known of them.

What
----
Inputs are files, folders (searched to any depth) and glob patterns. What is known of a recording
comes from a metadata table (CSV, XLSX or Parquet, one row a recording), from its file name through
a pattern with named groups, or from both; the table wins.

Conventions
-----------
Every cell is read as text, so that ``007`` stays ``007``. A call id that nobody gave is the file
name without suffix; where that is not unique it is led by as many folder names as it takes. Rows
and recordings that do not find each other are reported, never dropped. A value that cannot be used
is left out and reported; a table that cannot be used stops the run.

References
----------
ISO 8601 (times); GB 18030 (the encoding of CSV files saved by Chinese spreadsheet programs).
"""

from __future__ import annotations

import csv
import difflib
import glob
import io
import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import dropwhile
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pandas as pd

from pipeline.errors import MetadataError, UsageError, nearest
from pipeline.schema import Failure, Recording

TEXT_FIELDS = ("call_id", "agent_id", "agent_name", "team", "customer_name", "queue")
FIELDS = (*TEXT_FIELDS, "direction", "started_at", "agent_channel", "rings", "wait_s")
"""Everything the metadata may say of a recording."""

DIRECTIONS = {
    "inbound": "inbound", "in": "inbound", "呼入": "inbound",
    "outbound": "outbound", "out": "outbound", "呼出": "outbound",
}  # fmt: skip

_ENCODINGS = ("utf-8-sig", "gb18030")
_DELIMITERS = ",\t;|"
_MISSING = {"", "nan", "nat", "none", "null", "n/a", "<na>", "-"}
_DATE = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?[\sT_-]*(.*)")
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)(?:[\sT_-]?(\d\d)(\d\d)(\d\d)?)?")
_LISTED = 3  # names quoted in a warning before "and N more"


class Found(NamedTuple):
    """What :func:`find_recordings` returns.

    ``failures`` are recordings that cannot enter the run, one row each; ``warnings`` are sentences
    for the log.
    """

    recordings: list[Recording]
    failures: list[Failure]
    warnings: list[str]


def find_recordings(
    inputs: Sequence[str],
    *,
    suffixes: Collection[str],
    metadata: Path | None = None,
    name_pattern: str | None = None,
) -> Found:
    """List the recordings that the inputs name, each with its metadata.

    Parameters
    ----------
    inputs : sequence of str
        Files (taken whatever their suffix), folders and glob patterns (``**`` for any depth).
        What is named twice counts once.
    suffixes : collection of str
        Lower-case suffixes by which recordings are recognised in folders and glob patterns.
    metadata : Path, optional
        Table with a column ``recording`` (file name or path) and any of :data:`FIELDS`.
    name_pattern : str, optional
        Regular expression with named groups out of :data:`FIELDS`, searched in the file name, or
        in the whole path with ``/`` when the pattern contains a ``/``.

    Returns
    -------
    Found
        Recordings in the order of their paths, failures and warnings.

    Raises
    ------
    UsageError
        If no recording is found, or the name pattern is not valid.
    MetadataError
        If the table cannot be read, or its columns are missing or misspelt.
    """
    notes = _Notes()
    pattern = None if name_pattern is None else _compile(name_pattern)
    rows = [] if metadata is None else _read_rows(metadata, notes)
    paths, failures = _list_paths(inputs, frozenset(suffixes), notes)
    known: dict[str, dict[str, Any]] = {path: {} for path in paths}
    if pattern is not None:
        _apply_pattern(pattern, known, notes)
    if metadata is not None:
        base = os.path.dirname(os.path.abspath(metadata))
        known = _apply_rows(rows, known, base, notes)
    recordings, clashes = _with_call_ids(known, notes)
    recordings.sort(key=lambda recording: recording.path)
    return Found(recordings, failures + clashes, notes.sentences())


@dataclass
class _Notes:
    """Warnings, alike ones gathered into one sentence."""

    plain: list[str] = field(default_factory=list)
    alike: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, sentence: str) -> None:
        """Note one sentence."""
        self.plain.append(sentence)

    def count(self, sentence: str, name: str) -> None:
        """Note one more case of a sentence that ends before the names of its cases."""
        self.alike[sentence].append(name)

    def sentences(self) -> list[str]:
        """Every warning, each with the first few names it is about."""
        return self.plain + [f"{text} {_names(cases)}." for text, cases in self.alike.items()]


def _names(names: Sequence[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")


# -- files ---------------------------------------------------------------------------------------


def _list_paths(
    inputs: Sequence[str], suffixes: frozenset[str], notes: _Notes
) -> tuple[list[str], list[Failure]]:
    """Absolute paths, each file once, sorted; and a failure for each input that leads nowhere."""
    found: dict[str, str] = {}  # real path -> path as named
    failures: list[Failure] = []
    ignored: set[str] = set()
    for given in inputs:
        if os.path.isdir(given):
            candidates, named = list(_walk(given, notes)), False
        elif os.path.lexists(given):
            candidates, named = [given], True
        elif glob.has_magic(given):
            hits = glob.glob(given, recursive=True)
            candidates, named = [hit for hit in hits if not os.path.isdir(hit)], False
        else:
            failures.append(_gone(given))
            continue
        wanted = [path for path in candidates if named or _suffix(path) in suffixes]
        if not wanted:
            notes.count("Inputs without any recording:", given)
        for path in wanted:
            found.setdefault(os.path.realpath(path), os.path.abspath(path))
        ignored.update(set(candidates) - set(wanted))
    if ignored:
        kinds = Counter(_suffix(path) or "without suffix" for path in sorted(ignored)).most_common(
            5
        )
        listed = ", ".join(f"{count} {kind}" for kind, count in kinds)
        notes.add(f"{len(ignored)} files that are not recordings were ignored ({listed}).")
    if not found and not failures:
        raise UsageError(
            f"No recordings found in {_names(list(inputs)) or 'an empty list of inputs'} "
            f"({len(ignored)} other files).",
            f"Name files, or folders that hold files ending in {' '.join(sorted(suffixes))}.",
        )
    return sorted(found.values()), failures


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def _walk(folder: str, notes: _Notes) -> Iterable[str]:
    """Yield every file below a folder but hidden ones; folders that cannot be opened are noted."""

    def closed(error: OSError) -> None:
        notes.count("Folders that cannot be opened:", f"{error.filename} ({error.strerror})")

    for here, folders, files in os.walk(folder, onerror=closed):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (os.path.join(here, name) for name in files if not name.startswith("."))


def _gone(path: str) -> Failure:
    return Failure(
        path=path,
        call_id=Path(path).stem,
        stage="recordings",
        error_type="UnreadableAudio",
        message="There is no such file or folder.",
        hint="Check the path; quote glob patterns.",
    )


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
    pattern: re.Pattern[str], known: dict[str, dict[str, Any]], notes: _Notes
) -> None:
    for path, values in known.items():
        whole = Path(path).as_posix()
        match = pattern.search(whole if "/" in pattern.pattern else os.path.basename(path))
        if match is None:
            notes.count("The name pattern does not fit:", os.path.basename(path))
            continue
        for name, text in match.groupdict().items():
            _put(values, name, text, f"file name {os.path.basename(path)}", notes)


# -- metadata ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Row:
    number: int  # as a spreadsheet shows it: the header is row 1
    recording: str
    values: Mapping[str, Any]


def _read_rows(path: Path, notes: _Notes) -> list[_Row]:
    """Read the table as text and check its columns."""
    table = _read_table(path)
    table.columns = [str(name).strip().lower() for name in table.columns]
    _check_columns(list(table.columns), path, notes)
    columns = [name for name in table.columns if name in FIELDS]
    rows = []
    for number, cells in enumerate(table.to_dict("records"), start=2):
        recording = _text(cells["recording"]).replace("\\", "/")
        if not recording:
            if any(_text(cell) for cell in cells.values()):
                notes.count("Metadata rows without a recording name:", f"row {number}")
            continue
        values: dict[str, Any] = {}
        for name in columns:
            _put(values, name, _text(cells[name]), f"row {number}", notes)
        rows.append(_Row(number, recording, values))
    return rows


def _read_table(path: Path) -> pd.DataFrame:
    readers: dict[str, Callable[[Path], pd.DataFrame]] = {
        ".csv": _read_csv, ".tsv": _read_csv, ".txt": _read_csv,
        ".xlsx": lambda p: pd.read_excel(p, dtype=object, engine="openpyxl"),
        ".xlsm": lambda p: pd.read_excel(p, dtype=object, engine="openpyxl"),
        ".parquet": lambda p: pd.read_parquet(p, dtype_backend="numpy_nullable"),
    }  # fmt: skip
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise MetadataError(
            f'The metadata file {path} ends in "{path.suffix}"; allowed are {", ".join(readers)}.',
            "Save the table as CSV (UTF-8) or XLSX.",
        )
    try:
        return reader(path)
    except MetadataError:
        raise
    except Exception as error:  # three parsers, each with its own family of errors
        text = " ".join(str(error).split()) or type(error).__name__
        raise MetadataError(
            f"The metadata file {path} cannot be read: {text}", "Open it and save it again."
        ) from error


def _read_csv(path: Path) -> pd.DataFrame:
    content = path.read_bytes()
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


def _check_columns(columns: Sequence[str], path: Path, notes: _Notes) -> None:
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


def _apply_rows(
    rows: Sequence[_Row], known: dict[str, dict[str, Any]], base: str, notes: _Notes
) -> dict[str, dict[str, Any]]:
    """Give each row to the recording it names; return the recordings in the order of the rows."""
    index = _Index(known, base)
    taken: dict[str, int] = {}
    for row in rows:
        hits = index.find(row.recording)
        name = f"row {row.number} ({row.recording})"
        if not hits:
            notes.count("Metadata rows without a recording:", name)
        elif len(hits) > 1:
            notes.count("Metadata rows not used, as several recordings bear the name:", name)
        elif hits[0] in taken:
            notes.count(
                "Metadata rows not used, as an earlier row names the same recording:",
                f"{name[:-1]}, as row {taken[hits[0]]})",
            )
        else:
            taken[hits[0]] = row.number
            known[hits[0]].update(row.values)
    for path in known:
        if path not in taken:
            notes.count("Recordings without a metadata row:", os.path.basename(path))
    return {path: known[path] for path in (*taken, *(p for p in known if p not in taken))}


class _Index:
    """Paths by everything a table may call them: exact first, then by letters of any case."""

    def __init__(self, paths: Iterable[str], base: str) -> None:
        self.base = base
        self.exact: dict[str, list[str]] = defaultdict(list)
        self.folded: dict[str, list[str]] = defaultdict(list)
        for path in paths:
            parts = PurePosixPath(Path(path).as_posix()).parts
            tails = ["/".join(parts[start:]) for start in range(1, len(parts))]
            for name in (Path(path).as_posix(), *tails, os.path.splitext(tails[-1])[0]):
                for table, key in ((self.exact, name), (self.folded, name.casefold())):
                    if path not in table[key][-1:]:
                        table[key].append(path)

    def find(self, recording: str) -> list[str]:
        """All paths that this name fits best."""
        near = os.path.normpath(os.path.join(self.base, recording)).replace(os.sep, "/")
        plain = os.path.normpath(recording).replace(os.sep, "/")
        for table, fold in ((self.exact, str), (self.folded, str.casefold)):
            for name in (near, plain):
                if hits := table.get(fold(name)):
                    return hits
        return []


# -- values --------------------------------------------------------------------------------------


def _text(cell: Any) -> str:
    """A cell as the person who typed it saw it; empty when missing."""
    if isinstance(cell, (datetime, date)):
        return "" if pd.isna(cell) else cell.isoformat()
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    text = str(cell).strip()
    return "" if text.lower() in _MISSING else text


def _put(values: dict[str, Any], name: str, text: str | None, where: str, notes: _Notes) -> None:
    """Store a value in its type; note one that cannot be used."""
    text = (text or "").strip()
    if not text:
        return
    value = text if name in TEXT_FIELDS else _PARSERS[name](text)
    if value is None:
        notes.count(f'The {name} "{text}" cannot be used ({_ALLOWED[name]}):', where)
    else:
        values[name] = value


def _started_at(text: str) -> str | None:
    """Turn a time into ISO 8601: no offset where none was given, a date alone stays a date."""
    if match := _DATE.fullmatch(text):
        year, month, day, clock = match.groups()
        if ":" not in clock:
            clock = re.sub(r"(?<=\d)[时点分-](?=\d)", ":", clock)
        clock = re.sub(r"(?<![\d.])(\d)(?!\d)", r"0\1", re.sub(r"[\s秒分]", "", clock))
    elif match := _COMPACT.fullmatch(text):
        year, month, day, *parts = match.groups()
        clock = ":".join(part for part in parts if part)
    else:
        return None
    try:
        moment = datetime.fromisoformat(f"{year}-{month:0>2}-{day:0>2}T{clock or '00'}")
    except ValueError:
        return None
    if not 1990 <= moment.year <= 2100:
        return None
    return moment.isoformat() if clock else moment.date().isoformat()


def _whole(text: str, most: int) -> int | None:
    number = re.fullmatch(r"(\d{1,6})(\.0*)?", text)
    return int(number[1]) if number and int(number[1]) <= most else None


def _seconds(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d{1,6}(\.\d*)?", text) else None


_PARSERS: dict[str, Callable[[str], Any]] = {
    "direction": lambda text: DIRECTIONS.get(text.lower()),
    "started_at": _started_at,
    "agent_channel": lambda text: _whole(text, 1),
    "rings": lambda text: _whole(text, 999),
    "wait_s": _seconds,
}
_ALLOWED = {
    "direction": "allowed: inbound, outbound, 呼入, 呼出",
    "started_at": "give it as 2026-03-12 10:05:00",
    "agent_channel": "allowed: 0, 1",
    "rings": "allowed: a whole number",
    "wait_s": "allowed: seconds as a number",
}


# -- call ids ------------------------------------------------------------------------------------


def _with_call_ids(
    known: Mapping[str, Mapping[str, Any]], notes: _Notes
) -> tuple[list[Recording], list[Failure]]:
    """Build the recordings; an id given to two of them costs the later ones a failure row."""
    given = {path: values["call_id"] for path, values in known.items() if "call_id" in values}
    made = _names_from_paths([path for path in known if path not in given], set(given.values()))
    for path, call_id in made.items():
        if call_id != Path(path).stem:
            notes.count("File names that are not unique; the call id got a prefix:", call_id)
    owner: dict[str, str] = {}
    recordings, failures = [], []
    for path, values in known.items():
        call_id = given.get(path) or made[path]
        first = owner.setdefault(call_id, path)
        if first == path:
            recordings.append(Recording(path=path, **{**values, "call_id": call_id}))
            continue
        failures.append(
            Failure(
                path=path,
                call_id=call_id,
                stage="recordings",
                error_type="MetadataError",
                message=f'The call id "{call_id}" is already that of {os.path.basename(first)}.',
                hint="Give every recording its own call_id in the metadata.",
            )
        )
    return recordings, failures


def _names_from_paths(paths: Sequence[str], taken: Collection[str]) -> dict[str, str]:
    """Name each path by its stem, led by as many folders as it takes to be unique."""
    names = {path: Path(path).stem for path in paths}
    for depth in range(1, max((len(Path(path).parts) for path in paths), default=0)):
        count = Counter(names.values())
        clashing = [path for path in paths if count[names[path]] > 1 or names[path] in taken]
        if not clashing:
            break
        same_place = Counter(Path(path).with_suffix("") for path in clashing)
        for path in clashing:
            folders = Path(path).parts[1:-1][-depth:]
            whole = same_place[Path(path).with_suffix("")] > 1
            last = Path(path).name.replace(".", "_") if whole else Path(path).stem
            names[path] = "_".join((*folders, last))
    return names
