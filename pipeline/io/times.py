"""Times as people and spreadsheets write them, and the clock of the business.

Conventions
-----------
ISO 8601. A time without an offset is business time; one with an offset is converted to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

_DATE = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?[\sT_-]*(.*)")
_YEAR_LAST = re.compile(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})((?:[\s,T].*)?)")
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)(?:[\sT_-]?(\d\d)(\d\d)(\d\d)?)?")
_SERIAL = re.compile(r"\d{5}(\.\d+)?")
_OF_DAY = re.compile(r"0?\.(\d+)")
_HALF_DAY = re.compile(r"\s*(上午|下午|凌晨|早上|中午|晚上|[AaPp]\.?[Mm]\.?)\s*")
_LATE = ("下午", "晚上", "中午", "p")
_EPOCH = datetime(1899, 12, 30)  # day 0 of spreadsheets


def iso_time(text: str) -> str | None:
    """Turn a time as people write it into ISO 8601; None where it is none.

    No offset is added where none was given; a date alone stays a date. Years are 1990 to 2100.

    >>> iso_time("2026年3月12日 下午2:05"), iso_time("46093")
    ('2026-03-12T14:05:00', '2026-03-12')
    """
    if _SERIAL.fullmatch(text):
        moment = _EPOCH + timedelta(seconds=round(float(text) * 86_400))
        return _in_range(moment, has_clock="." in text)
    half = _HALF_DAY.search(text)
    text = _HALF_DAY.sub(" ", text).strip()
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
    if half and moment.hour <= 12:
        late = half[1].lower().startswith(_LATE)
        hour = moment.hour % 12 + (12 if late else 0)
        if half[1] == "中午":
            hour = 11 if moment.hour == 11 else 12 + moment.hour % 12
        moment = moment.replace(hour=hour)
    return _in_range(moment, has_clock=bool(clock))


def clock(text: str) -> str:
    """The time of a day that a spreadsheet shows as a share of it; all else stays as it is.

    A share that a whole minute rounds to is that minute.

    >>> clock("0.4722"), clock("0.47249"), clock("9:30")
    ('11:20:00', '11:20:23', '9:30')
    """
    share = _OF_DAY.fullmatch(text.strip())
    if share is None:
        return text
    minutes = round(float(text) * 1440)
    is_minute = abs(minutes / 1440 - float(text)) <= 0.5 * 10.0 ** -len(share[1])
    seconds = minutes * 60 if is_minute else round(float(text) * 86_400)
    seconds = min(seconds, 86_399)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def year_first(texts: Iterable[str | None]) -> Callable[[str], str]:
    """How to write the dates of one column with the year first.

    Day and month are told apart by any of them over 12; dots mean that the day comes first. Where
    neither says it, or the column contradicts itself, a date stays as it is.

    >>> year_first(["03/11/2026 9:05", "26/11/2026"])("03/11/2026 9:05")
    '2026-11-03 9:05'
    """
    dates = [match for text in texts if text and (match := _YEAR_LAST.fullmatch(text.strip()))]
    by_day = any(int(d[1]) > 12 for d in dates) or (bool(dates) and all(d[2] == "." for d in dates))
    by_month = any(int(d[3]) > 12 for d in dates)

    def rewritten(text: str) -> str:
        date = _YEAR_LAST.fullmatch(text.strip())
        if date is None or (by_day == by_month and date[1] != date[3]):
            return text
        day, month = (date[1], date[3]) if by_day else (date[3], date[1])
        return f"{date[4]}-{month}-{day}{date[5]}"

    return rewritten


def _in_range(moment: datetime, *, has_clock: bool) -> str | None:
    if not 1990 <= moment.year <= 2100:
        return None
    return moment.isoformat() if has_clock else moment.date().isoformat()


def local_time(text: str, zone: ZoneInfo) -> str:
    """A time as the clocks of the business show it: one with an offset is converted to ``zone``.

    >>> local_time("2026-03-15T16:30:00+00:00", ZoneInfo("Asia/Shanghai"))
    '2026-03-16T00:30:00+08:00'
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    return text if moment.tzinfo is None else moment.astimezone(zone).isoformat()


def clock_time(text: str, zone: ZoneInfo) -> datetime | None:
    """A time of the store as one of ``zone``, a date alone as its midnight; None where it is none.

    >>> clock_time("2026-03-16T00:30:00", ZoneInfo("Asia/Shanghai")).isoformat()
    '2026-03-16T00:30:00+08:00'
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment.astimezone(zone)


def is_local(text: str) -> bool:
    """Whether a time has a clock and no offset.

    >>> is_local("2026-03-16T00:30:00"), is_local("2026-03-16")
    (True, False)
    """
    return len(text) > len("2026-03-16") and datetime.fromisoformat(text).tzinfo is None
