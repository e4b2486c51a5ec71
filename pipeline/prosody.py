"""How each turn and each speaker sounded: level and pitch, on the speaker's own exclusive speech.

Only speech that no other speaker overlaps is measured, so that crosstalk and mono mixing do not
count for the wrong person. Pitch is tracked once per speaker, in that speaker's own range. The
power of the channel's noise is taken out of the level. What the audio is too poor for is withheld
with a reason:

- signal-to-noise ratio of the channel, or of this speaker in it, too low: level and pitch;
- clipped: level, which then reads 1 dB low and more (pitch moves by 0.3 semitones at most);
- narrow band: level, of which a part is missing (0.5 dB and more where speech ends below 2 kHz);
- two voices mixed into one channel at gains of its own: level;
- too little speech: whatever there is too little of.

Conventions: level dBFS, F0 Hz, spread in semitones; NaN and "too little" become ``None``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.schema import AGENT, Audio, ChannelQuality, Event, Seconds, Span, Speaker, Turn, Voice
from pipeline.settings import Voice as VoiceSettings
from pipeline.signal.level import (
    LUFS_BLOCK_S,
    active_speech_level,
    gated_rms_dbfs,
    level_track,
    loudness_lufs,
)
from pipeline.signal.pitch import F0Track, pitch_spread, track_speaker_f0
from pipeline.spans import shift, subtract, total_s, union

SECOND_AGENT = "second agent"  # a voice of its own, that nobody is scored by
MIN_TURN_VOICED_S = 0.5
MIN_SPAN_S = 0.06
MIN_LEVEL_S = 1.0
RAISED_MIN_BLOCKS = 50  # of 0.1 s, over the call
SILENT_DBFS = -120.0
MAX_CLIPPING_RATIO = 0.003
MIN_BANDWIDTH_HZ = 2000.0
NO_QUALITY: Mapping[Speaker, ChannelQuality] = MappingProxyType({})


class VoiceMeasures(NamedTuple):
    """The turns with their measures, the voices, ``raised_voice`` events, and what is withheld.

    ``tracks`` are the pitch tracks of the speakers who were heard alone, whatever is withheld.
    """

    turns: tuple[Turn, ...]
    voices: dict[Speaker, Voice]
    events: tuple[Event, ...]
    withheld: tuple[str, ...]
    tracks: Mapping[Speaker, F0Track]


def measure_voices(
    turns: Sequence[Turn],
    audio: Mapping[Speaker, Audio],
    sample_rate: int,
    options: VoiceSettings = VoiceSettings(),
    quality: Mapping[Speaker, ChannelQuality] = NO_QUALITY,
) -> VoiceMeasures:
    """Measure level and pitch of every turn and speaker.

    Parameters
    ----------
    turns : sequence of Turn
    audio : mapping of speaker to ndarray, shape (n,)
        The channel each speaker is heard in.
    sample_rate : int
        Hz.
    options : Voice settings
    quality : mapping of speaker to ChannelQuality, optional
        Of the channel each speaker is heard in; a speaker without is taken to be heard well.

    Returns
    -------
    VoiceMeasures
        ``withheld`` says in sentences what of a speaker who was heard is not given, and why.
    """
    speakers = {}
    tracks: dict[Speaker, F0Track] = {}
    who = {t.turn: SECOND_AGENT if t.leg > 1 and t.speaker == AGENT else t.speaker for t in turns}
    if SECOND_AGENT in who.values() and AGENT in audio:
        audio = {**audio, SECOND_AGENT: audio[AGENT]}
        quality = {**quality, SECOND_AGENT: quality[AGENT]} if AGENT in quality else quality
    for speaker, samples in audio.items():
        own = [t for t in turns if who[t.turn] == speaker]
        others = union(s for t in turns if who[t.turn] != speaker for s in t.spans)
        alone = [[s for s in subtract(t.spans, others) if s[1] - s[0] >= MIN_SPAN_S] for t in own]
        one = _Speaker(samples, sample_rate, own, alone, quality.get(speaker), options)
        speakers[speaker] = (one, *one.measure(tracks.setdefault(speaker, one.track())))
    measured = {t.turn: t for t in turns}
    voices: dict[Speaker, Voice] = {}
    events: list[Event] = []
    withheld: list[str] = []
    for speaker, (one, own, voice) in speakers.items():
        beside = [
            v for other, _, v in speakers.values() if np.shares_memory(other.samples, one.samples)
        ]
        doubts = one.doubts(voice, beside)
        voices[speaker] = doubts.withheld_from(voice)
        measured |= {t.turn: doubts.withheld_from_turn(t) for t in own}
        withheld += doubts.sentences(speaker)
        events += one.raised(voices[speaker])
    voices.pop(SECOND_AGENT, None)
    ordered = tuple(measured[t.turn] for t in turns)
    return VoiceMeasures(ordered, voices, tuple(events), tuple(withheld), tracks)


@dataclass(frozen=True, slots=True)
class _Speaker:
    """One speaker's turns in one channel; ``alone`` are the stretches of each with nobody else."""

    samples: Audio
    sample_rate: int
    turns: Sequence[Turn]
    alone: Sequence[list[Span]]
    quality: ChannelQuality | None
    options: VoiceSettings

    def track(self) -> F0Track:
        """The pitch where nobody else speaks."""
        return track_speaker_f0(self.samples, self.sample_rate, self.spans())

    def spans(self) -> list[Span]:
        """All stretches with nobody else."""
        return sorted(s for one in self.alone for s in one)

    def measure(self, track: F0Track) -> tuple[list[Turn], Voice]:
        """Each turn and the voice over the call, as they sound."""
        spans = self.spans()
        if not spans:
            return list(self.turns), Voice()
        turns = [self._turn(t, own, track) for t, own in zip(self.turns, self.alone, strict=True)]
        own = (t.level_dbfs for t in turns if not t.is_backchannel)
        levels = [level for level in own if level is not None and math.isfinite(level)]
        spread = pitch_spread(track.sure_hz, min_voiced_s=self.options.min_voiced_s)
        loudness = math.nan
        if total_s(spans) >= LUFS_BLOCK_S:
            loudness = loudness_lufs(self.samples, self.sample_rate, spans)
        active_level, _ = active_speech_level(self.samples, self.sample_rate, spans)
        return turns, Voice(
            level_dbfs=_speech_level(self.samples, self.sample_rate, spans, self._noise_dbfs()),
            level_sd_db=float(np.std(levels)) if len(levels) >= 3 else None,
            active_level_dbfs=_finite(active_level),
            loudness_lufs=_finite(loudness),
            f0_median_hz=_finite(spread.median_hz),
            pitch_sd_st=_finite(spread.sd_st),
            pitch_range_st=_finite(spread.range_st),
            voiced_s=round(float(spread.voiced_s), 2),
        )

    def doubts(self, voice: Voice, beside: Sequence[Voice]) -> _Doubts:
        """Look for reasons to withhold something, the gravest first.

        ``beside`` are all voices of this channel.
        """
        snr, least = self._snr_db(voice, beside), self.options.min_snr_db
        if snr is not None and snr < least:
            shown = math.floor(10 * snr) / 10  # 14.96 dB is not shown as 15 dB under 15 dB
            reason = f"the signal-to-noise ratio is {shown:g} dB, under {least:g} dB"
            return _Doubts(reason, reason)
        if not self.turns:
            return _Doubts()
        level = _level_doubt(sum(total_s(one) for one in self.alone), self.quality)
        if voice.pitch_sd_st is not None:
            return _Doubts(level)
        voiced, needed = voice.voiced_s, self.options.min_voiced_s
        return _Doubts(level, f"{voiced:.1f} s are voiced, {needed:g} s are needed")

    def raised(self, voice: Voice) -> list[Event]:
        """Turns of some length that lie well over the speaker's own median level."""
        levels = [self._track(spans) for spans in self.alone]
        everything = np.concatenate(levels) if levels else np.zeros(0)
        if np.isfinite(everything).sum() < RAISED_MIN_BLOCKS or voice.level_dbfs is None:
            return []
        median = float(np.median([_mean_level(one) for one in levels if one.size]))
        found = []
        for turn, one in zip(self.turns, levels, strict=True):
            over = _mean_level(one) - median
            long_enough = turn.duration >= self.options.raised_voice_s
            if long_enough and over >= self.options.raised_voice_db:
                detail = {"over_own_median_db": round(over, 1)}
                found.append(Event("raised_voice", turn.start, turn.end, turn.speaker, detail, 0.8))
        return found

    def _turn(self, turn: Turn, alone: Sequence[Span], track: F0Track) -> Turn:
        clip, spans = _cut(self.samples, self.sample_rate, alone)
        level = _speech_level(clip, self.sample_rate, spans, self._noise_dbfs())
        median, sd = _turn_pitch(track, alone)
        return replace(turn, level_dbfs=level, f0_median_hz=median, pitch_sd_st=sd)

    def _track(self, alone: Sequence[Span]) -> NDArray[np.float64]:
        clip, spans = _cut(self.samples, self.sample_rate, alone)
        parts = [level_track(clip, self.sample_rate, s) for s in spans]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _noise_dbfs(self) -> float | None:
        """Noise of the channel: its level is that of speech and noise, its ratio that of both."""
        quality = self.quality
        if quality is None or quality.snr_db is None or quality.level_dbfs is None:
            return None
        return quality.level_dbfs - 10 * math.log10(1 + 10 ** (quality.snr_db / 10))

    def _snr_db(self, voice: Voice, beside: Sequence[Voice]) -> float | None:
        """Of the channel; less for the softer voice of a channel that carries two."""
        if self.quality is None or self.quality.snr_db is None:
            return None
        levels = [v.level_dbfs for v in beside if v.level_dbfs is not None]
        below = 0.0 if voice.level_dbfs is None else max(levels) - voice.level_dbfs
        return self.quality.snr_db - below


@dataclass(frozen=True, slots=True)
class _Doubts:
    """Why the level or the pitch of a speaker is not given; empty where it is."""

    level: str = ""
    pitch: str = ""

    def withheld_from(self, voice: Voice) -> Voice:
        """The voice without what is in doubt."""
        if self.level:
            voice = replace(
                voice, level_dbfs=None, level_sd_db=None, active_level_dbfs=None, loudness_lufs=None
            )
        if self.pitch:
            voice = replace(voice, f0_median_hz=None, pitch_sd_st=None, pitch_range_st=None)
        return voice

    def withheld_from_turn(self, turn: Turn) -> Turn:
        """The turn without what is in doubt."""
        if self.level:
            turn = replace(turn, level_dbfs=None)
        if self.pitch:
            turn = replace(turn, f0_median_hz=None, pitch_sd_st=None)
        return turn

    def sentences(self, speaker: Speaker) -> list[str]:
        """What is withheld of a speaker, and why."""
        if self.level and self.level == self.pitch:
            return [f"Level and pitch of the {speaker} are not scored: {self.level}."]
        named = (("Level", self.level), ("Pitch", self.pitch))
        return [f"{what} of the {speaker} is not scored: {why}." for what, why in named if why]


def _level_doubt(seconds: Seconds, quality: ChannelQuality | None) -> str:
    if seconds < MIN_LEVEL_S:
        return f"{seconds:.1f} s are said with nobody else talking, {MIN_LEVEL_S:g} s are needed"
    if quality is None:
        return ""
    if quality.clipping_ratio >= MAX_CLIPPING_RATIO:
        return f"{quality.clipping_ratio:.1%} of the speech is clipped"
    if "mixed" in quality.problems:
        return "the channel carries both voices, each at another gain"
    if quality.bandwidth_hz is not None and quality.bandwidth_hz < MIN_BANDWIDTH_HZ:
        return f"the speech ends at {quality.bandwidth_hz:.0f} Hz, a part of it is missing"
    return ""


def _speech_level(
    samples: Audio, sample_rate: int, spans: Sequence[Span], noise_dbfs: float | None
) -> float | None:
    """Gated level, the power of the noise taken out; None when that leaves nothing."""
    level = gated_rms_dbfs(samples, sample_rate, spans) if spans else math.nan
    if not math.isfinite(level) or noise_dbfs is None:
        return _finite(level)
    left = 1 - 10 ** ((noise_dbfs - level) / 10)
    return _finite(level + 10 * math.log10(left)) if left > 0 else None


def _turn_pitch(track: F0Track, spans: Sequence[Span]) -> tuple[float | None, float | None]:
    inside = np.zeros(track.times.size, bool)
    for start, end in spans:
        inside |= (track.times >= start) & (track.times < end)
    spread = pitch_spread(track.sure_hz[inside], min_voiced_s=MIN_TURN_VOICED_S)
    return _finite(spread.median_hz), _finite(spread.sd_st)


def _mean_level(levels: NDArray[np.float64]) -> float:
    audible = levels[np.isfinite(levels)]
    power = float(np.mean(10 ** (audible / 10))) if audible.size else 0.0
    return 10 * math.log10(power) if power > 0 else SILENT_DBFS


def _cut(samples: Audio, sample_rate: int, spans: Sequence[Span]) -> tuple[Audio, list[Span]]:
    """The samples from the first span to the last, and the spans within them."""
    if not spans:
        return samples[:0], []
    first = math.floor(spans[0][0] * sample_rate)
    last = math.ceil(spans[-1][1] * sample_rate)
    return samples[first:last], shift(spans, -first / sample_rate)


def _finite(value: float) -> float | None:
    return round(float(value), 3) if math.isfinite(value) else None
