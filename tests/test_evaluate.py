"""Evaluation against ground truth: perfect, empty, shifted, swapped and small cases by hand."""

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.commands import jobs
from pipeline.errors import UsageError
from pipeline.evaluation import (
    ITEM_HEADER,
    TABLE_HEADER,
    compare,
    evaluate_call,
    find_truths,
    read_baseline,
    summarise,
)
from pipeline.evaluation.pairing import intersection_over_union, pair
from pipeline.evaluation.texts import TextErrors, align
from pipeline.metrics import measure_call, rate_turns
from pipeline.schema import (
    AGENT,
    CUSTOMER,
    CallResult,
    Event,
    Provenance,
    Recording,
    Turn,
    Utterance,
    Verdict,
    Word,
)
from pipeline.text import count_units

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
ROLE = {"A": AGENT, "C": CUSTOMER}


def turn(speaker, start, end, text="", **more):
    return {"speaker": speaker, "start": start, "end": end, "text": text, **more}


def truth_of(*turns, **more):
    end = max((t["end"] for t in turns), default=0.0)
    return {"call_id": "call", "duration": end + 1.0, "turns": list(turns), **more}


def words_of(text, start, end):
    step = (end - start) / max(1, len(text))
    return tuple(Word(start + i * step, start + (i + 1) * step, c, 0.9) for i, c in enumerate(text))


def result_of(truth, **changes):
    """The result that says exactly what the truth says."""
    turns, utterances = [], []
    for number, t in enumerate(truth["turns"]):
        text = t["text"][: len(t["text"]) // 2] if t.get("cut") else t["text"]
        words = words_of(text, t["start"], t["end"])
        speaker, start, end = ROLE[t["speaker"]], t["start"], t["end"]
        spans = tuple(tuple(s) for s in t.get("spans", [(start, end)]))
        turns.append(
            Turn(
                number, speaker, start, end, spans, text, words, 0.9,
                is_backchannel=t.get("backchannel", False), units=count_units(text),
            )
        )  # fmt: skip
        utterances.append(Utterance(speaker, start, end, text, words, 0.9))
    events = [
        Event("interruption", i["at"], i["at"] + 0.5, ROLE[i["by"]],
              {"yielded": i["successful"], "overlap_s": 0.5})
        for i in truth.get("interruptions", [])
    ] + [
        Event("backchannel", b["start"], b["end"], ROLE[b["speaker"]])
        for b in truth.get("backchannels", [])
    ] + [
        Event("hold", h["start"], h["end"], AGENT,
              {"medium": h["kind"], "announced": h["announced"]})
        for h in truth.get("holds", [])
    ] + [
        Event("dead_air", d["start"], d["end"], CUSTOMER) for d in truth.get("dead_air", [])
    ]  # fmt: skip
    if truth.get("rings"):
        rings = truth["rings"]
        events.append(
            Event("ringing", rings[0]["start"], rings[-1]["end"], None, {"rings": len(rings)})
        )
    rated = rate_turns(turns)
    whole = {
        "recording": Recording(f"{truth['call_id']}.wav", truth["call_id"]),
        "sha256": "", "duration": truth["duration"], "channels": 2, "sample_rate": 8000,
        "codec": "pcm_mulaw", "language": "zh", "speaker_source": "channel",
        "role_confidence": 1.0, "warnings": (), "quality": (),
        "utterances": tuple(utterances), "turns": rated, "events": tuple(events),
        "measures": measure_call(rated, events, {}, truth["duration"]),
        "verdicts": tuple(
            Verdict(item, "rubric", label) for item, label in truth.get("compliance", {}).items()
        ),
        "provenance": Provenance("embedded", "0", "s", {}), "stage_seconds": {},
    }  # fmt: skip
    return CallResult(**(whole | changes))


def empty_result(truth):
    measures = measure_call((), (), {}, truth["duration"])
    return result_of(truth, utterances=(), turns=(), events=(), verdicts=(), measures=measures)


def moved(result, seconds):
    def at(one):
        return replace(one, start=one.start + seconds, end=one.end + seconds)

    return replace(
        result,
        utterances=tuple(
            replace(at(u), words=tuple(at(w) for w in u.words)) for u in result.utterances
        ),
        turns=tuple(
            replace(at(t), spans=tuple((a + seconds, b + seconds) for a, b in t.spans))
            for t in result.turns
        ),
        events=tuple(at(e) for e in result.events),
    )


def swapped(result):
    other = {AGENT: CUSTOMER, CUSTOMER: AGENT, None: None}
    return replace(
        result,
        utterances=tuple(replace(u, speaker=other[u.speaker]) for u in result.utterances),
        turns=tuple(replace(t, speaker=other[t.speaker]) for t in result.turns),
        events=tuple(replace(e, by=other[e.by]) for e in result.events),
    )


def rows_of(*pairs):
    return {r.id: r for r in summarise([evaluate_call(r, t) for r, t in pairs]).rows}


TALK = truth_of(
    turn("A", 1.0, 5.0, "您好请问有什么可以帮您"),  # 11 characters
    turn("C", 5.5, 7.5, "我想查一下我的账单"),  # 9 characters
    turn("A", 8.0, 10.0, "好的请问您的账号是多少"),  # 11 characters
    interruptions=[],
    backchannels=[],
    holds=[],
    rings=[],
    compliance={"opening_greeting": "pass", "hold_reason": "fail"},
)


# -- whole results -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def samples():
    return [truth for _, truth in find_truths(SAMPLES)]


def test_a_perfect_result_scores_perfectly_on_every_sample(samples):
    rows = rows_of(*((result_of(t), t) for t in samples))
    measured = {i: r for i, r in rows.items() if r.n}
    for row in measured.values():
        best = 100.0 if row.better == "higher" else 0.0
        # The program rounds its figures: rates to 0.01 a minute, ratios and seconds to 4 digits.
        assert row.value == pytest.approx(best, abs=0.11 if row.unit == "ms" else 0.01), row
    assert rows["cer.all"].n > 1000
    for kind in ("interruption", "backchannel", "hold"):
        assert rows[f"{kind}.f1"].n >= 2
    assert rows["speaking_rate.agent"].n >= 5
    assert rows["verdicts.fail_f1"].n > 20


def test_an_empty_result_misses_everything_and_invents_nothing(samples):
    rows = rows_of(*((empty_result(t), t) for t in samples))
    cer = rows["cer.all"]
    assert cer.value == 100
    deleted = {"substitutions": 0, "deletions": cer.n, "insertions": 0, "rate bias": -100.0}
    assert cer.detail == deleted
    assert rows["der"].value == pytest.approx(100)
    assert rows["der"].detail["missed"] == pytest.approx(100)
    assert rows["jer"].value == 100
    assert (rows["role_accuracy"].value, rows["role_accuracy"].n) == (None, 0)
    turns = sum(len(t["turns"]) for t in samples)
    assert (rows["turn_start"].value, rows["turn_start"].detail["not measured"]) == (None, turns)
    for kind in ("interruption", "backchannel", "hold"):
        row = rows[f"{kind}.f1"]
        assert (row.value, row.detail["recall"], row.detail["precision"]) == (0, 0, None)
        assert row.detail["missed"] == row.n > 0
    assert rows["speaking_rate.agent"].value is None
    assert rows["verdicts.accuracy"].value == 0
    assert rows["verdicts.accuracy"].detail["no verdict"] == rows["verdicts.accuracy"].n
    assert rows["verdicts.fail_f1"].detail["recall"] == 0


def test_a_shift_is_a_bias_of_all_edges(samples):
    rows = rows_of(*((moved(result_of(t), 0.1), t) for t in samples))
    for edge in ("turn_start", "turn_end", "interruption.onset"):
        assert rows[edge].value == pytest.approx(100)
        assert rows[edge].detail["bias"] == pytest.approx(100)
        assert rows[edge].detail["p95"] == pytest.approx(100)
    assert rows["response_latency.agent"].value == pytest.approx(0, abs=0.11)
    assert rows["interruption.f1"].value == 100
    assert 0 < rows["der"].value < 10
    late = rows_of(*((moved(result_of(t), -1.1), t) for t in samples))
    assert late["interruption.f1"].value == 0


def test_swapped_roles_are_errors_of_text_and_role_but_not_of_diarization(samples):
    rows = rows_of(*((swapped(result_of(t)), t) for t in samples))
    assert rows["der"].value == pytest.approx(0)
    assert rows["jer"].value == pytest.approx(0)
    assert rows["role_accuracy"].value == pytest.approx(0, abs=1e-6)
    assert rows["role_accuracy"].detail["calls mostly in the wrong role"] == len(samples)
    assert rows["cer.agent"].value > 60
    assert rows["cer.customer"].value > 60
    assert rows["turn_start"].n == 0
    assert rows["interruption.f1"].value == 0
    assert rows["backchannel.f1"].value == 0


# -- text ----------------------------------------------------------------------------------------


def test_errors_of_each_kind_are_counted_by_hand():
    assert align("您好请问", "您好请问") == TextErrors(characters=4)
    # 账-帐 sound alike, 号-话 do not, 是 is lost, 呢 is invented
    assert align("您的账号是多少", "您的帐话多少呢") == TextErrors(7, 2, 1, 1, 1)
    assert align("", "谢谢") == TextErrors(insertions=2)


def test_errors_bias_the_rate_by_what_is_invented_less_what_is_lost():
    assert align("您的账号是多少", "您的帐话多少呢").rate_bias == 0
    assert align("您好请问", "您好").rate_bias == -0.5
    assert align("您好", "您好啊").rate_bias == 0.5
    assert TextErrors(insertions=2).rate_bias is None
    both = align("您好请问", "您好") + align("您好", "您好啊")
    assert both.rate_bias == pytest.approx(-1 / 6)


def test_rates_of_error_are_sums_over_sums():
    long = truth_of(turn("A", 0.0, 9.0, "一二三四五六七八九"), call_id="long")
    short = truth_of(turn("A", 0.0, 1.0, "好"), call_id="short")
    heard = result_of(short, utterances=(Utterance(AGENT, 0, 1, "再", words_of("再", 0, 1), 1.0),))
    rows = rows_of((result_of(long), long), (heard, short))
    assert (rows["cer.agent"].value, rows["cer.agent"].n) == (10.0, 10)
    assert (rows["cer.customer"].value, rows["cer.customer"].n) == (None, 0)
    assert rows["cer.all"].value == 10.0


def test_numbers_are_compared_as_spoken_and_punctuation_not_at_all():
    truth = truth_of(turn("C", 0.0, 3.0, "订单号是七八九零，六十八元。"))
    words = words_of("订单号是7890,68元!", 0.0, 3.0)
    heard = (Utterance(CUSTOMER, 0.0, 3.0, "", words, 1.0),)
    call = evaluate_call(result_of(truth, utterances=heard), truth)
    assert call.text[CUSTOMER] == TextErrors(characters=12)


def test_digits_of_two_utterances_are_two_numbers():
    truth = truth_of(turn("C", 0.0, 1.0, "七八"), turn("C", 4.0, 5.0, "六十八"))
    heard = (
        Utterance(CUSTOMER, 4.0, 5.0, "68", words_of("68", 4.0, 5.0), 1.0),
        Utterance(CUSTOMER, 0.0, 1.0, "七八", words_of("七八", 0.0, 1.0), 1.0),
    )
    call = evaluate_call(result_of(truth, utterances=heard), truth)
    assert call.text[CUSTOMER] == TextErrors(characters=5)


def test_words_in_the_speakers_own_cut_turn_are_left_out():
    truth = truth_of(
        turn("C", 0.0, 4.0, "我算的余额应该是六十八元", cut=True),
        turn("A", 3.0, 6.0, "不可能"),
    )
    heard = (
        Utterance(CUSTOMER, 0.0, 4.15, "我算的", words_of("我算的", 0.0, 4.15), 1.0),
        Utterance(AGENT, 3.0, 4.0, "不可能", words_of("不可能", 3.0, 4.0), 1.0),
    )
    call = evaluate_call(result_of(truth, utterances=heard), truth)
    assert call.text == {AGENT: TextErrors(characters=3), CUSTOMER: TextErrors()}
    # the same words in the other's mouth, or long after the cut, are invented
    wrong = replace(heard[0], speaker=AGENT)
    late = Utterance(CUSTOMER, 5.0, 6.0, "嗯", words_of("嗯", 5.0, 6.0), 1.0)
    call = evaluate_call(result_of(truth, utterances=(wrong, heard[1], late)), truth)
    assert call.text[AGENT] == TextErrors(characters=3, insertions=3)
    assert call.text[CUSTOMER] == TextErrors(insertions=1)


def test_backchannels_are_text_like_any_other():
    truth = truth_of(turn("C", 0.0, 4.0, "我买了冰箱"), turn("A", 2.0, 2.4, "嗯", backchannel=True))
    deaf = result_of(truth, utterances=result_of(truth).utterances[:1])
    assert evaluate_call(deaf, truth).text[AGENT] == TextErrors(characters=1, deletions=1)


# -- speakers and turns --------------------------------------------------------------------------


def with_spans(truth, *spans):
    """A result whose turns are these (speaker, start, end)."""
    turns = tuple(
        Turn(i, speaker, start, end, ((start, end),), "", (), 0.0)
        for i, (speaker, start, end) in enumerate(spans)
    )
    return result_of(truth, turns=turns)


def test_diarization_error_by_hand():
    truth = truth_of(turn("A", 0.0, 10.0), turn("C", 10.0, 20.0))
    # 2 s missed at the start, 3 s of the customer given to the agent, 1 s invented at the end
    found = with_spans(truth, (AGENT, 2.0, 13.0), (CUSTOMER, 13.0, 21.0))
    rows = rows_of((found, truth))
    assert rows["der"].value == pytest.approx(100 * 6 / 20)
    assert rows["der"].n == 20
    assert rows["der"].detail == pytest.approx({"missed": 10, "false alarm": 5, "confused": 15})
    # agent: 8 s shared of 13 s; customer: 7 s of 11 s
    assert rows["jer"].value == pytest.approx(100 * (5 / 13 + 4 / 11) / 2)
    assert rows["role_accuracy"].value == pytest.approx(100 * 15 / 18)


def test_overlapped_speech_counts_for_both_speakers():
    truth = truth_of(turn("A", 0.0, 6.0), turn("C", 4.0, 10.0))
    rows = rows_of((with_spans(truth, (AGENT, 0.0, 6.0), (CUSTOMER, 6.0, 10.0)), truth))
    assert rows["der"].n == 12
    assert rows["der"].value == pytest.approx(100 * 2 / 12)


def test_own_pauses_under_a_second_are_speech_on_both_sides():
    truth = truth_of(turn("A", 0.0, 4.0), turn("A", 4.9, 10.0))
    found = with_spans(truth, (AGENT, 0.0, 6.0), (AGENT, 6.9, 10.0))
    assert rows_of((found, truth))["der"].value == pytest.approx(0)
    longer = with_spans(truth, (AGENT, 0.0, 6.0), (AGENT, 7.5, 10.0))
    assert rows_of((longer, truth))["der"].value == pytest.approx(15)


def test_edges_are_those_of_the_turn_that_shares_most_time():
    truth = truth_of(turn("A", 1.0, 5.0), turn("C", 5.5, 7.5), turn("A", 8.0, 10.0))
    # a sliver before the first turn and a turn in the wrong role are extra
    found = with_spans(
        truth, (AGENT, 0.5, 1.2), (AGENT, 1.02, 4.9), (CUSTOMER, 1.0, 4.0), (AGENT, 8.1, 10.2)
    )
    call = evaluate_call(found, truth)
    edges = [(t.start_error_s, t.end_error_s) for t in call.turns]
    assert edges[0] == pytest.approx((0.02, -0.1))
    assert edges[1] == (None, None)
    assert edges[2] == pytest.approx((0.1, 0.2))
    rows = rows_of((found, truth))
    assert rows["turn_start"].value == pytest.approx(60)
    assert rows["turn_end"].value == pytest.approx(150)
    assert rows["turn_end"].detail["bias"] == pytest.approx(50)
    assert rows["turn_end"].n == 2
    assert rows["turn_f1"].detail == {"missed": 1, "extra": 2}
    assert rows["turn_f1"].value == pytest.approx(100 * 4 / 7)


def test_the_bias_is_a_mean_and_the_error_a_median():
    found = with_spans(TALK, (AGENT, 1.0, 5.0), (CUSTOMER, 5.5, 7.5), (AGENT, 8.3, 10.0))
    row = rows_of((found, TALK))["turn_start"]
    assert row.value == pytest.approx(0, abs=1e-6)
    assert row.detail == pytest.approx({"p95": 270, "bias": 100})


def test_a_turn_that_only_touches_is_another_one():
    truth = truth_of(turn("A", 0.0, 10.0))
    part = evaluate_call(with_spans(truth, (AGENT, 0.0, 2.0)), truth)
    assert part.turns[0].end_error_s == -8.0
    sliver = evaluate_call(with_spans(truth, (AGENT, 0.0, 1.9)), truth)
    assert sliver.turns[0].end_error_s is None


# -- events --------------------------------------------------------------------------------------


def interruptions(*at, by="A", successful=True):
    return [{"by": by, "at": t, "successful": successful, "overlap_s": 0.5} for t in at]


def heard_events(kind, *times, by=AGENT, detail=None, length=0.5):
    return tuple(Event(kind, t, t + length, by, detail or {}) for t in times)


def matches(kind, events, **labels):
    truth = truth_of(turn("A", 0.0, 60.0), **labels)
    return evaluate_call(result_of(truth, events=events), truth).events[kind]


def test_as_many_interruptions_as_possible_are_paired():
    # the closest pair first would leave the true one at 10.0 without a partner
    found = matches(
        "interruption",
        heard_events("interruption", 10.8, 11.8, detail={"yielded": True}),
        interruptions=interruptions(10.0, 10.9),
    )
    assert (found.found, found.missed, found.extra) == (2, (), ())
    assert found.errors["onset_s"] == pytest.approx((0.8, 0.9))
    assert found.errors["outcome"] == (1.0, 1.0)


def test_an_interruption_needs_the_right_party_and_time():
    found = matches(
        "interruption",
        (
            *heard_events("interruption", 10.2, by=CUSTOMER),
            *heard_events("interruption", 20.5, detail={"yielded": False}),
            *heard_events("interruption", 31.1),
        ),
        interruptions=interruptions(10.0, 20.0, 30.0),
    )
    assert (found.found, len(found.missed), len(found.extra)) == (1, 2, 2)
    assert [m.start for m in found.missed] == [10.0, 30.0]
    assert {(e.start, e.by) for e in found.extra} == {(10.2, CUSTOMER), (31.1, AGENT)}
    assert (found.precision, found.recall, found.f1) == pytest.approx((1 / 3,) * 3)
    assert found.errors["outcome"] == (0.0,)


def test_a_backchannel_is_found_by_overlap_once():
    labels = [{"speaker": "A", "start": 10.0, "end": 10.5, "text": "嗯"}]
    found = matches(
        "backchannel", heard_events("backchannel", 10.4, 10.45, 12.0), backchannels=labels
    )
    assert (found.found, len(found.missed), len(found.extra)) == (1, 0, 2)


def test_a_hold_is_found_by_extent_and_judged_by_medium_and_announcement():
    labels = [{"start": 10.0, "end": 30.0, "kind": "music", "announced": True}]
    detail = {"medium": "music", "announced": False}
    half = heard_events("hold", 20.0, detail=detail, length=10.0)
    found = matches("hold", half, holds=labels)
    assert found.f1 == 1.0
    assert found.errors == {
        "onset_s": (10.0,), "length_s": (-10.0,), "medium": (1.0,), "announced": (0.0,),
    }  # fmt: skip
    less = heard_events("hold", 20.1, detail=detail, length=9.9)
    assert matches("hold", less, holds=labels).f1 == 0.0
    assert intersection_over_union((10.0, 30.0), (20.0, 30.0)) == 0.5


def test_what_is_not_labelled_is_not_judged_and_an_empty_label_is():
    events = heard_events("dead_air", 10.0, length=6.0)
    truth = truth_of(turn("A", 0.0, 60.0))
    call = evaluate_call(result_of(truth, events=events), truth)
    assert (call.events, call.rings) == ({}, None)
    assert len(matches("dead_air", events, dead_air=[]).extra) == 1
    labelled = matches("dead_air", events, dead_air=[{"start": 10.5, "end": 16.0}])
    assert labelled.found == 1
    assert labelled.errors["length_s"] == pytest.approx((0.5,))


def test_rings_are_right_only_when_the_count_is_exact():
    truth = truth_of(turn("A", 20.0, 21.0), rings=[{"start": 1, "end": 2}, {"start": 6, "end": 7}])
    none = truth_of(turn("A", 20.0, 21.0), rings=[], call_id="none")
    one = (Event("ringing", 1, 2, None, {"rings": 1}),)
    rows = rows_of((result_of(truth, events=one), truth), (result_of(none), none))
    row = rows["ringing.exact"]
    assert (row.value, row.n, row.detail) == (50.0, 2, {"rings": 2, "heard": 1})


def test_pairs_are_the_best_in_all():
    gains = {(0, 0): 5.0, (0, 1): 4.0, (1, 0): 4.0, (1, 1): 0.0}
    assert pair([0, 1], [0, 1], lambda t, f: gains[t, f]) == [(0, 1), (1, 0)]
    assert pair([0], [], lambda t, f: 1.0) == []
    assert pair([0], [0], lambda t, f: -1.0) == []


# -- measures ------------------------------------------------------------------------------------


def errors_of(result, truth):
    found = evaluate_call(result, truth).measures
    return {(m.measure, m.speaker): m.error for m in found}


def test_rates_against_characters_and_turn_time():
    truth = truth_of(turn("A", 0.0, 4.0, "一二三四五六七八九十", chars=10))  # 150 a minute
    result = result_of(truth)
    fast = replace(
        result,
        turns=(replace(result.turns[0], speaking_rate=165.0),),
        measures={"agent_speaking_rate": 120.0},
    )
    errors = errors_of(fast, truth)
    assert errors["turn_speaking_rate", AGENT] == pytest.approx(10)
    assert errors["speaking_rate", AGENT] == pytest.approx(-20)
    assert ("turn_articulation_rate", AGENT) not in errors


def test_articulation_is_derived_where_truth_gives_the_speech_in_a_turn():
    spans = [[0.0, 1.0], [1.2, 2.0], [3.0, 4.0]]  # pauses of 0.2 s (kept) and 1.0 s (taken out)
    truth = truth_of(turn("A", 0.0, 4.0, "一二三四五六七八九十", chars=10, spans=spans))
    result = result_of(truth)
    assert result.turns[0].articulation_rate == pytest.approx(200)
    errors = errors_of(result, truth)
    assert errors["turn_articulation_rate", AGENT] == pytest.approx(0)
    assert errors["articulation_rate", AGENT] == pytest.approx(0)


def test_short_turns_backchannels_and_cut_turns_give_no_rate():
    truth = truth_of(
        turn("A", 0.0, 4.0, "一二三四五六七八九十", chars=10),
        turn("A", 5.0, 6.0, "好的再见", chars=4),
        turn("C", 6.0, 9.0, "一二三四五六七八九十", chars=10, cut=True),
        turn("C", 10.0, 14.0, "一二三四五六七八九十", chars=10),
        turn("A", 11.0, 13.0, "嗯嗯嗯嗯嗯嗯嗯嗯", chars=8, backchannel=True),
    )
    found = evaluate_call(result_of(truth), truth).measures
    assert [(m.measure, m.speaker) for m in found if "rate" in m.measure] == [
        ("turn_speaking_rate", AGENT),
        ("turn_speaking_rate", CUSTOMER),
        ("speaking_rate", AGENT),
    ]


def test_a_rate_that_was_not_measured_is_counted():
    row = rows_of((empty_result(TALK), TALK))["turn_speaking_rate.agent"]
    assert (row.value, row.n, row.detail["not measured"]) == (None, 0, 2)


def test_talk_ratio_and_latency_by_hand():
    # agent 6 s of 8 s; latencies: agent 0.5 s, customer 0.5 s
    measures = {
        "agent_talk_ratio": 0.72,
        "agent_response_latency_p50": 0.56,
        "customer_response_latency_p50": None,
    }
    errors = errors_of(result_of(TALK, measures=measures), TALK)
    assert errors["talk_ratio", AGENT] == pytest.approx(-3)
    assert errors["response_latency", AGENT] == pytest.approx(60)
    assert errors["response_latency", CUSTOMER] is None


def test_a_perfect_result_has_no_error_of_the_talk_ratio_whatever_the_pauses():
    truth = truth_of(
        turn("A", 0.0, 4.0, "一二三四五六七八九十", spans=[[0.0, 1.0], [3.0, 4.0]]),
        turn("C", 5.0, 9.0, "一二三四五六七八九十"),
    )
    assert errors_of(result_of(truth), truth)["talk_ratio", AGENT] == 0


def test_long_waits_are_no_latency():
    truth = truth_of(turn("C", 0.0, 2.0), turn("A", 13.0, 14.0), turn("C", 14.5, 15.0))
    errors = errors_of(result_of(truth), truth)
    assert ("response_latency", AGENT) not in errors
    assert errors["response_latency", CUSTOMER] == pytest.approx(0)


def test_an_attempt_within_the_others_turn_is_no_answer_to_it():
    """Whether it was found as a turn or taken for a backchannel."""
    truth = truth_of(
        turn("A", 0.0, 6.0),
        turn("C", 3.0, 3.8, cut=True),
        turn("C", 6.5, 8.0),
        turn("A", 9.0, 10.0),
    )
    result = result_of(truth)
    heard_as = replace(result.turns[1], is_backchannel=True)
    for turns in (result.turns, (result.turns[0], heard_as, *result.turns[2:])):
        measures = measure_call(turns, (), {}, 11.0)
        errors = errors_of(replace(result, turns=turns, measures=measures), truth)
        assert measures["customer_response_latency_p50"] == pytest.approx(0.5)
        assert errors["response_latency", CUSTOMER] == pytest.approx(0)
        assert errors["response_latency", AGENT] == pytest.approx(0)


def test_what_turns_add_up_to_by_hand():
    spans = [[1.0, 3.0], [3.5, 5.0]]
    truth = truth_of(
        turn("A", 1.0, 5.0, "您好请问有什么可以帮您", spans=spans),
        turn("C", 2.9, 3.6, "嗯", backchannel=True),
        turn("C", 5.5, 7.5, "我想查一下我的账单"),
    )
    measures = {
        "agent_talk_s": 4.4, "customer_talk_s": 2.7, "agent_units": 12, "customer_units": 10,
        "agent_longest_turn_s": 3.6, "customer_longest_turn_s": 2.0, "overlap_s": 0.3,
        "first_speech_s": 1.02,
    }  # fmt: skip
    errors = errors_of(result_of(truth, measures=measures), truth)
    assert errors["talk_time", AGENT] == pytest.approx(10)
    assert errors["talk_time", CUSTOMER] == pytest.approx(0)
    assert errors["units", AGENT] == pytest.approx(100 / 11)
    assert errors["units", CUSTOMER] == pytest.approx(0)
    assert errors["longest_turn", AGENT] == pytest.approx(-10)
    assert errors["longest_turn", CUSTOMER] == pytest.approx(0)
    assert errors["overlap", AGENT] == pytest.approx(0.1)  # 2.9-3.0 and 3.5-3.6 are shared
    assert errors["first_speech", AGENT] == pytest.approx(20)


def test_level_and_pitch_where_the_truth_has_them():
    truth = TALK | {"level_dbfs": {"A": -22.0, "C": -25.0}, "pitch_sd_st": {"A": 3.0}}
    measures = {"agent_level_dbfs": -22.5, "customer_level_dbfs": -24.0, "agent_pitch_sd_st": 3.25}
    errors = errors_of(result_of(truth, measures=measures), truth)
    assert errors["level", AGENT] == pytest.approx(-0.5)
    assert errors["level", CUSTOMER] == pytest.approx(1.0)
    assert errors["pitch_sd", AGENT] == pytest.approx(0.25)
    assert errors["level_gap", AGENT] is None
    gap = errors_of(result_of(truth, measures={"level_gap_db": 1.5}), truth)
    assert gap["level_gap", AGENT] == pytest.approx(-1.5)
    unknown = {m for m, _ in errors_of(result_of(TALK), TALK)}
    assert not unknown & {"level", "pitch_sd", "level_gap", "loudness", "f0_median"}


# -- verdicts ------------------------------------------------------------------------------------


def test_verdicts_by_hand():
    labels = {
        "a": "fail", "b": "fail", "c": "fail", "d": "fail",
        "e": "pass", "f": "pass", "g": "pass", "h": "pass",
        "i": "not_applicable", "j": "cannot_tell", "k": "not_applicable", "l": "not_applicable",
    }  # fmt: skip
    truth = truth_of(turn("A", 0.0, 4.0, "您好"), compliance=labels)
    ours = {
        "a": "fail", "b": "pass", "c": "cannot_tell", "e": "pass", "f": "fail",
        "g": "not_applicable", "h": "pass", "unlabelled": "fail",
        "i": "not_applicable", "j": "cannot_tell", "k": "fail", "l": "pass",
    }  # fmt: skip
    verdicts = [Verdict(i, "rubric", v, quote=f"quote {i}") for i, v in ours.items()]
    verdicts.append(Verdict("b", "outside", "fail"))
    evaluation = summarise([evaluate_call(result_of(truth, verdicts=tuple(verdicts)), truth)])
    rows = {r.id: r for r in evaluation.rows}
    accuracy, fails = rows["verdicts.accuracy"], rows["verdicts.fail_f1"]
    assert (accuracy.value, accuracy.n) == (pytest.approx(100 * 5 / 12), 12)
    assert accuracy.detail == {
        "passes and fails": 8, "of them right": pytest.approx(100 * 3 / 8),
        "cannot tell": 2, "not applicable": 2, "no verdict": 1,
    }  # fmt: skip
    counts = [fails.detail[k] for k in ("TP", "FP", "FN", "TN", "passes of neither", "undecided")]
    assert counts == [1, 2, 1, 2, 1, 2]
    assert fails.detail["precision"] == pytest.approx(100 / 3)
    assert fails.detail["recall"] == pytest.approx(25)
    assert (fails.value, fails.n) == (pytest.approx(100 * 2 / 7), 4)
    wrong = [(j.item_id, j.label, j.verdict, j.quote) for j in evaluation.wrong_verdicts()]
    assert wrong == [
        ("b", "fail", "pass", "quote b"),
        ("c", "fail", "cannot_tell", "quote c"),
        ("d", "fail", "no verdict", None),
        ("f", "pass", "fail", "quote f"),
        ("g", "pass", "not_applicable", "quote g"),
        ("k", "not_applicable", "fail", "quote k"),
        ("l", "not_applicable", "pass", "quote l"),
    ]
    by_item = {row[0]: dict(zip(ITEM_HEADER, row, strict=True)) for row in evaluation.item_table()}
    assert list(by_item) == list("abcdefghijkl")
    assert by_item["f"]["FP"] == "1"
    assert by_item["f"]["accuracy"] == "0.0 %"


# -- tables, JSON, baseline ----------------------------------------------------------------------


def test_the_table_says_every_figure_with_its_n():
    evaluation = summarise([evaluate_call(result_of(TALK), TALK)], failed=["broken"])
    table = evaluation.table()
    assert all(len(row) == len(TABLE_HEADER) for row in table)
    assert table[0] == ("calls", "evaluated", "1", "0.2 min", "failed 1")
    assert table[1] == (
        "text", "character error rate, agent", "0.0 %", "22 characters",
        "substitutions 0, deletions 0, insertions 0, rate bias 0.0 %",
    )  # fmt: skip
    assert evaluation.to_json()["failed"] == ["broken"]


def test_nothing_to_evaluate_gives_no_figures():
    evaluation = summarise([])
    assert all(r.value is None and r.n == 0 for r in evaluation.rows)
    assert json.loads(json.dumps(evaluation.to_json()))["calls"] == []


def test_the_json_form_lists_misses_and_tells_channel_from_diarization():
    truth = TALK | {"interruptions": interruptions(3.0)}
    mono = replace(result_of(TALK | {"call_id": "mono"}), speaker_source="diarization")
    evaluation = summarise(
        [
            evaluate_call(result_of(truth, events=()), truth),
            evaluate_call(mono, TALK | {"call_id": "mono"}),
        ]
    )
    data = json.loads(json.dumps(evaluation.to_json()))
    assert data["per_call"]["call"]["events"]["interruption"]["missed"][0]["start"] == 3.0
    assert data["rows"]["cer.all"]["n"] == 62
    assert data["by_speaker_source"]["diarization"]["cer.all"]["n"] == 31
    assert data["made_with"][0]["preset"] == "embedded"


def baseline_of(*pairs):
    evaluation = summarise([evaluate_call(r, t) for r, t in pairs])
    return evaluation, json.loads(json.dumps(evaluation.to_json()))


def test_nothing_moved_against_itself(samples):
    evaluation, data = baseline_of(*((moved(result_of(t), 0.05), t) for t in samples))
    assert compare(evaluation, data) == []


def test_what_moved_is_said_with_its_direction():
    good, good_json = baseline_of((result_of(TALK), TALK))
    flipped = (
        Verdict("opening_greeting", "rubric", "fail"),
        Verdict("hold_reason", "rubric", "fail"),
    )
    bad, bad_json = baseline_of((moved(result_of(TALK, verdicts=flipped), 0.2), TALK))
    worse = {m.what: m for m in compare(bad, good_json)}
    assert worse["turn start, error"].trend == "worse"
    assert (worse["turn start, error"].before, worse["turn start, error"].after) == (
        "0 ms (n 3)", "200 ms (n 3)",
    )  # fmt: skip
    assert worse["verdicts right"].trend == "worse"
    verdict = worse["verdict opening_greeting of call (label pass)"]
    assert (verdict.before, verdict.after, verdict.trend) == ("pass", "fail", "worse")
    assert str(verdict) == ("worse: verdict opening_greeting of call (label pass): pass -> fail")
    better = {m.what: m.trend for m in compare(good, bad_json)}
    # a figure that stayed but rests on another n has changed, for neither better nor worse
    back = {"worse": "better", "changed": "changed"}
    assert better == {what: back[m.trend] for what, m in worse.items()}
    assert worse["role accuracy"].trend == "changed"


def test_a_baseline_of_other_calls_is_said():
    one, _ = baseline_of((result_of(TALK), TALK))
    other = TALK | {"call_id": "other"}
    _, data = baseline_of((result_of(TALK), TALK), (result_of(other), other))
    first = compare(one, data)[0]
    assert (first.before, first.after, first.trend) == ("2", "1, 1 of them the same", "changed")


def test_more_failed_calls_are_worse():
    one, data = baseline_of((result_of(TALK), TALK))
    assert compare(replace(one, failed=("x",)), data)[0].trend == "worse"


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 99}'])
def test_a_baseline_must_be_an_evaluation(tmp_path, text):
    path = tmp_path / "baseline.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="baseline"):
        read_baseline(path)
    with pytest.raises(UsageError, match="cannot be read"):
        read_baseline(tmp_path / "none.json")


def test_a_baseline_is_read_back(tmp_path):
    evaluation, data = baseline_of((result_of(TALK), TALK))
    path = tmp_path / "baseline.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    assert compare(evaluation, read_baseline(path)) == []


# -- finding truths ------------------------------------------------------------------------------


def lay(folder, name, truth, audio=(".wav",)):
    (folder / f"{name}.truth.json").write_text(json.dumps(truth), encoding="utf-8")
    for suffix in audio:
        (folder / f"{name}{suffix}").touch()


def test_truths_are_found_beside_their_recordings(tmp_path):
    (tmp_path / "deep").mkdir()
    lay(tmp_path / "deep", "b.1", TALK | {"call_id": "b"}, [".WAV", ".txt"])
    lay(tmp_path, "a", TALK | {"call_id": "a"}, [".mp3"])
    (tmp_path / "ab.wav").touch()  # not labelled
    found = find_truths(tmp_path)
    assert [(p.name, t["call_id"]) for p, t in found] == [("a.mp3", "a"), ("b.1.WAV", "b")]
    assert evaluate_call(result_of(TALK), found[0][1]).call_id == "a"


def test_calls_of_a_linked_folder_keep_their_truth(tmp_path):
    (tmp_path / "calls").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "calls")
    lay(tmp_path / "calls", "a", TALK, [".wav"])
    pairs = find_truths(tmp_path / "link")
    found = jobs.Inputs([str(path) for path, _ in pairs]).find("Asia/Shanghai", None)
    assert [r.path for r in found.recordings] == [os.path.abspath(path) for path, _ in pairs]


@pytest.mark.parametrize(
    ("truth", "audio", "what"),
    [
        (TALK, (), "no recording"),
        (TALK, (".wav", ".mp3"), r"a\.mp3, a\.wav"),
        ({"call_id": "a", "duration": 1.0}, (".wav",), "'turns' is missing"),
        (truth_of(turn("X", 0.0, 1.0)), (".wav",), '"X", neither A'),
        (truth_of(turn("A", 1.0, 0.5)), (".wav",), "lies before its start"),
        (TALK | {"compliance": {"x": "maybe"}}, (".wav",), '"maybe", not one of pass, fail'),
        ([], (".wav",), "cannot be used"),
    ],
)
def test_a_truth_that_cannot_be_used_stops_with_its_reason(tmp_path, truth, audio, what):
    lay(tmp_path, "a", truth, audio)
    with pytest.raises(UsageError, match=what):
        find_truths(tmp_path)


def test_folders_without_usable_truth_are_refused(tmp_path):
    with pytest.raises(UsageError, match="not a folder"):
        find_truths(tmp_path / "none")
    with pytest.raises(UsageError, match="No ground truth"):
        find_truths(tmp_path)
    lay(tmp_path, "a", TALK)
    lay(tmp_path, "b", TALK)
    with pytest.raises(UsageError, match="both the truth"):
        find_truths(tmp_path)
