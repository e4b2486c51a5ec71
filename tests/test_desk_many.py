"""The made-up calls of the desk's budgets: every page of the benchmark answers over them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.store import Store
from tests.benchmarks.desk import BUDGETS, addresses
from tests.benchmarks.desk_calls import HOUR, fill
from tests.desk_client import client, get


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory):
    with Store.open(tmp_path_factory.mktemp("many") / "callcoach.db") as store:
        fill(store, 240, templates=60)
        yield store


def test_copies_are_whole_calls(many: Store, tmp_path: Path):
    calls = many.frame("calls")
    assert len(calls) == calls["slug"].nunique() == 241
    assert many.count("verdicts") == sum(len(many.load(i).verdicts) for i in calls["call_id"])
    assert len(many.load(HOUR).turns) == 540
    api = client(many).get("/api/v1/search?q=三到五个工作日&limit=50").json()["data"]
    said = many.frame("turns").text.str.contains("三到五个工作日")
    assert 0 < len(api) <= said.sum()
    assert {row["text"] for row in api} == {"您的退款三到五个工作日到账。"}


@pytest.mark.parametrize("name", BUDGETS)
def test_every_page_of_the_benchmark_answers(many: Store, name: str):
    of_page, browser = addresses()[name], client(many)
    for address in (next(of_page), next(of_page)):
        agent = address.removeprefix("/agents/")
        if agent != address:  # not all of the 200 are there
            address = f"/agents/{many.frame('calls').agent_id.dropna().iloc[0]}"
        if address.startswith("/api/"):
            assert browser.get(address).status_code == 200
        elif "/calls/" not in address or address.endswith(HOUR):
            get(browser, address)
