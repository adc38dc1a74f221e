"""Customer lifetime value, against shops whose truth is known."""

import numpy as np
import pandas as pd
import pytest

from holdfast.features.alive import BgNbd
from holdfast.model.bgnbd import Counts
from holdfast.model.lifetime import GammaGamma, expected_orders, fit_lifetime


def one(repeats: float, last_week: float, age_weeks: float) -> Counts:
    return Counts(np.array([repeats]), np.array([last_week]), np.array([age_weeks]))


def closed_form(population: BgNbd, of: Counts, weeks: float) -> float:
    """Fader, Hardie and Lee (2005), equation 10, where its hypergeometric function can be computed."""
    from scipy.special import hyp2f1

    r, alpha, a, b = population.r, population.alpha, population.a, population.b
    x, age = of.repeats[0], of.age_weeks[0]
    power = ((alpha + age) / (alpha + age + weeks)) ** (r + x)
    series = hyp2f1(r + x, b + x, a + b + x - 1, weeks / (alpha + age + weeks))
    alive = population.probability_alive(of.repeats, of.last_week, of.age_weeks)[0]
    return float((a + b + x - 1) / (a - 1) * (1 - power * series) * alive)


@pytest.mark.parametrize("customer", [one(0, 0, 20), one(2, 10, 20), one(12, 50, 52)])
def test_expected_orders_are_those_of_the_closed_form(customer: Counts) -> None:
    population = BgNbd(r=0.8, alpha=4.0, a=1.7, b=5.0)
    assert expected_orders(population, customer, 364)[0] == pytest.approx(
        closed_form(population, customer, 52), rel=0.02
    )


def test_who_never_leaves_orders_at_their_rate_for_ever() -> None:
    faithful = BgNbd(r=2.0, alpha=4.0, a=1e-6, b=1000.0)
    assert expected_orders(faithful, one(8, 15, 16), 700)[0] == pytest.approx((2 + 8) / (4 + 16) * 100, rel=0.01)


def test_more_orders_make_the_customers_own_mean_count_for_more() -> None:
    amounts = GammaGamma(p=4.0, q=3.0, v=20.0)
    overall = amounts.p * amounts.v / (amounts.q - 1)
    few, many = amounts.expected_amount(np.array([1.0, 100.0]), np.array([200.0, 200.0]))
    assert overall < few < many < 202


def test_the_fit_finds_the_truth_again_and_so_the_year() -> None:
    """3,000 customers who order at rates of their own and never leave: a year's spend is known."""
    draw = np.random.default_rng(4)
    truth = GammaGamma(p=5.0, q=4.0, v=30.0)
    rate, weeks = draw.gamma(3.0, 1 / 6.0, 3000), draw.uniform(10, 40, 3000)
    repeats = draw.poisson(rate * weeks)
    last = np.where(repeats > 0, weeks * draw.beta(np.maximum(repeats, 1), 1), 0.0)
    per_amount = draw.gamma(truth.q, 1 / truth.v, 3000)
    orders = repeats + 1.0
    mean_amount = draw.gamma(truth.p * orders, 1 / (per_amount * orders))
    rows = pd.DataFrame(
        {
            "order_count": orders,
            "tenure_days": weeks * 7,
            "days_since_order": (weeks - last) * 7,
            "amount_per_order": mean_amount,
        }
    )
    year = fit_lifetime(rows).value(rows, 364)
    assert year.sum() == pytest.approx((rate * 52 * truth.p / per_amount).sum(), rel=0.1)
