"""The workbook for people: calls, agents, verdicts, and a legend that explains every column.

Conventions
-----------
The first sheet is for people: an agent a row, each figure with its interval in one cell, coloured
where it is clearly off the team. ``sections`` has the score of each section of the rubric in each
call, by the rule of the whole score: weight passed of weight judged. The other sheets are the
tables. The first header row has the names of the contract, the second those in Chinese. What a
person looks at first stands first; the lesser columns are folded away.

A sheet of more than ``SHEET_CELLS`` cells serves nobody and takes minutes to open: it is left out,
and the log and the legend say so. Its table is there as Parquet and CSV.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import xlsxwriter

from pipeline.agents.frames import STATISTICS
from pipeline.io.times import clock_time
from pipeline.measures import KINDS, POOLED, SPEAKERS_ZH, Dtype
from pipeline.schema import AGENT
from pipeline.store import DETAILS, TABLES, Column, Store, to_batch

WORKBOOK = "callcoach.xlsx"
FULL = "agents_full"  # the sheet with every column of the agents table
SHEET_CELLS = 5_000_000
CELL_CHARACTERS = 32_767
HEADER_ROWS = 2
WIDTHS = (8, 48)  # narrowest and widest column, characters
FAIL_COLOUR, PASS_COLOUR, HEADER_COLOUR = "#F8CBAD", "#E2EFDA", "#DDEBF7"
OFF_TEAM_COLOUR, FAINT = "#FFF2CC", "#808080"

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
VERDICTS_FIRST = (
    "call_id", "section", "item_id", "item_zh", "verdict", "score", "max_score", "quote", "matched",
)  # fmt: skip
# What a coach looks at of an agent, in this order, and with how many decimals.
COACHED = {
    "compliance_score": 0, "outside_score": 0, "agent_speaking_rate": 0, "speaking_rate_vs_norm": 2,
    "agent_level_dbfs": 1, "agent_pitch_sd_st": 1, "agent_interruption_rate": 1, "hold_s": 0,
    "dead_air_per_10min": 1, "agent_response_latency_p50": 1,
}  # fmt: skip
OFF_TEAM = {"above": "高于班组", "below": "低于班组"}
_log = logging.getLogger(__name__)


def write_workbook(
    path: Path,
    view: Store,
    zone: ZoneInfo,
    of_agents: Sequence[Column],
    agent_table: pa.Table,
    of_weeks: Sequence[Column],
) -> None:
    """Write the workbook.

    Parameters
    ----------
    path : Path
    view : Store
        Read only.
    zone : ZoneInfo
        Time zone that dates and times are given in.
    of_agents : sequence of Column
        The columns of ``agent_table``.
    agent_table : Table
        One row per agent.
    of_weeks : sequence of Column
        The columns of the table of agents and weeks, which has no sheet.

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
    plain = [c.name for c in of_agents if not c.name.startswith(tuple(p.name for p in POOLED))]
    coached = [f"{m}_{s}" for m in COACHED for s in STATISTICS]
    sheets = {
        "calls": _ordered(TABLES["calls"], CALLS_FIRST, CALLS_LAST),
        "verdicts": _ordered(TABLES["verdicts"], VERDICTS_FIRST),
        FULL: _ordered(of_agents, [*plain, *coached]),
    }
    shown = {"calls": {*CALLS_FIRST, "warnings", "error"}, FULL: {*plain, *coached}}
    book = xlsxwriter.Workbook(path, options)
    writer = _Sheets(book, zone)
    left_out = {}
    if agent_table.num_rows * len(COACHED) <= SHEET_CELLS:
        writer.write_agents(agent_table)
    for name, columns in list(sheets.items()):
        rows = agent_table.num_rows if name == FULL else view.count(name)
        if rows * len(columns) > SHEET_CELLS:
            left_out[name] = rows
            _log.warning("%s has no sheet %s: %d rows are too many", WORKBOOK, name, rows)
            continue
        batches = agent_table.to_batches() if name == FULL else view.batches(name)
        names = {c.name for c in columns}
        writer.write(name, columns, batches, folded=names - shown.get(name, names))
        if name == "verdicts":
            batches = [_subtotals(view.batches(name), view.documents("rubrics"))]
            writer.write("sections", _SECTIONS, batches)
            sheets["sections"] = _SECTIONS
    sheets |= {name: columns for name, columns in TABLES.items() if name not in sheets}
    sheets["events"] += tuple(c._replace(name=f"detail.{c.name}") for c in DETAILS)
    sheets["agent_weeks"] = tuple(of_weeks)
    writer.write("legend", _LEGEND, [_legend(sheets, left_out)])
    try:
        book.close()
    except xlsxwriter.exceptions.FileCreateError as error:
        raise OSError(str(error)) from error


_SECTIONS = (
    Column("call_id", "text", "通话编号：一次通话", "id of the call"),
    Column("section", "text", "所属部分：评分规范的部分", "section of the rubric"),
    Column("section_zh", "text", "部分名称：规范里写的名称", "name of the section"),
    Column(
        "section_score",
        "score",
        "部分得分：通过权重占判定权重，0-100",
        "100 x passed / judged weight",
    ),
    Column("passed_weight", "number", "通过权重：通过项的权重之和", "weight of the items passed"),
    Column(
        "judged_weight",
        "number",
        "判定权重：通过与未通过项的权重之和",
        "weight of items passed or failed",
    ),
)
_LEGEND = (
    Column("sheet", "text", "工作表或数据表", ""),
    Column("column", "text", "列名", ""),
    Column("header_zh", "text", "中文名", ""),
    Column("unit_zh", "text", "单位", ""),
    Column("meaning_zh", "text", "含义", ""),
    Column("unit", "text", "单位（英文）", ""),
    Column("meaning", "text", "含义（英文）", ""),
)


def _subtotals(
    verdicts: Iterable[pa.RecordBatch], rubrics: Sequence[Mapping[str, Any]]
) -> pa.RecordBatch:
    """The score of each section of the rubric in each call, in the order of the verdicts."""
    names = {s["id"]: s["name"]["zh"] for rubric in rubrics for s in rubric["sections"]}
    sums: dict[tuple[str, str], tuple[float, float]] = {}
    columns = ("source", "call_id", "section", "verdict", "weight")
    for batch in verdicts:
        values = (batch.column(c).to_pylist() for c in columns)
        for source, call_id, section, verdict, weight in zip(*values, strict=True):
            if source == "rubric" and section is not None and verdict in ("pass", "fail"):
                passed, judged = sums.get((call_id, section), (0.0, 0.0))
                gained = weight if verdict == "pass" else 0.0
                sums[call_id, section] = (passed + gained, judged + weight)
    rows = [
        (call_id, section, names.get(section), 100.0 * passed / judged, passed, judged)
        for (call_id, section), (passed, judged) in sums.items()
        if judged
    ]
    return to_batch(_SECTIONS, rows)


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
    first, last = ([name for name in names if name in by_name] for names in (first, last))
    middle = [name for name in by_name if name not in first and name not in last]
    return tuple(by_name[name] for name in (*first, *middle, *last))


def _figure(agent: Mapping[str, Any], measure: str, decimals: int) -> tuple[str, str]:
    """A pooled figure with its interval in words, and how it compares with the team's."""
    mean, low, high, state = (agent[f"{measure}_{s}"] for s in ("mean", "low", "high", "state"))
    if mean is None:
        return "–", ""
    text = f"{mean:.{decimals}f}"
    if low is not None and high is not None:
        text += f"（{low:.{decimals}f} – {high:.{decimals}f}）"
    return text + (f" {OFF_TEAM[state]}" if state in OFF_TEAM else ""), state or ""


class _Sheets:
    """Writes tables as sheets of one workbook, row by row."""

    def __init__(self, book: Any, zone: ZoneInfo) -> None:
        self._book = book
        self._zone = zone
        self._header = book.add_format({"bold": True, "bg_color": HEADER_COLOUR, "border": 1})
        self._verdicts = {
            "fail": book.add_format({"bg_color": FAIL_COLOUR}),
            "pass": book.add_format({"bg_color": PASS_COLOUR}),
        }
        self._off_team = book.add_format({"bg_color": OFF_TEAM_COLOUR})
        self._faint = book.add_format({"font_color": FAINT, "italic": True})
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
            values = [_cells(batch.column(c.name), c, self._zone) for c in columns]
            for cells in zip(*values, strict=True):
                for at, (cell, (write, cell_format)) in enumerate(zip(cells, writers, strict=True)):
                    if cell is not None:
                        write(row, at, cell, cell_format)
                row += 1
        self._finish(sheet, columns, row)

    def write_agents(self, table: pa.Table) -> None:
        """Write the sheet for people: an agent a row, each figure with its 95 % interval."""
        pooled = {p.name: p for p in POOLED if p.name in COACHED}
        measures = [pooled[name] for name in COACHED]
        titles = [("姓名", "name"), ("工号", "agent_id"), ("班组", "team"), ("通数", "calls")]
        titles += [
            (f"{p.zh.removeprefix(SPEAKERS_ZH[AGENT])}（{unit}）" if unit else p.zh, p.name)
            for p in measures
            for unit in [KINDS[p.measure.kind].unit_zh]
        ]
        sheet = self._book.add_worksheet("agents")
        sheet.set_column(0, 3, 10)
        sheet.set_column(4, len(titles) - 1, 19)
        for row, names in enumerate(zip(*titles, strict=True)):  # row by row, as they are streamed
            for at, name in enumerate(names):
                sheet.write_string(row, at, name, self._header)
        for row, agent in enumerate(table.to_pylist(), start=HEADER_ROWS):
            enough = bool(agent["enough_calls"])
            name = agent["agent_name"] or agent["agent_id"] or "（无工号）"
            for at, text in enumerate((name, agent["agent_id"], agent["team"])):
                sheet.write_string(row, at, text or "", None if enough else self._faint)
            calls = f"{agent['calls']}" if enough else f"{agent['calls']}，太少，不作比较"
            sheet.write_string(row, 3, calls, None if enough else self._faint)
            for at, p in enumerate(measures, start=4):
                text, state = _figure(agent, p.name, COACHED[p.name])
                look = self._off_team if state in OFF_TEAM else None if enough else self._faint
                sheet.write_string(row, at, text, look)
        sheet.freeze_panes(HEADER_ROWS, 1)
        last = max(HEADER_ROWS, HEADER_ROWS + table.num_rows - 1)
        sheet.autofilter(HEADER_ROWS - 1, 0, last, len(titles) - 1)
        sheet.write_string(
            last + 2, 0,
            "每格：合并值（95 % 区间）。凭这些电话估计，真实水平大约在区间内。黄底 = 明显高于或低于班组。"
            "斜体 = 通数太少，不作比较。全部数字见 agents_full，列的含义见 legend。",
        )  # fmt: skip

    def _writer(self, sheet: Any, column: Column) -> tuple[Callable[..., int], Any]:
        by_type: Mapping[Dtype, Callable[..., int]] = {
            "str": sheet.write_string,
            "boolean": sheet.write_boolean,
        }
        write = by_type.get(KINDS[column.kind].dtype, sheet.write_number)
        if column.kind == "time":  # text where it cannot be read as one
            write = sheet.write
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
            for verdict, look in self._verdicts.items():
                rule = {
                    "type": "formula",
                    "criteria": f'=${letter}{HEADER_ROWS + 1}="{verdict}"',
                    "format": look,
                }
                sheet.conditional_format(HEADER_ROWS, 0, last, len(columns) - 1, rule)


_WIDE = {"quote", "note", "matched", "meaning", "meaning_zh", "warnings", "error"}


def _cells(values: pa.Array, column: Column, zone: ZoneInfo) -> list[Any]:
    """Plain Python values for the cells; None leaves a cell empty."""
    cells: list[Any] = values.to_pylist()
    if column.kind == "time":
        times = [clock_time(c, zone) if c else None for c in cells]
        return [t.replace(tzinfo=None) if t else c for t, c in zip(times, cells, strict=True)]
    if KINDS[column.kind].dtype != "str":
        return cells
    return [
        c if c is None or len(c) <= CELL_CHARACTERS else c[: CELL_CHARACTERS - 1] + "…"
        for c in cells
    ]
