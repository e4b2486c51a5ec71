"""Phrases are found by sound, aligned, in their own sense, and nowhere else."""

from __future__ import annotations

import pytest

from pipeline.errors import RubricError
from pipeline.schema import Dialogue, Recording, Turn, Word
from pipeline.text.phonetic.matching import find_phrase, negated
from pipeline.text.phonetic.phrases import parse_phrase
from pipeline.text.phonetic.search import THRESHOLDS, Closeness
from pipeline.text.phonetic.slots import duration_seconds
from pipeline.text.phonetic.streams import Stream, build_stream, split_at_pauses, timed_characters


def call(*said: str, gap: float = 0.4) -> Dialogue:
    turns, now = [], 0.0
    for index, line in enumerate(said):
        speaker = {"A": "agent", "C": "customer"}[line[0]]
        text, end = line[2:], now + len(line) / 4
        backchannel = text in ("嗯。", "好。")
        turns.append(Turn(index, speaker, now, end, ((now, end),), text, (), 0.9, backchannel))
        now = end + gap
    return Dialogue(Recording("x", "x"), now, tuple(turns), ())


def agent(*said: str) -> Stream:
    return build_stream(call(*said), "agent")


def found(phrase: str, stream: Stream, strictness: Closeness = "normal") -> list[str]:
    compiled = parse_phrase(phrase)
    return [
        stream.text(m.start, m.end)
        for m in find_phrase(stream, compiled, strictness)
        if not negated(stream, m, compiled.first)
    ]


@pytest.mark.parametrize(
    ("phrase", "heard"),
    [
        ("售后服务", "这里是新润收货服务中心"),
        ("耐心等候", "感谢您的耐心等后"),
        ("耐心等候", "感谢您的耐心等。"),  # a dropped character
        ("没有办法", "我们没有版法"),
        ("请问有什么可以帮您", "请问有什么可以绑你"),
        ("再见", "在见"),
        ("您好", "宁好"),
        ("不关我的事", "这不关我的是"),
        ("请稍等", "请嗯那个稍等"),  # fillers
        ("请稍等", "请请稍等"),  # a stutter
        ("感谢…来电", "感谢您今天给我们的来电"),
        ("(稍等|等一下)(好吗)?", "请您等一下"),
        ("二十四小时", "24小时之内给您答复"),
    ],
)
def test_said_in_other_characters(phrase: str, heard: str) -> None:
    assert found(phrase, agent(f"A:{heard}"))


@pytest.mark.parametrize(
    ("phrase", "heard"),
    [
        ("我知道", "我不知道"),
        ("我不知道", "我知道"),
        ("你应该", "您不应该承担"),
        ("不行", "这样不是不行的"),
        ("不行", "您看行不行"),
        ("还!有什么可以帮您", "请问有什么可以帮您"),
        ("售后服务", "我想问一下怎么退货"),
        ("没有办法", "我有一个办法"),
        ("感谢…来电", "感谢您的支持，非常高兴今天能够在这里为您服务，欢迎来电"),
    ],
)
def test_other_sense_is_not_taken(phrase: str, heard: str) -> None:
    assert not found(phrase, agent(f"A:{heard}"))


@pytest.mark.parametrize(
    ("phrase", "heard"),
    [
        ("好(急|气)", "我核对了好几遍"),
        ("有误", "东门有无障碍通道"),
        ("妈的", "我电话号码的后四位"),
        ("不符", "出了事我们可不负责"),
        ("(有没有|有)笔", "还有没有别的"),
    ],
)
def test_an_accusing_word_of_a_few_characters_is_no_other_word(phrase: str, heard: str) -> None:
    assert found(phrase, agent(f"A:{heard}"))
    assert not found(phrase, agent(f"A:{heard}"), "careful")


def test_of_three_accusing_characters_one_may_be_a_homophone() -> None:
    assert found("急什么", agent("A:你还记什么"), "careful")


def test_strict_needs_a_written_negation_and_exact_needs_the_characters() -> None:
    on_foot = agent("A:步行五分钟就到")
    assert found("不行", on_foot)
    assert not found("不行", on_foot, "strict")
    assert not found("再见", agent("A:在见"), "exact")
    assert found("再见", agent("A:再见"), "exact")


def test_a_phrase_crosses_an_utterance_boundary_but_not_the_other_party() -> None:
    assert found("感谢您的来电", agent("A:好的，感谢您的", "A:来电，再见。"))
    assert found("感谢您的来电", agent("A:好的，感谢您的", "C:嗯。", "A:来电，再见。"))
    assert not found("感谢您的来电", agent("A:感谢您的", "C:我还没有说完呢", "A:来电，再见。"))


def test_hits_are_placed_at_the_words() -> None:
    words = tuple(Word(10 + i, 11 + i, c, 0.8) for i, c in enumerate("好的感谢来电"))
    turn = Turn(0, "agent", 10.0, 16.0, ((10.0, 16.0),), "好的，感谢来电。", words, 0.8)
    stream = build_stream(Dialogue(Recording("x", "x"), 20.0, (turn,), ()), "agent")
    (match,) = find_phrase(stream, parse_phrase("感谢来电"))
    assert (stream.starts[match.start], stream.ends[match.end - 1]) == (12.0, 16.0)
    assert stream.quote(match.start, match.end) == "好的，感谢来电"


def test_numbers_keep_their_times_when_they_are_spoken_out() -> None:
    words = tuple(Word(i, i + 1, c, 0.9) for i, c in enumerate("等24小时"))
    turn = Turn(0, "agent", 0.0, 5.0, ((0.0, 5.0),), "等24小时", words, 0.9)
    characters = timed_characters(turn)
    assert "".join(w.text for _, w in characters) == "等二十四小时"
    assert characters[0][1].end == 1.0
    assert characters[1][1].start == 1.0
    assert characters[3][1].end == pytest.approx(3.0)
    assert characters[-1][1].end == 5.0


def test_turns_are_split_at_long_pauses() -> None:
    words = tuple(
        Word(t, t + 0.5, c, 0.9) for t, c in [(0, "稍"), (0.5, "等"), (9, "好"), (9.5, "了")]
    )
    turn = Turn(0, "agent", 0.0, 10.0, ((0.0, 1.0), (9.0, 10.0)), "稍等，好了。", words, 0.9)
    first, second = split_at_pauses((turn,), 2.5)
    assert (first.text, first.end, second.text, second.start) == ("稍等", 1.0, "好了", 9.0)


@pytest.mark.parametrize("notation", ["(您好", "您好)", "[再见", "{surname", "…", "[您好]", ""])
def test_bad_notation_is_refused(notation: str) -> None:
    with pytest.raises(RubricError):
        parse_phrase(notation)


def test_notation_expands() -> None:
    (words,) = parse_phrase("请[您](稍等|等一下)").sequences[0]
    assert [o.text for o in words.options] == ["请您稍等", "请您等一下", "请稍等", "请等一下"]
    assert parse_phrase("{surname}先生").slots == {"surname"}


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("一分钟", 60),
        ("半个小时", 1800),
        ("两分钟", 120),
        ("三到五个工作日", 432000),
        ("十五秒", 15),
        ("一两分钟", 120),
        ("两三分钟", 180),
        ("三五分钟", 300),
        ("十来分钟", 900),
        ("十几秒", 19),
        ("几分钟", 540),
        ("一分半钟", 90),
        ("一个半小时", 5400),
        ("两个半小时", 9000),
        ("个把小时", 7200),
        ("半天", 43200),
        ("一两天", 172800),
    ],
)
def test_durations_are_taken_at_their_upper_end(said: str, seconds: float) -> None:
    assert duration_seconds(said) == seconds


def test_no_duration() -> None:
    assert duration_seconds("好的") is None


def test_shorter_phrases_need_higher_scores() -> None:
    for limits in THRESHOLDS.values():
        assert list(limits) == sorted(limits, reverse=True)
