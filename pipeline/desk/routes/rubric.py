"""The rubric, one item of it, runs, and search."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from pipeline.desk.pages.rubric import batch_page, rubric_item, rubric_page
from pipeline.desk.pages.search import search_page
from pipeline.desk.view import show, view_of

router = APIRouter(include_in_schema=False)


@router.get("/rubric")
def rubric(request: Request) -> Response:
    """All items with their pass rates and agreement with people."""
    view = view_of(request)
    return show(view, "rubric.html", rubric_page(view))


@router.get("/rubric/{item}")
def item(request: Request, item: str) -> Response:
    """One item, with passes and fails to hear."""
    view = view_of(request)
    return show(view, "rubric_item.html", rubric_item(view, item))


@router.get("/batch")
def batch(request: Request) -> Response:
    """Runs, and failures by kind."""
    view = view_of(request)
    return show(view, "batch.html", batch_page(view))


@router.get("/search")
def search(request: Request) -> Response:
    """Where something was said."""
    view = view_of(request)
    return show(view, "search.html", search_page(view))
