"""The competing models behind one interface."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from holdfast.errors import ModelError, SettingsError
from holdfast.features.alive import BgNbd
from holdfast.model import artifacts
from holdfast.model.bgnbd import counts, silence
from holdfast.model.candidates import CANDIDATES, Candidate, candidate, configured
from holdfast.weeks import WEEK_COLUMNS

FEATURES = ["days_since_order", "gap_mean_days", "order_count", "tenure_days", "always_null", *WEEK_COLUMNS]


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
            "tenure_days": silence + np.where(orders > 1, gap * (orders - 1), 0),
            "always_null": np.nan,
        }
        | {name: draw.poisson(1.0, 600).astype(float) for name in WEEK_COLUMNS}
    )


@pytest.fixture(scope="module")
def churned(customers: pd.DataFrame) -> np.ndarray:
    draw = np.random.default_rng(4)
    log_odds = (customers["days_since_order"] / customers["gap_mean_days"].fillna(10)).to_numpy() - 4
    return (draw.uniform(size=len(customers)) < 1 / (1 + np.exp(-log_odds))).astype(float)


needs_torch = pytest.mark.skipif(find_spec("torch") is None, reason="the candidate gru needs PyTorch: holdfast[deep]")
each_candidate = pytest.mark.parametrize(
    "one",
    [pytest.param(one, marks=needs_torch if one.weekly else ()) for one in CANDIDATES.values()],
    ids=list(CANDIDATES),
)


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
def test_a_fit_with_the_same_seed_gives_the_same_predictions(
    one: Candidate, customers: pd.DataFrame, churned: np.ndarray
) -> None:
    first, second = (one.fit(customers, churned, 7).probabilities(customers) for _ in range(2))
    np.testing.assert_array_equal(first, second)


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


def test_a_stored_estimator_that_asks_for_an_untrusted_type_is_not_loaded(
    customers: pd.DataFrame, churned: np.ndarray, tmp_path: Path
) -> None:
    from sklearn.gaussian_process.kernels import RBF
    from skops import io

    artifacts.save(candidate("decision_tree").fit(customers, churned, 7), tmp_path / "model")
    io.dump(RBF(), tmp_path / "model" / "estimator.skops")
    with pytest.raises(ModelError, match="asks for types nobody trusts"):
        artifacts.load(tmp_path / "model")


def test_bgnbd_calls_a_break_of_rhythm_riskier_the_more_orders_it_follows() -> None:
    """The classic of the model: the same silence says more about a frequent customer."""
    population = BgNbd(r=0.5, alpha=5.0, a=0.3, b=3.0)
    often, seldom = (silence(population, counts(np.array([[orders, 365.0, 90.0]])), 28)[0] for orders in (40.0, 3.0))
    assert often > seldom


def test_bgnbd_probability_of_silence_falls_as_the_horizon_grows_and_starts_at_one() -> None:
    population, customer = BgNbd(r=0.5, alpha=5.0, a=0.3, b=3.0), counts(np.array([[5.0, 200.0, 10.0]]))
    by_horizon = [silence(population, customer, days)[0] for days in (0, 7, 28, 90)]
    assert by_horizon[0] == 1
    assert (np.diff(by_horizon) < 0).all()


def test_a_blend_lies_between_its_members(customers: pd.DataFrame, churned: np.ndarray) -> None:
    blend = configured("blend", 28, ["logistic", "lightgbm"]).fit(customers, churned, 7)
    fits = [candidate(name).fit(customers, churned, 7) for name in ("logistic", "lightgbm")]
    members = np.array([model.probabilities(customers) for model in fits])
    assert (blend.probabilities(customers) <= members.max(axis=0) + 1e-12).all()
    assert (blend.probabilities(customers) >= members.min(axis=0) - 1e-12).all()


def test_the_rules_set_a_candidates_horizon_and_a_blends_members() -> None:
    assert configured("bgnbd", 90).parameters["horizon_days"] == 90
    assert configured("blend", 90, ["mlp", "svm"]).parameters == {"members": ("mlp", "svm"), "horizon_days": 90}
    assert configured("lightgbm", 90, ["mlp"]) == candidate("lightgbm")
