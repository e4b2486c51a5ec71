"""Refit how likely verdicts are right from blind reviews, and say whether that is better.

The form is that of :mod:`pipeline.rubric.doubt`: a logistic regression over what a verdict rests on. The
penalty draws the coefficients towards those in use, so that few reviews move them little. Whether it
helps is measured by cross-validation, with all verdicts of one call on one side.

Sources: Brier (1950), Monthly Weather Review 78; Naeini et al. (2015), AAAI (expected calibration error).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ParameterError, SettingsError, nearest
from pipeline.rubric.doubt import COEFFICIENTS

MIN_REVIEWS, MIN_CALLS, MIN_OF_EACH = 100, 20, 10
PENALTY = 1.0  # the squared distance from the coefficients in use, in logits, weighs so much
FOLDS = 5
BINS = 10
FLOOR = 0.02  # as doubt.probability_right keeps them
EXACT = {"maxiter": 2000, "maxfun": 20000, "ftol": 1e-13, "gtol": 1e-7}  # one result on any machine
CONFIDENCES = ("finding", "trigger", "heard")
FEATURES = (
    "constant", "finding", "trigger", "has_trigger", "heard", "omitted", "omitted_words",
    "omitted_after_trigger", "said", "measured", "record",
)  # fmt: skip
"""The names of :func:`pipeline.rubric.doubt.features`."""


class Reviewed(NamedTuple):
    """A verdict that somebody judged blind: what it rests on, whether it was right."""

    call_id: str
    basis: Mapping[str, float]
    is_right: bool


@dataclass(frozen=True, slots=True)
class Calibration:
    """New coefficients, and the errors of the probabilities before and after, cross-validated.

    ``brier`` and ``ece`` are (before, after), 0-1, less is better.
    """

    coefficients: Mapping[str, float]
    reviews: int
    calls: int
    right: float
    brier: tuple[float, float]
    ece: tuple[float, float]

    @property
    def is_better(self) -> bool:
        """Whether the new probabilities of verdicts they were not fitted to are nearer the truth."""
        return self.brier[1] < self.brier[0]

    def text(self) -> str:
        """The file that the setting ``compliance.calibration`` names."""
        figures = {
            name: dict(zip(("before", "after"), (round(v, 4) for v in pair), strict=True))
            for name, pair in (("brier", self.brier), ("ece", self.ece))
        }
        body = {
            "callcoach": "calibration",
            "coefficients": {k: round(v, 4) for k, v in self.coefficients.items()},
            "blind_reviews": self.reviews,
            "calls": self.calls,
            "share_right": round(self.right, 4),
            "cross_validated": figures,
        }
        return json.dumps(body, ensure_ascii=False, indent=2) + "\n"

    def lines(self) -> Iterator[str]:
        """What was measured, for people."""
        yield (
            f"{self.reviews} blind reviews of {self.calls} calls; {self.right:.1%} of the machine's "
            f"verdicts were right"
        )
        yield f"{'':24}{'before':>9}{'after':>9}   ({FOLDS}-fold cross-validation by call)"
        for name, (before, after) in (("Brier score", self.brier), ("calibration error", self.ece)):
            yield f"{name:24}{before:>9.4f}{after:>9.4f}"


def calibrate(
    rows: Sequence[Reviewed], now: Mapping[str, float] = COEFFICIENTS, *, seed: int = 1
) -> Calibration:
    """Fit coefficients to blind reviews, and measure what they are worth.

    Parameters
    ----------
    rows : sequence of Reviewed
        Passes and fails only.
    now : mapping of str to float
        The coefficients in use.
    seed : int
        Of the draw of the folds.

    Raises
    ------
    ParameterError
        If there are too few reviews, calls, right or wrong verdicts to learn from; says how many there are.
    """
    calls = sorted({row.call_id for row in rows})
    right = sum(row.is_right for row in rows)
    wrong = len(rows) - right
    if len(rows) < MIN_REVIEWS or len(calls) < MIN_CALLS or min(right, wrong) < MIN_OF_EACH:
        raise ParameterError(
            f"{len(rows)} blind reviews of {len(calls)} calls ({right} found the machine right, "
            f"{wrong} wrong) are too few to calibrate by.",
            f"It takes {MIN_REVIEWS} of {MIN_CALLS} calls, {MIN_OF_EACH} of them right and "
            f"{MIN_OF_EACH} wrong: judge samples on the desk's page /reviews?kind=sample.",
        )
    x = np.array([[row.basis.get(name, 0.0) for name in FEATURES] for row in rows])
    y = np.array([row.is_right for row in rows], dtype=float)
    start = np.array([now.get(name, 0.0) for name in FEATURES])
    fold_of = dict(zip(calls, _folds(len(calls), seed), strict=True))
    fold = np.array([fold_of[row.call_id] for row in rows])
    before, after = probabilities(x, start), np.zeros(len(y))
    for one in range(FOLDS):
        inside = fold != one
        after[~inside] = probabilities(x[~inside], fitted(x[inside], y[inside], FEATURES, start))
    return Calibration(
        coefficients=dict(zip(FEATURES, fitted(x, y, FEATURES, start).tolist(), strict=True)),
        reviews=len(rows),
        calls=len(calls),
        right=right / len(rows),
        brier=(brier(before, y), brier(after, y)),
        ece=(ece(before, y), ece(after, y)),
    )


def _folds(n: int, seed: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed).permutation(n) % FOLDS


def fitted(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    names: Sequence[str],
    start: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Coefficients of a logistic regression with a penalty on their distance from ``start``.

    Without ``start`` they are drawn to 0, the first (the constant) freely. More confidence never makes a
    verdict less likely: those coefficients are not negative.
    """
    from scipy.optimize import minimize

    bounds = [(0.0, None) if n in CONFIDENCES else (None, None) for n in names]
    penalty = np.full(x.shape[1], PENALTY)
    if start is None:
        start, penalty[0] = np.zeros(x.shape[1]), 0.0
    drawn_to = start

    def loss(w: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        z, off = x @ w, w - drawn_to
        value = float(np.sum(np.logaddexp(0.0, z) - y * z) + 0.5 * np.sum(penalty * off * off))
        return value, x.T @ (1.0 / (1.0 + np.exp(-z)) - y) + penalty * off

    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=EXACT)
    return np.asarray(found.x, dtype=np.float64)


def probabilities(x: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities that verdicts are right, of their features in rows."""
    return np.clip(1.0 / (1.0 + np.exp(-(x @ weights))), FLOOR, 1.0 - FLOOR)


def brier(predicted: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """Mean squared error of probabilities, 0-1."""
    return float(np.mean((predicted - right) ** 2))


def ece(predicted: NDArray[np.float64], right: NDArray[np.float64], bins: int = BINS) -> float:
    """Expected calibration error over bins of equal numbers, 0-1."""
    order = np.argsort(predicted, kind="stable")
    parts = [p for p in np.array_split(order, bins) if len(p)]
    gaps = [len(p) * abs(predicted[p].mean() - right[p].mean()) for p in parts]
    return float(sum(gaps) / len(predicted))


def read_calibration(path: Path) -> dict[str, float]:
    """The coefficients in a file of ``callcoach calibrate``.

    Raises
    ------
    SettingsError
        If it is none.
    """
    hint = "Make it with: callcoach calibrate STORE --out FILE"
    try:
        body: Any = json.loads(path.read_text("utf-8"))
        given = {str(k): float(v) for k, v in body["coefficients"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as cause:
        raise SettingsError(f"{path} is no calibration.", hint) from cause
    for name, value in given.items():
        if name not in FEATURES:
            raise SettingsError(f'{path}: unknown coefficient "{name}".', nearest(name, FEATURES))
        if not isfinite(value):
            raise SettingsError(f"{path}: {name} = {value} is no number to reckon with.", hint)
    return given
