"""Methods: what every number is, and what the calls of this store were heard with."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from pipeline.desk.pages.methods import methods_page
from pipeline.desk.view import show, view_of

router = APIRouter(include_in_schema=False)


@router.get("/methods")
def methods(request: Request) -> Response:
    """All measures with their measured errors, and weights, settings and rubrics in use."""
    view = view_of(request)
    return show(view, "methods.html", methods_page(view))
