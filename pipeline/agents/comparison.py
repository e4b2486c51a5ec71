"""The word for an agent beside its team: a state for each measure, never a rank.

States
------
``too_few``: fewer calls than are needed for a comparison. ``like_team``: the interval of the
difference from the others of the team lies inside the least difference that matters (``delta``).
``above``, ``below``: it lies wholly beyond delta, and still does so when the number of measures of
this agent is allowed for (Benjamini & Hochberg 1995, q = 0.10). ``not_told``: anything else.
None: the measure has no delta or is the customer's, the agent has no team-mates, or no spread is
known. Above means more,
not better: whether more is better is in the table of measures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.agents.estimates import Z95, Estimate, Values
from pipeline.measures import Measure, Pooled
from pipeline.schema import CUSTOMER

State = Literal["too_few", "like_team", "above", "below", "not_told"]
STATES: tuple[State, ...] = ("too_few", "like_team", "above", "below", "not_told")
FALSE_DISCOVERY_RATE = 0.10

# fmt: off
STATE_WORDS: Mapping[State, tuple[str, str]] = {
    "too_few": ("通数太少，不作比较（{calls}/{needed}）", "too few calls to compare ({calls} of {needed})"),
    "like_team": ("与班组相当", "like the team"),
    "above": ("明显高于班组", "clearly above the team"),
    "below": ("明显低于班组", "clearly below the team"),
    "not_told": ("看不出差别", "cannot be told apart"),
}
# fmt: on


def delta_of(measure: Measure, value: Values) -> Values:
    """The least difference from ``value`` that matters, nan where the measure has none."""
    delta = np.nan if measure.delta is None else measure.delta
    return np.where(
        np.isfinite(value), np.abs(value) * delta if measure.relative else delta, np.nan
    )


def states(
    measures: Sequence[Pooled], estimates: Sequence[Estimate], min_calls: int
) -> list[NDArray[np.object_]]:
    """State of every agent in every measure; for each measure an array of ``State`` or None.

    Parameters
    ----------
    measures, estimates : sequence
        In the same order, of the same agents.
    min_calls : int
        With fewer calls an agent is compared with nobody.
    """
    if not estimates:
        return []
    scores, found = [], []
    for pooled, e in zip(measures, estimates, strict=True):
        of_agent = not pooled.name.startswith(f"{CUSTOMER}_")
        delta = delta_of(pooled.measure, np.where(of_agent, e.others, np.nan))
        with np.errstate(divide="ignore", invalid="ignore"):
            high = (e.difference - delta) / (e.difference - e.difference_low)
            low = (-e.difference - delta) / (e.difference_high - e.difference)
        enough = e.calls >= min_calls
        scores.append(Z95 * np.where(enough, np.fmax(high, low), np.nan))
        known = np.isfinite(delta) & np.isfinite(e.difference_low + e.difference_high)
        state = np.full(len(delta), None, dtype=object)
        state[known] = "not_told"
        alike = (e.difference_low > -delta) & (e.difference_high < delta)
        state[known & alike] = "like_team"
        state[known & (e.difference_low > delta)] = "above"
        state[known & (e.difference_high < -delta)] = "below"
        has_delta = pooled.measure.delta is not None and of_agent
        state[has_delta & ~enough & (e.calls > 0)] = "too_few"
        found.append(state)
    told = discoveries(np.array(scores))
    for state, clear in zip(found, told, strict=True):
        state[np.isin(state, ("above", "below")) & ~clear] = "not_told"
    return found


def discoveries(z: Values, rate: float = FALSE_DISCOVERY_RATE) -> NDArray[np.bool_]:
    """Which of the tests of each column stand at this false discovery rate.

    Parameters
    ----------
    z : ndarray of shape (tests, columns)
        Normal scores, two-sided; nan where there was no test. Thresholds of p become thresholds
        of z, so that no distribution function is needed.
    """
    normal = NormalDist()
    tests = np.isfinite(z).sum(0)
    order = -np.sort(-np.where(np.isfinite(z), z, -np.inf), axis=0)
    limit = np.full(z.shape[1], np.inf)
    for count in np.unique(tests[tests > 0]):
        ranks = np.arange(1, count + 1)
        needed = np.array([normal.inv_cdf(1 - r * rate / (2 * count)) for r in ranks])
        at = tests == count
        passed = order[:count, at] >= needed[:, None]
        last = np.where(passed.any(0), count - 1 - np.argmax(passed[::-1], axis=0), -1)
        limit[at] = np.where(last >= 0, needed[last], np.inf)
    return np.asarray(z >= limit)


def state_words(state: State | None, calls: int, needed: int) -> tuple[str, str]:
    """The state in Chinese and English; empty for None."""
    if state is None:
        return "", ""
    zh, en = STATE_WORDS[state]
    return zh.format(calls=calls, needed=needed), en.format(calls=calls, needed=needed)
