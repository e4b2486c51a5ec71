"""How far the rubric and a quality team agree, and the team among itself: raw, kappa, AC1, correlation.

Conventions
-----------
Two verdicts on one item of one call form a pair when both are a judgement (``JUDGED``); what
"cannot_tell" says is no judgement, and is counted apart. "not_applicable" is one: two judges can
differ on it. A call that several people judged counts once: its pairs share the weight of one.

Calls are what varies: intervals are by the number of calls, not of pairs. Those of kappa and AC1 are
the wider of two, Wilson's with the agreement expected by chance taken as fixed and the jackknife over
calls, within [-1, 1]. Where nearly all verdicts are alike kappa is near 0 whatever the agreement
(Feinstein & Cicchetti 1990); AC1 is not.

Sources: Cohen 1960 (kappa); Gwet 2008 (AC1); Wilson 1927 (interval of a proportion); Quenouille 1956
(jackknife); Fisher 1921, Bonett & Wright 2000 (intervals of correlations).
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
MIN_SCORES = 3  # calls needed for a correlation, one more for its interval
MIN_CALLS = 10  # judged by both, from which on it is said whether they agree
GOOD = 0.80  # agreement that is enough to talk to people about

_Z = NormalDist().inv_cdf(0.5 + CONFIDENCE_LEVEL / 2)
_CHANCE_COLUMNS = (
    "agreement", "agreement_low", "agreement_high", "kappa", "kappa_low", "kappa_high",
    "ac1", "ac1_low", "ac1_high",
)  # fmt: skip
_COUNTS = ("rubric_only", "outside_only", "rubric_cannot_tell", "outside_cannot_tell")
_PEOPLE_COLUMNS = ("people_agreement", "people_low", "people_high", "people_ac1")


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far the rubric and the outside judges agree.

    Attributes
    ----------
    items : DataFrame
        One row per item: ``item_id, says`` (what the number of calls allows to say), ``calls, pairs,
        agreed``, ``agreement``, ``kappa`` and ``ac1`` with ``_low`` and ``_high``, ``rubric_only,
        outside_only`` (calls judged by one side), ``rubric_cannot_tell, outside_cannot_tell`` (calls
        in which one side could not tell and the other could), and of two people on one call
        ``people_pairs, people_agreement, people_low, people_high, people_ac1``.
    disagreements : DataFrame
        One row per pair that differs, with the evidence of both sides.
    scored_calls : int
        Calls with a score of both sides.
    pearson, spearman : float or None
        Correlation of the overall scores; None under ``MIN_SCORES`` calls or without spread.
    pearson_interval, spearman_interval : tuple of float or None
        95 %, None under four calls.
    mean_difference, mean_difference_low, mean_difference_high : float or None
        Compliance score minus outside score in points, with a 95 % interval.
    """

    items: pd.DataFrame
    disagreements: pd.DataFrame
    scored_calls: int
    pearson: float | None
    spearman: float | None
    pearson_interval: tuple[float, float] | None
    spearman_interval: tuple[float, float] | None
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
    pearson = _correlation(ours, theirs) if correlated else None
    spearman = _correlation(_ranks(ours), _ranks(theirs)) if correlated else None
    return Agreement(
        items=_item_agreement(verdicts, pairs),
        disagreements=_both_evidences(differ),
        scored_calls=len(both),
        pearson=pearson,
        spearman=spearman,
        pearson_interval=_fisher(pearson, len(both), 1.0),
        spearman_interval=_fisher(spearman, len(both), 1 + (spearman or 0.0) ** 2 / 2),
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
    asked: dict[str, dict[tuple[str, str], set[str]]] = {}
    for name, names in (("judged", JUDGED), ("unsure", ("cannot_tell",))):
        said = verdicts[verdicts["verdict"].isin(names)]
        for (item, source), of_calls in said.groupby(["item_id", "source"])["call_id"]:
            asked.setdefault(str(item), {})[(name, str(source))] = set(of_calls)
    counts = {}
    for item, sets in asked.items():
        ours, theirs, we, they = (
            sets.get((name, source), set())
            for name in ("judged", "unsure")
            for source in ("rubric", "outside")
        )
        if ours or theirs:
            differ = ours - theirs, theirs - ours, (we & theirs) - ours, (they & ours) - theirs
            counts[item] = dict(zip(_COUNTS, map(len, differ), strict=True))
    people = _people(verdicts)
    by_item = {str(i): g for i, g in pairs.groupby("item_id")}
    of_people = {str(i): g for i, g in people.groupby("item_id")}
    rows = []
    for item_id in sorted(counts):
        pair, person = by_item.get(item_id), of_people.get(item_id)
        us, them = _chance_corrected(pair), _chance_corrected(person)
        agreed = (
            0 if pair is None else int((pair["verdict_rubric"] == pair["verdict_outside"]).sum())
        )
        rows.append(
            {
                "item_id": item_id,
                "says": _says(us),
                "calls": us["calls"],
                "pairs": 0 if pair is None else len(pair),
                "agreed": agreed,
                **{name: us[name] for name in _CHANCE_COLUMNS},
                **counts[item_id],
                "people_pairs": 0 if person is None else len(person),
                **dict(
                    zip(
                        _PEOPLE_COLUMNS,
                        (them[n] for n in (*_CHANCE_COLUMNS[:3], "ac1")),
                        strict=True,
                    )
                ),
            }
        )
    whole = ("calls", "pairs", "agreed", *_COUNTS, "people_pairs")
    types = dict.fromkeys(whole, "int64") | {"item_id": "str", "says": "str"}
    types |= dict.fromkeys((*_CHANCE_COLUMNS, *_PEOPLE_COLUMNS), "float64")
    columns = ["item_id", "says", *whole[:3], *_CHANCE_COLUMNS, *whole[3:], *_PEOPLE_COLUMNS]
    return pd.DataFrame(rows, columns=columns).astype(types)


def _people(verdicts: pd.DataFrame) -> pd.DataFrame:
    """One row per two people who judged one item of one call."""
    kept = ["call_id", "item_id", "verdict", "reviewer"]
    judged = verdicts[verdicts["verdict"].isin(JUDGED) & (verdicts["source"] == "outside")]
    judged = judged.reindex(columns=kept).reset_index(drop=True)
    judged["nth"] = judged.groupby(["call_id", "item_id"]).cumcount()
    both = judged.merge(judged, on=["call_id", "item_id"], suffixes=("_rubric", "_outside"))
    return both[both["nth_rubric"] < both["nth_outside"]]


def _chance_corrected(pairs: pd.DataFrame | None) -> dict[str, float]:
    """Agreement, kappa and AC1 of the pairs of one item, with intervals; nan where not defined."""
    found = dict.fromkeys(_CHANCE_COLUMNS, np.nan)
    if pairs is None or pairs.empty:
        return found | {"calls": 0}
    call, calls = pd.factorize(pairs["call_id"])
    cells = np.zeros((len(calls), len(JUDGED), len(JUDGED)))
    ours, theirs = (
        np.array([JUDGED.index(v) for v in pairs[f"verdict_{side}"]])
        for side in ("rubric", "outside")
    )
    np.add.at(cells, (call, ours, theirs), (1 / np.bincount(call))[call])
    shares, kappa, ac1 = _coefficients(cells.sum(0)[None])
    share = float(shares[0])
    low, high = wilson(share, len(calls))
    found |= {"agreement": share, "agreement_low": low, "agreement_high": high}
    rest = cells.sum(0) - cells
    for name, value, without in zip(
        ("kappa", "ac1"), (kappa[0], ac1[0]), _coefficients(rest)[1:], strict=True
    ):
        if not np.isfinite(value):
            continue
        left = (1 - share) / (1 - value) if value < 1 else _chance_left(cells.sum(0), name)
        bounds = [1 - (1 - s) / left for s in (low, high)]
        if len(calls) > 1 and np.isfinite(without).all():
            spread = float(((without - without.mean()) ** 2).sum())
            half = float(special.stdtrit(len(calls) - 1, 0.5 + CONFIDENCE_LEVEL / 2))
            half *= sqrt(spread * (len(calls) - 1) / len(calls))
            bounds = [min(bounds[0], value - half), max(bounds[1], value + half)]
        found |= {
            name: float(value),
            f"{name}_low": max(-1.0, bounds[0]),
            f"{name}_high": min(1.0, max(bounds[1], float(value))),
        }
    return found | {"calls": len(calls)}


def _coefficients(cells: NDArray[np.float64]) -> tuple[NDArray[np.float64], ...]:
    """Raw agreement, Cohen's kappa and Gwet's AC1 of tables of shape (tables, verdicts, verdicts)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        cells = cells / cells.sum((1, 2), keepdims=True)
        agreed = np.trace(cells, axis1=1, axis2=2)
        rows, columns = cells.sum(2), cells.sum(1)
        by_chance = (rows * columns).sum(1)
        used = (rows + columns) / 2
        categories = np.maximum((used > 0).sum(1), 2)
        by_chance_ac1 = (used * (1 - used)).sum(1) / (categories - 1)
        kappa = (agreed - by_chance) / (1 - by_chance)
        kappa = np.where(1 - by_chance > 1e-12, kappa, np.nan)
        return agreed, kappa, (agreed - by_chance_ac1) / (1 - by_chance_ac1)


def _chance_left(cells: NDArray[np.float64], name: str) -> float:
    """One less the agreement expected by chance."""
    shares = cells / cells.sum()
    rows, columns = shares.sum(1), shares.sum(0)
    if name == "kappa":
        return float(1 - (rows * columns).sum())
    used = (rows + columns) / 2
    return float(1 - (used * (1 - used)).sum() / (max(int((used > 0).sum()), 2) - 1))


def _says(found: dict[str, float]) -> str:
    """What so many calls allow to say."""
    if found["calls"] == 0:
        return "judged by one side only"
    if found["calls"] < MIN_CALLS:
        return f"too few calls ({found['calls']} of {MIN_CALLS})"
    if found["agreement_low"] >= GOOD:
        return f"agree in {GOOD:.0%} and more"
    if found["agreement_high"] < GOOD:
        return f"agree in less than {GOOD:.0%}"
    return "cannot be told yet"


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


def wilson(share: float, n: int) -> tuple[float, float]:
    """The 95 % interval of a share that was seen in ``n`` independent cases (Wilson 1927)."""
    spread = _Z * _Z / n
    centre = share + spread / 2
    half = _Z * sqrt(share * (1 - share) / n + spread / (4 * n))
    low, high = (centre - half) / (1 + spread), (centre + half) / (1 + spread)
    return max(0.0, min(low, share)), min(1.0, max(high, share))  # whatever the rounding


def _fisher(value: float | None, n: int, wider: float) -> tuple[float, float] | None:
    """95 % interval of a correlation of ``n`` pairs, the variance ``wider`` than Pearson's."""
    if value is None or n < MIN_SCORES + 1:
        return None
    half = _Z * sqrt(wider / (n - 3))
    middle = float(np.arctanh(np.clip(value, -1 + 1e-12, 1 - 1e-12)))
    return float(np.tanh(middle - half)), float(np.tanh(middle + half))


def _correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    return float(np.corrcoef(x, y)[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(pd.Series(values).rank(), dtype=np.float64)
