"""The analyst's notebook runs on exported tables as it stands, and finds what was put into made-up calls."""

from __future__ import annotations

import json
import math
import socket
from pathlib import Path
from typing import Any

import pytest

from pipeline.export import export
from pipeline.store import Store
from tests.desk_store import fill, people

NOTEBOOK = Path(__file__).parents[1] / "docs" / "analyst.ipynb"


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory):
    return known_at_the_end(tmp_path_factory.mktemp("tables"), weeks=26, per_week=8)


def known_at_the_end(folder: Path, weeks: int, per_week: int) -> dict[str, Any]:
    """What is known at the end of the notebook, run on made-up calls."""
    with Store.open(folder / "callcoach.db") as store:
        fill(store, people(weeks, per_week))
        export(store, folder, workbook=False)
    book = json.loads(NOTEBOOK.read_text("utf-8"))
    assert book["nbformat"] == 4
    known: dict[str, Any] = {}

    def no_network(*_: object) -> None:
        raise AssertionError("the notebook asks the network")

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CALLCOACH_TABLES", str(folder))
        patch.setattr(socket.socket, "connect", no_network)
        for cell in book["cells"]:
            assert not cell.get("outputs"), "keep no outputs: they go stale"
            if cell["cell_type"] == "code":
                exec(compile("".join(cell["source"]), NOTEBOOK.name, "exec"), known)
    return known


def test_who_changed_is_found(answers):
    changed = answers["answer_1"]
    assert set(changed["agent_id"]) == {"N108"}
    assert "agent_speaking_rate" in set(changed["measure"])
    assert (changed["change"] < 0).all()
    assert (changed["since"] >= "2026-W01").all()


def test_the_dearest_items_are_those_that_every_call_is_judged_by(answers):
    items = answers["answer_2"]
    assert set(items.index[:4]) == {
        "closing_thanks", "opening_greeting", "opening_self_introduction", "further_help"
    }  # fmt: skip
    assert ((items["low"] <= items["points"]) & (items["points"] <= items["high"])).all()
    judged = answers["judged"]
    missing = 100 - 100 * judged["share"].where(judged["verdict"] == "pass", 0).sum() / answers["n"]
    assert items["points"].sum() == pytest.approx(missing)


def test_no_connection_is_claimed_where_none_was_made(answers):
    middle, low, high = answers["answer_3"]
    assert low <= middle <= high
    assert low < 0.05
    assert high > -0.05


def test_it_runs_on_few_calls_and_says_that_they_are_few(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    known = known_at_the_end(tmp_path, weeks=2, per_week=3)
    assert len(known["calls"]) < 50
    assert "Too few to tell: 1 agents" in capsys.readouterr().out
    assert math.isnan(known["answer_3"][0])
