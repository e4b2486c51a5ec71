"""One recording from file to result: the pipeline itself. Writes nothing."""

from __future__ import annotations

import time
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from pipeline.audio import Resampled, decode_recording
from pipeline.dialogue.overlaps import find_overlaps
from pipeline.dialogue.silences import find_silences, ringing_event
from pipeline.dialogue.switch import part_turns, take_events
from pipeline.dialogue.turns import build_turns
from pipeline.errors import RecordingError, StageError, UsageError
from pipeline.judgement import judge_call, provenance
from pipeline.metrics import fast_speech, measured, rate_turns, unheard
from pipeline.prosody import measure_voices
from pipeline.rubric import Rubric
from pipeline.schema import (
    SAMPLE_RATE,
    CallResult,
    Dialogue,
    Event,
    Recording,
    Seconds,
    Span,
)
from pipeline.settings import Settings
from pipeline.signal.channels import usable
from pipeline.signal.curves import curves
from pipeline.signal.pauses import recorder_pauses
from pipeline.signal.tones import find_tones
from pipeline.signal.vocal import vocals_of
from pipeline.speech.hearing import hear, heard_before, in_their_language, tell_people
from pipeline.speech.models import Models
from pipeline.speech.roles import Usual
from pipeline.speech.speaker_assignment import assign_speech


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
        wave = decode_recording(recording)
        decoded(wave.duration)
    with clock("quality"):
        channels = usable(wave)
        tones = find_tones(wave, channels.channels)
        pauses = recorder_pauses(wave)
        audio = {
            c: Resampled(wave.samples[c], wave.sample_rate, SAMPLE_RATE) for c in channels.channels
        }
    if earlier is None:
        with clock("speech"):
            voices = assign_speech(audio, channels, tones, settings, models)
        with clock("recognition"):
            heard = hear(voices, settings, models)
    else:
        heard = heard_before(earlier, audio)
    with clock("recognition"):
        heard = in_their_language(heard, settings.asr.language, models)
    with clock("dialogue"):
        is_shared = heard.voices.is_shared
        people = tell_people(
            recording, heard, channels, tones, models, settings.asr.language, usual,
            repeated,
        )  # fmt: skip
        heard_in = {p.role: wave.samples[p.channel] for p in people.parties}
        sounds = vocals_of(people.speech, heard_in, wave.sample_rate, is_shared)
        turns = build_turns(
            people.speech, people.utterances, settings.turns,
            shared_audio=is_shared, sounds=sounds, legs=people.legs,
        )  # fmt: skip
        turns = rate_turns(turns, settings.voice, people.foreign)
        overlaps = find_overlaps(
            turns, settings.interruptions, shared_audio=is_shared, sounds=sounds
        )
        silences = find_silences(
            turns, tones.all_music, settings.silences,
            pauses=pauses, machines=[g.span for g in people.machines],
        )  # fmt: skip
        turns, aside = part_turns(turns, recording.switch, recording.agent_id)
    with clock("voice"):
        live = {p.role: p.channel for p in people.parties if p.live}
        sound = measure_voices(
            turns,
            {role: heard_in[role] for role in live},
            wave.sample_rate,
            settings.voice,
            {r: q for r, c in live.items() for q in channels.quality if q.channel == c},
        )
        turns = sound.turns
        spoken = {r: [s for t in turns if t.speaker == r for s in t.spans] for r in heard_in}
        drawn = curves(heard_in, wave.sample_rate, sound.tracks, spoken)
    with clock("compliance"):
        found = [
            *ringing_event(tones.rings), *(Event("recorder_pause", *span) for span in pauses),
            *people.machine_events(), *overlaps, *silences, *sound.events,
            *fast_speech(turns, settings.voice),
        ]  # fmt: skip
        events, superseded, told = take_events(
            found, turns, aside, recording.switch, wave.duration, settings.silences
        )
        call, unknown = measured(
            Dialogue(
                recording, round(wave.duration, 3), turns, events, {}, channels.quality,
                people.parties, people.roles.confidence,
            ),
            sound.voices,
            settings.voice,
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
        speaker_source=heard.voices.source,
        role_confidence=call.role_confidence,
        warnings=(
            *wave.warnings, *channels.warnings, *people.warnings, *told, *sound.withheld, *unknown,
            *unheard(turns),
        ),
        quality=channels.quality,
        utterances=people.utterances,
        turns=turns,
        events=events,
        measures={**call.measures, **scores},
        verdicts=verdicts,
        provenance=provenance(settings, models.weights, rubric),
        stage_seconds=clock.seconds,
        voices=sound.voices,
        parties=people.parties,
        aside=aside,
        superseded=superseded,
        curves=drawn,
        prints=None if earlier else people.prints(wave, heard.voices),
    )  # fmt: skip


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
            took = time.perf_counter() - start
            self.seconds[stage] = round(self.seconds.get(stage, 0.0) + took, 4)
