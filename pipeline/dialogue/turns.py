"""From speech and words to turns: who had the floor when, and which utterances were backchannels.

An inter-pausal unit is a stretch of one speaker's speech. Units of one speaker are one turn while
the own pauses between them are short and nobody else takes the floor. A backchannel (嗯, 是的) is a
short unit of listening words said while, or in a pause of, the other's turn: it takes no floor.

Conventions: times in seconds; spans are ordered and disjoint per speaker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.schema import Seconds, Span, Speaker, Turn, Utterance, Word
from pipeline.settings import Turns
from pipeline.text import count_units, is_backchannel

BACKCHANNEL_GAP_S = 0.5
CONTINUES_WITHIN_S = 1.0
UNSURE_BACKCHANNEL_S = 0.7  # listening without words to go by; who tries to break in says more
SURE_UNITS = 2
SURE = 0.9  # confidence from which words under the other's voice are believed
SLOW_BACKCHANNEL_S = 1.0  # 嗯，是的 with a pause in it: so long, and hardly any syllables
SLOW_UNITS = 4
WORD_REACH_S = 0.6


@dataclass(slots=True)
class _Unit:
    speaker: Speaker
    spans: list[Span]
    words: list[Word]
    backchannel: bool = False

    @property
    def start(self) -> Seconds:
        return self.spans[0][0]

    @property
    def end(self) -> Seconds:
        return self.spans[-1][1]

    @property
    def text(self) -> str:
        return "".join(w.text for w in self.words)


def build_turns(
    speech: Mapping[Speaker, Sequence[Span]],
    utterances: Sequence[Utterance],
    options: Turns = Turns(),
    *,
    shared_audio: bool = False,
) -> tuple[Turn, ...]:
    """Build the turns of a call.

    Parameters
    ----------
    speech : mapping of speaker to spans
        The voice-activity timeline, by role.
    utterances : sequence of Utterance
        Recognised text, by role; rejected ones have no words and are ignored.
    options : Turns
    shared_audio : bool
        Both voices are in one channel: what is heard of a short sound under the other's voice may
        be the other's words.

    Returns
    -------
    tuple of Turn
        Ordered by start, numbered from 0. Backchannels are turns of their own, marked as such.
    """
    units = [u for speaker, spans in speech.items() for u in _units(speaker, spans)]
    units.sort(key=lambda u: (u.start, u.end))
    for speaker in speech:
        _give_words(
            [u for u in units if u.speaker == speaker],
            [w for u in utterances if u.speaker == speaker for w in u.words],
        )
    for unit in units:
        unit.backchannel = _is_backchannel(unit, units, options, shared_audio)
    joined = _join(units, options.join_gap_s)
    first = min((u.start for u in joined), default=0.0)
    last = max((u.end for u in joined), default=0.0)
    return tuple(_turn(number, unit, first, last, options) for number, unit in enumerate(joined))


def _units(speaker: Speaker, spans: Sequence[Span]) -> list[_Unit]:
    units: list[_Unit] = []
    for span in spans:
        if units and span[0] - units[-1].end < BACKCHANNEL_GAP_S:
            units[-1].spans.append(span)
        else:
            units.append(_Unit(speaker, [span], []))
    return units


def _give_words(units: list[_Unit], words: list[Word]) -> None:
    """Every word goes to the unit it was said in, or to the nearest one."""
    if not units:
        return
    for word in words:
        middle = (word.start + word.end) / 2
        nearest = min(units, key=lambda u: max(u.start - middle, middle - u.end, 0.0))
        nearest.words.append(word)
    for unit in units:
        unit.words.sort(key=lambda w: (w.start, w.end))


def _is_backchannel(
    unit: _Unit, units: Sequence[_Unit], options: Turns, shared_audio: bool
) -> bool:
    """Listening words while the other has the floor, or a short sound in the midst of it.

    What overlaps the other's speech, with the other talking before and after it, is a backchannel
    when it is made of listening words. So short a sound is often misheard under the other's voice:
    other words count against it only when they were heard with confidence; without such words it
    is its length that tells a sign of listening from an attempt to break in.
    """
    if unit.end - unit.start > options.backchannel_max_s:
        return False
    others = [u for u in units if u.speaker != unit.speaker and not u.backchannel]
    before = any(u.start < unit.start < u.end + CONTINUES_WITHIN_S for u in others)
    after = any(u.end > unit.end > u.start - CONTINUES_WITHIN_S for u in others)
    overlapping = any(u.start < unit.end and u.end > unit.start for u in others)
    if not (before and after and overlapping):
        return False
    if is_backchannel(unit.text):
        return True
    seconds, count = unit.end - unit.start, count_units(unit.text)
    if shared_audio:
        return seconds <= UNSURE_BACKCHANNEL_S
    confidence = sum(w.confidence for w in unit.words) / max(len(unit.words), 1)
    if confidence >= SURE and count >= SURE_UNITS:
        return False
    slow = seconds >= SLOW_BACKCHANNEL_S and 0 < count <= SLOW_UNITS
    return seconds <= UNSURE_BACKCHANNEL_S or slow


def _join(units: Sequence[_Unit], gap_s: Seconds) -> list[_Unit]:
    """Join each speaker's units while nobody else takes the floor in between."""
    floor = [u for u in units if not u.backchannel]
    joined: list[_Unit] = []
    open_turn: dict[Speaker, _Unit] = {}
    for unit in floor:
        current = open_turn.get(unit.speaker)
        if (
            current is not None
            and unit.start - current.end <= gap_s
            and not _taken(current.end, unit.start, unit.speaker, floor)
        ):
            current.spans.extend(unit.spans)
            current.words.extend(unit.words)
        else:
            current = _Unit(unit.speaker, list(unit.spans), list(unit.words))
            open_turn[unit.speaker] = current
            joined.append(current)
    joined += [u for u in units if u.backchannel]
    return sorted(joined, key=lambda u: (u.start, u.end))


def _taken(start: Seconds, end: Seconds, speaker: Speaker, floor: Sequence[_Unit]) -> bool:
    """Whether somebody else speaks in the pause from ``start`` to ``end``."""
    return any(
        u.speaker != speaker
        and min(u.end, end) - max(u.start, start) > 0.5 * min(end - start, u.end - u.start)
        for u in floor
        if u.start < end and u.end > start
    )


def _turn(number: int, unit: _Unit, first: Seconds, last: Seconds, options: Turns) -> Turn:
    confidence = sum(w.confidence for w in unit.words) / len(unit.words) if unit.words else 0.0
    middle = (unit.start + unit.end) / 2
    opening = unit.start < first + options.opening_s and middle < (first + last) / 2
    closing = unit.end > last - options.closing_s and not opening
    return Turn(
        turn=number,
        speaker=unit.speaker,
        start=round(unit.start, 3),
        end=round(unit.end, 3),
        spans=tuple((round(a, 3), round(b, 3)) for a, b in unit.spans),
        text=unit.text,
        words=tuple(unit.words),
        confidence=round(confidence, 3),
        is_backchannel=unit.backchannel,
        phase="opening" if opening else "closing" if closing else "body",
        units=count_units(unit.text),
    )
