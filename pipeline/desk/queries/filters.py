"""The filters that pages share, read from an address and written as conditions on ``calls``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, get_args

import sqlalchemy as sa

from pipeline.desk.refusals import Refused
from pipeline.schema import EventKind, VerdictName
from pipeline.store import SQL

DIRECTIONS = ("inbound", "outbound")
EVENTS: tuple[str, ...] = get_args(EventKind)
CHANNELS = {"stereo": "channel", "mono": "diarization"}
"""How speakers were told apart, by the name of the filter ``channels``."""
VERDICTS: tuple[str, ...] = get_args(VerdictName)
_WEEK = re.compile(r"(\d{4})-W(\d{2})")


@dataclass(frozen=True, slots=True)
class Filters:
    """Which calls a page shows. ``since`` and ``until`` are days, both included."""

    agent: str | None = None
    team: str | None = None
    since: date | None = None
    until: date | None = None
    direction: str | None = None
    queue: str | None = None
    score: tuple[float, float] | None = None
    event: str | None = None
    item: tuple[str, str | None] | None = None
    rubric: str | None = None  # the beginning of its hash
    preset: str | None = None
    channels: str | None = None

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Filters:
        """Read them from the query of an address; what is empty does not filter.

        Raises
        ------
        ParameterError
            If a value is none of what is allowed.
        """
        given = {name: value.strip() for name, value in query.items() if value.strip()}
        item, _, verdict = given.get("item", "").partition(":")
        return cls(
            agent=given.get("agent"),
            team=given.get("team"),
            since=_day(given.get("from"), last=False),
            until=_day(given.get("to"), last=True),
            direction=_one_of(given.get("direction"), "direction", DIRECTIONS),
            queue=given.get("queue"),
            score=_range(given.get("score")),
            event=_one_of(given.get("event"), "event", EVENTS),
            rubric=_hash(given.get("rubric")),
            preset=given.get("preset"),
            channels=_one_of(given.get("channels"), "channels", tuple(CHANNELS)),
            item=(item, _one_of(verdict or None, "item", VERDICTS)) if item else None,
        )

    def apply(self, query: sa.Select[Any], *, newest_first: bool = False) -> sa.Select[Any]:
        """Narrow a query over ``calls``; one for the newest is to look through them in their order.

        Without that word SQLite would take an index of scores, and sort all calls of many scores.
        """
        calls = SQL["calls"].c
        for column in ("team", "direction", "queue", "preset"):
            if (value := getattr(self, column)) is not None:
                query = query.where(calls[column] == value)
        if self.agent is not None:
            query = query.where(calls.agent_id == self.agent)
        if self.rubric is not None:
            query = query.where(calls.rubric_hash.startswith(self.rubric))
        if self.channels is not None:
            query = query.where(calls.speaker_source == CHANNELS[self.channels])
        if self.since is not None:
            query = query.where(calls.started_at >= self.since.isoformat())
        if self.until is not None:
            after = self.until + timedelta(days=1)
            query = query.where(calls.started_at < after.isoformat())
        if self.score is not None:
            score = calls.compliance_score + 0 if newest_first else calls.compliance_score
            query = query.where(score.between(*self.score))
        if self.event is not None:
            events = SQL["events"].c
            of_kind = sa.select(events.call_id).where(
                events.kind == self.event, events.superseded.is_not(True)
            )
            query = query.where(calls.call_id.in_(of_kind))
        if self.item is not None:
            verdicts, (item, verdict) = SQL["verdicts"].c, self.item
            judged = sa.select(verdicts.call_id).where(
                verdicts.item_id == item, verdicts.source == "rubric"
            )
            judged = judged.where(verdicts.verdict == verdict) if verdict else judged
            query = query.where(calls.call_id.in_(judged))
        return query


def _one_of(value: str | None, name: str, allowed: tuple[str, ...]) -> str | None:
    if value is not None and value not in allowed:
        raise Refused("value", name=name, value=value, given=value, allowed=allowed)
    return value


def _hash(value: str | None) -> str | None:
    if value is not None and not re.fullmatch("[0-9a-f]{4,64}", value):
        raise Refused("hash", "hash", value=value)
    return value


def _day(value: str | None, *, last: bool) -> date | None:
    """A day, or the first or last day of an ISO week."""
    if value is None:
        return None
    try:
        if week := _WEEK.fullmatch(value):
            year, number = (int(part) for part in week.groups())
            return date.fromisocalendar(year, number, 7 if last else 1)
        return date.fromisoformat(value)
    except ValueError as cause:
        raise Refused("day", "day_or_week", value=value) from cause


def _range(value: str | None) -> tuple[float, float] | None:
    if value is None:
        return None
    low, dash, high = value.partition("-")
    try:
        return (float(low or 0), float(high or 100)) if dash else (float(low), float(low))
    except ValueError as cause:
        raise Refused("range", "range", value=value) from cause
