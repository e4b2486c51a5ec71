"""Who is the agent: by the metadata, by the words, by who opens; and what is said when in doubt."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.schema import AGENT, CUSTOMER, Recording, Utterance
from pipeline.signal.channels import Usable
from pipeline.speech.roles import LOW_CONFIDENCE, Usual, assign_roles, find_parties

GREETING = "您好，这里是客服中心，请问有什么可以帮您？"
REQUEST = "你好，我想问一下我的订单怎么办，你们帮我看一下。"


def said(*rows: tuple[str, str]) -> list[Utterance]:
    return [Utterance(v, i * 5.0, i * 5.0 + 3, t, (), 0.9) for i, (v, t) in enumerate(rows)]


@pytest.mark.parametrize("agent", ["0", "1"])
def test_the_metadata_decides(agent: str):
    roles = assign_roles(said(("0", "你好"), ("1", "喂")), ["0", "1"], agent_voice=agent)
    assert roles.speakers == {agent: AGENT, {"0": "1", "1": "0"}[agent]: CUSTOMER}
    assert (roles.confidence, roles.warning) == (1.0, None)


def test_metadata_that_the_words_contradict_is_followed_and_told():
    heard = said(("0", GREETING), ("1", REQUEST))
    roles = assign_roles(heard, ["0", "1"], agent_voice="1", direction="inbound")
    assert roles.speakers == {"0": CUSTOMER, "1": AGENT}
    assert "swapped" in roles.warning
    assert "agent_channel" in roles.warning
    assert assign_roles(heard, ["0", "1"], agent_voice="0").warning is None


@pytest.mark.parametrize("agent", ["A", "B"])
@pytest.mark.parametrize("agent_first", [True, False])
def test_the_words_decide_whoever_opens(agent: str, agent_first: bool):
    customer = {"A": "B", "B": "A"}[agent]
    rows = [(agent, GREETING), (customer, REQUEST)]
    roles = assign_roles(said(*(rows if agent_first else rows[::-1])), ["A", "B"])
    assert roles.speakers == {agent: AGENT, customer: CUSTOMER}
    assert roles.confidence >= LOW_CONFIDENCE
    assert roles.warning is None


def test_words_are_known_by_their_sound():
    heard = said(("A", "我向问一下"), ("B", "很高兴位您服务，请温有什么可以邦您"))
    assert assign_roles(heard, ["A", "B"]).speakers == {"A": CUSTOMER, "B": AGENT}


def test_the_opener_decides_when_the_words_say_nothing():
    heard = said(("B", "喂"), ("A", "喂"))
    inbound = assign_roles(heard, ["A", "B"], direction="inbound")
    outbound = assign_roles(heard, ["A", "B"], direction="outbound")
    assert inbound.speakers["B"] == AGENT
    assert outbound.speakers["B"] == CUSTOMER


def test_doubt_is_told_with_its_size_and_what_helps():
    roles = assign_roles(said(("A", "喂"), ("B", "喂")), ["A", "B"])
    assert 0.5 <= roles.confidence < LOW_CONFIDENCE
    assert f"{roles.confidence:.2f}" in roles.warning
    assert "agent_channel" in roles.warning


def test_the_more_is_said_the_surer():
    little = assign_roles(said(("A", "您好"), ("B", "喂")), ["A", "B"])
    much = assign_roles(said(("A", GREETING), ("B", REQUEST)), ["A", "B"])
    assert much.confidence > little.confidence
    assert much.confidence > 0.95


def test_one_phrase_said_over_and_over_is_not_all_the_evidence():
    once = assign_roles(said(("A", "抱歉啊" * 2), ("B", "喂")), ["A", "B"])
    often = assign_roles(said(("A", "抱歉啊" * 30), ("B", "喂")), ["A", "B"])
    assert often.confidence == once.confidence


@pytest.mark.parametrize("direction", ["inbound", "outbound", None])
def test_who_is_alone_is_no_agent_for_speaking_first(direction: str | None):
    for text in ("订单号是五六七八，是的，没错。", "师傅昨天没有来，等了一天。"):
        assert assign_roles(said(("0", text)), ["0"], direction=direction).confidence <= 0.5


def test_the_only_voice_may_be_either():
    assert assign_roles(said(("A", GREETING)), ["A"]).speakers == {"A": AGENT}
    assert assign_roles(said(("A", REQUEST + "我要投诉你们")), ["A"]).speakers == {"A": CUSTOMER}


def test_rejected_text_is_no_opening():
    noise = Utterance("A", 0.0, 1.0, "", (), 0.2, "silence")
    heard = [noise, *said(("B", "喂"), ("A", "喂"))]
    assert assign_roles(heard, ["A", "B"], direction="inbound").speakers["B"] == AGENT


def test_no_voices_and_no_words():
    assert assign_roles([], []).speakers == {}
    silent = assign_roles([], ["0", "1"])
    assert sorted(silent.speakers.values()) == [AGENT, CUSTOMER]
    assert silent.warning is not None


def test_where_nobody_speaks_no_advice_is_given_on_who_is_the_agent():
    usable, none = Usable((0, 1), (), *np.zeros((3, 2, 2)), (), ()), ()
    silent = find_parties(Recording("a.wav", "a"), usable, "channel", {"0": none, "1": none}, [])
    assert silent[2] == ["No speech was found."]
    one = find_parties(
        Recording("a.wav", "a"), usable, "channel", {"0": ((1.0, 2.0),), "1": ()}, []
    )
    assert "agent_channel" in one[2][0]


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.text("您好我要投诉请问感谢", max_size=8))))
def test_there_is_always_one_agent_and_names_do_not_matter(rows: list[tuple[str, str]]):
    roles = assign_roles(said(*rows), ["A", "B", "C"])
    assert sorted(roles.speakers.values()) == [AGENT, CUSTOMER, CUSTOMER]
    assert 0 <= roles.confidence <= 1
    names = {"A": "x", "B": "y", "C": "z"}
    other = assign_roles(said(*((names[v], t) for v, t in rows)), list("xyz"))
    assert {names[v]: role for v, role in roles.speakers.items()} == other.speakers
    assert other.confidence == roles.confidence


NEUTRAL = said(("1", "喂"), ("0", "嗯嗯"), ("1", "那个东西到了"))


def test_where_the_words_leave_doubt_the_usual_channel_decides_and_is_told():
    alone = assign_roles(NEUTRAL, ["0", "1"])
    assert alone.speakers["1"] == AGENT  # who opens
    assert alone.confidence < LOW_CONFIDENCE
    told = assign_roles(NEUTRAL, ["0", "1"], usual=Usual(0, 40, 40))
    assert told.speakers == {"0": AGENT, "1": CUSTOMER}
    assert alone.confidence < LOW_CONFIDENCE < told.confidence < 0.98
    assert "40 of 40 sure calls of this source it is channel 0" in told.warning


def test_few_or_divided_calls_make_no_usual_channel():
    for usual in (Usual(0, 3, 3), Usual(0, 20, 38)):
        roles = assign_roles(NEUTRAL, ["0", "1"], usual=usual)
        assert roles.confidence < LOW_CONFIDENCE
        assert "not certain" in roles.warning


def test_words_that_are_sure_outweigh_the_usual_channel():
    heard = said(("0", GREETING), ("1", REQUEST))
    roles = assign_roles(heard, ["0", "1"], usual=Usual(1, 40, 40))
    assert roles.speakers["0"] == AGENT


def test_metadata_goes_before_the_usual_channel():
    roles = assign_roles(NEUTRAL, ["0", "1"], agent_voice="1", usual=Usual(0, 40, 40))
    assert (roles.speakers["1"], roles.confidence) == (AGENT, 1.0)


def test_turns_that_hold_no_set_phrase_tell_by_their_words():
    seller = (
        "喂，好消息啊，我们这边暑假班开始报名了，今天最后一天优惠",
        "这个价格就到今天，过了就恢复原价",
    )
    mother = ("我想想，孩子都睡了，我不报了", "我家孩子还小，你们别急")
    turns = [
        (who, text)
        for pair in zip(seller, mother, strict=True)
        for who, text in zip("01", pair, strict=True)
    ]
    roles = assign_roles(said(*turns), ["0", "1"], direction="outbound")
    assert roles.speakers["0"] == AGENT
    assert roles.confidence >= 0.8
