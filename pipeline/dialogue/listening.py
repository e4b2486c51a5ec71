"""How likely a short sound in the midst of the other's talk is a sign of listening (嗯, 对对).

Such sounds are often misheard, so words count only as far as their confidence goes: listening words
speak for it, others against it, and length tells the rest. The weights are those of a logistic curve
fitted to 52 sounds of nine two-channel calls of the tuning half of ``tests/benchmarks/corpus_varied.py``.
On two voices in one channel other words may be the other's and do not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp

from pipeline.schema import Seconds, Word
from pipeline.text import count_units, is_backchannel

AT_ZERO, PER_SECOND = 3.53, -3.81
LISTENING_WORDS, OTHER_WORDS = 1.86, -3.30
MANY_UNITS = 4  # so many units of other words, or more, count in full
SHARED_AT_ZERO, SHARED_PER_SECOND = 3.82, -5.47


def listening(seconds: Seconds, words: Sequence[Word], shared_audio: bool = False) -> float:
    """Probability that something short is a sign of listening and not an attempt to break in.

    Parameters
    ----------
    seconds : float
        Its length.
    words : sequence of Word
        What was heard of it.
    shared_audio : bool
        Both voices are in one channel.

    >>> round(listening(0.3, ()), 2), round(listening(1.2, ()), 2)
    (0.92, 0.26)
    """
    text = "".join(w.text for w in words)
    sure = sum(w.confidence for w in words) / max(len(words), 1)
    at_zero, per_second = (
        (SHARED_AT_ZERO, SHARED_PER_SECOND) if shared_audio else (AT_ZERO, PER_SECOND)
    )
    odds = at_zero + per_second * seconds
    if is_backchannel(text):
        odds += LISTENING_WORDS * sure
    elif not shared_audio:
        odds += OTHER_WORDS * sure * min(count_units(text), MANY_UNITS) / MANY_UNITS
    return 1 / (1 + exp(-odds))
