"""Goals: what was agreed with an agent, and whether it took."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from pipeline.agents import Level, check_goal, levels
from pipeline.desk import charts, decisions
from pipeline.desk.pages.figures import BY_NAME, finite, label_of, span
from pipeline.desk.queries import decisions as queries
from pipeline.desk.queries.filters import Filters
from pipeline.desk.refusals import Refused, RefusedNow
from pipeline.desk.scope import NotFound
from pipeline.desk.view import View
from pipeline.desk.words import Words
from pipeline.measures import Pooled, pass_rate
from pipeline.store import slug_of

BASELINE_DAYS = 91
DEFAULT_WAIT = 20


@dataclass(frozen=True, slots=True)
class Goal:
    """One goal and its check, in words."""

    id: int
    agent_slug: str
    agent: str
    name: str
    unit: str
    aim: str
    since: str
    by: str
    wait_calls: int
    calls: int
    state: str
    verdict: str
    difference: str
    interval: str
    before: str
    after: str
    team: str
    is_active: bool
    steps: tuple[tuple[str, str, str, str], ...]
    chart: charts.Chart | None


def set_goal(
    view: View, agent_id: str, measure: str, direction: str, size: str, wait: str, since: str
) -> int:
    """Write down a goal with its frozen baseline; returns its id.

    Raises
    ------
    ParameterError
        If something of it is not allowed, another goal is active, or there are no calls before it.
    """
    if active_goal(view, agent_id) is not None:
        raise RefusedNow("active_goal", "active_goal")
    day = _day(since, view.words.today())
    one = pooled_of(view, measure)
    sign = {"more": 1.0, "less": -1.0}[decisions.one_of(direction, "direction", ("more", "less"))]
    before = _levels(
        view,
        agent_id,
        one,
        Filters(since=day - timedelta(days=BASELINE_DAYS), until=day - timedelta(days=1)),
    )
    if before is None:
        raise Refused("no_baseline", "no_baseline", days=BASELINE_DAYS, day=day)
    shrunk, _, team = before
    aim = _positive(size, "size") if size.strip() else default_aim(one, shrunk.value)
    if size.strip() and one.measure.kind == "ratio":
        aim /= 100
    baseline = {"shrunk": shrunk._asdict(), "team": team._asdict() if team else None}
    return view.scope.decide(
        "goals",
        agent_id=agent_id,
        measure=measure,
        aim=sign * aim,
        wait_calls=round(_positive(wait, "wait")) if wait.strip() else DEFAULT_WAIT,
        since=day.isoformat(),
        baseline=json.dumps(baseline),
    )


def default_aim(one: Pooled, value: float) -> float:
    """The least difference that matters, in the unit of the measure."""
    delta = one.measure.delta or 0.0
    return abs(value) * delta if one.measure.relative else delta


def _positive(text: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise Refused("value", "above_0", name=name, value=text)
    return value


def _day(text: str, today: date) -> date:
    try:
        day = date.fromisoformat(text) if text else today
    except ValueError as cause:
        raise Refused("day", "day", value=text) from cause
    if day > today:
        raise Refused("future", "future", day=day)
    return day


def pooled_of(view: View, measure: str) -> Pooled:
    """The measure or item of a goal.

    Raises
    ------
    ParameterError
        If there is none of this name.
    """
    if measure in BY_NAME:
        return BY_NAME[measure]
    for outline in view.scope.documents("rubrics"):
        for item in outline["items"]:
            if item["id"] == measure:
                return pass_rate(measure, item["name"]["zh"], item["name"]["en"])
    raise Refused("no_measure", "no_measure", measure=measure)


def _levels(
    view: View, agent_id: str, one: Pooled, filters: Filters
) -> tuple[Level, Level, Level | None] | None:
    """Shrunken and plain value of an agent and that of the others, in the calls of some days."""
    compared = view.figures.compared(view.scope, filters, None)
    if agent_id not in compared.agent_id:
        return None
    if one.name not in BY_NAME:
        team = compared.team[compared.agent_id.index(agent_id)]
        names = {one.name: (one.zh, one.en)}
        compared, _ = view.figures.items(view.scope, filters, team, None, names)
        if agent_id not in compared.agent_id:
            return None
    found = levels(compared, agent_id, one.name)
    return found if found[1].calls and math.isfinite(found[1].value) else None


def active_goal(view: View, agent_id: str) -> Any | None:
    """The goal of an agent that was not ended."""
    newest = view.scope.first(queries.goals_of(agent_id))
    if newest is None:
        return None
    steps = view.scope.rows(queries.goal_steps(newest.id))
    return None if any(s.action == "end" for s in steps) else newest


def goal_page(view: View, goal_id: int) -> Goal:
    """One goal and its check.

    Raises
    ------
    NotFound
        If there is no such goal.
    """
    row = view.scope.first(queries.goal(goal_id))
    if row is None:
        raise NotFound("error.no_goal")
    return goal_of(view, row)


def goal_of(view: View, row: Any) -> Goal:
    """A row of ``goals`` with its check as of now."""
    words = view.words
    one = pooled_of(view, row.measure)
    kind, name = one.measure.kind, label_of(one, words)
    steps = view.scope.rows(queries.goal_steps(row.id))
    ended = next((s for s in steps if s.action == "end"), None)
    until = words.local(ended.at).date() if ended else None
    known: Mapping[str, Any] = json.loads(row.baseline)
    before = Level(**known["shrunk"])
    team_before = Level(**known["team"]) if known["team"] else None
    found = _levels(
        view, row.agent_id, one, Filters(since=date.fromisoformat(row.since), until=until)
    )
    extended = sum(int(s.note or 0) for s in steps if s.action == "extend")
    everyone = view.figures.compared(view.scope, Filters(), None)
    known_at = everyone.agent_id.index(row.agent_id) if row.agent_id in everyone.agent_id else None
    agent = (everyone.agent_name[known_at] if known_at is not None else None) or row.agent_id
    aim = words.number(abs(row.aim), kind, unit=True)
    goal: dict[str, Any] = {
        "id": row.id,
        "agent_slug": slug_of(row.agent_id),
        "agent": agent,
        "name": name,
        "unit": words.unit(kind),
        "aim": words("goal.less" if row.aim < 0 else "goal.more", name=name, size=aim),
        "since": row.since,
        "by": row.actor,
        "wait_calls": row.wait_calls + extended,
        "is_active": ended is None,
        "before": _level(before, kind, words),
        "steps": tuple(
            (words.at(s.at)[:10], s.actor, words(f"goal.did.{s.action}"), s.note or "")
            for s in steps
        ),
    }
    if found is None or not math.isfinite(found[1].low + found[1].high):
        calls = 0 if found is None else found[1].calls
        so_far = words("goal.no_calls_yet") if found is None else _level(found[1], kind, words)
        return Goal(
            **goal, calls=calls, state="open", verdict=words("goal.wait", n=goal["wait_calls"]),
            difference="", interval="", after=so_far, team="", chart=None,
        )  # fmt: skip
    _, after, team_after = found
    check = check_goal(before, after, row.aim, team_before, team_after)
    team = ""
    if check.team is not None and math.isfinite(check.team.value):
        team = words("goal.team", size=_signed(check.team.value, kind, words))
    return Goal(
        **goal,
        calls=after.calls,
        state=check.state,
        verdict=words.pick(*check.words()),
        difference=_signed(check.difference.value, kind, words),
        interval=span(check.difference.low, check.difference.high, kind, words),
        after=_level(after, kind, words),
        team=team,
        chart=_chart(name, kind, before, after, check.difference, row.aim, words),
    )


def _signed(value: float, kind: str, words: Words) -> str:
    text = words.number(finite(value), kind, unit=True)
    return f"+{text}" if value > 0 and text.strip("0.,")[:1] in "123456789" else text


def _level(level: Level, kind: str, words: Words) -> str:
    shown = words.number(finite(level.value), kind, unit=True)
    return (
        f"{shown}（{span(level.low, level.high, kind, words)}）"
        if words.language == "zh"
        else (f"{shown} ({span(level.low, level.high, kind, words)})")
    )


def _chart(
    name: str, kind: str, before: Level, after: Level, difference: Level, aim: float, words: Words
) -> charts.Chart:
    marks, rows = [], []
    for key, level in (("before", before), ("after", after), ("difference", difference)):
        text = words(f"goal.{key}")
        shown = _level(level, kind, words)
        marks.append(charts.Mark(text, level.value, level.low, level.high, title=f"{text} {shown}"))
        rows.append((text, shown))
    return charts.before_after(
        marks[0],
        marks[1],
        marks[2],
        title=words("goal.chart", name=name),
        note=words("goal.chart_note"),
        head=("", name),
        rows=tuple(rows),
        number=lambda v: words.number(v, kind),
        aim=aim,
    )
