"""How plausible a text is as a row of known words, which words of its sound are likelier, loops.

The words of a text are those of its most probable division, each with its share of all words that were
counted (``configs/lexicons/words.txt.gz``, one word and its count a line). This tells 逐渐减弱 from
主见减弱, which sound alike. Small recognisers hear the syllables and write others of the same sound:
where a known word sounds as what was written, and is so much likelier that it outweighs how sure the
recogniser was, it is written. How likely a word is there depends on the one before it
(``configs/lexicons/pairs.npz``), as far as the two were counted together.

Conventions: natural logarithms; texts are compared in the form of :func:`normalise_for_cer`; sounds are
toneless syllables.

References
----------
H. Ney, U. Essen and R. Kneser, "On structuring probabilistic dependences in stochastic language
modelling", Computer Speech and Language 8, 1994 (absolute discounting).
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import product
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import SettingsError, one_line
from pipeline.text.script import normalise_for_cer
from pipeline.text.sounds import readings, syllables

LONGEST = 8  # characters of a word
NATS_PER_CHARACTER = 6.0  # what a character costs on the average, so that short is not better
MAX_COMPRESSION = 2.4  # over this a text repeats itself
FOREIGN = re.compile("[a-z0-9]+")
LONGEST_HEARD = 4  # characters of a word that is written for others of its sound
LEAST_COST = 0.3  # nats; so much a word must be likelier, however unsure what was heard
EDGE = "|"  # the word before the first and after the last
DISCOUNT = 0.75  # taken from the count of every pair, for those that were never counted
SINGLES = 8  # characters of a sound, the most frequent, that may be written for another
SINGLE_COST = 1.0  # nats, beside what every other character costs
ROWS = 24  # most probable last words that are kept at every character
REMEMBERED = 200_000  # probabilities
# Numbers and names are never words: they are what was heard.
KEPT = re.compile(
    "[零一二三四五六七八九十百千万亿两点]|(?<=姓)..?|(?<=我叫)..?.?|(?<=小).|.{1,3}(?=先[生省升]|女士|小姐)"
)


class WordPairs:
    """How often words follow each other.

    Parameters
    ----------
    words : sequence of str
    keys : array of shape (n,), int64
        Of each pair, the place of the first word in ``words`` times their number, and that of the
        second; ascending.
    counts : array of shape (n,)
    """

    def __init__(
        self, words: Sequence[str], keys: NDArray[np.int64], counts: NDArray[np.integer]
    ) -> None:
        self._place = {word: i for i, word in enumerate(words)}
        self._keys, self._counts = keys, counts
        first = keys // len(words)
        self._all = np.bincount(first, counts, len(words))
        self._kinds = np.bincount(first, minlength=len(words))

    @classmethod
    def load(cls, path: Path) -> WordPairs:
        """Read what ``data/make_word_pairs.py`` writes.

        Raises
        ------
        SettingsError
            If the file holds anything else.
        """
        try:
            with np.load(path) as file:
                words = bytes(file["words"]).decode().split("\n")
                return cls(words, np.cumsum(file["steps"], dtype=np.int64), file["counts"])
        except (OSError, ValueError, KeyError, BadZipFile) as cause:
            raise SettingsError(
                f"The pairs of words {path} cannot be read: {one_line(cause)}",
                "It must be as data/make_word_pairs.py writes it.",
            ) from cause

    def logprob(self, before: str, word: str, alone: float) -> float:
        """Log probability of a word after another, from its own where they were not counted."""
        first = self._place.get(before)
        if first is None or not self._all[first]:
            return alone
        seen = 0.0
        if (second := self._place.get(word)) is not None:
            key = first * len(self._place) + second
            at = int(self._keys.searchsorted(key))
            if at < self._keys.size and self._keys[at] == key:
                seen = max(float(self._counts[at]) - DISCOUNT, 0.0)
        spared = DISCOUNT * float(self._kinds[first]) * math.exp(alone)
        return math.log((seen + spared) / float(self._all[first]))


class WordModel:
    """Counts of words; a text is as plausible as its most probable division into them."""

    def __init__(self, counts: Mapping[str, int], pairs: WordPairs | None = None) -> None:
        total = math.log(sum(counts.values()) or 1)
        self._logprob = {word: math.log(count) - total for word, count in counts.items()}
        self._unknown = -total
        self._pairs = pairs
        self._after = lru_cache(REMEMBERED)(self._weighed)

    @classmethod
    def load(cls, path: Path, pairs: Path | None = None) -> WordModel:
        """Read a gzipped list of words and counts, and pairs of words.

        Raises
        ------
        SettingsError
            If a file holds anything else.
        """
        try:
            with gzip.open(path, "rt", encoding="utf-8") as file:
                counts = {w: int(n) for w, n in (line.split() for line in file)}
        except (OSError, EOFError, ValueError, zlib.error) as cause:
            raise SettingsError(
                f"The list of words {path} cannot be read: {one_line(cause)}",
                "It must be gzipped, one word and its count a line.",
            ) from cause
        return cls(counts, None if pairs is None else WordPairs.load(pairs))

    def divided(self, text: str) -> list[str]:
        """Words of the most probable division of a text, each by itself.

        >>> WordModel({"逐渐": 90, "减弱": 50, "的": 5000}).divided("逐渐减弱")
        ['逐渐', '减弱']
        """
        best: list[tuple[float, int]] = [(0.0, 0)]
        for end in range(1, len(text) + 1):
            ways = [(best[end - 1][0] + self._logprob.get(text[end - 1], self._unknown), end - 1)]
            ways += [
                (best[start][0] + self._logprob[text[start:end]], start)
                for start in range(max(0, end - LONGEST), end - 1)
                if text[start:end] in self._logprob
            ]
            best.append(max(ways))
        words, end = [], len(text)
        while end:
            words.append(text[best[end][1] : end])
            end = best[end][1]
        return words[::-1]

    def plausibility(self, text: str) -> float:
        """Log probability of the words, in nats over what the same number of characters costs.

        A run of Latin letters counts as one unknown word of one character.

        >>> words = WordModel({"逐渐": 90, "减弱": 50, "主见": 9, "的": 5000})
        >>> words.plausibility("逐渐减弱") > words.plausibility("主见减弱")
        True
        """
        plain = FOREIGN.sub("\ufffc", normalise_for_cer(text))
        best = [0.0]
        for end in range(1, len(plain) + 1):
            one = best[end - 1] + self._logprob.get(plain[end - 1], self._unknown)
            known = (
                best[start] + self._logprob[plain[start:end]]
                for start in range(max(0, end - LONGEST), end - 1)
                if plain[start:end] in self._logprob
            )
            best.append(max([one, *known]))
        return best[-1] + NATS_PER_CHARACTER * len(plain)

    def corrected(self, text: str, sure: Sequence[float], cost: float) -> str:
        """Write words for others of the same sound where that is much more plausible; same length.

        Parameters
        ----------
        text : str
            Han characters only.
        sure : sequence of float
            Of each, how probable it is to be right (0-1).
        cost : float
            Nats that every other character costs, beside the log odds of the one that was heard.

        >>> words = WordModel({"逐渐": 900, "减弱": 500, "主见": 2, "的": 5000})
        >>> words.corrected("主见减弱", [0.6] * 4, 2.0), words.corrected("主见减弱", [0.99] * 4, 2.0)
        ('逐渐减弱', '主见减弱')
        """
        costs = [max(cost + math.log(max(p, 1e-3) / max(1 - p, 1e-2)), LEAST_COST) for p in sure]
        for kept in KEPT.finditer(text):
            costs[kept.start() : kept.end()] = [math.inf] * (kept.end() - kept.start())
        sounds = syllables(text)
        rows: list[dict[str, tuple[float, str]]] = [{EDGE: (0.0, "")}]
        for end in range(1, len(text) + 1):
            best: dict[str, tuple[float, str]] = {}
            for start in range(max(0, end - LONGEST), end):
                heard = text[start:end]
                ways = [(heard, 0.0)] if end - start == 1 or heard in self._logprob else []
                for word in self._by_sound.get(tuple(sounds[start:end]), ()):
                    pairs = zip(costs[start:end], heard, word, strict=True)
                    paid = sum(one for one, a, b in pairs if a != b)
                    if 0.0 < paid < math.inf:
                        ways.append((word, paid + (SINGLE_COST if len(word) == 1 else 0.0)))
                for word, paid in ways:
                    way = max(
                        (score + self._after(before, word) - paid, done + word)
                        for before, (score, done) in rows[start].items()
                    )
                    best[word] = max(way, best.get(word, way))
            rows.append(dict(sorted(best.items(), key=lambda row: row[1], reverse=True)[:ROWS]))
        return max(
            (score + self._after(before, EDGE), done) for before, (score, done) in rows[-1].items()
        )[1]

    def _weighed(self, before: str, word: str) -> float:
        """Log probability of a word after another, as far as pairs are known."""
        alone = self._logprob.get(word, self._unknown)
        return alone if self._pairs is None else self._pairs.logprob(before, word, alone)

    @cached_property
    def _by_sound(self) -> dict[tuple[str, ...], list[str]]:
        """Words up to ``LONGEST_HEARD`` characters by their syllables, the most frequent first.

        Single characters are told by what stands beside them alone, from pairs.
        """
        found: dict[tuple[str, ...], list[str]] = {}
        for word in sorted(self._logprob, key=self._logprob.__getitem__, reverse=True):
            if (1 if self._pairs else 2) <= len(word) <= LONGEST_HEARD:
                for sounds in product(*map(readings, word)):
                    own = found.setdefault(sounds, [])
                    if len(word) > 1 or len(own) < SINGLES:
                        own.append(word)
        return found


def repeats_itself(text: str) -> bool:
    """Whether a text goes round in circles, told by how well it compresses.

    >>> repeats_itself("您好，请讲。"), repeats_itself("您好，" * 30)
    (False, True)
    """
    data = text.encode()
    return bool(data) and len(data) > MAX_COMPRESSION * len(zlib.compress(data))
