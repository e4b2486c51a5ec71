"""Limits of a funnel plot: how far a mean of so many calls strays when agents differ as they usually do.

``z sqrt(s^2 / n + tau^2)`` about the centre of the team. The variance between agents, tau^2, is
that of DerSimonian & Laird 1986 with the outer tenth drawn in (Spiegelhalter 2005), so that the
few who stand out do not widen the limits for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pipeline.agents.estimates import Z95, Estimate

Z998 = 3.090232
DRAWN_IN = 0.1


class Funnel(NamedTuple):
    """Centre of a team, variance of its calls and variance between its agents."""

    centre: float
    of_calls: float
    between: float

    def limits(self, calls: float) -> tuple[float, float, float, float]:
        """The 95 % limits and the 99.8 % limits of a mean of so many calls."""
        sd = float(np.sqrt(self.of_calls / max(calls, 1e-9) + self.between))
        near, far = Z95 * sd, Z998 * sd
        return self.centre - near, self.centre + near, self.centre - far, self.centre + far


def funnel(estimate: Estimate, rows: Sequence[int]) -> Funnel | None:
    """The funnel of the agents of these rows; None where fewer than three have a known mean."""
    mean, calls, variance = (
        np.asarray(v[list(rows)], dtype=np.float64)
        for v in (estimate.mean, estimate.calls, estimate.variance)
    )
    known = np.isfinite(mean) & np.isfinite(variance) & (variance > 0)
    if known.sum() < 3:
        return None
    mean, calls, variance = mean[known], calls[known], variance[known]
    of_calls = float(np.median(variance * calls))
    variance = of_calls / calls
    centre = float((mean / variance).sum() / (1 / variance).sum())
    z = (mean - centre) / np.sqrt(variance)
    z = np.clip(z, *np.quantile(z, [DRAWN_IN, 1 - DRAWN_IN]))
    weight = 1 / variance
    spread = (z**2).sum() - (len(z) - 1)
    between = max(0.0, float(spread / (weight.sum() - (weight**2).sum() / weight.sum())))
    weight = 1 / (variance + between)
    return Funnel(float((weight * mean).sum() / weight.sum()), of_calls, between)
