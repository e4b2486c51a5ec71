"""Seams of two voices in one channel: whose the words are, and whether a voice is there at all.

Where two voices overlap in one channel, or are taken to, both windows hold the same sound, and its
words are written down twice: at the end of one turn and at the beginning of the other. They belong to
one of them only; and a stretch of a voice of which no word is left may be the other's altogether.

Conventions: times in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import SequenceMatcher

from pipeline.schema import Span, Speaker, Utterance, Word
from pipeline.spans import mask_of
from pipeline.text import normalise_for_cer, syllables

MIN_OVERLAP_S = 0.1
EDGE_S = 0.4  # words may be timed so far outside of what they were heard in
MIN_ALIKE = 2  # syllables in a row that are the same
APART_S, LONG_APART_S = (
    0.4,
    0.8,
)  # the times of two such syllables, and of longer rows, differ by less

FRAME_S = 0.01
WORD_EDGE_S = 0.2
MOSTLY = 0.5


def settled(
    heard: Sequence[Utterance], speech: Mapping[Speaker, Sequence[Span]]
) -> tuple[tuple[Utterance, ...], dict[Speaker, tuple[Span, ...]]]:
    """Write doubled words down once, and leave no voice where it had none but the other's words.

    Parameters
    ----------
    heard : sequence of Utterance
        In the order of time, of voices that share one sound.
    speech : mapping of speaker to spans
        Where each of them speaks.
    """
    once = said_once(heard)
    frames = round(max((s[1] for own in speech.values() for s in own), default=0.0) / FRAME_S) + 1
    kept: dict[Speaker, tuple[Span, ...]] = {}
    for speaker, spans in speech.items():
        had, has = (
            mask_of(
                [(w.start, w.end) for u in some if u.speaker == speaker for w in u.words],
                frames, FRAME_S, edge,
            )
            for some, edge in ((heard, 0.0), (once, WORD_EDGE_S))
        )  # fmt: skip
        others = [s for other, own in speech.items() if other != speaker for s in own]
        beside = mask_of(others, frames, FRAME_S)
        left = []
        for span in spans:
            at = slice(round(span[0] / FRAME_S), round(span[1] / FRAME_S))
            if has[at].any() or not had[at].any() or beside[at].mean() < MOSTLY:
                left.append(span)
        if left:
            kept[speaker] = tuple(left)
    return once, kept


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
    rows = [[w for w in u.words if since < w.middle < until] for u in (one, other)]
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
