"""Words that were heard in the windows of both voices of one sound belong to one of them only.

Where two voices overlap in one channel, or are taken to, both windows hold the same sound, and its
words are written down twice: at the end of one turn and at the beginning of the other.

Conventions: times in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher

from pipeline.schema import Utterance, Word
from pipeline.text import normalise_for_cer, syllables

MIN_OVERLAP_S = 0.1
EDGE_S = 0.4  # words may be timed so far outside of what they were heard in
MIN_ALIKE = 2  # syllables in a row that are the same
APART_S, LONG_APART_S = (
    0.4,
    0.8,
)  # the times of two such syllables, and of longer rows, differ by less


def said_once(heard: Sequence[Utterance]) -> tuple[Utterance, ...]:
    """Take doubled words from the voice that was heard to say them with less confidence.

    Parameters
    ----------
    heard : sequence of Utterance
        In the order of time, of voices that share one sound.
    """
    kept = list(heard)
    for i in range(len(kept)):
        for j in range(i + 1, len(kept)):
            if kept[j].start > kept[i].end - MIN_OVERLAP_S:
                break
            if kept[i].speaker != kept[j].speaker:
                kept[i], kept[j] = _once(kept[i], kept[j])
    return tuple(kept)


def _once(one: Utterance, other: Utterance) -> tuple[Utterance, Utterance]:
    """Two utterances that overlap, the words of one of them without what both have."""
    since, until = other.start - EDGE_S, min(one.end, other.end) + EDGE_S
    rows = [[w for w in u.words if since < (w.start + w.end) / 2 < until] for u in (one, other)]
    first, second = ([_sound(w) for w in row] for row in rows)
    same = SequenceMatcher(a=first, b=second, autojunk=False).find_longest_match()
    if same.size < MIN_ALIKE:
        return one, other
    doubled = rows[0][same.a : same.a + same.size], rows[1][same.b : same.b + same.size]
    apart = abs(doubled[0][0].start - doubled[1][0].start)
    if apart > (APART_S if same.size == MIN_ALIKE else LONG_APART_S):
        return one, other
    sure = [sum(w.confidence for w in words) for words in doubled]
    if sure[0] < sure[1]:
        return _without(one, doubled[0]), other
    return one, _without(other, doubled[1])


def _sound(word: Word) -> str:
    return "".join(syllables(normalise_for_cer(word.text)))


def _without(utterance: Utterance, words: Sequence[Word]) -> Utterance:
    left = tuple(w for w in utterance.words if w not in words)
    return replace(utterance, words=left, text="".join(w.text for w in left))
