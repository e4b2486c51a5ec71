"""What must not change a result: gain, the order of channels, where the call begins, what follows it.

Each test analyses a synthetic call through ``run_call`` with the stand-ins of ``fakes.py``. Examples
are few, since each is a whole call, and are not shrunk, since all of them are as simple as the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from pipeline.schema import AGENT, CUSTOMER, SPEAKERS, Audio, CallResult
from pipeline.settings import load_settings
from tests import fakes
from tests.fakes import RATE, Script, chords, noise

SETTINGS = load_settings()
LEVELS = ("level_dbfs", "active_level_dbfs", "loudness_lufs")
EDGE_S = 0.025
CALL = Script.of(
    (AGENT, 0.5, "您好这里是晴山商城客服中心很高兴为您服务请问有什么可以帮您的吗"),
    (CUSTOMER, 9.0, "我上个月在你们那里买了一台洗衣机到现在都还没有送到我家里来我想问问"),
    (AGENT, 12.6, "嗯"),
    (AGENT, 16.4, "您先听我说一下这个订单我们已经在昨天下午就发货了请您放心"),
    (CUSTOMER, 25.0, "可是我打了三次电话都没有人告诉我这件事情你们到底什么时候能够送过来呀"),
    (AGENT, 43.0, "非常抱歉给您添麻烦了请您稍等一下我帮您查询一下订单现在已经到了哪里好吗"),
    (CUSTOMER, 52.2, "那好吧你快一点帮我查一下我现在很着急"),
    (AGENT, 65.0, "让您久等了您的洗衣机明天上午十点之前就会送到您的家里请您留意"),
    (
        CUSTOMER,
        78.5,
        "知道了那我明天上午就在家里等着他们来吧顺便再问一下旧的那台能不能一起拉走谢谢再见",
    ),
    tail=1.0,
)  # an interruption, a backchannel, two holds and 6 s of dead air
COUNTS = ("turns", "units", "interruptions", "interruptions_successful", "backchannels")
SECONDS = ("talk_s", "interruption_s")
COUNTS_OF_CALL = ("holds", "holds_unannounced", "dead_air", "rings")
SECONDS_OF_CALL = ("hold_s", "dead_air_s", "overlap_s")

few = settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
Run = fakes.Analyse


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Analyse samples as the recording ``call.wav``."""
    return fakes.analyser(tmp_path_factory.mktemp("calls"), CALL, SETTINGS)


@pytest.fixture(scope="module")
def plain(run: Run) -> Callable[[str], CallResult]:
    """The call as it is, in either layout."""
    return cache(lambda layout: run(laid(CALL.stereo(), layout)))


def laid(samples: Audio, layout: str) -> Audio:
    return samples if layout == "stereo" else samples.sum(axis=0, keepdims=True)


def said(result: CallResult) -> list[tuple[str, str]]:
    return [(t.speaker, t.text) for t in result.turns]


def shape(result: CallResult) -> list[tuple]:
    details = ("kind", "medium", "announced")
    return [(e.kind, e.by, *(e.detail.get(d) for d in details)) for e in result.events]


def judged(result: CallResult) -> dict[str, str]:
    return {v.item_id: v.verdict for v in result.verdicts}


def assert_same(
    one: CallResult, two: CallResult, rel: float, abs_: float, without: Iterable[str] = ()
) -> None:
    left_out = tuple(without)
    for name, value in one.measures.items():
        if name.endswith(left_out) and left_out:
            continue
        other = two.measures[name]
        if value is None or other is None:
            assert value is other, name
        else:
            assert other == pytest.approx(value, rel=rel, abs=abs_), name


def test_the_call_has_something_of_everything(plain):
    values = plain("stereo").measures
    assert values["agent_interruptions"] == values["agent_interruptions_successful"] == 1
    assert values["agent_interruption_rate"] == pytest.approx(600 / values["customer_talk_s"], 1e-3)
    assert values["agent_backchannels"] == 1
    assert values["holds"] >= 1
    assert values["dead_air"] >= 1
    assert {s: values[f"{s}_{m}"] is None for s in SPEAKERS for m in LEVELS} == dict.fromkeys(
        SPEAKERS, False
    )


@pytest.mark.parametrize("layout", ["stereo", "mono"])
@few
@given(gain_db=st.floats(-12, 6))
@example(gain_db=-12.0)
def test_gain_moves_the_levels_db_for_db_and_nothing_else(run, plain, layout: str, gain_db: float):
    before = plain(layout)
    after = run(laid(CALL.stereo(), layout) * 10 ** (gain_db / 20))
    assert (said(after), shape(after), judged(after)) == (
        said(before), shape(before), judged(before),
    )  # fmt: skip
    assert after.warnings == before.warnings
    assert_same(before, after, rel=1e-3, abs_=0.02, without=LEVELS)
    for name in (f"{s}_{level}" for s in SPEAKERS for level in LEVELS):
        assert after.measures[name] - before.measures[name] == pytest.approx(gain_db, abs=0.1), name


@pytest.mark.parametrize("layout", ["stereo", "mono"])
@few
@given(samples=st.integers(1, 12 * RATE))
def test_silence_in_front_moves_all_times_and_nothing_else(run, plain, layout: str, samples: int):
    shift_s = samples / RATE
    before, after = plain(layout), run(laid(CALL.stereo(quiet_s=shift_s), layout))
    assert (said(after), shape(after), judged(after)) == (
        said(before), shape(before), judged(before),
    )  # fmt: skip
    for kind in ("turns", "events"):
        for a, b in zip(getattr(before, kind), getattr(after, kind), strict=True):
            moved = (a.start + shift_s, a.end + shift_s)
            assert (b.start, b.end) == pytest.approx(moved, abs=EDGE_S)
    assert_same(before, after, rel=0.02, abs_=0.1, without=("first_speech_s", "silence_ratio"))
    first = before.measures["first_speech_s"] + shift_s
    assert after.measures["first_speech_s"] == pytest.approx(first, abs=EDGE_S)


@pytest.mark.parametrize("told", [True, False])
def test_the_order_of_the_channels_changes_nothing(run, told: bool):
    one = run(CALL.stereo(), **({"agent_channel": 0} if told else {}))
    two = run(CALL.stereo(agent=1), **({"agent_channel": 1} if told else {}))
    assert (one.turns, one.events, one.verdicts) == (two.turns, two.events, two.verdicts)
    assert (one.measures, one.voices) == (two.measures, two.voices)
    assert (one.warnings, one.role_confidence) == (two.warnings, two.role_confidence)
    assert one.quality == tuple(replace(q, channel=1 - q.channel) for q in reversed(two.quality))


@few
@given(gap_s=st.floats(0.7, 2.5))
def test_what_happens_in_two_calls_one_after_the_other_adds_up(run, plain, gap_s: float):
    one, samples = plain("stereo"), CALL.stereo()
    between = np.stack([noise(gap_s, 8), noise(gap_s, 9)])
    two = run(np.concatenate([samples, between, samples], axis=1))
    assert said(two) == 2 * said(one)
    added = [f"{s}_{m}" for s in SPEAKERS for m in (*COUNTS, *SECONDS)]
    for name in (*added, *COUNTS_OF_CALL, *SECONDS_OF_CALL):
        assert two.measures[name] == pytest.approx(2 * one.measures[name], rel=0.01, abs=0.1), name
    kept = ("rate", "ratio", "_dbfs", "_lufs", "_hz", "_st", "_turn_s", "longest_hold_s")
    for name, value in one.measures.items():
        if name.endswith(kept) and not name.startswith("silence"):
            assert two.measures[name] == pytest.approx(value, rel=0.02, abs=0.1), name


def nothing_said() -> dict[str, Audio]:
    still = np.zeros((2, 20 * RATE), np.float32)
    hiss = np.stack([noise(20, 1, dbfs=-55), noise(20, 2, dbfs=-55)])
    music = hiss.copy()
    music[0] += chords(20)
    return {
        "digital silence": still,
        "digital silence, mono": still[:1],
        "noise": hiss,
        "noise, mono": hiss[:1],
        "music on one channel": music,
        "music, mono": music[:1],
        "music on both channels": np.stack([music[0], music[0]]),
    }


@pytest.mark.parametrize("sound", nothing_said())
def test_a_call_in_which_nothing_is_said_has_no_score_and_says_why(run, sound: str):
    result = run(nothing_said()[sound], Script.of())
    assert result.turns == ()
    assert any("No speech" in line for line in result.warnings)
    measured = {k for k, v in result.measures.items() if v}
    assert measured <= {"silence_ratio", "compliance_unjudged"}, measured
    for speaker in SPEAKERS:
        for name in (*LEVELS, "speaking_rate", "articulation_rate", "pitch_sd_st", "f0_median_hz"):
            assert result.measures[f"{speaker}_{name}"] is None
    assert result.measures["compliance_score"] is None
    assert not set(judged(result).values()) & {"pass", "fail"}
