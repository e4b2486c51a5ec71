"""One recording from file to result: the pipeline itself. Writes nothing."""

from __future__ import annotations

import time
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from pipeline import __version__
from pipeline.audio import Resampled, decode, decode_legs
from pipeline.dialogue.overlaps import find_overlaps
from pipeline.dialogue.silences import find_silences, ringing_event
from pipeline.dialogue.switch import part_turns, take_events
from pipeline.dialogue.turns import build_turns
from pipeline.errors import RecordingError, StageError, UsageError
from pipeline.io import files
from pipeline.metrics import (
    fast_speech,
    first_leg,
    measure_call,
    rate_turns,
    unheard,
    without_unknown,
)
from pipeline.prosody import measure_voices
from pipeline.rubric import Rubric, annotate_events, judge_first_leg, score
from pipeline.schema import (
    AGENT,
    SAMPLE_RATE,
    SPEAKERS,
    CallResult,
    Dialogue,
    Event,
    Provenance,
    Recording,
    Seconds,
    Span,
    Speaker,
    Verdict,
    Waveform,
)
from pipeline.settings import MIN_ROLE_CONFIDENCE, Settings
from pipeline.signal.channels import usable
from pipeline.signal.curves import curves
from pipeline.signal.pauses import recorder_pauses
from pipeline.signal.tones import find_tones
from pipeline.signal.vocal import Vocals
from pipeline.speech.asr.recognise import recognise, rejected
from pipeline.speech.asr.seams import settled
from pipeline.speech.asr.whisper import instruction_set
from pipeline.speech.language import (
    not_understood,
    spoken_languages,
    with_languages,
    without_misheard,
)
from pipeline.speech.legs import handovers, legs_of, split_voices
from pipeline.speech.machines import (
    find_machines,
    heard_before,
    machine_event,
    prints_of,
    without_machines,
)
from pipeline.speech.models import Models
from pipeline.speech.roles import Usual, assign_roles, find_parties
from pipeline.speech.speaker_assignment import assign_speech, tell_voices

SECOND_AGENT = "second agent"  # a voice of its own until turns are told by legs


def run_call(
    recording: Recording,
    settings: Settings,
    models: Models,
    rubric: Rubric,
    decoded: Callable[[Seconds], None] = lambda seconds: None,
    usual: Usual | None = None,
    *,
    earlier: CallResult | None = None,
    repeated: Mapping[int, Sequence[Span]] = types.MappingProxyType({}),
) -> CallResult:
    """Analyse one recording; ``decoded`` is told its length as soon as that is known.

    ``usual`` says on which channel the agent is in other calls of its source, ``repeated`` what of
    which channel is heard in other calls as well. With what was found ``earlier`` nothing is
    recognised again.

    Raises
    ------
    RecordingError
        If the recording cannot be analysed; ``stage`` says where it failed.
    """
    clock = _Clock()
    with clock("audio"):
        wave = decoded_wave(recording)
        decoded(wave.duration)
    with clock("quality"):
        channels = usable(wave)
        tones = find_tones(wave, channels.channels)
        pauses = recorder_pauses(wave)
        audio = {
            c: Resampled(wave.samples[c], wave.sample_rate, SAMPLE_RATE) for c in channels.channels
        }
    announced: list[Seconds] = []
    spoken: Mapping[Speaker, tuple[Span, ...]]
    if earlier is not None:
        spoken, heard, announced = heard_before(earlier)
        source = earlier.speaker_source
        shared = source == "diarization"
    else:
        with clock("speech"):
            voices = assign_speech(audio, channels, tones, settings, models)
            spoken, source = voices.speech, voices.source
            shared = source == "diarization"
        with clock("recognition"):
            heard = recognise(
                [(label, voices.audio[label], spans) for label, spans in spoken.items()],
                models.decoder,
                settings.asr,
                lexicon=models.lexicon,
                known_words=models.known_words,
                hallucinations=models.lexicon.hallucinations,
            )
            if shared:
                heard, spoken = settled(heard, spoken)
                (one,) = audio.values()
                spoken, heard, announced = split_voices(
                    spoken, heard, one, lambda part, at: tell_voices(part, at, settings, models)
                )
    with clock("recognition"):
        channel_of = {v: channels.channels[0] if shared else int(v) for v in spoken}
        heard_as = {v: audio[c] for v, c in channel_of.items()}
        languages = spoken_languages(
            spoken, heard_as, heard, settings.asr.language, models.language_of
        )
        heard = without_misheard(heard, languages)
    with clock("dialogue"):
        machines, others, in_doubt = find_machines(
            spoken,
            heard,
            {v: tones.music[c] for v, c in channel_of.items()},
            heard_as,
            models.embedder,
            {v: repeated.get(c, ()) for v, c in channel_of.items()},
            shared_audio=shared,
        )
        people, heard = without_machines(spoken, heard, machines)
        roles, parties, doubts = find_parties(
            recording, channels, source, people, heard, usual, {g.label for g in machines}
        )
        parties = with_languages(parties, languages, roles.speakers)
        heard, speech = roles.apply(heard, people)
        sounds = {
            p.role: Vocals(wave.samples[p.channel], wave.sample_rate, speech[p.role])
            for p in parties
            if p.role in speech and not shared
        }
        heard_in = next((audio[p.channel] for p in parties if p.role == AGENT and p.live), None)
        if not shared:
            own_words = [u for u in heard if u.speaker == AGENT]
            announced = handovers(speech.get(AGENT, ()), own_words)
        turns, taken_over = legs_of(
            build_turns(
                speech, heard, settings.turns, shared_audio=shared, sounds=sounds, cuts=announced
            ),
            announced,
            heard_in,
            models.embedder,
            is_told=recording.agent_id_2 is not None,
            shared_audio=shared,
        )
        if announced and not any(t.leg > 1 for t in turns):
            turns = build_turns(speech, heard, settings.turns, shared_audio=shared, sounds=sounds)
        foreign = not_understood(parties, settings.asr.language)
        turns = rate_turns(turns, settings.voice, [p.role for p in parties if not p.understood])
        overlaps = find_overlaps(turns, settings.interruptions, shared_audio=shared, sounds=sounds)
        silences = find_silences(
            turns,
            tones.all_music,
            settings.silences,
            pauses=pauses,
            machines=[g.span for g in machines],
        )
        turns, aside = part_turns(turns, recording.switch, recording.agent_id)
    with clock("voice"):
        own = {p.role: p.channel for p in parties if p.live}
        if any(t.leg > 1 for t in turns) and AGENT in own:
            own[SECOND_AGENT] = own[AGENT]
        sound = measure_voices(
            [
                replace(t, speaker=SECOND_AGENT) if t.leg > 1 and t.speaker == AGENT else t
                for t in turns
            ],
            {role: wave.samples[channel] for role, channel in own.items()},
            wave.sample_rate,
            settings.voice,
            {r: q for r, c in own.items() for q in channels.quality if q.channel == c},
        )
        turns = tuple(
            replace(t, speaker=AGENT) if t.speaker == SECOND_AGENT else t for t in sound.turns
        )
        louder = [replace(e, by=AGENT) if e.by == SECOND_AGENT else e for e in sound.events]
        drawn = curves(
            {p.role: wave.samples[p.channel] for p in parties},
            wave.sample_rate,
            sound.tracks,
            {p.role: [s for t in turns if t.speaker == p.role for s in t.spans] for p in parties},
        )
        raised = (*louder, *fast_speech(turns, settings.voice))
        stood_still = [Event("recorder_pause", *span) for span in pauses]
        said = [machine_event(g, roles.speakers[g.label], heard) for g in machines]
        found = [*ringing_event(tones.rings), *stood_still, *said, *overlaps, *silences, *raised]
    with clock("compliance"):
        events, superseded, told = take_events(
            found, turns, aside, recording.switch, wave.duration, settings.silences
        )
        first = first_leg(turns, events, wave.duration)
        measures = measure_call(*first[:2], sound.voices, first[2], settings.voice)
        known, measures, unknown = without_unknown(events, measures, parties, roles.confidence)
        call = Dialogue(
            recording, round(wave.duration, 3), turns, known, measures, channels.quality, parties,
            roles.confidence,
        )  # fmt: skip
        events, verdicts, scores = judge_call(call, rubric)
    return CallResult(
        recording=recording,
        sha256=wave.sha256,
        duration=call.duration,
        channels=wave.channels,
        sample_rate=wave.source_sample_rate,
        codec=wave.codec,
        language=settings.asr.language,
        speaker_source=source,
        role_confidence=roles.confidence,
        warnings=(
            *wave.warnings, *channels.warnings, *doubts, *in_doubt, *taken_over, *told,
            *sound.withheld, *unknown, *rejected(heard), *foreign,
            *unheard(turns),
        ),
        quality=channels.quality,
        utterances=heard,
        turns=turns,
        events=events,
        measures=measures | scores,
        verdicts=verdicts,
        provenance=provenance(settings, models.weights, rubric),
        stage_seconds=clock.seconds,
        voices={s: v for s, v in sound.voices.items() if s in SPEAKERS},
        parties=parties,
        aside=aside,
        superseded=superseded,
        curves=drawn,
        prints=None if earlier else prints_of([*machines, *others], channel_of.__getitem__, wave),
    )  # fmt: skip


def decoded_wave(recording: Recording) -> Waveform:
    """The audio of a recording, of both legs where they are in two files."""
    with files.local(recording.path) as path:
        if recording.path_2 is None:
            return decode(path)
        with files.local(recording.path_2) as other:
            return decode_legs(path, other)


def judge_call(
    call: Dialogue, rubric: Rubric
) -> tuple[tuple[Event, ...], tuple[Verdict, ...], dict[str, float | None]]:
    """Judge one call: its events with what the rubric found of them, its verdicts, its scores.

    The one door to a judgement: of a new call, of a stored one, and of one that a rubric is tried on.
    """
    call = replace(call, events=annotate_events(call, rubric))
    verdicts = judge_first_leg(call, rubric)
    card = score(verdicts, rubric)
    scores: dict[str, float | None] = {
        "compliance_score": card.compliance_score,
        "compliance_passed": card.passed,
        "compliance_failed": card.failed,
        "compliance_unjudged": card.unjudged,
        "compliance_low": card.low,
        "compliance_high": card.high,
        "judged_share": card.judged_share,
    }
    return call.events, verdicts, scores


def roles_hold(earlier: CallResult, recording: Recording) -> float | None:
    """How sure the roles of a stored call are with other metadata; None where they may be others.

    They are told anew by the words that were heard then, and by what the metadata says now.
    """
    channel_of = {p.role: p.channel for p in earlier.parties if p.live}
    is_sure = earlier.role_confidence >= MIN_ROLE_CONFIDENCE and len(channel_of) == len(SPEAKERS)
    if not is_sure or any(
        "agent_channel" in w or "who is the agent" in w for w in earlier.warnings
    ):
        return None
    agent = None
    if recording.agent_channel is not None and earlier.speaker_source == "channel":
        agent = next((r for r, c in channel_of.items() if c == recording.agent_channel), None)
        if agent is None:
            return None
    roles = assign_roles(
        earlier.utterances, list(channel_of), agent_voice=agent, direction=recording.direction
    )
    holds = all(role == was for was, role in roles.speakers.items()) and not roles.warning
    return roles.confidence if holds and roles.confidence >= MIN_ROLE_CONFIDENCE else None


def judge_again(
    earlier: CallResult, recording: Recording, settings: Settings, rubric: Rubric
) -> CallResult:
    """Judge a stored call by another rubric, or with other metadata or events of the switch.

    Nothing is recognised again. Turns and events are parted anew by what the switch knows; the voice
    of a party of whom turns are set aside that were measured with the others is not known.
    """
    if recording.switch or earlier.recording.switch:
        earlier = _by_switch(earlier, recording, settings)
    measures = {k: v for k, v in earlier.measures.items() if not k.startswith("compliance_")}
    call = replace(earlier.dialogue(), recording=recording, measures=measures)
    events, verdicts, scores = judge_call(call, rubric)
    return replace(
        earlier,
        recording=recording,
        events=events,
        verdicts=verdicts,
        measures=measures | scores,
        provenance=replace(earlier.provenance, rubric=rubric.sha256),
    )


def _by_switch(earlier: CallResult, recording: Recording, settings: Settings) -> CallResult:
    """The turns, events and measures of a stored call with what the switch knows of it now."""
    turns = sorted((*earlier.turns, *earlier.aside), key=lambda t: t.turn)
    counted, aside = part_turns(turns, recording.switch, recording.agent_id)
    events, superseded, told = take_events(
        sorted((*earlier.events, *earlier.superseded), key=lambda e: (e.start, e.end, e.kind)),
        counted, aside, recording.switch, earlier.duration, settings.silences,
    )  # fmt: skip
    later = (t for t in counted if t.speaker == AGENT and t.leg > 1 == t.heard_leg)
    mixed = {t.speaker for t in (*aside, *later) if t.level_dbfs is not None}
    voices = {who: voice for who, voice in earlier.voices.items() if who not in mixed}
    first = first_leg(counted, events, earlier.duration)
    measures = measure_call(*first[:2], voices, first[2], settings.voice)
    events, measures, _ = without_unknown(
        events, measures, earlier.parties, earlier.role_confidence
    )
    if mixed:
        told.append(
            f"The switch: level and pitch of the {' and the '.join(sorted(mixed))} were measured with "
            "turns that do not count, and are left out; analyse with --force for the others."
        )
    kept = [w for w in earlier.warnings if not w.startswith("The switch:")]
    return replace(
        earlier,
        turns=counted,
        aside=aside,
        events=events,
        superseded=superseded,
        measures=measures,
        warnings=(*kept, *told),
    )


def provenance(settings: Settings, weights: Mapping[str, str], rubric: Rubric) -> Provenance:
    """What a result of these settings, weights and rubric is made of."""
    return Provenance(
        preset=settings.preset,
        program_version=__version__,
        settings_hash=settings.digest(),
        weights=dict(weights),
        rubric=rubric.sha256,
        instructions=instruction_set(),
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
