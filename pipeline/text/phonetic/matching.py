"""Find phrases in a stream: literals by sound, joined by gaps and slots, in their own sense.

A phrase is a sequence of words, gaps and slots (:mod:`pipeline.text.phonetic.phrases`); its words are
found one by one (:mod:`pipeline.text.phonetic.search`) and joined from left to right. Whether the
words in front turn the sense around is told by :func:`negated`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pipeline.text.phonetic.phrases import MAX_GAP, Element, Gap, Phrase, Slot, Words
from pipeline.text.phonetic.search import A_NOT_A, NEGATIONS, Closeness, Match, best, find_words
from pipeline.text.phonetic.streams import BREAK, Stream

SlotFinder = Callable[[str, bool], tuple[int, str] | None]

_NEGATED_BEFORE = re.compile(
    r"(?:不|没|没有|别|勿|并非|无需|不是|不会|不要|不用|不必|不能|"
    r"不太|不很|不再|不大|没怎么|不怎么|不想)$"
)
_NOT_DONE = re.compile("没有?$")  # 退款从来没有翻过 is no 来…翻
_ASKING = ("吧", "吗", "么", "嘛")
_DOUBLE_NEGATED_BEFORE = re.compile(r"(?:不是|并非|不会|没有说|没说|不等于|并不是|不代表)$")


def find_phrase(
    stream: Stream,
    phrase: Phrase,
    strictness: Closeness = "normal",
    slots: Mapping[str, SlotFinder] | None = None,
) -> list[Match]:
    """Find every place where a phrase was said.

    Parameters
    ----------
    stream : Stream
        What one speaker said.
    phrase : Phrase
        What to look for.
    strictness : {"faint", "normal", "careful", "strict", "exact"}
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
    return best(found)


def negated(stream: Stream, match: Match, literal_start: str) -> bool:
    """Say whether the words in front of a match turn its sense around.

    A phrase that itself begins with a negation is only turned around by a double negation
    (不是不行). Questions do not negate: A-not-A (是不是), or with a particle behind (您不介意吧).
    """
    before = _clause_before(stream, match.start)
    if literal_start[:1] and literal_start[0] in NEGATIONS:
        question = before[-1:] and stream.text(match.start + 1, match.start + 2) == before[-1:]
        return bool(question) or (
            bool(_DOUBLE_NEGATED_BEFORE.search(before)) and not A_NOT_A.search(before[-3:])
        )
    hit = _NEGATED_BEFORE.search(before)
    if not hit or stream.text(match.end, match.end + 1) in _ASKING:
        return False
    tail = before[max(0, hit.start() - 1) :]
    return not A_NOT_A.match(tail)


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
    strictness: Closeness,
    slots: Mapping[str, SlotFinder],
) -> list[_Partial]:
    """Take one element further; ``before`` are all elements in front of it."""
    between = _since_words(before)
    if isinstance(element, Slot):
        gap = _reach(between)
        ends = (_slot_after(stream, p, element, gap, slots) for p in partials)
        return [e for e in ends if e is not None]
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
    cheapest: dict[tuple[object, ...], _Partial] = {}  # else gaps multiply them without end
    for q in out:
        key = (q.start, q.end, q.weight, q.values)
        if key not in cheapest or q.cost < cheapest[key].cost:
            cheapest[key] = q
    return list(cheapest.values())


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
    if has_gap and _NOT_DONE.search(text) and stream.chars[match.start] not in NEGATIONS:
        return None
    for slot in wanted:
        # without a gap the value is all that stands between the words
        found = _first(slots[slot.name], text) if has_gap else slots[slot.name](text, True)
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
        text = _clause_after(stream, p.end + skip)
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


def _clause_after(stream: Stream, start: int) -> str:
    """The text from a position to the end of its clause, at most sixteen characters."""
    end = start
    while end < min(start + 16, len(stream.chars)) and stream.chars[end] != BREAK:
        if end > start and stream.marks_before[end].strip():
            break
        end += 1
    return stream.full.text[start:end]


def _breaks(stream: Stream, start: int, end: int) -> bool:
    return stream.full.text.find(BREAK, start, end) >= 0


def _clause_before(stream: Stream, position: int) -> str:
    out = ""
    for p in range(position - 1, max(-1, position - 6), -1):
        if stream.marks_before[p + 1] or stream.chars[p] == BREAK:
            break
        out = stream.chars[p] + out
    return out
