"""Measures against truth: rate, talk ratio, response latency, level and pitch.

What the truth implies is computed here from the labelled turns alone, independently of the
program's own formulas.

- ``turn_speaking_rate``: characters / turn time of each uncut turn of enough characters, against
  the rate of the turn that was found for it; ``turn_articulation_rate`` likewise where the truth
  gives the speech inside the turn (``spans``), pauses of 0.25 s and more taken out.
- ``speaking_rate``, ``articulation_rate``: the same over all such turns of a speaker, against the
  column of the calls table. A speaker with a cut turn is left out: the column has that turn in it.
- ``talk_ratio``: time of the agent's turns / time of all turns, own pauses included, against the
  column.
- ``response_latency``: median gap from the other's end to the speaker's start; backchannels, turns
  wholly within one of the other (attempts to break in) and gaps outside of -1 to 10 s left out.
- ``talk_time``, ``units``, ``longest_turn`` of a speaker, ``overlap`` and ``first_speech`` of a call:
  what the turns add up to. Units of a speaker with a cut turn are not known.
- ``level``, ``active_level``, ``loudness``, ``f0_median``, ``pitch_sd``, ``pitch_range``: where the
  truth carries them; ``level_gap`` where it has both levels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Literal

from pipeline.evaluation.timing import TurnPair
from pipeline.evaluation.truth import TrueTurn, Truth
from pipeline.metrics import MAX_LATENCY_S, MIN_LATENCY_S
from pipeline.schema import AGENT, CUSTOMER, SPEAKERS, CallResult, Seconds, Speaker
from pipeline.settings import Voice
from pipeline.spans import intersection, total_s

MeasureName = Literal[
    "turn_speaking_rate", "turn_articulation_rate", "speaking_rate", "articulation_rate",
    "talk_ratio", "talk_time", "units", "longest_turn", "overlap",
    "first_speech", "response_latency", "level", "active_level", "loudness", "level_gap",
    "f0_median", "pitch_sd", "pitch_range",
]  # fmt: skip
UNITS: dict[MeasureName, str] = {
    "turn_speaking_rate": "%",
    "turn_articulation_rate": "%",
    "speaking_rate": "%",
    "articulation_rate": "%",
    "talk_ratio": "points",
    "talk_time": "%",
    "units": "%",
    "longest_turn": "%",
    "overlap": "s",
    "first_speech": "ms",
    "response_latency": "ms",
    "level": "dB",
    "active_level": "dB",
    "loudness": "dB",
    "level_gap": "dB",
    "f0_median": "%",
    "pitch_sd": "st",
    "pitch_range": "st",
}
"""Every measure and the unit of its error."""
OF_A_VOICE: dict[str, MeasureName] = {
    "level_dbfs": "level",
    "active_level_dbfs": "active_level",
    "loudness_lufs": "loudness",
    "f0_median_hz": "f0_median",
    "pitch_sd_st": "pitch_sd",
    "pitch_range_st": "pitch_range",
}
OF_A_CALL: tuple[MeasureName, ...] = (
    "talk_ratio", "overlap", "first_speech", "level_gap",
)  # fmt: skip
RATES = Voice()


@dataclass(frozen=True, slots=True)
class Comparison:
    """One measure of one call or turn: what it is, and what was measured (None: nothing was)."""

    measure: MeasureName
    speaker: Speaker
    truth: float
    measured: float | None

    @property
    def error(self) -> float | None:
        """Measured minus true in the unit of :data:`UNITS`; rates relative to the truth."""
        if self.measured is None:
            return None
        match UNITS[self.measure]:
            case "%":
                return 100 * (self.measured / self.truth - 1)
            case "points":
                return 100 * (self.measured - self.truth)
            case "ms":
                return 1000 * (self.measured - self.truth)
            case _:
                return self.measured - self.truth


def compare_measures(
    result: CallResult, truth: Truth, pairs: Sequence[TurnPair]
) -> tuple[Comparison, ...]:
    """Compare every measure that the truth of one call implies."""
    return (
        *_turn_rates(pairs),
        *_call_rates(result, truth),
        *_talk_ratio(result, truth),
        *_sums(result, truth),
        *_whole_call(result, truth),
        *_latency(result, truth),
        *_voice(result, truth),
    )


def _turn_rates(pairs: Sequence[TurnPair]) -> Iterator[Comparison]:
    for p in pairs:
        rate = _rate([p.truth])
        if rate is not None:
            found = p.found.speaking_rate if p.found else None
            yield Comparison("turn_speaking_rate", p.truth.speaker, rate, found)
        articulation = _articulation_rate([p.truth])
        if articulation is not None:
            found = p.found.articulation_rate if p.found else None
            yield Comparison("turn_articulation_rate", p.truth.speaker, articulation, found)


def _call_rates(result: CallResult, truth: Truth) -> Iterator[Comparison]:
    for speaker in SPEAKERS:
        own = [t for t in truth.turns if t.speaker == speaker]
        if any(t.cut for t in own):
            continue
        rate, articulation = _rate(own), _articulation_rate(own)
        column = f"{speaker}_speaking_rate"
        if rate is not None:
            yield Comparison("speaking_rate", speaker, rate, result.measures.get(column))
        column = f"{speaker}_articulation_rate"
        if articulation is not None:
            measured = result.measures.get(column)
            yield Comparison("articulation_rate", speaker, articulation, measured)


def _talk_ratio(result: CallResult, truth: Truth) -> Iterator[Comparison]:
    seconds = {s: sum(t.end - t.start for t in truth.turns if t.speaker == s) for s in SPEAKERS}
    if total := sum(seconds.values()):
        measured = result.measures.get(f"{AGENT}_talk_ratio")
        yield Comparison("talk_ratio", AGENT, seconds[AGENT] / total, measured)


def _sums(result: CallResult, truth: Truth) -> Iterator[Comparison]:
    for speaker in SPEAKERS:
        own = [t for t in truth.turns if t.speaker == speaker]
        if not own:
            continue
        seconds = sum(t.end - t.start for t in own)
        yield Comparison("talk_time", speaker, seconds, result.measures.get(f"{speaker}_talk_s"))
        units = sum(t.units or 0 for t in own)
        if units and not any(t.cut for t in own):
            measured = result.measures.get(f"{speaker}_units")
            yield Comparison("units", speaker, units, measured)
        longest = max((t.end - t.start for t in own if not t.backchannel), default=None)
        if longest:
            measured = result.measures.get(f"{speaker}_longest_turn_s")
            yield Comparison("longest_turn", speaker, longest, measured)


def _whole_call(result: CallResult, truth: Truth) -> Iterator[Comparison]:
    if not truth.turns:
        return
    first = min(t.start for t in truth.turns)
    yield Comparison("first_speech", AGENT, first, result.measures.get("first_speech_s"))
    agent, customer = (
        sorted(s for t in truth.turns if t.speaker == speaker for s in (t.spans or [t.span]))
        for speaker in SPEAKERS
    )
    shared = total_s(intersection(agent, customer))
    yield Comparison("overlap", AGENT, shared, result.measures.get("overlap_s"))


def _latency(result: CallResult, truth: Truth) -> Iterator[Comparison]:
    floor = [t for t in truth.turns if not t.backchannel and not _within(t, truth.turns)]
    for speaker in SPEAKERS:
        gaps = [
            after.start - before.end
            for before, after in pairwise(floor)
            if before.speaker != speaker and after.speaker == speaker
        ]
        gaps = [g for g in gaps if MIN_LATENCY_S <= g <= MAX_LATENCY_S]
        if gaps:
            measured = result.measures.get(f"{speaker}_response_latency_p50")
            yield Comparison("response_latency", speaker, median(gaps), measured)


def _within(turn: TrueTurn, turns: Sequence[TrueTurn]) -> bool:
    """Whether a turn lies wholly within one of the other party: an attempt takes no floor."""
    return any(
        t.speaker != turn.speaker and t.start <= turn.start and turn.end <= t.end for t in turns
    )


def _voice(result: CallResult, truth: Truth) -> Iterator[Comparison]:
    for column, name in OF_A_VOICE.items():
        for speaker, value in truth.voices[column].items():
            yield Comparison(name, speaker, value, result.measures.get(f"{speaker}_{column}"))
    levels = truth.voices["level_dbfs"]
    if set(levels) == set(SPEAKERS):
        gap = levels[AGENT] - levels[CUSTOMER]
        yield Comparison("level_gap", AGENT, gap, result.measures.get("level_gap_db"))


def _rated(turns: Sequence[TrueTurn]) -> list[tuple[int, TrueTurn]]:
    return [
        (t.units, t)
        for t in turns
        if t.units is not None and t.units >= RATES.min_turn_units and not t.backchannel
    ]


def _rate(turns: Sequence[TrueTurn]) -> float | None:
    rated = _rated(turns)
    seconds = sum(t.end - t.start for _, t in rated)
    return 60 * sum(units for units, _ in rated) / seconds if seconds else None


def _articulation_rate(turns: Sequence[TrueTurn]) -> float | None:
    rated = _rated(turns)
    if not rated or not all(t.spans for _, t in rated):
        return None
    seconds = sum(t.end - t.start - _paused_s(t) for _, t in rated)
    return 60 * sum(units for units, _ in rated) / seconds if seconds else None


def _paused_s(turn: TrueTurn) -> Seconds:
    pauses = [b[0] - a[1] for a, b in pairwise(turn.spans)]
    return sum(p for p in pauses if p >= RATES.articulation_pause_s)
