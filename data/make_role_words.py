"""Weigh words by who says them, agents or customers; writes configs/lexicons/roles.tsv.

    pip install scikit-learn
    python data/make_role_words.py tests/dialogues

Characters, and two in a row, in the turns of dialogues that are written down are the features of a logistic
regression (L1, so that few are left). ``SCALE`` makes allowance for words that are misheard. Dialogues that
figures are reported of are left out by ``--without``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression

from pipeline.io.yaml import read_yaml
from pipeline.schema import AGENT, SPEAKERS
from pipeline.settings import ROLES, config_path
from pipeline.text import normalise_for_cer

STRENGTH, LEAST_TURNS, LEAST_WEIGHT, SCALE = 0.2, 6, 0.05, 0.7


def turns(folder: Path, without: str) -> Iterator[tuple[str, str]]:
    """Speaker and text of each turn of the dialogues in a folder."""
    for path in sorted(folder.rglob("*.yaml")):
        if without not in path.parts:
            for dialogue in read_yaml(path.read_text("utf-8")):
                yield from ((t[0], t[1]) for t in dialogue["turns"] if t[0] in SPEAKERS)


def main() -> None:
    """Fit and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="dialogues, as in tests/dialogues")
    parser.add_argument("--without", default="eighth_hand")
    options = parser.parse_args()
    said = list(turns(options.folder, options.without))
    words = CountVectorizer(
        analyzer="char", ngram_range=(1, 2), min_df=LEAST_TURNS, binary=True, lowercase=False
    )
    found = words.fit_transform([normalise_for_cer(text) for _, text in said])
    model = LogisticRegression(C=STRENGTH, penalty="l1", solver="liblinear", random_state=0)
    model.fit(found, np.array([who == AGENT for who, _ in said]))
    weights = dict(zip(words.get_feature_names_out(), model.coef_[0], strict=True))
    kept = {w: x for w, x in sorted(weights.items(), key=lambda p: p[1]) if abs(x) > LEAST_WEIGHT}
    lines = ["# Log-odds that a turn with this word is the agent's; without a word: of any turn."]
    lines += [f"{word}\t{SCALE * x:.2f}" for word, x in {"": model.intercept_[0], **kept}.items()]
    config_path("lexicons/hotline.yaml").with_name(Path(ROLES).name).write_text(
        "\n".join(lines) + "\n", "utf-8"
    )


if __name__ == "__main__":
    main()
