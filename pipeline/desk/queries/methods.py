"""What the calls of the store were heard and judged with."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from pipeline.store import SQL


def heard_with() -> sa.Select[Any]:
    """Number of calls by preset, program version, settings and rubric, most first."""
    calls = SQL["calls"].c
    how = (calls.preset, calls.program_version, calls.settings_hash, calls.rubric_hash)
    number = sa.func.count().label("calls")
    query = sa.select(*how, number).where(calls.preset.is_not(None)).group_by(*how)
    return query.order_by(number.desc()).limit(100)


def rubrics() -> sa.Select[Any]:
    """All rubrics that were kept."""
    table = SQL["rubrics"].c
    return sa.select(table.hash, table.body).order_by(table.hash)
