"""What a verdict rests on: whether there is a moment to hear, and how it is said.

An omission is not a moment: what was *not* said has no second, gets no play button and no mark on
the time axis. It says that nothing of the kind was heard and, where that is known, what was said
instead; what should have followed a trigger shows the trigger.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.desk.words import Words
from pipeline.measures import POOLED
from pipeline.schema import CUSTOMER, Seconds, Span, Verdict

LONGEST_MOMENT_S = 45.0  # what goes on for longer is no moment
_MEASURE = re.compile(r"(?P<name>\w+) = (?P<value>-?[\d.]+)")
_EVENT = re.compile(r"(?P<kind>\w+) (?P<seconds>[\d.]+) s")
_NAMES = {one.name: one for one in POOLED}
_FIELDS = tuple(f.name for f in dataclasses.fields(Verdict))
ShownKind = Literal["said", "omitted", "trigger", "measure", "event", "seen", "nothing"]


@dataclass(frozen=True, slots=True)
class Moment:
    """A stretch worth hearing."""

    start: Seconds
    end: Seconds
    clock: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence of one verdict in words; ``moment`` is None where there is nothing to hear."""

    kind: ShownKind
    text: str
    moment: Moment | None


def kind_of(verdict: Verdict, item: Mapping[str, Any] | None) -> ShownKind:
    """What kind of evidence a verdict has; ``item`` is its row of the rubric's outline.

    Verdicts of earlier versions do not say: theirs is told by what they hold.

    >>> kind_of(Verdict("greeting", "rubric", "pass", start=1.0, end=2.0, quote="您好"), None)
    'said'
    """
    if verdict.evidence is not None:
        return verdict.evidence
    if verdict.probability is not None:
        return "nothing"
    measured = _MEASURE.search(verdict.matched or "") is not None
    by_omission = bool(item and item["fails_by_omission"]) and not measured
    if verdict.verdict == "fail" and by_omission:
        not_found = verdict.note is None or verdict.note.startswith("not found")
        is_reactive = item is not None and item["has_trigger"] and verdict.start is not None
        if is_reactive or (verdict.matched is None and not_found):
            return "omitted"
    if verdict.start is None:
        return "measure" if verdict.matched or verdict.note else "nothing"
    return "said" if verdict.quote else "measure"


def evidence_of(verdict: Verdict, item: Mapping[str, Any] | None, words: Words) -> Evidence:
    """The evidence of a verdict as it is shown."""
    kind = kind_of(verdict, item)
    quote = words("call.quote", text=verdict.quote) if verdict.quote else ""
    if kind == "nothing":
        key = {"pass": "call.none_found", "cannot_tell": "call.not_heard"}.get(verdict.verdict)
        return Evidence(kind, words(key) if key else "", None)
    if kind != "omitted":
        found = quote or found_text(verdict.matched or verdict.note or "", words)
        if quote and verdict.verdict == "fail" and verdict.speaker == CUSTOMER:
            found = words.who(CUSTOMER) + quote
        elif quote and verdict.by_another:
            found = words("call.by_another") + quote
        return Evidence(kind, found, _moment(verdict.start, verdict.end, words))
    trigger = _trigger(verdict, item)
    if trigger is None:
        # What was said instead stands where it must come first; elsewhere no one turn is its place.
        is_first = bool(quote) and (item is None or item.get("section") == "opening")
        key = "call.omitted_but" if is_first else "call.omitted"
        return Evidence(kind, words(key, quote=quote), None)
    who = words.who(verdict.speaker) if verdict.speaker else ""
    if quote:
        said = words("call.trigger", who=who, quote=quote)
    else:
        said = words("call.event_trigger", what=found_text(verdict.matched or "", words))
    return Evidence(kind, said, _moment(*trigger, words))


def _trigger(verdict: Verdict, item: Mapping[str, Any] | None) -> Span | None:
    """The stretch after which something was missing, if it was missing after something."""
    if verdict.trigger_start is not None and verdict.trigger_end is not None:
        return verdict.trigger_start, verdict.trigger_end
    is_older = verdict.evidence is None and item is not None and item["has_trigger"]
    if is_older and verdict.start is not None:
        return verdict.start, verdict.start if verdict.end is None else verdict.end
    return None


def _moment(start: Seconds | None, end: Seconds | None, words: Words) -> Moment | None:
    if start is None:
        return None
    end = start if end is None else end
    return Moment(start, end, words.clock(start)) if end - start <= LONGEST_MOMENT_S else None


def found_text(matched: str, words: Words) -> str:
    """What matched, in words: a measure with its value, or an event with its length."""
    if (measure := _MEASURE.fullmatch(matched)) and measure["name"] in _NAMES:
        one = _NAMES[measure["name"]]
        value = words.number(float(measure["value"]), one.measure.kind, unit=True)
        return f"{words.pick(one.zh, one.en)} {value}"
    if event := _EVENT.fullmatch(matched):
        key = f"event.{event['kind']}.long"
        return words(key, seconds=event["seconds"]) if words.known(key, "") else matched
    return matched.removeprefix("detail ")


def verdict_of(row: Any) -> Verdict:
    """The verdict in a row of the table."""
    known = row._mapping
    return Verdict(**{name: known[name] for name in _FIELDS if name in known})
