"""Assemble the sample calls from the utterance bank, with truth, metadata and outside scores.

    python data/make_samples.py [--out FOLDER]

Needs numpy, scipy and soundfile. What each call shows is in ``samples/README.md``.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Sequence
from pathlib import Path

from synthesis import Bank, Call, CallBuilder, Line, Party, Style, write_call

HERE = Path(__file__).resolve().parent

METADATA_COLUMNS = (
    "recording",
    "call_id",
    "agent_id",
    "agent_name",
    "team",
    "direction",
    "started_at",
    "agent_channel",
    "customer_name",
)
AGENTS = {"N101": ("小林", "售前组"), "N102": ("小郭", "售后组"), "N103": ("小苏", "售后组")}


def verdicts(passed: str, failed: str = "") -> dict[str, str]:
    """Name the rubric items that pass and fail, each as words of one string."""
    return {**dict.fromkeys(passed.split(), "pass"), **dict.fromkeys(failed.split(), "fail")}


def return_music_hold(bank: Bank) -> Call:
    """Show a good agent: number read back, an announced hold with music, thanks, a check, a proper closing."""
    call = CallBuilder(
        bank,
        "return_music_hold",
        11,
        {"A": Style(gain_db=1.0, tempo=1.06), "C": Style(gain_db=-2.0)},
    )
    call.ring(1)
    call.say("A", "return_a1")
    call.say("C", "return_c1", gap=0.6)
    call.backchannel("A", "xiaoxiao_bc_en", at=0.55)
    alternate(
        call, "A", ["return_a2", "return_c2", "return_a3", "return_c3", "return_a4", "return_c4"]
    )
    call.hold(31.5, "music", announced=True)
    call.say("A", "return_a5", gap=0.0)
    call.backchannel("C", "yunjian_bc_shi", at=0.5)
    alternate(
        call,
        "C",
        ["return_c5", "return_a6", "return_c6", "return_a7", "return_c7", "return_a8", "return_c8"],
    )
    compliance = verdicts(
        "opening_greeting opening_self_introduction opening_offer_help answer_within_two_rings "
        "use_customer_name repeat_back_information hold_reason hold_consent hold_time_limit "
        "hold_thanks confirm_understanding further_help respond_to_thanks closing_thanks "
        "closing_goodbye customer_hangs_up_first no_interrupting prohibited_phrases negative_language"
    )
    return call.finish(
        Line(snr_db=32, crosstalk_db=-36), compliance, meta("2026-03-19 09:42:00", "N101")
    )


def refund_silent_hold(bank: Bank) -> Call:
    """Show a bad agent: four rings, a rude answer, an interruption, an unannounced hold, forbidden phrases."""
    call = CallBuilder(
        bank, "refund_silent_hold", 12, {"A": Style(gain_db=4.0), "C": Style(gain_db=-1.0)}
    )
    call.ring(4)
    alternate(call, "A", ["refund_a1", "refund_c1", "refund_a2", "refund_c2"])
    call.interrupt("A", "refund_a3", at=0.62, overlap=0.9)
    call.say("C", "refund_c3", gap=0.3)
    call.hold(10.0, "silence", announced=False)
    call.say("A", "refund_a4", gap=0.0)
    call.say("C", "refund_c4", gap=0.4)
    call.attempt("A", "refund_a5", at=0.5, overlap=0.8)
    alternate(call, "A", ["refund_a6", "refund_c5", "refund_a7"])
    compliance = verdicts(
        "",
        "opening_greeting opening_self_introduction opening_offer_help opening_rude_answer "
        "answer_within_two_rings repeat_back_information hold_reason hold_consent hold_thanks "
        "further_help closing_thanks closing_goodbye "
        "prohibited_phrases negative_language complaint_apology complaint_empathy no_interrupting",
    )
    return call.finish(
        Line(snr_db=28, crosstalk_db=-32), compliance, meta("2026-03-19 10:15:00", "N102")
    )


def invoice_mono(bank: Bank) -> Call:
    """Show a careless agent on a mono recording: interrupts, blames the customer, reads a number too fast."""
    call = CallBuilder(bank, "invoice_mono", 13, {"C": Style(gain_db=-1.5)})
    alternate(call, "A", ["invoice_a1", "invoice_c1", "invoice_a2", "invoice_c2"])
    call.interrupt("A", "invoice_a3", at=0.7, overlap=0.7)
    later = [
        "invoice_c3",
        "invoice_a4",
        "invoice_c4",
        "invoice_a5",
        "invoice_c5",
        "invoice_a6",
        "invoice_c6",
    ]
    alternate(call, "C", [*later, "invoice_a7"])
    compliance = verdicts(
        "opening_greeting opening_self_introduction closing_goodbye",
        "opening_offer_help prohibited_phrases negative_language no_interrupting respond_to_thanks "
        "further_help closing_thanks",
    )
    return call.finish(Line(snr_db=26, mono=True), compliance, meta("2026-03-20 16:05:00", "N103"))


def courier_complaint(bank: Bank) -> Call:
    """Show a good agent on a holiday with an angry, fast customer, who interrupts and is let talk."""
    call = CallBuilder(
        bank, "courier_complaint", 14, {"A": Style(gain_db=0.5), "C": Style(gain_db=3.0)}
    )
    call.ring(1)
    alternate(call, "A", ["courier_a1", "courier_c1"])
    call.backchannel("A", "xiaoyi_bc_shi", at=0.35)
    call.backchannel("A", "xiaoyi_bc_enen", at=0.72)
    alternate(call, "A", ["courier_a2", "courier_c2", "courier_a3"])
    call.interrupt("C", "courier_c3", at=0.7, overlap=0.7)
    later = [
        "courier_a4",
        "courier_c4",
        "courier_a5",
        "courier_c5",
        "courier_a6",
        "courier_c6",
        "courier_a7",
    ]
    alternate(call, "A", [*later, "courier_c7"])
    compliance = verdicts(
        "opening_greeting opening_self_introduction opening_offer_help opening_holiday_greeting "
        "answer_within_two_rings ask_customer_name use_customer_name complaint_apology "
        "complaint_empathy promise_time_limit respond_to_thanks further_help closing_thanks "
        "closing_goodbye customer_hangs_up_first no_interrupting prohibited_phrases"
    )
    return call.finish(
        Line(snr_db=30, crosstalk_db=-34), compliance, meta("2026-05-01 10:20:00", "N103")
    )


def outbound_delivery(bank: Bank) -> Call:
    """Show a good outbound call at a slow tempo: an address read back, a suggestion taken down."""
    call = CallBuilder(
        bank, "outbound_delivery", 15, {"A": Style(gain_db=-1.0), "C": Style(gain_db=1.0)}
    )
    call.say("A", "delivery_a1")
    first = ["delivery_c1", "delivery_a2", "delivery_c2", "delivery_a3", "delivery_c3"]
    alternate(call, "C", first)
    call.backchannel("A", "yunyang_bc_haode", at=0.5)
    alternate(call, "A", ["delivery_a4", "delivery_c4", "delivery_a5", "delivery_c5"])
    compliance = verdicts(
        "opening_greeting opening_self_introduction outbound_self_introduction "
        "outbound_convenient_time outbound_calling_hours outbound_within_three_minutes "
        "use_customer_name repeat_back_information thank_for_suggestion further_help "
        "respond_to_thanks closing_thanks closing_goodbye no_interrupting prohibited_phrases "
        "negative_language"
    )
    details = meta("2026-03-28 14:10:00", "N102", "outbound")
    return call.finish(Line(snr_db=34, crosstalk_db=-40), compliance, details)


def exchange_dead_air(bank: Bank) -> Call:
    """Show a listless agent on channel 1: no offer of help, six seconds of dead air, no closing."""
    call = CallBuilder(bank, "exchange_dead_air", 16, {"A": Style(gain_db=-3.0)})
    alternate(call, "A", ["exchange_a1", "exchange_c1", "exchange_a2"])
    call.silence(5.7)
    later = [
        "exchange_a3",
        "exchange_c2",
        "exchange_a4",
        "exchange_c3",
        "exchange_a5",
        "exchange_c4",
        "exchange_a6",
    ]
    alternate(call, "A", later)
    compliance = verdicts(
        "opening_greeting opening_self_introduction respond_to_thanks closing_goodbye no_interrupting "
        "prohibited_phrases",
        "opening_offer_help repeat_back_information further_help closing_thanks",
    )
    line = Line(snr_db=30, crosstalk_db=-30, agent_channel=1)
    return call.finish(line, compliance, meta("2026-03-23 11:30:00", "N101"))


def coupon_bare_wait(bank: Bank) -> Call:
    """Show a fair agent: a bare wait of eleven seconds, a long explanation the customer tries to break into."""
    call = CallBuilder(
        bank, "coupon_bare_wait", 17, {"A": Style(gain_db=1.5), "C": Style(tempo=1.06)}
    )
    alternate(call, "A", ["coupon_a1", "coupon_c1"])
    call.backchannel("A", "yunyang_bc_enen", at=0.3)
    call.backchannel("A", "yunyang_bc_shi", at=0.68)
    call.say("A", "coupon_a2", gap=0.3)
    call.hold(11.0, "silence", announced=True)
    call.say("A", "coupon_a3", gap=0.0)
    call.attempt("C", "coupon_c2", at=0.55, overlap=0.9)
    call.say("C", "coupon_c3", gap=-0.3)
    alternate(call, "A", ["coupon_a4", "coupon_c4", "coupon_a5", "coupon_c5"])
    compliance = verdicts(
        "opening_greeting opening_self_introduction opening_offer_help hold_bare_wait confirm_understanding "
        "respond_to_thanks closing_thanks closing_goodbye customer_hangs_up_first "
        "no_interrupting prohibited_phrases",
        "hold_reason hold_consent hold_thanks further_help",
    )
    return call.finish(Line(snr_db=20, mono=True), compliance, meta("2026-03-24 15:00:00", "N102"))


def wrong_number(bank: Bank) -> Call:
    """Show a good agent with a customer who wanted somebody else."""
    call = CallBuilder(bank, "wrong_number", 18)
    alternate(
        call,
        "A",
        ["wrong_a1", "wrong_c1", "wrong_a2", "wrong_c2", "wrong_a3", "wrong_c3", "wrong_a4"],
    )
    alternate(call, "C", ["wrong_c4", "wrong_a5", "xiaohe_bc_haode"])
    compliance = verdicts(
        "opening_greeting opening_self_introduction opening_offer_help wrong_number "
        "out_of_scope_request refusal_with_alternative respond_to_thanks further_help closing_thanks "
        "closing_goodbye customer_hangs_up_first no_interrupting prohibited_phrases"
    )
    return call.finish(Line(snr_db=24, mono=True), compliance, meta("2026-03-25 08:35:00", "N103"))


CALLS: list[tuple[Callable[[Bank], Call], str]] = [
    (return_music_hold, "陈先生"),
    (refund_silent_hold, ""),
    (invoice_mono, ""),
    (courier_complaint, ""),
    (outbound_delivery, "孙女士"),
    (exchange_dead_air, ""),
    (coupon_bare_wait, ""),
    (wrong_number, ""),
]

# call_id, item_id, verdict, score, reviewer: whole calls (0-100) and single items;
# the last row matches no recording
OUTSIDE_SCORES = [
    ("return_music_hold", "", "", "97", "qa-03"),
    ("refund_silent_hold", "", "", "18", "qa-03"),
    ("invoice_mono", "", "", "40", "qa-04"),
    ("courier_complaint", "", "", "95", "qa-04"),
    ("outbound_delivery", "", "", "94", "qa-03"),
    ("exchange_dead_air", "", "", "58", "qa-03"),
    ("coupon_bare_wait", "", "", "74", "qa-04"),
    ("return_music_hold", "hold_thanks", "pass", "1", "qa-03"),
    ("refund_silent_hold", "prohibited_phrases", "fail", "0", "qa-03"),
    ("refund_silent_hold", "hold_reason", "fail", "0", "qa-03"),
    ("courier_complaint", "complaint_empathy", "pass", "1", "qa-04"),
    ("coupon_bare_wait", "hold_thanks", "pass", "1", "qa-04"),
    ("exchange_dead_air", "further_help", "fail", "0", "qa-03"),
    ("cancelled_order_lost", "", "", "66", "qa-04"),
]


def meta(date: str, agent: str, direction: str = "inbound") -> dict[str, str]:
    """Give the particulars that go into the truth."""
    return {"direction": direction, "date": date, "agent_id": agent}


def alternate(call: CallBuilder, first: Party, names: Sequence[str]) -> None:
    """Let the parties take turns, with a breath of varying length before each."""
    speaker = first
    for number, name in enumerate(names):
        call.say(speaker, name, gap=(0.5, 0.35, 0.6, 0.4, 0.7)[number % 5])
        speaker = "C" if speaker == "A" else "A"


def main() -> None:
    """Write the recordings and their tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=HERE / "samples")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    bank = Bank(HERE / "utterances")
    with (out / "metadata.csv").open("w", encoding="utf-8", newline="") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(METADATA_COLUMNS)
        for make, customer in CALLS:
            call = make(bank)
            path = write_call(out, call)
            details = call.truth["meta"]
            agent = (details["agent_id"], *AGENTS[details["agent_id"]])
            started = details["date"].replace(" ", "T") + "+08:00"
            channel = "" if call.line.mono else call.line.agent_channel
            writer.writerow(
                [path.name, path.stem, *agent, details["direction"], started, channel, customer]
            )
            print(
                f"{path.name:28} {call.truth['duration']:6.1f} s  {path.stat().st_size / 1e6:.2f} MB"
            )
    with (out / "outside_scores.csv").open("w", encoding="utf-8", newline="") as table:
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["call_id", "item_id", "verdict", "score", "reviewer"])
        writer.writerows(OUTSIDE_SCORES)


if __name__ == "__main__":
    main()
