"""From verdicts to a score of 0-100, with the arithmetic that can be shown.

The score is the weight of passed items over the weight of judged items (passed or failed). Items
that do not apply or cannot be told count neither way. A failed veto item makes the score 0.

Where less than ``min_judged_share`` of the weight that applies was judged there is no score: a few
items do not speak for the rest. A failed veto item speaks for itself.

A score is as sure as its verdicts. Each is right with its confidence, and would be the opposite
otherwise; the range of the score is 95 % of what then could be (normal approximation of the
Poisson binomial distribution), and always holds the score.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod, sqrt
from typing import NamedTuple

from pipeline.rubric.load import Rubric
from pipeline.schema import Verdict


class Judged(NamedTuple):
    """What one scored item adds to a score."""

    verdict: str
    weight: float
    is_veto: bool = False


class Total(NamedTuple):
    """A score of 0-100, what it would be without the veto, and the share of the weight judged."""

    score: float | None
    without_veto: float | None
    judged_share: float | None


@dataclass(frozen=True, slots=True)
class Subtotal:
    """The score of one section; ``score`` is None when nothing in it was judged."""

    section: str
    score: float | None
    passed_weight: float
    judged_weight: float
    unjudged_weight: float = 0.0  # of what could not be told


@dataclass(frozen=True, slots=True)
class ScoreCard:
    """The score of one call by one rubric.

    ``veto`` are the failed veto items; ``score_without_veto`` is what the score would have been.
    ``judged_share`` is the weight judged over the weight that applies; ``low`` and ``high`` are the
    range that the confidence of the verdicts leaves.
    """

    compliance_score: float | None
    low: float | None
    high: float | None
    judged_share: float | None
    passed: int
    failed: int
    unjudged: int
    not_applicable: int
    subtotals: tuple[Subtotal, ...]
    veto: tuple[str, ...]
    score_without_veto: float | None
    arithmetic: tuple[str, ...]

    def lines(self, rubric: Rubric) -> Iterator[str]:
        """The score explained: the sum, subtotals by section, what was not judged, the veto."""
        yield from self.arithmetic
        names = {s.id: s.name_zh for s in rubric.sections}
        for part in self.subtotals:
            if part.judged_weight or part.unjudged_weight:
                value = "-" if part.score is None else f"{part.score:g}"
                doubt = f", {part.unjudged_weight:g} not judged" if part.unjudged_weight else ""
                yield (
                    f"section {names[part.section]} ({part.section}): {value}"
                    f" = {part.passed_weight:g} of weight {part.judged_weight:g}{doubt}"
                )
        judged = sum(s.judged_weight for s in self.subtotals)
        unjudged = sum(s.unjudged_weight for s in self.subtotals)
        if unjudged:
            share = 100 * unjudged / (judged + unjudged)
            yield f"not judged: {share:.0f} % of the weight that applies; it counts neither way"
        if self.veto:
            yield (f"a failed veto item makes the score 0; without it: {self.score_without_veto:g}")


def points(items: Iterable[Judged], min_judged_share: float) -> Total:
    """Score the verdicts on the scored items of one call, whoever gave them.

    Parameters
    ----------
    items : iterable of Judged
    min_judged_share : float
        With less of the weight that applies judged there is no score, 0-1.
    """
    known = list(items)
    passed = sum(i.weight for i in known if i.verdict == "pass")
    judged = sum(i.weight for i in known if i.verdict in ("pass", "fail"))
    applies = judged + sum(i.weight for i in known if i.verdict == "cannot_tell")
    share = round(judged / applies, 4) if applies else None
    plain = _percent(passed, judged)
    if any(i.is_veto and i.verdict == "fail" for i in known):
        return Total(0.0, plain, share)
    return Total(plain if share is not None and share >= min_judged_share else None, plain, share)


def score(verdicts: Iterable[Verdict], rubric: Rubric) -> ScoreCard:
    """Score the verdicts of one call.

    Parameters
    ----------
    verdicts : iterable of Verdict
        As given by :func:`pipeline.rubric.judge`; outside verdicts and items that the rubric
        does not have are left out.
    rubric : Rubric
        The rubric that judged.

    Returns
    -------
    ScoreCard
        ``compliance_score`` is None when too little could be judged.
    """
    items = {i.id: i for i in rubric.items}
    own = [v for v in verdicts if v.source == "rubric" and v.item_id in items]
    judged = [v for v in own if v.verdict in ("pass", "fail") and items[v.item_id].scored]
    weights = {i.id: i.weight for i in rubric.items}
    subtotals = []
    for section in rubric.sections:
        inside = [v for v in judged if items[v.item_id].section == section.id]
        passed = sum(weights[v.item_id] for v in inside if v.verdict == "pass")
        total = sum(weights[v.item_id] for v in inside)
        open_weight = sum(
            weights[v.item_id]
            for v in own
            if v.verdict == "cannot_tell"
            and items[v.item_id].scored
            and items[v.item_id].section == section.id
        )
        subtotals.append(Subtotal(section.id, _percent(passed, total), passed, total, open_weight))
    passed_weight = sum(weights[v.item_id] for v in judged if v.verdict == "pass")
    judged_weight = sum(weights[v.item_id] for v in judged)
    veto = tuple(
        v.item_id for v in judged if v.verdict == "fail" and items[v.item_id].severity == "veto"
    )
    scored = (items[v.item_id] for v in own)
    final, plain, share = points(
        (
            Judged(v.verdict, item.weight, item.severity == "veto")
            for v, item in zip(own, scored, strict=True)
            if item.scored
        ),
        rubric.min_judged_share,
    )
    low, high = _range(judged, weights, veto, final)
    return ScoreCard(
        compliance_score=final,
        low=low,
        high=high,
        judged_share=share,
        passed=sum(v.verdict == "pass" for v in judged),
        failed=sum(v.verdict == "fail" for v in judged),
        unjudged=sum(v.verdict == "cannot_tell" for v in own),
        not_applicable=sum(v.verdict == "not_applicable" for v in own),
        subtotals=tuple(subtotals),
        veto=veto,
        score_without_veto=plain,
        arithmetic=(
            *_arithmetic(judged, weights, passed_weight, judged_weight, plain, veto),
            *_told(share, rubric.min_judged_share, final, low, high),
        ),
    )


def _range(
    judged: list[Verdict], weights: dict[str, float], veto: tuple[str, ...], score: float | None
) -> tuple[float | None, float | None]:
    """The range of a score: what it could be where verdicts are as often wrong as they may be."""
    if score is None:
        return None, None
    right = {v.item_id: 1.0 if v.confidence is None else v.confidence for v in judged}
    passes = {
        v.item_id: right[v.item_id] if v.verdict == "pass" else 1 - right[v.item_id] for v in judged
    }
    total = sum(weights[v.item_id] for v in judged)
    mean = 100 * sum(weights[i] * p for i, p in passes.items()) / total
    half = 196 * sqrt(sum(weights[i] ** 2 * p * (1 - p) for i, p in passes.items())) / total
    low, high = max(0.0, mean - half), min(100.0, mean + half)
    if veto:  # the score is 0 unless none of these stands
        low, high = 0.0, high if prod(1 - right[i] for i in veto) > 0.025 else 0.0
    return round(min(low, score), 2), round(max(high, score), 2)


def _told(
    share: float | None, needed: float, score: float | None, low: float | None, high: float | None
) -> tuple[str, ...]:
    """What the arithmetic leaves to say: how much was judged, and how sure the score is."""
    if share is None:
        return ()
    if score is None:
        return (f"{share:.0%} of the weight was judged, {needed:.0%} is needed: no score",)
    return (
        f"{share:.0%} of the weight was judged; by the confidence of the verdicts {low:g} to {high:g}",
    )


def _percent(passed: float, total: float) -> float | None:
    return round(100.0 * passed / total, 2) if total else None


def _arithmetic(
    judged: list[Verdict],
    weights: dict[str, float],
    passed: float,
    total: float,
    plain: float | None,
    veto: tuple[str, ...],
) -> tuple[str, ...]:
    lines = [
        f"{v.item_id}: {v.verdict}, {weights[v.item_id] if v.verdict == 'pass' else 0:g}"
        f" of {weights[v.item_id]:g}"
        for v in judged
    ]
    if plain is None:
        return (*lines, "nothing could be judged, so there is no score")
    lines.append(f"{passed:g} / {total:g} x 100 = {plain:g}")
    if veto:
        lines.append(f"one-vote veto by {', '.join(veto)}: 0")
    return tuple(lines)
