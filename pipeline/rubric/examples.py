"""Short text dialogues kept beside each rule, and how they become calls.

One line holds one dialogue; its parts are separated by `` / ``::

    [outbound] / A: 您好。 / C: 你好。 / [hold 40 music] / A: 让您久等了。

``A:`` is the agent, ``C:`` the customer. Words are laid out at four characters per second with
gaps of 0.4 s. What stands in brackets is in the table of :func:`parse_example`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace

from pipeline.errors import nearest
from pipeline.rubric.located import Located
from pipeline.schema import (
    AGENT,
    CUSTOMER,
    Dialogue,
    Event,
    Recording,
    Turn,
    VerdictName,
)
from pipeline.text import count_units, is_backchannel, simplify

UNITS_PER_S = 4.0
GAP_S = 0.4
_SPEAKERS = {"A": AGENT, "C": CUSTOMER}
_DIRECTIVES = (
    "inbound", "outbound", "start", "name", "rings", "hold", "gap", "event", "measure", "slow",
    "level", "unclear", "tail", "length",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Example:
    """A dialogue and the verdict an item should give on it; ``at`` is its file and line."""

    text: str
    expected: VerdictName
    dialogue: Dialogue
    at: str


@dataclass
class _Draft:
    recording: Recording = field(default_factory=lambda: Recording("example", "example"))
    turns: list[Turn] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    measures: dict[str, float | None] = field(default_factory=dict)
    now: float = 0.5
    rate: float = UNITS_PER_S
    level: float | None = None
    confidence: float = 0.9
    tail: float = 1.5
    length: float | None = None


def parse_example(at: Located, expected: str) -> Example:
    """Read one dialogue.

    ======================  =====================================================
    ``[inbound]``           direction of the call (also ``[outbound]``)
    ``[start T]``           start time, ISO 8601
    ``[name 王芳]``           the customer's name in the metadata
    ``[rings 3]``           rings before the call was answered
    ``[hold 40 music]``     a wait of so many seconds
    ``[gap 5]``             nobody speaks for so many seconds
    ``[event KIND 2 A]``    an event over the last so many seconds, by somebody; words after
                            that are details that are true (``yielded``)
    ``[measure NAME 210]``  a measure of the call
    ``[slow 2]``            characters per second from here on
    ``[level -20]``         level of the following turns in dBFS
    ``[unclear]``           the following turns were badly recognised
    ``[tail 0.2]``          seconds between the last word and the end
    ``[length 200]``        length of the recording
    ======================  =====================================================
    """
    text = at.text()
    draft = _Draft()
    for part in re.split(r"\s+/\s+", text.strip()):
        directive = re.fullmatch(r"\[(\w+)\s*(.*)\]", part)
        if directive:
            _direct(at, draft, directive[1], directive[2].split())
            continue
        speaker, colon, words = part.partition(":")
        if not colon or speaker.strip() not in _SPEAKERS:
            at.fail(f'"{part}" is no turn.', "Write A: for the agent or C: for the customer.")
        _say(draft, _SPEAKERS[speaker.strip()], words.strip())
    return Example(text, expected, _dialogue(draft), at.at)  # type: ignore[arg-type]


def _say(draft: _Draft, speaker: str, words: str) -> None:
    text = simplify(words)
    units = count_units(text)
    seconds = max(units, 1) / draft.rate
    end = draft.now + seconds
    draft.turns.append(
        Turn(
            turn=len(draft.turns),
            speaker=speaker,
            start=draft.now,
            end=end,
            spans=((draft.now, end),),
            text=text,
            words=(),
            confidence=draft.confidence,
            is_backchannel=is_backchannel(text) and units <= 2,
            units=units,
            speaking_rate=units / seconds * 60,
            level_dbfs=draft.level,
        )
    )
    draft.now = end + GAP_S


def _direct(at: Located, draft: _Draft, name: str, words: list[str]) -> None:
    if name not in _DIRECTIVES:
        at.fail(f'"[{name}]" is not known in an example.', nearest(name, _DIRECTIVES))
    try:
        _apply(draft, name, words)
    except (IndexError, ValueError):
        at.fail(f'"[{name} {" ".join(words)}]" is not complete.', "See docs/rubrics.md.")


def _apply(draft: _Draft, name: str, words: list[str]) -> None:
    match name:
        case "inbound" | "outbound":
            draft.recording = replace(draft.recording, direction=name)
        case "start":
            draft.recording = replace(draft.recording, started_at=words[0])
        case "name":
            draft.recording = replace(draft.recording, customer_name=words[0])
        case "rings":
            draft.recording = replace(draft.recording, rings=int(words[0]))
        case "hold":
            seconds = float(words[0])
            medium = {"medium": words[1] if len(words) > 1 else "silence"}
            start = draft.now - GAP_S
            draft.events.append(Event("hold", start, start + seconds, AGENT, medium))
            draft.now = start + seconds
        case "gap":
            draft.now += float(words[0])
        case "event":
            seconds, by = float(words[1]), _SPEAKERS[words[2]] if len(words) > 2 else None
            start = draft.now - GAP_S - seconds
            detail = dict.fromkeys(words[3:], True)
            draft.events.append(
                Event(words[0], start, start + seconds, by, detail)  # type: ignore[arg-type]
            )
        case "measure":
            draft.measures[words[0]] = float(words[1])
        case "slow":
            draft.rate = float(words[0])
        case "level":
            draft.level = float(words[0])
        case "unclear":
            draft.confidence = 0.1
        case "tail":
            draft.tail = float(words[0])
        case "length":
            draft.length = float(words[0])


def _dialogue(draft: _Draft) -> Dialogue:
    spoken = max((t.end for t in draft.turns), default=draft.now)
    duration = draft.length or max(spoken, draft.now - GAP_S) + draft.tail
    return Dialogue(
        draft.recording, duration, tuple(draft.turns), tuple(draft.events), draft.measures
    )
