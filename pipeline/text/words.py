"""How plausible a text is as a row of known words, which words of its sound are likelier, loops.

The words of a text are those of its most probable division, each with its share of all words that were
counted (``configs/lexicons/words.txt.gz``, one word and its count a line). This knows nothing of what
goes with what, and yet it tells 逐渐减弱 from 主见减弱, which sound alike. Small recognisers hear the
syllables and write others of the same sound: where a known word sounds as what was written, and is so
much likelier that it outweighs how sure the recogniser was, it is written.

Conventions: natural logarithms; texts are compared in the form of :func:`normalise_for_cer`; sounds are
toneless syllables.
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import product
from pathlib import Path

from pipeline.errors import SettingsError
from pipeline.text.script import normalise_for_cer
from pipeline.text.sounds import readings, syllables

LONGEST = 8  # characters of a word
NATS_PER_CHARACTER = 6.0  # what a character costs on the average, so that short is not better
MAX_COMPRESSION = 2.4  # over this a text repeats itself
FOREIGN = re.compile("[a-z0-9]+")
LONGEST_HEARD = 4  # characters of a word that is written for others of its sound
LEAST_COST = 0.3  # nats; so much a word must be likelier, however unsure what was heard
# Numbers and names are never words: they are what was heard.
KEPT = re.compile(
    "[零一二三四五六七八九十百千万亿两点]|(?<=姓)..?|(?<=我叫)..?.?|(?<=小).|.{1,3}(?=先[生省升]|女士|小姐)"
)


class WordModel:
    """Counts of words; a text is as plausible as its most probable division into them."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        total = math.log(sum(counts.values()) or 1)
        self._logprob = {word: math.log(count) - total for word, count in counts.items()}
        self._unknown = -total

    @classmethod
    def load(cls, path: Path) -> WordModel:
        """Read a gzipped list of words and counts.

        Raises
        ------
        SettingsError
            If the file holds anything else.
        """
        try:
            with gzip.open(path, "rt", encoding="utf-8") as file:
                return cls({w: int(n) for w, n in (line.split() for line in file)})
        except (OSError, EOFError, ValueError, zlib.error) as cause:
            raise SettingsError(
                f"The list of words {path} cannot be read: {' '.join(str(cause).split())}",
                "It must be gzipped, one word and its count a line.",
            ) from cause

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
        sounds, best = syllables(text), [(0.0, "")]
        for end in range(1, len(text) + 1):
            before, done = best[end - 1]
            ways = [
                (before + self._logprob.get(text[end - 1], self._unknown), done + text[end - 1])
            ]
            for start in range(max(0, end - LONGEST), end - 1):
                heard, (before, done) = text[start:end], best[start]
                if heard in self._logprob:
                    ways.append((before + self._logprob[heard], done + heard))
                for word in self._by_sound.get(tuple(sounds[start:end]), ()):
                    pairs = zip(costs[start:end], heard, word, strict=True)
                    paid = sum(one for one, a, b in pairs if a != b)
                    ways.append((before + self._logprob[word] - paid, done + word))
            best.append(max(ways))
        return best[-1][1]

    @cached_property
    def _by_sound(self) -> dict[tuple[str, ...], list[str]]:
        """Words of two to ``LONGEST_HEARD`` characters by their syllables."""
        found: dict[tuple[str, ...], list[str]] = {}
        for word in self._logprob:
            if 2 <= len(word) <= LONGEST_HEARD:
                for sounds in product(*map(readings, word)):
                    found.setdefault(sounds, []).append(word)
        return found


def repeats_itself(text: str) -> bool:
    """Whether a text goes round in circles, told by how well it compresses.

    >>> repeats_itself("您好，请讲。"), repeats_itself("您好，" * 30)
    (False, True)
    """
    data = text.encode()
    return bool(data) and len(data) > MAX_COMPRESSION * len(zlib.compress(data))
