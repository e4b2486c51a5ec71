"""From YAML to rules: which operator is which model, and how values are read that are not plain.

A condition is a mapping with one operator as key. ``OPERATORS`` lists all of them;
``docs/rubrics.md`` shows an example of each.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import time
from typing import Any, get_args

from pipeline.errors import RubricError, SettingsError, nearest
from pipeline.rubric.call_rules import AboutCall, LeavesFirst
from pipeline.rubric.context import Condition
from pipeline.rubric.forms import Form, Reader, read
from pipeline.rubric.located import Located
from pipeline.rubric.logic_rules import AllOf, AnyOf, ForAny, ForEach, InOrder, ItemIs, Not
from pipeline.rubric.meaning_rules import Meaning, Means
from pipeline.rubric.measured_rules import (
    GapAfter,
    HasEvent,
    HasTurn,
    Measured,
    Quantity,
    ShareOfTurns,
)
from pipeline.rubric.places import INNER, Anchor, Part, Place
from pipeline.rubric.speech_rules import Asks, RepeatsBack, Says, States
from pipeline.schema import AGENT, SPEAKERS, EventKind
from pipeline.text.intents import IntentReader
from pipeline.text.phonetic.phrases import Phrase, parse_phrase
from pipeline.text.phonetic.slots import BUILT_IN

OPERATORS: Mapping[str, type[Form]] = {
    "says": Says,
    "means": Means,
    "asks": Asks,
    "states": States,
    "repeats_back": RepeatsBack,
    "event": HasEvent,
    "turns": HasTurn,
    "share_of_turns": ShareOfTurns,
    "gap": GapAfter,
    "leaves_first": LeavesFirst,
    "measure": Measured,
    "call": AboutCall,
    "item": ItemIs,
    "all": AllOf,
    "any": AnyOf,
    "not": Not,
    "for_each": ForEach,
    "for_any": ForAny,
    "in_order": InOrder,
}
BARE = {"all", "any", "not", "for_each", "for_any"}
"""Operators whose value is what they hold, without a key."""
TURN_MEASURES = (
    "speaking_rate", "articulation_rate", "level_dbfs", "f0_median_hz", "pitch_sd_st",
)  # fmt: skip


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

    def condition(self, at: Located) -> Condition:
        """The condition that stands at one place of the file.

        Raises
        ------
        RubricError
            With file, line, key and the nearest valid name.
        """
        if isinstance(at.value, list):
            return AllOf(conditions=tuple(self.condition(c) for c in at.value))
        if isinstance(at.value, str) and at.value.startswith("$"):
            return self._named(at, at.value[1:])
        mapping = at.mapping()
        if len(mapping) != 1:
            given = ", ".join(mapping) or "nothing"
            at.fail(
                f"a condition is one operator, not {len(mapping)} ({given}).",
                "Join several under all: or any:.",
            )
        operator, body = next(iter(mapping.items()))
        rule = OPERATORS.get(operator)
        if rule is None:
            body.fail(f'the operator "{operator}" is not known.', nearest(operator, OPERATORS))
        usual: dict[str, Any] = {}
        if operator in BARE:
            name = next(n for n in INNER if n in rule.model_fields)
            inside = self.several(body) if name == "conditions" else self.condition(body)
            return rule.model_validate({name: inside})  # type: ignore[return-value]
        if operator == "means":
            usual["by"] = self._usual_speaker(body)
        found = read(rule, body, self.readers(), **usual)
        if isinstance(found, Says) and found.or_means is not None:
            also = Means(
                by=found.by, place=found.place, times=found.times, in_a_row=found.in_a_row,
                **dict(found.or_means),
            )  # fmt: skip
            return AnyOf(conditions=(found, also))
        return found  # type: ignore[return-value]

    def readers(self) -> Mapping[str, Reader]:
        """How values are read that are more than text, number or flag (:class:`forms.Reads`)."""
        return {
            "condition": self.condition,
            "conditions": self.several,
            "phrases": self.phrases,
            "patterns": lambda at: tuple(p.pattern() for p in at.items()),
            "place": self.place,
            "anchor": self.anchor,
            "quantity": self.quantity,
            "intents": self._intents,
            "meaning": self._meaning,
            "item": self._reference,
            "clock": _clock,
        }

    def several(self, at: Located) -> tuple[Condition, ...]:
        """A list of conditions."""
        if not isinstance(at.value, list) or not at.value:
            at.fail("a list of conditions is needed here.")
        return tuple(self.condition(c) for c in at.value)

    def phrases(self, at: Located) -> tuple[Phrase, ...]:
        """A list of phrases; ``$name`` stands for a phrase set of the rubric."""
        notations: list[tuple[Located, str]] = []
        for item in at.items():
            text = item.text()
            if not text.startswith("$"):
                notations.append((item, text))
            elif text[1:] in self.phrase_sets:
                notations += [(item, n) for n in self.phrase_sets[text[1:]]]
            else:
                near = nearest(text[1:], self.phrase_sets)
                item.fail(f'the phrase set "{text}" is not defined.', near)
        return tuple(dict.fromkeys(self._phrase(item, n) for item, n in notations))

    def place(self, at: Located) -> Place:
        """A part of the call by name, or a mapping of which all must fit."""
        if not isinstance(at.value, dict):
            return Place(part=at.choice(get_args(Part)))  # type: ignore[arg-type]
        return read(Place, at, self.readers())

    def anchor(self, at: Located) -> Anchor:
        """The trigger, an event kind, an item, or a condition."""
        if not isinstance(at.value, dict):
            text = at.text()
            if text == "trigger":
                return Anchor("trigger")
            if text in get_args(EventKind):
                return Anchor("event", text)
            allowed = ["trigger", *get_args(EventKind)]
            at.fail(f'"{text}" is not something to stand near.', nearest(text, allowed))
        if set(at.value) == {"item"}:
            return Anchor("item", self._reference(at.value["item"]))
        return Anchor("condition", condition=self.condition(at))

    def quantity(self, at: Located) -> Quantity:
        """A measure of the call by name, or a measure of some turns."""
        if isinstance(at.value, dict):
            found = read(Quantity, at, self.readers(), by=AGENT)
            at.value["turns"].choice(TURN_MEASURES)
            return found
        name = at.text()
        if self.measures is not None and name not in self.measures:
            at.fail(f'the measure "{name}" is not known.', nearest(name, self.measures))
        return Quantity(name=name)

    def _named(self, at: Located, name: str) -> Condition:
        """A condition that stands under ``conditions`` with a name."""
        if name not in self.conditions:
            at.fail(f'the condition "${name}" is not defined.', nearest(name, self.conditions))
        if name in self.inside:
            at.fail(f'the condition "${name}" refers to itself.', "Write out what it means.")
        outer, self.inside = self.inside, (*self.inside, name)
        try:
            return self.condition(self.conditions[name])
        finally:
            self.inside = outer

    def _phrase(self, at: Located, notation: str) -> Phrase:
        try:
            phrase = parse_phrase(notation)
        except RubricError as error:
            at.fail(error.message, error.hint)
        known = {*BUILT_IN, *self.slots, "surname", "any_surname"}
        for slot in phrase.slots:
            if slot not in known:
                at.fail(f'the slot "{{{slot}}}" is not defined.', nearest(slot, known))
        return phrase

    def _intents(self, at: Located) -> tuple[str, ...]:
        try:
            known = self.meaning.definitions.intents
        except SettingsError as error:
            at.fail(error.message, error.hint)
        intents = tuple(i.choice(known) for i in at.items())
        self.intents.update(intents)
        return intents

    def _meaning(self, at: Located) -> Meaning:
        """An intent by name, or with its band of doubt and exceptions."""
        if isinstance(at.value, dict):
            return read(Meaning, at, self.readers())
        return Meaning(intents=self._intents(at))

    def _usual_speaker(self, at: Located) -> str:
        """Who usually shows the intents of ``means``; needed where it does not say by whom."""
        body = at.mapping()
        if "intent" not in body or "by" in body:
            return AGENT  # what is missing is said where the mapping is read
        known = self.meaning.definitions.intents
        usual = {known[i].by for i in self._intents(body["intent"])}
        if len(usual) > 1 or "any" in usual:
            at.fail("by: is missing.", f"Allowed: {', '.join(SPEAKERS)}.")
        return usual.pop()

    def _reference(self, at: Located) -> str:
        name = at.text()
        if name not in self.items:
            at.fail(f'the item "{name}" is not in this rubric.', nearest(name, self.items))
        self.references.add(name)
        return name


def _clock(at: Located) -> tuple[time, time]:
    keys = at.mapping(("from", "to"))
    if len(keys) != 2:
        at.fail("both from and to are needed.")
    start, end = _times([keys["from"], keys["to"]])
    return start, end


def _times(written: list[Located]) -> Iterator[time]:
    for at in written:
        match = re.fullmatch(r"(\d{1,2}):(\d{2})", at.text())
        if not match or int(match[1]) > 23 or int(match[2]) > 59:
            at.fail(f'"{at.text()}" is not a time of day.', "Write it as 08:00.")
        yield time(int(match[1]), int(match[2]))
