"""The model as it scores customers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from holdfast.errors import ModelError
from holdfast.model import artifacts
from holdfast.model.calibration import Calibration, fit
from holdfast.model.candidates import candidate
from holdfast.model.served import ServedModel
from holdfast.model.worth import fit_worth

FEATURES = ["days_since_order", "order_count", "tenure_days", "amount_per_order"]


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    draw = np.random.default_rng(5)
    orders, silence = draw.integers(1, 12, 800).astype(float), draw.uniform(0, 60, 800)
    churned = (draw.uniform(size=800) < silence / 70).astype(int)
    return pd.DataFrame(
        {
            "cutoff": np.where(np.arange(800) < 400, "2017-05-01", "2017-06-01"),
            "days_since_order": silence,
            "order_count": orders,
            "tenure_days": silence + orders * 9,
            "amount_per_order": draw.uniform(5, 50, 800),
            "churned": churned,
            "spend": np.where(churned == 1, 0.0, draw.uniform(5, 100, 800)),
        }
    )


@pytest.fixture(scope="module")
def served(rows: pd.DataFrame) -> ServedModel:
    """Calibrated by broken lines, with a rate for single buyers."""
    model = candidate("lightgbm").fit(rows[FEATURES], rows["churned"].to_numpy(float), 7)
    isotonic = fit("isotonic", model.probabilities(rows), rows["churned"].to_numpy(float))
    return ServedModel(model, isotonic, cohort_rate=0.4, worth=fit_worth(rows, FEATURES, 7))


def test_single_buyers_get_the_rate_and_are_labelled(served: ServedModel, rows: pd.DataFrame) -> None:
    single = (rows["order_count"] == 1).to_numpy()
    probability = served.probabilities(rows)
    assert set(probability[single]) == {0.4}
    assert set(served.basis(rows)[single]) == {"cohort"}
    assert set(served.basis(rows)[~single]) == {"model"}
    np.testing.assert_array_equal(probability[~single], replace(served, cohort_rate=None).probabilities(rows)[~single])


def test_contributions_add_up_to_the_calibrated_log_odds(served: ServedModel, rows: pd.DataFrame) -> None:
    known = rows[rows["order_count"] > 1]
    probability = served.probabilities(known)
    left_over = np.log(probability / (1 - probability)) - served.contributions(known).sum(axis=1)
    np.testing.assert_allclose(left_over, left_over[0], atol=1e-6)


def test_a_rate_that_is_the_same_for_all_has_no_reasons(served: ServedModel, rows: pd.DataFrame) -> None:
    assert not served.contributions(rows[rows["order_count"] == 1]).any()


def test_all_of_it_survives_storage(served: ServedModel, rows: pd.DataFrame, tmp_path: Path) -> None:
    artifacts.save(served, tmp_path / "model")
    loaded = artifacts.load(tmp_path / "model")
    assert isinstance(loaded, ServedModel)
    assert loaded.calibration == served.calibration
    for ours, theirs in (
        (served.probabilities(rows), loaded.probabilities(rows)),
        (served.contributions(rows), loaded.contributions(rows)),
        (served.spend_if_buying(rows), loaded.spend_if_buying(rows)),
        (served.lifetime_value(rows), loaded.lifetime_value(rows)),
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_nobody_is_no_error(served: ServedModel, rows: pd.DataFrame) -> None:
    nobody = rows.head(0)
    assert served.probabilities(nobody).shape == served.spend_if_buying(nobody).shape == (0,)
    assert served.lifetime_value(nobody).shape == (0,)
    assert served.contributions(nobody).shape == (0, len(FEATURES))


def test_a_model_without_worth_says_so(served: ServedModel, rows: pd.DataFrame) -> None:
    with pytest.raises(ModelError, match="knows no customer's worth"):
        replace(served, worth=None, calibration=Calibration()).lifetime_value(rows)
