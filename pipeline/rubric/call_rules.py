"""Conditions on the call as a whole: direction, length, clock, calendar, rings, who leaves first."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time
from functools import cache
from typing import Annotated, Literal, Self, get_args

import holidays
from pydantic import model_validator

from pipeline.rubric.context import Call, Scope
from pipeline.rubric.findings import Finding, Hit
from pipeline.rubric.forms import ONE_OR_MORE, Flag, Form, Number, Reads, Who, Whole, entry
from pipeline.schema import AGENT, CUSTOMER, Turn
from pipeline.text.phonetic.slots import name_answer

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
WEEKDAYS: tuple[Weekday, ...] = get_args(Weekday)

RING_CYCLE_S = 5.0  # ringback in China: 1 s on, 4 s off
_MOVED = ("休息日", "补假")  # days off moved next to a holiday; no festivals themselves


class LeavesFirst(Form):
    """Somebody ends the recording: speaks last, and it stops within ``within_s``."""

    by: Who = entry(AGENT, "who speaks last")
    within_s: Number = entry(1.0, "and the recording stops so many seconds after", ge=0)

    def evaluate(self, call: Call, scope: Scope) -> Finding:
        """Look at the last words and the end of the recording."""
        turns = [t for t in call.dialogue.turns if t.text]
        if not turns:
            return Finding(None, note="nobody was heard", rule=self.describe())
        last = max(turns, key=lambda t: t.end)
        tail = call.dialogue.duration - last.end
        truth = last.speaker == self.by and tail < self.within_s
        note = f"last words by the {last.speaker}, {max(tail, 0.0):.1f} s before the end"
        hit = Hit(last.start, last.end, last.speaker, _short(last), note, 0.8, kind="event")
        return Finding(truth, (hit,), 0.8, note=note, rule=self.describe())

    def describe(self) -> str:
        """Say in words what is looked for."""
        return f"{self.by} ends the call within {self.within_s:g} s of its own last word"


class AboutCall(Form):
    """Facts of the call: direction, length, clock, calendar, rings, customer's name."""

    direction: Literal["inbound", "outbound"] | None = entry(None, "who called whom")
    min_s: Number | None = entry(None, "so many seconds long at least", ge=0)
    max_s: Number | None = entry(None, "so many seconds long at most", ge=0)
    clock: Annotated[tuple[time, time] | None, Reads("clock")] = entry(
        None, "begins between these times of day", "local_time"
    )
    weekdays: Annotated[tuple[Weekday, ...], *ONE_OR_MORE] = entry(
        (), "begins on one of these days"
    )
    holiday: Flag | None = entry(None, "begins on a public holiday of mainland China, or not")
    start_known: Flag | None = entry(None, "whether the start is known")
    name_known: Flag | None = entry(
        None, "whether the customer's surname is known", "customer_name_known"
    )
    name_answered: Flag | None = entry(
        None,
        "whether a turn of the customer is nothing but a name, as an answer",
        "customer_name_answered",
    )
    max_rings: Whole | None = entry(None, "so many rings before the answer at most", ge=0)
    rings_known: Flag | None = entry(None, "whether the rings are known")

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("nothing is asked about the call.")
        return self

    def evaluate(self, call: Call, scope: Scope) -> Finding:
        """Check every fact that was asked for."""
        checks: list[tuple[bool | None, str]] = []
        recording, duration = call.dialogue.recording, call.dialogue.duration
        if self.direction is not None:
            direction = recording.direction or call.hearing.default_direction
            checks.append((direction == self.direction, f"direction {direction}"))
        if self.min_s is not None:
            checks.append((duration >= self.min_s, f"{duration:.1f} s long"))
        if self.max_s is not None:
            checks.append((duration <= self.max_s, f"{duration:.1f} s long"))
        if self.name_known is not None:
            name = call.surname
            said = name.name if name else "unknown"
            checks.append(((name is not None) == self.name_known, f"surname {said}"))
        answer = name_answer(call.dialogue) if self.name_answered is not None else None
        if self.name_answered is not None:
            said = "no answer is a name alone" if answer is None else "an answer is a name alone"
            checks.append(((answer is not None) == self.name_answered, said))
        if self.max_rings is not None or self.rings_known is not None:
            checks.append(self._ring_check(call))
        checks += self._calendar(call)
        finding = _checked(checks).named(self.describe())
        if answer is not None and finding.truth:
            named = call.said_at(CUSTOMER, [answer])
            finding = replace(finding, hits=(named,) if named else ())
        return finding

    def describe(self) -> str:
        """Say in words what is looked for."""
        names = (
            "direction",
            "min_s",
            "max_s",
            "holiday",
            "start_known",
            "name_known",
            "name_answered",
            "max_rings",
            "rings_known",
        )
        words = [f"{n} {getattr(self, n)}" for n in names if getattr(self, n) is not None]
        if self.clock:
            words.append(f"between {self.clock[0]:%H:%M} and {self.clock[1]:%H:%M}")
        if self.weekdays:
            words.append("weekday " + ",".join(d for d in WEEKDAYS if d in self.weekdays))
        return "call: " + ", ".join(words)

    def _ring_check(self, call: Call) -> tuple[bool | None, str]:
        rings = rings_before_answer(call)
        note = "rings not known" if rings is None else f"{rings:g} rings"
        if self.rings_known is not None:
            return (rings is not None) == self.rings_known, note
        assert self.max_rings is not None
        return (None if rings is None else rings <= self.max_rings), note

    def _calendar(self, call: Call) -> list[tuple[bool | None, str]]:
        asked = self.clock or self.weekdays or self.holiday is not None
        start = local_start(call)
        checks: list[tuple[bool | None, str]] = []
        if self.start_known is not None:
            checks.append(((start is not None) == self.start_known, f"start {start or 'unknown'}"))
        if not asked:
            return checks
        if start is None:
            return [*checks, (None, "start time not known")]
        if self.clock and _date_only(call):
            checks.append((None, f"the time of day is not known, only {start:%Y-%m-%d}"))
        elif self.clock:
            low, high = self.clock
            checks.append((low <= start.time() <= high, f"started at {start:%H:%M}"))
        if self.weekdays:
            day = WEEKDAYS[start.weekday()]
            checks.append((day in self.weekdays, f"weekday {day}"))
        if self.holiday is not None:
            name = holiday_name(start.year, start.month, start.day)
            checks.append((bool(name) == self.holiday, name or "no public holiday"))
        return checks


def rings_before_answer(call: Call) -> float | None:
    """Rings from the metadata, from tones heard, or from the wait in the metadata."""
    recording = call.dialogue.recording
    if recording.rings is not None:
        return float(recording.rings)
    heard = [e for e in call.dialogue.events if e.kind == "ringing"]
    if heard:
        return sum(float(e.detail.get("rings", 1)) for e in heard)
    measured = call.dialogue.measures.get("rings")
    if measured:
        return measured
    return 1 + recording.wait_s // RING_CYCLE_S if recording.wait_s is not None else None


def _date_only(call: Call) -> bool:
    return len(call.dialogue.recording.started_at or "") == len("2026-03-12")


def local_start(call: Call) -> datetime | None:
    """The start of a call by the clocks of the business, as recordings carry it."""
    try:
        return datetime.fromisoformat(call.dialogue.recording.started_at or "")
    except ValueError:
        return None


def holiday_name(year: int, month: int, day: int) -> str:
    """The public holiday of mainland China on a day, or an empty text."""
    name = str(_calendar(year).get(f"{year:04d}-{month:02d}-{day:02d}") or "")
    return "" if any(word in name for word in _MOVED) else name


@cache
def _calendar(year: int) -> holidays.HolidayBase:
    return holidays.country_holidays("CN", years=year, language="zh_CN")


def _checked(checks: list[tuple[bool | None, str]]) -> Finding:
    truths = [c for c, _ in checks]
    truth = False if False in truths else None if None in truths else True
    note = ", ".join(n for c, n in checks if c is truth or truth is True)
    return Finding(truth, (), 0.99 if truth is not None else 0.0, note=note)


def _short(turn: Turn) -> str:
    return turn.text if len(turn.text) <= 48 else turn.text[:47] + "…"
