"""Conditions on what is measured: events, gaps, rates, levels, lengths of turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import model_validator

from pipeline.rubric.context import Call, Condition, Scope, inside
from pipeline.rubric.findings import Finding, Hit
from pipeline.rubric.forms import Form, Number, Phrases, Reads, Who, Whole, entry
from pipeline.rubric.places import ANYWHERE, Anchor, Place, Where
from pipeline.rubric.speech_rules import count_questions, statement_units
from pipeline.schema import AGENT, CUSTOMER, SPEAKERS, Event, EventKind, Turn
from pipeline.spans import overlap_s
from pipeline.text import count_units

_PAUSE_S = 1.0  # a shorter pause does not end a stretch of speech
_SHORT_UNITS = 6  # a customer who says no more between two waits has not gone on with the matter
_MIN_UNITS = 8  # shorter turns say nothing about tempo
RESTS_ON = {
    "raised_voice": "{by}_level_dbfs",
    "fast_speech": "{by}_speaking_rate",
    "interruption": "{by}_interruptions",
    "backchannel": "{by}_backchannels",
    "overlap": "overlap_s",
    "hold": "holds",
    "dead_air": "dead_air",
    "silence": "silence_ratio",
    "ringing": "rings",
}
"""The measure that is missing where events of a kind could not have been found."""


class HasEvent(Form):
    """Events of a kind happened, optionally long enough, by somebody, with some detail."""

    kind: EventKind = entry(..., "what happened")
    by: Who | None = entry(None, "whose event it is")
    min_s: Number = entry(0.0, "so many seconds long at least", ge=0)
    max_s: Number = entry(float("inf"), "so many seconds long at most", ge=0)
    detail: dict[str, Any] = entry({}, "values of the event's detail, such as medium: music")
    at_least: Whole = entry(1, "so many such events", ge=1)
    join_s: Number | None = entry(
        None, "events less than this apart are one, if the customer hardly speaks", ge=0
    )
    unless: Annotated[Condition | None, Reads("condition")] = entry(
        None, "an event with this does not count; it is the trigger there"
    )
    broken_by: Who | None = entry(None, "an event is cut where this party speaks")
    place: Where = entry(ANYWHERE, "where", "where")

    def evaluate(self, call: Call, scope: Scope) -> Finding:
        """List the events."""
        spans = self.place.spans(call, scope, None)
        events = [e for e in call.dialogue.events if e.kind == self.kind]
        if self.join_s is not None:
            events = _join(events, self.join_s, call)
        if self.broken_by is not None:
            events = [p for e in events for p in _pieces(e, call.turns(self.broken_by, True))]
        hits = tuple(
            Hit(
                e.start,
                e.end,
                e.by,
                None,
                f"{e.kind} {e.seconds:.1f} s",
                e.confidence,
                kind="event",
            )
            for e in events
            if self._fits(e)
            and any(e.start <= b and e.end >= a for a, b in spans)
            and not self._excused(call, e)
        )
        found = len(hits) >= self.at_least
        missing = "" if found else self._unmeasured(call)
        if missing:
            note = f"{missing} not measured"
            return Finding(None, hits, 0.0, spans, self.by, note=note, rule=self.describe())
        confidence = max((h.confidence for h in hits), default=0.95)
        return Finding(found, hits, confidence, spans, self.by, rule=self.describe())

    def describe(self) -> str:
        """Say in words what is looked for."""
        length = f" of {self.min_s:g} s or more" if self.min_s else ""
        length += f" up to {self.max_s:g} s" if self.max_s < float("inf") else ""
        by = f" by the {self.by}" if self.by else ""
        many = f"{self.at_least} or more events " if self.at_least > 1 else "an event "
        return f"{many}{self.kind}{by}{length}, {self.place.describe()}"

    def _unmeasured(self, call: Call) -> str:
        """The measure without which events of this kind cannot be found, where it is missing.

        A measure that a call does not have at all was not asked for; only one that is there
        without a value could not be had.
        """
        rests_on = RESTS_ON.get(self.kind, "")
        parties = (self.by,) if self.by else SPEAKERS
        names = {rests_on.format(by=p) for p in parties} - {""}
        measures = call.dialogue.measures
        return next((n for n in sorted(names) if measures.get(n, 0.0) is None), "")

    def _excused(self, call: Call, event: Event) -> bool:
        if self.unless is None:
            return False
        hit = Hit(event.start, event.end, event.by)
        return bool(self.unless.evaluate(call, Scope((hit,))).truth)

    def _fits(self, event: Event) -> bool:
        if not self.min_s <= event.seconds <= self.max_s:
            return False
        if self.by is not None and event.by not in (self.by, None):
            return False
        return all(event.detail.get(name) == value for name, value in self.detail.items())


class Quantity(Form):
    """A number of the call: a measure by column name, or turns of somebody pooled."""

    name: str = entry(..., "a measure of turns", "turns")
    by: Who | None = entry(None, "whose turns")
    phase: Literal["opening", "body", "closing"] | None = entry(None, "turns of this phase only")
    place: Annotated[Place | None, Reads("place")] = entry(None, "turns there only", "where")

    def value(self, call: Call, scope: Scope) -> float | None:
        """The value, or None where it was not measured."""
        if self.by is None:
            return call.dialogue.measures.get(self.name)
        turns = call.turns(self.by)
        if self.phase is not None:
            turns = [t for t in turns if t.phase == self.phase]
        if self.place is not None:
            spans = self.place.spans(call, scope, self.by)
            turns = [t for t in turns if inside((t.start + t.end) / 2, spans)]
        return pooled(turns, self.name)

    def describe(self) -> str:
        """Say in words what is measured."""
        phase = f" in the {self.phase}" if self.phase else ""
        place = f", {self.place.describe()}" if self.place else ""
        return (f"{self.by}'s " if self.by else "") + self.name + phase + place


class Measured(Form):
    """A quantity, or the difference or ratio of two, lies within bounds."""

    of: Annotated[Quantity, Reads("quantity")] = entry(..., "a column of calls, or turns")
    minus: Annotated[Quantity | None, Reads("quantity")] = entry(None, "less this")
    over: Annotated[Quantity | None, Reads("quantity")] = entry(None, "divided by this")
    min: Number = entry(float("-inf"), "at least this")
    max: Number = entry(float("inf"), "at most this")

    @model_validator(mode="after")
    def _has_bounds(self) -> Self:
        if not self.model_fields_set & {"min", "max"}:
            raise ValueError("min or max is needed.")
        if self.min > self.max:
            low, high = self.min, self.max
            raise ValueError(f"min {low:g} is above max {high:g}, so that nothing can be between.")
        return self

    def evaluate(self, call: Call, scope: Scope) -> Finding:
        """Compare the value with its bounds."""
        value = self.of.value(call, scope)
        other = self.minus or self.over
        second = other.value(call, scope) if other else None
        if value is None or (other is not None and second is None):
            missing = self.of if value is None else other
            assert missing is not None
            return Finding(
                None, (), 0.0, note=f"{missing.describe()} not measured", rule=self.describe()
            )
        if second is not None:
            value = value - second if self.minus else value / second if second else float("inf")
        text = f"{self._name()} = {value:.4g}"
        hit = Hit(0.0, call.dialogue.duration, self.of.by, None, text, 0.95, kind="measure")
        truth = self.min <= value <= self.max
        return Finding(truth, (hit,), 0.95, note=text, rule=self.describe())

    def describe(self) -> str:
        """Say in words what is looked for."""
        low = f" at least {self.min:g}" if self.min > float("-inf") else ""
        high = f" at most {self.max:g}" if self.max < float("inf") else ""
        return f"{self._name()}{low}{high}"

    def _name(self) -> str:
        name = self.of.describe()
        name += f" minus {self.minus.describe()}" if self.minus else ""
        return name + (f" over {self.over.describe()}" if self.over else "")


class HasTurn(Form):
    """Somebody has turns of some length; ``min_units`` counts statements, not questions."""

    by: Who = entry(AGENT, "whose turns")
    min_s: Number = entry(0.0, "so many seconds long at least", ge=0)
    min_units: Whole = entry(0, "so many characters of statements at least", ge=0)
    at_least: Whole = entry(1, "so many such turns", ge=1)
    without: Phrases = entry((), "a turn with one of these does not count")
    place: Where = entry(ANYWHERE, "where", "where")

    def evaluate(self, call: Call, scope: Scope) -> Finding:
        """List the turns."""
        spans = self.place.spans(call, scope, self.by)
        barred = [
            call.hit(self.by, m).start
            for p in self.without
            for m in call.find(self.by, p, "normal", False)
        ]
        wordy = self.min_s or self.min_units
        hits = tuple(
            Hit(t.start, t.end, self.by, _short(t), f"turn of {t.duration:.1f} s", t.confidence)
            for t in (call.turns(self.by) if wordy else call.took_turns(self.by))
            if t.duration >= self.min_s
            and (not self.min_units or statement_units(t.text) >= self.min_units)
            and not any(t.start <= b <= t.end for b in barred)
            and inside((t.start + t.end) / 2, spans)
        )
        if not hits and call.dialogue.measures.get(f"{self.by}_turns", 0.0) is None:
            note = f"the {self.by} was not recorded"
            return Finding(None, (), 0.0, spans, self.by, note=note, rule=self.describe())
        return Finding(len(hits) >= self.at_least, hits, 0.95, spans, self.by, rule=self.describe())

    def describe(self) -> str:
        """Say in words what is looked for."""
        where = self.place.describe()
        return f"{self.by} has {self.at_least} or more turns of {self.min_s:g} s, {where}"


class GapAfter(Form):
    """The time from something until somebody speaks again (or the recording ends)."""

    after: Annotated[Anchor, Reads("anchor")] = entry(..., "what the gap follows")
    until: Literal["agent", "customer", "anyone", "end"] = entry(
        "anyone", "who ends it by speaking"
    )
    min_s: Number = entry(0.0, "so many seconds long at least", ge=0)
    max_s: Number = entry(float("inf"), "so many seconds long at most", ge=0)

    def evaluate(self, call: Call, scope: Scope) -> Finding:
        """Measure the gap after every hit; all must fit."""
        if call.dialogue.measures.get(f"{self.until}_turns", 0.0) is None:
            note = f"the {self.until} was not recorded"
            return Finding(None, note=note, rule=self.describe())
        hits = []
        truth = True
        for hit in self.after.hits(call, scope):
            start = _speech_end(call, hit)
            end = self._next(call, start)
            stood_still = sum(
                overlap_s((start, end), (e.start, e.end))
                for e in call.dialogue.events
                if e.kind == "recorder_pause"
            )
            fits = self.min_s <= end - start - stood_still <= self.max_s
            truth = truth and fits
            matched = f"gap of {end - start:.1f} s"
            hits.append(
                replace(hit, start=start, end=end, speaker=None, matched=matched, kind="measure")
            )
        if not hits:
            return Finding(False, note="nothing to measure after", rule=self.describe())
        return Finding(truth, tuple(hits), 0.95, note=hits[0].matched or "", rule=self.describe())

    def describe(self) -> str:
        """Say in words what is looked for."""
        high = f" to {self.max_s:g}" if self.max_s < float("inf") else " or more"
        return f"{self.min_s:g}{high} s after {self.after.describe()} until {self.until}"

    def _next(self, call: Call, time: float) -> float:
        if self.until == "end":
            return call.dialogue.duration
        onsets = [
            low
            for speaker in SPEAKERS
            for turn in call.took_turns(speaker)
            if not turn.is_backchannel and self.until in ("anyone", speaker)
            for low, _ in turn.spans
            if low >= time
        ]
        return min(onsets, default=call.dialogue.duration)


class ShareOfTurns(Form):
    """The share of somebody's turns that begin with one of some phrases."""

    by: Who = entry(AGENT, "whose turns")
    phrases: Phrases = entry(..., "what the turn begins with", "any")
    min: Number = entry(0.0, "share at least", ge=0, le=1)
    max: Number = entry(1.0, "share at most", ge=0, le=1)

    def evaluate(self, call: Call, scope: Scope) -> Finding:
        """Count the turns."""
        turns = call.turns(self.by)
        if not turns:
            return Finding(None, note=f"no words of the {self.by}", rule=self.describe())
        stream = call.streams[self.by]
        hits = {
            stream.turns[m.start]: call.hit(self.by, m)
            for phrase in self.phrases
            for m in call.find(self.by, phrase, "normal")
            if stream.starts_turn(m.start, 2)
        }
        share = min(1.0, len(hits) / len(turns))
        note = f"{len(hits)} of {len(turns)} turns ({share:.0%})"
        truth = self.min <= share <= self.max
        return Finding(truth, tuple(hits.values()), 0.9, note=note, rule=self.describe())

    def describe(self) -> str:
        """Say in words what is looked for."""
        few = " | ".join(p.notation for p in self.phrases[:4])
        return (
            f"share of the {self.by}'s turns that begin with {few} is {self.min:g} to {self.max:g}"
        )


def _speech_end(call: Call, hit: Hit) -> float:
    """The end of the stretch of speech that a hit stands in."""
    end = hit.end
    for turn in call.dialogue.turns:
        if turn.speaker != hit.speaker or turn.end < end:
            continue
        for low, high in turn.spans:
            if low <= end + _PAUSE_S and high > end:
                end = high
    return end


def pooled(turns: Sequence[Turn], name: str) -> float | None:
    """Pool a measure over turns: rates as sum over sum, other values weighted by duration."""
    if name in ("speaking_rate", "articulation_rate"):
        rated = [t for t in turns if t.units >= _MIN_UNITS and getattr(t, name)]
        minutes = sum(t.units / getattr(t, name) for t in rated)
        return sum(t.units for t in rated) / minutes if minutes else None
    valued = [(getattr(t, name), t.duration) for t in turns if getattr(t, name) is not None]
    seconds = sum(d for _, d in valued)
    return sum(v * d for v, d in valued) / seconds if seconds else None


def _pieces(event: Event, turns: Sequence[Turn]) -> list[Event]:
    """Cut an event where somebody speaks inside of it."""
    pieces = []
    start = event.start
    for turn in turns:
        if event.start < turn.start < event.end:
            pieces.append(replace(event, start=start, end=turn.start))
            start = min(turn.end, event.end)
    return [*pieces, replace(event, start=start)]


def _join(events: list[Event], gap: float, call: Call) -> list[Event]:
    """Make one of events close to each other, unless the customer says something in between."""
    out: list[Event] = []
    for event in sorted(events, key=lambda e: e.start):
        between = [
            t.text for t in call.turns(CUSTOMER) if out and out[-1].end <= t.start < event.start
        ]
        goes_on = sum(map(count_units, between)) > _SHORT_UNITS or any(
            map(count_questions, between)
        )
        if out and event.start - out[-1].end <= gap and not goes_on:
            out[-1] = replace(out[-1], end=max(out[-1].end, event.end))
        else:
            out.append(event)
    return out


def _short(turn: Turn) -> str:
    return turn.text if len(turn.text) <= 48 else turn.text[:47] + "…"
