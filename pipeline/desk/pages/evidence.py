"""What a verdict rests on: whether there is a moment to hear, and how it is said.

An omission is not a moment: what was *not* said has no second, gets no play button and no mark on
the time axis. It says that nothing of the kind was heard and, where that is known, what was said
instead; what should have followed a trigger shows the trigger.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.desk.words import Words
from pipeline.schema import Seconds, Verdict

EvidenceKind = Literal["said", "omitted", "trigger", "measure", "nothing"]


@dataclass(frozen=True, slots=True)
class Moment:
    """A stretch worth hearing."""

    start: Seconds
    end: Seconds
    clock: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """The evidence of one verdict in words; ``moment`` is None where there is nothing to hear."""

    kind: EvidenceKind
    text: str
    moment: Moment | None


def kind_of(verdict: Verdict, item: Mapping[str, Any] | None) -> EvidenceKind:
    """What kind of evidence a verdict has; ``item`` is its row of the rubric's outline.

    >>> kind_of(Verdict("greeting", "rubric", "pass", start=1.0, end=2.0, quote="您好"), None)
    'said'
    """
    by_omission = bool(item and item["fails_by_omission"])
    if verdict.verdict == "fail" and by_omission:
        is_trigger = item is not None and item["has_trigger"] and verdict.start is not None
        if is_trigger:
            return "trigger"
        if verdict.matched is None or (verdict.note or "").startswith("not found"):
            return "omitted"
    if verdict.start is None:
        return "measure" if verdict.matched else "nothing"
    return "said" if verdict.quote else "measure"


def evidence_of(verdict: Verdict, item: Mapping[str, Any] | None, words: Words) -> Evidence:
    """The evidence of a verdict as it is shown."""
    kind = kind_of(verdict, item)
    quote = words("call.quote", text=verdict.quote) if verdict.quote else ""
    who = words.who(verdict.speaker) if verdict.speaker else ""
    if kind == "omitted":
        heard = words("call.omitted_but", quote=quote) if quote else words("call.omitted")
        return Evidence(kind, heard, None)
    if kind == "nothing":
        key = {"pass": "call.none_found", "cannot_tell": "call.not_heard"}.get(verdict.verdict)
        return Evidence(kind, words(key) if key else "", None)
    moment = None
    if verdict.start is not None:
        end = verdict.start if verdict.end is None else verdict.end
        moment = Moment(verdict.start, end, words.clock(verdict.start))
    if kind == "trigger":
        said = words("call.trigger", who=who, quote=quote) if quote else words("call.omitted")
        return Evidence(kind, said, moment)
    return Evidence(kind, quote or verdict.matched or "", moment)
