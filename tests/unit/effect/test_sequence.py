"""A confidence sequence: wide at first, tightest at the end, and right on all days together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from holdfast.effect.sequence import Look, looks, width
from tests.fakes.trials import simulated


def test_the_width_is_the_papers() -> None:
    # Equation (6) with σ = 1, t = 400, α = 0.05 and ρ as tuned for t = 400, in units of the standard error σ ÷ √t.
    alpha, t = 0.05, 400
    rho = ((-2 * np.log(alpha) + np.log(-2 * np.log(alpha) + 1)) / t) ** 0.5
    radius = (2 * (t * rho**2 + 1) / (t**2 * rho**2) * np.log((t * rho**2 + 1) ** 0.5 / alpha)) ** 0.5
    assert width(t, t, alpha) == pytest.approx(radius * t**0.5)
    assert width(t, t, alpha) == pytest.approx(3.035, abs=1e-3)


def test_it_is_wider_than_one_look_and_widest_where_least_is_known() -> None:
    widths = [width(share, 1, 0.05) for share in (0.01, 0.1, 0.5, 1)]
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] > 1.96


def seen_by(rows: pd.DataFrame, days: int, *arms: str) -> list[Look]:
    """The looks at these arms; one called again has the customers of the first."""
    control = rows[rows["arm"] == "control"]
    groups = {arm: rows[rows["arm"] == (arms[0] if arm == "again" else arm)] for arm in arms}
    return looks(groups, dict.fromkeys(arms, control), days, 0.05)


def by_day(*days: tuple[str, float], propensity: float = 0.5) -> pd.DataFrame:
    table = pd.DataFrame(days, columns=["arm", "days_to_order"])
    return table.assign(propensity=propensity, probability=0.5)


def test_a_day_counts_what_was_ordered_before_its_end() -> None:
    rows = by_day(*[("control", 0.5)] * 10, *[("control", 1.0)] * 30, *[("a", 0.9)] * 20, *[("a", np.nan)] * 20)
    seen = {look.day: look for look in seen_by(rows, 2, "a")}
    assert (seen[1].control, seen[1].treated) == (0.25, 0.5)
    # 30 of 80 have ordered, odds of 0.6; from a churn probability of one half, odds of 1 are expected at the end.
    error = (0.25 * 0.75 / 39 + 0.5 * 0.5 / 39) ** 0.5
    assert seen[1].high == pytest.approx(0.25 + error * width(0.6, 1, 0.05))
    assert 2 not in seen  # by then nobody of the control is without an order: nothing near to normal


def test_a_campaign_that_drives_customers_away_is_found_out_before_its_end() -> None:
    days = np.arange(1, 2_001) % 40 + 0.5
    late = np.where(np.arange(2_000) % 3 == 0, np.nan, days)
    rows = by_day(*[("control", day) for day in days], *[("a", day) for day in late])
    seen = seen_by(rows, 28, "a")
    assert not seen[0].harms
    harmful = [look.day for look in seen if look.harms]
    assert harmful
    assert harmful[0] < 28


def test_more_arms_are_each_looked_at_more_carefully() -> None:
    results = simulated(1)[1]
    one = seen_by(results, 28, "treatment")[-1]
    both = seen_by(results, 28, "treatment", "again")[-1]
    assert both.difference == one.difference
    assert both.high > one.high


@pytest.mark.parametrize(
    ("trials", "customers", "most"),
    [pytest.param(60, 1_000, 0.1), pytest.param(600, 2_000, 0.05, marks=pytest.mark.full)],
)
def test_without_an_effect_daily_looking_seldom_finds_one(trials: int, customers: int, most: float) -> None:
    wrong = naive = 0
    for seed in range(trials):
        results = simulated(seed, customers=customers)[1]
        seen = seen_by(results, 28, "treatment")
        wrong += any(look.low > 0 or look.high < 0 for look in seen)
        naive += any(abs(look.difference) > 1.96 * _error(look, results) for look in seen)
    told = f"false claims of {trials}: {wrong}; with a plain interval every day {naive}"
    print(told)  # noqa: T201 - the figures are what a proof is run for
    assert wrong / trials <= most, told
    assert naive > 2 * wrong


def _error(look: Look, results: pd.DataFrame) -> float:
    sizes = results["arm"].value_counts()
    return float(
        (look.control * (1 - look.control) / sizes["control"] + look.treated * (1 - look.treated) / sizes["treatment"])
        ** 0.5
    )
