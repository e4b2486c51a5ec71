"""Find phrases in a stream by sound, aligned character by character.

Two steps. A bit-parallel filter (Wu and Manber 1992, over positions of the stream) marks the places
where a literal may end with a few edits; an alignment with weighted costs then scores each place:
0 for the same character, little for a homophone, more for a usual confusion, 1 for another sound.
The score is 1 minus the cost per character. Negations are never bridged: a 不, 没 or 未 that only
one side has rejects the match.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal as OneOf

from pipeline.compliance.phrases import (
    MAX_GAP,
    Branch,
    Element,
    Gap,
    Letter,
    Literal,
    Phrase,
    Slot,
    Words,
)
from pipeline.compliance.streams import (
    BREAK,
    NEAR_SAME,
    Stream,
    View,
    left_out_of_lean,
    sounds_of,
)
from pipeline.text.similarity import UNRELATED, Sound, sound_distance

Strictness = OneOf["normal", "strict", "exact"]
SlotFinder = Callable[[str, bool], tuple[int, str] | None]

# Lowest score by length in characters (the last holds for all longer ones).
THRESHOLDS: Mapping[Strictness, tuple[float, ...]] = {
    "normal": (1.0, 0.86, 0.82, 0.78, 0.76, 0.76, 0.76, 0.74),
    "strict": (1.0, 0.94, 0.90, 0.88, 0.86, 0.85),
    "exact": (1.0,),
}
HOMOPHONE_COST = 0.08
_UNIT = 0.25  # of cost in the filter
_INSERT_COST = 0.55
_INSERT_UNITS = 2
_DELETE_COST = 0.85
_SHORT = 3  # characters; in strict matching a negation in a shorter literal must be written so
_BREAK_COST = 9.0
_REQUIRED_COST = 9.0  # of losing a character that the phrase marks with "!"
_MAX_REQUIRED_DISTANCE = 0.45
_NEAR_SAME_COST = 0.1
_NEGATIONS = "不没未"
_A_NOT_A = re.compile(r"([\u4e00-\u9fff])(?:不|没)\1")
_NEGATED_BEFORE = re.compile(
    r"(?:不|没|没有|别|勿|并非|无需|不是|不会|不要|不用|不必|不能|不太|不很|不再|不大|没怎么|不怎么|不想)$"
)
_DOUBLE_NEGATED_BEFORE = re.compile(r"(?:不是|并非|不会|没有说|没说|不等于|并不是|不代表)$")


@dataclass(frozen=True, slots=True)
class Match:
    """Characters ``start`` to ``end`` (exclusive) of a stream that sound like a phrase."""

    start: int
    end: int
    score: float
    phrase: str
    values: tuple[tuple[str, str], ...] = ()


def find_phrase(
    stream: Stream,
    phrase: Phrase,
    strictness: Strictness = "normal",
    slots: Mapping[str, SlotFinder] | None = None,
) -> list[Match]:
    """Find every place where a phrase was said.

    Parameters
    ----------
    stream : Stream
        What one speaker said.
    phrase : Phrase
        What to look for.
    strictness : {"normal", "strict", "exact"}
        How much the sound may differ; ``exact`` takes the same characters only.
    slots : mapping of str to function, optional
        For each slot name a function of (text, at the end of the text?) that gives the length
        and the value found, or None.

    Returns
    -------
    list of Match
        Best first where they overlap, then in order; never overlapping.
    """
    found: list[Match] = []
    for sequence in phrase.sequences:
        starts = [_Partial(None, None, 0.0, 0.0, ())]
        for index, element in enumerate(sequence):
            before = sequence[:index]
            if not isinstance(element, Words) and index + 1 < len(sequence):
                continue  # filled once the words after it are found
            starts = _extend(stream, starts, element, before, strictness, slots or {})
            if not starts:
                break
        found += [
            Match(p.start, p.end, 1.0 - p.cost / p.weight, phrase.notation, p.values)
            for p in starts
            if p.start is not None and p.end is not None and p.weight
        ]
    return _best(found)


def find_words(stream: Stream, words: Words, strictness: Strictness) -> list[tuple[Match, float]]:
    """Find every place where one of some literals was said, with the weight of the literal.

    What was found is kept with the stream, so that rules may share phrases at no cost.
    """
    key = (words, strictness)
    if key not in stream.found:
        found: list[tuple[Match, float]] = []
        for literal in words.options:
            if _threshold(literal, strictness) >= 1.0:
                found += [(m, literal.total) for m in _exact(stream, literal)]
        for view, options in _split_options(stream, words, strictness):
            budget = max(_budget(o, strictness) for o in options)
            full = (1 << (len(view.positions) + 1)) - 1
            tree = words.tree(options)
            _descend(stream, view, tree, [full] * (budget + 1), True, strictness, found)
        stream.found[key] = found
    return stream.found[key]


def negated(stream: Stream, match: Match, literal_start: str) -> bool:
    """Say whether the words in front of a match turn its sense around.

    A phrase that itself begins with a negation is only turned around by a double negation
    (不是不行). A-not-A questions (是不是) do not negate.
    """
    before = _clause_before(stream, match.start)
    if literal_start[:1] and literal_start[0] in _NEGATIONS:
        question = before[-1:] and stream.text(match.start + 1, match.start + 2) == before[-1:]
        return bool(question) or (
            bool(_DOUBLE_NEGATED_BEFORE.search(before)) and not _A_NOT_A.search(before[-3:])
        )
    hit = _NEGATED_BEFORE.search(before)
    if not hit:
        return False
    tail = before[max(0, hit.start() - 1) :]
    return not _A_NOT_A.match(tail)


@dataclass(frozen=True, slots=True)
class _Partial:
    start: int | None
    end: int | None
    cost: float
    weight: float
    values: tuple[tuple[str, str], ...]


def _extend(
    stream: Stream,
    partials: list[_Partial],
    element: Element,
    before: tuple[Element, ...],
    strictness: Strictness,
    slots: Mapping[str, SlotFinder],
) -> list[_Partial]:
    """Take one element further; ``before`` are all elements in front of it."""
    between = _since_words(before)
    if isinstance(element, Slot):
        gap = _reach(between)
        return [q for p in partials if (q := _slot_after(stream, p, element, gap, slots))]
    if not isinstance(element, Words):
        return partials
    out: list[_Partial] = []
    reach = _reach(between) + (MAX_GAP if any(isinstance(e, Slot) for e in between) else 0)
    for match, weight in find_words(stream, element, strictness):
        cost = (1.0 - match.score) * weight
        for p in partials:
            if p.end is not None and not p.end <= match.start <= p.end + reach:
                continue
            if p.end is None:
                q: _Partial | None = _Partial(match.start, match.end, cost, weight, ())
                for index in range(len(between) - 1, -1, -1):
                    slot = between[index]
                    if isinstance(slot, Slot) and q is not None:
                        q = _slot_before(stream, q, slot, _reach(between[index + 1 :]), slots)
                out += [q] if q is not None else []
                continue
            values = _filled(stream, p, match, between, slots)
            if values is not None:
                out.append(_Partial(p.start, match.end, p.cost + cost, p.weight + weight, values))
    return out


def _since_words(before: tuple[Element, ...]) -> tuple[Element, ...]:
    """The slots and gaps since the last words."""
    last = max((i for i, e in enumerate(before) if isinstance(e, Words)), default=-1)
    return before[last + 1 :]


def _reach(between: tuple[Element, ...]) -> int:
    """How many characters may lie in a gap; a filler may stand where there is none."""
    return max(1, sum(e.longest for e in between if isinstance(e, Gap)))


def _filled(
    stream: Stream,
    p: _Partial,
    match: Match,
    between: tuple[Element, ...],
    slots: Mapping[str, SlotFinder],
) -> tuple[tuple[str, str], ...] | None:
    """The values so far if ``match`` may follow a partial match, None if not."""
    assert p.end is not None
    wanted = [e for e in between if isinstance(e, Slot)]
    has_gap = any(isinstance(e, Gap) for e in between)
    if _breaks(stream, p.end, match.start):
        return None
    values = p.values
    text = stream.text(p.end, match.start)
    for slot in wanted:
        found = _first(slots[slot.name], text) if has_gap else slots[slot.name](text, False)
        if found is None or (not has_gap and found[0] < len(text)):
            return None
        values = (*values, (slot.name, found[1]))
    return values


def _first(finder: SlotFinder, text: str) -> tuple[int, str] | None:
    for at in range(len(text)):
        found = finder(text[at:], False)
        if found:
            return found
    return None


def _slot_after(
    stream: Stream, p: _Partial, slot: Slot, reach: int, slots: Mapping[str, SlotFinder]
) -> _Partial | None:
    assert p.end is not None
    for skip in range(reach + 1):
        if _breaks(stream, p.end, p.end + skip):
            return None
        text = stream.full.text[p.end + skip : p.end + skip + 16].split(BREAK)[0]
        found = slots[slot.name](text, False)
        if found:
            values = (*p.values, (slot.name, found[1]))
            return _Partial(p.start, p.end + skip + found[0], p.cost, p.weight, values)
    return None


def _slot_before(
    stream: Stream, p: _Partial, slot: Slot, reach: int, slots: Mapping[str, SlotFinder]
) -> _Partial | None:
    assert p.start is not None
    for skip in range(reach + 1):
        at = p.start - skip
        if at <= 0 or _breaks(stream, at, p.start):
            return None
        text = stream.full.text[max(0, at - 16) : at].split(BREAK)[-1]
        found = slots[slot.name](text, True)
        if found:
            values = ((slot.name, found[1]), *p.values)
            return _Partial(at - found[0], p.end, p.cost, p.weight, values)
    return None


def _breaks(stream: Stream, start: int, end: int) -> bool:
    return stream.full.text.find(BREAK, start, end) >= 0


def _exact(stream: Stream, literal: Literal) -> list[Match]:
    found = []
    for view in (stream.full, stream.lean):
        for at in _occurrences(view.text, literal.text):
            start, last = view.positions[at], view.positions[at + len(literal.text) - 1]
            found.append(Match(start, last + 1, 1.0, literal.text))
    return _best(found)


def _occurrences(text: str, part: str) -> list[int]:
    out = []
    at = text.find(part)
    while at >= 0:
        out.append(at)
        at = text.find(part, at + 1)
    return out


def _split_options(
    stream: Stream, words: Words, strictness: Strictness
) -> list[tuple[View, tuple[Literal, ...]]]:
    """Which options to look for in which view; exact ones are found otherwise."""
    sounded = [o for o in words.options if _budget(o, strictness) >= 0]
    if stream.lean is stream.full:
        return [(stream.full, tuple(sounded))] if sounded else []
    whole = tuple(o for o in sounded if left_out_of_lean(o.text))
    rest = tuple(o for o in sounded if not left_out_of_lean(o.text))
    return [(v, o) for v, o in ((stream.full, whole), (stream.lean, rest)) if o]


def _descend(
    stream: Stream,
    view: View,
    branches: tuple[Branch, ...],
    rows: list[int],
    first: bool,
    strictness: Strictness,
    found: list[tuple[Match, float]],
) -> None:
    """Filter along the prefix tree; align what may end at a place that is left."""
    for branch in branches:
        after = (
            _first_step(view, branch.letter, rows) if first else _step(view, branch.letter, rows)
        )
        if not after[-1]:
            continue
        for literal in branch.ends:
            budget = _budget(literal, strictness)
            if budget >= 0 and after[budget] & ~1:
                matches = _align_at(stream, view, literal, after[budget] & ~1, strictness)
                found += [(m, literal.total) for m in matches]
        _descend(stream, view, branch.following, after, False, strictness, found)


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


def _threshold(literal: Literal, strictness: Strictness) -> float:
    limits = THRESHOLDS[strictness]
    return limits[min(len(literal.text), len(limits)) - 1]


def _budget(literal: Literal, strictness: Strictness) -> int:
    """Units of cost that a literal may have; -1 if it is found by its characters only."""
    threshold = _threshold(literal, strictness)
    return int(literal.total * (1.0 - threshold) / _UNIT + 1e-6) if threshold < 1.0 else -1


def _align_at(
    stream: Stream, view: View, literal: Literal, ends: int, strictness: Strictness
) -> list[Match]:
    """Align a literal around every run of possible ends."""
    length = len(literal.text)
    allowed = literal.total * (1.0 - _threshold(literal, strictness)) + 1e-6
    written = strictness == "strict" and length <= _SHORT
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
        found += _align(stream, view, literal, first, high, allowed, written)
    return _best(found)


def _align(
    stream: Stream,
    view: View,
    literal: Literal,
    low: int,
    high: int,
    allowed: float,
    written: bool,
) -> list[Match]:
    """Score a literal against characters ``low`` to ``high`` (exclusive) of a view."""
    window = view.positions[low:high]
    columns = len(window)
    cost = [0.0] * (columns + 1)
    start = list(range(columns + 1))
    for i, char in enumerate(literal.text):
        weight, sound = literal.weights[i], literal.sounds[i]
        required = literal.required[i]
        drop = _REQUIRED_COST if required else (_DELETE_COST if i else 1.0) * weight
        row = [cost[0] + drop]
        origin = [start[0]]
        for j, position in enumerate(window):
            heard = stream.chars[position]
            crossing = stream.cost_before[position] if i else 0.0
            wall = _BREAK_COST if heard == BREAK else 0.0
            distance = _char_cost(char, sound, heard)
            if required and distance > _MAX_REQUIRED_DISTANCE:
                distance = _REQUIRED_COST
            best = cost[j] + weight * distance + crossing + wall
            origin_best = start[j]
            if cost[j + 1] + drop < best:
                best, origin_best = cost[j + 1] + drop, start[j + 1]
            insert = row[j] + _INSERT_COST + crossing + wall
            if insert < best and i < len(literal.text) - 1:
                best, origin_best = insert, origin[j]
            row.append(best)
            origin.append(origin_best)
        cost, start = row, origin
    out = []
    for j in range(1, columns + 1):
        if cost[j] <= allowed and start[j] < j:
            first, last = window[start[j]], window[j - 1]
            heard_at = [window[k] for k in range(start[j], j)]
            if _same_negations(stream, literal, heard_at, written):
                score = 1.0 - cost[j] / literal.total
                out.append(Match(first, last + 1, score, literal.text))
    return out


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
    return min(distance + HOMOPHONE_COST, UNRELATED)


def _same_negations(stream: Stream, literal: Literal, heard: list[int], written: bool) -> bool:
    """Say whether a stretch negates exactly as the literal does.

    A negation may be misheard as another character of its sound, unless it must be ``written``.
    """
    text = _A_NOT_A.sub("", "".join(stream.chars[p] for p in heard))
    wanted = _A_NOT_A.sub("", literal.text)
    for character in _NEGATIONS:
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


def _clause_before(stream: Stream, position: int) -> str:
    out = ""
    for p in range(position - 1, max(-1, position - 6), -1):
        if stream.marks_before[p + 1] or stream.chars[p] == BREAK:
            break
        out = stream.chars[p] + out
    return out


def _best(matches: list[Match]) -> list[Match]:
    kept: list[Match] = []
    for match in sorted(matches, key=lambda m: (-m.score, m.start, m.start - m.end)):
        if all(match.end <= k.start or k.end <= match.start for k in kept):
            kept.append(match)
    return sorted(kept, key=lambda m: m.start)
