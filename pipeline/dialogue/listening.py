"""How likely a short sound in the midst of the other's talk is a sign of listening (嗯, 对对).

Such sounds are often misheard, so words count only as far as their confidence goes. What tells most is
how the sound is made: signs of listening have one or two syllables, drawn out, and are softer than the
own talk. The weights are those of logistic curves, a little drawn to zero: where the sound is measured,
fitted to 575 sounds of 106 two-channel calls (``tests/benchmarks/corpus_varied.py``, the labelled calls
at hand); where it is not, to 52 of them by length and words. Length and movement of pitch add nothing
to the sound.
On two voices in one channel other words are not the own for sure and do not count, and of the sound only
how loud both are together, beside the louder of the two: a soft sign adds nothing to the talk it is under
(fitted to 277 sounds of 72 calls of one channel).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp

from pipeline.schema import Seconds, Speaker, Word
from pipeline.signal.vocal import Vocal, Vocals
from pipeline.text import count_units, is_backchannel, opens_a_turn

Sounds = Mapping[Speaker, Vocals]
"""Voices whose sounds can be measured by themselves, each in its own channel."""

AT_ZERO, PER_SECOND = 3.53, -3.81
LISTENING_WORDS, OTHER_WORDS = 1.86, -3.30
MANY_UNITS = 4  # so many units of other words, or words that open a turn, count in full
SHARED_AT_ZERO, SHARED_PER_SECOND = 3.82, -5.47
TOGETHER_AT_ZERO, TOGETHER_PER_SECOND, TOGETHER_PER_DB = 4.34, -3.79, -0.57
MOST_TOGETHER_DB = 6.0  # above and below; what is beyond tells no more
SOUND_AT_ZERO, PER_SWELL, PER_DB, PER_CHANGE = 9.6, -0.76, -1.01, -7.8
SOUND_LISTENING_WORDS, SOUND_OTHER_WORDS = 5.8, -2.44  # of others many, heard surely, tell
# What is beyond these tells no more.
MOST_SWELLS = 5
LEAST_DB, MOST_DB = -6.0, 3.0
LEAST_CHANGE, MOST_CHANGE = 0.3, 1.3


def listening(
    seconds: Seconds,
    words: Sequence[Word],
    shared_audio: bool = False,
    sound: Vocal | None = None,
) -> float:
    """Probability that something short is a sign of listening and not an attempt to break in.

    Parameters
    ----------
    seconds : float
        Its length.
    words : sequence of Word
        What was heard of it.
    shared_audio : bool
        Both voices are in one channel.
    sound : Vocal, optional
        How it is made, where that was measured.

    >>> round(listening(0.3, ()), 2), round(listening(1.2, ()), 2)
    (0.92, 0.26)
    """
    text = "".join(w.text for w in words)
    sure = sum(w.confidence for w in words) / max(len(words), 1)
    of_listening, of_others = LISTENING_WORDS, OTHER_WORDS
    if sound is not None and shared_audio:
        level = min(max(sound.level_db, -MOST_TOGETHER_DB), MOST_TOGETHER_DB)
        odds = TOGETHER_AT_ZERO + TOGETHER_PER_SECOND * seconds + TOGETHER_PER_DB * level
    elif sound is not None:
        of_listening, of_others = SOUND_LISTENING_WORDS, SOUND_OTHER_WORDS
        level = min(max(sound.level_db, LEAST_DB), MOST_DB)
        change = min(max(sound.change, LEAST_CHANGE), MOST_CHANGE)
        odds = SOUND_AT_ZERO + PER_DB * level + PER_CHANGE * change
        odds += PER_SWELL * min(sound.swells, MOST_SWELLS)
    elif shared_audio:
        odds = SHARED_AT_ZERO + SHARED_PER_SECOND * seconds
    else:
        odds = AT_ZERO + PER_SECOND * seconds
    if is_backchannel(text):
        odds += of_listening * sure
    elif not shared_audio:
        many = opens_a_turn(text) or count_units(text) >= MANY_UNITS
        share = 1.0 if many else count_units(text) / MANY_UNITS
        odds += of_others * (sure * share if sound is None else sure**2 * share**3)
    return 1 / (1 + exp(-odds))
