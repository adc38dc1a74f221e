"""What a campaign can show, against the textbook's formula."""

from __future__ import annotations

import pytest
from scipy.stats import norm

from holdfast.effect.power import Design, detectable, needed, told
from holdfast.errors import CampaignError

Z = norm.ppf(0.975) + norm.ppf(0.8)


def test_the_smallest_detectable_effect_is_the_textbooks() -> None:
    # 2.8 standard errors of the difference: sqrt(0.25 ÷ 220 + 0.25 ÷ 1980) = 0.0355
    assert detectable(2_200, 0.1, 0.5) == pytest.approx(Z * (0.25 / 220 + 0.25 / 1980) ** 0.5, rel=1e-3)
    assert told(2_200, 0.1, detectable(2_200, 0.1, 0.5)) == (
        "with 2,200 customers and a 10 % control the smallest detectable effect is 10 points"
    )


def test_a_smaller_effect_takes_more_customers_and_runs_and_days() -> None:
    plan = needed(0.05, Design(2_200, 0.1, 0.5), days_between_runs=7, horizon_days=28)
    assert plan.customers == pytest.approx(Z**2 * 0.25 / (0.1 * 0.9) / 0.05**2, rel=1e-3)
    assert plan.runs == 4
    assert plan.days == 3 * 7 + 28
    assert needed(0.05, Design(10_000, 0.1, 0.5), days_between_runs=7, horizon_days=28).days == 28


def test_what_is_needed_and_what_is_detectable_agree() -> None:
    plan = needed(0.03, Design(1, 0.25, 0.8), days_between_runs=1, horizon_days=1)
    assert detectable(plan.customers, 0.25, 0.8) == pytest.approx(0.03, rel=1e-3)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: detectable(2_200, 0, 0.5), "control share is 0"),
        (lambda: detectable(2_200, 0.1, 1), "retention expected without treatment is 1"),
        (lambda: detectable(15, 0.1, 0.5), "leave a group of fewer than two"),
        (
            lambda: needed(0.6, Design(9, 0.1, 0.5), days_between_runs=7, horizon_days=28),
            "60 points on a retention of 50 %",
        ),
    ],
)
def test_the_impossible_is_refused_with_its_value(call: object, word: str) -> None:
    with pytest.raises(CampaignError, match=word):
        call()
