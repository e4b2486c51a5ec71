"""How right interruptions and signs of listening are, without recognition.

Speech is found in the audio as always; the words are those of the truth (``given``), the best that
recognition could hear, or none at all (``none``), the worst. On two channels the truth says which one the
agent is on, on one channel which voice the agent is.

    python -m tests.benchmarks.overlaps FOLDER --words none

prints F1 (precision, recall, events) of both kinds, and each that is wrong.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from pipeline.audio import Resampled, decode_recording
from pipeline.dialogue.overlaps import find_overlaps
from pipeline.dialogue.turns import build_turns
from pipeline.evaluation.event_matches import EventMatches, match_events
from pipeline.evaluation.truth import Truth, find_truths, parse_truth
from pipeline.schema import AGENT, CUSTOMER, SAMPLE_RATE, Event, Recording, Span, Utterance, Word
from pipeline.settings import Settings
from pipeline.signal.channels import usable
from pipeline.signal.tones import find_tones
from pipeline.signal.vocal import vocals_of
from pipeline.spans import intersection
from pipeline.speech.models import Models, load_diarizer
from pipeline.speech.speaker_assignment import assign_speech
from pipeline.speech.vad import SileroDetector

SYLLABLE_S = 0.2  # of turns that were cut off: so much of the text was said


def given(truth: Truth) -> list[Utterance]:
    """The text of the truth, evenly spread over its turns."""
    utterances = []
    for turn in truth.turns:
        text = "".join(c for c in turn.text if c.isalnum())
        if turn.cut:
            text = text[: max(1, round((turn.end - turn.start) / SYLLABLE_S))]
        step = (turn.end - turn.start) / max(len(text), 1)
        words = tuple(
            Word(turn.start + i * step, turn.start + (i + 1) * step, c, 1.0)
            for i, c in enumerate(text)
        )
        utterances.append(Utterance(turn.speaker, turn.start, turn.end, text, words, 1.0))
    return utterances


def events(
    path: Path, data: Mapping[str, Any], settings: Settings, models: Models, *, words: bool
) -> Sequence[Event]:
    """Interruptions, backchannels and overlaps of one call; none where only one voice was told."""
    wave = decode_recording(Recording(str(path), path.stem))
    channels, truth = usable(wave), parse_truth(data)
    audio = {
        c: Resampled(wave.samples[c], wave.sample_rate, SAMPLE_RATE) for c in channels.channels
    }
    voices = assign_speech(audio, channels, find_tones(wave, channels.channels), settings, models)
    said = {r: [t.span for t in truth.turns if t.speaker == r] for r in (AGENT, CUSTOMER)}

    def of_agent(spans: Sequence[Span]) -> float:
        mine, others = (sum(b - a for a, b in intersection(spans, said[r])) for r in said)
        return mine - others

    if len(voices.speech) < 2:
        return ()
    agent = max(voices.speech, key=lambda v: of_agent(voices.speech[v]))
    speech = {AGENT if v == agent else CUSTOMER: spans for v, spans in voices.speech.items()}
    heard_in = {
        AGENT if v == agent else CUSTOMER: wave.samples[c] for v, c in voices.channels.items()
    }
    sounds = vocals_of(speech, heard_in, wave.sample_rate, voices.is_shared)
    how = {"shared_audio": voices.is_shared, "sounds": sounds}
    turns = build_turns(speech, given(truth) if words else (), settings.turns, **how)
    return find_overlaps(turns, settings.interruptions, **how)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--words", choices=("given", "none"), default="none")
    options = parser.parse_args(arguments)
    settings = Settings()
    models = SimpleNamespace(
        detector=SileroDetector(), diarizer=load_diarizer(settings.diarization)
    )
    total = {"interruption": EventMatches(), "backchannel": EventMatches()}
    for path, data in (pair for folder in options.folders for pair in find_truths(folder)):
        found = events(path, data, settings, cast(Models, models), words=options.words == "given")
        matches = match_events(found, parse_truth(data))
        for kind in total.keys() & matches.keys():
            total[kind] += matches[kind]
            for what, wrong in (("missed", matches[kind].missed), ("extra", matches[kind].extra)):
                for one in wrong:
                    print(
                        f"{path.stem} {kind} {what} {one.by} {one.start:.2f}-{one.end:.2f} {one.text}"
                    )
    for kind, sums in total.items():
        if sums.f1 is not None:
            precision, recall = sums.precision or 0.0, sums.recall or 0.0
            print(f"{kind}: F1 {sums.f1:.2f} (P {precision:.2f}, R {recall:.2f}, n {sums.true})")


if __name__ == "__main__":
    main()
