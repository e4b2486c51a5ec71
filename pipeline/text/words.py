"""How plausible a text is as a row of known words, and how much it repeats itself.

The words of a text are those of its most probable division, each with its share of all words that were
counted (``configs/lexicons/words.txt.gz``, one word and its count a line). This knows nothing of what
goes with what, and yet it tells 逐渐减弱 from 主见减弱, which sound alike.

Conventions: natural logarithms; texts are compared in the form of :func:`normalise_for_cer`.
"""

from __future__ import annotations

import gzip
import math
import re
import zlib
from collections.abc import Mapping
from pathlib import Path

from pipeline.errors import SettingsError
from pipeline.text.script import normalise_for_cer

LONGEST = 8  # characters of a word
NATS_PER_CHARACTER = 6.0  # what a character costs on the average, so that short is not better
MAX_COMPRESSION = 2.4  # over this a text repeats itself
FOREIGN = re.compile("[a-z0-9]+")


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


def repeats_itself(text: str) -> bool:
    """Whether a text goes round in circles, told by how well it compresses.

    >>> repeats_itself("您好，请讲。"), repeats_itself("您好，" * 30)
    (False, True)
    """
    data = text.encode()
    return bool(data) and len(data) > MAX_COMPRESSION * len(zlib.compress(data))
