"""Differences and intervals against scipy, textbook formulas and sums done by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t, ttest_ind

from holdfast.effect.estimate import compare, ratio


def rows(values: list[float], propensity: float | list[float] = 0.5, **covariates: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"y": np.array(values, dtype=float), "propensity": propensity, **covariates})


CONTROL = [3.0, 1, 4, 1, 5, 9, 2, 6]
TREATED = [2.0, 7, 1, 8, 2, 8, 1, 8, 2, 8]


def test_the_interval_is_welchs() -> None:
    effect = compare(rows(CONTROL), rows(TREATED, 0.9), "y")
    reference = ttest_ind(TREATED, CONTROL, equal_var=False)
    interval = reference.confidence_interval(0.95)
    assert effect.difference == pytest.approx(4.7 - 3.875)
    assert (effect.low, effect.high) == pytest.approx((interval.low, interval.high))
    assert effect.p_value == pytest.approx(reference.pvalue)
    assert (effect.control, effect.treated) == (3.875, pytest.approx(4.7))
    assert effect.low < 0 < effect.high
    assert not effect.adjusted


def test_the_relative_change_is_that_of_the_means_with_its_interval_by_the_delta_method_on_the_log() -> None:
    effect = compare(rows(CONTROL), rows(TREATED), "y")
    assert effect.relative == pytest.approx(4.7 / 3.875 - 1)
    ratio_of_means = 4.7 / 3.875
    assert (1 + effect.relative_low) * (1 + effect.relative_high) == pytest.approx(ratio_of_means**2)


def test_a_loss_has_no_relative_change() -> None:
    effect = compare(rows([-3, -1, -2]), rows([1, 2, 4]), "y")
    assert effect.difference == pytest.approx(13 / 3)
    assert effect.relative is None


def test_another_confidence_is_another_width() -> None:
    wide = compare(rows(CONTROL), rows(TREATED), "y", confidence=0.975)
    assert wide.high == pytest.approx(ttest_ind(TREATED, CONTROL, equal_var=False).confidence_interval(0.975).high)


def test_each_customer_stands_for_as_many_as_the_inverse_of_their_own_probability() -> None:
    # By hand: (10·2 + 20·4) ÷ 6 = 16.67 against (10·2 + 30·4) ÷ 6 = 23.33; the plain means are 15 and 20.
    effect = compare(rows([10, 20], [0.5, 0.25]), rows([10, 30], [0.5, 0.25]), "y")
    assert (effect.control, effect.treated) == (pytest.approx(100 / 6), pytest.approx(140 / 6))


def test_weights_that_are_all_alike_change_nothing() -> None:
    assert compare(rows(CONTROL, 0.1), rows(TREATED, 0.9), "y") == compare(rows(CONTROL, 1), rows(TREATED, 1), "y")


def test_weighting_undoes_a_policy_that_treats_the_better_customers() -> None:
    draw = np.random.default_rng(3)
    loyal = draw.random(20_000) < 0.5
    propensity = np.where(loyal, 0.8, 0.2)
    treated = draw.random(20_000) < propensity
    y = np.where(loyal, 1.0, 0.0) + draw.normal(0, 0.1, 20_000)  # treatment does nothing
    table = pd.DataFrame({"y": y, "propensity": np.where(treated, propensity, 1 - propensity)})
    naive = compare(table[~treated].assign(propensity=1.0), table[treated].assign(propensity=1.0), "y")
    weighted = compare(table[~treated], table[treated], "y")
    assert naive.low > 0.5
    assert weighted.low < 0 < weighted.high


def test_what_was_known_before_cuts_the_variance_by_the_square_of_its_correlation() -> None:
    draw = np.random.default_rng(4)
    x, noise = draw.normal(size=4_000), draw.normal(size=4_000)
    y = 0.6 * x + 0.8 * noise  # correlation 0.6
    treated = draw.random(4_000) < 0.5
    table = pd.DataFrame({"y": y, "x": x, "propensity": 0.5})
    effect = compare(table[~treated], table[treated], "y", ["x"])
    assert effect.adjusted
    assert effect.variance_cut == pytest.approx(0.36, abs=0.03)


def test_the_adjusted_difference_is_that_of_a_regression_on_treatment_and_covariates() -> None:
    draw = np.random.default_rng(5)
    x, z = draw.normal(size=1_000), draw.normal(size=1_000)
    treated = draw.random(1_000) < 0.3
    y = x - 0.5 * z + 0.2 * treated + draw.normal(size=1_000)
    table = pd.DataFrame({"y": y, "x": x, "z": z, "propensity": np.where(treated, 0.3, 0.7)})
    effect = compare(table[~treated], table[treated], "y", ["x", "z"])
    design = np.column_stack([np.ones(1_000), treated, x, z])
    fitted = np.linalg.lstsq(design, y, rcond=None)[0]
    inverse = np.linalg.inv(design.T @ design)
    robust = inverse @ (design.T * (y - design @ fitted) ** 2) @ design @ inverse  # White, 1980
    assert effect.difference == pytest.approx(fitted[1], abs=0.005)
    assert effect.high - effect.low == pytest.approx(2 * 1.96 * robust[1, 1] ** 0.5, rel=0.02)


def test_what_is_not_known_of_everybody_or_never_varies_adjusts_nothing() -> None:
    many = list(np.arange(50.0))
    unknown, constant = [np.nan, *many[1:]], [1.0] * 50
    control, treated = (rows(many, x=unknown, z=constant) for _ in range(2))
    assert not compare(control, treated, "y", ["x", "z", "absent"]).adjusted


def test_a_handful_of_customers_is_not_adjusted() -> None:
    few = rows(CONTROL, x=CONTROL)
    assert not compare(few, few, "y", ["x"]).adjusted


@pytest.mark.parametrize(("control", "treated"), [([1], [1, 2]), ([1, 2], []), ([0, 0, 0], [0, 0])])
def test_what_cannot_be_compared_is_not(control: list[float], treated: list[float]) -> None:
    assert compare(rows(control), rows(treated), "y") is None


def test_the_value_of_an_order_is_revenue_by_orders() -> None:
    control = pd.DataFrame({"revenue": [10.0, 20, 0, 30], "orders": [1.0, 2, 0, 1], "propensity": 0.5})
    treated = pd.DataFrame({"revenue": [30.0, 0, 60, 30], "orders": [1.0, 0, 2, 2], "propensity": 0.5})
    found = ratio(control, treated, "revenue", "orders")
    assert (found.control, found.treated) == (15, 24)
    assert found.relative == pytest.approx(0.6)
    # The delta method by hand: variance of (revenue − ratio · orders) ÷ mean orders, over the group's size.
    variances = [
        np.var(one["revenue"] - mean * one["orders"], ddof=1) / one["orders"].mean() ** 2 / 4
        for one, mean in ((control, 15), (treated, 24))
    ]
    a, b = variances
    freedom = (a + b) ** 2 / (a**2 / 3 + b**2 / 3)
    assert found.high - found.difference == pytest.approx(t.ppf(0.975, freedom) * (a + b) ** 0.5)


def test_orders_that_are_all_worth_the_same_are_not_compared() -> None:
    same = pd.DataFrame({"revenue": [19.99, 0, 59.97] * 60, "orders": [1.0, 0, 3] * 60, "propensity": 0.5})
    assert ratio(same, same, "revenue", "orders") is None


def test_orders_that_never_came_have_no_value() -> None:
    none = pd.DataFrame({"revenue": [0.0, 0], "orders": [0.0, 0], "propensity": 0.5})
    assert ratio(none, none, "revenue", "orders") is None
