"""What a customer is worth: spend within the horizon if they buy, and over a year, buying or not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from holdfast.model.boosting import RUNTIME
from holdfast.model.lifetime import Lifetime, fit_lifetime
from holdfast.model.matrix import Vector, matrix
from holdfast.spend import SPEND

LIFETIME_DAYS = 365

_PARAMETERS = {
    "objective": "gamma",
    "num_iterations": 150,
    "learning_rate": 0.05,
    "num_leaves": 15,
    "min_data_in_leaf": 60,
    "feature_fraction": 0.3,
    "lambda_l2": 5.0,
}
_SPEND, _LIFETIME = "spend.txt", "lifetime.json"


@dataclass(frozen=True)
class Worth:
    """Fitted models of money; amounts are in the shop's currency."""

    spend: Any
    lifetime: Lifetime

    def spend_if_buying(self, rows: pd.DataFrame) -> Vector:
        """What each customer is expected to spend within the horizon, given that they buy at all."""
        if rows.empty:
            return np.empty(0)
        amount: Vector = self.spend.predict(matrix(rows, self.spend.feature_name()), num_threads=1)
        return amount

    def lifetime_value(self, rows: pd.DataFrame) -> Vector:
        """What each customer is expected to spend in the next LIFETIME_DAYS days."""
        return self.lifetime.value(rows, LIFETIME_DAYS)

    def save(self, directory: Path) -> None:
        (directory / _SPEND).write_text(self.spend.model_to_string(), encoding="utf-8")
        (directory / _LIFETIME).write_text(json.dumps(self.lifetime.numbers()), encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> Worth:
        import lightgbm

        return cls(
            lightgbm.Booster(model_str=(directory / _SPEND).read_text(encoding="utf-8")),
            Lifetime.of(json.loads((directory / _LIFETIME).read_text(encoding="utf-8"))),
        )


def fit_worth(rows: pd.DataFrame, features: list[str], seed: int) -> Worth:
    """Fit on training rows with their spend within the horizon (``holdfast.spend.SPEND``).

    Only those who bought teach what buyers spend; the latest cutoff's customers teach the lifetime.
    """
    import lightgbm

    bought = rows[rows[SPEND] > 0]
    data = lightgbm.Dataset(matrix(bought, features), label=bought[SPEND].to_numpy(float), feature_name=features)
    spend = lightgbm.train({**_PARAMETERS, **RUNTIME, "seed": seed}, data)
    return Worth(spend, fit_lifetime(rows[rows["cutoff"] == rows["cutoff"].max()]))
