"""A call is known by its place and content; its id is a name; what is known of it stays."""

from __future__ import annotations

import _thread
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from pipeline.batch.engines.factory import Kind
from pipeline.commands import jobs
from pipeline.commands.workbench import status
from pipeline.errors import UsageError
from pipeline.io import files
from pipeline.schema import AGENT, CUSTOMER
from pipeline.settings import Settings, load_settings
from pipeline.speech.models import Models, weights_used
from pipeline.store import Store
from tests import fakes
from tests.fakes import Script, ScriptDecoder, save

CALL = Script.of(
    (AGENT, 0.5, "您好这里是晴山商城很高兴为您服务"),
    (CUSTOMER, 6.0, "我想问一下我的订单"),
    (AGENT, 9.5, "好的"),
)
DECODER = ScriptDecoder(CALL)


def load(settings: Settings) -> Models:
    return fakes.models(CALL, decoder=DECODER, weights=weights_used(settings))


RUBRIC = """
rubric:
  id: short
  name: {zh: 短规范, en: Short standard}
  version: "1"
sections:
  s: {zh: 一, en: One}
items:
  greeting:
    name: {zh: 问候, en: Greeting}
    section: s
    pass: {says: {by: agent, any: [您好]}}
"""


@dataclass
class Desk:
    """A folder of recordings and an output folder, analysed as from the command line."""

    folder: Path
    said: Callable[[], str]
    settings: Settings

    @property
    def out(self) -> Path:
        return self.folder / "out"

    def call(self, name: str, quiet_s: float = 0.0) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return save(path, CALL.stereo(quiet_s=quiet_s))

    def table(self, text: str, name: str = "meta.csv") -> str:
        (self.folder / name).write_text(text, encoding="utf-8")
        return str(self.folder / name)

    def run(self, *inputs: str, metadata: str | None = None, scores: str | None = None) -> str:
        """Analyse; returns what was said, with how many searches of the decoder it took."""
        before = DECODER.calls
        given = jobs.Inputs(
            [str(self.folder / name) for name in inputs],
            metadata,
            Path(scores) if scores else None,
        )
        place = jobs.Place(self.out, engine=Kind.INLINE, load=load)
        jobs.analyze(given, place, self.settings)
        return f"{self.said()}\nsearches: {DECODER.calls - before}"

    def column(self, table: str, name: str) -> list[object]:
        with Store.open(self.out) as store:
            return store.frame(table)[name].tolist()

    def ids(self) -> dict[str, str]:
        with Store.open(self.out) as store:
            calls = store.frame("calls")
        places = [str(Path(path).relative_to(self.folder)) for path in calls["path"]]
        return dict(zip(places, calls["call_id"], strict=True))

    def status(self) -> str:
        return "\n".join(status(str(self.out)))


@pytest.fixture
def desk(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Desk:
    (tmp_path / "rubric.yaml").write_text(RUBRIC, encoding="utf-8")
    settings = load_settings(overrides={"compliance.rubric": str(tmp_path / "rubric.yaml")})
    return Desk(tmp_path, lambda: "".join(capfd.readouterr()), settings)


def test_the_same_name_in_another_folder_is_another_call(desk: Desk):
    desk.call("day1/0001.wav")
    desk.call("day2/0001.wav", 0.5)
    desk.run("day1")
    desk.run("day2")
    assert desk.ids() == {"day1/0001.wav": "0001", "day2/0001.wav": "day2_0001"}
    for inputs in (["day1", "day2"], ["day2"], ["day2", "day1"]):
        assert "searches: 0" in desk.run(*inputs)
        assert desk.ids() == {"day1/0001.wav": "0001", "day2/0001.wav": "day2_0001"}


def test_the_same_content_twice_is_one_call_and_said(desk: Desk):
    desk.call("day1/a.wav")
    desk.call("day2/b.wav")
    for inputs in (["day1", "day2"], ["day1", "day2"]):
        said = desk.run(*inputs)
        assert "1 a copy" in said
        assert "holds the same as" in said
        assert desk.ids() == {"day1/a.wav": "a"}
    desk.run("day2")
    assert desk.ids() == {"day1/a.wav": "a"}


def test_a_recording_that_moved_is_the_call_it_was(desk: Desk):
    desk.call("in/a.wav")
    desk.run("in", metadata=desk.table("recording,call_id,agent_id\na.wav,C1,0012\n"))
    shutil.move(desk.folder / "in", desk.folder / "archive")
    said = desk.run("archive")
    assert "1 judged again" in said
    assert "searches: 0" in said
    assert desk.ids() == {"archive/a.wav": "C1"}
    assert desk.column("calls", "agent_id") == ["0012"]


def test_an_id_that_arrives_later_renames_the_call(desk: Desk):
    desk.call("a.wav")
    desk.call("b.wav", 0.5)
    scores = desk.table("recording,score\na.wav,80\n", "scores.csv")
    desk.run("a.wav", "b.wav", scores=scores)
    said = desk.run(
        "a.wav", "b.wav", metadata=desk.table("recording,call_id\na.wav,C1\nb.wav,C2\n")
    )
    assert "Calls got the ids that are given now: a is C1, b is C2." in said
    assert "searches: 0" in said
    assert desk.ids() == {"a.wav": "C1", "b.wav": "C2"}
    assert desk.column("calls", "outside_score")[0] == 80
    assert set(desk.column("turns", "call_id")) == {"C1", "C2"}
    with Store.open(desk.out) as store:
        assert store.load("C1").recording.call_id == "C1"
    desk.run("a.wav", "b.wav")  # not given again: they keep them
    assert desk.ids() == {"a.wav": "C1", "b.wav": "C2"}
    swapped = desk.table("recording,call_id\na.wav,C2\nb.wav,C1\n")
    assert "searches: 0" in desk.run("a.wav", "b.wav", metadata=swapped)
    assert desk.ids() == {"a.wav": "C2", "b.wav": "C1"}


def test_an_id_used_twice_is_a_row_that_stays_until_it_is_resolved(desk: Desk):
    names = [f"{name}.wav" for name in "abcd"]
    for i, name in enumerate(names):
        desk.call(name, 0.1 * i)
    rows = "".join(f"{name},2.02603E+17\n" for name in names)
    for _ in range(2):
        said = desk.run(*names, metadata=desk.table("recording,call_id\n" + rows))
        assert "3 failed" in said
        assert "lost digits in a spreadsheet" in said
        assert [Path(str(p)).name for p in desk.column("failures", "path")] == names[1:]
        assert desk.ids() == {"a.wav": "2.02603E+17"}
        assert "ids that are another call's, MetadataError: 3" in desk.status()
    rows = "".join(f"{name},2026{i}\n" for i, name in enumerate(names[:3]))
    said = desk.run(*names[:3], metadata=desk.table("recording,call_id\n" + rows))
    assert "0 failed" in said
    assert desk.ids() == {"a.wav": "20260", "b.wav": "20261", "c.wav": "20262"}
    assert [Path(str(p)).name for p in desk.column("failures", "path")] == ["d.wav"]
    wrong = desk.table("recording,call_id\nc.wav,20260\n")
    assert "1 failed" in desk.run("c.wav", metadata=wrong)
    assert len(desk.column("failures", "path")) == 2
    assert "1 unchanged" in desk.run("c.wav")  # what it was before holds again
    assert [Path(str(p)).name for p in desk.column("failures", "path")] == ["d.wav"]


def test_an_id_that_another_call_has_replaces_nothing(desk: Desk):
    desk.call("a.wav")
    desk.call("b.wav", 0.5)
    table = desk.table("recording,call_id\na.wav,C1\n")
    desk.run("a.wav", metadata=table)
    said = desk.run("b.wav", metadata=desk.table("recording,call_id\nb.wav,C1\n"))
    assert "1 failed" in said
    assert desk.ids() == {"a.wav": "C1"}
    assert desk.column("calls", "status") == ["ok"]
    assert pd.isna(desk.column("calls", "error")).all() or pd.isna(desk.column("calls", "error")[0])
    assert len(desk.column("failures", "path")) == 1


def test_a_failed_recording_can_have_its_id_again(desk: Desk):
    (desk.folder / "a.wav").write_text("not audio")
    table = desk.table("recording,call_id,team\na.wav,C1,售后\n")
    assert "1 failed" in desk.run("a.wav", metadata=table)
    desk.call("a.wav")
    assert "1 analysed" in desk.run("a.wav")
    assert desk.ids() == {"a.wav": "C1"}
    assert desk.column("calls", "team") == ["售后"]
    assert desk.column("failures", "path") == []


def test_metadata_that_is_not_given_again_stays(desk: Desk):
    desk.call("a.wav")
    table = desk.table(
        "recording,agent_id,agent_name,team,direction,started_at,agent_channel,customer_name\n"
        "a.wav,0012,张敏,售前,呼入,2026-03-12 10:05,0,王\n"
    )
    desk.run("a.wav", metadata=table)
    said = desk.run("a.wav")
    assert "1 unchanged" in said
    assert "searches: 0" in said
    columns = ("agent_id", "agent_name", "team", "direction", "started_at")
    assert [desk.column("calls", c)[0] for c in columns] == [
        "0012", "张敏", "售前", "inbound", "2026-03-12T10:05:00",
    ]  # fmt: skip
    said = desk.run("a.wav", metadata=desk.table("recording,team\na.wav,售后\n"))
    assert "1 judged again" in said
    assert [desk.column("calls", c)[0] for c in ("agent_id", "team")] == ["0012", "售后"]


def test_metadata_and_scores_that_come_later_judge_again_without_recognising(desk: Desk):
    desk.call("a.wav")
    scores = desk.table("call_id,score,满分\nC1,4.5,5\n", "scores.csv")
    assert "no call has this call_id" in desk.run("a.wav", scores=scores)
    table = desk.table("录音文件,流水号,工号\na.wav,C1,0012\n")
    said = desk.run("a.wav", metadata=table)
    assert "meta.csv: columns understood: 录音文件 = recording, 流水号 = call_id" in said
    assert "searches: 0" in said
    assert desk.column("calls", "outside_score") == [90.0]


def test_times_are_those_of_the_business(desk: Desk):
    desk.call("a.wav")
    desk.call("b.wav", 0.5)
    table = desk.table(
        "recording,agent_id,started_at\n"
        "a.wav,1,2026-03-15T16:30:00.000Z\nb.wav,1,2026-03-16 00:30:00\n"
    )
    said = desk.run("a.wav", "b.wav", metadata=table)
    assert "times without an offset are taken as those of Asia/Shanghai" in said
    assert desk.column("calls", "week") == ["2026-W12", "2026-W12"]
    weeks = pd.read_parquet(desk.out / "agent_weeks.parquet")
    assert weeks["week"].tolist() == ["2026-W12"]


def test_a_replaced_recording_is_analysed_again_and_a_touched_one_is_not(desk: Desk):
    path = desk.call("a.wav")
    desk.run("a.wav")
    path.touch()
    assert "searches: 0" in desk.run("a.wav")
    desk.call("a.wav", 0.5)
    assert "1 analysed" in desk.run("a.wav")
    assert desk.ids() == {"a.wav": "a"}


def test_calls_made_in_different_ways_are_not_averaged_without_a_word(desk: Desk):
    desk.call("a.wav")
    desk.call("b.wav", 0.5)
    assert "rest on other settings" not in desk.run("a.wav")
    desk.settings = desk.settings.model_copy(
        update={"voice": desk.settings.voice.model_copy(update={"rate_norm": 160.0})}
    )
    assert "1 calls of this store rest on other settings" in desk.run("b.wav")
    assert "made in 2 ways" in desk.status()
    (kinds,) = pd.read_parquet(desk.out / "agents.parquet")["made_with"]
    assert len(kinds.split(", ")) == 2
    assert all(kind in desk.status() for kind in kinds.split(", "))
    assert "rest on other settings" not in desk.run("a.wav", "b.wav")
    assert "made in" not in desk.status()


# --- watching -------------------------------------------------------------------------------------


def watch(desk: Desk, script: Callable[[Callable[[Callable[[], bool]], None]], None]) -> str:
    """Watch ``in`` with a metadata table and scores while ``script`` does something beside."""
    problems: list[BaseException] = []
    stopped = threading.Event()

    def until(holds: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not holds():
            assert time.monotonic() < end, "it did not come to this"
            time.sleep(0.05)

    def beside() -> None:
        try:
            script(until)
        except BaseException as error:
            problems.append(error)
        finally:  # again where it is lost, as in a finaliser
            while not stopped.is_set():
                _thread.interrupt_main()
                stopped.wait(20)

    thread = threading.Thread(target=beside)
    thread.start()
    inputs = jobs.Inputs(
        [str(desk.folder / "in")],
        str(desk.folder / "meta.csv"),
        desk.folder / "scores.csv",
        events=str(desk.folder / "events.csv"),
    )
    place = jobs.Place(desk.out, engine=Kind.INLINE, load=load)
    try:
        jobs.watch(inputs, place, desk.settings, settle_s=0.2, every_s=0.1)
    finally:
        stopped.set()
    thread.join()
    assert not problems, problems
    return desk.said()


def exported(desk: Desk, column: str) -> list[object]:
    try:
        return pd.read_parquet(desk.out / "calls.parquet")[column].tolist()
    except (OSError, ValueError):
        return []


def test_tables_that_come_or_change_while_watching_are_applied(desk: Desk):
    desk.call("in/a.wav")
    searches: list[int] = []

    def script(until: Callable[[Callable[[], bool]], None]) -> None:
        until(lambda: exported(desk, "call_id") == ["a"])
        searches.append(DECODER.calls)
        desk.table("recording,call_id,agent_id\na.wav,C1,0012\n")
        until(lambda: exported(desk, "call_id") == ["C1"])
        assert exported(desk, "agent_id") == ["0012"]
        desk.table("call_id,score\nC1,80\n", "scores.csv")
        until(lambda: exported(desk, "outside_score") == [80.0])
        desk.table('recording,call_id,agent_id\na.wav,C1,"00')  # half written
        desk.table("no,columns\n1,2\n")
        time.sleep(1.0)
        assert exported(desk, "agent_id") == ["0012"]
        desk.table("recording,call_id,agent_id\na.wav,C1,0034\n")
        until(lambda: exported(desk, "agent_id") == ["0034"])
        desk.table("call_id,kind,start,end\nC1,hold,3,5\n", "events.csv")
        until(lambda: exported(desk, "hold_s") == [2.0])

    said = watch(desk, script)
    assert searches == [DECODER.calls]  # nothing was recognised again
    assert "meta.csv is not there yet" in said
    assert 'has no column "recording" or "call_id"' in said
    assert "What was read of it before is used." in said


def test_a_url_cannot_be_watched(desk: Desk):
    with pytest.raises(UsageError, match="s3://bucket/calls/ cannot be watched"):
        jobs.watch(
            jobs.Inputs(["s3://bucket/calls/"]),
            jobs.Place(desk.out, load=load),
            desk.settings,
            settle_s=1,
            every_s=1,
        )


def test_a_huge_file_costs_a_failure_row_and_is_never_read_whole(desk: Desk):
    desk.call("in/a.wav")
    huge = desk.folder / "in" / "huge.mp3"
    huge.touch()
    try:
        os.truncate(huge, 2 * 2**40)
    except OSError:
        pytest.skip("the file system keeps no file of 2 TiB")
    for _ in range(2):
        said = desk.run("in")
        assert "allowed are 16 GiB" in said
        assert desk.ids() == {"in/a.wav": "a", "in/huge.mp3": "huge"}
    os.truncate(desk.folder / "in" / "a.wav", 2 * 2**40)  # a call that is known by now
    assert "2 failed" in desk.run("in")


@dataclass
class Reads:
    """Which recordings were read whole to be told from others."""

    whole: list[str]

    def since(self) -> list[str]:
        read, self.whole[:] = sorted(self.whole), []
        return read


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    whole: list[str] = []
    hashed = files.sha256

    def counted(path: str) -> str:
        whole.append(Path(path).name)
        return hashed(path)

    monkeypatch.setattr(files, "sha256", counted)
    return Reads(whole)


def test_recordings_are_read_whole_only_where_another_one_looks_the_same(desk: Desk, reads: Reads):
    (desk.folder / "in").mkdir()
    long = CALL.stereo(quiet_s=4.0)
    for number in range(4):  # one size, other ends
        changed = long.copy()
        changed[:, :4000] += number / 100
        save(desk.folder / f"in/{number}.wav", changed)
    desk.call("in/short.wav")
    desk.run("in")
    assert reads.since() == []
    desk.run("in")
    assert reads.since() == []
    shutil.copy(desk.folder / "in/2.wav", desk.folder / "in/twin.wav")
    assert "1 a copy" in desk.run("in")
    assert reads.since() == ["twin.wav"]
    middle = long.copy()
    middle[:, long.shape[1] // 2] += 0.5  # the ends of 0.wav, and another call
    save(desk.folder / "in/like.wav", middle)
    desk.run("in")
    assert reads.since() == ["like.wav", "twin.wav"]
    assert len(desk.ids()) == 6
    shutil.move(desk.folder / "in/3.wav", desk.folder / "in/moved.wav")
    (desk.folder / "in/twin.wav").unlink()
    assert "1 judged again" in desk.run("in")
    assert reads.since() == ["moved.wav"]
    assert desk.ids()["in/moved.wav"] == "3"


def test_calls_of_unknown_size_are_found_where_their_recordings_went(desk: Desk, reads: Reads):
    desk.call("in/a.wav")
    desk.call("in/b.wav", 0.5)
    desk.run("in")
    with sqlite3.connect(desk.out / "callcoach.db") as database:
        database.execute("UPDATE recordings SET stamp = '', size = NULL")
    shutil.copytree(desk.folder / "in", desk.folder / "more")
    desk.call("more/c.wav", 1.0)
    assert "2 a copy" in desk.run("more")
    assert reads.since() == ["a.wav", "b.wav"]
    shutil.rmtree(desk.folder / "more")
    shutil.move(desk.folder / "in/a.wav", desk.folder / "in/z.wav")
    assert "searches: 0" in desk.run("in")
    assert desk.ids()["in/z.wav"] == "a"


def test_weeks_and_calling_hours_go_by_one_time_zone(desk: Desk):
    desk.call("in/a.wav")
    table = desk.table("recording,started_at,direction\na.wav,2026-03-15T23:30:00+08:00,outbound\n")
    desk.run("in", metadata=table)
    assert desk.column("calls", "week") == ["2026-W11"]  # Sunday
    elsewhere = desk.settings.time.model_copy(update={"zone": "Asia/Tokyo"})
    desk.settings = desk.settings.model_copy(update={"time": elsewhere})
    said = desk.run("in")
    assert "searches: 0" in said
    assert desk.column("calls", "started_at") == ["2026-03-16T00:30:00+09:00"]
    assert desk.column("calls", "week") == ["2026-W12"]
    weeks = pd.read_csv(desk.out / "agent_weeks.csv")
    assert weeks["week"].tolist() == ["2026-W12"]


def test_a_table_by_call_id_reaches_calls_by_the_ids_they_got(desk: Desk):
    desk.call("day1/0001.wav")
    desk.call("day2/0001.wav", 0.5)
    desk.run("day1", "day2")
    assert sorted(desk.ids().values()) == ["day1_0001", "day2_0001"]
    table = desk.table("call_id,agent_id\nday2_0001,0042\nday1_0001,0007\n")
    said = desk.run("day1", "day2", metadata=table)
    assert "its rows are matched by call id" in said
    assert "searches: 0" in said
    assert desk.column("calls", "agent_id") == ["0007", "0042"]
    assert sorted(desk.ids().values()) == ["day1_0001", "day2_0001"]


def test_a_name_that_led_nowhere_fails_one_run_only(desk: Desk):
    desk.call("in/a.wav")
    desk.run("in")
    kept = desk.folder / "in/a.wav"
    kept.rename(desk.folder / "b.wav")
    said = desk.run("b.wav", "in/a.wav", "mistyped")
    assert "2 failed" in said
    assert len(desk.column("failures", "path")) == 2
    (desk.folder / "b.wav").rename(kept)
    assert "0 failed" in desk.run("in")
    assert desk.column("failures", "path") == []
    assert desk.column("calls", "status") == ["ok"]
    assert pd.isna(desk.column("calls", "error")).all()
