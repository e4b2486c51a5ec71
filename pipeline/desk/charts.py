"""Charts as SVG, made on the server: no script, no style attribute, the same on a page and on paper.

Six primitives (:class:`Scale`, :func:`ticks`, :func:`band`, :func:`interval`, :func:`point`,
:func:`label`) and the charts made of them. Colours are classes of ``desk.css``; every point says in
its title what it is. A :class:`Chart` carries its own table, so that the same numbers can be read.
Values may be nan where there is nothing to draw.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from markupsafe import Markup, escape

WIDTH, LEFT, RIGHT = 1120.0, 48.0, 156.0
TOP, HEIGHT, FOOT = 26.0, 200.0, 48.0
CELL, CELL_HEIGHT = 160.0, 22.0
MOST_LABELS = 14


@dataclass(frozen=True, slots=True)
class Chart:
    """A drawing with what it shows as a sentence, and the same numbers as a table."""

    title: str
    note: str
    svg: Markup
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """One value with its interval; ``few`` draws it hollow, ``href`` makes it a link."""

    label: str
    value: float
    low: float = math.nan
    high: float = math.nan
    under: str = ""  # a second line under the axis
    title: str = ""
    few: bool = False
    href: str = ""


class Scale(NamedTuple):
    """From values to a stretch of the drawing; what lies beyond is drawn at the end."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Place of a value."""
        share = (value - self.low) / (self.high - self.low)
        return self.start + min(max(share, 0.0), 1.0) * (self.end - self.start)

    @classmethod
    def over(cls, values: Iterable[float], start: float, end: float, room: float = 0.08) -> Scale:
        """A scale that shows these values, with some room around them."""
        known = [v for v in values if math.isfinite(v)] or [0.0, 1.0]
        low, high = min(known), max(known)
        space = (high - low) * room or abs(high) * room or 1.0
        return cls(low - space, high + space, start, end)


def ticks(scale: Scale, most: int = 5) -> list[float]:
    """Round values within a scale, at most so many."""
    raw = (scale.high - scale.low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * n for n in (1, 2, 5, 10) if power * n >= raw)
    first = math.ceil(scale.low / step)
    return [i * step for i in range(first, math.floor(scale.high / step) + 1)]


def band(x0: float, x1: float, y0: float, y1: float, kind: str) -> Markup:
    """A rectangle between two corners."""
    low_x, low_y = min(x0, x1), min(y0, y1)
    return Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>').format(
        kind, low_x, low_y, abs(x1 - x0), abs(y1 - y0)
    )


def interval(x0: float, y0: float, x1: float, y1: float, kind: str = "bar") -> Markup:
    """A line: of an interval, an axis, a median."""
    return Markup('<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>').format(
        kind, x0, y0, x1, y1
    )


def point(x: float, y: float, mark: Mark, kind: str = "dot", radius: float = 4.0) -> Markup:
    """A dot that says what it is, and leads there where it is a link."""
    kind = f"{kind} few" if mark.few else kind
    dot = Markup(
        '<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{:.1f}"><title>{}</title></circle>'
    ).format(kind, x, y, radius, mark.title or mark.label)
    if not mark.href:
        return dot
    return Markup('<a href="{}" aria-label="{}">{}</a>').format(
        mark.href, mark.title or mark.label, dot
    )


def label(x: float, y: float, text: str, anchor: str = "middle", kind: str = "") -> Markup:
    """A short text; ``anchor`` is start, middle or end."""
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        kind, x, y, anchor, escape(text)
    )


def _drawing(
    parts: Iterable[Markup], name: str, width: float, height: float, *, links: bool = False
) -> Markup:
    """The parts as one SVG; ``img`` may hold no links."""
    return Markup(
        '<svg class="chart" viewBox="0 0 {:.0f} {:.0f}" role="{}" aria-label="{}">{}</svg>'
    ).format(width, height, "group" if links else "img", name, Markup("").join(parts))


def _grid(scale: Scale, number: Callable[[float], str], unit: str, end: float) -> list[Markup]:
    parts = [label(0, TOP - 10, unit, "start")]
    for value in ticks(scale):
        y = scale(value)
        parts += [interval(LEFT, y, end, y, "grid"), label(LEFT - 8, y + 4, number(value), "end")]
    return parts


def _reference(
    scale: Scale,
    end: float,
    median: tuple[float, str] | None,
    norm: tuple[float, float, str] | None,
) -> tuple[list[Markup], list[Markup]]:
    """The norm as a band and the team's median as a dashed line, and their names, kept apart."""
    under, named = [], []
    at_norm = at_median = math.inf
    if norm is not None:
        low, high, text = norm
        y0, y1 = scale(low), scale(high)
        under.append(band(LEFT, end, y0, y1, "norm"))
        at_norm = (y0 + y1) / 2
        named.append(label(end + 6, at_norm + 4, text, "start"))
    if median is not None and math.isfinite(median[0]):
        y = scale(median[0])
        under.append(interval(LEFT, y, end, y, "median"))
        at_median = y if abs(y - at_norm) > 14 else at_norm - 15
        named.append(label(end + 6, at_median + 4, median[1], "start"))
    return under, named


def trend(
    marks: Sequence[Mark],
    *,
    title: str,
    note: str,
    unit: str,
    head: tuple[str, ...],
    rows: tuple[tuple[str, ...], ...],
    number: Callable[[float], str],
    median: tuple[float, str] | None = None,
    norm: tuple[float, float, str] | None = None,
    change: tuple[int, str] | None = None,
) -> Chart:
    """Weekly means with their intervals; ``change`` is the first week of what changed, and its name."""
    end = WIDTH - RIGHT
    values = [v for m in marks for v in (m.value, m.low, m.high)]
    values += [median[0]] if median else []
    values += list(norm[:2]) if norm else []
    scale = Scale.over(values, TOP + HEIGHT, TOP)
    step = (end - LEFT) / max(len(marks), 1)
    xs = [LEFT + step * (i + 0.5) for i in range(len(marks))]
    under, named = _reference(scale, end, median, norm)
    parts = [*under, *_grid(scale, number, unit, end), *named]
    if change is not None:
        x = xs[change[0]] - step / 2
        parts.append(interval(x, TOP - 8, x, TOP + HEIGHT, "change"))
        side = "start" if x < WIDTH * 0.7 else "end"
        parts.append(label(x + (6 if side == "start" else -6), TOP - 10, change[1], side, "change"))
    known = [(x, m) for x, m in zip(xs, marks, strict=True) if math.isfinite(m.value)]
    line = " ".join(f"{x:.1f},{scale(m.value):.1f}" for x, m in known)
    parts.append(Markup('<polyline class="join" points="{}"/>').format(line))
    for x, m in known:
        if math.isfinite(m.low + m.high):
            parts.append(interval(x, scale(m.low), x, scale(m.high)))
        parts.append(point(x, scale(m.value), m))
    every = math.ceil(len(marks) / MOST_LABELS)
    for x, m in list(zip(xs, marks, strict=True))[::every]:
        parts.append(label(x, TOP + HEIGHT + 20, m.label))
        parts.append(label(x, TOP + HEIGHT + 39, m.under))
    svg = _drawing(parts, title, WIDTH, TOP + HEIGHT + FOOT)
    return Chart(title, note, svg, head, rows)


def strip(
    marks: Sequence[Mark],
    *,
    title: str,
    note: str,
    unit: str,
    head: tuple[str, ...],
    rows: tuple[tuple[str, ...], ...],
    number: Callable[[float], str],
    median: tuple[float, str] | None = None,
    norm: tuple[float, float, str] | None = None,
) -> Chart:
    """One dot a call, linked, its value beside it; nothing is joined."""
    end = WIDTH - RIGHT
    values = (
        [m.value for m in marks] + ([median[0]] if median else []) + list(norm[:2] if norm else ())
    )
    scale = Scale.over(values, TOP + HEIGHT, TOP)
    step = (end - LEFT) / max(len(marks), 1)
    under, named = _reference(scale, end, median, norm)
    parts = [*under, *_grid(scale, number, unit, end), *named]
    every = math.ceil(len(marks) / MOST_LABELS)
    for i, m in enumerate(marks):
        x = LEFT + step * (i + 0.5)
        if math.isfinite(m.value):
            parts.append(point(x, scale(m.value), m, radius=6))
            if len(marks) <= MOST_LABELS:
                parts.append(label(x + 10, scale(m.value) + 4, number(m.value), "start"))
        if i % every == 0:
            parts.append(label(x, TOP + HEIGHT + 20, m.label))
    svg = _drawing(parts, title, WIDTH, TOP + HEIGHT + FOOT - 14, links=True)
    return Chart(title, note, svg, head, rows)


def column_scale(values: Iterable[float]) -> Scale:
    """One scale for a column of interval cells, cut at the 1st and 99th percentile."""
    known = sorted(v for v in values if math.isfinite(v))
    if not known:
        return Scale(0, 1, 8, CELL - 8)
    last = len(known) - 1
    cut = [known[round(last * q)] for q in (0.01, 0.99)]
    return Scale.over(cut, 8, CELL - 8, room=0.06)


def cell(mark: Mark, scale: Scale, median: float = math.nan) -> Markup:
    """A value with its interval and the team's median in a table cell; an arrow where it is cut."""
    y, parts = CELL_HEIGHT / 2, []
    if math.isfinite(median):
        parts.append(interval(scale(median), 1, scale(median), CELL_HEIGHT - 1, "median"))
    if math.isfinite(mark.low + mark.high):
        parts.append(interval(scale(mark.low), y, max(scale(mark.high), scale(mark.low) + 1), y))
        if mark.low < scale.low:
            parts.append(Markup('<path class="cut" d="M1 {0:.0f}l6 -4v8z"/>').format(y))
        if mark.high > scale.high:
            d = Markup('<path class="cut" d="M{0:.0f} {1:.0f}l-6 -4v8z"/>')
            parts.append(d.format(CELL - 1, y))
    if math.isfinite(mark.value):
        parts.append(point(scale(mark.value), y, replace(mark, href="")))
    svg = Markup(
        '<svg class="cell" viewBox="0 0 {0:.0f} {1:.0f}" width="{0:.0f}" height="{1:.0f}"'
        ' role="img" aria-label="{2}">{3}</svg>'
    )
    return svg.format(CELL, CELL_HEIGHT, mark.title or mark.label, Markup("").join(parts))


def funnel(
    marks: Sequence[Mark],
    calls: Sequence[int],
    limits: Callable[[float], tuple[float, float, float, float]],
    centre: float,
    *,
    title: str,
    note: str,
    unit: str,
    across: str,
    head: tuple[str, ...],
    rows: tuple[tuple[str, ...], ...],
    number: Callable[[float], str],
) -> Chart:
    """Agents by number of calls within limits that narrow with it; names only of those beyond.

    ``limits`` gives the 95 % and the 99.8 % limits of a mean of so many calls.
    """
    end = WIDTH - 24
    most = max(calls, default=1)
    grid = [1 + (most * 1.06 - 1) * (i / 60) ** 2 for i in range(61)]
    outer = [limits(n)[2:] for n in grid if n >= max(most / 20, 3)]
    values = [m.value for m in marks] + [v for pair in outer for v in pair]
    scale, wide = Scale.over(values, TOP + HEIGHT + 40, TOP), Scale(0, most * 1.06, LEFT, end)
    parts: list[Markup] = []
    for kind, first in (("outer", 2), ("inner", 0)):
        edge = [(wide(n), *(scale(v) for v in limits(n)[first : first + 2])) for n in grid]
        path = [f"{x:.1f},{y:.1f}" for x, y, _ in edge] + [
            f"{x:.1f},{y:.1f}" for x, _, y in reversed(edge)
        ]
        parts.append(Markup('<polygon class="{}" points="{}"/>').format(kind, " ".join(path)))
    parts += _grid(scale, number, unit, end)
    parts.append(interval(LEFT, scale(centre), end, scale(centre), "centre"))
    for m, n in sorted(zip(marks, calls, strict=True), key=lambda pair: pair[1]):
        low, high = limits(n)[2:]
        beyond = not low <= m.value <= high
        x, y = wide(n), scale(m.value)
        parts.append(point(x, y, m, "dot beyond" if beyond else "dot", radius=5))
        if beyond:
            side = "end" if x > WIDTH * 0.8 else "start"
            parts.append(label(x + (9 if side == "start" else -9), y + 4, m.label, side))
    bottom = TOP + HEIGHT + 40
    parts += [label(wide(n), bottom + 20, f"{n:,.0f}") for n in ticks(wide, 6)]
    parts.append(label(end, bottom + 38, across, "end"))
    svg = _drawing(parts, title, WIDTH, bottom + 46, links=True)
    return Chart(title, note, svg, head, rows)


def control(
    marks: Sequence[Mark],
    limits: Sequence[tuple[float, float]],
    centre: float,
    *,
    baseline: tuple[int, str],
    title: str,
    note: str,
    unit: str,
    head: tuple[str, ...],
    rows: tuple[tuple[str, ...], ...],
    number: Callable[[float], str],
) -> Chart:
    """Weekly means of a team within limits that widen where a week has few calls.

    ``baseline`` is how many of the first weeks the limits were made from, and what they are called.
    """
    end = WIDTH - RIGHT
    values = [m.value for m in marks] + [v for pair in limits for v in pair]
    scale = Scale.over(values, TOP + HEIGHT, TOP)
    step = (end - LEFT) / max(len(marks), 1)
    edges = [[(LEFT + step * j, scale(pair[side])) for i, pair in enumerate(limits) for j in (i, i + 1)]
             for side in (0, 1)]  # fmt: skip
    outline = " ".join(f"{x:.1f},{y:.1f}" for x, y in (*edges[0], *reversed(edges[1])))
    parts = [Markup('<polygon class="inner" points="{}"/>').format(outline)]
    parts += _grid(scale, number, unit, end)
    parts += [
        interval(LEFT, scale(centre), end, scale(centre), "centre"),
        label(end + 6, scale(centre) + 4, number(centre), "start"),
    ]
    x = LEFT + step * baseline[0]
    parts.append(interval(x, TOP - 8, x, TOP + HEIGHT, "median"))
    parts.append(label(x - 6, TOP - 10, baseline[1], "end"))
    xs = [LEFT + step * (i + 0.5) for i in range(len(marks))]
    line = " ".join(f"{x:.1f},{scale(m.value):.1f}" for x, m in zip(xs, marks, strict=True))
    parts.append(Markup('<polyline class="join" points="{}"/>').format(line))
    every = math.ceil(len(marks) / MOST_LABELS)
    for i, (x, m, (low, high)) in enumerate(zip(xs, marks, limits, strict=True)):
        parts.append(point(x, scale(m.value), m, "dot" if low <= m.value <= high else "dot beyond"))
        if i % every == 0:
            parts += [label(x, TOP + HEIGHT + 20, m.label), label(x, TOP + HEIGHT + 39, m.under)]
    svg = _drawing(parts, title, WIDTH, TOP + HEIGHT + FOOT)
    return Chart(title, note, svg, head, rows)


def before_after(
    before: Mark,
    after: Mark,
    difference: Mark,
    *,
    title: str,
    note: str,
    head: tuple[str, ...],
    rows: tuple[tuple[str, ...], ...],
    number: Callable[[float], str],
    aim: float = math.nan,
) -> Chart:
    """Two values with their intervals, and under them the difference on an axis of its own."""
    width, left, end = 560.0, 96.0, 540.0
    values = [v for m in (before, after) for v in (m.value, m.low, m.high)]
    scale = Scale.over(values, left, end)
    parts: list[Markup] = []
    for y, m in ((22.0, before), (48.0, after)):
        parts += [label(left - 10, y + 4, m.label, "end"),
                  interval(scale(m.low), y, scale(m.high), y), point(scale(m.value), y, m)]  # fmt: skip
    parts += [label(scale(v), 74, number(v)) for v in ticks(scale)]
    own = Scale.over([difference.low, difference.high, 0.0, aim], left, end)
    y = 108.0
    parts += [
        interval(own(0), 90, own(0), 126, "centre"),
        label(left - 10, y + 4, difference.label, "end"),
    ]
    if math.isfinite(aim):
        parts.append(interval(own(aim), 90, own(aim), 126, "median"))
    parts += [interval(own(difference.low), y, own(difference.high), y),
              point(own(difference.value), y, difference, radius=5)]  # fmt: skip
    parts += [label(own(v), 142, number(v)) for v in ticks(own)]
    return Chart(title, note, _drawing(parts, title, width, 150), head, rows)
