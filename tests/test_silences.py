"""Waits on hand-drawn timelines: whose silence it is, what announces a hold, what ringing counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dialogue.silences import find_silences, ringing_event
from pipeline.schema import AGENT, CUSTOMER, Event, Span, Turn, Word
from pipeline.settings import Silences

WAIT = "好的，请您稍等，我帮您查询一下。"
BACK = "让您久等了，感谢您的耐心等候。"


def turn(
    speaker: str, start: float, end: float, text: str = "好的", *, listening: bool = False
) -> Turn:
    step = (end - start) / len(text)
    words = tuple(
        Word(start + i * step, start + (i + 1) * step, c, 0.9) for i, c in enumerate(text)
    )
    return Turn(
        0, speaker, start, end, ((start, end),), text, words, 0.9, listening, units=len(text)
    )


def waits(*turns: Turn, music: tuple[Span, ...] = (), **options: float) -> list[Event]:
    return list(find_silences(turns, music, Silences(**options)))


def holds(*turns: Turn, music: tuple[Span, ...] = (), **options: float) -> list[Event]:
    return [e for e in waits(*turns, music=music, **options) if e.kind == "hold"]


def shown(events: list[Event]) -> list[tuple[str, float, float, str | None]]:
    return [(e.kind, e.start, e.end, e.by) for e in events]


def test_an_announced_wait_in_silence_is_a_hold():
    (hold,) = waits(turn(CUSTOMER, 0, 4), turn(AGENT, 5, 9, WAIT), turn(AGENT, 29, 33, BACK))
    assert (hold.kind, hold.by, hold.start, hold.end) == ("hold", AGENT, 9, 29)
    assert hold.detail["medium"] == "silence"
    assert hold.detail["announced"] is True
    assert hold.detail["returned_at"] == 29


def test_a_wait_that_was_not_announced_is_a_hold_of_its_own_kind():
    (hold,) = holds(
        turn(AGENT, 0, 2, "您好"), turn(CUSTOMER, 3, 7, "我要查订单"), turn(AGENT, 22, 25, BACK)
    )
    assert (hold.start, hold.end) == (7, 22)
    assert hold.detail["announced"] is False


@pytest.mark.parametrize(
    "phrase",
    [
        "请稍等",
        "请您等一下",
        "我帮您查一下",
        "麻烦您不要挂机，我核实一下",
        "请烧等",
        "要耽误您四十秒左右",
        "等等啊",
    ],
)
def test_wait_phrases_announce_also_when_misheard(phrase: str):
    (hold,) = holds(turn(CUSTOMER, 0, 4), turn(AGENT, 5, 8, phrase), turn(AGENT, 28, 30, BACK))
    assert hold.detail["announced"] is True


def test_a_wait_phrase_long_before_announces_nothing():
    rows = (turn(AGENT, 0, 3, WAIT), turn(CUSTOMER, 4, 24, "话" * 60), turn(AGENT, 44, 46, BACK))
    assert holds(*rows)[0].detail["announced"] is False


def test_the_customers_wait_phrase_announces_nothing():
    rows = (turn(AGENT, 0, 3, "您好"), turn(CUSTOMER, 4, 7, "稍等一下"), turn(AGENT, 27, 29, BACK))
    assert not any(h.detail["announced"] for h in holds(*rows))


def test_music_makes_a_hold_whoever_was_to_speak():
    asked = turn(AGENT, 5, 8, "请问您的订单号是多少？")
    (hold,) = holds(turn(CUSTOMER, 0, 4), asked, turn(AGENT, 40, 43, BACK), music=((10, 39),))
    assert hold.detail["medium"] == "music"
    assert (hold.start, hold.end) == (10, 39)


def test_a_little_music_does_not_make_a_silent_wait_a_musical_one():
    (hold,) = holds(
        turn(CUSTOMER, 0, 4), turn(AGENT, 5, 9, WAIT), turn(AGENT, 49, 52), music=((20, 24),)
    )
    assert hold.detail["medium"] == "silence"
    assert (hold.start, hold.end) == (9, 49)


@pytest.mark.parametrize(
    "question", ["请问您的订单号是多少？", "您看可以吗", "您贵姓", "请问是哪一台"]
)
def test_the_customers_silence_is_no_hold(question: str):
    rows = (
        turn(CUSTOMER, 0, 4),
        turn(AGENT, 5, 8, question),
        turn(CUSTOMER, 23, 25),
        turn(AGENT, 26, 28),
    )
    found = waits(*rows)
    assert shown(found) == [("dead_air", 8, 23, CUSTOMER)]


def test_silence_after_a_question_that_also_asked_to_wait_is_a_hold():
    asked = turn(AGENT, 5, 9, "请您稍等，我帮您查一下可以吗？")
    rows = (turn(CUSTOMER, 0, 4), asked, turn(CUSTOMER, 9.5, 10, "好"), turn(AGENT, 40, 43, BACK))
    (hold,) = holds(*rows)
    assert hold.detail["announced"] is True


def test_a_caller_who_never_speaks_is_not_on_hold():
    rows = (
        turn(AGENT, 1, 4, "您好请问有什么可以帮您"),
        turn(AGENT, 16, 19, "您好请问有什么可以帮您"),
    )
    assert [e.kind for e in waits(*rows)] == ["dead_air"]


def test_a_short_word_of_the_customer_does_not_end_a_hold():
    rows = (
        turn(CUSTOMER, 0, 4), turn(AGENT, 5, 9, WAIT), turn(CUSTOMER, 20, 20.6, "喂"),
        turn(AGENT, 40, 43, BACK),
    )  # fmt: skip
    (hold,) = holds(*rows)
    assert (hold.start, hold.end) == (9, 40)


def test_a_hold_is_only_where_nobody_talks():
    rows = (turn(AGENT, 0, 4, WAIT), turn(CUSTOMER, 6, 28, "话" * 70), turn(AGENT, 29, 31))
    assert holds(*rows) == []


def test_a_backchannel_of_the_agent_does_not_end_a_hold():
    rows = (turn(CUSTOMER, 0, 4), turn(AGENT, 5, 9, WAIT), turn(AGENT, 20, 20.4, "嗯", listening=True),
            turn(AGENT, 40, 43, BACK))  # fmt: skip
    assert [h.detail["returned_at"] for h in holds(*rows)] == [40]


def test_what_nobody_comes_back_from_is_no_hold():
    assert holds(turn(CUSTOMER, 0, 4), turn(AGENT, 5, 9, WAIT), turn(CUSTOMER, 40, 41, "喂")) == []


def test_two_holds_are_two():
    rows = (
        turn(CUSTOMER, 0, 4),
        turn(AGENT, 5, 9, WAIT),
        turn(AGENT, 29, 33, WAIT),
        turn(AGENT, 60, 63, BACK),
    )
    assert [(h.start, h.end) for h in holds(*rows)] == [(9, 29), (33, 60)]


def test_the_shortest_hold_is_a_setting():
    rows = (turn(CUSTOMER, 0, 4), turn(AGENT, 5, 9, WAIT), turn(AGENT, 21, 24, BACK))
    assert len(holds(*rows, hold_min_s=10)) == 1
    assert holds(*rows, hold_min_s=15) == []


@pytest.mark.parametrize(
    ("gap_s", "kinds"),
    [
        (1.0, []),
        (2.9, []),
        (3.5, ["silence"]),
        (4.9, ["silence"]),
        (5.5, ["dead_air"]),
        (7, ["dead_air"]),
    ],
)
def test_mutual_silence_and_dead_air_by_length(gap_s: float, kinds: list[str]):
    found = waits(turn(AGENT, 0, 4, "这个订单已经发货了"), turn(CUSTOMER, 4 + gap_s, 9 + gap_s))
    assert [e.kind for e in found] == kinds
    for event in found:
        assert (event.start, event.end, event.by) == (4, 4 + gap_s, CUSTOMER)


def test_a_late_answer_of_the_agent_is_told_and_one_of_the_customer_is_not():
    late = waits(turn(AGENT, 0, 1), turn(CUSTOMER, 2, 5), turn(AGENT, 9, 11))
    assert shown([e for e in late if e.kind == "response_delay"]) == [
        ("response_delay", 5, 9, AGENT)
    ]
    other = waits(turn(CUSTOMER, 0, 1), turn(AGENT, 2, 5, "已经发货了"), turn(CUSTOMER, 9, 11))
    assert "response_delay" not in [e.kind for e in other]


def test_time_before_the_first_and_after_the_last_word_does_not_count():
    assert waits(turn(AGENT, 60, 64), turn(CUSTOMER, 65, 66)) == []
    assert waits() == []


def test_music_and_holds_are_not_counted_again_as_silence():
    rows = (turn(CUSTOMER, 0, 4), turn(AGENT, 5, 9, WAIT), turn(AGENT, 40, 43, BACK))
    assert [e.kind for e in waits(*rows)] == ["hold"]
    assert [e.kind for e in waits(*rows, music=((10, 39),))] == ["hold"]


def test_rings_make_one_event_with_their_number():
    (event,) = ringing_event([(0.5, 1.5), (5.5, 6.5), (10.5, 11.5)])
    assert (event.kind, event.start, event.end, event.by) == ("ringing", 0.5, 11.5, None)
    assert event.detail["rings"] == 3
    assert event.detail["spans"] == [[0.5, 1.5], [5.5, 6.5], [10.5, 11.5]]
    assert ringing_event([]) == ()


timelines = st.lists(
    st.tuples(st.sampled_from([AGENT, CUSTOMER]), st.integers(0, 160), st.integers(2, 60),
              st.sampled_from([WAIT, "您看可以吗", "好的", "这个订单已经发货了"])),
    max_size=8,
)  # fmt: skip


def drawn(rows: list[tuple[str, int, int, str]], by: float = 0.0) -> list[Turn]:
    at, made = by, []
    for speaker, gap, length, text in rows:
        start = at + gap / 8
        at = start + length / 8
        made.append(turn(speaker, start, at, text))
    return made


@given(timelines)
def test_waits_lie_where_nobody_speaks_and_do_not_overlap(rows):
    turns = drawn(rows)
    options = Silences()
    found = find_silences(turns, ())
    for event in found:
        assert turns[0].end <= event.start < event.end <= turns[-1].start
        spoken = [t for t in turns if t.start < event.end and t.end > event.start]
        if event.kind == "hold":
            assert event.seconds >= options.hold_min_s
            assert all(t.speaker == CUSTOMER for t in spoken)
        else:
            assert spoken == []
    quiet = [e for e in found if e.kind in ("hold", "dead_air", "silence")]
    assert all(a.end <= b.start for a, b in zip(quiet[:-1], quiet[1:], strict=True))


@given(timelines, st.integers(1, 1000))
def test_a_later_call_has_the_same_waits_later(rows, by: int):
    before = find_silences(drawn(rows), ())
    after = find_silences(drawn(rows, by), ())
    assert [(e.kind, e.start + by, e.end + by, e.by) for e in before] == shown(list(after))
