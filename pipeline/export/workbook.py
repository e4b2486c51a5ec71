"""The workbook for people: calls, agents, verdicts, and a legend that explains every column.

Conventions
-----------
The first header row has the names of the contract, the second those in Chinese. What a person looks
at first stands first; the lesser columns of the agents are folded away.

A sheet of more than ``SHEET_CELLS`` cells serves nobody and takes minutes to open: it is left out,
and the log and the legend say so. Its table is there as Parquet and CSV.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import xlsxwriter

from pipeline.agents.tables import STATISTICS
from pipeline.measures import KINDS, POOLED, Dtype
from pipeline.store import TABLES, Column, Store

WORKBOOK = "callcoach.xlsx"
SHEET_CELLS = 5_000_000
CELL_CHARACTERS = 32_767
HEADER_ROWS = 2
WIDTHS = (8, 48)  # narrowest and widest column, characters
FAIL_COLOUR, HEADER_COLOUR = "#F8CBAD", "#DDEBF7"

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
    "agent_pitch_sd_st", "agent_interruption_rate", "holds", "holds_unannounced", "dead_air",
    "agent_talk_ratio", "agent_response_latency_p50",
)  # fmt: skip
_log = logging.getLogger(__name__)


def write_workbook(
    path: Path, view: Store, of_agents: Sequence[Column], agent_table: pa.Table
) -> None:
    """Write the workbook.

    Parameters
    ----------
    path : Path
    view : Store
        Read only.
    of_agents : sequence of Column
        The columns of ``agent_table``.
    agent_table : Table
        One row per agent.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "tmpdir": str(path.parent),
    }
    agent_order, folded = _agent_order(of_agents)
    sheets = {
        "calls": _ordered(TABLES["calls"], CALLS_FIRST, CALLS_LAST),
        "agents": agent_order,
        "verdicts": _ordered(TABLES["verdicts"], VERDICTS_FIRST),
    }
    book = xlsxwriter.Workbook(path, options)
    writer = _Sheets(book)
    left_out = {}
    for name, columns in sheets.items():
        rows = agent_table.num_rows if name == "agents" else view.count(name)
        if rows * len(columns) > SHEET_CELLS:
            left_out[name] = rows
            _log.warning("%s has no sheet %s: %d rows are too many", WORKBOOK, name, rows)
        elif name == "agents":
            writer.write(name, columns, agent_table.to_batches(), folded=folded)
        else:
            writer.write(name, columns, view.batches(name))
    writer.write("legend", _LEGEND, [_legend(sheets, left_out)])
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


def _legend(sheets: Mapping[str, Sequence[Column]], left_out: Mapping[str, int]) -> pa.RecordBatch:
    rows = [
        (name, "", "（未列出）", "", f"共 {n} 行，超过工作簿的上限，请用 {name}.csv 或 {name}.parquet",
         "", f"{n} rows are too many for a workbook: see {name}.csv or {name}.parquet")
        for name, n in left_out.items()
    ] + [
        (sheet, c.name, c.header_zh, KINDS[c.kind].unit_zh, c.meaning_zh, KINDS[c.kind].unit_en, c.en)
        for sheet, columns in sheets.items()
        if sheet not in left_out
        for c in columns
    ]  # fmt: skip
    arrays = [pa.array(values, pa.string()) for values in zip(*rows, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, names=[c.name for c in _LEGEND])


def _ordered(
    columns: Sequence[Column], first: Sequence[str], last: Sequence[str] = ()
) -> tuple[Column, ...]:
    by_name = {c.name: c for c in columns}
    middle = [name for name in by_name if name not in first and name not in last]
    return tuple(by_name[name] for name in (*first, *middle, *last))


def _agent_order(columns: Sequence[Column]) -> tuple[tuple[Column, ...], set[str]]:
    """Order of the columns of the agents sheet, and those that are folded away."""
    names = [c.name for c in columns]
    measured = {f"{m.name}_{s}" for m in POOLED for s in STATISTICS}
    plain = [name for name in names if name not in measured]
    headline = [f"{m}_{s}" for m in AGENTS_FIRST for s in STATISTICS]
    ordered = _ordered(columns, [*plain, *headline])
    return ordered, {c.name for c in ordered[len(plain) + len(headline) :]}


class _Sheets:
    """Writes tables as sheets of one workbook, row by row."""

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
        batches: Iterable[pa.RecordBatch],
        folded: Iterable[str] = (),
    ) -> None:
        """Write one table as a sheet; columns in ``folded`` are hidden until they are asked for."""
        sheet, row = self._start(name, columns, set(folded)), HEADER_ROWS
        writers = [self._writer(sheet, c) for c in columns]
        for batch in batches:
            values = [_cells(batch.column(c.name), c) for c in columns]
            for cells in zip(*values, strict=True):
                for at, (cell, (write, cell_format)) in enumerate(zip(cells, writers, strict=True)):
                    if cell is not None:
                        write(row, at, cell, cell_format)
                row += 1
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


def _cells(values: pa.Array, column: Column) -> list[Any]:
    """Plain Python values for the cells; None leaves a cell empty."""
    cells: list[Any] = values.to_pylist()
    if KINDS[column.kind].dtype != "str":
        return cells
    return [
        c if c is None or len(c) <= CELL_CHARACTERS else c[: CELL_CHARACTERS - 1] + "…"
        for c in cells
    ]
