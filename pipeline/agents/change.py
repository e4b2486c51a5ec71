"""Did it change? Weekly means watched by EWMA, and the check of a goal.

Watching
    An exponentially weighted moving average of the weekly means (Roberts 1959; lambda 0.2) signals
    at ``LIMIT`` standard errors from the baseline. These know the calls of each week, the spread of
    calls and days, the variance between weeks and the error of the baseline. The baseline is the
    first 12 weeks and 60 calls; a later week joins it when ``SETTLED_WEEKS`` have passed without a
    signal, never while one stands. The variance between weeks is the agent's own joined with that
    of all agents. A change is dated to the most likely week (Samuel, Pignatiello & Calvin 1998), and
    told of the week in which it stands, if it does so among all measures (Benjamini & Hochberg).
Goals
    Calls since the goal are compared with the *shrunken* value at its start: whoever was picked for
    being worst is better next time without having changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.agents.comparison import discoveries
from pipeline.agents.estimates import Z95, Codes, Values
from pipeline.agents.pool import Compared, History

LAMBDA, LIMIT = 0.2, 2.87
BASELINE_WEEKS, BASELINE_CALLS, SETTLED_WEEKS = 12, 60, 6
POOLED_WEEKS = 60.0  # weight of the variance between weeks of all agents, in weeks of one

GoalState = Literal["goal_met", "some", "nothing", "opposite", "open"]

# fmt: off
GOAL_WORDS: Mapping[GoalState, tuple[str, str]] = {
    "goal_met": ("见效", "it took"),
    "some": ("有变化，小于目标", "some change, less than aimed at"),
    "nothing": ("没有变化", "no change"),
    "opposite": ("变化与目标相反", "a change, but the other way"),
    "open": ("还看不出", "cannot be told yet"),
}
# fmt: on


class Change(NamedTuple):
    """What each week knew of a change in one measure; arrays of shape (agents, weeks).

    ``since`` is the number of the week from which on it differs, -1 where no change is told;
    ``size`` the mean since then less the baseline, with its 95 % interval. ``score`` is how many
    standard errors the average is off the baseline, nan in weeks of the baseline.
    """

    since: NDArray[np.intp]
    size: Values
    low: Values
    high: Values
    score: Values


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes of every agent; ``of`` is by name of the measure."""

    agent_id: list[str | None]
    weeks: list[str]
    of: Mapping[str, Change]

    def at(self, agents: Sequence[str | None], weeks: Sequence[str | None]) -> tuple[Codes, Codes]:
        """Row and column of each agent and week; a week that is None is the newest.

        The column is -1 where there is none, such as for calls without a date.
        """
        rows = {agent: i for i, agent in enumerate(self.agent_id)}
        columns = {week: i for i, week in enumerate(self.weeks)}
        newest = len(self.weeks) - 1
        column = [newest if week is None else columns.get(week, -1) for week in weeks]
        return np.array([rows[a] for a in agents], np.intp), np.array(column, np.intp)

    def now(self, agent_id: str) -> dict[str, tuple[str, float, float, float]]:
        """Changes that stand in the newest week: by measure the week since, size, low, high."""
        row = self.agent_id.index(agent_id)
        found = {}
        for name, c in self.of.items():
            if self.weeks and (since := int(c.since[row, -1])) >= 0:
                size, low, high = (float(v[row, -1]) for v in (c.size, c.low, c.high))
                found[name] = (self.weeks[since], size, low, high)
        return found


def changes(history: History) -> Changes:
    """Watch every measure of every agent, week by week.

    Parameters
    ----------
    history : History
        As given by :meth:`pipeline.agents.Pool.history`.
    """
    found = {
        name: watch(mean, variance, history.calls[name])
        for name, (mean, variance) in history.of.items()
    }
    if found:
        scores = np.array([np.abs(c.score).ravel() for c in found.values()])
        for c, told in zip(found.values(), discoveries(scores), strict=True):
            silent = ~told.reshape(c.since.shape)
            c.since[silent] = -1
            for values in (c.size, c.low, c.high):
                values[silent] = np.nan
    return Changes(history.agent_id, history.weeks, found)


def watch(mean: Values, variance: Values, calls: Values) -> Change:
    """Watch the weekly means of agents.

    Parameters
    ----------
    mean, variance, calls : ndarray of shape (agents, weeks)
        Weekly mean, the variance of it that the calls explain, calls; nan where there were none.
    """
    known = np.isfinite(mean) & np.isfinite(variance) & (variance > 0)
    calls = np.where(known, calls, 0.0)
    weeks_before: Values = np.cumsum(known, 1) - known
    calls_before = np.cumsum(calls, 1) - calls
    first = known & ((weeks_before < BASELINE_WEEKS) | (calls_before < BASELINE_CALLS))
    between = _between_weeks(mean, variance, first)
    weight = np.where(known, 1 / (np.where(known, variance, 1.0) + between[:, None]), 0.0)
    value = np.where(known, mean, 0.0)
    rank = np.cumsum(known, 1)
    shape = mean.shape
    since, size = np.full(shape, -1, dtype=np.intp), np.full(shape, np.nan)
    half, score = np.full(shape, np.nan), np.full(shape, np.nan)
    base, told = first.copy(), np.zeros(len(mean), dtype=bool)
    for week in range(shape[1]):
        settled = slice(0, max(0, week - SETTLED_WEEKS + 1))
        base[:, settled] |= known[:, settled] & ~told[:, None]
        seen = slice(0, week + 1)
        w, x, of_base = weight[:, seen], value[:, seen], base[:, seen]
        with np.errstate(divide="ignore", invalid="ignore"):
            error = 1 / (w * of_base).sum(1)
            baseline = (w * x * of_base).sum(1) * error
            off = x - baseline[:, None]
            run = known[:, seen] & ~of_base
            age: Values = rank[:, week, None] - rank[:, seen]
            share = np.where(run, LAMBDA * (1 - LAMBDA) ** age, 0.0)
            spread = np.where(run, share**2 / w, 0.0).sum(1) + share.sum(1) ** 2 * error
            z = (share * np.where(run, off, 0.0)).sum(1) / np.sqrt(spread)
            told = np.where(run[:, -1], np.abs(z) > LIMIT, told)
            now = told & run.any(1)  # a week without calls changes nothing
            score[:, week] = np.where(run[:, -1], z, np.nan)
            later = np.where(run, w, 0.0)[:, ::-1].cumsum(1)[:, ::-1]
            sums = np.where(run, w * off, 0.0)[:, ::-1].cumsum(1)[:, ::-1]
            likely = np.where(run, np.sign(z)[:, None] * sums / np.sqrt(later), -np.inf)
            start = np.argmax(likely, 1)
            rows = np.arange(len(mean))
            since[:, week] = np.where(now, start, -1)
            size[:, week] = np.where(now, (sums / later)[rows, start], np.nan)
            half[:, week] = np.where(now, Z95 * np.sqrt(1 / later[rows, start] + error), np.nan)
    return Change(since, size, size - half, size + half, score)


def _between_weeks(mean: Values, variance: Values, first: NDArray[np.bool_]) -> Values:
    """Variance between the weeks of the baseline beyond what calls explain (DerSimonian & Laird)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = np.where(first, 1 / variance, 0.0)
        total, square = weight.sum(1), (weight**2).sum(1)
        centre = (weight * np.where(first, mean, 0.0)).sum(1) / total
        scatter = (weight * np.where(first, mean - centre[:, None], 0.0) ** 2).sum(1)
        freedom = np.maximum(first.sum(1) - 1, 0)
        own = (scatter - freedom) / (total - square / total)
    own = np.where((freedom > 0) & np.isfinite(own), own, 0.0)
    everybody = (freedom * own).sum() - freedom * own
    others = np.maximum(freedom.sum() - freedom, 1)
    prior = np.minimum(POOLED_WEEKS, freedom.sum() - freedom)
    joined = (freedom * own + prior * everybody / others) / np.maximum(freedom + prior, 1)
    return np.asarray(np.maximum(joined, 0.0))


class Level(NamedTuple):
    """A value with its 95 % interval, and the calls it rests on."""

    value: float
    low: float
    high: float
    calls: int


class GoalCheck(NamedTuple):
    """What became of a goal.

    ``difference`` is after less before, with its 95 % interval; ``team`` that of the others over
    the same weeks, None where there are none. ``more_calls``: about so many more until any
    difference of the size aimed at can be told; None when that is not a matter of calls.
    """

    state: GoalState
    difference: Level
    team: Level | None
    more_calls: int | None

    def words(self) -> tuple[str, str]:
        """The state in Chinese and English."""
        zh, en = GOAL_WORDS[self.state]
        if self.state == "open" and self.more_calls:
            zh += f"，约需再 {self.more_calls} 通"
            en += f"; about {self.more_calls} more calls"
        return zh, en


def levels(compared: Compared, agent_id: str, measure: str) -> tuple[Level, Level, Level | None]:
    """The shrunken value of an agent, its plain value, and that of the others of the team.

    The first at the start of a goal and the second of the calls since are what
    :func:`check_goal` compares.
    """
    row = compared.agent_id.index(agent_id)
    e = compared.of[measure]
    calls = int(e.calls[row])
    shrunk = Level(float(e.shrunk[row]), float(e.shrunk_low[row]), float(e.shrunk_high[row]), calls)
    plain = Level(float(e.mean[row]), float(e.low[row]), float(e.high[row]), calls)
    of_team = [i for i, team in enumerate(compared.team) if team == compared.team[row] and i != row]
    others = [float(v[row]) for v in (e.others, e.others_low, e.others_high)]
    team = Level(others[0], others[1], others[2], int(e.calls[of_team].sum()))
    return shrunk, plain, team if np.isfinite(team.value) else None


def check_goal(
    before: Level,
    after: Level,
    aim: float,
    team_before: Level | None = None,
    team_after: Level | None = None,
) -> GoalCheck:
    """Compare the calls since a goal with the shrunken value at its start.

    Parameters
    ----------
    before : Level
        The *shrunken* value when the goal was set.
    after : Level
        The plain value of the calls since.
    aim : float
        By how much it was to change; negative for less.
    team_before, team_after : Level, optional
        The others of the team over the same weeks.
    """
    difference = _less(after, before)
    team = _less(team_after, team_before) if team_before and team_after else None
    sign, size = np.sign(aim), abs(aim)
    low, high = sorted((sign * difference.low, sign * difference.high))
    state: GoalState = "open"
    if low > size:
        state = "goal_met"
    elif low > 0:
        state = "some"
    elif low > -size and high < size:
        state = "nothing"
    elif high < 0:
        state = "opposite"
    of_before, of_after = ((level.high - level.low) / 2 for level in (before, after))
    more = None
    if state == "open" and of_before < size and after.calls:
        needed = after.calls * of_after**2 / (size**2 - of_before**2)
        more = max(1, int(np.ceil(needed - after.calls)))
    return GoalCheck(state, difference, team, more)


def _less(one: Level, other: Level) -> Level:
    """The difference of two values; their limits are joined by MOVER (Zou & Donner 2008)."""
    value = one.value - other.value
    low = value - float(np.hypot(one.value - one.low, other.high - other.value))
    high = value + float(np.hypot(one.high - one.value, other.value - other.low))
    return Level(value, low, high, one.calls)
