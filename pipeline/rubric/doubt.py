"""How likely a verdict is right: a small logistic over what it rests on.

The coefficients are fitted by ``tests/benchmarks/verdict_probability.py`` to verdicts that were given at
first sight: on sets of labelled calls and dialogues by hands that knew neither engine nor rubric, by the
program as it was before anything was repaired against them. Measured figures stand in ``docs/rubrics.md``. A
store with blind reviews has coefficients of its own: :mod:`pipeline.rubric.calibration`.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, log

from pipeline.rubric.context import Call
from pipeline.rubric.findings import Finding, Hit
from pipeline.schema import AGENT, EvidenceKind

_MOST_WORDS = 300  # characters; longer regions were not fitted
_FLOOR = 0.02  # probabilities are kept this far from 0 and 1
COEFFICIENTS: Mapping[str, float] = {
    "constant": 0.837,
    "finding": 0.926,
    "has_trigger": -1.102,
    "omitted": 2.469,
    "omitted_words": -0.764,
    "said": 0.651,
    "measured": 0.363,
    "record": 1.0,
}


def features(
    call: Call,
    kind: EvidenceKind | None,
    finding: Finding,
    trigger: Hit | None,
    record: float = 0.0,
) -> dict[str, float]:
    """What the probability of a verdict rests on.

    Parameters
    ----------
    call : Call
        The call that was judged.
    kind : str or None
        What the evidence is; None for a pass without any (nothing forbidden was found).
    finding : Finding
        What decided.
    trigger : Hit or None
        The evidence of the trigger.
    record : float
        Of a fail: how much likelier fails of its item were right than others, logits. A bad one
        tells of triggers that were none, so it counts nothing where the trigger is an event.

    Returns
    -------
    dict of str to float
        Logits of confidences, and one indicator for each kind of evidence.
    """
    speaker = finding.speaker or AGENT
    turns = [t for t in call.dialogue.turns if t.text and t.speaker == speaker]
    seconds = sum(t.duration for t in turns) or 1.0
    heard = sum(t.duration * t.confidence for t in turns) / seconds if turns else 0.9
    near = [t for t in turns if any(t.start < b and t.end > a for a, b in finding.looked)]
    # The more was said, the more of it may be a wording that nobody wrote down.
    words = log(1.0 + min(_MOST_WORDS, sum(len(t.text) for t in near)))
    missing = float(kind == "omitted")
    return {
        "constant": 1.0,
        "finding": _logit(finding.confidence),
        "trigger": _logit(trigger.confidence) if trigger else 0.0,
        "has_trigger": 1.0 if trigger else 0.0,
        "heard": _logit(heard),
        "omitted": missing,
        "omitted_words": missing * words,
        "omitted_after_trigger": float(kind == "omitted" and trigger is not None),
        "said": float(kind == "said"),
        "measured": float(kind in ("measure", "event")),
        "record": max(0.0, record) if trigger and trigger.kind == "event" else record,
    }


def probability_right(
    basis: Mapping[str, float], coefficients: Mapping[str, float] = COEFFICIENTS
) -> float:
    """The probability that a pass or fail is right, 0.02 to 0.98, of its :func:`features`."""
    z = sum(coefficients.get(name, 0.0) * value for name, value in basis.items())
    return min(1.0 - _FLOOR, max(_FLOOR, 1.0 / (1.0 + exp(-z))))


def _logit(p: float) -> float:
    p = min(1.0 - _FLOOR, max(_FLOOR, p))
    return log(p / (1.0 - p))
