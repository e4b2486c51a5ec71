"""What belongs to one call: its turns, events and verdicts."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from pipeline.store import SQL, columns_of


def of_call(table: str, call_id: str) -> sa.Select[Any]:
    """The rows of one table of the contract that belong to a call, in their order."""
    columns = SQL[table].c
    chosen = (columns[c.name] for c in columns_of(table) if c.name != "call_id")
    order = SQL[table].primary_key.columns
    return sa.select(*chosen).where(columns.call_id == call_id).order_by(*order)
