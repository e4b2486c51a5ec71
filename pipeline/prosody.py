"""How each turn and each speaker sounded: level and pitch, on the speaker's own exclusive speech.

Only speech that no other speaker overlaps is measured, so that crosstalk and mono mixing do not
count for the wrong person. Pitch is tracked once per speaker, in that speaker's own range.

Conventions: level dBFS, F0 Hz, spread in semitones; NaN and "too little" become ``None``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.level import gated_rms_dbfs, level_spread, level_tracks
from pipeline.pitch import F0Track, pitch_spread, track_speaker_f0
from pipeline.schema import Audio, Event, Seconds, Span, Speaker, Turn, Voice

MIN_TURN_VOICED_S = 0.5
MIN_SPAN_S = 0.06


@dataclass(frozen=True, slots=True)
class VoiceOptions:
    """What is scored and what is raised."""

    min_voiced_s: Seconds = 2.0
    raised_voice_db: float = 6.0
    raised_voice_s: Seconds = 2.0


def measure_voices(
    turns: Sequence[Turn],
    audio: Mapping[Speaker, Audio],
    sample_rate: int,
    options: VoiceOptions = VoiceOptions(),
) -> tuple[tuple[Turn, ...], dict[Speaker, Voice], tuple[Event, ...]]:
    """Measure level and pitch of every turn and speaker.

    Parameters
    ----------
    turns : sequence of Turn
    audio : mapping of speaker to ndarray, shape (n,)
        The channel each speaker is heard in.
    sample_rate : int
        Hz.
    options : VoiceOptions

    Returns
    -------
    (turns, voices, events)
        The turns with their measures, one :class:`Voice` per speaker, and ``raised_voice`` events.
    """
    measured = {t.turn: t for t in turns}
    voices: dict[Speaker, Voice] = {}
    events: list[Event] = []
    for speaker, samples in audio.items():
        own = [t for t in turns if t.speaker == speaker]
        others = sorted(s for t in turns if t.speaker != speaker for s in t.spans)
        exclusive = {t.turn: _exclusive(t.spans, others) for t in own}
        every = sorted(s for spans in exclusive.values() for s in spans)
        track = track_speaker_f0(samples, sample_rate, every) if every else None
        for turn in own:
            spans = exclusive[turn.turn]
            level = _finite(gated_rms_dbfs(samples, sample_rate, spans)) if spans else None
            median, sd = _turn_pitch(track, spans)
            measured[turn.turn] = replace(
                turn, level_dbfs=level, f0_median_hz=median, pitch_sd_st=sd
            )
        voices[speaker] = _voice(samples, sample_rate, every, track, own, measured, options)
        events += _raised(samples, sample_rate, own, exclusive, voices[speaker], options)
    return tuple(measured[t.turn] for t in turns), voices, tuple(events)


def _voice(
    samples: Audio,
    sample_rate: int,
    spans: list[Span],
    track: F0Track | None,
    own: Sequence[Turn],
    measured: Mapping[int, Turn],
    options: VoiceOptions,
) -> Voice:
    if not spans or track is None:
        return Voice()
    levels = [
        level
        for t in own
        if not t.is_backchannel and (level := measured[t.turn].level_dbfs) is not None
    ]
    spread = pitch_spread(track.f0_hz, min_voiced_s=options.min_voiced_s)
    return Voice(
        level_dbfs=_finite(gated_rms_dbfs(samples, sample_rate, spans)),
        level_sd_db=_finite(level_spread(levels).sd_db) if len(levels) >= 3 else None,
        f0_median_hz=_finite(spread.median_hz),
        pitch_sd_st=_finite(spread.sd_st),
        pitch_range_st=_finite(spread.range_st),
        voiced_s=round(float(spread.voiced_s), 2),
    )


def _turn_pitch(track: F0Track | None, spans: Sequence[Span]) -> tuple[float | None, float | None]:
    if track is None:
        return None, None
    inside = np.zeros(track.times.size, bool)
    for start, end in spans:
        inside |= (track.times >= start) & (track.times < end)
    spread = pitch_spread(track.f0_hz[inside], min_voiced_s=MIN_TURN_VOICED_S)
    return _finite(spread.median_hz), _finite(spread.sd_st)


def _raised(
    samples: Audio,
    sample_rate: int,
    own: Sequence[Turn],
    exclusive: Mapping[int, Sequence[Span]],
    voice: Voice,
    options: VoiceOptions,
) -> list[Event]:
    """Turns of some length that lie well over the speaker's own median level."""
    levels: list[NDArray[np.float64]] = []
    for turn in own:
        parts = [level_tracks(samples, sample_rate, s).level_dbfs for s in exclusive[turn.turn]]
        levels.append(np.concatenate(parts) if parts else np.zeros(0))
    everything = np.concatenate(levels) if levels else np.zeros(0)
    audible = everything[np.isfinite(everything)]
    if audible.size < 50 or voice.level_dbfs is None:
        return []
    median = float(np.median([_turn_level(one) for one in levels if one.size]))
    found = []
    for turn, one in zip(own, levels, strict=True):
        over = _turn_level(one) - median
        if turn.duration >= options.raised_voice_s and over >= options.raised_voice_db:
            detail = {"over_own_median_db": round(over, 1)}
            found.append(Event("raised_voice", turn.start, turn.end, turn.speaker, detail, 0.8))
    return found


def _turn_level(levels: NDArray[np.float64]) -> float:
    power = np.mean(10 ** (levels[np.isfinite(levels)] / 10)) if np.isfinite(levels).any() else 0.0
    return 10 * math.log10(power) if power > 0 else -120.0


def _exclusive(spans: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    """What is left of ``spans`` when the stretches of ``others`` are taken out."""
    left = list(spans)
    for start, end in others:
        cut: list[Span] = []
        for a, b in left:
            if end <= a or start >= b:
                cut.append((a, b))
                continue
            cut += [(a, start)] if start > a else []
            cut += [(end, b)] if end < b else []
        left = cut
    return [(a, b) for a, b in left if b - a >= MIN_SPAN_S]


def _finite(value: float) -> float | None:
    return round(float(value), 3) if math.isfinite(value) else None
