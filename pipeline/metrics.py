"""The catalogue of measures, and the measures of one call from its turns, events and voices.

Rates are sums over sums, never means of means. A measure that cannot be had is ``None``.

Conventions: times in seconds, rates in spoken units (Han characters as spoken) per minute.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pipeline.schema import SPEAKERS, Event, Seconds, Span, Speaker, Turn, Voice

MAX_LATENCY_S = 10.0
MIN_LATENCY_S = -1.0
MIN_RATE_TURNS_S = 1.0


@dataclass(frozen=True, slots=True)
class Measure:
    """One row of the catalogue."""

    id: str
    name: str
    name_zh: str
    unit: str
    per: Literal["speaker", "call"]
    definition: str
    source: str
    settings: tuple[str, ...] = ()
    target: str = ""


@dataclass(frozen=True, slots=True)
class RateOptions:
    """The norm and what counts for a rate."""

    rate_norm: float = 150.0
    min_turn_units: int = 8
    articulation_pause_s: Seconds = 0.25
    fast_rate: float = 300.0


def rate_turns(
    turns: Sequence[Turn],
    options: RateOptions = RateOptions(),
) -> tuple[Turn, ...]:
    """Give every turn with enough units its speaking and articulation rate."""
    rated = []
    for turn in turns:
        if turn.units < options.min_turn_units or turn.is_backchannel:
            rated.append(replace(turn, speaking_rate=None, articulation_rate=None))
            continue
        spoken = spoken_s(turn.spans, options.articulation_pause_s)
        rated.append(
            replace(
                turn,
                speaking_rate=_per_minute(turn.units, turn.duration),
                articulation_rate=_per_minute(turn.units, spoken),
            )
        )
    return tuple(rated)


def fast_speech(
    turns: Sequence[Turn],
    options: RateOptions = RateOptions(),
) -> tuple[Event, ...]:
    """Turns spoken faster than ``fast_rate``."""
    return tuple(
        Event(
            "fast_speech",
            t.start,
            t.end,
            t.speaker,
            {"speaking_rate": round(t.speaking_rate, 1)},
            0.8,
        )
        for t in turns
        if t.speaking_rate is not None and t.speaking_rate > options.fast_rate
    )


def measure_call(
    turns: Sequence[Turn],
    events: Sequence[Event],
    voices: Mapping[Speaker, Voice],
    duration: Seconds,
    options: RateOptions = RateOptions(),
) -> dict[str, float | None]:
    """All measures of a call, by column name of the calls table.

    Parameters
    ----------
    turns : sequence of Turn
        With rates and voice measures.
    events : sequence of Event
    voices : mapping of speaker to Voice
    duration : float
        Length of the recording, seconds.
    options : RateOptions
    """
    talk = {s: sum(t.duration for t in turns if t.speaker == s) for s in SPEAKERS}
    result: dict[str, float | None] = {}
    for speaker in SPEAKERS:
        own = _speaker(speaker, turns, events, voices.get(speaker, Voice()), talk, options)
        result |= {f"{speaker}_{name}": value for name, value in own.items()}
    result |= _both(result, options)
    result |= _waits(events)
    result |= _silence(turns, duration)
    return {name: _rounded(value) for name, value in result.items()}


def spoken_s(spans: Sequence[Span], pause_s: Seconds) -> Seconds:
    """Time from the first to the last span without the pauses of ``pause_s`` and more."""
    if not spans:
        return 0.0
    pauses = [b[0] - a[1] for a, b in zip(spans[:-1], spans[1:], strict=True)]
    return spans[-1][1] - spans[0][0] - sum(p for p in pauses if p >= pause_s)


def _speaker(
    speaker: Speaker,
    turns: Sequence[Turn],
    events: Sequence[Event],
    voice: Voice,
    talk: Mapping[Speaker, Seconds],
    options: RateOptions,
) -> dict[str, float | None]:
    own = [t for t in turns if t.speaker == speaker and not t.is_backchannel]
    rated = [t for t in own if t.speaking_rate is not None]
    units = sum(t.units for t in rated)
    rates = [t.speaking_rate for t in rated if t.speaking_rate is not None]
    interruptions = [e for e in events if e.kind == "interruption" and e.by == speaker]
    latencies = _latencies(speaker, turns)
    total = sum(talk.values())
    return {
        "talk_s": talk[speaker],
        "talk_ratio": talk[speaker] / total if total else None,
        "turns": len(own),
        "units": sum(t.units for t in turns if t.speaker == speaker),
        "speaking_rate": _per_minute(units, sum(t.duration for t in rated)),
        "articulation_rate": _per_minute(
            units, sum(spoken_s(t.spans, options.articulation_pause_s) for t in rated)
        ),
        "speaking_rate_p10": _percentile(rates, 10),
        "speaking_rate_p50": _percentile(rates, 50),
        "speaking_rate_p90": _percentile(rates, 90),
        "level_dbfs": voice.level_dbfs,
        "level_sd_db": voice.level_sd_db,
        "f0_median_hz": voice.f0_median_hz,
        "pitch_sd_st": voice.pitch_sd_st,
        "pitch_range_st": voice.pitch_range_st,
        "interruptions": len(interruptions),
        "interruption_s": sum(float(e.detail["overlap_s"]) for e in interruptions),
        "backchannels": sum(e.kind == "backchannel" and e.by == speaker for e in events),
        "longest_turn_s": max((t.duration for t in own), default=None),
        "response_latency_p50": _percentile(latencies, 50),
        "response_latency_p90": _percentile(latencies, 90),
    }


def _latencies(speaker: Speaker, turns: Sequence[Turn]) -> list[float]:
    """Gaps from the other's end to this speaker's start, overlaps negative."""
    floor = [t for t in turns if not t.is_backchannel]
    gaps = [
        b.start - a.end
        for a, b in zip(floor[:-1], floor[1:], strict=True)
        if a.speaker != b.speaker and b.speaker == speaker
    ]
    return [g for g in gaps if MIN_LATENCY_S <= g <= MAX_LATENCY_S]


def _both(values: Mapping[str, float | None], options: RateOptions) -> dict[str, float | None]:
    agent, customer = values["agent_speaking_rate"], values["customer_speaking_rate"]
    level, other = values["agent_level_dbfs"], values["customer_level_dbfs"]
    return {
        "speaking_rate_vs_norm": agent / options.rate_norm if agent is not None else None,
        "rate_gap": agent - customer if agent is not None and customer is not None else None,
        "level_gap_db": level - other if level is not None and other is not None else None,
    }


def _waits(events: Sequence[Event]) -> dict[str, float | None]:
    holds = [e for e in events if e.kind == "hold"]
    dead = [e for e in events if e.kind == "dead_air"]
    rings = [int(e.detail["rings"]) for e in events if e.kind == "ringing"]
    return {
        "holds": len(holds),
        "hold_s": sum(e.seconds for e in holds),
        "longest_hold_s": max((e.seconds for e in holds), default=None),
        "holds_unannounced": sum(not e.detail["announced"] for e in holds),
        "dead_air": len(dead),
        "dead_air_s": sum(e.seconds for e in dead),
        "rings": sum(rings),
    }


def _silence(turns: Sequence[Turn], duration: Seconds) -> dict[str, float | None]:
    spans = sorted(s for t in turns for s in t.spans)
    covered, overlap, end = 0.0, 0.0, -1.0
    for start, stop in spans:
        covered += max(0.0, stop - max(start, end))
        overlap += max(0.0, min(stop, end) - start)
        end = max(end, stop)
    spoken = covered + overlap
    return {
        "first_speech_s": spans[0][0] if spans else None,
        "overlap_s": overlap,
        "overlap_ratio": overlap / spoken if spoken else None,
        "silence_ratio": 1 - covered / duration if duration > 0 else None,
    }


def _per_minute(units: float, seconds: Seconds) -> float | None:
    return round(60 * units / seconds, 2) if seconds >= MIN_RATE_TURNS_S and units else None


def _percentile(values: Sequence[float], q: float) -> float | None:
    return float(np.percentile(values, q)) if values else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)


def _catalogue() -> tuple[Measure, ...]:
    rate = ("voice.min_turn_units",)
    waits = ("silences.hold_min_s", "silences.announce_within_s")
    tree = ("interruptions.preset", "interruptions.min_overlap_s", "interruptions.min_floor_s")
    rows: list[tuple[str, str, str, str, str, str, str, tuple[str, ...], str]] = [
        ("talk_s", "talk time", "说话时长", "s", "speaker",
         "Sum of the speaker's turns and backchannels, own pauses inside a turn included.",
         "turns", ("turns.join_gap_s",), "1 %"),
        ("talk_ratio", "talk ratio", "说话占比", "ratio", "speaker",
         "Talk time of the speaker / talk time of both.", "Gong; AWS Contact Lens", (), "1 / 3 points"),
        ("turns", "turns", "话轮数", "count", "speaker",
         "Turns that took the floor; backchannels are not among them.",
         "Heldner & Edlund 2010", ("turns.join_gap_s",), ""),
        ("units", "spoken units", "字数", "units", "speaker",
         "Han characters as spoken: numbers expanded, Latin letters one each, Latin words by syllable, "
         "no punctuation.", "spoken-form counting", (), "3 % / 6 %"),
        ("speaking_rate", "speaking rate", "语速", "units/min", "speaker",
         "60 x units / turn time, own pauses included, over turns with enough units.",
         "S3; Huawei AICC", rate, "3 % / 6 %"),
        ("articulation_rate", "articulation rate", "净语速", "units/min", "speaker",
         "60 x units / turn time without own pauses of 0.25 s and more.",
         "de Jong & Bosker 2013", (*rate, "voice.articulation_pause_s"), "3 % / 6 %"),
        ("speaking_rate_p10", "speaking rate, slow turns", "语速 P10", "units/min", "speaker",
         "10th percentile of the speaking rate over turns.", "S3", rate, ""),
        ("speaking_rate_p50", "speaking rate, median turn", "语速中位数", "units/min", "speaker",
         "Median of the speaking rate over turns.", "S3", rate, ""),
        ("speaking_rate_p90", "speaking rate, fast turns", "语速 P90", "units/min", "speaker",
         "90th percentile of the speaking rate over turns.", "S3", rate, ""),
        ("level_dbfs", "level", "音量", "dBFS", "speaker",
         "Speech-gated RMS of the speaker's exclusive speech; a full-scale sine is -3 dBFS.",
         "S0 S1; ITU-T P.56 for comparison", (), "0.3 / 1 dB"),
        ("level_sd_db", "level spread", "音量波动", "dB", "speaker",
         "Standard deviation of the level over turns.", "S0", (), ""),
        ("f0_median_hz", "median pitch", "基频中位数", "Hz", "speaker",
         "Median F0 of the voiced frames of exclusive speech.", "Boersma 1993", (), ""),
        ("pitch_sd_st", "pitch variation", "语调变化", "semitones", "speaker",
         "Standard deviation of F0 in semitones around the speaker's median.",
         "S0 S3; Hincks & Edlund 2009", ("voice.min_voiced_s",), "0.3 / 0.5 st"),
        ("pitch_range_st", "pitch range", "音域", "semitones", "speaker",
         "P95 - P5 of F0 in semitones (P90 - P10 under 20 s of voiced speech).",
         "S3", ("voice.min_voiced_s",), "0.5 / 1.0 st"),
        ("interruptions", "interruptions", "抢话次数", "count", "speaker",
         "Times the speaker took or tried to take the floor while the other was talking; "
         "backchannels and end-of-turn overlaps are not among them.",
         "S1 S3 S4; Schegloff 2000", tree, "F1 0.95 / 0.70"),
        ("interruption_s", "interruption time", "抢话时长", "s", "speaker",
         "Overlapped seconds of those interruptions.", "S1", tree, ""),
        ("backchannels", "backchannels", "附和次数", "count", "speaker",
         "Short listening signals (嗯, 是的) during the other's turn.",
         "S1 S3", ("turns.backchannel_max_s",), "F1 0.85"),
        ("longest_turn_s", "longest turn", "最长话轮", "s", "speaker",
         "Longest turn, own pauses up to 2 s included.", "Gong", ("turns.join_gap_s",), "2 % / 8 %"),
        ("response_latency_p50", "response latency, median", "应答延迟中位数", "s", "speaker",
         "Median gap between the other's end and the speaker's start; overlaps are negative.",
         "S2 S3; Levinson & Torreira 2015", (), "50 / 150 ms"),
        ("response_latency_p90", "response latency, slow", "应答延迟 P90", "s", "speaker",
         "90th percentile of the same gap.", "S2 S3", (), ""),
        ("speaking_rate_vs_norm", "rate against the norm", "语速/标准", "ratio", "call",
         "Agent's speaking rate / the norm (150 units/min).", "S3", ("voice.rate_norm",), "3 % / 6 %"),
        ("rate_gap", "rate gap", "语速差", "units/min", "call",
         "Agent's minus customer's speaking rate.", "S0", rate, ""),
        ("level_gap_db", "level gap", "音量差", "dB", "call",
         "Agent's minus customer's level.", "S0 S1", (), "0.5 / 1.5 dB"),
        ("holds", "holds", "等待次数", "count", "call",
         "Waits of 8 s and more in which the agent does not speak, in silence or music, until the agent "
         "returns.", "S1 S3", waits, "F1 1.0 / 0.95"),
        ("hold_s", "hold time", "等待时长", "s", "call", "Sum of all holds.", "S1 S3", waits, "0.5 s"),
        ("longest_hold_s", "longest hold", "最长等待", "s", "call", "Longest hold.", "S1 S3", waits, "0.5 s"),
        ("holds_unannounced", "unannounced holds", "未告知等待", "count", "call",
         "Holds with no wait phrase in the 6 s before.", "S0 S1", waits, ""),
        ("dead_air", "dead air", "冷场次数", "count", "call",
         "Mutual silences of 5 s and more that are no hold.", "S0", ("silences.dead_air_min_s",), "F1 0.98"),
        ("dead_air_s", "dead-air time", "冷场时长", "s", "call",
         "Sum of the dead air.", "S0", ("silences.dead_air_min_s",), ""),
        ("rings", "rings", "振铃次数", "count", "call",
         "Bursts of 450 Hz ringback tone (1 s on, 4 s off) heard at the start.",
         "S0; GB/T 3380", (), "exact"),
        ("first_speech_s", "first speech", "首句时间", "s", "call",
         "Time at which anybody first speaks.", "voice activity", (), "50 ms"),
        ("overlap_s", "overlap time", "重叠时长", "s", "call",
         "Seconds in which both speak.", "Heldner & Edlund 2010", (), "5 %"),
        ("overlap_ratio", "overlap ratio", "重叠占比", "ratio", "call",
         "Overlap time / speech of both, pauses left out.", "Heldner & Edlund 2010", (), ""),
        ("silence_ratio", "silence ratio", "静默占比", "ratio", "call",
         "Share of the recording in which nobody speaks (holds, music and ringing included).",
         "AWS Contact Lens", (), ""),
    ]  # fmt: skip
    return tuple(
        Measure(i, n, z, u, "speaker" if p == "speaker" else "call", d, s, st, t)
        for i, n, z, u, p, d, s, st, t in rows
    )


CATALOGUE = _catalogue()


def columns() -> tuple[str, ...]:
    """Column names of all measures in the calls table."""
    names = [f"{s}_{m.id}" for s in SPEAKERS for m in CATALOGUE if m.per == "speaker"]
    return (*names, *(m.id for m in CATALOGUE if m.per == "call"))
