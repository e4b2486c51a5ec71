"""How plausible a text is as a row of known words, which words of its sound are likelier, loops.

The words of a text are those of its most probable division, each with its share of all words that were
counted (``configs/lexicons/words.txt.gz``, one word and its count a line). This tells 逐渐减弱 from
主见减弱, which sound alike. Small recognisers hear the syllables and write others of the same sound:
where a known word sounds as what was written, and is so much likelier that it outweighs how sure the
recogniser was, it is written. How likely a word is there depends on the two before it
(``configs/lexicons/pairs.npz``), as far as they were counted together, else on the one before it.

Conventions: natural logarithms; texts are compared in the form of :func:`normalise_for_cer`; sounds are
toneless syllables.

References
----------
H. Ney, U. Essen and R. Kneser, "On structuring probabilistic dependences in stochastic language
modelling", Computer Speech and Language 8, 1994 (absolute discounting).
F. Jelinek and R. L. Mercer, "Interpolated estimation of Markov source parameters from sparse data", Pattern
Recognition in Practice, 1980 (the shares of words in two kinds of text).
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache, partial
from itertools import product
from pathlib import Path
from types import MappingProxyType
from unicodedata import normalize
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import SettingsError, one_line
from pipeline.text.sounds import readings, syllables

LONGEST = 8  # characters of a word
NATS_PER_CHARACTER = 6.0  # what a character costs on the average, so that short is not better
MAX_COMPRESSION = 2.4  # over this a text repeats itself
FOREIGN = re.compile("[a-z0-9]+")
RUN = re.compile("[\u4e00-\u9fff\ufffc]+")  # between marks
LONGEST_HEARD = 4  # characters of a word that is written for others of its sound
LEAST_COST = 0.3  # nats; so much a word must be likelier, however unsure what was heard
EDGE = "|"  # the words before the first, and the one after the last
OWN_SHARE = 0.5  # of a word's probability comes from hotlines, the rest from texts of all kinds
DISCOUNT = 0.75  # taken from the count of every pair, for those that were never counted
SINGLES = 8  # characters of a sound, the most frequent, that may be written for another
SINGLE_COST = 1.0  # nats, beside what every other character costs
ROWS = 12  # most probable last two words that are kept at every character
REMEMBERED = 100_000  # probabilities
NONE: Mapping[str, int] = MappingProxyType({})
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
    own : array of shape (words,), optional
        How often each word was counted on hotlines.
    threes : pair of arrays of shape (m,), optional
        Keys and counts of rows of three words on hotlines: the key of the first two times the number
        of words, and the place of the third; ascending.
    """

    def __init__(
        self,
        words: Sequence[str],
        keys: NDArray[np.int64],
        counts: NDArray[np.integer],
        own: NDArray[np.integer] | None = None,
        threes: tuple[NDArray[np.int64], NDArray[np.integer]] | None = None,
    ) -> None:
        self._words = words
        self._place = {word: i for i, word in enumerate(words)}
        self._keys, self._counts = keys, counts
        first = keys // len(words)
        self._all = np.bincount(first, counts, len(words))
        self._kinds = np.bincount(first, minlength=len(words))
        self._own = own
        self._threes: NDArray[np.int64]
        self._three_counts: NDArray[np.integer]
        self._threes, self._three_counts = threes or (np.zeros(0, np.int64), np.zeros(0, np.int64))

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
                keys, threes = (
                    np.cumsum(file[name], dtype=np.int64) for name in ("steps", "three_steps")
                )
                return cls(words, keys, file["counts"], file["own"], (threes, file["three_counts"]))
        except (OSError, ValueError, KeyError, BadZipFile) as cause:
            raise SettingsError(
                f"The pairs of words {path} cannot be read: {one_line(cause)}",
                "It must be as data/make_word_pairs.py writes it.",
            ) from cause

    def own_shares(self) -> dict[str, float]:
        """Of each word its share of all words that were counted on hotlines, where it was."""
        if self._own is None:
            return {}
        every = float(self._own.sum())
        return {word: int(self._own[i]) / every for word, i in self._place.items() if self._own[i]}

    def logprob(self, before: str, word: str, alone: float) -> float:
        """Log probability of a word after another, from its own where they were not counted."""
        first, third = self._place.get(before), self._place.get(word)
        if first is None or not self._all[first]:
            return alone
        seen = 0.0
        if third is not None:
            key = first * len(self._place) + third
            at = int(self._keys.searchsorted(key))
            if at < self._keys.size and self._keys[at] == key:
                seen = max(float(self._counts[at]) - DISCOUNT, 0.0)
        spared = DISCOUNT * float(self._kinds[first]) * math.exp(alone)
        return math.log((seen + spared) / float(self._all[first]))

    def after(self, first: str, second: str) -> Mapping[str, int]:
        """How often each word was counted after two others on hotlines."""
        count = len(self._place)
        ahead, before = self._place.get(first, -1), self._place.get(second, -1)
        key = (ahead * count + before) * count
        own = slice(*self._threes.searchsorted((key, key + count)))
        if ahead < 0 or before < 0 or own.start == own.stop:
            return NONE
        thirds = (self._threes[own] - key).tolist()
        return {
            self._words[i]: n for i, n in zip(thirds, self._three_counts[own].tolist(), strict=True)
        }


class WordModel:
    """Counts of words; a text is as plausible as its most probable division into them."""

    def __init__(self, counts: Mapping[str, int], pairs: WordPairs | None = None) -> None:
        total = math.log(sum(counts.values()) or 1)
        self._logprob = {word: math.log(count) - total for word, count in counts.items()}
        self._unknown = -total
        self._pairs = pairs
        if pairs is not None and (own := pairs.own_shares()):
            self._logprob = {
                word: math.log((1 - OWN_SHARE) * math.exp(alone) + OWN_SHARE * own.get(word, 0.0))
                for word, alone in self._logprob.items()
            }
        self._beside = lru_cache(REMEMBERED)(self._weighed)
        self._third = lru_cache(REMEMBERED)(self._counted)

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

        No word reaches across a mark. A run of Latin letters counts as one unknown word of one
        character.

        >>> words = WordModel({"逐渐": 90, "减弱": 50, "主见": 9, "的": 5000})
        >>> words.plausibility("逐渐减弱") > words.plausibility("主见减弱")
        True
        """
        plain = FOREIGN.sub("\ufffc", normalize("NFKC", text).lower())
        return sum(
            self._most_probable(run, partial(self._as_heard, run))[0]
            + NATS_PER_CHARACTER * len(run)
            for run in RUN.findall(plain)
        )

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

        def ways(start: int, end: int) -> Iterable[tuple[str, float]]:
            yield from self._as_heard(text, start, end)
            for word in self._by_sound.get(tuple(sounds[start:end]), ()):
                pairs = zip(costs[start:end], text[start:end], word, strict=True)
                paid = sum(one for one, a, b in pairs if a != b)
                if 0.0 < paid < math.inf:
                    yield word, paid + (SINGLE_COST if len(word) == 1 else 0.0)

        return self._most_probable(text, ways)[1]

    def _as_heard(self, text: str, start: int, end: int) -> Iterable[tuple[str, float]]:
        """The characters from ``start`` to ``end``, where they are one or a word; at no cost."""
        word = text[start:end]
        return [(word, 0.0)] if end - start == 1 or word in self._logprob else []

    def _most_probable(
        self, text: str, ways: Callable[[int, int], Iterable[tuple[str, float]]]
    ) -> tuple[float, str]:
        """The row of words that is most probable after its costs: log probability, and as a text.

        ``ways`` gives the words that may be written from one character to another, and what each
        costs in nats.
        """
        rows: list[dict[tuple[str, str], tuple[float, str]]] = [{(EDGE, EDGE): (0.0, "")}]
        for end in range(1, len(text) + 1):
            best: dict[tuple[str, str], tuple[float, str]] = {}
            for start in range(max(0, end - LONGEST), end):
                for word, paid in ways(start, end):
                    for (first, second), (score, done) in rows[start].items():
                        way = score + self._after(first, second, word) - paid, done + word
                        if way > best.get((second, word), (-math.inf, "")):
                            best[second, word] = way
            rows.append(dict(sorted(best.items(), key=lambda row: row[1], reverse=True)[:ROWS]))
        return max(
            (score + self._after(first, second, EDGE), done)
            for (first, second), (score, done) in rows[-1].items()
        )

    def _after(self, first: str, second: str, word: str) -> float:
        """Log probability of a word after two others, as far as they are known."""
        beside = self._beside(second, word)
        counted, every = self._third(first, second)
        if not every:
            return beside
        seen = max(counted.get(word, 0) - DISCOUNT, 0.0)
        return math.log((seen + DISCOUNT * len(counted) * math.exp(beside)) / every)

    def _weighed(self, before: str, word: str) -> float:
        alone = self._logprob.get(word, self._unknown)
        return alone if self._pairs is None else self._pairs.logprob(before, word, alone)

    def _counted(self, first: str, second: str) -> tuple[Mapping[str, int], int]:
        counted = NONE if self._pairs is None else self._pairs.after(first, second)
        return counted, sum(counted.values())

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
