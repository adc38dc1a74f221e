"""An uplift policy is accepted only where it surely brings more; else the answer is no, in words."""

from dataclasses import replace

import numpy as np
import pytest

from holdfast.effect.randomised import Randomised
from holdfast.effect.uplift_gate import (
    Assessment,
    Terms,
    assess,
    at_random,
    by_merit,
    cross_fitted,
    policy_of,
    told,
)
from holdfast.errors import ModelError
from holdfast.model.matrix import Matrix
from tests.fakes.randomised import trial

TERMS = Terms(budget_share=0.3, folds=3, resamples=100)
FEW = ["s_logistic", "t_logistic", "dr_logistic", "response", "churn_risk"]


def assessed(on: Randomised, present: Matrix | None = None, names: list[str] = FEW) -> Assessment:
    return assess(on, cross_fitted(on, names, TERMS), TERMS, present=present, unit="kept")


def test_where_some_are_moved_the_policy_that_finds_them_is_accepted() -> None:
    found = assessed(trial(4_000, seed=1))
    assert found.verdict.passed
    assert "brings more than treating at random at the same budget" in told(found.verdict)
    # 30 % of those whom it helps by 0.2, against nothing at random: 60 per 1,000 if all of them are found.
    assert 40 < 1000 * found.best.over_random.value < 75


def test_where_nobody_is_moved_it_is_declined_in_words() -> None:
    found = assessed(trial(4_000, seed=2, strength=0.0))
    assert not found.verdict.passed
    assert told(found.verdict).startswith("Declined: ")
    assert "is not shown to bring more than treating at random" in told(found.verdict)
    assert "95 % interval" in told(found.verdict)
    assert told(found.verdict).endswith("The present policy stays.")


@pytest.mark.full
def test_no_effect_is_accepted_in_one_of_twenty_at_most() -> None:
    accepted = sum(assessed(trial(800, seed, strength=0.0), names=FEW[:3]).verdict.passed for seed in range(200))
    assert accepted <= 12  # 2.5 % one-sided, for all learners at once: 13 or more would come by chance once in 1,000


def test_a_present_policy_that_already_finds_them_is_not_replaced() -> None:
    on = trial(4_000, seed=1)
    found = assessed(on, by_merit(on, on.values[:, 0], 0.3))
    assert not found.verdict.passed
    assert "more than the present policy" in told(found.verdict)


def test_a_present_policy_worse_than_chance_must_not_be_enough_to_beat() -> None:
    on = trial(4_000, seed=5, strength=0.0)
    found = assessed(on, by_merit(on, np.where(on.outcome > 0, -on.given, on.given).astype(float), 0.3))
    assert not found.verdict.passed


def test_a_handful_of_customers_proves_nothing() -> None:
    found = assessed(trial(150, seed=1, strength=0.5), names=FEW[:2])
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


def test_where_nobody_could_have_been_given_every_arm_policies_cannot_be_compared() -> None:
    on = trial(600, seed=1)
    sure = replace(on, chances=np.where(on.given[:, None] == np.arange(2), 0.5, 0.0))
    with pytest.raises(ModelError, match="nobody was given control, mail"):
        assess(sure, {"t_logistic": np.zeros((600, 1))}, TERMS)


def test_learners_that_cannot_be_stored_or_only_rank_are_no_contenders() -> None:
    with pytest.raises(ModelError, match="none of churn_risk can become champion"):
        assessed(trial(500, seed=1), names=["churn_risk"])
