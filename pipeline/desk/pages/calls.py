"""The list of calls with its filters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pipeline.desk.pages.call import TRIAL_PRESETS, Tag
from pipeline.desk.pages.figures import KIND_FILTERS, only
from pipeline.desk.queries import calls as queries
from pipeline.desk.queries.filters import DIRECTIONS, Filters
from pipeline.desk.view import View
from pipeline.desk.words import NOTHING, Words
from pipeline.errors import close_to

ROWS = 50
FILTERS = ("agent", "team", "from", "to", "direction", "queue", "score", "event", "item",
           *KIND_FILTERS[2:])  # fmt: skip


@dataclass(frozen=True, slots=True)
class CallRow:
    """One call of the list."""

    slug: str
    started: str
    duration: str
    agent: str
    agent_id: str | None
    team: str
    score: str
    machine_score: str  # where people reviewed
    outside_score: str
    rate: str
    tags: tuple[Tag, ...]
    warnings: int
    problem: str | None


@dataclass(frozen=True, slots=True)
class Choice:
    """A filter that is chosen from a list: (value, text) pairs."""

    name: str
    value: str
    options: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class CallsPage:
    """All that the list shows."""

    rows: tuple[CallRow, ...]
    count: str
    choices: tuple[Choice, ...]
    since: str
    until: str
    score: str
    other: tuple[tuple[str, str], ...]
    active: tuple[tuple[str, str], ...]  # filters that are on, and the address without each
    next: str | None
    first: str
    is_filtered: bool
    widest: tuple[str, str] | None
    unknown: tuple[str, ...]  # values of filters that no call has, where nothing is shown
    is_trial: bool


def calls_page(view: View) -> CallsPage:
    """Gather the list.

    Raises
    ------
    ParameterError
        If a filter is none of what is allowed.
    SlowQuery
        If the filters leave too much to look through.
    """
    only(view, *FILTERS, "after")
    words, asked = view.words, dict(view.query)
    filters = Filters.of(asked)
    found = view.scope.rows(view.scope.calls(queries.newest(filters, asked.get("after"), ROWS)))
    rows, more = found[:ROWS], found[ROWS:]
    n = view.scope.rows(view.scope.calls(queries.counted(filters)))[0][0]
    is_filtered = filters != Filters()
    given = {k: v for k, v in asked.items() if k in ("event", "item", *KIND_FILTERS[2:]) and v}
    choices = tuple(_choices(view, asked))
    return CallsPage(
        rows=tuple(_row(row, words) for row in rows),
        count=words("calls.many", n=queries.MOST_COUNTED)
        if n > queries.MOST_COUNTED
        else words("calls.count", n=n),
        choices=choices,
        since=asked.get("from", ""),
        until=asked.get("to", ""),
        score=asked.get("score", ""),
        other=tuple(given.items()),
        active=tuple(_active(view, asked, choices)),
        next=view.link(after=queries.cursor(rows[-1])) if more else None,
        first=view.link(after=None),
        is_filtered=is_filtered,
        widest=_widest(view, asked) if is_filtered and not rows else None,
        unknown=() if rows else tuple(_unknown(view, asked, choices)),
        is_trial=any(row.preset in TRIAL_PRESETS for row in rows),
    )


def _row(row: Any, words: Words) -> CallRow:
    return CallRow(
        slug=row.slug,
        started=words.started(row.started_at) if row.started_at else row.call_id,
        duration=words.clock(row.duration),
        agent=row.agent_name or row.agent_id or NOTHING,
        agent_id=row.agent_id,
        team=row.team or NOTHING,
        score=words.number(row.reviewed_score, "score"),
        machine_score=words.number(row.compliance_score, "score") if row.reviewed_items else "",
        outside_score=words.number(row.outside_score, "score"),
        rate=words.number(row.agent_speaking_rate, "rate"),
        tags=tuple(_tags(row, words)),
        warnings=len((row.warnings or "").split("; ")) if row.warnings else 0,
        problem=row.error,
    )


def _tags(row: Any, words: Words) -> Iterator[Tag]:
    for kind, n in (
        ("interruption", row.agent_interruptions),
        ("hold", row.holds),
        ("dead_air", row.dead_air),
    ):
        if n:
            yield Tag(kind, words(f"calls.{kind}", n=n))
    if row.speaker_source == "diarization":
        yield Tag("mono", words("calls.mono"))


def _choices(view: View, asked: dict[str, str]) -> Iterator[Choice]:
    words, every = view.words, ("", view.words("filter.all"))
    agents = view.figures.known(view.scope, "agents", queries.agents())
    named = ((r.agent_id, f"{r.agent_name or ''} {r.agent_id}".strip()) for r in agents)
    yield Choice("agent", asked.get("agent", ""), (every, *named))
    for name in ("team", "queue"):
        values = view.figures.known(view.scope, name, queries.choices(name))
        if values:
            yield Choice(name, asked.get(name, ""), (every, *((v, v) for (v,) in values)))
    directions = ((d, words(f"direction.{d}")) for d in DIRECTIONS)
    yield Choice("direction", asked.get("direction", ""), (every, *directions))


def _active(
    view: View, asked: dict[str, str], choices: tuple[Choice, ...]
) -> Iterator[tuple[str, str]]:
    """Each filter that is on in words, and the address without it."""
    known = {one.name: dict(one.options) for one in choices}
    for name in FILTERS:
        if value := asked.get(name, "").strip():
            if name == "event":
                text = view.words.known(f"event.{value}", value)
            elif name == "item":
                text = _item_text(view, value)
            else:
                text = known.get(name, {}).get(value, value)
            label = f"{view.words(f'filter.{name}')}: {text}"
            yield label, view.link(**{name: None, "after": None})


def _unknown(view: View, asked: dict[str, str], choices: tuple[Choice, ...]) -> Iterator[str]:
    """What there is not, with the nearest name that there is."""
    known = {one.name: [value for value, _ in one.options if value] for one in choices}
    outlines = view.scope.documents("rubrics")
    known["item"] = [item["id"] for outline in outlines for item in outline["items"]]
    for name in ("agent", "team", "queue", "item"):
        value = asked.get(name, "").strip()
        value = value.partition(":")[0] if name == "item" else value
        if value and value not in known.get(name, ()):
            label = view.words(f"filter.{name}")
            close = close_to(value, known.get(name, ()))
            yield view.words("calls.unknown", name=label, value=value) + (
                view.words("hint.nearest", name=close) if close else ""
            )


def _item_text(view: View, value: str) -> str:
    """``hold_consent:fail`` by the name of the item."""
    item, _, verdict = value.partition(":")
    for outline in view.scope.documents("rubrics"):
        for one in outline["items"]:
            if one["id"] == item:
                item = view.words.pick(**one["name"])
    return f"{item} {view.words(f'verdict.{verdict}')}" if verdict else item


def _widest(view: View, asked: dict[str, str]) -> tuple[str, str] | None:
    """The filter without which most calls would show, and the address without it."""
    best: tuple[int, str] | None = None
    for name in FILTERS:
        if not asked.get(name):
            continue
        rest = Filters.of({k: v for k, v in asked.items() if k != name})
        n = view.scope.rows(view.scope.calls(queries.counted(rest)))[0][0]
        best = max(best, (n, name)) if best else (n, name)
    if best is None or best[0] == 0:
        return None
    n, name = best
    label = view.words("calls.without", name=view.words(f"filter.{name}"), n=n)
    return label, view.link(**{name: None, "after": None})
