"""From speech and words to turns: who had the floor when, and which utterances were backchannels.

An inter-pausal unit is a stretch of one speaker's speech. Units of one speaker are one turn while
the own pauses between them are short and nobody else takes the floor. A backchannel (嗯, 是的) is a
short unit of listening words said while, or in a pause of, the other's turn: it takes no floor.

Conventions: times in seconds; spans are ordered and disjoint per speaker.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pipeline.dialogue.listening import Sounds, listening
from pipeline.schema import UNHEARD, Seconds, Span, Speaker, Turn, Utterance, Word
from pipeline.settings import Turns
from pipeline.signal.vocal import Vocals
from pipeline.spans import subtract, union
from pipeline.text import count_units, is_backchannel

BACKCHANNEL_GAP_S = 0.5
CONTINUES_WITHIN_S = 1.0
UNSURE_BACKCHANNEL_S = 0.7  # listening without words to go by; who tries to break in says more
LIKELIER = 0.5
SURE_UNITS = 2
SURE = 0.88  # confidence from which words under the other's voice are believed
SLOW_BACKCHANNEL_S = 1.0  # 嗯，是的 with a pause in it: so long, and hardly any syllables
SLOW_UNITS, SLOW_SWELLS, SLOW_LIKELY = 4, 3, 0.2
WORD_REACH_S = 0.3  # a word vouches for so much speech on either side of it
SYLLABLE_S = 0.5  # and for no more of its own; times of words reach into what was left out
LEAST_UNHEARD_S = 0.5
NO_SOUNDS: Sounds = MappingProxyType({})


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
    sounds: Sounds = NO_SOUNDS,
    legs: Sequence[Seconds] = (),
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
    sounds : mapping of speaker to Vocals
        By role: how short sounds are made, beside the own talk; beside the louder of both where
        they share a channel.
    legs : sequence of float
        When another agent takes over. No turn goes on across that; what comes after is a later leg.

    Returns
    -------
    tuple of Turn
        Ordered by start, numbered from 0. Backchannels are turns of their own, marked as such.
    """
    own = {speaker: _units(speaker, spans, legs) for speaker, spans in speech.items()}
    for speaker, units in own.items():
        _give_words(units, [w for u in utterances if u.speaker == speaker for w in u.words])
    units = sorted((u for one in own.values() for u in one), key=lambda u: (u.start, u.end))
    for unit in units:
        others = [u for s, one in own.items() if s != unit.speaker for u in _near(one, unit)]
        unit.backchannel = _is_backchannel(
            unit, others, options, shared_audio, sounds.get(unit.speaker)
        )
    joined = _join(units, options.join_gap_s, legs)
    first = min((u.start for u in joined), default=0.0)
    last = max((u.end for u in joined), default=0.0)
    return tuple(
        _turn(number, unit, first, last, options, legs) for number, unit in enumerate(joined)
    )


def _units(speaker: Speaker, spans: Sequence[Span], cuts: Sequence[Seconds]) -> list[_Unit]:
    """Units in the order of time, disjoint even where spans of two voices of a party overlap."""
    units: list[_Unit] = []
    for start, end in sorted(spans):
        is_cut = bool(units) and any(units[-1].end <= at <= start for at in cuts)
        if not units or is_cut or start - units[-1].end >= BACKCHANNEL_GAP_S:
            units.append(_Unit(speaker, [(start, end)], []))
        elif start > units[-1].end:
            units[-1].spans.append((start, end))
        else:
            last = units[-1].spans.pop()
            units[-1].spans.append((last[0], max(last[1], end)))
    return units


def _give_words(units: Sequence[_Unit], words: Sequence[Word]) -> None:
    """Every word goes to the unit it was said in, or to the nearest one."""
    starts = [u.start for u in units]
    for word in words if units else ():
        middle = word.middle
        at = max(bisect_right(starts, middle) - 1, 0)
        nearest = min(units[at : at + 2], key=lambda u: max(u.start - middle, middle - u.end, 0.0))
        nearest.words.append(word)
    for unit in units:
        unit.words.sort(key=lambda w: (w.start, w.end))


def _near(units: Sequence[_Unit], unit: _Unit) -> Sequence[_Unit]:
    """Those of a party's units that come within ``CONTINUES_WITHIN_S`` of a unit."""
    first = bisect_left(units, unit.start - CONTINUES_WITHIN_S, key=lambda u: u.end)
    last = bisect_right(units, unit.end + CONTINUES_WITHIN_S, key=lambda u: u.start)
    return units[first:last]


def _is_backchannel(
    unit: _Unit,
    near: Sequence[_Unit],
    options: Turns,
    shared_audio: bool,
    sound_of: Vocals | None,
) -> bool:
    """Listening words while the other has the floor, or a short sound in the midst of it.

    What overlaps the other's speech, with the other talking before and after it, is a backchannel
    when it is made of listening words. So short a sound is often misheard under the other's voice:
    how it sounds tells a sign of listening from an attempt to break in. Where that is not known,
    other words count against it only when they were heard with confidence, and else its length.
    """
    if unit.end - unit.start > options.backchannel_max_s:
        return False
    others = [u for u in near if not u.backchannel]
    before = any(u.start < unit.start < u.end + CONTINUES_WITHIN_S for u in others)
    after = any(u.end > unit.end > u.start - CONTINUES_WITHIN_S for u in others)
    overlapping = any(u.start < unit.end and u.end > unit.start for u in others)
    if not (before and after and overlapping):
        return False
    if is_backchannel(unit.text):
        return True
    seconds, count = unit.end - unit.start, count_units(unit.text)
    sound = sound_of(unit.spans) if sound_of is not None else None
    if sound is not None:
        likely = listening(seconds, unit.words, shared_audio, sound)
        drawn_out = seconds >= SLOW_BACKCHANNEL_S and sound.swells <= SLOW_SWELLS
        slow = drawn_out and count <= SLOW_UNITS and not shared_audio
        return likely >= (SLOW_LIKELY if slow else LIKELIER)
    if shared_audio:
        return seconds <= UNSURE_BACKCHANNEL_S
    confidence = sum(w.confidence for w in unit.words) / max(len(unit.words), 1)
    if confidence >= SURE and count >= SURE_UNITS:
        return False
    slow = seconds >= SLOW_BACKCHANNEL_S and 0 < count <= SLOW_UNITS
    return seconds <= UNSURE_BACKCHANNEL_S or slow


def _join(units: Sequence[_Unit], gap_s: Seconds, cuts: Sequence[Seconds]) -> list[_Unit]:
    """Join each speaker's units while nobody else takes the floor in between."""
    floor: dict[Speaker, list[_Unit]] = {}
    for unit in units:
        if not unit.backchannel:
            floor.setdefault(unit.speaker, []).append(unit)
    joined = [u for u in units if u.backchannel]
    for speaker, own in floor.items():
        others = [one for s, one in floor.items() if s != speaker]
        current: _Unit | None = None
        for unit in own:
            if (
                current is not None
                and unit.start - current.end <= gap_s
                and not any(current.end <= at <= unit.start for at in cuts)
                and not any(_taken(current.end, unit.start, one) for one in others)
            ):
                current.spans.extend(unit.spans)
                current.words.extend(unit.words)
            else:
                current = _Unit(speaker, list(unit.spans), list(unit.words))
                joined.append(current)
    return sorted(joined, key=lambda u: (u.start, u.end))


def _taken(start: Seconds, end: Seconds, others: Sequence[_Unit]) -> bool:
    """Whether another party, whose units these are, speaks in the pause from start to end."""
    first = bisect_right(others, start, key=lambda u: u.end)
    last = bisect_left(others, end, key=lambda u: u.start)
    return any(
        min(u.end, end) - max(u.start, start) > 0.5 * min(end - start, u.end - u.start)
        for u in others[first:last]
    )


def _turn(
    number: int,
    unit: _Unit,
    first: Seconds,
    last: Seconds,
    options: Turns,
    legs: Sequence[Seconds],
) -> Turn:
    confidence = sum(w.confidence for w in unit.words) / len(unit.words) if unit.words else 0.0
    unheard = _unheard(unit)
    middle = (unit.start + unit.end) / 2
    opening = unit.start < first + options.opening_s and middle < (first + last) / 2
    closing = unit.end > last - options.closing_s and not opening
    return Turn(
        turn=number,
        speaker=unit.speaker,
        start=round(unit.start, 3),
        end=round(unit.end, 3),
        spans=tuple((round(a, 3), round(b, 3)) for a, b in unit.spans),
        text=_written(unit.words, unheard),
        words=tuple(unit.words),
        confidence=round(confidence, 3),
        is_backchannel=unit.backchannel,
        phase="opening" if opening else "closing" if closing else "body",
        units=count_units(unit.text),
        unheard=tuple((round(a, 3), round(b, 3)) for a, b in unheard),
        leg=1 + sum(unit.start >= at for at in legs),
    )


def _unheard(unit: _Unit) -> list[Span]:
    """Stretches of speech that no words were heard of, all of it where there are none."""
    if not unit.words:
        return list(unit.spans)
    heard = union(
        (
            w.start - WORD_REACH_S,
            min(w.end, w.start + SYLLABLE_S * max(1, count_units(w.text))) + WORD_REACH_S,
        )
        for w in unit.words
    )
    return [s for s in subtract(unit.spans, heard) if s[1] - s[0] >= LEAST_UNHEARD_S]


def _written(words: Sequence[Word], unheard: Sequence[Span]) -> str:
    """The words, and a mark where speech between them was not understood; nothing without words."""
    marks = [(start, UNHEARD) for start, _ in unheard] if words else []
    parts = sorted([*((w.start, w.text) for w in words), *marks], key=lambda part: part[0])
    return "".join(text for _, text in parts)
