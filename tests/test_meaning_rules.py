"""The operator ``means``: verdicts, doubt, evidence, places, errors that point."""

from __future__ import annotations

import json
import pickle
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import RubricError
from pipeline.rubric import Rubric, judge, load_rubric, rubric_from_text, run_examples, trace
from pipeline.rubric.agitation import agitation
from pipeline.rubric.choosing import Rubrics
from pipeline.rubric.meaning_rules import moments
from pipeline.schema import Dialogue, Recording, Turn, Verdict, Word
from pipeline.settings import load_settings
from pipeline.text.intents import IntentReader

HEAD = """
rubric: {id: t, name: {zh: 测, en: t}}
sections: {s: {zh: 节, en: S}}
items:
  one:
    name: {zh: 项, en: Item}
    section: s
"""
APOLOGISES = "    pass: {means: {by: agent, intent: apology, where: {after: trigger}}}\n"


def rubric(rule: str) -> Rubric:
    return rubric_from_text(HEAD + rule)


def said(*turns: Sequence[Any], confidence: float = 0.95) -> Dialogue:
    """Turns of (speaker, text), half a second a character, a second apart."""
    made, now = [], 0.0
    for index, (speaker, text) in enumerate(turns):
        end = now + 0.5 * len(text)
        span = ((now, end),)
        made.append(Turn(index, speaker, now, end, span, text, (), confidence, units=len(text)))
        now = end + 1.0
    return Dialogue(Recording("c", "c"), now, tuple(made), ())


def verdict(rule: str, *turns: Sequence[Any], confidence: float = 0.95) -> Verdict:
    return judge(said(*turns, confidence=confidence), rubric(rule))[0]


COMPLAINS = ("customer", "你们这东西用了两天就坏了，太坑人了")
ASKS = ("customer", "请问灰色的还有吗")
SORRY = ("agent", "真对不住，给您添麻烦了")
LOOKS = ("agent", "好的，我查一下订单")


@pytest.mark.parametrize(
    ("turns", "wanted"),
    [
        ((COMPLAINS, SORRY), "pass"),
        ((COMPLAINS, LOOKS), "fail"),
        ((ASKS, LOOKS), "not_applicable"),
        ((SORRY, COMPLAINS), "fail"),
    ],
)
def test_a_meaning_can_be_trigger_and_rule(turns: Sequence[Any], wanted: str):
    rule = "    when: {means: {by: customer, intent: complaint}}\n" + APOLOGISES
    assert verdict(rule, *turns).verdict == wanted


def test_a_trigger_in_doubt_cannot_be_told_and_says_why():
    rule = "    when: {means: {intent: complaint, doubt: [0.01, 1.0]}}\n" + APOLOGISES
    one = verdict(rule, COMPLAINS, LOOKS)
    assert one.verdict == "cannot_tell"
    assert "in doubt" in (one.note or "")
    assert "complaint" in (one.note or "")
    assert one.speaker == "customer"
    assert verdict(rule, ASKS, LOOKS).verdict == "not_applicable"


def test_what_was_not_heard_well_is_no_evidence():
    rule = "    pass: {means: {by: customer, intent: complaint}}\n"
    assert verdict(rule, COMPLAINS, confidence=0.1).verdict == "cannot_tell"
    assert verdict(rule, ASKS, confidence=0.1).verdict == "cannot_tell"
    assert verdict(rule, ASKS).verdict == "fail"


def test_words_decide_before_meaning_in_any():
    rule = """    when:
      any:
        - says: {by: customer, any: [灰色]}
        - means: {intent: complaint, doubt: [0.0, 1.0]}
    pass: {says: {by: agent, any: [订单]}}
"""
    assert verdict(rule, ASKS, LOOKS).verdict == "pass"
    assert verdict(rule, COMPLAINS, SORRY).verdict == "cannot_tell"


def test_what_was_done_after_a_trigger_in_doubt_is_right():
    rule = "    when: {means: {intent: complaint, doubt: [0.01, 1.0]}}\n" + APOLOGISES
    one = verdict(rule, COMPLAINS, SORRY)
    assert one.verdict == "pass"
    assert one.note == "its trigger is in doubt"
    assert one.trigger_start == 0.0


def test_what_was_done_after_a_faint_sign_is_right_and_what_was_not_is_no_matter():
    told = ("customer", "空调开了一夜也不凉")
    chance = IntentReader().probability(told[1], "complaint")
    band = f"[{min(0.98, chance * 1.3):.3f}, 0.99]"
    rule = f"    when: {{means: {{intent: complaint, doubt: {band}}}}}\n" + APOLOGISES
    assert 0.05 < chance < 0.9
    assert verdict(rule, told, SORRY).verdict == "pass"
    assert verdict(rule, told, LOOKS).verdict == "not_applicable"
    assert verdict(rule, ASKS, SORRY).verdict == "not_applicable"


def test_or_means_stands_beside_phrases_in_their_place():
    rule = """    agent_says: [再见]
    or_means: farewell
    where: closing
"""
    filler = ("customer", "我想问一下那个套餐里面都包含了一些什么样的内容呢")
    assert verdict(rule, LOOKS, filler, ("agent", "祝您一路平安")).verdict == "pass"
    assert verdict(rule, LOOKS, filler, ("agent", "好，再见")).verdict == "pass"
    assert verdict(rule, LOOKS, filler, ("agent", "订单号是多少")).verdict == "fail"
    with pytest.raises(RubricError, match="or_means goes with any"):
        rubric("    pass: {says: {by: agent, all: [再见], or_means: farewell}}\n")


def test_the_sentence_is_the_evidence():
    text = "我姓周。我住在和平里。你们修了三回都没修好，我要投诉！电话是一三八零零。"
    words = tuple(Word(i * 0.2, i * 0.2 + 0.2, c, 0.9) for i, c in enumerate(text) if c.isalnum())
    turn = Turn(0, "customer", 0.0, 8.0, ((0.0, 8.0),), text, words, 0.9, units=len(words))
    call = Dialogue(Recording("c", "c"), 8.0, (turn,), ())
    one = judge(call, rubric("    fail: {means: {intent: complaint}}\n"))[0]
    assert one.verdict == "fail"
    assert one.matched == "means complaint"
    assert "投诉" in (one.quote or "")
    assert "和平里" not in (one.quote or "")
    assert one.start is not None
    assert one.end is not None
    assert text.index("你们") * 0.2 - 0.01 <= one.start
    assert one.end <= (text.index("电话")) * 0.2 + 0.01


def test_times_without_words_are_spread_evenly():
    turn = Turn(0, "agent", 10.0, 14.0, ((10.0, 14.0),), "一二，三四", (), 0.9)
    assert moments(turn, 3, 5) == (12.0, 14.0)
    assert moments(turn, 0, 3) == (10.0, 12.0)


def test_several_turns_and_several_in_a_row():
    no = ("agent", "不可能的，您肯定记错了")
    no_again = ("agent", "不是这样的，您说的不对")
    twice = "    fail: {means: {by: agent, intent: contradiction, times: 2}}\n"
    row = "    fail: {means: {by: agent, intent: contradiction, in_a_row: 2}}\n"
    assert verdict(twice, no, ASKS, LOOKS).verdict == "pass"
    assert verdict(twice, no, ASKS, LOOKS, ASKS, no_again).verdict == "fail"
    assert verdict(row, no, ASKS, LOOKS, ASKS, no_again).verdict == "pass"
    assert verdict(row, LOOKS, ASKS, no, ASKS, no_again).verdict == "fail"


def test_a_sentence_with_an_exception_does_not_count():
    bare = "    fail: {means: {intent: complaint}}\n"
    guarded = "    fail: {means: {intent: complaint, except: [坑人]}}\n"
    assert verdict(bare, COMPLAINS).verdict == "fail"
    assert verdict(guarded, ("customer", "太坑人了"), LOOKS).verdict == "pass"


def test_the_place_limits_where_a_meaning_counts():
    rule = "    fail: {means: {intent: complaint, where: {first_turns: 1}}}\n"
    assert verdict(rule, COMPLAINS, SORRY, ASKS).verdict == "fail"
    assert verdict(rule, ASKS, SORRY, COMPLAINS).verdict == "pass"


def test_the_trace_tells_intent_place_and_probability():
    rule = rubric("    when: {means: {intent: complaint}}\n" + APOLOGISES)
    lines = "\n".join(trace(said(COMPLAINS, SORRY), rule)[0].lines())
    assert "customer means complaint, anywhere" in lines
    assert "means apology" in lines


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("{means: {intent: complain}}", 'pass.means.intent: "complain" is not allowed. Did you'),
        ("{means: {by: agent}}", 'the key "intent" is missing'),
        ("{means: {intent: cannot_hear}}", "by: is missing"),
        ("{means: {intent: complaint, doubt: [0.6, 0.3]}}", "the lower first"),
        ("{means: {intent: complaint, doubt: [0.6, 3]}}", "out of range"),
        ("{means: {intent: complaint, wher: closing}}", 'Did you mean "where"?'),
        ("{means: {intent: complaint, in_a_row: 1}}", "out of range"),
    ],
)
def test_errors_name_line_and_key(rule: str, message: str):
    with pytest.raises(RubricError) as error:
        rubric(f"    pass: {rule}\n")
    assert message in str(error.value)
    assert "rubric.yaml:8:" in str(error.value)


# ------------------------------------------------------------ intents of one's own


def own_files(folder: Path, wanted: str = "把钱退给我") -> Path:
    groups = ("shop", "bank", "courier", "airline", "hospital")
    data = {
        "by": "customer",
        "like": {g: [f"{wanted}，{g}{i}" for i in "一二三四"] for g in groups},
        "not_like": {g: [f"帮我查一下{g}{i}" for i in "一二三四"] for g in groups},
    }
    (folder / "mine").mkdir(parents=True, exist_ok=True)
    (folder / "mine/refund.yaml").write_text(json.dumps(data, ensure_ascii=False), "utf-8")
    file = folder / "shop.yaml"
    rule = "    pass: {means: {intent: refund}}\n    examples:\n"
    rule += '      should_pass: ["C: 把钱退给我吧。 / A: 好。", "C: 快把钱退给我。 / A: 好。"]\n'
    rule += '      should_fail: ["C: 帮我查一下。 / A: 好。", "C: 帮我查一下单子。 / A: 好。"]\n'
    file.write_text("intents: mine" + HEAD + rule, "utf-8")
    return file


class Letters:
    """Vectors from the characters of a text."""

    tuned = False
    identity = "letters"

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        out = np.zeros((len(texts), 64), np.float32)
        for row, text in enumerate(texts):
            for character in text:
                out[row, zlib.crc32(character.encode()) % 64] += 1
        return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)


def test_a_rubric_brings_intents_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = own_files(tmp_path / "here")
    shop = load_rubric(file, meaning=IntentReader(Letters()))
    assert [r.text for r in run_examples(shop) if not r.ok] == []
    (tmp_path / "here/more.yaml").write_text(f"extends: {file.name}\n", "utf-8")
    assert load_rubric(tmp_path / "here/more.yaml").intents == ("refund",)
    settings = load_settings(overrides={"compliance.rubric": str(file)})
    rubrics = pickle.loads(pickle.dumps(Rubrics(settings)))
    assert rubrics.load(str(file)).sha256 == load_rubric(file).sha256 != shop.sha256


def test_the_hash_of_a_rubric_follows_the_examples_and_not_the_folder(tmp_path: Path):
    hashes = [
        load_rubric(own_files(tmp_path / name, wanted)).sha256
        for name, wanted in (("a", "把钱退给我"), ("b", "把钱退给我"), ("c", "我要退款"))
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_a_missing_folder_of_intents_is_told(tmp_path: Path):
    file = own_files(tmp_path)
    file.write_text(file.read_text("utf-8").replace("intents: mine", "intents: yours"), "utf-8")
    with pytest.raises(RubricError, match=r"shop\.yaml:1: intents: there is no folder"):
        load_rubric(file)


def voiced(text: str, start: float, level: float, rate: float, pitch: float) -> Turn:
    """A customer's turn of 3 s with its level (dBFS), rate (units/min) and pitch (Hz)."""
    span = ((start, start + 3.0),)
    return Turn(
        0, "customer", start, start + 3.0, span, text, (), 0.95, units=len(text),
        speaking_rate=rate, level_dbfs=level, f0_median_hz=pitch,
    )  # fmt: skip


CALM = [voiced("我想问一下我的订单", 10.0 * i, -30.0, 200.0, 200.0) for i in range(3)]


@pytest.mark.parametrize(
    ("level", "rate", "pitch", "wanted"),
    [
        (-30.0, 200.0, 200.0, 0.0),  # as at first
        (-40.0, 120.0, 150.0, 0.0),  # softer, slower, lower is no agitation
        (-24.0, 200.0, 200.0, 1 / 6),  # half way between 3 and 9 dB, of three measures
        (-21.0, 280.0, 260.0, 1.0),
    ],
)
def test_agitation_is_measured_against_the_speakers_own_beginning(
    level: float, rate: float, pitch: float, wanted: float
):
    later = voiced("你们什么时候给我送过来", 60.0, level, rate, pitch)
    more, said = agitation([*CALM, later], later)
    assert more == pytest.approx(wanted, abs=0.02)
    assert bool(said) == (wanted > 0)


def test_agitation_is_unknown_at_first_and_for_short_turns():
    loud = voiced("快一点", 60.0, -10.0, 300.0, 300.0)
    assert agitation([loud], loud) == (0.0, "")
    assert agitation([*CALM, CALM[1]], CALM[1]) == (0.0, "")


def test_a_raised_voice_counts_a_little_beside_the_words_and_is_shown():
    text = "我等了你们一天了"
    chance = IntentReader().probability(text, "complaint")
    band = f"[{chance * 0.9:.3f}, {chance + 0.03:.3f}]"
    rule = f"    fail: {{means: {{intent: complaint, voice: true, doubt: {band}}}}}\n"
    agent = said(LOOKS).turns[0]
    for turn, wanted in (
        (voiced(text, 60.0, -30.0, 200.0, 200.0), "cannot_tell"),
        (voiced(text, 60.0, -20.0, 300.0, 280.0), "fail"),
    ):
        call = Dialogue(Recording("c", "c"), 70.0, (agent, *CALM, turn), ())
        one = judge(call, rubric(rule))[0]
        assert one.verdict == wanted
        assert ("10 dB louder" in (one.matched or "")) == (wanted == "fail")
    mild = voiced("我住在六楼，有电梯", 60.0, -20.0, 300.0, 280.0)
    call = Dialogue(Recording("c", "c"), 70.0, (agent, *CALM, mild), ())
    assert judge(call, rubric(rule))[0].verdict == "pass"
