"""Find single literals in a stream by sound: a filter in bits, then an alignment with costs.

The filter (Wu and Manber 1992, over positions of the stream, along a prefix tree of the literals)
marks where a literal may end within its budget; its costs never exceed those of the alignment, so
that nothing is lost. The alignment scores each place: 0 for the same character, little for a
homophone, more for a usual confusion, 1 for another sound. The score is 1 minus the cost per
character. Negations are never bridged: a 不, 没 or 未 that only one side has rejects the match.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal as OneOf

from pipeline.text.phonetic.phrases import Branch, Letter, Literal, Words
from pipeline.text.phonetic.streams import (
    BREAK,
    NEAR_SAME,
    Stream,
    View,
    left_out_of_lean,
    sounds_of,
)
from pipeline.text.similarity import UNRELATED, Sound, sound_distance

Strictness = OneOf["normal", "careful", "strict", "exact"]
Closeness = Strictness | OneOf["faint"]
"""``faint``: what may have been said and misheard; characters in doubt count less where they differ."""

# Lowest score by length in characters (the last holds for all longer ones).
THRESHOLDS: Mapping[Closeness, tuple[float, ...]] = {
    "faint": (0.9, 0.86, 0.82, 0.78, 0.76, 0.76, 0.76, 0.74),
    "normal": (1.0, 0.86, 0.82, 0.78, 0.76, 0.76, 0.76, 0.74),
    "careful": (1.0, 0.86, 0.86, 0.84, 0.82, 0.80, 0.78, 0.76),
    "strict": (1.0, 0.94, 0.90, 0.88, 0.86, 0.85),
    "exact": (1.0,),
}
FAINT_FILTER = 0.5  # of the bits, where doubtful characters cost less in the alignment
HOMOPHONE_COST = 0.08
_UNIT = 0.25  # of cost in the filter
_INSERT_COST = 0.55
_INSERT_UNITS = 2
_DELETE_COST = 0.85
_SHORT_DELETE_COST = (
    0.98  # inside of short literals, where it leaves another word (打错电话, 打电话)
)
_DELETE_FREE = 5  # characters from which on one may be lost
_OTHER_SOUND = 0.3  # cost above which two characters are no usual spellings of one word
_SHORT = 3  # characters; in strict matching a negation in a shorter literal must be written so
_BREAK_COST = 9.0
_REQUIRED_COST = 9.0  # of losing a character that the phrase marks with "!"
_MAX_REQUIRED_DISTANCE = 0.45
_NEAR_SAME_COST = 0.1
_NUMERALS = frozenset("零一二两三四五六七八九十百千万半几")
_NUMERAL_COST = 0.35  # of a homophone for a number
NEGATIONS = "不没未"
A_NOT_A = re.compile(r"([\u4e00-\u9fff])(?:不|没)\1")


@dataclass(frozen=True, slots=True)
class Match:
    """Characters ``start`` to ``end`` (exclusive) of a stream that sound like a phrase."""

    start: int
    end: int
    score: float
    phrase: str
    values: tuple[tuple[str, str], ...] = ()


def find_words(stream: Stream, words: Words, strictness: Closeness) -> list[tuple[Match, float]]:
    """Find every place where one of some literals was said, with the weight of the literal.

    What was found is kept with the stream, so that rules may share phrases at no cost.
    """
    key = (words, strictness)
    if key not in stream.found:
        found: list[tuple[Match, float]] = []
        for literal in words.options:
            if _threshold(literal, strictness) >= 1.0:
                found += [(m, literal.total) for m in _exact(stream, literal)]
        for view, options in _plan(stream, words, strictness):
            budget = max(_budget(o, strictness) for o in options)
            full = (1 << (len(view.positions) + 1)) - 1
            tree = words.tree(options)
            _descend(stream, view, tree, [full] * (budget + 1), True, strictness, found)
        stream.found[key] = [(m, weight) for m, weight in found if not _torn(stream, m)]
    return stream.found[key]


def _torn(stream: Stream, match: Match) -> bool:
    """Whether a few characters that only sound like it have a mark between (两片，我 is no 骗我)."""
    return (
        match.score < 1.0
        and match.end - match.start <= _SHORT
        and any(mark.strip() for mark in stream.marks_before[match.start + 1 : match.end])
    )


def _plan(
    stream: Stream, words: Words, strictness: Closeness
) -> list[tuple[View, tuple[Literal, ...]]]:
    """Which options to look for in which view; exact ones are found otherwise."""
    whole, rest = _split_options(words, strictness)
    if stream.lean is stream.full:
        whole, rest = whole + rest, ()
    return [(v, o) for v, o in ((stream.full, whole), (stream.lean, rest)) if o]


@cache
def _split_options(
    words: Words, strictness: Closeness
) -> tuple[tuple[Literal, ...], tuple[Literal, ...]]:
    """The options that the lean view would hide, and the others."""
    sounded = [o for o in words.options if _budget(o, strictness) >= 0]
    whole = tuple(o for o in sounded if left_out_of_lean(o.text))
    return whole, tuple(o for o in sounded if not left_out_of_lean(o.text))


def _descend(
    stream: Stream,
    view: View,
    branches: tuple[Branch, ...],
    rows: list[int],
    first: bool,
    strictness: Closeness,
    found: list[tuple[Match, float]],
) -> None:
    """Filter along the prefix tree; align what may end at a place that is left."""
    for branch in branches:
        needed = rows[: _deepest(branch, strictness) + 1]
        step = _first_step if first else _step
        after = step(view, branch.letter, needed)
        if not after[-1]:
            continue
        for literal in branch.ends:
            budget = _budget(literal, strictness)
            if budget >= 0 and after[budget] & ~1:
                matches = _align_at(stream, view, literal, after[budget] & ~1, strictness)
                found += [(m, literal.total) for m in matches]
        _descend(stream, view, branch.following, after, False, strictness, found)


@cache
def _deepest(branch: Branch, strictness: Closeness) -> int:
    """The largest budget of the literals below a branch."""
    here = [_budget(o, strictness) for o in branch.ends]
    return max([*here, *(_deepest(b, strictness) for b in branch.following)])


def _first_step(view: View, letter: Letter, rows: list[int]) -> list[int]:
    """Take the first letter of a literal; phrases share it, so it is kept with the view."""
    key = (letter, len(rows))
    if key not in view.first_rows:
        view.first_rows[key] = _step(view, letter, rows, first=True)
    return view.first_rows[key]


def _step(view: View, letter: Letter, rows: list[int], first: bool = False) -> list[int]:
    """Take one letter: bit ``n`` of row ``d`` says that ``n`` characters may be consumed at cost d.

    Costs are in units of ``_UNIT`` and never above those of the alignment, so nothing is lost.
    """
    char, sound, weight, required = letter
    same, similar = view.mask(char, sound)
    light = weight < 1.0
    alike = 0 if light else 1
    drop = 99 if required else (2 if first else 1) if light else (4 if first else 3)
    change = 99 if required else 2 if light else 4
    full = (1 << (len(view.positions) + 1)) - 1
    after: list[int] = []
    for d, row in enumerate(rows):
        reached = (row & same) << 1
        if d >= alike:
            reached |= (rows[d - alike] & similar) << 1
        if d >= drop:
            reached |= rows[d - drop]
        if d >= change:
            reached |= rows[d - change] << 1
        if d >= _INSERT_UNITS:
            reached |= after[d - _INSERT_UNITS] << 1
        if d:
            reached |= after[d - 1]
        after.append(reached & full)
    return after


@cache
def _threshold(literal: Literal, strictness: Closeness) -> float:
    limits = THRESHOLDS[strictness]
    return limits[min(len(literal.text), len(limits)) - 1]


@cache
def _budget(literal: Literal, strictness: Closeness) -> int:
    """Units of cost that a literal may have; -1 if it is found by its characters only."""
    threshold = _threshold(literal, strictness)
    threshold = min(threshold, FAINT_FILTER) if strictness == "faint" else threshold
    return int(literal.total * (1.0 - threshold) / _UNIT + 1e-6) if threshold < 1.0 else -1


def _align_at(
    stream: Stream, view: View, literal: Literal, ends: int, strictness: Closeness
) -> list[Match]:
    """Align a literal around every run of possible ends."""
    length = len(literal.text)
    allowed = literal.total * (1.0 - _threshold(literal, strictness)) + 1e-6
    found: list[Match] = []
    for at in _occurrences(view.text, literal.text):
        positions = view.positions
        found.append(Match(positions[at], positions[at + length - 1] + 1, 1.0, literal.text))
        ends &= ~(0b1111 << (at + length - 1))
    while ends:
        low = (ends & -ends).bit_length() - 1
        high = low
        while ends >> (high + 1) & 1 or ends >> (high + 2) & 1:
            high += 1
        ends = ends >> (high + 1) << (high + 1)
        first = max(0, low - length - int(allowed / _INSERT_COST) - 1)
        found += _align(stream, view, literal, first, high, allowed, strictness)
    return best(found)


def _exact(stream: Stream, literal: Literal) -> list[Match]:
    found = []
    for view in (stream.full, stream.lean):
        for at in _occurrences(view.text, literal.text):
            start, last = view.positions[at], view.positions[at + len(literal.text) - 1]
            found.append(Match(start, last + 1, 1.0, literal.text))
    return best(found)


def _occurrences(text: str, part: str) -> list[int]:
    out = []
    at = text.find(part)
    while at >= 0:
        out.append(at)
        at = text.find(part, at + 1)
    return out


def _align(
    stream: Stream,
    view: View,
    literal: Literal,
    low: int,
    high: int,
    allowed: float,
    strictness: Closeness,
) -> list[Match]:
    """Score a literal against characters ``low`` to ``high`` (exclusive) of a view."""
    written = strictness == "strict" and len(literal.text) <= _SHORT
    short = len(literal.text) <= _SHORT + (strictness == "careful")
    window = view.positions[low:high]
    heard = [stream.chars[p] for p in window]
    walls = [_BREAK_COST if c == BREAK else 0.0 for c in heard]
    faint = strictness == "faint"
    firm = [stream.firm[p] if faint else 1.0 for p in window]
    crossing = [stream.cost_before[p] + w for p, w in zip(window, walls, strict=True)]
    last = len(literal.text) - 1
    inner = _DELETE_COST if last + 1 >= _DELETE_FREE else _SHORT_DELETE_COST
    cost = [0.0] * (len(window) + 1)
    start = list(range(len(window) + 1))
    for i in range(len(literal.text)):
        char, sound, weight, required = literal.letter(i)
        drop = (
            _REQUIRED_COST
            if required
            else (1.0 if i == 0 else _DELETE_COST if i == last else inner) * weight
        )
        insert = _INSERT_COST if i < len(literal.text) - 1 else _BREAK_COST
        row, origin = [cost[0] + drop], [start[0]]
        for j, price in enumerate(crossing if i else walls):
            distance = _char_cost(char, sound, heard[j])
            if window[j] in stream.numerals and distance > _NEAR_SAME_COST:
                distance = UNRELATED
            if required and distance > _MAX_REQUIRED_DISTANCE:
                distance = _REQUIRED_COST
            lowest, source = cost[j] + weight * distance * firm[j] + price, start[j]
            if cost[j + 1] + drop < lowest:
                lowest, source = cost[j + 1] + drop, start[j + 1]
            if row[j] + insert * firm[j] + price < lowest:
                lowest, source = row[j] + insert * firm[j] + price, origin[j]
            row.append(lowest)
            origin.append(source)
        cost, start = row, origin
        if min(cost) > allowed:
            return []
    out = []
    for j in range(1, len(window) + 1):
        if cost[j] <= allowed and start[j] < j:
            if not _same_negations(stream, literal, window[start[j] : j], written):
                continue
            said = heard[start[j] : j]
            if short and not _usual(literal, said, strictness):
                continue
            score = 1.0 - cost[j] / literal.total
            out.append(Match(window[start[j]], window[j - 1] + 1, score, literal.text))
    return out


def _usual(literal: Literal, heard: Sequence[str], strictness: Closeness) -> bool:
    """Say whether a short literal was misheard in a usual way only.

    A word of two or three characters has many neighbours that are words themselves (好气, 号器;
    接到, 寄到). Of two, one must be the same. In careful matching both must (好几遍 is no 好急,
    有无 no 有误), of three or four one, and the others may differ as accents do.
    """
    if strictness == "faint":
        return True
    if strictness != "careful":
        return len(literal.text) != 2 or bool(set(literal.text).intersection(heard))
    if len(heard) != len(literal.text):
        return len(literal.text) > _SHORT
    if len(heard) == 2:
        return all(h in (c, NEAR_SAME.get(c)) for c, h in zip(literal.text, heard, strict=True))
    costs = [
        _char_cost(c, s, h) for c, s, h in zip(literal.text, literal.sounds, heard, strict=True)
    ]
    return min(costs) == 0.0 and max(costs) <= _OTHER_SOUND


@cache
def _char_cost(char: str, sound: Sound | None, heard: str) -> float:
    if char == heard:
        return 0.0
    if NEAR_SAME.get(char) == heard:
        return _NEAR_SAME_COST
    sounds = sounds_of(heard)
    if sound is None or not sounds:
        return UNRELATED
    distance = min(sound_distance(sound, other) for other in sounds)
    if char in _NUMERALS:  # a number is not said by a word that only sounds alike
        return _NUMERAL_COST if distance == 0.0 else UNRELATED
    return min(distance + HOMOPHONE_COST, UNRELATED)


def _same_negations(stream: Stream, literal: Literal, heard: Sequence[int], written: bool) -> bool:
    """Say whether a stretch negates exactly as the literal does.

    A negation may be misheard as another character of its sound, unless it must be ``written``.
    """
    text = A_NOT_A.sub("", "".join(stream.chars[p] for p in heard))
    wanted = A_NOT_A.sub("", literal.text)
    for character in NEGATIONS:
        needed = wanted.count(character)
        if text.count(character) > needed:
            return False
        if needed and written and text.count(character) < needed:
            return False
        if needed:
            sound = next(
                s for c, s in zip(literal.text, literal.sounds, strict=True) if c == character
            )
            sounding = sum(1 for p in heard if sound in stream.sounds[p])
            if sounding < needed:
                return False
    return True


def best(matches: list[Match]) -> list[Match]:
    """Keep the best of overlapping matches, in order of time."""
    kept: list[Match] = []
    for match in sorted(matches, key=lambda m: (-m.score, m.start, m.start - m.end)):
        if all(match.end <= k.start or k.end <= match.start for k in kept):
            kept.append(match)
    return sorted(kept, key=lambda m: m.start)
