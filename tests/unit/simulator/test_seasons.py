"""A season is what comes back every year; growth is not."""

import numpy as np
import pandas as pd
import pytest

from holdfast.simulator.seasons import Months, months

WEEKDAYS = np.array([1.2, 1.0, 1.0, 1.0, 1.2, 1.1, 0.5])
TRUE = np.array([0.8, 0.85, 1.0, 1.0, 1.05, 1.0, 0.9, 0.9, 1.0, 1.05, 1.3, 1.4])


def orders(start: str, days: int, *, growth: float, season: np.ndarray, a_day: float = 40, seed: int = 1) -> pd.Series:
    """The days of a shop's orders; with ``growth`` it has so many times more of them each year."""
    calendar = pd.date_range(start, periods=days, freq="D")
    means = a_day * growth ** (np.arange(days) / 365) * WEEKDAYS[calendar.dayofweek] * season[calendar.month - 1]
    return pd.Series(calendar.repeat(np.random.default_rng(seed).poisson(means)))


@pytest.mark.parametrize(("years", "growth"), [(2, 1.0), (2, 2.0), (3, 0.6), (4, 1.5)])
def test_the_season_is_found_whatever_the_growth(years: int, growth: float) -> None:
    found = months(orders("2021-01-01", 365 * years, growth=growth, season=TRUE), WEEKDAYS)
    assert found.flat_because is None
    assert np.prod(found.factors) == pytest.approx(1)
    true = TRUE / np.exp(np.log(TRUE).mean())
    assert np.array(found.factors) == pytest.approx(true, abs=0.08)


def test_growth_that_bends_is_not_taken_for_a_season() -> None:
    first = orders("2021-01-01", 365, growth=3.0, season=np.ones(12))
    then = orders("2022-01-01", 365, growth=1.0, season=np.ones(12), a_day=120)
    assert months(pd.concat([first, then]), WEEKDAYS).factors == pytest.approx(np.ones(12), abs=0.06)


def test_where_chance_explains_the_months_they_are_alike() -> None:
    """The plain effects of months with about 60 orders each differ by chance alone, by 9 % and more."""
    spreads = [
        np.ptp(months(orders("2021-01-01", 730, growth=1.0, season=np.ones(12), a_day=2, seed=seed), WEEKDAYS).factors)
        for seed in range(8)
    ]
    assert np.median(spreads) < 0.1


def test_with_less_than_two_of_every_month_nothing_is_told_and_the_reason_is_given() -> None:
    short = orders("2021-03-01", 700, growth=1.0, season=TRUE)
    assert months(short, WEEKDAYS) == Months((1.0,) * 12, "the history holds February once; a season takes two")
    shorter = orders("2021-03-01", 200, growth=1.0, season=TRUE)
    assert "January not at all" in str(months(shorter, WEEKDAYS).flat_because)


def test_a_month_with_hardly_an_order_tells_no_season() -> None:
    closed = orders("2021-01-01", 730, growth=1.0, season=np.where(np.arange(12) == 7, 0, TRUE))
    assert months(closed, WEEKDAYS).flat_because == "2021-08 has 0 orders; a season takes 20 in every month"
