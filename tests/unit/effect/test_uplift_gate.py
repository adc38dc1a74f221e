"""An uplift policy is accepted only where it surely brings more; else the answer is no, in words."""

import numpy as np
import pytest

from holdfast.effect.uplift_gate import Terms, assess, at_random, by_merit, policy_of, told
from tests.fakes.randomised import trial

TERMS = Terms(budget_share=0.3, folds=3, resamples=100)
FEW = ["s_logistic", "t_logistic", "dr_logistic", "response", "churn_risk"]


def test_where_some_are_moved_the_policy_that_finds_them_is_accepted() -> None:
    found = assess(trial(4_000, seed=1), FEW, TERMS, unit="kept")
    assert found.verdict.passed
    assert "brings more than treating at random at the same budget" in told(found.verdict)
    # 30 % of those whom it helps by 0.2, against nothing at random: 60 per 1,000 if all of them are found.
    assert 40 < 1000 * found.best.over_random.value < 75


def test_where_nobody_is_moved_it_is_declined_in_words() -> None:
    found = assess(trial(4_000, seed=2, strength=0.0), FEW, TERMS, unit="kept")
    assert not found.verdict.passed
    assert told(found.verdict).startswith("Declined: ")
    assert "is not shown to bring more than treating at random" in told(found.verdict)
    assert "95 % interval" in told(found.verdict)
    assert told(found.verdict).endswith("The present policy stays.")


@pytest.mark.full
def test_no_effect_is_accepted_in_one_of_twenty_at_most() -> None:
    accepted = sum(assess(trial(800, seed, strength=0.0), FEW[:3], TERMS).verdict.passed for seed in range(200))
    assert accepted <= 12  # 2.5 % one-sided, for all learners at once: 13 or more would come by chance once in 1,000


def test_a_present_policy_that_already_finds_them_is_not_replaced() -> None:
    on = trial(4_000, seed=1)
    found = assess(on, FEW, TERMS, present=on.values[:, 0], present_name="the present policy")
    assert not found.verdict.passed
    assert "more than the present policy" in told(found.verdict)


def test_a_present_policy_worse_than_chance_must_not_be_enough_to_beat() -> None:
    on = trial(4_000, seed=5, strength=0.0)
    found = assess(on, FEW, TERMS, present=np.where(on.outcome > 0, on.given, -on.given).astype(float))
    assert not found.verdict.passed


def test_a_handful_of_customers_proves_nothing() -> None:
    found = assess(trial(150, seed=1, strength=0.5), FEW[:2], TERMS)
    assert not found.verdict.passed
    assert "fewer than 200" in told(found.verdict)


def test_policies_keep_to_the_share_of_customers() -> None:
    on = trial(1_000, seed=1, cost=1.0)
    for policy in (
        at_random(on, 0.3),
        by_merit(on, on.values[:, 1], 0.3),
        policy_of(on, np.full((1_000, 1), 2.0), 0.3),
    ):
        assert policy.sum(axis=1) == pytest.approx(np.ones(1_000))
        assert policy[:, 1].mean() == pytest.approx(0.3)


def test_who_costs_more_than_treatment_brings_is_not_treated_even_within_budget() -> None:
    on = trial(1_000, seed=1, cost=1.0)
    assert policy_of(on, np.full((1_000, 1), 0.9), 0.3)[:, 1].sum() == 0
