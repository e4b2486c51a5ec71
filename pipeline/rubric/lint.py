"""Keep a rubric honest: run its examples, find rules that cannot work, compare two versions.

The checks read the rubric as data. A rule is unreachable when nothing anybody says could ever
decide it (its own exceptions bar every wording, bounds exclude each other, it wants an inbound and
an outbound call at once). Two rules contradict each other when one forbids a wording that the
other asks for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

from pipeline.errors import RubricError
from pipeline.rubric.call_rules import AboutCall
from pipeline.rubric.context import Call, Hearing, Scope
from pipeline.rubric.forms import Form
from pipeline.rubric.judging import annotated, judge, trace
from pipeline.rubric.load import Item, Rubric, load_rubric
from pipeline.rubric.logic_rules import AllOf, AnyOf, ForAny, ForEach, InOrder, Not
from pipeline.rubric.measured_rules import HasEvent
from pipeline.rubric.places import ANYWHERE, Anchor
from pipeline.rubric.speech_rules import Says
from pipeline.schema import Dialogue, Recording, Turn, VerdictName
from pipeline.text.phonetic.phrases import Gap, Phrase, Slot, Words

MIN_EXAMPLES = 2
_WORDINGS = 24  # of a phrase that are tried out
_APART_S = 30.0  # between texts of a made-up call
_SLOT_SAMPLES = {
    "number": "一", "digits": "一二三四五六", "unit": "个", "duration": "一分钟", "limit": "一分钟",
    "deadline": "明天下午", "date": "三月五日", "name": "小李", "surname": "王", "any_surname": "王",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a rubric. ``error`` problems make the check fail.

    ``at`` is the file and line of the item; both are None where the message itself says where.
    """

    level: Literal["error", "warning"]
    item_id: str | None
    at: str | None
    message: str


@dataclass(frozen=True, slots=True)
class ExampleResult:
    """One example dialogue: the verdict it should have and the one it has."""

    item_id: str
    at: str
    text: str
    expected: VerdictName
    got: VerdictName
    trace: str

    @property
    def ok(self) -> bool:
        """Whether both are the same."""
        return self.expected == self.got


@dataclass(frozen=True, slots=True)
class Change:
    """A verdict that two rubrics give differently."""

    call_id: str
    item_id: str
    before: VerdictName
    after: VerdictName
    quote: str | None


def run_examples(
    rubric: Rubric, item_ids: Sequence[str] | None = None
) -> tuple[ExampleResult, ...]:
    """Judge the examples that stand beside the rules.

    Parameters
    ----------
    rubric : Rubric
        A loaded rubric.
    item_ids : sequence of str, optional
        Only the examples of these items.

    Returns
    -------
    tuple of ExampleResult
        One per example; ``ok`` says whether the verdict was the expected one.
    """
    wanted = [rubric.item(i) for i in item_ids] if item_ids else list(rubric.items)
    results = []
    for item in wanted:
        for example in item.examples:
            found = trace(example.dialogue, rubric, [item.id])[0]
            results.append(
                ExampleResult(
                    item.id,
                    example.at,
                    example.text,
                    example.expected,
                    found.verdict.verdict,
                    "\n".join(found.lines()),
                )
            )
    return tuple(results)


def check_rubric(path: str | Path, measures: frozenset[str] | None = None) -> tuple[Problem, ...]:
    """Find what is wrong with a rubric file.

    Parameters
    ----------
    path : str or Path
        A rubric file, or the name of a built-in one.
    measures : frozenset of str, optional
        The names of measures that exist; if given, others are errors.

    Returns
    -------
    tuple of Problem
        Errors first; empty if all is well.
    """
    try:
        rubric = load_rubric(path, measures)
    except RubricError as error:
        return (Problem("error", None, None, str(error)),)
    problems = [p for item in rubric.items for p in _item_problems(item, rubric)]
    problems += _contradictions(rubric)
    problems += [
        Problem("error", r.item_id, r.at, f'the example "{r.text}" is {r.got}, not {r.expected}.')
        for r in run_examples(rubric)
        if not r.ok
    ]
    return tuple(sorted(problems, key=lambda p: p.level))


def diff_verdicts(old: Rubric, new: Rubric, dialogues: Iterable[Dialogue]) -> tuple[Change, ...]:
    """List the verdicts that change from one rubric to another.

    Parameters
    ----------
    old, new : Rubric
        The two versions.
    dialogues : iterable of Dialogue
        Stored calls.

    Returns
    -------
    tuple of Change
        Only what differs, of items that both have; what one does not judge is no change.
    """
    both = {i.id for i in old.items} & {i.id for i in new.items}
    changes = []
    for dialogue in dialogues:
        before = {v.item_id: v for v in judge(annotated(dialogue, old), old)}
        after = {v.item_id: v for v in judge(annotated(dialogue, new), new)}
        for item_id in (i for i in before if i in both):
            one, other = before[item_id], after[item_id]
            if one.verdict != other.verdict:
                quote = other.quote or one.quote
                call_id = dialogue.recording.call_id
                changes.append(Change(call_id, item_id, one.verdict, other.verdict, quote))
    return tuple(changes)


def _item_problems(item: Item, rubric: Rubric) -> Iterator[Problem]:
    for condition in _conditions(item):
        if isinstance(condition, Says):
            yield from _barred(item, condition, rubric)
        for message in _impossible(condition):
            yield Problem("error", item.id, item.at, message)
    directions = {
        c.direction for c in _required(item) if isinstance(c, AboutCall) and c.direction is not None
    }
    if len(directions) > 1:
        message = "it asks for an inbound and an outbound call at once, so it never applies."
        yield Problem("error", item.id, item.at, message)
    for says in _says(item.passes) if item.when is not None else ():
        before = [a for r, a in says.place.relations if r == "before" and a.kind == "trigger"]
        if before and not _taken_in_turn(item.passes):
            message = (
                "before: trigger is satisfied before any one of several triggers; write for_each: "
                "around the condition for every one, or for_any: if one is enough."
            )
            yield Problem("warning", item.id, item.at, message)
            break
    for verdict, name in (("pass", "should_pass"), ("fail", "should_fail")):
        count = sum(e.expected == verdict for e in item.examples)
        if count < MIN_EXAMPLES:
            message = f"it has {count} {name} examples; {MIN_EXAMPLES} or more are wanted."
            yield Problem("warning", item.id, item.at, message)


def _taken_in_turn(condition: object) -> bool:
    return any(isinstance(c, (ForEach, ForAny)) for c in _walk(condition))


def _impossible(condition: object) -> Iterator[str]:
    if isinstance(condition, (HasEvent, AboutCall)):
        low, high = condition.min_s, condition.max_s
        if low is not None and high is not None and low > high:
            yield f"min_s {low:g} is above max_s {high:g}, so that nothing can be between."
    if isinstance(condition, AboutCall) and condition.clock:
        start, end = condition.clock
        if start > end:
            yield f"local_time from {start:%H:%M} is after to {end:%H:%M}."
    if isinstance(condition, Says) and condition.mode == "any":
        wordings = len(condition.phrases) + len(condition.patterns)
        if condition.at_least > wordings:
            yield f"at_least {condition.at_least} of {wordings} phrases can never be said."


def _barred(item: Item, says: Says, rubric: Rubric) -> Iterator[Problem]:
    """Phrases whose every wording is taken away by the exceptions of the same rule."""
    bare = {
        "place": ANYWHERE, "in_a_row": None, "only": (), "times": 1, "at_least": 1,
        "max_per_minute": None, "beside": (), "not_beside": (), "usually": None, "if_heard": False,
        "all": (), "none": (), "patterns": (),
    }  # fmt: skip
    if not says.excluded and not says.excluded_patterns:
        return
    for phrase in says.phrases:
        texts = list(islice(_wordings(phrase), _WORDINGS))
        alone = says.model_copy(update=bare | {"any": (phrase,)})
        calls = (  # the first wording mostly tells
            _said_apart([(says.by, text) for text in some], rubric)
            for some in (texts[:1], texts[1:])
        )
        if texts and not any(alone.evaluate(call, Scope()).hits for call in calls):
            message = f'the phrase "{phrase.notation}" is barred by its own exceptions.'
            yield Problem("error", item.id, item.at, message)


def _contradictions(rubric: Rubric) -> Iterator[Problem]:
    """Rules that forbid wordings which another rule asks for."""
    required = [
        (item.id, says.by, text)
        for item in rubric.items
        for says in _says(item.passes)
        if says.mode != "none"
        for phrase in says.phrases
        for text in islice(_wordings(phrase), _WORDINGS)
    ]
    call = _said_apart([(by, text) for _, by, text in required], rubric)
    for item in rubric.items:
        for forbidden in _says(item.fails):
            if forbidden.in_a_row or {"at_turn_start", "whole_sentence"} & set(forbidden.only):
                continue
            anywhere = forbidden.model_copy(update={"place": ANYWHERE})
            clashes: dict[str, str] = {}
            for hit in anywhere.evaluate(call, Scope()).hits:
                other, by, text = required[int(hit.start // _APART_S)]
                if other != item.id and by == forbidden.by:
                    clashes.setdefault(other, text)
            for other, text in clashes.items():
                message = f'it forbids "{text}", which {other} asks for.'
                yield Problem("error", item.id, item.at, message)


def _said_apart(said: Sequence[tuple[str, str]], rubric: Rubric) -> Call:
    """A made-up call in which every text is a turn of its own, far from the others."""
    turns = []
    for index, (by, text) in enumerate(said):
        start = index * _APART_S
        end = start + max(len(text) / 4.0, 0.5)
        turns.append(Turn(index, by, start, end, ((start, end),), text, (), 1.0))
    duration = max(len(said), 1) * _APART_S
    dialogue = Dialogue(Recording("check", "check"), duration, tuple(turns), ())
    return Call(dialogue, Hearing(), rubric.slots, rubric.meaning)


def _wordings(phrase: Phrase) -> Iterator[str]:
    """Texts that a phrase stands for, one per option of its longest choice."""
    for sequence in phrase.sequences:
        width = max(len(e.options) for e in sequence if isinstance(e, Words))
        for index in range(width):
            parts = []
            for element in sequence:
                if isinstance(element, Words):
                    parts.append(element.options[index % len(element.options)].text)
                elif isinstance(element, Slot):
                    parts.append(_SLOT_SAMPLES.get(element.name, ""))
                elif isinstance(element, Gap):
                    parts.append("")
            if not phrase.slots - set(_SLOT_SAMPLES):
                yield "".join(parts)


def _conditions(item: Item) -> Iterator[object]:
    for condition in (item.applies, item.when, item.unless, item.passes, item.fails):
        yield from _walk(condition)


def _required(item: Item) -> Iterator[object]:
    """Conditions that must hold for the item to apply, those under all of included."""
    for condition in (item.applies, item.when):
        if condition is None:
            continue
        yield condition
        yield from condition.conditions if isinstance(condition, AllOf) else ()


def _says(condition: object) -> Iterator[Says]:
    """What must be said for a condition to hold; what must not be said is left out."""
    if isinstance(condition, Not):
        return
    if isinstance(condition, Says):
        yield condition
        return
    if isinstance(condition, (AllOf, AnyOf, InOrder)):
        parts = condition.steps if isinstance(condition, InOrder) else condition.conditions
        for part in parts:
            yield from _says(part)
    if isinstance(condition, (ForEach, ForAny)):
        yield from _says(condition.that)


def _walk(condition: object) -> Iterator[object]:
    """A condition and everything inside of it."""
    if isinstance(condition, (tuple, list)):
        for part in condition:
            yield from _walk(part)
        return
    if isinstance(condition, Anchor):
        yield from _walk(condition.condition)
    if isinstance(condition, Form):
        yield condition
        for name in type(condition).model_fields:
            yield from _walk(getattr(condition, name))
