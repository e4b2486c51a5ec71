"""One recording from file to result: the pipeline itself. Writes nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pipeline import __version__, quality
from pipeline.audio import decode, resample
from pipeline.compliance import Rubric, annotate_events, judge, score
from pipeline.dialogue.overlaps import PRESETS, find_overlaps, with_min_overlap
from pipeline.dialogue.silences import SilenceOptions, find_silences, ringing_event
from pipeline.dialogue.tones import find_music, find_ringing, mask_of
from pipeline.dialogue.turns import TurnOptions, build_turns
from pipeline.errors import RecordingError, StageError, UsageError
from pipeline.metrics import RateOptions, fast_speech, measure_call, rate_turns
from pipeline.prosody import VoiceOptions, measure_voices
from pipeline.schema import (
    Audio,
    CallResult,
    ChannelQuality,
    Dialogue,
    Event,
    Failure,
    Provenance,
    Recording,
    Seconds,
    Span,
    Speaker,
    Turn,
    Utterance,
    Verdict,
    Voice,
    Waveform,
)
from pipeline.settings import Settings
from pipeline.speech.asr import recognise
from pipeline.speech.models import Models, recognition_options
from pipeline.speech.roles import Roles, assign_roles
from pipeline.speech.separation import Voices, by_channel, by_diarization
from pipeline.speech.vad import VadOptions, frame_levels_db

SPEECH_RATE = 16_000
RING_SEARCH_S = 60.0


def run_call(
    recording: Recording, settings: Settings, models: Models, rubric: Rubric
) -> CallResult:
    """Analyse one recording.

    Raises
    ------
    RecordingError
        If the recording cannot be analysed; ``stage`` says where it failed.
    """
    clock = _Clock()
    with clock("audio"):
        wave = decode(recording.path)
    with clock("quality"):
        found = _usable(wave)
        channels = _of_kept(quality.assess(wave), found)
        notes = _Notes(recording, [*wave.warnings, *found.warnings])
    with clock("speech"):
        tones = _find_tones(wave, found.channels)
        voices = _separate(wave, found, tones, settings, models)
    with clock("recognition"):
        heard = _recognise(voices, settings, models)
    with clock("dialogue"):
        roles = _roles(recording, voices, heard, notes)
        heard, speech = _by_role(voices, heard, roles)
        turns = rate_turns(build_turns(speech, heard, _turns(settings)), _rates(settings))
        events = _events(turns, tones, voices, settings)
    with clock("voice"):
        turns, sound, raised = _voices(wave, channels, voices, roles, turns, settings, notes)
        events = _ordered([*events, *raised, *fast_speech(turns, _rates(settings))])
    with clock("compliance"):
        measures: dict[str, float | None] = measure_call(
            turns, events, sound, wave.duration, _rates(settings)
        )
        call = Dialogue(recording, wave.duration, turns, events, measures, channels)
        events, verdicts, scores = judge_call(call, rubric)
    notes.say_rejected(heard)
    return CallResult(
        recording=recording,
        sha256=wave.sha256,
        duration=round(wave.duration, 3),
        channels=wave.channels,
        sample_rate=wave.source_sample_rate,
        codec=wave.codec,
        language=settings.asr.language,
        speaker_source=voices.source,
        role_confidence=roles.confidence,
        status="partial" if notes.problems else "ok",
        warnings=tuple(notes.warnings),
        quality=channels,
        utterances=heard,
        turns=turns,
        events=events,
        measures=measures | scores,
        verdicts=verdicts,
        provenance=provenance(settings, models.weights, rubric),
        stage_seconds=clock.seconds,
        voices=sound,
        problems=tuple(notes.problems),
    )


def judge_call(
    call: Dialogue, rubric: Rubric
) -> tuple[tuple[Event, ...], tuple[Verdict, ...], dict[str, float | None]]:
    """Judge one call: its events with what the rubric found of them, its verdicts, its scores."""
    call = replace(call, events=annotate_events(call, rubric))
    verdicts = judge(call, rubric)
    card = score(verdicts, rubric)
    scores: dict[str, float | None] = {
        "compliance_score": card.compliance_score,
        "compliance_passed": card.passed,
        "compliance_failed": card.failed,
        "compliance_unjudged": card.unjudged,
    }
    return call.events, verdicts, scores


def provenance(settings: Settings, weights: Mapping[str, str], rubric: Rubric) -> Provenance:
    """What a result of these settings, weights and rubric is made of."""
    return Provenance(
        preset=settings.preset,
        program_version=__version__,
        settings_hash=settings.digest(),
        weights=dict(weights),
        rubric=rubric.sha256,
    )


@dataclass
class _Clock:
    """Seconds per stage; whatever goes wrong in a stage carries its name."""

    seconds: dict[str, Seconds] = field(default_factory=dict)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        except UsageError:
            raise  # missing weights and the like would fail for every recording
        except RecordingError as error:
            error.stage = stage
            raise
        except Exception as cause:
            raise StageError(stage, cause) from cause
        finally:
            self.seconds[stage] = round(time.perf_counter() - start, 4)


@dataclass
class _Notes:
    """What must be said of this call."""

    recording: Recording
    warnings: list[str]
    problems: list[Failure] = field(default_factory=list)

    def say_rejected(self, heard: Sequence[Utterance]) -> None:
        reasons = [u.rejected for u in heard if u.rejected]
        if reasons:
            counts = ", ".join(f"{reasons.count(r)} {r}" for r in sorted(set(reasons)))
            self.warnings.append(f"Recognised text was rejected as not spoken: {counts}.")


@dataclass(frozen=True, slots=True)
class _Usable:
    """Channels that stand for one speaker each; one when the recording is mono in effect."""

    channels: tuple[int, ...]
    leaks: NDArray[np.float64]
    warnings: tuple[str, ...]


def _usable(wave: Waveform) -> _Usable:
    findings = quality.channel_findings(wave)
    copies = {f.channel for f in findings if f.problem == "identical"}
    kept = [c for c in range(wave.channels) if c not in copies]
    warnings = [f.message for f in findings]
    if len(kept) > 2:
        power = np.mean(np.square(wave.samples), axis=1)
        loudest = sorted(sorted(kept, key=lambda c: -power[c])[:2])
        warnings.append(
            f"{wave.channels} channels; the two loudest ({loudest[0]} and {loudest[1]}) are used."
        )
        kept = loudest
    return _Usable(tuple(kept), quality.crosstalk_db(wave), tuple(warnings))


def _of_kept(channels: Sequence[ChannelQuality], found: _Usable) -> tuple[ChannelQuality, ...]:
    """The channels in use, without what has been dealt with by using one of two copies."""
    return tuple(
        replace(c, problems=tuple(p for p in c.problems if p != "identical"))
        for c in channels
        if c.channel in found.channels
    )


@dataclass(frozen=True, slots=True)
class _Tones:
    rings: tuple[Span, ...]
    music: Mapping[int, tuple[Span, ...]]

    def all_music(self) -> tuple[Span, ...]:
        return tuple(sorted(s for spans in self.music.values() for s in spans))


def _find_tones(wave: Waveform, channels: Sequence[int]) -> _Tones:
    rings: list[Span] = []
    for c in channels:
        found = find_ringing(wave.samples[c], wave.sample_rate, until=RING_SEARCH_S)
        rings = max(rings, found, key=len)
    music = {c: tuple(find_music(wave.samples[c], wave.sample_rate)) for c in channels}
    return _Tones(tuple(rings), music)


def _separate(
    wave: Waveform, found: _Usable, tones: _Tones, settings: Settings, models: Models
) -> Voices:
    audio = {c: resample(wave.samples[c], wave.sample_rate, SPEECH_RATE) for c in found.channels}
    frames = max(a.size for a in audio.values()) // (SPEECH_RATE // 100) + 1
    ignore = {c: mask_of([*tones.rings, *tones.music[c]], frames) for c in audio}
    options = VadOptions(
        threshold=settings.vad.threshold,
        reach_s=settings.vad.reach_s,
        above_floor_db=settings.vad.above_floor_db,
        below_peak_db=settings.vad.below_peak_db,
        min_speech_s=settings.vad.min_speech_s,
        min_pause_s=settings.vad.min_pause_s,
    )
    if len(audio) == 1:
        (channel,) = audio
        return by_diarization(
            audio[channel],
            models.detector,
            models.diarizer,
            options,
            ignore[channel],
            settings.diarization.speakers,
            models.embedder,
        )
    order = list(audio)
    levels = np.stack([frame_levels_db(audio[c]) for c in order])
    leaked = quality.leaked(levels, found.leaks[np.ix_(order, order)])
    for row, c in enumerate(order):
        ignore[c][: leaked.shape[1]] |= leaked[row]
    return by_channel(audio, models.detector, options, ignore)


def _recognise(voices: Voices, settings: Settings, models: Models) -> tuple[Utterance, ...]:
    """Recognise each channel on its own; the voices of a mono channel together."""
    options = recognition_options(settings.asr)
    groups: dict[int, list[Speaker]] = {}
    for label, audio in voices.audio.items():
        groups.setdefault(id(audio), []).append(label)
    heard = [
        utterance
        for labels in groups.values()
        for utterance in recognise(
            voices.audio[labels[0]],
            [(label, voices.speech[label]) for label in labels],
            models.decoder,
            options,
            lexicon=models.lexicon,
            hallucinations=models.lexicon.hallucinations,
        )
    ]
    return tuple(sorted(heard, key=lambda u: (u.start, u.end)))


def _roles(
    recording: Recording, voices: Voices, heard: Sequence[Utterance], notes: _Notes
) -> Roles:
    named = recording.agent_channel
    if named is not None and voices.source == "channel" and str(named) not in voices.speech:
        notes.warnings.append(
            f"agent_channel {named} of the metadata is no channel in use "
            f"({', '.join(voices.speech)}); the agent is told by the words."
        )
    roles = assign_roles(
        heard,
        list(voices.speech),
        agent_voice=str(named) if named is not None and voices.source == "channel" else None,
        direction=recording.direction,
    )
    if roles.warning:
        notes.warnings.append(roles.warning)
    if not voices.speech or not any(voices.speech.values()):
        notes.warnings.append("No speech was found.")
    return roles


def _by_role(
    voices: Voices, heard: Sequence[Utterance], roles: Roles
) -> tuple[tuple[Utterance, ...], dict[Speaker, tuple[Span, ...]]]:
    speech: dict[Speaker, list[Span]] = {}
    for label, spans in voices.speech.items():
        speech.setdefault(roles.speakers[label], []).extend(spans)
    renamed = tuple(replace(u, speaker=roles.speakers[u.speaker]) for u in heard)
    return renamed, {s: tuple(sorted(spans)) for s, spans in speech.items()}


def _events(
    turns: Sequence[Turn], tones: _Tones, voices: Voices, settings: Settings
) -> tuple[Event, ...]:
    rules = settings.interruptions
    options = PRESETS[rules.preset]
    if rules.preset == "tree":
        options = replace(
            options,
            min_overlap_s=rules.min_overlap_s,
            min_floor_s=rules.min_floor_s,
            yield_within_s=rules.yield_within_s,
            resume_within_s=rules.resume_within_s,
        )
    if voices.source == "diarization":
        options = with_min_overlap(options, rules.min_overlap_mono_s)
    waits = SilenceOptions(
        hold_min_s=settings.silences.hold_min_s,
        announce_within_s=settings.silences.announce_within_s,
        silence_min_s=settings.silences.silence_min_s,
        dead_air_min_s=settings.silences.dead_air_min_s,
        response_delay_s=settings.silences.response_delay_s,
    )
    return (
        *ringing_event(tones.rings),
        *find_overlaps(turns, options),
        *find_silences(turns, tones.all_music(), waits),
    )


def _voices(
    wave: Waveform,
    channels: Sequence[ChannelQuality],
    voices: Voices,
    roles: Roles,
    turns: tuple[Turn, ...],
    settings: Settings,
    notes: _Notes,
) -> tuple[tuple[Turn, ...], dict[Speaker, Voice], tuple[Event, ...]]:
    rules = settings.voice
    audio: dict[Speaker, Audio] = {}
    heard_in = {
        role: int(label) if voices.source == "channel" else channels[0].channel
        for label, role in roles.speakers.items()
    }
    for role, channel in heard_in.items():
        audio[role] = wave.samples[channel]
    options = VoiceOptions(rules.min_voiced_s, rules.raised_voice_db, rules.raised_voice_s)
    turns, sound, raised = measure_voices(turns, audio, wave.sample_rate, options)
    for role, channel in heard_in.items():
        snr = _snr(channels, channel)
        if snr is not None and snr < rules.min_snr_db:
            notes.warnings.append(
                f"Level and pitch of the {role} are not scored: the signal-to-noise ratio is "
                f"{snr:.0f} dB, under {rules.min_snr_db:.0f} dB."
            )
            sound[role] = Voice()
            turns = tuple(
                replace(t, level_dbfs=None, f0_median_hz=None, pitch_sd_st=None)
                if t.speaker == role
                else t
                for t in turns
            )
            raised = tuple(e for e in raised if e.by != role)
    return turns, sound, raised


def _snr(channels: Sequence[ChannelQuality], channel: int) -> float | None:
    return next((c.snr_db for c in channels if c.channel == channel), None)


def _turns(settings: Settings) -> TurnOptions:
    return TurnOptions(
        join_gap_s=settings.turns.join_gap_s,
        backchannel_max_s=settings.turns.backchannel_max_s,
        opening_s=settings.turns.opening_s,
        closing_s=settings.turns.closing_s,
    )


def _rates(settings: Settings) -> RateOptions:
    return RateOptions(
        rate_norm=settings.voice.rate_norm,
        min_turn_units=settings.voice.min_turn_units,
        articulation_pause_s=settings.voice.articulation_pause_s,
        fast_rate=settings.voice.fast_rate,
    )


def _ordered(events: Sequence[Event]) -> tuple[Event, ...]:
    return tuple(sorted(events, key=lambda e: (e.start, e.end, e.kind)))
