"""What one writes from the manuals of faster-whisper and pyannote.audio: recognise, diarize, join by time.

Two ways for a recording of two channels: mix them down and tell the voices apart, or recognise each
channel by itself and let the channel say who speaks, which needs no diarization. The options are
those of a careful user: the language given, beam 5, batches of 8, voice activity first, words
with times; the diarization knows that there are two speakers and keeps its own step of 0.1.

Conventions: audio float32 at 16 kHz, shape (n,); times in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Any

from faster_whisper import BatchedInferencePipeline, decode_audio

from pipeline.evaluation.texts import TextErrors, text_errors
from pipeline.evaluation.timing import SpeakerTimes, speaker_times
from pipeline.evaluation.truth import Truth
from pipeline.schema import (
    SPEAKERS,
    Audio,
    CallResult,
    Span,
    Speaker,
    SpeakerSegment,
    Turn,
    Utterance,
    Word,
)
from pipeline.speech.diarization.diarizers import Diarizer

SAMPLE_RATE = 16_000
LANGUAGE, BEAMS, BATCH, STEP = "zh", 5, 8, 0.1
NEW_UTTERANCE_S = 1.0


@dataclass(frozen=True)
class Said:
    """Words and speech by voice; the voices have no roles."""

    words: Mapping[Speaker, Sequence[Word]]
    speech: Mapping[Speaker, Sequence[Span]]


class PlainRecipe:
    """The two libraries, one after the other."""

    def __init__(self, whisper: Any, diarizer: Diarizer) -> None:
        self._recogniser = BatchedInferencePipeline(whisper)
        self._diarizer = diarizer

    def mixed(self, path: Path) -> Said:
        """All channels as one; the diarization says whose the words are."""
        audio: Audio = decode_audio(str(path))
        words = self._words(audio)
        everything = [(0.0, audio.size / SAMPLE_RATE)]
        segments = self._diarizer(audio, everything, len(SPEAKERS))
        own: dict[Speaker, list[Word]] = {s.speaker: [] for s in segments}
        for word in words if segments else ():
            own[whose(word, segments)].append(word)
        speech = {v: [(s.start, s.end) for s in segments if s.speaker == v] for v in own}
        return Said(own, speech)

    def by_channel(self, path: Path) -> Said:
        """Each channel for itself; speech is where words were heard."""
        channels = decode_audio(str(path), split_stereo=True)
        words = {str(i): self._words(audio) for i, audio in enumerate(channels)}
        return Said(words, {c: [(w.start, w.end) for w in own] for c, own in words.items()})

    def _words(self, audio: Audio) -> list[Word]:
        segments, _ = self._recogniser.transcribe(
            audio,
            language=LANGUAGE,
            beam_size=BEAMS,
            batch_size=BATCH,
            vad_filter=True,
            word_timestamps=True,
        )
        return [
            Word(float(w.start), float(w.end), w.word, float(w.probability))
            for s in segments
            for w in s.words
        ]


def whose(word: Word, segments: Sequence[SpeakerSegment]) -> Speaker:
    """The voice that shares most time with a word, or is nearest to it."""

    def shared(segment: SpeakerSegment) -> float:
        return min(word.end, segment.end) - max(word.start, segment.start)

    return max(segments, key=shared).speaker


def errors(said: Said, truth: Truth, like: CallResult) -> tuple[TextErrors, SpeakerTimes]:
    """Errors of words and speakers, with the roles given as they fit best.

    Parameters
    ----------
    said : Said
    truth : Truth
    like : CallResult
        Any result of this recording; its utterances and turns are replaced.
    """
    results = [
        _result(said, dict(zip(voices, SPEAKERS, strict=True)), like)
        for voices in permutations([*said.words, *SPEAKERS][: len(SPEAKERS)])
    ]
    texts = [
        sum(text_errors(result, truth.turns).values(), start=TextErrors()) for result in results
    ]
    best = min(range(len(results)), key=lambda i: texts[i].errors)
    return texts[best], speaker_times(results[best], truth)


def _result(said: Said, roles: Mapping[Speaker, Speaker], like: CallResult) -> CallResult:
    utterances = [
        Utterance(
            roles[v], run[0].start, run[-1].end, "".join(w.text for w in run), tuple(run), 1.0
        )
        for v, words in said.words.items()
        for run in _runs(words)
    ]
    spans = sorted((*span, roles[v]) for v, own in said.speech.items() for span in own)
    turns = [
        Turn(i, role, start, end, ((start, end),), "", (), 1.0)
        for i, (start, end, role) in enumerate(spans)
    ]
    return replace(like, utterances=tuple(utterances), turns=tuple(turns))


def _runs(words: Sequence[Word]) -> list[list[Word]]:
    runs: list[list[Word]] = []
    for word in words:
        if runs and word.start - runs[-1][-1].end < NEW_UTTERANCE_S:
            runs[-1].append(word)
        else:
            runs.append([word])
    return runs
