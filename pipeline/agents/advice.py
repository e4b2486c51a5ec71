"""What to work on first, and what to praise: one rule each, printed with its reason.

Focus
    Among what has a better and a worse side, take the largest
    ``weight x (shrunken excess over the team / delta) x occasions per call``: how much worse than the
    team by what is sure, in differences that matter, as often as it comes up. From 10 calls on it
    must be worse than the team by delta with a probability of 0.9. What people do not agree with (under
    ``MIN_AGREEMENT``) or what was heard badly is never suggested. With fewer calls, fewer than 3
    occasions in 2 calls, or an agreement that nobody has measured it is a starting point ("起点"), not
    a finding.
Praise
    Acts that were *heard*, passed in at least 80 % of at least 3 occasions, the rarest in the team
    first. Not having done wrong is no praise.

Ties are broken by id, so that the same figures give the same words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal, NamedTuple

import numpy as np

from pipeline.agents.pool import MIN_CALLS, Compared
from pipeline.measures import Pooled

MIN_AGREEMENT = 0.80  # with people, share of verdicts
MIN_CONFIDENCE = 0.70  # of the evidence
MIN_OCCASIONS, MIN_OCCASION_CALLS = 3, 2
MIN_CHANCE = 0.90  # that the agent is worse than the team by delta
MIN_PRAISE = 0.80  # share of occasions passed


class Candidate(NamedTuple):
    """What could be worked on.

    ``excess`` is by how much the agent is worse than the team (shrunken, in the unit of the
    measure; for an item in failures per occasion), ``excess_sd`` its standard error, ``delta`` the
    least difference that matters. ``occasions`` came up in ``calls`` of the agent's ``of_calls``.
    ``agreement`` with people is None where it was never measured.
    """

    id: str
    zh: str
    en: str
    excess: float
    excess_sd: float
    delta: float
    occasions: int
    calls: int
    of_calls: int
    weight: float = 1.0
    agreement: float | None = None
    confidence: float = 1.0

    @property
    def gain(self) -> float:
        """What the rule compares."""
        return self.weight * self.excess / self.delta * self.occasions / max(self.of_calls, 1)

    @property
    def chance(self) -> float:
        """Probability of being worse than the team by delta."""
        if self.excess_sd <= 0:
            return float(self.excess > self.delta)
        return NormalDist().cdf((self.excess - self.delta) / self.excess_sd)


@dataclass(frozen=True, slots=True)
class Suggestion:
    """The one suggestion; ``kind`` start is a starting point, not a finding."""

    kind: Literal["focus", "start"]
    candidate: Candidate
    reason_zh: str
    reason_en: str


class Act(NamedTuple):
    """An act that was heard: ``passed`` of ``occasions``, and the share in the team that passes."""

    id: str
    zh: str
    en: str
    passed: int
    occasions: int
    team_rate: float


@dataclass(frozen=True, slots=True)
class Praise:
    """Something done well, with the reason."""

    act: Act
    reason_zh: str
    reason_en: str


def candidates(
    compared: Compared,
    agent_id: str,
    measures: Iterable[Pooled],
    *,
    weights: Mapping[str, float] | None = None,
    agreement: Mapping[str, float] | None = None,
    confidence: Mapping[str, float] | None = None,
    occasions: Mapping[str, tuple[int, int]] | None = None,
) -> list[Candidate]:
    """What the agent could work on: measures and items with a better side and team-mates.

    Parameters
    ----------
    compared : Compared
        Of measures of calls, or of items pooled with :func:`pipeline.measures.pass_rate`.
    agent_id : str
    measures : iterable of Pooled
    weights, agreement, confidence : mapping of name to float, optional
        Weight of items in the rubric; share of verdicts on which people agree with ours; mean
        confidence of the evidence.
    occasions : mapping of name to (occasions, calls), optional
        How often it came up and in how many calls, where that is not once in each judged call.
    """
    row = compared.agent_id.index(agent_id)
    found = []
    for one in measures:
        better, delta = one.measure.better, one.measure.delta
        if better is None or delta is None or one.name.startswith("customer_"):
            continue
        e = compared.of[one.name]
        sign = 1.0 if better == "less" else -1.0
        others = float(e.others[row])
        excess = sign * (float(e.shrunk[row]) - others)
        others_sd = float(e.others_high[row] - e.others_low[row]) / 4
        error = float(np.hypot(e.shrunk_sd[row], others_sd))
        if not np.isfinite(excess + error) or not e.calls[row]:
            continue
        calls = int(e.calls[row])
        times, in_calls = (occasions or {}).get(one.name, (calls, calls))
        least = abs(others) * delta if one.measure.relative else delta
        found.append(
            Candidate(
                one.name, one.zh, one.en, excess, error,
                max(least, 1e-9), times, in_calls, int(compared.calls[row]),
                (weights or {}).get(one.name, 1.0), (agreement or {}).get(one.name),
                (confidence or {}).get(one.name, 1.0),
            )
        )  # fmt: skip
    return found


def focus(found: Iterable[Candidate], *, min_calls: int = MIN_CALLS) -> Suggestion | None:
    """The one suggestion, or None where nothing is worse than the team."""
    usable = [
        c
        for c in found
        if c.excess > 0
        and c.confidence >= MIN_CONFIDENCE
        and (c.agreement is None or c.agreement >= MIN_AGREEMENT)
    ]
    proven = [
        c
        for c in usable
        if c.of_calls >= min_calls
        and c.agreement is not None
        and c.occasions >= MIN_OCCASIONS
        and c.calls >= MIN_OCCASION_CALLS
        and c.chance >= MIN_CHANCE
    ]
    few = [c for c in usable if c.of_calls < min_calls or c.agreement is None]
    groups: tuple[tuple[Literal["focus", "start"], list[Candidate]], ...]
    groups = ("focus", proven), ("start", few)
    for kind, group in groups:
        if group:
            best = min(group, key=lambda c: (-c.gain, c.id))
            zh, en = _reason(best)
            if kind == "start":
                return Suggestion(
                    "start",
                    best,
                    f"起点，还不是结论：{zh}",
                    f"A starting point, not a finding: {en}",
                )
            return Suggestion("focus", best, zh, en)
    return None


def praise(acts: Iterable[Act]) -> list[Praise]:
    """What to praise, the rarest in the team first.

    Parameters
    ----------
    acts : iterable of Act
        Only acts that were heard (evidence ``said``); "no insults" is none.
    """
    good = [
        a for a in acts if a.occasions >= MIN_OCCASIONS and a.passed >= MIN_PRAISE * a.occasions
    ]
    return [
        Praise(
            a,
            f"{a.zh}：{a.occasions} 次中做到 {a.passed} 次；班组平均 {a.team_rate:.0%}",
            f"{a.en}: done in {a.passed} of {a.occasions}; the team in {a.team_rate:.0%}",
        )
        for a in sorted(good, key=lambda a: (a.team_rate, -a.passed / a.occasions, a.id))
    ]


def _reason(c: Candidate) -> tuple[str, str]:
    chance, per_call = round(100 * c.chance), c.occasions / max(c.of_calls, 1)
    times = c.excess / c.delta
    return (
        f"{c.zh}：比班组差约 {times:.1f} 个最小差异（差出这么多的把握 {chance}%），"
        f"{c.calls} 通里出现 {c.occasions} 次（每通 {per_call:.1f} 次），权重 {c.weight:g}",
        f"{c.en}: worse than the team by about {times:.1f} of the least difference that matters ({chance} % "
        f"sure), {c.occasions} occasions in {c.calls} calls ({per_call:.1f} a call), weight {c.weight:g}",
    )
