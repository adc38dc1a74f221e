"""What a plan brings in truth, beside rivals with as many treated."""

import numpy as np
import pytest

from holdfast.effect.rivals import ORACLE, PLAN, RANDOM, TOP_RISK, VALUE_AT_RISK, Treatable, Valued, valued

HALF_IN_CONTROL = 0.5


def four(**changes: object) -> Treatable:
    """Four customers and two arms: the first is won by the coupon alone, the second by either, nobody else gains."""
    gains = np.array([[8.0, 0.0], [6.0, 6.0], [-2.0, 0.0], [-2.0, -4.0]])
    given = {
        "arms": ("coupon", "reminder"),
        "chances": np.array([[0.0, 0.5], [0.0, 0.0], [0.5, 0.0], [0.0, 0.0]]),
        "true": gains,
        "expected": gains,
        "probability": np.array([0.2, 0.4, 0.6, 0.8]),
        "value": np.array([10.0, 90.0, 10.0, 10.0]),
    }
    return Treatable(**(given | changes))


def by_policy(found: tuple[Valued, ...]) -> dict[str, Valued]:
    return {one.policy: one for one in found}


def test_the_plan_brings_what_its_own_odds_bring() -> None:
    plan = by_policy(valued("c@1", four(), HALF_IN_CONTROL))[PLAN]
    assert plan == Valued("c@1", PLAN, treated=pytest.approx(1.0), net=pytest.approx(0.5 * 0 + 0.5 * -2))


def test_rivals_treat_as_many_and_leave_the_same_share_in_control() -> None:
    found = by_policy(valued("c@1", four(), HALF_IN_CONTROL))
    assert [found[name].treated for name in (RANDOM, TOP_RISK, VALUE_AT_RISK)] == pytest.approx([1.0, 1.0, 1.0])


def test_rivals_rank_by_risk_by_value_at_risk_and_not_at_all() -> None:
    found = by_policy(valued("c@1", four(), HALF_IN_CONTROL))
    assert found[TOP_RISK].net == pytest.approx(0.5 * (-3 - 1)), "the third and the fourth, each arm alike"
    assert found[VALUE_AT_RISK].net == pytest.approx(0.5 * (6 - 3)), "the second and the fourth"
    assert found[RANDOM].net == pytest.approx(0.5 * 0.5 * (4 + 6 - 1 - 3)), "half of everybody"


def test_the_oracle_chooses_customers_and_arms_by_what_can_be_expected_and_is_paid_what_happens() -> None:
    expected = by_policy(valued("c@1", four(), HALF_IN_CONTROL))[ORACLE]
    assert expected.net == pytest.approx(0.5 * (8 + 6))
    unlucky = four(true=np.full((4, 2), -1.0))
    assert by_policy(valued("c@1", unlucky, HALF_IN_CONTROL))[ORACLE].net == pytest.approx(0.5 * -2)


def test_the_oracle_leaves_alone_whom_it_expects_nothing_of() -> None:
    everybody = four(chances=np.full((4, 2), 0.25))
    found = by_policy(valued("c@1", everybody, HALF_IN_CONTROL))
    assert found[PLAN].treated == pytest.approx(2.0)
    assert found[ORACLE].treated == pytest.approx(1.0)
