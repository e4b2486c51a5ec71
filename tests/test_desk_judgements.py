"""Verdicts of many calls from their bytes: what their rows say, with what people said of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from pipeline.agents import iso_week
from pipeline.desk.judgements import doubtful, drawn, item_counts, item_pool, newest_with
from pipeline.desk.queries.filters import Filters
from pipeline.desk.scope import Scope
from pipeline.rubric import load_rubric
from pipeline.store import Store
from tests.desk_store import fill, people
from tests.told import save_samples, told


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    """Some weeks of made-up calls, ten verdicts of which people overturned."""
    with Store.open(tmp_path_factory.mktemp("judged") / "callcoach.db") as store:
        fill(store, people(weeks=6, per_week=4))
        rows = store.frame("verdicts").query("verdict in ('pass', 'fail')").iloc[::37].head(10)
        for row in rows.itertuples():
            other = "cannot_tell" if row.verdict == "pass" else "pass"
            store.decide(
                "reviews", "a", call_id=row.call_id, item_id=row.item_id, verdict=other,
                seen_verdict=row.verdict,
            )  # fmt: skip
        yield store


def in_force(store: Store):
    """The rows of all verdicts, by what counts."""
    rows = store.frame("verdicts").merge(
        store.frame("calls", columns=["call_id", "agent_id", "started_at", "team"]), on="call_id"
    )
    for (call_id, item_id), verdict in reviews_in(store).items():
        rows.loc[(rows.call_id == call_id) & (rows.item_id == item_id), "verdict"] = verdict
    return rows


def reviews_in(store: Store) -> dict[tuple[str, str], str]:
    from pipeline.desk.queries.decisions import newest_reviews

    found = store.fetch(newest_reviews().select())
    return {(r.call_id, r.item_id): r.verdict for r in found}


def test_counts_are_those_of_the_rows_with_what_people_said(made: Store):
    digest = load_rubric("hotline").sha256
    found = item_counts(Scope(made), digest, ())
    rows = in_force(made)
    expected = rows.groupby(["item_id", "verdict"]).size().to_dict()
    assert {(i, v): n.calls for i, of in found.items() for v, n in of.items()} == expected
    assert sum(n.reviewed for of in found.values() for n in of.values()) == 10
    assert sum(n.overturned for of in found.values() for n in of.values()) == 10
    assert item_counts(Scope(made), "another", ()) == {}
    weeks = sorted(set(made.frame("calls").week))
    parts = [item_counts(Scope(made), digest, part) for part in (weeks[:2], weeks[2:])]
    both = sum(n.calls for part in parts for of in part.values() for n in of.values())
    assert item_counts(Scope(made), digest, weeks) == found
    assert both == len(rows)


def test_moments_of_an_item_are_of_the_newest_calls(made: Store):
    rows = made.frame("verdicts").query("item_id == 'closing_thanks' and verdict == 'fail'")
    started = made.frame("calls").set_index("call_id").started_at
    ids = newest_with(Scope(made), "closing_thanks", "fail", 5)
    assert [started[i] for i in ids] == sorted((started[i] for i in rows.call_id), reverse=True)[:5]
    assert newest_with(Scope(made), "nothing", "fail", 5) == []


def test_items_by_agent_and_week_are_those_of_the_rows(made: Store):
    rows = in_force(made)
    rows = rows[(rows.team == "售后组") & rows.verdict.isin(["pass", "fail"])]
    rows = rows.assign(day=rows.started_at.str[:10], passed=(rows.verdict == "pass").astype(int))
    rows["week"] = rows.day.map(iso_week)
    days = rows.groupby(["agent_id", "week", "item_id", "day"]).passed.agg(["size", "sum"])
    days = days.assign(p2=days["sum"] ** 2, pj=days["sum"] * days["size"], j2=days["size"] ** 2)
    expected = days.groupby(level=[0, 1, 2]).sum()
    for query in (Filters(), Filters.of({"score": "0-100"})):  # kept, and from all of the calls
        items, parts = item_pool(Scope(made), query, "售后组", None)
        found = {
            (one.agent_id, one.week, item): [*sums[[0, 1, 7, 8, 9]]]
            for one in parts
            for item, sums in zip(items, one.sums, strict=True)
            if sums[0]
        }
        assert found == {key: [*row] for key, *row in expected.itertuples()}
    assert item_pool(Scope(made), Filters(), "其他组", None) == ([], [])


def test_a_draw_has_ten_of_each_at_most_and_is_the_same_for_all(made: Store):
    week = max(w for w in made.frame("calls").week if w)
    one = drawn(Scope(made), week, 3)
    assert one == drawn(Scope(made), week, 3)
    most = Counter((w.item_id, w.verdict) for w in one)
    assert max(most.values()) <= 3
    assert len(set(one)) == len(one) > 5
    assert {w.verdict for w in one} == {"pass", "fail"}
    assert one != sorted(one)  # by lot, not by name


def test_what_is_doubtful_waits_until_somebody_judged_it(tmp_path: Path):
    with Store.open(tmp_path / "callcoach.db") as store:
        save_samples(store)
        rows = store.frame("verdicts").query("source == 'rubric'")
        weak = rows.verdict.isin(["pass", "fail"]) & (rows.confidence < 0.7)
        expected = {
            (r.call_id, r.item_id)
            for r in rows[weak | (rows.verdict == "cannot_tell")].itertuples()
        }
        found = doubtful(Scope(store), 500)
        assert {(w.call_id, w.item_id) for w in found} == expected
        assert expected
        call_id, item_id = min(expected)
        store.decide(
            "reviews", "a", call_id=call_id, item_id=item_id, verdict="pass", why="doubtful"
        )
        left = {(w.call_id, w.item_id) for w in doubtful(Scope(store), 500)}
        assert left == expected - {(call_id, item_id)}
        store.save(told(call_id))  # a new analysis says the same
        assert {(w.call_id, w.item_id) for w in doubtful(Scope(store), 500)} == left
