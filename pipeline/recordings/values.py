"""What may be said of a recording: names, types, and how people write them.

Conventions
-----------
Every cell is read as text, so that ``007`` stays ``007``. A value that cannot be used is left out
and noted.

Source: ISO 8601 (times).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import pandas as pd

from pipeline.recordings.notes import Notes

TEXT_FIELDS = ("call_id", "agent_id", "agent_name", "team", "customer_name", "queue")
FIELDS = (*TEXT_FIELDS, "direction", "started_at", "agent_channel", "rings", "wait_s")
"""Everything the metadata may say of a recording."""

DIRECTIONS = {
    "inbound": "inbound", "in": "inbound", "呼入": "inbound",
    "outbound": "outbound", "out": "outbound", "呼出": "outbound",
}  # fmt: skip

_MISSING = {"", "nan", "nat", "none", "null", "n/a", "<na>", "-"}
_DATE = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?[\sT_-]*(.*)")
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)(?:[\sT_-]?(\d\d)(\d\d)(\d\d)?)?")


def cell_text(cell: Any) -> str:
    """A cell as the person who typed it saw it; empty when missing."""
    if isinstance(cell, (datetime, date)):
        return "" if pd.isna(cell) else cell.isoformat()
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    text = str(cell).strip()
    return "" if text.lower() in _MISSING else text


def put(values: dict[str, Any], name: str, text: str | None, where: str, notes: Notes) -> None:
    """Store a value in its type; note one that cannot be used."""
    text = (text or "").strip()
    if not text:
        return
    value = text if name in TEXT_FIELDS else _PARSERS[name](text)
    if value is None:
        notes.count(f'The {name} "{text}" cannot be used ({_ALLOWED[name]}):', where)
    else:
        values[name] = value


def _started_at(text: str) -> str | None:
    """Turn a time into ISO 8601: no offset where none was given, a date alone stays a date."""
    if match := _DATE.fullmatch(text):
        year, month, day, clock = match.groups()
        if ":" not in clock:
            clock = re.sub(r"(?<=\d)[时点分-](?=\d)", ":", clock)
        clock = re.sub(r"(?<![\d.])(\d)(?!\d)", r"0\1", re.sub(r"[\s秒分]", "", clock))
    elif match := _COMPACT.fullmatch(text):
        year, month, day, *parts = match.groups()
        clock = ":".join(part for part in parts if part)
    else:
        return None
    try:
        moment = datetime.fromisoformat(f"{year}-{month:0>2}-{day:0>2}T{clock or '00'}")
    except ValueError:
        return None
    if not 1990 <= moment.year <= 2100:
        return None
    return moment.isoformat() if clock else moment.date().isoformat()


def _whole(text: str, most: int) -> int | None:
    number = re.fullmatch(r"(\d{1,6})(\.0*)?", text)
    return int(number[1]) if number and int(number[1]) <= most else None


def _seconds(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d{1,6}(\.\d*)?", text) else None


_PARSERS: dict[str, Callable[[str], Any]] = {
    "direction": lambda text: DIRECTIONS.get(text.lower()),
    "started_at": _started_at,
    "agent_channel": lambda text: _whole(text, 1),
    "rings": lambda text: _whole(text, 999),
    "wait_s": _seconds,
}
_ALLOWED = {
    "direction": "allowed: inbound, outbound, 呼入, 呼出",
    "started_at": "give it as 2026-03-12 10:05:00",
    "agent_channel": "allowed: 0, 1",
    "rings": "allowed: a whole number",
    "wait_s": "allowed: seconds as a number",
}
