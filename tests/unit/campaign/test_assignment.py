"""Who is control is a hash: replayable, independent, and of the share asked for."""

from collections import Counter
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.campaign.assignment import Arm, arm, propensity


def test_the_draw_is_fixed_for_ever() -> None:
    drawn = [arm("win_back@2017-11-26", customer, 0.5).value for customer in ("1", "2", "3", "4", "5", "6")]
    assert drawn == ["control", "control", "treatment", "control", "control", "treatment"]


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_the_control_share_is_met_within_binomial_tolerance(share: float) -> None:
    customers = 20_000
    control = sum(arm("c@2017-11-26", str(i), share) is Arm.CONTROL for i in range(customers))
    assert abs(control - customers * share) < 4 * sqrt(customers * share * (1 - share))


def test_two_campaigns_draw_independently() -> None:
    both = Counter((arm("a@2017-11-26", str(i), 0.5), arm("b@2017-11-26", str(i), 0.5)) for i in range(20_000))
    assert all(abs(count - 5_000) < 4 * sqrt(20_000 * 0.25 * 0.75) for count in both.values())


@given(customer=st.text(max_size=20), smaller=st.floats(0, 1), larger=st.floats(0, 1))
def test_a_larger_control_share_keeps_every_control_customer(customer: str, smaller: float, larger: float) -> None:
    smaller, larger = sorted((smaller, larger))
    if arm("c", customer, smaller) is Arm.CONTROL:
        assert arm("c", customer, larger) is Arm.CONTROL


def test_propensity_is_the_probability_of_the_arm_drawn() -> None:
    assert propensity(Arm.CONTROL, 0.2) == 0.2
    assert propensity(Arm.TREATMENT, 0.2) == 0.8
