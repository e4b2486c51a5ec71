"""The team page and the page of one agent."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from pipeline.desk.pages.agent import agent_page
from pipeline.desk.pages.team import team_page
from pipeline.desk.view import show, view_of

router = APIRouter(include_in_schema=False)


@router.get("/team")
def team(request: Request) -> Response:
    """The agents of a team, who changed, and the funnel."""
    view = view_of(request)
    return show(view, "team.html", team_page(view))


@router.get("/agents/{slug}")
def agent(request: Request, slug: str) -> Response:
    """One agent: praise, one suggestion, the last goal, measures, trend, moments."""
    view = view_of(request)
    return show(view, "agent.html", agent_page(view, slug))
