"""Tables and folders as people keep them, through a whole run: what came of 14 reports from the field,
and variants of the same kinds. The number before a case is that of the report.
"""

from __future__ import annotations

import datetime
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from pipeline.commands import jobs
from pipeline.commands.workbench import status
from pipeline.rubric import Rubrics
from pipeline.schema import AGENT, CUSTOMER
from pipeline.settings import Settings, load_settings
from pipeline.speech.models import Models, weights_used
from pipeline.store import Store
from tests import fakes
from tests.fakes import Script, save

CALL = Script.of((AGENT, 0.4, "您好请讲"), (CUSTOMER, 2.0, "查订单"), tail=0.5)
NAMES = ("20260312_0012", "20260312_0034", "20260313_0012", "20260316_0056")
RUBRIC = """
rubric: {id: short, name: {zh: 短规范, en: Short standard}}
sections: {s: {zh: 一, en: One}}
items:
  greeting:
    name: {zh: 问候, en: Greeting}
    section: s
    pass: {says: {by: agent, any: [您好]}}
"""


def load(settings: Settings) -> Models:
    return fakes.models(CALL, weights=weights_used(settings))


@dataclass
class Field:
    """A folder of four recordings, and the store they were analysed into."""

    folder: Path

    def run(self, *inputs: str, failed: int = 0, **tables: str | Path) -> str:
        """What ``callcoach analyze`` does but for the exported files; returns what it says."""
        named = [str(self.folder / name) for name in inputs or ("in",)]
        scores = tables.get("scores")
        metadata = tables.get("metadata")
        given = jobs.Inputs(
            named, str(metadata) if metadata else None, Path(scores) if scores else None
        )
        settings = load_settings(overrides={"compliance.rubric": str(self.folder / "rubric.yaml")})
        said, failures = fakes.analyse_tables(given, self.folder / "out", Rubrics(settings), load)
        assert len(failures) == failed
        return said

    def column(self, name: str, table: str = "calls") -> list[Any]:
        with Store.open(self.folder / "out") as store:
            values = store.frame(table)[name].astype(object)
        return list(values.where(values.notna(), None))

    def text(self, name: str, text: str, encoding: str = "utf-8") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode(encoding))
        return path

    def book(
        self,
        name: str,
        *sheets: Sequence[Sequence[object]],
        formats: dict[str, str] | None = None,
        merged: Sequence[str] = (),
    ) -> Path:
        book = openpyxl.Workbook()
        book.remove(book.active)
        for number, rows in enumerate(sheets):
            sheet = book.create_sheet(f"表{number + 1}")
            for row in rows:
                sheet.append(list(row))
            for cell, number_format in (formats or {}).items():
                sheet[cell].number_format = number_format
            for cells in merged:
                sheet.merge_cells(cells)
        path = self.folder / name
        book.save(path)
        return path


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four recordings of other lengths, analysed once."""
    folder = tmp_path_factory.mktemp("field")
    (folder / "in").mkdir()
    (folder / "rubric.yaml").write_text(RUBRIC, encoding="utf-8")
    for number, name in enumerate(NAMES):
        save(folder / "in" / f"{name}.wav", CALL.stereo(quiet_s=number / 4))
    Field(folder).run()
    return folder


@pytest.fixture
def field(analysed: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Field:
    """A copy of them; the recordings lie where they lay."""
    shutil.copytree(analysed, tmp_path / "f", ignore=shutil.ignore_patterns("in"))
    os.symlink(analysed / "in", tmp_path / "f" / "in")
    return Field(tmp_path / "f")


AGENTS = ["0012", "0034", "0012", "0056"]
SHORT = [name[9:] for name in NAMES]


def meta(field: Field, path: Path) -> list[Any]:
    field.run(metadata=path)
    return field.column("agent_id")


def test_01_ids_are_what_cells_show(field: Field):
    rows = [
        ["recording", "agent_id"],
        *[[f"{n}.wav", int(s)] for n, s in zip(NAMES, SHORT, strict=True)],
    ]
    formats = {f"B{i}": "0000" for i in range(2, 6)}
    assert meta(field, field.book("通话清单.xlsx", rows, formats=formats)) == AGENTS


@pytest.mark.parametrize("guard", ["'0012", "’0012", '"=""0012"""', "\t0012", "００１２"])
def test_01_guards_before_ids_are_none_of_them(field: Field, guard: str):
    path = field.text("meta.csv", f"录音文件,工号\n{NAMES[0]}.wav,{guard}\n")
    assert meta(field, path)[0] == "0012"


@pytest.mark.parametrize("shown", [0.95, "95%", "95％", "95.0 %", "９５％"])
def test_02_per_cent_is_what_it_shows(field: Field, shown: object):
    path = field.book(
        "质检得分.xlsx", [["录音文件", "得分"], [NAMES[0], shown]], formats={"B2": "0%"}
    )
    field.run(scores=path)
    assert field.column("outside_score")[0] == 95


def test_03_every_sheet_with_the_columns_is_read(field: Field):
    cover = [["说明"], ["本表由系统导出，请勿修改"]]
    halves = [
        [["录音文件", "工号"], *[[f"{NAMES[i]}.wav", AGENTS[i]] for i in part]]
        for part in ((0, 1), (2, 3))
    ]
    path = field.book("通话清单.xlsx", cover, *halves)
    said = field.run(metadata=path)
    assert field.column("agent_id") == AGENTS
    assert "sheets without the columns needed were not read: 表1" in said


def test_04_merged_cells_hold_for_each_row(field: Field):
    rows = [
        ["通话", None, "坐席", None],
        ["录音文件", "班组", "工号", "姓名"],
        *[[f"{n}.wav", "售前" if i == 0 else None, a, "x"]
          for i, (n, a) in enumerate(zip(NAMES, AGENTS, strict=True))],
        ["合计：4 通", None, None, None],
    ]  # fmt: skip
    path = field.book("清单.xlsx", rows, merged=["A1:B1", "C1:D1", "B3:B6"])
    said = field.run(metadata=path)
    assert field.column("team") == ["售前"] * 4
    assert field.column("agent_id") == AGENTS
    assert "without a recording" not in said


@pytest.mark.parametrize(
    ("header", "cells", "score"),
    [
        (["录音文件", "得分", "满分"], [4.5, 5], 90),
        (["录音文件", "得分（满分120）"], [108], 90),
        (["录音文件", "总分(5分制)"], ["4,5"], 90),
        (["录音文件", "得分"], ["108/120"], 90),
    ],
)
def test_06_scores_are_of_their_full_marks(
    field: Field, header: list[str], cells: list[object], score: float
):
    field.run(scores=field.book("质检.xlsx", [header, [NAMES[0], *cells]]))
    assert field.column("outside_score")[0] == score


def test_06_scores_of_an_unsaid_scale_wait_for_it(field: Field):
    late = field.folder / "late"
    late.mkdir()
    save(late / "late.wav", CALL.stereo(quiet_s=3.0))
    rows = f"{NAMES[0]},4.5\n{NAMES[1]},4\nlate,5\n"
    said = field.run(scores=field.text("五分.csv", "录音文件,得分\n" + rows))
    assert "no score of a call is over 5" in said
    assert field.column("outside_score") == [None] * 4
    assert field.column("score", "outside_scores") == [4.5, 4, 5]
    field.run("late")
    assert field.column("outside_score") == [None] * 5
    told = rows.replace("\n", ",5\n")
    field.run(scores=field.text("五分.csv", "录音文件,得分,满分\n" + told))
    assert sorted(filter(None, field.column("outside_score"))) == [80, 90, 100]
    assert len(field.column("score", "outside_scores")) == 3


def test_07_a_correction_replaces_and_another_month_stands_beside(field: Field):
    def sheet(name: str, call: str, score: int, at: str) -> Path:
        text = f"录音文件,得分,质检员,评分时间\n{call},{score},李,{at}\n"
        return field.text(name, text)

    field.run(scores=sheet("3月/质检得分.csv", NAMES[0], 40, "2026-03-20"))
    field.run(scores=sheet("4月/质检得分.csv", NAMES[1], 70, "2026-04-20"))
    field.run(scores=sheet("质检得分_终版.csv", NAMES[0], 90, "2026-03-21"))
    assert field.column("outside_score")[:2] == [90, 70]
    field.run(scores=sheet("旧.csv", NAMES[0], 10, "19/03/2026"))  # an older one, imported later
    assert field.column("outside_score")[0] == 90


def test_07_a_correction_without_a_reviewer_replaces_and_is_said(field: Field):
    field.run(scores=field.text("三月.csv", f"录音文件,得分,质检员\n{NAMES[0]},90,质检01\n"))
    said = field.run(scores=field.text("更正.csv", f"录音文件,得分\n{NAMES[0]},95\n"))
    assert field.column("outside_score")[0] == 95
    assert f"{NAMES[0]}: 90 by 质检01, as 95 by nobody named counts in its place" in said


@pytest.mark.parametrize(
    "place",
    [
        r"\\nas\录音\2026\{}.WAV",
        r"D:\录音\{}.wav",
        "/mnt/other/{}.wav",
        "{}.mp3",
        "录音/{}",
        "{}.wav.mp3",
    ],
)
def test_08_places_of_other_machines(field: Field, place: str):
    rows = "".join(f"{place.format(n)},{a}\n" for n, a in zip(NAMES, AGENTS, strict=True))
    wanted = AGENTS if not place.endswith(".wav.mp3") else [None] * 4
    said = field.run(metadata=field.text("导出.csv", "录音路径,工号\n" + rows))
    assert field.column("agent_id") == wanted
    assert ("nearest: 20260312_0012.wav" in said) is (wanted != AGENTS)


def test_09_one_instant_is_in_one_week(field: Field):
    times = ("2026-03-15T16:30:00Z", "2026-03-16 00:30", "2026-03-16T00:30:00+08:00",
             "2026-03-15T17:30:00+01:00")  # fmt: skip
    rows = "".join(f"{n},{t}\n" for n, t in zip(NAMES, times, strict=True))
    field.run(metadata=field.text("genesys.csv", "recording,started_at\n" + rows))
    assert field.column("week") == ["2026-W12"] * 4
    assert {t[:19] for t in field.column("started_at")} == {"2026-03-16T00:30:00"}


@pytest.mark.parametrize(
    ("encoding", "delimiter", "name"),
    [
        ("utf-16", "\t", "张敏"), ("big5", ",", "張敏"), ("gb18030", ";", "𠮷田㐂"),
        ("utf-8-sig", "，", "张敏"), ("utf-8", "\t", "Zoë"),
    ],
)  # fmt: skip
def test_10_encodings_and_separators(field: Field, encoding: str, delimiter: str, name: str):
    table = "錄音檔,工號,姓名,得分\n" if encoding == "big5" else "录音文件,工号,姓名,得分\n"
    table += "".join(f"{n}.wav,{a},{name},88\n" for n, a in zip(NAMES, AGENTS, strict=True))
    path = field.text("清单.csv", table.replace(",", delimiter), encoding)
    field.run(metadata=path, scores=path)
    assert field.column("agent_id") == AGENTS
    assert field.column("agent_name") == [name] * 4
    assert field.column("outside_score") == [88] * 4


def test_12_chinese_columns_under_a_title_and_a_blank_line(field: Field):
    text = "三月录音清单,,,\n导出时间：2026-03-31,,,\n\n录音文件名,坐席工号,呼入/呼出,技能组\n"
    text += f"{NAMES[0]},0012,呼出,售后组\n总计 1 条,,,\n"
    said = field.run(metadata=field.text("清单.csv", text))
    assert [field.column(c)[0] for c in ("agent_id", "direction", "queue")] == [
        "0012", "outbound", "售后组",
    ]  # fmt: skip
    assert "坐席工号 = agent_id" in said
    assert "rows of totals were skipped: row 6" in said


def test_15_ids_that_a_spreadsheet_rounded_cost_a_row_each(field: Field):
    rows = "".join(f"{n}.wav,202603120000123000\n" for n in NAMES)
    said = field.run(metadata=field.text("流水号.csv", "录音文件,流水号\n" + rows), failed=3)
    assert "lost digits" in said
    assert len(field.column("path", "failures")) == 3
    assert "ids that are another call's, MetadataError: 3" in "\n".join(
        status(str(field.folder / "out"))
    )
    said = field.run()  # the ids are still not given
    assert "still without the id that an earlier table gave them" in said
    assert f"{NAMES[1]}.wav (202603120000123000)" in said
    assert len(field.column("path", "failures")) == 3
    mended = "".join(f"{n}.wav,20260312000012300{i}\n" for i, n in enumerate(NAMES[:3]))
    said = field.run(metadata=field.text("流水号.csv", "录音文件,流水号\n" + mended))
    assert "still without" in said
    assert len(field.column("path", "failures")) == 1
    last = f"录音文件,流水号\n{NAMES[3]}.wav,202603120000123009\n"
    field.run(metadata=field.text("流水号.csv", last))
    assert field.column("path", "failures") == []
    assert len(field.column("call_id")) == 4
    assert "still without" not in field.run()


def test_16_ids_that_come_in_the_second_run_and_change_in_the_third(field: Field):
    for prefix in ("C", "D"):
        rows = "".join(f"{n}.wav,{prefix}{i}\n" for i, n in enumerate(NAMES))
        field.run(metadata=field.text("ids.csv", "recording,call_id\n" + rows))
        assert field.column("call_id") == [f"{prefix}{i}" for i in range(4)]
    field.run()
    assert field.column("call_id") == ["D0", "D1", "D2", "D3"]


def test_18_items_by_name_marks_and_the_newest_of_one_reviewer(field: Field):
    text = (
        "录音文件,评分项,结论,质检员,评分时间\n"
        f"{NAMES[0]},问候,×,李,2026-03-20\n{NAMES[0]},问候,√,李,2026-03-21\n"
        f"{NAMES[1]},问侯,√,李,2026-03-20\n{NAMES[2]},问候,很好,李,\nnobody.wav,问候,√,李,\n"
    )
    said = field.run(scores=field.text("打勾.csv", text))
    with Store.open(field.folder / "out") as store:
        verdicts = store.frame("verdicts")
    outside = verdicts[verdicts["source"] == "outside"]
    assert outside[["call_id", "item_id", "verdict"]].values.tolist() == [
        [NAMES[0], "greeting", "pass"], [NAMES[1], "问侯", "pass"],
    ]  # fmt: skip
    assert 'The item "问侯" is none of the rubric; the nearest is greeting' in said
    assert "row 5: verdict is '很好'" in said
    assert "row 6: no call has this recording" in said


@pytest.mark.parametrize(
    "cells",
    [
        """\"\"\"{}.wav\"\"\",{}""", '"=HYPERLINK(""http://host/{0}.wav"",""{0}.wav"")",{1}',
        "d1\\IN\\{}.WAV,{}", "{}\0.wav,{}\0", "２{0:.7}．wav,{1}", 'x/{}.wav,"{}',
    ],
)  # fmt: skip
def test_names_as_exporters_write_them(field: Field, cells: str):
    rows = [cells.format(n, a) for n, a in zip(NAMES, AGENTS, strict=True)]
    if rows[0].startswith("２"):  # as wide as letters
        rows = [
            f"{n.replace('2026', '２０２６')}．wav,{a}" for n, a in zip(NAMES, AGENTS, strict=True)
        ]
    said = field.run(metadata=field.text("导出.csv", "录音文件,工号\n" + "\n".join(rows) + "\n"))
    assert field.column("agent_id") == AGENTS
    assert ("A quote is opened and never closed" in said) is cells.endswith('"{}')


def test_a_quote_that_is_never_closed_swallows_no_rows(field: Field):
    rows = "".join(f"{n}.wav,{a}\n" for n, a in zip(NAMES, AGENTS, strict=True))
    said = field.run(
        metadata=field.text("导出.csv", "录音文件,工号\n" + rows.replace(",0034", ',"0034'))
    )
    assert "never closed" in said
    assert field.column("agent_id") == AGENTS
    field.run(metadata=field.text("导出.csv", f'录音文件,备注,工号\n{NAMES[0]},"a\nb",0077\n'))
    assert field.column("agent_id")[0] == "0077"


# --- folders --------------------------------------------------------------------------------------


def own_recordings(field: Field) -> Path:
    """Recordings of this test alone, which it may move."""
    place = field.folder / "mine"
    shutil.copytree(field.folder / "in", place)
    return place


def test_a_folder_that_is_renamed_moved_and_split_between_runs(field: Field):
    shutil.rmtree(field.folder / "out")
    place = own_recordings(field)
    rows = "".join(f"{n}.wav,C{i}\n" for i, n in enumerate(NAMES))
    field.run("mine", metadata=field.text("ids.csv", "recording,call_id\n" + rows))
    place.rename(field.folder / "归档 三月")
    field.run("归档 三月")
    assert field.column("call_id") == ["C0", "C1", "C2", "C3"]
    (field.folder / "a").mkdir()
    shutil.move(field.folder / "归档 三月", field.folder / "a" / "b")
    shutil.move(field.folder / "a" / "b" / f"{NAMES[0]}.wav", field.folder / "a" / "x.wav")
    field.run("a")
    assert field.column("call_id") == ["C0", "C1", "C2", "C3"]
    assert {Path(p).parent.name for p in field.column("path")} == {"a", "b"}


def test_names_that_change_places_are_still_their_calls(field: Field):
    shutil.rmtree(field.folder / "out")
    place = own_recordings(field)
    field.run("mine")
    with Store.open(field.folder / "out") as store:
        before = store.frame("calls").set_index("call_id")["sha256"].to_dict()
    one, two = (place / f"{n}.wav" for n in NAMES[:2])
    one.rename(place / "between")
    two.rename(one)
    (place / "between").rename(two)
    field.run("mine")
    with Store.open(field.folder / "out") as store:
        calls = store.frame("calls")
    assert sorted(calls["sha256"]) == sorted(before.values())
    assert len(calls) == 4


def test_excel_dates_and_clocks_in_columns_of_their_own(field: Field):
    rows = [
        ["录音文件", "通话日期", "通话时间", "排队时长"],
        [NAMES[0], datetime.date(2026, 3, 12), datetime.time(10, 5), datetime.time(1, 15)],
        [NAMES[1], "26/11/2026", "下午2:05", "0:01:15"],
    ]
    field.run(metadata=field.book("清单.xlsx", rows, formats={"D2": "h:mm"}))
    assert field.column("started_at")[:2] == ["2026-03-12T10:05:00", "2026-11-26T14:05:00"]
    assert field.column("wait_s")[:2] == [75, 75]


def test_dates_and_clocks_as_the_numbers_of_a_spreadsheet(field: Field):
    rows = [
        ["录音文件", "日期", "开始时间"],
        [NAMES[0], datetime.date(2026, 3, 12), 0.4722],
        [NAMES[1], 46094, datetime.time(9, 30)],
        [NAMES[2], 46094, 0.395833333333333],
        [NAMES[3], "2026-03-16", "15:00"],
    ]
    field.run(metadata=field.book("清单.xlsx", rows))
    assert field.column("started_at") == [
        "2026-03-12T11:20:00", "2026-03-13T09:30:00", "2026-03-13T09:30:00", "2026-03-16T15:00:00",
    ]  # fmt: skip


def test_rows_that_name_no_recording_are_all_kept(field: Field):
    path = field.text("质检.csv", "录音文件,得分\n听录音,95\n听录音,80\n听录音,70\n")
    for _ in range(2):
        field.run(scores=path)
        assert field.column("score", "outside_scores") == [95, 80, 70]
