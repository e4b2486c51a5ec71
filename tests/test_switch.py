"""What a switch knows of a call takes the place of what was heard, and both are kept."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import pandas as pd
import pytest

from pipeline.commands import jobs
from pipeline.commands.workbench import agreement_with_switch
from pipeline.dialogue.switch import agent_away, part_turns, take_events
from pipeline.errors import UsageError
from pipeline.evaluation import compare_with_switch
from pipeline.rubric import Rubrics
from pipeline.schema import AGENT, CUSTOMER, Event, SwitchEvent, Turn
from pipeline.settings import Settings, load_settings
from pipeline.speech.models import Models, weights_used
from pipeline.store import Store
from tests import fakes
from tests.fakes import Script, ScriptDecoder, save
from tests.test_store import make_result

CALL = Script.of(
    (AGENT, 0.5, "您好这里是晴山商城请稍等一下"),
    (AGENT, 24.0, "让您久等了已经查到"),
    (CUSTOMER, 28.0, "好的那我等着"),
    (AGENT, 31.0, "再见"),
)
DECODER = ScriptDecoder(CALL)
RUBRICS = Rubrics(load_settings())


def load(settings: Settings) -> Models:
    return fakes.models(CALL, decoder=DECODER, weights=weights_used(settings))


def run(folder: Path, events: str | None = None, *, force: bool = False) -> None:
    table = folder / "events.csv"
    if events is not None:
        table.write_text(f"recording,kind,start,end,agent_id\n{events}\n", encoding="utf-8")
    inputs = jobs.Inputs([str(folder / "in")], events=str(table) if events is not None else None)
    assert fakes.analyse_tables(inputs, folder / "out", RUBRICS, load, force=force)[1] == []


def tables(folder: Path) -> tuple[pd.Series, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    with Store.open(folder / "out") as store:
        calls, *others = (store.frame(t) for t in ("calls", "events", "turns", "verdicts"))
    return (calls.iloc[0], *others)


def verdict_of(verdicts: pd.DataFrame, item: str) -> str:
    return str(verdicts.set_index("item_id").loc[item, "verdict"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    save(tmp_path / "in" / "a.wav", CALL.stereo())
    return tmp_path


def test_events_of_the_switch_take_the_place_of_what_was_heard(folder: Path):
    run(folder)
    call, events, *_ = tables(folder)
    assert call["holds"] == 1
    assert events["source"].eq("heard").all()
    assert not events["superseded"].any()
    heard = events[events["kind"] == "hold"].iloc[0]
    searches = DECODER.calls

    run(folder, "a.wav,hold,6,23.5,")
    assert DECODER.calls == searches  # judged again, not recognised
    call, events, *_ = tables(folder)
    held = events[events["kind"] == "hold"].set_index("source")
    assert held.loc["switch", ["start", "end", "superseded"]].tolist() == [6, 23.5, False]
    assert held.loc["heard", ["start", "end", "superseded"]].tolist() == [
        heard["start"], heard["end"], True,
    ]  # fmt: skip
    assert (call["holds"], call["hold_s"]) == (1, 17.5)
    detail = json.loads(str(held.loc["switch", "detail"]))
    assert detail["announced"]
    assert detail["medium"] == "silence"

    run(folder)  # not given again: it stays, and nothing is done
    assert tables(folder)[0]["hold_s"] == 17.5
    run(folder, "a.wav,hold,6,22,")  # corrected
    assert tables(folder)[0]["hold_s"] == 16
    assert DECODER.calls == searches

    run(folder, "a.wav,hold,6,22,", force=True)
    known = tables(folder)
    assert DECODER.calls > searches
    assert known[0]["hold_s"] == 16
    assert int((known[1]["source"] == "switch").sum()) == 1


def test_a_wait_that_was_no_hold_is_dead_air_and_a_pause_is_neither(folder: Path):
    run(folder, "a.wav,hold,28,30,")
    call, events, *_ = tables(folder)
    counted = events[~events["superseded"]]
    assert call["holds"] == 1
    assert call["dead_air"] == 1
    assert "instead_of" in counted[counted["kind"] == "dead_air"]["detail"].iloc[0]
    run(folder, "a.wav,暂停,5,24,")
    call, events, *_ = tables(folder)
    assert (call["holds"], call["dead_air"]) == (0, 0)
    assert "instead_of" not in "".join(events["detail"])
    assert (events["kind"] == "recorder_pause").sum() == 1


def test_rubric_items_go_by_the_switch(folder: Path):
    run(folder)
    assert verdict_of(tables(folder)[3], "transfer_reason") == "not_applicable"
    assert verdict_of(tables(folder)[3], "hold_thanks") == "pass"
    run(folder, "a.wav,转接,32,,")
    assert verdict_of(tables(folder)[3], "transfer_reason") == "fail"
    run(folder, "a.wav,暂停,5,24,")
    assert verdict_of(tables(folder)[3], "transfer_reason") == "not_applicable"
    assert verdict_of(tables(folder)[3], "hold_thanks") == "not_applicable"


def test_speech_of_machines_and_of_others_is_nobodys(folder: Path):
    run(folder)
    before = tables(folder)
    run(folder, "a.wav,ivr,0,5,\na.wav,agent_leave,27,,N1")
    call, _, turns, _ = tables(folder)
    aside = turns[turns["aside"].notna()]
    assert aside["aside"].tolist() == ["ivr", "away"]
    assert len(turns) == len(before[2])  # nothing is lost
    assert call["agent_units"] == 9
    assert call["agent_talk_s"] == pytest.approx(2.2, abs=0.3)
    assert pd.isna(call["agent_level_dbfs"])  # measured with turns that do not count
    assert not pd.isna(call["customer_level_dbfs"])
    assert "(2 of the turns) are neither" in call["warnings"]
    run(folder, "a.wav,ivr,0,5,\na.wav,agent_leave,27,,N1", force=True)
    forced = tables(folder)[0]
    assert forced["agent_level_dbfs"] == pytest.approx(before[0]["agent_level_dbfs"], abs=1)
    same = ["agent_units", "agent_talk_s", "holds", "hold_s", "dead_air", "agent_turns"]
    assert forced[same].tolist() == call[same].tolist()


def test_agreement_with_the_switch(folder: Path):
    run(folder)
    with pytest.raises(UsageError, match="no events of a switch"):
        list(agreement_with_switch(str(folder / "out")))
    run(folder, "a.wav,hold,6,23.5,")
    said = "\n".join(agreement_with_switch(str(folder / "out")))
    assert "precision_low" in said
    assert re.search(r"hold +1 +1 +1 +1 +1\.00", said)


def test_agreement_counts_pairs_and_errors() -> None:
    rows = [
        ("a", "hold", 10.0, 40.0, "switch"), ("a", "hold", 12.0, 40.0, "heard"),
        ("a", "hold", 60.0, 70.0, "heard"), ("b", "hold", 5.0, 25.0, "switch"),
        ("c", "hold", 5.0, 25.0, "heard"), ("b", "dead_air", 5.0, 25.0, "heard"),
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["call_id", "kind", "start", "end", "source"])
    found = compare_with_switch(frame).iloc[0]
    assert found[["kind", "calls", "switch", "heard", "paired"]].tolist() == ["hold", 2, 2, 2, 1]
    assert found[["precision", "recall"]].tolist() == [0.5, 0.5]
    assert found[["start_error_s", "length_error_s"]].tolist() == [2.0, -2.0]
    assert 0 < found["recall_low"] < 0.5 < found["recall_high"] < 1
    assert compare_with_switch(frame[frame["source"] == "heard"]).empty


def test_when_the_agent_is_away() -> None:
    join, leave, transfer = "agent_join", "agent_leave", "transfer"
    inf = float("inf")
    for moves, agent, away, over in (
        ([], "A", [], None),
        ([(transfer, 50, None)], "A", [(50, inf)], 50),
        ([(transfer, 50, None), (join, 80, "A")], "A", [(50, 80)], None),
        ([(join, 0, "A"), (transfer, 50, None), (join, 80, "A")], "A", [(-inf, 0), (50, 80)], None),
        ([(join, 5, "A"), (leave, 90, "A")], "A", [(-inf, 5), (93, inf)], None),
        ([(join, 5, "A"), (join, 60, "B"), (leave, 70, "A")], "A", [(-inf, 5), (60, inf)], 60),
        ([(join, 5, "A"), (join, 60, "B"), (leave, 70, "B")], "A", [(-inf, 5), (60, 70)], None),
        ([(join, 5, "B"), (leave, 50, "B"), (join, 50, "A")], "A", [(-inf, 50)], None),
        ([(join, 5, "B"), (join, 60, "C"), (leave, 60, "B")], None, [(-inf, 5), (60, inf)], 60),
        ([(join, 5, "12"), (leave, 60, "12")], "0012", [(-inf, 5), (63, inf)], None),
        ([(transfer, 50, "A"), (join, 55, "B")], "A", [(50, inf)], 50),
    ):
        events = [SwitchEvent(kind, at, at, who) for kind, at, who in moves]
        assert agent_away(events, agent) == (away, over), moves


def test_after_a_transfer_another_leg_begins_and_nobody_is_accused_of_it(folder: Path):
    run(folder)
    before = tables(folder)
    assert before[0]["legs"] == 1
    run(folder, "a.wav,转接,23,,N1")
    call, _, turns, verdicts = tables(folder)
    assert call["legs"] == 2
    assert turns["leg"].tolist() == [1, 2, 2, 2]
    assert turns["aside"].isna().all()
    assert call["agent_units"] == 14
    assert pd.isna(call["agent_level_dbfs"])
    assert verdict_of(verdicts, "hold_thanks") != "fail"
    closing = verdicts[verdicts["item_id"].str.startswith("closing")]
    assert not (closing["verdict"] == "fail").any()
    run(folder, "a.wav,暂停,5,6,")
    call, _, turns, _ = tables(folder)
    assert turns["leg"].tolist() == [1, 1, 1, 1]
    assert call["agent_units"] == before[0]["agent_units"]
    assert call["agent_level_dbfs"] == before[0]["agent_level_dbfs"]


def test_what_the_switch_takes_away_comes_back_when_it_is_corrected() -> None:
    turn = Turn(0, AGENT, 1.0, 4.0, ((1.0, 4.0),), "您好", (), 0.9)
    heard = [
        Event("hold", 10.0, 30.0, AGENT, {"medium": "silence", "announced": True}),
        Event("interruption", 1.0, 2.0, AGENT, {"overlap_s": 0.5}),
    ]
    said = [SwitchEvent("ivr", 0.0, 5.0), SwitchEvent("hold", 10.0, 20.0)]
    turns, aside = part_turns([turn], said, None)
    assert (turns, [t.aside for t in aside]) == ((), ["ivr"])
    events, gone, _ = take_events(heard, turns, aside, said, 60.0)
    assert {e.kind for e in events} == {"machine_speech", "hold", "dead_air"}
    assert {e.kind for e in gone} == {"hold", "interruption"}
    turns, aside = part_turns(aside, None, None)
    assert (turns, aside) == ((turn,), ())
    events, gone, _ = take_events([*events, *gone], turns, aside, None, 60.0)
    assert list(events) == sorted(heard, key=lambda e: e.start)
    assert gone == ()


def test_an_event_that_goes_on_after_the_recording_is_cut_and_said() -> None:
    said = [SwitchEvent("hold", 10.0, 110.0), SwitchEvent("pause", 50.0, 60.9)]
    events, _, notes = take_events([], (), (), said, 60.0)
    assert [(e.start, e.end) for e in events] == [(10.0, 60.0), (50.0, 60.0)]
    assert len(notes) == 1
    assert "hold 10 to 110 s" in notes[0]


def test_the_store_keeps_both_and_what_was_set_aside(store: Store) -> None:
    result = make_result()
    said = SwitchEvent("hold", 1.0, 2.0, "A2")
    recording = dataclasses.replace(result.recording, switch=(said,))
    known = Event("hold", 1.0, 2.0, AGENT, {}, source="switch")
    kept = dataclasses.replace(
        result,
        recording=recording,
        turns=result.turns[1:],
        aside=(dataclasses.replace(result.turns[0], aside="ivr"),),
        events=(known,),
        superseded=(Event("hold", 0.5, 2.5, AGENT),),
    )
    store.save(kept)
    assert store.load("c1") == kept
    assert store.known(["c1"])["c1"].recording.switch == (said,)
    events = store.frame("events")
    assert events["source"].tolist() == ["switch", "heard"]
    assert events["superseded"].tolist() == [False, True]
    assert store.frame("turns")["aside"].fillna("").tolist() == ["ivr", "", "", ""]
