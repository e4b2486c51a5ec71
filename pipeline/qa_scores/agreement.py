"""How far the rubric and a quality team agree: raw, Cohen's kappa, correlation of the scores.

Conventions
-----------
Two verdicts on one item of one call form a pair when both are a judgement (``JUDGED``); what
"cannot_tell" says is no judgement. "not_applicable" is one: two judges can differ on it.

Sources: Cohen 1960 (kappa, with its expected agreement taken as fixed in the interval);
Wilson 1927 (interval of a proportion).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import special

from pipeline.schema import VerdictName

JUDGED: tuple[VerdictName, ...] = ("pass", "fail", "not_applicable")
CONFIDENCE_LEVEL = 0.95
MIN_SCORES = 3  # calls needed for a correlation

_KAPPA_COLUMNS = (
    "pairs", "agreed", "agreement", "agreement_low", "agreement_high",
    "kappa", "kappa_low", "kappa_high",
)  # fmt: skip


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
