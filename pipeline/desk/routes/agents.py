"""The team page and the page of one agent."""

from __future__ import annotations

from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from pipeline.desk.pages.agent import agent_of, agent_page
from pipeline.desk.pages.figures import only
from pipeline.desk.pages.team import team_page
from pipeline.desk.view import KEPT_S, show, view_of

router = APIRouter(include_in_schema=False)


@router.get("/team")
def team(request: Request) -> Response:
    """The agents of a team, who changed, and the funnel."""
    view = view_of(request)
    page = team_page(view)
    answer = show(view, "team.html", page)
    if page.rows:
        answer.set_cookie("team", quote(page.team), max_age=KEPT_S, samesite="lax", httponly=True)
    return answer


@router.get("/agents/{slug}/report")
def agent_report(request: Request, slug: str) -> Response:
    """The page of an agent as one file, to keep and send."""
    from pipeline.desk.report import report

    view, state = view_of(request), request.app.state
    only(view, "from", "to")
    asked = dict(view.query)
    html = report(
        state.store,
        state.settings,
        agent=agent_of(view, slug),
        first=asked.get("from", ""),
        last=asked.get("to", ""),
        language=view.words.language,
        scope=view.scope,
    )
    headers = {"Content-Disposition": f'attachment; filename="{slug}.html"'}
    return HTMLResponse(html, headers=headers)


@router.get("/agents/{slug}")
def agent(request: Request, slug: str) -> Response:
    """One agent: praise, one suggestion, the last goal, measures, trend, moments."""
    view = view_of(request)
    return show(view, "agent.html", agent_page(view, slug))
