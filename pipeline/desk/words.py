"""Texts in two languages, and numbers, times and dates as people write them.

Conventions
-----------
``texts/*.yaml`` hold ``key: {zh: ..., en: ...}``; where English needs a plural, ``en`` is ``{one:
..., other: ...}`` and the text is chosen by ``n``. Values are filled in by name: ``{n} 通``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import cache
from importlib.resources import files
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pipeline.io.yaml import read_yaml
from pipeline.measures import KINDS
from pipeline.schema import Seconds
from pipeline.settings import DEFAULT_ZONE

Language = Literal["zh", "en"]
LANGUAGES: tuple[Language, ...] = ("zh", "en")
NOTHING = "—"
_DECIMALS: Mapping[str, int] = {
    "count": 0, "seconds": 1, "ratio": 0, "score": 0, "rate": 0, "per_10min": 1, "dbfs": 1, "lufs": 1,
    "db": 1, "hz": 0, "semitones": 1, "number": 2,
}  # fmt: skip
_UNITS_ZH: Mapping[str, str] = {"count": "次", "seconds": "秒", "ratio": "%", "rate": "字/分"}
_UNITS_EN: Mapping[str, str] = {"count": "", "seconds": "s", "ratio": "%", "rate": "char/min"}


@cache
def texts() -> Mapping[str, Mapping[str, Any]]:
    """All texts by key.

    Raises
    ------
    ValueError
        If two files hold one key.
    """
    known: dict[str, Mapping[str, Any]] = {}
    for file in sorted(files("pipeline.desk").joinpath("texts").iterdir(), key=lambda f: f.name):
        found = read_yaml(file.read_text("utf-8"))
        if twice := known.keys() & found.keys():
            raise ValueError(f"{file.name}: given in another file too: {sorted(twice)}")
        known |= found
    return known


class Words:
    """The texts and formats of one language; calling it gives a text."""

    def __init__(self, language: Language, zone: str = DEFAULT_ZONE) -> None:
        self.language: Language = language
        self.zone = zone  # of the business: calls have their times in it

    def __call__(self, key: str, **values: object) -> str:
        """The text of a key with these values filled in.

        Raises
        ------
        KeyError
            If there is no such text, or a value it names is not given.
        """
        text = texts()[key][self.language]
        if isinstance(text, dict):
            text = text["one" if values["n"] == 1 else "other"]
        return str(text).format(**values) if values else str(text)

    def known(self, key: str, otherwise: str) -> str:
        """The text of a key, or something else where there is none."""
        return self(key) if key in texts() else otherwise

    def pick(self, zh: str | None, en: str | None) -> str:
        """One of two given texts; the other where it is missing."""
        first, second = (zh, en) if self.language == "zh" else (en, zh)
        return first or second or ""

    def clock(self, seconds: Seconds | None) -> str:
        """A moment or a length: ``1:12``, ``1:02:03``."""
        if seconds is None:
            return NOTHING
        whole = max(0, int(seconds))
        hours, minutes = whole // 3600, whole // 60 % 60
        start = f"{hours}:{minutes:02d}" if hours else str(minutes)
        return f"{start}:{whole % 60:02d}"

    def started(self, started_at: str | None) -> str:
        """When a call began, in its own time: ``2026-03-19 10:15``."""
        if not started_at:
            return NOTHING
        try:
            return datetime.fromisoformat(started_at).strftime("%Y-%m-%d %H:%M")
        except ValueError:
            return started_at

    def local(self, at: str) -> datetime:
        """A moment that the store keeps in UTC, in business time."""
        moment = datetime.fromisoformat(at)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(
            ZoneInfo(self.zone)
        )

    def at(self, at: str) -> str:
        """When something was decided or run, in business time: ``2026-03-19 10:15``."""
        return f"{self.local(at):%Y-%m-%d %H:%M}"

    def today(self) -> date:
        """The day it is in business time."""
        return datetime.now(ZoneInfo(self.zone)).date()

    def number(self, value: float | None, kind: str = "number", *, unit: bool = False) -> str:
        """A value of a kind of column, with no more digits than it carries."""
        if value is None:
            return NOTHING
        shown = 100 * value if kind == "ratio" else value
        text = f"{shown:,.{_DECIMALS.get(kind, 2)}f}".replace("-", "−")
        if text.strip("−0.,") == "":
            text = text.lstrip("−")
        return f"{text} {self.unit(kind)}".rstrip() if unit else text

    def percent(self, share: float | None) -> str:
        """A share as a whole percentage: ``93%``."""
        return NOTHING if share is None else f"{round(100 * share)}%"

    def unit(self, kind: str) -> str:
        """The unit of a kind of column."""
        own = _UNITS_ZH if self.language == "zh" else _UNITS_EN
        known = KINDS[kind]
        return own.get(kind, known.unit_zh if self.language == "zh" else known.unit_en)

    def who(self, speaker: str | None) -> str:
        """Agent or customer."""
        return self.known(f"who.{speaker}", speaker or "")
