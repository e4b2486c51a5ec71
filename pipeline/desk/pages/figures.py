"""Figures of agents as words: a value, its interval, and what may be said of it beside the team.

Words never compare where they must not: under ``min_calls`` there is no comparison, under three calls
no mean, and nobody is judged by calls that trial models heard.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from pipeline.agents import Compared, iso_week, state_words
from pipeline.desk import charts
from pipeline.desk.figures import DEFAULT_WEEKS, Weeks
from pipeline.desk.queries.filters import CHANNELS, Filters
from pipeline.desk.refusals import Refused
from pipeline.desk.view import View
from pipeline.desk.words import NOTHING, Words
from pipeline.measures import POOLED, Pooled

LEAST_MEAN = 3  # calls: below, values are shown call by call
RELIABLE = 0.7
MOST_MORE_CALLS = 500  # more than that is no advice
BY_NAME: Mapping[str, Pooled] = {p.name: p for p in POOLED}
MAIN = (
    "agent_speaking_rate", "agent_level_dbfs", "agent_pitch_sd_st", "agent_interruption_rate",
    "hold_s", "agent_talk_ratio", "agent_response_latency_p50", "reviewed_score",
    "compliance_score",
)  # fmt: skip
"""What is shown first, watched for changes, and can be drawn as a trend."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One measure of one agent: words for each part, and the drawing of its interval."""

    name: str
    label: str
    unit: str
    value: str
    interval: str
    drawing: Markup
    median: str
    norm: str
    calls: int
    words: str
    state: str


def finite(value: float) -> float | None:
    """The value, or None where it is not known."""
    return float(value) if math.isfinite(value) else None


def label_of(measure: Pooled, words: Words) -> str:
    """Its name; that it is the agent's goes without saying."""
    own = words.pick(measure.zh.removeprefix("坐席"), measure.en.removeprefix("agent: "))
    return own[:1].upper() + own[1:]


def span(low: float, high: float, kind: str, words: Words) -> str:
    """An interval: ``131–257``."""
    if not math.isfinite(low + high):
        return NOTHING
    shown = words.number(low, kind), words.number(high, kind)
    return words("agents.span", low=shown[0], high=shown[1]) if low < 0 else " – ".join(shown)


def cell_of(
    compared: Compared,
    row: int,
    measure: Pooled,
    words: Words,
    *,
    scale: charts.Scale,
    min_calls: int,
    is_trial: bool,
    norm: str = "",
) -> Cell:
    """One measure of an agent beside the team."""
    e, kind = compared.of[measure.name], measure.measure.kind
    calls = int(e.calls[row])
    value, low, high = (float(v[row]) for v in (e.mean, e.low, e.high))
    if calls < LEAST_MEAN:
        value = low = high = math.nan
    median = float(e.team_median[row])
    label = label_of(measure, words)
    shown = span(low, high, kind, words)
    title = f"{label}: {words.number(finite(value), kind, unit=True)} ({shown})"
    mark = charts.Mark(label, value, low, high, title=title, few=calls < min_calls)
    state = None if is_trial else compared.state[measure.name][row]
    return Cell(
        name=measure.name,
        label=label,
        unit=words.unit(kind),
        value=words.number(finite(value), kind),
        interval=shown,
        drawing=charts.cell(mark, scale, median),
        median=words.number(finite(median), kind),
        norm=norm,
        calls=calls,
        words=_said(state, calls, min_calls, float(e.reliability[row]), words, is_trial=is_trial),
        state=state or "",
    )


def _said(
    state: str | None, calls: int, needed: int, reliability: float, words: Words, *, is_trial: bool
) -> str:
    """The word beside the team; where nothing can be told, how many more calls would do."""
    if is_trial:
        return words("agents.trial_no_word")
    if state is None:
        return ""
    text = words.pick(*state_words(state, calls, needed))  # type: ignore[arg-type]
    if state == "not_told" and 0 < reliability < RELIABLE:
        more = calls * (RELIABLE / (1 - RELIABLE) * (1 - reliability) / reliability - 1)
        if more < MOST_MORE_CALLS:
            return words("agents.more_calls", said=text, n=max(1, math.ceil(more)))
    return text


KIND_FILTERS = ("direction", "queue", "rubric", "preset", "channels")
"""Filters that choose which calls are pooled."""


def kinds_of(view: View) -> Filters:
    """The filters of a page that choose which calls are pooled."""
    return Filters.of({k: v for k, v in view.query if k in KIND_FILTERS})


def splits(view: View, heard: Iterable[Any]) -> tuple[tuple[str, str], ...]:
    """What kinds of calls are mixed that should not be, in words, each with the address of it alone.

    ``heard`` are rows of preset, rubric, way of telling speakers apart, and number of calls.
    """
    words, rows = view.words, list(heard)
    names = {source: name for name, source in CHANNELS.items()}
    found: list[tuple[str, str]] = []
    columns = {"rubric": "rubric_hash", "channels": "speaker_source", "preset": "preset"}
    for name, column in columns.items():
        calls: dict[str, int] = {}
        for row in rows:
            if value := getattr(row, column):
                calls[value] = calls.get(value, 0) + row.calls
        if len(calls) < 2:
            continue
        for value, n in sorted(calls.items(), key=lambda pair: -pair[1]):
            given = {"rubric": value[:12], "channels": names.get(value, "")}.get(name, value)
            text = given
            if name == "rubric" and (outline := view.scope.document("rubrics", value)):
                text = f"{words.pick(**outline['name'])} {outline['version']} {value[:6]}"
            elif name == "channels":
                text = words(f"channels.{given}")
            found.append((words("agents.only", what=text, n=n), view.link(**{name: given})))
    return tuple(found)


def weeks_of(view: View, known: list[str]) -> Weeks | None:
    """The weeks a page is about: as asked, else the newest 13 that the store knows; None without dates.

    Raises
    ------
    ParameterError
        If what is asked for is no week or day.
    """
    asked = dict(view.query)
    first, last = (_week(asked.get(name), name) for name in ("from", "to"))
    if not known and not (first or last):
        return None
    last = last or (known[-1] if known else first) or ""
    before = [week for week in known if week <= last]
    first = first or (before[-DEFAULT_WEEKS:] or [last])[0]
    if first > last:
        raise Refused("weeks", "weeks", first=first, last=last)
    return Weeks(first, last)


def _week(text: str | None, name: str) -> str | None:
    text = (text or "").strip()
    if not text:
        return None
    day = Filters.of({name: text})
    start = day.since if name == "from" else day.until
    return iso_week(start.isoformat() if start else None)


def only(view: View, *allowed: str) -> None:
    """Refuse parameters that the page does not know.

    Raises
    ------
    ParameterError
        With the nearest name.
    """
    check_names((name for name, _ in view.query), allowed)


def check_names(given: Iterable[str], allowed: Sequence[str]) -> None:
    """Refuse names that are none of those allowed, nor the choice of language."""
    for name in given:
        if name not in (*allowed, "lang"):
            raise Refused("filter", name=name, given=name, allowed=allowed)
