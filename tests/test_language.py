"""Which language a speaker speaks is asked only in doubt, and nothing is made of what was misheard."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.dialogue.turns import build_turns
from pipeline.metrics import measure_call, rate_turns, unheard
from pipeline.schema import UNHEARD, Audio, Party, Utterance, Word
from pipeline.speech.language import (
    Language,
    not_understood,
    spoken_languages,
    with_languages,
    without_misheard,
)

SPEECH = {"0": [(0.0, 8.0)], "1": [(8.0, 12.0)]}
AUDIO = {"0": np.ones(20 * 16_000, np.float32), "1": np.ones(20 * 16_000, np.float32)}


def said(
    speaker: str, text: list[str], start: float, end: float, confidence: float = 0.9
) -> Utterance:
    step = (end - start) / max(len(text), 1)
    words = tuple(
        Word(start + i * step, start + (i + 1) * step, c, confidence) for i, c in enumerate(text)
    )
    return Utterance(speaker, start, end, "".join(text), words, confidence)


CHINESE = said("0", list("您好请问有什么可以帮您"), 0.0, 8.0)
ENGLISH = said("1", ["I ", "do ", "not ", "speak ", "Chinese "], 8.0, 12.0)
GARBLED = said("1", list("猪蜂猪蚂猪热线"), 8.0, 12.0, 0.65)


class Asked:
    """Answers with one language and remembers how much was asked about."""

    def __init__(self, likely: dict[str, float]) -> None:
        self.likely, self.seconds = likely, []

    def __call__(self, audio: Audio) -> dict[str, float]:
        self.seconds.append(audio.size / 16_000)
        return self.likely


def test_nobody_is_asked_about_without_doubt():
    asked = Asked({"en": 1.0})
    sure = (CHINESE, said("1", list("我的订单还没有到"), 8.0, 12.0))
    assert spoken_languages(SPEECH, AUDIO, sure, "zh", asked) == {}
    assert asked.seconds == []


@pytest.mark.parametrize(
    "odd", [ENGLISH, GARBLED, Utterance("1", 8.0, 12.0, "", (), 0.1, "unsure")]
)
def test_latin_letters_doubtful_words_and_lost_speech_are_signs(odd: Utterance):
    asked = Asked({"en": 0.94, "zh": 0.02})
    found = spoken_languages(SPEECH, AUDIO, (CHINESE, odd), "zh", asked)
    assert found == {"1": Language("en", 0.94, understood=False)}
    assert asked.seconds == [4.0]


def test_what_was_told_is_believed_of_doubtful_speech_in_it():
    asked = Asked({"zh": 0.98, "ja": 0.01})
    found = spoken_languages(SPEECH, AUDIO, (GARBLED,), "zh", asked)
    assert found["1"].understood
    assert without_misheard((GARBLED,), found) == (GARBLED,)


def test_at_most_half_a_minute_is_asked_about_and_no_less_than_three_seconds():
    asked = Asked({"en": 0.9})
    long = {"1": [(0.0, 19.0), (0.0, 19.0)]}
    spoken_languages(long, AUDIO, (GARBLED,), "zh", asked)
    spoken_languages({"1": [(8.0, 10.5)]}, AUDIO, (GARBLED,), "zh", asked)
    assert asked.seconds == [30.0]


def test_characters_of_another_language_go_and_readable_words_stay_with_their_blanks():
    foreign = {"1": Language("en", 0.94, understood=False)}
    kept = without_misheard((CHINESE, ENGLISH, GARBLED), foreign)
    assert kept[:2] == (CHINESE, ENGLISH)
    assert (kept[2].text, kept[2].words, kept[2].rejected) == ("", (), "language")
    assert kept[1].text == "I do not speak Chinese "


def test_a_language_that_is_not_sure_is_not_named_and_its_words_go():
    asked = Asked({"en": 0.82, "zh": 0.1})
    found = spoken_languages(SPEECH, AUDIO, (CHINESE, ENGLISH), "zh", asked)
    assert found == {"1": Language("und", 0.82, understood=False)}
    kept = without_misheard((CHINESE, ENGLISH), found)
    assert [one.text for one in kept] == [CHINESE.text, ""]
    parties = with_languages([Party("customer", 1)], found, {"1": "customer"})
    (sentence,) = not_understood(parties, "zh")
    assert "cannot be understood as zh" in sentence
    assert "0.82" in sentence


def test_who_is_not_understood_has_no_rate_and_it_is_said():
    foreign = {"1": Language("en", 0.94, understood=False)}
    parties = with_languages(
        [Party("agent", 0), Party("customer", 1)], foreign, {"0": "agent", "1": "customer"}
    )
    assert parties[0] == Party("agent", 0)
    assert (parties[1].language, parties[1].language_probability) == ("en", 0.94)
    (sentence,) = not_understood(parties, "zh")
    assert "customer" in sentence
    assert "0.94" in sentence
    words = [
        f"{w} "
        for w in ["I", "would", "like", "to", "return", "it", "and", "get", "my", "money", "back"]
    ]
    heard = (
        said("agent", list("您好请问有什么可以帮您"), 0.0, 4.0),
        said("customer", words, 8.0, 12.0),
    )
    turns = build_turns({"agent": [(0.0, 4.0)], "customer": [(8.0, 12.0)]}, heard)
    rates = {t.speaker: t.speaking_rate for t in rate_turns(turns, not_understood=["customer"])}
    assert rates["agent"] is not None
    assert rates["customer"] is None


def turns_with_a_hole():
    """A turn of 10 s of which the last 4 s were not heard, and one that was heard."""
    heard = (
        said("agent", list("您好请问有什么可以帮您的呢今天天气很好"), 0.0, 6.0),
        said("customer", list("我的订单还没有到请帮我查"), 11.0, 14.0),
    )
    return build_turns({"agent": [(0.0, 10.0)], "customer": [(11.0, 14.0)]}, heard)


def test_speech_without_words_is_said_and_shown():
    agent, customer = turns_with_a_hole()
    assert agent.unheard == ((6.3, 10.0),)
    assert agent.text.endswith(UNHEARD)
    assert customer.unheard == ()
    values = measure_call((agent, customer), (), {}, 15.0)
    assert values["agent_unheard_s"] == pytest.approx(3.7)
    assert values["customer_unheard_s"] == 0.0


def test_no_rate_where_words_are_missing():
    turns = rate_turns(turns_with_a_hole())
    values = measure_call(turns, (), {}, 15.0)
    assert values["agent_speaking_rate"] is None
    assert values["customer_speaking_rate"] == pytest.approx(240.0)
    (sentence,) = unheard(turns)
    assert "4 of 10 s of the agent's speech" in sentence


def test_words_of_one_time_keep_their_order():
    words = tuple(Word(1.0, 1.0, c, 0.9) for c in "晚上好")
    (turn,) = build_turns({"agent": [(1.0, 1.4)]}, [Utterance("agent", 1.0, 1.4, "", words, 0.9)])
    assert turn.text == "晚上好"


def test_an_utterance_of_which_nothing_was_understood_is_all_unheard():
    rejected = Utterance("agent", 0.0, 3.0, "", (), 0.2, "unsure")
    (turn,) = build_turns({"agent": [(0.0, 1.0), (1.3, 3.0)]}, [rejected])
    assert turn.text == ""
    assert turn.unheard_s == pytest.approx(2.7)
