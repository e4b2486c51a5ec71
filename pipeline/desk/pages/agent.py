"""The agent page: what to praise, one thing to talk about, whether the last goal took, and the sound of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from pipeline.agents import MIN_CALLS, Act, Compared, Suggestion, candidates, focus, praise
from pipeline.agents.advice import MIN_CHANCE
from pipeline.desk import charts, decisions
from pipeline.desk.figures import Weeks
from pipeline.desk.pages.call import TRIAL_PRESETS
from pipeline.desk.pages.calls import Choice
from pipeline.desk.pages.evidence import Moment, ShownKind, evidence_of, kind_of, verdict_of
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
from pipeline.desk.pages.goal import Goal, goal_of, pooled_of
from pipeline.desk.pages.reviews import agreement_by_item
from pipeline.desk.pages.team import change_text
from pipeline.desk.queries import agents as queries
from pipeline.desk.queries import calls as call_queries
from pipeline.desk.queries import decisions as decided
from pipeline.desk.queries.filters import DIRECTIONS, Filters
from pipeline.desk.queries.moments import longest_events
from pipeline.desk.refusals import Refused
from pipeline.desk.scope import NotFound, as_shown
from pipeline.desk.view import View
from pipeline.desk.words import NOTHING, Words
from pipeline.measures import POOLED, SCORES, Pooled
from pipeline.schema import Verdict
from pipeline.store import slug_of

TREND_WEEKS, FULL_WEEKS = 26, 4
STRIP_CALLS = 40
EVIDENCE_ROWS = 3000
CALL_ROWS = 10
FIRST_ITEMS = 15
GOOD, BAD = 2, 3  # moments of one habit
MOST_PRAISE, MOST_HABITS, MOST_NOTES = 3, 5, 20
EVENTS_OF: Mapping[str, tuple[str, ...]] = {
    "agent_interruptions": ("interruption",),
    "agent_interruptions_successful": ("interruption",),
    "agent_interruption_rate": ("interruption",),
    "agent_interruption_s": ("interruption",),
    "hold_s": ("hold",),
    "longest_hold_s": ("hold",),
    "holds_unannounced": ("hold",),
    "dead_air": ("dead_air",),
    "dead_air_s": ("dead_air",),
}
FOCUSED = tuple(p for p in POOLED if p.measure not in SCORES and not p.name.startswith("customer_"))


@dataclass(frozen=True, slots=True)
class Heard:
    """A moment of a call with what is heard there; without a moment, a call in which it was missing."""

    slug: str
    started: str
    item: str
    text: str
    moment: Moment | None
    is_good: bool


@dataclass(frozen=True, slots=True)
class Said:
    """Something to praise: the act, the reason, and moments of it."""

    name: str
    reason: str
    moments: tuple[Heard, ...]


@dataclass(frozen=True, slots=True)
class Focus:
    """The one suggestion."""

    id: str
    name: str
    is_start: bool
    reason: str
    moments: tuple[Heard, ...]


@dataclass(frozen=True, slots=True)
class ItemRow:
    """Pass rate of one item."""

    cell: Cell
    section: str
    weight: str


@dataclass(frozen=True, slots=True)
class ItemCount:
    """How often an item was failed and passed, where that is too seldom for a rate."""

    name: str
    label: str
    section: str
    weight: str
    failed: int
    passed: int


@dataclass(frozen=True, slots=True)
class Habit:
    """Moments of one item, the good ones first."""

    name: str
    moments: tuple[Heard, ...]


@dataclass(frozen=True, slots=True)
class AgentCall:
    """One of the newest calls; ``values`` of the main measures only where there is no mean yet."""

    slug: str
    started: str
    duration: str
    score: str
    machine_score: str  # where people reviewed
    outside_score: str
    rate: str
    interruptions: str
    hold: str


@dataclass(frozen=True, slots=True)
class Note:
    """A note on an agent."""

    at: str
    actor: str
    audience: str
    text: str


@dataclass(frozen=True, slots=True)
class AgentPage:
    """All that the agent page shows."""

    slug: str
    agent_id: str
    name: str
    facts: tuple[str, ...]
    first: str
    last: str
    calls: int
    min_calls: int
    is_trial: bool
    preset: str
    is_mono: bool
    mixed: tuple[tuple[str, str], ...]  # kinds of calls that are mixed, each with its address
    kinds: tuple[tuple[str, str], ...]  # filters without a field of the form
    choices: tuple[Choice, ...]
    praise: tuple[Said, ...]
    focus: Focus | None
    listen: tuple[Heard, ...]
    changes: tuple[str, ...]
    measures: tuple[Cell, ...]
    more_measures: tuple[Cell, ...]
    items: tuple[ItemRow, ...]
    counted: tuple[ItemCount, ...]  # instead, where calls are too few for rates
    items_first: int  # that are not folded away
    tabs: tuple[tuple[str, str, str, bool], ...]  # name, label, address, chosen
    trend: charts.Chart | None
    goal: Goal | None
    goal_choices: tuple[tuple[str, str], ...]
    notes: tuple[Note, ...]
    goals: tuple[tuple[int, str, str], ...]
    habits: tuple[Habit, ...]
    newest: tuple[AgentCall, ...]


def agent_page(view: View, slug: str) -> AgentPage:
    """Gather the page of one agent.

    Raises
    ------
    NotFound
        If there is no such agent, or it is not visible.
    ParameterError
        If a filter is none of what is allowed.
    """
    only(view, "from", "to", *KIND_FILTERS, "measure", "min_calls", "team")
    words, asked = view.words, dict(view.query)
    filters = kinds_of(view)
    agent_id = agent_of(view, slug)
    weeks = weeks_of(view, view.figures.pool(view.scope, filters).known_weeks)
    compared = view.figures.compared(view.scope, filters, weeks)
    row = compared.agent_id.index(agent_id) if agent_id in compared.agent_id else None
    everything = view.figures.compared(view.scope, Filters(), None)
    known = everything.agent_id.index(agent_id)
    name, team = everything.agent_name[known] or agent_id, everything.team[known]
    heard = view.scope.rows(view.scope.calls(queries.heard_by(filters, agent_id, None, weeks)))
    trial = next((r.preset for r in heard if r.preset in TRIAL_PRESETS), "")
    outline = next((o for r in heard if (o := view.scope.document("rubrics", r.rubric_hash))), {})
    measure = asked.get("measure") or MAIN[0]
    if measure not in BY_NAME:
        raise Refused("value", name="measure", value=measure, given=measure, allowed=BY_NAME)
    calls = 0 if row is None else int(compared.calls[row])
    evidence = list(_evidence(view, filters, agent_id, weeks, outline)) if calls else []
    items, rates = _items(view, filters, team, weeks, outline)
    found = praise_of(items, rates, agent_id, evidence, words)
    suggestion = None
    if row is not None and not trial:
        shares = agreement_by_item(view.scope)
        agreed = {i: same / n for i, (same, n) in shares.items() if n >= decisions.MIN_SAMPLE}
        suggestion = suggest(compared, items, rates, agent_id, outline, agreed)
    chosen = None
    if suggestion is not None:
        chosen = Focus(
            suggestion.candidate.id,
            _candidate_name(suggestion, words),
            suggestion.kind == "start",
            words.pick(suggestion.reason_zh, suggestion.reason_en),
            tuple(_of_focus(view, filters, agent_id, weeks, suggestion, evidence)),
        )
    goals = view.scope.rows(decided.goals_of(agent_id))
    main = tuple(BY_NAME[n] for n in MAIN)
    rest = tuple(p for p in POOLED if p not in main)
    newest = view.scope.rows(
        view.scope.calls(queries.calls_of(filters, agent_id, weeks, MAIN, STRIP_CALLS))
    )
    return AgentPage(
        slug=slug,
        agent_id=agent_id,
        name=name,
        facts=tuple(_facts(compared, row, agent_id, name, team, words)),
        first=weeks.first if weeks else "",
        last=weeks.last if weeks else "",
        calls=calls,
        min_calls=MIN_CALLS,
        is_trial=bool(trial),
        preset=trial,
        is_mono=any(r.speaker_source == "diarization" for r in heard),
        mixed=splits(view, heard),
        kinds=tuple((k, asked[k]) for k in KIND_FILTERS[2:] if asked.get(k)),
        choices=tuple(_choices(view, asked)),
        praise=found,
        focus=chosen,
        listen=tuple(_forbidden(evidence, outline)),
        changes=()
        if trial or weeks is None or calls < MIN_CALLS
        else tuple(_changes(view, filters, agent_id, weeks)),
        measures=tuple(_cells(view, compared, row, main, is_trial=bool(trial))),
        more_measures=tuple(_cells(view, compared, row, rest, is_trial=bool(trial))),
        items=tuple(_item_rows(view, items, rates, agent_id, outline, is_trial=bool(trial)))
        if calls >= LEAST_MEAN
        else (),
        counted=tuple(_counted(view, items, rates, agent_id, outline))
        if calls < LEAST_MEAN
        else (),
        items_first=FIRST_ITEMS,
        tabs=tuple(
            (n, label_of(BY_NAME[n], words), view.link(measure=n) + "#trend", n == measure)
            for n in dict.fromkeys((*MAIN, measure))
        ),
        trend=_trend(view, filters, agent_id, weeks, measure, newest, compared, row),
        goal=None if not goals else goal_of(view, goals[0]),
        goal_choices=tuple(_goal_choices(chosen, rates, words)),
        goals=tuple(_past(view, row) for row in goals[1:]),
        notes=tuple(
            Note(words.at(n.at)[:10], n.actor, n.audience, n.text)
            for n in view.scope.rows(decided.notes_of(agent_id, MOST_NOTES))
        ),
        habits=tuple(_habits(evidence, outline, words)),
        newest=tuple(_call(r, words) for r in newest[:CALL_ROWS]),
    )


def agent_of(view: View, slug: str) -> str:
    """The id of the agent that an address names.

    Raises
    ------
    NotFound
        If there is none, or they are not visible.
    """
    for agent in view.figures.pool(view.scope, Filters()).agents_known:
        if slug_of(agent) == slug:
            return agent
    raise NotFound("error.no_agent")


def _goal_choices(
    chosen: Focus | None, rates: Sequence[Pooled], words: Words
) -> Iterator[tuple[str, str]]:
    """What a goal can be about, the suggestion first."""
    if chosen is not None:
        yield chosen.id, chosen.name
    for name in MAIN:
        if chosen is None or name != chosen.id:
            yield name, label_of(BY_NAME[name], words)
    for one in rates:
        if chosen is None or one.name != chosen.id:
            yield one.name, label_of(one, words)


def _past(view: View, row: Any) -> tuple[int, str, str]:
    name = label_of(pooled_of(view, row.measure), view.words)
    return row.id, row.since, view.words("goal.past", name=name)


def _facts(
    compared: Compared, row: int | None, agent_id: str, name: str, team: str | None, words: Words
) -> Iterator[str]:
    if name != agent_id:
        yield agent_id
    if team:
        yield team
    if row is not None:
        yield words("calls.count", n=int(compared.calls[row]))
        yield words("agent.talked", minutes=f"{compared.talk_s[row] / 60:,.0f}")


def _choices(view: View, asked: Mapping[str, str]) -> Iterator[Choice]:
    words = view.words
    every = ("", words("filter.all"))
    directions = ((d, words(f"direction.{d}")) for d in DIRECTIONS)
    yield Choice("direction", asked.get("direction", ""), (every, *directions))
    queues = view.figures.known(view.scope, "queue", call_queries.choices("queue"))
    if queues:
        yield Choice("queue", asked.get("queue", ""), (every, *((q, q) for (q,) in queues)))


# --- what was heard ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judged:
    """One judged verdict of the agent; its evidence is put into words where it is asked for."""

    item: str
    passed: bool
    row: Any
    outline: Mapping[str, Any] | None  # of the item
    hidden: Sequence[Any]  # masked turns of the call
    words: Words

    @cached_property
    def verdict(self) -> Verdict:
        """The machine's verdict."""
        return as_shown(verdict_of(self.row), self.hidden)

    @cached_property
    def kind(self) -> ShownKind:
        """What kind of evidence it has."""
        return self.row.evidence or kind_of(self.verdict, self.outline)

    @cached_property
    def heard(self) -> Heard:
        """The evidence as it is shown."""
        evidence = evidence_of(self.verdict, self.outline, self.words)
        started = self.words.started(self.row.started_at)
        return Heard(self.row.slug, started, self.item, evidence.text, evidence.moment, self.passed)


def _evidence(
    view: View, filters: Filters, agent_id: str, weeks: Weeks | None, outline: Mapping[str, Any]
) -> Iterator[Judged]:
    items = {item["id"]: item for item in outline.get("items", ())}
    query = queries.evidence(filters, agent_id, weeks, EVIDENCE_ROWS)
    rows = view.scope.rows(view.scope.calls(query))
    hidden = view.scope.hidden(row.call_id for row in rows)
    for row in rows:
        item, of_call = row.item_id, hidden.get(row.call_id, ())
        if not verdict_of(row).by_another:
            yield Judged(item, row.in_force == "pass", row, items.get(item), of_call, view.words)


def _items(
    view: View, filters: Filters, team: str | None, weeks: Weeks | None, outline: Mapping[str, Any]
) -> tuple[Compared, tuple[Pooled, ...]]:
    names = {i["id"]: (i["name"]["zh"], i["name"]["en"]) for i in outline.get("items", ())}
    return view.figures.items(view.scope, filters, team, weeks, names)


def praise_of(
    items: Compared,
    rates: Sequence[Pooled],
    agent_id: str,
    evidence: Sequence[Judged],
    words: Words,
) -> tuple[Said, ...]:
    """What to praise: acts that were heard, not faults that were not made."""
    if agent_id not in items.agent_id:
        return ()
    row = items.agent_id.index(agent_id)
    by_item: dict[str, list[Judged]] = {}
    for judged in evidence:
        by_item.setdefault(judged.item, []).append(judged)
    acts = []
    for one in rates:
        of_item = by_item.get(one.name, [])
        passed = [j for j in of_item if j.passed]
        if not passed or not all(j.kind == "said" for j in passed):
            continue
        e = items.of[one.name]
        others = float(e.others[row])
        team_rate = others if math.isfinite(others) else float(e.mean[row])
        acts.append(Act(one.name, one.zh, one.en, len(passed), len(of_item), team_rate))
    found = []
    for good in praise(acts)[:MOST_PRAISE]:
        of_act = [j for j in evidence if j.item == good.act.id and j.passed][:GOOD]
        moments = [j.heard for j in of_act]
        reason = words.pick(good.reason_zh, good.reason_en)
        name = words.pick(good.act.zh, good.act.en)
        reason = reason.removeprefix(f"{name}：").removeprefix(f"{name}: ")
        found.append(Said(name, reason, tuple(moments)))
    return tuple(found)


def suggest(
    compared: Compared,
    items: Compared,
    rates: Sequence[Pooled],
    agent_id: str,
    outline: Mapping[str, Any],
    agreement: Mapping[str, float] | None = None,
) -> Suggestion | None:
    """The one suggestion among measures and items; what must not be said is no habit."""
    weights = {i["id"]: float(i["weight"]) for i in outline.get("items", ())}
    acts = {i["id"] for i in outline.get("items", ()) if i["fails_by_omission"]}
    found = candidates(compared, agent_id, FOCUSED)
    if agent_id in items.agent_id:
        kept = [r for r in rates if r.name in acts]
        found += candidates(items, agent_id, kept, weights=weights, agreement=agreement)
    # With calls enough to compare, what is not surely worse than the team is no suggestion either.
    return focus(c for c in found if c.of_calls < MIN_CALLS or c.chance >= MIN_CHANCE)


def _candidate_name(suggestion: Suggestion, words: Words) -> str:
    c = suggestion.candidate
    return label_of(BY_NAME[c.id], words) if c.id in BY_NAME else words.pick(c.zh, c.en)


def _of_focus(
    view: View,
    filters: Filters,
    agent_id: str,
    weeks: Weeks | None,
    suggestion: Suggestion,
    evidence: Sequence[Judged],
) -> Iterator[Heard]:
    """Up to three moments of the suggestion."""
    name = suggestion.candidate.id
    if name in EVENTS_OF:
        query = longest_events(filters, agent_id, weeks, EVENTS_OF[name], BAD)
        for row in view.scope.rows(view.scope.calls(query)):
            text = view.words(f"event.{row.kind}.short", seconds=f"{row.seconds:.1f}")
            moment = Moment(row.start, row.end, view.words.clock(row.start))
            yield Heard(row.slug, view.words.started(row.started_at), "", text, moment, False)
        return
    fails = [j.heard for j in evidence if j.item == name and not j.passed]
    yield from sorted(fails, key=lambda h: h.moment is None)[:BAD]


def _forbidden(evidence: Iterable[Judged], outline: Mapping[str, Any]) -> Iterator[Heard]:
    """What should not be said and was: to be heard, not to be called a habit."""
    dont = {i["id"] for i in outline.get("items", ()) if not i["fails_by_omission"]}
    said = [j for j in evidence if j.item in dont and not j.passed and j.kind == "said"]
    yield from (j.heard for j in said[:BAD])


def _habits(
    evidence: Sequence[Judged], outline: Mapping[str, Any], words: Words
) -> Iterator[Habit]:
    """The best two and the worst three moments of each habit, the weightiest habits first."""
    items = {i["id"]: i for i in outline.get("items", ())}
    of_item: dict[str, list[Judged]] = {}
    for one in evidence:
        can_be_heard = one.row.start is not None or one.row.trigger_start is not None
        if one.item in items and can_be_heard:
            of_item.setdefault(one.item, []).append(one)
    shown = 0
    for item in sorted(of_item, key=lambda i: (-float(items[i]["weight"]), i)):
        with_moment = [
            h
            for passed, most in ((True, GOOD), (False, BAD))
            for h in islice(
                (j.heard for j in of_item[item] if j.passed is passed and j.heard.moment), most
            )
        ]
        if with_moment:
            yield Habit(words.pick(**items[item]["name"]), tuple(with_moment))
            shown += 1
        if shown == MOST_HABITS:
            return


# --- figures ----------------------------------------------------------------------------------------


def _cells(
    view: View,
    compared: Compared,
    row: int | None,
    measures: Iterable[Pooled],
    *,
    is_trial: bool,
) -> Iterator[Cell]:
    if row is None or compared.calls[row] < LEAST_MEAN:
        return
    team = [
        i
        for i, t in enumerate(compared.team)
        if t == compared.team[row] and compared.agent_id[i] is not None
    ]
    for one in measures:
        e = compared.of[one.name]
        if not e.calls[row]:
            continue
        near = [float(v[row]) for v in (e.low, e.high, e.team_median)]
        values = [*near, *(float(e.mean[i]) for i in team)]
        scale = charts.Scale.over(values, 8, charts.CELL - 8, room=0.06)
        yield cell_of(
            compared, row, one, view.words, scale=scale, min_calls=MIN_CALLS, is_trial=is_trial
        )


def _item_rows(
    view: View,
    items: Compared,
    rates: Sequence[Pooled],
    agent_id: str,
    outline: Mapping[str, Any],
    *,
    is_trial: bool,
) -> Iterator[ItemRow]:
    """Pass rates, that which is surely furthest behind the team first."""
    if agent_id not in items.agent_id:
        return
    row = items.agent_id.index(agent_id)
    known = {i["id"]: i for i in outline.get("items", ())}
    sections = {s["id"]: view.words.pick(**s["name"]) for s in outline.get("sections", ())}
    scale = charts.Scale(0.0, 1.0, 8, charts.CELL - 8)

    def behind(one: Pooled) -> float:
        e = items.of[one.name]
        surely = float(e.difference_high[row])
        return surely if math.isfinite(surely) else 1.0

    for one in sorted(rates, key=behind):
        if not items.of[one.name].calls[row]:
            continue
        cell = cell_of(
            items, row, one, view.words, scale=scale, min_calls=MIN_CALLS, is_trial=is_trial
        )
        item = known[one.name]
        yield ItemRow(cell, sections.get(item["section"], ""), f"{item['weight']:g}")


def _counted(
    view: View,
    items: Compared,
    rates: Sequence[Pooled],
    agent_id: str,
    outline: Mapping[str, Any],
) -> Iterator[ItemCount]:
    """Fails and passes of one or two calls, what was failed first."""
    if agent_id not in items.agent_id:
        return
    row = items.agent_id.index(agent_id)
    known = {i["id"]: i for i in outline.get("items", ())}
    sections = {s["id"]: view.words.pick(**s["name"]) for s in outline.get("sections", ())}
    found = []
    for one in rates:
        e, item = items.of[one.name], known[one.name]
        if n := int(e.calls[row]):
            passed, name = round(n * float(e.mean[row])), label_of(one, view.words)
            section, weight = sections.get(item["section"], ""), f"{item['weight']:g}"
            found.append(ItemCount(one.name, name, section, weight, n - passed, passed))
    yield from sorted(found, key=lambda i: (-i.failed, -float(i.weight)))


def _changes(view: View, filters: Filters, agent_id: str, weeks: Weeks) -> Iterator[str]:
    now = view.figures.changes(view.scope, filters, weeks.last).get(agent_id, {})
    for name in MAIN:
        if name in now and now[name][0] >= weeks.first:
            since, size, low, high = now[name]
            yield change_text(name, size, low, high, since, view.words)


def _trend(
    view: View,
    filters: Filters,
    agent_id: str,
    weeks: Weeks | None,
    measure: str,
    newest: Sequence[Any],
    compared: Compared,
    row: int | None,
) -> charts.Chart | None:
    """Weeks where at least four are full, else the calls one by one, else nothing."""
    if row is None or compared.calls[row] < LEAST_MEAN:
        return None
    words, one = view.words, BY_NAME[measure]
    kind, label = one.measure.kind, label_of(one, words)
    middle = float(compared.of[measure].team_median[row])
    median = None
    if math.isfinite(middle):
        median = middle, words("agent.team_median", value=words.number(middle, kind))
    norm = None
    if measure == "agent_speaking_rate" and (settings := _settings(view, filters, agent_id)):
        of, share = float(settings["voice"]["rate_norm"]), one.measure.delta or 0.0
        norm = of * (1 - share), of * (1 + share), words("agent.norm", value=f"{of:g}")
    options: dict[str, Any] = {
        "unit": words.unit(kind),
        "number": lambda v: words.number(v, kind),
        "median": median,
        "norm": norm,
    }
    by_week = view.figures.by_week(view.scope, filters, (measure,))
    e = by_week.of[measure]
    own = [
        i
        for i, (a, w) in enumerate(zip(by_week.agent_id, by_week.week, strict=True))
        if a == agent_id and w is not None and (weeks is None or w <= weeks.last) and e.calls[i]
    ][-TREND_WEEKS:]
    if sum(e.calls[i] >= MIN_CALLS for i in own) >= FULL_WEEKS:
        return _weekly(view, filters, agent_id, by_week, own, measure, weeks, label, options)
    marks, table = [], []
    for call in reversed(newest):
        value = getattr(call, one.source, None)
        if value is None or (one.measure.of and measure not in call._fields):
            continue
        started, number = words.started(call.started_at), words.number(value, kind)
        marks.append(
            charts.Mark(
                started[5:], float(value), title=f"{started} {number}", href=f"/calls/{call.slug}"
            )
        )
        table.append((started, number))
    if not marks:
        return None
    return charts.strip(
        marks,
        title=words("agent.strip_title", name=label, n=len(marks)),
        note=words("agent.strip_note", calls=MIN_CALLS, weeks=FULL_WEEKS),
        head=(words("calls.started"), label),
        rows=tuple(table),
        **options,
    )


def _weekly(
    view: View,
    filters: Filters,
    agent_id: str,
    by_week: Compared,
    own: Sequence[int],
    measure: str,
    weeks: Weeks | None,
    label: str,
    options: Mapping[str, Any],
) -> charts.Chart:
    words, e = view.words, by_week.of[measure]
    number = options["number"]
    kind = BY_NAME[measure].measure.kind
    marks, table = [], []
    for i in own:
        week, n = by_week.week[i] or "", int(e.calls[i])
        value, low, high = (float(v[i]) for v in (e.mean, e.low, e.high))
        shown = span(low, high, kind, words)
        title = words("agent.week_point", week=week, value=number(value), interval=shown, n=n)
        under = words("agent.week_calls", n=n)
        marks.append(charts.Mark(week[5:], value, low, high, under, title, few=n < MIN_CALLS))
        table.append((week, str(n), number(value), shown))
    title, change = words("agent.trend_title", name=label), None
    known = view.figures.changes(view.scope, filters, weeks.last if weeks else None)
    now = known.get(agent_id, {})
    if measure in now:
        since, size, low, high = now[measure]
        at = next((k for k, i in enumerate(own) if (by_week.week[i] or "") >= since), None)
        if at is not None:
            change = at, words("agent.change_mark")
            title = change_text(measure, size, low, high, since, words)
    return charts.trend(
        marks,
        title=title,
        note=words("agent.trend_note"),
        head=(words("agent.week"), words("team.calls"), label, words("agent.interval")),
        rows=tuple(table),
        change=change,
        **options,
    )


def _settings(view: View, filters: Filters, agent_id: str) -> Mapping[str, Any] | None:
    query = queries.calls_of(filters, agent_id, None, ("settings_hash",), 1)
    row = view.scope.first(view.scope.calls(query))
    return None if row is None else view.scope.document("settings", row.settings_hash)


def _call(row: Any, words: Words) -> AgentCall:
    return AgentCall(
        slug=row.slug,
        started=words.started(row.started_at) if row.started_at else row.slug,
        duration=words.clock(row.duration),
        score=words.number(row.reviewed_score, "score"),
        machine_score=words.number(row.compliance_score, "score") if row.reviewed_items else "",
        outside_score=words.number(row.outside_score, "score"),
        rate=words.number(row.agent_speaking_rate, "rate"),
        interruptions=words.number(row.agent_interruptions, "count"),
        hold=NOTHING if not row.hold_s else words.number(finite(row.hold_s), "seconds", unit=True),
    )
