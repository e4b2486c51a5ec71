"""Addresses: each function reads its address, asks for a page object and shows it."""

from __future__ import annotations

from fastapi import APIRouter

from pipeline.desk.routes import agents, api, api_decisions, calls, decisions, look, methods, rubric

ROUTERS: tuple[APIRouter, ...] = (
    look.router,
    agents.router,
    calls.router,
    decisions.router,
    methods.router,
    rubric.router,
    api.router,
    api_decisions.router,
)
"""All routes. A new page adds its module here."""
