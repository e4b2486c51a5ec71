"""What settings of recognition cost and bring, side by side.

    python -m tests.benchmarks.recognition                          the default against all words
    python -m tests.benchmarks.recognition asr.beam_size=1          the default against a setting
    python -m tests.benchmarks.recognition --calls DIR asr.short_s=0 asr.min_window_s=30
    python -m tests.benchmarks.recognition --calls DIR --transcripts TABLE asr.word_weight=0

Every setting is a row of its own. With ``--transcripts`` the recordings are those of a table (recording,
text), each taken as one voice, and faster-whisper by its manual is the last row. Prints character
errors (both parties), CPU seconds for an hour of audio, on one thread, and how many utterances were
rejected. ``--by-channel`` hears the labelled calls of two channels with faster-whisper by its manual as
well, each channel by itself, and compares all that each party says. Calls are the labelled ones of
``data/samples`` unless told otherwise; every row hears each call before the next, so that whatever else
the machine does falls on all.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.audio import decode, resample
from pipeline.evaluation import joined, read_transcripts
from pipeline.evaluation.call_evaluation import evaluate_call
from pipeline.evaluation.texts import TextErrors, align
from pipeline.evaluation.truth import find_truths
from pipeline.rubric import load_rubric
from pipeline.run import run_call
from pipeline.schema import AGENT, CUSTOMER, Recording
from pipeline.settings import Settings, config_path, load_settings
from pipeline.speech.asr.plain import plain_text
from pipeline.speech.models import load_models, load_plain
from pipeline.text import normalise_for_cer
from tests.benchmarks.corpus import ROOT

SAMPLES = ROOT / "data" / "samples"
PRESET = "embedded"
SPEECH_RATE = 16_000


@dataclass
class Row:
    """One setting and what came of it."""

    setting: str
    errors: TextErrors = field(default_factory=TextErrors)
    cpu_s: float = 0.0
    audio_s: float = 0.0
    rejected: int = 0

    def cells(self) -> str:
        """The row of the table."""
        errors = self.errors
        return (
            f"| {self.setting or 'default'} | {errors.cer:.1%} | {errors.substitutions} / "
            f"{errors.deletions} / {errors.insertions} of {errors.characters} | {self.rejected} | "
            f"{self.cpu_s * 3600 / self.audio_s:.0f} |"
        )


BY_CHANNEL_HEAD = (
    "| by channel | character error rate | substituted / deleted / inserted | utterances rejected "
    "| CPU s an hour |\n|---|---|---|---|---|"
)


class Variant:
    """The program with one setting changed."""

    def __init__(self, setting: str, given: dict[str, object]) -> None:
        name, _, value = setting.partition("=")
        changed = {name: value} if setting else {}
        self.settings = load_settings(PRESET, {"asr.threads": 1} | given | changed)
        self.models = load_models(self.settings)
        self.rubric = load_rubric(config_path(self.settings.compliance.rubric))
        self.row = Row(setting)

    def hear(self, path: Path, truth: dict[str, object] | str) -> None:
        """Add a call, or a recording of which the text is known, to the row."""
        began = time.process_time()
        result = run_call(Recording(str(path), path.stem), self.settings, self.models, self.rubric)
        self.row.cpu_s += time.process_time() - began
        self.row.audio_s += result.duration
        self.row.rejected += sum(u.rejected is not None for u in result.utterances)
        if isinstance(truth, str):
            self.row.errors += align(normalise_for_cer(truth), joined(result.utterances))
        else:
            self.row.errors += sum(evaluate_call(result, truth).text.values(), start=TextErrors())


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("settings", nargs="*", default=["asr.vocabulary=all"])
    parser.add_argument("--calls", type=Path, default=SAMPLES)
    parser.add_argument("--transcripts", type=Path)
    parser.add_argument("--by-channel", action="store_true")
    options = parser.parse_args(argv)
    if options.by_channel:
        print(BY_CHANNEL_HEAD)
        for row in by_channel(find_truths(options.calls)):
            print(row.cells())
        return
    truths: list[tuple[Path, dict[str, object] | str]] = []
    if options.transcripts:
        rows = read_transcripts(options.transcripts, options.calls)
        truths += [(row.path, row.text) for row in rows]
    else:
        truths += find_truths(options.calls)
    given = {"diarization.speakers": 1} if options.transcripts else {}
    variants = [Variant(setting, given) for setting in ("", *options.settings)]
    for variant in variants:  # nothing is loaded while the clocks run
        variant.hear(*truths[0])
        variant.row = Row(variant.row.setting)
    for path, truth in truths:
        for variant in variants:
            variant.hear(path, truth)
    print(
        "| setting | character error rate | substituted / deleted / inserted | utterances rejected "
        "| CPU s an hour |"
    )
    print("|---|---|---|---|---|")
    for variant in variants:
        print(variant.row.cells())
    if options.transcripts:
        print(plain_row(truths, variants[0].settings).cells())


def by_channel(calls: Sequence[tuple[Path, Any]]) -> tuple[Row, Row]:
    """The program and faster-whisper by its manual on calls with one party a channel.

    Turns that are cut off count as well: nobody leaves them out of a channel.
    """
    ours, plain = Variant("", {}), Row("faster-whisper by its manual")
    model = load_plain(ours.settings.asr)
    ours.models.embedder()  # nothing is loaded while the clocks run
    ours.hear(*calls[0])
    ours.row = Row("")
    plain_text(model, [np.zeros(SPEECH_RATE, np.float32)], ours.settings.asr.language)
    for path, truth in calls:
        wave = decode(path)
        if wave.channels != 2:
            continue
        turns = sorted(truth["turns"], key=lambda turn: float(turn["start"]))
        said = ["".join(t["text"] for t in turns if t["speaker"] == who) for who in "AC"]
        channels = [resample(c, wave.sample_rate, SPEECH_RATE) for c in wave.samples]
        began = time.process_time()
        heard = [plain_text(model, [c], ours.settings.asr.language) for c in channels]
        plain.cpu_s += time.process_time() - began
        plain.errors += min((_both(said, heard), _both(said, heard[::-1])), key=lambda e: e.errors)
        plain.audio_s += wave.duration
        recording = Recording(str(path), path.stem)
        began = time.process_time()
        result = run_call(recording, ours.settings, ours.models, ours.rubric)
        ours.row.cpu_s += time.process_time() - began
        words = ["".join(t.text for t in result.turns if t.speaker == w) for w in (AGENT, CUSTOMER)]
        ours.row.errors += _both(said, words)
        ours.row.audio_s += wave.duration
    return ours.row, plain


def _both(said: Sequence[str], heard: Sequence[str]) -> TextErrors:
    pairs = zip(said, heard, strict=True)
    return sum((align(*map(normalise_for_cer, pair)) for pair in pairs), start=TextErrors())


def plain_row(truths: Sequence[tuple[Path, Any]], settings: Settings) -> Row:
    """The same recordings by faster-whisper as its manual shows it."""
    row, model = Row("faster-whisper by its manual"), load_plain(settings.asr)
    for path, text in truths:
        began = time.process_time()
        wave = decode(path)
        channels = [resample(c, wave.sample_rate, SPEECH_RATE) for c in wave.samples]
        heard = plain_text(model, channels, settings.asr.language)
        row.cpu_s += time.process_time() - began
        row.audio_s += wave.duration
        row.errors += align(normalise_for_cer(text), normalise_for_cer(heard))
    return row


if __name__ == "__main__":
    main()
