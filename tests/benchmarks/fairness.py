"""Are the figures of agents fair? Populations with known truth, and how often we are right.

    python -m tests.benchmarks.fairness              all of it (`make fairness`, 2 minutes a core)
    python -m tests.benchmarks.fairness --quick      a tenth of the draws, nothing written

Every population is drawn from a seeded generator and goes through the public functions of
:mod:`pipeline.agents`. Writes docs/fairness.md and docs/fairness.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.agents import CaseMix, Compared, Pool, changes, check_goal, levels
from pipeline.measures import Measure, Pooled, pass_rate

SIZES = (3, 10, 30, 100, 300)
AGENTS = 40
Rng = np.random.Generator
Columns = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Population:
    """One way in which a measure varies. ``draw(rng, agent)`` gives columns and each agent's truth.

    ``agent`` is the number of the agent of every call; ``per_day`` > 0 deals the calls out to days
    of so many.
    """

    name: str
    measure: Pooled
    draw: Callable[[Rng, np.ndarray], tuple[Columns, np.ndarray]]
    per_day: int = 0


def _level(rng: Rng, agent: np.ndarray) -> tuple[Columns, np.ndarray]:
    truth = rng.normal(-26, 2, agent.max() + 1)
    return {"x": truth[agent] + 3 * rng.standard_normal(len(agent))}, truth


def _latency(rng: Rng, agent: np.ndarray) -> tuple[Columns, np.ndarray]:
    truth = 0.8 * np.exp(0.2 * rng.standard_normal(agent.max() + 1))
    spread = 0.5
    x = truth[agent] * np.exp(spread * rng.standard_normal(len(agent)) - spread**2 / 2)
    return {"x": x}, truth


def _score(rng: Rng, agent: np.ndarray) -> tuple[Columns, np.ndarray]:
    truth = np.clip(rng.normal(84, 5, agent.max() + 1), 60, 97)
    strength = 12.0
    p = truth[agent] / 100
    return {"x": 100 * rng.beta(strength * p, strength * (1 - p))}, truth


def _holds(rng: Rng, agent: np.ndarray) -> tuple[Columns, np.ndarray]:
    truth = rng.gamma(8, 0.5 / 8, agent.max() + 1)
    return {"x": rng.poisson(truth[agent] * rng.gamma(2, 0.5, len(agent))).astype(float)}, truth


def _speaking_rate(rng: Rng, agent: np.ndarray) -> tuple[Columns, np.ndarray]:
    truth = rng.normal(230, 15, agent.max() + 1)
    seconds = rng.gamma(1.2, 60, len(agent)) + 5
    noise = 30 * rng.standard_normal(len(agent)) / np.sqrt(seconds / 60)
    return {"x": np.maximum(truth[agent] + noise, 1), "w": seconds}, truth


def _interruption_rate(rng: Rng, agent: np.ndarray) -> tuple[Columns, np.ndarray]:
    truth = rng.gamma(6, 3 / 6, agent.max() + 1)  # per 10 minutes
    seconds = rng.gamma(1.5, 80, len(agent)) + 30
    shape = rng.uniform(0.6, 3, agent.max() + 1)[
        agent
    ]  # agents differ in how uneven their calls are
    uneven = rng.gamma(shape, 1 / shape)
    return {
        "x": rng.poisson(truth[agent] * seconds / 600 * uneven).astype(float),
        "w": seconds,
    }, truth


def _passed(rng: Rng, agent: np.ndarray) -> tuple[Columns, np.ndarray]:
    share = rng.beta(60, 8, agent.max() + 1)
    return {"x": rng.binomial(20, share[agent]).astype(float)}, 20 * share


def _item(p: float) -> Callable[[Rng, np.ndarray], tuple[Columns, np.ndarray]]:
    def draw(rng: Rng, agent: np.ndarray) -> tuple[Columns, np.ndarray]:
        truth = np.full(agent.max() + 1, p)
        return {"x": (rng.random(len(agent)) < p).astype(float)}, truth

    return draw


def _items_that_differ(rng: Rng, agent: np.ndarray) -> tuple[Columns, np.ndarray]:
    truth = rng.beta(13.5, 1.5, agent.max() + 1)
    return {"x": (rng.random(len(agent)) < truth[agent]).astype(float)}, truth


def _hold_s(p: float) -> Callable[[Rng, np.ndarray], tuple[Columns, np.ndarray]]:
    def draw(rng: Rng, agent: np.ndarray) -> tuple[Columns, np.ndarray]:
        agents = agent.max() + 1
        share = p * rng.uniform(0.7, 1.3, agents)
        size = 40 * np.exp(0.2 * rng.standard_normal(agents))
        spread = 0.7
        held = rng.random(len(agent)) < share[agent]
        seconds = size[agent] * np.exp(spread * rng.standard_normal(len(agent)) - spread**2 / 2)
        return {"x": np.where(held, seconds, 0.0)}, share * size

    return draw


def _by_day(rng: Rng, agent: np.ndarray) -> tuple[Columns, np.ndarray]:
    """Scores of ten calls a day; a fifth of the variance is shared by the calls of a day."""
    truth = rng.normal(80, 4, agent.max() + 1)
    day = days_of(agent, 10)
    number = np.unique(agent * 1000 + day, return_inverse=True)[1]
    shared = rng.standard_normal(number.max() + 1)[number]
    return {"x": truth[agent] + 10 * (np.sqrt(0.2) * shared + np.sqrt(0.8)
            * rng.standard_normal(len(agent)))}, truth  # fmt: skip


def _items_by_day(rng: Rng, agent: np.ndarray) -> tuple[Columns, np.ndarray]:
    """An item passed in 0.8 of calls, by days that differ: intraclass correlation 0.2."""
    truth = np.full(agent.max() + 1, 0.8)
    number = np.unique(agent * 1000 + days_of(agent, 10), return_inverse=True)[1]
    p = rng.beta(0.8 * 4, 0.2 * 4, number.max() + 1)[number]
    return {"x": (rng.random(len(agent)) < p).astype(float)}, truth


def days_of(agent: np.ndarray, per_day: int) -> np.ndarray:
    """Day of each call, of agents whose calls stand together."""
    starts = np.flatnonzero(np.diff(agent, prepend=-1))
    nth = np.arange(len(agent)) - np.repeat(starts, np.diff(starts, append=len(agent)))
    return nth // per_day


def _x(pool: str, over: tuple[str, ...] = (), per_s: float = 1.0, **limits: float) -> Pooled:
    row = Measure("x", "x", "x", "number", "call", "", "", "", pool=pool, over=over, per_s=per_s,
                  delta=limits.pop("delta", 1.0), **limits)  # fmt: skip
    return Pooled("x", row, "x", over, "x", "x")


POPULATIONS = (
    Population("level", _x("mean"), _level),
    Population("latency, skewed", _x("mean"), _latency),
    Population("score, 0-100", _x("mean", low=0, high=100), _score),
    Population("holds", _x("count"), _holds),
    Population("speaking rate, sum over sum", _x("ratio", ("w",), low=0), _speaking_rate),
    Population("interruption rate", _x("count", ("w",), per_s=600), _interruption_rate),
    Population("compliance_passed", _x("count"), _passed),
    Population("item pass rate, agents differ (mean 0.9)", pass_rate("x"), _items_that_differ),
    Population("item pass rate, all 0.95", pass_rate("x"), _item(0.95)),
    Population("item pass rate, all 0.98", pass_rate("x"), _item(0.98)),
    Population("hold_s, 25 % of calls", _x("amount"), _hold_s(0.25)),
    Population("hold_s, 5 % of calls", _x("amount"), _hold_s(0.05)),
    Population("score by day, ICC 0.2", _x("mean"), _by_day, per_day=10),
    Population("item by day, ICC 0.2", pass_rate("x"), _items_by_day, per_day=10),
)


def pooled(
    rng: Rng, population: Population, calls: np.ndarray, teams: int = 1, per_day: int | None = None
) -> tuple[Compared, np.ndarray]:
    """Estimates of agents with so many calls each, and their truth in the same order."""
    agent = np.repeat(np.arange(len(calls)), calls)
    columns, truth = population.draw(rng, agent)
    pool = Pool([population.measure])
    names = [f"a{i:05d}" for i in range(len(calls))]
    data = dict(columns) | {
        "agent_id": [names[a] for a in agent],
        "team": [f"t{a % teams:03d}" for a in agent],
    }
    each = population.per_day if per_day is None else per_day
    if each:
        first = np.datetime64("2026-01-05")
        days = np.unique(days_of(agent, each), return_inverse=True)
        dates = (first + days[0]).astype(str)
        data["started_at"] = [dates[d] for d in days[1]]
    pool.add(data)
    found = pool.agents()
    order = [int(str(a)[1:]) for a in found.agent_id]
    return found, truth[order]


def coverage(
    rng: Rng, population: Population, calls: int, draws: int, agents: int = AGENTS
) -> tuple[float, float]:
    """Share of agents whose truth lies in the interval, plain and shrunken.

    Where calls stand by day, half of the agents have so many calls and half have 60, so that it
    can be known what a day does: from a single day of each agent nobody can.
    """
    inside = []
    for _ in range(max(1, round(draws / agents))):
        each = np.full(agents, calls)
        if population.per_day:
            each = np.append(each, np.full(agents, 60))
        found, truth = pooled(rng, population, each)
        e = found.of["x"]
        counted = e.calls == calls
        plain = (e.low - ROUNDING <= truth) & (truth <= e.high + ROUNDING)
        shrunk = (e.shrunk_low - ROUNDING <= truth) & (truth <= e.shrunk_high + ROUNDING)
        inside.append([plain[counted], shrunk[counted]])
    plain, shrunk = np.concatenate(inside, axis=1)
    return float(plain.mean()), float(shrunk.mean())


def alone(rng: Rng, calls: int, draws: int) -> float:
    """Coverage of the level of an agent with no others to learn the spread from."""
    inside = [coverage(rng, POPULATIONS[0], calls, 1, agents=1)[0] for _ in range(draws)]
    return float(np.mean(inside))


def equal_teams(rng: Rng, calls: Sequence[int], teams: int, measures: int = 12) -> float:
    """Share of agents who are told to be above or below in anything, where all are equal."""
    rows = [_x("mean", delta=1.0)._replace(name=f"m{i}", source=f"m{i}") for i in range(measures)]
    told, agents = 0, 0
    for _ in range(teams):
        agent = np.repeat(np.arange(len(calls)), calls)
        pool = Pool(rows)
        pool.add(
            {m.name: 10 * rng.standard_normal(len(agent)) for m in rows}
            | {"agent_id": [f"a{a:03d}" for a in agent]}
        )
        states = pool.agents().state
        any_told = np.any([np.isin(s, ("above", "below")) for s in states.values()], axis=0)
        told, agents = told + int(any_told.sum()), agents + len(calls)
    return told / agents


def different(rng: Rng, distance: float, calls: int, teams: int) -> float:
    """How often an agent who is so many spreads of a call off a team of ten is told apart."""
    told = 0
    for _ in range(teams):
        truth = np.zeros(10)
        truth[0] = 10 * distance
        pool = Pool([_x("mean", delta=2.0)])
        agent = np.repeat(np.arange(10), calls)
        x = truth[agent] + 10 * rng.standard_normal(len(agent))
        pool.add({"agent_id": [f"a{a}" for a in agent], "x": x})
        told += pool.agents().state["x"][0] == "above"
    return told / teams


WEEKS, A_WEEK = 26, 15


def weekly(
    rng: Rng, agents: int, *, weeks_vary: float = 0.0, shift: float = 0.0, at: int = WEEKS
) -> Any:
    """Changes told of agents with 15 calls a week of spread 10, over 26 weeks."""
    shape = agents, WEEKS, A_WEEK
    agent, week, _ = (i.ravel() for i in np.indices(shape))
    x = rng.normal(60, 5, agents)[agent] + 10 * rng.standard_normal(len(agent))
    x += 10 * weeks_vary * rng.standard_normal((agents, WEEKS))[agent, week]
    x += 10 * shift * (week >= at)
    day = week * 7 + rng.integers(0, 5, len(agent))
    dates = (np.datetime64("2026-01-05") + np.arange(WEEKS * 7)).astype(str)
    pool = Pool([_x("mean")])
    names = [f"a{i:05d}" for i in range(agents)]
    pool.add({"agent_id": [names[a] for a in agent], "started_at": [dates[d] for d in day], "x": x})
    return changes(pool.history()).of["x"]


def false_alarms(rng: Rng, agents: int, weeks_vary: float) -> float:
    """Share of stable agents of whom a change is told at least once in 26 weeks."""
    return float((weekly(rng, agents, weeks_vary=weeks_vary).since >= 0).any(1).mean())


def found_in_time(rng: Rng, agents: int, weeks_vary: float, at: int, weeks: int = 6) -> float:
    """Share of shifts by half a spread of calls that are told within so many weeks."""
    found = weekly(rng, agents, weeks_vary=weeks_vary, shift=0.5, at=at)
    told = (found.since >= 0) & (found.score > 0)
    return float(told[:, at : at + weeks].any(1).mean())


def worst_of_forty(rng: Rng, icc: float, calls: int, teams: int) -> tuple[float, float, float]:
    """The worst of 40, nothing changed: called improved by us, by plain before and after, and the
    apparent gain of the latter in spreads of a call."""
    ours, plain, gain = 0, 0, 0.0
    names = [f"a{i:02d}" for i in np.repeat(np.arange(AGENTS), calls)]
    for _ in range(teams):
        truth = np.sqrt(icc) * rng.standard_normal(AGENTS).repeat(calls)
        periods = []
        for _ in range(2):
            pool = Pool([_x("mean", delta=0.2)])
            x = truth + np.sqrt(1 - icc) * rng.standard_normal(len(truth))
            pool.add({"agent_id": names, "x": x})
            periods.append(pool.agents())
        worst = periods[0].agent_id[int(np.argmin(periods[0].of["x"].mean))]
        before, plain_before, _ = levels(periods[0], worst, "x")
        _, after, _ = levels(periods[1], worst, "x")
        ours += check_goal(before, after, 0.4).state in ("goal_met", "some")
        check = check_goal(plain_before, after, 0.4)
        plain += check.state in ("goal_met", "some")
        gain += check.difference.value
    return ours / teams, plain / teams, gain / teams


def complaints(rng: Rng, adjusted: bool, teams: int) -> tuple[float, float, float]:
    """Five of twenty agents take the complaints, which cost 12 points and bring 2.5 times the holds.

    Returns how much worse they look than they are, in points and as a factor of holds, and the
    share of them told to be clearly below in the score.
    """
    agents, calls = 20, 100
    measures = [_x("mean", delta=4.0)._replace(name="score", source="score"),
                _x("count")._replace(name="holds", source="holds")]  # fmt: skip
    agent = np.repeat(np.arange(agents), calls)
    names = [f"a{a:02d}" for a in agent]
    points, factor, below = 0.0, 0.0, 0.0
    for _ in range(teams):
        truth, usual = rng.normal(80, 3, agents), rng.gamma(10, 0.05, agents)
        hard = rng.random(len(agent)) < np.where(agent < 5, 0.8, 0.1)
        data = {
            "agent_id": names,
            "queue": ["complaints" if h else "usual" for h in hard],
            "score": truth[agent] - 12 * hard + 10 * rng.standard_normal(len(agent)),
            "holds": rng.poisson(usual[agent] * np.where(hard, 2.5, 1.0)).astype(float),
        }
        mix = CaseMix(("queue",), measures)
        mix.add(data)
        pool = Pool(measures, mix.fit() if adjusted else None)
        pool.add(data)
        found = pool.agents()
        off = found.of["score"].mean - truth
        times = np.log(np.maximum(found.of["holds"].mean, 1e-3) / usual)
        points += (off[:5].mean() - off[5:].mean()) / teams
        factor += (times[:5].mean() - times[5:].mean()) / teams
        below += float((found.state["score"][:5] == "below").mean()) / teams
    return points, float(np.exp(factor)), below


def measure(draws: int) -> dict[str, Any]:
    """All figures, from so many agent draws a cell."""

    def rng(*parts: int) -> Rng:
        return np.random.default_rng([2026, *parts])

    cells = {
        p.name: [coverage(rng(0, i, n), p, n, draws) for n in SIZES]
        for i, p in enumerate(POPULATIONS)
    }
    teams = max(20, draws // 20)
    sizes = {"8 agents, 10 calls": [10] * 8, "8 agents, 100 calls": [100] * 8,
             "2 of 300 calls, 3 of 1": [300, 300, 1, 1, 1], "2 agents, 100 calls": [100, 100],
             "30 agents, 3 to 300 calls": list(np.geomspace(3, 300, 30).astype(int))}  # fmt: skip
    return {
        "draws": draws,
        "coverage": cells,
        "alone": {n: alone(rng(1, n), n, draws) for n in (2, 3, 10, 30)},
        "equal": {k: equal_teams(rng(2, i), v, teams) for i, (k, v) in enumerate(sizes.items())},
        "different": {
            f"{d} spreads, {n} calls": different(rng(3, n, int(10 * d)), d, n, teams)
            for d in (0.5, 1.0)
            for n in (10, 30, 100)
        },
        "false_alarms": {v: false_alarms(rng(4, int(10 * v)), draws, v) for v in (0.0, 0.2)},
        "found": {
            f"{v}, week {at + 1}": found_in_time(rng(5, at, int(10 * v)), draws // 2, v, at)
            for v in (0.0, 0.2)
            for at in (13, 16, 19)
        },
        "worst": {
            icc: worst_of_forty(rng(6, int(100 * icc)), icc, 20, max(20, draws // 5))
            for icc in (0.05, 0.1, 0.2)
        },
        "complaints": {
            name: complaints(rng(7), adjusted, max(10, draws // 40))
            for name, adjusted in (("not adjusted", False), ("adjusted for queue", True))
        },
    }


def page(figures: Mapping[str, Any]) -> str:
    """docs/fairness.md."""
    return "\n".join(_page(figures)) + "\n"


def _page(figures: Mapping[str, Any]) -> Iterator[str]:
    yield HEAD.format(draws=figures["draws"])
    yield from _table(
        ["measure", *(f"n = {n}" for n in SIZES)],
        [[k, *(f"{100 * p:.1f}" for p, _ in row)] for k, row in figures["coverage"].items()],
    )
    yield COVERAGE_NOTES
    yield from _table(
        ["shrunken value", *(f"n = {n}" for n in SIZES)],
        [[k, *(f"{100 * s:.1f}" for _, s in row)] for k, row in figures["coverage"].items()],
    )
    yield "\nAn agent alone, with no others to learn the spread of calls from (level):\n"
    yield from _table(
        [f"n = {n}" for n in figures["alone"]],
        [[f"{100 * v:.1f}" for v in figures["alone"].values()]],
    )
    yield STATES
    yield from _table(
        ["equal teams, 12 measures", "agents told apart in anything"],
        [[k, f"{100 * v:.1f} %"] for k, v in figures["equal"].items()],
    )
    yield ""
    yield from _table(
        ["one of ten differs by, calls each", "told"],
        [[k, f"{100 * v:.0f} %"] for k, v in figures["different"].items()],
    )
    yield CHANGES
    yield from _table(
        ["weeks vary by (spreads of a call)", "stable agents flagged in 26 weeks"],
        [[k, f"{100 * v:.1f} %"] for k, v in figures["false_alarms"].items()],
    )
    yield ""
    yield from _table(
        ["weeks vary by, shift in", "shift of 0.5 spreads told within 6 weeks"],
        [[k, f"{100 * v:.0f} %"] for k, v in figures["found"].items()],
    )
    yield GOALS
    yield from _table(
        ["variance between agents, share", 'called "improved"', "by plain before and after",
         "apparent gain of the latter, spreads of a call"],
        [[k, f"{100 * a:.1f} %", f"{100 * b:.1f} %", f"{c:.2f}"]
         for k, (a, b, c) in figures["worst"].items()],
    )  # fmt: skip
    yield CASE_MIX
    yield from _table(
        ["", "score, points", "holds, factor", "told below the team in the score"],
        [[k, f"{a:.1f}", f"{b:.2f}", f"{100 * c:.0f} %"]
         for k, (a, b, c) in figures["complaints"].items()],
    )  # fmt: skip


def _table(header: Sequence[object], rows: Sequence[Sequence[object]]) -> Iterator[str]:
    yield "| " + " | ".join(str(h) for h in header) + " |"
    yield "|---" + "|---:" * (len(header) - 1) + "|"
    for row in rows:
        yield "| " + " | ".join(str(c) for c in row) + " |"


HEAD = """# Are the figures fair to people?

Measured by `make fairness` (seeded simulation, {draws} agent draws a cell; figures in
[fairness.json](fairness.json)). Populations with known truth go through the same functions as real calls; a
smaller run of the same is part of the tests. What the figures mean is said in `pipeline/agents`.

## Intervals

How often the 95 % interval of an agent with n calls holds the truth, in per cent. Forty agents a
population, who differ.
"""
COVERAGE_NOTES = """
- **Shares of calls that are all alike** (items at 0.95 and 0.98) can only be met in jumps: of 10 calls
  at 0.95 an interval covers 91.4 % or 98.9 % of what can happen, nothing between. Ours takes the
  upper step. Where agents differ, as they do, the jumps even out (first row of items).
- **Seconds on hold** in 5 calls of 100 are two events in 30 calls: the same jumps, smaller.
- **By day**: ten calls a day that share a fifth of their variance; the other half of the agents has six
  days. Where *every* agent has a single day, nobody can tell a day from an agent: intervals then
  speak of that day alone.
- With no spread at all (all calls equal, nobody else) there is no interval. Nor is there one of events and
  seconds whose spread rests on two calls with any: what it gave (0 to 885 cases of dead air in ten
  minutes) cannot be.
"""
STATES = """
## Words beside the team

`above` and `below` need a difference beyond the least that matters (here a tenth of a spread of
calls; a fifth in the second table), by 95 % and by Benjamini-Hochberg among the agent's measures.
"""
CHANGES = """
## Change

Fifteen calls a week; the baseline is the first 12 weeks.
"""
GOALS = """
## Goals

The worst of 40 agents by 20 calls, then 20 more calls; nothing has changed.
"""
CASE_MIX = """
## Case mix

Five of twenty agents, as good as the others, take 80 % complaints where the others take 10 %; a complaint
costs 12 points and brings 2.5 times the holds. How much worse they look than they are, over 100 calls each:
"""
ROUNDING = 1e-9
ROOT = Path(__file__).resolve().parents[2]
DRAWS, QUICK = 4000, 400


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true")
    begun, quick = time.monotonic(), parser.parse_args().quick
    figures = measure(QUICK if quick else DRAWS)
    text = page(figures)
    if quick:
        print(text)
    else:
        (ROOT / "docs/fairness.md").write_text(text, "utf-8")
        data = json.dumps(figures, indent=1)
        (ROOT / "docs/fairness.json").write_text(data + "\n", "utf-8")
    print(f"{time.monotonic() - begun:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
