"""Fit the probability that a verdict is right, on tuning dialogues made as hard as unseen ones.

A rubric tuned to some dialogues makes no errors on them, so nothing could be learnt there. Each
round the rubric forgets part of its wordings, and words are misheard as recognisers mishear them,
with less confidence; what is then right and wrong is what unseen speech looks like. A logistic
regression with an L2 penalty is fitted to all rounds but one and measured on the one left out.

Words that were recognised have coefficients of their own (``recognised...``), which say nothing of text. With
``--calls`` these are fitted to labelled calls, the others as they are: each a folder of recordings with
truth, and the store that ``callcoach evaluate FOLDER --out STORE`` made of it. Each set is left out once.

    python -m tests.benchmarks.verdict_probability FOLDER... [--rounds 6] [--forget 0.25]
    python -m tests.benchmarks.verdict_probability --calls FOLDER STORE [--calls FOLDER STORE ...]
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.dialogues import Labelled, labelled_dialogues
from pipeline.evaluation.truth import find_truths, parse_truth
from pipeline.rubric import Rubric, annotated, judging, load_rubric
from pipeline.rubric.calibration import FEATURES, ece, fitted, probabilities
from pipeline.rubric.doubt import COEFFICIENTS
from pipeline.rubric.forms import Form
from pipeline.rubric.places import INNER
from pipeline.rubric.speech_rules import Says
from pipeline.schema import Turn
from pipeline.store import Store
from pipeline.text import readings


def main() -> None:
    """Judge, fit, and print coefficients and how well they are calibrated on rounds left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--calls", nargs=2, type=Path, action="append", default=[])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--forget", type=float, default=0.25, help="share of wordings forgotten")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rubric = load_rubric("hotline")
    rubric = replace(rubric, hearing=rubric.hearing.model_copy(update={"min_probability": 0.0}))
    if given.calls:
        fit_recognised(
            [(str(f), row) for f, store in given.calls for row in recognised(f, store, rubric)]
        )
        return
    every = [row for folder in given.folders for row in labelled_dialogues(folder)]
    known = sorted({c for row in every for t in row.dialogue.turns for c in t.text if c.isalpha()})
    rows: list[tuple[int, dict[str, float], bool, str]] = []
    for turn in range(given.rounds):
        chance = random.Random(given.seed + turn)
        partial = forgetful(rubric, given.forget, chance)
        noise = 0.1 * (turn % 3) / 2
        for row in chance.sample(every, len(every) // 2):
            rows += [(turn, *r) for r in judged(misheard(row, noise, known, chance), partial)]
    names = [name for name in rows[0][1] if not name.startswith("recognised")]
    x = np.array([[r[1][n] for n in names] for r in rows])
    y = np.array([r[2] for r in rows], dtype=float)
    rounds = np.array([r[0] for r in rows])
    predicted = np.zeros(len(y))
    for left_out in range(given.rounds):
        inside = rounds != left_out
        weights = fitted(x[inside], y[inside], names)
        predicted[~inside] = probabilities(x[~inside], weights)
    print(f"{len(y)} verdicts, {y.mean():.3f} right; left-out ECE {ece(predicted, y):.3f}")
    for limit in (0.0, 0.5, 0.6, 0.7, 0.8, 0.9):
        kept = predicted >= limit
        fails = kept & np.array([r[3] == "fail" for r in rows])
        print(
            f"at least {limit:.1f}: {kept.mean():.3f} kept, {y[kept].mean():.3f} right;"
            f" fails {fails.sum()}, {y[fails].mean():.3f} right"
        )
    for name, value in zip(names, fitted(x, y, names), strict=True):
        print(f'    "{name}": {value:.3f},')


def recognised(
    folder: Path, store: Path, rubric: Rubric
) -> Iterator[tuple[dict[str, float], bool, str]]:
    """Features, rightness and verdict of every labelled pass or fail of recognised calls."""
    truths = {path.stem: parse_truth(data).compliance for path, data in find_truths(folder)}
    with Store.open(str(store / "callcoach.db")) as opened:
        for call in opened.results():
            expected = truths[Path(call.recording.path).stem]
            dialogue = annotated(call.dialogue(), rubric)
            yield from judged(Labelled(str(folder), dialogue, expected), rubric)


def fit_recognised(rows: list[tuple[str, tuple[dict[str, float], bool, str]]]) -> None:
    """Fit what is added for recognised words to calls, beside the coefficients of text."""
    names = [name for name in FEATURES if name.startswith("recognised")]
    others = [name for name in COEFFICIENTS if name not in names]
    x = np.array([[basis[name] for name in names] for _, (basis, _, _) in rows])
    text = np.array(
        [sum(COEFFICIENTS[name] * basis[name] for name in others) for _, (basis, _, _) in rows]
    )
    beside = np.column_stack([text, x])
    y = np.array([right for _, (_, right, _) in rows], dtype=float)
    fails = np.array([verdict == "fail" for _, (_, _, verdict) in rows])
    sets = np.array([folder for folder, _ in rows])

    def added(own: NDArray[np.bool_]) -> NDArray[np.float64]:
        return fitted(x[own], y[own], names, np.zeros(len(names)), text[own])

    predicted = np.zeros(len(y))
    for left_out in sorted(set(sets)):
        own = sets == left_out
        predicted[own] = probabilities(beside[own], np.array([1.0, *added(~own)]))
        error = ece(predicted[own], y[own])
        print(f"{left_out}: {own.sum()} verdicts, {y[own].mean():.3f} right, ECE {error:.3f}")
    before = probabilities(text[:, None], np.ones(1))
    for called, own in (("all", y >= 0), ("fails", fails), ("passes", ~fails)):
        print(
            f"{called}: {own.sum()}, {y[own].mean():.3f} right; ECE as of text {ece(before[own], y[own]):.3f},"
            f" each set left out {ece(predicted[own], y[own]):.3f}"
        )
    for name, value in zip(names, added(y >= 0), strict=True):
        print(f'    "{name}": {value:.3f},')


def forgetful(rubric: Rubric, share: float, chance: random.Random) -> Rubric:
    """The rubric without a random share of the wordings of every rule with several."""

    def less(at: Any) -> Any:
        if isinstance(at, tuple):
            return tuple(less(part) for part in at)
        if isinstance(at, Says) and len(at.phrases) > 2:
            kept = tuple(p for p in at.phrases if chance.random() >= share)
            return at.model_copy(update={at.mode: kept or at.phrases[:1]})
        if not isinstance(at, Form):
            return at
        names = [n for n in type(at).model_fields if n in INNER]
        return at.model_copy(update={n: less(getattr(at, n)) for n in names}) if names else at

    items = tuple(
        i.model_copy(update={n: less(getattr(i, n)) for n in ("when", "passes", "fails")})
        for i in rubric.items
    )
    return replace(rubric, items=items)


def misheard(row: Labelled, noise: float, known: list[str], chance: random.Random) -> Labelled:
    """The dialogue with a share of its characters misheard, and less confidence in those turns."""
    by_sound: dict[str, list[str]] = {}
    for character in known:
        for sound in readings(character):
            by_sound.setdefault(sound, []).append(character)

    def heard(turn: Turn) -> Turn:
        rate = noise * chance.random() * 2
        text = ""
        for c in turn.text:
            if not c.isalpha() or chance.random() >= rate:
                text += c
                continue
            alike = by_sound.get((readings(c) or ("",))[0], [c])
            text += chance.choice(alike) if chance.random() < 0.6 else chance.choice([*known, ""])
        confidence = min(turn.confidence, 0.95 - 2.0 * rate + chance.gauss(0.0, 0.03))
        return replace(turn, text=text, confidence=max(0.05, min(0.99, confidence)))

    turns = tuple(heard(t) for t in row.dialogue.turns) if noise else row.dialogue.turns
    return replace(row, dialogue=replace(row.dialogue, turns=turns))


def judged(row: Labelled, rubric: Rubric) -> Iterator[tuple[dict[str, float], bool, str]]:
    """Features, rightness and verdict of every labelled pass or fail."""
    for name in (i for i in row.expected if rubric.item(i)):
        found = judging.trace(row.dialogue, rubric, [name])[0]
        verdict = found.verdict.verdict
        if verdict in ("pass", "fail"):
            yield dict(found.basis), verdict == row.expected[name], verdict


if __name__ == "__main__":
    main()
