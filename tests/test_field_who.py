"""Who is there: pauses of the recorder, parties without a channel, machines, legs, halves of a call."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.agents.tables import agent_table
from pipeline.schema import AGENT, CUSTOMER, Audio, Span, Waveform
from pipeline.settings import load_settings
from pipeline.signal.pauses import recorder_pauses
from tests import fakes
from tests.fakes import RATE, Script

SETTINGS = load_settings()
CALL = Script.of(
    (AGENT, 0.5, "您好这里是晴山商城很高兴为您服务"),
    (CUSTOMER, 6.0, "我想问一下我的订单到哪里了"),
    (AGENT, 10.0, "好的请您稍等一下我帮您查询一下订单"),
    (CUSTOMER, 14.6, "好"),
    (AGENT, 40.0, "您的订单已经在路上明天就会到了请您留意"),
    (CUSTOMER, 46.0, "好的谢谢"),
    (AGENT, 48.0, "不客气再见"),
    tail=2.0,
)


@pytest.fixture
def analyse(tmp_path: Path):
    return fakes.analyser(tmp_path, CALL, SETTINGS, agent_channel=0)


def kinds(result: object, *wanted: str) -> list[tuple[str, float, float]]:
    return [(e.kind, e.start, e.end) for e in result.events if e.kind in wanted]


# --- pauses of the recorder ---------------------------------------------------------------------


def stopped(samples: Audio, *spans: Span, at: float = 0.0) -> Audio:
    samples = samples.copy()
    for start, end in spans:
        samples[:, round(start * RATE) : round(end * RATE)] = at
    return samples


def pauses(samples: Audio) -> list[tuple[float, float]]:
    wave = Waveform(samples, RATE, RATE, "pcm_s16le", "0" * 64)
    return [(round(a, 2), round(b, 2)) for a, b in recorder_pauses(wave)]


@pytest.mark.parametrize("idle", [0.0, 8 / 32768])
def test_one_and_the_same_sample_on_all_channels_is_a_pause_of_the_recorder(idle: float):
    assert pauses(stopped(CALL.stereo(), (17.0, 38.5), at=idle)) == [(17.0, 38.5)]


def test_one_still_channel_is_no_pause():
    samples = CALL.stereo()
    samples[0, 17 * RATE : 38 * RATE] = 0
    assert pauses(samples) == []


def test_where_every_pause_of_the_talk_is_still_the_silence_is_digital():
    samples = CALL.stereo()
    quiet = np.abs(samples).max(axis=0) < 0.001
    samples[:, quiet] = 0
    assert pauses(samples) == []


def test_a_pause_of_the_recorder_is_no_hold_and_no_dead_air(analyse):
    plain = analyse(CALL.stereo())
    paused = analyse(stopped(CALL.stereo(), (17.0, 38.5)))
    waits = ("hold", "dead_air", "silence", "recorder_pause")
    assert [k for k, *_ in kinds(plain, *waits)] == ["hold"]
    assert kinds(paused, *waits) == [("recorder_pause", 17.0, 38.5)]
    assert paused.measures["holds"] == 0
    assert paused.measures["silence_ratio"] < plain.measures["silence_ratio"]
    assert all(v.verdict != "fail" for v in paused.verdicts if v.item_id.startswith("hold_"))


def test_the_rest_of_a_wait_beside_a_pause_is_measured_by_itself(analyse):
    (hold, pause) = kinds(analyse(stopped(CALL.stereo(), (28.0, 38.5))), "hold", "recorder_pause")
    assert hold[0] == "hold"
    assert hold[1:] == pytest.approx((14.85, 28.0), abs=0.7)
    assert pause == ("recorder_pause", 28.0, 38.5)


# --- parties without a channel ------------------------------------------------------------------


def test_a_call_in_which_only_the_customer_was_recorded_is_none_of_the_agents():
    calls = pd.DataFrame(
        {
            "agent_id": ["a", "a", "b", "a"],
            "status": ["ok"] * 4,
            "agent_talk_s": [10.0, None, None, None],
            "customer_talk_s": [8.0, 9.0, 9.0, None],  # the last: who is who is in doubt
        }
    )
    table = agent_table(calls)
    assert table["agent_id"].tolist() == ["a"]
    assert table["calls"].tolist() == [2]


def test_of_a_lone_agent_nothing_is_scored_that_rests_on_the_customer(analyse):
    samples = CALL.stereo()
    samples[1] = 0
    result = analyse(samples)
    assert {t.speaker for t in result.turns} == {AGENT}
    (silent,) = [v for v in result.verdicts if v.item_id == "silent_caller_prompt"]
    assert (silent.verdict, silent.note) == ("cannot_tell", "the customer was not recorded")


def test_of_a_lone_customer_nothing_of_the_agent_is_scored(analyse):
    samples = CALL.stereo()
    samples[0] = 0
    result = analyse(samples)
    assert {t.speaker for t in result.turns} == {CUSTOMER}
    assert not [v for v in result.verdicts if v.verdict in ("pass", "fail")]
    assert all(v is None for k, v in result.measures.items() if k.startswith("agent_"))
