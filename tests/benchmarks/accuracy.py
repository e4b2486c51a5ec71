"""How far off every measure is, condition by condition, on calls whose truth is known exactly.

    python -m tests.benchmarks.accuracy                     all; writes docs/accuracy.md and .json,
                                                            configs/accuracy.json, docs/measures.md
    python -m tests.benchmarks.accuracy --only base mono    these again, the others as they were
    python -m tests.benchmarks.accuracy --small             the few calls that the tests run; prints

The corpus is made on the spot (``corpus.py``); nothing is downloaded. Each call goes through
``pipeline.run.run_call`` with the embedded preset and is compared by ``pipeline.evaluation``. In
conditions that say nothing of recognition the text is given (:class:`GivenText`), which saves most
of the time. The errors of every condition are kept in ``docs/accuracy.json``.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.audio import decode, resample
from pipeline.commands import documents
from pipeline.evaluation import CallEvaluation, evaluate_call, find_truths
from pipeline.rubric import Rubric, load_rubric
from pipeline.run import run_call
from pipeline.schema import SAMPLE_RATE as SPEECH_RATE
from pipeline.schema import Audio, CallResult, Recording, Word
from pipeline.settings import Settings, config_path, load_settings
from pipeline.speech.asr.windows import PAUSE_S, Heard
from pipeline.speech.models import Models, load_models
from tests.benchmarks.accuracy_page import (
    CONTROL,
    EVENTS,
    LABELLED,
    PITCH_TRACKERS,
    PRESET,
    crosstalk_lines,
    document,
    summary,
    target_table,
)
from tests.benchmarks.corpus import (
    PLANS,
    ROOT,
    Condition,
    MadeCall,
    Plan,
    Spoken,
    conditions,
    make_calls,
    write_recording,
)
from tests.benchmarks.pitch_trackers import (
    SPEAKERS,
    TRACKERS,
    synthetic_speaker,
    table,
    through_telephone,
)

DOCUMENT = ROOT / "docs" / "accuracy.md"
ACCURACY_FILE = ROOT / "configs" / documents.ACCURACY
PITCH_SECONDS, PITCH_SNR_DB = 10.0, 20.0
MATCH_SAMPLES = 1600
MATCH_WITHIN = 2e-5  # resampled in pieces or as a whole, samples differ by 1e-7


@dataclass
class GivenText:
    """A decoder that knows what was said and when: it finds the window in the audio of the call."""

    channels: Sequence[Audio]
    spoken: Sequence[Spoken]

    def __call__(self, windows: Sequence[Audio], *, careful: bool = False) -> list[Heard]:
        """The characters of the turns in each window, evenly spread over their turns."""
        return [Heard(tuple(self._words(w)), -0.1, 0.0) for w in windows]

    def _words(self, window: Audio) -> Iterable[Word]:
        for first, last in _utterances(window):
            party, end = self._where(window[first:last])
            begin, offset = end - (last - first) / SPEECH_RATE, first / SPEECH_RATE
            for line in self.spoken:
                step = (line.end - line.start) / len(line.text)
                for i, character in enumerate(line.text):
                    start = line.start + i * step
                    if line.party == party and begin <= start + step / 2 <= end:
                        at = offset + start - begin
                        yield Word(at, at + step, character, 1.0)

    def _where(self, window: Audio) -> tuple[str, float]:
        """Whose channel the window is from, and where it ends: told by its last tenth of a second."""
        tail = np.asarray(window[-MATCH_SAMPLES:])
        peak = int(np.argmax(np.abs(tail)))
        for party, channel in zip("AC", self.channels, strict=True):
            alike = np.flatnonzero(np.abs(channel - tail[peak]) < MATCH_WITHIN)
            for at in (int(found) - peak for found in alike):
                part = channel[max(0, at) : at + tail.size]
                if part.shape == tail.shape and np.allclose(part, tail, rtol=0, atol=MATCH_WITHIN):
                    return party, (at + tail.size) / SPEECH_RATE
        raise LookupError("the window is not a part of the call")


def _utterances(window: Audio) -> list[tuple[int, int]]:
    """First and last sample of the utterances of a window; pauses between them are zeros."""
    pause = round(PAUSE_S * SPEECH_RATE)
    sounds = np.flatnonzero(np.concatenate(([True], window != 0, [True]))) - 1
    ends = [i for i in np.flatnonzero(np.diff(sounds) == pause + 1) if 0 < i < sounds.size - 2]
    firsts = [0, *(int(sounds[i + 1]) for i in ends)]
    lasts = [*(int(sounds[i]) + 1 for i in ends), window.size]
    return list(zip(firsts, lasts, strict=True))


@dataclass(frozen=True)
class Bench:
    """What calls are run with."""

    settings: Settings
    models: Models
    rubric: Rubric

    @classmethod
    def load(cls) -> Bench:
        """Load the preset and its models."""
        settings = load_settings(PRESET)
        rubric = load_rubric(config_path(settings.compliance.rubric))
        return cls(settings, load_models(settings), rubric)

    def run(self, condition: Condition, plans: Sequence[Plan] = PLANS) -> dict[str, Any]:
        """Run the calls of one condition; return its errors and counts."""
        evaluated = []
        with tempfile.TemporaryDirectory() as folder:
            for call in make_calls(condition, plans):
                path = write_recording(Path(folder), call)
                result = self.run_file(path, call, condition.given_text)
                evaluated.append((evaluate_call(result, call.truth), result))
        return collect(evaluated, condition.given_text)

    def run_file(self, path: Path, call: MadeCall, given_text: bool) -> CallResult:
        """Run one recording."""
        models = self.models
        if given_text:
            wave = decode(path)
            heard = [resample(x, wave.sample_rate, SPEECH_RATE) for x in wave.samples]
            models = replace(models, decoder=GivenText(heard, call.spoken))
        channel = None if call.mono else 0
        recording = Recording(str(path), path.stem, direction="inbound", agent_channel=channel)
        return run_call(recording, self.settings, models, self.rubric)

    def run_labelled(self, folder: Path, mono: bool) -> dict[str, Any]:
        """Run the labelled calls of a folder, either the mono ones or the others."""
        evaluated = []
        for path, truth in find_truths(folder):
            if (decode(path).channels == 1) == mono:
                recording = Recording(str(path), path.stem, direction=truth["meta"]["direction"])
                result = run_call(recording, self.settings, self.models, self.rubric)
                evaluated.append((evaluate_call(result, truth), result))
        return collect(evaluated, given_text=False)


def collect(
    evaluated: Sequence[tuple[CallEvaluation, CallResult]], given_text: bool
) -> dict[str, Any]:
    """Pool calls into lists of errors and counts, in plain JSON types.

    Returns
    -------
    dict
        ``errors``: by measure, result - truth; ``missing``: how many could not be measured;
        ``counts``: by event found, missed, extra; by rate wrong and all.
    """
    calls = [c for c, _ in evaluated]
    errors: dict[str, list[float]] = {}
    missing: dict[str, int] = {}
    listed = [(m.measure, m.error) for c in calls for m in c.measures]
    edges = [e for c in calls for t in c.turns for e in (t.start_error_s, t.end_error_s)]
    listed += [("turn_edges", None if e is None else 1000 * e) for e in edges]  # type: ignore[misc]
    for kind in ("hold", "dead_air"):
        lengths = [
            x for c in calls if kind in c.events for x in c.events[kind].errors.get("length_s", ())
        ]
        listed += [(f"{kind}_length", x) for x in lengths]  # type: ignore[misc]
    for measure, error in listed:
        if error is None:
            missing[measure] = missing.get(measure, 0) + 1
        else:
            errors.setdefault(measure, []).append(round(error, 4))
    return {
        "date": datetime.date.today().isoformat(),
        "given_text": given_text,
        "calls": len(calls),
        "audio_s": round(sum(c.duration for c in calls), 1),
        "errors": errors,
        "missing": missing,
        "counts": _counts(evaluated),
    }


def _counts(evaluated: Sequence[tuple[CallEvaluation, CallResult]]) -> dict[str, list[float]]:
    calls = [c for c, _ in evaluated]
    counts: dict[str, list[float]] = {}
    for kind in EVENTS:
        of_kind = [c.events[kind] for c in calls if kind in c.events]
        counts[kind] = [
            sum(m.found for m in of_kind),
            sum(len(m.missed) for m in of_kind),
            sum(len(m.extra) for m in of_kind),
        ]
    rings = [c.rings for c in calls if c.rings is not None]
    counts["rings"] = [sum(r.true == r.found for r in rings), len(rings)]
    texts = [t for c in calls for t in c.text.values()]
    characters = sum(t.characters for t in texts)
    counts["cer"] = [sum(t.errors for t in texts), characters]
    counts["rate_bias"] = [sum(t.insertions - t.deletions for t in texts), characters]
    times = [c.speech for c in calls]
    wrong = sum(t.missed_s + t.false_alarm_s + t.confused_s for t in times)
    counts["der"] = [round(wrong, 3), round(sum(t.speech_s for t in times), 3)]
    right = sum(t.right_role_s for t in times)
    counts["role"] = [round(right, 3), round(right + sum(t.wrong_role_s for t in times), 3)]
    counts["turns"] = [sum(c.found_turns for c in calls), sum(len(c.turns) for c in calls)]
    matched = sum(t.start_error_s is not None for c in calls for t in c.turns)
    others = sum(e.kind == "overlap" for _, r in evaluated for e in r.events)
    counts["invented"] = [
        counts["turns"][0] - matched,
        counts["interruption"][2] + counts["backchannel"][2] + others,
    ]
    outcomes = [x for c in calls for x in c.events["interruption"].errors.get("outcome", ())]
    counts["outcome"] = [sum(outcomes), len(outcomes)]
    return counts


def small(bench: Bench) -> dict[str, dict[str, Any]]:
    """Run the few calls that stand for the rest: two stereo calls, one with crosstalk, one mono."""
    named = {c.name: c for c in conditions()}
    return {
        "base": bench.run(named["base"], [PLANS[0], PLANS[1]]),
        CONTROL: bench.run(named[CONTROL], PLANS[:1]),
        "crosstalk -25 dB": bench.run(named["crosstalk -25 dB"], PLANS[:1]),
        "mono": bench.run(named["mono"], PLANS[1:2]),
    }


def pitch_tables() -> dict[str, dict[str, Any]]:
    """Run all pitch trackers on speakers of known pitch, as they are and over the telephone."""
    speakers = [synthetic_speaker(i, seconds=PITCH_SECONDS) for i in range(len(SPEAKERS))]
    heard = [through_telephone(speaker, snr_db=PITCH_SNR_DB) for speaker in speakers]
    tables = {
        "Speakers at 16 kHz": table(speakers, list(TRACKERS)),
        f"Over the telephone, 300-3400 Hz, {PITCH_SNR_DB:.0f} dB": table(heard, list(TRACKERS)),
    }
    return {t: {name: asdict(s) for name, s in rows.items()} for t, rows in tables.items()}


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is asked for and write it down."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--small", action="store_true", help="the calls of the tests; print only")
    parser.add_argument(
        "--only",
        nargs="+",
        metavar="NAME",
        help=", ".join(["conditions", *LABELLED, PITCH_TRACKERS]),
    )
    parser.add_argument(
        "--text-given",
        action="store_true",
        help="recognise nothing: quick, and without error rates",
    )
    parser.add_argument("--out", type=Path, default=DOCUMENT)
    options = parser.parse_args(argv)
    names = [*(c.name for c in conditions()), *LABELLED, PITCH_TRACKERS]
    unknown = [n for n in options.only or () if n not in names]
    if unknown:
        parser.error(f"no condition {', '.join(unknown)}; there are: {', '.join(names)}")
    bench = Bench.load()
    if options.small:
        parts = small(bench)
        known = [c for c in conditions() if c.name in parts]
        print("\n".join([*target_table(parts, known), "", *crosstalk_lines(parts)]))
        return
    store = options.out.with_suffix(".json")
    data: dict[str, Any] = {"conditions": {}, "samples": {}}
    if options.only and store.exists():
        data = json.loads(store.read_text(encoding="utf-8"))
    data |= {"weights": dict(bench.models.weights), "cores": os.cpu_count(), "version": _version()}
    for condition in conditions():
        if condition.name in (options.only or names):
            began = time.perf_counter()
            given = condition.given_text or options.text_given
            data["conditions"][condition.name] = bench.run(replace(condition, given_text=given))
            print(f"{condition.name}: {time.perf_counter() - began:.0f} s", flush=True)
            _write(options.out, data)
    for name in LABELLED:
        if name in (options.only or names):
            folder = ROOT / "data" / name
            data[name] = {k: bench.run_labelled(folder, k == "mono") for k in ("stereo", "mono")}
    if PITCH_TRACKERS in (options.only or names):
        data["pitch_trackers"] = pitch_tables()
    _write(options.out, data)


def _version() -> str:
    from pipeline import __version__

    return __version__


def _write(path: Path, data: Mapping[str, Any]) -> None:
    text = json.dumps(data, ensure_ascii=False)
    path.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
    path.write_text(document(data), encoding="utf-8")
    if path == DOCUMENT:  # what `callcoach explain` and docs/measures.md say
        shown = json.dumps(summary(data), indent=1)
        ACCURACY_FILE.write_text(shown + "\n", encoding="utf-8")
        documents.write_pages()


if __name__ == "__main__":
    main()
