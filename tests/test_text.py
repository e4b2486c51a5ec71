"""Mandarin text: the counting rules, spoken forms, syllables and lexicons."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import text as zh
from pipeline.errors import SettingsError
from pipeline.settings import config_path
from pipeline.text.words import WordPairs


@pytest.mark.parametrize(
    ("written", "units"),
    [
        ("13812345678", 11),  # a phone number is read digit by digit
        ("1000", 2),  # 一千
        ("3.5%", 6),  # 百分之三点五
        ("2024年", 5),
        ("10:30", 5),  # 十点三十分
        ("W", 3),
        ("iPhone", 2),
        ("VIP", 3),
        ("WiFi", 2),
        ("，。！？… ", 0),
        ("", 0),
        ("您好，请问有什么可以帮您？", 11),
        ("这儿", 1),
        ("女儿", 2),
        ("一会儿", 2),
        ("嗯，那个", 3),
        ("您的余额是46元", 9),
    ],
)
def test_units_follow_the_counting_rules(written: str, units: int) -> None:
    assert zh.count_units(written) == units


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("2024-03-15", "二零二四年三月十五日"),
        ("电话13812345678", "电话一三八一二三四五六七八"),
        ("138 1234 5678", "一三八一二三四五六七八"),
        ("400-820-8820", "四零零八二零八八二零"),
        ("请拨打10086", "请拨打一零零八六"),
        ("拨打110", "拨打一一零"),
        ("100元", "一百元"),
        ("1,234.56元", "一千二百三十四点五六元"),
        ("¥68", "六十八元"),
        ("46.00元", "四十六元"),
        ("20000元", "两万元"),
        ("1005", "一千零五"),
        ("3-5个工作日", "三到五个工作日"),
        ("24小时之内", "二十四小时之内"),
        ("2天", "两天"),
        ("2月2号", "二月二号"),
        ("订单号是7890", "订单号是七八九零"),
        ("工号1024", "工号一零二四"),
        ("1024号", "一零二四号"),
        ("3号", "三号"),
        ("10:05", "十点零五分"),
        ("１０：３０", "十点三十分"),
        ("1/2", "二分之一"),
        ("5G", "五G"),
        ("0.5折", "零点五折"),
        ("24年3月", "二四年三月"),
    ],
)
def test_numbers_are_written_as_they_are_said(written: str, spoken: str) -> None:
    assert zh.spoken_form(written) == spoken


@pytest.mark.parametrize(
    "free", ["一下就好，一定给您办。", "没有数字，Hello, world!", "《》“”——……", "", "万一不行呢？"]
)
def test_text_without_digits_is_left_alone(free: str) -> None:
    assert zh.spoken_form(free) == free


@given(st.text(max_size=40))
def test_spoken_form_leaves_no_ascii_digit_and_keeps_other_characters(text: str) -> None:
    spoken = zh.spoken_form(text)
    assert not any(c in "0123456789" for c in spoken)
    if not any(c.isdigit() for c in text):
        assert len(spoken) == len(text)


@settings(deadline=None)  # the first text loads the dictionary
@given(st.text(max_size=40))
def test_one_syllable_entry_per_character(text: str) -> None:
    assert len(zh.syllables(text)) == len(text)


def test_syllables_depend_on_context() -> None:
    assert zh.syllables("银行，OK1") == ["yin", "hang", "", "o", "k", "yi"]
    assert zh.syllables("重复")[0] == "chong"
    assert zh.readings("行")[:2] == ("xing", "hang")
    assert zh.readings("有") == ("you",)
    assert zh.readings("，") == ()


def test_traditional_becomes_simplified() -> None:
    assert zh.simplify("感謝您的來電，請稍後") == "感谢您的来电，请稍后"
    assert zh.simplify("") == ""


def test_comparison_form_is_the_same_for_the_same_speech() -> None:
    assert zh.normalise_for_cer("訂單號是 7890，OK？") == zh.normalise_for_cer("订单号是七八九零ok")
    assert zh.normalise_for_cer("幺三八") == "一三八"
    assert zh.normalise_for_cer(" ，。") == ""


@pytest.mark.parametrize("signal", ["嗯。", "嗯，是。", "对对对", "好的好的", "是的", "明白"])
def test_listening_signals(signal: str) -> None:
    assert zh.is_backchannel(signal)


@pytest.mark.parametrize(
    "speech", ["是不是", "好不好", "", "，", "对不起", "好的我知道怎么做了", "嗯我要退货"]
)
def test_what_is_no_listening_signal(speech: str) -> None:
    assert not zh.is_backchannel(speech)


def test_surnames_have_single_and_double_names() -> None:
    assert {"王", "欧阳", "刘"} <= zh.surnames()
    assert "小" not in zh.surnames()
    assert all(1 <= len(name) <= 2 for name in zh.surnames())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1-3-8-0-8", "一三八零八"),
        ("号199-05-7-6-6-8-2", "号一九九零五七六六八二"),
        ("1,8,9,9,7,10,2,2", "一八九九七一零二二"),
        ("卡号是4-4-0 8-1-6-9-5-2", "卡号是四四零八一六九五二"),
        ("九栋二单元,1503", "九栋二单元,一五零三"),
        ("138085533161", "一三八零八五五三三一六一"),
        ("3281138.48", "三百二十八万一千一百三十八点四八"),
        ("三百二十八万一千一百三十八点四八", "三百二十八万一千一百三十八点四八"),
        ("2026年3月15日10:30分", "二零二六年三月十五日十点三十分"),
        ("1,234,567元", "一百二十三万四千五百六十七元"),
    ],
)
def test_numbers_are_read_as_they_were_dictated(text: str, said: str):
    assert zh.spoken_form(text) == said


HOMOPHONES = zh.WordModel(
    {
        "逐渐": 900,
        "减弱": 500,
        "主见": 2,
        "身份证": 700,
        "黎明": 900,
        "手机": 900,
        "的": 5000,
        "一般": 900,
    }
)


def test_a_much_likelier_word_of_the_same_sound_is_written():
    unsure = [0.6] * 4
    assert HOMOPHONES.corrected("主见减弱", unsure, 2.0) == "逐渐减弱"
    assert HOMOPHONES.corrected("神分证的", unsure, 2.0) == "身份证的"


@pytest.mark.parametrize(
    ("text", "sure", "cost"), [("主见减弱", 0.99, 2.0), ("主见减弱", 0.6, 100)]
)
def test_what_was_surely_heard_stays(text: str, sure: float, cost: float):
    assert HOMOPHONES.corrected(text, [sure] * len(text), cost) == text


@pytest.mark.parametrize("text", ["我姓李明", "李明先生", "一二三四", "小明手机"])
def test_names_and_numbers_are_no_words(text: str):
    assert HOMOPHONES.corrected(text, [0.5] * len(text), 0.0) == text


def pairs_of(rows: dict[tuple[str, str], int]) -> WordPairs:
    words = sorted({word for pair in rows for word in pair})
    keys = {words.index(a) * len(words) + words.index(b): n for (a, b), n in rows.items()}
    return WordPairs(words, np.array(sorted(keys)), np.array([keys[k] for k in sorted(keys)]))


def test_the_word_before_tells_which_of_one_sound_was_said():
    counts = {"再": 900, "在": 9000, "见": 500, "家": 500}
    pairs = pairs_of({("再", "见"): 400, ("在", "家"): 900, ("再", "家"): 1})
    alone, beside = zh.WordModel(counts), zh.WordModel(counts, pairs)
    assert alone.corrected("在见", [0.5, 0.9], 2.0) == "在见"
    assert beside.corrected("在见", [0.5, 0.9], 2.0) == "再见"
    assert beside.corrected("在家", [0.5, 0.9], 2.0) == "在家"
    assert beside.corrected("在见", [0.999, 0.9], 6.0) == "在见"


def test_probabilities_after_a_word_add_up_to_one():
    pairs = pairs_of({("再", "见"): 40, ("再", "家"): 3})
    after = [
        pairs.logprob("再", w, math.log(p)) for w, p in (("见", 0.2), ("家", 0.3), ("在", 0.5))
    ]
    assert sum(map(math.exp, after)) == pytest.approx(1)
    assert pairs.logprob("在", "见", -2.5) == -2.5


def test_the_two_words_before_tell_more_than_one():
    counts = {"请": 900, "您": 900, "再": 900, "在": 9000, "线": 500, "见": 500}
    rows = {("您", "在"): 50, ("您", "再"): 50, ("请", "您"): 50, ("再", "见"): 9, ("在", "线"): 9}
    pairs = pairs_of(rows)
    words = sorted({word for pair in rows for word in pair})

    def key(*row: str) -> int:
        a, b, c = map(words.index, row)
        return (a * len(words) + b) * len(words) + c

    threes = {key("请", "您", "再"): 30, key("请", "您", "在"): 1}
    sorted_keys = np.array(sorted(threes))
    known = WordPairs(
        words,
        pairs._keys,
        pairs._counts,
        threes=(sorted_keys, np.array([threes[k] for k in sorted_keys])),
    )
    assert dict(known.after("请", "您")) == {"再": 30, "在": 1}
    assert not known.after("您", "请")
    by_one, by_two = zh.WordModel(counts, pairs), zh.WordModel(counts, known)
    assert by_one.corrected("请您在", [0.9, 0.9, 0.5], 2.0) == "请您在"
    assert by_two.corrected("请您在", [0.9, 0.9, 0.5], 2.0) == "请您再"
    after = [by_two._after("请", "您", w) for w in words]
    alone = sum(math.exp(by_two._logprob[w]) for w in words)
    assert alone < 1
    assert sum(map(math.exp, after)) == pytest.approx(1, abs=0.01)


def test_words_of_hotlines_are_likelier_than_in_other_texts():
    counts = {"公丹": 60, "工单": 40}
    own = WordPairs(["公丹", "工单"], np.zeros(0, np.int64), np.zeros(0), np.array([0, 50]))
    assert zh.WordModel(counts).corrected("公丹", [0.5, 0.5], 0.0) == "公丹"
    assert zh.WordModel(counts, own).corrected("公丹", [0.5, 0.5], 0.0) == "工单"
    assert own.own_shares() == {"工单": 1.0}


def test_the_built_in_words_know_what_is_said_on_hotlines():
    words = zh.WordModel.load(
        config_path("lexicons/words.txt.gz"), config_path("lexicons/pairs.npz")
    )
    assert words.plausibility("请您稍等，我帮您查一下") > words.plausibility(
        "情您烧等，我帮您茶一下"
    )
    heard = "我帮您茶询一下"
    assert words.corrected(heard, [0.7] * len(heard), 2.0) == "我帮您查询一下"


def test_pairs_that_cannot_be_read_are_one_clear_line(tmp_path: Path):
    broken = tmp_path / "pairs.npz"
    broken.write_bytes(b"no numbers")
    with pytest.raises(SettingsError, match="pairs of words"):
        WordPairs.load(broken)


@given(st.lists(st.tuples(st.sampled_from("主见减弱神分证手的受鸡"), st.floats(0, 1)), max_size=12))
def test_correction_keeps_length_and_sound(rows: list[tuple[str, float]]):
    text = "".join(c for c, _ in rows)
    written = HOMOPHONES.corrected(text, [p for _, p in rows], 2.0)
    assert len(written) == len(text)
    assert [zh.readings(c) for c in written] == [zh.readings(c) for c in text]


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("1-3-8-0-8-5-5-3-3-1-6", "13808553316"),
        ("一三八零八五五三三幺六", "13808553316"),
        ("号199-05-7-6-6-8-2", "19905766 82".replace(" ", "")),
        ("4 40 8 16 9 5 2对不对", "440816952"),
    ],
)
def test_dictated_numbers_have_one_written_form_and_one_reading(text: str, digits: str):
    ((start, end, written),) = zh.dictated(text)
    assert written == digits
    whole = text[:start] + written + text[end:]
    assert zh.normalise_for_cer(whole) == zh.normalise_for_cer(text)


@pytest.mark.parametrize(
    "text",
    [
        "三百二十八万一千一百三十八点四八",
        "3281138.48",
        "2026年3月15日10:30",
        "138085533161",
        "1,234,567元",
    ],
)
def test_quantities_and_dates_are_not_dictated(text: str):
    assert zh.dictated(text) == []
