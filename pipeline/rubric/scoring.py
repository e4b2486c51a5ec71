"""From verdicts to a score of 0-100, with the arithmetic that can be shown.

The score is the weight of passed items over the weight of judged items (passed or failed). Items
that do not apply or cannot be told count neither way. A failed veto item makes the score 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.rubric.load import Rubric
from pipeline.schema import Verdict


@dataclass(frozen=True, slots=True)
class Subtotal:
    """The score of one section; ``score`` is None when nothing in it was judged."""

    section: str
    score: float | None
    passed_weight: float
    judged_weight: float


@dataclass(frozen=True, slots=True)
class ScoreCard:
    """The score of one call by one rubric.

    ``veto`` are the failed veto items; ``score_without_veto`` is what the score would have been.
    """

    compliance_score: float | None
    passed: int
    failed: int
    unjudged: int
    not_applicable: int
    subtotals: tuple[Subtotal, ...]
    veto: tuple[str, ...]
    score_without_veto: float | None
    arithmetic: tuple[str, ...]


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
        ``compliance_score`` is None when nothing could be judged.
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
        subtotals.append(Subtotal(section.id, _percent(passed, total), passed, total))
    passed_weight = sum(weights[v.item_id] for v in judged if v.verdict == "pass")
    judged_weight = sum(weights[v.item_id] for v in judged)
    plain = _percent(passed_weight, judged_weight)
    veto = tuple(
        v.item_id for v in judged if v.verdict == "fail" and items[v.item_id].severity == "veto"
    )
    return ScoreCard(
        compliance_score=0.0 if veto else plain,
        passed=sum(v.verdict == "pass" for v in judged),
        failed=sum(v.verdict == "fail" for v in judged),
        unjudged=sum(v.verdict == "cannot_tell" for v in own),
        not_applicable=sum(v.verdict == "not_applicable" for v in own),
        subtotals=tuple(subtotals),
        veto=veto,
        score_without_veto=plain,
        arithmetic=_arithmetic(judged, weights, passed_weight, judged_weight, plain, veto),
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
