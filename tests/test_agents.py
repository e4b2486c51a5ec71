"""Agents: pooled values checked by hand, intervals and shrinkage checked by simulation."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest

from pipeline.agents import POOLED, STATISTICS, Pool, agent_table, agent_weeks, columns
from pipeline.errors import ParameterError
from pipeline.measures import KINDS
from pipeline.store import TABLES, to_frame


def calls_of(agents: list[str | None], **values: object) -> pd.DataFrame:
    frame = to_frame("calls", [])
    data = pd.DataFrame({"agent_id": agents, "status": "ok", **values})
    return data.reindex(columns=frame.columns).astype(frame.dtypes.to_dict())


def simulated(rng: np.random.Generator, agents: int, between: float, calls: object, team="一组"):
    """Scores around 60 with spread 10 within and ``between`` between agents; also the truth."""
    truth = 60 + between * rng.standard_normal(agents)
    counts = np.broadcast_to(calls, agents)
    names = np.repeat([f"a{i:03d}" for i in range(agents)], counts)
    scores = np.repeat(truth, counts) + 10 * rng.standard_normal(len(names))
    return calls_of(list(names), team=team, compliance_score=scores), truth


def test_every_measure_of_calls_is_pooled():
    described = {"duration", "channels", "sample_rate", "role_confidence", "processing_seconds"}
    numbers = {c.name for c in TABLES["calls"] if KINDS[c.kind].dtype in ("Int64", "float64")}
    names = {m.name for m in POOLED} | {m.source for m in POOLED if m.source}
    assert names >= numbers - described
    assert {m.source for m in POOLED} <= numbers - described
    weights = {w for m in POOLED for w in m.weight}
    assert weights <= numbers


def test_columns_and_types_are_the_same_when_empty():
    full = agent_table(calls_of(["a", "a", "b"], compliance_score=[1.0, 2, 3]))
    empty = agent_table(calls_of([]))
    assert list(full.columns) == list(empty.columns) == columns()
    assert full.dtypes.equals(empty.dtypes)
    assert len(empty) == 0
    weeks = agent_weeks(calls_of([]))
    assert list(weeks.columns) == columns(["agent_id", "week"])
    assert len(agent_table(pd.DataFrame({"agent_id": ["a"]}))) == 1


def test_ratios_are_sum_over_sum_and_counts_per_exposure():
    calls = calls_of(
        ["a", "a"],
        agent_talk_s=[10.0, 90.0],
        customer_talk_s=[30.0, 270.0],
        agent_talk_ratio=[0.25, 0.25],
        agent_speaking_rate=[300.0, 200.0],
        agent_interruptions=[0, 4],
        level_gap_db=[2.0, 4.0],
    )
    row = agent_table(calls, min_calls=1).iloc[0]
    assert row["agent_speaking_rate_mean"] == pytest.approx((300 * 10 + 200 * 90) / 100)
    assert row["agent_talk_ratio_mean"] == pytest.approx(0.25)
    assert row["agent_interruptions_mean"] == 2.0
    assert row["agent_interruption_rate_mean"] == pytest.approx(4 / 300 * 600)
    assert row["level_gap_db_mean"] == 3.0
    assert row["talk_s"] == 100.0
    assert pd.isna(row["rings_mean"])
    assert row["rings_calls"] == 0


def test_the_interval_of_one_agent_is_students_t():
    scores = [70.0, 80.0, 90.0, 100.0]
    row = agent_table(calls_of(["a"] * 4, compliance_score=scores)).iloc[0]
    # 4 own calls and the common variance weighing 4 more: t with 7 degrees of freedom
    half = 2.364624 * np.sqrt(np.var(scores, ddof=1) / 4)
    assert row["compliance_score_low"] == pytest.approx(85 - half, abs=1e-4)
    assert row["compliance_score_high"] == 100.0  # a score cannot be more
    assert row["compliance_score_shrunk"] == 85.0  # nobody to compare with


def test_one_call_has_no_interval_of_its_own():
    alone = agent_table(calls_of(["a"], compliance_score=[80.0])).iloc[0]
    assert alone["compliance_score_mean"] == 80.0
    assert pd.isna(alone["compliance_score_low"])
    beside = agent_table(calls_of(["a", "b", "b"], compliance_score=[80.0, 50, 60])).iloc[0]
    assert beside["compliance_score_low"] < 80 < beside["compliance_score_high"]


def test_counts_of_nothing_still_have_an_upper_limit():
    row = agent_table(calls_of(["a"] * 3, holds=[0, 0, 0])).iloc[0]
    assert row["holds_mean"] == 0
    assert row["holds_low"] == 0
    assert row["holds_high"] == pytest.approx(3.6889 / 3, abs=1e-3)  # Garwood's exact limit


@pytest.mark.parametrize("calls", [3, 12])
def test_intervals_cover_the_truth(calls: int):
    rng = np.random.default_rng(5)
    frame, truth = simulated(rng, 2000, 0.0, calls)
    table = agent_table(frame)
    inside = (table["compliance_score_low"] <= truth) & (truth <= table["compliance_score_high"])
    assert 0.93 <= inside.mean() <= 0.985


def test_ratio_intervals_cover_the_truth():
    rng = np.random.default_rng(6)
    names = np.repeat([f"a{i:04d}" for i in range(1000)], 15)
    talk = rng.gamma(2.0, 60.0, len(names))
    rate = 240 + 30 * rng.standard_normal(len(names))
    calls = calls_of(list(names), agent_talk_s=talk, agent_speaking_rate=rate)
    table = agent_table(calls)
    low, high = table["agent_speaking_rate_low"], table["agent_speaking_rate_high"]
    assert 0.91 <= ((low <= 240) & (high >= 240)).mean() <= 0.985


def test_count_intervals_cover_the_truth_when_calls_differ_much():
    rng = np.random.default_rng(7)
    names = np.repeat([f"a{i:04d}" for i in range(1000)], 20)
    holds = rng.poisson(rng.gamma(1.0, 1.5, len(names)))
    table = agent_table(calls_of(list(names), holds=holds))
    inside = (table["holds_low"] <= 1.5) & (table["holds_high"] >= 1.5)
    assert 0.93 <= inside.mean() <= 0.985


def test_shrinkage_brings_estimates_closer_to_the_truth():
    rng = np.random.default_rng(8)
    frame, truth = simulated(rng, 60, 3.0, rng.integers(2, 30, 60))
    table = agent_table(frame)
    raw = ((table["compliance_score_mean"] - truth) ** 2).mean()
    shrunk = ((table["compliance_score_shrunk"] - truth) ** 2).mean()
    assert shrunk < 0.8 * raw
    moved = (table["compliance_score_shrunk"] - table["compliance_score_mean"]).abs()
    away = (table["compliance_score_mean"] - table["compliance_score_mean"].mean()).abs()
    few = table["calls"] < 6
    assert (moved / away)[few].median() > (moved / away)[~few].median()


def test_shrinkage_of_counts_brings_estimates_closer_to_the_truth():
    rng = np.random.default_rng(9)
    truth = rng.gamma(8.0, 0.25, 80)
    counts = rng.integers(2, 25, 80)
    names = np.repeat([f"a{i:02d}" for i in range(80)], counts)
    holds = rng.poisson(np.repeat(truth, counts))
    table = agent_table(calls_of(list(names), team="一组", holds=holds))
    raw = ((table["holds_mean"] - truth) ** 2).mean()
    assert ((table["holds_shrunk"] - truth) ** 2).mean() < 0.85 * raw


def test_no_difference_between_agents_shrinks_to_the_team_and_ranks_nobody():
    calls = calls_of(list("aabbcc"), team="一组", compliance_score=[50.0, 70, 55, 65, 58, 63])
    table = agent_table(calls, min_calls=1)
    assert table["compliance_score_shrunk"].tolist() == pytest.approx([361 / 6] * 3)
    assert table["compliance_score_percentile"].tolist() == [50.0] * 3


def test_shrinkage_and_place_are_within_the_team():
    rng = np.random.default_rng(10)
    one, _ = simulated(rng, 5, 8.0, 12, team="一组")
    two, _ = simulated(rng, 5, 8.0, 12, team="二组")
    two["agent_id"] = "b" + two["agent_id"]
    two["compliance_score"] -= 40
    table = agent_table(pd.concat([one, two], ignore_index=True))
    by_team = table.groupby("team")
    assert by_team["compliance_score_team_median"].nunique().tolist() == [1, 1]
    for _, group in by_team:
        assert sorted(group["compliance_score_percentile"]) == [10, 30, 50, 70, 90]
        assert group["compliance_score_shrunk"].std() <= group["compliance_score_mean"].std()
        median = group["compliance_score_mean"].median()
        assert group["compliance_score_team_median"].iloc[0] == pytest.approx(median)
    only = agent_table(pd.concat([one, two], ignore_index=True), team="二组")
    assert len(only) == 5
    assert set(only["team"]) == {"二组"}


def test_few_calls_give_no_percentile():
    frame, _ = simulated(np.random.default_rng(11), 4, 3.0, [3, 10, 11, 12])
    table = agent_table(frame, min_calls=10)
    assert table["enough_calls"].tolist() == [False, True, True, True]
    assert table["compliance_score_percentile"].isna().tolist() == [True, False, False, False]


def test_calls_without_an_agent_form_a_row_that_compares_with_nobody(
    caplog: pytest.LogCaptureFixture,
):
    scores = [90.0, 92, 50, 52, 1, 3]
    calls = calls_of(["a", "a", "b", "b", None, None], team="一组", compliance_score=scores)
    with caplog.at_level(logging.WARNING):
        table = agent_table(calls, min_calls=1)
    assert "2 of 6 calls carry no agent_id" in caplog.text
    assert table["agent_id"].isna().tolist() == [False, False, True]
    nobody = table.iloc[2]
    assert (nobody["compliance_score_mean"], nobody["calls"]) == (2.0, 2)
    assert not nobody["enough_calls"]
    assert pd.isna(nobody["compliance_score_percentile"])
    assert table["compliance_score_team_median"].tolist()[:2] == [71.0, 71.0]


def test_failed_calls_do_not_count():
    calls = calls_of(["a", "a"], compliance_score=[80.0, None])
    calls["status"] = ["ok", "failed"]
    assert agent_table(calls)["calls"].tolist() == [1]


def test_name_and_team_are_those_of_the_newest_call():
    calls = calls_of(
        ["a", "a", "a"],
        started_at=["2026-03-02T09:00:00+08:00", "2026-03-01T09:00:00+08:00", None],
        agent_name=["小李", "李四", "旧名"],
        team=["二组", "一组", None],
    )
    row = agent_table(calls).iloc[0]
    assert (row["agent_name"], row["team"], row["calls"]) == ("小李", "二组", 3)


def test_weeks_are_iso_weeks_of_the_local_date():
    calls = calls_of(
        ["a"] * 5,
        started_at=[
            "2026-01-01T00:30:00+08:00",  # in UTC still the year before; ISO week 2026-W01
            "2024-12-30T09:00:00+08:00",  # belongs to 2025-W01
            "2026-03-15T23:59:00+08:00",
            "soon",
            None,
        ],
        compliance_score=[10.0, 20, 30, 40, 60],
    )
    weeks = agent_weeks(calls)
    assert weeks["week"].tolist()[:3] == ["2025-W01", "2026-W01", "2026-W11"]
    assert pd.isna(weeks["week"].iloc[3])
    assert weeks["compliance_score_mean"].tolist() == [20.0, 10.0, 30.0, 50.0]


def test_weeks_compare_within_the_week():
    days = ["2026-03-02"] * 4 + ["2026-03-09"] * 4
    scores = [10.0, 10, 20, 20, 70, 70, 80, 80]
    calls = calls_of(list("aabbaabb"), team="一组", started_at=days, compliance_score=scores)
    weeks = agent_weeks(calls, min_calls=1).set_index(["week", "agent_id"])
    assert weeks.loc["2026-W10", "compliance_score_team_median"].tolist() == [15.0, 15.0]
    assert weeks.loc["2026-W11", "compliance_score_percentile"].tolist() == [25.0, 75.0]


def test_order_of_the_calls_does_not_matter():
    rng = np.random.default_rng(12)
    frame, _ = simulated(rng, 10, 3.0, 8)
    shuffled = frame.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(agent_table(frame), agent_table(shuffled))


@pytest.mark.parametrize("size", [7, 50])
def test_calls_can_be_added_in_parts(size: int):
    rng = np.random.default_rng(16)
    frame, _ = simulated(rng, 6, 3.0, 20)
    frame["holds"] = rng.poisson(1.2, len(frame))
    frame["agent_talk_s"] = rng.gamma(3, 20, len(frame))
    frame["agent_level_dbfs"] = rng.normal(-26, 3, len(frame))
    frame["agent_speaking_rate"] = np.where(rng.random(len(frame)) < 0.2, np.nan, 230.0)
    frame["agent_name"] = [f"n{i}" for i in range(len(frame))]
    days = pd.Timestamp("2026-03-01") + pd.to_timedelta(rng.permutation(len(frame)), unit="h")
    frame["started_at"] = days.strftime("%Y-%m-%dT%H:00:00+08:00")
    frame = frame.sample(frac=1, random_state=2)
    pool = Pool()
    for first in range(0, len(frame), size):
        pool.add(frame.iloc[first : first + size])
    pd.testing.assert_frame_equal(pool.agents(), agent_table(frame), rtol=1e-9)
    pd.testing.assert_frame_equal(pool.weeks(), agent_weeks(frame), rtol=1e-9)
    newest = frame.sort_values("started_at").groupby("agent_id")["agent_name"].last()
    assert pool.agents()["agent_name"].tolist() == newest.tolist()


def test_a_shift_and_a_scale_of_the_measure_carry_over():
    frame, _ = simulated(np.random.default_rng(13), 10, 3.0, 8)
    calls = frame.assign(level_gap_db=frame["compliance_score"])
    moved = frame.assign(level_gap_db=3 * frame["compliance_score"] - 7)
    one, two = agent_table(calls), agent_table(moved)
    for statistic in ("mean", "low", "high", "shrunk", "team_median"):
        expected = 3 * one[f"level_gap_db_{statistic}"] - 7
        pd.testing.assert_series_equal(two[f"level_gap_db_{statistic}"], expected)
    name = "level_gap_db_percentile"
    pd.testing.assert_series_equal(two[name], one[name])


def test_the_minimum_must_make_sense():
    with pytest.raises(ParameterError, match="min_calls is 0"):
        agent_table(calls_of(["a"]), min_calls=0)


def test_statistics_are_within_their_interval():
    frame, _ = simulated(np.random.default_rng(14), 30, 5.0, 6)
    frame["holds"] = np.random.default_rng(15).poisson(1.2, len(frame))
    table = agent_table(frame)
    for name in ("compliance_score", "holds"):
        assert (table[f"{name}_low"] <= table[f"{name}_mean"]).all()
        assert (table[f"{name}_mean"] <= table[f"{name}_high"]).all()
    assert set(STATISTICS) == {
        c.removeprefix("holds_") for c in table if c.startswith("holds_") and "unann" not in c
    }
