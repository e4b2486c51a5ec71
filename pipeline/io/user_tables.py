"""The one reader of tables that people keep: CSV text of any kind, XLSX workbooks, Parquet.

Every cell is read as the text that a person sees: ``0012`` by its number format, ``95%``, the value
of a merged range in each of its rows. Columns are known by our names or by the usual Chinese and
English ones; what stands above the header is skipped. Whatever was understood, skipped or left
out is said in the notes of the table.

Conventions
-----------
Text is UTF-8, UTF-16, GB 18030 or Big5, told apart by what it decodes to. The header is the row
with the most known columns among the first ones. Every sheet with the columns that are needed is
read. A row that is longer than its header costs itself only. Missing cells are absent.

Sources: RFC 4180 (CSV), ECMA-376 part 1 (workbooks, number formats), GB 18030, Big5 (code page 950).
"""

from __future__ import annotations

import csv
import datetime
import difflib
import html
import io
import math
import re
import unicodedata
import zipfile
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from pipeline.errors import RecordingError, UsageError, first_few, nearest, one_line
from pipeline.io import files

SUFFIXES = (".csv", ".tsv", ".txt", ".xlsx", ".xlsm", ".parquet")
HEADER_WITHIN = 20  # rows in which the header is looked for
MAX_ROWS = 2**20
MAX_COLUMNS = 2000  # of a sheet; cells further right are not read
MAX_UNPACKED_BYTES = 512 * 2**20  # of a workbook: more is a mistake or an attack
MISSPELT = 0.75  # likeness from which on an unknown column is taken for a slip of the pen
DELIMITERS = ",\t;|，"
MISSING = {
    "", "nan", "nat", "none", "null", "<na>", "-", "--", "—", "——", "无", "#n/a", "#value!", "#ref!",
    "#div/0!", "#name?", "#num!", "#null!",
}  # fmt: skip
TOTALS = re.compile(
    r"(合计|总计|小计|汇总|平均|平均分|平均值|合計|總計|total|totals|grand total|sum|average|mean"
    r"|共)\s*[:：]?\s*([\d.,]+\s*%?\s*[条通个行人次]?)?",
    re.IGNORECASE,
)
"""What the first cell of a row of totals says."""
FOOT = re.compile(
    r"(制[表单]人?|审[核批]人?|复核人?|填[表报]人?|统计人?|经办人|负责人|打印[人时]间?|导出[人时]间?|制表[日时][期间]"
    r"|统计[日时][期间]|[备附]?注|说明|签[字名]|prepared by|approved by|printed at)\s*[:：].*",
    re.IGNORECASE,
)
"""What the first cell below a table says of who made it, and why."""
MOSTLY = 0.3  # share of NUL bytes from which on text without a mark is UTF-16
_INVISIBLE = dict.fromkeys(map(ord, "\0\ufeff\u200b\u200e\u200f\u2060"))
_COMPOUND = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # a compound file, [MS-CFB]
_HYPERLINK = re.compile(r'=?HYPERLINK\("(.*?)"(?:\s*[,;]\s*"(.*)")?\)', re.IGNORECASE)
_SUFFIX = {
    "an XLSX workbook": (".xlsx", ".xlsm"),
    "Parquet": (".parquet",),
    "text (CSV)": (".csv", ".tsv", ".txt"),
}

CALL_COLUMNS: Mapping[str, Sequence[str]] = {
    "call_id": ("通话编号", "通话ID", "呼叫ID", "呼叫编号", "通话流水号", "流水号", "会话ID", "会话编号",
                "录音流水号", "录音编号", "通話編號", "流水號", "contact_id", "conversation_id",
                "interaction_id", "session_id", "ucid", "uuid"),
    "recording": ("录音文件", "录音文件名", "录音", "录音名称", "录音名", "录音路径", "录音地址", "录音链接",
                  "文件名", "文件名称", "文件路径", "音频文件", "音频", "文件", "錄音", "錄音檔", "錄音檔案",
                  "檔名",
                  "recording_file", "record_file", "file_name", "filename", "audio_file",
                  "file_path", "filepath", "audio", "file", "path"),
}  # fmt: skip
"""What people call the columns that say which call a row is about, the surest name first."""


class Linked(str):
    """The text of a cell that links to something: ``link`` is where to."""

    __slots__ = ("link",)
    link: str

    @classmethod
    def of(cls, text: str, link: str) -> Linked:
        """A text with its link."""
        linked = cls(text)
        linked.link = link
        return linked


Grid = list[tuple[int, list[str]]]  # rows that are not blank, each with its number in the sheet


@dataclass(frozen=True, slots=True)
class Row:
    """One row. ``where`` names it as a spreadsheet shows it, with the sheet where there are several.

    ``cells`` holds the text of each known column that is not empty.
    """

    where: str
    number: int
    sheet: str
    cells: Mapping[str, str]


@dataclass(slots=True)
class Table:
    """The rows of all sheets, the header of each known column, and what has to be said."""

    rows: list[Row] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_table(
    path: str,
    columns: Mapping[str, Sequence[str]],
    needs: Sequence[Sequence[str]],
    error: type[UsageError],
) -> Table:
    """Read a table that a person keeps.

    Parameters
    ----------
    path : str
        Path or URL of a file with one of ``SUFFIXES``.
    columns : mapping of str to sequence of str
        Every column that is known, and what people call it besides, the surest name first.
    needs : sequence of sequence of str
        Of each of these groups at least one column must be there.
    error : type of UsageError
        What to raise.

    Raises
    ------
    error
        If it cannot be read, no sheet has the columns needed, or one of them is misspelt.

    Notes
    -----
    What a file is goes by its first bytes; a suffix that says something else is noted.
    """
    suffix = files.suffix(path)
    if suffix not in (*SUFFIXES, ".xls"):
        raise error(
            f'{path} ends in "{suffix}"; allowed are {", ".join(SUFFIXES)}.',
            "Save the table as CSV (UTF-8) or XLSX.",
        )
    table = Table()
    try:
        with files.local(path) as copy:
            content = _content(Path(copy))
            if suffix not in _SUFFIX[content]:
                table.notes.append(
                    f'{files.name(path)} is {content} by what is in it, whatever its suffix "{suffix}".'
                )
            if content == "Parquet":
                sheets = {"": _read_parquet(Path(copy))}
            elif content == "an XLSX workbook":
                sheets = _read_workbook(Path(copy), files.name(path), table.notes)
            else:
                sheets = {"": _read_text(Path(copy).read_bytes(), columns, table.notes)}
                misnamed = suffix not in _SUFFIX[content] and sheets[""]
                if misnamed and not _header(sheets[""], columns)[1]:
                    raise ValueError("it is no workbook, and no text with the columns needed")
    except RecordingError as cause:
        raise error(cause.message, cause.hint) from cause
    except Exception as cause:  # three parsers, each with its own family of errors
        if isinstance(cause, FileNotFoundError):
            raise error(f"{path}: No such file.", "Check the path.") from cause
        raise error(
            f"{path} cannot be read: {one_line(cause)}.", "Open it and save it again."
        ) from cause
    sheets = {name: grid for name, grid in sheets.items() if grid}
    if not sheets:
        raise error(f"{path} is empty.", "It needs a header row.")
    found = {name: _header(grid, columns) for name, grid in sheets.items()}
    fit = [
        name
        for name, (_, known) in found.items()
        if all(set(group) & set(known.values()) for group in needs)
    ]
    for name in fit or list(sheets)[:1]:
        _check_names(path, sheets[name][found[name][0]][1], found[name][1], columns, needs, error)
    if others := [name for name in sheets if name not in fit]:
        table.notes.append(
            f"{files.name(path)}: sheets without the columns needed were not read: "
            f"{', '.join(others)}."
        )
    for name in fit:
        at, known = found[name]
        _take(table, path, name if len(fit) > 1 else "", sheets[name], at, known)
    if not table.rows and table.notes and "longer than its header" in table.notes[-1]:
        raise error(table.notes[-1], "Put quotes around cells that contain the delimiter.")
    return table


def _content(path: Path) -> str:
    """What a file is, by its first bytes.

    Raises
    ------
    ValueError
        If it is a workbook that cannot be read, or a web page.
    """
    with path.open("rb") as file:
        head = file.read(4000)
    if head.startswith(_COMPOUND):
        whole = path.read_bytes()
        if "EncryptedPackage".encode("utf-16-le") in whole:
            what = "a workbook with a password; save it without one"
        elif any(name.encode("utf-16-le") in whole for name in ("Workbook", "Book")):
            what = "a workbook of the old kind (XLS); save it as XLSX"
        else:
            what = (
                "a workbook with a password or of the old kind (XLS); save it as XLSX without one"
            )
        raise ValueError(f"it is {what}")
    if head.startswith(b"PK\x03\x04"):
        return "an XLSX workbook"
    if head.startswith(b"PAR1"):
        return "Parquet"
    page = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").lower()
    if page.startswith(b"<") and (b"<html" in page or b"<table" in page):
        raise ValueError(
            "it is a web page (HTML); open it in a spreadsheet program and save as XLSX"
        )
    return "text (CSV)"


def _take(
    table: Table, path: str, sheet: str, grid: Grid, at: int, known: Mapping[int, str]
) -> None:
    """Add the rows of one sheet, and notes on what was not taken."""
    name, header = files.name(path), grid[at][1]
    titles = [next(cell for cell in cells if cell) for _, cells in grid[:at]]
    titles = [title for title in titles if not title.casefold().startswith("sep=")]
    if titles:
        table.notes.append(f"{name}: rows above the header were skipped: {'; '.join(titles)}.")
    headers = {known[i]: header[i] for i in sorted(known)}
    plain = {column: _folded(said) for column, said in headers.items()}
    unused = [said for i, said in enumerate(header) if said and i not in known]
    if any(plain[column] != column for column in plain) and headers != table.headers:
        told = ", ".join(f"{said} = {column}" for column, said in headers.items())
        table.notes.append(f"{name}: columns understood: {told}.")
    if unused and headers != table.headers:
        table.notes.append(f"{name}: columns that are not used: {', '.join(unused)}.")
    table.headers = table.headers or headers
    linked = _link_names(grid[at + 1 :], next((i for i in known if known[i] == "recording"), None))
    if linked:
        table.notes.append(f"{name}: recordings named by their links alone: {first_few(linked)}.")
    long: list[str] = []
    totals: list[str] = []
    foot: list[str] = []
    for number, cells in grid[at + 1 :]:
        where = f"{sheet} row {number}".strip()
        first = next(cell for cell in cells if cell)
        if cells[: len(header)] == header:
            continue  # the header again, as on every printed page
        if any(cells[len(header) :]):
            long.append(f'{where} ("{next(c for c in cells[len(header) :] if c)}")')
        elif TOTALS.fullmatch(first):
            totals.append(f"{where} ({first})")
        elif FOOT.fullmatch(first) and not _names_call(cells, known):
            foot.append(f"{where} ({first})")
        else:
            values = {known[i]: cell for i, cell in enumerate(cells) if cell and i in known}
            table.rows.append(Row(where, number, sheet, values))
    if totals:
        table.notes.append(f"{name}: rows of totals were skipped: {first_few(totals)}.")
    if foot:
        table.notes.append(f"{name}: lines below the table were skipped: {first_few(foot)}.")
    if long:
        table.notes.append(f"{name}: rows longer than its header were not used: {first_few(long)}.")


def _names_call(cells: Sequence[str], known: Mapping[int, str]) -> bool:
    """Whether a row says which call it is about, other than by what stands below tables."""
    return any(
        cell and known.get(i) in CALL_COLUMNS and not FOOT.fullmatch(cell)
        for i, cell in enumerate(cells)
    )


def _link_names(rows: Grid, column: int | None) -> list[str]:
    """Put the file name of its link in each cell of recordings whose text names none, as 听录音."""
    cells = [(number, row) for number, row in rows if column is not None and column < len(row)]
    count = Counter(row[column or 0] for _, row in cells)
    named = []
    for number, row in cells:
        cell = row[column or 0]
        target = _target(cell.link) if isinstance(cell, Linked) else ""
        is_name = re.search(r"\d", cell) and count[cell] == 1
        if target and not is_name and not re.search(r"\.\w{2,4}$", cell):
            row[column or 0] = target
            named.append(f"row {number} ({target})")
    return named


def _target(link: str) -> str:
    """The file name at the end of a link; empty where it has none."""
    path = re.split(r"[?#]", link)[0] if files.is_url(link) else link
    last = unquote(path).replace("\\", "/").rpartition("/")[2]
    return last if re.fullmatch(r".*[^.].*\.\w{2,4}", last) else ""


# --- columns ------------------------------------------------------------------------------------


def _header(grid: Grid, columns: Mapping[str, Sequence[str]]) -> tuple[int, dict[int, str]]:
    """Place in the grid of the row with the most known columns, and the column of each cell."""
    best: tuple[int, dict[int, str]] = (0, {})
    for at, (_, cells) in enumerate(grid[:HEADER_WITHIN]):
        known = _known(cells, columns)
        if len(known) > len(best[1]):
            best = at, known
    return best


def _known(header: Sequence[str], columns: Mapping[str, Sequence[str]]) -> dict[int, str]:
    """Column of each cell of a header; the surest names choose first."""
    names = [_folded(cell) for cell in header]
    wanted: list[tuple[int, int, str]] = []
    for column, others in columns.items():
        ranks = {_folded(name): rank for rank, name in enumerate((column, *others))}
        wanted += [(ranks[name], i, column) for i, name in enumerate(names) if name in ranks]
    known: dict[int, str] = {}
    for _, i, column in sorted(wanted, key=lambda w: w[:2]):
        if i not in known and column not in known.values():
            known[i] = column
    return known


def _folded(header: str) -> str:
    """A header as it is compared: without case, spaces, marks, and what stands in brackets."""
    text = re.sub(r"[(（\[【].*?[)）\]】]", "", unicodedata.normalize("NFKC", header)).strip(
        " *:："
    )
    text = re.sub(r"[\s-]+", "_" if text.isascii() else "", text)
    return text.casefold()


def _check_names(
    path: str,
    header: Sequence[str],
    known: Mapping[int, str],
    columns: Mapping[str, Sequence[str]],
    needs: Sequence[Sequence[str]],
    error: type[UsageError],
) -> None:
    """Raise for columns that are missing, misspelt, or there twice."""
    names = [_folded(cell) for cell in header]
    for name, count in Counter(names).items():
        if count > 1 and name in {_folded(header[i]) for i in known}:
            raise error(f'{path} has the column "{name}" more than once.', "Keep one of them.")
    free = [column for column in columns if column not in known.values()]
    for i, name in enumerate(names):
        close = difflib.get_close_matches(name, free, n=1, cutoff=MISSPELT)
        if i not in known and close:
            raise error(f'{path} has an unknown column "{name}".', nearest(name, columns))
    for group in needs:
        if not set(group) & set(known.values()):
            wanted = " or ".join(f'"{column}"' for column in group)
            others = ", ".join((*group, *(o for column in group for o in columns[column][:4])))
            raise error(
                f"{path} has no column {wanted} (it has: {', '.join(filter(None, header))}).",
                f"Name a column one of: {others}.",
            )


# --- cells --------------------------------------------------------------------------------------


def _clean(text: str) -> str:
    """A cell without what exporters put around it to guard it; empty when it means "missing"."""
    text = re.sub(r"^'|^[‘’＇](?=\w)", "", text.translate(_INVISIBLE).strip()).strip()
    if link := _HYPERLINK.fullmatch(text):
        return Linked.of(_clean(link[2] or ""), link[1])
    if guarded := re.fullmatch(r'=?"([^"]*)"', text):
        text = guarded[1].strip()
    return "" if text.casefold() in MISSING else text


def _shown(value: Any, number_format: str = "General") -> str:
    """A value of a workbook or a Parquet file as a person sees it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time() and value.tzinfo is None
        if midnight and number_format != "General" and "h" not in number_format.lower():
            return value.date().isoformat()
        return value.isoformat() if value == value else ""
    if isinstance(value, datetime.time) and re.fullmatch(r"\[?h+\]?:mm", number_format.lower()):
        return f"{value.hour}:{value.minute:02d}"
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (int, float)):
        return _shown_number(value, number_format)
    return _clean(str(value))


def _shown_number(value: float, number_format: str) -> str:
    """A number by its format: leading zeros, letters before it, per cent; else in full."""
    if isinstance(value, float) and not math.isfinite(value):
        return ""
    section = number_format.split(";")[0]
    if "%" in section:
        return f"{value * 100:.10g}%"
    whole = float(value).is_integer()
    parts = re.fullmatch(r'((?:"[^"]*"|\\.)*)(0{2,})((?:"[^"]*"|\\.)*)', section)
    if parts and whole:
        before, zeros, after = (re.sub(r'["\\]', "", part) for part in parts.groups())
        return f"{before}{int(value):0{len(zeros)}d}{after}"
    if whole and abs(value) < 1e15:
        return str(int(value))
    return f"{value:.5E}" if whole and isinstance(value, float) else f"{value:.15g}"


# --- text ---------------------------------------------------------------------------------------


def _read_text(content: bytes, columns: Mapping[str, Sequence[str]], notes: list[str]) -> Grid:
    text = decoded(content, notes)
    best: tuple[tuple[int, int], str] = ((-1, -1), ",")
    head = "".join(text.splitlines(keepends=True)[: HEADER_WITHIN + 10])
    for delimiter in DELIMITERS:
        grid = _split(head, delimiter)
        known = len(_header(grid, columns)[1])
        width = max((len(cells) for _, cells in grid), default=0)
        if (known, width) > best[0]:
            best = (known, width), delimiter
    try:
        return _split(text, best[1], strict=True)
    except csv.Error as error:
        lenient = _split(text, best[1])  # text after a closing quote and the like
        swallows = any("\n" in cell for _, cells in lenient for cell in cells)
        if "unexpected end" not in str(error) and not swallows:
            return lenient
    notes.append("A quote is opened and never closed: quotes were left out.")
    return _split(text.replace('"', ""), best[1], quoting=csv.QUOTE_NONE)


def _split(text: str, delimiter: str, **options: Any) -> Grid:
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, **options)
    grid = []
    for number, line in enumerate(lines, start=1):
        cells = [_clean(cell) for cell in line]
        if any(cells):
            grid.append((number, cells))
    return grid


def decoded(content: bytes, notes: list[str]) -> str:
    """Decode text of unknown encoding; a guess is noted.

    Raises
    ------
    ValueError
        If it is none of the encodings.
    """
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16")
    head = content[:4000]
    for offset, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
        if len(head) >= 16 and head[offset::2].count(0) > MOSTLY * len(head) / 2:
            return content.decode(encoding)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    lines = content.removeprefix(b"\xef\xbb\xbf").splitlines(keepends=True)
    own = {i: text for i, line in enumerate(lines) if (text := _utf8_line(line))}
    content = b"".join(line for i, line in enumerate(lines) if i not in own)
    readings: list[tuple[float, str, str, str]] = []
    for encoding, first, last, shown in (
        ("gb18030", 0xB0, 0xD7, "GB 18030"),
        ("cp950", 0xA4, 0xC6, "Big5"),
    ):
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        letters = [c.encode(encoding) for c in text if not c.isascii()]
        common = sum(len(b) == 2 and _is_common(b, first, last) for b in letters)
        readings.append((common / max(len(letters), 1), shown, encoding, text))
    if not readings:
        raise ValueError("it is neither UTF-8, UTF-16, GB 18030 nor Big5 text")
    share, shown, encoding, text = max(readings, key=lambda r: r[0])
    if shown == "Big5" or any(r[0] > share - 0.1 for r in readings if r[1] != shown):
        other = next((f"; it could be {r[1]}" for r in readings if r[1] != shown), "")
        notes.append(f"The text was read as {shown}{other}. Save it as UTF-8 to be sure.")
    if not own:
        return text
    others = [i for i, line in enumerate(lines) if i not in own and not line.isascii()]
    fewer, what = (own, "UTF-8") if len(own) <= len(others) else (others, shown)
    rows = first_few([str(i + 1) for i in fewer])
    notes.append(
        f"Lines of another encoding than the rest, read as {what}: {rows}. "
        "Check them, and save the table as UTF-8."
    )
    return "".join(own.get(i) or line.decode(encoding) for i, line in enumerate(lines))


def _utf8_line(line: bytes) -> str:
    """A line that is UTF-8 beyond doubt, as letters of three bytes are; else empty."""
    try:
        text = "" if line.isascii() else line.decode("utf-8")
    except UnicodeDecodeError:
        return ""
    return text if all(c.isascii() or "\u2e80" <= c <= "\uffef" for c in text) else ""


def _is_common(letter: bytes, first: int, last: int) -> bool:
    """Whether a double-byte letter is punctuation or in everyday use (the first level)."""
    if letter[0] in (0xA1, 0xA3):
        return True
    return first <= letter[0] <= last and (letter[1] >= 0xA1 or first == 0xA4)


# --- workbooks ----------------------------------------------------------------------------------


def _read_workbook(path: Path, name: str, notes: list[str]) -> dict[str, Grid]:
    """The visible sheets of a workbook by name; one row in memory at a time."""
    import openpyxl

    with path.open("rb") as file, zipfile.ZipFile(file) as parts:
        if sum(part.file_size for part in parts.infolist()) > MAX_UNPACKED_BYTES:
            limit = MAX_UNPACKED_BYTES // 2**20
            raise ValueError(f"it unpacks to more than {limit} MiB; save it as CSV (UTF-8)")
        book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        sheets: dict[str, Grid] = {}
        hidden = []
        for sheet in book.worksheets:
            if sheet.sheet_state != "visible":
                hidden.append(sheet.title)
                continue
            xml = parts.read(sheet._worksheet_path)  # the one place where it says so
            grid = [
                (
                    number,
                    [_shown(c.value, c.number_format) if c.value is not None else "" for c in row],
                )
                for number, row in _rows(sheet, xml)
                if any(c.value is not None for c in row)
            ]
            _set_links(grid, xml, parts, sheet._worksheet_path)
            _fill_merged(grid, xml)
            if re.search(rb"<(\w+:)?f[ >/]", xml):
                formulas = openpyxl.load_workbook(file, read_only=True)[sheet.title]
                empty = _uncalculated(_rows(formulas, xml), dict(grid))
                if empty:
                    notes.append(
                        f"{name} {sheet.title}: formulas without a calculated value: "
                        f"{first_few(empty)}. Open the workbook in a spreadsheet program and save it."
                    )
            sheets[sheet.title] = [(n, cells) for n, cells in grid if any(cells)]
        if hidden:
            notes.append(f"{name}: hidden sheets were not read: {', '.join(hidden)}.")
    return sheets


def _rows(sheet: Any, xml: bytes) -> Iterator[tuple[int, Sequence[Any]]]:
    """The rows of a sheet with their numbers; what it says of its own size is not trusted."""
    from openpyxl.utils.cell import column_index_from_string

    columns = {match[1] for match in re.finditer(rb'\br="([A-Z]{1,3})[0-9]+"', xml)}
    widest = max((column_index_from_string(c.decode()) for c in columns), default=MAX_COLUMNS)
    sheet.reset_dimensions()
    rows = sheet.iter_rows(max_col=min(widest, MAX_COLUMNS), max_row=MAX_ROWS)
    before = None
    for number, row in enumerate(rows, start=1):
        if row is not before:  # rows that are not there are one and the same
            yield number, row
        before = row


def _fill_merged(grid: Grid, xml: bytes) -> None:
    """Give each row of a merged range the value of its first cell; empty rows stay empty."""
    from openpyxl.utils.cell import range_boundaries

    rows = dict(grid)
    numbers = sorted(rows)
    for reference in re.findall(rb'mergeCell\b[^>]*?\bref="([A-Z]+\d+:[A-Z]+\d+)"', xml):
        left, top, _, bottom = range_boundaries(reference.decode())
        source = rows.get(top, [])
        if bottom == top or not left <= len(source):
            continue
        for number in numbers[bisect_right(numbers, top) : bisect_right(numbers, bottom)]:
            cells = rows[number]
            cells += [""] * (left - len(cells))
            cells[left - 1] = source[left - 1]


def _set_links(grid: Grid, xml: bytes, parts: zipfile.ZipFile, place: str) -> None:
    """Join to the text of cells what they link to, by a link or a formula."""
    from openpyxl.utils.cell import column_index_from_string, coordinate_from_string

    links: list[tuple[bytes, str]] = []
    folder, _, name = place.rpartition("/")
    relations = f"{folder}/_rels/{name}.rels"
    if b"hyperlink " in xml and relations in parts.namelist():
        targets: dict[bytes, bytes] = {}
        for tag in re.findall(rb"<Relationship\b[^>]*>", parts.read(relations)):
            told = dict(re.findall(rb'\b(Id|Target)="([^"]*)"', tag))
            targets[told.get(b"Id", b"")] = told.get(b"Target", b"")
        for tag in re.findall(rb"<(?:\w+:)?hyperlink\b[^>]*>", xml):
            told = dict(re.findall(rb'\b(ref|id)="([^"]*)"', tag))
            if told.get(b"id") in targets:
                links.append((told.get(b"ref", b"A1"), _unescaped(targets[told[b"id"]])))
    for at, formula in re.findall(
        rb'<(?:\w+:)?c r="([A-Z]+\d+)"[^>]*><(?:\w+:)?f[^>]*>(HYPERLINK[^<]*)<', xml
    ):
        if match := _HYPERLINK.fullmatch(_unescaped(formula)):
            links.append((at, match[1]))
    rows = dict(grid)
    for at, link in links:
        letters, number = coordinate_from_string(at.decode().partition(":")[0])
        column, cells = column_index_from_string(letters) - 1, rows.get(number, [])
        if column < len(cells):
            cells[column] = Linked.of(cells[column], link)


def _unescaped(text: bytes) -> str:
    return html.unescape(text.decode("utf-8", "replace"))


def _uncalculated(
    rows: Iterator[tuple[int, Sequence[Any]]], values: Mapping[int, list[str]]
) -> list[str]:
    """Cells that hold a formula and no value."""
    return [
        cell.coordinate
        for number, row in rows
        for i, cell in enumerate(row)
        if cell.data_type == "f" and not (number in values and values[number][i])
    ]


# --- Parquet ------------------------------------------------------------------------------------


def _read_parquet(path: Path) -> Grid:
    import pyarrow.parquet as pq

    found = pq.read_table(path)
    columns = [[_shown(value) for value in column.to_pylist()] for column in found.columns]
    rows: Iterator[Sequence[str]] = zip(*columns, strict=True) if columns else iter(())
    grid = [(1, [str(name).strip() for name in found.column_names])]
    grid += [(n, list(cells)) for n, cells in enumerate(rows, start=2) if any(cells)]
    return grid
