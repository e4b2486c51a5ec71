"""Verdicts of the rubric against the verdicts of a person.

A positive is a ``fail``. A verdict is right where it is the label. ``cannot_tell``,
``not_applicable`` and items without any verdict are counted apart; a labelled fail among them is a
fail that was missed. Items that the truth does not label are not judged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.evaluation.truth import Truth
from pipeline.schema import CallResult, Seconds, Speaker

MISSING = "no verdict"


@dataclass(frozen=True, slots=True)
class Judged:
    """One labelled item of one call, with what the rubric said and quoted."""

    call_id: str
    item_id: str
    label: str
    verdict: str
    speaker: Speaker | None = None
    start: Seconds | None = None
    end: Seconds | None = None
    quote: str | None = None
    note: str | None = None

    @property
    def right(self) -> bool:
        """Whether label and verdict are the same."""
        return self.label == self.verdict


@dataclass(frozen=True, slots=True)
class VerdictCounts:
    """How a set of labelled verdicts came out.

    The counts by verdict (fails true and false; passes true, false and missed fails; the rest) add
    up to ``n``. ``right`` counts all that are the label.
    """

    n: int
    right: int
    true_fail: int
    false_fail: int
    missed_fail: int
    true_pass: int
    false_pass: int
    """Passes where the label is neither pass nor fail."""
    cannot_tell: int
    not_applicable: int
    no_verdict: int
    labelled_fail: int
    labelled_either: int
    """Labels that are pass or fail."""

    @property
    def accuracy(self) -> float | None:
        """Share of labelled verdicts that are right."""
        return self.right / self.n if self.n else None

    @property
    def accuracy_of_either(self) -> float | None:
        """Share of the labelled passes and fails that are right."""
        either = self.labelled_either
        return (self.true_fail + self.true_pass) / either if either else None

    @property
    def precision(self) -> float | None:
        """Share of our fails that are fails."""
        ours = self.true_fail + self.false_fail
        return self.true_fail / ours if ours else None

    @property
    def recall(self) -> float | None:
        """Share of the labelled fails that we failed; undecided ones are missed."""
        return self.true_fail / self.labelled_fail if self.labelled_fail else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of both."""
        both = self.true_fail + self.false_fail + self.labelled_fail
        return 2 * self.true_fail / both if both else None


def compare_verdicts(result: CallResult, truth: Truth) -> tuple[Judged, ...]:
    """Put the rubric's verdict beside each labelled one of a call, in the order of the truth."""
    ours = {v.item_id: v for v in result.verdicts if v.source == "rubric"}
    judged = []
    for item, label in truth.compliance.items():
        verdict = ours.get(item)
        if verdict is None:
            judged.append(Judged(truth.call_id, item, label, MISSING))
            continue
        judged.append(
            Judged(
                truth.call_id,
                item,
                label,
                verdict.verdict,
                verdict.speaker,
                verdict.start,
                verdict.end,
                verdict.quote,
                verdict.note,
            )
        )
    return tuple(judged)


def count_verdicts(judged: Sequence[Judged]) -> VerdictCounts:
    """Count how labelled verdicts came out."""

    def count(verdict: str, label: str | None = None) -> int:
        return sum(j.verdict == verdict and label in (None, j.label) for j in judged)

    return VerdictCounts(
        n=len(judged),
        right=sum(j.right for j in judged),
        true_fail=count("fail", "fail"),
        false_fail=count("fail") - count("fail", "fail"),
        missed_fail=count("pass", "fail"),
        true_pass=count("pass", "pass"),
        false_pass=count("pass") - count("pass", "pass") - count("pass", "fail"),
        cannot_tell=count("cannot_tell"),
        not_applicable=count("not_applicable"),
        no_verdict=count(MISSING),
        labelled_fail=sum(j.label == "fail" for j in judged),
        labelled_either=sum(j.label in ("pass", "fail") for j in judged),
    )
