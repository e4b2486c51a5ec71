"""Mandarin text: the counting rules, spoken forms, syllables and lexicons."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import text as zh


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
