"""The team page: who changed, and how each agent stands beside the team; never a league table."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.agents import BASELINE_WEEKS, MIN_CALLS, Compared, control, funnel, team_weeks
from pipeline.desk import charts
from pipeline.desk.figures import Weeks
from pipeline.desk.pages.call import TRIAL_PRESETS
from pipeline.desk.pages.calls import Choice
from pipeline.desk.pages.figures import (
    BY_NAME,
    KIND_FILTERS,
    LEAST_MEAN,
    MAIN,
    Cell,
    cell_of,
    finite,
    kinds_of,
    label_of,
    only,
    span,
    splits,
    weeks_of,
)
from pipeline.desk.queries import agents as queries
from pipeline.desk.queries import calls as call_queries
from pipeline.desk.queries import decisions as decided
from pipeline.desk.queries.filters import DIRECTIONS, Filters
from pipeline.desk.refusals import Refused
from pipeline.desk.view import View
from pipeline.desk.words import Words
from pipeline.store import slug_of

DRAWN = ("compliance_score", "agent_speaking_rate")
PLAIN = ("agent_level_dbfs", "agent_pitch_sd_st", "agent_interruption_rate", "hold_s")
SORTS = ("name", "calls", *DRAWN, *PLAIN)
FUNNEL_OF = "compliance_score"
CONTROL_WEEKS = 52
MOST_APPEALS = 2000


@dataclass(frozen=True, slots=True)
class ChangeLine:
    """One thing that changed with one agent."""

    slug: str
    name: str
    agent_id: str
    measure: str
    text: str


@dataclass(frozen=True, slots=True)
class AgentRow:
    """One agent of the team."""

    slug: str
    name: str
    agent_id: str
    calls: int
    too_few: str
    drawn: tuple[Cell, ...]
    plain: tuple[Cell, ...]
    after_review: str  # by how much reviews changed the score
    appeals: int  # that wait for an answer


@dataclass(frozen=True, slots=True)
class TeamPage:
    """All that the team page shows."""

    team: str
    title: str
    facts: tuple[str, ...]
    choices: tuple[Choice, ...]
    first: str
    last: str
    min_calls: int
    is_trial: bool
    mixed: tuple[tuple[str, str], ...]  # kinds of calls that are mixed, each with its address
    kinds: tuple[tuple[str, str], ...]  # filters without a field of the form
    changes: tuple[ChangeLine, ...]
    rows: tuple[AgentRow, ...]
    drawn: tuple[tuple[str, str, str, str], ...]  # name, label, unit, median
    plain: tuple[tuple[str, str, str], ...]
    sort: str
    no_agents: bool
    funnel: charts.Chart | None
    control: charts.Chart | None


def team_page(view: View) -> TeamPage:
    """Gather the page of one team.

    Raises
    ------
    ParameterError
        If a filter is none of what is allowed.
    """
    only(view, "team", "from", "to", *KIND_FILTERS, "min_calls", "sort")
    words, asked = view.words, dict(view.query)
    filters = kinds_of(view)
    pool = view.figures.pool(view.scope, filters)
    weeks = weeks_of(view, pool.known_weeks)
    min_calls = _number(asked.get("min_calls"), MIN_CALLS)
    compared = view.figures.compared(view.scope, filters, weeks, min_calls)
    teams = _teams(compared)
    team = asked.get("team", "") or (teams[0] if teams else "")
    if team not in teams:
        known = _teams(view.figures.compared(view.scope, Filters(), None))
        if asked.get("team") and team not in known:
            raise Refused("team", team=team, given=team, allowed=[t for t in known if t])
    rows = [i for i, a in enumerate(compared.agent_id) if a and (compared.team[i] or "") == team]
    heard = view.scope.rows(view.scope.calls(queries.heard_by(filters, None, team or None, weeks)))
    is_trial = any(row.preset in TRIAL_PRESETS for row in heard)
    waiting = view.scope.rows(view.scope.calls(decided.open_appeals(MOST_APPEALS)))
    appeals = Counter(row.agent_id for row in waiting)
    sort = asked.get("sort", "name")
    if sort not in SORTS:
        raise Refused("value", name="sort", value=sort, given=sort, allowed=SORTS)
    return TeamPage(
        team=team,
        title=team or words("team.no_team"),
        facts=tuple(_facts(compared, rows, weeks, words)),
        choices=tuple(_choices(view, asked, teams, team)),
        first=weeks.first if weeks else "",
        last=weeks.last if weeks else "",
        min_calls=min_calls,
        is_trial=is_trial,
        mixed=splits(view, heard),
        kinds=tuple((k, asked[k]) for k in KIND_FILTERS[2:] if asked.get(k)),
        changes=() if is_trial else tuple(_changes(view, filters, compared, rows, weeks)),
        rows=tuple(_rows(compared, rows, sort, min_calls, words, appeals, is_trial=is_trial)),
        drawn=tuple(_head(compared, rows, DRAWN, words)),
        plain=tuple(h[:3] for h in _head(compared, rows, PLAIN, words)),
        sort=sort,
        no_agents=not any(compared.agent_id),
        funnel=None if is_trial else _funnel(compared, rows, words, weeks),
        control=None if is_trial or weeks is None else _control(view, filters, team, weeks),
    )


def _number(text: str | None, otherwise: int) -> int:
    if not text:
        return otherwise
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        raise Refused("value", "number", name="min_calls", value=text, low=1, high=10_000)
    return int(text)


def _teams(compared: Compared) -> list[str]:
    """The teams, that with most calls first."""
    calls: dict[str, int] = {}
    for agent, team, n in zip(compared.agent_id, compared.team, compared.calls, strict=True):
        if agent:
            calls[team or ""] = calls.get(team or "", 0) + int(n)
    return sorted(calls, key=lambda team: (-calls[team], team))


def _facts(
    compared: Compared, rows: Sequence[int], weeks: Weeks | None, words: Words
) -> Iterator[str]:
    yield words("team.agents", n=len(rows))
    if weeks is not None:
        yield f"{weeks.first} – {weeks.last}"
    yield words("calls.count", n=sum(int(compared.calls[i]) for i in rows))


def _choices(view: View, asked: dict[str, str], teams: list[str], team: str) -> Iterator[Choice]:
    words = view.words
    named = tuple((t, t or words("team.no_team")) for t in sorted(teams))
    yield Choice("team", team, named or (("", words("team.no_team")),))
    every = ("", words("filter.all"))
    directions = ((d, words(f"direction.{d}")) for d in DIRECTIONS)
    yield Choice("direction", asked.get("direction", ""), (every, *directions))
    queues = view.figures.known(view.scope, "queue", call_queries.choices("queue"))
    if queues:
        yield Choice("queue", asked.get("queue", ""), (every, *((q, q) for (q,) in queues)))


def _name(compared: Compared, row: int) -> str:
    return compared.agent_name[row] or compared.agent_id[row] or ""


def change_text(name: str, size: float, low: float, high: float, since: str, words: Words) -> str:
    """``语速变低了，从 2026-W02 起：−28 字/分（−34 到 −22）``."""
    one = BY_NAME[name]
    kind = one.measure.kind
    sign = "+" if size > 0 else ""
    return words(
        "change.more" if size > 0 else "change.less",
        name=label_of(one, words),
        since=since,
        size=sign + words.number(size, kind, unit=True),
        low=words.number(low, kind),
        high=words.number(high, kind),
    )


def _changes(
    view: View, filters: Filters, compared: Compared, rows: Sequence[int], weeks: Weeks | None
) -> Iterator[ChangeLine]:
    """What changed within the weeks shown, the largest first; one line an agent."""
    if weeks is None:
        return
    known = view.figures.changes(view.scope, filters, weeks.last)
    found = []
    for row in rows:
        agent = compared.agent_id[row]
        if agent is None or agent not in known:
            continue
        now = known[agent]
        lines = []
        for name in MAIN:
            if name not in now or now[name][0] < weeks.first:
                continue
            since, size, low, high = now[name]
            measure = BY_NAME[name].measure
            least = measure.delta or 1.0
            if measure.relative:
                least *= abs(float(compared.of[name].mean[row])) or 1.0
            text = change_text(name, size, low, high, since, view.words)
            lines.append((abs(size) / least, name, text))
        if lines:
            best = max(lines)
            found.append((best, row, agent))
    for (_, name, text), row, agent in sorted(found, key=lambda f: -f[0][0]):
        yield ChangeLine(slug_of(agent), _name(compared, row), agent, name, text)


def _rows(
    compared: Compared,
    rows: Sequence[int],
    sort: str,
    min_calls: int,
    words: Words,
    appeals: Mapping[str, int],
    *,
    is_trial: bool,
) -> Iterator[AgentRow]:
    scales = {}
    for name in (*DRAWN, *PLAIN):
        e = compared.of[name]
        shown = [i for i in rows if e.calls[i] >= LEAST_MEAN]
        scales[name] = charts.column_scale(float(v[i]) for i in shown for v in (e.low, e.high))

    def key(row: int) -> tuple[float, str, str]:
        value = 0.0
        if sort == "calls":
            value = -float(compared.calls[row])
        elif sort != "name":
            value = -float(compared.of[sort].mean[row])
        return (
            math.inf if math.isnan(value) else value,
            _name(compared, row),
            compared.agent_id[row] or "",
        )

    for row in sorted(rows, key=key):
        agent, calls = compared.agent_id[row] or "", int(compared.calls[row])
        cells = {
            name: cell_of(
                compared, row, BY_NAME[name], words,
                scale=scales[name], min_calls=min_calls, is_trial=is_trial,
            )
            for name in (*DRAWN, *PLAIN)
        }  # fmt: skip
        few = words("team.too_few", calls=calls, needed=min_calls) if calls < min_calls else ""
        yield AgentRow(
            slug=slug_of(agent),
            name=_name(compared, row),
            agent_id=agent,
            calls=calls,
            too_few=few,
            drawn=tuple(cells[n] for n in DRAWN),
            plain=tuple(cells[n] for n in PLAIN),
            after_review=_after_review(compared, row, words),
            appeals=appeals.get(agent, 0),
        )


def _after_review(compared: Compared, row: int, words: Words) -> str:
    """``+3``: how much reviews changed the mean score; empty where they did not."""
    reviewed, machine = (
        float(compared.of[n].mean[row]) for n in ("reviewed_score", "compliance_score")
    )
    change = reviewed - machine
    if not abs(change) >= 0.05:
        return ""
    return ("+" if change > 0 else "−") + f"{abs(change):.1f}"


def _head(
    compared: Compared, rows: Sequence[int], names: Sequence[str], words: Words
) -> Iterator[tuple[str, str, str, str]]:
    for name in names:
        one = BY_NAME[name]
        medians = [float(compared.of[name].team_median[i]) for i in rows]
        median = next((m for m in medians if math.isfinite(m)), math.nan)
        kind = one.measure.kind
        yield name, label_of(one, words), words.unit(kind), words.number(finite(median), kind)


def _funnel(
    compared: Compared, rows: Sequence[int], words: Words, weeks: Weeks | None
) -> charts.Chart | None:
    one, e = BY_NAME[FUNNEL_OF], compared.of[FUNNEL_OF]
    kind = one.measure.kind
    found = funnel(e, rows)
    if found is None:
        return None
    shown = [i for i in rows if e.calls[i] >= 1 and math.isfinite(e.mean[i])]
    marks = []
    outside = 0
    table = []
    for i in shown:
        value, n = float(e.mean[i]), int(e.calls[i])
        low, high = found.limits(n)[2:]
        outside += not low <= value <= high
        name, number = _name(compared, i), words.number(value, kind)
        title = words("team.funnel_point", name=name, value=number, calls=n)
        query = f"?from={weeks.first}&to={weeks.last}" if weeks else ""
        marks.append(
            charts.Mark(
                name,
                value,
                title=title,
                href=f"/agents/{slug_of(compared.agent_id[i] or '')}{query}",
            )
        )
        table.append((name, str(n), number, span(low, high, kind, words)))
    label = label_of(one, words)
    return charts.funnel(
        marks,
        [int(e.calls[i]) for i in shown],
        found.limits,
        found.centre,
        title=words("team.funnel_title", name=label, n=outside),
        note=words("team.funnel_note"),
        unit=words.unit(kind),
        across=words("team.funnel_across"),
        head=(words("filter.agent"), words("team.calls"), label, words("team.funnel_limits")),
        rows=tuple(table),
        number=lambda v: words.number(v, kind),
    )


def _control(view: View, filters: Filters, team: str, weeks: Weeks) -> charts.Chart | None:
    """The control chart of a team: a picture. Whether somebody changed is said by other means."""
    words, one = view.words, BY_NAME[FUNNEL_OF]
    kind, label = one.measure.kind, label_of(one, words)
    by_week = view.figures.by_week(view.scope, filters, (FUNNEL_OF,))
    rows = [
        i
        for i, week in enumerate(by_week.week)
        if by_week.agent_id[i] and (by_week.team[i] or "") == team and (week or "~") <= weeks.last
    ]
    shown = team_weeks(by_week, FUNNEL_OF, rows)[-CONTROL_WEEKS:]
    found = control(shown)
    if found is None:
        return None
    limits = [found.control(week.calls) for week in shown]
    marks, table, outside = [], [], 0
    for week, (low, high) in zip(shown, limits, strict=True):
        outside += not low <= week.mean <= high
        number, within = words.number(week.mean, kind), span(low, high, kind, words)
        title = words(
            "agent.week_point", week=week.week, value=number, interval=within, n=week.calls
        )
        under = words("agent.week_calls", n=week.calls)
        marks.append(charts.Mark(week.week[5:], week.mean, under=under, title=title))
        table.append((week.week, str(week.calls), number, within))
    return charts.control(
        marks,
        limits,
        found.centre,
        baseline=(BASELINE_WEEKS, words("team.control_baseline", n=BASELINE_WEEKS)),
        title=words("team.control_title", name=label, n=outside),
        note=words("team.control_note"),
        unit=words.unit(kind),
        head=(words("agent.week"), words("team.calls"), label, words("team.control_limits")),
        rows=tuple(table),
        number=lambda v: words.number(v, kind),
    )
