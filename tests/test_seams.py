"""Words that both voices of one channel were heard to say are written down once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.schema import Utterance, Word
from pipeline.speech.asr.seams import said_once, settled


def said(speaker: str, start: float, end: float, text: str, confidence: float = 0.9) -> Utterance:
    step = (end - start) / len(text)
    words = tuple(
        Word(start + i * step, start + (i + 1) * step, c, confidence) for i, c in enumerate(text)
    )
    return Utterance(speaker, start, end, text, words, confidence)


@pytest.mark.parametrize(
    ("sure", "left"),
    [(0.5, ("其中扮演何种角色", "可穿戴设备续航")), (0.95, ("其中扮演何种角色可穿戴设备", "续航"))],
)
def test_doubled_words_stay_with_the_surer_voice(sure: float, left: tuple[str, str]):
    one, other = (
        said("0", 0.0, 2.6, "其中扮演何种角色可穿戴设备", sure),
        said("1", 1.6, 3.0, "可穿戴设备续航"),
    )
    assert tuple(u.text for u in said_once((one, other))) == left


def test_homophones_are_doubled_words_too():
    one, other = said("0", 0.0, 2.0, "我们就这样办里"), said("1", 1.4, 3.0, "办理退款好吗", 0.95)
    assert [u.text for u in said_once((one, other))] == ["我们就这样", "办理退款好吗"]


@pytest.mark.parametrize(
    "heard",
    [
        (said("0", 0.0, 1.0, "好的再见"), said("1", 1.1, 1.6, "再见")),  # an answer, not a double
        (said("0", 0.0, 4.0, "再见了我说的话还没有完"), said("1", 3.0, 4.5, "再见")),
        (said("0", 0.0, 1.0, "好的再见"), said("0", 0.5, 1.6, "再见")),
        (said("0", 0.0, 2.0, "一二三四五六七八"), said("1", 1.0, 1.4, "八九")),
    ],
)
def test_what_both_say_by_themselves_stays(heard: tuple[Utterance, ...]):
    assert said_once(heard) == heard


def test_a_voice_that_only_had_the_words_of_the_other_has_none():
    one, other = said("0", 0.0, 4.0, "请您稍等一下我查询"), said("1", 1.0, 2.2, "稍等一", 0.3)
    assert [u.text for u in said_once((one, other))] == [one.text, ""]


def test_a_voice_that_had_none_but_the_words_of_the_other_is_not_heard_there():
    one, other = (
        said("0", 0.0, 5.4, "其中扮演何种角色可穿戴设备"),
        said("1", 4.0, 6.0, "可穿戴设备续航", 0.95),
    )
    words = [
        replace(w, start=4.0 + 0.28 * i, end=4.28 + 0.28 * i) for i, w in enumerate(one.words[8:])
    ]
    one = replace(one, words=(*(replace(w, end=w.start + 0.2) for w in one.words[:8]), *words))
    speech = {"0": [(0.0, 3.4), (4.2, 5.4)], "1": [(4.0, 6.0)]}
    heard, left = settled((one, other), speech)
    assert [u.text for u in heard] == ["其中扮演何种角色", "可穿戴设备续航"]
    assert left == {"0": ((0.0, 3.4),), "1": ((4.0, 6.0),)}
    assert settled((other,), speech)[1] == {
        s: tuple(own) for s, own in speech.items()
    }  # an attempt
