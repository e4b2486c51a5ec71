"""What a request brings along: who looks, in which language and theme, at which address."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal
from urllib.parse import quote, unquote, urlencode

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from pipeline import __version__
from pipeline.desk.figures import Figures
from pipeline.desk.queries.decisions import open_appeals
from pipeline.desk.refusals import Refused
from pipeline.desk.scope import THIS_MACHINE, Scope
from pipeline.desk.words import LANGUAGES, Language, Words
from pipeline.errors import CallcoachError
from pipeline.store import Once

Theme = Literal["light", "dark"]
THEMES: tuple[Theme, ...] = ("light", "dark")
MOST_WAITING = 99
KEPT_S = 365 * 24 * 3600  # cookies that remember a choice
NAVIGATION: tuple[tuple[str, str], ...] = (
    ("team", "/team"),
    ("calls", "/calls"),
    ("rubric", "/rubric"),
    ("search", "/search"),
    ("reviews", "/reviews"),
    ("batch", "/batch"),
    ("methods", "/methods"),
)
"""The pages of the header: key of ``nav.KEY`` and address. A new page adds its line here."""


@dataclass(frozen=True, slots=True)
class View:
    """One request as a page sees it."""

    scope: Scope
    figures: Figures
    words: Words
    theme: Theme | None  # None follows the system
    path: str
    query: tuple[tuple[str, str], ...]

    @property
    def by(self) -> str:
        """The name of who looks, empty where nobody gave one."""
        return "" if self.scope.viewer == THIS_MACHINE else self.scope.viewer

    @property
    def here(self) -> str:
        """Address of the page with its filters."""
        return f"{self.path}?{urlencode(self.query)}" if self.query else self.path

    @property
    def waiting(self) -> str:
        """How many appeals wait for an answer, beside the link to them; empty where none does."""
        try:
            n = len(self.scope.rows(self.scope.calls(open_appeals(MOST_WAITING + 1))))
        except CallcoachError:  # the page itself says so
            return ""
        return f"{MOST_WAITING}+" if n > MOST_WAITING else str(n or "")

    def look(self, **choice: str) -> str:
        """The address that changes language or theme and comes back here."""
        return "/look?" + urlencode({**choice, "back": self.here})

    def link(self, **changes: object) -> str:
        """Address of the page with some filters changed; None takes one out."""
        query = dict(self.query) | {k: str(v) for k, v in changes.items() if v is not None}
        query = {k: v for k, v in query.items() if v and changes.get(k, v) is not None}
        return f"{self.path}?{urlencode(query)}" if query else self.path


def view_of(request: Request) -> View:
    """The view of a request: ``?lang`` for this page alone, else the cookies, else the server's."""
    state = request.app.state
    asked = request.query_params.get("lang") or request.cookies.get("lang")
    language: Language = next((one for one in LANGUAGES if one == asked), state.language)
    theme: Theme | None = next((one for one in THEMES if one == request.cookies.get("theme")), None)
    return View(
        scope=Scope(state.store, unquote(request.cookies.get("by", ""))[:60] or THIS_MACHINE),
        figures=state.figures,
        words=Words(language, state.settings.time.zone),
        theme=theme,
        path=request.url.path,
        query=tuple(request.query_params.multi_items()),
    )


def as_person(request: Request, by: str, once: Once | None = None) -> View:
    """The view of a request that decides something, by whoever says so: there are no accounts.

    Raises
    ------
    ParameterError
        If no name is given.
    """
    by = " ".join(by.split())[:60]
    if not by:
        raise Refused("nobody", "name")
    view = view_of(request)
    return dataclasses.replace(view, scope=Scope(request.app.state.store, by, once))


def keep_person(view: View, answer: Response) -> None:
    """Remember who decided, for the next form."""
    answer.set_cookie("by", quote(view.scope.viewer), max_age=KEPT_S, samesite="lax", httponly=True)


@cache
def templates() -> Environment:
    """The templates; everything they are given is text and is escaped."""
    environment = Environment(
        loader=PackageLoader("pipeline.desk"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"navigation": NAVIGATION, "version": __version__}
    return environment


def show(view: View, template: str, page: Any, status: int = 200) -> HTMLResponse:
    """Write a page object by a template."""
    html = (
        templates()
        .get_template(template)
        .render(view=view, t=view.words, page=page, layout="base.html", inline=False, clips={})
    )
    return HTMLResponse(html, status)
