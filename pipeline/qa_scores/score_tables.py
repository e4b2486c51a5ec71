"""Scores from outside as a quality team keeps them, and the call of each row.

Conventions
-----------
A row names its call by ``call_id`` or ``recording`` and gives either an overall ``score`` or, with
``item_id``, a ``verdict`` and/or a ``score``. A score is read against ``max_score``: 100 for an
overall score and 1 for an item when not given. An item's score without a verdict is a pass from
``PASS_SHARE`` on. A row that cannot be used is kept with its problem and costs itself only; but one
item's score over 1 without full marks shows that those of the whole file mean something else.

A judgement is known by call, item, reviewer and time, whatever the file is called. Of one reviewer
the newest counts, by ``scored_at`` and else by what was read later; other reviewers stand beside.
A judgement without a reviewer may be anybody's: it stands beside none, and the newest counts.
"""

from __future__ import annotations

import difflib
import math
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from pipeline.errors import ScoresError, first_few, nearest
from pipeline.io import files
from pipeline.io.names import Names
from pipeline.io.times import iso_time, year_first
from pipeline.io.user_tables import CALL_COLUMNS, Row, Table, read_table
from pipeline.schema import VerdictName

COLUMNS: Mapping[str, Sequence[str]] = {
    **CALL_COLUMNS,
    "item_id": ("评分项", "质检项", "评分项目", "质检项目", "考核项", "项目", "评分項", "item"),
    "verdict": ("结论", "质检结论", "质检结果", "是否合格", "判定", "结果", "結論", "result"),
    "score": ("得分", "分数", "质检得分", "质检分数", "最终得分", "总得分", "总分", "评分", "得分率",
              "分數", "qa_score", "total_score"),
    "max_score": ("满分", "满分值", "分值", "标准分", "滿分", "full_marks", "full_score", "max"),
    "reviewer": ("质检员", "质检人", "质检人员", "评分人", "考评人", "質檢員", "qa", "scorer", "evaluator"),
    "scored_at": ("评分时间", "质检时间", "评分日期", "质检日期", "考评时间", "評分時間", "scored_on"),
    "note": ("备注", "评语", "说明", "扣分原因", "備註", "comment", "comments", "remark", "notes"),
}  # fmt: skip
"""What a quality team calls the columns, the surest name first."""

VERDICT_WORDS: Mapping[VerdictName, tuple[str, ...]] = {
    "pass": ("pass", "passed", "yes", "y", "true", "ok", "1", "√", "✓", "✔", "☑",
             "合格", "通过", "是", "符合", "达标"),
    "fail": ("fail", "failed", "no", "n", "false", "0", "×", "✗", "✘", "✕", "❌", "x",
             "不合格", "未通过", "不通过", "否", "不符合", "未达标", "不达标"),
    "not_applicable": ("not_applicable", "not applicable", "na", "n/a", "/", "不适用", "不涉及"),
    "cannot_tell": ("cannot_tell", "cannot tell", "unclear", "无法判断", "不确定", "听不清"),
}  # fmt: skip
PASS_SHARE = 0.6  # 60 of 100, the usual pass mark
SMALL_MARKS = (1, 5)  # full marks of the small scales; no column of scores of 100 stays within them

FIELDS = ("row", *COLUMNS, "file", "problem")
_WORDS = {word: name for name, words in VERDICT_WORDS.items() for word in words}
_NUMBER = re.compile(
    r"([+-]?\d+(?:\.\d*|,\d{1,2})?)\s*(?:(%|％)|分?\s*(?:/\s*(\d+(?:\.\d*)?)\s*分?)?)"
)
_NO_CALL, _MANY_CALLS = "no call has this", "calls have a recording of this name"
_YEAR = re.compile(r"\d{4}-")
_TOTAL = re.compile(
    r"(总分|总得分|总成绩|最终得分|合计|总计|總分|總得分|合計|總計|total|total[ _]score)\s*[:：]?",
    re.IGNORECASE,
)
_FULL_MARKS = re.compile(r"满分\D{0,2}(\d+)|(\d+)\s*分制|[(（]\s*(\d+)\s*分?\s*[)）]")


class Scores(NamedTuple):
    """A sheet of outside scores.

    Attributes
    ----------
    rows : DataFrame
        ``FIELDS``: row in the sheet, ``COLUMNS`` with the verdict in our words and the scores as
        numbers, the file with its sheet where there are several, and the problem of a row that
        cannot be used; all else text, missing values null.
    notes : list of str
        What was understood and what was skipped.
    """

    rows: pd.DataFrame
    notes: list[str]


class Joined(NamedTuple):
    """Outside scores beside the calls they belong to.

    Attributes
    ----------
    rows : DataFrame
        As those of :class:`Scores` with ``call_id`` (null when not matched) beside
        ``given_call_id``; ``problem`` is null when the row is used.
    notes : list of str
        Item ids that the rubric does not know.
    """

    rows: pd.DataFrame
    notes: list[str]

    @property
    def unmatched(self) -> pd.DataFrame:
        """The rows that were not used, each with its ``problem``."""
        return self.rows[self.rows["problem"].notna()]


def read_scores(path: str | Path) -> Scores:
    """Read a sheet of outside scores: CSV, XLSX or Parquet (see :mod:`pipeline.io.user_tables`).

    Raises
    ------
    ScoresError
        If the file cannot be read, a column is misspelt or missing, or no row can be used.
    """
    path = str(path)
    table = read_table(path, COLUMNS, [["call_id", "recording"], ["score", "verdict"]], ScoresError)
    header = _FULL_MARKS.search(table.headers.get("score", ""))
    full_marks = float(next(filter(None, header.groups()))) if header else None
    beside = _take_totals(table, files.name(path))
    unsaid = next((row for row in table.rows if full_marks is None and _is_over_one(row)), None)
    dated = year_first(row.cells.get("scored_at") for row in table.rows)
    rows = [
        _parsed(row, full_marks, unsaid, dated)
        | {"file": f"{files.name(path)} {row.sheet}".strip()}
        for row in table.rows
    ]
    for at in beside:
        rows[at]["problem"] = "a total beside the score that the call has in this table"
    if not rows:
        raise ScoresError(f"{path} holds no scores.", "Check that it is the right file and sheet.")
    if all(row["problem"] for row in rows):
        raise ScoresError(
            f"No row of {path} can be used; {table.rows[0].where}: {rows[0]['problem']}.",
            " ".join(n for n in table.notes if "formulas" in n)
            or "Mend the table and import it again.",
        )
    table.notes += _hold_back(rows, table, files.name(path))
    times = {row["scored_at"]: None for row in rows if row["scored_at"]}
    if unread := [text for text in times if not _YEAR.match(text)]:
        table.notes.append(
            f'Times of scores that cannot be read (give them as 2026-03-12 10:05): "{unread[0]}"'
            + (f" and {len(unread) - 1} more" if unread[1:] else "")
            + "; of one reviewer the score that is imported last counts."
        )
    table.notes += _said_twice(rows, table)
    return Scores(_frame(rows, FIELDS), table.notes)


def _take_totals(table: Table, name: str) -> list[int]:
    """Take items called 总分 and the like for the scores of their calls.

    Returns the places of those whose call has a score of its own.
    """

    def call(row: Row) -> tuple[str | None, str | None]:
        return row.cells.get("call_id"), row.cells.get("recording")

    own = {call(row) for row in table.rows if "item_id" not in row.cells and "score" in row.cells}
    taken, beside = [], []
    for at, row in enumerate(table.rows):
        if "score" not in row.cells or not _TOTAL.fullmatch(row.cells.get("item_id", "")):
            continue
        if call(row) in own:
            beside.append(at)
            continue
        cells = {name: text for name, text in row.cells.items() if name != "item_id"}
        table.rows[at] = replace(row, cells=cells)
        taken.append(f"{row.where} ({row.cells['item_id']})")
    if taken:
        table.notes.append(
            f"{name}: totals among the items are the scores of their calls: {first_few(taken)}."
        )
    return beside


def _hold_back(rows: Sequence[dict[str, Any]], table: Table, name: str) -> list[str]:
    """Do not use scores of calls that are small all over where full marks are not said."""
    bare = [
        row
        for row, found in zip(rows, table.rows, strict=True)
        if row["item_id"] is row["problem"] is row["max_score"] is None
        and row["score"] is not None
        and "%" not in unicodedata.normalize("NFKC", found.cells["score"])
    ]
    most = max((row["score"] for row in bare), default=0.0)
    marks = next((marks for marks in SMALL_MARKS if most <= marks), None)
    doubtful = [row for row in bare if row["score"]]  # 0 is nothing of anything
    if marks is None or not doubtful:
        return []
    for row in doubtful:
        row["problem"] = (
            f"score is {row['score']:g}, of which full marks is not said; "
            f"give them (满分, max_score), as {marks} or 100"
        )
    return [
        f"{name}: no score of a call is over {most:g}, and full marks are not said, so scores are kept "
        f"and not used: {len(doubtful)}. Add a column 满分 (max_score) with {marks}, or with 100 if "
        "that is what they are of, and import the table again."
    ]


def _said_twice(rows: Sequence[Mapping[str, Any]], table: Table) -> list[str]:
    """Rows that say another value of one judgement; the later counts."""
    first: dict[tuple[Any, ...], tuple[str, Mapping[str, Any]]] = {}
    cases = []
    for row, found in zip(rows, table.rows, strict=True):
        key = tuple(row[n] for n in ("call_id", "recording", "item_id", "reviewer", "scored_at"))
        if row["problem"]:
            continue
        where, earlier = first.get(key, ("", row))
        if any(row[name] != earlier[name] for name in ("score", "verdict", "max_score")):
            values = " and ".join(_value(r) for r in (earlier, row))
            cases.append(
                f"{where} and {found.where} ({row['recording'] or row['call_id']}: {values})"
            )
        first[key] = found.where, row
    if not cases:
        return []
    return [
        f"Rows that judge the same with other values, of which the later counts: {first_few(cases, '; ')}. "
        "A column 评分时间 (scored_at) or 质检员 (reviewer) tells them apart."
    ]


def join(
    scores: pd.DataFrame, calls: pd.DataFrame, items: Mapping[str, str] | None = None
) -> Joined:
    """Find the call of every row.

    Parameters
    ----------
    scores : DataFrame
        The rows of :func:`read_scores`.
    calls : DataFrame
        With ``call_id`` and ``path``.
    items : mapping of str to str, optional
        Name of each item of the rubric by its id. An item given by name gets its id; one that is
        neither is kept and noted.

    Notes
    -----
    ``call_id`` is tried first, then ``recording`` as a path, a unique file name or a unique name
    without its suffix. A name that several calls share matches none.
    """
    known = set(calls["call_id"])
    paths = (
        (c, p) for c, p in zip(calls["call_id"], calls["path"], strict=True) if isinstance(p, str)
    )
    names = Names(paths)
    ids = {text.casefold(): i for i, name in (items or {}).items() for text in (name, i)}
    unknown: dict[str, None] = {}
    rows: list[dict[Any, Any]] = []
    for row in scores.astype(object).where(scores.notna(), None).to_dict("records"):
        row["given_call_id"], row["call_id"] = row.pop("call_id"), None
        if row["item_id"] is not None:
            row["item_id"] = ids.get(row["item_id"].casefold(), row["item_id"])
            if items and row["item_id"] not in items:
                unknown.setdefault(row["item_id"])
        call_id, problem = _find(row["given_call_id"], row["recording"], known, names)
        row |= {"call_id": call_id, "problem": row["problem"] or problem}
        rows.append(row)
    notes = []
    for item in unknown:
        close = difflib.get_close_matches(item.casefold(), ids, n=1, cutoff=0.4)
        meant = (
            f"; the nearest is {ids[close[0]]} ({(items or {})[ids[close[0]]]})" if close else ""
        )
        notes.append(f'The item "{item}" is none of the rubric{meant}.')
    return Joined(_frame(rows, ("row", "call_id", "given_call_id", *FIELDS[2:])), notes)


def newest(rows: Iterable[Mapping[Any, Any]]) -> list[Mapping[Any, Any]]:
    """Of the usable rows, in the order they were read, the one of each reviewer that counts.

    Parameters
    ----------
    rows : iterable of mapping
        With ``call_id, item_id, reviewer, scored_at``.
    """
    return [row for row, by in _superseded(rows) if by is None]


def nameless(rows: Iterable[Mapping[Any, Any]]) -> list[str]:
    """Scores that do not count because one without a reviewer stands beside none, and what does.

    Parameters
    ----------
    rows : iterable of mapping
        Those of :func:`newest` with ``score`` and ``verdict`` as well.
    """
    notes = []
    for row, by in _superseded(rows):
        if by is not None and (row["reviewer"] is None) != (by["reviewer"] is None):
            of = row["call_id"] + (f" {row['item_id']}" if row["item_id"] else "")
            notes.append(
                f"{of}: {_shown(row)}, as {_shown(by)} counts in its place; without a reviewer "
                "(质检员) a score stands beside none"
            )
    return notes


def _shown(row: Mapping[Any, Any]) -> str:
    return f"{_value(row)} by {row['reviewer'] or 'nobody named'}"


def _value(row: Mapping[Any, Any]) -> str:
    return str(row["verdict"]) if row["score"] is None else f"{row['score']:g}"


def _superseded(
    rows: Iterable[Mapping[Any, Any]],
) -> list[tuple[Mapping[Any, Any], Mapping[Any, Any] | None]]:
    """Each row in the order in which it came to count, with the one that counts in its place."""
    found: list[tuple[Mapping[Any, Any], Mapping[Any, Any] | None]] = []
    counts: dict[tuple[Any, ...], dict[str | None, Mapping[Any, Any]]] = {}
    for row in rows:
        of_call = counts.setdefault((row["call_id"], row["item_id"]), {})
        who = row["reviewer"]
        rivals = [name for name in of_call if who is None or name in (None, who)]
        newer = [name for name in rivals if _is_newer(of_call[name], row)]
        found += [(of_call.pop(name), row) for name in rivals if name not in newer]
        if newer:
            found.append((row, of_call[newer[0]]))
        else:
            of_call[who] = row
    return found + [(row, None) for of_call in counts.values() for row in of_call.values()]


def _is_newer(row: Mapping[Any, Any], than: Mapping[Any, Any]) -> bool:
    both = all(_YEAR.match(r["scored_at"] or "") for r in (row, than))
    return both and row["scored_at"] > than["scored_at"]


def _is_over_one(row: Row) -> bool:
    """Whether the score of an item shows that its full marks are more than 1, and they are not said."""
    number = _NUMBER.fullmatch(row.cells.get("score", ""))
    if number is None or number[2] or number[3] or "item_id" not in row.cells:
        return False
    return "max_score" not in row.cells and float(number[1].replace(",", ".")) > 1


def _parsed(
    found: Row, full_marks: float | None, unsaid: Row | None, dated: Callable[[str], str]
) -> dict[str, Any]:
    """One row in our words and numbers, with the problem if it cannot be used.

    ``unsaid``: a row by which scores of items are of some other full mark than 1 that is not said.
    """
    row: dict[str, Any] = {name: found.cells.get(name) for name in COLUMNS}
    row |= {"row": found.number, "problem": None}
    score, top, verdict = row["score"], row["max_score"], row["verdict"]
    row["scored_at"] = iso_time(dated(row["scored_at"] or "")) or row["scored_at"]
    row["score"] = row["max_score"] = row["verdict"] = None
    whole = _NUMBER.fullmatch(top or "")
    number = _NUMBER.fullmatch(score or "")
    if top and not whole:
        return row | {"problem": f"max_score is {top!r}, which is no number"}
    if score and not number:
        return row | {"problem": f"score is {score!r}, which is no number"}
    limit = float(whole[1].replace(",", ".")) if whole else full_marks
    if number and number[3]:
        limit = float(number[3])
    row["max_score"] = limit
    if verdict:
        row["verdict"] = _WORDS.get(verdict.casefold())
        if row["verdict"] is None:
            return row | {"problem": f"verdict is {verdict!r}. {nearest(verdict, _WORDS)}"}
    of_item = row["item_id"] is not None
    usual = 1.0 if of_item else 100.0
    if number:
        value = float(number[1].replace(",", "."))
        if number[2]:
            value *= (usual if limit is None else limit) / 100
        row["score"] = value
        judged = of_item and row["verdict"] is not None  # then the score need not be read
        most = math.inf if judged and limit is None else usual if limit is None else limit
        if of_item and limit is None and unsaid and not judged and not number[2]:
            return row | {
                "problem": f"score is {value:g}, of full marks that are not said "
                f"({unsaid.where} gives {unsaid.cells['score']}, more than 1): add a column 满分 "
                "(max_score), or name it in the header, as in 得分（满分10）"
            }
        if not 0 <= value <= most or most == 0:
            return row | {
                "problem": f"score is {value:g}, allowed: 0 to {most:g}; give the full marks "
                f"(满分, max_score) where they are not {usual:g}"
            }
        if of_item and not judged:
            row["verdict"] = "pass" if value / most >= PASS_SHARE else "fail"
    if row["verdict"] is None and row["score"] is None:
        row["problem"] = "neither a verdict nor a score"
    elif not of_item and row["score"] is None:
        row["problem"] = "a verdict without item_id: name the rubric item, or give a score"
    return row


def is_missing_call(problem: str) -> bool:
    """Whether a row was not used for want of its call alone."""
    return problem.startswith(_NO_CALL) or problem.endswith(_MANY_CALLS)


def _find(
    given: str | None, recording: str | None, known: set[str], names: Names
) -> tuple[str | None, str | None]:
    """Call id and problem, one of which is None."""
    if given is not None and given in known:
        return given, None
    if recording is not None:
        calls = names.find(recording)
        if len(calls) == 1:
            return calls[0], None
        if calls:
            return None, f"{len(calls)} {_MANY_CALLS}"
        near = names.nearest(recording)
        return None, f"{_NO_CALL} recording{f'; the nearest is {near}' if near else ''}"
    if given is not None:
        return None, f"{_NO_CALL} call_id"
    return None, "neither call_id nor recording"


def _frame(rows: Sequence[Mapping[Any, Any]], columns: Sequence[str]) -> pd.DataFrame:
    types = {"score": "float64", "max_score": "float64", "row": "int64"}
    frame = pd.DataFrame(rows, columns=list(columns), dtype=object)
    return frame.astype({name: types.get(name, "str") for name in columns})
