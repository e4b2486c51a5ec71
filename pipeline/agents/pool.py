"""The sums of the calls of each agent, week and local day, and the estimates made from them.

NumPy alone; :mod:`pipeline.agents.frames` makes data frames of it.
"""

from __future__ import annotations

import datetime
import math
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.agents.comparison import states
from pipeline.agents.estimates import Codes, Estimate, Groups, Sums, Values, estimate, spread_of
from pipeline.errors import ParameterError
from pipeline.measures import POOLED, SPEECH_S, Pooled

MIN_CALLS = 10
DECIMALS = 9  # of what is given out: what is behind them depends on the order of the sums
NAMES = ("agent_name", "team")
KIND_TEXTS = ("queue", "direction")
_DERIVED = {SPEECH_S: ("duration", "silence_ratio", "overlap_s")}
_TALK, _OTHER_TALK = "agent_talk_s", "customer_talk_s"

Key = tuple[str | None, str | None]  # agent and week, or agent and day


@dataclass(frozen=True, slots=True)
class Compared:
    """Agents, or agents and weeks, with every measure estimated; all arrays have the same order.

    ``week`` is None where all weeks are taken together. ``of`` and ``state`` are by name of the
    measure; a state is one of ``comparison.STATES`` or None.
    """

    agent_id: list[str | None]
    week: list[str | None]
    agent_name: list[str | None]
    team: list[str | None]
    calls: NDArray[np.int64]
    talk_s: Values
    enough_calls: NDArray[np.bool_]
    of: Mapping[str, Estimate]
    state: Mapping[str, NDArray[np.object_]]


@dataclass(frozen=True, slots=True)
class History:
    """Weekly means of agents, for :func:`pipeline.agents.change.changes`.

    ``of`` is by name of the measure: mean and variance that the calls explain, arrays of shape
    (agents, weeks) with nan where there were no calls; ``calls`` likewise.
    """

    agent_id: list[str | None]
    weeks: list[str]
    of: Mapping[str, tuple[Values, Values]]
    calls: Mapping[str, Values]


class Shift(Protocol):
    """What is taken out of calls of a kind before they are pooled: see ``case_mix``."""

    @property
    def less(self) -> Values:
        """What is taken from values, by measure and kind."""

    @property
    def times(self) -> Values:
        """What exposures are multiplied by, by measure and kind."""

    @property
    def name(self) -> str:
        """What is adjusted for, in words."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of calls that tell the kind."""

    def codes(self, calls: Mapping[str, Any], rows: int) -> Codes:
        """Kind of each call, -1 where it is not known."""


class WeekSums(NamedTuple):
    """The sums of the calls of one agent in one week, about one number for all.

    ``newest_name`` and ``newest_team``: the start of the newest call that gives one, and what it gives.
    ``sums`` has the shape (measures, sums): those of :class:`pipeline.agents.estimates.Sums`.
    """

    agent_id: str | None
    week: str | None
    newest_name: tuple[str, str] | None
    newest_team: tuple[str, str] | None
    calls: float
    talk_s: float
    sums: Values


class Pool:
    """The sums of the calls of each agent and day, to which calls are added in any order and parts.

    Parameters
    ----------
    measures : sequence of Pooled
        What is pooled; by default every measure of the calls table. Rubric items are pooled with
        :func:`pipeline.measures.pass_rate`.
    shift : Shift, optional
        What is taken out of each call for its kind: :meth:`pipeline.agents.CaseMix.fit`.
    about : float, optional
        What squares are taken about; by default the mean of the first calls of each measure. Sums
        about the same can be put together: see :meth:`week_sums`.
    """

    def __init__(
        self,
        measures: Sequence[Pooled] = POOLED,
        shift: Shift | None = None,
        about: float = math.nan,
    ) -> None:
        self.measures = tuple(measures)
        self.shift = shift
        self._weeks: dict[Key, int] = {}
        self._days: dict[Key, int] = {}
        self._week_of_day: list[int] = []
        self._of_weeks = np.zeros((len(self.measures), 5, 0))  # the first sums but weight and value
        self._of_days = np.zeros((len(self.measures), 2, 0))  # weight and value
        self._totals = np.zeros((2, 0))  # calls, and seconds the agent talks
        self._centres = np.full(len(self.measures), about)  # squares are taken about these
        self._settled: Values | None = None  # in place of weeks and days: weeks, measures, sums
        self._named: dict[str, dict[int, tuple[str, str]]] = {name: {} for name in NAMES}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the calls table that are read."""
        needed = [_TALK, _OTHER_TALK]
        for m in self.measures:
            needed += [m.source, *m.weight, *([m.given] if m.given else [])]
        numbers = [c for n in needed for c in _DERIVED.get(n, (n,))]
        numbers += self.shift.columns if self.shift else ()  # two of which are text
        return ("agent_id", *NAMES, "started_at", "status", *dict.fromkeys(numbers))

    def add(self, calls: Mapping[str, Any], rows: int | None = None) -> None:
        """Add calls.

        Parameters
        ----------
        calls : mapping of column to values
            Some of ``columns``: text as sequences of str or None, numbers as float arrays with nan
            for null. Left out are failed calls, and those in which the customer was recorded and
            the agent was not. A measure without a column is null.
        rows : int, optional
            Number of calls, needed only where ``agent_id`` is not given.
        """
        size = len(calls["agent_id"]) if "agent_id" in calls else int(rows or 0)
        nothing: list[str | None] = [None] * size
        texts = {n: calls.get(n, nothing) for n in ("agent_id", *NAMES, "started_at", "status")}
        failed = np.array([s == "failed" for s in texts["status"]], dtype=bool)
        talk, other = (
            np.isfinite(np.asarray(calls.get(c, np.full(size, np.nan)), dtype=np.float64))
            for c in (_TALK, _OTHER_TALK)
        )
        at = np.flatnonzero(~failed & ~(other & ~talk))
        texts = {name: [values[i] for i in at] for name, values in texts.items()}

        def number(name: str) -> Values:
            values = calls.get(name)
            if values is None:
                return np.full(len(at), np.nan)
            return np.asarray(values, dtype=np.float64)[at]

        kinds = self.shift.codes(calls, size)[at] if self.shift else None
        numbers = {c: number(c) for c in self.columns[len(texts) :] if c not in KIND_TEXTS}
        if {SPEECH_S} & {w for m in self.measures for w in m.weight}:
            length, silence, overlap = (numbers[c] for c in _DERIVED[SPEECH_S])
            numbers[SPEECH_S] = length * (1 - silence) + overlap
        code, days = self._places(texts["agent_id"], texts["started_at"])
        week_of = np.array(self._week_of_day, dtype=np.intp)[days]
        for row, values in enumerate((np.ones(len(at)), np.nan_to_num(numbers[_TALK]))):
            np.add.at(self._totals[row], week_of, np.bincount(code, values, len(days)))
        for row, measure in enumerate(self.measures):
            terms = self._terms(row, measure, numbers, kinds)
            if terms is None:
                continue
            for part, sums in enumerate(np.bincount(code, t, len(days)) for t in terms[:2]):
                self._of_days[row, part][days] += sums
            weeks, local = np.unique(week_of, return_inverse=True)
            for part, t in enumerate(terms[2:]):
                self._of_weeks[row, part][weeks] += np.bincount(local[code], t, len(weeks))
        self._remember(texts, week_of[code])

    @property
    def known_weeks(self) -> list[str]:
        """The ISO weeks in which there are calls, in order."""
        return sorted({week for _, week in self._weeks if week is not None})

    @property
    def agents_known(self) -> list[str]:
        """The ids of the agents, in order."""
        return sorted({agent for agent, _ in self._weeks if agent is not None})

    def week_sums(self) -> Iterator[WeekSums]:
        """The sums of each agent and week, of which :meth:`of` makes a pool again."""
        settled = self._by_week()
        for (agent, week), place in self._weeks.items():
            name, team = (self._named[n].get(place) for n in NAMES)
            calls, talk_s = self._totals[:, place].tolist()
            yield WeekSums(agent, week, name, team, calls, talk_s, settled[place])

    @classmethod
    def of(
        cls,
        parts: Iterable[WeekSums],
        size: int,
        about: float,
        measures: Sequence[Pooled] = POOLED,
    ) -> Pool:
        """A pool of the sums of agents and weeks, ``size`` of them; no calls can be added to it."""
        pool = cls(measures, about=about)
        pool._settled = np.zeros((size, len(pool.measures), len(Sums._fields)))
        pool._totals = np.zeros((2, size))
        for place, one in enumerate(parts):
            pool._weeks[one.agent_id, one.week] = place
            pool._settled[place] = one.sums
            pool._totals[:, place] = one.calls, one.talk_s
            for name, newest in zip(NAMES, (one.newest_name, one.newest_team), strict=True):
                if newest is not None:
                    pool._named[name][place] = newest
        return pool

    def only(self, measures: Sequence[str]) -> Pool:
        """The same calls with some measures alone, in the order of the pool."""
        rows = [row for row, one in enumerate(self.measures) if one.name in measures]
        some = self._like([self.measures[row] for row in rows], self._by_week()[:, rows])
        some._weeks, some._totals, some._named = self._weeks, self._totals, self._named
        some._centres = self._centres[rows]
        return some

    def within(self, first: str, last: str) -> Pool:
        """The same calls in these ISO weeks alone, both included."""
        weeks = {k: p for k, p in self._weeks.items() if k[1] is not None and first <= k[1] <= last}
        moved = {place: i for i, place in enumerate(weeks.values())}
        some = self._like(self.measures, self._by_week()[[*moved]])
        some._weeks = {key: moved[place] for key, place in weeks.items()}
        some._totals, some._centres = self._totals[:, [*moved]], self._centres
        some._named = {
            name: {moved[place]: text for place, text in said.items() if place in moved}
            for name, said in self._named.items()
        }
        return some

    def _like(self, measures: Sequence[Pooled], settled: Values) -> Pool:
        some = Pool(measures)
        some._settled = settled
        return some

    def agents(self, *, team: str | None = None, min_calls: int = MIN_CALLS) -> Compared:
        """Every agent over all weeks, beside the team of its newest call; sorted by team and id."""
        return self._compared("agent", team, min_calls)

    def weeks(self, *, team: str | None = None, min_calls: int = MIN_CALLS) -> Compared:
        """Every agent and ISO week, beside the team of that week."""
        return self._compared("week", team, min_calls)

    def suspects(self) -> list[tuple[str, ...]]:
        """Ids that differ only in case, width or blanks; they are kept apart all the same."""
        alike: dict[str, set[str]] = {}
        for agent, _ in self._weeks:
            if agent is not None:
                plain = "".join(unicodedata.normalize("NFKC", agent).casefold().split())
                alike.setdefault(plain, set()).add(agent)
        return sorted(tuple(sorted(ids)) for ids in alike.values() if len(ids) > 1)

    @property
    def unnamed_calls(self) -> tuple[int, int]:
        """Calls without ``agent_id``, and all calls."""
        without = sum(self._totals[0, at] for (agent, _), at in self._weeks.items() if not agent)
        return int(without), int(self._totals[0].sum())

    def _places(
        self, agents: Sequence[str | None], dates: Sequence[str | None]
    ) -> tuple[Codes, Codes]:
        """Number among the days met here of each call, and place of each day in the sums."""
        local: dict[Key, int] = {}
        code = [
            local.setdefault((agent, date and date[:10]), len(local))
            for agent, date in zip(agents, dates, strict=True)
        ]
        days = np.empty(len(local), dtype=np.intp)
        weeks = {day: iso_week(day) for day in {day for _, day in local}}
        for (agent, day), at in local.items():
            week = weeks[day]
            key = (agent, day if week else None)
            place = self._days.get(key)
            if place is None:
                place = self._days[key] = len(self._days)
                self._week_of_day.append(self._weeks.setdefault((agent, week), len(self._weeks)))
            days[at] = place
        self._of_days = _grown(self._of_days, len(self._days))
        self._of_weeks = _grown(self._of_weeks, len(self._weeks))
        self._totals = _grown(self._totals, len(self._weeks))
        same, merged = np.unique(days, return_inverse=True)  # several unreadable dates are one
        return merged[np.array(code, dtype=np.intp)], same

    def _terms(
        self, row: int, measure: Pooled, numbers: Mapping[str, Values], kinds: Codes | None
    ) -> tuple[Values, ...] | None:
        """What each call adds to each of the sums of a measure."""
        values = numbers[measure.source]
        weights, per_s = np.ones(len(values)), measure.measure.per_s
        if measure.weight:
            weights = sum((numbers[w] for w in measure.weight), np.zeros(len(values))) / per_s
        if self.shift and kinds is not None:
            met = kinds >= 0
            values = values - np.where(met, self.shift.less[row, kinds], 0.0)
            weights = weights * np.where(met, self.shift.times[row, kinds], 1.0)
        known = np.isfinite(values) & np.isfinite(weights) & (weights > 0)
        if measure.given:
            known &= np.isfinite(numbers[measure.given])
        if not known.any():
            return None
        if np.isnan(self._centres[row]):
            about = measure.measure.pool in ("mean", "ratio")
            self._centres[row] = values[known].mean() if about else 0.0
        values, weights = np.where(known, values, 0.0), np.where(known, weights, 0.0)
        weighted = np.where(known, weights * (values - self._centres[row]), 0.0)
        if measure.measure.pool in ("count", "amount"):
            weighted = values
        some = (known & (values != 0)).astype(np.float64)
        return (weights, weighted, known.astype(np.float64), some, weighted**2, weights * weighted,
                weights**2)  # fmt: skip

    def _remember(self, texts: Mapping[str, Sequence[str | None]], week: Codes) -> None:
        """Keep of each agent and week the newest name and team that a call gives."""
        for name in NAMES:
            said = [
                (date or "", text, place)
                for date, text, place in zip(
                    texts["started_at"], texts[name], week.tolist(), strict=True
                )
                if text is not None
            ]
            newest = self._named[name]
            for date, text, place in said:
                if (known := newest.get(place)) is None or known < (date, text):
                    newest[place] = (date, text)

    def history(self) -> History:
        """Weekly means of every agent and the variance that their calls explain."""
        rows, code, _ = self._rows("week")
        agents = [agent for agent, _ in self._rows("agent")[0]]
        weeks = sorted({week for _, week in rows if week is not None})
        at_agent = {agent: i for i, agent in enumerate(agents)}
        at_week = {week: i for i, week in enumerate(weeks)}
        dated = np.array([week is not None for _, week in rows], dtype=bool)
        agent = np.array([at_agent[a] for a, _ in rows], dtype=np.intp)
        column = np.array([at_week[w] if w is not None else 0 for _, w in rows], dtype=np.intp)
        place = agent[dated], column[dated]
        shape = len(at_agent), len(weeks)
        of, calls = {}, {}
        for one, centre, sums in zip(
            self.measures, self._known_centres, self._sums(code, len(rows)), strict=True
        ):
            with np.errstate(divide="ignore", invalid="ignore"):
                offset = sums.value / sums.weight
                spread = spread_of(one.measure, sums, offset)  # about each week, whatever changed
                sure = np.where(np.isfinite(spread.scale * spread.freedom), spread.freedom, 0.0)
                sure = np.minimum(sure, 1e6)
                scale = _total(np.nan_to_num(spread.scale) * sure, agent, len(at_agent))
                scale = (scale / _total(sure, agent, len(at_agent)))[agent]
                variance = spread.unit / spread.scale * scale
                value, weight = (
                    _total(np.nan_to_num(v), agent, len(at_agent))
                    for v in (sums.value, sums.weight)
                )
                usual = (centre + value / weight)[agent]
                if one.measure.pool in ("count", "amount"):
                    variance = variance * usual
                elif one.measure.pool == "share":
                    variance = usual * (1 - usual) / spread.calls
            matrices = []
            for values in (centre + offset, variance, sums.calls):
                matrix = np.full(shape, np.nan)
                matrix[place] = values[dated]
                matrices.append(matrix)
            of[one.name] = (matrices[0], matrices[1])
            calls[one.name] = matrices[2]
        return History(agents, weeks, of, calls)

    def totals(self) -> tuple[list[Sums], list[str]]:
        """The sums of each measure over all weeks, and the agents they are of, the named ones."""
        rows, code, _ = self._rows("agent")
        named = [i for i, (agent, _) in enumerate(rows) if agent is not None]
        sums = [Sums(*(v[named] for v in s)) for s in self._sums(code, len(rows))]
        values = [
            s._replace(value=s.value + centre * s.weight)
            for s, centre in zip(sums, self._known_centres, strict=True)
        ]
        return values, [str(rows[i][0]) for i in named]

    def _compared(self, by: Literal["agent", "week"], team: str | None, min_calls: int) -> Compared:
        if min_calls < 1:
            raise ParameterError(f"min_calls is {min_calls}.", "Allowed: 1 or more.")
        rows, code, named = self._rows(by, team)
        teams = [named["team"][key] for key in rows]
        rivals: dict[Key, int] = {}
        number = [
            rivals.setdefault((t, k[1]), len(rivals)) for t, k in zip(teams, rows, strict=True)
        ]
        has_name = np.array([agent is not None for agent, _ in rows], dtype=bool)
        groups = Groups(np.array(number, dtype=np.intp), has_name)
        calls, talk_s = (_total(t[: len(code)], code, len(rows)) for t in self._totals)
        found = [
            estimate(m.measure, sums, c, groups, min_calls)
            for m, c, sums in zip(
                self.measures, self._known_centres, self._sums(code, len(rows)), strict=True
            )
        ]
        said = states(self.measures, found, min_calls)
        for state in said:
            state[~has_name] = None
        names = [m.name for m in self.measures]
        return Compared(
            [agent for agent, _ in rows],
            [week for _, week in rows],
            [named["agent_name"][key] for key in rows],
            teams,
            calls.astype(np.int64),
            talk_s,
            (calls >= min_calls) & has_name,
            dict(zip(names, found, strict=True)),
            dict(zip(names, said, strict=True)),
        )

    @property
    def _known_centres(self) -> list[float]:
        return [float(c) for c in np.nan_to_num(self._centres)]

    def _rows(
        self, by: Literal["agent", "week"], team: str | None = None
    ) -> tuple[list[Key], Codes, dict[str, dict[Key, str | None]]]:
        """The rows of a table in order, the row of each place (-1: none), newest name and team.

        Calls without an agent may be anybody's: their row has neither name nor team.
        """
        keys: dict[Key, list[int]] = {}
        for (agent, week), place in self._weeks.items():
            keys.setdefault((agent, week if by == "week" else None), []).append(place)
        named: dict[str, dict[Key, str | None]] = {
            name: {
                key: max((said[p] for p in places if p in said and key[0]), default=("", None))[1]
                for key, places in keys.items()
            }
            for name, said in self._named.items()
        }
        teams = named["team"]
        order = sorted(
            (key for key in keys if team is None or teams[key] == team),
            key=lambda k: _nulls_last(teams[k], *k),
        )
        code = np.full(len(self._weeks), -1, dtype=np.intp)
        for row, key in enumerate(order):
            code[keys[key]] = row
        return order, code, named

    def _by_week(self) -> Values:
        """The sums of each agent and week: weeks, measures, sums."""
        if self._settled is not None:
            return self._settled
        week = np.array(self._week_of_day, dtype=np.intp)
        dated = np.array([day is not None for _, day in self._days], dtype=np.float64)
        undated = np.array([week is None for _, week in self._weeks], dtype=bool)
        places = len(self._weeks)
        settled = np.empty((places, len(self.measures), len(Sums._fields)))
        for row, (days, weeks) in enumerate(zip(self._of_days, self._of_weeks, strict=True)):
            weight, value = days[:, : len(week)]
            calls, nonzero, square, cross, weight_square = weeks[:, :places]
            parts = (weight, value, dated * value**2, dated * weight * value, dated * weight**2)
            of_days = [np.bincount(week, p, places).astype(np.float64) for p in parts]
            # calls without a date are days of their own
            of_calls = (np.where(undated, s, 0.0) for s in (square, cross, weight_square))
            by_day = [d + c for d, c in zip(of_days[2:], of_calls, strict=True)]
            first = (calls, nonzero, of_days[0], of_days[1], square, cross, weight_square)
            settled[:, row] = np.stack((*first, *by_day), axis=1)
        return settled

    def _sums(self, code: Codes, size: int) -> Iterator[Sums]:
        """The sums of each measure in every row of a table."""
        kept = code >= 0
        row_of, settled = code[kept], self._by_week()
        if not kept.all():  # of many weeks a copy is large
            settled = settled[kept]
        for of_measure in range(len(self.measures)):
            sums = np.ascontiguousarray(settled[:, of_measure].T)
            yield Sums(*(np.bincount(row_of, s, size).astype(np.float64) for s in sums))


def iso_week(date: str | None) -> str | None:
    """``2026-W11`` (ISO 8601) of a date ``2026-03-15``; None where it is no date."""
    try:
        year, week, _ = datetime.date.fromisoformat(date or "").isocalendar()
    except ValueError:
        return None
    return f"{year}-W{week:02d}"


def _total(values: Values, code: Codes, size: int) -> Values:
    """Sum of the values of each row; those of code -1 are left out."""
    kept = code >= 0
    return np.bincount(code[kept], values[kept], size).astype(np.float64)


def _nulls_last(*keys: str | None) -> tuple[tuple[bool, str], ...]:
    return tuple((k is None, k or "") for k in keys)


def _grown(sums: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """Room for so many places along the last axis."""
    room = sums.shape[-1]
    if size <= room:
        return sums
    more = max(size, room + room // 2) - room
    return np.pad(sums, [(0, 0)] * (sums.ndim - 1) + [(0, more)])
