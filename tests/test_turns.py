"""Turns on hand-drawn timelines: joining, words, backchannels, phases."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dialogue.turns import build_turns
from pipeline.schema import AGENT, CUSTOMER, UNHEARD, Span, Turn, Utterance, Word
from pipeline.settings import Turns
from tests.yardstick import slower

SHORT = 0.6
DEFAULT = Turns()


def say(speaker: str, start: float, end: float, text: str, confidence: float = 0.95) -> Utterance:
    step = (end - start) / max(len(text), 1)
    words = tuple(
        Word(start + i * step, start + (i + 1) * step, c, confidence) for i, c in enumerate(text)
    )
    return Utterance(speaker, start, end, text, words, confidence)


def turns(*rows: tuple[str, float, float, str], options: Turns = DEFAULT) -> tuple[Turn, ...]:
    """Turns of a timeline in which every row is one stretch of speech with its text."""
    speech: dict[str, list[Span]] = {AGENT: [], CUSTOMER: []}
    for speaker, start, end, _ in rows:
        speech[speaker].append((start, end))
    heard = [say(*row) for row in rows if row[3]]
    return build_turns({s: sorted(v) for s, v in speech.items()}, heard, options)


def shown(found: tuple[Turn, ...]) -> list[tuple[str, float, float, bool]]:
    return [(t.speaker, t.start, t.end, t.is_backchannel) for t in found]


LONG = "我想问一下我上个月买的洗衣机为什么还没有送到"


def test_pauses_of_a_speaker_stay_in_the_turn_until_they_are_long():
    found = turns((AGENT, 0, 2, "您好"), (AGENT, 3.5, 5, "请问"), (AGENT, 8, 9, "喂您好"))
    assert shown(found) == [(AGENT, 0, 5, False), (AGENT, 8, 9, False)]
    assert found[0].spans == ((0, 2), (3.5, 5))
    assert found[0].text == "您好请问"
    assert [t.turn for t in found] == [0, 1]


def test_a_turn_ends_where_the_other_takes_the_floor():
    found = turns((AGENT, 0, 2, "您好请问"), (CUSTOMER, 2.2, 3.2, "退货"), (AGENT, 3.5, 5, "好的"))
    assert shown(found) == [
        (AGENT, 0, 2, False),
        (CUSTOMER, 2.2, 3.2, False),
        (AGENT, 3.5, 5, False),
    ]


def test_an_overlap_does_not_break_a_turn():
    found = turns((CUSTOMER, 0, 8, LONG), (AGENT, 4, 7, "请您先听我说"))
    assert shown(found) == [(CUSTOMER, 0, 8, False), (AGENT, 4, 7, False)]


def test_how_long_a_pause_may_be_is_a_setting():
    rows = [(AGENT, 0, 2, "您好"), (AGENT, 3.5, 5, "请问")]
    assert len(turns(*rows, options=Turns(join_gap_s=2.0))) == 1
    assert len(turns(*rows, options=Turns(join_gap_s=1.0))) == 2


@pytest.mark.parametrize("text", ["嗯", "对对", "好的", "是的", "明白"])
def test_listening_words_within_the_others_turn_are_a_backchannel(text: str):
    found = turns((CUSTOMER, 0, 8, LONG), (AGENT, 4, 4 + SHORT, text))
    assert shown(found) == [(CUSTOMER, 0, 8, False), (AGENT, 4, 4 + SHORT, True)]


def test_listening_words_in_a_pause_of_the_others_turn_do_not_break_it():
    found = turns(
        (CUSTOMER, 0, 4, LONG), (AGENT, 3.9, 4.4, "嗯"), (CUSTOMER, 4.6, 8, "就是那台洗衣机")
    )
    assert shown(found) == [(CUSTOMER, 0, 8, False), (AGENT, 3.9, 4.4, True)]


@pytest.mark.parametrize(
    "rows",
    [
        [(CUSTOMER, 0, 4, LONG), (AGENT, 4.3, 4.9, "好的")],
        [(CUSTOMER, 0, 8, LONG), (AGENT, 4, 4.9, "等一下女士")],
        [(CUSTOMER, 0, 8, LONG), (AGENT, 4, 6, "好的")],
        [(AGENT, 1, 1.5, "嗯")],
    ],
    ids=["an answer", "other words", "too long", "alone"],
)
def test_what_takes_the_floor_is_no_backchannel(rows: list):
    assert not any(t.is_backchannel for t in turns(*rows))


def test_a_sound_too_short_to_make_out_within_the_others_speech_is_a_backchannel():
    found = turns((CUSTOMER, 0, 8, LONG), (AGENT, 4, 4.4, ""))
    assert shown(found)[1] == (AGENT, 4, 4.4, True)


def within_the_others_turn(
    seconds: float, text: str, confidence: float, shared_audio: bool = False
) -> bool:
    """Whether something said in the midst of the other's turn is taken for a backchannel."""
    speech = {CUSTOMER: [(0.0, 8.0)], AGENT: [(4.0, 4.0 + seconds)]}
    heard = [say(CUSTOMER, 0, 8, LONG)]
    if text:
        heard.append(say(AGENT, 4.0, 4.0 + seconds, text, confidence))
    found = build_turns(speech, heard, DEFAULT, shared_audio=shared_audio)
    (short,) = (t for t in found if t.speaker == AGENT)
    return short.is_backchannel


@pytest.mark.parametrize(
    ("seconds", "text", "confidence", "backchannel"),
    [
        (0.3, "音乐", 0.05, True),  # a hum, misheard
        (0.5, "您", 0.98, True),
        (0.4, "请问", 0.95, False),  # cut short, and heard well
        (0.6, "", 0.0, True),
        (0.8, "", 0.0, False),  # too long for a hum
        (0.8, "您您", 0.3, False),
        (0.8, "这个我不知", 0.3, False),
        (0.8, "对对", 0.3, True),
        (1.1, "我认识了", 0.4, True),  # 嗯，是的 with a pause in it, misheard
        (1.1, "请问您下单的", 0.4, False),
        (1.1, "", 0.0, False),
    ],
)
def test_what_is_misheard_under_the_others_voice_is_told_by_its_length(
    seconds: float, text: str, confidence: float, backchannel: bool
):
    assert within_the_others_turn(seconds, text, confidence) is backchannel


@pytest.mark.parametrize(
    ("seconds", "text", "backchannel"),
    [
        (0.5, "两千六百", True),
        (0.9, "以后才能到", False),
        (0.9, "无奥", False),
        (0.9, "好的", True),
    ],
)
def test_in_shared_audio_other_words_may_be_the_others(
    seconds: float, text: str, backchannel: bool
):
    assert within_the_others_turn(seconds, text, 0.95, shared_audio=True) is backchannel
    assert not within_the_others_turn(0.5, "两千六百", 0.95)


def test_the_longest_backchannel_is_a_setting():
    rows = [(CUSTOMER, 0, 8, LONG), (AGENT, 4, 4.9, "嗯")]
    assert turns(*rows, options=Turns(backchannel_max_s=1.0))[1].is_backchannel
    assert not turns(*rows, options=Turns(backchannel_max_s=0.5))[1].is_backchannel


def test_every_word_goes_where_it_was_said():
    speech = {AGENT: [(0.0, 2.0), (6.0, 8.0)]}
    found = build_turns(speech, [say(AGENT, 0.0, 8.0, "您好请问怎么称呼您")])
    assert "".join(t.text for t in found) == "您好请问怎么称呼您"
    assert [len(t.text) > 0 for t in found] == [True, True]


def test_rejected_text_is_in_no_turn():
    rejected = Utterance(AGENT, 0.0, 2.0, "", (), 0.2, "loop")
    (turn,) = build_turns({AGENT: [(0.0, 2.0)]}, [rejected])
    assert (turn.text, turn.units, turn.confidence) == ("", 0, 0.0)


def test_opening_body_and_closing():
    rows = [(AGENT if i % 2 == 0 else CUSTOMER, 5.0 * i, 5.0 * i + 4, LONG) for i in range(20)]
    found = turns(*rows, options=Turns(opening_s=12, closing_s=12))
    assert [t.phase for t in found] == ["opening"] * 3 + ["body"] * 14 + ["closing"] * 3
    later = turns(*((s, a + 30, b + 30, t) for s, a, b, t in rows),
                  options=Turns(opening_s=12, closing_s=12))  # fmt: skip
    assert [t.phase for t in later] == [t.phase for t in found]


def test_units_are_counted_as_spoken():
    found = turns((AGENT, 0, 5, "订单号是78，对吗？"))
    assert found[0].units == 8


def test_nobody_speaks():
    assert build_turns({}, []) == ()
    assert build_turns({AGENT: [], CUSTOMER: []}, []) == ()


timeline = st.lists(
    st.tuples(st.sampled_from([AGENT, CUSTOMER]), st.integers(1, 60), st.integers(1, 40),
              st.sampled_from(["", "嗯", "好的", "请问您贵姓", LONG])),
    max_size=14,
)  # fmt: skip


def drawn(rows: list[tuple[str, int, int, str]]) -> list[tuple[str, float, float, str]]:
    at = {AGENT: 0.0, CUSTOMER: 0.5}
    made = []
    for speaker, length, pause, text in rows:
        start = at[speaker]
        at[speaker] = start + length / 8 + pause / 8
        made.append((speaker, start, start + length / 8, text))
    return made


@given(timeline)
def test_nothing_said_is_lost_and_no_turn_overlaps_its_own_speaker(rows):
    made = drawn(rows)
    found = turns(*made)
    for speaker in (AGENT, CUSTOMER):
        own = [t for t in found if t.speaker == speaker]
        spans = sorted((a, b) for t in own for a, b in t.spans)
        wanted = sorted((round(a, 3), round(b, 3)) for s, a, b, _ in made if s == speaker)
        assert spans == wanted
        said = sorted("".join(t.text for t in own).replace(UNHEARD, ""))
        assert said == sorted("".join(x for s, _, _, x in made if s == speaker))
    assert [t.start for t in found] == sorted(t.start for t in found)
    for t in found:
        assert (t.start, t.end) == (t.spans[0][0], t.spans[-1][1])


@given(timeline)
def test_swapping_the_parties_swaps_the_turns(rows):
    other = {AGENT: CUSTOMER, CUSTOMER: AGENT}
    made = drawn(rows)
    found = sorted(shown(turns(*made)))
    swapped = turns(*((other[s], a, b, t) for s, a, b, t in made))
    assert sorted((other[t.speaker], t.start, t.end, t.is_backchannel) for t in swapped) == found


def test_two_voices_of_one_party_are_one_stretch_where_they_overlap():
    (turn,) = build_turns({CUSTOMER: [(0.0, 10.0), (2.0, 3.0)]}, [])
    assert (turn.start, turn.end, turn.spans) == (0.0, 10.0, ((0.0, 10.0),))
    (turn,) = build_turns({CUSTOMER: [(2.0, 5.0), (0.0, 3.0)]}, [])
    assert turn.spans == ((0.0, 5.0),)


def test_turns_of_four_hours_of_talk_take_no_time_that_grows_with_their_square():
    speech: dict[str, list[Span]] = {AGENT: [], CUSTOMER: []}
    for i in range(6000):
        speech[AGENT if i % 2 == 0 else CUSTOMER].append((2.4 * i, 2.4 * i + 2.2))
    heard = [say(s, a, b, "好的我们看一下") for s, spans in speech.items() for a, b in spans]
    began = time.process_time()
    assert len(build_turns(speech, heard)) == 6000
    assert time.process_time() - began < 3.0 * slower()  # 0.4 s as this is written; quadratic, 40 s
