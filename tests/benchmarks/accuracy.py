"""How far off every measure is, condition by condition, on calls whose truth is known exactly.

    python -m tests.benchmarks.accuracy                     all conditions; writes docs/accuracy.md
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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.audio import decode, resample
from pipeline.compliance import Rubric, load_rubric
from pipeline.evaluation import CallEvaluation, evaluate_call, find_truths
from pipeline.run import SPEECH_RATE, run_call
from pipeline.schema import Audio, CallResult, Recording, Word
from pipeline.settings import Settings, config_path, load_settings
from pipeline.speech.asr import Heard
from pipeline.speech.models import Models, load_models
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

PRESET = "embedded"
DOCUMENT = ROOT / "docs" / "accuracy.md"
SAMPLES = "data/samples"
MATCH_SAMPLES = 1600
EVENTS = ("interruption", "backchannel", "hold", "dead_air")
OVERLAPS = ("interruption", "backchannel", "overlap")
CONTROL = "base, text given"


@dataclass(frozen=True)
class Target:
    """One row of the table of targets; ``measure`` is a name of :func:`figure`."""

    name: str
    measure: str
    unit: str
    stereo: float
    mono: float | None
    higher: bool = False


TARGETS = (
    Target("speaking rate of a speaker, median error", "speaking_rate", "%", 3, 6),
    Target("speaking rate of a turn, median error", "turn_speaking_rate", "%", 3, 6),
    Target("level, median error", "level", "dB", 0.3, 1),
    Target("pitch variation, median error", "pitch_sd", "st", 0.3, 0.5),
    Target("agent's talk ratio, median error", "talk_ratio", "points", 1, 3),
    Target("interruption, F1", "interruption", "", 0.95, 0.70, True),
    Target("backchannel, F1", "backchannel", "", 0.85, None, True),
    Target("hold, F1", "hold", "", 1.0, 0.95, True),
    Target("hold length, p95 error", "hold_length:p95", "s", 0.5, 0.5),
    Target("dead air, F1", "dead_air", "", 0.98, 0.95, True),
    Target("ringing, count exact", "rings", "", 1.0, 1.0, True),
    Target("diarization error rate", "der", "%", 4, 10),
    Target("character error rate", "cer", "", 0.12, 0.12),
    Target("turn edges, median error", "turn_edges", "ms", 50, None),
)


@dataclass
class GivenText:
    """A decoder that knows what was said and when: it finds the window in the audio of the call."""

    channels: Sequence[Audio]
    spoken: Sequence[Spoken]

    def __call__(self, windows: Sequence[Audio], *, careful: bool = False) -> list[Heard]:
        """The characters of the turns in each window, evenly spread over their turns."""
        return [Heard(tuple(self._words(w)), -0.1, 0.0) for w in windows]

    def _words(self, window: Audio) -> Iterable[Word]:
        party, end = self._where(window)
        begin = end - window.size / SPEECH_RATE
        for line in self.spoken:
            step = (line.end - line.start) / len(line.text)
            for i, character in enumerate(line.text):
                start = line.start + i * step
                if line.party == party and begin <= start + step / 2 <= end:
                    yield Word(start - begin, start + step - begin, character, 1.0)

    def _where(self, window: Audio) -> tuple[str, float]:
        tail = window[-MATCH_SAMPLES:].tobytes()
        for party, channel in zip("AC", self.channels, strict=True):
            at = channel.tobytes().find(tail)
            if at >= 0:
                return party, (at + len(tail)) / channel.itemsize / SPEECH_RATE
        raise LookupError("the window is not a part of the call")


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

    def run_samples(self, mono: bool) -> dict[str, Any]:
        """Run the labelled calls of ``data/samples``, either the mono ones or the others."""
        evaluated = []
        for path, truth in find_truths(ROOT / SAMPLES):
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
        lengths = [x for c in calls if kind in c.events for x in c.events[kind].errors.get("length_s", ())]
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
    counts["cer"] = [sum(t.errors for t in texts), sum(t.characters for t in texts)]
    times = [c.speech for c in calls]
    wrong = sum(t.missed_s + t.false_alarm_s + t.confused_s for t in times)
    counts["der"] = [round(wrong, 3), round(sum(t.speech_s for t in times), 3)]
    right = sum(t.right_role_s for t in times)
    counts["role"] = [round(right, 3), round(right + sum(t.wrong_role_s for t in times), 3)]
    counts["turns"] = [sum(c.found_turns for c in calls), sum(len(c.turns) for c in calls)]
    events = [e for _, r in evaluated for e in r.events if e.kind in OVERLAPS]
    counts["overlaps"] = [len(events)]
    outcomes = [x for c in calls for x in c.events["interruption"].errors.get("outcome", ())]
    counts["outcome"] = [sum(outcomes), len(outcomes)]
    return counts


def pooled(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Several conditions as one."""
    errors: dict[str, list[float]] = {}
    counts: dict[str, list[float]] = {}
    for part in parts:
        for measure, values in part["errors"].items():
            errors.setdefault(measure, []).extend(values)
        for name, values in part["counts"].items():
            if name == "cer" and part["given_text"]:
                continue
            counts[name] = [a + b for a, b in zip(counts.get(name, [0] * 3), values, strict=False)]
    return {"errors": errors, "counts": counts, "given_text": False}


def figure(part: Mapping[str, Any], measure: str) -> tuple[float | None, float]:
    """One figure of a condition and how many cases it rests on.

    Median absolute error (``NAME:p95``: its 95th percentile), F1 of an event, or a rate of counts.
    """
    name, _, which = measure.partition(":")
    counts = part["counts"]
    if name in EVENTS:
        found, missed, extra = counts[name]
        cases = 2 * found + missed + extra
        return (2 * found / cases if cases else None), found + missed
    if name == "cer" and part["given_text"]:
        return None, 0
    if name in counts:
        share, whole = counts[name]
        value = share / whole if whole else None
        return (100 * value if name == "der" and value is not None else value), whole
    errors = np.abs(part["errors"].get(name, []))
    if not errors.size:
        return None, 0
    return float(np.percentile(errors, 95 if which == "p95" else 50)), errors.size


def met(target: Target, value: float | None, bound: float | None) -> str:
    """Say whether a figure is as good as it must be."""
    if value is None or bound is None:
        return "-"
    good = value >= bound - 1e-9 if target.higher else value <= bound + 1e-9
    return "met" if good else "**not met**"


def document(data: Mapping[str, Any]) -> str:
    """Write the figures down as Markdown."""
    parts: Mapping[str, dict[str, Any]] = data["conditions"]
    known = [c for c in conditions() if c.name in parts]
    left = [c.name for c in conditions() if c.name not in parts]
    lines = [
        *_preface(data, parts), "", "## Against the targets", "", *_target_table(parts, known), "",
        *_crosstalk_lines(parts), "", *_not_met(parts), "", "## Timing and events, by condition", "",
        "Turn edges in ms and lengths in s: median / p95 of the absolute error, bias (mean of result - truth).",
        "Events: F1 (found of true, + extra).", "", *_event_table(known, parts), "",
        "## Rate, level, pitch, talk ratio, by condition", "",
        "Median / p95 / bias (n). \"-\": not measured; the program does not score level and pitch "
        "under 15 dB of signal to noise.", "", *_measure_table(known, parts), "",
        "## Text and speakers, by condition", "", *_text_table(known, parts), "",
    ]  # fmt: skip
    if data.get("samples"):
        lines += ["## The labelled calls of data/samples", "", *_sample_table(data["samples"]), ""]
    lines += _limits(left)
    return "\n".join(lines) + "\n"


def _preface(data: Mapping[str, Any], parts: Mapping[str, Any]) -> list[str]:
    dates = sorted({p["date"] for p in parts.values()})
    seconds = sum(p["audio_s"] for p in parts.values())
    weights = ", ".join(f"{n} ({d[:12]})" for n, d in data["weights"].items())
    return [
        "# Accuracy",
        "",
        "Written by `make accuracy` (`python -m tests.benchmarks.accuracy`); do not edit. Errors of every case: "
        "`docs/accuracy.json`.",
        "",
        f"- Date: {dates[0]}" + (f" to {dates[-1]}." if len(dates) > 1 else "."),
        f"- Corpus: {len(parts)} conditions of {len(PLANS)} calls, {seconds / 60:.0f} min of audio, "
        "made by `tests/benchmarks/corpus.py` with fixed seeds. Each condition is the base set with one thing "
        "changed; the base set is two-channel A-law at 8 kHz, 30 dB signal to noise, no crosstalk.",
        f"- Program: preset `{PRESET}`, version {data['version']}; weights {weights}.",
        f"- Machine: {data['cores']} CPU cores, no GPU.",
        "- Speech is synthetic (neural text-to-speech, eight voices), so recognition and roles are "
        "easier or harder than on your calls: measure those with `callcoach evaluate FOLDER`.",
    ]


def _target_table(parts: Mapping[str, Any], known: Sequence[Condition]) -> list[str]:
    stereo = pooled(parts[c.name] for c in known if not c.line.mono)
    rows = []
    for t in TARGETS:
        cells = [t.name]
        for name, bound in (("base", t.stereo), ("mono", t.mono)):
            value, n = figure(parts[name], t.measure) if name in parts else (None, 0)
            wanted = "-" if bound is None else f"{'>=' if t.higher else '<='} {bound:g} {t.unit}"
            cells += [wanted.strip(), _shown(value, t.unit, n), met(t, value, bound)]
        cells.insert(4, _shown(*_swap(figure(stereo, t.measure), t.unit)))
        rows.append(cells)
    header = (
        "measure", "target stereo", "base set (n)", "", "all stereo conditions (n)", "target mono",
        "mono (n)", "",
    )  # fmt: skip
    return _table(header, rows)


def _not_met(parts: Mapping[str, Any]) -> list[str]:
    missed = [
        f"{t.name} ({layout})"
        for layout, name in (("stereo", "base"), ("mono", "mono"))
        for t in TARGETS
        if name in parts
        and met(t, figure(parts[name], t.measure)[0], t.stereo if name == "base" else t.mono)
        == "**not met**"
    ]
    return [f"Not met: {', '.join(missed)}." if missed else "All targets are met."]


def _crosstalk_lines(parts: Mapping[str, Any]) -> list[str]:
    if CONTROL not in parts:
        return []
    turns, overlaps = parts[CONTROL]["counts"]["turns"], parts[CONTROL]["counts"]["overlaps"]
    rows = [
        (name, f"{p['counts']['turns'][0] - turns[0]:+g}", f"{p['counts']['overlaps'][0] - overlaps[0]:+g}")
        for name, p in parts.items()
        if name.startswith("crosstalk")
    ]
    return [
        f"Crosstalk must create no turns and no overlaps. Beside the {turns[0]:g} turns and {overlaps[0]:g} overlap "
        "events (interruption, backchannel, other overlap) found without crosstalk:",
        "",
        *_table(("condition", "turns", "overlap events"), rows),
    ]


def _event_table(known: Sequence[Condition], parts: Mapping[str, Any]) -> list[str]:
    header = ("condition", "turn edges", *(k.replace("_", " ") for k in EVENTS), "outcome right",
              "hold length", "dead air length", "rings exact")  # fmt: skip
    rows = []
    for c in known:
        p = parts[c.name]
        counts = p["counts"]
        rows.append([
            c.name, _spread(p, "turn_edges", 0), *(_f1(p, k) for k in EVENTS),
            "{:g} of {:g}".format(*counts["outcome"]), _spread(p, "hold_length", 2),
            _spread(p, "dead_air_length", 2), "{:g} of {:g}".format(*counts["rings"]),
        ])  # fmt: skip
    return _table(header, rows)


def _measure_table(known: Sequence[Condition], parts: Mapping[str, Any]) -> list[str]:
    columns = {
        "speaking_rate": ("rate of a speaker, %", 1), "turn_speaking_rate": ("rate of a turn, %", 1),
        "turn_articulation_rate": ("articulation rate of a turn, %", 1), "level": ("level, dB", 2),
        "pitch_sd": ("pitch variation, st", 2), "talk_ratio": ("talk ratio, points", 1),
        "response_latency": ("median latency, ms", 0),
    }  # fmt: skip
    rows = [
        [_named(c), *(_spread(parts[c.name], m, d) for m, (_, d) in columns.items())] for c in known
    ]
    return _table(("condition", *(title for title, _ in columns.values())), rows)


def _text_table(known: Sequence[Condition], parts: Mapping[str, Any]) -> list[str]:
    rows = []
    for c in known:
        p = parts[c.name]
        cer, n = figure(p, "cer")
        role, _ = figure(p, "role")
        text = "text given" if c.given_text else f"{_shown(cer, '', n)} characters"
        rows.append([
            c.name, text, _shown(figure(p, "der")[0], "%", None),
            "-" if role is None else f"{100 * role:.1f} %", "{:g} of {:g}".format(*p["counts"]["turns"]),
        ])  # fmt: skip
    return _table(
        ("condition", "character error rate", "DER", "role accuracy", "turns found of true"), rows
    )


def _sample_table(samples: Mapping[str, Any]) -> list[str]:
    rows = []
    for t in TARGETS:
        cells = [
            _shown(*_swap(figure(samples[layout], t.measure), t.unit))
            for layout in ("stereo", "mono")
        ]
        if any(cell != "-" for cell in cells):
            rows.append([t.name, *cells])
    stereo, mono = samples["stereo"]["calls"], samples["mono"]["calls"]
    return [
        "Their labels are those that anybody labels by hand: turns without the pauses in them, holds where the music "
        "or the wait begins. Talk ratio therefore differs by a point or two more; the length of a silent hold "
        "is counted from the last word here and from a little later there.",
        "",
        *_table(("measure", f"{stereo} stereo calls (n)", f"{mono} mono call (n)"), rows),
    ]


def _limits(left: Sequence[str]) -> list[str]:
    lines = [
        "## What this does and does not say",
        "",
        "- The base and the mono set are recognised by the model named above. Where the text is given, "
        "rates and events rest on perfect words: those rows say what the condition does to timing, level and pitch.",
        "- Tempo and pitch spread are changed by resynthesis, which itself costs recognition some characters.",
        "- True level: clean tracks before noise, crosstalk and codec. True pitch variation: the program's "
        "own tracker on the clean 16 kHz clips; the tracker alone is measured by `tests/benchmarks/pitch_trackers.py`.",
        "- True pauses inside turns: frames more than 40 dB under the peak of the clip, for 0.18 s and more.",
        "- GSM and AMR code each leg by itself, as a gateway does; Opus and MP3 code both legs in one file.",
        "- n is small for events (8 interruptions, 12 backchannels, 4 holds a condition): one miss moves F1 by several points.",
    ]
    if left:
        lines.append(f"- Not run for this table: {', '.join(left)}.")
    return lines


def _named(condition: Condition) -> str:
    return f"{condition.name} (text given)" if condition.given_text and condition.name != CONTROL else condition.name


def _swap(value_n: tuple[float | None, float], unit: str) -> tuple[float | None, str, float]:
    return value_n[0], unit, value_n[1]


def _shown(value: float | None, unit: str, n: float | None) -> str:
    if value is None:
        return "-"
    decimals = {"": 3, "dB": 2, "st": 2, "s": 2, "%": 1, "points": 1, "ms": 0}[unit]
    text = f"{value:.{decimals}f} {unit}".strip()
    return text if n is None else f"{text} ({n:.0f})"


def _spread(part: Mapping[str, Any], measure: str, decimals: int) -> str:
    errors = np.array(part["errors"].get(measure, []))
    if not errors.size:
        return "-"
    values = (np.median(np.abs(errors)), np.percentile(np.abs(errors), 95))
    shown = " / ".join(f"{v:.{decimals}f}" for v in values)
    missing = part["missing"].get(measure, 0)
    absent = f", {missing} not measured" if missing else ""
    return f"{shown} / {np.mean(errors):+.{decimals}f} ({errors.size}{absent})"


def _f1(part: Mapping[str, Any], kind: str) -> str:
    value, true = figure(part, kind)
    found, _, extra = part["counts"][kind]
    return "-" if value is None else f"{value:.2f} ({found:g} of {true:g}, +{extra:g})"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def small(bench: Bench) -> dict[str, dict[str, Any]]:
    """Run the few calls that stand for the rest: two stereo calls, one with crosstalk, one mono."""
    named = {c.name: c for c in conditions()}
    return {
        "base": bench.run(named["base"], [PLANS[0], PLANS[1]]),
        CONTROL: bench.run(named[CONTROL], PLANS[:1]),
        "crosstalk -25 dB": bench.run(named["crosstalk -25 dB"], PLANS[:1]),
        "mono": bench.run(named["mono"], PLANS[:1]),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Run what is asked for and write it down."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--small", action="store_true", help="the calls of the tests; print only")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="conditions, or samples")
    parser.add_argument("--out", type=Path, default=DOCUMENT)
    options = parser.parse_args(argv)
    names = [*(c.name for c in conditions()), "samples"]
    unknown = [n for n in options.only or () if n not in names]
    if unknown:
        parser.error(f"no condition {', '.join(unknown)}; there are: {', '.join(names)}")
    bench = Bench.load()
    if options.small:
        parts = small(bench)
        known = [c for c in conditions() if c.name in parts]
        print("\n".join([*_target_table(parts, known), "", *_crosstalk_lines(parts)]))
        return
    store = options.out.with_suffix(".json")
    data: dict[str, Any] = {"conditions": {}, "samples": {}}
    if options.only and store.exists():
        data = json.loads(store.read_text(encoding="utf-8"))
    data |= {"weights": dict(bench.models.weights), "cores": os.cpu_count(), "version": _version()}
    for condition in conditions():
        if condition.name in (options.only or names):
            began = time.perf_counter()
            data["conditions"][condition.name] = bench.run(condition)
            print(f"{condition.name}: {time.perf_counter() - began:.0f} s", flush=True)
            _write(options.out, data)
    if "samples" in (options.only or names):
        data["samples"] = {k: bench.run_samples(k == "mono") for k in ("stereo", "mono")}
    _write(options.out, data)


def _version() -> str:
    from pipeline import __version__

    return __version__


def _write(path: Path, data: Mapping[str, Any]) -> None:
    text = json.dumps(data, ensure_ascii=False)
    path.with_suffix(".json").write_text(text + "\n", encoding="utf-8")
    path.write_text(document(data), encoding="utf-8")


if __name__ == "__main__":
    main()
