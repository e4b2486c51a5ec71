"""The figures of agents as data for programs: the same numbers as on the pages and in the tables."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pipeline.agents import Compared
from pipeline.agents.pool import DECIMALS
from pipeline.errors import ParameterError, nearest
from pipeline.measures import POOLED
from pipeline.store import slug_of

STATISTICS = (
    "calls", "mean", "low", "high", "shrunk", "shrunk_low", "shrunk_high", "reliability",
    "team_median", "percentile",
)  # fmt: skip
MEASURES = tuple(one.name for one in POOLED)


def chosen_measures(text: str | None) -> tuple[str, ...]:
    """The measures that are asked for by name, with commas; all when none are.

    Raises
    ------
    ParameterError
        If there is none of a name.
    """
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    for name in names:
        if name not in MEASURES:
            raise ParameterError(
                f'There is no measure "{name}" of agents.', nearest(name, MEASURES)
            )
    return tuple(name for name in MEASURES if name in names) or MEASURES


def agent_rows(compared: Compared, measures: Sequence[str]) -> Iterator[dict[str, Any]]:
    """One row an agent, or an agent and week; calls without an agent are left out."""
    for i, agent_id in enumerate(compared.agent_id):
        if agent_id is None:
            continue
        yield {
            "agent_id": agent_id,
            "slug": slug_of(agent_id),
            "agent_name": compared.agent_name[i],
            "team": compared.team[i],
            "week": compared.week[i],
            "calls": int(compared.calls[i]),
            "talk_s": _known(compared.talk_s[i]),
            "enough_calls": bool(compared.enough_calls[i]),
            "measures": {
                name: {s: _known(getattr(compared.of[name], s)[i]) for s in STATISTICS}
                | {"state": compared.state[name][i]}
                for name in measures
            },
        }


def _known(value: float) -> float | None:
    number = float(np.round(value, DECIMALS)) + 0.0  # as in the tables, and no minus before a zero
    return number if math.isfinite(number) else None
