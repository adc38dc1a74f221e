"""Gradient-boosted trees by LightGBM: slow, regularised, single-threaded and deterministic."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from holdfast.errors import ModelError
from holdfast.model.matrix import Matrix, Vector, matrix

PARAMETERS: dict[str, float] = {
    "num_iterations": 400,
    "learning_rate": 0.02,
    "num_leaves": 15,
    "min_data_in_leaf": 60,
    "feature_fraction": 0.3,
    "lambda_l2": 5.0,
}
# More threads than free cores are far slower than one, and the sums of floats then depend on their number.
RUNTIME = {"num_threads": 1, "deterministic": True, "force_row_wise": True, "verbosity": -1}
_FILE = "lightgbm.txt"


@dataclass(frozen=True)
class BoostedTrees:
    """A fitted LightGBM booster and the columns it reads, in order."""

    features: tuple[str, ...]
    booster: Any

    format: ClassVar[str] = "lightgbm"

    def probabilities(self, rows: pd.DataFrame) -> Vector:
        probability: Vector = self.booster.predict(matrix(rows, self.features), num_threads=1)
        return probability

    def contributions(self, rows: pd.DataFrame) -> Matrix:
        """Tree SHAP values in log-odds (LightGBM's ``pred_contrib`` without its last column, the expected value)."""
        if rows.empty:  # LightGBM divides by the number of rows
            return np.empty((0, len(self.features)))
        values: Matrix = self.booster.predict(matrix(rows, self.features), pred_contrib=True, num_threads=1)
        return values[:, :-1]

    def save(self, directory: Path) -> None:
        (directory / _FILE).write_text(self.booster.model_to_string(), encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> BoostedTrees:
        import lightgbm

        try:
            booster = lightgbm.Booster(model_str=(directory / _FILE).read_text(encoding="utf-8"))
        except lightgbm.basic.LightGBMError as error:
            raise ModelError(f"{directory / _FILE} is no LightGBM model: {error}") from error
        return cls(features=tuple(booster.feature_name()), booster=booster)


def fit_boosting(rows: pd.DataFrame, churned: Vector, seed: int, **parameters: float) -> BoostedTrees:
    """Fit on all columns of ``rows`` with LightGBM's own ``parameters``; nulls go their own way at each split."""
    import lightgbm

    features = tuple(rows.columns)
    data = lightgbm.Dataset(matrix(rows, features), label=churned, feature_name=list(features))
    return BoostedTrees(features, lightgbm.train({"objective": "binary", **parameters, **RUNTIME, "seed": seed}, data))
