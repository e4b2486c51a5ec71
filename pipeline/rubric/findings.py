"""What a condition found: evidence with seconds, and a truth that may be unknown.

``truth`` is True, False or None. None means that it cannot be told, because the speech or the
measure that would show it was not heard well enough; it is never turned into a fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pipeline.schema import Span, Speaker, VerdictName


@dataclass(frozen=True, slots=True)
class Hit:
    """One piece of evidence. ``matched`` is the phrase, event or measure that was found."""

    start: float
    end: float
    speaker: Speaker | None = None
    quote: str | None = None
    matched: str | None = None
    confidence: float = 1.0
    values: tuple[tuple[str, str], ...] = ()
    kind: Literal["said", "measure", "event"] = "said"


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one condition on one call.

    ``looked`` are the spans that were searched, ``note`` says in words what was found,
    ``parts`` are the findings of the conditions inside, in the order of the rubric; ``wrong`` says
    that what was found is itself what fails (said too often), rather than missing. ``faint`` is what
    was too unlikely to raise a doubt, yet not out of the question.
    """

    truth: bool | None
    hits: tuple[Hit, ...] = ()
    confidence: float = 1.0
    looked: tuple[Span, ...] = ()
    speaker: Speaker | None = None
    note: str = ""
    rule: str = ""
    parts: tuple[Finding, ...] = ()
    wrong: bool = False
    faint: tuple[Hit, ...] = ()

    def named(self, rule: str) -> Finding:
        """The same finding with the words of the condition that produced it."""
        return replace(self, rule=rule)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict on one item and the finding behind it."""

    verdict: VerdictName
    finding: Finding


def all_of(findings: Sequence[Finding]) -> Finding:
    """Join findings that must all hold (Kleene logic)."""
    truths = [f.truth for f in findings]
    truth = False if False in truths else None if None in truths else True
    return _joined(truth, findings)


def any_of(findings: Sequence[Finding]) -> Finding:
    """Join findings of which one must hold (Kleene logic)."""
    truths = [f.truth for f in findings]
    truth = True if True in truths else None if None in truths else False
    return _joined(truth, findings)


def negation(finding: Finding) -> Finding:
    """The opposite of a finding; what is unknown stays unknown."""
    truth = None if finding.truth is None else not finding.truth
    return replace(finding, truth=truth, parts=(finding,), wrong=finding.truth is True)


def _joined(truth: bool | None, findings: Sequence[Finding]) -> Finding:
    deciding = [f for f in findings if f.truth is truth] or list(findings)
    hits = tuple(h for f in deciding for h in f.hits)
    pick = min if truth is not None and all(f.truth is truth for f in findings) else max
    confidence = pick((f.confidence for f in deciding), default=0.0)
    first = next(iter(deciding), None)
    return Finding(
        truth,
        hits,
        confidence,
        looked=tuple(s for f in deciding for s in f.looked),
        speaker=first.speaker if first else None,
        note="; ".join(dict.fromkeys(f.note for f in deciding if f.note)),
        parts=tuple(findings),
        wrong=any(f.wrong for f in deciding),
        faint=tuple(h for f in deciding for h in f.faint),
    )
