"""Fit the probability that a verdict is right to verdicts that were given at first sight.

A rubric that was repaired against some calls makes hardly an error on them, so nothing can be learnt
there. ``first_sight.csv`` keeps what the passes and fails of every newer set rested on, and whether they
were right, when the program saw the set for the first time. A logistic regression with an L2 penalty is
fitted to all of them; each set is left out once, so that it is measured on verdicts it was not fitted to.

    python -m tests.benchmarks.verdict_probability [--least 0.77]
    python -m tests.benchmarks.verdict_probability --add SET FOLDER [--store STORE]

``--add`` judges a set that nothing was repaired against and adds its rows: a folder of labelled dialogues,
or of calls with truth and the store that ``callcoach evaluate FOLDER --out STORE`` made of them.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.dialogues import Labelled, labelled_dialogues
from pipeline.evaluation.truth import find_truths, parse_truth
from pipeline.rubric import annotated, judging, load_rubric
from pipeline.rubric.calibration import ece, fitted, probabilities
from pipeline.rubric.doubt import COEFFICIENTS
from pipeline.store import Store

TABLE = Path(__file__).with_name("first_sight.csv")
NAMES = tuple(COEFFICIENTS)
HEAD = ("set", "recognised", "item", "verdict", "right", *NAMES[1:])


class Given(NamedTuple):
    """Verdicts at first sight: one row a pass or fail; ``x`` has a column for every coefficient."""

    sets: NDArray[np.str_]
    recognised: NDArray[np.bool_]
    fails: NDArray[np.bool_]
    right: NDArray[np.float64]
    x: NDArray[np.float64]


def main() -> None:
    """Print how well probabilities and shown fails hold on sets left out, and the coefficients."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--least", type=float, default=0.77, help="a less likely fail is not shown")
    parser.add_argument("--add", nargs=2, metavar=("SET", "FOLDER"))
    parser.add_argument("--store", type=Path)
    options = parser.parse_args()
    if options.add:
        name, folder = options.add
        rows = list(judged(name, Path(folder), options.store))
        with TABLE.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)
    given = read()
    predicted = np.zeros(len(given.right))
    names = sorted(set(given.sets.tolist()))
    for name in names:
        own = given.sets == name
        predicted[own] = probabilities(
            given.x[own], fitted(given.x[~own], given.right[~own], NAMES)
        )
    print("| set left out | right | ECE | ECE of fails | fails right | of them as likely |")
    print("|---|---|---|---|---|---|")
    groups = {name: given.sets == name for name in names}
    groups |= {"calls": given.recognised, "dialogues": ~given.recognised}
    for name, own in groups.items():
        fails = own & given.fails
        shown = fails & (predicted >= options.least)
        print(
            f"| {name} | {given.right[own].mean():.1%} of {own.sum()}"
            f" | {ece(predicted[own], given.right[own]):.3f}"
            f" | {ece(predicted[fails], given.right[fails]):.3f}"
            f" | {given.right[fails].sum():.0f} of {fails.sum()}"
            f" | {given.right[shown].sum():.0f} of {shown.sum()} |"
        )
    for name, value in zip(NAMES, fitted(given.x, given.right, NAMES), strict=True):
        print(f'    "{name}": {value:.3f},')


def read(table: Path = TABLE) -> Given:
    """Read the verdicts that were given at first sight."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return Given(
        np.array([row["set"] for row in rows]),
        np.array([row["recognised"] == "1" for row in rows]),
        np.array([row["verdict"] == "fail" for row in rows]),
        np.array([float(row["right"]) for row in rows]),
        np.array([[1.0, *(float(row[name]) for name in NAMES[1:])] for row in rows]),
    )


def judged(name: str, folder: Path, store: Path | None) -> Iterator[list[object]]:
    """A row of the table for every labelled pass or fail of a set."""
    rubric = load_rubric("hotline")
    free = {"min_probability": 0.0, "min_fail_probability": 0.0}
    rubric = replace(rubric, hearing=rubric.hearing.model_copy(update=free))
    for row in labelled_dialogues(folder) if store is None else labelled_calls(folder, store):
        known = [item for item in row.expected if any(item == i.id for i in rubric.items)]
        found = judging.trace(annotated(row.dialogue, rubric), rubric, known) if known else ()
        for one in found:
            given = one.verdict.verdict
            if given in ("pass", "fail"):
                right = int(given == row.expected[one.item_id])
                basis = [round(one.basis[key], 3) for key in NAMES[1:]]
                yield [name, int(store is not None), one.item_id, given, right, *basis]


def labelled_calls(folder: Path, store: Path) -> Iterator[Labelled]:
    """Recognised calls with the labels of their truth."""
    truths = {path.stem: parse_truth(data).compliance for path, data in find_truths(folder)}
    with Store.open(str(store / "callcoach.db")) as opened:
        for call in opened.results():
            expected = truths[Path(call.recording.path).stem]
            yield Labelled(str(folder), call.dialogue(), expected)


if __name__ == "__main__":
    main()
