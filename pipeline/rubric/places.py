"""Where in a call a condition looks: parts, first and last turns or seconds, around something else.

All keys of a place are intersected. What a place hangs on may be the item's trigger, another
item's evidence, an event kind or a condition of its own; where that did not happen, there is no
place and nothing can be found in it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self, get_args

from pydantic import model_validator

from pipeline.rubric.context import EVERYWHERE, Call, Condition, Scope
from pipeline.rubric.findings import Hit
from pipeline.rubric.forms import Form, Number, Reads, Whole, entry
from pipeline.schema import Span, Speaker

INFINITY = float("inf")
EDGE_S = 0.6  # tolerance of edges: word times and event times come from different stages

Part = Literal["opening", "body", "closing", "after_opening", "before_closing"]
INNER = ("that", "condition", "conditions", "steps")  # fields of a condition that hold others
Relation = Literal["before", "after", "from", "around", "during"]


@dataclass(frozen=True, slots=True)
class Anchor:
    """What a place hangs on: the trigger, an item, an event kind, or a condition."""

    kind: Literal["trigger", "item", "event", "condition"]
    name: str = ""
    condition: Condition | None = None

    def hits(self, call: Call, scope: Scope) -> tuple[Hit, ...]:
        """The evidence of what the place hangs on."""
        if self.kind == "trigger":
            return scope.trigger
        if self.kind == "item":
            outcome = call.outcomes.get(self.name)
            return outcome.finding.hits if outcome is not None else ()
        if self.kind == "event":
            return tuple(
                Hit(e.start, e.end, e.by) for e in call.dialogue.events if e.kind == self.name
            )
        assert self.condition is not None
        finding = self.condition.evaluate(call, scope)
        return finding.hits if finding.truth else ()

    def describe(self) -> str:
        """Say in words what the place hangs on."""
        if self.condition is not None:
            return f"[{self.condition.describe()}]"
        return self.name if self.kind != "trigger" else "the trigger"


Anchored = Annotated[Anchor | None, Reads("anchor")]


class Place(Form):
    """A region of a call; an empty place is the whole call."""

    part: Part | None = entry(None, "a part of the call")
    first_turns: Whole | None = entry(None, "so many first turns of the speaker", ge=1)
    last_turns: Whole | None = entry(None, "so many last turns of the speaker", ge=1)
    first_s: Number | None = entry(None, "so many seconds from the first word", ge=0)
    last_s: Number | None = entry(None, "so many seconds to the last word", ge=0)
    from_share: Number | None = entry(
        None, "from this share of the call on: 0 is the first word, 1 the last", ge=0, le=1
    )
    before: Anchored = entry(None, "before this")
    after: Anchored = entry(None, "after this")
    from_: Anchored = entry(None, "from where this begins", "from")
    around: Anchored = entry(None, "before or after this")
    during: Anchored = entry(None, "while this lasts")
    within_s: Number | None = entry(None, "so many seconds from it at most", ge=0)
    within_turns: Whole | None = entry(None, "so many turns of the speaker from it at most", ge=1)
    takes_s: Number = entry(
        0.0, "seconds that it takes to say: less that was not understood cannot hold it", ge=0
    )

    @model_validator(mode="after")
    def _hangs_on_something(self) -> Self:
        near = self.within_s is not None or self.within_turns is not None
        if near and not self.relations:
            raise ValueError(
                "within_s and within_turns need before, after, from, around or during."
            )
        return self

    @property
    def relations(self) -> list[tuple[Relation, Anchor]]:
        """What the place hangs on, and how."""
        anchors = (self.before, self.after, self.from_, self.around, self.during)
        return [(r, a) for r, a in zip(get_args(Relation), anchors, strict=True) if a is not None]

    def spans(self, call: Call, scope: Scope, speaker: Speaker | None) -> tuple[Span, ...]:
        """The spans of the call that belong to this place; none if there is no such place."""
        spans = EVERYWHERE
        if self.part:
            spans = _intersect(spans, [_part(call, self.part)])
        turns = call.groups(speaker)
        if self.first_turns is not None and turns:
            spans = _intersect(spans, [(0.0, turns[: self.first_turns][-1][1])])
        if self.last_turns is not None and turns:
            spans = _intersect(spans, [(turns[-self.last_turns :][0][0], INFINITY)])
        if self.first_s is not None:
            spans = _intersect(spans, [(0.0, call.start + self.first_s)])
        if self.last_s is not None:
            spans = _intersect(spans, [(call.end - self.last_s, INFINITY)])
        if self.from_share is not None:
            spans = _intersect(spans, [(call.at_share(self.from_share), INFINITY)])
        for relation, anchor in self.relations:
            hits = anchor.hits(call, scope)
            regions = [self._related(relation, h, turns, speaker) for h in hits]
            if anchor.kind == "trigger" and relation in ("after", "from", "around"):
                regions = [(low, min(high, scope.until)) for low, high in regions]
            spans = _intersect(spans, regions)
        return spans

    @property
    def close(self) -> bool:
        """Whether this is a few turns only, rather than a large part of the call."""
        near = self.within_s is not None or self.within_turns is not None
        return (
            near or self.part in ("opening", "closing") or bool(self.first_turns or self.last_turns)
        )

    def describe(self) -> str:
        """Say in words where this is."""
        words = [self.part.replace("_", " ")] if self.part else []
        words += [f"first {self.first_turns} turns"] if self.first_turns is not None else []
        words += [f"last {self.last_turns} turns"] if self.last_turns is not None else []
        words += [f"first {self.first_s:g} s"] if self.first_s is not None else []
        words += [f"last {self.last_s:g} s"] if self.last_s is not None else []
        words += [f"from {self.from_share:.0%} on"] if self.from_share is not None else []
        words += [f"{relation} {anchor.describe()}" for relation, anchor in self.relations]
        words += [f"within {self.within_s:g} s"] if self.within_s is not None else []
        words += [f"within {self.within_turns} turns"] if self.within_turns is not None else []
        return ", ".join(words) or "anywhere"

    def _related(
        self, relation: Relation, hit: Hit, turns: Sequence[Span], speaker: Speaker | None
    ) -> Span:
        same = hit.speaker is not None and hit.speaker == speaker
        # Parties overlap: what answers somebody may start before that somebody has finished.
        after = hit.end if same or hit.speaker is None else hit.start
        low, high = -INFINITY, INFINITY
        if relation == "during":
            return hit.start - EDGE_S, hit.end + EDGE_S
        if relation in ("before", "around"):
            high = hit.start if same else hit.start + EDGE_S
            low = self._low(hit.start, turns)
        if relation == "from":
            low, high = hit.start - EDGE_S, self._high(hit.end, hit.start, turns)
        if relation in ("after", "around"):
            low = low if relation == "around" else after - (0.0 if same else EDGE_S)
            high = self._high(hit.end, after, turns)
        return low, high

    def _low(self, time: float, turns: Sequence[Span]) -> float:
        low = time - self.within_s if self.within_s is not None else -INFINITY
        if self.within_turns is not None:
            before = [t for t in turns if t[0] < time][-self.within_turns :]
            low = max(low, before[0][0] if before else time)
        return low

    def _high(self, time: float, after: float, turns: Sequence[Span]) -> float:
        high = time + self.within_s if self.within_s is not None else INFINITY
        if self.within_turns is not None:
            following = [t for t in turns if t[1] > after][: self.within_turns]
            high = min(high, following[-1][1] if following else time)
        return high


ANYWHERE = Place()
Where = Annotated[Place, Reads("place")]


def conditions_in(condition: object) -> Iterator[object]:
    """A condition and those that it is made of; anchors of places and exceptions are left out."""
    if condition is None:
        return
    yield condition
    parts = [getattr(condition, name, ()) for name in INNER]
    for part in parts:
        for inner in part if isinstance(part, tuple) else (part,):
            yield from conditions_in(inner)


def place_of(condition: object) -> str:
    """The name of the place where a condition looks: ``opening``, ``after_trigger`` ... or ``call``."""
    for inner in conditions_in(condition):
        place = getattr(inner, "place", ANYWHERE)
        usual = getattr(inner, "usually", None)
        if place.first_turns is not None or place.first_s is not None or place.part == "opening":
            return "opening"
        if place.last_turns is not None or place.last_s is not None or place.part == "closing":
            return "closing"
        for relation, anchor in place.relations:
            return f"{relation}_{anchor.name or anchor.kind}"
        if place.part or usual:
            return str(place.part or usual)
    return "call"


def _part(call: Call, part: Part) -> Span:
    return {
        "opening": call.opening,
        "body": (call.opening[1], max(call.closing[0], call.opening[1])),
        "closing": call.closing,
        "after_opening": (call.opening[1], INFINITY),
        "before_closing": (-INFINITY, call.closing[0]),
    }[part]


def _intersect(one: Sequence[Span], other: Sequence[Span]) -> tuple[Span, ...]:
    return tuple((max(a, c), min(b, d)) for a, b in one for c, d in other if max(a, c) <= min(b, d))
