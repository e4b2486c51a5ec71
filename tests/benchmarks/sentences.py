"""Sentences that nothing has learned from: how well each built-in intent is recognised in them.

    python -m tests.benchmarks.sentences [FILE] [--untuned] [--json]

The file is of the form of ``configs/intents/labelled.tsv``. For each intent all sentences of its speakers are
ranked, but those that show an intent which may or may not include it: average precision, ROC AUC, and
what is found and falsely found at the upper edge of the band of doubt. ``--untuned`` trains all heads
on the encoder as it came, with the same sentences (minutes).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from pipeline.text.intents import IntentReader, embedding, find_embedder
from pipeline.text.intents.definitions import labelled
from pipeline.text.intents.embedding import BUILT_IN
from pipeline.text.intents.heads import heads

SET = Path(__file__).parent / "sentences.tsv"


def main() -> None:
    """Judge all sentences and print the figures by intent, the weakest first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=SET)
    parser.add_argument("--untuned", action="store_true", help="the encoder as it came")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    if given.untuned:
        embedding.tuning_changes, embedding.tuning_digest = dict, lambda: "untuned"
    rows = figures(given.file)
    columns = ("average_precision", "auc", "shown", "found", "false")
    total = {
        c: float(np.mean([r[c] for r in rows.values()]))
        if n < 2
        else sum(r[c] for r in rows.values())
        for n, c in enumerate(columns)
    }
    if given.json:
        print(json.dumps({"intents": rows, "all": total}, indent=1))
        return
    print(f"{'intent':30}" + "".join(f"{c:>19}" for c in columns))
    for name, row in sorted([*rows.items()], key=lambda r: r[1]["average_precision"]):
        print(
            f"{name:30}"
            + "".join(f"{row[c]:19.3f}" if c in columns[:2] else f"{row[c]:19}" for c in columns)
        )
    print(
        f"{'all (mean, sum)':30}"
        + "".join(f"{v:19.3f}" if c in columns[:2] else f"{v:19}" for c, v in total.items())
    )


def figures(file: Path) -> dict[str, dict[str, float]]:
    """Average precision, AUC, and counts at the upper edge of doubt of every intent of a file."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    reader = IntentReader(find_embedder(BUILT_IN))
    definitions = reader.definitions
    sentences = list(labelled(file))
    learned = {told.text for told in definitions.labelled} & {told.text for told in sentences}
    if learned:
        raise SystemExit(
            f"{len(learned)} sentences of {file} have been learned, such as {min(learned)}."
        )
    trained = heads(list(definitions.intents), definitions, reader.embedder)
    found = {}
    for name, one in definitions.intents.items():
        related = definitions.related(name)
        rows = [
            told
            for told in sentences
            if one.by in (told.by, "any")
            and (name in told.shows | told.near or not told.shows & related)
        ]
        shows = np.array([name in told.shows for told in rows])
        if not 0 < shows.sum() < len(shows):
            continue
        texts = [told.text for told in rows]
        chances = trained[name].probabilities(reader.embedder.embed(texts), texts)
        taken = chances >= one.doubt[1]
        found[name] = {
            "average_precision": float(average_precision_score(shows, chances)),
            "auc": float(roc_auc_score(shows, chances)),
            "shown": int(shows.sum()),
            "found": int((taken & shows).sum()),
            "false": int((taken & ~shows).sum()),
        }
    return found


if __name__ == "__main__":
    main()
