"""The one reader of tables: what spreadsheets, exporters and people make of a table."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from pipeline.errors import MetadataError
from pipeline.io.names import Names
from pipeline.io.user_tables import _COMPOUND, Table, decoded, read_table
from pipeline.recordings.values import COLUMNS

Cell = Any


def read(path: Path) -> Table:
    return read_table(str(path), COLUMNS, [["recording"]], MetadataError)


def cells(table: Table) -> list[dict[str, str]]:
    return [dict(row.cells) for row in table.rows]


def text_table(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "t.csv"
    path.write_bytes(text.encode(encoding))
    return path


def workbook(folder: Path, *sheets: Sequence[Sequence[Cell]], merged: Sequence[str] = ()) -> Path:
    """Save sheets of rows; a cell may be (value, number format)."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for number, rows in enumerate(sheets, start=1):
        sheet = book.create_sheet(f"第{number}页")
        for r, row in enumerate(rows, start=1):
            for c, cell in enumerate(row, start=1):
                value, shown = cell if isinstance(cell, tuple) else (cell, None)
                sheet.cell(r, c, value)
                if shown:
                    sheet.cell(r, c).number_format = shown
        for merge in merged:
            sheet.merge_cells(merge)
    path = folder / "t.xlsx"
    book.save(path)
    return path


# --- what a cell shows ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "shown", "text"),
    [
        (12, "0000", "0012"),
        (12, '"A"000', "A012"),
        (12, "\\A000", "A012"),
        (12, "General", "12"),
        (12.0, "0", "12"),
        (12.5, "0.0", "12.5"),
        (0.95, "0%", "95%"),
        (0.955, "0.0%", "95.5%"),
        (1, "0%", "100%"),
        (2.026031210050012e17, "General", "2.02603E+17"),
        (datetime(2026, 3, 12, 10, 5), "yyyy-mm-dd h:mm", "2026-03-12T10:05:00"),
        (datetime(2026, 3, 12), "yyyy-mm-dd", "2026-03-12"),
        (datetime(2026, 3, 12), "yyyy-mm-dd h:mm:ss", "2026-03-12T00:00:00"),
        ("'0012", "@", "0012"),
        ('="0012"', None, "0012"),
        ("\u200b0012\u00a0", None, "0012"),
        (True, None, "true"),
    ],
)
def test_a_cell_is_what_it_shows(tmp_path: Path, value: Cell, shown: str | None, text: str):
    if value == '="0012"':  # in a workbook this is a formula; exporters write it into CSV
        path = text_table(tmp_path, 'recording,agent_id\na.wav,"=""0012"""\n')
    else:
        path = workbook(tmp_path, [["recording", "agent_id"], ["a.wav", (value, shown)]])
    assert cells(read(path)) == [{"recording": "a.wav", "agent_id": text}]


def test_a_merged_range_has_its_value_in_each_row(tmp_path: Path):
    rows = [
        ["班组", "工号", "录音文件"],
        ["售前", "0012", "a.wav"],
        [None, None, "b.wav"],
        [None, "0034", "c.wav"],
        ["售后", "0056", "d.wav"],
    ]
    found = read(workbook(tmp_path, rows, merged=["A2:A4", "B2:B3"]))
    assert [(c["team"], c["agent_id"]) for c in cells(found)] == [
        ("售前", "0012"), ("售前", "0012"), ("售前", "0034"), ("售后", "0056"),
    ]  # fmt: skip


def test_a_header_of_two_rows_and_a_title(tmp_path: Path):
    rows = [
        ["三月通话清单", None, None],
        ["录音文件", "坐席", None],
        [None, "工号", "姓名"],
        ["a.wav", "0012", "张敏"],
        ["合计", 1, None],
    ]
    found = read(workbook(tmp_path, rows, merged=["A1:C1", "A2:A3", "B2:C2"]))
    assert cells(found) == [{"recording": "a.wav", "agent_id": "0012", "agent_name": "张敏"}]
    assert found.notes == [
        "t.xlsx: rows above the header were skipped: 三月通话清单; 录音文件.",
        "t.xlsx: columns understood: 录音文件 = recording, 工号 = agent_id, 姓名 = agent_name.",
        "t.xlsx: rows of totals were skipped: row 5 (合计).",
    ]


def test_every_sheet_with_the_columns_is_read_and_others_are_named(tmp_path: Path):
    cover = [["本表由质检组维护"]]
    one, two = ([["recording", "team"], [f"{name}.wav", name]] for name in "ab")
    found = read(workbook(tmp_path, cover, one, two))
    assert [(row.where, row.cells["team"]) for row in found.rows] == [
        ("第2页 row 2", "a"), ("第3页 row 2", "b"),
    ]  # fmt: skip
    assert found.notes == ["t.xlsx: sheets without the columns needed were not read: 第1页."]


def test_formulas_that_nobody_calculated_are_named(tmp_path: Path):
    found = read(workbook(tmp_path, [["recording", "team"], ["a.wav", "=80+0"], ["b.wav", "x"]]))
    assert cells(found) == [{"recording": "a.wav"}, {"recording": "b.wav", "team": "x"}]
    assert "formulas without a calculated value: B2." in found.notes[0]


# --- encodings and separators ---------------------------------------------------------------------

TABLE = "录音文件,工号,姓名\na.wav,0012,张敏\nb.wav,0034,李强\n"
TRADITIONAL = "recording,agent_id,agent_name\na.wav,0012,張敏\nb.wav,0034,李強\nc.wav,0056,王芳\n"


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-16-be"]
)
@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_every_encoding_and_separator(tmp_path: Path, encoding: str, delimiter: str):
    text = "三月清单\n" + TABLE.replace(",", delimiter)
    if encoding.startswith("utf-16-"):
        text = "recording" + text.replace("三月清单\n", "")[len("录音文件") :]
    found = read(text_table(tmp_path, text, encoding))
    assert [(c["agent_id"], c["agent_name"]) for c in cells(found)] == [
        ("0012", "张敏"), ("0034", "李强"),
    ]  # fmt: skip
    assert not [note for note in found.notes if "was read as" in note]


def test_big5_is_told_from_gb18030_and_said(tmp_path: Path):
    found = read(text_table(tmp_path, TRADITIONAL, "cp950"))
    assert [c["agent_name"] for c in cells(found)] == ["張敏", "李強", "王芳"]
    assert any("read as Big5" in note for note in found.notes)


@pytest.mark.parametrize(
    "text",
    ["錄音檔,工號,姓名,班組,開始時間", "感謝您的來電,請問有什麼可以為您服務", "張敏,李強,王芳"],
)
def test_big5_in_short(text: str):
    assert decoded(text.encode("cp950"), []) == text


@pytest.mark.parametrize(
    "text", ["录音文件,工号,姓名,班组", "质检结果合格不合格", "张敏,李强,王芳", "感谢来电"]
)
def test_gb18030_in_short(text: str):
    notes: list[str] = []
    assert decoded(text.encode("gb18030"), notes) == text


# --- columns --------------------------------------------------------------------------------------


def test_the_usual_names_of_columns(tmp_path: Path):
    header = "录音文件名,坐席工号,坐席,班组,技能组,主叫,被叫,呼入/呼出,通话开始时间,客户姓名（必填）,振铃次数"
    line = "a.wav,0012,张敏,售前,维修,138,4008,呼入,2026-03-12 10:05,王,2"
    found = read(text_table(tmp_path, f"{header}\n{line}\n"))
    assert cells(found) == [
        {
            "recording": "a.wav", "agent_id": "0012", "agent_name": "张敏", "team": "售前",
            "queue": "维修", "direction": "呼入", "started_at": "2026-03-12 10:05",
            "customer_name": "王", "rings": "2",
        }
    ]  # fmt: skip
    assert found.notes[-1] == "t.csv: columns that are not used: 主叫, 被叫."


def test_empty_columns_at_the_end_are_not_spoken_of(tmp_path: Path):
    found = read(text_table(tmp_path, "录音,坐席,,\na.wav,8001,,\n"))
    assert cells(found) == [{"recording": "a.wav", "agent_id": "8001"}]
    assert not any("not used" in note for note in found.notes)


def test_a_seat_alone_is_the_id(tmp_path: Path):
    (row,) = cells(read(text_table(tmp_path, "录音,坐席\na.wav,8001\n")))
    assert row == {"recording": "a.wav", "agent_id": "8001"}


# --- safety ---------------------------------------------------------------------------------------


def rewritten(path: Path, name: str, edit: dict[bytes, bytes]) -> Path:
    """A workbook with one part changed."""
    data = io.BytesIO(path.read_bytes())
    with zipfile.ZipFile(data) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as to:
        for item in source.namelist():
            part = source.read(item)
            if item.endswith(name):
                for old, new in edit.items():
                    assert old in part
                    part = part.replace(old, new)
            to.writestr(item, part)
    return path


@pytest.mark.parametrize(
    "edit",
    [
        {b'ref="A1:B2"': b'ref="A1:XFD1048576"'},
        {b'<row r="2">': b'<row r="1048570">', b'"A2"': b'"A1048570"', b'"B2"': b'"XFD1048570"'},
        {
            b'<row r="2">': b'<row r="999999999">',
            b'"A2"': b'"A999999999"',
            b'"B2"': b'"B999999999"',
        },
        {b"</sheetData>": b'</sheetData><mergeCells><mergeCell ref="A1:XFD1048576"/></mergeCells>'},
    ],
)
def test_a_small_workbook_that_claims_to_be_huge_takes_no_memory(
    tmp_path: Path, edit: dict[bytes, bytes]
):
    import resource

    path = workbook(tmp_path, [["recording", "team"], ["a.wav", "x"]])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = read(rewritten(path, "sheet1.xml", edit))
    assert len(found.rows) <= 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


def test_a_workbook_that_unpacks_to_too_much_is_refused(tmp_path: Path):
    path = workbook(tmp_path, [["recording"], ["a.wav"]])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as book, book.open("x.xml", "w") as part:
        for _ in range(600):
            part.write(bytes(2**20))
    with pytest.raises(MetadataError, match="unpacks to more than 512 MiB"):
        read(path)


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (r"\\recsrv01\rec$\2026\03\12\x1.wav", ["1"]),
        (r"D:\录音\2026-03-12\x2.wav", ["2"]),
        ("x1.V3", ["1"]),
        ("X2", ["2"]),
        ("/mnt/nas/mon/same.wav", ["3"]),  # as many of the last parts as fit
        ("same.wav", ["3", "4"]),
        ("cafe\u0301.wav", ["5"]),  # decomposed
        ("王芳.wav", ["6"]),  # the file name is GBK
        ("none.wav", []),
    ],
)
def test_names_are_found_by_path_then_file_name_then_stem(given: str, found: list[str]):
    gbk = "王芳.wav".encode("gb18030").decode("utf-8", "surrogateescape")
    paths = ["/r/x1.wav", "/r/x2.wav", "/r/mon/same.wav", "/r/tue/same.wav", "/r/caf\u00e9.wav",
             f"/r/{gbk}"]  # fmt: skip
    names = Names((str(i), path) for i, path in enumerate(paths, start=1))
    assert names.find(given) == found


def test_the_nearest_name_is_told():
    names = Names([("1", "/r/20260312_100500_0012.wav"), ("2", "/r/20260316_150000_0056.wav")])
    assert names.nearest("D:\\20260312_100500_012.wav") == "20260312_100500_0012.wav"
    assert names.nearest("x.wav") is None


def test_a_file_is_read_as_what_it_is_whatever_its_suffix(tmp_path: Path):
    rows = [["recording", "team"], ["c1", 5]]
    book = workbook(tmp_path, rows)
    tables = {
        "a.csv": book.read_bytes(),
        "a.xls": book.read_bytes(),
        "b.xlsx": b"recording,team\nc1,5\n",
    }
    for name, content in tables.items():
        path = tmp_path / name
        path.write_bytes(content)
        table = read(path)
        assert cells(table) == [{"recording": "c1", "team": "5"}]
        assert "whatever its suffix" in table.notes[0]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xlsx", _COMPOUND + "EncryptedPackage".encode("utf-16-le"), "with a password; save"),
        ("a.xlsx", _COMPOUND + "Workbook".encode("utf-16-le"), r"of the old kind \(XLS\); save"),
        ("a.csv", _COMPOUND, "with a password or of the old kind"),
        ("a.xls", b"<html><table><tr><td>recording</td></tr></table>", "a web page"),
        ("a.xlsx", b"anything", "no workbook, and no text"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, message: str):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MetadataError, match=message):
        read(tmp_path / name)


def test_recordings_named_by_their_links(tmp_path: Path):
    book = openpyxl.Workbook()
    sheet = book.active
    links = (
        "file:///D:/rec/a%20b.wav",
        r"D:\rec\c.wav",
        "https://x.cn/play/d.mp3?t=1",
        "https://x.cn/?id=5",
    )
    texts = ("听录音", "听录音", "播放", "2026_05")
    sheet.append(["录音文件"])
    for row, (text, link) in enumerate(zip(texts, links, strict=True), start=2):
        sheet.cell(row, 1, text).hyperlink = link
    sheet["A6"] = '=HYPERLINK("e.wav","听")'
    sheet["B1"], sheet["B6"] = "工号", "A1"
    sheet["A7"] = "f.wav"
    sheet["A7"].hyperlink = "D:/rec/other.wav"
    path = tmp_path / "t.xlsx"
    book.save(path)
    table = read(path)
    found = [row["recording"] for row in cells(table)]
    assert found == ["a b.wav", "c.wav", "d.mp3", "2026_05", "e.wav", "f.wav"]
    assert any("named by their links alone: row 2 (a b.wav)" in note for note in table.notes)


def test_formulas_of_links_in_text(tmp_path: Path):
    text = (
        '录音文件\n"=HYPERLINK(""D:\\rec\\a.wav"",""听"")"\n"=HYPERLINK(""x/b.wav"",""c.wav"")"\n'
    )
    found = [row["recording"] for row in cells(read(text_table(tmp_path, text)))]
    assert found == ["a.wav", "c.wav"]


@pytest.mark.parametrize(
    ("most", "one", "said"), [("gb18030", "utf-8", "UTF-8"), ("utf-8", "gb18030", "GB 18030")]
)
def test_a_row_of_another_encoding_is_read_and_said(tmp_path: Path, most: str, one: str, said: str):
    path = tmp_path / "t.csv"
    lines = [
        (most, "recording,姓名\r\n"),
        (most, "a.wav,张敏\r\n"),
        (one, "b.wav,李强\r\n"),
        (most, "c.wav,王芳\r\n"),
    ]
    path.write_bytes(b"".join(text.encode(encoding) for encoding, text in lines))
    table = read(path)
    assert [row["agent_name"] for row in cells(table)] == ["张敏", "李强", "王芳"]
    assert f"Lines of another encoding than the rest, read as {said}: 3" in " ".join(table.notes)


def test_lines_below_a_table_are_none_of_its_rows(tmp_path: Path):
    text = "录音文件,姓名,班组\na.wav,#DIV/0!,#NAME?\n制表人：王芳,审核：李,\n注：终评,,\n"
    table = read(text_table(tmp_path, text))
    assert cells(table) == [{"recording": "a.wav"}]
    assert any("lines below the table were skipped: row 3 (制表人：王芳)" in n for n in table.notes)
    text = "agent_name,recording\n备注：实习,a.wav\n"
    assert len(cells(read(text_table(tmp_path, text)))) == 1
