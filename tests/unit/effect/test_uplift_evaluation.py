"""Qini and AUUC by hand, and what a policy is worth by AIPW against the truth."""

import numpy as np
import pytest

from holdfast.effect.learners import Comparison
from holdfast.effect.policy_value import gains, scores
from holdfast.effect.uplift_evaluation import gain_curve, rank
from holdfast.effect.uplift_gate import at_random
from tests.fakes.randomised import customers, effect_of, trial


def comparison(treated: list[int], outcome: list[float], propensity: float = 0.5) -> Comparison:
    count = len(treated)
    return Comparison(
        np.zeros((count, 1)),
        np.array(treated, dtype=bool),
        np.full(count, propensity),
        np.array(outcome, dtype=float),
        True,
        np.zeros(count, dtype=np.int64),
    )


# Two persuadable customers first, then two whom treatment harms.
FOUR = comparison([1, 0, 1, 0], [1, 0, 0, 1])
BEST, WORST = np.array([4.0, 3, 2, 1]), np.array([1.0, 2, 3, 4])
IDS = np.array(["a", "b", "c", "d"], dtype=object)


def test_the_qini_of_the_perfect_order_is_one_of_its_reverse_below_zero() -> None:
    """By hand: Qini points 0, ½, ½, ½, 0 at quarters give 3/8; the perfect order is the same here."""
    assert rank(FOUR, BEST, IDS, 0, 0).qini == pytest.approx(1)
    assert rank(FOUR, WORST, IDS, 0, 0).qini < 0


def test_one_step_for_all_is_the_straight_line() -> None:
    """Equal scores are one step, in whatever order the rows come."""
    found = rank(FOUR, np.ones(4), IDS, 0, 0)
    assert found.qini == 0
    assert found.auuc == 0  # treating everybody helps as many as it harms


def test_the_gain_curve_is_the_mean_outcome_added_by_treating_so_many() -> None:
    shares, gain = gain_curve(FOUR, np.array([2.0, 2, 1, 1]))
    assert shares.tolist() == [0, 0.5, 1]
    assert gain.tolist() == [0, 0.5, 0]
    assert rank(FOUR, np.array([2.0, 2, 1, 1]), IDS, 0, 0).auuc == pytest.approx(0.25)


def test_the_qini_does_not_depend_on_the_share_treated() -> None:
    half, most = trial(20_000, seed=1), trial(20_000, seed=1, share=0.8)
    truth = effect_of(customers(20_000, 1), 0.2)
    found = [rank(on.comparison(1), truth[on.against_control(1)], on.customers, 0, 0).auuc for on in (half, most)]
    assert found[0] == pytest.approx(found[1], abs=0.02)


def test_intervals_hold_the_figure_and_narrow_with_more_customers() -> None:
    widths = []
    for count in (1_000, 16_000):
        on = trial(count, seed=2)
        found = rank(on.comparison(1), on.values[:, 0], on.customers, 100, 0)
        low, high = found.intervals["qini"].low, found.intervals["qini"].high
        assert low < found.qini < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_aipw_tells_the_truth_of_a_policy_that_nobody_followed() -> None:
    """Treating exactly those whom it helps adds 0.2 to one half of the customers, 0.1 to the mean."""
    on = trial(20_000, seed=3)
    helped = np.sign(on.values[:, 0]) > 0
    policy = np.column_stack([~helped, helped]).astype(float)
    nobody = np.column_stack([np.ones(len(on)), np.zeros(len(on))])
    gain = gains(on, scores(on, 3), {"helped": policy}, nobody, resamples=300, seed=0)["helped"]
    assert gain.interval.low < 0.1 < gain.interval.high
    assert gain.interval.high - gain.interval.low < 0.05


def test_net_value_counts_worth_and_cost() -> None:
    on = trial(20_000, seed=3, cost=0.5)
    everybody = at_random(on, 1.0)
    nobody = at_random(on, 0.0)
    gain = gains(on, scores(on, 3), {"all": everybody}, nobody, resamples=100, seed=0)["all"]
    assert gain.value == pytest.approx(-0.5, abs=0.03)  # no effect on average, and the cost of everybody


def test_many_policies_compared_at_once_have_wider_intervals_than_one() -> None:
    on = trial(2_000, seed=4)
    rng = np.random.default_rng(0)
    value, chance = scores(on, 3), at_random(on, 0.5)
    many = {str(i): np.column_stack([1 - drawn, drawn]) for i in range(20) if len(drawn := rng.random(len(on)).round())}
    one = gains(on, value, {"0": many["0"]}, chance, resamples=500, seed=0)["0"].interval
    all_ = gains(on, value, many, chance, resamples=500, seed=0)["0"].interval
    assert all_.high - all_.low > 1.2 * (one.high - one.low)
