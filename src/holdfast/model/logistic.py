"""Logistic regression on any choice of features: quantile scaling, median imputation, missing indicators, L2."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from holdfast.model.matrix import Matrix, Vector, matrix

LEVELS = np.linspace(0, 1, 101)
_FILE = "logistic.json"
_ARRAYS = ("quantiles", "slopes", "null_slopes", "centres", "null_centres")


@dataclass(frozen=True)
class LogisticModel:
    """A fitted logistic regression.

    Each used feature enters twice: as its rank among the training rows (0 at the lowest, 1 at the highest value; the
    median for a null), which no outlier can move far, and as an indicator of being null. ``quantiles`` has one row of
    training quantiles per used feature; ``slopes`` and ``null_slopes`` are the coefficients of rank and indicator;
    ``centres`` and ``null_centres`` are the training means of the two, from which contributions are measured.
    """

    features: tuple[str, ...]
    used: tuple[str, ...]
    quantiles: Matrix
    slopes: Vector
    null_slopes: Vector
    centres: Vector
    null_centres: Vector
    intercept: float

    format: ClassVar[str] = "logistic"

    def probabilities(self, rows: pd.DataFrame) -> Vector:
        values = matrix(rows, self.used)
        log_odds = self.intercept + _ranks(values, self.quantiles) @ self.slopes + np.isnan(values) @ self.null_slopes
        probability: Vector = 1 / (1 + np.exp(-log_odds))
        return probability

    def contributions(self, rows: pd.DataFrame) -> Matrix:
        values = matrix(rows, self.used)
        contributions = np.zeros((len(rows), len(self.features)))
        contributions[:, [self.features.index(name) for name in self.used]] = (
            _ranks(values, self.quantiles) - self.centres
        ) * self.slopes + (np.isnan(values) - self.null_centres) * self.null_slopes
        return contributions

    def save(self, directory: Path) -> None:
        content = {
            name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(self).items()
        }
        (directory / _FILE).write_text(json.dumps(content), encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> LogisticModel:
        content = json.loads((directory / _FILE).read_text(encoding="utf-8"))
        return cls(
            features=tuple(content["features"]),
            used=tuple(content["used"]),
            intercept=float(content["intercept"]),
            **{name: np.array(content[name], dtype=float) for name in _ARRAYS},
        )


def fit_logistic(
    rows: pd.DataFrame, churned: Vector, seed: int, used: Sequence[str] | None = None, inverse_penalty: float = 1.0
) -> LogisticModel:
    """Fit on the columns ``used`` (None: all); the other columns of ``rows`` are known to the model but without effect.

    ``inverse_penalty`` is the inverse of the strength of the L2 penalty.
    """
    from sklearn.linear_model import LogisticRegression

    used = list(rows.columns) if used is None else used
    values = matrix(rows, used)
    quantiles = _quantiles(values)
    ranks, nulls = _ranks(values, quantiles), np.isnan(values).astype(float)
    # With far more rows than columns this solver takes a tenth of the default one's time.
    regression = LogisticRegression(C=inverse_penalty, solver="newton-cholesky", max_iter=1000, random_state=seed)
    sometimes = nulls.any(axis=0)  # what is never null would only make the fit slower
    regression.fit(np.hstack([ranks, nulls[:, sometimes]]), churned)
    slopes, known_slopes = np.split(regression.coef_[0], [len(used)])
    null_slopes = np.zeros(len(used))
    null_slopes[sometimes] = known_slopes
    return LogisticModel(
        features=tuple(rows.columns),
        used=tuple(used),
        quantiles=quantiles,
        slopes=slopes,
        null_slopes=null_slopes,
        centres=ranks.mean(axis=0),
        null_centres=nulls.mean(axis=0),
        intercept=float(regression.intercept_[0]),
    )


def _quantiles(values: Matrix) -> Matrix:
    """Training quantiles per column at LEVELS; a column without any value gets zeros."""
    return np.array(
        [
            np.quantile(known, LEVELS) if len(known := column[~np.isnan(column)]) else np.zeros(len(LEVELS))
            for column in values.T
        ]
    )


def _ranks(values: Matrix, quantiles: Matrix) -> NDArray[np.float64]:
    """Each value's place among the training quantiles of its column, in [0, 1]; 0.5, the median's, for a null.

    Where many training rows share a value, the quantiles repeat; the middle of the repeated levels is taken.
    """
    ranks = np.full(values.shape, 0.5)
    for i, (column, points) in enumerate(zip(values.T, quantiles, strict=True)):
        known = ~np.isnan(column)
        above = np.interp(column[known], points, LEVELS)
        below = 1 - np.interp(-column[known], -points[::-1], LEVELS)
        ranks[known, i] = (above + below) / 2
    return ranks
