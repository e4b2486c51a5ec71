"""Case mix: what queues, directions and lengths of calls do to a measure, taken out of a comparison.

An agent who takes the complaints is not worse for it. The effect of each kind of call is estimated
*within* agents (two-way model of agents and kinds: least squares for means, shares and ratios, Poisson
for counts and amounts), so that kinds which good agents happen to take do not look easy. It is taken out
of each call before anything is pooled: a difference from means, a factor from the exposure of counts.

An adjusted value says what the agent's calls would be like with everybody's mix. It is off unless the
settings ask for it (``agents.adjust``), and what it was adjusted for is told beside it. Adjust by length
only where the customer decides it: an agent who talks long makes calls long.

References
----------
Breslow & Day 1975, indirect standardisation by a multiplicative model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from pipeline.agents.estimates import Codes, Values
from pipeline.agents.pool import Pool
from pipeline.measures import POOLED, Pooled

By = Literal["queue", "direction", "length"]
LENGTHS_S = (120.0, 300.0, 600.0)  # bounds of the lengths of calls that are taken as alike
MIN_KIND_CALLS = 30  # kinds with fewer are left as they are
ROUNDS = 200  # of the fit of counts; each is a step of iterative proportional fitting

Kind = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What each kind of call does to each measure; given to a :class:`Pool`.

    ``less`` is taken from values, ``times`` multiplies exposures: arrays of shape (measures, kinds).
    """

    by: tuple[By, ...]
    kinds: Mapping[Kind, int]
    less: Values
    times: Values

    @property
    def name(self) -> str:
        """What is adjusted for, in words."""
        return ", ".join(self.by)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of calls that tell the kind."""
        return columns_of(self.by)

    def codes(self, calls: Mapping[str, Any], rows: int) -> Codes:
        """Kind of each call, -1 where it was not met when the effects were estimated."""
        found = [self.kinds.get(k, -1) for k in kinds_of(self.by, calls, rows)]
        return np.array(found, dtype=np.intp)


class CaseMix:
    """Learns what kinds of calls do to measures.

    Parameters
    ----------
    by : sequence of By
    measures : sequence of Pooled
    """

    def __init__(self, by: Sequence[By], measures: Sequence[Pooled] = POOLED) -> None:
        self.by = tuple(by)
        self._pool = Pool(measures)
        self._pairs: dict[tuple[str, Kind], int] = {}

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of calls that are read."""
        return tuple(dict.fromkeys((*self._pool.columns, *columns_of(self.by))))

    def add(self, calls: Mapping[str, Any]) -> None:
        """Add calls, as to a :class:`Pool`."""
        kinds = kinds_of(self.by, calls, len(calls["agent_id"]))
        pairs = [
            None if agent is None else str(self._pairs.setdefault((agent, k), len(self._pairs)))
            for agent, k in zip(calls["agent_id"], kinds, strict=True)
        ]
        left_out = ("started_at", "team", "agent_name")
        rest = {name: values for name, values in calls.items() if name not in left_out}
        self._pool.add(rest | {"agent_id": pairs})

    def fit(self) -> Adjustment:
        """Estimate the effect of every kind on every measure."""
        kinds: dict[Kind, int] = {}
        agents: dict[str, int] = {}
        known = list(self._pairs)
        sums, pairs = self._pool.totals()
        rows = [known[int(p)] for p in pairs]
        agent = np.array([agents.setdefault(a, len(agents)) for a, _ in rows], dtype=np.intp)
        kind = np.array([kinds.setdefault(k, len(kinds)) for _, k in rows], dtype=np.intp)
        shape = len(agents), len(kinds)
        less = np.zeros((len(sums), len(kinds)))
        times = np.ones((len(sums), len(kinds)))
        for row, (measure, s) in enumerate(zip(self._pool.measures, sums, strict=True)):
            weight, value, calls = np.zeros(shape), np.zeros(shape), np.zeros(shape)
            weight[agent, kind], value[agent, kind], calls[agent, kind] = s.weight, s.value, s.calls
            enough = calls.sum(0) >= MIN_KIND_CALLS
            if enough.sum() < 2:
                continue
            weight, value = weight[:, enough], value[:, enough]
            if measure.measure.pool in ("count", "amount"):
                times[row, enough] = _factors(weight, value)
            else:
                less[row, enough] = _effects(weight, value)
        return Adjustment(self.by, kinds, less, times)


def columns_of(by: Sequence[By]) -> tuple[str, ...]:
    """The columns of calls that tell kinds."""
    return tuple("duration" if b == "length" else b for b in by)


def kinds_of(by: Sequence[By], calls: Mapping[str, Any], rows: int) -> list[Kind]:
    """The kind of each call."""
    parts: list[list[str]] = []
    for name in by:
        if name == "length":
            seconds = calls.get("duration")
            seconds = np.full(rows, np.nan) if seconds is None else seconds
            bands = np.searchsorted(LENGTHS_S, np.asarray(seconds, dtype=np.float64), "right")
            parts.append([str(b) for b in bands])
        else:
            parts.append([v or "" for v in calls.get(name, [None] * rows)])
    return list(zip(*parts, strict=True)) if parts else [()] * rows


def _effects(weight: Values, value: Values) -> Values:
    """Least squares effects of kinds beside agents, their weighted mean 0.

    ``weight`` and ``value`` (sums of weight x value) have the shape (agents, kinds).
    """
    of_agent = np.maximum(weight.sum(1), 1e-300)
    matrix = np.diag(weight.sum(0)) - (weight / of_agent[:, None]).T @ weight
    right = value.sum(0) - (value.sum(1) / of_agent) @ weight
    found = np.linalg.pinv(matrix, rcond=1e-9, hermitian=True) @ right
    return np.asarray(found - (weight.sum(0) @ found) / weight.sum())


def _factors(exposure: Values, events: Values) -> Values:
    """Factors of kinds beside agents, so that they leave the exposure of all as it is."""
    kinds = np.ones(exposure.shape[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        for _ in range(ROUNDS):
            agents = np.nan_to_num(events.sum(1) / (exposure @ kinds))
            kinds = np.maximum(np.nan_to_num(events.sum(0) / (agents @ exposure), nan=1.0), 0.05)
            kinds *= exposure.sum() / (exposure.sum(0) @ kinds)
    return kinds
