"""The regressions that uplift learners are made of: a linear one and boosted trees, stored as text, without pickle."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np

from holdfast.model.boosting import RUNTIME
from holdfast.model.matrix import Matrix, Vector

# Effects are small beside the outcome's noise: fewer, flatter trees than for predicting the outcome itself.
TREES: Mapping[str, float] = {
    "num_iterations": 80,
    "learning_rate": 0.05,
    "num_leaves": 7,
    "min_data_in_leaf": 200,
    "lambda_l2": 20.0,
}
_PENALTY = 10.0


class Regression(Protocol):
    """A fitted regression of an outcome on columns; a missing value is NaN."""

    form: ClassVar[str]

    def predict(self, values: Matrix) -> Vector:
        """The expected outcome of each row."""
        ...

    def content(self) -> dict[str, Any]:
        """All of it as plain values, fit for JSON."""
        ...


@dataclass(frozen=True)
class Linear:
    """A logistic (``binary``) or ridge regression on standardised columns; a missing value counts as the mean."""

    means: Vector
    scales: Vector
    slopes: Vector
    intercept: float
    binary: bool

    form: ClassVar[str] = "linear"

    def predict(self, values: Matrix) -> Vector:
        level: Vector = self.intercept + _standardised(values, self.means, self.scales) @ self.slopes
        return 1 / (1 + np.exp(-level)) if self.binary else level

    def content(self) -> dict[str, Any]:
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(self).items()}

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Linear:
        arrays = {name: np.array(content[name], dtype=float) for name in ("means", "scales", "slopes")}
        return cls(**arrays, intercept=float(content["intercept"]), binary=bool(content["binary"]))


@dataclass(frozen=True)
class Trees:
    """A LightGBM booster."""

    booster: Any

    form: ClassVar[str] = "lightgbm"

    def predict(self, values: Matrix) -> Vector:
        predicted: Vector = self.booster.predict(values, num_threads=1)
        return predicted

    def content(self) -> dict[str, Any]:
        return {"trees": self.booster.model_to_string()}

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Trees:
        import lightgbm

        return cls(lightgbm.Booster(model_str=content["trees"]))


FORMS: Mapping[str, Callable[[Mapping[str, Any]], Regression]] = {Linear.form: Linear.of, Trees.form: Trees.of}

Base: TypeAlias = Callable[[Matrix, Vector, Vector, bool], Regression]
"""Fits (values, outcome, weights, whether the outcome is 0 or 1)."""


def fit_linear(values: Matrix, outcome: Vector, weights: Vector, binary: bool) -> Linear:
    """L2-penalised; an outcome that never varies is predicted as it is."""
    from sklearn.linear_model import LogisticRegression, Ridge

    known = ~np.isnan(values)
    counts = np.maximum(known.sum(axis=0), 1)
    means = np.where(known, values, 0).sum(axis=0) / counts
    scales = np.sqrt((np.where(known, values - means, 0) ** 2).sum(axis=0) / counts)
    scales = np.where(scales > 0, scales, 1.0)
    if binary and len(np.unique(outcome)) < 2:
        return Linear(means, scales, np.zeros(values.shape[1]), float(np.mean(outcome)), binary=False)
    design = _standardised(values, means, scales)
    if binary:
        fitted: Any = LogisticRegression(C=1 / _PENALTY, solver="newton-cholesky", max_iter=1000)
    else:
        fitted = Ridge(alpha=_PENALTY)
    fitted.fit(design, outcome, sample_weight=weights)
    return Linear(means, scales, np.ravel(fitted.coef_), float(np.ravel(fitted.intercept_)[0]), binary)


def fit_trees(values: Matrix, outcome: Vector, weights: Vector, binary: bool) -> Trees:
    """Single-threaded and deterministic; leaves are smaller where there are few rows."""
    import lightgbm

    objective = "binary" if binary else "regression"
    least = min(TREES["min_data_in_leaf"], max(5, len(values) // 20))
    data = lightgbm.Dataset(values, label=outcome, weight=weights)
    return Trees(
        lightgbm.train({"objective": objective, **TREES, "min_data_in_leaf": least, **RUNTIME, "seed": 0}, data)
    )


def _standardised(values: Matrix, means: Vector, scales: Vector) -> Matrix:
    standardised: Matrix = (values - means) / scales
    return np.where(np.isnan(standardised), 0.0, standardised)
