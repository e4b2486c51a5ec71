"""The workbook for people: calls, agents, verdicts, and a legend that explains every column.

Conventions
-----------
The first sheet is for people: an agent a row, each figure a number with the limits of its interval
beside it, marked where it is clearly off the team. ``sections`` has the score of each section of
the rubric in each call, by the rule of the whole score: weight passed of weight judged. The other
sheets are the tables, fixed words in Chinese beside. The first header row has the names of the
contract, the second those in Chinese. What a person looks at first stands first; the lesser columns
are folded away.

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
NUMBER_WIDTH, TEXT_WIDTH, TIME_WIDTH = 9, 12, 19  # of columns, characters
HEADER_HEIGHTS = (48, 48)
LINE = 15  # height, points
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
VALUE = "mean"
AGENT_FIRST = ("agent_name", "agent_id", "team", "calls", "enough_calls")
OFF_TEAM = {"above": "▲", "below": "▼"}
AGENTS_NOTE = (
    "每个指标三列：合并值，95 % 区间的下限和上限。凭这些电话估计，真实水平大约在区间内；"
    "没有区间表示电话太少，说不出。"
    "黄底 ▲ ▼ = 明显高于、低于班组。灰色斜体 = 通数太少，不作比较。全部数字见 agents_full，列的含义见 legend。"
)
IN_CHINESE = "_zh"
WORDS_ZH: Mapping[str, Mapping[str | None, str]] = {
    "verdict": {"pass": "通过", "fail": "未过", "not_applicable": "不适用", "cannot_tell": "难判"},
    "direction": {"inbound": "呼入", "outbound": "呼出"},
}
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
    by_name = {c.name: c for c in of_agents}
    first = [by_name[c] for c in AGENT_FIRST]
    first += [by_name[f"{m}_{s}"] for m in COACHED for s in (VALUE, "low", "high")]
    sheets = {
        "calls": _worded(_ordered(TABLES["calls"], CALLS_FIRST, CALLS_LAST)),
        "verdicts": _worded(_ordered(TABLES["verdicts"], VERDICTS_FIRST)),
        FULL: _ordered(of_agents, [*plain, *coached]),
    }
    shown = {"calls": {*CALLS_FIRST, "direction_zh", "warnings", "error"}, FULL: {*plain, *coached}}
    shown["verdicts"] = {
        *VERDICTS_FIRST,
        "verdict_zh",
        "source",
        "speaker",
        "start",
        "probability",
        "note",
    }
    book = xlsxwriter.Workbook(path, options)
    writer = _Sheets(book, zone)
    left_out = {}
    if agent_table.num_rows * len(COACHED) <= SHEET_CELLS:
        writer.write_agents(agent_table, first)
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
    sheets = {"agents": tuple(first), **sheets, "agent_weeks": tuple(of_weeks)}
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


class _Sheets:
    """Writes tables as sheets of one workbook, row by row."""

    def __init__(self, book: Any, zone: ZoneInfo) -> None:
        self._book = book
        self._zone = zone
        self._header = book.add_format(
            {
                "bold": True,
                "bg_color": HEADER_COLOUR,
                "border": 1,
                "text_wrap": True,
                "valign": "top",
            }
        )
        self._verdicts = {
            "fail": book.add_format({"bg_color": FAIL_COLOUR}),
            "pass": book.add_format({"bg_color": PASS_COLOUR}),
        }
        self._wrapped = book.add_format({"text_wrap": True, "valign": "top"})
        self._figures: dict[tuple[int, str, bool], Any] = {}
        self._faint = book.add_format({"font_color": FAINT, "italic": True})
        self._formats = {
            kind: book.add_format({"num_format": value.number_format})
            for kind, value in KINDS.items()
        }
        self._formats["time"].set_align("left")

    def write(
        self,
        name: str,
        columns: Sequence[Column],
        batches: Iterable[pa.RecordBatch],
        folded: Iterable[str] = (),
    ) -> None:
        """Write one table as a sheet; columns in ``folded`` are hidden until they are asked for."""
        sheet, row = self._start(name, columns, set(folded)), HEADER_ROWS
        wrapped = [(at, _WRAPPED[c.name]) for at, c in enumerate(columns) if c.name in _WRAPPED]
        writers = [self._writer(sheet, c, self._wrapped if wrapped else None) for c in columns]
        for batch in batches:
            values = [_cells(batch, c, self._zone) for c in columns]
            for cells in zip(*values, strict=True):
                if wrapped:
                    lines = max(len(cells[at] or "") * wide // WRAP_WIDTH for at, wide in wrapped)
                    sheet.set_row(row, LINE * (lines + 1))
                for at, (cell, (write, cell_format)) in enumerate(zip(cells, writers, strict=True)):
                    if cell is not None:
                        write(row, at, cell, cell_format)
                row += 1
        self._finish(sheet, columns, row)

    def write_agents(self, table: pa.Table, columns: Sequence[Column]) -> None:
        """Write the sheet for people: an agent a row, each figure with its 95 % interval beside it."""
        sheet = self._book.add_worksheet("agents")
        for at, column in enumerate(columns):
            sheet.set_column(at, at, 8.5 if column.name.endswith(f"_{VALUE}") else 6.5)
        sheet.set_column(0, len(AGENT_FIRST) - 1, 10)
        headers = [_coached_header(c) for c in columns]
        self._write_header(sheet, headers, [c.name for c in columns], (48, 72))
        for row, agent in enumerate(table.to_pylist(), start=HEADER_ROWS):
            enough = bool(agent["enough_calls"])
            look = None if enough else self._faint
            sheet.write_string(
                row, 0, agent["agent_name"] or agent["agent_id"] or "（无工号）", look
            )
            for at, text in enumerate((agent["agent_id"], agent["team"]), start=1):
                sheet.write_string(row, at, text or "", look)
            sheet.write_number(row, 3, agent["calls"], look)
            sheet.write_string(row, 4, "是" if enough else "太少", look)
            for at, column in enumerate(columns[len(AGENT_FIRST) :], start=len(AGENT_FIRST)):
                if agent[column.name] is not None:
                    look = self._figure(column.name, agent, enough=enough)
                    sheet.write_number(row, at, agent[column.name], look)
        sheet.freeze_panes(HEADER_ROWS, 1)
        last = max(HEADER_ROWS, HEADER_ROWS + table.num_rows - 1)
        sheet.autofilter(HEADER_ROWS - 1, 0, last, len(columns) - 1)
        sheet.write_string(last + 2, 0, AGENTS_NOTE)
        _print_wide(sheet)

    def _figure(self, column: str, agent: Mapping[str, Any], *, enough: bool) -> Any:
        """How a figure of an agent looks: marked where it is clearly off the team, limits faint."""
        measure, _, statistic = column.rpartition("_")
        state = agent[f"{measure}_state"] if statistic == VALUE else None
        decimals = COACHED[measure]
        key = decimals, OFF_TEAM.get(str(state), ""), enough and statistic == VALUE
        if key not in self._figures:
            number = f"0.{'0' * decimals}" if decimals else "0"
            look: dict[str, Any] = {"num_format": number + (f'" {key[1]}"' if key[1] else "")}
            look |= {"bg_color": OFF_TEAM_COLOUR} if key[1] else {}
            look |= {} if key[2] else {"font_color": FAINT}
            look |= {} if enough else {"italic": True}
            self._figures[key] = self._book.add_format(look)
        return self._figures[key]

    def _write_header(
        self, sheet: Any, first: Sequence[str], second: Sequence[str], heights: tuple[int, int]
    ) -> None:
        """Write both header rows, row by row, as they are streamed."""
        for row, (names, height) in enumerate(zip((first, second), heights, strict=True)):
            sheet.set_row(row, height)
            for at, name in enumerate(names):
                sheet.write_string(row, at, name, self._header)

    def _writer(self, sheet: Any, column: Column, plain: Any) -> tuple[Callable[..., int], Any]:
        by_type: Mapping[Dtype, Callable[..., int]] = {
            "str": sheet.write_string,
            "boolean": sheet.write_boolean,
        }
        write = by_type.get(KINDS[column.kind].dtype, sheet.write_number)
        if column.kind == "time":  # text where it cannot be read as one
            write = sheet.write
        return write, plain if write == sheet.write_string else self._formats[column.kind]

    def _start(self, title: str, columns: Sequence[Column], folded: set[str]) -> Any:
        sheet = self._book.add_worksheet(title)
        for at, column in enumerate(columns):
            usual = TEXT_WIDTH if KINDS[column.kind].dtype == "str" else NUMBER_WIDTH
            usual = TIME_WIDTH if column.kind == "time" else usual
            width = _WIDTHS.get(column.name, usual)
            fold = {"level": 1, "hidden": True} if column.name in folded else {}
            sheet.set_column(at, at, width, None, fold)
        headers = [c.name for c in columns], [c.header_zh for c in columns]
        self._write_header(sheet, *headers, HEADER_HEIGHTS)
        sheet.freeze_panes(HEADER_ROWS, 1)
        if title != FULL:
            _print_wide(sheet)
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


WRAP_WIDTH = 48
_WIDE = ("quote", "note", "matched", "meaning", "meaning_zh", "path")
_WRAPPED = {"meaning": 1, "meaning_zh": 2}  # in the legend; width of their characters
_WIDTHS = {
    **dict.fromkeys(_WIDE, WRAP_WIDTH),
    **dict.fromkeys(("call_id", "warnings", "error", "item_id"), 24),
    **dict.fromkeys(("column", "header_zh"), 32),
    **dict.fromkeys(("item_zh", "section", "section_zh"), 18),
}


def _print_wide(sheet: Any) -> None:
    """Print on A4 across, all columns on one page, the header on each."""
    sheet.set_landscape()
    sheet.set_paper(9)
    sheet.set_margins(0.4, 0.4, 0.5, 0.5)
    sheet.fit_to_pages(1, 0)
    sheet.repeat_rows(0, HEADER_ROWS - 1)
    sheet.set_footer("&L&A&R&P / &N")


def _coached_header(column: Column) -> str:
    """The header of the sheet of agents: a measure with its unit, and its limits."""
    if column.name in AGENT_FIRST:
        return column.header_zh
    if not column.name.endswith(f"_{VALUE}"):
        return column.header_zh.rpartition("·")[2]
    unit = KINDS[column.kind].unit_zh
    name = column.header_zh.partition("·")[0].removeprefix(SPEAKERS_ZH[AGENT])
    return f"{name}（{unit}）" if unit else name


def _worded(columns: Sequence[Column]) -> tuple[Column, ...]:
    """The columns, and beside those of fixed words one that has them in Chinese."""
    found: list[Column] = []
    for one in columns:
        found.append(one)
        if one.name in WORDS_ZH:
            zh, en = f"{one.header_zh}（中文）：{one.name} 的中文", f"{one.name} in Chinese"
            found.append(Column(one.name + IN_CHINESE, "text", zh, en))
    return tuple(found)


def _cells(batch: pa.RecordBatch, column: Column, zone: ZoneInfo) -> list[Any]:
    """Plain Python values for the cells; None leaves a cell empty."""
    of = column.name.removesuffix(IN_CHINESE)
    if of != column.name and of in WORDS_ZH:
        return [WORDS_ZH[of].get(word, word) for word in batch.column(of).to_pylist()]
    cells: list[Any] = batch.column(column.name).to_pylist()
    if column.kind == "time":
        times = [clock_time(c, zone) if c else None for c in cells]
        return [t.replace(tzinfo=None) if t else c for t, c in zip(times, cells, strict=True)]
    if KINDS[column.kind].dtype != "str":
        return cells
    return [
        c if c is None or len(c) <= CELL_CHARACTERS else c[: CELL_CHARACTERS - 1] + "…"
        for c in cells
    ]
