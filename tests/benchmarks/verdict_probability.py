"""Fit the probability that a verdict is right to verdicts that were given at first sight.

A rubric that was repaired against some calls makes hardly an error on them, so nothing can be learnt
there. ``first_sight.csv`` keeps what the passes and fails of every newer set rested on, and whether they
were right, when the program saw the set for the first time. A logistic regression with an L2 penalty is
fitted to all of them, rows of calls counting twice, with an offset for the fails of each item, its record;
each set is left out once, so that it is measured on verdicts it was not fitted to.

    python -m tests.benchmarks.verdict_probability [--least 0.77] [--write]
    python -m tests.benchmarks.verdict_probability --add SET FOLDER [--store STORE]

``--add`` judges a set that nothing was repaired against and adds its rows: a folder of labelled dialogues,
or of calls with truth and the store that ``callcoach evaluate FOLDER --out STORE`` made of them.
``--write`` writes the records into the rubric; the coefficients belong into ``pipeline/rubric/doubt.py``.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Iterator, Mapping
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
from pipeline.settings import config_folder
from pipeline.store import Store

TABLE = Path(__file__).with_name("first_sight.csv")
NAMES = tuple(name for name in COEFFICIENTS if name != "record")
LEAST_RECORD = 0.05  # logits; less is not written
HEAD = ("set", "recognised", "item", "verdict", "right", *NAMES[1:])


class Given(NamedTuple):
    """Verdicts at first sight: one row a pass or fail; ``x`` has a column for every coefficient."""

    sets: NDArray[np.str_]
    items: NDArray[np.str_]
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
    parser.add_argument("--write", action="store_true")
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
        predicted[own] = fit(given, ~own).probabilities(given, own)
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
    found = fit(given)
    for name, value in zip(NAMES, found.weights, strict=True):
        print(f'    "{name}": {value:.3f},')
    for item, value in found.records.items():
        print(f"{item}: {value:.2f}")
    if options.write:
        write(found.records)


class Fit(NamedTuple):
    """Coefficients in the order of ``NAMES``, and the record of each item in logits."""

    weights: NDArray[np.float64]
    records: dict[str, float]

    def probabilities(self, given: Given, rows: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Probabilities that some verdicts are right."""
        of_item = np.array([self.records.get(item, 0.0) for item in given.items[rows].tolist()])
        x = np.column_stack([given.x[rows], of_item * given.fails[rows]])
        return probabilities(x, np.append(self.weights, 1.0))


def fit(given: Given, rows: NDArray[np.bool_] | None = None) -> Fit:
    """Fit coefficients and records to some rows, to all by default."""
    rows = np.ones(len(given.right), dtype=bool) if rows is None else rows
    items = sorted(set(given.items[given.fails].tolist()))
    of_item = (given.items[:, None] == np.array(items)) & given.fails[:, None]
    x, right = np.hstack([given.x, of_item])[rows], given.right[rows]
    twice = given.recognised[rows]
    found = fitted(
        np.vstack([x, x[twice]]), np.concatenate([right, right[twice]]), (*NAMES, *items)
    )
    records = dict(zip(items, found[len(NAMES) :].tolist(), strict=True))
    return Fit(found[: len(NAMES)], records)


def write(records: Mapping[str, float]) -> None:
    """Write the records of the items into the files of the built-in rubric."""
    for file in sorted((config_folder() / "rubrics" / "hotline").glob("*.yaml")):
        lines, item = [], ""
        for line in file.read_text("utf-8").splitlines():
            begins = re.fullmatch(r"  (\w+):", line)
            item = begins[1] if begins else item
            if re.fullmatch(r"    record: .*", line):
                continue
            lines.append(line)
            value = round(records.get(item, 0.0), 2)
            if re.match(r"    section: ", line) and abs(value) >= LEAST_RECORD:
                lines.append(f"    record: {value}")
        file.write_text("\n".join(lines) + "\n", "utf-8")


def read(table: Path = TABLE) -> Given:
    """Read the verdicts that were given at first sight."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return Given(
        np.array([row["set"] for row in rows]),
        np.array([row["item"] for row in rows]),
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
