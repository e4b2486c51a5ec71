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
from functools import cache
from typing import Any, Literal

from pipeline.desk.words import Words
from pipeline.measures import MEASURES, POOLED
from pipeline.schema import CUSTOMER, Seconds, Span, Verdict
from pipeline.text.intents.definitions import load_definitions

LONGEST_MOMENT_S = 45.0  # what goes on for longer is no moment
_MEASURE = re.compile(r"(?P<name>[\w', ]+) = (?P<value>-?[\d.]+)")
_QUANTITY = re.compile(r"(?P<who>agent|customer)'s \w+(?:, | in the )?(?P<place>[\w ]*)")
_EVENT = re.compile(r"(?P<kind>\w+) (?P<seconds>[\d.]+) s")
_NAMES = {one.name: one for one in POOLED}
_QUANTITIES = {one.id: one for one in MEASURES} | {one.name: one.measure for one in POOLED}
_TOLD = tuple(
    (re.compile(pattern), key)
    for pattern, key in (
        (r"means (?P<intent>\w+)", "means"),
        (r"in doubt \((?P<sure>[\d.]+)\): means (?P<intent>\w+): (?P<quote>.*)", "in_doubt"),
        (r"last words by the (?P<who>\w+), (?P<seconds>[\d.]+) s before the end", "last_words"),
        (r"gap of (?P<seconds>[\d.]+) s", "gap"),
        (r"(?P<some>\d+) of (?P<all>\d+) turns \((?P<share>\d+)%\)", "turns"),
        (r"(?P<some>\d+) of (?P<all>\d+) values said back", "said_back"),
        (r"(?P<seconds>[\d.]+) s of the (?P<who>\w+) were not understood", "unheard"),
        (
            r"(?P<seconds>[\d.]+) of (?P<all>[\d.]+) s of the (?P<who>\w+) were not understood",
            "unheard_of",
        ),
        (r"it may have been said and misheard: (?P<quote>.*)", "misheard"),
        (r"its trigger is in doubt", "trigger_in_doubt"),
        (r"done without its trigger", "without_trigger"),
    )
)
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
    """What matched, in words: a measure with its value, an event with its length, a meaning by its name."""
    if event := _EVENT.fullmatch(matched):
        key = f"event.{event['kind']}.long"
        return words(key, seconds=event["seconds"]) if words.known(key, "") else matched
    for pattern, key in _TOLD:
        if told := pattern.fullmatch(matched):
            filled = {k: _value_text(k, v, words) for k, v in told.groupdict().items()}
            return words(f"found.{key}", **filled)
    parts = matched.split("; ")
    measured = [_measured(part, words) for part in parts]
    if all(measured):
        return words("found.and").join(measured)
    return matched.removeprefix("detail ")


def _measured(text: str, words: Words) -> str:
    """``agent's speaking_rate, during the trigger over agent's speaking_rate, opening = 1.15`` in words."""
    measure = _MEASURE.fullmatch(text)
    if measure is None:
        return ""
    parts = re.split(" (over|minus) ", measure["name"])
    names = [_quantity(part, words) for part in parts[::2]]
    if not all(names):
        return ""
    kind = _QUANTITIES[_name_in(parts[0])].kind
    if len(parts) > 1:
        kind = "number" if "over" in parts else {"dbfs": "db"}.get(kind, kind)
    sign = {"over": " ÷ ", "minus": " − "}.get(parts[1], "") if len(parts) > 1 else ""
    value = words.number(float(measure["value"]), kind, unit=True)
    return f"{sign.join(names)}{' = ' if sign else ' '}{value}"


def _name_in(quantity: str) -> str:
    return quantity.partition("'s ")[2].partition(",")[0].partition(" in the ")[0] or quantity


def _quantity(text: str, words: Words) -> str:
    """A measure, or that of some turns: ``坐席语速（开场）``; empty where it is none that is known."""
    if text in _NAMES:
        return words.pick(_NAMES[text].zh, _NAMES[text].en)
    found, name = _QUANTITY.fullmatch(text), _name_in(text)
    if found is None or name not in _QUANTITIES:
        return ""
    one = _QUANTITIES[name]
    place = words.known(f"found.place.{found['place']}", found["place"]) if found["place"] else ""
    of_whom = words("found.of", who=words.who(found["who"]), name=words.pick(one.zh, one.en))
    return words("found.there", name=of_whom, place=place) if place else of_whom


@cache
def _intents() -> Mapping[str | None, tuple[str, str]]:
    """The built-in meanings, Chinese and English."""
    return {i: (one.name_zh, one.name_en) for i, one in load_definitions().intents.items()}


def _value_text(name: str, value: str | None, words: Words) -> str:
    if name == "intent" and value in _intents():
        return words.pick(*_intents()[value])
    return words.who(value) if name == "who" else value or ""


def verdict_of(row: Any) -> Verdict:
    """The verdict in a row of the table."""
    known = row._mapping
    return Verdict(**{name: known[name] for name in _FIELDS if name in known})
