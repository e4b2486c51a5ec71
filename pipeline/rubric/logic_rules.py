"""Conditions made of conditions: all, any, not, in order, for each trigger, another item."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Annotated

from pipeline.rubric.context import Call, Condition, Scope
from pipeline.rubric.findings import Finding, all_of, any_of, negation
from pipeline.rubric.forms import ONE_OR_MORE, Form, Number, Reads, entry
from pipeline.rubric.meaning_rules import Means
from pipeline.schema import VerdictName

Asked = Annotated[Condition, Reads("condition")]
Several = Annotated[tuple[Condition, ...], Reads("conditions")]


class ForEach(Form):
    """A condition must hold for every trigger hit, each taken as the trigger in turn."""

    that: Asked

    def evaluate(self, call: Call, scope: Scope) -> Finding:
        """Evaluate the condition once per trigger hit."""
        starts = [h.start for h in scope.trigger[1:]]
        findings = [
            self.that.evaluate(call, replace(scope, trigger=(hit,), until=max(until, hit.end)))
            for hit, until in zip(scope.trigger, [*starts, float("inf")], strict=True)
        ]
        marked = [
            f if f.truth or f.hits else replace(f, hits=(hit,))
            for f, hit in zip(findings, scope.trigger, strict=True)
        ]
        return all_of(marked).named(self.describe())

    def describe(self) -> str:
        """Say in words what is looked for."""
        return f"each time: {self.that.describe()}"


class ForAny(Form):
    """A condition must hold for one of the trigger hits, each taken as the trigger in turn."""

    that: Asked

    def evaluate(self, call: Call, scope: Scope) -> Finding:
        """Evaluate the condition once per trigger hit."""
        findings = [
            self.that.evaluate(call, replace(scope, trigger=(hit,))) for hit in scope.trigger
        ]
        return any_of(findings).named(self.describe())

    def describe(self) -> str:
        """Say in words what is looked for."""
        return f"one time: {self.that.describe()}"


class ItemIs(Form):
    """Another item of the rubric has one of some verdicts."""

    item: Annotated[str, Reads("item")] = entry(..., "id of the item", "id")
    verdicts: Annotated[frozenset[VerdictName], *ONE_OR_MORE] = entry(..., "one of these", "is")

    def evaluate(self, call: Call, scope: Scope) -> Finding:
        """Look the other item up."""
        other = call.outcomes.get(self.item)
        if other is None:
            return Finding(None, note=f"{self.item} was not judged", rule=self.describe())
        truth = other.verdict in self.verdicts
        if other.verdict == "cannot_tell" and not truth:
            return Finding(None, note=f"{self.item} is cannot_tell", rule=self.describe())
        found = other.finding
        return Finding(truth, found.hits, found.confidence, rule=self.describe())

    def describe(self) -> str:
        """Say in words what is looked for."""
        return f"{self.item} is {' or '.join(sorted(self.verdicts))}"


class AllOf(Form):
    """Every condition holds."""

    conditions: Several

    def evaluate(self, call: Call, scope: Scope) -> Finding:
        """Evaluate all of them."""
        return all_of([c.evaluate(call, scope) for c in self.conditions]).named(self.describe())

    def describe(self) -> str:
        """Say in words what is looked for."""
        return "all of: " + "; ".join(c.describe() for c in self.conditions)


class AnyOf(Form):
    """At least one condition holds."""

    conditions: Several

    def evaluate(self, call: Call, scope: Scope) -> Finding:
        """Evaluate them; meaning is read only where nothing else decides, as it costs the most."""
        cheap = [c.evaluate(call, scope) for c in self.conditions if not isinstance(c, Means)]
        if any(f.truth for f in cheap):
            return any_of(cheap).named(self.describe())
        read = [c.evaluate(call, scope) for c in self.conditions if isinstance(c, Means)]
        return any_of([*cheap, *read]).named(self.describe())

    def describe(self) -> str:
        """Say in words what is looked for."""
        return "any of: " + "; ".join(c.describe() for c in self.conditions)


class Not(Form):
    """A condition does not hold."""

    condition: Asked

    def evaluate(self, call: Call, scope: Scope) -> Finding:
        """Evaluate the opposite."""
        return negation(self.condition.evaluate(call, scope)).named(self.describe())

    def describe(self) -> str:
        """Say in words what is looked for."""
        return f"not: {self.condition.describe()}"


class InOrder(Form):
    """Conditions hold one after the other, all within a time."""

    steps: Several = entry(..., "conditions, one after the other")
    within_s: Number = entry(float("inf"), "seconds from the first to the last", ge=0)

    def evaluate(self, call: Call, scope: Scope) -> Finding:
        """Look for one chain of evidence in order."""
        findings = [s.evaluate(call, scope) for s in self.steps]
        joined = all_of(findings)
        if not joined.truth:
            if joined.truth is False and (note := _answer_not_understood(call, findings)):
                joined = replace(joined, truth=None, note=note)
            return joined.named(self.describe())
        for first in findings[0].hits:
            chain = [first]
            for finding in findings[1:]:
                last = chain[-1]
                following = next(
                    (h for h in finding.hits if h.start >= last.start and h.end >= last.end), None
                )
                if following is None:
                    break
                chain.append(following)
            if len(chain) == len(findings) and chain[-1].end - first.start <= self.within_s:
                return replace(joined, hits=tuple(chain)).named(self.describe())
        # What comes too early says nothing of what was not understood in its own time.
        unclear = [p for f in findings for p in f.parts if p.truth is None]
        if unclear:
            return replace(joined, truth=None, note=unclear[0].note).named(self.describe())
        return replace(joined, truth=False, note="not in this order").named(self.describe())

    def describe(self) -> str:
        """Say in words what is looked for."""
        limit = f" within {self.within_s:g} s" if self.within_s < float("inf") else ""
        return "in order" + limit + ": " + " then ".join(s.describe() for s in self.steps)


def _answer_not_understood(call: Call, findings: Sequence[Finding]) -> str:
    """Say so where the step after one that holds may be a sound that has no words, such as a short yes."""
    for before, missing in pairwise(findings):
        if before.truth is False:
            break
        if missing.truth is not False or not before.hits:
            continue
        asked = min(h.end for h in before.hits)
        places = [(max(start, asked), end) for start, end in missing.looked if end > asked]
        for turn in call.dialogue.turns:
            inside = any(start <= turn.start and turn.end <= end for start, end in places)
            if inside and turn.speaker == missing.speaker and not turn.text:
                return f"{turn.duration:.1f} s of the {turn.speaker} were not understood"
    return ""
