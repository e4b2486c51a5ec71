"""Finding files, joining metadata, and what happens to everything that does not fit."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import fsspec
import pandas as pd
import pytest

from pipeline.errors import MetadataError, NoRecordings, UsageError
from pipeline.recordings import FIELDS, Found, find_recordings
from pipeline.schema import SwitchEvent

SUFFIXES = (".wav", ".mp3")


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def find(*inputs: Path | str, **rest) -> Found:
    return find_recordings([str(i) for i in inputs], suffixes=SUFFIXES, **rest)


def names(found: Found) -> list[str]:
    return [Path(r.path).name for r in found.recordings]


def table(folder: Path, text: str, encoding: str = "utf-8", name: str = "meta.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


# -- files --------------------------------------------------------------------------------------


def test_folders_are_searched_to_any_depth_and_other_files_counted(tmp_path: Path) -> None:
    touch(tmp_path, "b.wav", "x/y/a.MP3", "notes.txt", "x/scores.csv", ".hidden.wav", ".git/c.wav")
    found = find(tmp_path)
    assert names(found) == ["b.wav", "a.MP3"]
    assert [r.call_id for r in found.recordings] == ["b", "a"]
    assert found.failures == []
    assert found.warnings == ["2 files that are not recordings were ignored (1 .txt, 1 .csv)."]


def test_a_path_given_twice_counts_once(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "b.wav")
    (tmp_path / "link.wav").symlink_to(tmp_path / "a.wav")
    folder = str(tmp_path)
    given = ("a.wav", "./a.wav", "", "*.wav", "link.wav")
    found = find(*(f"{folder}/{name}" for name in given), os.path.relpath(tmp_path / "a.wav"))
    assert names(found) == ["a.wav", "b.wav"]
    assert all(os.path.isabs(r.path) for r in found.recordings)


def test_glob_patterns(tmp_path: Path) -> None:
    touch(tmp_path, "a1.wav", "a2.wav", "b1.wav", "d/a3.wav", "a4.txt", "odd[1].wav")
    assert names(find(tmp_path / "a*")) == ["a1.wav", "a2.wav"]
    assert names(find(tmp_path / "**" / "a*.wav")) == ["a1.wav", "a2.wav", "a3.wav"]
    assert names(find(tmp_path / "odd[1].wav")) == ["odd[1].wav"]
    found = find(tmp_path / "b1.wav", tmp_path / "z*.wav")
    assert found.warnings == [f"Inputs without any recording: {tmp_path / 'z*.wav'}."]


def test_a_named_file_is_taken_whatever_its_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "call.rec")
    assert names(find(tmp_path / "call.rec")) == ["call.rec"]


def test_a_missing_file_costs_a_row_not_the_run(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    found = find(tmp_path / "a.wav", tmp_path / "gone.wav")
    assert names(found) == ["a.wav"]
    (failure,) = found.failures
    assert (failure.call_id, failure.stage) == ("gone", "recordings")
    assert failure.message
    assert failure.hint


def test_nothing_at_all_is_a_usage_error(tmp_path: Path) -> None:
    touch(tmp_path, "notes.txt")
    with pytest.raises(UsageError, match="1 other files") as caught:
        find(tmp_path)
    assert ".mp3 .wav" in caught.value.hint
    with pytest.raises(UsageError, match="No recordings"):
        find(tmp_path / "*.wav")
    with pytest.raises(UsageError, match="No recordings"):
        find()


# -- call ids -----------------------------------------------------------------------------------


def test_same_stem_in_different_folders_gets_the_folder_in_front(tmp_path: Path) -> None:
    touch(tmp_path, "mon/1.wav", "tue/1.wav", "tue/2.wav")
    found = find(tmp_path)
    assert [r.call_id for r in found.recordings] == ["mon_1", "tue_1", "2"]
    assert found.warnings == [
        "File names that are not unique; the call id got a prefix: mon_1, tue_1."
    ]


def test_same_folder_names_and_same_stems_are_told_apart(tmp_path: Path) -> None:
    touch(tmp_path, "jan/mon/1.wav", "feb/mon/1.wav", "c/5.wav", "c/5.mp3")
    ids = {str(Path(r.path).relative_to(tmp_path)): r.call_id for r in find(tmp_path).recordings}
    assert ids == {
        "c/5.mp3": "c_5_mp3",
        "c/5.wav": "c_5_wav",
        "feb/mon/1.wav": "feb_mon_1",
        "jan/mon/1.wav": "jan_mon_1",
    }


def test_the_same_call_id_twice_in_the_metadata_fails_the_later_row(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "b.wav", "c.wav")
    meta = table(tmp_path, "recording,call_id\nc.wav,K1\na.wav,K1\nb.wav,K2\n")
    found = find(tmp_path, metadata=meta)
    assert [(Path(r.path).name, r.call_id) for r in found.recordings] == [
        ("b.wav", "K2"),
        ("c.wav", "K1"),
    ]
    (failure,) = found.failures
    assert (Path(failure.path).name, failure.call_id) == ("a.wav", "K1")
    assert "already that of c.wav" in failure.message


def test_a_given_id_wins_over_the_same_file_name(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.wav", "x/b.wav")
    found = find(tmp_path / "x", metadata=table(tmp_path, "recording,call_id\nb.wav,a\n"))
    assert [r.call_id for r in found.recordings] == ["x_a", "a"]
    assert found.failures == []


# -- metadata -----------------------------------------------------------------------------------

FULL = (
    "recording,call_id,agent_id,agent_name,team,direction,started_at,customer_name,agent_channel,"
    "rings,wait_s,queue,agent_id_2\n"
    "a.wav,0001,007,小李,售后一组,呼入,2026/3/12 9:05,王女士,1,2,12.5,维修,008\n"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_every_field_in_every_encoding(encoding: str, delimiter: str, tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    meta = table(tmp_path, FULL.replace(",", delimiter), encoding)
    found = find(tmp_path / "a.wav", metadata=meta)
    (r,) = found.recordings
    assert found.warnings == []
    assert (r.call_id, r.agent_id, r.agent_name, r.team) == ("0001", "007", "小李", "售后一组")
    assert (r.direction, r.started_at, r.customer_name) == (
        "inbound", "2026-03-12T09:05:00", "王女士",
    )  # fmt: skip
    assert (r.agent_channel, r.rings, r.wait_s, r.queue) == (1, 2, 12.5, "维修")
    assert all(getattr(r, name) is not None for name in FIELDS)


def test_excel_keeps_text_ids_and_reads_dates_and_gaps(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "b.wav")
    frame = pd.DataFrame(
        {
            "Recording ": ["a.wav", "b.wav"],
            "agent_id": ["007", 8],
            "agent_channel": [1, None],
            "wait_s": [3, 4.5],
            "started_at": [datetime(2026, 3, 12, 10, 5), None],
        }
    )
    frame.to_excel(tmp_path / "m.xlsx", index=False)
    found = find(tmp_path / "a.wav", tmp_path / "b.wav", metadata=tmp_path / "m.xlsx")
    a, b = found.recordings
    assert (a.agent_id, a.agent_channel, a.wait_s) == ("007", 1, 3.0)
    assert a.started_at == "2026-03-12T10:05:00"
    assert (b.agent_id, b.agent_channel, b.wait_s, b.started_at) == ("8", None, 4.5, None)
    assert found.warnings == []


def test_parquet(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "b.wav")
    frame = pd.DataFrame(
        {
            "recording": ["a.wav", "b.wav"],
            "agent_id": ["007", None],
            "rings": pd.array([2, None], dtype="Int64"),
            "started_at": pd.to_datetime(["2026-03-12 10:05+08:00", None]),
        }
    )
    frame.to_parquet(tmp_path / "m.parquet")
    a, b = find(tmp_path, metadata=tmp_path / "m.parquet").recordings
    assert (a.agent_id, a.rings, a.started_at) == ("007", 2, "2026-03-12T10:05:00+08:00")
    assert (b.agent_id, b.rings, b.started_at) == (None, None, None)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("one.wav", "day/One.wav"),  # any case, as a fallback
        ("One.wav", "day/One.wav"),
        ("One", "day/One.wav"),  # without the suffix
        ("day/One.wav", "day/One.wav"),
        ("day\\One.wav", "day/One.wav"),
        ("./day/One.wav", "day/One.wav"),
        ("night/two.wav", "night/two.wav"),
        ("night/TWO.WAV", "night/two.wav"),
    ],
)
def test_a_row_finds_its_recording(name: str, found: str, tmp_path: Path) -> None:
    touch(tmp_path, "day/One.wav", "day/two.wav", "night/two.wav")
    meta = table(tmp_path, f"recording,agent_id\n{name},A1\n")
    hit = [r for r in find(tmp_path, metadata=meta).recordings if r.agent_id == "A1"]
    assert [r.path for r in hit] == [str(tmp_path / found)]


def test_an_absolute_path_and_exact_case_first(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "A.wav")
    meta = table(tmp_path, f"recording,agent_id\n{tmp_path / 'A.wav'},X\na.wav,Y\n")
    got = {Path(r.path).name: r.agent_id for r in find(tmp_path, metadata=meta).recordings}
    assert got == {"A.wav": "X", "a.wav": "Y"}


def test_rows_and_recordings_without_each_other_are_reported(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "b.wav", "x/c.wav", "y/c.wav")
    meta = table(
        tmp_path,
        "recording,agent_id\na.wav,A1\nlost.wav,A2\na.wav,A3\nc.wav,A4\n,A5\n\n",
    )
    found = find(tmp_path, metadata=meta)
    assert [r.agent_id for r in found.recordings] == ["A1", None, None, None]
    text = "\n".join(found.warnings)
    assert "Metadata rows without a recording: row 3 (lost.wav)." in text
    assert "an earlier row names the same recording: row 4 (a.wav, as row 2)." in text
    assert "several recordings bear the name: row 5 (c.wav)." in text
    assert "Metadata rows without a recording name: row 6." in text
    assert "Recordings without a metadata row: b.wav, c.wav, c.wav." in text


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("recoding,agent_id", '"recoding".*Did you mean "recording"'),
        ("recording,agentid", '"agentid".*Did you mean "agent_id"'),
        ("recording,agent_chanel", "agent_channel"),
        ("thing,agent_id", 'no column "recording"'),
        ("recording,agent_id,agent_id", "more than once"),
    ],
)
def test_wrong_columns_stop_the_run_with_the_nearest_name(
    header: str, message: str, tmp_path: Path
) -> None:
    touch(tmp_path, "a.wav")
    cells = ",".join(["a.wav"] * (header.count(",") + 1))
    with pytest.raises(MetadataError, match=message):
        find(tmp_path, metadata=table(tmp_path, f"{header}\n{cells}\n"))


def test_foreign_columns_are_named_and_left(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    found = find(tmp_path / "a.wav", metadata=table(tmp_path, "recording,备注,费用\na.wav,x,1\n"))
    assert found.warnings == ["meta.csv: columns that are not used: 备注, 费用."]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.csv", b"", "empty"),
        ("m.csv", b"\xff\x00\xff\xff", "neither"),
        ("m.csv", b"recording,team\na.wav,x,y\n", "longer than its header"),
        ("m.xlsx", b"not a workbook", "cannot be read"),
        ("m.parquet", b"not parquet", "cannot be read"),
        ("m.ods", b"x", "allowed are .csv"),
        ("none.csv", None, "No such file"),
    ],
)
def test_unreadable_tables(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(MetadataError, match=message) as caught:
        find(tmp_path / "a.wav", metadata=tmp_path / name)
    assert "\n" not in caught.value.message
    assert caught.value.hint


def test_names_of_agents_without_ids_are_said(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    said = find(tmp_path, metadata=table(tmp_path, "recording,姓名\na.wav,张敏\n")).warnings
    assert any("names agents without their ids" in note and "工号" in note for note in said)
    said = find(tmp_path, metadata=table(tmp_path, "recording,姓名,工号\na.wav,张敏,1\n")).warnings
    assert not any("without their ids" in note for note in said)


def test_a_stroke_is_no_name_and_no_team(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    rows = table(tmp_path, "recording,工号,姓名,班组\na.wav,0012,/,／\n")
    recording = find(tmp_path, metadata=rows).recordings[0]
    assert (recording.agent_id, recording.agent_name, recording.team) == ("0012", None, None)


def test_values_that_cannot_be_used_are_reported_together(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{i}.wav" for i in range(6)))
    rows = "".join(f"{i}.wav,sideways,5,many,-1,yesterday\n" for i in range(6))
    meta = table(tmp_path, f"recording,direction,agent_channel,rings,wait_s,started_at\n{rows}")
    found = find(tmp_path, metadata=meta)
    assert all(r.direction is None and r.agent_channel is None for r in found.recordings)
    assert len([w for w in found.warnings if "cannot be used" in w]) == 5
    assert (
        'The direction "sideways" cannot be used (allowed: inbound, outbound, 呼入, 呼出): '
        "row 2, row 3, row 4 and 3 more."
    ) in found.warnings


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2026-03-12T10:05:00+08:00", "2026-03-12T10:05:00+08:00"),
        ("2026-03-12 10:05:00 +08:00", "2026-03-12T10:05:00+08:00"),
        ("2026-03-12 10:05:00-05:00", "2026-03-12T23:05:00+08:00"),
        ("2026-03-12T02:05:00Z", "2026-03-12T10:05:00+08:00"),
        ("2026-03-12 10:05", "2026-03-12T10:05:00"),
        ("2026-03-12 10:05:07.5", "2026-03-12T10:05:07.500000"),
        ("2026/3/12 9:05:07", "2026-03-12T09:05:07"),
        ("2026.03.12 10:05", "2026-03-12T10:05:00"),
        ("2026年3月12日 10:05", "2026-03-12T10:05:00"),
        ("2026年3月12日9时5分", "2026-03-12T09:05:00"),
        ("2026年3月12日09时05分07秒", "2026-03-12T09:05:07"),
        ("20260312100507", "2026-03-12T10:05:07"),
        ("20260312_100507", "2026-03-12T10:05:07"),
        ("20260312T1005", "2026-03-12T10:05:00"),
        ("2026-03-12_10-05-07", "2026-03-12T10:05:07"),
        ("2026-03-12", "2026-03-12"),
        ("20260312", "2026-03-12"),
        ("2026-13-40 10:05", None),
        ("12/03/2026 10:05", None),
        ("46093.420139", "2026-03-12T10:05:00"),
        ("46093", "2026-03-12"),
        ("2026/3/12 下午 2:05", "2026-03-12T14:05:00"),
        ("2026/3/12 上午9:05:07", "2026-03-12T09:05:07"),
        ("2026-03-12 12:30 AM", "2026-03-12T00:30:00"),
        ("2026-03-12 中午12:30", "2026-03-12T12:30:00"),
        ("0026-03-12 10:05", None),
    ],
)
def test_times_become_iso_8601(text: str, iso: str | None, tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    found = find(
        tmp_path / "a.wav", metadata=table(tmp_path, f"recording,started_at\na.wav,{text}\n")
    )
    assert found.recordings[0].started_at == iso
    assert any("cannot be used" in w for w in found.warnings) == (iso is None)


@pytest.mark.parametrize(
    ("text", "direction"),
    [("inbound", "inbound"), ("Outbound", "outbound"), ("呼入", "inbound"), ("呼出", "outbound")],
)
def test_directions(text: str, direction: str, tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    meta = table(tmp_path, f"recording,direction\na.wav,{text}\n")
    assert find(tmp_path / "a.wav", metadata=meta).recordings[0].direction == direction


# -- file names ---------------------------------------------------------------------------------


def test_a_name_pattern_gives_fields_and_the_table_wins(tmp_path: Path) -> None:
    touch(tmp_path, "in/A007_20260312100507_呼出.wav", "in/B1_20260312_x.wav", "in/odd.wav")
    pattern = r"(?P<agent_id>[AB]\d+)_(?P<started_at>\d{14})_(?P<direction>.+)\.wav"
    found = find(tmp_path, name_pattern=pattern)
    a, *rest = found.recordings
    assert (a.agent_id, a.started_at, a.direction) == ("A007", "2026-03-12T10:05:07", "outbound")
    assert all(r.agent_id is None for r in rest)
    assert found.warnings == ["The name pattern does not fit: B1_20260312_x.wav, odd.wav."]
    meta = table(tmp_path, "recording,agent_id,direction\nA007_20260312100507_呼出.wav,A8,\n")
    a = find(tmp_path, name_pattern=pattern, metadata=meta).recordings[0]
    assert (a.agent_id, a.direction) == ("A8", "outbound")


def test_a_pattern_with_a_slash_sees_the_folders(tmp_path: Path) -> None:
    touch(tmp_path, "south/A1/x.wav")
    found = find(tmp_path, name_pattern=r"(?P<team>[^/]+)/(?P<agent_id>[^/]+)/[^/]+$")
    assert (found.recordings[0].team, found.recordings[0].agent_id) == ("south", "A1")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(?P<agent_id>", "not a regular expression"),
        (r"(?P<agent>\d+)", 'unknown group "agent".*Did you mean "agent_'),
        (r"(?P<recording>\d+)", 'unknown group "recording"'),
        (r"(\d+)", "no named group"),
    ],
)
def test_bad_name_patterns(pattern: str, message: str, tmp_path: Path) -> None:
    touch(tmp_path, "1.wav")
    with pytest.raises(UsageError, match=message):
        find(tmp_path, name_pattern=pattern)


def test_many_recordings_are_joined_quickly(tmp_path: Path) -> None:
    touch(tmp_path, *(f"d{i % 20}/call{i}.wav" for i in range(2000)))
    rows = "".join(f"call{i}.wav,A{i % 50:03d}\n" for i in range(2000))
    found = find(tmp_path, metadata=table(tmp_path, "recording,agent_id\n" + rows))
    assert len(found.recordings) == 2000
    assert all(r.agent_id == f"A{int(r.call_id[4:]) % 50:03d}" for r in found.recordings)


# -- URLs ----------------------------------------------------------------------------------------


@pytest.fixture
def bucket() -> Iterator[str]:
    """An object store in memory."""
    memory = fsspec.filesystem("memory")
    for name in ("mon/1.wav", "tue/1.wav", "tue/2.mp3", "tue/notes.txt", "tue/odd"):
        memory.pipe_file(f"/calls/{name}", b"x")
    yield "memory:///calls"
    memory.rm("/calls", recursive=True)


def urls(found: Found, bucket: str) -> dict[str, str]:
    return {r.path.removeprefix(f"{bucket}/"): r.call_id for r in found.recordings}


def test_folders_files_and_patterns_by_url(bucket: str) -> None:
    found = find(bucket)
    assert urls(found, bucket) == {"mon/1.wav": "mon_1", "tue/1.wav": "tue_1", "tue/2.mp3": "2"}
    assert "2 files that are not recordings were ignored (1 .txt, 1 without suffix)." in (
        found.warnings
    )
    assert urls(find(f"{bucket}/tue/*"), bucket) == {"tue/1.wav": "1", "tue/2.mp3": "2"}
    assert urls(find(f"{bucket}/tue/odd", f"{bucket}/tue/odd"), bucket) == {"tue/odd": "odd"}
    assert urls(find(f"{bucket}/later.wav"), bucket) == {"later.wav": "later"}  # no look, no wait


def test_a_file_url_is_the_path(tmp_path: Path) -> None:
    touch(tmp_path, "a b.wav", "c.wav")
    found = find(tmp_path.as_uri(), (tmp_path / "a b.wav").as_uri(), tmp_path / "c.wav")
    assert [r.path for r in found.recordings] == [str(tmp_path / n) for n in ("a b.wav", "c.wav")]


def test_a_url_that_leads_nowhere_costs_a_row(bucket: str, tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    found = find(tmp_path, f"{bucket}/none/", "http://127.0.0.1:1/day/", f"{bucket}/none/*.wav")
    assert names(found) == ["a.wav"]
    assert [f.path for f in found.failures] == [f"{bucket}/none/", "http://127.0.0.1:1/day/"]
    assert [f.call_id for f in found.failures] == ["none", "day"]
    assert all(f.error_type == "UnreadableAudio" and f.hint for f in found.failures)
    assert found.warnings == [f"Inputs without any recording: {bucket}/none/*.wav."]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("oss://bucket/day/", "Install ossfs"),
        ("nosuch://bucket/day/", "nosuch"),
        ("ftp://me:secret@host/a.wav", r"ftp://\.\.\.@host/a\.wav holds a password"),
    ],
)
def test_urls_that_cannot_be_used_end_the_run(url: str, message: str, tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    with pytest.raises(UsageError, match=message) as caught:
        find(tmp_path, url)
    assert "secret" not in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize("name", ["{0}/mon/1.wav", "mon/1.wav", "MON/1.WAV"])
def test_a_row_finds_its_url(name: str, bucket: str, tmp_path: Path) -> None:
    meta = table(tmp_path, f"recording,agent_id\n{name.format(bucket)},A1\n2,A2\n")
    found = find(bucket, metadata=meta)
    assert {r.path: r.agent_id for r in found.recordings} == {
        f"{bucket}/mon/1.wav": "A1", f"{bucket}/tue/1.wav": None, f"{bucket}/tue/2.mp3": "A2",
    }  # fmt: skip


def test_a_name_pattern_sees_the_url_without_its_query() -> None:
    found = find("http://127.0.0.1:1/south/A1%20b.wav?v=2.mp3", name_pattern=r"(?P<agent_id>A\d) b")
    (r,) = found.recordings
    assert (r.call_id, r.agent_id) == ("A1 b", "A1")


# -- manifests -----------------------------------------------------------------------------------


def test_a_manifest_lists_recordings_and_says_what_is_known(bucket: str, tmp_path: Path) -> None:
    touch(tmp_path, "day/a.wav", "day/left out.wav")
    lines = ("day/a.wav,A1,x", f"{bucket}/tue/1.wav,A2,y", "day/gone.wav,A3,z", "day\\a.wav,A4,")
    manifest = table(tmp_path, "recording,agent_id,call_id\n" + "\n".join(lines), name="list.csv")
    found = find(manifest)
    assert [(r.path, r.call_id, r.agent_id) for r in found.recordings] == [
        (str(tmp_path / "day/a.wav"), "x", "A1"),
        (str(tmp_path / "day/gone.wav"), "z", "A3"),  # its row comes when it cannot be read
        (f"{bucket}/tue/1.wav", "y", "A2"),
    ]
    assert found.warnings == [
        "Metadata rows not used, as an earlier row names the same recording: "
        "list.csv row 5 (day/a.wav, as list.csv row 2)."
    ]


def test_metadata_goes_before_the_manifest(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav", "b.wav", "c.wav")
    manifest = table(tmp_path, "recording,agent_id,team\na.wav,A1,T1\nb.wav,A2,T2\n", name="m.csv")
    meta = table(tmp_path, "recording,agent_id,team\nb.wav,A9,\n")
    found = find(manifest, tmp_path / "c.wav", metadata=meta)
    assert [(r.agent_id, r.team) for r in found.recordings] == [
        ("A1", "T1"), ("A9", "T2"), (None, None),
    ]  # fmt: skip
    assert found.warnings == ["Recordings without a metadata row: c.wav."]


def test_tables_by_url(bucket: str) -> None:
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/calls/list.csv", b"recording\nmon/1.wav\n./tue/2.mp3\n/abs.wav\n")
    memory.pipe_file("/calls/meta.csv", "recording,agent_name\n1.wav,王工\n".encode("gb18030"))
    found = find(f"{bucket}/list.csv", metadata=f"{bucket}/meta.csv")
    assert [(r.path, r.agent_name) for r in found.recordings] == [
        ("/abs.wav", None), (f"{bucket}/mon/1.wav", "王工"), (f"{bucket}/tue/2.mp3", None),
    ]  # fmt: skip
    with pytest.raises(MetadataError, match=r"none\.csv cannot be read: there is no such file"):
        find(f"{bucket}/none.csv")


def test_a_manifest_with_a_password_ends_the_run(tmp_path: Path) -> None:
    manifest = table(tmp_path, "recording\nsftp://me:secret@host/a.wav\n")
    with pytest.raises(UsageError, match="password") as caught:
        find(manifest)
    assert "secret" not in str(caught.value)


def test_an_empty_manifest_is_no_recordings(tmp_path: Path) -> None:
    with pytest.raises(NoRecordings, match="an empty list"):
        find(table(tmp_path, "recording,agent_id\n"))


# -- call ids alone -------------------------------------------------------------------------------


@dataclass
class Earlier:
    """Calls of an earlier run, by path."""

    ids: dict[str, str]
    starts: dict[str, str]

    def ids_at(self, paths: Sequence[str]) -> dict[str, str]:
        return {path: self.ids[path] for path in paths if path in self.ids}

    def starts_at(self, paths: Sequence[str]) -> dict[str, str]:
        return {path: self.starts[path] for path in paths if path in self.starts}


def test_a_table_without_recordings_is_matched_by_call_id(tmp_path: Path) -> None:
    touch(tmp_path, "in/C-001.wav", "in/c-002.MP3", "in/renamed.wav", "in/x/9.wav", "in/y/9.wav")
    path = table(
        tmp_path,
        "流水号,工号\nC-001,0012\nC-002,0013\nC-003,0014\nC-0O4,0015\n9,0016\n,0017\n",
    )
    known = {str(tmp_path / "in/renamed.wav"): "C-003"}
    found = find_recordings(
        [str(tmp_path / "in")], suffixes={".wav", ".mp3"}, metadata=path, earlier=Earlier(known, {})
    )
    agents = {Path(r.path).name: r.agent_id for r in found.recordings}
    assert agents == {
        "C-001.wav": "0012",
        "c-002.MP3": "0013",
        "renamed.wav": "0014",
        "9.wav": None,
    }
    assert {r.call_id for r in found.recordings} >= {"C-001", "C-002", "C-003"}
    said = "\n".join(found.warnings)
    assert said.count("its rows are matched by call id") == 1
    assert "Metadata rows without a recording: row 5 (C-0O4; nearest: C-00" in said
    assert "several recordings bear the name: row 6 (9)." in said
    assert "Metadata rows without a recording name: row 7." in said


# -- events of the switch -------------------------------------------------------------------------


def switch(
    folder: Path, rows: str, *, started: str = "", header: str = "recording,kind,start,end,seconds"
) -> tuple[list[SwitchEvent], str]:
    """The events of a.wav, and what was said."""
    touch(folder, "in/a.wav", "in/b.wav")
    events = folder / "events.csv"
    events.write_text(f"{header}\n{rows}\n", encoding="utf-8")
    earlier = Earlier({}, {str(folder / "in/a.wav"): started} if started else {})
    found = find_recordings([str(folder / "in")], suffixes={".wav"}, events=events, earlier=earlier)
    said = "\n".join(found.warnings)
    return list(found.recordings[0].switch or ()), said


@pytest.mark.parametrize(
    ("row", "started", "span"),
    [
        ("a.wav,hold,12,42,", "", (12, 42)),
        ("a.wav,保持,12.5,,30", "", (12.5, 42.5)),
        ("a,hold,0:12,0:42,", "", (12, 42)),
        ("a.wav,On-Hold,00:00:12,,0:30", "", (12, 42)),
        ("a.wav,hold,01:00:12,01:00:42,", "", (3612, 3642)),
        ("a.wav,hold,10:05:12,10:05:42,", "2026-03-12T10:05:00", (12, 42)),
        ("a.wav,hold,00:00:12,,30秒", "2026-03-12T23:59:50", (12, 42)),
        ("a.wav,hold,2026-03-13 00:00:02,2026-03-13 00:00:32,", "2026-03-12T23:59:50", (12, 42)),
        ("a.wav,hold,2026-03-12T02:05:12Z,,30", "2026-03-12T10:05:00+08:00", (12, 42)),
        ("a.wav,hold,2026/3/12 上午10:05:12,,30", "2026-03-12T10:05:00", (12, 42)),
        ("a.wav,hold,46093.420277778,,30", "2026-03-12T10:05:00", (12, 42)),
        ("a.wav,转接,12,,", "", (12, 12)),
    ],
)
def test_times_of_events(row: str, started: str, span: tuple[float, float], tmp_path: Path) -> None:
    (event,), _ = switch(tmp_path, row, started=started)
    assert (event.start, event.end) == pytest.approx(span)


def test_events_that_cannot_be_used_cost_a_row_each(tmp_path: Path) -> None:
    events, said = switch(
        tmp_path,
        "a.wav,hold,5,9,\na.wav,hodl,5,9,\na.wav,hold,5,,\na.wav,hold,9,5,\na.wav,hold,soon,5,\n"
        "a.wav,hold,2026-03-12 10:05:12,,4\naa.wav,hold,5,9,\n,hold,5,9,\na.wav,hold,5,9,",
    )
    assert events == [SwitchEvent("hold", 5, 9)]
    assert 'kind "hodl" of an event is not known (allowed: hold (保持), ' in said
    assert 'did you mean "hold"?' in said
    assert "row 4 (a hold needs end or seconds)" in said
    assert "row 5 (it ends at 5 s, before it starts at 9 s)" in said
    assert 'row 6 (start is "soon"; allowed: seconds, 1:15, or a time of the clock' in said
    assert "1 more" in said
    assert "not among these recordings: events.csv row 8 (aa.wav; nearest: a.wav)" in said
    assert "name no call (give call_id or recording): events.csv row 9" in said
    assert "Events of the switch: 1 of 1 calls." in said


def test_events_by_call_id_in_chinese(tmp_path: Path) -> None:
    events, said = switch(
        tmp_path,
        "a,坐席接入,0,,0012\na,语音导航,0:00,0:20,\na,录音暂停,60,70,\na,坐席离开,80,,0012",
        header="流水号,事件类型,开始时间,结束时间,工号",
    )
    assert [(e.kind, e.start, e.end, e.agent_id) for e in events] == [
        ("agent_join", 0, 0, "0012"), ("ivr", 0, 20, None), ("pause", 60, 70, None),
        ("agent_leave", 80, 80, "0012"),
    ]  # fmt: skip
    assert "事件类型 = kind" in said


# -- tables as people keep them -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "row", "values"),
    [
        ("录音文件,开始时间", "a.wav,26/11/2026 10:05", {"started_at": "2026-11-26T10:05:00"}),
        ("录音文件,开始时间", "a.wav,11/26/2026 10:05 PM", {"started_at": "2026-11-26T22:05:00"}),
        ("录音文件,开始时间", "a.wav,03/11/2026 9:05\nb.wav,26/11/2026 9:05",
         {"started_at": "2026-11-03T09:05:00"}),
        ("录音文件,开始时间", "a.wav,11/03/2026 9:05\nb.wav,11/26/2026 9:05",
         {"started_at": "2026-11-03T09:05:00"}),
        ("录音文件;开始时间;等待时长", "a.wav;03.11.2026 9:05;12,5",
         {"started_at": "2026-11-03T09:05:00", "wait_s": 12.5}),
        ("录音文件,开始时间", "a.wav,03/11/2026 9:05", {}),  # which is the month, nothing says
        ("录音文件,开始时间", "a.wav,03/11/2026\nb.wav,26/11/2026\nc.wav,11/26/2026", {}),
        ("录音文件,通话日期,通话时间", "a.wav,2026-11-03,9:05:00", {"started_at": "2026-11-03T09:05:00"}),
        ("录音文件,日期", "a.wav,2026-11-03", {"started_at": "2026-11-03"}),
        ("录音文件,开始时间,工号", "a.wav,２０２６－１１－０３　０９：０５,００１２",
         {"started_at": "2026-11-03T09:05:00", "agent_id": "0012"}),
        ("录音文件，工号", "a.wav，0012", {"agent_id": "0012"}),
        ("录音文件,工号", "a.wav,'0012", {"agent_id": "0012"}),
        ("录音文件,工号", "a.wav,’0012", {"agent_id": "0012"}),
        ("录音文件,工号,姓名", "a.wav,无,——", {}),
    ],
)  # fmt: skip
def test_values_as_people_write_them(
    header: str, row: str, values: dict[str, object], tmp_path: Path
) -> None:
    touch(tmp_path, "a.wav")
    found = find(tmp_path / "a.wav", metadata=table(tmp_path, f"{header}\n{row}\n"))
    (recording,) = found.recordings
    said = {f: getattr(recording, f) for f in FIELDS if f != "call_id"}
    assert {name: value for name, value in said.items() if value is not None} == values


def test_rows_of_totals_are_no_recordings(tmp_path: Path) -> None:
    touch(tmp_path, "a.wav")
    totals = "合计：,,\n总计 3 条,,\n共3条,,\n,合计,3\n平均值,1,\nGrand Total: 12,,"
    meta = table(tmp_path, f"录音文件,工号,姓名\na.wav,1,x\n{totals}\n")
    found = find(tmp_path / "a.wav", metadata=meta)
    said = "\n".join(found.warnings)
    assert (
        "rows of totals were skipped: row 3 (合计：), row 4 (总计 3 条), row 5 (共3条) and 3 more"
        in said
    )
    assert "without a recording" not in said


def test_a_clock_without_a_start_of_the_call_is_said(tmp_path: Path) -> None:
    row = "a.wav,hold,2026-03-12 10:05:12,,4"
    assert "the call has no known start (started_at)" in switch(tmp_path, row)[1]
    _, said = switch(tmp_path, row, started="2026-03-13T10:05:00")
    assert "the call begins at 2026-03-13T10:05:00" in said
