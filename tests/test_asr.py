"""Recognition: every utterance on its own, and text that nobody spoke is rejected and kept apart.

In these tests an utterance is a stretch of constant amplitude that names the text to answer with, so
that the decoder answers per window and knows nothing of the call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.schema import Audio, Span, Utterance, Word
from pipeline.settings import Asr, config_path
from pipeline.speech.asr.recognise import recognise
from pipeline.speech.asr.windows import Heard
from pipeline.text import Lexicon

RATE = 16_000
OPTIONS = Asr()
HOTLINE = Lexicon.load(config_path("lexicons/hotline.yaml"))
GREETING = "请您稍等我帮您查询"


@dataclass
class Answers:
    """Answers each window with the texts that its amplitudes name, spread over their time."""

    texts: Sequence[str]
    careful_texts: Sequence[str] | None = None
    no_speech: float = 0.0
    logprob: float = -0.1
    seconds: list[float] = field(default_factory=list)
    careful: list[bool] = field(default_factory=list)

    def __call__(self, windows: Sequence[Audio], *, careful: bool = False) -> list[Heard]:
        self.seconds += [w.size / RATE for w in windows]
        self.careful.append(careful)
        texts = self.careful_texts if careful and self.careful_texts else self.texts
        return [Heard(tuple(self._words(w, texts)), self.logprob, self.no_speech) for w in windows]

    def _words(self, window: Audio, texts: Sequence[str]):
        edges = [0, *(np.flatnonzero(np.diff(window)) + 1).tolist(), window.size]
        for a, b in zip(edges[:-1], edges[1:], strict=True):
            if window[a] > 0:
                text = texts[round(float(window[a]) * 100) - 1]
                step = (b - a) / RATE / max(len(text), 1)
                for i, c in enumerate(text):
                    yield Word(a / RATE + i * step, a / RATE + (i + 1) * step, c, 0.9)


def line(*spans: Span, seconds: float = 60.0) -> Audio:
    """Audio whose ``i``-th span has amplitude ``(i + 1) / 100``."""
    audio = np.zeros(round(seconds * RATE), np.float32)
    for i, (start, end) in enumerate(spans):
        audio[round(start * RATE) : round(end * RATE)] = (i + 1) / 100
    return audio


def hear(
    spans: Sequence[Span],
    decoder: Callable,
    options: Asr = OPTIONS,
    lexicon: Lexicon | None = None,
) -> tuple[Utterance, ...]:
    return recognise(
        [("agent", line(*spans), spans)],
        decoder,
        options,
        lexicon=lexicon,
        hallucinations=HOTLINE.hallucinations,
    )


def test_a_prompt_said_three_times_is_three_utterances():
    spans = [(1.0, 4.0), (7.0, 10.0), (14.0, 17.0)]
    found = hear(spans, Answers([GREETING] * 3))
    assert [u.text for u in found] == [GREETING] * 3
    assert [(u.start, u.end) for u in found] == spans
    assert all(u.rejected is None and u.confidence == pytest.approx(0.9) for u in found)


def test_a_short_closing_after_a_pause_survives_with_its_own_time():
    spans = [(1.0, 6.0), (9.0, 9.6)]
    decoder = Answers(["感谢您的来电祝您生活愉快", "再见"])
    found = hear(spans, decoder)
    assert [u.text for u in found] == ["感谢您的来电祝您生活愉快", "再见"]
    last = found[-1]
    assert [w.text for w in last.words] == ["再", "见"]
    assert (last.words[0].start, last.words[-1].end) == pytest.approx((9.0, 9.6), abs=0.02)
    assert max(decoder.seconds) > 6, "the short one is heard with the one before it"


def test_short_utterances_can_be_heard_by_themselves():
    decoder = Answers(["感谢您的来电", "再见"])
    hear([(1.0, 4.5), (9.0, 9.6)], decoder, Asr(short_s=0.0))
    assert sorted(decoder.seconds) == pytest.approx([1.4, 4.3], abs=0.01)


def test_what_is_said_after_a_pause_is_the_next_utterances():
    spans = [(1.0, 5.0), (7.0, 7.9), (12.0, 13.5)]
    decoder = Answers(["感谢您的来电", "好的", "不客气再见"])
    found = hear(spans, decoder)
    assert [u.text for u in found] == ["感谢您的来电", "好的", "不客气再见"]
    assert len(decoder.seconds) == 1
    for utterance, span in zip(found, spans, strict=True):
        times = [t for w in utterance.words for t in (w.start, w.end)]
        assert (times[0], times[-1]) == pytest.approx(span, abs=0.02)


def test_a_short_utterance_that_the_one_before_drowns_is_heard_again_alone():
    class Deaf(Answers):
        def __call__(self, windows, *, careful=False):
            heard = super().__call__(windows, careful=careful)
            return [h if w.size < 3 * RATE else Heard(h.words[:-2], h.logprob, 0.0)
                    for h, w in zip(heard, windows, strict=True)]  # fmt: skip

    decoder = Deaf(["感谢您的来电祝您生活愉快", "再见"])
    found = hear([(1.0, 6.0), (9.0, 9.6)], decoder)
    assert found[-1].text == "再见"
    assert decoder.careful == [False, True]
    assert (found[-1].words[0].start, found[-1].words[-1].end) == pytest.approx((9.0, 9.6))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("谢谢观看", "hallucination"),
        ("請不吝點贊訂閱轉發打賞支持明鏡與點點欄目", "hallucination"),
        ("Thank you for watching!", "hallucination"),
        ("字幕由 Amara.org 社区提供", "hallucination"),
        ("好的" * 40, "loop"),
        ("我们今天讲一下第二章的内容请大家把书翻到第三十五页看图表一下面的说明文字", "loop"),
        ("", "silence"),
        ("……，。", "silence"),
    ],
)
def test_text_that_was_not_spoken_is_rejected_with_the_reason(text: str, reason: str):
    (found,) = hear([(1.0, 3.0)], Answers([text]))
    assert (found.rejected, found.text, found.words) == (reason, "", ())
    assert (found.start, found.end, found.speaker) == (1.0, 3.0, "agent")


def test_text_on_silence_is_known_by_the_models_own_doubt():
    sure = {"no_speech": 0.1, "logprob": -0.2}
    for doubt, reason in (
        ({"no_speech": 0.9, "logprob": -1.5}, "silence"),
        (sure | {"no_speech": 0.9}, None),
        (sure | {"logprob": -1.5}, None),
    ):
        (found,) = hear([(1.0, 3.0)], Answers(["请您稍等"], **doubt))
        assert found.rejected == reason
        assert found.text == ("请您稍等" if reason is None else "")


def test_words_a_customer_may_say_are_no_hallucination():
    for text in ("谢谢", "感谢您的来电", "我在观看你们的直播"):
        (found,) = hear([(1.0, 3.0)], Answers([text]))
        assert (found.text, found.rejected) == (text, None)


def test_a_loop_is_heard_again_with_care():
    decoder = Answers(["好的" * 40], careful_texts=["好的我知道了"])
    (found,) = hear([(1.0, 3.0)], decoder)
    assert (found.text, found.rejected) == ("好的我知道了", None)
    assert decoder.careful == [False, True]


def test_far_too_little_text_is_heard_again_with_care():
    decoder = Answers(["好"], careful_texts=["好的那麻烦您帮我查询一下订单"])
    (found,) = hear([(1.0, 9.0)], decoder)
    assert found.text == "好的那麻烦您帮我查询一下订单"


def test_good_text_is_heard_once():
    decoder = Answers([GREETING])
    hear([(1.0, 4.0)], decoder)
    assert decoder.careful == [False]


@dataclass
class Chooses(Answers):
    """Says of every text that it may choose from how likely it is; the rest is shared out."""

    likely: Mapping[str, float] = field(default_factory=dict)

    def choose_among(self, audio: Audio, texts: Sequence[str]) -> list[float]:
        rest = (1 - sum(self.likely.values())) / (len(texts) - len(self.likely))
        return [self.likely.get(text, rest) for text in texts]


def test_short_last_words_that_were_not_understood_may_be_a_farewell():
    spans = [(1.0, 3.0), (5.0, 5.6)]
    for likely, text in (({"再见。": 0.97}, "再见。"), ({"拜拜。": 0.8}, ""), ({"嗯。": 0.99}, "")):
        found = hear(spans, Chooses([GREETING, ""], likely=likely))
        assert [u.text for u in found] == [GREETING, text], likely
    said = hear(spans, Chooses([GREETING, ""], likely={"再见。": 0.97}))[1]
    assert (said.rejected, said.confidence) == (None, 0.97)
    assert [w.text for w in said.words] == ["再", "见。"]
    assert spans[1][0] <= said.words[0].start < said.words[-1].end <= spans[1][1]
    for other in ([(1.0, 3.0), (5.0, 7.0)], [(1.0, 1.6), (5.0, 7.0)]):  # long, or not the last
        texts = [GREETING, ""] if other[0][1] == 3.0 else ["", GREETING]
        found = hear(other, Chooses(texts, likely={"再见。": 0.97}))
        assert "再见。" not in [u.text for u in found]


def test_nothing_is_decoded_where_nobody_speaks():
    decoder = Answers([])
    assert recognise([("agent", line(), [])], decoder, OPTIONS) == ()
    assert decoder.careful == []


def test_all_voices_are_heard_in_one_go_and_come_in_order_of_time():
    spans = [(1.0, 3.0), (4.0, 6.0), (8.0, 10.0)]
    decoder = Answers(["第一句话", "第二句话", "第三句话"])
    speech = [("B", line(*spans), [spans[1]]), ("A", line(*spans), [spans[0], spans[2]])]
    found = recognise(speech, decoder, OPTIONS)
    assert [(u.speaker, u.text) for u in found] == [
        ("A", "第一句话"), ("B", "第二句话"), ("A", "第三句话"),
    ]  # fmt: skip
    assert len(decoder.careful) == 1


@dataclass
class Piece:
    """Answers every window with one given piece of text."""

    text: str

    def __call__(self, windows: Sequence[Audio], *, careful: bool = False) -> list[Heard]:
        word = Word(0.2, windows[0].size / RATE - 0.2, self.text, 0.8)
        return [Heard((word,), -0.1, 0.0)] * len(windows)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("您好，请问。", ["您", "好，", "请", "问。"]),
        ("您的VIP卡号是A12", ["您", "的", "VIP", "卡", "号", "是", "A12"]),
        ("感謝您的來電", ["感", "谢", "您", "的", "来", "电"]),
        ("，您好", ["您", "好"]),
    ],
)
def test_words_are_characters_or_latin_words_with_their_punctuation(text: str, words: list[str]):
    (found,) = hear([(2.0, 5.0)], Piece(text))
    assert [w.text for w in found.words] == words
    assert found.text == "".join(words)
    assert found.words[0].start == pytest.approx(2.0)
    assert found.words[-1].end == pytest.approx(5.0)
    assert all(a.end == pytest.approx(b.start, abs=0.002)
               for a, b in zip(found.words[:-1], found.words[1:], strict=True))  # fmt: skip


def test_domain_words_are_written_as_they_sound_and_keep_their_times():
    lexicon = Lexicon(["售后服务"])
    spans = [(1.0, 4.0)]
    plain = hear(spans, Answers(["这里是收后服务中心"]))[0]
    corrected = hear(spans, Answers(["这里是收后服务中心"]), lexicon=lexicon)[0]
    assert corrected.text == "这里是售后服务中心"
    assert [(w.start, w.end) for w in corrected.words] == [(w.start, w.end) for w in plain.words]


def test_blanks_stay_between_latin_words_and_half_written_characters_are_dropped():
    class English:
        def __call__(self, windows: Sequence[Audio], *, careful: bool = False) -> list[Heard]:
            texts = [" Thank", " you", ".", " Bye", "刘", "\ufffd", "好"]
            words = [Word(0.4 * i, 0.4 * i + 0.4, t, 0.9) for i, t in enumerate(texts)]
            return [Heard(tuple(words), -0.1, 0.0) for _ in windows]

    (found,) = hear([(1.0, 4.0)], English())
    assert found.text == "Thank you. Bye刘好"
    assert [w.text for w in found.words] == ["Thank ", "you. ", "Bye", "刘", "好"]


@given(st.text("您好请问AB1，。 ", min_size=1, max_size=12), st.floats(0.3, 8))
@settings(max_examples=40, deadline=None)
def test_words_never_leave_their_utterance(text: str, seconds: float):
    span = (1.0, 1.0 + seconds)
    (found,) = hear([span], Piece(text))
    assert found.rejected or found.text
    for word in found.words:
        assert span[0] <= word.start <= word.end <= round(span[1], 3) + 1e-9


def test_a_dictated_number_is_one_word_with_its_time():
    text = "电话1-3-8-0-8，好"
    (found,) = hear([(1.0, 4.0)], Answers([text]))
    assert found.text == "电话13808，好"
    number = found.words[2]
    assert (number.text, number.confidence) == ("13808，", pytest.approx(0.9))
    assert found.words[1].end <= number.start < number.end <= found.words[3].start
