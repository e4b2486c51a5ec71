"""What people decide at the desk, by form or by program: checked, written down, audited.

Each function checks what is asked, adds the rows, notes it in the audit, and gives the id of the row.
"""

from __future__ import annotations

from typing import Any

from pipeline.desk import decisions
from pipeline.desk.audit import audit
from pipeline.desk.pages.agent import agent_of
from pipeline.desk.pages.goal import set_goal
from pipeline.desk.queries import decisions as queries
from pipeline.desk.refusals import RefusedNow
from pipeline.desk.scope import NotFound
from pipeline.desk.view import View
from pipeline.schema import Seconds
from pipeline.settings import Desk
from pipeline.store import slug_of


def judged(view: View, call_id: str, item: str) -> Any:
    """The machine's verdict on an item of a call.

    Raises
    ------
    NotFound
        If there is none.
    """
    row = view.scope.first(queries.judged(call_id, item))
    if row is None:
        raise NotFound("error.no_item")
    return row


def review(
    view: View, slug: str, item: str, *, verdict: str, why: str, seen: str, note: str
) -> int:
    """Judge an item.

    Raises
    ------
    Conflict
        If the machine's verdict is no longer the one that was ``seen``.
    """
    call = view.scope.call(slug)
    row = judged(view, call.call_id, item)
    decisions.one_of(why, "why", decisions.WHYS)
    decisions.one_of(verdict, "verdict", decisions.VERDICTS)
    if seen and seen != row.verdict:
        raise RefusedNow("verdict_changed", "verdict_changed")
    values = _review(call, row, why, verdict, decisions.text_of(note))
    made = view.scope.decide("reviews", **values)
    audit(view.scope, "review", call.call_id, f"{item}: {verdict}")
    return made


def _review(
    call: Any, row: Any, why: str, verdict: str, note: str
) -> dict[str, str | float | None]:
    return {
        "call_id": call.call_id,
        "item_id": row.item_id,
        "why": why,
        "verdict": verdict,
        "note": note,
        "seen_verdict": row.verdict,
        "seen_rubric": call.rubric_hash,
        "seen_start": row.start,
    }


def appeal(
    view: View,
    options: Desk,
    slug: str,
    item: str,
    *,
    wanted: str,
    reason: str,
    second: Seconds | None,
) -> int:
    """Ask for another verdict."""
    scope, call = view.scope, view.scope.call(slug)
    row = judged(view, call.call_id, item)
    force = decisions.in_force(row.verdict, scope.rows(queries.reviews_of(call.call_id, item)))
    earlier = [
        scope.rows(queries.steps_of(a.id))
        for a in scope.rows(queries.appeals_of(call.call_id, item))
    ]
    published = scope.rows(queries.published(call.call_id))[0].saved_at
    decisions.check_appeal(
        earlier, wanted, force.verdict, reason, view.words.local(published), options.appeal_days
    )
    made = scope.decide(
        "appeals",
        call_id=call.call_id,
        item_id=item,
        wanted=wanted,
        reason=decisions.text_of(reason, decisions.LEAST_REASON),
        second=second,
    )
    audit(scope, "appeal", call.call_id, f"{item}: {wanted}")
    return made


def answer(view: View, appeal_id: int, *, action: str, note: str) -> tuple[int, str, str]:
    """Answer an appeal, ask once more, or withdraw it; gives the id, the call's slug and the item."""
    scope = view.scope
    asked = scope.first(queries.appeal(appeal_id))
    if asked is None:
        raise NotFound("error.no_appeal")
    call = scope.call(slug_of(asked.call_id))
    steps = scope.rows(queries.steps_of(appeal_id))
    done = decisions.check_step(steps, action, scope.viewer, asked.actor)
    text = decisions.text_of(note, 0 if done == "withdraw" else decisions.LEAST_REASON)
    row = judged(view, call.call_id, asked.item_id)
    reviews = scope.rows(queries.reviews_of(call.call_id, asked.item_id))
    force = decisions.in_force(row.verdict, reviews)
    verdict = asked.wanted if done == "change" else force.verdict
    step = {"appeal_id": appeal_id, "action": done, "verdict": verdict, "note": text}
    rows: list[tuple[str, dict[str, str | float | None]]] = [("appeal_steps", {**step})]
    if done in ("change", "keep"):
        rows.insert(0, ("reviews", _review(call, row, "appeal", verdict, text)))
    made = scope.decide_together(rows)
    audit(scope, "answer", call.call_id, f"{asked.item_id}: {done}")
    return made, call.slug, asked.item_id


def goal(
    view: View, slug: str, *, measure: str, direction: str, size: str, wait: str, since: str
) -> int:
    """Write down one thing to change."""
    agent = agent_of(view, slug)
    made = set_goal(view, agent, measure, direction, size, wait, since)
    audit(view.scope, "goal", agent, f"{measure}: {direction}")
    return made


def note(view: View, slug: str, *, text: str, audience: str) -> int:
    """Add a note, to the agent or for coaches only."""
    agent = agent_of(view, slug)
    made = view.scope.decide(
        "notes",
        agent_id=agent,
        audience=decisions.one_of(audience, "audience", ("agent", "coach")),
        text=decisions.text_of(text, 1),
        call_id=None,
        second=None,
    )
    audit(view.scope, "note", agent, audience)
    return made
