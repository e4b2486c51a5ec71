"""Compliance scores from outside: a quality team's own sheet, joined to the calls and compared.

Conventions
-----------
A row names its call by ``call_id`` or ``recording`` and gives either an overall ``score`` (0-100)
or, with ``item_id``, a ``verdict`` and/or a ``score``. A ``score`` of an item without a verdict
is read against ``max_score`` (1 when not given): from ``PASS_SHARE`` on it is a pass.
Several reviewers of one call are all kept. Rows that cannot be used are returned with the reason.

Two verdicts on one item of one call form a pair when both are a judgement (``JUDGED``); what
"cannot_tell" says is no judgement. "not_applicable" is one: two judges can differ on it.

Sources: Cohen 1960 (kappa, with its expected agreement taken as fixed in the interval);
Wilson 1927 (interval of a proportion).
"""

from __future__ import annotations

import difflib
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from pipeline.errors import ScoresError, nearest
from pipeline.schema import Verdict, VerdictName

COLUMNS = (
    "call_id", "recording", "item_id", "verdict", "score", "max_score",
    "reviewer", "scored_at", "note",
)  # fmt: skip
CHINESE_COLUMNS: Mapping[str, str] = {
    "通话编号": "call_id",
    "录音": "recording",
    "录音文件": "recording",
    "评分项": "item_id",
    "结论": "verdict",
    "得分": "score",
    "分数": "score",
    "满分": "max_score",
    "质检员": "reviewer",
    "评分时间": "scored_at",
    "备注": "note",
}
VERDICT_WORDS: Mapping[VerdictName, tuple[str, ...]] = {
    "pass": ("pass", "passed", "yes", "y", "true", "ok", "1",
             "合格", "通过", "是", "符合", "达标"),
    "fail": ("fail", "failed", "no", "n", "false", "0",
             "不合格", "未通过", "不通过", "否", "不符合", "未达标", "不达标"),
    "not_applicable": ("not_applicable", "not applicable", "na", "n/a", "不适用", "不涉及"),
    "cannot_tell": ("cannot_tell", "cannot tell", "unclear", "无法判断", "不确定", "听不清"),
}  # fmt: skip
JUDGED: tuple[VerdictName, ...] = ("pass", "fail", "not_applicable")
PASS_SHARE = 0.6  # 60 of 100, the usual pass mark
CONFIDENCE_LEVEL = 0.95
MISSPELT = 0.75  # likeness from which on an unknown column is taken for a slip of the pen
MIN_SCORES = 3  # calls needed for a correlation

_KAPPA_COLUMNS = (
    "pairs", "agreed", "agreement", "agreement_low", "agreement_high",
    "kappa", "kappa_low", "kappa_high",
)  # fmt: skip
_WORDS = {word: name for name, words in VERDICT_WORDS.items() for word in words}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Joined:
    """Outside scores beside the calls they belong to.

    Attributes
    ----------
    rows : DataFrame
        Every row read: ``row, call_id`` (null when not matched), ``given_call_id, recording,
        item_id, verdict, score, max_score, reviewer, scored_at, note, problem`` (null when used).
    verdicts : Mapping of call id to tuple of Verdict
        Source ``"outside"``; one per row with an item.
    scores : Mapping of call id to float
        Overall score, 0-100, the mean over reviewers.
    """

    rows: pd.DataFrame
    verdicts: Mapping[str, tuple[Verdict, ...]]
    scores: Mapping[str, float]

    @property
    def unmatched(self) -> pd.DataFrame:
        """The rows that were not used, each with its ``problem``."""
        return self.rows[self.rows["problem"].notna()]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the rubric and the outside judges agree.

    Attributes
    ----------
    items : DataFrame
        One row per item: ``item_id, pairs, agreed, agreement, agreement_low, agreement_high,
        kappa, kappa_low, kappa_high, rubric_only, outside_only`` (calls judged by one side).
    disagreements : DataFrame
        One row per pair that differs, with the evidence of both sides.
    scored_calls : int
        Calls with a score of both sides.
    pearson, spearman : float or None
        Correlation of the overall scores; None under ``MIN_SCORES`` calls or without spread.
    mean_difference, mean_difference_low, mean_difference_high : float or None
        Compliance score minus outside score in points, with a 95 % interval.
    """

    items: pd.DataFrame
    disagreements: pd.DataFrame
    scored_calls: int
    pearson: float | None
    spearman: float | None
    mean_difference: float | None
    mean_difference_low: float | None
    mean_difference_high: float | None


def read_scores(path: str | Path) -> pd.DataFrame:
    """Read a sheet of outside scores.

    Parameters
    ----------
    path : str or Path
        ``.csv`` (UTF-8 or GB 18030), ``.xlsx`` or ``.parquet``.

    Returns
    -------
    DataFrame
        ``row`` (line in the sheet, the header being 1) and ``COLUMNS``; ``verdict`` in our words,
        ``score`` and ``max_score`` as numbers, all else text, missing values null.

    Raises
    ------
    ScoresError
        If the file cannot be read, a column is misspelt or missing, or a value is not allowed.
    """
    path = Path(path)
    sheet = _read_sheet(path)
    sheet.columns = pd.Index([_column_name(c) for c in sheet.columns])
    _check_columns(path, list(sheet.columns))
    frame = sheet.reindex(columns=list(COLUMNS)).astype(object)
    for name in COLUMNS:
        frame[name] = _objects([_text(value) for value in frame[name]])
    frame.insert(0, "row", np.arange(2, len(frame) + 2))
    frame = frame[frame[list(COLUMNS)].notna().any(axis=1)].reset_index(drop=True)
    if frame.empty:
        raise ScoresError(f"{path} holds no scores.", "Check that it is the right file and sheet.")
    for name, parse in (("score", _number), ("max_score", _number), ("verdict", _verdict)):
        frame[name] = _parsed(path, frame, name, parse)
    _check_range(path, frame)
    frame["verdict"] = _verdicts(frame)
    types = {"score": "float64", "max_score": "float64", "row": "int64"}
    return frame.astype({name: types.get(name, "str") for name in frame.columns})


def join(scores: pd.DataFrame, calls: pd.DataFrame) -> Joined:
    """Find the call of every row.

    Parameters
    ----------
    scores : DataFrame
        As from :func:`read_scores`.
    calls : DataFrame
        With ``call_id`` and ``path``.

    Notes
    -----
    ``call_id`` is tried first, then ``recording`` as the path, the file name or the name without
    its extension (upper and lower case alike). A name that several calls share matches none.
    """
    rows = scores.rename(columns={"call_id": "given_call_id"})
    known = set(calls["call_id"])
    by_name = _calls_by_name(calls)
    found = [
        _find(given, recording, known, by_name)
        for given, recording in zip(
            rows["given_call_id"].astype(object), rows["recording"].astype(object), strict=True
        )
    ]
    rows.insert(1, "call_id", pd.Series([c for c, _ in found], index=rows.index, dtype="str"))
    problem = pd.Series([p for _, p in found], index=rows.index, dtype=object)
    empty = rows["verdict"].isna() & rows["score"].isna()
    problem = problem.where(problem.notna() | ~empty, "neither a verdict nor a score")
    rows["problem"] = problem.astype("str")
    used = rows[rows["problem"].isna()]
    items = used[used["item_id"].notna()]
    overall = used[used["item_id"].isna()].groupby("call_id")["score"].mean()
    return Joined(
        rows=rows,
        verdicts={
            str(call_id): tuple(_to_verdict(r) for r in group.astype(object).to_dict("records"))
            for call_id, group in items.groupby("call_id", sort=False)
        },
        scores={str(call_id): float(score) for call_id, score in overall.items()},
    )


def call_agreement(verdicts: pd.DataFrame) -> dict[str, float]:
    """Share of the items judged by both sides on which both agree, per call.

    Parameters
    ----------
    verdicts : DataFrame
        ``call_id, item_id, source, verdict``.

    Returns
    -------
    dict of call id to float
        0-1. Calls without any item judged by both are left out.
    """
    pairs = _pairs(verdicts[["call_id", "item_id", "source", "verdict"]])
    shares = (pairs["verdict_rubric"] == pairs["verdict_outside"]).groupby(pairs["call_id"]).mean()
    return {str(call_id): float(share) for call_id, share in shares.items()}


def agreement(verdicts: pd.DataFrame, calls: pd.DataFrame) -> Agreement:
    """Compare the rubric's verdicts and scores with those from outside.

    Parameters
    ----------
    verdicts : DataFrame
        The verdicts table, both sources.
    calls : DataFrame
        ``call_id, compliance_score, outside_score``.
    """
    pairs = _pairs(verdicts)
    differ = pairs[pairs["verdict_rubric"] != pairs["verdict_outside"]]
    both = calls[["compliance_score", "outside_score"]].dropna()
    ours, theirs = both["compliance_score"].to_numpy(), both["outside_score"].to_numpy()
    correlated = len(both) >= MIN_SCORES and np.ptp(ours) > 0 and np.ptp(theirs) > 0
    difference, low, high = _mean_interval(ours - theirs)
    return Agreement(
        items=_item_agreement(verdicts, pairs),
        disagreements=_both_evidences(differ),
        scored_calls=len(both),
        pearson=_correlation(ours, theirs) if correlated else None,
        spearman=_correlation(_ranks(ours), _ranks(theirs)) if correlated else None,
        mean_difference=difference,
        mean_difference_low=low,
        mean_difference_high=high,
    )


# --- reading ------------------------------------------------------------------------------------


def _read_sheet(path: Path) -> pd.DataFrame:
    kind = path.suffix.lower()
    try:
        if kind == ".csv":
            return _read_csv(path)
        if kind == ".xlsx":
            return pd.read_excel(path, dtype=object, keep_default_na=False, na_values=[""])
        if kind == ".parquet":
            return pd.read_parquet(path)
    except FileNotFoundError as error:
        raise ScoresError(f"There is no file {path}.", "Check the path of --scores.") from error
    except Exception as error:  # the readers raise many types; all mean an unreadable file
        raise ScoresError(
            f"{path} cannot be read as {kind[1:].upper()}: {error}",
            "Save it again as CSV (UTF-8) or XLSX.",
        ) from error
    raise ScoresError(
        f"Scores of type {kind or 'without an extension'!r} cannot be read ({path}).",
        "Allowed: .csv, .xlsx, .parquet.",
    )


def _read_csv(path: Path) -> pd.DataFrame:
    data = path.read_bytes()
    encoding = "utf-8-sig"
    try:
        data.decode(encoding)
    except UnicodeDecodeError:
        encoding = "gb18030"
    return pd.read_csv(path, encoding=encoding, dtype=object, keep_default_na=False, na_values=[""])


def _column_name(name: object) -> str:
    text = str(name).strip()
    return CHINESE_COLUMNS.get(text, text.lower().replace(" ", "_"))


def _check_columns(path: Path, names: list[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ScoresError(f"{path} has two columns {name!r}.", "Keep one of them.")
    unknown = [name for name in names if name not in COLUMNS]
    for name in unknown:
        meant = difflib.get_close_matches(name, set(COLUMNS) - set(names), 1, MISSPELT)
        if meant:
            raise ScoresError(f"{path} has an unknown column {name!r}.", nearest(name, COLUMNS))
    hint = f"Columns found: {', '.join(names) or 'none'}. Allowed: {', '.join(COLUMNS)}."
    if not {"call_id", "recording"} & set(names):
        raise ScoresError(f"{path} names no calls: it needs call_id or recording.", hint)
    if not {"score", "verdict"} & set(names):
        raise ScoresError(f"{path} gives no scores: it needs score, or item_id and verdict.", hint)
    if unknown:
        _log.warning("%s: columns not used: %s", path, ", ".join(unknown))


def _objects(values: list[Any]) -> pd.Series[Any]:
    return pd.Series(values, dtype=object)  # None stays None, which a map would turn into NaN


def _text(value: object) -> str | None:
    if value is None or value is pd.NA or value is pd.NaT or value != value:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # spreadsheets and nullable columns give whole numbers as floats
    return str(value).strip() or None


def _number(text: str) -> float | None:
    try:
        number = float(re.sub(r"\s*[分%％]$", "", text))
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def _verdict(text: str) -> str | None:
    return _WORDS.get(text.casefold())


def _parsed(
    path: Path, frame: pd.DataFrame, name: str, parse: Callable[[str], str | float | None]
) -> pd.Series[Any]:
    given = frame[name]
    values = _objects([None if text is None else parse(text) for text in given])
    for at in frame.index[given.notna() & values.isna()]:
        allowed = "a number" if name != "verdict" else nearest(str(given[at]), _WORDS)
        raise ScoresError(
            f"{path}, row {frame['row'][at]}: {name} is {given[at]!r}.",
            f"Allowed: {allowed}." if name != "verdict" else allowed,
        )
    return values


def _limits(frame: pd.DataFrame) -> pd.Series[float]:
    """Highest score that a row allows, null where it is not said and not needed."""
    top = frame["max_score"].astype(float)
    top = top.where(top.notna() | frame["verdict"].notna(), 1.0)
    return top.where(frame["item_id"].notna(), 100.0)


def _check_range(path: Path, frame: pd.DataFrame) -> None:
    score, limit = frame["score"].astype(float), _limits(frame)
    for at in frame.index[(score < 0) | (limit <= 0) | (score > limit)]:
        raise ScoresError(
            f"{path}, row {frame['row'][at]}: score is {score[at]:g}, allowed: 0 to {limit[at]:g}.",
            "Overall scores go from 0 to 100; items from 0 to max_score (1 when not given).",
        )
    for at in frame.index[frame["item_id"].isna() & frame["verdict"].notna() & score.isna()]:
        raise ScoresError(
            f"{path}, row {frame['row'][at]}: a verdict without item_id.",
            "Name the rubric item in item_id, or give an overall score.",
        )


def _verdicts(frame: pd.DataFrame) -> pd.Series[Any]:
    """Verdicts as given, else as the score of the item says."""
    share = frame["score"].astype(float) / _limits(frame)
    by_score = share.ge(PASS_SHARE).map({True: "pass", False: "fail"})
    needed = frame["item_id"].notna() & frame["verdict"].isna() & share.notna()
    return frame["verdict"].where(~needed, by_score)


# --- joining ------------------------------------------------------------------------------------


def _names(path: str) -> tuple[str, str, str]:
    whole = path.replace("\\", "/").casefold()
    base = whole.rpartition("/")[2]
    return whole, base, base.rpartition(".")[0] or base


def _calls_by_name(calls: pd.DataFrame) -> dict[str, set[str]]:
    by_name: dict[str, set[str]] = {}
    for call_id, path in zip(calls["call_id"], calls["path"].astype(object), strict=True):
        if isinstance(path, str):
            for name in _names(path):
                by_name.setdefault(name, set()).add(call_id)
    return by_name


def _find(
    given: object, recording: object, known: set[str], by_name: Mapping[str, set[str]]
) -> tuple[str | None, str | None]:
    """Call id and problem, one of which is None."""
    if isinstance(given, str) and given in known:
        return given, None
    if isinstance(recording, str):
        for name in _names(recording):
            calls = by_name.get(name, set())
            if len(calls) == 1:
                return next(iter(calls)), None
            if calls:
                return None, f"{len(calls)} calls have a recording of this name"
        return None, "no call has this recording"
    if isinstance(given, str):
        return None, "no call has this call_id"
    return None, "neither call_id nor recording"


def _to_verdict(row: Mapping[Any, Any]) -> Verdict:
    value: dict[str, Any] = {k: None if v is None or v != v else v for k, v in row.items()}
    return Verdict(
        item_id=value["item_id"],
        source="outside",
        verdict=value["verdict"],
        score=value["score"],
        max_score=value["max_score"],
        reviewer=value["reviewer"],
        note=value["note"],
    )


# --- comparing ----------------------------------------------------------------------------------


def _pairs(verdicts: pd.DataFrame) -> pd.DataFrame:
    """One row per item judged by both sides (per reviewer, when there are several)."""
    judged = verdicts[verdicts["verdict"].isin(JUDGED)]
    return judged[judged["source"] == "rubric"].merge(
        judged[judged["source"] == "outside"],
        on=["call_id", "item_id"],
        suffixes=("_rubric", "_outside"),
    )


def _item_agreement(verdicts: pd.DataFrame, pairs: pd.DataFrame) -> pd.DataFrame:
    judged = verdicts[verdicts["verdict"].isin(JUDGED)]
    calls_of = {
        source: judged[judged["source"] == source].groupby("item_id")["call_id"].agg(set).to_dict()
        for source in ("rubric", "outside")
    }
    groups = {str(item_id): group for item_id, group in pairs.groupby("item_id")}
    rows = []
    for item_id in sorted({str(item) for items in calls_of.values() for item in items}):
        ours, theirs = (calls_of[s].get(item_id, set()) for s in ("rubric", "outside"))
        row = {"item_id": item_id, **_kappa(groups.get(item_id, pairs.iloc[:0]))}
        rows.append(row | {"rubric_only": len(ours - theirs), "outside_only": len(theirs - ours)})
    types = dict.fromkeys(_KAPPA_COLUMNS[2:], "float64") | {"item_id": "str"}
    types |= dict.fromkeys((*_KAPPA_COLUMNS[:2], "rubric_only", "outside_only"), "int64")
    columns = ["item_id", *_KAPPA_COLUMNS, "rubric_only", "outside_only"]
    return pd.DataFrame(rows, columns=columns).astype(types)


def _kappa(pairs: pd.DataFrame) -> dict[str, float | None]:
    """Raw agreement and Cohen's kappa of one item, null where they are not defined."""
    n = len(pairs)
    if n == 0:
        return dict.fromkeys(_KAPPA_COLUMNS, None) | {"pairs": 0, "agreed": 0}
    ours, theirs = pairs["verdict_rubric"], pairs["verdict_outside"]
    agreed = int((ours == theirs).sum())
    expected = sum(float((ours == v).mean() * (theirs == v).mean()) for v in JUDGED)
    shares = (agreed / n, *_wilson(agreed, n))
    kappas = [(s - expected) / (1 - expected) if expected < 1 else None for s in shares]
    return dict(zip(_KAPPA_COLUMNS, (n, agreed, *shares, *kappas), strict=True))


def _both_evidences(differ: pd.DataFrame) -> pd.DataFrame:
    evidence = ("verdict", "score", "reviewer", "speaker", "start", "end", "quote", "matched",
                "confidence", "note")  # fmt: skip
    kept = ["call_id", "item_id"]
    kept += [f"{c}_{side}" for side in ("rubric", "outside") for c in evidence]
    return differ[[c for c in kept if c in differ.columns]].reset_index(drop=True)


def _mean_interval(values: NDArray[np.float64]) -> tuple[float | None, float | None, float | None]:
    if len(values) == 0:
        return None, None, None
    mean = float(values.mean())
    if len(values) == 1:
        return mean, None, None
    quantile = float(special.stdtrit(len(values) - 1, 0.5 + CONFIDENCE_LEVEL / 2))
    half = quantile * float(values.std(ddof=1)) / sqrt(len(values))
    return mean, mean - half, mean + half


def _wilson(hits: int, n: int) -> tuple[float, float]:
    z = NormalDist().inv_cdf(0.5 + CONFIDENCE_LEVEL / 2)
    share, spread = hits / n, z * z / n
    centre = share + spread / 2
    half = z * sqrt(share * (1 - share) / n + spread / (4 * n))
    low, high = (centre - half) / (1 + spread), (centre + half) / (1 + spread)
    return max(0.0, min(low, share)), min(1.0, max(high, share))  # whatever the rounding


def _correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    return float(np.corrcoef(x, y)[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(pd.Series(values).rank(), dtype=np.float64)
