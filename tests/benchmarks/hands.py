"""Verdicts on labelled dialogues, by the hand that wrote them, and how often triggers are recognised.

A change that was chosen on the dialogues of one hand is measured on those of another, so that what
is gained is meaning and not wordings. A folder holds labelled dialogues (``*.yaml``) or labelled calls
(``*.truth.json``), whose true words are judged; items that rest on the sound alone are left out there.

    python -m tests.benchmarks.hands FOLDER... [--rubric hotline] [--unseen] [--wrong] [--coverage]

``--coverage`` prints how many passes and fails stay under a higher ``compliance.min_probability``, and how
many of them are right. With ``--unseen`` the intents learn from no sentence of the folder that is judged: what
its author would get at first sight, as far as intents go; phrases and thresholds stay as they are.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.evaluation.dialogues import Agreement, Labelled, agreement_with, labelled_dialogues
from pipeline.evaluation.truth import LABELS
from pipeline.rubric import load_rubric
from pipeline.rubric.calibration import ece
from pipeline.schema import AGENT, CUSTOMER, Dialogue, Event, Recording, Turn
from pipeline.text import count_units, simplify
from pipeline.text.intents import IntentReader
from pipeline.text.intents.reading import parts_of

_BY_SOUND = ("voice", "turn_taking")  # sections
LEAST = (0.35, 0.7, 0.8, 0.9, 0.95)
_SURE = 0.95  # confidence of true words


def main() -> None:
    """Judge every hand and print its figures, then the triggers by item."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--rubric", default="hotline")
    parser.add_argument("--unseen", action="store_true", help="teach no sentence of the folder")
    parser.add_argument("--wrong", action="store_true", help="print every label that is not met")
    parser.add_argument("--coverage", action="store_true", help="print risk by coverage")
    given = parser.parse_args()
    rubric = load_rubric(given.rubric)
    by_sound = {i.id for i in rubric.items if i.section in _BY_SOUND}
    found: dict[str, Agreement] = {}
    for folder in given.folders:
        calls = sorted(folder.glob("*.truth.json"))
        rows = list((told(c, by_sound) for c in calls) if calls else labelled_dialogues(folder))
        if given.unseen:
            rubric = load_rubric(given.rubric, meaning=not_taught(rows))
        found[str(folder)] = agreement_with(rubric, rows)
    print(f"{'hand':42} {'labels':>6} {'right':>6} | fails given  prec  found    F1 | doubt   ECE")
    for hand, one in found.items():
        print(f"{hand[-42:]:42} {figures(one)}")
    print(
        "\ntriggers recognised, in doubt, missed of those that happened; false of those that did not"
    )
    for item in (i.id for i in rubric.items if i.when is not None or i.applies is not None):
        cells = [f"{triggers(one.of_item(item)):>18}" for one in found.values()]
        if any(one.of_item(item).labels for one in found.values()):
            print(f"{item:28}" + "".join(cells))
    for hand, one in found.items() if given.coverage else ():
        print(f"\n{hand}: least probability, verdicts given, right; fails given, right")
        print("\n".join(coverage(one)))
    for hand, one in found.items() if given.wrong else ():
        print(f"\n{hand}")
        print("\n".join(list(one.lines())[3:]))


def not_taught(rows: Sequence[Labelled]) -> IntentReader:
    """A reader whose heads have learned from no sentence of some dialogues."""
    said = {part for r in rows for t in r.dialogue.turns for _, _, part in parts_of(t.text)}
    reader = IntentReader()
    heard = {
        name: tuple(row for row in taught if row[0] not in said)
        for name, taught in reader.definitions.heard.items()
    }
    reader.definitions = replace(reader.definitions, heard=heard)
    return reader


def figures(found: Agreement) -> str:
    """One row: share right, fails given, their precision, recall and F1, doubts, ECE."""
    labels = found.labels
    fails = sum(x.got.verdict == "fail" for x in labels)
    doubts = sum(x.got.verdict == "cannot_tell" and not x.right for x in labels)
    rated = [(x.got.probability, x.right) for x in labels if x.got.probability is not None]
    error = ece(np.array([p for p, _ in rated]), np.array([r for _, r in rated], float))
    shares = (found.fail_precision, found.fail_recall, found.fail_f1)
    three = " ".join("     -" if s is None else f"{s:6.3f}" for s in shares)
    return (
        f"{len(labels):6} {found.accuracy or 0:6.3f} | {fails:11} {three} | {doubts:5} {error:6.3f}"
    )


def coverage(found: Agreement) -> Iterator[str]:
    """Rows of least probability: share of passes and fails given, of them right; the same of fails."""
    rated = [x for x in found.labels if x.got.probability is not None]
    for least in LEAST:
        given = [x for x in rated if (x.got.probability or 0) >= least]
        fails = [x.right for x in given if x.got.verdict == "fail"]
        yield (
            f"{least:4} {len(given) / len(rated):6.1%} {np.mean([x.right for x in given]):6.1%}"
            f" {len(fails):4} {np.mean(fails):6.1%}"
        )


def triggers(found: Agreement) -> str:
    """Counts of one item: recognised + in doubt + missed, and false triggers."""
    happened = Counter(
        x.got.verdict for x in found.labels if x.expected in ("pass", "fail")
    )  # fmt: skip
    absent = [x for x in found.labels if x.expected == "not_applicable"]
    false = sum(x.got.verdict in ("pass", "fail") for x in absent)
    seen = happened["pass"] + happened["fail"]
    return f"{seen}+{happened['cannot_tell']}+{happened['not_applicable']}, {false}/{len(absent)}"


def told(file: Path, left_out: set[str]) -> Labelled:
    """A labelled call as a dialogue of its true words and events."""
    truth: dict[str, Any] = json.loads(file.read_text("utf-8"))
    who = {"A": AGENT, "C": CUSTOMER}
    listening = {(b["speaker"], b["start"]) for b in truth["backchannels"]}
    turns = tuple(
        Turn(
            i, who[t["speaker"]], t["start"], t["end"], ((t["start"], t["end"]),),
            simplify(t["text"]), (), _SURE, units=count_units(t["text"]),
            is_backchannel=bool(t.get("backchannel")) or (t["speaker"], t["start"]) in listening,
        )
        for i, t in enumerate(sorted(truth["turns"], key=lambda t: float(t["start"])))
    )  # fmt: skip
    events = tuple(_events(truth, who))
    meta = truth["meta"]
    recording = Recording(
        truth["call_id"], file.name, direction=meta.get("direction"), started_at=meta.get("date")
    )
    expected = {
        k: v for k, v in truth["compliance"].items() if k not in left_out and v in LABELS
    }  # fmt: skip
    return Labelled(file.stem, Dialogue(recording, truth["duration"], turns, events, {}), expected)


def _events(truth: dict[str, Any], who: dict[str, Any]) -> Iterator[Event]:
    for h in truth["holds"]:
        detail = {"medium": h["kind"], "announced": h["announced"]}
        yield Event("hold", h["start"], h["end"], AGENT, detail)
    for cut in truth["interruptions"]:
        end = cut["at"] + cut["overlap_s"]
        yield Event("interruption", cut["at"], end, who[cut["by"]], {"yielded": cut["successful"]})


if __name__ == "__main__":
    main()
