"""The true effect of a campaign, from the truth of its own customers."""

import pandas as pd
import pytest

from holdfast.simulator.comparison import true_effect

TRUTH = pd.DataFrame(
    {
        "customer_id": ["a", "b", "c", "d"],
        "retained_none": [0.0, 0.0, 1.0, 1.0],
        "retained_coupon": [1.0, 0.0, 1.0, 1.0],
        "retained_reminder": [0.0, 0.0, 1.0, 0.0],
    }
)


def chances(customers: str, coupon: list[float], reminder: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"customer_id": list(customers), "coupon": coupon, "reminder": reminder})


def test_it_is_the_mean_change_of_those_who_could_have_got_the_arm() -> None:
    drawn = chances("bac", coupon=[0.5, 0.5, 0.0], reminder=[0.0, 0.0, 0.5])
    assert true_effect(TRUTH, drawn, ["coupon"], "retained") == pytest.approx(0.5)


def test_all_arms_together_are_weighed_by_each_customers_own_odds() -> None:
    drawn = chances("abcd", coupon=[0.6] * 4, reminder=[0.2] * 4)
    effect = true_effect(TRUTH, drawn, ["coupon", "reminder"], "retained")
    assert effect == pytest.approx(0.75 * 0.25 + 0.25 * -0.25)
    chosen = chances("abcd", coupon=[0.8, 0.8, 0.8, 0.8], reminder=[0.0, 0.0, 0.0, 0.0])
    assert true_effect(TRUTH, chosen, ["coupon", "reminder"], "retained") == pytest.approx(0.25)
