"""The tables of the store as files for other programs and for people.

Conventions
-----------
Every table becomes one Parquet file and one CSV file (UTF-8 with byte-order mark, so that
spreadsheets show Chinese), with the columns and types of the contract even when it is empty.
``callcoach.xlsx`` holds calls, agents and verdicts for people: a second header row in Chinese, and
a legend that explains every column. Rows beyond what one sheet can hold go on to the next sheet.

All files are made aside and then put in place one by one, so that a reader never meets half a
file. Tables are read in parts from one snapshot of the store; memory does not grow with it,
except for the numbers of the calls table, which the agents are computed from.

Sources: Rich Transcription RTTM (NIST RT-09), SubRip (SRT).
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import xlsxwriter

from pipeline import agents, schema
from pipeline.errors import OutputError, ParameterError, nearest
from pipeline.schema import CallResult
from pipeline.store import KINDS, TABLES, Column, Dtype, Store

WORKBOOK = "callcoach.xlsx"
SHEET_ROWS = 1_048_576  # of one sheet, headers included
CELL_CHARACTERS = 32_767
HEADER_ROWS = 2
WIDTHS = (8, 48)  # narrowest and widest column, characters
FAIL_COLOUR, HEADER_COLOUR = "#F8CBAD", "#DDEBF7"
SPEAKER_NAMES: Mapping[str, str] = {schema.AGENT: "坐席", schema.CUSTOMER: "客户"}

# What a person looks at first; the other columns follow in the order of the contract.
CALLS_FIRST = (
    "call_id", "started_at", "agent_name", "agent_id", "team", "direction", "duration", "status",
    "compliance_score", "compliance_failed", "compliance_unjudged", "outside_score",
    "agent_speaking_rate", "speaking_rate_vs_norm", "agent_level_dbfs", "level_gap_db",
    "agent_pitch_sd_st", "agent_interruptions", "customer_interruptions", "holds", "hold_s",
    "holds_unannounced", "dead_air", "agent_talk_ratio", "agent_response_latency_p50",
)  # fmt: skip
CALLS_LAST = (
    "warnings", "error", "path", "sha256", "channels", "sample_rate", "codec", "language",
    "speaker_source", "role_confidence", "preset", "program_version", "processing_seconds",
)  # fmt: skip
VERDICTS_FIRST = ("call_id", "item_id", "verdict", "score", "max_score", "quote", "matched")
AGENTS_FIRST = (
    "compliance_score", "outside_score", "agent_speaking_rate", "agent_level_dbfs", "level_gap_db",
    "agent_pitch_sd_st", "agent_interruptions_per_10min", "holds", "holds_unannounced", "dead_air",
    "agent_talk_ratio", "agent_response_latency_p50",
)  # fmt: skip

# fmt: off
_AGENT_COLUMNS = (
    Column("week", "text", "周：ISO 周", "ISO week of the calls"),
    Column("calls", "count", "通话数：不含失败的录音", "calls, without those that failed"),
    Column("talk_s", "seconds", "说话时间：坐席合计", "time the agent spoke, in all calls"),
    Column("enough_calls", "flag", "通话够多：达到设定的最少通话数",
           "whether there are as many calls as the settings ask for"),
)
_STATISTICS: Mapping[str, tuple[str, str]] = {
    "calls": ("通话数", "calls with a value"),
    "mean": ("均值", "mean over the calls, or sum over sum for rates and shares"),
    "low": ("下限", "lower limit of the 95 % interval"),
    "high": ("上限", "upper limit of the 95 % interval"),
    "shrunk": ("稳健值", "mean drawn towards the team, the more so the fewer the calls"),
    "team_median": ("班组中位数", "median of the agents of the team"),
    "percentile": ("班组百分位", "place in the team, 0-100; high means much, not good"),
}
# fmt: on
_PER_10_MIN = ("（每10分钟）", " per 10 minutes of the other's speech (dead air: of the call)")
_ARROW: Mapping[Dtype, pa.DataType] = {
    "str": pa.string(),
    "Int64": pa.int64(),
    "float64": pa.float64(),
    "boolean": pa.bool_(),
}


def export(store: Store, out_dir: str | Path, *, min_calls: int = agents.MIN_CALLS) -> list[Path]:
    """Write every table as Parquet and CSV, and the workbook for people.

    Parameters
    ----------
    store : Store
        Read only.
    out_dir : str or Path
        Made when it is not there; files of the same names are replaced.
    min_calls : int
        Calls from which on an agent is compared, see :func:`pipeline.agents.agent_table`.

    Returns
    -------
    list of Path
        The files written.

    Raises
    ------
    OutputError
        If the folder cannot be written, or a file is open in another program; the other files
        are in place then.
    """
    with _aside(Path(out_dir)) as folder, store.snapshot() as view:
        pooled = {"agents": agents.agent_table, "agent_weeks": agents.agent_weeks}
        calls = _calls_for_agents(view)
        tables = {name: table(calls, min_calls=min_calls) for name, table in pooled.items()}
        for name in TABLES:
            _write_table(folder, name, TABLES[name], view.frames(name))
        for name, frame in tables.items():
            _write_table(folder, name, agent_columns(frame.columns), [frame])
        _write_workbook(folder / WORKBOOK, view, tables["agents"])
    return [Path(out_dir) / name for name in _file_names()]


def export_calls(
    store: Store, out_dir: str | Path, formats: Sequence[str] = ("json", "rttm", "srt")
) -> int:
    """Write one file per call and format; returns the number of calls.

    Raises
    ------
    ParameterError
        If a format is unknown.
    OutputError
        If the folder cannot be written.
    """
    for name in formats:
        if name not in CALL_FORMATS:
            raise ParameterError(f"There is no format {name!r}.", nearest(name, CALL_FORMATS))
    count = 0
    with _aside(Path(out_dir)) as folder:
        for result in store.results():
            count += 1
            for name in formats:
                path = folder / f"{_safe_name(result.recording.call_id)}.{name}"
                path.write_text(CALL_FORMATS[name](result), encoding="utf-8")
    return count


def agent_columns(names: Iterable[str]) -> tuple[Column, ...]:
    """Describe the columns of the agents tables, as ``TABLES`` does for the others."""
    known = {c.name: c for c in (*TABLES["calls"], *_AGENT_COLUMNS)}
    for measure in agents.MEASURES:
        source = known[measure.source or measure.name]
        zh, en = _PER_10_MIN if measure.source else ("", "")
        kind = "number" if source.kind == "count" else source.kind
        for statistic, (name_zh, name_en) in _STATISTICS.items():
            name = f"{measure.name}_{statistic}"
            known[name] = Column(
                name,
                {"calls": "count", "percentile": "score"}.get(statistic, kind),
                f"{source.header_zh}{zh}·{name_zh}：{source.meaning_zh}",
                f"{source.en}{en}: {name_en}",
            )
    return tuple(known[name] for name in names)


def to_json(result: CallResult) -> str:
    """One call as JSON text, all that is known of it."""
    return json.dumps(schema.to_json(result), ensure_ascii=False, indent=1)


def to_rttm(result: CallResult) -> str:
    """One call's speech as RTTM: one line per stretch of speech of a turn."""
    name = re.sub(r"\s", "_", result.recording.call_id)
    lines = [
        f"SPEAKER {name} 1 {start:.3f} {end - start:.3f} <NA> <NA> {turn.speaker} <NA> <NA>\n"
        for turn in result.turns
        for start, end in turn.spans
    ]
    return "".join(lines)


def to_srt(result: CallResult) -> str:
    """One call's turns as SRT subtitles."""
    blocks = [
        f"{i}\n{_clock(turn.start)} --> {_clock(turn.end)}\n"
        f"{SPEAKER_NAMES.get(turn.speaker, turn.speaker)}：{turn.text}\n"
        for i, turn in enumerate((t for t in result.turns if t.text), start=1)
    ]
    return "\n".join(blocks)


CALL_FORMATS: Mapping[str, Callable[[CallResult], str]] = {
    "json": to_json,
    "rttm": to_rttm,
    "srt": to_srt,
}


def _clock(seconds: float) -> str:
    rest, ms = divmod(round(seconds * 1000), 1000)
    return f"{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d},{ms:03d}"


def _safe_name(call_id: str) -> str:
    """File name that no two call ids share and every system takes."""
    return re.sub(r'[%/\\:*?"<>|\x00-\x1f]|^\.', lambda m: f"%{ord(m[0]):02X}", call_id)


# --- files --------------------------------------------------------------------------------------


def _file_names() -> list[str]:
    names = [*TABLES, "agents", "agent_weeks"]
    return [f"{name}.{kind}" for name in names for kind in ("parquet", "csv")] + [WORKBOOK]


@contextmanager
def _aside(out_dir: Path) -> Iterator[Path]:
    """Give a folder to write in; what is in it at the end is moved to ``out_dir``."""
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=".export-", dir=out_dir))
    except OSError as error:
        raise _unwritable(out_dir, error) from error
    try:
        try:
            yield folder
        except OSError as error:
            raise _unwritable(out_dir, error) from error
        locked = []
        for path in sorted(folder.iterdir()):
            try:
                path.replace(out_dir / path.name)
            except OSError as error:
                locked.append((path.name, error))
        if locked:
            names = ", ".join(name for name, _ in locked)
            raise OutputError(
                f"{names} in {out_dir} cannot be replaced ({locked[0][1].strerror}).",
                "It may be open in another program: close it and export again. "
                "All other files are up to date.",
            ) from locked[0][1]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unwritable(out_dir: Path, error: OSError) -> OutputError:
    return OutputError(
        f"The folder {out_dir} cannot be written: {error.strerror or error}.",
        "Check that it is a folder you may write to and that the disk has space.",
    )


def _write_table(
    folder: Path, name: str, columns: Sequence[Column], frames: Iterable[pd.DataFrame]
) -> None:
    arrow = pa.schema([(c.name, _ARROW[KINDS[c.kind].dtype]) for c in columns])
    with (
        pq.ParquetWriter(folder / f"{name}.parquet", arrow, compression="zstd") as parquet,
        (folder / f"{name}.csv").open("w", encoding="utf-8-sig", newline="") as csv,
    ):
        header = True
        for frame in frames:
            parquet.write_table(pa.Table.from_pandas(frame, schema=arrow, preserve_index=False))
            frame.to_csv(csv, header=header, index=False, lineterminator="\r\n")
            header = False


def _calls_for_agents(view: Store) -> pd.DataFrame:
    """The columns of calls that the agents tables need."""
    measures = {m.source or m.name for m in agents.MEASURES}
    wanted = {"agent_id", "agent_name", "team", "started_at", "status", "duration"} | measures
    kept = [c.name for c in TABLES["calls"] if c.name in wanted]
    return pd.concat([frame[kept] for frame in view.frames("calls")], ignore_index=True)


# --- the workbook -------------------------------------------------------------------------------


def _write_workbook(path: Path, view: Store, agent_table: pd.DataFrame) -> None:
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "tmpdir": str(path.parent),
    }
    agent_order, detail = _agent_order(list(agent_table.columns))
    of_agents = agent_columns(agent_order)
    of_calls = _ordered(TABLES["calls"], CALLS_FIRST, CALLS_LAST)
    of_verdicts = _ordered(TABLES["verdicts"], VERDICTS_FIRST)
    book = xlsxwriter.Workbook(path, options)
    sheets = _Sheets(book)
    sheets.write("calls", of_calls, view.frames("calls"))
    sheets.write("agents", of_agents, [agent_table], folded=detail)
    sheets.write("verdicts", of_verdicts, view.frames("verdicts"))
    legend = {"calls": of_calls, "agents": of_agents, "verdicts": of_verdicts}
    sheets.write("legend", _LEGEND, [_legend(legend)])
    try:
        book.close()
    except xlsxwriter.exceptions.FileCreateError as error:
        raise OSError(str(error)) from error


_LEGEND = (
    Column("sheet", "text", "工作表", ""),
    Column("column", "text", "列名", ""),
    Column("header_zh", "text", "中文名", ""),
    Column("unit_zh", "text", "单位", ""),
    Column("meaning_zh", "text", "含义", ""),
    Column("unit", "text", "单位（英文）", ""),
    Column("meaning", "text", "含义（英文）", ""),
)


def _legend(sheets: Mapping[str, Sequence[Column]]) -> pd.DataFrame:
    rows = [
        (
            sheet,
            c.name,
            c.header_zh,
            KINDS[c.kind].unit_zh,
            c.meaning_zh,
            KINDS[c.kind].unit_en,
            c.en,
        )
        for sheet, columns in sheets.items()
        for c in columns
    ]
    return pd.DataFrame(rows, columns=[c.name for c in _LEGEND], dtype="str")


def _ordered(
    columns: Sequence[Column], first: Sequence[str], last: Sequence[str] = ()
) -> tuple[Column, ...]:
    by_name = {c.name: c for c in columns}
    middle = [name for name in by_name if name not in first and name not in last]
    return tuple(by_name[name] for name in (*first, *middle, *last))


def _agent_order(names: list[str]) -> tuple[list[str], set[str]]:
    """Order of the columns of the agents sheet, and those that are folded away."""
    headline = [f"{m}_{s}" for m in AGENTS_FIRST for s in agents.STATISTICS]
    plain = [name for name in names if name in {"agent_id", "agent_name", "team"}]
    plain += [c.name for c in _AGENT_COLUMNS if c.name in names]
    rest = [name for name in names if name not in {*plain, *headline}]
    return [*plain, *headline, *rest], set(rest)


class _Sheets:
    """Writes frames as sheets of one workbook, row by row."""

    def __init__(self, book: Any) -> None:
        self._book = book
        self._header = book.add_format({"bold": True, "bg_color": HEADER_COLOUR, "border": 1})
        self._fail = book.add_format({"bg_color": FAIL_COLOUR})
        self._formats = {
            kind: book.add_format({"num_format": value.number_format})
            for kind, value in KINDS.items()
        }

    def write(
        self,
        name: str,
        columns: Sequence[Column],
        frames: Iterable[pd.DataFrame],
        folded: Iterable[str] = (),
    ) -> None:
        """Write one table, on as many sheets as its rows need."""
        number, row, sheet = 1, SHEET_ROWS, None
        folded = set(folded)
        writers: list[tuple[Callable[..., int], Any]] = []
        for frame in frames:
            values = [_cells(frame[c.name], c) for c in columns]
            for cells in zip(*values, strict=True) if len(frame) else [None]:
                if row >= SHEET_ROWS:
                    if sheet is not None:
                        self._finish(sheet, columns, row)
                        number += 1
                    title = name if number == 1 else f"{name}_{number}"
                    sheet, row = self._start(title, columns, folded), HEADER_ROWS
                    writers = [self._writer(sheet, c) for c in columns]
                if cells is None:
                    continue
                for at, (cell, (write, cell_format)) in enumerate(zip(cells, writers, strict=True)):
                    if cell is not None:
                        write(row, at, cell, cell_format)
                row += 1
        if sheet is not None:
            self._finish(sheet, columns, row)

    def _writer(self, sheet: Any, column: Column) -> tuple[Callable[..., int], Any]:
        by_type: Mapping[Dtype, Callable[..., int]] = {
            "str": sheet.write_string,
            "boolean": sheet.write_boolean,
        }
        write = by_type.get(KINDS[column.kind].dtype, sheet.write_number)
        return write, None if write == sheet.write_string else self._formats[column.kind]

    def _start(self, title: str, columns: Sequence[Column], folded: set[str]) -> Any:
        sheet = self._book.add_worksheet(title)
        for at, column in enumerate(columns):
            width = min(
                max(len(column.name) + 2, 2 * len(column.header_zh) + 2, WIDTHS[0]), WIDTHS[1]
            )
            if column.name in _WIDE:
                width = WIDTHS[1]
            fold = {"level": 1, "hidden": True} if column.name in folded else {}
            sheet.set_column(at, at, width, None, fold)
        for at, column in enumerate(columns):
            sheet.write_string(0, at, column.name, self._header)
        for at, column in enumerate(columns):
            sheet.write_string(1, at, column.header_zh, self._header)
        sheet.freeze_panes(HEADER_ROWS, 1)
        return sheet

    def _finish(self, sheet: Any, columns: Sequence[Column], rows: int) -> None:
        last = max(rows - 1, HEADER_ROWS)
        sheet.autofilter(HEADER_ROWS - 1, 0, last, len(columns) - 1)
        names = [c.name for c in columns]
        if "verdict" in names:
            letter = xlsxwriter.utility.xl_col_to_name(names.index("verdict"))
            rule = {
                "type": "formula",
                "criteria": f'=${letter}{HEADER_ROWS + 1}="fail"',
                "format": self._fail,
            }
            sheet.conditional_format(HEADER_ROWS, 0, last, len(columns) - 1, rule)


_WIDE = {"quote", "note", "matched", "meaning", "meaning_zh", "warnings", "error"}


def _cells(values: pd.Series[Any], column: Column) -> list[Any]:
    """Plain Python values for the cells; None leaves a cell empty."""
    cells = values.astype(object).where(values.notna(), None).tolist()
    if KINDS[column.kind].dtype != "str":
        return cells
    return [
        c if c is None or len(c) <= CELL_CHARACTERS else c[: CELL_CHARACTERS - 1] + "…"
        for c in cells
    ]
