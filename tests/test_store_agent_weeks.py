"""The kept sums of agents and weeks: always those of the calls, whatever changed these."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import sqlalchemy as sa

from pipeline.agents import Pool
from pipeline.agents.frames import frame_of_pool, values_of
from pipeline.store import Store, agent_weeks
from pipeline.store.migrations import SQL
from tests.test_store import make_failure, make_result

START = "2026-03-{:02d}T10:00:00+08:00"


def check(store: Store) -> Pool:
    """The pool of the store is that of its calls, added one by one."""
    found, plain = store.pool(), Pool()
    plain.add(values_of(store.frame("calls")))
    for table in ("agents", "agent_weeks"):
        ours, theirs = (frame_of_pool(pool, table) for pool in (found, plain))
        pd.testing.assert_frame_equal(ours, theirs, rtol=1e-9, atol=1e-9)
    assert sorted(found.known_weeks) == sorted(plain.known_weeks)
    return found


def of_agent(call_id: str, agent: str | None, day: int, score: float = 80.0, **options: object):
    result = make_result(call_id, measures={"compliance_score": score, "agent_talk_s": 20.0})
    recording = replace(result.recording, agent_id=agent, started_at=START.format(day), **options)
    return replace(result, recording=recording)


def test_sums_follow_every_change_of_calls(store: Store):
    assert check(store).agents_known == []
    for n in range(12):
        store.save(of_agent(f"c{n:02d}", f"A{n % 3}", 1 + 2 * n, 60.0 + n, team="一组"))
    check(store)
    store.save(
        of_agent("c00", "A1", 9, 99.0, team="二组")
    )  # analysed again: another agent and week
    store.save(of_agent("none", None, 9))
    store.save_failure(make_failure("c03"))  # keeps the earlier result
    store.save_failure(make_failure("broken"))
    found = check(store)
    assert found.agents_known == ["A0", "A1", "A2"]
    undated = of_agent("undated", "A2", 3)
    store.save(replace(undated, recording=replace(undated.recording, started_at=None)))
    check(store)
    judged = next(v for v in make_result().verdicts if v.source == "rubric")
    store.decide(
        "reviews", "w", call_id="c01", item_id=judged.item_id, verdict="fail", why="chosen"
    )
    check(store)
    store.rename({"c01": "renamed", "c02": "c01"})
    check(store)


def test_only_weeks_whose_calls_changed_are_summed_again(store: Store):
    for n in range(6):
        store.save(of_agent(f"c{n}", f"A{n % 2}", 1 + 5 * n))
    store.sum_weeks()
    assert not store._read(lambda c: agent_weeks.any_stale(c, SQL))
    store.save(of_agent("more", "A1", 1))
    sums = SQL["agent_week_sums"].c
    stale = store.fetch(sa.select(sums.place).where(sums.made_by.is_(None)))
    assert [row.place for row in stale] == ['["A1", "2026-W09"]']


def test_a_snapshot_reads_what_is_not_summed_yet(store: Store):
    store.save(of_agent("c1", "A1", 2))
    store.sum_weeks()
    store.save(of_agent("c2", "A1", 20))
    store.save(of_agent("c3", "A2", 20))
    with store.snapshot() as view:
        check(view)
    assert store._read(lambda c: agent_weeks.any_stale(c, SQL))  # nothing was written


def test_sums_put_together_are_those_of_all_calls():
    rng = np.random.default_rng(5)
    calls = {
        "agent_id": [str(rng.integers(4)) for _ in range(200)],
        "started_at": [START.format(1 + int(rng.integers(28))) for _ in range(200)],
        "agent_speaking_rate": rng.normal(200, 20, 200),
        "agent_rated_s": rng.uniform(50, 100, 200),
        "hold_s": rng.exponential(10, 200) * rng.integers(0, 2, 200),
        "duration": rng.uniform(100, 200, 200),
    }
    whole, part = Pool(), Pool(about=0.0)
    whole.add(calls)
    part.add(calls)
    parts = list(part.week_sums())
    rejoined = Pool.of(reversed(parts), len(parts), 0.0)
    for by in ("agents", "weeks"):
        ours, theirs = (getattr(pool, by)() for pool in (rejoined, whole))
        for name in ("agent_speaking_rate", "hold_s"):
            for statistic in ("mean", "low", "high", "shrunk"):
                np.testing.assert_allclose(
                    getattr(ours.of[name], statistic),
                    getattr(theirs.of[name], statistic),
                    rtol=1e-9,
                )
    one = rejoined.only(["hold_s"]).agents()
    assert one.of["hold_s"].mean.tolist() == rejoined.agents().of["hold_s"].mean.tolist()
