"""Who is control and who gets which arm is a hash: replayable, independent, and of the shares asked for."""

from collections import Counter
from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.campaign.assignment import draw, uniforms

IDS = [str(i) for i in range(20_000)]
ONE = np.array([[1.0]])


def arms(run: str, ids: list[str], share: float, weights: np.ndarray = ONE, names: tuple[str, ...] = ("a",)) -> list:
    return draw(run, ids, share, names, weights).arm.tolist()


def test_the_draw_is_fixed_for_ever() -> None:
    drawn = arms("win_back@2017-11-26", ["1", "2", "3", "4", "5", "6"], 0.5)
    assert drawn == ["control", "control", "a", "control", "control", "a"]


def test_a_customers_number_does_not_depend_on_the_others() -> None:
    alone = [uniforms("c", [one])[0] for one in ("1", "00123", "é")]
    assert uniforms("c", ["é", "00123", "1"]).tolist() == alone[::-1]


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_the_control_share_is_met_within_binomial_tolerance(share: float) -> None:
    control = Counter(arms("c@2017-11-26", IDS, share))["control"]
    assert abs(control - len(IDS) * share) < 4 * sqrt(len(IDS) * share * (1 - share))


def test_two_campaigns_draw_independently() -> None:
    both = Counter(zip(arms("a@2017-11-26", IDS, 0.5), arms("b@2017-11-26", IDS, 0.5), strict=True))
    assert all(abs(count - 5_000) < 4 * sqrt(20_000 * 0.25 * 0.75) for count in both.values())


@given(ids=st.lists(st.text(max_size=20)), smaller=st.floats(0, 0.99), larger=st.floats(0, 0.99))
def test_a_larger_control_share_keeps_every_control_customer(ids: list[str], smaller: float, larger: float) -> None:
    smaller, larger = sorted((smaller, larger))
    before, after = (arms("c", ids, share) for share in (smaller, larger))
    assert all(now == "control" for then, now in zip(before, after, strict=True) if then == "control")


def test_arms_share_the_treated_by_weight_and_each_propensity_is_that_of_the_arm_drawn() -> None:
    drawn = draw("c", IDS, 0.2, ("a", "b"), np.array([[3.0, 1.0]]))
    expected = {"control": 0.2, "a": 0.6, "b": 0.2}
    for arm, propensity in expected.items():
        mine = drawn.arm == arm
        assert abs(mine.mean() - propensity) < 4 * sqrt(propensity * (1 - propensity) / len(IDS))
        assert np.allclose(drawn.propensity[mine], propensity)


def test_an_arm_without_weight_for_a_customer_is_never_theirs() -> None:
    weights = np.array([[1.0, 0.0], [0.0, 1.0]] * 500)
    drawn = draw("c", IDS[:1000], 0.5, ("a", "b"), weights)
    assert set(drawn.arm[::2]) == {"a", "control"}
    assert set(drawn.arm[1::2]) == {"b", "control"}
