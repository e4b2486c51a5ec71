"""The measures of one call from its turns, events and voices; what they are is in :mod:`pipeline.measures`.

Rates are sums over sums, never means of means. A measure that cannot be had is ``None``.

Conventions: times in seconds, rates in spoken units (Han characters as spoken) per minute.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from pipeline.schema import (
    AGENT,
    CUSTOMER,
    SPEAKERS,
    Dialogue,
    Event,
    Party,
    Seconds,
    Span,
    Speaker,
    Turn,
    Voice,
)
from pipeline.settings import MIN_ROLE_CONFIDENCE
from pipeline.settings import Voice as VoiceSettings
from pipeline.spans import total_s, touches, union

MAX_LATENCY_S = 10.0
MIN_LATENCY_S = -1.0
MIN_RATE_TURNS_S = 1.0
PER_TEN_MINUTES_S = 600.0
MIN_FAST_S = 3.0
MIN_OWN_TURNS = 4  # rated turns from which a speaker's own rate is known
FAST_AT_LEAST = 270.0  # units/min: reading aloud in no hurry reaches this
MIN_EXPOSURE_S = 30.0
UNHEARD_OF_TURN = 0.1  # share of a turn's speech; more, and its rate is not known
UNHEARD_OF_SPEAKER = 0.3  # of a speaker's; more, and the rate is not known
# What one party's speech alone tells, and what does not ask who spoke.
OF_ONE_PARTY = (
    "talk_s", "turns", "units", "unheard_s", "speaking_rate", "articulation_rate", "rated_s", "articulated_s",
    "speaking_rate_p10",
    "speaking_rate_p50", "speaking_rate_p90", "level_dbfs", "active_level_dbfs", "loudness_lufs",
    "level_sd_db", "f0_median_hz", "pitch_sd_st", "pitch_range_st", "longest_turn_s",
)  # fmt: skip
OF_BOTH = (
    "hold", "dead_air", "silence", "response_delay", "interruption", "backchannel", "overlap",
)  # fmt: skip
OF_NO_PARTY = (
    "rings", "first_speech_s", "overlap_s", "overlap_ratio", "silence_ratio", "dead_air",
    "dead_air_s",
)  # fmt: skip


def rate_turns(
    turns: Sequence[Turn],
    options: VoiceSettings = VoiceSettings(),
    not_understood: Collection[Speaker] = (),
) -> tuple[Turn, ...]:
    """Give every turn with enough units, and hardly any of it unheard, its rates.

    Those ``not_understood`` speak another language than the one that was recognised.
    """
    rated = []
    for turn in turns:
        missing = turn.unheard_s > UNHEARD_OF_TURN * total_s(turn.spans)
        missing = missing or turn.speaker in not_understood
        if turn.units < options.min_turn_units or turn.is_backchannel or missing:
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
    options: VoiceSettings = VoiceSettings(),
) -> tuple[Event, ...]:
    """Turns spoken faster than anybody speaks at ease, or much faster than this speaker otherwise.

    The speaker's own rate is the median of the rated turns of the call. Turns under 3 s are left
    out: so few units make any rate.
    """
    events = []
    for speaker in SPEAKERS:
        rated = [
            (t, t.speaking_rate)
            for t in turns
            if t.speaker == speaker and t.speaking_rate is not None and t.duration >= MIN_FAST_S
        ]
        limit, known = options.fast_rate, {}
        if len(rated) >= MIN_OWN_TURNS:
            own = float(np.median([rate for _, rate in rated]))
            limit = min(limit, max(options.fast_ratio * own, FAST_AT_LEAST))
            known = {"own_median": round(own, 1)}
        for turn, rate in rated:
            if rate > limit:
                detail = {"speaking_rate": round(rate, 1), "limit": round(limit, 1)} | known
                events.append(Event("fast_speech", turn.start, turn.end, speaker, detail, 0.8))
    return tuple(sorted(events, key=lambda e: (e.start, e.end)))


def measured(
    call: Dialogue, voices: Mapping[Speaker, Voice], options: VoiceSettings = VoiceSettings()
) -> tuple[Dialogue, list[str]]:
    """The call with its measures, which are of its first leg, and what cannot be measured of it.

    Parameters
    ----------
    call : Dialogue
        Of turns with rates and voice measures.
    voices : mapping of speaker to Voice
    options : Voice settings

    Returns
    -------
    call, warnings
        Without the events that rest on a party who was not recorded; see :func:`without_unknown`.
    """
    own = call.first_leg()
    values = measure_call(own.turns, own.events, voices, own.duration, options)
    events, known, warnings = without_unknown(
        call.events, values, call.parties, call.role_confidence
    )
    return replace(call, events=events, measures=known), warnings


def measure_call(
    turns: Sequence[Turn],
    events: Sequence[Event],
    voices: Mapping[Speaker, Voice],
    duration: Seconds,
    options: VoiceSettings = VoiceSettings(),
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
    options : Voice settings
    """
    talk = {s: sum(t.duration for t in turns if t.speaker == s) for s in SPEAKERS}
    result: dict[str, float | None] = {}
    for speaker in SPEAKERS:
        own = _speaker(speaker, turns, events, voices.get(speaker, Voice()), talk, options)
        result |= {f"{speaker}_{name}": value for name, value in own.items()}
    result |= _both(result, options)
    result |= _waits(events)
    stood_still = [(e.start, e.end) for e in events if e.kind == "recorder_pause"]
    result |= _silence(turns, duration - total_s(stood_still))
    return {name: _rounded(value) for name, value in result.items()}


def without_unknown(
    events: Sequence[Event],
    values: Mapping[str, float | None],
    parties: Sequence[Party],
    role_confidence: float,
) -> tuple[tuple[Event, ...], dict[str, float | None], list[str]]:
    """Take out what rests on a party who was not recorded, or on roles that are in doubt.

    Returns
    -------
    events, measures, warnings
        What is left, a measure that cannot be had as None, and a sentence for each reason.
    """
    warnings, kept, known = [], tuple(events), dict(values)
    missing = next((p.role for p in parties if not p.live), None)
    if missing:
        warnings.append(
            f"The {missing} is on no channel that carries a signal: what rests on the {missing} "
            "is not scored."
        )
        kept = tuple(e for e in events if e.kind not in OF_BOTH or e.source == "switch")
        heard = CUSTOMER if missing == AGENT else AGENT
        of_heard = {f"{heard}_{name}" for name in OF_ONE_PARTY} | {"rings", "first_speech_s"}
        if heard == AGENT:
            of_heard.add("speaking_rate_vs_norm")
        known = {name: value if name in of_heard else None for name, value in known.items()}
    if parties and role_confidence < MIN_ROLE_CONFIDENCE:
        warnings.append("Who is the agent is in doubt: nothing is scored by role.")
        known = {name: value if name in OF_NO_PARTY else None for name, value in known.items()}
    return kept, known, warnings


def unheard(turns: Sequence[Turn]) -> tuple[str, ...]:
    """Say of whom so much was not understood that there is no rate."""
    sentences = []
    for speaker in SPEAKERS:
        own = [t for t in turns if t.speaker == speaker and not t.is_backchannel]
        lost, spoken = sum(t.unheard_s for t in own), sum(total_s(t.spans) for t in own)
        if lost > UNHEARD_OF_SPEAKER * spoken:
            sentences.append(
                f"{lost:.0f} of {spoken:.0f} s of the {speaker}'s speech were not understood: "
                "no rate is given."
            )
    return tuple(sentences)


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
    options: VoiceSettings,
) -> dict[str, float | None]:
    own = [t for t in turns if t.speaker == speaker and not t.is_backchannel]
    unheard_s = sum(t.unheard_s for t in own)
    is_known = unheard_s <= UNHEARD_OF_SPEAKER * sum(total_s(t.spans) for t in own)
    rated = [t for t in own if t.speaking_rate is not None and is_known]
    units = sum(t.units for t in rated)
    rated_s = sum(t.duration for t in rated)
    articulated_s = sum(spoken_s(t.spans, options.articulation_pause_s) for t in rated)
    rates = [t.speaking_rate for t in rated if t.speaking_rate is not None]
    interruptions = [e for e in events if e.kind == "interruption" and e.by == speaker]
    latencies = _latencies(speaker, turns, events)
    total = sum(talk.values())
    return {
        "talk_s": talk[speaker],
        "talk_ratio": talk[speaker] / total if total else None,
        "turns": len(own),
        "unheard_s": unheard_s,
        "units": sum(t.units for t in turns if t.speaker == speaker),
        "speaking_rate": _per_minute(units, rated_s),
        "articulation_rate": _per_minute(units, articulated_s),
        "rated_s": rated_s,
        "articulated_s": articulated_s,
        "speaking_rate_p10": _percentile(rates, 10),
        "speaking_rate_p50": _percentile(rates, 50),
        "speaking_rate_p90": _percentile(rates, 90),
        "level_dbfs": voice.level_dbfs,
        "active_level_dbfs": voice.active_level_dbfs,
        "loudness_lufs": voice.loudness_lufs,
        "level_sd_db": voice.level_sd_db,
        "f0_median_hz": voice.f0_median_hz,
        "pitch_sd_st": voice.pitch_sd_st,
        "pitch_range_st": voice.pitch_range_st,
        "interruptions": len(interruptions),
        "interruptions_successful": sum(
            e.detail.get("kind") == "successful" for e in interruptions
        ),
        "interruption_rate": _interruption_rate(len(interruptions), total - talk[speaker]),
        "interruption_s": sum(float(e.detail["overlap_s"]) for e in interruptions),
        "backchannels": sum(e.kind == "backchannel" and e.by == speaker for e in events),
        "longest_turn_s": max((t.duration for t in own), default=None),
        "response_latency_p50": _percentile(latencies, 50),
        "response_latency_p90": _percentile(latencies, 90),
    }


def _interruption_rate(count: int, exposure: Seconds) -> float | None:
    """Per ten minutes in which the other talked: only then can one interrupt."""
    return PER_TEN_MINUTES_S * count / exposure if exposure >= MIN_EXPOSURE_S else None


def _latencies(speaker: Speaker, turns: Sequence[Turn], events: Sequence[Event]) -> list[float]:
    """Gaps from the other's end to this speaker's start, overlaps negative.

    What is said wholly within the other's turn (an attempt to break in) is no answer to it, and what
    comes after a pause of the recorder or a machine says nothing of how soon it came.
    """
    between = [(e.start, e.end) for e in events if e.kind in ("recorder_pause", "machine_speech")]
    floor: list[Turn] = []
    ends: dict[Speaker, Seconds] = {}
    for t in sorted(turns, key=lambda t: (t.start, -t.end)):
        within = any(t.end <= end for s, end in ends.items() if s != t.speaker)
        if not t.is_backchannel and not within:
            floor.append(t)
            ends[t.speaker] = max(t.end, ends.get(t.speaker, 0.0))
    gaps = [
        b.start - a.end
        for a, b in zip(floor[:-1], floor[1:], strict=True)
        if a.speaker != b.speaker
        and b.speaker == speaker
        and not touches((a.end, b.start), between)
    ]
    return [g for g in gaps if MIN_LATENCY_S <= g <= MAX_LATENCY_S]


def _both(values: Mapping[str, float | None], options: VoiceSettings) -> dict[str, float | None]:
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
    speech = [s for t in turns for s in t.spans]
    spans = union(speech)
    covered, spoken = total_s(spans), total_s(speech)
    overlap = spoken - covered
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
