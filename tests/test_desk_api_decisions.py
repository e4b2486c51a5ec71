"""The JSON API of decisions, search, runs and failures: once and no more, by key, and one shape of errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from pipeline.store import Store
from tests.desk_client import client
from tests.desk_store import fill, people
from tests.test_desk_decisions import REASON, an_item
from tests.test_store import make_failure


@pytest.fixture
def browser(tmp_path: Path):
    with Store.open(tmp_path / "callcoach.db") as store:
        fill(store, people(weeks=5, per_week=4))
        yield client(store)


def post(browser: TestClient, address: str, status: int = 201, key: str = "", **body: Any) -> dict:
    """Send a change as a program does; gives the row or the problem."""
    headers = {"Idempotency-Key": key} if key else {}
    answer = browser.post(f"/api/v1{address}", json={"by": "王老师", **body}, headers=headers)
    assert answer.status_code == status, answer.text
    if status == 201:
        return answer.json()["data"]
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "detail", "hint", "errors"}
    assert problem["status"] == status
    return problem


def rows(browser: TestClient, address: str) -> list[dict]:
    return browser.get(f"/api/v1{address}").json()["data"]


def store_of(browser: TestClient) -> Store:
    return browser.app.state.store


def test_a_review_is_written_once_however_often_it_is_sent(browser: TestClient):
    address, call_id = an_item(store_of(browser), "fail", "closing_thanks")
    tag = browser.get("/api/v1/reviews").headers["etag"]
    first = post(browser, f"{address}/reviews", key="k1", verdict="pass", seen="fail", note="说了")
    assert first == post(
        browser, f"{address}/reviews", key="k1", verdict="pass", seen="fail", note="说了"
    )
    found = rows(browser, "/reviews")
    assert [r["id"] for r in found] == [first["id"]]
    assert found[0]["call_id"] == call_id
    assert (found[0]["actor"], found[0]["seen_verdict"]) == ("王老师", "fail")
    assert (
        "another request"
        in post(browser, f"{address}/reviews", 409, key="k1", verdict="fail")["detail"]
    )
    again = browser.get("/api/v1/reviews", headers={"if-none-match": tag})
    assert again.status_code == 200
    post(browser, f"{address}/reviews", 409, verdict="fail", seen="pass")
    post(browser, f"{address}/reviews", 400, verdict="good")
    post(browser, f"{address}/reviews", 400, verdict="pass", colour="red")
    post(browser, f"{address}/reviews", 400, verdict="pass", by=" ")
    post(browser, "/calls/none/items/x/reviews", 404, verdict="pass")
    assert len(rows(browser, "/reviews")) == 1
    verdicts = rows(browser, address.split("/items")[0] + "/verdicts")
    assert [v["in_force"] for v in verdicts if v["item_id"] == "closing_thanks"] == ["pass"]


def test_an_appeal_goes_all_the_way(browser: TestClient):
    address, _ = an_item(store_of(browser), "fail", "closing_thanks")
    asked = post(browser, f"{address}/appeals", by="小郭", wanted="pass", reason=REASON, second=3.5)
    post(browser, f"{address}/appeals", 409, by="小郭", wanted="pass", reason=REASON)
    answers = f"/appeals/{asked['id']}/answers"
    one = post(browser, answers, key="a", action="keep", note="听了，结尾没有道谢。")
    assert one == post(browser, answers, key="a", action="keep", note="听了，结尾没有道谢。")
    post(browser, answers, 409, action="change", note="再听了一遍，确实说了。")
    post(browser, answers, by="小郭", action="again", note="请另一位老师再听一遍。")
    post(
        browser, answers, 400, action="change", note="再听了一遍，确实说了。"
    )  # the first answered it
    post(browser, answers, by="李老师", action="change", note="再听了一遍，确实说了。")
    known = rows(browser, "/appeals")[0]
    assert known["state"] == "final"
    assert [s["action"] for s in known["steps"]] == ["keep", "again", "change"]
    assert [r["verdict"] for r in rows(browser, "/reviews?why=appeal")] == ["pass", "fail"]
    post(browser, "/appeals/999/answers", 404, action="keep", note="没有这条申诉的回答。")
    post(browser, f"/appeals/{2**80}/answers", 400, action="keep", note="x")


def test_goals_and_notes(browser: TestClient):
    goal = {
        "measure": "agent_speaking_rate",
        "direction": "less",
        "size": 20.0,
        "since": "2025-10-27",
    }
    made = post(browser, "/agents/N102/goals", key="g", **goal)
    assert made["aim"] == -20.0
    assert made["baseline"]["shrunk"]["value"] > 0
    assert made == post(browser, "/agents/N102/goals", key="g", **goal)
    post(browser, "/agents/N102/goals", 409, **goal)
    post(browser, "/agents/N108/goals", 400, **goal | {"measure": "agent_speaking_rat"})
    post(browser, "/agents/none/goals", 404, **goal)
    assert [g["id"] for g in rows(browser, "/goals?agent=N102")] == [made["id"]]
    assert rows(browser, "/goals?agent=N108") == []
    for i in range(5):
        post(browser, "/agents/N108/notes", text=f"第{i}条")
    part = browser.get("/api/v1/notes?agent=N108&limit=2").json()
    assert [n["text"] for n in part["data"]] == ["第4条", "第3条"]
    part = browser.get(f"/api/v1/notes?agent=N108&limit=3&after={part['next']}").json()
    assert [n["text"] for n in part["data"]] == ["第2条", "第1条", "第0条"]
    assert part["next"] is None
    assert browser.get("/api/v1/notes?after=x").status_code == 400


def test_search_runs_and_failures(browser: TestClient):
    store = store_of(browser)
    found = browser.get("/api/v1/search?q=客服中心&limit=10").json()
    one = found["data"][0]
    ((a, b),) = one["stretches"]
    assert one["text"][a:b] == "客服中心"
    turns, seen = store.frame("turns").text.str.contains("客服中心").sum(), []
    while True:
        seen += [(r["call_id"], r["turn"]) for r in found["data"]]
        if found["next"] is None:
            break
        found = browser.get(f"/api/v1/search?q=客服中心&limit=10&after={found['next']}").json()
    assert len(seen) == len(set(seen)) == turns
    assert rows(browser, "/search?q=刻符中新&by=sound&limit=1")
    assert browser.get("/api/v1/search?q=，。").status_code == 400
    for i in range(3):
        store.save_failure(make_failure(f"broken{i}"))
    part = browser.get("/api/v1/failures?limit=2").json()
    assert [f["call_id"] for f in part["data"]] == ["broken0", "broken1"]
    assert "path" not in part["data"][0]
    rest = rows(browser, f"/failures?after={part['next']}")
    assert [f["call_id"] for f in rest] == ["broken2"]
    store.end_run(store.begin_run(3), "finished")
    assert [r["state"] for r in rows(browser, "/runs")] == ["finished"]


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site", "content-type": "application/json"},
        {"origin": "http://elsewhere.example", "content-type": "application/json"},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
    ],
)
def test_changes_come_from_programs_and_pages_of_this_server_alone(
    browser: TestClient, headers: dict[str, str]
):
    answer = browser.post(
        "/api/v1/agents/N102/notes", content='{"by": "x", "text": "y"}', headers=headers
    )
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert rows(browser, "/notes") == []
