"""Customers with one order so far."""

import numpy as np
import pandas as pd

from holdfast.model.single_buyers import cohort_rate, decide


def predicted(skill: bool, orders: float = 1.0) -> pd.DataFrame:
    """Out-of-time predictions of 400 customers, which tell churners apart or do not."""
    draw = np.random.default_rng(1)
    churned = draw.integers(0, 2, 400)
    noise = draw.uniform(size=400)
    return pd.DataFrame(
        {
            "customer_id": [f"c{i}" for i in range(400)],
            "cutoff": "2017-06-04",
            "churned": churned,
            "probability": (churned + 2 * noise) / 3 if skill else noise,
            "order_count": orders,
        }
    )


def test_a_model_that_can_tell_them_apart_keeps_them() -> None:
    decision = decide(predicted(skill=True), resamples=100, seed=1)
    assert not decision.use_cohort
    assert "it keeps them" in decision.reason


def test_without_skill_they_get_the_rate_of_their_cohort() -> None:
    decision = decide(predicted(skill=False), resamples=100, seed=1)
    assert decision.use_cohort
    assert decision.reason.endswith("no better than chance: they get their cohort's rate.")


def test_too_few_of_them_to_be_sure_is_no_skill() -> None:
    assert decide(predicted(skill=True).head(6), resamples=100, seed=1).use_cohort


def test_without_any_there_is_nothing_to_decide() -> None:
    assert not decide(predicted(skill=False, orders=3.0), resamples=100, seed=1).use_cohort


def test_the_cohorts_rate_is_that_of_single_buyers_alone() -> None:
    rows = pd.DataFrame({"order_count": [1.0, 1.0, 2.0], "churned": [1, 0, 1]})
    assert cohort_rate(rows) == 0.5
    assert cohort_rate(rows.tail(1)) is None
