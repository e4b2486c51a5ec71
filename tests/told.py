"""The sample calls as their labels tell them: the words from the labels, the rest by the program.

Recognition takes minutes and is tested elsewhere. Here the turns are those of ``NAME.truth.json``, each
character in its even share of the time; events, voices, measures and verdicts are made by the
program itself, from the recordings of ``data/samples``.
"""

from __future__ import annotations

import dataclasses
import json
from functools import cache
from pathlib import Path

from pipeline.audio import AUDIO_SUFFIXES, decode
from pipeline.dialogue.overlaps import find_overlaps
from pipeline.dialogue.silences import find_silences, ringing_event
from pipeline.evaluation.truth import parse_truth
from pipeline.judgement import judge_call, provenance
from pipeline.metrics import fast_speech, measure_call, rate_turns
from pipeline.prosody import measure_voices
from pipeline.qa_scores import score_tables as outside
from pipeline.recordings import find_recordings
from pipeline.rubric import Rubrics, load_rubric
from pipeline.schema import AGENT, CUSTOMER, CallResult, Dialogue, Party, Recording, Turn, Word
from pipeline.settings import load_settings
from pipeline.signal.curves import curves
from pipeline.store import Store

SAMPLES = Path(__file__).parents[1] / "data" / "samples"


def save_samples(store: Store) -> None:
    """Save all sample calls with the QA team's scores, and one recording that failed."""
    settings, rubric = load_settings(), load_rubric("hotline")
    store.keep_document("rubrics", rubric.sha256, rubric.outline())
    store.keep_document("settings", settings.digest(), settings.model_dump_json())
    for recording in recordings():
        store.save(told(recording.call_id))
    sheet = outside.read_scores(SAMPLES / "outside_scores.csv")
    known = store.frame("calls", columns=["call_id", "path"])
    store.save_outside(outside.join(sheet.rows, known, Rubrics(settings).item_names()).rows)


@cache
def recordings() -> tuple[Recording, ...]:
    """The sample recordings with their metadata."""
    found = find_recordings(
        [str(SAMPLES)], suffixes=AUDIO_SUFFIXES, metadata=SAMPLES / "metadata.csv"
    )
    return tuple(found.recordings)


@cache
def told(call_id: str) -> CallResult:
    """One sample call."""
    recording = next(r for r in recordings() if r.call_id == call_id)
    truth = parse_truth(json.loads((SAMPLES / f"{call_id}.truth.json").read_text("utf-8")))
    raw = json.loads((SAMPLES / f"{call_id}.truth.json").read_text("utf-8"))
    wave, settings, rubric = decode(recording.path), load_settings(), load_rubric("hotline")
    is_mono = wave.channels == 1
    agent_channel = recording.agent_channel or 0
    turns = rate_turns(
        tuple(
            Turn(
                turn=i,
                speaker=t.speaker,
                start=t.start,
                end=t.end,
                spans=((t.start, t.end),),
                text=t.text,
                words=_words(t.text, t.start, t.end),
                confidence=0.9,
                is_backchannel=t.backchannel,
                phase=_phase(t.start, t.end, truth.duration),
                units=t.units or len(t.text),
            )
            for i, t in enumerate(truth.turns)
        ),
        settings.voice,
    )
    rings = tuple((r["start"], r["end"]) for r in raw.get("rings") or ())
    music = [(h.start, h.end) for h in truth.holds or () if h.detail.get("kind") == "music"]
    events = (
        *ringing_event(rings),
        *find_overlaps(turns, settings.interruptions, shared_audio=is_mono),
        *find_silences(turns, music, settings.silences),
    )
    parties = (
        Party(AGENT, 0 if is_mono else agent_channel),
        Party(CUSTOMER, 0 if is_mono else 1 - agent_channel),
    )
    audio = {p.role: wave.samples[p.channel] for p in parties}
    sound = measure_voices(turns, audio, wave.sample_rate, settings.voice)
    spans = {p.role: [(t.start, t.end) for t in turns if t.speaker == p.role] for p in parties}
    events = tuple(
        sorted(
            (*events, *sound.events, *fast_speech(sound.turns, settings.voice)),
            key=lambda e: e.start,
        )
    )
    measures = measure_call(sound.turns, events, sound.voices, wave.duration, settings.voice)
    call = Dialogue(recording, wave.duration, sound.turns, events, measures, (), parties)
    events, verdicts, scores = judge_call(call, rubric)
    return CallResult(
        recording=dataclasses.replace(recording, queue="售后" if is_mono else None),
        sha256=wave.sha256,
        duration=round(wave.duration, 3),
        channels=wave.channels,
        sample_rate=wave.source_sample_rate,
        codec=wave.codec,
        language="zh",
        speaker_source="diarization" if is_mono else "channel",
        role_confidence=1.0,
        warnings=(),
        quality=(),
        utterances=(),
        turns=sound.turns,
        events=events,
        measures=measures | scores,
        verdicts=verdicts,
        provenance=provenance(settings, {}, rubric),
        stage_seconds={},
        voices=sound.voices,
        parties=parties,
        curves=curves(audio, wave.sample_rate, sound.tracks, spans),
    )


def _words(text: str, start: float, end: float) -> tuple[Word, ...]:
    spoken = [c for c in text if c.isalnum()]
    step = (end - start) / max(len(spoken), 1)
    return tuple(
        Word(start + i * step, start + (i + 1) * step, c, 0.4 if i % 23 == 22 else 0.9)
        for i, c in enumerate(spoken)
    )


def _phase(start: float, end: float, duration: float) -> str:
    return "opening" if start < 20 else "closing" if end > duration - 20 else "body"
