"""Backtests: each test cutoff is predicted by a model that knew only what had happened by then."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from holdfast.dataset import Split
from holdfast.errors import ModelError
from holdfast.model.backtest import backtest, fit_on
from holdfast.model.candidates import Candidate
from holdfast.model.fitted import FittedModel
from holdfast.model.logistic import fit_logistic
from holdfast.model.matrix import Vector

MAY, JUNE, JULY, AUGUST = (date(2017, month, 1) for month in (5, 6, 7, 8))
ROWS = pd.DataFrame(
    {
        "customer_id": [f"c{i}" for i in range(4)] * 4,
        "cutoff": np.repeat([day.isoformat() for day in (MAY, JUNE, JULY, AUGUST)], 4),
        "days_since_order": np.tile([1.0, 2.0, 30.0, 40.0], 4),
        "churned": np.tile([0, 0, 1, 1], 4),
    }
)
SPLITS = [Split(test=JULY, train=(MAY,)), Split(test=AUGUST, train=(MAY, JUNE))]


def spying(seen: list[tuple[int, list[str], int]]) -> Candidate:
    """A candidate that writes down how many rows it was fitted on, their features and the seed."""

    def fit(rows: pd.DataFrame, churned: Vector, seed: int) -> FittedModel:
        seen.append((len(rows), list(rows.columns), seed))
        return fit_logistic(rows, churned, seed, ["days_since_order"])

    return Candidate("spy", "writes down what it sees", fit)


def test_each_model_is_fitted_on_its_own_splits_training_rows_and_features_only() -> None:
    seen: list[tuple[int, list[str], int]] = []
    backtest(spying(seen), ROWS, SPLITS, ["days_since_order"], seed=7)
    assert seen == [(4, ["days_since_order"], 7), (8, ["days_since_order"], 7)]


def test_what_happens_at_the_test_cutoff_changes_no_prediction() -> None:
    turned = ROWS.assign(churned=np.where(ROWS["cutoff"] >= JULY.isoformat(), 1 - ROWS["churned"], ROWS["churned"]))
    predictions = [
        backtest(spying([]), rows, SPLITS, ["days_since_order"], seed=7)["probability"] for rows in (ROWS, turned)
    ]
    pd.testing.assert_series_equal(*predictions)


def test_every_row_of_every_test_cutoff_is_predicted_once() -> None:
    predictions = backtest(spying([]), ROWS, SPLITS, ["days_since_order"], seed=7)
    assert list(predictions.columns) == ["customer_id", "cutoff", "churned", "days_since_order", "probability"]
    assert predictions["cutoff"].tolist() == ["2017-07-01"] * 4 + ["2017-08-01"] * 4
    assert predictions["churned"].tolist() == [0, 0, 1, 1] * 2


@pytest.mark.parametrize("outcome", [0, 1])
def test_rows_that_all_did_the_same_train_nothing(outcome: int) -> None:
    with pytest.raises(ModelError, match=f"spy cannot be fitted: {4 * outcome} of the 4 training rows"):
        fit_on(spying([]), ROWS.assign(churned=outcome), [MAY], ["days_since_order"], seed=7)
