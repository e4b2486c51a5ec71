"""What may be said of a recording: names, types, and how people write them.

Conventions
-----------
Every cell is read as text, so that ``007`` stays ``007``. A value that cannot be used is left out
and noted.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pipeline.io.times import iso_time
from pipeline.io.user_tables import CALL_COLUMNS
from pipeline.recordings.notes import Notes

TEXT_FIELDS = (
    "call_id", "agent_id", "agent_name", "team", "customer_name", "queue", "agent_id_2",
)  # fmt: skip
FIELDS = (*TEXT_FIELDS, "direction", "started_at", "agent_channel", "rings", "wait_s")
"""Everything the metadata may say of a recording."""

COLUMNS: Mapping[str, Sequence[str]] = {
    **CALL_COLUMNS,
    "agent_id": ("工号", "坐席工号", "座席工号", "客服工号", "员工工号", "坐席编号", "坐席ID", "座席ID",
                 "工號", "坐席", "座席", "agent", "agent_no", "agent_number"),
    "agent_name": ("姓名", "坐席姓名", "座席姓名", "客服姓名", "员工姓名", "坐席名称", "客服", "客服人员",
                   "話務員", "话务员", "operator", "坐席", "座席", "agent"),
    "agent_id_2": ("转接工号", "转接坐席", "转接座席", "转接坐席工号", "被转接工号", "第二坐席", "第二坐席工号",
                   "接手坐席", "transfer_agent", "transferred_to", "second_agent"),
    "team": ("班组", "组别", "小组", "坐席组", "座席组", "团队", "部门", "業務組", "班組", "group",
             "department"),
    "customer_name": ("客户姓名", "客户名称", "客户", "客戶姓名", "客戶", "customer"),
    "queue": ("技能组", "技能组名称", "技能队列", "队列", "队列名称", "技能組", "skill", "skill_group",
              "queue_name"),
    "direction": ("呼叫方向", "通话方向", "呼叫类型", "通话类型", "呼入/呼出", "呼入呼出", "方向", "呼叫類型",
                  "call_direction", "call_type"),
    "started_at": ("开始时间", "通话开始时间", "呼叫开始时间", "录音开始时间", "通话时间", "呼叫时间",
                   "来电时间", "录音时间", "接通时间", "日期时间", "開始時間", "start_time", "call_time",
                   "start", "datetime", "时间", "time"),
    "date": ("通话日期", "呼叫日期", "录音日期", "开始日期", "日期", "call_date", "start_date"),
    "agent_channel": ("坐席声道", "座席声道", "坐席通道", "客服声道"),
    "rings": ("振铃次数", "响铃次数", "ring_count"),
    "wait_s": ("等待时长", "等待秒数", "等待时间", "排队时长", "排队时间", "wait_time", "wait"),
}  # fmt: skip
"""What people call the columns of a table of recordings, the surest name first."""

DIRECTIONS = {
    **dict.fromkeys(
        ("inbound", "in", "incoming", "呼入", "来电", "进线", "打入", "入呼"), "inbound"
    ),
    **dict.fromkeys(
        ("outbound", "out", "outgoing", "呼出", "去电", "外呼", "打出", "出呼"), "outbound"
    ),
}

_SIDES = {"左": 0, "左声道": 0, "left": 0, "l": 0, "右": 1, "右声道": 1, "right": 1, "r": 1}
LOST_DIGITS = re.compile(r"\d(\.\d+)?[eE]\+\d+|[1-9]\d{14}0+")
"""A number as spreadsheets leave it that keep 15 digits."""


def put(values: dict[str, Any], name: str, text: str | None, where: str, notes: Notes) -> None:
    """Store a value in its type; note one that cannot be used."""
    text = (text or "").strip()
    if text.casefold() in ("", "n/a", "/", "／", "\\"):
        return
    if name == "agent_id" or name not in TEXT_FIELDS:
        text = unicodedata.normalize("NFKC", text)  # digits as wide as letters
    value = text if name in TEXT_FIELDS else _PARSERS[name](text)
    if value is None:
        notes.count(f'The {name} "{text}" cannot be used ({_ALLOWED[name]}):', where)
    else:
        values[name] = value


def _whole(text: str, most: int) -> int | None:
    number = re.fullmatch(r"(\d{1,6})(\.0*)?", text)
    return int(number[1]) if number and int(number[1]) <= most else None


def _seconds(text: str) -> float | None:
    if clock := re.fullmatch(r"(?:(\d{1,2}):)?(\d{1,2}):(\d{2})", text):
        hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        return float(hours * 3600 + minutes * 60 + seconds)
    text = re.sub(r"\s*(秒|s)$", "", text)
    text = re.sub(r"^(\d+),(\d{1,2})$", r"\1.\2", text)  # a decimal comma
    return float(text) if re.fullmatch(r"\d{1,6}(\.\d*)?", text) else None


_PARSERS: dict[str, Callable[[str], Any]] = {
    "direction": lambda text: DIRECTIONS.get(text.lower()),
    "started_at": iso_time,
    "agent_channel": lambda text: _SIDES.get(text.lower(), _whole(text, 1)),
    "rings": lambda text: _whole(text, 999),
    "wait_s": _seconds,
}
_ALLOWED = {
    "direction": "allowed: inbound, outbound, 呼入, 呼出",
    "started_at": "give it as 2026-03-12 10:05:00",
    "agent_channel": "allowed: 0 (left), 1 (right)",
    "rings": "allowed: a whole number",
    "wait_s": "allowed: seconds as a number",
}
