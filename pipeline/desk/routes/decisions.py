"""Reviews, appeals, examples, goals and notes: their pages, and the forms that add to them.

There are no accounts: who decides says so in the form, and a cookie remembers the name.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Form, Path, Request, Response
from fastapi.responses import RedirectResponse

from pipeline.desk import deciding, decisions
from pipeline.desk.audit import audit
from pipeline.desk.pages.goal import goal_page
from pipeline.desk.pages.reviews import item_page, next_waiting, reviews_page
from pipeline.desk.queries import decisions as queries
from pipeline.desk.refusals import Refused
from pipeline.desk.scope import NotFound
from pipeline.desk.view import View, as_person, keep_person, show, view_of
from pipeline.schema import Seconds

router = APIRouter(include_in_schema=False)
Text = Annotated[str, Form(max_length=2000)]


Number = Annotated[int, Path(ge=1, lt=2**31)]


def _back(view: View, back: str) -> Response:
    """Go back to where it shows."""
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
    """Judge an item and go on to the next that waits; refused where the machine's verdict has changed."""
    view = as_person(request, by)
    deciding.review(view, slug, item, verdict=verdict, why=why, seen=seen, note=note)
    if why not in ("sample", "doubtful"):
        return _back(view, f"/calls/{slug}/items/{item}")
    waiting = next_waiting(view, why)
    if waiting is None:
        return _back(view, f"/reviews?kind={why}")
    return _back(view, f"/calls/{waiting.slug}/items/{quote(waiting.item_id)}?why={why}")


@router.post("/calls/{slug}/items/{item}/appeals")
def appeal(
    request: Request, slug: str, item: str, by: Text, wanted: Text, reason: Text, second: Text = ""
) -> Response:
    """Ask for another verdict."""
    view, options = as_person(request, by), request.app.state.settings.desk
    deciding.appeal(view, options, slug, item, wanted=wanted, reason=reason, second=_clock(second))
    return _back(view, f"/calls/{slug}/items/{item}")


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
        raise Refused("second", "clock", value=text)
    return value


@router.post("/appeals/{appeal_id}/steps")
def step(request: Request, appeal_id: Number, by: Text, action: Text, note: Text = "") -> Response:
    """Answer an appeal, ask once more, or withdraw it."""
    view = as_person(request, by)
    _, slug, item = deciding.answer(view, appeal_id, action=action, note=note)
    return _back(view, f"/calls/{slug}/items/{item}")


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
    deciding.judged(view, call.call_id, item)
    if not start < end:
        raise Refused("example", "example")
    view.scope.decide(
        "examples",
        item_id=item,
        call_id=call.call_id,
        start=start,
        end=end,
        kind=decisions.one_of(kind, "kind", ("good", "bad")),
        text=decisions.text_of(text),
    )
    audit(view.scope, "example", call.call_id, item)
    return _back(view, f"/calls/{slug}/items/{item}")


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
    made = deciding.goal(
        view, slug, measure=measure, direction=direction, size=size, wait=wait, since=since
    )
    return _back(view, f"/goals/{made}")


@router.get("/goals/{goal_id}")
def one_goal(request: Request, goal_id: Number) -> Response:
    """One goal and its check."""
    view = view_of(request)
    return show(view, "goal.html", goal_page(view, goal_id))


@router.post("/goals/{goal_id}/steps")
def goal_step(
    request: Request, goal_id: Number, by: Text, action: Text, note: Text = ""
) -> Response:
    """End a goal, or wait for more calls."""
    view = as_person(request, by)
    row = view.scope.first(queries.goal(goal_id))
    if row is None:
        raise NotFound("error.no_goal")
    decisions.one_of(action, "action", ("end", "extend"))
    steps = view.scope.rows(queries.goal_steps(goal_id))
    if any(s.action == "end" for s in steps):
        raise Refused("goal_ended", "goal_ended")
    if action == "extend" and not (note.isdecimal() and 1 <= int(note) <= 1000):
        raise Refused("calls", "number", value=note, low=1, high=1000)
    view.scope.decide("goal_steps", goal_id=goal_id, action=action, note=decisions.text_of(note))
    audit(view.scope, "goal", row.agent_id, action)
    return _back(view, f"/goals/{goal_id}")


@router.post("/agents/{slug}/notes")
def note(request: Request, slug: str, by: Text, text: Text, audience: Text = "coach") -> Response:
    """Add a note, to the agent or for coaches only."""
    view = as_person(request, by)
    deciding.note(view, slug, text=text, audience=audience)
    return _back(view, f"/agents/{slug}#notes")
