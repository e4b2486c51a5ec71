"""How long the program takes, where the time goes, and how that compares with the plain recipe.

    python -m tests.benchmarks.performance              writes docs/performance.md and .json
    python -m tests.benchmarks.performance --calls DIR  also the labelled calls of DIR; prints only
    python -m tests.benchmarks.performance --few        two calls of each kind; prints only
    python -m tests.benchmarks.performance --quick      two calls beside the recipe by channel; prints only

Both run in one process on one thread with the same weights, file by file in turns, so that whatever
else the machine does falls on both. Wall time is what one waits; CPU seconds hardly depend on what
else is running, so ratios are of CPU seconds. Files are ``data/samples`` and two calls of ``corpus.py``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from pipeline import __version__
from pipeline.audio import decode
from pipeline.evaluation.call_evaluation import evaluate_call
from pipeline.evaluation.texts import TextErrors
from pipeline.evaluation.timing import SpeakerTimes
from pipeline.evaluation.truth import find_truths, parse_truth
from pipeline.io import weights
from pipeline.rubric import Rubric, load_rubric
from pipeline.run import run_call
from pipeline.schema import SAMPLE_RATE, Recording
from pipeline.settings import Settings, config_path, load_settings
from pipeline.speech.asr.whisper import WhisperDecoder, load_whisper
from pipeline.speech.diarization.diarizers import load_local
from pipeline.speech.diarization.voices import TwoVoices
from pipeline.speech.models import (
    EMBEDDING_FILE,
    LOCAL_EMBEDDING,
    LOCAL_SEGMENTATION,
    LanguageModel,
    Models,
    load_diarizer,
    one_blas_thread,
    trims_vocabulary,
    weights_used,
    word_model,
)
from pipeline.speech.vad import SileroDetector
from pipeline.store import Store
from pipeline.text import Lexicon
from tests.benchmarks.corpus import PLANS, ROOT, conditions, make_calls, write_recording
from tests.benchmarks.performance_page import CHANNELS, MIXED, OURS, document
from tests.benchmarks.plain_recipe import STEP, PlainRecipe, errors

DOCUMENT = ROOT / "docs" / "performance.md"
SAMPLES = ROOT / "data" / "samples"
PRESET = "embedded"
THREADS = 1
FEW = 2
WARM_UP_FRAMES = 8 * 8000

Truths = list[tuple[Path, dict[str, Any]]]


@dataclass
class Spent:
    """Seconds of one run."""

    wall_s: float = 0.0
    cpu_s: float = 0.0

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Add what the block takes."""
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            yield
        finally:
            self.wall_s += time.perf_counter() - wall
            self.cpu_s += time.process_time() - cpu


@dataclass
class Run:
    """One way to hear one file: its time and its errors."""

    file: str
    way: str
    channels: int
    audio_s: float
    spent: Spent
    characters: int
    character_errors: int
    speech_s: float
    speaker_errors_s: float
    models: dict[str, Spent] = field(default_factory=dict)
    stages: dict[str, float] = field(default_factory=dict)


Clocks = defaultdict[str, Spent]


class Timed:
    """An object some of whose methods are timed under a name, all together."""

    def __init__(self, inner: Any, clocks: Clocks, names: Mapping[str, str]) -> None:
        self._inner, self._clocks, self._names = inner, clocks, names

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        return self._timed(self._names[name], value) if name in self._names else value

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._timed(self._names["__call__"], self._inner)(*arguments, **options)

    def _timed(self, label: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            with self._clocks[label].measured():
                return function(*arguments, **options)

        return call


def _timed_voices(clocks: Clocks, settings: Settings) -> TwoVoices:
    """What tells voices apart, its two models timed."""
    voices = load_diarizer(settings.diarization)
    assert isinstance(voices, TwoVoices)
    return TwoVoices(
        Timed(voices.segment, clocks, {"__call__": "segmentation"}),
        Timed(voices.embed, clocks, {"__call__": "embedding of voices"}),
    )


class Bench:
    """Both programs with the same weights, and the clocks of our models."""

    def __init__(self, store: Store) -> None:
        self.settings = _one_thread(load_settings(PRESET))
        self.rubric: Rubric = load_rubric(config_path(self.settings.compliance.rubric))
        self.clocks: Clocks = defaultdict(Spent)
        self._store = store
        one_blas_thread()
        asr = self.settings.asr
        whisper = load_whisper(
            weights.verified(asr.source), compute_type=asr.compute_type, threads=THREADS
        )
        plain = load_local(
            weights.verified(LOCAL_SEGMENTATION),
            weights.verified(LOCAL_EMBEDDING) / EMBEDDING_FILE,
            step=STEP,
            threads=THREADS,
        )
        self.plain = PlainRecipe(whisper, plain)
        timed = load_whisper(
            weights.verified(asr.source),
            compute_type=asr.compute_type,
            threads=THREADS,
            trim=trims_vocabulary(asr),
        )
        network = {name: f"Whisper, {name}" for name in ("encode", "generate", "align")}
        timed.model = Timed(timed.model, self.clocks, network)
        known_words = word_model(asr)
        language = LanguageModel(asr)
        language(np.zeros(SAMPLE_RATE, np.float32))  # so that it is loaded
        meaning = self.rubric.meaning
        meaning.embedder = Timed(meaning.embedder, self.clocks, {"embed": "embedding of sentences"})
        self.models = Models(
            detector=Timed(SileroDetector(), self.clocks, {"__call__": "voice activity"}),
            decoder=WhisperDecoder(timed, asr, known_words),
            lexicon=Lexicon.load(config_path(asr.lexicon)) if asr.lexicon else Lexicon(()),
            known_words=known_words,
            language_of=Timed(language, self.clocks, {"__call__": "language of a speaker"}),
            weights=weights_used(self.settings),
            diarization=self.settings.diarization,
            given_diarizer=_timed_voices(self.clocks, self.settings),
        )

    def hear(self, path: Path, truth: Mapping[str, Any], quick: bool = False) -> list[Run]:
        """One file in every way, or but for the slowest."""
        self.clocks.clear()
        spent = Spent()
        recording = Recording(str(path), path.stem, direction=truth["meta"]["direction"])
        with spent.measured():
            result = run_call(recording, self.settings, self.models, self.rubric)
            saving = Spent()
            with saving.measured():
                self._store.save(result)
        found = evaluate_call(result, truth)
        text = sum(found.text.values(), start=TextErrors())
        stages = {**result.stage_seconds, "store": saving.wall_s}
        sizes = path.name, result.channels, result.duration
        runs = [_run(OURS, sizes, spent, text, found.speech, dict(self.clocks), stages)]
        ways = {} if quick else {MIXED: self.plain.mixed}
        if result.channels == 2:
            ways[CHANNELS] = self.plain.by_channel
        for way, hear in ways.items():
            spent = Spent()
            with spent.measured():
                said = hear(path)
            runs.append(_run(way, sizes, spent, *errors(said, parse_truth(truth), result)))
        return runs

    def warm_up(self, folder: Path, paths: Sequence[Path]) -> None:
        """Hear the beginning of some files, so that nothing is loaded while the clocks run."""
        for path in paths:
            samples, rate = soundfile.read(path, frames=WARM_UP_FRAMES)
            short = folder / path.name
            soundfile.write(short, samples, rate)
            run_call(Recording(str(short), "warm-up"), self.settings, self.models, self.rubric)
            self.plain.mixed(short)


def _run(
    way: str,
    sizes: tuple[str, int, float],
    spent: Spent,
    text: TextErrors,
    speech: SpeakerTimes,
    models: dict[str, Spent] | None = None,
    stages: dict[str, float] | None = None,
) -> Run:
    file, channels, audio_s = sizes
    wrong_s = speech.missed_s + speech.false_alarm_s + speech.confused_s
    return Run(
        file, way, channels, audio_s, spent, text.characters, text.errors, speech.speech_s, wrong_s,
        models or {}, stages or {},
    )  # fmt: skip


def _one_thread(settings: Settings) -> Settings:
    asr = settings.asr.model_copy(update={"threads": THREADS})
    return settings.model_copy(update={"asr": asr})


def corpus_calls(folder: Path) -> None:
    """Write one call of two channels and one mono call of the corpus, with their truth."""
    named = {c.name: c for c in conditions()}
    for name, plans in (("base", PLANS[:1]), ("mono", PLANS[1:2])):
        for call in make_calls(named[name], plans):
            path = write_recording(folder, call)
            truth = call.truth | {"meta": {"direction": "inbound"}}
            path.with_suffix(".truth.json").write_text(json.dumps(truth), encoding="utf-8")


def few(truths: Truths) -> Truths:
    """The shortest files of one and of two channels."""
    by_layout: dict[int, Truths] = {}
    for path, truth in sorted(truths, key=lambda t: float(t[1]["duration"])):
        by_layout.setdefault(decode(path).channels, []).append((path, truth))
    return [row for rows in by_layout.values() for row in rows[:FEW]]


def measure(truths: Truths) -> Iterator[dict[str, Any]]:
    """Run every file in every way, after a warm-up; all that is known after each file."""
    with tempfile.TemporaryDirectory() as folder, Store.open(folder) as store:
        began = time.perf_counter()
        bench = Bench(store)
        bench.warm_up(Path(folder), [path for path, _ in few(truths)[::FEW]])
        loading_s = time.perf_counter() - began
        runs = []
        for path, truth in truths:
            heard = bench.hear(path, truth)
            runs += [_rounded(asdict(r)) for r in heard]
            print(path.name, *(f"{r.way}: {r.spent.cpu_s:.1f} s" for r in heard), flush=True)
            yield {
                "date": datetime.date.today().isoformat(),
                "version": __version__,
                "preset": PRESET,
                "weights": dict(bench.models.weights),
                "machine": {"processor": _processor(), "system": platform.platform(terse=True)},
                "threads": THREADS,
                "load": round(os.getloadavg()[0], 1),
                "peak_memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                "loading_s": round(loading_s, 1),
                "files": len(truths),
                "runs": runs,
            }


def _processor() -> str:
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text(encoding="utf-8").splitlines() if listed.exists() else []
    names = [x.partition(":")[2].strip() for x in lines if x.startswith("model name")]
    return names[0] if names else platform.machine()


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _rounded(v) for k, v in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def quick_ratios(truths: Truths) -> str:
    """CPU seconds of both programs on the shortest calls of two channels, one line a call."""
    lines = []
    with tempfile.TemporaryDirectory() as folder, Store.open(folder) as store:
        bench = Bench(store)
        for number, (path, truth) in enumerate(truths):
            if number == 0:
                bench.hear(path, truth, quick=True)  # loads what is loaded late
            ours, plain = bench.hear(path, truth, quick=True)
            lines.append(
                f"{path.name}: {3600 * ours.spent.cpu_s / ours.audio_s:.0f} CPU s an hour, plain by "
                f"channel {3600 * plain.spent.cpu_s / plain.audio_s:.0f}, "
                f"{plain.spent.cpu_s / ours.spent.cpu_s:.2f} times as fast"
            )
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and write it down."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--calls", type=Path, help="a folder of labelled calls, beside the own ones"
    )
    parser.add_argument("--few", action="store_true", help="the shortest files only; print")
    parser.add_argument("--quick", action="store_true", help="two calls by channel; print ratios")
    parser.add_argument("--out", type=Path, default=DOCUMENT)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        corpus_calls(Path(folder))
        truths = [*find_truths(SAMPLES), *find_truths(Path(folder))]
        truths += find_truths(options.calls) if options.calls else []
        truths.sort(key=lambda row: float(row[1]["duration"]))
        if options.quick:
            print(quick_ratios([t for t in few(truths) if decode(t[0]).channels == 2]))
            return
        page = ""
        for data in measure(few(truths) if options.few else truths):
            page = document(data)
            if not (options.few or options.calls):
                store = options.out.with_suffix(".json")
                store.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
                options.out.write_text(page, encoding="utf-8")
    if options.few or options.calls:
        print(page)


if __name__ == "__main__":
    main()
