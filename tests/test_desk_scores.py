"""Both scores, the machine's and the one by the verdicts in force: one number on pages, API, report, tables."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.desk.report import report
from pipeline.desk.words import Words
from pipeline.export import export
from pipeline.measures import POOLED
from pipeline.rubric import load_rubric, score
from pipeline.rubric.scoring import Judged, points
from pipeline.settings import load_settings
from pipeline.store import Store
from tests.desk_client import client, get, text_of
from tests.test_desk_decisions import REASON, post
from tests.test_store import make_result
from tests.told import save_samples, told

CALL = "refund_silent_hold"
ITEM = "hold_consent"


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory):
    """The sample calls, one of them with an item that people judged otherwise."""
    with Store.open(tmp_path_factory.mktemp("reviewed") / "callcoach.db") as store:
        save_samples(store)
        machine = next(v for v in told(CALL).verdicts if v.item_id == ITEM and v.source == "rubric")
        assert machine.verdict == "fail"
        post(client(store), f"/calls/{CALL}/items/{ITEM}/reviews", verdict="pass", seen="fail")
        yield store


def scores(store: Store, call_id: str) -> tuple[float | None, float | None, int]:
    row = store.frame("calls", call_id).iloc[0]
    of = ("compliance_score", "reviewed_score")
    machine, people = (None if pd.isna(row[name]) else float(row[name]) for name in of)
    return machine, people, int(row["reviewed_items"])


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["pass", "fail", "cannot_tell", "not_applicable"]),
            st.sampled_from([1.0, 2.5, 5.0]),
            st.booleans(),
        ),
        max_size=12,
    )
)
def test_a_score_is_the_share_of_weight_that_passed(rows: list[tuple[str, float, bool]]):
    found = points([Judged(*row) for row in rows], 0.5)
    passed = sum(w for v, w, _ in rows if v == "pass")
    judged = passed + sum(w for v, w, _ in rows if v == "fail")
    open_weight = sum(w for v, w, _ in rows if v == "cannot_tell")
    if any(v == "fail" and veto for v, _, veto in rows):
        assert found.score == 0.0
    elif judged and judged >= open_weight:
        assert found.score == pytest.approx(100 * passed / judged, abs=0.01)
    else:
        assert found.score is None


def test_the_reviewed_score_is_made_as_the_machine_s_is(reviewed: Store):
    result, rubric = told(CALL), load_rubric("hotline")
    machine, people, items = scores(reviewed, CALL)
    changed = [
        dataclasses.replace(v, verdict="pass") if v.item_id == ITEM else v for v in result.verdicts
    ]
    assert machine == score(result.verdicts, rubric).compliance_score
    assert people == score(changed, rubric).compliance_score
    assert people > machine
    assert items == 1
    others = reviewed.frame("calls").query("call_id != @CALL and status != 'failed'")
    assert others["reviewed_score"].equals(others["compliance_score"])
    assert (others["reviewed_items"] == 0).all()


def test_it_outlives_a_new_analysis_and_a_failed_veto_makes_it_0(tmp_path: Path):
    rubric = load_rubric("hotline")
    with Store.open(tmp_path / "callcoach.db") as store:
        save_samples(store)
        before = scores(store, CALL)
        store.decide(
            "reviews", "a", call_id=CALL, item_id=ITEM, verdict="pass", seen_verdict="fail"
        )
        after = scores(store, CALL)
        store.save(told(CALL))
        assert scores(store, CALL) == after != before
        veto = next(i.id for i in rubric.items if i.severity == "veto")
        store.decide(
            "reviews", "a", call_id=CALL, item_id=veto, verdict="fail", seen_verdict="pass"
        )
        assert scores(store, CALL) == (before[0], 0.0, 2)
        store.decide(
            "reviews", "b", call_id=CALL, item_id=veto, verdict="pass", seen_verdict="pass"
        )
        assert scores(store, CALL) == (before[0], after[1], 2)  # the newest counts
        store.decide("reviews", "b", call_id="gone", item_id=veto, verdict="pass")


def test_without_its_rubric_a_reviewed_call_has_no_score_of_people(tmp_path: Path):
    with Store.open(tmp_path / "callcoach.db") as store:
        result = make_result("c1")
        store.save(result)
        item = next(v for v in result.verdicts if v.source == "rubric")
        store.decide("reviews", "a", call_id="c1", item_id=item.item_id, verdict="pass")
        assert scores(store, "c1")[1:] == (None, 1)


def test_page_api_report_and_parquet_agree_to_the_last_digit(reviewed: Store, tmp_path: Path):
    browser, words = client(reviewed), Words("zh")
    export(reviewed, tmp_path, tables=["calls", "agents", "verdicts"], workbook=False)
    calls = pd.read_parquet(tmp_path / "calls.parquet").set_index("call_id")
    agents = pd.read_parquet(tmp_path / "agents.parquet").set_index("agent_id")
    for row in browser.get("/api/v1/calls").json()["data"]:
        known = calls.loc[row["call_id"]]
        for name in ("compliance_score", "reviewed_score", "reviewed_items"):
            assert (row[name] is None and pd.isna(known[name])) or row[name] == known[name]
    shown = text_of(get(browser, f"/calls/{CALL}"))
    machine, people, _ = scores(reviewed, CALL)
    assert f"复核后得分 {words.number(people, 'score')}" in shown
    assert f"机器 {words.number(machine, 'score')}，复核 1 项" in shown
    assert "已复核，机器：要改" in shown
    verdicts = browser.get(f"/api/v1/calls/{CALL}/verdicts").json()["data"]
    one = next(v for v in verdicts if v["item_id"] == ITEM and v["source"] == "rubric")
    told_of = {k: one[k] for k in ("verdict", "in_force", "in_force_by", "is_stale")}
    assert told_of == {
        "verdict": "fail", "in_force": "pass", "in_force_by": "review", "is_stale": False
    }  # fmt: skip
    assert len(verdicts) == sum(pd.read_parquet(tmp_path / "verdicts.parquet").call_id == CALL)
    several = agents.index[agents["calls"] >= 3]  # with fewer there is no mean on a page
    assert "N102" in several
    for agent in several:
        pages = {
            "page": get(browser, f"/agents/{agent}"),
            "report": report(reviewed, load_settings(), agent=agent),
        }
        answer = browser.get(f"/api/v1/agents/{agent}").json()["data"]["measures"]
        for one in (p for p in POOLED if p.measure.id in ("reviewed_score", "compliance_score")):
            value = agents.loc[agent, f"{one.name}_mean"]
            assert answer[one.name]["mean"] == value
            for which, html in pages.items():
                cell = re.search(rf"{one.zh}(?:</a>)?[ <].*?</th><td class=\"n\">(.*?)</td>", html)
                assert cell, (which, agent)
                assert cell[1] == words.number(value, "score"), (which, agent, one.name)
    row = agents.loc["N102"]
    assert row["reviewed_score_mean"] > row["compliance_score_mean"]


def test_an_appeal_goes_all_the_way_and_is_stale_after_a_new_analysis(tmp_path: Path):
    with Store.open(tmp_path / "callcoach.db") as store:
        save_samples(store)
        browser, address = client(store), f"/calls/{CALL}/items/{ITEM}"
        before = scores(store, CALL)
        post(browser, f"{address}/appeals", by="小郭", wanted="pass", reason=REASON, second="0:20")
        assert scores(store, CALL) == before  # what is asked changes nothing
        assert ITEM in get(browser, "/reviews?kind=appeal")
        post(
            browser,
            "/appeals/1/steps",
            by="王老师",
            action="change",
            note="听到了，确实征求了同意。",
        )
        assert scores(store, CALL)[1] > before[1]
        assert ITEM not in get(browser, "/reviews?kind=appeal")
        assert "复核以后机器改判过" not in text_of(get(browser, f"/calls/{CALL}"))
        result = told(CALL)
        new = tuple(
            dataclasses.replace(v, verdict="cannot_tell") if v.item_id == ITEM else v
            for v in result.verdicts
        )
        store.save(dataclasses.replace(result, verdicts=new))
        assert ITEM in get(browser, "/reviews?kind=stale")
        assert "复核以后机器改判过" in text_of(get(browser, f"/calls/{CALL}"))
        assert scores(store, CALL)[2] == 1  # and still in force
