"""Tables of what a switch (PBX) knows of calls: holds, transfers, agents, machines, pauses.

Conventions
-----------
One event a row: the call by ``call_id`` or ``recording``, ``kind``, ``start``, and ``end`` or
``seconds``; transfers, joins and leaves need no end. A time is seconds from the start of the
recording, ``1:15`` (minutes and seconds), or a time of the clock, read beside the start of the call.
``10:05:07`` is a time of the clock where that lies within the call's first hours, else hours, minutes
and seconds. A row that cannot be used costs itself only.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from pipeline.errors import MetadataError
from pipeline.io import files
from pipeline.io.times import iso_time, year_first
from pipeline.io.user_tables import CALL_COLUMNS, read_table
from pipeline.recordings.notes import Notes
from pipeline.recordings.values import COLUMNS as METADATA
from pipeline.schema import Seconds, SwitchEvent, SwitchKind

COLUMNS: Mapping[str, Sequence[str]] = {
    **CALL_COLUMNS,
    "kind": ("事件", "事件类型", "事件名称", "类型", "动作", "操作", "状态", "事件類型", "event", "event_type",
             "event_kind", "event_name", "type", "action", "state"),
    "start": ("开始", "开始时间", "起始时间", "事件时间", "发生时间", "时间", "开始秒", "開始時間",
              "start_time", "start_s", "begin", "event_time", "timestamp", "time", "at", "offset"),
    "end": ("结束", "结束时间", "截止时间", "结束秒", "結束時間", "end_time", "end_s", "finish", "stop"),
    "seconds": ("时长", "持续时间", "持续时长", "秒数", "持续秒数", "時長", "duration", "duration_s", "length",
                "length_s"),
    "agent_id": METADATA["agent_id"],
}  # fmt: skip
"""What people call the columns of a table of events, the surest name first."""

KINDS: Mapping[SwitchKind, Sequence[str]] = {
    "hold": ("保持", "通话保持", "呼叫保持", "保留", "等待音乐", "hold", "on hold", "held", "hold music"),
    "transfer": ("转接", "呼叫转接", "转移", "呼转", "转接坐席", "咨询转接", "盲转", "轉接", "transferred",
                 "blind transfer", "warm transfer", "consult transfer", "xfer"),
    "agent_join": ("坐席接入", "坐席加入", "坐席接听", "加入", "接入", "接听", "join", "joined", "agent joined",
                   "agent join", "answer", "answered"),
    "agent_leave": ("坐席离开", "坐席退出", "坐席挂断", "离开", "退出", "leave", "left", "agent left",
                    "agent leave"),
    "ivr": ("语音导航", "自助语音", "语音菜单", "自动语音", "机器人", "语音播报", "彩铃", "voice menu", "bot"),
    "pause": ("暂停", "录音暂停", "暂停录音", "停录", "paused", "recording paused", "recording pause"),
}  # fmt: skip
"""What people call the kinds of events."""

MOMENTS = ("transfer", "agent_join", "agent_leave")  # need no end
LONGEST_S = 6 * 3600.0  # a call; a time of the clock further off its start is none of it
EARLY_S = 300.0  # clocks differ, and a switch knows of a call before its recording begins
_WORDS = {word.casefold(): kind for kind, words in KINDS.items() for word in (kind, *words)}
_CLOCK = re.compile(r"(?:(\d{1,3}):)?(\d{1,2}):(\d{2}(?:\.\d+)?)")
_NUMBER = re.compile(r"(\d{1,9}(?:\.\d*)?)\s*(?:秒|s|sec)?")


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event as it is written; the call by ``recording``, seen from the table, or ``call_id``."""

    where: str
    recording: str | None
    call_id: str | None
    kind: SwitchKind
    cells: Mapping[str, str]


def read_events(path: str, notes: Notes) -> list[EventRow]:
    """Read a table of events.

    Raises
    ------
    MetadataError
        If the table cannot be read, or its columns are missing or misspelt.
    """
    table = read_table(
        path, COLUMNS, [["recording", "call_id"], ["kind"], ["start"]], MetadataError
    )
    for note in table.notes:
        notes.add(note)
    dated = year_first(row.cells.get(name) for row in table.rows for name in ("start", "end"))
    rows = []
    for found in table.rows:
        cells = {k: dated(v) if k in ("start", "end") else v for k, v in found.cells.items()}
        where = f"{files.name(path)} {found.where}"
        recording, call_id = found.cells.get("recording"), found.cells.get("call_id")
        said = found.cells.get("kind", "")
        kind = _WORDS.get(re.sub(r"[\s_-]+", " ", said).casefold()) or _WORDS.get(said.casefold())
        if kind is None:
            close = difflib.get_close_matches(said.casefold(), _WORDS, n=1, cutoff=0.5)
            meant = f'; did you mean "{close[0]}"?' if close else ""
            allowed = ", ".join(f"{name} ({words[0]})" for name, words in KINDS.items())
            notes.count(
                f'The kind "{said}" of an event is not known (allowed: {allowed}{meant}):', where
            )
        elif recording is None and call_id is None:
            notes.count("Events that name no call (give call_id or recording):", where)
        else:
            rows.append(EventRow(where, recording, call_id, kind, cells))
    return rows


def placed(row: EventRow, started_at: str | None, zone: str) -> SwitchEvent | str:
    """The event in seconds of the recording, or why it cannot be used.

    Parameters
    ----------
    row : EventRow
    started_at : str, optional
        When the recording begins, in business time.
    zone : str
        Business time zone, as an IANA name.
    """
    start = _second(row.cells.get("start", ""), started_at, zone)
    end = _second(row.cells["end"], started_at, zone) if "end" in row.cells else None
    if start is None or ("end" in row.cells and end is None):
        name = "start" if start is None else "end"
        said = row.cells.get(name, "")
        if "T" in (iso_time(said) or ""):
            known = f"begins at {started_at}" if started_at else "has no known start (started_at)"
            return f'{name} "{said}" is a time of the clock, and the call {known}'
        return f'{name} is "{said}"; allowed: seconds, 1:15, or a time of the clock within the call'
    length = row.cells.get("seconds")
    seconds = _second(length, None, zone) if length is not None else None
    if length is not None and seconds is None:
        return f'seconds is "{length}"; allowed: seconds as a number, or 1:15'
    if end is None:
        end = start + seconds if seconds is not None else start if row.kind in MOMENTS else None
    if end is None:
        return f"a {row.kind} needs end or seconds"
    if end < start:
        return f"it ends at {end:g} s, before it starts at {start:g} s"
    return SwitchEvent(row.kind, round(start, 3), round(end, 3), row.cells.get("agent_id"))


def _second(text: str, started_at: str | None, zone: str) -> Seconds | None:
    """Seconds from the start of the recording; None where they cannot be told."""
    began = _moment(started_at, zone) if started_at and "T" in started_at else None
    if clock := _CLOCK.fullmatch(text):
        hours, minutes, seconds = (float(part or 0) for part in clock.groups())
        offset = hours * 3600 + minutes * 60 + seconds
        if began is not None and hours:
            day = began.replace(hour=0, minute=0, second=0, microsecond=0)
            for days in (0, 1, -1):
                since = (day + timedelta(days=days, seconds=offset) - began).total_seconds()
                if -EARLY_S <= since <= LONGEST_S:
                    return since
        return offset if offset <= LONGEST_S else None
    number = _NUMBER.fullmatch(text)
    if number and (float(number[1]) <= LONGEST_S or began is None):
        return float(number[1]) if float(number[1]) <= 4 * LONGEST_S else None
    written = iso_time(text)
    if began is None or written is None or "T" not in written:
        return None
    since = (_moment(written, zone) - began).total_seconds()
    return since if -EARLY_S <= since <= LONGEST_S else None


def _moment(text: str, zone: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))
