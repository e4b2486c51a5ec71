"""Judging and scoring: evidence, hearing, references, events, the sum."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import partial

import pytest

from pipeline.errors import RubricError
from pipeline.rubric import (
    Rubric,
    annotated,
    diff_verdicts,
    judge,
    load_rubric,
    rubric_from_text,
    score,
    trace,
)
from pipeline.rubric.call_rules import holiday_name
from pipeline.rubric.context import _WHO_IS_THERE, match_probability
from pipeline.rubric.examples import parse_example
from pipeline.rubric.located import Located
from pipeline.rubric.speech_rules import count_questions, statement_units
from pipeline.schema import ChannelQuality, Dialogue, Event, Party, Turn, Verdict, Word
from tests.yardstick import counting_s, seconds

HEAD = """
rubric: {id: t, name: {zh: 测, en: t}}
sections: {s: {zh: 节, en: S}, u: {zh: 节二, en: U}}
"""


def rubric_of(items: str) -> Rubric:
    return rubric_from_text(HEAD + "items:\n" + items)


def item(name: str, body: str, extra: str = "") -> str:
    head = f"  {name}:\n    name: {{zh: 名, en: N}}\n    section: s\n{extra}"
    return head + "".join(f"    {line}\n" for line in body.strip().splitlines())


def dialogue(text: str) -> Dialogue:
    return parse_example(Located(text, "test", 1, "test"), "pass").dialogue


def verdicts(items: str, text: str) -> dict[str, Verdict]:
    return {v.item_id: v for v in judge(dialogue(text), rubric_of(items))}


def verdict(body: str, text: str) -> str:
    return verdicts(item("one", body), text)["one"].verdict


def test_a_pass_shows_who_said_what_and_when() -> None:
    one = verdicts(
        item("one", "pass: {says: {by: agent, any: [感谢…来电]}}"),
        "C: 好的。 / A: 感谢您的莱电，再见。",
    )["one"]
    assert (one.verdict, one.speaker, one.quote) == ("pass", "agent", "感谢您的莱电，再见")
    assert one.matched == "感谢…来电"
    assert one.start is not None
    assert one.end is not None
    assert 1.0 < one.start < one.end < 3.2
    assert one.confidence is not None
    assert 0.6 < one.confidence < 1.0


def test_a_fail_shows_what_was_said_instead() -> None:
    one = verdicts(
        item("one", "pass: {says: {by: agent, any: [您好], where: {first_turns: 1}}}"),
        "A: 说吧。 / C: 你好。",
    )["one"]
    assert (one.verdict, one.quote, one.matched) == ("fail", "说吧。", None)
    assert one.note is not None
    assert "not found" in one.note


@pytest.mark.parametrize(
    ("body", "passing", "failing"),
    [
        ("pass: {says: {by: agent, all: [抱歉, 谢谢]}}", "A: 抱歉，谢谢。", "A: 抱歉。"),
        ("pass: {says: {by: agent, none: [不知道]}}", "A: 好的。", "A: 不知道。"),
        ("pass: {says: {any: [甲方, 乙方, 丙方], at_least: 2}}", "A: 甲方乙方。", "A: 甲方。"),
        ("pass: {says: {any: [您好], times: 2}}", "A: 您好。 / C: 是我。 / A: 您好。", "A: 您好。"),
        ("pass: {says: {regex: ['[甲乙]方']}}", "A: 找乙方。", "A: 找丙方。"),
        (
            "pass: {says: {regex: ['甲方'], except_regex: ['不是甲方']}}",
            "A: 找甲方。",
            "A: 他不是甲方。",
        ),
        ("fail: {says: {any: [你应该], except: [你应该会]}}", "A: 你应该会收到。", "A: 你应该早说。"),
        (  # what an exception has of its own must sound like it
            "fail: {says: {any: [没有办法], except: [您家也没有办法]}}",
            "A: 您家也没有办法。",
            "A: 还在处理，我也没有办法。",
        ),
        (
            "fail: {says: {any: [不知道], except_after: [您说]}}",
            "A: 您说他不知道吗？",
            "A: 您说吧。不知道。",
        ),
        (
            "pass: {says: {any: [稍等], not_beside: [一分钟]}}",
            "A: 稍等。",
            "A: 稍等一分钟。",
        ),
        ("pass: {says: {any: [好], only: whole_sentence}}", "A: 好。", "A: 好像没有听到。"),
        ("pass: {says: {any: [喂], only: at_turn_start}}", "A: 喂，哪位。", "A: 请问是哪一位您先说喂。"),
        (
            "fail: {says: {any: [不是], only: at_turn_start, in_a_row: 2}}",
            "C: 红的。 / A: 不是。 / C: 蓝的。 / A: 好的。",
            "C: 红的。 / A: 不是。 / C: 蓝的。 / A: 不是的。",
        ),
        (
            "fail: {says: {any: [没有], only: not_answering}}",
            "C: 有红的吗？ / A: 没有。",
            "C: 你说过的。 / A: 没有。",
        ),
        (
            "pass: {says: {any: [先生], max_per_minute: 3}}",
            "A: 张先生您好。",
            "A: 先生您好先生，先生。",
        ),
        ("pass: {asks: {by: agent, times: 2}}", "A: 贵姓？ / C: 王。 / A: 住哪里？", "A: 贵姓？"),
        ("fail: {asks: {in_one_turn: 3}}", "A: 贵姓？住哪里？", "A: 贵姓？住哪里？电话呢？"),
        (
            "pass: {states: {by: customer, what: digits}}",
            "C: 一二三四。 / A: 好。",
            "C: 一二三。 / A: 好。",
        ),
        (
            "pass: {repeats_back: {what: [digits]}}",
            "C: 7890。 / A: 七八九零，对吗？",
            "C: 7890。 / A: 七八九一，对吗？",
        ),
        (
            "pass: {event: {kind: hold, min_s: 30, detail: {medium: music}}}",
            "A: 稍等。 / [hold 40 music] / A: 好了。",
            "A: 稍等。 / [hold 40 silence] / A: 好了。",
        ),
        (
            "when: {event: {kind: hold}}\n"
            "pass: {for_each: {says: {any: [久等], where: {after: trigger, within_s: 10}}}}",
            "A: 稍等。 / [hold 20] / A: 久等了。",
            "A: 稍等。 / [hold 20] / A: 久等了，再稍等。 / [hold 20] / A: 好了。",
        ),
        (
            "pass: {not: {event: {kind: hold, min_s: 60, broken_by: agent}}}",
            "A: 稍等。 / [hold 50] / A: 在查。 / [hold 50] / A: 好了。",
            "A: 稍等。 / [hold 90] / A: 好了。",
        ),
        (
            "pass: {gap: {after: {says: {any: [稍等]}}, until: agent, max_s: 10}}",
            "A: 稍等。 / [gap 5] / A: 好了。",
            "A: 稍等。 / [gap 20] / A: 好了。",
        ),
        ("pass: {turns: {by: agent, min_s: 3}}", "A: 一二三四五六七八九十一二三。", "A: 好。"),
        (
            "pass: {share_of_turns: {by: agent, any: [好的], min: 0.5}}",
            "A: 好的。 / C: 嗯。 / A: 明天。",
            "A: 今天。 / C: 嗯。 / A: 明天。",
        ),
        (
            "pass: {measure: {of: agent_level_dbfs, minus: customer_level_dbfs, max: 6}}",
            "[measure agent_level_dbfs -20] / [measure customer_level_dbfs -23] / A: 好。",
            "[measure agent_level_dbfs -10] / [measure customer_level_dbfs -23] / A: 好。",
        ),
        (
            "pass: {measure: {of: {turns: speaking_rate, by: agent}, max: 200}}",
            "[slow 3] / A: 我们明天上午给您送过去。",
            "[slow 6] / A: 我们明天上午给您送过去。",
        ),
        (
            "pass: {call: {local_time: {from: 08:00, to: 22:00}}}",
            "[start 2026-03-11T08:30:00] / A: 好。",
            "[start 2026-03-11T23:30:00+08:00] / A: 好。",
        ),
        (
            "pass: {call: {weekdays: [sun]}}",
            "[start 2026-03-15T10:00:00+08:00] / A: 好。",
            "[start 2026-03-16T10:00:00+08:00] / A: 好。",
        ),
        ("pass: {call: {max_rings: 2}}", "[rings 2] / A: 好。", "[rings 3] / A: 好。"),
        (
            "fail: {leaves_first: {by: agent, within_s: 1}}",
            "A: 再见。 / [tail 3]",
            "A: 再见。 / [tail 0.2]",
        ),
        (
            "pass: {in_order: {steps: [{says: {any: [好吗]}}, "
            "{says: {by: customer, any: [好的]}}], within_s: 10}}",
            "A: 等一下好吗？ / C: 好的。",
            "C: 好的。 / A: 等一下好吗？",
        ),
        (
            "pass: {any: [{says: {any: [甲方]}}, {says: {any: [乙方]}}]}",
            "A: 乙方。",
            "A: 丙方。",
        ),
        ("pass: [{says: {any: [甲方]}}, {says: {any: [乙方]}}]", "A: 甲方乙方。", "A: 甲方。"),
        (
            "when: {says: {any: ['稍等{limit}']}}\n"
            "pass: {for_each: {says: {any: ['稍等{limit}'], where: {during: trigger}}}}",
            "A: 请稍等一分钟。",
            "",
        ),
    ],
)  # fmt: skip
def test_every_operator_decides_both_ways(body: str, passing: str, failing: str) -> None:
    assert verdict(body, passing) == "pass"
    if failing:
        assert verdict(body, failing) == "fail"


def test_a_digit_misheard_as_its_homophone_is_still_a_digit() -> None:
    body = "when: {states: {by: customer, what: digits}}\npass: {repeats_back: {what: [digits]}}"
    assert verdict(body, "C: 七八酒零。 / A: 七八九零，对吗？") == "pass"
    assert verdict(body, "C: 七八酒零。 / A: 七八一零，对吗？") == "fail"


def test_a_stated_time_covers_the_wait_or_not() -> None:
    body = (
        "when: {event: {kind: hold}}\n"
        "pass: {for_each: {says: {any: ['稍等{limit}'], only: covers_trigger, "
        "where: {before: trigger}}}}"
    )
    assert verdict(body, "A: 请稍等一分钟。 / [hold 50] / A: 好了。") == "pass"
    assert verdict(body, "A: 请稍等一分钟。 / [hold 100] / A: 好了。") == "fail"


@pytest.mark.parametrize(
    ("where", "yes"),
    [
        ("opening", True),
        ("closing", False),
        ("{first_s: 3}", True),
        ("{last_s: 2}", False),
        ("{from_share: 0}", True),
        ("{from_share: 0.5}", False),
        ("{last_turns: 1}", False),
        ("{before: {says: {any: [再见]}}}", True),
        ("{after: {says: {any: [再见]}}}", False),
        ("{around: {says: {any: [再见]}}, within_turns: 1}", False),
        ("{from: {says: {any: [您好]}}}", True),
    ],
)
def test_places(where: str, yes: bool) -> None:
    said = (
        "A: 您好，请问有什么可以帮您？ / C: 我想问一下你们什么时候开门。 / A: 九点。 / C: 好。 / "
        "[gap 50] / C: 没有别的事了。 / A: 那就这样，祝您愉快，再见。"
    )
    body = f"pass: {{says: {{any: [您好], where: {where}}}}}"
    assert (verdict(body, said) == "pass") is yes


def test_nothing_heard_is_never_a_pass_and_never_a_fail() -> None:
    forbidden = "fail: {says: {by: agent, any: [不知道]}}"
    wanted = "pass: {says: {by: agent, any: [您好]}}"
    for said in ("C: 你好。", "[unclear] / A: 呃的里店。 / C: 什么？", "[gap 9]"):
        assert verdict(forbidden, said) == "cannot_tell"
        assert verdict(wanted, said) == "cannot_tell"


def test_what_was_heard_decides_even_beside_bad_speech() -> None:
    said = "A: 您好。 / C: 你好。 / [unclear] / A: 呃的里店见那个什么。"
    assert verdict("pass: {says: {by: agent, any: [您好]}}", said) == "pass"


def test_what_was_perhaps_misheard_is_not_omitted() -> None:
    """An act is a fail only where the words in its place are no mishearing of it."""
    greets = item("greets", "pass: {says: {by: agent, any: [晚上好], where: opening}}")
    names = item("names", "pass: {says: {by: agent, any: ['{surname}(先生|女士)']}}")
    repeats = item("repeats", "pass: {repeats_back: {of: customer}}")
    thanks = item(
        "thanks",
        "when: {event: {kind: hold, min_s: 10}}\n"
        "pass: {for_each: {says: {by: agent, any: [久等了], where: {after: trigger}}}}",
    )
    call = dialogue(
        "A: 晚上日,翔宇航空。 / C: 我姓秦,帐号二八三三一四六五七。 / A: 新女士,二三三一四留武器。"
        " / [hold 20 music] / A: 久日了。"
    )

    def at(confidence: float) -> dict[str, str]:
        turns = tuple(
            replace(t, confidence=confidence) if t.speaker == "agent" else t for t in call.turns
        )
        found = judge(replace(call, turns=turns), rubric_of(greets + names + repeats + thanks))
        return {v.item_id: v.verdict for v in found}

    assert list(at(0.95).values()) == ["fail"] * 4
    doubted = {"greets": "cannot_tell", "names": "pass", "thanks": "cannot_tell"}
    assert at(0.7) == doubted | {"repeats": "pass"}  # something was said back, with digits in doubt
    one = judge(
        replace(call, turns=tuple(replace(t, confidence=0.75) for t in call.turns)),
        rubric_of(greets),
    )[0]
    assert one.note == "it may have been said and misheard: 晚上日,翔宇航空"


def test_what_is_much_like_it_among_misheard_words_was_said() -> None:
    wishes = item("wishes", "pass: {says: {by: agent, any: [祝您节日快乐], match: strict}}")

    def first(confidence: float) -> Verdict:
        turn, *others = dialogue("A: 祝您别日快乐翔宇航空 / C: 我要退货。").turns
        words = tuple(
            Word(0.2 * i, 0.2 * i + 0.2, c, confidence if c == "别" else 0.95)
            for i, c in enumerate(turn.text)
        )
        heard = replace(turn, words=words, confidence=0.88)
        return judge(replace(dialogue("C: 喂"), turns=(heard, *others)), rubric_of(wishes))[0]

    assert first(0.35).verdict == "pass"
    assert first(0.35).note == "it was said, as it seems, and misheard: 祝您别日快乐翔宇航空"
    assert first(0.95).verdict == "fail"


def test_what_is_said_first_is_likely_where_it_only_sounds_alike() -> None:
    call = dialogue("A: 晚上日，翔宇航空。 / C: 你好。")
    doubted = replace(call, turns=tuple(replace(t, confidence=0.7) for t in call.turns))
    first = "pass: {says: {by: agent, any: [晚上好], where: {first_turns: 1}}}"
    anywhere = "pass: {says: {by: agent, any: [晚上好]}}"
    found = judge(doubted, rubric_of(item("first", first) + item("anywhere", anywhere)))
    assert [v.verdict for v in found] == ["pass", "cannot_tell"]


def test_a_stretch_that_is_too_short_for_an_act_did_not_hold_it() -> None:
    """A first turn of 0.9 s that was not understood, and one that the other party spoke over."""
    takes = "pass: {says: {by: agent, any: [我是], where: {part: opening, takes_s: 1.0}}}"
    brief = "pass: {says: {by: agent, any: [我是], where: opening}}"
    call = dialogue("A: 喂什么事 / C: 你好，我要查话费。 / A: 账号报一下。")
    first, other, last = call.turns
    lost = replace(first, text="为", confidence=0.4, start=0.0, end=0.9)
    rubric = rubric_of(item("takes", takes) + item("brief", brief))
    found = judge(replace(call, turns=(lost, other, last)), rubric)
    assert [v.verdict for v in found] == ["fail", "cannot_tell"]

    bye = rubric_of(item("bye", "pass: {says: {by: agent, any: [再见], where: closing}}"))
    long = replace(other, start=2.0, end=12.0)
    tried = replace(
        last, text="", units=0, confidence=0.0, start=5.0, end=5.9, unheard=((5.0, 5.9),)
    )
    after = replace(last, start=12.5, end=14.0)
    apart = replace(tried, start=12.1, end=13.0), replace(after, start=13.5, end=15.0)
    assert judge(replace(call, turns=(first, long, tried, after)), bye)[0].verdict == "fail"
    assert judge(replace(call, turns=(first, long, *apart)), bye)[0].verdict == "cannot_tell"

    consent = rubric_of(item("one", "pass: {says: {by: customer, any: [好的]}}"))
    spoken = replace(first, start=0.0, end=6.0)
    answer = replace(other, text="", units=0, confidence=0.0, start=5.0, end=5.8)
    assert judge(replace(call, turns=(spoken, answer)), consent)[0].verdict == "cannot_tell"


def test_who_is_called_and_asks_who_it_is_is_known_in_no_time() -> None:
    for said in ("知我你哪位", "是我，您哪位？", "嗯对我是，你哪位"):
        assert _WHO_IS_THERE.fullmatch(said), said
    for said in ("是我" * 100 + "好", "我" * 200 + "好", "对，" * 100 + "我要退货"):
        assert not _WHO_IS_THERE.fullmatch(said)


def test_the_opening_goes_on_after_who_is_called_has_answered_however_that_is_heard() -> None:
    greets = rubric_of(item("own", "pass: {says: {by: agent, any: [我是], where: opening}}"))

    def verdict(*said: str) -> str:
        return judge(dialogue(" / ".join(said)), greets)[0].verdict

    goes_on = "A: 我是血液中心的，想跟您说个事。"
    assert verdict("A: 您好，请问是关先生吗？", "C: 那是我那围。", goes_on) == "pass"
    assert verdict("A: 喂，您是何女士本人吗？", "C: 知我你那个围。", goes_on) == "pass"
    assert (
        verdict("A: 您好，请问是关先生吗？", "C: 那你先听我说我的单子到现在还没有到。", goes_on)
        == "fail"
    )
    assert verdict("A: 您好，请问您要问什么？", "C: 我的单子还没到。", goes_on) == "fail"
    another = "C: 她买菜去了，手机搁家里了，你是哪个？"
    assert verdict("A: 您好，请问是关女士吗？", another, goes_on) == "pass"
    assert verdict("A: 您好，请问是关女士吗？", another[:-6] + "。", goes_on) == "fail"


def test_a_sound_without_words_after_a_question_may_have_been_the_answer() -> None:
    asked = (
        "pass: {in_order: {steps: [{says: {by: agent, any: [可以吗]}}, "
        "{says: {by: customer, any: [可以, 行]}}]}}"
    )
    call = dialogue("C: 我的单号是三零七七四二九五。 / A: 您别挂，可以吗？ / C: 行。 / A: 查到了。")
    number, ask, answer, back = call.turns
    sound = replace(answer, text="", units=0, confidence=0.0, words=())
    rubric = rubric_of(item("asked", asked))

    def verdict(*turns: Turn) -> str:
        return judge(replace(call, turns=turns), rubric)[0].verdict

    assert verdict(number, ask, answer, back) == "pass"
    assert verdict(number, ask, sound, back) == "cannot_tell"
    assert verdict(number, ask, back) == "fail"
    early = replace(sound, start=ask.start - 0.3, end=ask.start)
    assert verdict(number, early, ask, back) == "fail"


def test_what_misheard_words_mean_accuses_nobody() -> None:
    """``doubt: [0, 0]`` takes every sentence for a complaint, however unlikely."""
    meant = "{means: {by: customer, intent: complaint, doubt: [0.0, 0.0]}}"
    sorry = rubric_of(item("one", f"when: {meant}\npass: {{says: {{by: agent, any: [抱歉]}}}}"))

    def at(confidence: float, answer: str) -> str:
        call = dialogue(f"C: 我要查一下订单。 / A: {answer}")
        turns = tuple(
            replace(t, confidence=confidence, words=(Word(t.start, t.end, t.text, confidence),))
            for t in call.turns
        )
        return judge(replace(call, turns=turns), sorry)[0].verdict

    assert at(0.9, "好的，请稍等。") == "fail"
    assert at(0.8, "好的，请稍等。") == "cannot_tell"
    assert at(0.8, "抱歉，请稍等。") == "pass"


def test_what_was_not_done_in_a_gap_was_not_said() -> None:
    body = "pass: {says: {by: agent, any: [来…翻]}}"
    assert verdict(body, "A: 我来给您翻翻记录。") == "pass"
    assert verdict(body, "A: 退款从来没有翻过。") == "fail"


def test_a_pause_ends_a_sentence_that_has_no_mark() -> None:
    rude = item("rude", "fail: {says: {by: agent, any: [什么事], only: whole_sentence}}")
    call = dialogue("A: 顺拓搬家什么事说 / C: 我要搬家。")

    def with_pause(seconds: float) -> str:
        first, *others = call.turns
        words = tuple(
            Word(at, at + 0.2, c, 0.9)
            for i, c in enumerate(first.text)
            for at in [0.2 * i + (seconds if i >= 4 else 0.0)]
        )
        turn = replace(first, words=words, end=words[-1].end, spans=((0.0, words[-1].end),))
        return judge(replace(call, turns=(turn, *others)), rubric_of(rude))[0].verdict

    assert (with_pause(0.0), with_pause(0.25)) == ("pass", "fail")


@pytest.mark.parametrize("agent_channel", [0, 1])
def test_a_bad_channel_cannot_be_judged_by_absence(agent_channel: int) -> None:
    call = replace(
        dialogue("A: 好的。 / C: 你喂。"),
        quality=(
            ChannelQuality(0, None, 0.0, None, 0.0, None, ("noisy",)),
            ChannelQuality(1, 40.0, 0.0, None, 5.0, -20.0),
        ),
        parties=(Party("agent", agent_channel), Party("customer", 1 - agent_channel)),
    )
    text = HEAD + "hearing: {blocking_problems: [noisy]}\nitems:\n"
    text += item("one", "pass: {says: {by: agent, any: [您好]}}")
    text += item("two", "pass: {says: {by: customer, any: [您好]}}")
    assert [v.verdict for v in judge(call, rubric_from_text(text))] == [
        "cannot_tell" if agent_channel == 0 else "fail",
        "fail" if agent_channel == 0 else "cannot_tell",
    ]


def test_first_words_of_the_agent_that_went_under_are_no_omission() -> None:
    told = dialogue(
        "[inbound] / C: 听得见吗？柜门打不开。 / A: 听得见，您在哪个柜子？ / C: 三号。 / A: 再见。"
    )
    in_one = (Party("agent", 0), Party("customer", 0))
    text = HEAD + "items:\n"
    text += item("greeting", "pass: {says: {by: agent, any: [您好], where: {part: opening}}}")
    text += item("thanks", "pass: {says: {by: agent, any: [谢谢]}}")

    def judged(parties: tuple[Party, ...], late_s: float, rang_until: float = 0.0) -> list[str]:
        turns = tuple(
            replace(
                t,
                start=t.start + late_s,
                end=t.end + late_s,
                spans=((t.start + late_s, t.end + late_s),),
            )
            for t in told.turns
        )
        rings = (Event("ringing", 0.0, rang_until),) if rang_until else ()
        call = replace(told, turns=turns, parties=parties, events=rings, duration=60.0)
        return [v.verdict for v in judge(call, rubric_from_text(text))]

    assert judged(in_one, 8.0) == ["cannot_tell", "fail"]
    assert judged(in_one, 1.0) == ["fail", "fail"]
    assert judged(in_one, 8.0, rang_until=6.5) == ["fail", "fail"]
    assert judged((Party("agent", 0), Party("customer", 1)), 8.0) == ["fail", "fail"]


def test_a_missing_measure_cannot_be_judged() -> None:
    one = verdicts(item("one", "pass: {measure: {of: agent_speaking_rate, max: 180}}"), "A: 好。")
    assert one["one"].verdict == "cannot_tell"
    assert one["one"].note == "agent_speaking_rate not measured"


def test_applies_when_unless() -> None:
    body = (
        "applies: {call: {direction: outbound}}\n"
        "when: {says: {by: customer, any: [投诉]}}\n"
        "unless: {says: {by: customer, any: [开玩笑]}}\n"
        "pass: {says: {by: agent, any: [抱歉], where: {after: trigger}}}"
    )
    assert verdict(body, "[inbound] / C: 我要投诉。 / A: 抱歉。") == "not_applicable"
    assert verdict(body, "[outbound] / C: 你好。 / A: 抱歉。") == "not_applicable"
    assert verdict(body, "[outbound] / C: 我要投诉，开玩笑的。 / A: 好。") == "not_applicable"
    assert verdict(body, "[outbound] / C: 我要投诉。 / A: 抱歉。") == "pass"
    assert verdict(body, "[outbound] / A: 抱歉。 / C: 我要投诉。 / A: 哦。") == "fail"


def test_items_may_refer_to_later_items() -> None:
    items = item("second", "pass: {item: {id: first, is: [pass]}}")
    items += item("first", "pass: {says: {any: [您好]}}")
    items += item(
        "third",
        "pass: {says: {any: [再见], where: {after: {item: first}}}}",
    )
    given = verdicts(items, "A: 您好。 / C: 好。 / A: 再见。")
    assert [v.verdict for v in given.values()] == ["pass", "pass", "pass"]
    assert list(given) == ["second", "first", "third"]


def test_the_surname_is_taken_from_metadata_or_from_the_customer() -> None:
    body = "when: {call: {customer_name_known: true}}\npass: {says: {any: ['{surname}先生']}}"
    assert verdict(body, "[name 刘强] / A: 刘先生您好。") == "pass"
    assert verdict(body, "[name 刘强] / A: 王先生您好。") == "fail"
    assert verdict(body, "C: 我姓张。 / A: 章先生您好。") == "pass"
    assert verdict(body, "A: 您贵姓？ / C: 欧阳。 / A: 欧阳先生您好。") == "pass"
    assert verdict(body, "C: 你好。 / A: 王先生您好。") == "not_applicable"


@pytest.mark.parametrize(
    ("text", "confidence", "expected"),
    [
        ("C: 我心货，要充气费。 / A: 霍先生您好。", 0.8, "pass"),
        ("C: 我信报，十一栋。 / A: 保险省感谢您。", 0.8, "pass"),
        ("A: 您的姓名是？ / C: 新落，一八六。 / A: 若先生您好。", 0.8, "pass"),
        ("C: 我心货，要充气费。 / A: 好的，帮您充上了。", 0.8, "fail"),
        ("C: 我先生，住七号楼。 / A: 好的，师傅下午上门。", 0.8, "not_applicable"),
        ("C: 我行李，晚到了。 / A: 好的，帮您查。", 0.8, "not_applicable"),
        ("A: 请问您贵姓？ / C: 归心工。 / A: 公女士您好，公先生也在吗？", 0.8, "pass"),
        ("C: 我行车，要充气费。 / A: 好的，帮您充上了。", 0.8, "fail"),
        ("C: 我心货，要充气费。 / A: 霍先生您好。", 0.95, "not_applicable"),
        ("C: 我先走，行吗。 / A: 好的，您慢走。", 0.8, "not_applicable"),
        ("C: 我信任你们。 / A: 任先生您好。", 0.8, "not_applicable"),
    ],
)
def test_a_name_may_be_given_in_words_that_sound_like_it(
    text: str, confidence: float, expected: str
) -> None:
    items = item(
        "one",
        "applies: {call: {customer_name_known: true}}\npass: {says: {any: ['{surname}先生']}}",
    )
    call = dialogue(text)
    turns = tuple(replace(t, confidence=confidence) for t in call.turns)
    (given,) = judge(replace(call, turns=turns), rubric_of(items))
    assert given.verdict == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("C: 后四位十六药物脚。 / A: 六幺五九，对吗？", "pass"),
        ("C: 后四位是三零七以，周末班。 / A: 等着。", "fail"),
        ("C: 后四位是什么我忘了。 / A: 等着。", "not_applicable"),
        ("C: 历经湾小区十一动左边。 / A: 历经湾小区十一栋，对吗？", "pass"),
        ("C: 历经湾小区十一动左边。 / A: 等着。", "fail"),
        ("C: 我们小区电梯一动不动。 / A: 等着。", "not_applicable"),
    ],
)
def test_digits_and_buildings_may_be_misheard(text: str, expected: str) -> None:
    body = "when: {states: {by: customer}}\npass: {repeats_back: {of: customer}}"
    assert verdict(body, text) == expected


def test_who_may_be_exempt_is_not_accused() -> None:
    body = "unless: {says: {by: customer, any: [我姓霍]}}\npass: {says: {any: [请问贵姓]}}"
    call = dialogue("C: 那个什么，要充气费。 / A: 好的，帮您充上了。")
    turns = (replace(t, confidence=0.3 if t.speaker == "customer" else 0.9) for t in call.turns)
    doubtful = replace(call, turns=tuple(turns))
    assert verdict(body, "C: 我要充气费。 / A: 好的，帮您充上了。") == "fail"
    assert judge(doubtful, rubric_of(item("one", body)))[0].verdict == "cannot_tell"


def test_holds_get_what_the_rules_found() -> None:
    rubric = load_rubric("hotline")
    call = dialogue("A: 我需要查询系统，请稍等一分钟好吗？ / C: 好的。 / [hold 40] / A: 查到了。")
    (hold,) = annotated(call, rubric).events
    assert hold.detail["reason_given"] is True
    assert hold.detail["consent"] is True
    assert hold.detail["thanked"] is False
    assert hold.detail["limit_s"] == 60.0


def test_a_trace_says_what_was_looked_for_where_and_what_was_found() -> None:
    rubric = rubric_of(item("one", "pass: {says: {any: [您好], where: {first_turns: 1}}}"))
    (one,) = trace(dialogue("A: 您好。 / C: 你好。"), rubric, ["one"])
    text = "\n".join(one.lines())
    assert text.startswith("one: pass")
    assert "agent says any of 您好, first 1 turns" in text
    assert "looked at 0.0-1.0 s" in text
    assert "“您好” 您好" in text
    with pytest.raises(RubricError, match='Did you mean "one"'):
        trace(dialogue("A: 您好。"), rubric, ["onee"])


SCORED = (
    item("a", "pass: {says: {any: [甲方]}}", "    weight: 3\n")
    + item("b", "pass: {says: {any: [乙方]}}", "    weight: 1\n").replace(
        "section: s", "section: u"
    )
    + item("c", "pass: {measure: {of: no, max: 1}}")
    + item("d", "applies: {call: {direction: outbound}}\npass: {says: {any: [丁方]}}")
    + item("e", "pass: {says: {any: [戊方]}}", "    severity: report\n")
)


def test_the_score_is_the_passed_weight_over_the_judged_weight() -> None:
    rubric = rubric_of(SCORED)
    card = score(judge(dialogue("A: 甲方。"), rubric), rubric)
    assert card.compliance_score == 75.0
    assert (card.passed, card.failed, card.unjudged, card.not_applicable) == (1, 1, 1, 1)
    assert [s.score for s in card.subtotals] == [100.0, 0.0]
    assert card.arithmetic[-2] == "3 / 4 x 100 = 75"
    assert card.judged_share == 0.8
    assert card.low < 75 < card.high


def test_a_failed_veto_item_makes_the_score_zero() -> None:
    veto = item("v", "fail: {says: {any: [滚开]}}", "    severity: veto\n")
    rubric = rubric_of(SCORED + veto)
    card = score(judge(dialogue("A: 甲方，乙方，滚开。"), rubric), rubric)
    assert (card.compliance_score, card.veto, card.score_without_veto) == (0.0, ("v",), 80.0)
    assert "one-vote veto by v" in card.arithmetic[-2]
    assert card.low == 0.0


def test_too_little_judged_is_no_score() -> None:
    rubric = rubric_of(item("a", "pass: {says: {any: [甲方]}}", "    weight: 2\n")
        + item("c", "pass: {measure: {of: no, max: 1}}", "    weight: 3\n"))  # fmt: skip
    card = score(judge(dialogue("A: 甲方。"), rubric), rubric)
    assert (card.compliance_score, card.judged_share, card.passed) == (None, 0.4, 1)
    assert card.arithmetic[-1] == "40% of the weight was judged, 50% is needed: no score"
    lenient = replace(rubric, min_judged_share=0.4)
    assert score(judge(dialogue("A: 甲方。"), lenient), lenient).compliance_score == 100.0
    veto = rubric_of(item("v", "fail: {says: {any: [滚开]}}", "    severity: veto\n")
        + item("c", "pass: {measure: {of: no, max: 1}}", "    weight: 9\n"))  # fmt: skip
    assert score(judge(dialogue("A: 滚开。"), veto), veto).compliance_score == 0.0


def test_a_score_is_as_sure_as_its_verdicts() -> None:
    rubric = rubric_of("".join(item(f"i{n}", "pass: {says: {any: [甲方]}}") for n in range(16)))
    sure, unsure = (
        score([Verdict(f"i{n}", "rubric", "pass", confidence=p) for n in range(16)], rubric)
        for p in (1.0, 0.8)
    )
    assert (sure.low, sure.high) == (100.0, 100.0)
    half = 196 * (0.8 * 0.2 / 16) ** 0.5
    assert (unsure.low, unsure.high) == (pytest.approx(80 - half), 100.0)


def test_the_share_that_must_be_judged_is_part_of_what_judges() -> None:
    usual, strict = load_rubric("hotline"), load_rubric("hotline", min_judged_share=0.9)
    assert strict.min_judged_share == 0.9
    assert usual.sha256 == load_rubric("hotline", min_judged_share=0.5).sha256 != strict.sha256


def test_without_judged_items_there_is_no_score() -> None:
    rubric = rubric_of(item("c", "pass: {measure: {of: no, max: 1}}"))
    card = score(judge(dialogue("A: 好。"), rubric), rubric)
    assert card.compliance_score is None
    assert card.subtotals[0].score is None


def test_questions_and_statements() -> None:
    assert count_questions("请问您贵姓？您的电话是多少？好的。") == 2
    assert count_questions("什么时候买的哪个型号坏了几天了发票还在不在") == 4
    assert count_questions("明天有人上门。") == 0
    assert count_questions("多大，几个人，钱是存银行还是买基金？") == 3
    assert statement_units("先关机，再开机，请问您清楚了吗？") == 6


def test_public_holidays_of_china() -> None:
    assert holiday_name(2026, 10, 1)
    assert holiday_name(2026, 2, 17)
    assert not holiday_name(2026, 3, 12)
    assert date(2026, 10, 5).weekday() == 0
    assert not holiday_name(2026, 10, 5)  # a day off moved there, no festival


def test_longer_and_better_matches_are_surer() -> None:
    assert match_probability(1.0, 2) > match_probability(0.95, 2) > match_probability(0.88, 2)
    assert match_probability(0.85, 6) > match_probability(0.85, 3)


def test_a_ten_minute_call_is_judged_quickly() -> None:
    rubric = load_rubric("hotline")
    parts = [
        "A: 您先把路由器的电源拔掉，等待十秒钟再重新插上，然后打开手机的无线设置。",
        "C: 我家里的那个是上个月刚刚装好的，师傅来的时候也没有跟我说要怎么设置啊。",
    ]
    long, short = (dialogue(" / ".join(parts * n)) for n in (34, 17))
    assert long.duration > 580
    judge(long, rubric)
    ten, five = (min(seconds(partial(judge, c, rubric)) for _ in range(7)) for c in (long, short))
    assert ten < 8 * counting_s()
    assert ten < 3 * five


def test_in_doubt_about_who_is_the_agent_nothing_is_judged_whichever_door() -> None:
    rubric = rubric_from_text(
        HEAD + "items:\n" + item("one", "pass: {says: {by: agent, any: [您好]}}")
    )
    call = replace(dialogue("A: 您好。 / C: 你好。"), role_confidence=0.5)
    assert [v.verdict for v in judge(call, rubric)] == ["cannot_tell"]
    assert [t.verdict.verdict for t in trace(call, rubric)] == ["cannot_tell"]
    assert diff_verdicts(rubric, rubric, [call]) == ()
    assert [v.verdict for v in judge(replace(call, role_confidence=0.6), rubric)] == ["pass"]


def test_an_omission_has_a_place_and_no_moment() -> None:
    one = verdicts(
        item("one", "pass: {says: {by: agent, any: [再见], where: closing}}"),
        "A: 您好。 / C: 几点开门？ / A: 九点。",
    )["one"]
    assert (one.evidence, one.place) == ("omitted", "closing")
    assert (one.start, one.end, one.trigger_start) == (None, None, None)


def test_an_omission_after_a_trigger_shows_the_trigger() -> None:
    one = verdicts(
        item(
            "one",
            "when: {says: {by: customer, any: [投诉]}}\n"
            "pass: {says: {by: agent, any: [抱歉], where: {after: trigger}}}",
        ),
        "A: 您好。 / C: 我要投诉。 / A: 知道了。",
    )["one"]
    assert (one.verdict, one.evidence, one.place) == ("fail", "omitted", "after_trigger")
    assert one.start is None
    assert one.trigger_start is not None
    assert one.trigger_end is not None
    assert one.quote == "我要投诉"
    assert one.probability is not None


def test_nothing_forbidden_has_no_evidence_and_what_was_said_has() -> None:
    rule = item("one", "fail: {says: {by: agent, any: [不归我管]}}")
    good = verdicts(rule, "A: 您好。 / C: 你好。")["one"]
    assert (good.verdict, good.evidence, good.quote, good.start) == ("pass", None, None, None)
    bad = verdicts(rule, "A: 这不归我管。 / C: 你好。")["one"]
    assert (bad.verdict, bad.evidence, bad.matched) == ("fail", "said", "不归我管")
    assert bad.start is not None


def test_measures_and_events_are_evidence_of_their_own_kind() -> None:
    measure = verdicts(
        item("one", "pass: {measure: {of: agent_speaking_rate, max: 180}}"),
        "[measure agent_speaking_rate 340] / A: 您好。",
    )["one"]
    assert (measure.verdict, measure.evidence) == ("fail", "measure")
    event = verdicts(
        item("one", "fail: {event: {kind: hold}}"), "A: 稍等。 / [hold 20] / A: 好了。"
    )
    assert (event["one"].verdict, event["one"].evidence) == ("fail", "event")


def test_what_was_done_without_its_trigger_is_seen() -> None:
    rule = (
        "when: {says: {by: customer, any: [投诉]}}\nseen: true\n"
        "pass: {says: {by: agent, any: [抱歉], where: {after: trigger}}}"
    )
    one = verdicts(item("one", rule), "A: 非常抱歉。 / C: 没事。")["one"]
    assert (one.verdict, one.evidence, one.score) == ("not_applicable", "seen", None)
    assert one.quote == "非常抱歉"
    none = verdicts(item("one", rule), "A: 您好。 / C: 没事。")["one"]
    assert (none.verdict, none.evidence, none.quote) == ("not_applicable", None, None)


def test_a_verdict_under_the_probability_wanted_is_cannot_tell() -> None:
    rule = item("one", "pass: {says: {by: agent, any: [再见], where: closing}}")
    call = "A: 您好。 / C: 几点开门？ / A: 九点。"
    sure = verdicts(rule, call)["one"]
    assert sure.verdict == "fail"
    assert sure.probability is not None
    text = HEAD + "hearing: {min_probability: 0.99}\nitems:\n" + rule
    (strict,) = judge(dialogue(call), rubric_from_text(text))
    assert (strict.verdict, strict.score) == ("cannot_tell", None)
    assert f"{sure.probability:.2f}" in (strict.note or "")


def test_a_fail_on_recognised_words_must_be_likelier_than_one_on_given_text() -> None:
    rule = item("one", "pass: {says: {by: agent, any: [再见], where: closing}}")
    call = dialogue("A: 您好。 / C: 几点开门？ / A: 九点。")
    recognised = replace(
        call,
        turns=tuple(replace(t, words=(Word(t.start, t.end, t.text, 0.95),)) for t in call.turns),
    )
    hearing = HEAD + "hearing: {min_fail_probability: 0.99}\nitems:\n"
    wanted = rubric_from_text(hearing + rule)
    assert judge(call, wanted)[0].verdict == "fail"
    assert judge(recognised, wanted)[0].verdict == "cannot_tell"
    assert judge(recognised, rubric_of(rule))[0].verdict == "fail"


def test_items_have_a_sentence_for_each_outcome() -> None:
    rubric = load_rubric("hotline")
    taboo, apology = rubric.item("prohibited_phrases"), rubric.item("complaint_apology")
    assert (taboo.polarity, apology.polarity) == ("dont", "do")
    assert taboo.outcome("fail") == ("出现了：服务禁语", "Found: Service taboos")
    assert apology.outcome("fail") == ("没有做到：投诉致歉", "Not done: Apology to a complaint")


def test_the_reason_of_doubt_names_the_seconds_that_were_doubtful() -> None:
    body = "pass: {says: {by: agent, any: [感谢来电], where: {first_turns: 1}}}"
    call = dialogue("A: 米南清山生成今天有什么。 / C: 你好。")
    doubtful = tuple(replace(t, confidence=0.6) if t.speaker == "agent" else t for t in call.turns)
    (found,) = judge(replace(call, turns=doubtful), rubric_of(item("one", body)))
    assert found.verdict == "cannot_tell"
    assert found.note is not None
    assert "were not understood" in found.note
    assert not found.note.startswith("0.0 of")


@pytest.mark.parametrize(
    ("text", "yes"),
    [
        ("A: 预定人这么长虎。 / C: 我姓欧阳。", True),
        ("A: 行文这么称呼年。 / C: 我行情。", True),
        ("A: 您好。 / C: 我姓何，我家漏水了。", False),
        ("C: 我姓何。 / A: 您好。", False),
        ("A: 您好。 / C: 我行吗。", False),
    ],
)
def test_an_answer_that_is_a_name_alone_shows_its_question(text: str, yes: bool) -> None:
    call = dialogue(text)
    doubted = replace(call, turns=tuple(replace(t, confidence=0.7) for t in call.turns))
    named = rubric_of(item("one", "pass: {call: {customer_name_answered: true}}"))
    assert (judge(doubted, named)[0].verdict == "pass") is yes


def test_who_spoke_without_being_understood_is_not_silent() -> None:
    gap = "{gap: {after: {turns: {by: agent, where: {first_turns: 1}}}, until: customer, min_s: 5}}"
    silent = rubric_of(item("gap", f"pass: {gap}") + item("turns", "pass: {turns: {by: customer}}"))
    call = dialogue("A: 您好。 / C: 我要报修。")
    agent, customer = call.turns
    lost = replace(customer, text="", confidence=0.0, start=2.0, end=6.0, spans=((2.0, 6.0),))
    cough = replace(lost, end=2.3, spans=((2.0, 2.3),))
    nobody = replace(call, turns=(agent,), duration=20.0)
    for turns, expected in (
        ((agent,), ["pass", "fail"]),
        ((agent, cough), ["pass", "fail"]),
        ((agent, lost), ["fail", "pass"]),
    ):
        found = judge(replace(nobody, turns=turns), silent)
        assert [v.verdict for v in found] == expected


def test_a_forbidden_phrase_is_no_other_phrase_misheard() -> None:
    """为什么时 is 喂什么事: it greets nobody, offers nothing and was understood."""
    rude = item("rude", "fail: {says: {by: agent, any: [喂!什么事], where: {first_turns: 1}}}")
    offers = item("offers", "pass: {says: {by: agent, any: [有什么需要], where: opening}}")
    greets = item("greets", "pass: {says: {by: agent, any: [您好], where: {first_turns: 1}}}")
    call = dialogue("A: 为什么时 / C: 你好，我要查话费。 / A: 账号报一下。")
    first, *others = call.turns
    doubted = replace(call, turns=(replace(first, confidence=0.5, end=first.start + 1.0), *others))

    def given(items: str) -> list[str]:
        return [v.verdict for v in judge(doubted, rubric_of(items))]

    assert given(offers + greets + rude) == ["fail", "fail", "fail"]
    assert given(offers + greets) == ["cannot_tell", "cannot_tell"]


def test_a_number_is_understood_however_doubtful_its_digits() -> None:
    bye = rubric_of(item("bye", "pass: {says: {by: agent, any: [再见], where: closing}}"))
    number = dialogue("A: 您好。 / C: 电话多少？ / A: 座机一六二五四四零九。")
    words = dialogue("A: 您好。 / C: 电话多少？ / A: 座机要留武器似似零。")
    for call, expected in ((number, "fail"), (words, "cannot_tell")):
        *others, last = call.turns
        turns = (*others, replace(last, confidence=0.5))
        assert judge(replace(call, turns=turns), bye)[0].verdict == expected


def test_a_number_may_have_been_said_back_where_the_answer_was_not_understood() -> None:
    back = rubric_of(item("back", "pass: {repeats_back: {by: agent, of: customer}}"))
    long = "A: 这里是客户服务中心，我是小周，很高兴为您服务，请您把要办的事情慢慢地说给我听。"
    number = "C: 我的订单号是七八九零。 / A: 我才婚姻好修下敏的单。 / C: 对。"
    first, given, answer, *others = dialogue(f"{long} / {number} / {long}").turns
    for confidence, expected in ((0.9, "fail"), (0.5, "cannot_tell")):
        turns = (first, given, replace(answer, confidence=confidence), *others)
        call = replace(dialogue("C: 喂"), turns=turns)
        assert judge(call, back)[0].verdict == expected


def test_a_sentence_that_can_hardly_mean_it_is_not_it_misheard() -> None:
    says = "says: {by: agent, any: [还!有(什么|其他|需要)]"
    bare = item("bare", f"pass: {{{says}}}}}")
    meant = item("meant", f"pass: {{{says}, or_means: further_help_asked}}}}")
    call = dialogue("A: 边人的星宁，还有出生日期。 / C: 好。")
    doubted = replace(call, turns=tuple(replace(t, confidence=0.7) for t in call.turns))
    found = judge(doubted, rubric_of(bare + meant))
    assert [v.verdict for v in found] == ["cannot_tell", "fail"]
