"""The application: routes, headers that keep a page to itself, and errors in words.

Conventions
-----------
Every answer forbids scripts, styles, sound and connections of other hosts, and framing; there is no
inline script or style anywhere. A host name that is not this server's is refused, so that no other
site can be pointed at it; a change is taken only from a page of this server.
"""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as Connection

from pipeline import __version__
from pipeline.desk.figures import Figures
from pipeline.desk.playback import Recordings
from pipeline.desk.refusals import Refused
from pipeline.desk.routes import ROUTERS
from pipeline.desk.scope import NotFound
from pipeline.desk.view import show, view_of
from pipeline.desk.words import Language
from pipeline.errors import CallcoachError, Conflict, ParameterError, SlowQuery
from pipeline.settings import Settings
from pipeline.store import Store

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "media-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
LOCAL_HOSTS = ("127.0.0.1", "localhost", "[::1]")
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_AUDIO = re.compile(r"/audio$")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ErrorPage:
    """What went wrong and what to do."""

    status: int
    title: str
    detail: str
    hint: str


def create_app(
    store: Store,
    settings: Settings,
    *,
    language: Language = "zh",
    hosts: Sequence[str] | None = LOCAL_HOSTS,
) -> FastAPI:
    """Build the application over an open store.

    Parameters
    ----------
    store : Store
        Closed by the caller.
    settings : Settings
    language : {"zh", "en"}
        Of viewers who have not chosen one.
    hosts : sequence of str or None
        Host names that are answered; None where a proxy checks them.
    """
    recordings = Recordings(settings.recordings.roots, settings.desk.cache_mib)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        recordings.close()

    app = FastAPI(
        title="callcoach",
        version=__version__,
        lifespan=lifespan,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.store = store
    app.state.settings = settings
    app.state.language = language
    app.state.recordings = recordings
    app.state.figures = Figures()
    for router in ROUTERS:
        app.include_router(router)
    static = files("pipeline.desk").joinpath("static")
    app.mount("/static", StaticFiles(directory=str(static)), name="static")
    app.add_exception_handler(CallcoachError, _failed)
    app.add_exception_handler(HTTPException, _failed)
    app.add_exception_handler(RequestValidationError, _failed)
    app.add_middleware(Guard, hosts=hosts)
    return app


class Guard:
    """Refuses other hosts and changes from other sites, adds the headers, compresses texts."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str] | None) -> None:
        self.plain = app
        self.packed = GZipMiddleware(app, minimum_size=1000, compresslevel=5)
        self.hosts = hosts

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.plain(scope, receive, send)
            return

        started: list[bool] = []

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                started.append(True)
                known = {name.lower() for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(
                        (name.lower().encode(), value.encode())
                        for name, value in HEADERS.items()
                        if name.lower().encode() not in known
                    ),
                ]
            await send(message)

        request = Request(scope)
        refused = self._refusal(request)
        if refused is not None:
            await refused(scope, receive, guarded)
            return
        inner = self.plain if _AUDIO.search(scope["path"]) else self.packed
        try:
            await inner(scope, receive, guarded)
        except Exception as error:
            if started:
                raise
            await _failed(request, error)(scope, receive, guarded)

    def _refusal(self, request: Request) -> Response | None:
        host = request.headers.get("host", "")
        name = host.rpartition(":")[0] if re.search(r":\d+$", host) else host
        if self.hosts is not None and name.lower() not in self.hosts:
            return _refuse(request, 421, f"This server does not answer for the host {name!r}.")
        if request.method in SAFE_METHODS:
            return None
        site = request.headers.get("sec-fetch-site")
        if site in ("same-origin", "none"):
            return None
        origin = request.headers.get("origin")
        if site is None and origin is not None and urlsplit(origin).netloc == host:
            return None
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if site is None and origin is None and kind == "application/json" and _is_api(request):
            return None  # a program: no page of another site can send this without asking first
        return _refuse(
            request,
            403,
            "Changes are taken only from pages of this server, and from programs as application/json.",
        )


def _is_api(request: Request) -> bool:
    return request.url.path.startswith("/api/")


def _refuse(request: Request, status: int, detail: str) -> Response:
    if not _is_api(request):
        return PlainTextResponse(f"{detail}\n", status)
    return _problem(ErrorPage(status, "Refused", detail, ""))


def _problem(page: ErrorPage, errors: Sequence[Mapping[str, str]] = ()) -> Response:
    """An error for programs (RFC 9457)."""
    body = dataclasses.asdict(page) | {"type": "about:blank", "errors": list(errors)}
    return JSONResponse(body, page.status, media_type="application/problem+json")


def _failed(request: Request, error: Exception) -> Response:
    """An error as a page: what came, and what to do next; never a trace, a query or a path."""
    view = view_of(request)
    words = view.words
    if isinstance(error, NotFound):
        page = ErrorPage(404, words("error.not_found"), words(error.message), words("error.back"))
    elif isinstance(error, HTTPException):
        title = words("error.not_found" if error.status_code == 404 else "error.refused")
        page = ErrorPage(error.status_code, title, str(error.detail), words("error.back"))
    elif isinstance(error, ParameterError | RequestValidationError):
        detail, hint = words("error.value"), words("error.back")
        if isinstance(error, ParameterError):
            detail, hint = error.message, error.hint
        if isinstance(error, Refused) and not _is_api(request):
            detail, hint = error.said(words)
        status = 409 if isinstance(error, Conflict) else 400
        page = ErrorPage(status, words("error.refused"), detail, hint)
    elif isinstance(error, SlowQuery):
        page = ErrorPage(503, words("error.slow"), error.message, error.hint)
    elif isinstance(error, CallcoachError):
        page = ErrorPage(500, words("error.failed"), error.message, error.hint)
    else:
        _log.error("%s failed", request.url.path, exc_info=error)
        page = ErrorPage(500, words("error.failed"), words("error.bug"), words("error.log"))
    if _is_api(request):
        where = error.errors() if isinstance(error, RequestValidationError) else ()
        return _problem(
            page,
            [
                {"where": ".".join(map(str, one["loc"])), "problem": str(one["msg"])}
                for one in where
            ],
        )
    return show(view, "error.html", page, page.status)
