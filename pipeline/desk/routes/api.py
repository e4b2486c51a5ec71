"""The JSON API ``/api/v1``: what the tables hold, by the filters of the pages, for programs.

What people decide and what is found is in :mod:`pipeline.desk.routes.api_decisions`.

Conventions
-----------
Column names are those of the exported tables; missing is null, times are seconds. Within v1 columns
are added, never renamed. A list goes on by ``next``; as ``text/csv`` or ``application/x-ndjson`` it
comes whole. ``ETag`` names the state of the store: an unchanged answer is a 304. Errors are
``application/problem+json`` (RFC 9457) with the words of the command line. The path of a recording is
no column here.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel

from pipeline.agents import MIN_CALLS
from pipeline.desk import decisions
from pipeline.desk.audit import audit
from pipeline.desk.figures import Weeks
from pipeline.desk.pages.agent_data import agent_rows, chosen_measures
from pipeline.desk.pages.evidence import verdict_of
from pipeline.desk.pages.figures import check_names
from pipeline.desk.pages.methods import measure_data
from pipeline.desk.queries import calls as call_queries
from pipeline.desk.queries import decisions as decided
from pipeline.desk.queries import methods as method_queries
from pipeline.desk.queries import parts
from pipeline.desk.queries.filters import Filters
from pipeline.desk.scope import NotFound, Scope, as_shown
from pipeline.desk.view import view_of
from pipeline.errors import ParameterError, nearest
from pipeline.store import columns_of

MOST_ROWS = 1000
STREAMED = ("text/csv", "application/x-ndjson")
HIDDEN = ("path",)
CALL_COLUMNS = tuple(c.name for c in columns_of("calls") if c.name not in HIDDEN)


class Problem(BaseModel):
    """What went wrong (RFC 9457), and what to do next."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    hint: str
    errors: list[dict[str, str]] = []


class Listed(BaseModel):
    """A part of a list; ``next`` is the ``after`` of the part that follows."""

    data: list[dict[str, Any]]
    next: str | None = None
    count: int
    count_is_exact: bool = True


class One(BaseModel):
    """One thing."""

    data: dict[str, Any]


PROBLEM = {"model": Problem, "content": {"application/problem+json": {}}}


def known_filters(request: Request) -> None:
    """Refuse a parameter that an address does not know, as its page does.

    Raises
    ------
    ParameterError
        With the nearest name.
    """
    allowed = [one.alias for one in request.scope["route"].dependant.query_params]
    check_names(request.query_params, allowed)


router = APIRouter(
    prefix="/api/v1",
    dependencies=[Depends(known_filters)],
    responses={
        304: {"description": "Unchanged"},
        400: PROBLEM,
        404: PROBLEM,
        403: PROBLEM,
        421: PROBLEM,
        503: PROBLEM,
    },
)
Text = Annotated[str | None, Query(max_length=300)]


@router.get("/calls", response_model=Listed)
def calls(
    request: Request,
    agent: Text = None,
    team: Text = None,
    since: Annotated[str | None, Query(alias="from", max_length=30)] = None,
    until: Annotated[str | None, Query(alias="to", max_length=30)] = None,
    direction: Text = None,
    queue: Text = None,
    score: Annotated[str | None, Query(max_length=30, examples=["0-60"])] = None,
    event: Annotated[str | None, Query(max_length=30, examples=["hold"])] = None,
    item: Annotated[str | None, Query(max_length=300, examples=["hold_consent:fail"])] = None,
    rubric: Text = None,
    preset: Text = None,
    channels: Text = None,
    after: Annotated[str | None, Query(max_length=2000)] = None,
    fields: Annotated[str | None, Query(description="columns, by commas")] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 100,
) -> Response:
    """Calls, the newest first, by the filters of the page ``/calls``."""
    filters, scope = Filters.of(dict(request.query_params)), view_of(request).scope
    columns = _fields(fields)
    wanted = request.headers.get("accept", "")
    streamed = next((kind for kind in STREAMED if kind in wanted), None)
    if streamed is not None:
        audit(scope, "export", "calls", str(request.url.query))
        rows = _all_calls(scope, filters, columns)
        text = _csv(columns, rows) if streamed == "text/csv" else _lines(rows)
        return StreamingResponse(text, media_type=streamed)

    def build() -> dict[str, Any]:
        found, more = _some_calls(scope, filters, after, limit, columns)
        n = scope.rows(scope.calls(call_queries.counted(filters)))[0][0]
        most = call_queries.MOST_COUNTED
        return {
            "data": found,
            "next": more,
            "count": min(n, most),
            "count_is_exact": n <= most,
        }

    return fresh(request, build)


@router.get("/calls/{slug}", response_model=One)
def call(request: Request, slug: str) -> Response:
    """One call."""
    scope = view_of(request).scope

    def build() -> dict[str, Any]:
        row = scope.call(slug)._mapping
        return {"data": {name: row[name] for name in CALL_COLUMNS}}

    return fresh(request, build)


@router.get("/calls/{slug}/turns", response_model=Listed)
def turns(request: Request, slug: str) -> Response:
    """The turns of a call; ``text`` is masked where personal data were found."""
    return _part(request, slug, "turns")


@router.get("/calls/{slug}/events", response_model=Listed)
def events(request: Request, slug: str) -> Response:
    """What happened in a call."""
    return _part(request, slug, "events")


@router.get("/calls/{slug}/verdicts", response_model=Listed)
def verdicts(request: Request, slug: str) -> Response:
    """The verdicts on a call, of the rubric and of the QA team.

    Those of the rubric say what is ``in_force`` (the newest review, else the machine's ``verdict``), by whom
    (``in_force_by``: machine or review), and whether the machine changed its mind since (``is_stale``).
    """
    scope = view_of(request).scope

    def build() -> dict[str, Any]:
        call_id = scope.call(slug).call_id
        reviews: dict[str, list[Any]] = {}
        for review in scope.rows(decided.reviews_of_call(call_id)):
            reviews.setdefault(review.item_id, []).append(review)
        rows = []
        hidden = scope.hidden([call_id]).get(call_id, ())
        for row in scope.rows(parts.of_call("verdicts", call_id)):
            shown = as_shown(verdict_of(row), hidden)
            force = decisions.in_force(row.verdict, reviews.get(row.item_id, ()))
            is_own = row.source == "rubric"
            rows.append(
                row._asdict()
                | {
                    "quote": shown.quote,
                    "matched": shown.matched,
                    "in_force": force.verdict if is_own else None,
                    "in_force_by": force.source if is_own else None,
                    "is_stale": force.is_stale if is_own else None,
                }
            )
        return listed(rows)

    return fresh(request, build)


@router.get("/calls/{slug}/words", response_model=Listed)
def words(request: Request, slug: str) -> Response:
    """The words of a call with their times, by turn."""
    scope = view_of(request).scope

    def build() -> dict[str, Any]:
        result = scope.result(scope.call(slug).call_id)
        return listed(
            [
                {
                    "turn": turn.turn,
                    "speaker": turn.speaker,
                    "start": word.start,
                    "end": word.end,
                    "text": word.text,
                    "confidence": word.confidence,
                }
                for turn in (result.turns if result else ())
                for word in turn.words
            ]
        )

    return fresh(request, build)


ISO_WEEK = r"^\d{4}-W(0[1-9]|[1-4]\d|5[0-3])$"
Measures = Annotated[str | None, Query(max_length=3000, description="measures, by commas")]


@router.get("/agents", response_model=Listed)
def agents(
    request: Request,
    team: Text = None,
    first: Annotated[str | None, Query(alias="from", pattern=ISO_WEEK)] = None,
    last: Annotated[str | None, Query(alias="to", pattern=ISO_WEEK)] = None,
    direction: Text = None,
    queue: Text = None,
    measures: Measures = None,
    min_calls: Annotated[int, Query(ge=1, le=10_000)] = MIN_CALLS,
) -> Response:
    """Agents with their pooled measures beside the team, over all calls or over some ISO weeks."""
    view, names = view_of(request), chosen_measures(measures)
    filters = Filters.of({"direction": direction or "", "queue": queue or ""})
    weeks = Weeks(first or "0000-W01", last or "9999-W53") if first or last else None

    def build() -> dict[str, Any]:
        compared = view.figures.compared(view.scope, filters, weeks, min_calls)
        rows = agent_rows(compared, names)
        return listed([row for row in rows if team in (None, "", row["team"])])

    return fresh(request, build)


@router.get("/agents/{slug}", response_model=One)
def agent(request: Request, slug: str, measures: Measures = None) -> Response:
    """One agent over all calls."""
    view, names = view_of(request), chosen_measures(measures)

    def build() -> dict[str, Any]:
        found = agent_rows(view.figures.compared(view.scope, Filters(), None), names)
        for row in found:
            if row["slug"] == slug:
                return {"data": row}
        raise NotFound("error.no_agent")

    return fresh(request, build)


@router.get("/agents/{slug}/weeks", response_model=Listed)
def agent_weeks(request: Request, slug: str, measures: Measures = None) -> Response:
    """One agent by ISO week, each beside the team of that week."""
    view, names = view_of(request), chosen_measures(measures)

    def build() -> dict[str, Any]:
        found = agent_rows(view.figures.by_week(view.scope, Filters(), names), names)
        rows = [row for row in found if row["slug"] == slug]
        if not rows:
            raise NotFound("error.no_agent")
        return listed(rows)

    return fresh(request, build)


@router.get("/measures", response_model=Listed)
def measures(request: Request) -> Response:
    """What is measured: names, units, definitions, what matters, and measured errors."""
    return fresh(request, lambda: listed(measure_data()))


@router.get("/items", response_model=Listed)
def items(request: Request) -> Response:
    """The rubric items that calls of this store were judged by."""
    scope = view_of(request).scope

    def build() -> dict[str, Any]:
        found = []
        for row in scope.rows(method_queries.rubrics()):
            outline = json.loads(row.body)
            head = {"rubric_hash": row.hash, "rubric": outline["id"]}
            found += [head | item for item in outline["items"]]
        return listed(found)

    return fresh(request, build)


@router.get("/rubrics/{digest}", response_model=One)
def rubric(request: Request, digest: str) -> Response:
    """A rubric by its hash: sections and items in both languages."""
    scope = view_of(request).scope

    def build() -> dict[str, Any]:
        outline = scope.document("rubrics", digest)
        if outline is None:
            raise NotFound("error.no_rubric")
        return {"data": {"hash": digest, **outline}}

    return fresh(request, build)


def fresh(request: Request, build: Callable[[], Mapping[str, Any]]) -> Response:
    """An answer with the state of the store as its tag; nothing is built where that is known."""
    view = view_of(request)
    seen = f"{request.url.path}?{request.url.query}\n{view.scope.viewer}\n{view.words.language}"
    digest = hashlib.sha256(seen.encode()).hexdigest()[:16]
    tag = f'W/"{view.scope.changes()}-{digest}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return JSONResponse(build(), headers=headers)


def _part(request: Request, slug: str, table: str) -> Response:
    scope = view_of(request).scope

    def build() -> dict[str, Any]:
        rows = scope.rows(parts.of_call(table, scope.call(slug).call_id))
        return listed([_plain(row._asdict()) for row in rows])

    return fresh(request, build)


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as data: details are no text, and words are masked where they are to be."""
    plain = dict(row)
    if plain.get("detail"):
        plain["detail"] = json.loads(plain["detail"])
    if plain.get("text_masked") is not None:
        plain["text"] = plain["text_masked"]
    return plain


def listed(data: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A list that is all there."""
    return {"data": data, "next": None, "count": len(data), "count_is_exact": True}


def _fields(text: str | None) -> tuple[str, ...]:
    """The columns asked for, in the order of the table.

    Raises
    ------
    ParameterError
        If there is none of a name.
    """
    if not text:
        return CALL_COLUMNS
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in CALL_COLUMNS:
            raise ParameterError(f'calls has no column "{name}".', nearest(name, CALL_COLUMNS))
    return tuple(name for name in CALL_COLUMNS if name in names)


def _some_calls(
    scope: Scope, filters: Filters, after: str | None, limit: int, columns: Sequence[str]
) -> tuple[list[dict[str, Any]], str | None]:
    query = call_queries.newest(filters, after, limit, (*columns, "started_at", "call_id"))
    rows = scope.rows(scope.calls(query))
    found = [{name: row._mapping[name] for name in columns} for row in rows[:limit]]
    return found, call_queries.cursor(rows[limit - 1]) if len(rows) > limit else None


def _all_calls(
    scope: Scope, filters: Filters, columns: Sequence[str]
) -> Iterator[list[dict[str, Any]]]:
    after: str | None = None
    while True:
        found, after = _some_calls(scope, filters, after, MOST_ROWS, columns)
        yield found
        if after is None:
            return


def _csv(columns: Sequence[str], parts: Iterator[list[dict[str, Any]]]) -> Iterator[str]:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\r\n")
    writer.writeheader()
    for rows in parts:
        writer.writerows(rows)
        yield text.getvalue()
        text.seek(0)
        text.truncate()


def _lines(parts: Iterator[list[dict[str, Any]]]) -> Iterator[str]:
    for rows in parts:
        yield "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
