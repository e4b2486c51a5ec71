"""The JSON API of what people decide, of search, runs and failures.

Conventions
-----------
Lists are the newest first and go on by ``next``. A change is a POST of ``application/json`` with ``by``, the
name of who decides, as there are no accounts; it answers 201 with the row. With an ``Idempotency-Key``
the same request decides once, however often it comes, and is answered alike; the same key with another
request is a 409. A 409 also says that what was seen is no longer so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from pipeline.desk import deciding, decisions
from pipeline.desk.pages.search import HITS, find, number_of
from pipeline.desk.queries import decisions as queries
from pipeline.desk.queries import rubric as batch_queries
from pipeline.desk.queries.filters import Filters
from pipeline.desk.routes.api import MOST_ROWS, PROBLEM, Listed, One, Text, fresh, known_filters
from pipeline.desk.scope import Scope
from pipeline.desk.view import View, as_person, view_of
from pipeline.errors import ParameterError
from pipeline.store import Once

router = APIRouter(
    prefix="/api/v1",
    dependencies=[Depends(known_filters)],
    responses={
        304: {"description": "Unchanged"},
        400: PROBLEM,
        403: PROBLEM,
        404: PROBLEM,
        421: PROBLEM,
        503: PROBLEM,
    },
)
CHANGE: dict[int | str, dict[str, Any]] = {409: PROBLEM}
Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=200)]
After = Annotated[str | None, Query(max_length=300, description="`next` of the part before")]
Limit = Annotated[int, Query(ge=1, le=MOST_ROWS)]
AppealId = Annotated[int, Path(ge=1, lt=2**31)]
VerdictName = Literal["pass", "fail", "not_applicable", "cannot_tell"]
Who = Annotated[str, Field(min_length=1, max_length=60, description="who decides")]


class _Change(BaseModel):
    model_config = ConfigDict(extra="forbid")

    by: Who


class Review(_Change):
    """A verdict of a person; ``seen`` is the machine's that was looked at."""

    verdict: VerdictName
    why: Literal["sample", "appeal", "doubtful", "chosen"] = "chosen"
    seen: VerdictName | None = None
    note: Annotated[str, Field(max_length=500)] = ""


class Appeal(_Change):
    """A wish for another verdict, with its reason."""

    wanted: VerdictName
    reason: Annotated[str, Field(max_length=500)]
    second: Annotated[float | None, Field(ge=0, lt=1e6, allow_inf_nan=False)] = None


class Answer(_Change):
    """A step of an appeal: change, keep, again, withdraw."""

    action: Literal["change", "keep", "again", "withdraw"]
    note: Annotated[str, Field(max_length=500)] = ""


class Goal(_Change):
    """One thing to change; ``size`` in the unit of the measure, the least that matters unless given."""

    measure: Annotated[str, Field(max_length=300)]
    direction: Literal["more", "less"]
    size: Annotated[float | None, Field(gt=0, lt=1e6, allow_inf_nan=False)] = None
    wait_calls: Annotated[int | None, Field(ge=1, le=1000)] = None
    since: Annotated[str, Field(max_length=10, examples=["2026-03-02"])] = ""


class Note(_Change):
    """A note on an agent, to them or for coaches only."""

    text: Annotated[str, Field(max_length=500)]
    audience: Literal["agent", "coach"] = "coach"


# --- what was decided --------------------------------------------------------------------------------


@router.get("/reviews", response_model=Listed)
def reviews(
    request: Request,
    agent: Text = None,
    item: Text = None,
    why: Literal["sample", "appeal", "doubtful", "chosen"] | None = None,
    after: After = None,
    limit: Limit = 100,
) -> Response:
    """Verdicts of people, with what they saw of the machine's."""
    equal = {"agent_id": agent, "item_id": item, "why": why}
    return fresh(request, lambda: _rows(request, "reviews", after, limit, equal))


@router.get("/appeals", response_model=Listed)
def appeals(
    request: Request,
    agent: Text = None,
    item: Text = None,
    after: After = None,
    limit: Limit = 100,
) -> Response:
    """Appeals with their state and steps."""
    scope = view_of(request).scope

    def build() -> dict[str, Any]:
        found = _rows(request, "appeals", after, limit, {"agent_id": agent, "item_id": item})
        steps: dict[int, list[Any]] = {row["id"]: [] for row in found["data"]}
        for step in scope.rows(queries.steps_of_all(list(steps))):
            steps[step.appeal_id].append(step)
        for row in found["data"]:
            of_appeal = steps[row["id"]]
            row["state"] = decisions.state_of(of_appeal)
            row["steps"] = [step._asdict() for step in of_appeal]
        return found

    return fresh(request, build)


@router.get("/goals", response_model=Listed)
def goals(
    request: Request, agent: Text = None, after: After = None, limit: Limit = 100
) -> Response:
    """Goals with the baseline that was frozen."""

    def build() -> dict[str, Any]:
        found = _rows(request, "goals", after, limit, {"agent_id": agent})
        for row in found["data"]:
            row["baseline"] = json.loads(row["baseline"] or "null")
        return found

    return fresh(request, build)


@router.get("/notes", response_model=Listed)
def notes(
    request: Request, agent: Text = None, after: After = None, limit: Limit = 100
) -> Response:
    """Notes on agents."""
    return fresh(request, lambda: _rows(request, "notes", after, limit, {"agent_id": agent}))


@router.get("/examples", response_model=Listed)
def examples(
    request: Request, item: Text = None, after: After = None, limit: Limit = 100
) -> Response:
    """Stretches of calls that were kept as good or bad examples."""
    return fresh(request, lambda: _rows(request, "examples", after, limit, {"item_id": item}))


def _rows(
    request: Request,
    table: str,
    after: str | None,
    limit: int,
    equal: Mapping[str, str | None],
) -> dict[str, Any]:
    scope = view_of(request).scope
    query = queries.listed(table, number_of(after), limit, equal)
    rows = scope.rows(scope.calls(query))
    data = [row._asdict() for row in rows[:limit]]
    return _part(data, after, data[-1]["id"] if len(rows) > limit else None)


def _part(data: list[dict[str, Any]], after: str | None, last: object) -> dict[str, Any]:
    """A part of a list after a place, of which only what is here was counted."""
    more = None if last is None else str(last)
    is_all = after is None and last is None
    return {"data": data, "next": more, "count": len(data), "count_is_exact": is_all}


# --- decisions ---------------------------------------------------------------------------------------


@router.post(
    "/calls/{slug}/items/{item}/reviews", response_model=One, status_code=201, responses=CHANGE
)
def review(request: Request, slug: str, item: str, asked: Review, key: Key = None) -> Response:
    """Judge an item; 409 where the machine's verdict is no longer the one that was ``seen``."""

    def decide(view: View) -> tuple[str, int]:
        made = deciding.review(
            view, slug, item, verdict=asked.verdict, why=asked.why, seen=asked.seen or "",
            note=asked.note,
        )  # fmt: skip
        return "reviews", made

    return _decided(request, asked, key, decide)


@router.post(
    "/calls/{slug}/items/{item}/appeals", response_model=One, status_code=201, responses=CHANGE
)
def appeal(request: Request, slug: str, item: str, asked: Appeal, key: Key = None) -> Response:
    """Ask for another verdict; 409 where one is asked for already."""
    options = request.app.state.settings.desk

    def decide(view: View) -> tuple[str, int]:
        made = deciding.appeal(
            view, options, slug, item, wanted=asked.wanted, reason=asked.reason, second=asked.second
        )
        return "appeals", made

    return _decided(request, asked, key, decide)


@router.post("/appeals/{appeal_id}/answers", response_model=One, status_code=201, responses=CHANGE)
def answer(request: Request, appeal_id: AppealId, asked: Answer, key: Key = None) -> Response:
    """Answer an appeal, ask once more, or withdraw it; 409 where that is not its turn."""

    def decide(view: View) -> tuple[str, int]:
        made, _, _ = deciding.answer(view, appeal_id, action=asked.action, note=asked.note)
        return "appeal_steps", made

    return _decided(request, asked, key, decide)


@router.post("/agents/{slug}/goals", response_model=One, status_code=201, responses=CHANGE)
def goal(request: Request, slug: str, asked: Goal, key: Key = None) -> Response:
    """Write down one thing to change; 409 where a goal is active."""

    def decide(view: View) -> tuple[str, int]:
        made = deciding.goal(
            view,
            slug,
            measure=asked.measure,
            direction=asked.direction,
            size="" if asked.size is None else repr(asked.size),
            wait="" if asked.wait_calls is None else str(asked.wait_calls),
            since=asked.since,
        )
        return "goals", made

    return _decided(request, asked, key, decide)


@router.post("/agents/{slug}/notes", response_model=One, status_code=201, responses=CHANGE)
def note(request: Request, slug: str, asked: Note, key: Key = None) -> Response:
    """Add a note."""

    def decide(view: View) -> tuple[str, int]:
        return "notes", deciding.note(view, slug, text=asked.text, audience=asked.audience)

    return _decided(request, asked, key, decide)


def _decided(
    request: Request, asked: _Change, key: str | None, decide: Callable[[View], tuple[str, int]]
) -> Response:
    """The row that was decided, now or when this very request came before."""
    once = None
    if key is not None:
        said = f"{request.method} {request.url.path}\n{asked.model_dump_json()}"
        once = Once(key, hashlib.sha256(said.encode()).hexdigest())
    view = as_person(request, asked.by, once)
    table, made = view.scope.decided() or decide(view)
    row = view.scope.rows(queries.decided(table, made))[0]._asdict()
    if "baseline" in row:
        row["baseline"] = json.loads(row["baseline"] or "null")
    return JSONResponse({"data": row}, 201)


# --- search, runs, failures --------------------------------------------------------------------------


@router.get("/search", response_model=Listed)
def search(
    request: Request,
    q: Annotated[str, Query(min_length=2, max_length=120, examples=["没有办法"])],
    who: Literal["agent", "customer"] | None = None,
    by: Literal["words", "sound"] = "words",
    agent: Text = None,
    team: Text = None,
    since: Annotated[str | None, Query(alias="from", max_length=30)] = None,
    until: Annotated[str | None, Query(alias="to", max_length=30)] = None,
    direction: Text = None,
    queue: Text = None,
    after: After = None,
    limit: Annotated[int, Query(ge=1, le=HITS)] = HITS,
) -> Response:
    """Turns in which something was said, by call, those of the newest calls first.

    A part holds whole calls: it may have some more rows than ``limit``. ``stretches`` are where in ``text``.
    """
    asked = {k: v for k, v in request.query_params.items() if k not in ("q", "who", "by", "after")}
    filters, scope = Filters.of(asked), view_of(request).scope

    def build() -> dict[str, Any]:
        found = list(
            find(scope, q, speaker=who, by=by, filters=filters, before=number_of(after), most=limit)
        )
        data = [
            {
                "call_id": one.call.call_id,
                "slug": one.call.slug,
                "started_at": one.call.started_at,
                "agent_id": one.call.agent_id,
                "turn": one.turn,
                "speaker": one.speaker,
                "start": one.start,
                "end": one.end,
                "text": one.text,
                "stretches": [list(s) for s in one.stretches],
            }
            for one in found
        ]
        return _part(data, after, found[-1].doc if len(found) >= limit else None)

    return fresh(request, build)


@router.get("/runs", response_model=Listed)
def runs(request: Request, after: After = None, limit: Limit = 100) -> Response:
    """Runs of analyze, and how far they are."""
    scope = view_of(request).scope

    def build() -> dict[str, Any]:
        rows = scope.rows(batch_queries.runs(limit + 1, number_of(after)))
        data = [row._asdict() for row in rows[:limit]]
        return _part(data, after, data[-1]["run"] if len(rows) > limit else None)

    return fresh(request, build)


@router.get("/failures", response_model=Listed)
def failures(request: Request, after: After = None, limit: Limit = 100) -> Response:
    """Recordings that failed, by call id, with what to do; ``limit`` counts calls."""
    scope = view_of(request).scope

    def build() -> dict[str, Any]:
        return _failures(scope, after, limit)

    return fresh(request, build)


def _failures(scope: Scope, after: str | None, limit: int) -> dict[str, Any]:
    if after is not None and "\0" in after:
        raise ParameterError("after is no place in this list.", "Begin at its start.")
    ids = [call_id for (call_id,) in scope.rows(batch_queries.failed_calls(after, limit))]
    rows = scope.rows(batch_queries.failures_of(ids[:limit]))
    more = ids[limit - 1] if len(ids) > limit else None
    return _part([row._asdict() for row in rows], after, more)
