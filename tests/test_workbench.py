"""The tools over stored calls, on one call analysed with stand-ins for the models."""

import re
from pathlib import Path

import pytest

from pipeline import qa_scores as outside
from pipeline.commands import workbench
from pipeline.errors import UsageError
from pipeline.settings import load_settings
from pipeline.store import Store
from tests import fakes

HOTLINE, OUTBOUND = "rubrics/hotline.yaml", "rubrics/outbound.yaml"
CALL = fakes.Script.of(
    ("agent", 1.0, "您好请问有什么可以帮您"), ("customer", 6.0, "你好我想查一下我的电话费")
)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    path = fakes.save(tmp_path / "one.wav", CALL.stereo())
    recording = fakes.recording(path, agent_channel=0, direction="inbound")
    with Store.open(tmp_path) as store:
        (step,) = fakes.batch([recording], load_settings(), store, lambda _: fakes.models(CALL))
        assert step.outcome == "analysed"
    return tmp_path


def scored(out: Path, text: str) -> None:
    sheet = out / "scores.csv"
    sheet.write_text(text, "utf-8")
    with Store.open(out) as store:
        joined = outside.join(outside.read_scores(sheet).rows, store.frame("calls"))
        store.save_outside(joined.rows)


def test_try_says_what_was_looked_for_found_and_scored(out: Path):
    lines = workbench.try_on(HOTLINE, "one", out)
    assert "opening_greeting: pass" in lines
    assert any("您好" in line for line in lines)
    assert any(line.startswith("opening_greeting: pass, ") for line in lines)  # the arithmetic
    assert "  做到了：开场问候" in lines
    assert any(line.startswith("section 开场 (opening): ") for line in lines)


def test_try_on_an_unknown_call_names_the_known_one(out: Path):
    with pytest.raises(UsageError, match="one"):
        workbench.try_on(HOTLINE, "ome", out)


def test_diff_shows_what_changes_and_nothing_else(out: Path):
    assert workbench.diff(HOTLINE, HOTLINE, out) == ["0 verdicts change."]
    changed = workbench.diff(HOTLINE, OUTBOUND, out)
    assert "opening_offer_help: not judged any more" in changed
    assert not any("opening_offer_help: pass ->" in line for line in changed)


def test_agreement_lists_items_judged_by_both_and_the_disagreement(out: Path):
    scored(
        out,
        "call_id,item_id,verdict\none,opening_greeting,pass\none,opening_offer_help,fail\n",
    )
    text = "\n".join(workbench.agreement(out))
    assert "opening_greeting" in text
    assert "Disagreements: 1" in text
    assert "closing_goodbye" not in text


def test_agreement_without_outside_scores_says_what_to_do(out: Path):
    with pytest.raises(UsageError, match="--scores"):
        list(workbench.agreement(out))


def test_status_shows_the_newest_run_in_business_time(tmp_path: Path):
    with Store.open(tmp_path) as store:
        store.end_run(store.begin_run(1), "finished")
    (line,) = (x for x in workbench.status(str(tmp_path)) if x.startswith("Newest run"))
    assert re.search(r"started \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \(Asia/Shanghai\) on", line)


def test_status_counts_calls_and_failures(out: Path):
    lines = list(workbench.status(str(out)))
    assert lines[0].startswith("1 calls, ")
    assert "  ok: 1" in lines
