"""One item of one call with all that was decided of it, and the queue of what waits for a decision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pipeline.desk import decisions
from pipeline.desk.judgements import doubtful
from pipeline.desk.pages.evidence import LONGEST_MOMENT_S, Evidence, Moment, evidence_of, verdict_of
from pipeline.desk.pages.figures import only
from pipeline.desk.queries import decisions as queries
from pipeline.desk.queries import judged
from pipeline.desk.refusals import Refused
from pipeline.desk.scope import NotFound, Scope, as_shown
from pipeline.desk.view import View
from pipeline.desk.words import Words
from pipeline.schema import Verdict
from pipeline.settings import Desk

KINDS = ("appeal", "sample", "doubtful", "stale")
QUEUE = 50
BESIDE = 2  # turns before and after
DRAWN = 10  # of each item and outcome, every week


@dataclass(frozen=True, slots=True)
class Decision:
    """One line of the history of an item."""

    at: str
    actor: str
    text: str
    note: str


@dataclass(frozen=True, slots=True)
class Appeal:
    """One appeal with its steps."""

    id: int
    at: str
    actor: str
    wanted: str
    reason: str
    second: str
    state: str
    allowed: tuple[str, ...]
    steps: tuple[Decision, ...]
    due: str
    is_late: bool
    by_others: str  # who does not answer, while it is open
    by: str  # the name in the form: of who looks, if they may answer


@dataclass(frozen=True, slots=True)
class Around:
    """A turn at or near what a verdict rests on."""

    moment: Moment
    who: str
    text: str
    is_here: bool


@dataclass(frozen=True, slots=True)
class ItemPage:
    """All that the page of one item of one call shows."""

    slug: str
    item: str
    name: str
    rule: str
    agent: str
    started: str
    is_blind: bool
    kind: str
    machine: str
    verdict: str
    source: str
    is_stale: bool
    evidence: Evidence
    around: tuple[Around, ...]
    reviews: tuple[Decision, ...]
    appeals: tuple[Appeal, ...]
    has_open_appeal: bool
    by: str
    verdicts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """One line of the queue."""

    slug: str
    item: str
    name: str
    agent: str
    started: str
    text: str
    is_late: bool


@dataclass(frozen=True, slots=True)
class ReviewsPage:
    """The queue of one kind, and how many wait of each."""

    kind: str
    kinds: tuple[str, ...]
    waiting: tuple[Waiting, ...]
    agreement: tuple[tuple[str, str, int], ...]  # item, share, of how many blind reviews


def item_page(view: View, slug: str, item_id: str, options: Desk) -> ItemPage:
    """Gather the page of one item of one call.

    Raises
    ------
    NotFound
        If there is no such call or verdict, or it is not visible.
    """
    only(view, "why")
    words, scope = view.words, view.scope
    call = scope.call(slug)
    row = scope.first(queries.judged(call.call_id, item_id))
    if row is None:
        raise NotFound("error.no_item")
    kind = decisions.one_of(dict(view.query).get("why") or "chosen", "why", decisions.WHYS)
    reviews = scope.rows(queries.reviews_of(call.call_id, item_id))
    force = decisions.in_force(row.verdict, reviews)
    outline = scope.document("rubrics", call.rubric_hash) or {}
    item = next((i for i in outline.get("items", ()) if i["id"] == item_id), None)
    appeals = tuple(_appeals(view, call.call_id, item_id, options))
    shown = as_shown(verdict_of(row), scope.hidden([call.call_id]).get(call.call_id, ()))
    return ItemPage(
        slug=slug,
        item=item_id,
        name=words.pick(**item["name"]) if item else item_id,
        rule=words.pick(**item["description"]) if item else "",
        agent=call.agent_name or call.agent_id or words("call.no_agent"),
        started=words.started(call.started_at),
        is_blind=kind == "sample",
        kind=kind,
        machine=row.verdict,
        verdict=force.verdict,
        source=force.source,
        is_stale=force.is_stale,
        evidence=evidence_of(shown, item, words),
        around=() if kind == "sample" else tuple(_around(view, call.call_id, shown)),
        reviews=tuple(_review(r, words) for r in reviews),
        appeals=appeals,
        has_open_appeal=any(a.state in decisions.OPEN for a in appeals),
        by=view.scope.viewer,
        verdicts=decisions.VERDICTS,
    )


def _around(view: View, call_id: str, shown: Verdict) -> Iterator[Around]:
    """The turns where the evidence is, or what something was missing after or instead; and those beside."""
    result = view.scope.result(call_id)
    turns = sorted(result.turns, key=lambda turn: turn.start) if result else []
    start, end = shown.start, shown.end
    if shown.trigger_start is not None:
        start, end = shown.trigger_start, shown.trigger_end
    if start is None:
        here = [n for n, t in enumerate(turns) if shown.quote and shown.quote in t.text][:1]
    else:
        end = start if end is None else end
        here = [n for n, t in enumerate(turns) if t.start < end + 0.05 and t.end > start - 0.05]
    if not here or (start is not None and end is not None and end - start > LONGEST_MOMENT_S):
        return
    for n in range(max(0, here[0] - BESIDE), min(len(turns), here[-1] + BESIDE + 1)):
        turn, words = turns[n], view.words
        moment = Moment(turn.start, turn.end, words.clock(turn.start))
        text = turn.text or words("call.no_words")
        yield Around(moment, words.who(turn.speaker), text, n in here)


def _review(row: Any, words: Words) -> Decision:
    text = words(
        "review.line",
        verdict=words(f"verdict.{row.verdict}"),
        seen=words(f"verdict.{row.seen_verdict}"),
        why=words(f"review.why.{row.why}"),
    )
    return Decision(words.at(row.at), row.actor, text, row.note or "")


def _appeals(view: View, call_id: str, item_id: str, options: Desk) -> Iterator[Appeal]:
    scope, words = view.scope, view.words
    for row in scope.rows(queries.appeals_of(call_id, item_id)):
        steps = scope.rows(queries.steps_of(row.id))
        state = decisions.state_of(steps)
        until = decisions.due(words.local(steps[-1].at if steps else row.at), options.answer_days)
        yield Appeal(
            id=row.id,
            at=words.at(row.at),
            actor=row.actor,
            wanted=words(f"verdict.{row.wanted}"),
            reason=row.reason,
            second="" if row.second is None else words.clock(row.second),
            state=state,
            allowed=decisions.allowed(steps),
            steps=tuple(
                Decision(words.at(s.at), s.actor, words(f"appeal.did.{s.action}"), s.note or "")
                for s in steps
            ),
            due=f"{until:%Y-%m-%d}",
            is_late=state in decisions.OPEN and datetime.now(UTC) > until,
            by_others=words("appeal.by_others", askers=row.actor)
            if state in decisions.OPEN
            else "",
            by="" if decisions.name_of(view.by) in decisions.askers(row.actor, steps) else view.by,
        )


def reviews_page(view: View, options: Desk) -> ReviewsPage:
    """Gather the queue.

    Raises
    ------
    ParameterError
        If the kind is none.
    """
    only(view, "kind")
    kind = dict(view.query).get("kind") or KINDS[0]
    if kind not in KINDS:
        raise Refused("value", name="kind", value=kind, given=kind, allowed=KINDS)
    names = _names(view)
    if kind == "appeal":
        found = tuple(_open_appeals(view, names, options))
    elif kind == "sample":
        found = tuple(_line(view, r, names, "") for r in _sample(view))[:QUEUE]
    else:
        rows = (
            view.scope.rows(view.scope.calls(queries.stale(QUEUE)))
            if kind == "stale"
            else doubtful(view.scope, QUEUE)
        )
        found = tuple(_line(view, r, names, view.words(f"verdict.{r.verdict}")) for r in rows)
    agreed = []
    for item, (same, n) in sorted(agreement_by_item(view.scope).items()):
        agreed.append((names.get(item, item), view.words.percent(same / n), n))
    return ReviewsPage(kind, KINDS, found, tuple(agreed))


def agreement_by_item(scope: Scope) -> dict[str, tuple[int, int]]:
    """Of each item, how many blind reviews agree with the machine, and of how many."""
    pairs: dict[str, list[tuple[str, str]]] = {}
    for row in scope.rows(queries.blind_reviews()):
        pairs.setdefault(row.item_id, []).append((row.verdict, row.seen_verdict))
    found = {item: decisions.agreement(of_item) for item, of_item in pairs.items()}
    return {item: counts for item, counts in found.items() if counts[1]}


def _names(view: View) -> dict[str, str]:
    found: dict[str, str] = {}
    for outline in view.scope.documents("rubrics"):
        found |= {i["id"]: view.words.pick(**i["name"]) for i in outline["items"]}
    return found


def _line(view: View, row: Any, names: Mapping[str, str], text: str) -> Waiting:
    agent = row.agent_name or row.agent_id or view.words("call.no_agent")
    name = names.get(row.item_id, row.item_id)
    return Waiting(
        row.slug, row.item_id, name, agent, view.words.started(row.started_at), text, False
    )


def _open_appeals(view: View, names: Mapping[str, str], options: Desk) -> Iterator[Waiting]:
    """Those that are late lead."""
    now = datetime.now(UTC)
    for row in view.scope.rows(view.scope.calls(queries.open_appeals(QUEUE))):
        until = decisions.due(view.words.local(row.asked), options.answer_days)
        text = view.words(
            "appeal.due", wanted=view.words(f"verdict.{row.wanted}"), due=f"{until:%m-%d}"
        )
        line = _line(view, row, names, text)
        yield Waiting(
            line.slug, line.item, line.name, line.agent, line.started, line.text, now > until
        )


def next_waiting(view: View, kind: str) -> Any | None:
    """What waits first for a review of this kind, if anything: its slug and item."""
    found = _sample(view) if kind == "sample" else doubtful(view.scope, 1)
    return found[0] if found else None


def _sample(view: View) -> list[Any]:
    """What was drawn of the newest week and nobody judged blind yet."""
    week = view.figures.known(view.scope, "newest week", queries.newest_week())[0][0]
    if week is None:
        return []
    done = {(r.call_id, r.item_id) for r in view.scope.rows(judged.reviewed_of(None, blind=True))}
    drawn = view.figures.drawn(view.scope, week, DRAWN)
    return [one for one in drawn if (one.call_id, one.item_id) not in done]
