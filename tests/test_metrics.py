"""The measures of a call: sums over sums, None where there is nothing, and a catalogue of all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.measures import KINDS, MEASURES, POOLED, SCORES, SPEECH_S, columns
from pipeline.metrics import (
    fast_speech,
    measure_call,
    rate_turns,
    spoken_s,
    without_unknown,
)
from pipeline.schema import AGENT, CUSTOMER, Event, Party, Span, Turn, Voice
from pipeline.settings import Voice as VoiceSettings
from pipeline.settings import settings_table
from pipeline.store import TABLES

RATES = VoiceSettings(min_turn_units=8)
COUNTS = {
    *(f"{s}_{m}" for s in (AGENT, CUSTOMER) for m in
      ("talk_s", "turns", "units", "unheard_s", "rated_s", "articulated_s", "interruptions",
       "interruptions_successful", "interruption_s",
       "backchannels")),
    "holds", "hold_s", "holds_unannounced", "dead_air", "dead_air_s", "rings", "overlap_s",
}  # fmt: skip


def turn(speaker: str, *edges: float, units: int = 0, backchannel: bool = False) -> Turn:
    spans = tuple(zip(edges[::2], edges[1::2], strict=True))
    return Turn(0, speaker, edges[0], edges[-1], spans, "", (), 0.9, backchannel, units=units)


def measure(*turns: Turn, events=(), voices=None, duration: float = 60.0) -> dict:
    return measure_call(rate_turns(turns, RATES), events, voices or {}, duration, RATES)


def test_the_rate_of_a_call_is_sum_over_sum_not_a_mean_of_means():
    slow, fast = turn(AGENT, 0, 30, units=60), turn(AGENT, 40, 42, units=12)
    rated = rate_turns([slow, fast], RATES)
    assert [t.speaking_rate for t in rated] == [120, 360]
    values = measure(slow, fast)
    assert values["agent_speaking_rate"] == pytest.approx(60 * 72 / 32)
    assert values["agent_speaking_rate_p50"] == 240
    assert values["speaking_rate_vs_norm"] == pytest.approx(135 / 150)


def test_own_pauses_count_for_the_speaking_rate_and_not_for_the_articulation_rate():
    values = measure(turn(AGENT, 0, 4, 4.1, 6, 8, 10, units=32))
    assert values["agent_speaking_rate"] == pytest.approx(60 * 32 / 10)
    assert values["agent_articulation_rate"] == pytest.approx(60 * 32 / 8)
    assert values["agent_talk_s"] == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([], 0.0),
        ([(1.0, 3.0)], 2.0),
        ([(0.0, 1.0), (1.2, 2.0)], 2.0),
        ([(0.0, 1.0), (1.25, 2.0)], 1.75),
    ],
)
def test_spoken_time_leaves_out_pauses_from_a_length_on(spans: list[Span], seconds: float):
    assert spoken_s(spans, 0.25) == pytest.approx(seconds)


def test_short_turns_and_backchannels_are_left_out_of_rates():
    rated = rate_turns(
        [turn(AGENT, 0, 2, units=7), turn(AGENT, 3, 5, units=9, backchannel=True),
         turn(AGENT, 6, 6.5, units=20)], RATES,
    )  # fmt: skip
    assert [t.speaking_rate for t in rated] == [None, None, None]
    values = measure(*rated)
    assert values["agent_speaking_rate"] is None
    assert values["speaking_rate_vs_norm"] is None
    assert values["agent_units"] == 36


def test_turns_and_talk_time_of_both():
    values = measure(
        turn(AGENT, 0, 6),
        turn(CUSTOMER, 6, 8),
        turn(AGENT, 7, 7.5, backchannel=True),
        turn(AGENT, 9, 11),
    )
    assert values["agent_turns"] == 2
    assert values["agent_talk_s"] == 8.5
    assert values["agent_talk_ratio"] == pytest.approx(8.5 / 10.5, abs=1e-4)
    assert values["customer_talk_ratio"] == pytest.approx(2 / 10.5, abs=1e-4)
    assert values["agent_longest_turn_s"] == 6
    assert values["overlap_s"] == 0.5
    assert values["overlap_ratio"] == pytest.approx(0.5 / 10.5, abs=1e-4)
    assert values["silence_ratio"] == pytest.approx(1 - 10 / 60, abs=1e-4)
    assert values["first_speech_s"] == 0


def test_latencies_are_gaps_between_turns_overlaps_negative():
    values = measure(
        turn(CUSTOMER, 0, 2), turn(AGENT, 2.5, 4), turn(CUSTOMER, 4.2, 6), turn(AGENT, 5.5, 8),
        turn(CUSTOMER, 9, 10), turn(AGENT, 40, 41),
    )  # fmt: skip
    assert values["agent_response_latency_p50"] == pytest.approx(0)
    assert values["customer_response_latency_p50"] == pytest.approx(0.6)


def test_events_are_counted_by_who_did_them():
    cut = Event("interruption", 1, 2, AGENT, {"overlap_s": 0.8, "kind": "attempted"})
    taken = {"overlap_s": 1.2, "kind": "successful"}
    events = [
        cut, replace(cut, start=5, detail=taken), replace(cut, by=CUSTOMER),
        Event("overlap", 3, 4, AGENT, {"overlap_s": 1}),
        Event("backchannel", 6, 7, CUSTOMER, {}),
        Event("hold", 10, 30, AGENT, {"announced": True}),
        Event("hold", 40, 50, AGENT, {"announced": False}),
        Event("dead_air", 51, 57, AGENT, {}),
        Event("silence", 58, 61, AGENT, {}),
        Event("ringing", 0, 9, None, {"rings": 2}),
    ]  # fmt: skip
    values = measure(events=events)
    assert (values["agent_interruptions"], values["agent_interruption_s"]) == (2, 2.0)
    assert (values["customer_interruptions"], values["customer_interruption_s"]) == (1, 0.8)
    assert values["agent_interruptions_successful"] == 1
    assert values["customer_interruptions_successful"] == 0
    assert (values["agent_backchannels"], values["customer_backchannels"]) == (0, 1)
    assert (values["holds"], values["hold_s"], values["longest_hold_s"]) == (2, 30, 20)
    assert values["holds_unannounced"] == 1
    assert (values["dead_air"], values["dead_air_s"]) == (1, 6)
    assert values["rings"] == 2


def test_interruptions_are_stated_per_ten_minutes_of_the_others_talk():
    cut = Event("interruption", 41, 42, AGENT, {"overlap_s": 0.8, "kind": "successful"})
    turns = [turn(CUSTOMER, 0, 40), turn(AGENT, 41, 50)]
    values = measure(*turns, events=[cut, replace(cut, start=45), replace(cut, by=CUSTOMER)])
    assert values["agent_interruption_rate"] == pytest.approx(600 * 2 / 40)
    assert values["customer_interruption_rate"] is None  # the agent talked for 9 s only
    assert measure(*turns)["agent_interruption_rate"] == 0


def test_of_a_call_of_one_recorded_party_only_that_partys_own_measures_are_kept():
    hold = Event("hold", 10, 30, AGENT, {"announced": True})
    values = measure(turn(AGENT, 0, 4, units=12), turn(AGENT, 31, 35, units=12), events=[hold])
    kept = without_unknown((), values, unheard(CUSTOMER), 1.0)[1]
    assert kept["agent_speaking_rate"] == values["agent_speaking_rate"] == 180
    assert kept["agent_talk_s"] == 8
    assert kept["speaking_rate_vs_norm"] == values["speaking_rate_vs_norm"]
    nothing = ("agent_talk_ratio", "agent_interruptions", "holds", "dead_air", "silence_ratio",
               "customer_talk_s", "customer_turns", "overlap_s")  # fmt: skip
    assert {kept[name] for name in nothing} == {None}
    assert without_unknown((), values, unheard(AGENT), 1.0)[1]["speaking_rate_vs_norm"] is None
    assert set(kept) == set(values)


def test_where_nobody_knows_who_is_who_no_measure_is_anybodys():
    values = measure(turn(AGENT, 0, 4, units=12), turn(CUSTOMER, 5, 9, units=16))
    kept = without_unknown((), values, BOTH, 0.5)[1]
    assert kept["silence_ratio"] == values["silence_ratio"]
    assert kept["overlap_s"] == 0
    assert {v for n, v in kept.items() if n.startswith((AGENT, CUSTOMER))} == {None}
    assert kept["holds"] is None


def test_voices_and_the_gaps_between_them():
    voices = {AGENT: Voice(-20.0, 1.5, 210.0, 2.5, 8.0, 30.0), CUSTOMER: Voice(level_dbfs=-26.5)}
    turns = [turn(AGENT, 0, 4, units=12), turn(CUSTOMER, 5, 9, units=16)]
    values = measure(*turns, voices=voices)
    assert values["agent_level_dbfs"] == -20
    assert values["agent_pitch_sd_st"] == 2.5
    assert values["customer_pitch_sd_st"] is None
    assert values["level_gap_db"] == 6.5
    assert values["rate_gap"] == pytest.approx(180 - 240)
    assert measure(*turns, voices={AGENT: voices[AGENT]})["level_gap_db"] is None


def test_a_silent_call_has_counts_of_zero_and_nothing_else():
    values = measure(duration=30.0)
    assert {k for k, v in values.items() if v == 0} == COUNTS
    assert values.pop("silence_ratio") == 1
    assert {k for k, v in values.items() if v is None} == set(values) - COUNTS


def test_an_empty_recording_divides_by_nothing():
    assert measure(duration=0.0)["silence_ratio"] is None


def test_a_call_that_is_all_music_has_a_hold_and_no_rates():
    hold = Event("hold", 1, 29, AGENT, {"announced": False, "medium": "music"})
    values = measure(events=[hold], duration=30.0)
    assert values["hold_s"] == 28
    assert values["agent_talk_ratio"] is None


def test_fast_turns_are_events():
    turns = rate_turns([turn(AGENT, 0, 4, units=24), turn(CUSTOMER, 5, 9, units=16)], RATES)
    (event,) = fast_speech(turns, VoiceSettings(fast_rate=300))
    assert (event.kind, event.by, event.start, event.end) == ("fast_speech", AGENT, 0, 4)
    assert event.detail["speaking_rate"] == 360
    assert fast_speech(turns, VoiceSettings(fast_rate=400)) == ()


def test_reading_in_no_hurry_is_not_fast():
    turns = rate_turns([turn(AGENT, 10.0 * i, 10.0 * i + 6, units=20 + i) for i in range(8)], RATES)
    assert fast_speech(turns) == ()  # 200 to 270 units a minute


def test_a_turn_is_fast_by_the_speakers_own_rate():
    slow = [turn(AGENT, 10.0 * i, 10.0 * i + 6, units=20) for i in range(5)]
    hurried = turn(AGENT, 60, 66, units=29)
    (event,) = fast_speech(rate_turns([*slow, hurried], RATES))
    assert (event.start, event.detail) == (
        60,
        {"speaking_rate": 290, "limit": 270, "own_median": 200},
    )
    assert fast_speech(rate_turns([slow[0], hurried], RATES)) == ()  # too few to know the own rate


def test_few_units_make_no_fast_turn():
    assert fast_speech(rate_turns([turn(AGENT, 0, 1.3, units=9)], RATES)) == ()


lengths = st.lists(
    st.tuples(st.sampled_from([AGENT, CUSTOMER]), st.integers(1, 200), st.integers(0, 60), st.integers(0, 80)),
    max_size=10,
)  # fmt: skip


def drawn(rows: list[tuple[str, int, int, int]]) -> list[Turn]:
    at, made = 0.0, []
    for speaker, length, gap, units in rows:
        made.append(turn(speaker, at, at + length / 8, units=units))
        at += (length + gap) / 8
    return made


@given(lengths)
def test_ratios_lie_between_nothing_and_all(rows):
    turns = drawn(rows)
    duration = max((t.end for t in turns), default=1.0)
    values = measure(*turns, duration=duration)
    for name, value in values.items():
        if name.endswith("_ratio"):
            assert value is None or -1e-4 <= value <= 1.0001, name
    if turns:
        assert values["agent_talk_ratio"] + values["customer_talk_ratio"] == pytest.approx(
            1, abs=2e-4
        )


@given(lengths)
def test_swapping_the_parties_swaps_their_measures(rows):
    other = {AGENT: CUSTOMER, CUSTOMER: AGENT}
    turns = drawn(rows)
    one = measure(*turns, duration=999)
    two = measure(*(replace(t, speaker=other[t.speaker]) for t in turns), duration=999)
    for measure_id in (m.id for m in MEASURES if m.per == "speaker" and m.in_calls):
        assert one[f"agent_{measure_id}"] == two[f"customer_{measure_id}"]
        assert one[f"customer_{measure_id}"] == two[f"agent_{measure_id}"]
    assert one["silence_ratio"] == two["silence_ratio"]


BOTH = (Party(AGENT, 0), Party(CUSTOMER, 1))


def unheard(role: str) -> tuple[Party, ...]:
    return tuple(replace(p, live=p.role != role) for p in BOTH)


# The table of measures.


def test_every_measure_of_a_call_is_in_the_catalogue_and_the_other_way_round():
    assert set(measure()) == set(columns())
    assert len(columns()) == len(set(columns()))


def test_every_measure_is_a_column_of_the_calls_table():
    assert set(columns()) <= {c.name for c in TABLES["calls"]}


@pytest.mark.parametrize("row", MEASURES, ids=lambda m: m.id)
def test_every_row_of_the_catalogue_says_what_it_is(row):
    assert row.zh
    assert row.en
    assert row.kind in KINDS
    assert row.source
    assert row.definition.endswith(".")
    assert row.formula
    assert set(row.settings) <= {name for name, *_ in settings_table()}
    assert row.delta is not None
    assert not row.relative or row.delta < 1


def test_every_name_of_a_measure_is_one_and_weights_are_columns():
    rows = (*MEASURES, *SCORES)
    for name in ("id", "zh", "en"):
        assert len({getattr(m, name) for m in rows}) == len(rows)
    known = {c.name for c in TABLES["calls"]}
    assert {p.source for p in POOLED} | {w for p in POOLED for w in p.weight} <= known | {SPEECH_S}
