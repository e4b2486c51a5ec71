"""Verdicts on labelled calls whose sound was made worse: codecs, noise, crosstalk, clipping, level, loss.

    python -m tests.benchmarks.hard_variants CALL.wav... --out DIR [--variants NAME...]

Each variant changes one thing of the recordings and nothing of their truth. Prints a table row a variant. DIR
keeps recordings and store: with the same DIR calls are judged again and nothing is recognised.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import soundfile

from pipeline.commands.jobs import evaluate
from pipeline.evaluation import CallEvaluation, evaluate_call, find_truths
from pipeline.evaluation.texts import TextErrors
from pipeline.evaluation.verdicts import count_verdicts
from pipeline.judgement import judge_again
from pipeline.rubric import load_rubric
from pipeline.settings import config_path, load_settings
from pipeline.signal.level import active_speech_level
from pipeline.store import Store
from tests.benchmarks.corpus import ROOT, Array, coded_leg

sys.path.insert(0, str(ROOT / "data"))

from signals import from_db, telephone_band

FRAME_S, LOST = 0.020, 0.05
SUFFIX = ".truth.json"
HEAD = (
    "| variant | verdicts | right | fails shown | of them right | cannot tell | character errors |"
)


def noisy(snr_db: float) -> Callable[[Array, int], Array]:
    """White noise in the telephone band, so far below the active speech level of each channel."""

    def add(samples: Array, rate: int) -> Array:
        rng = np.random.default_rng(1)
        out = samples.copy()
        for leg in out.T:
            noise = telephone_band(rng.standard_normal(len(leg)))
            level, _ = active_speech_level(leg, rate)
            leg += noise / noise.std() * from_db(level - snr_db if np.isfinite(level) else -90.0)
        return out

    return add


def lossy(samples: Array, rate: int) -> Array:
    """Frames of 20 ms lost at random from every leg, silence in their place."""
    rng, step = np.random.default_rng(1), round(FRAME_S * rate)
    out = samples.copy()
    for leg in out.T:
        for at in np.flatnonzero(rng.random(len(leg) // step) < LOST):
            leg[at * step : (at + 1) * step] = 0.0
    return out


VARIANTS: Mapping[str, Callable[[Array, int], Array]] = {
    "as recorded (G.711)": lambda samples, rate: samples,
    "GSM 06.10": lambda samples, rate: np.stack([coded_leg(s, "gsm") for s in samples.T], axis=1),
    "AMR-NB": lambda samples, rate: np.stack([coded_leg(s, "amr") for s in samples.T], axis=1),
    "SNR 20 dB": noisy(20.0),
    "SNR 10 dB": noisy(10.0),
    "crosstalk -20 dB": lambda samples, rate: samples + from_db(-20.0) * samples[:, ::-1],
    "clipped +12 dB": lambda samples, rate: from_db(12.0) * samples,
    "level -30 dB": lambda samples, rate: from_db(-30.0) * samples,
    "5 % of packets lost": lossy,
    "identical channels": lambda samples, rate: np.repeat(samples.mean(1, keepdims=True), 2, 1),
}
"""What is done to samples of shape (n, channels); mono recordings have no crosstalk."""


def make(call: Path, name: str, number: int, out: Path) -> dict[str, str]:
    """Write one variant of a recording beside its truth; give its row of metadata."""
    samples, rate = soundfile.read(call, dtype="float64", always_2d=True)
    changed = np.clip(VARIANTS[name](samples, rate), -1.0, 1.0)
    path = out / f"{call.stem}_{number}.wav"
    soundfile.write(path, changed, rate, subtype="ULAW")
    truth = json.loads(call.with_suffix(SUFFIX).read_text("utf-8")) | {"call_id": path.stem}
    path.with_suffix(SUFFIX).write_text(json.dumps(truth, ensure_ascii=False), "utf-8")
    known = [r for t in call.parent.glob("*.csv") for r in csv.DictReader(t.open(encoding="utf-8"))]
    row = next((r for r in known if r.get("recording") == call.name), {})
    return row | {"recording": path.name, "call_id": path.stem}


def cells(name: str, calls: Sequence[CallEvaluation]) -> str:
    """One row of the table."""
    counts = count_verdicts([j for c in calls for j in c.verdicts])
    text = sum((e for c in calls for e in c.text.values()), start=TextErrors())
    fails = counts.true_fail + counts.false_fail
    undecided = counts.cannot_tell / max(counts.n, 1)
    return (
        f"| {name} | {counts.n} | {counts.accuracy or 0:.1%} | {fails} | {counts.precision or 0:.1%} "
        f"| {undecided:.1%} | {text.cer or 0:.1%} |"
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Make what is missing, analyse what is new, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("calls", nargs="+", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--workers", type=int, default=1, help="processes that recognise")
    options = parser.parse_args(argv)
    options.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, str]] = []
    variant_of: dict[str, str] = {}
    for number, name in enumerate(VARIANTS):
        for call in options.calls if name in options.variants else ():
            if name.startswith("crosstalk") and soundfile.info(call).channels < 2:
                continue
            rows.append(make(call, name, number, options.out))
            variant_of[rows[-1]["call_id"]] = name
    manifest = options.out / "manifest.csv"
    with manifest.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, sorted({k for r in rows for k in r}), restval="")
        table.writeheader()
        table.writerows(rows)
    settings = load_settings(overrides={"run.workers": options.workers})
    with contextlib.redirect_stdout(io.StringIO()):
        evaluate(options.out, settings, metadata=str(manifest), out=options.out, baseline=None)
    rubric = load_rubric(config_path(settings.compliance.rubric))
    found: dict[str, list[CallEvaluation]] = {name: [] for name in options.variants}
    with Store.open(str(options.out / "callcoach.db")) as store:
        for path, truth in find_truths(options.out):
            if path.stem in variant_of:
                call = store.load(path.stem)
                call = judge_again(call, call.recording, settings, rubric)
                found[variant_of[path.stem]].append(evaluate_call(call, truth))
    print(HEAD + "\n|---|---|---|---|---|---|---|")
    for name, calls in found.items():
        print(cells(name, calls))
    print(cells("all but as recorded", [c for n in found if "G.711" not in n for c in found[n]]))


if __name__ == "__main__":
    main()
