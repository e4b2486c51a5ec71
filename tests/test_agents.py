"""Agents: pooled values checked by hand, intervals and shrinkage checked by simulation."""

from __future__ import annotations

import logging
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from pipeline.agents import Level, Pool, changes, check_goal, levels
from pipeline.agents.advice import Act, Candidate, candidates, focus, praise
from pipeline.agents.estimates import Z95, gamma_quantile, t_quantile
from pipeline.agents.frames import (
    AGENT_TABLES,
    STATISTICS,
    agent_table,
    agent_weeks,
    columns,
    frame_of_pool,
    values_of,
)
from pipeline.errors import ParameterError
from pipeline.measures import KINDS, POOLED, SPEECH_S, pass_rate
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
    described |= {"wait_s"}  # before the agent: the queue's, not the agent's
    described |= {"compliance_low", "compliance_high"}  # the range of the score of one call
    described |= {"reviewed_items"}  # what people did, not the agent
    described |= {"legs", "agent_language_probability", "customer_language_probability"}
    numbers = {c.name for c in TABLES["calls"] if KINDS[c.kind].dtype in ("Int64", "float64")}
    names = {m.name for m in POOLED} | {m.source for m in POOLED if m.source}
    assert names >= numbers - described
    assert {m.source for m in POOLED} <= numbers - described
    weights = {w for m in POOLED for w in m.weight}
    assert weights <= numbers | {SPEECH_S}
    assert {m.given for m in POOLED if m.given} <= numbers


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
        agent_rated_s=[10.0, 40.0],  # of all that was said, what had enough units
        customer_talk_s=[30.0, 270.0],
        agent_talk_ratio=[0.25, 0.25],
        agent_speaking_rate=[300.0, 200.0],
        agent_interruptions=[0, 4],
        agent_interruption_rate=[0.0, 600 * 4 / 270],
        level_gap_db=[2.0, 4.0],
    )
    row = agent_table(calls, min_calls=1).iloc[0]
    assert row["agent_speaking_rate_mean"] == pytest.approx((300 * 10 + 200 * 40) / 50)
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
    half = 3.182446 * np.std(scores, ddof=1) / 2  # 4 calls: t with 3 degrees of freedom
    assert row["compliance_score_low"] == pytest.approx(85 - half, rel=1e-4)
    assert row["compliance_score_high"] == 100.0  # a score cannot be more
    assert row["compliance_score_shrunk"] == 85.0  # nobody to compare with


def test_others_lend_no_more_freedom_than_they_have():
    scores = [70.0, 80, 40, 50]
    beside = agent_table(calls_of(list("aabb"), compliance_score=scores)).iloc[0]
    # own variance 50 from one degree of freedom, the other's 50 from one more: t with 2
    assert beside["compliance_score_low"] == pytest.approx(75 - 4.302653 * 5, rel=1e-4)


def test_where_the_spread_is_not_known_there_is_no_interval():
    alone = agent_table(calls_of(["a"], compliance_score=[80.0])).iloc[0]
    assert alone["compliance_score_mean"] == 80.0
    assert pd.isna(alone["compliance_score_low"])
    equal = agent_table(calls_of(["a", "a"], compliance_score=[80.0, 80])).iloc[0]
    assert pd.isna(equal["compliance_score_low"])
    beside = agent_table(calls_of(["a", "b", "b"], compliance_score=[80.0, 50, 60])).iloc[0]
    assert beside["compliance_score_low"] < 80 < beside["compliance_score_high"]


def test_of_too_few_events_there_is_no_interval_nor_ever_an_impossible_one():
    table = agent_table(
        calls_of(list("aabbbccc"), dead_air=[1, 0] + [0] * 6, duration=[89.0, 81, *[69.0] * 6])
    )  # one event in all: with t of one degree of freedom b had 0 to 885 in ten minutes
    assert table["dead_air_per_10min_low"].isna().tolist() == [False, True, True]
    assert table["dead_air_per_10min_high"].isna().tolist() == [False, True, True]
    one = agent_table(calls_of(["a"], dead_air=[0], duration=[10.0]))
    assert one["dead_air_per_10min_high"].item() == 120  # of 5 s and more there are no more


def test_counts_of_nothing_still_have_an_upper_limit():
    row = agent_table(calls_of(["a"] * 3, holds=[0, 0, 0])).iloc[0]
    assert row["holds_mean"] == 0
    assert row["holds_low"] == 0
    assert row["holds_high"] == pytest.approx(3.0 / 3, rel=0.05)  # rule of three: e^-3 = 0.05


def test_thirty_of_thirty_is_not_certain():
    pool = Pool([pass_rate("greeting")])
    pool.add({"agent_id": ["a"] * 30, "greeting": np.ones(30)})
    item = pool.agents().of["greeting"]
    assert item.low[0] == pytest.approx(0.875, abs=0.001)  # Wilson's is 0.886, the exact one 0.884
    assert item.high[0] == 1.0


@pytest.mark.parametrize("freedom", [0.6, 1, 1.8, 4.4, 9, 77, 3000])
def test_quantiles_agree_with_scipy(freedom: float):
    t = t_quantile(np.array([freedom]))[0]
    assert t == pytest.approx(special.stdtrit(freedom, 0.975), rel=0.015)
    shape = np.array([freedom + 1])
    for z, p in ((-Z95, 0.025), (Z95, 0.975)):
        exact = special.gammaincinv(shape, p)
        np.testing.assert_allclose(gamma_quantile(shape, z), exact, rtol=0.06, atol=0.02)


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
    calls = calls_of(list(names), agent_rated_s=talk, agent_speaking_rate=rate)
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


def test_no_difference_between_agents_shrinks_almost_to_the_team_and_ranks_nobody():
    calls = calls_of(list("aabbcc"), team="一组", compliance_score=[50.0, 70, 55, 65, 58, 63])
    table = agent_table(calls, min_calls=1)
    assert table["compliance_score_shrunk"].tolist() == pytest.approx([361 / 6] * 3, abs=0.3)
    assert table["compliance_score_percentile"].isna().all()
    assert table["compliance_score_reliability"].max() < 0.5


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
    frame, _ = simulated(np.random.default_rng(11), 4, 30.0, [3, 10, 11, 12])
    table = agent_table(frame, min_calls=10)
    assert table["enough_calls"].tolist() == [False, True, True, True]
    assert table["compliance_score_percentile"].isna().tolist() == [True, False, False, False]
    assert table["compliance_score_state"].iloc[0] == "too_few"
    two = agent_table(frame[frame["agent_id"].isin(["a002", "a003"])], min_calls=10)
    assert two["compliance_score_percentile"].isna().all()  # a team of two has no places


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


def test_calls_of_names_without_an_id_are_no_single_agent_of_one_of_the_names():
    calls = calls_of([None, None, "a"], agent_name=["张敏", "李强", "王"], team=["甲", "乙", "乙"])
    for found in (agent_table(calls), agent_weeks(calls)):
        row = found[found["agent_id"].isna()].iloc[0]
        assert row["calls"] == 2
        assert row[["agent_name", "team"]].isna().all()


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
    scores = [10.0, 11, 20, 19, 70, 71, 80, 79]
    calls = calls_of(list("aabbaabb"), team="一组", started_at=days, compliance_score=scores)
    weeks = agent_weeks(calls, min_calls=1).set_index(["week", "agent_id"])
    assert weeks.loc["2026-W10", "compliance_score_team_median"].tolist() == [15.0, 15.0]
    assert weeks.loc["2026-W11", "compliance_score_team_median"].tolist() == [75.0, 75.0]


def test_a_week_keeps_the_team_of_then():
    calls = calls_of(
        list("aabb"),
        started_at=["2026-03-02", "2026-03-09", "2026-03-02", "2026-03-09"],
        team=["一组", "二组", "一组", "一组"],
        compliance_score=[10.0, 20, 30, 40],
    )
    weeks = agent_weeks(calls, min_calls=1).set_index(["week", "agent_id"])
    assert weeks["team"].to_dict() == {
        ("2026-W10", "a"): "一组", ("2026-W10", "b"): "一组", ("2026-W11", "b"): "一组",
        ("2026-W11", "a"): "二组",
    }  # fmt: skip
    assert weeks.loc["2026-W10", "compliance_score_team_median"].tolist() == [20.0, 20.0]
    assert agent_table(calls).set_index("agent_id").loc["a", "team"] == "二组"


def test_ids_that_look_alike_are_said_and_kept_apart(caplog: pytest.LogCaptureFixture):
    calls = calls_of(["N101", "n101", "Ｎ101", " N101", "N102"])
    with caplog.at_level(logging.WARNING):
        table = agent_table(calls)
    assert len(table) == 5
    assert '" N101", "N101", "n101", "Ｎ101"' in caplog.text
    assert "N102" not in caplog.text


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
        pool.add(values_of(frame.iloc[first : first + size]))
    agents, weeks = (frame_of_pool(pool, name) for name in AGENT_TABLES)
    pd.testing.assert_frame_equal(agents, agent_table(frame), rtol=1e-6)
    pd.testing.assert_frame_equal(weeks, agent_weeks(frame), rtol=1e-6)
    newest = frame.sort_values("started_at").groupby("agent_id")["agent_name"].last()
    assert agents["agent_name"].tolist() == newest.tolist()


def test_a_shift_and_a_scale_of_the_measure_carry_over():
    frame, _ = simulated(np.random.default_rng(13), 10, 3.0, 8)
    calls = frame.assign(level_gap_db=frame["compliance_score"])
    moved = frame.assign(level_gap_db=3 * frame["compliance_score"] - 7)
    one, two = agent_table(calls), agent_table(moved)
    moving = ("mean", "low", "high", "shrunk", "shrunk_low", "shrunk_high", "team_median")
    for statistic in moving:
        expected = 3 * one[f"level_gap_db_{statistic}"] - 7
        pd.testing.assert_series_equal(two[f"level_gap_db_{statistic}"], expected)
    for name in ("level_gap_db_percentile", "level_gap_db_reliability"):
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
        assert (table[f"{name}_shrunk_low"] <= table[f"{name}_shrunk"]).all()
        assert (table[f"{name}_shrunk"] <= table[f"{name}_shrunk_high"]).all()
    assert set(STATISTICS) == {
        c.removeprefix("holds_") for c in table if c.startswith("holds_") and "unann" not in c
    }


def test_every_figure_is_what_an_analyst_computes_from_the_calls():
    """By the rule printed in the legend, for all measures, with gaps, failures and short calls."""
    rng = np.random.default_rng(17)
    frame = calls_of([f"a{i}" for i in rng.integers(0, 4, 60)])
    frame["status"] = np.where(rng.random(60) < 0.1, "failed", "ok")
    frame["duration"] = rng.uniform(20, 400, 60)
    frame["silence_ratio"] = rng.uniform(0.1, 0.6, 60)
    frame["overlap_s"] = np.where(rng.random(60) < 0.5, 0.0, rng.uniform(0, 5, 60))
    for pooled in POOLED:
        for name in (pooled.source, *pooled.weight):
            if name in frame and frame[name].isna().all():
                values = rng.gamma(2.0, 30.0, 60)
                whole = (
                    KINDS[next(c.kind for c in TABLES["calls"] if c.name == name)].dtype == "Int64"
                )
                values = rng.poisson(2, 60) if whole else values
                frame[name] = (
                    pd.Series(values).astype(frame[name].dtype).where(rng.random(60) > 0.2)
                )
    for who, other in (("agent", "customer"), ("customer", "agent")):
        heard = frame[f"{other}_talk_s"]
        rate = 600 * frame[f"{who}_interruptions"].astype("Float64") / heard
        frame[f"{who}_interruption_rate"] = rate.where(heard >= 30).astype("float64")
    table = agent_table(frame).set_index("agent_id")
    is_recorded = frame["agent_talk_s"].notna() | frame["customer_talk_s"].isna()
    used = frame[(frame["status"] == "ok") & is_recorded].assign(
        speech_s=lambda f: f["duration"] * (1 - f["silence_ratio"]) + f["overlap_s"]
    )
    for pooled in POOLED:
        kept = used.dropna(subset=[pooled.source, *pooled.weight])
        kept = kept.dropna(subset=[pooled.given]) if pooled.given else kept
        values = kept[pooled.source].astype("float64")
        weights = sum((kept[w] for w in pooled.weight), pd.Series(0.0, kept.index))
        by = kept["agent_id"]
        if pooled.measure.pool == "ratio":
            expected = (values * weights).groupby(by).sum() / weights.groupby(by).sum()
        elif pooled.weight:
            expected = pooled.measure.per_s * values.groupby(by).sum() / weights.groupby(by).sum()
        else:
            expected = values.groupby(by).mean()
        found = table[f"{pooled.name}_mean"]
        np.testing.assert_allclose(
            found, expected.reindex(found.index), rtol=1e-7, err_msg=pooled.rule
        )
        sizes = values.groupby(by).size().reindex(found.index)
        assert table[f"{pooled.name}_calls"].tolist() == sizes.tolist(), pooled.name


def test_a_withheld_rate_does_not_enter_the_pool_by_another_door():
    calls = calls_of(
        ["a"] * 3,
        agent_talk_s=[10.0, 10, 10],
        customer_talk_s=[10.0, 20, 600],
        agent_interruptions=[1, 2, 3],
        agent_interruption_rate=[None, None, 3.0],
    )
    row = agent_table(calls).iloc[0]
    assert (row["agent_interruption_rate_mean"], row["agent_interruption_rate_calls"]) == (3.0, 1)


def test_states_are_silent_among_equals_and_tell_what_is_far_apart():
    rng = np.random.default_rng(18)
    frame, truth = simulated(rng, 30, 0.0, 300)
    assert set(agent_table(frame)["compliance_score_state"]) <= {"like_team", "not_told"}
    truth[:2] += [12, -12]
    frame["compliance_score"] += np.repeat(np.array([12, -12] + [0] * 28), 300)
    table = agent_table(frame)
    assert table["compliance_score_state"].tolist()[:2] == ["above", "below"]
    assert set(table["compliance_score_state"].iloc[2:]) <= {"like_team", "not_told"}
    alone = agent_table(frame[frame["agent_id"] == "a000"])
    assert pd.isna(alone["compliance_score_state"].iloc[0])


def test_two_with_many_calls_are_not_told_apart_from_three_with_one():
    """A team's centre has its own error: chance in the calls of the three is no difference."""
    rng, told = np.random.default_rng(19), 0
    (score,) = (p for p in POOLED if p.name == "compliance_score")
    agents = [f"a{i}" for i in np.repeat(np.arange(5), [300, 300, 1, 1, 1])]
    for _ in range(200):
        pool = Pool([score])
        pool.add({"agent_id": agents, "compliance_score": rng.normal(60, 10, len(agents))})
        told += np.isin(pool.agents().state["compliance_score"], ["above", "below"]).sum()
    assert told <= 2


def test_importing_agents_loads_neither_pandas_nor_scipy():
    code = "import sys, pipeline.agents; print({'pandas', 'scipy'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def weekly(rng: np.random.Generator, agents: int, shift: float = 0.0, at: int = 99) -> Pool:
    """Twenty-six weeks of fifteen scores with spread 10, by agents that differ; also a shift."""
    shape = agents, 26, 15
    agent, week, _ = (i.ravel() for i in np.indices(shape))
    scores = rng.normal(60, 5, agents)[agent] + 10 * rng.standard_normal(len(agent))
    scores += shift * (week >= at)
    day = week * 7 + rng.integers(0, 5, len(agent))
    dates = (np.datetime64("2026-01-05") + np.arange(26 * 7)).astype(str)
    pool = Pool([p for p in POOLED if p.name == "compliance_score"])
    pool.add(
        {
            "agent_id": [f"a{i:03d}" for i in agent],
            "started_at": [dates[d] for d in day],
            "compliance_score": scores,
        }
    )
    return pool


def test_stable_agents_are_seldom_said_to_have_changed():
    found = changes(weekly(np.random.default_rng(20), 300).history()).of["compliance_score"]
    flagged = int((found.since >= 0).any(1).sum())
    assert flagged <= stats.binom.ppf(0.999, 300, 0.05)


def test_a_shift_of_half_a_spread_is_found_within_six_weeks_and_dated():
    pool = weekly(np.random.default_rng(21), 300, shift=5.0, at=16)
    watched = changes(pool.history())
    found = watched.of["compliance_score"]
    in_time = int((found.score[:, 16:22] * (found.since[:, 16:22] >= 0) > 0).any(1).sum())
    assert in_time >= stats.binom.ppf(0.001, 300, 0.85)
    assert np.median(found.since[found.since[:, -1] >= 0, -1]) == 16
    now = watched.now("a000")
    assert set(now) <= {"compliance_score"}
    table = frame_of_pool(pool, "agents")
    said = table["compliance_score_change_since"].dropna()
    assert (said == "2026-W18").mean() > 0.4
    assert table["compliance_score_change"].median() == pytest.approx(5, abs=1)
    weeks = frame_of_pool(pool, "agent_weeks")
    assert weeks.loc[weeks["week"] < "2026-W14", "compliance_score_change"].isna().all()


def test_a_lone_agent_with_few_weeks_has_no_change():
    rng = np.random.default_rng(22)
    days = [f"2026-01-{d:02d}" for d in range(1, 29)]
    calls = calls_of(["a"] * 28, started_at=days, compliance_score=rng.normal(60, 10, 28))
    assert agent_table(calls)["compliance_score_change"].isna().all()


@pytest.mark.parametrize(
    ("after", "state"),
    [
        (Level(80, 76, 84, 60), "goal_met"),
        (Level(66, 63, 69, 60), "some"),
        (Level(60, 58.5, 61.5, 60), "nothing"),
        (Level(50, 46, 54, 60), "opposite"),
        (Level(64, 56, 72, 20), "open"),
    ],
)
def test_goals_are_judged_by_the_whole_interval(after: Level, state: str):
    before = Level(60, 58.5, 61.5, 80)
    check = check_goal(before, after, 5.0)
    assert check.state == state
    mirrored = check_goal(
        *(Level(-x.value, -x.high, -x.low, x.calls) for x in (before, after)), -5.0
    )
    assert mirrored.state == state
    assert (check.more_calls is not None) == (state == "open")


def test_calls_still_needed_are_about_enough():
    check = check_goal(Level(60, 58, 62, 80), Level(62, 54, 70, 20), 4.0)
    more = check.more_calls
    half = 8 * np.sqrt(20 / (20 + more))
    assert np.hypot(half, 2) == pytest.approx(4, rel=0.02)
    assert str(more) in check.words()[0]
    assert check_goal(Level(60, 50, 70, 8), Level(62, 54, 70, 20), 4.0).more_calls is None


def test_whoever_was_worst_is_not_called_improved_when_nothing_changed():
    rng, improved, reps = np.random.default_rng(23), 0, 150
    (score,) = (p for p in POOLED if p.name == "compliance_score")
    names = [f"a{i:02d}" for i in np.repeat(np.arange(40), 20)]
    for _ in range(reps):
        truth = rng.normal(60, 3, 40).repeat(20)
        pools = []
        for _ in range(2):
            pool = Pool([score])
            values = truth + 9.5 * rng.standard_normal(800)
            pool.add({"agent_id": names, "compliance_score": values})
            pools.append(pool.agents())
        worst = pools[0].agent_id[int(np.argmin(pools[0].of["compliance_score"].mean))]
        before, _, team_before = levels(pools[0], worst, "compliance_score")
        _, after, team_after = levels(pools[1], worst, "compliance_score")
        check = check_goal(before, after, 4.0, team_before, team_after)
        improved += check.state in ("goal_met", "some")
        assert check.team is not None
    assert improved <= stats.binom.ppf(0.999, reps, 0.03)


def candidate(name: str = "greeting", **values: object) -> Candidate:
    usual = Candidate(name, name, name, 0.4, 0.05, 0.1, 20, 20, 20, agreement=0.9)
    return usual._replace(**values)


def test_the_focus_is_what_is_surely_worse_as_often_as_it_comes_up():
    rare = candidate("rare", occasions=4, calls=4)
    found = focus([candidate("b"), candidate("a"), rare])
    assert (found.kind, found.candidate.id) == ("focus", "a")  # ties by id
    assert focus([rare, candidate("heavy", weight=2.0, occasions=12)]).candidate.id == "heavy"
    assert "100" in found.reason_zh
    assert "20 occasions in 20 calls" in found.reason_en


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"agreement": 0.7}, None),
        ({"confidence": 0.6}, None),
        ({"excess": -0.1}, None),
        ({"excess_sd": 0.4}, None),  # worse by delta, but not for sure
        ({"occasions": 2, "calls": 2}, None),
        ({"occasions": 5, "calls": 1}, None),
        ({"agreement": None}, "start"),
        ({"of_calls": 5}, "start"),
        ({"of_calls": 5, "occasions": 1, "calls": 1, "excess_sd": 1.0}, "start"),
    ],
)
def test_doubt_makes_no_focus(change: dict[str, object], kind: str | None):
    found = focus([candidate(**change)])
    assert (found and found.kind) == kind
    if found:
        assert found.reason_zh.startswith("起点")


def test_candidates_come_from_what_is_compared():
    rng = np.random.default_rng(24)
    items = [pass_rate("greeting", "问候", "greeting"), pass_rate("closing", "结束语", "closing")]
    agents = [f"a{i}" for i in np.repeat(np.arange(10), 60)]
    pool = Pool(items)
    values = {i.name: (rng.random(600) < 0.9).astype(float) for i in items}
    values["greeting"][:60] = rng.random(60) < 0.4
    pool.add({"agent_id": agents, "team": ["一组"] * 600} | values)
    compared = pool.agents()
    agreement = {"greeting": 0.95, "closing": 0.95}
    found = candidates(compared, "a0", items, agreement=agreement, weights={"greeting": 2.0})
    assert [c.id for c in found] == ["greeting", "closing"]
    assert found[0].excess == pytest.approx(0.5, abs=0.12)
    suggested = focus(found)
    assert (suggested.kind, suggested.candidate.id) == ("focus", "greeting")
    assert focus(candidates(compared, "a5", items, agreement=agreement)) is None
    assert compared.state["greeting"][compared.agent_id.index("a0")] == "below"


def test_praise_is_for_what_was_heard_often_and_is_rare_in_the_team():
    acts = [
        Act("common", "问候", "greeting", 10, 10, 0.95),
        Act("rare", "安抚", "soothing", 4, 5, 0.30),
        Act("seldom", "确认", "confirming", 2, 2, 0.10),
        Act("missed", "核实", "verifying", 5, 10, 0.20),
    ]
    assert [p.act.id for p in praise(acts)] == ["rare", "common"]
    assert "5 次中做到 4 次" in praise(acts)[0].reason_zh


def test_tables_say_what_they_are_adjusted_for():
    rng = np.random.default_rng(25)
    frame, _ = simulated(rng, 6, 3.0, 60)
    hard = rng.random(360) < np.where(np.arange(360) < 120, 0.8, 0.2)
    frame["queue"] = pd.Series(np.where(hard, "投诉", "咨询")).astype(frame["queue"].dtype)
    frame["compliance_score"] -= 15 * hard
    frame["duration"] = rng.uniform(60, 700, 360)
    plain, adjusted = agent_table(frame), agent_table(frame, adjust=("queue", "length"))
    assert plain["adjusted_for"].isna().all()
    assert set(adjusted["adjusted_for"]) == {"queue, length"}
    gap = [t["compliance_score_mean"][:2].mean() - t["compliance_score_mean"][2:].mean()
           for t in (plain, adjusted)]  # fmt: skip
    assert gap[1] - gap[0] == pytest.approx(15 * 0.6, abs=2.5)
    assert list(adjusted.columns) == columns()
    assert len(agent_table(frame.iloc[:0], adjust=("queue",))) == 0
