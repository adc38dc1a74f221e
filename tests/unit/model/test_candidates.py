"""The competing models behind one interface."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from holdfast.errors import ModelError, SettingsError
from holdfast.model import artifacts
from holdfast.model.candidates import CANDIDATES, Candidate, candidate

FEATURES = ["days_since_order", "gap_mean_days", "order_count", "always_null"]


@pytest.fixture(scope="module")
def customers() -> pd.DataFrame:
    """600 customers; silence against the own rhythm drives churn, single buyers have no rhythm."""
    draw = np.random.default_rng(3)
    gap = draw.uniform(2, 30, 600)
    silence = draw.uniform(0, 60, 600)
    orders = draw.integers(1, 40, 600).astype(float)
    return pd.DataFrame(
        {
            "days_since_order": silence,
            "gap_mean_days": np.where(orders > 1, gap, np.nan),
            "order_count": orders,
            "always_null": np.nan,
        }
    )


@pytest.fixture(scope="module")
def churned(customers: pd.DataFrame) -> np.ndarray:
    draw = np.random.default_rng(4)
    log_odds = (customers["days_since_order"] / customers["gap_mean_days"].fillna(10)).to_numpy() - 4
    return (draw.uniform(size=len(customers)) < 1 / (1 + np.exp(-log_odds))).astype(float)


each_candidate = pytest.mark.parametrize("one", CANDIDATES.values(), ids=list(CANDIDATES))


@each_candidate
def test_a_loaded_model_predicts_and_explains_exactly_as_the_saved_one(
    one: Candidate, customers: pd.DataFrame, churned: np.ndarray, tmp_path: Path
) -> None:
    model = one.fit(customers, churned, 7)
    artifacts.save(model, tmp_path / "model")
    loaded = artifacts.load(tmp_path / "model")
    assert loaded.features == tuple(FEATURES)
    np.testing.assert_array_equal(loaded.probabilities(customers), model.probabilities(customers))
    np.testing.assert_array_equal(loaded.contributions(customers), model.contributions(customers))


@each_candidate
def test_contributions_are_the_log_odds_up_to_one_constant(
    one: Candidate, customers: pd.DataFrame, churned: np.ndarray
) -> None:
    model = one.fit(customers, churned, 7)
    probability = model.probabilities(customers)
    left_over = np.log(probability / (1 - probability)) - model.contributions(customers).sum(axis=1)
    np.testing.assert_allclose(left_over, left_over[0], atol=1e-9)


@each_candidate
def test_a_fit_with_the_same_seed_is_the_same_model(
    one: Candidate, customers: pd.DataFrame, churned: np.ndarray, tmp_path: Path
) -> None:
    first = artifacts.save(one.fit(customers, churned, 7), tmp_path / "first")
    assert artifacts.save(one.fit(customers, churned, 7), tmp_path / "second") == first


@each_candidate
def test_columns_are_found_by_name_not_by_place(one: Candidate, customers: pd.DataFrame, churned: np.ndarray) -> None:
    model = one.fit(customers, churned, 7)
    turned = customers[FEATURES[::-1]].assign(customer_id="someone")
    np.testing.assert_array_equal(model.probabilities(turned), model.probabilities(customers))


@pytest.mark.parametrize(
    ("name", "looked_at"),
    [("recency_rule", ["days_since_order"]), ("rhythm_rule", ["days_since_order", "gap_mean_days"])],
)
def test_a_rule_looks_at_its_own_numbers_only(
    name: str, looked_at: list[str], customers: pd.DataFrame, churned: np.ndarray
) -> None:
    rule = candidate(name)
    model = rule.fit(customers, churned, 7)
    effective = np.abs(model.contributions(customers)).max(axis=0) > 0
    assert [feature for feature, effect in zip(FEATURES, effective, strict=True) if effect] == looked_at
    assert rule.baseline


def test_a_longer_silence_is_never_less_risky_to_the_recency_rule(customers: pd.DataFrame, churned: np.ndarray) -> None:
    model = candidate("recency_rule").fit(customers, churned, 7)
    by_silence = model.probabilities(customers.sort_values("days_since_order"))
    assert (np.diff(by_silence) >= 0).all()
    assert by_silence[-1] > by_silence[0]


def test_what_was_never_known_in_training_may_be_known_later(customers: pd.DataFrame, churned: np.ndarray) -> None:
    model = candidate("logistic").fit(customers, churned, 7)
    assert np.isfinite(model.probabilities(customers.assign(always_null=1e9))).all()


def test_to_the_logistic_model_an_outlier_is_no_more_than_the_largest(
    customers: pd.DataFrame, churned: np.ndarray
) -> None:
    model = candidate("logistic").fit(customers, churned, 7)
    beyond, far_beyond = customers.assign(order_count=50.0), customers.assign(order_count=1e9)
    np.testing.assert_array_equal(model.probabilities(far_beyond), model.probabilities(beyond))


def test_a_missing_feature_is_named(customers: pd.DataFrame, churned: np.ndarray) -> None:
    model = candidate("lightgbm").fit(customers, churned, 7)
    with pytest.raises(ModelError, match="fitted with order_count, which the feature table lacks"):
        model.probabilities(customers.drop(columns="order_count"))


def test_an_infinite_feature_is_named(customers: pd.DataFrame, churned: np.ndarray) -> None:
    model = candidate("logistic").fit(customers, churned, 7)
    with pytest.raises(ModelError, match="order_count holds an infinite value"):
        model.probabilities(customers.assign(order_count=np.inf))


def test_an_unknown_candidate_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(SettingsError, match=r"'lightgmb', which is unknown\. Did you mean 'lightgbm'"):
        candidate("lightgmb")


@each_candidate
def test_nobody_gives_no_probabilities(one: Candidate, customers: pd.DataFrame, churned: np.ndarray) -> None:
    model = one.fit(customers, churned, 7)
    assert model.probabilities(customers.head(0)).shape == (0,)
    assert model.contributions(customers.head(0)).shape == (0, len(FEATURES))
