"""Calls: the list, one call, its sound, and what was played of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import FileResponse

from pipeline.desk.audit import audit_play
from pipeline.desk.pages.call import call_page
from pipeline.desk.pages.calls import calls_page
from pipeline.desk.scope import NotFound
from pipeline.desk.view import show, view_of
from pipeline.schema import CURVES_VERSION, Seconds

router = APIRouter(include_in_schema=False)


@router.get("/calls")
def calls(request: Request) -> Response:
    """The list of calls."""
    view = view_of(request)
    return show(view, "calls.html", calls_page(view))


@router.get("/calls/{slug}")
def call(request: Request, slug: str) -> Response:
    """One call: player, transcript, verdicts, measures."""
    view = view_of(request)
    page = call_page(view, slug, request.app.state.recordings)
    return show(view, "call.html", page)


@router.get("/calls/{slug}/audio")
def audio(request: Request, slug: str) -> Response:
    """The sound of a call, whole or by ranges."""
    scope = view_of(request).scope
    row = scope.call(slug)
    playable = request.app.state.recordings.of_call(scope, row)
    if playable is None:
        raise NotFound("error.no_sound")
    headers = {"Cache-Control": "private, max-age=3600"}
    return FileResponse(playable.path, media_type=playable.media_type, headers=headers)


@router.get("/calls/{slug}/sound")
def sound(request: Request, slug: str) -> Response:
    """The curves of a call (``pipeline.signal.curves``), made now where they were not kept."""
    scope = view_of(request).scope
    row = scope.call(slug)
    tag = f'"{row.sha256}-{CURVES_VERSION}"'
    headers = {"Cache-Control": "private, no-cache", "ETag": tag, "Content-Encoding": "deflate"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"ETag": tag})
    packed = scope.sound(row.call_id, row.sha256 or "")
    if packed is None:
        packed = request.app.state.recordings.curves(scope, row)
    if packed is None:
        raise NotFound("error.no_sound")
    return Response(packed, media_type="application/octet-stream", headers=headers)


@router.post("/calls/{slug}/played")
def played(
    request: Request,
    slug: str,
    start: Annotated[Seconds, Form(ge=0)],
    end: Annotated[Seconds, Form(ge=0)],
) -> Response:
    """Note which stretch of a call was heard."""
    scope = view_of(request).scope
    audit_play(scope, scope.call(slug).call_id, start, end)
    return Response(status_code=204)
