"""One recording from file to result: the pipeline itself. Writes nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pipeline import __version__
from pipeline.audio import Resampled, decode
from pipeline.dialogue.overlaps import PRESETS, find_overlaps, with_min_overlap
from pipeline.dialogue.silences import SilenceOptions, find_silences, ringing_event
from pipeline.dialogue.turns import TurnOptions, build_turns
from pipeline.errors import RecordingError, StageError, UsageError
from pipeline.io import files
from pipeline.metrics import (
    RateOptions,
    fast_speech,
    measure_call,
    rate_turns,
    without_party,
    without_roles,
)
from pipeline.prosody import VoiceOptions, measure_voices
from pipeline.rubric import Rubric, annotate_events, judge, score
from pipeline.schema import (
    AGENT,
    CUSTOMER,
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
from pipeline.signal import channels as quality
from pipeline.signal.tones import find_music, find_ringing, mask_of
from pipeline.speech.asr.recognise import recognise
from pipeline.speech.models import Models, recognition_options
from pipeline.speech.roles import Roles, assign_roles
from pipeline.speech.speaker_assignment import Voices, by_channel, by_diarization
from pipeline.speech.vad import VadOptions, frame_levels_db

SPEECH_RATE = 16_000
RING_SEARCH_S = 60.0
MIN_ROLE_CONFIDENCE = 0.6  # under this nobody knows who is who, and nothing is scored by role
OF_BOTH = (
    "hold",
    "dead_air",
    "silence",
    "response_delay",
    "interruption",
    "backchannel",
    "overlap",
)


def run_call(
    recording: Recording,
    settings: Settings,
    models: Models,
    rubric: Rubric,
    decoded: Callable[[Seconds], None] = lambda seconds: None,
) -> CallResult:
    """Analyse one recording; ``decoded`` is told its length as soon as that is known.

    Raises
    ------
    RecordingError
        If the recording cannot be analysed; ``stage`` says where it failed.
    """
    clock = _Clock()
    with clock("audio"):
        with files.local(recording.path) as path:
            wave = decode(path)
        decoded(wave.duration)
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
        roles = _roles(recording, found, voices, heard, notes)
        heard, speech = _by_role(voices, heard, roles)
        turns = rate_turns(build_turns(speech, heard, _turns(settings, voices)), _rates(settings))
        events = _events(turns, tones, voices, settings)
    with clock("voice"):
        turns, sound, raised = _voices(
            wave, channels, voices, roles, turns, found.channels[0], settings, notes
        )
        events = _ordered([*events, *raised, *fast_speech(turns, _rates(settings))])
    with clock("compliance"):
        measures = measure_call(turns, events, sound, wave.duration, _rates(settings))
        events, measures = _known(events, measures, turns, channels, roles, notes)
        call = _dialogue(recording, wave.duration, turns, events, measures, channels)
        events, verdicts, scores = judge_call(call, rubric, roles.confidence)
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
    call: Dialogue, rubric: Rubric, role_confidence: float = 1.0
) -> tuple[tuple[Event, ...], tuple[Verdict, ...], dict[str, float | None]]:
    """Judge one call: its events with what the rubric found of them, its verdicts, its scores."""
    call = replace(call, events=annotate_events(call, rubric))
    verdicts = judge(call, rubric)
    if role_confidence < MIN_ROLE_CONFIDENCE:
        verdicts = tuple(_undecided(v, "who is the agent is in doubt") for v in verdicts)
    card = score(verdicts, rubric)
    scores: dict[str, float | None] = {
        "compliance_score": card.compliance_score,
        "compliance_passed": card.passed,
        "compliance_failed": card.failed,
        "compliance_unjudged": card.unjudged,
    }
    return call.events, verdicts, scores


def judge_again(earlier: CallResult, recording: Recording, rubric: Rubric) -> CallResult:
    """Judge a stored call by another rubric or with other metadata; nothing is recognised again."""
    measures = {k: v for k, v in earlier.measures.items() if not k.startswith("compliance_")}
    call = _dialogue(
        recording, earlier.duration, earlier.turns, earlier.events, measures, earlier.quality
    )
    events, verdicts, scores = judge_call(call, rubric, earlier.role_confidence)
    return replace(
        earlier,
        recording=recording,
        events=events,
        verdicts=verdicts,
        measures=measures | scores,
        provenance=replace(earlier.provenance, rubric=rubric.sha256),
    )


def provenance(settings: Settings, weights: Mapping[str, str], rubric: Rubric) -> Provenance:
    """What a result of these settings, weights and rubric is made of."""
    return Provenance(
        preset=settings.preset,
        program_version=__version__,
        settings_hash=settings.digest(),
        weights=dict(weights),
        rubric=rubric.sha256,
    )


def _undecided(verdict: Verdict, why: str) -> Verdict:
    if verdict.verdict not in ("pass", "fail"):
        return verdict
    return replace(verdict, verdict="cannot_tell", score=None, max_score=None, note=why)


def _known(
    events: tuple[Event, ...],
    measures: Mapping[str, float | None],
    turns: Sequence[Turn],
    channels: Sequence[ChannelQuality],
    roles: Roles,
    notes: _Notes,
) -> tuple[tuple[Event, ...], dict[str, float | None]]:
    """Take out what rests on a party who was not recorded, or on roles that are in doubt."""
    missing = _unrecorded(channels, turns)
    if missing:
        notes.warnings.append(
            f"The {missing} is on no channel that carries a signal: what rests on the {missing} "
            "is not scored."
        )
        events = tuple(e for e in events if e.kind not in OF_BOTH)
        measures = without_party(measures, missing)
    if turns and roles.confidence < MIN_ROLE_CONFIDENCE:
        notes.warnings.append("Who is the agent is in doubt: nothing is scored by role.")
        measures = without_roles(measures)
    return events, dict(measures)


def _unrecorded(channels: Sequence[ChannelQuality], turns: Sequence[Turn]) -> Speaker | None:
    """The party whose channel is dead, so that what they said, if anything, is not known."""
    heard = {t.speaker for t in turns}
    if len(heard) != 1 or not any("dead" in c.problems for c in channels):
        return None
    return CUSTOMER if AGENT in heard else AGENT


def _dialogue(
    recording: Recording,
    duration: Seconds,
    turns: tuple[Turn, ...],
    events: tuple[Event, ...],
    measures: Mapping[str, float | None],
    channels: tuple[ChannelQuality, ...],
) -> Dialogue:
    """What the rubric sees; where a channel is dead, it is told which party that is."""
    missing = _unrecorded(channels, turns)
    if missing:
        dead = next(c.channel for c in channels if "dead" in c.problems)
        live = next((c.channel for c in channels if c.channel != dead), dead)
        recording = replace(recording, agent_channel=dead if missing == AGENT else live)
    return Dialogue(recording, duration, turns, events, measures, channels)


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
    """Channels that stand for one speaker each; one when the recording is mono in effect.

    ``dead`` carry no signal while just one other does.
    """

    channels: tuple[int, ...]
    dead: tuple[int, ...]
    leaks: NDArray[np.float64]
    warnings: tuple[str, ...]


def _usable(wave: Waveform) -> _Usable:
    findings = quality.channel_findings(wave)
    copies = {f.channel for f in findings if f.problem == "identical"}
    mixed = {f.other for f in findings if f.problem == "mixed"}
    dead = {f.channel for f in findings if f.problem == "dead"}
    kept = [c for c in range(wave.channels) if c not in copies | dead | mixed]
    kept = kept or [c for c in range(wave.channels) if c not in copies]
    warnings = [f.message for f in findings]
    if dead and len(kept) == 1 and wave.channels > 1:
        warnings.append(f"Channel {kept[0]} is treated as mono.")
    if len(kept) > 2:
        power = [float(np.dot(samples, samples)) for samples in wave.samples]
        loudest = sorted(sorted(kept, key=lambda c: -power[c])[:2])
        warnings.append(
            f"{wave.channels} channels; the two loudest ({loudest[0]} and {loudest[1]}) are used."
        )
        kept = loudest
    silent = tuple(sorted(dead - set(kept))) if len(kept) == 1 else ()
    return _Usable(tuple(kept), silent, quality.crosstalk_db(wave), tuple(warnings))


def _of_kept(channels: Sequence[ChannelQuality], found: _Usable) -> tuple[ChannelQuality, ...]:
    """The channels in use and the dead ones, without what has been dealt with by using one."""
    return tuple(
        replace(c, problems=tuple(p for p in c.problems if p != "identical"))
        for c in channels
        if c.channel in (*found.channels, *found.dead)
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
    audio = {c: Resampled(wave.samples[c], wave.sample_rate, SPEECH_RATE) for c in found.channels}
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
        )
    order = list(audio)
    levels = np.stack([frame_levels_db(audio[c]) for c in order])
    leaked = quality.leaked(levels, found.leaks[np.ix_(order, order)])
    for row, c in enumerate(order):
        ignore[c][: leaked.shape[1]] |= leaked[row]
    return by_channel(audio, models.detector, options, ignore)


def _recognise(voices: Voices, settings: Settings, models: Models) -> tuple[Utterance, ...]:
    return recognise(
        [(label, voices.audio[label], spans) for label, spans in voices.speech.items()],
        models.decoder,
        recognition_options(settings.asr),
        lexicon=models.lexicon,
        hallucinations=models.lexicon.hallucinations,
    )


def _roles(
    recording: Recording,
    found: _Usable,
    voices: Voices,
    heard: Sequence[Utterance],
    notes: _Notes,
) -> Roles:
    named = recording.agent_channel
    labels = list(voices.speech)
    if named is not None and found.dead and len(labels) == 1:  # the other channel is the other's
        role = CUSTOMER if named in found.dead else AGENT
        return Roles({labels[0]: role}, 1.0, "metadata")
    if named is not None and voices.source == "channel" and str(named) not in voices.speech:
        notes.warnings.append(
            f"agent_channel {named} of the metadata is no channel in use "
            f"({', '.join(voices.speech)}); the agent is told by the words."
        )
    roles = assign_roles(
        heard,
        labels,
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
    mono: int,
    settings: Settings,
    notes: _Notes,
) -> tuple[tuple[Turn, ...], dict[Speaker, Voice], tuple[Event, ...]]:
    rules = settings.voice
    used = {c.channel: c for c in channels}
    heard_in = {
        role: int(label) if voices.source == "channel" else mono
        for label, role in roles.speakers.items()
    }
    audio: dict[Speaker, Audio] = {r: wave.samples[c] for r, c in heard_in.items()}
    found = measure_voices(
        turns,
        audio,
        wave.sample_rate,
        VoiceOptions(
            rules.min_voiced_s, rules.raised_voice_db, rules.raised_voice_s, rules.min_snr_db
        ),
        {r: used[c] for r, c in heard_in.items()},
    )
    notes.warnings += found.withheld
    return found.turns, found.voices, found.events


def _turns(settings: Settings, voices: Voices) -> TurnOptions:
    return TurnOptions(
        join_gap_s=settings.turns.join_gap_s,
        backchannel_max_s=settings.turns.backchannel_max_s,
        opening_s=settings.turns.opening_s,
        closing_s=settings.turns.closing_s,
        shared_audio=voices.source == "diarization",
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
