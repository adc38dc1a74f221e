"""Two models on the same customers."""

import numpy as np
import pandas as pd
import pytest

from holdfast.errors import ModelError
from holdfast.model.comparison import paired_bootstrap
from holdfast.model.evaluation import evaluate
from tests.fakes.predictions import customers


def blurred(rows: pd.DataFrame, noise: float) -> pd.DataFrame:
    shaken = rows["probability"] + np.random.default_rng(1).normal(0, noise, len(rows))
    return rows.assign(probability=shaken.clip(0, 1))


def test_the_sharper_model_is_surely_better() -> None:
    found = paired_bootstrap(customers(2000), blurred(customers(2000), 0.2), "auc", resamples=200)
    assert found.value > 0
    assert found.interval.low > 0
    assert found.better == 1


def test_a_model_is_not_better_than_itself() -> None:
    found = paired_bootstrap(customers(), customers(), "auc", resamples=50)
    assert (found.value, found.interval.low, found.interval.high, found.better) == (0, 0, 0, 0)


def test_of_an_error_less_is_better() -> None:
    found = paired_bootstrap(customers(2000), blurred(customers(2000), 0.2), "brier", resamples=100)
    assert found.value > 0
    assert found.interval.low > 0


def test_the_order_of_the_rows_does_not_matter() -> None:
    one, other = customers(), blurred(customers(), 0.1)
    assert paired_bootstrap(one, other.sample(frac=1, random_state=1), "auc", resamples=20) == paired_bootstrap(
        one, other, "auc", resamples=20
    )


def test_pairing_makes_certain_what_two_intervals_would_hide() -> None:
    one, other = customers(2000), blurred(customers(2000), 0.06)
    sharper, duller = (evaluate(rows, resamples=200).mean_intervals["brier"] for rows in (one, other))
    assert duller.low < sharper.high
    assert paired_bootstrap(one, other, "brier", resamples=200).interval.low > 0


@pytest.mark.parametrize(
    "other",
    [customers().head(399), customers().assign(churned=lambda rows: 1 - rows["churned"])],
    ids=["a customer is missing", "the outcomes differ"],
)
def test_different_customers_or_outcomes_are_not_compared(other: pd.DataFrame) -> None:
    with pytest.raises(ModelError, match="can be compared only on the same rows"):
        paired_bootstrap(customers(), other, "auc")


def test_what_does_not_exist_cannot_be_compared() -> None:
    alike = customers().assign(churned=0)
    with pytest.raises(ModelError, match="auc cannot be compared"):
        paired_bootstrap(alike, alike, "auc", resamples=10)
