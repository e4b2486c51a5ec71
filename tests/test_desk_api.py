"""The JSON API: what it gives, how it goes on, what has not changed, and how it says no."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pandas as pd
import pytest
import schemathesis
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from schemathesis.specs.openapi.checks import positive_data_acceptance

from pipeline.desk.app import create_app
from pipeline.desk.routes.api import CALL_COLUMNS
from pipeline.export import export
from pipeline.settings import load_settings
from pipeline.store import Store
from tests.desk_client import client
from tests.test_desk_calls import call
from tests.test_store import make_failure
from tests.told import save_samples


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory):
    with Store.open(tmp_path_factory.mktemp("api") / "callcoach.db") as store:
        save_samples(store)
        yield store


@pytest.fixture
def many(tmp_path: Path):
    with Store.open(tmp_path / "callcoach.db") as store:
        for i in range(25):
            store.save(call(f"c{i:02d}", started_at=f"2026-03-{1 + i:02d}T09:00:00+08:00"))
        store.save_failure(make_failure("broken"))
        yield store


def test_calls_have_the_columns_and_values_of_the_tables(samples: Store):
    data = client(samples).get("/api/v1/calls").json()
    assert (data["count"], data["count_is_exact"], data["next"]) == (8, True, None)
    assert list(data["data"][0]) == list(CALL_COLUMNS)
    assert "path" not in data["data"][0]
    table = samples.frame("calls").set_index("call_id")
    for row in data["data"]:
        for name, value in row.items():
            if name == "call_id":
                continue
            known = table.loc[row["call_id"], name]
            assert (value is None and pd.isna(known)) or value == known, name


def test_a_list_goes_on_and_fields_choose_columns(many: Store):
    browser, after, seen = client(many), "", []
    for _ in range(10):
        query = {"limit": "7", "fields": "call_id,duration", "direction": ""} | (
            {"after": after} if after else {}
        )
        part = browser.get("/api/v1/calls", params=query).json()
        assert all(list(row) == ["call_id", "duration"] for row in part["data"])
        assert part["count"] == 26
        seen += [row["call_id"] for row in part["data"]]
        after = part["next"]
        if after is None:
            break
    assert seen == [f"c{i:02d}" for i in range(24, -1, -1)] + ["broken"]


def test_the_whole_filter_comes_as_csv_and_lines(many: Store):
    browser = client(many)
    query = "/api/v1/calls?from=2026-03-03&fields=call_id,warnings,slug"
    answer = browser.get(query, headers={"accept": "text/csv"})
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 23
    assert list(rows[0]) == ["call_id", "warnings", "slug"]
    assert answer.headers["content-type"].startswith("text/csv")
    answer = browser.get(query, headers={"accept": "application/x-ndjson"})
    assert [json.loads(line) for line in answer.text.splitlines()] == rows


def test_parts_of_a_call(samples: Store):
    browser = client(samples)
    at = "/api/v1/calls/refund_silent_hold"
    assert browser.get(at).json()["data"]["agent_id"] == "N102"
    turns = browser.get(f"{at}/turns").json()["data"]
    assert turns[0]["text"] == "喂，哪位？"
    kinds = {e["kind"]: e["detail"] for e in browser.get(f"{at}/events").json()["data"]}
    assert kinds["hold"]["announced"] is False
    verdicts = browser.get(f"{at}/verdicts").json()["data"]
    assert {v["source"] for v in verdicts} == {"rubric", "outside"}
    words = browser.get(f"{at}/words").json()
    assert words["count"] == len(words["data"]) > 100
    assert words["data"][0]["text"] == "喂"
    for other in ("turns", "events", "verdicts", "words"):
        assert browser.get(f"/api/v1/calls/none/{other}").status_code == 404


def test_agents_have_the_numbers_of_the_exported_tables(samples: Store, tmp_path: Path):
    browser = client(samples)
    data = browser.get("/api/v1/agents").json()["data"]
    assert {row["agent_id"] for row in data} == {"N101", "N102", "N103"}
    export(samples, tmp_path, tables=["agents", "agent_weeks"], workbook=False)
    table = pd.read_parquet(tmp_path / "agents.parquet").set_index("agent_id")
    weeks = pd.read_parquet(tmp_path / "agent_weeks.parquet")
    for row in data:
        known = table.loc[row["agent_id"]]
        assert row["calls"] == known["calls"]
        one = browser.get(f"/api/v1/agents/{row['slug']}").json()["data"]
        assert one == row
        for name, values in row["measures"].items():
            for statistic, value in values.items():
                told = known[f"{name}_{statistic}"]
                assert (value is None and pd.isna(told)) or value == told, (name, statistic)
        by_week = browser.get(f"/api/v1/agents/{row['slug']}/weeks").json()["data"]
        of_agent = weeks[weeks["agent_id"] == row["agent_id"]].set_index("week")
        assert {w["week"] for w in by_week} == set(of_agent.index)
        for week in by_week:
            mean = week["measures"]["agent_speaking_rate"]["mean"]
            assert mean == of_agent.loc[week["week"], "agent_speaking_rate_mean"]


def test_agents_by_team_week_and_measure(samples: Store):
    browser = client(samples)
    query = "/api/v1/agents?team=售后组&from=2026-W12&to=2026-W12&measures=holds"
    data = browser.get(query).json()["data"]
    assert {row["agent_id"]: row["calls"] for row in data} == {"N102": 1, "N103": 1}
    assert all(list(row["measures"]) == ["holds"] for row in data)
    assert browser.get("/api/v1/agents?from=2026-03-01").status_code == 400
    assert "agent_level" in browser.get("/api/v1/agents?measures=agent_level").text
    assert browser.get("/api/v1/agents/none").status_code == 404
    assert browser.get("/api/v1/agents/none/weeks").status_code == 404


def test_measures_and_rubrics_are_data(samples: Store):
    browser = client(samples)
    measures = {m["id"]: m for m in browser.get("/api/v1/measures").json()["data"]}
    assert measures["speaking_rate"]["unit_zh"] == "字/分钟"
    assert "stereo" in measures["speaking_rate"]["measured"]
    items = browser.get("/api/v1/items").json()["data"]
    greeting = next(i for i in items if i["id"] == "opening_greeting")
    rubric = browser.get(f"/api/v1/rubrics/{greeting['rubric_hash']}").json()["data"]
    assert {k: v for k, v in greeting.items() if not k.startswith("rubric")} in rubric["items"]
    assert browser.get("/api/v1/rubrics/none").status_code == 404


def test_what_has_not_changed_is_not_sent_again(many: Store):
    browser, address = client(many), "/api/v1/calls?limit=2"
    tag = browser.get(address).headers["etag"]
    again = browser.get(address, headers={"if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert browser.get("/api/v1/calls?limit=3").headers["etag"] != tag
    many.note("someone", "play", "c1")
    assert browser.get(address, headers={"if-none-match": tag}).status_code == 304
    many.save(call("c99", started_at="2026-04-01T09:00:00+08:00"))
    answer = browser.get(address, headers={"if-none-match": tag})
    assert answer.status_code == 200
    assert answer.json()["data"][0]["call_id"] == "c99"


@pytest.mark.parametrize(
    ("address", "status", "told"),
    [
        ("/api/v1/calls/none", 404, "no such call"),
        ("/api/v1/none", 404, "Not Found"),
        ("/api/v1/calls?limit=0", 400, "limit"),
        ("/api/v1/calls?limit=1001", 400, "1000"),
        ("/api/v1/calls?fields=agent,duration", 400, "agent_id"),
        ("/api/v1/calls?direction=up", 400, "inbound"),
        ("/api/v1/calls?after=xx", 400, "no place"),
        ("/api/v1/calls?fields=path", 400, "path"),
    ],
)
def test_problems_are_problems(many: Store, address: str, status: int, told: str):
    answer = client(many).get(address, params={"lang": "en"} if "?" not in address else None)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert set(problem) == {"type", "title", "status", "detail", "hint", "errors"}
    assert told in answer.text
    for hidden in ("Traceback", "SELECT", "/calls/c"):
        assert hidden not in answer.text


def test_a_fault_is_a_problem_too(many: Store, monkeypatch: pytest.MonkeyPatch):
    from pipeline.desk.queries import parts

    monkeypatch.setattr(parts, "of_call", lambda *_: 1 / 0)
    answer = client(many).get("/api/v1/calls/c01/turns")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "ZeroDivision" not in answer.text


def test_the_contract_holds_for_whatever_is_asked(samples: Store):
    app = create_app(samples, load_settings(), hosts=None)
    schema = schemathesis.openapi.from_asgi("/api/v1/openapi.json", app)
    seen = set()

    for operation in schema.get_all_operations():
        one = operation.ok()
        seen.add(one.path)

        @examples(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=one.as_strategy())
        def keeps_to_it(case) -> None:
            case.call_and_validate(excluded_checks=[positive_data_acceptance])

        keeps_to_it()
    assert {"/api/v1/calls", "/api/v1/calls/{slug}/turns", "/api/v1/items"} <= seen


@pytest.mark.parametrize(
    ("address", "near"),
    [
        ("/calls?scroe=3", "score"),
        ("/agents?teem=x", "team"),
        ("/search?q=您好&hwo=agent", "who"),
        ("/appeals?agnet=N1", "agent"),
        ("/measures?limt=3", ""),
    ],
)
def test_a_filter_that_is_none_is_refused_as_on_the_page(samples: Store, address: str, near: str):
    answer = client(samples).get(f"/api/v1{address}")
    assert answer.status_code == 400
    problem = answer.json()
    assert problem["detail"].startswith("There is no filter")
    assert f'Did you mean "{near}"?' in problem["hint"] if near else True
