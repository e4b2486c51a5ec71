"""The front door, and the choice of language and theme."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse

from pipeline.desk.view import KEPT_S, THEMES
from pipeline.desk.words import LANGUAGES

router = APIRouter(include_in_schema=False)


@router.get("/")
def front(request: Request) -> RedirectResponse:
    """The team seen last, else the list of calls."""
    team = request.cookies.get("team")
    return RedirectResponse("/calls" if team is None else f"/team?team={team}", 303)


@router.get("/look")
def look(
    request: Request, lang: str = "", theme: str = "", back: str = "/calls"
) -> RedirectResponse:
    """Keep a choice in a cookie and go back to the page it was made on."""
    here = back if back.startswith("/") and not back.startswith(("//", "/\\")) else "/calls"
    answer = RedirectResponse(here, 303)
    for name, value, allowed in (("lang", lang, LANGUAGES), ("theme", theme, THEMES)):
        if value in allowed:
            answer.set_cookie(name, value, max_age=KEPT_S, samesite="lax", httponly=True)
    return answer
