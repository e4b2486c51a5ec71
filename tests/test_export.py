"""Exported files: read back by the programs that people use, stable types, nothing half written."""

from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path
from zoneinfo import ZoneInfo

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.agents.frames import agent_table
from pipeline.errors import OutputError, ParameterError
from pipeline.export import (
    TABLE_NAMES,
    WORKBOOK,
    agent_columns,
    export,
    export_calls,
    table_files,
    to_json,
    to_rttm,
    to_srt,
    workbook,
)
from pipeline.export.call_files import _safe_name
from pipeline.measures import KINDS, POOLED
from pipeline.rubric import load_rubric, score
from pipeline.schema import CallResult, Failure, Turn, Verdict, from_json
from pipeline.store import TABLES, Store
from tests.test_store import make_result

ARROW = {"str": "string", "Int64": "int64", "float64": "double", "boolean": "bool"}


@pytest.fixture
def store(tmp_path: Path):
    with Store.open(tmp_path / "store.db") as opened:
        yield opened


@pytest.fixture
def filled(store: Store) -> Store:
    for i in range(3):
        store.save(make_result(f"c{i}"))
    store.save_failure(Failure("/x.wav", "x", "audio", "EmptyAudio", "no samples", "Record again."))
    return store


def sheet_rows(path: Path, sheet: str) -> list[tuple[object, ...]]:
    book = openpyxl.load_workbook(path / WORKBOOK)
    return list(book[sheet].iter_rows(values_only=True))


def test_every_table_comes_back_from_parquet_and_csv(filled: Store, tmp_path: Path):
    written = export(filled, tmp_path / "out").files
    assert {p.name for p in written} == {p.name for p in (tmp_path / "out").iterdir()}
    for name, columns in TABLES.items():
        frame = filled.frame(name)
        parquet = pq.read_table(tmp_path / "out" / f"{name}.parquet")
        assert [str(t) for t in parquet.schema.types] == [
            ARROW[KINDS[c.kind].dtype] for c in columns
        ]
        types = {c.name: KINDS[c.kind].dtype for c in columns}
        pd.testing.assert_frame_equal(parquet.to_pandas().astype(types), frame)
        csv = pd.read_csv(tmp_path / "out" / f"{name}.csv", encoding="utf-8-sig")
        pd.testing.assert_frame_equal(csv.astype(types), frame)
    assert (tmp_path / "out" / "calls.csv").read_bytes().startswith(b"\xef\xbb\xbfcall_id,")


def test_all_times_come_out_in_one_form_of_business_time(store: Store, tmp_path: Path):
    given = ("2026-03-16T00:30:00", "2026-03-16T07:40:00+08:00", "2026-03-16", "2026-03-15T23:40Z")
    for at, text in enumerate((*given, None)):
        result = make_result(f"c{at}")
        recording = dataclasses.replace(result.recording, started_at=text)
        store.save(dataclasses.replace(result, recording=recording))
    export(store, tmp_path)
    started = pd.read_csv(tmp_path / "calls.csv")["started_at"]
    times = ["00:30:00", "07:40:00", "00:00:00", "07:40:00"]
    assert started.tolist()[:4] == [f"2026-03-16T{time}+08:00" for time in times]
    assert pd.read_parquet(tmp_path / "calls.parquet")["started_at"].equals(started)
    dates = pd.to_datetime(started)
    assert dates.dt.strftime("%H:%M:%S").tolist()[:4] == times
    sheet = openpyxl.load_workbook(tmp_path / WORKBOOK)["calls"]
    cells = [row[1] for row in sheet.iter_rows(min_row=3)]
    assert [cell.value for cell in cells[:4]] == [
        d.to_pydatetime() for d in dates.dt.tz_localize(None)[:4]
    ]
    assert cells[0].is_date
    assert cells[4].value is None
    tokyo = json.dumps({"time": {"zone": "Asia/Tokyo"}})
    store.keep_document("settings", make_result().provenance.settings_hash, tokyo)
    export(store, tmp_path, tables=["calls"], workbook=False)
    started = pd.read_csv(tmp_path / "calls.csv")["started_at"].tolist()
    assert started[:2] == ["2026-03-16T00:30:00+09:00", "2026-03-16T08:40:00+09:00"]


def test_an_empty_store_gives_the_same_columns_and_types(
    store: Store, filled: Store, tmp_path: Path
):
    export(filled, tmp_path / "full")
    with Store.open(tmp_path / "empty.db") as empty:
        export(empty, tmp_path / "empty")
    for path in (tmp_path / "full").glob("*.parquet"):
        full, none = (pq.read_schema(tmp_path / d / path.name) for d in ("full", "empty"))
        assert full.equals(none), path.name
        assert pa.null() not in none.types
    for sheet in ("calls", "agents", "verdicts", "sections", "agents_full", "legend"):
        full, none = (sheet_rows(tmp_path / d, sheet) for d in ("full", "empty"))
        assert full[:2] == none[:2]


def test_the_workbook_is_made_for_people(filled: Store, tmp_path: Path):
    export(filled, tmp_path)
    book = openpyxl.load_workbook(tmp_path / WORKBOOK)
    assert book.sheetnames == ["agents", "calls", "verdicts", "sections", "agents_full", "legend"]
    calls = book["calls"]
    assert [c.value for c in calls[1]][:3] == ["call_id", "started_at", "agent_name"]
    assert [c.value for c in calls[2]][:3] == ["通话编号", "开始时间", "坐席姓名"]
    assert calls.freeze_panes == "B3"
    assert calls.auto_filter.ref.startswith("A2:")
    cells = {name.value: cell for name, cell in zip(calls[1], calls[3], strict=True)}
    assert {c.value for c in calls[1]} == {c.name for c in TABLES["calls"]} | {"direction_zh"}
    assert cells["duration"].value == 61.25
    assert cells["duration"].number_format == "0.0"
    assert cells["role_confidence"].number_format == "0.0%"
    assert cells["compliance_score"].number_format == "0"
    assert cells["dead_air"].value is None
    verdicts = book["verdicts"]
    rules = [r for area in verdicts.conditional_formatting for r in area.rules]
    column = [c.value for c in verdicts[1]].index("verdict")
    letter = "ABCDEFGH"[column]
    assert [r.formula for r in rules] == [[f'${letter}3="fail"'], [f'${letter}3="pass"']]


def test_every_column_of_every_table_is_explained_in_both_languages(filled: Store, tmp_path: Path):
    export(filled, tmp_path)
    legend = {(r[0], r[1]): r for r in sheet_rows(tmp_path, "legend")[2:]}
    book = openpyxl.load_workbook(tmp_path / WORKBOOK)
    sheets = {name: [c.value for c in book[name][1]] for name in book.sheetnames[1:-1]}
    sheets["agents"] = [c.value for c in book["agents"][2]]
    written = {p.stem: pq.read_schema(p).names for p in tmp_path.glob("*.parquet")}
    assert set(written) == set(TABLE_NAMES)
    written["agents_full"] = written.pop("agents")
    details = [f"detail.{key}" for event in make_result().events for key in event.detail]
    for table, names in (*sheets.items(), *written.items(), ("events", details)):
        for name in names:
            _, _, header_zh, _, meaning_zh, _, meaning = legend[table, name]
            assert header_zh, (table, name)
            assert meaning_zh not in (None, header_zh), (table, name)
            assert str(meaning).casefold() not in ("none", str(name).replace("_", " ")), (
                table,
                name,
            )


def test_the_workbook_has_the_score_of_each_section_in_chinese(store: Store, tmp_path: Path):
    rubric = load_rubric("hotline")
    store.keep_document("rubrics", rubric.sha256, rubric.outline())

    def verdict(item_id: str, name: str) -> Verdict:
        item = rubric.item(item_id)
        weight = item.weight if item.scored else 0.0
        return Verdict(item.id, "rubric", name, weight=weight, section=item.section)  # type: ignore[arg-type]

    verdicts = (
        verdict("opening_greeting", "pass"), verdict("opening_self_introduction", "fail"),
        verdict("opening_holiday_greeting", "not_applicable"), verdict("closing_thanks", "pass"),
        verdict("hold_thanks", "cannot_tell"),
    )  # fmt: skip
    store.save(make_result("c1", verdicts=verdicts))
    export(store, tmp_path)
    card = {s.section: s for s in score(verdicts, rubric).subtotals if s.score is not None}
    rows = {row[1]: row for row in sheet_rows(tmp_path, "sections")[2:]}
    assert {k: (r[2], r[3]) for k, r in rows.items()} == {
        "opening": ("开场", card["opening"].score), "closing": ("结束语", card["closing"].score),
    }  # fmt: skip
    assert card["opening"].score == 50.0


def test_text_that_looks_like_a_formula_stays_text(store: Store, tmp_path: Path):
    for i, quote in enumerate(("=1+1", "@SUM(A1)", "http://x.cn", "长" * 40_000, "a\x07b")):
        verdict = Verdict("opening_greeting", "rubric", "fail", quote=quote)
        store.save(make_result(f"c{i}", verdicts=(verdict,)))
    export(store, tmp_path)
    rows = sheet_rows(tmp_path, "verdicts")
    quotes = [row[rows[0].index("quote")] for row in rows[2:]]
    assert quotes[:3] == ["=1+1", "@SUM(A1)", "http://x.cn"]
    assert quotes[3] == "长" * 32_766 + "…"
    book = openpyxl.load_workbook(tmp_path / WORKBOOK)
    column = rows[0].index("quote") + 1
    cells = [r[0] for r in book["verdicts"].iter_rows(min_col=column, max_col=column)]
    assert {c.data_type for c in cells} == {"s"}


def test_a_table_too_long_for_a_workbook_is_left_out_and_said(
    filled: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    cells = len(filled.frame("verdicts")) * (len(TABLES["verdicts"]) + 1)  # and verdict_zh
    for limit, sheets in (
        (cells, ["agents", "verdicts", "sections", "legend"]),
        (cells - 1, ["agents", "legend"]),
    ):
        monkeypatch.setattr(workbook, "SHEET_CELLS", limit)
        export(filled, tmp_path)
        assert openpyxl.load_workbook(tmp_path / WORKBOOK).sheetnames == sheets
    note = next(row for row in sheet_rows(tmp_path, "legend") if row[0] == "verdicts")
    assert "9 rows are too many" in note[6]
    assert "verdicts.parquet" in note[4]
    assert "no sheet verdicts: 9 rows" in caplog.text
    assert len(pd.read_parquet(tmp_path / "verdicts.parquet")) == 9


def test_some_tables_and_formats_can_be_chosen(filled: Store, tmp_path: Path):
    chosen = export(filled, tmp_path / "a", tables=["agents", "calls"], workbook=False).files
    names = ["calls.parquet", "calls.csv", "agents.parquet", "agents.csv"]
    assert [p.name for p in chosen] == names
    assert {p.name for p in (tmp_path / "a").iterdir()} == set(names)
    only = export(filled, tmp_path / "b", tables=["turns"], formats=["csv"]).files
    assert [p.name for p in only] == ["turns.csv", WORKBOOK]
    assert len(export(filled, tmp_path / "c").files) == 2 * len(TABLE_NAMES) + 1
    with pytest.raises(ParameterError, match=r'table .*Did you mean "turns"'):
        export(filled, tmp_path, tables=["turn"])
    with pytest.raises(ParameterError, match=r"format .*csv, parquet"):
        export(filled, tmp_path, formats=["xlsx"])


def test_agents_are_exported_with_their_key_measures_first(
    filled: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    unknown = dataclasses.replace(make_result("nobody").recording, agent_id=None)
    filled.save(make_result("nobody", recording=unknown))
    with caplog.at_level(logging.WARNING):
        export(filled, tmp_path, min_calls=2)
    assert "1 of 4 calls carry no agent_id" in caplog.text
    agents = pd.read_parquet(tmp_path / "agents.parquet")
    assert agents["calls"].tolist() == [3, 1]
    assert agents["enough_calls"].tolist() == [True, False]
    assert agents["compliance_score_mean"].tolist() == [87.5, 87.5]
    weeks = pd.read_parquet(tmp_path / "agent_weeks.parquet")
    assert weeks["week"].tolist() == ["2026-W11", "2026-W11"]
    header, chinese, first, *_ = sheet_rows(tmp_path, "agents_full")
    assert header[:4] == ("agent_id", "agent_name", "team", "calls")
    at = header.index("compliance_score_mean")
    assert (chinese[at], first[at]) == ("合规得分·合并值", 87.5)
    book = openpyxl.load_workbook(tmp_path / WORKBOOK)
    hidden = [d.hidden for d in book["agents_full"].column_dimensions.values()]
    assert hidden[0] is False
    assert hidden[-1] is True


def test_the_first_sheet_is_what_a_coach_reads_and_can_sort(filled: Store, tmp_path: Path):
    export(filled, tmp_path, min_calls=2)
    chinese, names, first, *_ = sheet_rows(tmp_path, "agents")
    assert chinese[:4] == ("坐席姓名", "坐席工号", "班组", "通话数")
    assert chinese[5:8] == ("合规得分（分）", "下限", "上限")
    assert None not in chinese + names
    agent = pd.read_parquet(tmp_path / "agents.parquet").iloc[0]
    for name, cell in zip(names, first, strict=True):
        if name.endswith(("_mean", "_low", "_high")):
            assert cell == (None if pd.isna(agent[name]) else agent[name]), name
    assert first[3:5] == (3, "是")
    export(filled, tmp_path, min_calls=10)
    assert sheet_rows(tmp_path, "agents")[2][4] == "太少"


def test_a_figure_off_the_team_is_marked_and_stays_a_number(tmp_path: Path):
    book = workbook.xlsxwriter.Workbook(tmp_path / "x.xlsx")
    sheets = workbook._Sheets(book, ZoneInfo("UTC"))
    row = {"hold_s_state": "above"}
    above = sheets._figure("hold_s_mean", row, enough=True)
    assert above.num_format == '0" ▲"'
    assert above.bg_color
    assert sheets._figure("hold_s_low", row, enough=True).num_format == "0"
    row = {"agent_level_dbfs_state": "like_team"}
    assert sheets._figure("agent_level_dbfs_mean", row, enough=False).num_format == "0.0"


def test_fixed_words_stand_in_chinese_beside_and_pages_print_across(filled: Store, tmp_path: Path):
    export(filled, tmp_path)
    book = openpyxl.load_workbook(tmp_path / WORKBOOK)
    for table, name, words in (("calls", "direction", {"inbound": "呼入", None: None}),
                               ("verdicts", "verdict", workbook.WORDS_ZH["verdict"])):  # fmt: skip
        rows = list(book[table].iter_rows(values_only=True))
        at = rows[0].index(name)
        assert rows[0][at + 1] == f"{name}_zh"
        assert {row[at] for row in rows[2:]} <= set(words)
        assert all(row[at + 1] == words[row[at]] for row in rows[2:])
        assert f"{name}_zh" not in pq.read_schema(tmp_path / f"{table}.parquet").names
    for sheet in book:
        assert sheet["A1"].alignment.wrap_text
        assert sheet.freeze_panes == "B3"
        if sheet.title != "agents_full":
            assert sheet.page_setup.orientation == "landscape"
            assert sheet.sheet_properties.pageSetUpPr.fitToPage
            assert sheet.print_title_rows == "$1:$2"


def test_every_agent_column_is_described():
    names = [f"{m.name}_{s}" for m in POOLED for s in ("mean", "percentile")]
    columns = {c.name: c for c in agent_columns(names)}
    assert list(columns) == names
    per_10_min = columns["agent_backchannels_per_10min_mean"].header_zh
    assert per_10_min == "坐席附和频率·合并值"
    assert columns["agent_interruption_rate_mean"].header_zh == "坐席抢话频率·合并值"
    assert columns["agent_talk_ratio_mean"].kind == "ratio"
    assert columns["holds_mean"].kind == "number"
    frame = agent_table(pd.DataFrame({"agent_id": ["a"]}))
    for column in agent_columns(frame.columns):
        assert frame[column.name].dtype == KINDS[column.kind].dtype, column.name


def test_a_file_that_cannot_be_replaced_is_named_and_the_others_are_written(
    filled: Store, tmp_path: Path
):
    (tmp_path / WORKBOOK / "in_use").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"callcoach.xlsx .*close it and export again"):
        export(filled, tmp_path)
    assert len(pd.read_parquet(tmp_path / "calls.parquet")) == 4
    assert not list(tmp_path.glob(".export-*"))


def test_a_failed_export_leaves_the_earlier_files(
    filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    export(filled, tmp_path / "out")
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    filled.save(make_result("late"))
    monkeypatch.setattr(table_files, "write_workbook", fail)
    with pytest.raises(OutputError, match="No space left"):
        export(filled, tmp_path / "out")
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before


def test_a_folder_that_cannot_be_made_is_refused(filled: Store, tmp_path: Path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot be written"):
        export(filled, tmp_path / "file" / "out")


def test_one_file_per_call_and_format(filled: Store, tmp_path: Path):
    odd = make_result("a/b")
    filled.save(odd)
    assert export_calls(filled, tmp_path / "calls") == 4
    names = {p.name for p in (tmp_path / "calls").iterdir()}
    assert {"c0.json", "c1.rttm", "c2.srt", "a%2Fb.json"} <= names
    text = (tmp_path / "calls" / "a%2Fb.json").read_text(encoding="utf-8")
    assert from_json(CallResult, json.loads(text)) == odd
    with pytest.raises(ParameterError, match=r'Did you mean "json"'):
        export_calls(filled, tmp_path / "calls", ["jsn"])


def test_rttm_and_srt_have_the_standard_form():
    turn = Turn(
        0, "agent", 3599.9996, 3661.5, ((3599.9996, 3600.5), (3601.0, 3661.5)), "您好", (), 1
    )
    quiet = dataclasses.replace(turn, turn=1, speaker="customer", text="", spans=())
    result = make_result("call 1", turns=0)
    result = dataclasses.replace(result, turns=(turn, quiet))
    assert to_rttm(result) == (
        "SPEAKER call_1 1 3600.000 0.500 <NA> <NA> agent <NA> <NA>\n"
        "SPEAKER call_1 1 3601.000 60.500 <NA> <NA> agent <NA> <NA>\n"
    )
    assert to_srt(result) == "1\n01:00:00,000 --> 01:01:01,500\n坐席：您好\n"
    assert json.loads(to_json(result))["recording"]["call_id"] == "call 1"


@given(st.text(min_size=1, max_size=12), st.text(min_size=1, max_size=12))
def test_file_names_are_safe_and_distinct(one: str, two: str):
    assert (_safe_name(one) == _safe_name(two)) == (one == two)
    assert not set(_safe_name(one)) & set('/\\:*?"<>|')
    assert not _safe_name(one).startswith(".")
