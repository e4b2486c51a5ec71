"""The figures of an evaluation: one row per measure, with its unit and what it rests on.

Rates of error are sums over sums, never means over calls. The figure of a measure with one error
per turn or call is the median of the absolute errors; their 95th percentile and the bias (mean
error) are beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from pipeline.evaluation.call_evaluation import CallEvaluation
from pipeline.evaluation.event_matches import EventMatches
from pipeline.evaluation.measure_errors import OF_A_CALL, UNITS
from pipeline.evaluation.texts import TextErrors
from pipeline.evaluation.timing import SpeakerTimes
from pipeline.evaluation.verdicts import count_verdicts
from pipeline.schema import SPEAKERS

DECIMALS = {"%": 1, "points": 1, "ms": 0, "s": 2, "dB": 2, "st": 2}
OF_A_TURN = ("turn_speaking_rate", "turn_articulation_rate")
TRUE_OR_FALSE = ("outcome", "medium", "announced")
NAMES = {
    "turn_speaking_rate": "speaking rate of a turn",
    "turn_articulation_rate": "articulation rate of a turn",
    "speaking_rate": "speaking rate of a call",
    "articulation_rate": "articulation rate of a call",
    "talk_ratio": "agent's talk ratio",
    "talk_time": "talk time",
    "units": "spoken units",
    "longest_turn": "longest turn",
    "overlap": "overlap time",
    "first_speech": "first speech",
    "response_latency": "median response latency",
    "active_level": "active speech level",
    "level_gap": "level gap",
    "f0_median": "median pitch",
    "pitch_sd": "pitch variation",
    "pitch_range": "pitch range",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    ``n`` is how many of ``counted`` the figure rests on. ``detail`` holds by name figures in the
    same unit, or counts (int). ``value`` is None when there was nothing to measure.
    """

    id: str
    part: str
    name: str
    value: float | None
    unit: str
    n: float
    counted: str
    better: Literal["lower", "higher"]
    detail: Mapping[str, float | None] = field(default_factory=dict)


def build_rows(calls: Sequence[CallEvaluation]) -> tuple[Row, ...]:
    """Pool the calls into the rows of the table."""
    return (
        *_text_rows(calls),
        *_speaker_rows(calls),
        *_turn_rows(calls),
        *_event_rows(calls),
        *_measure_rows(calls),
        *_verdict_rows(calls),
    )


def shown(value: float | None, unit: str) -> str:
    """Write a figure with its unit, as in the table; ``-`` when there is none.

    >>> shown(12.345, "%"), shown(None, "ms"), shown(-0.2, "ms")
    ('12.3 %', '-', '0 ms')
    """
    if value is None:
        return "-"
    rounded = round(value, DECIMALS[unit]) + 0.0
    return f"{rounded:.{DECIMALS[unit]}f} {unit}"


def _text_rows(calls: Sequence[CallEvaluation]) -> Iterator[Row]:
    own = {s: sum((c.text[s] for c in calls), TextErrors()) for s in SPEAKERS}
    groups = {**own, "all": sum(own.values(), TextErrors())}
    for who, e in groups.items():
        detail: dict[str, float | None] = {
            "substitutions": e.substitutions,
            "deletions": e.deletions,
            "insertions": e.insertions,
            "rate bias": _percent(e.rate_bias),
        }
        yield Row(
            f"cer.{who}", "text", f"character error rate, {who}", _percent(e.cer), "%",
            e.characters, "characters", "lower", detail,
        )  # fmt: skip
    for who, e in groups.items():
        detail = {
            "substitutions": e.substitutions - e.homophones,
            "deletions": e.deletions,
            "insertions": e.insertions,
        }
        yield Row(
            f"syllable_error.{who}", "text", f"toneless syllable error rate, {who}",
            _percent(e.syllable_error_rate), "%", e.characters, "syllables", "lower", detail,
        )  # fmt: skip


def _speaker_rows(calls: Sequence[CallEvaluation]) -> Iterator[Row]:
    t = sum((c.speech for c in calls), SpeakerTimes())
    shares: dict[str, float | None] = {
        name: 100 * seconds / t.speech_s if t.speech_s else None
        for name, seconds in (
            ("missed", t.missed_s), ("false alarm", t.false_alarm_s), ("confused", t.confused_s),
        )
    }  # fmt: skip
    yield Row(
        "der", "speakers", "diarization error rate", _percent(t.der), "%",
        round(t.speech_s, 1), "s of speech", "lower", shares,
    )  # fmt: skip
    yield Row(
        "jer", "speakers", "Jaccard error rate", _percent(t.jer), "%",
        t.speakers, "speakers", "lower",
    )  # fmt: skip
    yield Row(
        "role_accuracy", "speakers", "role accuracy", _percent(t.role_accuracy), "%",
        round(t.right_role_s + t.wrong_role_s, 1), "s of heard speech", "higher",
        {"calls mostly in the wrong role": sum(
            c.speech.wrong_role_s > c.speech.right_role_s for c in calls
        )},
    )  # fmt: skip


def _turn_rows(calls: Sequence[CallEvaluation]) -> Iterator[Row]:
    turns = [t for c in calls for t in c.turns]
    starts = [t.start_error_s for t in turns]
    ends = [t.end_error_s for t in turns]
    for name, errors in (("start", starts), ("end", ends)):
        in_ms = [None if e is None else 1000 * e for e in errors]
        yield _errors_row(f"turn_{name}", "turns", f"turn {name}", in_ms, "ms", "turns")
    found = sum(t.start_error_s is not None for t in turns)
    total = sum(c.found_turns for c in calls)
    both = len(turns) + total
    yield Row(
        "turn_f1", "turns", "turns found, F1", _percent(2 * found / both if both else None), "%",
        len(turns), "turns", "higher", {"missed": len(turns) - found, "extra": total - found},
    )  # fmt: skip


def _event_rows(calls: Sequence[CallEvaluation]) -> Iterator[Row]:
    for kind in ("interruption", "backchannel", "hold", "dead_air"):
        of_kind = [c.events[kind] for c in calls if kind in c.events]
        m = sum(of_kind, EventMatches())
        name = kind.replace("_", " ")
        yield Row(
            f"{kind}.f1", "events", f"{name}, F1", _percent(m.f1), "%", m.true, "true events",
            "higher",
            {
                "precision": _percent(m.precision),
                "recall": _percent(m.recall),
                "found": m.found,
                "missed": len(m.missed),
                "extra": len(m.extra),
                "labelled calls": len(of_kind),
            },
        )  # fmt: skip
        if kind == "interruption" and m.found:
            late = [1000 * e for e in m.errors.get("onset_s", ())]
            yield _errors_row(f"{kind}.onset", "events", f"{name}, onset", late, "ms", "found")
        if kind in ("hold", "dead_air") and m.found:
            long = m.errors.get("length_s", ())
            yield _errors_row(f"{kind}.length", "events", f"{name}, length", long, "s", "found")
        for what in TRUE_OR_FALSE:
            right = m.errors.get(what)
            if right is not None:
                yield Row(
                    f"{kind}.{what}", "events", f"{name}, {what} right",
                    100 * sum(right) / len(right), "%", len(right), "found", "higher",
                )  # fmt: skip
    yield _ring_row(calls)


def _ring_row(calls: Sequence[CallEvaluation]) -> Row:
    rings = [c.rings for c in calls if c.rings is not None]
    exact = sum(r.true == r.found for r in rings)
    return Row(
        "ringing.exact", "events", "ringing, count exact",
        100 * exact / len(rings) if rings else None, "%", len(rings), "calls", "higher",
        {"rings": sum(r.true for r in rings), "heard": sum(r.found for r in rings)},
    )  # fmt: skip


def _measure_rows(calls: Sequence[CallEvaluation]) -> Iterator[Row]:
    for measure, unit in UNITS.items():
        for speaker in SPEAKERS:
            compared = [
                m for c in calls for m in c.measures
                if m.measure == measure and m.speaker == speaker
            ]  # fmt: skip
            name = NAMES.get(measure, measure)
            label = name if measure in OF_A_CALL else f"{name}, {speaker}"
            counted = "turns" if measure in OF_A_TURN else "calls"
            if compared:
                errors = [m.error for m in compared]
                yield _errors_row(f"{measure}.{speaker}", "measures", label, errors, unit, counted)


def _verdict_rows(calls: Sequence[CallEvaluation]) -> Iterator[Row]:
    c = count_verdicts([j for call in calls for j in call.verdicts])
    yield Row(
        "verdicts.accuracy", "verdicts", "verdicts right", _percent(c.accuracy), "%", c.n,
        "labelled verdicts", "higher",
        {
            "passes and fails": c.labelled_either,
            "of them right": _percent(c.accuracy_of_either),
            "cannot tell": c.cannot_tell,
            "not applicable": c.not_applicable,
            "no verdict": c.no_verdict,
        },
    )  # fmt: skip
    yield Row(
        "verdicts.fail_f1", "verdicts", "fails, F1", _percent(c.f1), "%", c.labelled_fail,
        "labelled fails", "higher",
        {
            "precision": _percent(c.precision),
            "recall": _percent(c.recall),
            "TP": c.true_fail,
            "FP": c.false_fail,
            "FN": c.missed_fail,
            "TN": c.true_pass,
            "passes of neither": c.false_pass,
            "undecided": c.labelled_fail - c.true_fail - c.missed_fail,
        },
    )  # fmt: skip


def _errors_row(
    row_id: str, part: str, name: str, errors: Sequence[float | None], unit: str, counted: str
) -> Row:
    known = np.array([e for e in errors if e is not None], np.float64)
    detail: dict[str, float | None] = {"p95": None, "bias": None}
    value = None
    if known.size:
        value = float(np.median(np.abs(known)))
        detail = {"p95": float(np.percentile(np.abs(known), 95)), "bias": float(np.mean(known))}
    missing = len(errors) - known.size
    if missing:
        detail["not measured"] = missing
    return Row(row_id, part, f"{name}, error", value, unit, known.size, counted, "lower", detail)


def _percent(ratio: float | None) -> float | None:
    return None if ratio is None else 100 * ratio
