"""Interruptions, backchannels and other overlaps: who spoke into whose turn, and what came of it.

The overlap runs from B's start to the end of the first who stops, short pauses of A included; a
sign of listening with which B begins (嗯 … 那我们) does not make it longer.
An overlap alone is no interruption (Bennett 1981; Schegloff 2000). For B starting while A speaks:

1. the overlap is short                          -> clean or terminal transition, not reported
2. B says listening words, A goes on             -> backchannel
3. A had hardly begun, or had paused for a while -> simultaneous start, an ``overlap``;
   so is an attempt (5) in a shorter pause of A, and what began when A had just begun again (of
   what follows a sign of listening, where it goes on)
4. A stops soon, B goes on                       -> interruption, yielded (B took the floor)
5. B stops soon, A goes on                       -> interruption, not yielded (an attempt);
   an ``overlap`` of kind unsure when it may as well be a sign of listening
6. both go on                                    -> interruption, talk-over

Presets of other systems' definitions: ``strict`` (0.5 s), ``sca`` (2 s and 4 characters, A has
talked for 1 s), ``huawei`` (4 s).

References
----------
M. Heldner and J. Edlund, "Pauses, gaps and overlaps in conversations", J. Phonetics 38 (2010).
E. Schegloff, "Overlapping talk and the organization of turn-taking", Language in Society 29 (2000).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Literal

from pipeline.dialogue.listening import Sounds, listening
from pipeline.dialogue.turns import LIKELIER, NO_SOUNDS
from pipeline.schema import Event, Seconds, Turn
from pipeline.settings import Interruptions
from pipeline.spans import intersection
from pipeline.text import is_backchannel

REPORTED_OVERLAP_S = 0.12
MAX_SHORT_S = 1.5  # what is shorter may be a sign of listening
SURE_ATTEMPT = 0.5  # likelier an attempt than a sign of listening, or it is no accusation
SURE_BY_SOUND = 0.7  # where the sound is measured by itself
MAX_PAUSE_S = 0.5
OPEN_S = 0.35  # a pause so long that the floor was free for both, whoever gives way
MOST_LISTENING_WORDS, HEARD = 6, 0.5  # characters of a sign of listening; confidence in them
# So long is enough for whoever begins right after it and keeps the floor. In one channel edges are
# less exact.
BREATH_S, BREATH_MONO_S = 0.18, 0.3
REACTION_S, AFTER_LONG_S = 0.2, 0.35  # who begins so soon after a pause did not hear it was over

# What other systems' definitions ask for, where the settings do not say it.
PRESETS: Mapping[str, Mapping[str, float]] = {
    "tree": {},
    "strict": {"min_overlap_s": 0.5},
    "sca": {"min_overlap_s": 2.0, "min_units": 4, "min_floor_s": 1.0},
    "huawei": {"min_overlap_s": 4.0},
}


def find_overlaps(
    turns: Sequence[Turn],
    options: Interruptions = Interruptions(),
    *,
    shared_audio: bool = False,
    sounds: Sounds = NO_SOUNDS,
) -> tuple[Event, ...]:
    """Classify every overlap and every backchannel of a call.

    Parameters
    ----------
    turns : sequence of Turn
    options : Interruptions
        A preset other than ``tree`` takes the place of the settings it names, unless they are given.
    shared_audio : bool
        Both voices are in one channel: overlaps shorter than ``min_overlap_mono_s`` do not count.
    sounds : mapping of speaker to Vocals
        As for :func:`pipeline.dialogue.turns.build_turns`.

    Returns
    -------
    tuple of Event
        Kinds ``interruption`` (detail: yielded, kind ``successful``, ``attempted`` or
        ``talk_over``, overlap_s, words of both), ``backchannel`` and ``overlap``.
    """
    events = [_backchannel(t, sounds, shared_audio) for t in turns if t.is_backchannel]
    options = _by_preset(options, shared_audio)
    floor = sorted((t for t in turns if not t.is_backchannel), key=lambda t: (t.start, t.end))
    talking: list[Turn] = []
    for b in floor:
        talking = [a for a in talking if a.end > b.start]
        for a in talking:
            if a.speaker != b.speaker and a.start < b.start:
                events += _classify(a, b, floor, options, sounds, shared_audio)
        talking.append(b)
    return tuple(sorted(events, key=lambda e: (e.start, e.end, e.kind)))


def _listening(turn: Turn, sounds: Sounds, shared_audio: bool) -> tuple[float, bool]:
    """How likely a turn is a sign of listening, and whether its sound was measured."""
    sound = sounds[turn.speaker](turn.spans) if turn.speaker in sounds else None
    return listening(turn.duration, turn.words, shared_audio, sound), sound is not None


def _backchannel(turn: Turn, sounds: Sounds, shared_audio: bool) -> Event:
    sure = round(_listening(turn, sounds, shared_audio)[0], 2)
    return Event("backchannel", turn.start, turn.end, turn.speaker, {"words": turn.text}, sure)


def _classify(
    a: Turn,
    b: Turn,
    floor: Sequence[Turn],
    options: Interruptions,
    sounds: Sounds,
    shared_audio: bool,
) -> Iterator[Event]:
    shared = intersection(a.spans, b.spans)
    start, end = b.start, min(a.end, b.end)
    seconds = end - start
    if not shared or seconds < REPORTED_OVERLAP_S:
        return
    floor_s = sum(min(e, start) - s for s, e in a.spans if s < start)
    paused_s = start - max(min(e, start) for s, e in a.spans if s < start)
    detail = {
        "overlap_s": round(seconds, 2),
        "words": _words(b, start, end + 1.0),
        "words_other": _words(a, start - 2.0, end),
    }
    if floor_s < options.min_floor_s or paused_s > MAX_PAUSE_S:
        if seconds >= options.min_overlap_s:
            yield Event("overlap", start, end, b.speaker, {"kind": "simultaneous", **detail})
        return
    goes_on = _after_preface(b, sounds, shared_audio)
    if goes_on == b.end and seconds >= options.min_overlap_s:
        yield Event("overlap", start, end, b.speaker, {"kind": "unsure", **detail})
        return
    if end - goes_on < options.min_overlap_s or b.units < options.min_units:
        yield Event("overlap", start, end, b.speaker, {"kind": "terminal", **detail})
        return
    kind = _outcome(a, b, start, floor, options)
    if _both_started(a, goes_on, kind, BREATH_MONO_S if shared_audio else BREATH_S):
        yield Event("overlap", start, end, b.speaker, {"kind": "simultaneous", **detail})
        return
    sure = _confidence(seconds, options)
    if kind == "attempted" and b.duration <= MAX_SHORT_S:
        by_chance, measured = _listening(b, sounds, shared_audio)
        breaking_in = 1 - by_chance
        if breaking_in < (SURE_BY_SOUND if measured and not shared_audio else SURE_ATTEMPT):
            yield Event("overlap", start, end, b.speaker, {"kind": "unsure", **detail})
            return
        sure = round(min(sure, breaking_in), 2)
    yield Event(
        "interruption",
        start,
        end,
        b.speaker,
        {"yielded": kind == "successful", "kind": kind, **detail},
        sure,
    )


def _both_started(a: Turn, start: Seconds, kind: str, breath_s: Seconds) -> bool:
    """Whether B began in a pause of A, or before B could hear that it was over."""
    for (_, since), (until, _) in pairwise(a.spans):
        pause, late = until - since, start - until
        soon = AFTER_LONG_S if pause > MAX_PAUSE_S else REACTION_S
        if kind == "attempted" and pause >= OPEN_S and since < start < until + soon:
            return True
        if kind != "attempted" and pause >= breath_s and 0 <= late < soon:
            return True
    return False


def _after_preface(turn: Turn, sounds: Sounds, shared_audio: bool) -> Seconds:
    """Where a turn goes on that begins with a sign of listening, its end where it is nothing else.

    The sign is heard in its words, or is a short sound before a pause.
    """
    words, first = turn.words, turn.spans[0]
    for count in range(min(len(words), MOST_LISTENING_WORDS), 0, -1):
        said = words[:count]
        heard = sum(w.confidence for w in said) / count
        if heard >= HEARD and is_backchannel("".join(w.text for w in said)):
            return max(turn.start, words[count].start) if count < len(words) else turn.end
    seconds = first[1] - first[0]
    if len(turn.spans) == 1 or seconds > MAX_SHORT_S or turn.speaker not in sounds:
        return turn.start
    sound = sounds[turn.speaker]([first])
    before = [w for w in words if w.start < first[1]]
    is_sign = sound is not None and listening(seconds, before, shared_audio, sound) >= LIKELIER
    return turn.spans[1][0] if is_sign else turn.start


def _outcome(
    a: Turn, b: Turn, start: Seconds, floor: Sequence[Turn], options: Interruptions
) -> Literal["successful", "attempted", "talk_over"]:
    resumes = any(
        t.speaker == a.speaker
        and a.end < t.start < a.end + options.resume_within_s
        and t.start < b.end
        for t in floor
    )
    if a.end - start <= options.yield_within_s and b.end > a.end and not resumes:
        return "successful"
    if b.end < a.end:
        return "attempted"
    return "talk_over"


def _words(turn: Turn, start: Seconds, end: Seconds) -> str:
    return "".join(w.text for w in turn.words if w.end > start and w.start < end)


def _confidence(seconds: Seconds, options: Interruptions) -> float:
    """Grows with how far the overlap is beyond the threshold; edges are good to about 50 ms."""
    return round(min(0.95, 0.6 + (seconds - options.min_overlap_s) / 2), 2)


def _by_preset(options: Interruptions, shared_audio: bool) -> Interruptions:
    """The settings as they count: a preset's values where none are given, the longer on mono."""
    preset = PRESETS[options.preset]
    values = {k: v for k, v in preset.items() if k not in options.model_fields_set}
    if shared_audio:
        least = values.get("min_overlap_s", options.min_overlap_s)
        values["min_overlap_s"] = max(least, options.min_overlap_mono_s)
    return options.model_copy(update=values)
