"""Reviews, appeals, examples, goals and notes: their pages, and the forms that add to them.

There are no accounts: who decides says so in the form, and a cookie remembers the name.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from pipeline.desk import decisions
from pipeline.desk.audit import Action, audit
from pipeline.desk.pages.agent import agent_of
from pipeline.desk.pages.goal import goal_page, set_goal
from pipeline.desk.pages.reviews import item_page, reviews_page
from pipeline.desk.queries import decisions as queries
from pipeline.desk.scope import NotFound
from pipeline.desk.view import View, as_person, keep_person, show, view_of
from pipeline.errors import ParameterError
from pipeline.schema import Seconds
from pipeline.store import slug_of

router = APIRouter(include_in_schema=False)
Text = Annotated[str, Form(max_length=2000)]


def _done(view: View, action: Action, about: str, detail: str, back: str) -> Response:
    """Note what was done and go back to where it shows."""
    audit(view.scope, action, about, detail)
    answer = RedirectResponse(back, 303)
    keep_person(view, answer)
    return answer


@router.get("/reviews")
def reviews(request: Request) -> Response:
    """What waits for a review."""
    view = view_of(request)
    return show(view, "reviews.html", reviews_page(view, request.app.state.settings.desk))


@router.get("/calls/{slug}/items/{item}")
def item(request: Request, slug: str, item: str) -> Response:
    """One verdict, its reviews and appeals."""
    view = view_of(request)
    page = item_page(view, slug, item, request.app.state.settings.desk)
    return show(view, "item.html", page)


@router.post("/calls/{slug}/items/{item}/reviews")
def review(
    request: Request,
    slug: str,
    item: str,
    by: Text,
    verdict: Text,
    why: Text = "chosen",
    seen: Text = "",
    note: Text = "",
) -> Response:
    """Judge an item; refused where the machine's verdict is no longer the one that was seen."""
    view = as_person(request, by)
    call = view.scope.call(slug)
    row = _judged(view, call.call_id, item)
    if seen and seen != row.verdict:
        raise ParameterError("The verdict has changed since.", "Look at it again, then judge.")
    decisions.one_of(why, "why", decisions.WHYS)
    decisions.one_of(verdict, "verdict", decisions.VERDICTS)
    _review(view, call, row, why, verdict, decisions.text_of(note))
    back = f"/calls/{slug}/items/{item}" if why != "sample" else "/reviews?kind=sample"
    return _done(view, "review", call.call_id, f"{item}: {verdict}", back)


def _judged(view: View, call_id: str, item: str) -> Any:
    row = view.scope.first(queries.judged(call_id, item))
    if row is None:
        raise NotFound("error.no_item")
    return row


def _review(view: View, call: Any, row: Any, why: str, verdict: str, note: str) -> None:
    view.scope.decide(
        "reviews",
        call_id=call.call_id,
        item_id=row.item_id,
        why=why,
        verdict=verdict,
        note=note,
        seen_verdict=row.verdict,
        seen_rubric=call.rubric_hash,
        seen_start=row.start,
    )


@router.post("/calls/{slug}/items/{item}/appeals")
def appeal(
    request: Request, slug: str, item: str, by: Text, wanted: Text, reason: Text, second: Text = ""
) -> Response:
    """Ask for another verdict."""
    view = as_person(request, by)
    scope, call = view.scope, view.scope.call(slug)
    row = _judged(view, call.call_id, item)
    force = decisions.in_force(
        row.verdict,
        scope.rows(queries.reviews_of(call.call_id, item)),
    )
    earlier = [
        scope.rows(queries.steps_of(a.id))
        for a in scope.rows(queries.appeals_of(call.call_id, item))
    ]
    published = scope.rows(queries.published(call.call_id))[0].saved_at
    days = request.app.state.settings.desk.appeal_days
    decisions.check_appeal(earlier, wanted, force.verdict, reason, published, days)
    at = _clock(second)
    scope.decide(
        "appeals",
        call_id=call.call_id,
        item_id=item,
        wanted=wanted,
        reason=decisions.text_of(reason, decisions.LEAST_REASON),
        second=at,
    )
    back = f"/calls/{slug}/items/{item}"
    return _done(view, "appeal", call.call_id, f"{item}: {wanted}", back)


def _clock(text: str) -> Seconds | None:
    """Seconds of ``83.2`` or ``1:23``."""
    if not text.strip():
        return None
    minutes, _, seconds = text.strip().rpartition(":")
    try:
        value = 60 * float(minutes or 0) + float(seconds)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise ParameterError(f'"{text}" is no second of a call.', "Write it as 1:23 or 83.2.")
    return value


@router.post("/appeals/{appeal_id}/steps")
def step(request: Request, appeal_id: int, by: Text, action: Text, note: Text = "") -> Response:
    """Answer an appeal, ask once more, or withdraw it."""
    view = as_person(request, by)
    scope = view.scope
    asked = scope.first(queries.appeal(appeal_id))
    if asked is None:
        raise NotFound("error.no_item")
    call = scope.call(slug_of(asked.call_id))
    steps = scope.rows(queries.steps_of(appeal_id))
    done = decisions.check_step(steps, action, scope.viewer)
    text = decisions.text_of(note, 0 if done == "withdraw" else decisions.LEAST_REASON)
    row = _judged(view, call.call_id, asked.item_id)
    force = decisions.in_force(
        row.verdict,
        scope.rows(queries.reviews_of(call.call_id, asked.item_id)),
    )
    verdict = asked.wanted if done == "change" else force.verdict
    if done in ("change", "keep"):
        _review(view, call, row, "appeal", verdict, text)
    scope.decide("appeal_steps", appeal_id=appeal_id, action=done, verdict=verdict, note=text)
    back = f"/calls/{call.slug}/items/{asked.item_id}"
    return _done(view, "answer", call.call_id, f"{asked.item_id}: {done}", back)


@router.post("/calls/{slug}/items/{item}/examples")
def example(
    request: Request,
    slug: str,
    item: str,
    by: Text,
    start: Annotated[Seconds, Form(ge=0)],
    end: Annotated[Seconds, Form(ge=0)],
    kind: Text,
    text: Text = "",
) -> Response:
    """Keep a stretch as a good or a bad example of an item."""
    view = as_person(request, by)
    call = view.scope.call(slug)
    _judged(view, call.call_id, item)
    if not start < end:
        raise ParameterError("An example ends after it starts.", "Choose a later end.")
    view.scope.decide(
        "examples",
        item_id=item,
        call_id=call.call_id,
        start=start,
        end=end,
        kind=decisions.one_of(kind, "kind", ("good", "bad")),
        text=decisions.text_of(text),
    )
    return _done(view, "example", call.call_id, item, f"/calls/{slug}/items/{item}")


@router.post("/agents/{slug}/goals")
def goal(
    request: Request,
    slug: str,
    by: Text,
    measure: Text,
    direction: Text,
    size: Text = "",
    wait: Text = "",
    since: Text = "",
) -> Response:
    """Write down one thing to change."""
    view = as_person(request, by)
    agent = agent_of(view, slug)
    made = set_goal(view, agent, measure, direction, size, wait, since)
    return _done(view, "goal", agent, f"{measure}: {direction}", f"/goals/{made}")


@router.get("/goals/{goal_id}")
def one_goal(request: Request, goal_id: int) -> Response:
    """One goal and its check."""
    view = view_of(request)
    return show(view, "goal.html", goal_page(view, goal_id))


@router.post("/goals/{goal_id}/steps")
def goal_step(request: Request, goal_id: int, by: Text, action: Text, note: Text = "") -> Response:
    """End a goal, or wait for more calls."""
    view = as_person(request, by)
    row = view.scope.first(queries.goal(goal_id))
    if row is None:
        raise NotFound("error.no_goal")
    decisions.one_of(action, "action", ("end", "extend"))
    steps = view.scope.rows(queries.goal_steps(goal_id))
    if any(s.action == "end" for s in steps):
        raise ParameterError("This goal has ended.", "Set a new one on the agent's page.")
    if action == "extend" and not (note.isdecimal() and 1 <= int(note) <= 1000):
        raise ParameterError(f'"{note}" is no number of calls.', "Write 1 to 1000.")
    view.scope.decide("goal_steps", goal_id=goal_id, action=action, note=decisions.text_of(note))
    return _done(view, "goal", row.agent_id, action, f"/goals/{goal_id}")


@router.post("/agents/{slug}/notes")
def note(request: Request, slug: str, by: Text, text: Text, audience: Text = "coach") -> Response:
    """Add a note, to the agent or for coaches only."""
    view = as_person(request, by)
    agent = agent_of(view, slug)
    view.scope.decide(
        "notes",
        agent_id=agent,
        audience=decisions.one_of(audience, "audience", ("agent", "coach")),
        text=decisions.text_of(text, 1),
        call_id=None,
        second=None,
    )
    return _done(view, "note", agent, audience, f"/agents/{slug}#notes")
