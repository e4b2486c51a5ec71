"""What one speaker said, as a row of characters that can be searched by sound.

A stream joins the turns of one speaker. Punctuation is taken out but remembered, numbers are in
their spoken form, and every character knows its turn, time and confidence. Between two turns that
do not belong together (the other party said something, or a long silence) stands a break that no
phrase may cross. The *lean* view leaves out fillers and stutters, so that ``请嗯那个稍等`` is still
``请稍等``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import pairwise
from typing import Any

from rapidfuzz.distance import Levenshtein

from pipeline.schema import Dialogue, Turn, Word
from pipeline.text import readings, spoken_form
from pipeline.text.similarity import Sound, similar_sounds, sound_of

BREAK = "\n"
NEAR_SAME = {"您": "你", "你": "您", "两": "二", "二": "两"}  # said for each other, same sense
MAX_JOIN_S = 4.0  # a longer silence between two turns of one speaker breaks the stream
_SENTENCE_END = frozenset("。！？!?；;…")
_OPENING = frozenset('“「『‘《"')
_CLOSING = frozenset("”」』’》")
_COMMA = frozenset("，,、：:")
_FILLERS = re.compile(r"就是说|那个|这个|就是|然后|[嗯呃啊额哦噢唉诶欸哎呢]")
# Digits that no word sounds like: two and more in a row, weekdays, quantities with a unit.
_NUMERALS = re.compile(
    "[零一二三四五六七八九十百幺]{3,}|[零二三四五六七八九幺][零一二三四五六七八九十幺]+"
    "|(?<=星期)[一二三四五六]|(?<=礼拜)[一二三四五六]|(?<=周)[一二三四五六]|(?<=第)[一二三四五六七八九]"
    "|[二三四五六七八九十](?=[个天点号块元月年位次岁楼栋层期件张])"
)
FIRM = (0.35, 0.8, 0.3)  # sure to have been misheard, to be what it is; the least that counts
_SENTENCE_COST = 0.3
_COMMA_COST = 0.06


@dataclass(frozen=True, slots=True)
class View:
    """Some positions of a stream in order, with one bit mask of positions per sound."""

    positions: tuple[int, ...]
    text: str
    by_char: dict[str, int]
    by_sound: dict[Sound, int]
    masks: dict[tuple[str, Sound | None], tuple[int, int]] = field(default_factory=dict)
    first_rows: dict[Any, list[int]] = field(default_factory=dict)

    def mask(self, char: str, sound: Sound | None) -> tuple[int, int]:
        """Bits of the places where ``char`` or its sound was said, and of all similar places."""
        key = (char, sound)
        found = self.masks.get(key)
        if found is None:
            same = self.by_char.get(char, 0) | self.by_char.get(NEAR_SAME.get(char, ""), 0)
            similar = 0
            if sound is not None:
                same |= self.by_sound.get(sound, 0)
                for other in similar_sounds(sound):
                    similar |= self.by_sound.get(other, 0)
            found = self.masks[key] = same, same | similar
        return found


@dataclass(frozen=True, slots=True)
class Stream:
    """The characters of one speaker; all lists have the same length.

    ``cost_before`` is the price of crossing the punctuation in front of a character, ``numerals``
    are the places of digits that are no words, ``found`` keeps what was searched for already. ``firm`` is
    how much of a difference in sound counts, 0-1: a character that was heard well is what it is, one in
    doubt may have been another.
    """

    speaker: str
    chars: list[str]
    sounds: list[tuple[Sound, ...]]
    starts: list[float]
    ends: list[float]
    confidences: list[float]
    firm: list[float]
    turns: list[int]
    marks_before: list[str]
    cost_before: list[float]
    numerals: set[int]
    full: View
    lean: View
    found: dict[Any, list[Any]] = field(default_factory=dict)

    def text(self, start: int, end: int) -> str:
        """Characters ``start`` to ``end`` (exclusive), without breaks."""
        return "".join(c for c in self.chars[start:end] if c != BREAK)

    def quote(self, start: int, end: int, longest: int = 48) -> str:
        """The sentence or sentences around a span, with punctuation."""
        turn = self.turns[start]
        first, last = start, end - 1
        while first > 0 and self.turns[first - 1] == turn and not self._ends_sentence(first):
            first -= 1
        while last + 1 < len(self.chars) and self.turns[last + 1] == self.turns[end - 1]:
            if self._ends_sentence(last + 1):
                break
            last += 1
        if last - first > longest:
            first, last = max(first, start - 8), min(last, end + 8)
        pieces = [
            self.marks_before[i] + self.chars[i] if i > first else self.chars[i]
            for i in range(first, last + 1)
        ]
        return "".join(pieces).replace(BREAK, " ").strip()

    def starts_turn(self, position: int, within: int) -> bool:
        """Say whether at most ``within`` characters of the turn stand before a position."""
        first = max(0, position - within)
        return first == 0 or self.turns[first - 1] != self.turns[position]

    def same_sentence(self, one: int, other: int) -> bool:
        """Say whether position ``other`` follows ``one`` in the same sentence."""
        if not one <= other or self.turns[one - 1] != self.turns[other]:
            return False
        return not any(self._ends_sentence(p) for p in range(one, other + 1))

    def in_quotes(self, start: int, end: int) -> bool:
        """Say whether characters ``start`` to ``end`` (exclusive) stand between quotation marks."""
        turn = self.turns[start]
        p = start
        while p >= 0 and self.turns[p] == turn:
            if any(m in _CLOSING for m in self.marks_before[p]) and p < start:
                return False
            if any(m in _OPENING for m in self.marks_before[p]):
                break
            p -= 1
        else:
            return False
        while end < len(self.chars) and self.turns[end] == turn:
            if any(m in _CLOSING for m in self.marks_before[end]):
                return True
            end += 1
        return True  # a closing mark at the end of a turn stands before no character

    def _ends_sentence(self, position: int) -> bool:
        return any(m in _SENTENCE_END for m in self.marks_before[position])


def build_stream(dialogue: Dialogue, speaker: str) -> Stream:
    """Join what ``speaker`` said in ``dialogue`` into one searchable stream."""
    nothing = View((), "", {}, {})
    out = Stream(speaker, [], [], [], [], [], [], [], [], [], set(), nothing, nothing)
    previous: Turn | None = None
    for index, turn in enumerate(dialogue.turns):
        if turn.speaker != speaker:
            continue
        if previous is not None and _apart(dialogue.turns, previous, turn):
            _append(out, BREAK, Word(previous.end, turn.start, BREAK, 1.0), index, "")
        _append_turn(out, turn, index)
        previous = turn
    every = tuple(range(len(out.chars)))
    text = "".join(out.chars)
    out.numerals.update(i for m in _NUMERALS.finditer(text) for i in range(*m.span()))
    kept = tuple(_lean(out.chars))
    full = _view(out, every)
    return replace(out, full=full, lean=_view(out, kept) if len(kept) < len(every) else full)


@cache
def left_out_of_lean(text: str) -> bool:
    """Say whether a phrase holds fillers or doubled characters, which the lean view drops."""
    doubled = any(a == b for a, b in pairwise(text))
    return doubled or _FILLERS.search(text) is not None


def split_at_pauses(turns: Sequence[Turn], pause_s: float) -> tuple[Turn, ...]:
    """Split turns at long pauses of the speaker, so that a wait never lies inside of a turn."""
    out: list[Turn] = []
    for turn in turns:
        cuts = [(a[1] + b[0]) / 2 for a, b in pairwise(turn.spans) if b[0] - a[1] > pause_s]
        out += _split(turn, cuts) if cuts else [turn]
    return tuple(sorted(out, key=lambda t: t.start))


def _split(turn: Turn, cuts: list[float]) -> list[Turn]:
    edges = [float("-inf"), *cuts, float("inf")]
    characters = timed_characters(turn)
    parts = []
    for low, high in pairwise(edges):
        inside = [(m, w) for m, w in characters if low <= w.middle < high]
        spans = tuple(s for s in turn.spans if low <= s[0] < high)
        if not spans:
            continue
        parts.append(
            replace(
                turn,
                start=spans[0][0],
                end=spans[-1][1],
                spans=spans,
                unheard=tuple(s for s in turn.unheard if low <= s[0] < high),
                text="".join(m + w.text for m, w in inside).lstrip("。，！？、"),
                words=tuple(w for _, w in inside),
                units=len(inside),
            )
        )
    return parts


def timed_characters(turn: Turn) -> list[tuple[str, Word]]:
    """Give the spoken characters of a turn with the punctuation before each and its time.

    Where the spoken form differs from what was recognised (numbers), and where a turn carries
    no words at all, times are spread evenly between the known neighbours.
    """
    text = spoken_form(turn.text)
    marks, chars = [""], []
    for c in text:
        if c.isalnum():
            chars.append(c)
            marks.append("")
        elif not c.isspace():
            marks[-1] += c
    heard = [
        Word(w.start + k * step, w.start + (k + 1) * step, c, w.confidence)
        for w in turn.words
        for spoken in [[c for c in w.text if c.isalnum()]]
        for step in [(w.end - w.start) / max(len(spoken), 1)]
        for k, c in enumerate(spoken)
    ]
    return list(zip(marks, _aligned(chars, heard, turn), strict=False))


def _aligned(chars: Sequence[str], heard: Sequence[Word], turn: Turn) -> list[Word]:
    if not heard:
        step = turn.duration / max(len(chars), 1)
        return [
            Word(turn.start + i * step, turn.start + (i + 1) * step, c, turn.confidence)
            for i, c in enumerate(chars)
        ]
    recognised = [w.text for w in heard]
    if list(chars) == recognised:
        return list(heard)
    out: list[Word] = []
    for code in Levenshtein.opcodes(recognised, list(chars)):
        source = heard[code.src_start : code.src_end]
        target = chars[code.dest_start : code.dest_end]
        if code.tag == "equal":
            out.extend(source)
            continue
        near = source or [heard[min(code.src_start, len(heard) - 1)]]
        start = near[0].start
        step = (near[-1].end - start) / max(len(target), 1)
        confidence = sum(w.confidence for w in near) / len(near)
        out.extend(
            Word(start + k * step, start + (k + 1) * step, c, confidence)
            for k, c in enumerate(target)
        )
    return out


def _append_turn(out: Stream, turn: Turn, index: int) -> None:
    for marks, word in timed_characters(turn):
        _append(out, word.text, word, index, marks, turn.confidence)


def _append(out: Stream, char: str, word: Word, turn: int, marks: str, around: float = 1.0) -> None:
    out.chars.append(char)
    out.sounds.append(sounds_of(char))
    out.starts.append(word.start)
    out.ends.append(word.end)
    out.confidences.append(word.confidence)
    low, high, least = FIRM
    out.firm.append(min(1.0, max(least, (word.confidence * around - low) / (high - low))))
    out.turns.append(turn)
    out.marks_before.append(marks)
    ends = any(m in _SENTENCE_END for m in marks)
    comma = any(m in _COMMA for m in marks)
    out.cost_before.append(_SENTENCE_COST if ends else _COMMA_COST if comma else 0.0)


@cache
def sounds_of(char: str) -> tuple[Sound, ...]:
    """The sounds of a character in everyday speech; none for marks and breaks."""
    return tuple(dict.fromkeys(sound_of(r) for r in readings(char)))


def _apart(turns: Iterable[Turn], one: Turn, other: Turn) -> bool:
    if other.start - one.end > MAX_JOIN_S:
        return True
    return any(
        t.speaker != one.speaker
        and not t.is_backchannel
        and one.start < t.start < other.start
        and bool(t.text)
        for t in turns
    )


def _lean(chars: Sequence[str]) -> list[int]:
    text = "".join(chars)
    dropped = {i for m in _FILLERS.finditer(text) for i in range(*m.span())}
    kept = [i for i in range(len(chars)) if i not in dropped]
    return [
        i
        for k, i in enumerate(kept)
        if k == 0 or chars[i] != chars[kept[k - 1]] or chars[i] in "零一二三四五六七八九"
    ]


def _view(stream: Stream, positions: tuple[int, ...]) -> View:
    by_char: dict[str, int] = {}
    by_sound: dict[Sound, int] = {}
    for bit, position in enumerate(positions):
        char = stream.chars[position]
        by_char[char] = by_char.get(char, 0) | 1 << bit
        for sound in () if position in stream.numerals else stream.sounds[position]:
            by_sound[sound] = by_sound.get(sound, 0) | 1 << bit
    text = "".join(stream.chars[p] for p in positions)
    return View(positions, text, by_char, by_sound)
