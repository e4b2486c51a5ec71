"""Every table of the store, and those of the agents, as Parquet and CSV files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pyarrow.compute as compute
import pyarrow.csv as pc
import pyarrow.parquet as pq

from pipeline.agents import MIN_CALLS, By, CaseMix, Pool, changes
from pipeline.agents.frames import AGENT_TABLES, frame_of_pool, values_of
from pipeline.errors import ParameterError, nearest
from pipeline.export.folder import aside
from pipeline.export.workbook import WORKBOOK, write_workbook
from pipeline.io.times import clock_time
from pipeline.measures import POOLED
from pipeline.store import TABLES, Column, Store, frame_of, schema_of

FORMATS = ("parquet", "csv")
TABLE_NAMES = (*TABLES, *AGENT_TABLES)
SHOWN_HASH = 8
_MADE = ("agent_id", "week", "settings_hash", "rubric_hash")
AGENT_ROWS = 40_000  # calls pooled at a time: fewer take longer, more take more memory
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
FORMULA = r"^([=+\-@\t\r＝＋－＠])"  # how text begins that spreadsheets may take for one

# fmt: off
_AGENT_COLUMNS = (
    Column("week", "text", "周：ISO 周", "ISO week of the calls"),
    Column("calls", "count", "通话数：不含失败的录音", "calls, without those that failed"),
    Column("talk_s", "seconds", "说话时间：坐席合计", "time the agent spoke, in all calls"),
    Column("enough_calls", "flag", "通话够多：达到设定的最少通话数",
           "whether there are as many calls as the settings ask for"),
    Column("made_with", "text", "依据：设置+评分规则的编号，多于一种时数字由不同依据混合而成",
           "settings and rubric the calls rest on, as `callcoach status` lists them; the figures of "
           "more than one kind are mixed"),
    Column("adjusted_for", "text", "已校正：按队列、呼叫方向或时长校正，空为未校正",
           "kinds of calls that the figures are adjusted for; empty: none"),
)
_STATISTICS: Mapping[str, tuple[str, str, str]] = {
    "calls": ("通话数", "有这一指标的通话数", "calls with a value"),
    "mean": ("合并值", "所有通话合并的值", "pooled over the calls"),
    "low": ("下限", "合并值 95 % 区间的下限", "lower limit of the 95 % interval"),
    "high": ("上限", "合并值 95 % 区间的上限", "upper limit of the 95 % interval"),
    "shrunk": ("稳健值", "向班组靠拢的合并值，通话越少靠得越近",
               "the pooled value drawn towards the team, the more so the fewer the calls"),
    "shrunk_low": ("稳健值下限", "稳健值 95 % 区间的下限",
                   "lower limit of the 95 % interval of the shrunk value"),
    "shrunk_high": ("稳健值上限", "稳健值 95 % 区间的上限",
                    "upper limit of the 95 % interval of the shrunk value"),
    "reliability": ("可靠度", "合并值的差异中有多少来自坐席之间，0-1",
                    "share of the variance between agents in that of the pooled value, 0-1"),
    "team_median": ("班组中位数", "班组中通话够多的坐席的中位数",
                    "median of the agents of the team with enough calls"),
    "percentile": ("班组百分位", "在班组中的位置，0-100，可靠度 0.7 起、至少三人；高表示数值大，不表示好",
                   "place in the team, 0-100, from a reliability of 0.7 and three such agents on; high means "
                   "much, not good"),
    "state": ("与班组相比", "too_few 通数太少，like_team 相当，above 明显高，below 明显低（不表示好坏），"
              "not_told 看不出",
              "too_few calls to compare, like_team, clearly above or below (more or less, not better or "
              "worse), not_told: cannot be told apart"),
    "change_since": ("变化始于", "站得住的变化的第一周", "first week of a change that stands"),
    "change": ("变化", "比前 12 周基线变化了多少",
               "size of that change, from the baseline of the first 12 weeks"),
}
# fmt: on
_KIND_OF_STATISTIC = {
    "calls": "count",
    "percentile": "score",
    "reliability": "ratio",
    "state": "text",
    "change_since": "text",
}


class Exported(NamedTuple):
    """What an export wrote, and its table of agents for whoever shows it."""

    files: list[Path]
    agents: pa.Table | None


def export(
    store: Store,
    out_dir: str | Path,
    *,
    min_calls: int = MIN_CALLS,
    adjust: Sequence[By] = (),
    tables: Sequence[str] | None = None,
    formats: Sequence[str] = FORMATS,
    workbook: bool = True,
) -> Exported:
    """Write tables as Parquet and CSV, and the workbook for people.

    Parameters
    ----------
    store : Store
        Read only, in batches, however many calls it holds.
    out_dir : str or Path
        Made when it is not there; files of the same names are replaced.
    min_calls : int
        Calls from which on an agent is compared, see :func:`pipeline.agents.frames.agent_table`.
    adjust : sequence of By
        Kinds of calls that the tables of agents are adjusted for, see
        :mod:`pipeline.agents.case_mix`; the calls are then read twice.
    tables : sequence of str, optional
        Some of ``TABLE_NAMES``; all when not given.
    formats : sequence of str
        Some of ``FORMATS``.
    workbook : bool
        Whether to write ``callcoach.xlsx`` too; tables too long for it are left out of it, and it
        says so (see :mod:`pipeline.export.workbook`).

    Returns
    -------
    Exported
        The files written, and the table of agents where it was made.

    Raises
    ------
    ParameterError
        If a table or a format is unknown.
    OutputError
        If the folder cannot be written, or a file is open in another program; the other files
        are in place then.
    """
    chosen = _known("table", tables, TABLE_NAMES)
    formats = _known("format", formats, FORMATS)
    with_agents = workbook or not set(AGENT_TABLES).isdisjoint(chosen)
    if with_agents:
        store.sum_weeks()
    with aside(Path(out_dir)) as folder, store.snapshot() as view:
        pooled: dict[str, tuple[tuple[Column, ...], pa.Table]] = {}
        zone = view.zone()
        if with_agents:
            pooled = _agent_tables(view, min_calls, adjust)
        for name in chosen:
            if name in pooled:
                columns, table = pooled[name]
                _write_table(folder, name, columns, table.to_batches(), formats)
            else:
                batches = (_timed(b, TABLES[name], zone) for b in view.batches(name))
                _write_table(folder, name, TABLES[name], batches, formats)
        if workbook:
            weeks = pooled["agent_weeks"][0]
            write_workbook(folder / WORKBOOK, view, zone, *pooled["agents"], weeks)
    names = [f"{name}.{kind}" for name in chosen for kind in formats]
    files = [Path(out_dir) / name for name in (*names, *([WORKBOOK] if workbook else []))]
    return Exported(files, pooled["agents"][1] if pooled else None)


def agent_columns(names: Iterable[str]) -> tuple[Column, ...]:
    """Describe the columns of the agents tables, as ``TABLES`` does for the others."""
    known = {c.name: c for c in (*TABLES["calls"], *_AGENT_COLUMNS)}
    for pooled in POOLED:
        measure = pooled.measure
        kind = "number" if measure.kind == "count" else measure.kind
        for statistic, (name_zh, meaning_zh, name_en) in _STATISTICS.items():
            name = f"{pooled.name}_{statistic}"
            known[name] = Column(
                name,
                _KIND_OF_STATISTIC.get(statistic, kind),
                f"{pooled.zh}·{name_zh}：{meaning_zh}。{measure.definition_zh}",
                f"{pooled.en}: {measure.definition} {name_en[0].upper()}{name_en[1:]}"
                + (f": {pooled.rule}." if statistic == "mean" else "."),
            )
    return tuple(known[name] for name in names)


def _known(what: str, names: Sequence[str] | None, allowed: Sequence[str]) -> list[str]:
    """The names, each once and in the usual order; all of them when none are given."""
    for name in names or ():
        if name not in allowed:
            raise ParameterError(f"There is no {what} {name!r}.", nearest(name, allowed))
    return [name for name in allowed if names is None or name in names]


def _agent_tables(
    view: Store, min_calls: int, adjust: Sequence[By]
) -> dict[str, tuple[tuple[Column, ...], pa.Table]]:
    made: set[tuple[str | None, ...]] = set()
    if adjust:
        mix = CaseMix(adjust)
        for batch in view.batches("calls", mix.columns, ordered=False, rows=AGENT_ROWS):
            mix.add(values_of(frame_of([batch])))
            del batch  # so that there are never two
        pool = Pool(shift=mix.fit())
    else:
        pool = view.pool()  # as on the pages, to the last digit
    read = list(dict.fromkeys((*(pool.columns if adjust else ("status",)), *_MADE)))
    for batch in view.batches("calls", read, ordered=False, rows=AGENT_ROWS):
        calls = frame_of([batch])
        if adjust:
            pool.add(values_of(calls))
        kinds = calls.loc[calls["status"].ne("failed").fillna(True), list(_MADE)].drop_duplicates()
        made |= set(kinds.astype(object).where(kinds.notna(), None).itertuples(index=False))
        del batch
    found: dict[str, tuple[tuple[Column, ...], pa.Table]] = {}
    watched = changes(pool.history())
    for name in AGENT_TABLES:
        frame = frame_of_pool(pool, name, min_calls=min_calls, watched=watched)
        keys = list(_MADE[: 2 if "week" in frame else 1])
        kinds_of: dict[tuple[str | None, ...], set[str]] = {}
        for kind in made:
            shown = "+".join((part or "none")[:SHOWN_HASH] for part in kind[2:])
            kinds_of.setdefault(tuple(kind[: len(keys)]), set()).add(shown)
        rows = frame[keys].astype(object).where(frame[keys].notna(), None)
        with_what = [
            ", ".join(sorted(kinds_of.get(tuple(row), ()))) for row in rows.itertuples(index=False)
        ]
        place = frame.columns.tolist().index("enough_calls") + 1
        made_with = pd.Series(with_what, index=frame.index, name="made_with", dtype="str")
        frame = pd.concat([frame.iloc[:, :place], made_with, frame.iloc[:, place:]], axis=1)
        columns = agent_columns(frame.columns)
        table = pa.Table.from_pandas(frame, schema=schema_of(columns), preserve_index=False)
        found[name] = (columns, table)
    return found


def _timed(batch: pa.RecordBatch, columns: Sequence[Column], zone: ZoneInfo) -> pa.RecordBatch:
    """The same rows with all times in business time and in one form."""
    for name in (c.name for c in columns if c.kind == "time"):
        texts = batch.column(name).to_pylist()
        times = [clock_time(text, zone) if text else None for text in texts]
        shown = [
            t.isoformat(timespec="seconds") if t else x for t, x in zip(times, texts, strict=True)
        ]
        at = batch.schema.get_field_index(name)
        batch = batch.set_column(at, batch.schema.field(at), pa.array(shown, pa.string()))
    return batch


def _write_table(
    folder: Path,
    name: str,
    columns: Sequence[Column],
    batches: Iterable[pa.RecordBatch],
    formats: Sequence[str],
) -> None:
    schema = schema_of(columns)
    with ExitStack() as stack:
        writers = [
            stack.enter_context(_WRITERS[kind](folder / f"{name}.{kind}", schema))
            for kind in formats
        ]
        for batch in batches:
            for writer in writers:
                writer.write_batch(batch)


@contextmanager
def _csv_writer(path: Path, schema: pa.Schema) -> Iterator[_Plain]:
    options = pc.WriteOptions(quoting_style="needed", quoting_header="none", eol="\r\n")
    with path.open("wb") as file:
        file.write(BYTE_ORDER_MARK)
        with pc.CSVWriter(file, schema, write_options=options) as writer:
            yield _Plain(writer)


class _Plain:
    """A CSV writer whose text no spreadsheet takes for a formula.

    Text that begins like one gets an apostrophe in front, which spreadsheets show as "this is
    text" and our own reader of tables takes off again.

    Source: OWASP, CSV injection.
    """

    def __init__(self, writer: pc.CSVWriter) -> None:
        self._writer = writer

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Write a batch."""
        columns = [
            compute.replace_substring_regex(c, FORMULA, r"'\1") if pa.types.is_string(c.type) else c
            for c in batch.columns
        ]
        self._writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=batch.schema))


def _parquet_writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(path, schema, compression="zstd")


_WRITERS: Mapping[str, Callable[[Path, pa.Schema], Any]] = {
    "parquet": _parquet_writer,
    "csv": _csv_writer,
}
