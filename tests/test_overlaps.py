"""Overlaps on hand-drawn timelines: every class, every preset, and what does not count."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dialogue.overlaps import (
    PRESETS,
    find_overlaps,
)
from pipeline.schema import AGENT, CUSTOMER, Event, Turn, Word
from pipeline.settings import Interruptions
from pipeline.spans import intersection

Drawn = tuple[str, float, float]


def turn(
    number: int, speaker: str, *edges: float, text: str = "", backchannel: bool = False
) -> Turn:
    """A turn with speech from every other edge to the next; one word per 0.2 s unless given."""
    spans = tuple(zip(edges[::2], edges[1::2], strict=True))
    start, end = edges[0], edges[-1]
    text = text or "话" * max(1, round((end - start) / 0.2))
    step = (end - start) / len(text)
    words = tuple(
        Word(start + i * step, start + (i + 1) * step, c, 0.9) for i, c in enumerate(text)
    )
    return Turn(number, speaker, start, end, spans, text, words, 0.9, backchannel, units=len(text))


def overlaps(*turns: tuple, options: Interruptions = Interruptions()) -> list[Event]:
    made = [turn(i, *t) for i, t in enumerate(sorted(turns, key=lambda t: t[1]))]
    return list(find_overlaps(made, options))


def kinds(*turns: tuple, options: Interruptions = Interruptions()) -> list[tuple]:
    return [(e.kind, e.detail.get("kind"), e.by) for e in overlaps(*turns, options=options)]


def test_one_after_the_other_is_nothing():
    assert overlaps((AGENT, 0, 3), (CUSTOMER, 3.2, 5), (AGENT, 5, 8)) == []


def test_a_brush_of_edges_is_a_clean_transition():
    assert overlaps((CUSTOMER, 0, 5), (AGENT, 4.92, 8)) == []


def test_a_short_overlap_at_the_end_of_a_turn_is_terminal():
    assert kinds((CUSTOMER, 0, 5), (AGENT, 4.8, 8)) == [("overlap", "terminal", AGENT)]


@pytest.mark.parametrize(
    ("pause", "begins", "kind"),
    [
        (0.4, 3.1, "simultaneous"),
        (0.4, 3.5, "simultaneous"),
        (0.25, 3.1, "attempted"),  # no longer than a comma takes
        (0.1, 3.05, "attempted"),
        (0.4, 3.9, "attempted"),
    ],
)
def test_an_attempt_that_began_in_a_pause_is_a_start_of_both(
    pause: float, begins: float, kind: str
):
    talk = (CUSTOMER, 0, 3, 3 + pause, 8)
    (event,) = overlaps(talk, (AGENT, begins, begins + 1.7))
    assert event.detail["kind"] == kind


@pytest.mark.parametrize(
    ("pause", "begins", "kind"),
    [
        (0.15, 3.25, "successful"),
        (0.2, 3.3, "simultaneous"),
        (0.3, 3.4, "simultaneous"),
        (0.3, 3.55, "successful"),
        (0.4, 3.5, "simultaneous"),
        (0.4, 3.2, "successful"),
    ],
)
def test_whoever_stops_was_interrupted_but_for_a_start_of_both(
    pause: float, begins: float, kind: str
):
    (event,) = overlaps((CUSTOMER, 0, 3, 3 + pause, 4), (AGENT, begins, 6))
    assert event.detail["kind"] == kind


def test_taking_the_floor_is_a_successful_interruption():
    (event,) = overlaps((CUSTOMER, 0, 5), (AGENT, 4.2, 8))
    assert (event.kind, event.by) == ("interruption", AGENT)
    assert (event.start, event.end) == (4.2, 5)
    assert event.detail["yielded"] is True
    assert event.detail["kind"] == "successful"
    assert event.detail["overlap_s"] == pytest.approx(0.8)


def test_giving_up_is_an_attempted_interruption():
    (event,) = overlaps((CUSTOMER, 0, 10), (AGENT, 4, 5.5))
    assert event.detail["kind"] == "attempted"
    assert event.detail["yielded"] is False


def test_both_going_on_is_talk_over():
    assert kinds((CUSTOMER, 0, 8), (AGENT, 4, 12)) == [("interruption", "talk_over", AGENT)]


def test_a_pause_that_the_speaker_ends_at_once_is_not_yielding():
    held = overlaps((CUSTOMER, 0, 5), (AGENT, 4.2, 9), (CUSTOMER, 5.5, 9.5))
    assert held[0].detail["kind"] == "talk_over"
    gave_way = overlaps((CUSTOMER, 0, 5), (AGENT, 4.2, 9), (CUSTOMER, 9.2, 12))
    assert gave_way[0].detail["kind"] == "successful"


def test_how_soon_a_speaker_must_stop_to_have_yielded_is_a_setting():
    rows = [(CUSTOMER, 0, 7), (AGENT, 4.2, 9)]
    assert kinds(*rows)[0][1] == "talk_over"
    patient = Interruptions(yield_within_s=3.0)
    assert kinds(*rows, options=patient)[0][1] == "successful"


def test_two_who_start_together_interrupt_nobody():
    assert kinds((CUSTOMER, 4.0, 8), (AGENT, 4.4, 7)) == [("overlap", "simultaneous", AGENT)]


def test_starting_into_a_long_pause_interrupts_nobody():
    (event,) = overlaps((CUSTOMER, 0, 3, 4.6, 7), (AGENT, 4.4, 9))
    assert (event.kind, event.detail["kind"]) == ("overlap", "simultaneous")
    (event,) = overlaps((CUSTOMER, 0, 4.2, 4.6, 7), (AGENT, 4.4, 9))
    assert event.kind == "interruption"


def test_a_backchannel_is_no_interruption():
    rows = [turn(0, CUSTOMER, 0, 8), turn(1, AGENT, 4, 4.6, text="嗯", backchannel=True)]
    (event,) = find_overlaps(rows)
    assert (event.kind, event.by, event.detail["words"]) == ("backchannel", AGENT, "嗯")
    assert (event.start, event.end) == (4, 4.6)


def test_the_words_of_both_are_the_evidence():
    rows = [
        turn(0, CUSTOMER, 0, 5, text="我上个月买的洗衣机还没送到"),
        turn(1, AGENT, 4, 8, text="您先听我说这个订单已经发货了"),
    ]
    (event,) = find_overlaps(rows)
    assert event.detail["words"].startswith("您先听我说")
    assert event.detail["words_other"].endswith("还没送到")


# The timelines that the presets tell apart: seconds of overlap, and how many characters were said.
RULES = {p: Interruptions(preset=p) for p in PRESETS}
STRICT, SCA, HUAWEI = (RULES[p] for p in ("strict", "sca", "huawei"))


@pytest.mark.parametrize(
    ("overlap_s", "counted_by"),
    [
        (0.2, set()),
        (0.4, {"tree"}),
        (0.6, {"tree", "strict"}),
        (1.9, {"tree", "strict"}),
        (2.1, {"tree", "strict", "sca"}),
        (3.9, {"tree", "strict", "sca"}),
        (4.1, {"tree", "strict", "sca", "huawei"}),
    ],
)
def test_presets_differ_in_how_long_an_overlap_must_be(overlap_s: float, counted_by: set[str]):
    rows = [(CUSTOMER, 0, 10 + overlap_s), (AGENT, 10, 16)]
    found = {
        p for p, o in RULES.items() if "interruption" in {k[0] for k in kinds(*rows, options=o)}
    }
    assert found == counted_by


@pytest.mark.parametrize(("text", "counts"), [("等等呀", False), ("您先听我说", True)])
def test_sca_wants_four_characters(text: str, counts: bool):
    rows = [turn(0, CUSTOMER, 0, 12), turn(1, AGENT, 9, 13, text=text)]
    assert [e.kind == "interruption" for e in find_overlaps(rows, SCA)] == [counts]
    assert [e.kind for e in find_overlaps(rows, STRICT)] == ["interruption"]


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_no_preset_counts_who_interrupts_somebody_that_hardly_began(preset: str):
    rows = [(CUSTOMER, 0.0, 9.0), (AGENT, 0.5, 9.5)]
    assert {k[0] for k in kinds(*rows, options=RULES[preset])} <= {"overlap"}


def test_mono_recordings_need_a_longer_overlap():
    rows = [(CUSTOMER, 0, 5), (AGENT, 4.6, 8)]
    assert kinds(*rows)[0][0] == "interruption"
    made = [turn(i, *row) for i, row in enumerate(rows)]
    mono = Interruptions(min_overlap_mono_s=0.5)
    assert find_overlaps(made, mono)[0].kind == "interruption"
    assert find_overlaps(made, mono, shared_audio=True)[0].kind == "overlap"


@pytest.mark.parametrize("preset", ["strict", "sca", "huawei"])
def test_a_setting_that_is_given_counts_with_every_preset(preset: str):
    rows = [(CUSTOMER, 0, 10.4), (AGENT, 10, 16)]
    assert kinds(*rows, options=Interruptions(preset=preset))[0][0] == "overlap"
    given = Interruptions(preset=preset, min_overlap_s=0.3, min_units=0)
    assert kinds(*rows, options=given)[0][0] == "interruption"


def test_the_surer_the_longer():
    short, long = (overlaps((CUSTOMER, 0, 5), (AGENT, 5 - s, 9))[0] for s in (0.4, 1.0))
    assert short.confidence < long.confidence <= 1


def test_an_overlap_that_lies_in_the_others_pause_is_none():
    assert overlaps((CUSTOMER, 0, 3, 6, 9), (AGENT, 3.5, 5.5)) == []


drawings = st.lists(
    st.tuples(st.sampled_from([AGENT, CUSTOMER]), st.integers(0, 300), st.integers(2, 80)),
    max_size=8,
)


def disjoint(rows: list[tuple[str, int, int]]) -> list[Drawn]:
    at = {AGENT: -1.0, CUSTOMER: -1.0}
    made = []
    for speaker, start, length in sorted(rows, key=lambda r: (r[1], r[0])):
        begin = max(start / 8, at[speaker] + 2.125)
        at[speaker] = begin + length / 8
        made.append((speaker, begin, at[speaker]))
    return made


@given(drawings, st.sampled_from(sorted(PRESETS)))
def test_interruptions_lie_in_the_overlap_of_both(rows, preset: str):
    made = disjoint(rows)
    options, least = RULES[preset], PRESETS[preset].get("min_overlap_s", 0.3)
    for event in overlaps(*made, options=options):
        mine = [(a, b) for s, a, b in made if s == event.by]
        others = [(a, b) for s, a, b in made if s != event.by]
        shared = sum(
            b - a for a, b in intersection(mine, others) if a < event.end and b > event.start
        )
        assert event.start < event.end
        assert event.start in {a for a, _ in mine}
        assert event.detail["overlap_s"] <= shared + 0.01
        if event.kind == "interruption":
            assert event.detail["overlap_s"] >= least - 0.01
            assert 0 < event.confidence <= 1


@given(drawings)
def test_swapping_the_parties_swaps_who_interrupts(rows):
    other = {AGENT: CUSTOMER, CUSTOMER: AGENT}
    made = disjoint(rows)
    starts = {a for _, a, _ in made}
    if len(starts) < len(made):
        return  # who of two started first cannot be told
    found = sorted((e.start, e.end, e.kind, e.by, e.detail["kind"]) for e in overlaps(*made))
    swapped = overlaps(*((other[s], a, b) for s, a, b in made))
    assert found == sorted((e.start, e.end, e.kind, other[e.by], e.detail["kind"]) for e in swapped)


@given(drawings, st.integers(1, 100))
def test_a_later_call_has_the_same_events_later(rows, by: int):
    made = disjoint(rows)
    before = overlaps(*made)
    after = overlaps(*((s, a + by, b + by) for s, a, b in made))
    assert [(e.kind, e.by, e.detail["kind"]) for e in before] == [
        (e.kind, e.by, e.detail["kind"]) for e in after
    ]


spans = st.lists(st.integers(0, 100), max_size=12, unique=True).map(
    lambda e: [(a / 4, b / 4) for a, b in zip(sorted(e)[::2], sorted(e)[1::2], strict=False)]
)


def short_attempt(text: str, confidence: float, seconds: float = 0.8) -> Event:
    """What comes of a short sound of the agent in the midst of the customer's turn."""
    made = [turn(0, CUSTOMER, 0, 8), turn(1, AGENT, 4, 4 + seconds, text=text)]
    words = tuple(replace(w, confidence=confidence) for w in made[1].words)
    return find_overlaps([made[0], replace(made[1], words=words)])[0]


def test_a_misheard_sign_of_listening_is_no_accusation():
    for text, confidence in (("若你放", 0.15), ("堆", 0.4), ("话的句子", 0.05)):
        event = short_attempt(text, confidence)
        assert (event.kind, event.detail["kind"]) == ("overlap", "unsure")


def answer(text: str, confidence: float = 0.9) -> Event:
    """The customer stops at 6; the agent says ``text`` from 4 on, a character each 0.5 s."""
    made = [turn(0, CUSTOMER, 0, 6), turn(1, AGENT, 4, 4 + 0.5 * len(text), text=text)]
    words = tuple(replace(w, confidence=confidence) for w in made[1].words)
    return find_overlaps([made[0], replace(made[1], words=words)])[0]


def test_words_of_listening_are_no_accusation_however_long():
    assert answer("好的好的").detail["kind"] == "unsure"
    assert answer("好的好的", confidence=0.3).kind == "interruption"


def test_an_answer_that_opens_with_words_of_listening_counts_from_what_follows():
    assert answer("是的是的那我下午过来一趟").detail["kind"] == "terminal"
    assert answer("是的那我下午过来一趟").kind == "interruption"
    assert answer("不是的那我下午过来一趟").kind == "interruption"


def test_words_heard_well_make_an_attempt_as_sure_as_they_are():
    less, more = short_attempt("等一下女士", 0.75), short_attempt("等一下女士", 0.98)
    assert less.kind == more.kind == "interruption"
    assert 0.5 <= less.confidence <= more.confidence


def test_what_is_long_is_an_attempt_whatever_was_understood():
    assert short_attempt("若你放", 0.1, seconds=1.6).kind == "interruption"


def test_in_one_channel_a_pause_must_be_longer_to_be_a_start_of_both():
    made = [turn(0, CUSTOMER, 0, 3, 3.2, 4), turn(1, AGENT, 3.3, 6)]
    kinds = [find_overlaps(made, shared_audio=shared)[0].detail["kind"] for shared in (False, True)]
    assert kinds == ["simultaneous", "successful"]
