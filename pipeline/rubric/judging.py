"""Judge a call by a rubric: one verdict per item, each with its evidence.

Order of questions for an item: does it apply (``applies``), did its trigger happen (``when``), is
there an exception (``unless``), does it fail (``fail``), does it pass (``pass``). Whatever cannot
be told at one of these steps makes the verdict ``cannot_tell``; only what was heard decides. Before something
counts as omitted it is looked for once more among the words in doubt: it may have been said and misheard.

Of a call that a second agent took over, the first leg alone is judged. What was omitted there counts
only where the first agent had the chance: in the opening, or well before the handover. Everything else
that is missing may have been the second agent's to do: if the second did it, it is done, and if not,
nobody is accused of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipeline.rubric.context import Call, Scope
from pipeline.rubric.doubt import features, probability_right
from pipeline.rubric.findings import Finding, Hit, Outcome
from pipeline.rubric.load import Item, Rubric
from pipeline.rubric.places import ANYWHERE, conditions_in, place_of
from pipeline.rubric.speech_rules import Says
from pipeline.schema import (
    AGENT,
    BY_ANOTHER,
    Dialogue,
    Event,
    EvidenceKind,
    Seconds,
    Verdict,
    VerdictName,
)
from pipeline.settings import MIN_ROLE_CONFIDENCE
from pipeline.text.phonetic.slots import duration_seconds

FULL_SCORE = 1.0
HANDOVER_NEAR_S = 20.0
_SEEN = "done without its trigger"
_FILLED = "filled"  # in the detail of an event: the names that a rubric filled in


@dataclass(frozen=True, slots=True)
class Step:
    """One question asked of a call while an item was judged, and its answer."""

    question: str
    finding: Finding


@dataclass(frozen=True, slots=True)
class Trace:
    """How an item came to its verdict, and what the probability of a pass or fail rests on."""

    item_id: str
    verdict: Verdict
    steps: tuple[Step, ...]
    basis: Mapping[str, float] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """The trace as text, indented by depth."""
        out = [f"{self.item_id}: {self.verdict.verdict}"]
        for step in self.steps:
            out += [f"  {step.question}", *_trace_lines(step.finding, 2)]
        return out


def judge(dialogue: Dialogue, rubric: Rubric) -> tuple[Verdict, ...]:
    """Judge a call by every item of a rubric.

    Parameters
    ----------
    dialogue : Dialogue
        Who said what when, what happened (see :func:`annotated`), what was measured.
    rubric : Rubric
        As loaded by :func:`pipeline.rubric.load_rubric`.

    Returns
    -------
    tuple of Verdict
        One per item, in the order of the rubric file.
    """
    return tuple(t.verdict for t in trace(dialogue, rubric))


def trace(
    dialogue: Dialogue, rubric: Rubric, item_ids: Sequence[str] | None = None
) -> tuple[Trace, ...]:
    """Judge a call and keep what was looked for, where, and what was found.

    Parameters
    ----------
    dialogue, rubric
        As for :func:`judge`.
    item_ids : sequence of str, optional
        Only these items; all by default.

    Raises
    ------
    RubricError
        If an id is not in the rubric.
    """
    wanted = [rubric.item(i).id for i in item_ids] if item_ids else [i.id for i in rubric.items]
    own = dialogue.first_leg()
    found = _traces(replace(own, duration=dialogue.duration), rubric, wanted)
    if own is not dialogue:
        whole = _traces(dialogue, rubric, wanted)
        found = [
            _with_the_others(mine, ours, own.duration)
            for mine, ours in zip(found, whole, strict=True)
        ]
    if dialogue.role_confidence >= MIN_ROLE_CONFIDENCE:
        return tuple(found)
    return tuple(replace(t, verdict=_undecided(t.verdict)) for t in found)


def _undecided(verdict: Verdict) -> Verdict:
    """What a verdict is worth when nobody knows who is the agent."""
    if verdict.verdict not in ("pass", "fail"):
        return verdict
    why = "who is the agent is in doubt"
    return replace(verdict, verdict="cannot_tell", score=None, max_score=None, note=why)


def _traces(dialogue: Dialogue, rubric: Rubric, wanted: Sequence[str]) -> list[Trace]:
    call = Call(
        dialogue, rubric.hearing, rubric.slots, rubric.meaning, rubric.coefficients,
        forbidden=tuple(c for i in rubric.items for c in conditions_in(i.fails) if isinstance(c, Says)),
    )  # fmt: skip
    items = {i.id: i for i in rubric.items}
    needed = {*wanted, *(n for name in wanted for n in rubric.needs[name])}
    traces = {name: _judge_item(call, items[name]) for name in rubric.order if name in needed}
    return [traces[name] for name in wanted]


def _with_the_others(own: Trace, whole: Trace, end: Seconds) -> Trace:
    """What the part of the first agent and the whole call say together of an item.

    What was left to the agent who took over, and done, is done; if it was not, nobody is accused.
    """
    if not _may_be_the_others(own.verdict, end):
        return own
    done = whole.verdict
    if done.verdict != "pass" or done.start is None or done.start < end:
        return replace(own, verdict=_left_open(own.verdict, end))
    return replace(whole, verdict=replace(done, note=f"{BY_ANOTHER} at {end:.0f} s"))


def _may_be_the_others(verdict: Verdict, end: Seconds) -> bool:
    if verdict.verdict != "fail" or verdict.evidence != "omitted":
        return False
    early = verdict.trigger_end is not None and verdict.trigger_end <= end - HANDOVER_NEAR_S
    return verdict.place != "opening" and not early


def _left_open(verdict: Verdict, end: Seconds) -> Verdict:
    note = f"another agent takes over at {end:.0f} s and may have had to do it"
    return replace(
        verdict, verdict="cannot_tell", score=None, max_score=None, probability=None, note=note
    )


def annotated(dialogue: Dialogue, rubric: Rubric) -> Dialogue:
    """Fill the details of its events from the items that say ``fills: kind.name``.

    An item judged once per event (``for_each``) fills ``name`` with True, False or None in the
    detail of each event of that kind; a name that ends in ``_s`` gets the seconds that a slot
    captured, None where none were stated. What an earlier rubric filled in is taken out first.
    """
    fillers = [i for i in rubric.items if i.fills and i.passes]
    events = [_as_found(e) for e in dialogue.events]
    measured = replace(dialogue, events=tuple(events))
    call = Call(measured, rubric.hearing, rubric.slots, rubric.meaning)
    for item in fillers:
        assert item.fills is not None
        assert item.passes is not None
        kind, _, name = item.fills.partition(".")
        for index, event in enumerate(events):
            if event.kind != kind:
                continue
            scope = Scope((Hit(event.start, event.end, event.by),))
            finding = item.passes.evaluate(call, scope)
            value: object = finding.truth
            if name.endswith("_s"):  # seconds that a slot captured, not whether it was said
                stated = [duration_seconds(v) for h in finding.hits for _, v in h.values]
                value = next((s for s in stated if s is not None), None)
            filled = [*event.detail.get(_FILLED, ()), name]
            events[index] = replace(event, detail={**event.detail, name: value, _FILLED: filled})
    return replace(dialogue, events=tuple(events))


def _as_found(event: Event) -> Event:
    """An event as it was measured, without what an earlier rubric filled in."""
    filled = (_FILLED, *event.detail.get(_FILLED, ()))
    return replace(event, detail={k: v for k, v in event.detail.items() if k not in filled})


def _judge_item(call: Call, item: Item) -> Trace:
    steps: list[Step] = []
    verdict, finding, trigger = _decide(call, item, steps)
    if verdict in ("pass", "fail") and finding.confidence < call.hearing.min_hit_confidence:
        verdict = "cannot_tell"
    row, basis = _verdict(call, item, verdict, finding, trigger)
    if row.probability is not None and row.probability < call.least_probability(row.verdict):
        note = f"{row.verdict} with probability {row.probability:.2f} only"
        row = replace(row, verdict="cannot_tell", score=None, max_score=None, note=note)
    call.outcomes[item.id] = Outcome(row.verdict, finding)
    return Trace(item.id, row, tuple(steps), basis)


def _decide(
    call: Call, item: Item, steps: list[Step]
) -> tuple[VerdictName, Finding, tuple[Hit, ...]]:
    scope = Scope(asking="trigger")
    trigger: tuple[Hit, ...] = ()
    for question, condition in (("applies", item.applies), ("when", item.when)):
        if condition is None:
            continue
        finding = condition.evaluate(call, scope)
        steps.append(Step(question, finding))
        signs = finding.faint if finding.truth is False else finding.hits
        if not finding.truth and (question == "when" or finding.truth is None) and signs:
            done = _done_in_doubt(call, item, signs)
            if done is not None:
                steps.append(Step("pass", done))
                return "pass", done, signs
        if finding.truth is not True:
            return ("cannot_tell" if finding.truth is None else "not_applicable"), finding, ()
        if question == "when":
            trigger = finding.hits
    scope = Scope(trigger)
    exempt: Finding | None = None  # where it is in doubt whether the call is exempt
    if item.unless is not None:
        finding = item.unless.evaluate(call, scope)
        steps.append(Step("unless", finding))
        if finding.truth:
            return "not_applicable", finding, trigger
        if finding.truth is None:
            exempt = finding
    if item.fails is not None:
        finding = item.fails.evaluate(call, Scope(trigger, asking="forbidden"))
        steps.append(Step("fail", finding))
        if finding.truth is not False:
            return ("fail" if finding.truth else "cannot_tell"), finding, trigger
        if item.passes is None:
            return _passed_if_heard(call, finding, trigger)
    assert item.passes is not None
    finding = item.passes.evaluate(call, scope)
    steps.append(Step("pass", finding))
    if finding.truth is False:
        again = item.passes.evaluate(call, Scope(trigger, asking="misheard"))
        if again.truth is not False:
            finding = again
            steps.append(Step("misheard", finding))
    if finding.truth is False and exempt is not None:
        finding = exempt
    if finding.truth is None:
        return "cannot_tell", finding, trigger
    return ("pass" if finding.truth else "fail"), finding, trigger


def _done_in_doubt(call: Call, item: Item, trigger: tuple[Hit, ...]) -> Finding | None:
    """What was done after a trigger in doubt: that it was done speaks for the trigger."""
    scope = Scope(trigger)
    if item.passes is None or item.fails is not None:
        return None
    if item.unless is not None and item.unless.evaluate(call, scope).truth is not False:
        return None
    done = item.passes.evaluate(call, scope)
    return replace(done, note="its trigger is in doubt") if done.truth else None


def _passed_if_heard(
    call: Call, finding: Finding, trigger: tuple[Hit, ...]
) -> tuple[VerdictName, Finding, tuple[Hit, ...]]:
    """Nothing forbidden was found: a pass, unless nothing was heard at all."""
    well, confidence, note = call.heard(AGENT, ((float("-inf"), float("inf")),))
    if not well:
        return "cannot_tell", replace(finding, note=note, confidence=confidence), trigger
    return "pass", replace(finding, confidence=min(finding.confidence, confidence)), trigger


def _verdict(
    call: Call, item: Item, verdict: VerdictName, finding: Finding, trigger: tuple[Hit, ...]
) -> tuple[Verdict, Mapping[str, float]]:
    if verdict == "not_applicable" and item.seen:
        finding = _seen(call, item) or finding
    kind, hit = _evidence(call, item, verdict, finding, trigger)
    judged = verdict in ("pass", "fail")
    cause = next((h for h in finding.hits if h in trigger), trigger[0] if trigger else None)
    note = finding.note if verdict != "not_applicable" or kind == "seen" else ""
    place = place_of(item.passes) if kind == "omitted" else None
    if kind == "omitted":
        hit = cause
        if cause is None and place != "call" and finding.speaker is not None:
            hit = call.said_at(finding.speaker, finding.looked)  # said instead
        note = note or f"not found: {finding.rule}"
    moment = hit if kind != "omitted" else None
    record = item.record if verdict == "fail" else 0.0
    basis = features(call, kind, finding, cause, record) if judged else {}
    row = Verdict(
        item_id=item.id,
        source="rubric",
        verdict=verdict,
        score=(FULL_SCORE if verdict == "pass" else 0.0) if judged else None,
        max_score=FULL_SCORE if judged else None,
        weight=item.weight if item.scored else 0.0,
        speaker=hit.speaker if hit else None,
        start=moment.start if moment else None,
        end=moment.end if moment else None,
        quote=hit.quote if hit else None,
        matched=hit.matched if hit else None,
        confidence=round(finding.confidence, 3) if verdict != "not_applicable" else None,
        note=note or None,
        item_zh=item.name_zh,
        section=item.section,
        evidence=kind,
        place=place,
        trigger_start=cause.start if cause else None,
        trigger_end=cause.end if cause else None,
        probability=round(probability_right(basis, call.coefficients), 3) if judged else None,
    )
    return row, basis


def _evidence(
    call: Call, item: Item, verdict: VerdictName, finding: Finding, trigger: tuple[Hit, ...]
) -> tuple[EvidenceKind | None, Hit | None]:
    """What the evidence of a verdict is, and the strongest piece of it.

    A rule that something must be done fails by an omission, unless what was done or measured was
    the wrong thing (too long, too often); a rule that forbids passes without any evidence.
    """
    own = [h for h in finding.hits if h not in trigger]
    best = max(own, key=lambda h: h.confidence, default=None)
    if verdict == "not_applicable":
        return ("seen", best) if best is not None and finding.note == _SEEN else (None, None)
    by_omission = verdict == "fail" and finding.truth is False
    if by_omission and not any(h.kind != "said" for h in own) and not finding.wrong:
        return "omitted", None
    if verdict == "pass" and item.passes is None:
        return None, None
    if best is not None:
        return best.kind, best
    if trigger:
        return "trigger", next((h for h in finding.hits if h in trigger), trigger[0])
    if verdict == "cannot_tell" and finding.speaker is not None and finding.looked:
        unclear = call.said_at(finding.speaker, finding.looked)
        return ("said", unclear) if unclear else (None, None)
    return None, None


def _seen(call: Call, item: Item) -> Finding | None:
    """What the item asks for, done without its trigger."""
    said = next((c for c in conditions_in(item.passes) if isinstance(c, Says)), None)
    if said is None:
        return None
    found = said.model_copy(update={"place": ANYWHERE}).evaluate(call, Scope())
    return replace(found, note=_SEEN) if found.truth else None


def _trace_lines(finding: Finding, depth: int) -> list[str]:
    indent = "  " * depth
    truth = {True: "yes", False: "no", None: "cannot tell"}[finding.truth]
    where = ", ".join(
        f"{max(a, 0.0):.1f}-{'end' if b == float('inf') else f'{b:.1f}'} s"
        for a, b in finding.looked[:3]
    )
    out = [f"{indent}{truth}: {finding.rule or finding.note}"]
    out += [f"{indent}  looked at {where}"] if where else []
    out += [f"{indent}  {finding.note}"] if finding.note and finding.rule else []
    for hit in finding.hits[:4]:
        who = f"{hit.speaker} " if hit.speaker else ""
        quote = f"“{hit.quote}” " if hit.quote else ""
        out.append(
            f"{indent}  found {who}{hit.start:.1f}-{hit.end:.1f} s {quote}{hit.matched or ''}"
        )
    for part in finding.parts:
        out += _trace_lines(part, depth + 1)
    return out
