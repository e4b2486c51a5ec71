"""How likely a verdict is right: a small logistic over what it rests on.

The coefficients are fitted by ``tests/benchmarks/verdict_probability.py``: the labelled dialogues
are judged by rubrics that know only part of the wordings, with words misheard as recognisers do,
and what makes verdicts wrong is learnt. Those of ``recognised`` words are fitted to labelled calls beside
them. Measured figures stand in ``docs/rubrics.md``. A store with blind
reviews has coefficients of its own: :mod:`pipeline.rubric.calibration`.
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
    "constant": 0.814,
    "finding": 0.368,
    "has_trigger": 0.470,
    "heard": 0.412,
    "omitted": 0.961,
    "omitted_words": -0.648,
    "omitted_after_trigger": -0.492,
    "said": 2.796,
    "measured": 1.210,
    "recognised": 0.656,
    "recognised_omitted": 0.191,
    "recognised_omitted_words": 0.884,
    "recognised_said": -1.242,
}


def features(
    call: Call, kind: EvidenceKind | None, finding: Finding, trigger: Hit | None
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
    recognised = float(any(t.words for t in turns))  # not given as text
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
        "recognised": recognised,
        "recognised_omitted": recognised * missing,
        "recognised_omitted_words": recognised * missing * words,
        "recognised_said": recognised * float(kind == "said"),
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
