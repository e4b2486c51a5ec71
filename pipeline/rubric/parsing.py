"""Conditions of the rule language, from YAML to rule objects.

A condition is a mapping with one operator as key. The table ``OPERATORS`` at the end of this file
lists all of them; ``docs/rubrics.md`` shows an example of each.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import time
from typing import cast, get_args

from pipeline.errors import RubricError, SettingsError, nearest
from pipeline.rubric.call_rules import AboutCall, LeavesFirst
from pipeline.rubric.context import Condition
from pipeline.rubric.located import Located
from pipeline.rubric.logic_rules import AllOf, AnyOf, ForAny, ForEach, InOrder, ItemIs, Not
from pipeline.rubric.meaning_rules import Means
from pipeline.rubric.measured_rules import (
    GapAfter,
    HasEvent,
    HasTurn,
    Measured,
    Quantity,
    ShareOfTurns,
)
from pipeline.rubric.places import ANYWHERE, Anchor, Part, Place, Relation
from pipeline.rubric.speech_rules import Asks, RepeatsBack, Says, States
from pipeline.schema import AGENT, SPEAKERS, EventKind, VerdictName
from pipeline.text.intents import IntentReader
from pipeline.text.phonetic.phrases import Phrase, parse_phrase
from pipeline.text.phonetic.search import THRESHOLDS, Strictness
from pipeline.text.phonetic.slots import BUILT_IN

INFORMATION = ("digits", "date", "address")
TURN_MEASURES = (
    "speaking_rate", "articulation_rate", "level_dbfs", "f0_median_hz", "pitch_sd_st",
)  # fmt: skip
_PLACE_KEYS = (
    "part", "first_turns", "last_turns", "first_s", "last_s", "before", "after", "from",
    "around", "during", "within_s", "within_turns",
)  # fmt: skip
_RELATIONS: tuple[Relation, ...] = get_args(Relation)
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass
class Names:
    """What conditions may refer to, and what they did refer to."""

    phrase_sets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    slots: Mapping[str, str] = field(default_factory=dict)
    items: frozenset[str] = frozenset()
    measures: frozenset[str] | None = None
    references: set[str] = field(default_factory=set)
    meaning: IntentReader = field(default_factory=IntentReader)
    intents: set[str] = field(default_factory=set)
    conditions: Mapping[str, Located] = field(default_factory=dict)
    inside: tuple[str, ...] = ()  # named conditions that are being read


def parse_condition(at: Located, names: Names) -> Condition:
    """Build the condition that stands at one place of the file.

    Raises
    ------
    RubricError
        With file, line, key and the nearest valid name.
    """
    if isinstance(at.value, list):
        return AllOf(tuple(parse_condition(c, names) for c in at.value))
    if isinstance(at.value, str) and at.value.startswith("$"):
        return _named(at, at.value[1:], names)
    mapping = at.mapping()
    if len(mapping) != 1:
        given = ", ".join(mapping) or "nothing"
        at.fail(
            f"a condition is one operator, not {len(mapping)} ({given}).",
            "Join several under all: or any:.",
        )
    operator, body = next(iter(mapping.items()))
    parse = OPERATORS.get(operator)
    if parse is None:
        body.fail(f'the operator "{operator}" is not known.', nearest(operator, OPERATORS))
    return parse(body, names)


def _named(at: Located, name: str, names: Names) -> Condition:
    """A condition that stands under ``conditions`` with a name."""
    if name not in names.conditions:
        at.fail(f'the condition "${name}" is not defined.', nearest(name, names.conditions))
    if name in names.inside:
        at.fail(f'the condition "${name}" refers to itself.', "Write out what it means.")
    outer, names.inside = names.inside, (*names.inside, name)
    try:
        return parse_condition(names.conditions[name], names)
    finally:
        names.inside = outer


def parse_phrases(at: Located, names: Names) -> tuple[Phrase, ...]:
    """Read a list of phrases; ``$name`` stands for a phrase set of the rubric."""
    out: list[Phrase] = []
    for item in at.items():
        text = item.text()
        notations: tuple[str, ...] = (text,)
        if text.startswith("$"):
            if text[1:] not in names.phrase_sets:
                item.fail(
                    f'the phrase set "{text}" is not defined.', nearest(text[1:], names.phrase_sets)
                )
            notations = names.phrase_sets[text[1:]]
        out += [_phrase(item, n, names) for n in notations]
    return tuple(dict.fromkeys(out))


def _phrase(at: Located, notation: str, names: Names) -> Phrase:
    try:
        phrase = parse_phrase(notation)
    except RubricError as error:
        at.fail(error.message, error.hint)
    known = {*BUILT_IN, *names.slots, "surname", "any_surname"}
    for slot in phrase.slots:
        if slot not in known:
            at.fail(f'the slot "{{{slot}}}" is not defined.', nearest(slot, known))
    return phrase


def _says(at: Located, names: Names) -> Condition:
    body = at.mapping(
        ("by", "any", "all", "none", "at_least", "times", "except", "regex", "except_regex",
         "where", "match", "negation", "whole_sentence", "max_per_minute",
         "except_after", "in_a_row", "at_turn_start", "not_answering", "covers_trigger", "reaches_trigger",
         "not_beside", "beside", "usually")
    )  # fmt: skip
    modes = [m for m in ("any", "all", "none") if m in body]
    if len(modes) > 1 or (not modes and "regex" not in body):
        at.fail("exactly one of any, all, none (or regex) is needed.")
    mode = modes[0] if modes else "any"
    return Says(
        by=_speaker(body, "by", AGENT),
        phrases=parse_phrases(body[mode], names) if modes else (),
        mode=mode,
        at_least=body["at_least"].integer(1) if "at_least" in body else 1,
        times=body["times"].integer(1) if "times" in body else 1,
        excluded=parse_phrases(body["except"], names) if "except" in body else (),
        patterns=_patterns(body, "regex"),
        excluded_patterns=_patterns(body, "except_regex"),
        place=_place(body, names),
        strictness=cast(
            Strictness, body["match"].choice(THRESHOLDS) if "match" in body else "normal"
        ),
        guard=body["negation"].choice(("guard", "ignore")) == "guard"
        if "negation" in body
        else True,
        whole_turn=_flag(body, "whole_sentence"),
        quoted_after=parse_phrases(body["except_after"], names) if "except_after" in body else (),
        in_a_row=body["in_a_row"].integer(2) if "in_a_row" in body else None,
        at_turn_start=_flag(body, "at_turn_start"),
        not_answering=_flag(body, "not_answering"),
        covers_trigger=_flag(body, "covers_trigger"),
        reaches_trigger=_flag(body, "reaches_trigger"),
        beside=parse_phrases(body["beside"], names) if "beside" in body else (),
        usually=cast(Part, body["usually"].choice(get_args(Part))) if "usually" in body else None,
        not_beside=parse_phrases(body["not_beside"], names) if "not_beside" in body else (),
        max_per_minute=body["max_per_minute"].number(0) if "max_per_minute" in body else None,
    )


def _means(at: Located, names: Names) -> Condition:
    body = at.mapping(("by", "intent", "where", "times", "in_a_row", "except", "doubt"))
    try:
        known = names.meaning.definitions.intents
    except SettingsError as error:
        at.fail(error.message, error.hint)
    if "intent" not in body:
        at.fail("the intent is missing.", f"Write intent: with one of {', '.join(known)}.")
    intents = tuple(i.choice(known) for i in body["intent"].items())
    usual = {known[i].by for i in intents}
    if "by" not in body and (len(usual) > 1 or "any" in usual):
        at.fail("by: is missing.", f"Allowed: {', '.join(SPEAKERS)}.")
    doubt = [d.number(0, 1) for d in body["doubt"].items()] if "doubt" in body else None
    if doubt is not None and (len(doubt) != 2 or doubt[0] > doubt[1]):
        body["doubt"].fail("two probabilities are needed, the lower first, such as [0.4, 0.6].")
    names.intents.update(intents)
    return Means(
        by=_speaker(body, "by", next(iter(usual))),
        intents=intents,
        place=_place(body, names),
        times=body["times"].integer(1) if "times" in body else 1,
        in_a_row=body["in_a_row"].integer(2) if "in_a_row" in body else None,
        excluded=parse_phrases(body["except"], names) if "except" in body else (),
        doubt=(doubt[0], doubt[1]) if doubt else None,
    )


def _asks(at: Located, names: Names) -> Condition:
    body = at.mapping(("by", "times", "in_one_turn", "except", "where"))
    return Asks(
        _speaker(body, "by", AGENT),
        body["times"].integer(1) if "times" in body else 1,
        body["in_one_turn"].integer(1) if "in_one_turn" in body else None,
        parse_phrases(body["except"], names) if "except" in body else (),
        _place(body, names),
    )


def _states(at: Located, names: Names) -> Condition:
    body = at.mapping(("by", "what", "min_digits", "where"))
    return States(
        _speaker(body, "by", "customer"), _kinds(body), _digits(body), _place(body, names)
    )


def _repeats_back(at: Located, names: Names) -> Condition:
    body = at.mapping(("by", "of", "what", "min_digits", "within_s", "share"))
    return RepeatsBack(
        _speaker(body, "by", AGENT),
        _speaker(body, "of", "customer"),
        _kinds(body),
        _digits(body),
        body["within_s"].number(0) if "within_s" in body else 60.0,
        body["share"].number(0, 1) if "share" in body else 0.5,
    )


def _event(at: Located, names: Names) -> Condition:
    body = at.mapping(
        (
            "kind",
            "by",
            "min_s",
            "max_s",
            "detail",
            "at_least",
            "join_s",
            "unless",
            "broken_by",
            "where",
        )
    )
    if "kind" not in body:
        at.fail("the kind of event is missing.", f"Allowed: {', '.join(get_args(EventKind))}.")
    detail = body["detail"].mapping() if "detail" in body else {}
    return HasEvent(
        body["kind"].choice(get_args(EventKind)),
        _speaker(body, "by", None),
        body["min_s"].number(0) if "min_s" in body else 0.0,
        body["max_s"].number(0) if "max_s" in body else float("inf"),
        tuple((k, v.value) for k, v in detail.items()),
        body["at_least"].integer(1) if "at_least" in body else 1,
        body["join_s"].number(0) if "join_s" in body else None,
        parse_condition(body["unless"], names) if "unless" in body else None,
        _speaker(body, "broken_by", None) if "broken_by" in body else None,
        _place(body, names),
    )


def _turns(at: Located, names: Names) -> Condition:
    body = at.mapping(("by", "min_s", "min_units", "at_least", "without", "where"))
    return HasTurn(
        _speaker(body, "by", AGENT),
        body["min_s"].number(0) if "min_s" in body else 0.0,
        body["min_units"].integer() if "min_units" in body else 0,
        body["at_least"].integer(1) if "at_least" in body else 1,
        parse_phrases(body["without"], names) if "without" in body else (),
        _place(body, names),
    )


def _share(at: Located, names: Names) -> Condition:
    body = at.mapping(("by", "any", "min", "max"))
    if "any" not in body:
        at.fail("the phrases are missing.", "Write any: with a list of phrases.")
    return ShareOfTurns(
        _speaker(body, "by", AGENT),
        parse_phrases(body["any"], names),
        body["min"].number(0, 1) if "min" in body else 0.0,
        body["max"].number(0, 1) if "max" in body else 1.0,
    )


def _flag(body: Mapping[str, Located], key: str) -> bool:
    return body[key].flag() if key in body else False


def _gap(at: Located, names: Names) -> Condition:
    body = at.mapping(("after", "until", "min_s", "max_s"))
    if "after" not in body:
        at.fail("what the gap follows is missing.", "Write after: trigger, or after a condition.")
    return GapAfter(
        _anchor(body["after"], names),
        body["until"].choice(("agent", "customer", "anyone", "end"))  # type: ignore[arg-type]
        if "until" in body
        else "anyone",
        body["min_s"].number(0) if "min_s" in body else 0.0,
        body["max_s"].number(0) if "max_s" in body else float("inf"),
    )


def _leaves_first(at: Located, names: Names) -> Condition:
    body = at.mapping(("by", "within_s"))
    within = body["within_s"].number(0) if "within_s" in body else 1.0
    return LeavesFirst(_speaker(body, "by", AGENT), within)


def _measure(at: Located, names: Names) -> Condition:
    body = at.mapping(("of", "minus", "over", "min", "max"))
    if "of" not in body:
        at.fail("what is measured is missing.", "Write of: with the name of a measure.")
    if "min" not in body and "max" not in body:
        at.fail("min or max is needed.")
    low = body["min"].number() if "min" in body else float("-inf")
    high = body["max"].number() if "max" in body else float("inf")
    if low > high:
        at.fail(f"min {low:g} is above max {high:g}, so that nothing can be between.")
    return Measured(
        _quantity(body["of"], names),
        _quantity(body["minus"], names) if "minus" in body else None,
        _quantity(body["over"], names) if "over" in body else None,
        low,
        high,
    )


def _quantity(at: Located, names: Names) -> Quantity:
    if not isinstance(at.value, dict):
        name = at.text()
        if names.measures is not None and name not in names.measures:
            at.fail(f'the measure "{name}" is not known.', nearest(name, names.measures))
        return Quantity(name)
    body = at.mapping(("turns", "by", "phase", "where"))
    if "turns" not in body:
        at.fail("the turn measure is missing.", f"Allowed: {', '.join(TURN_MEASURES)}.")
    return Quantity(
        body["turns"].choice(TURN_MEASURES),
        _speaker(body, "by", AGENT),
        body["phase"].choice(("opening", "body", "closing")) if "phase" in body else None,
        _place(body, names) if "where" in body else None,
    )


def _call(at: Located, names: Names) -> Condition:
    body = at.mapping(
        ("direction", "min_s", "max_s", "local_time", "weekdays", "holiday", "start_known",
         "customer_name_known", "max_rings", "rings_known")
    )  # fmt: skip
    if not body:
        at.fail("nothing is asked about the call.")
    clock = body["local_time"].mapping(("from", "to")) if "local_time" in body else None
    days = [d.choice(_WEEKDAYS) for d in body["weekdays"].items()] if "weekdays" in body else []
    if clock is not None and len(clock) != 2:
        body["local_time"].fail("both from and to are needed.")
    return AboutCall(
        direction=body["direction"].choice(("inbound", "outbound"))
        if "direction" in body
        else None,
        min_s=body["min_s"].number(0) if "min_s" in body else None,
        max_s=body["max_s"].number(0) if "max_s" in body else None,
        clock=(_clock(clock["from"]), _clock(clock["to"])) if clock else None,
        weekdays=frozenset(_WEEKDAYS.index(d) + 1 for d in days),
        holiday=body["holiday"].flag() if "holiday" in body else None,
        start_known=body["start_known"].flag() if "start_known" in body else None,
        name_known=body["customer_name_known"].flag() if "customer_name_known" in body else None,
        rings_known=body["rings_known"].flag() if "rings_known" in body else None,
        max_rings=body["max_rings"].integer() if "max_rings" in body else None,
    )


def _clock(at: Located) -> time:
    match = re.fullmatch(r"(\d{1,2}):(\d{2})", at.text())
    if not match or int(match[1]) > 23 or int(match[2]) > 59:
        at.fail(f'"{at.text()}" is not a time of day.', "Write it as 08:00.")
    return time(int(match[1]), int(match[2]))


def _item(at: Located, names: Names) -> Condition:
    body = at.mapping(("id", "is"))
    if set(body) != {"id", "is"}:
        at.fail("both id and is are needed.")
    verdicts = [v.choice(get_args(VerdictName)) for v in body["is"].items()]
    return ItemIs(_reference(body["id"], names), frozenset(verdicts))


def _reference(at: Located, names: Names) -> str:
    name = at.text()
    if name not in names.items:
        at.fail(f'the item "{name}" is not in this rubric.', nearest(name, names.items))
    names.references.add(name)
    return name


def _all(at: Located, names: Names) -> Condition:
    return AllOf(tuple(parse_condition(c, names) for c in _several(at)))


def _any(at: Located, names: Names) -> Condition:
    return AnyOf(tuple(parse_condition(c, names) for c in _several(at)))


def _not(at: Located, names: Names) -> Condition:
    return Not(parse_condition(at, names))


def _for_each(at: Located, names: Names) -> Condition:
    return ForEach(parse_condition(at, names))


def _for_any(at: Located, names: Names) -> Condition:
    return ForAny(parse_condition(at, names))


def _in_order(at: Located, names: Names) -> Condition:
    body = at.mapping(("steps", "within_s"))
    if "steps" not in body:
        at.fail("the steps are missing.")
    within = body["within_s"].number(0) if "within_s" in body else float("inf")
    return InOrder(tuple(parse_condition(c, names) for c in _several(body["steps"])), within)


def _several(at: Located) -> list[Located]:
    if not isinstance(at.value, list) or not at.value:
        at.fail("a list of conditions is needed here.")
    return at.value


def _place(body: Mapping[str, Located], names: Names) -> Place:
    if "where" not in body:
        return ANYWHERE
    at = body["where"]
    if not isinstance(at.value, dict):
        return Place(part=cast(Part, at.choice(get_args(Part))))
    keys = at.mapping(_PLACE_KEYS)
    relations = tuple((r, _anchor(keys[r], names)) for r in _RELATIONS if r in keys)
    if ("within_s" in keys or "within_turns" in keys) and not relations:
        at.fail("within_s and within_turns need before, after, from, around or during.")
    return Place(
        part=cast(Part, keys["part"].choice(get_args(Part))) if "part" in keys else None,
        first_turns=keys["first_turns"].integer(1) if "first_turns" in keys else None,
        last_turns=keys["last_turns"].integer(1) if "last_turns" in keys else None,
        first_s=keys["first_s"].number(0) if "first_s" in keys else None,
        last_s=keys["last_s"].number(0) if "last_s" in keys else None,
        relations=relations,
        within_s=keys["within_s"].number(0) if "within_s" in keys else None,
        within_turns=keys["within_turns"].integer(1) if "within_turns" in keys else None,
    )


def _anchor(at: Located, names: Names) -> Anchor:
    if not isinstance(at.value, dict):
        text = at.text()
        if text == "trigger":
            return Anchor("trigger")
        if text in get_args(EventKind):
            return Anchor("event", text)
        allowed = ["trigger", *get_args(EventKind)]
        at.fail(f'"{text}" is not something to stand near.', nearest(text, allowed))
    if set(at.value) == {"item"}:
        return Anchor("item", _reference(at.value["item"], names))
    return Anchor("condition", condition=parse_condition(at, names))


def _speaker(body: Mapping[str, Located], key: str, default: str | None) -> str:
    return body[key].choice(SPEAKERS) if key in body else cast(str, default)


def _kinds(body: Mapping[str, Located]) -> frozenset[str]:
    if "what" not in body:
        return frozenset(INFORMATION)
    return frozenset(k.choice(INFORMATION) for k in body["what"].items())


def _digits(body: Mapping[str, Located]) -> int:
    return body["min_digits"].integer(1) if "min_digits" in body else 4


def _patterns(body: Mapping[str, Located], key: str) -> tuple[re.Pattern[str], ...]:
    return tuple(p.pattern() for p in body[key].items()) if key in body else ()


OPERATORS: Mapping[str, Callable[[Located, Names], Condition]] = {
    "says": _says,
    "means": _means,
    "asks": _asks,
    "states": _states,
    "repeats_back": _repeats_back,
    "event": _event,
    "turns": _turns,
    "share_of_turns": _share,
    "gap": _gap,
    "leaves_first": _leaves_first,
    "measure": _measure,
    "call": _call,
    "item": _item,
    "all": _all,
    "any": _any,
    "not": _not,
    "for_each": _for_each,
    "for_any": _for_any,
    "in_order": _in_order,
}
