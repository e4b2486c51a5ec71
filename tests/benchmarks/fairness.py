"""Are the figures of agents fair? Populations with known truth, and how often we are right.

    python -m tests.benchmarks.fairness              all of it (`make fairness`, 2 minutes a core)
    python -m tests.benchmarks.fairness --quick      a tenth of the draws, nothing written

Every population is drawn from a seeded generator and goes through the public functions of
:mod:`pipeline.agents`. Writes docs/fairness.md and docs/fairness.json.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.agents import Compared, Pool
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
    row = Measure("x", "x", "x", "number", "call", "", "", "", "", pool=pool, over=over, per_s=per_s,
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
    rng: Rng, population: Population, calls: int | np.ndarray, draws: int, agents: int = AGENTS
) -> tuple[float, float]:
    """Share of agents whose truth lies in the interval, plain and shrunken."""
    inside = []
    for _ in range(max(1, round(draws / agents))):
        each = np.full(agents, calls) if isinstance(calls, int) else rng.choice(calls, agents)
        found, truth = pooled(rng, population, each)
        e = found.of["x"]
        eps = 1e-9
        inside.append([
            (e.low - eps <= truth) & (truth <= e.high + eps),
            (e.shrunk_low - eps <= truth) & (truth <= e.shrunk_high + eps),
        ])  # fmt: skip
    plain, shrunk = np.concatenate(inside, axis=1)
    return float(plain.mean()), float(shrunk.mean())
