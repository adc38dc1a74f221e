"""Harm is told where it is sure, and nowhere else."""

import numpy as np

from holdfast.effect.do_not_disturb import harmed_below
from holdfast.effect.learners import learner
from holdfast.effect.uplift_evaluation import out_of_fold
from tests.fakes.randomised import trial


def test_those_whom_treatment_harms_are_found_and_hardly_anybody_else() -> None:
    on = trial(6_000, seed=1)  # half of the customers lose 0.2, half gain it
    effects = out_of_fold(learner("t_lightgbm"), on, 3)
    [limit] = harmed_below(on, effects, 3, 200, 0)
    assert limit is not None
    assert limit < 0
    disturbed = effects[:, 0] <= limit
    assert disturbed.mean() > 0.25
    assert (np.sign(on.values[disturbed, 0]) < 0).mean() > 0.9


def test_where_treatment_does_nothing_nobody_is_called_harmed() -> None:
    for seed in range(4):
        on = trial(3_000, seed=seed, strength=0.0)
        assert harmed_below(on, out_of_fold(learner("t_logistic"), on, 3), 3, 200, 0) == (None,)


def test_a_treatment_that_costs_more_than_it_brings_is_no_harm() -> None:
    on = trial(4_000, seed=2, strength=0.0, cost=5.0)
    assert harmed_below(on, out_of_fold(learner("s_logistic"), on, 3), 3, 200, 0) == (None,)


def test_too_few_customers_prove_no_harm() -> None:
    on = trial(300, seed=1, strength=0.3)
    assert harmed_below(on, out_of_fold(learner("t_logistic"), on, 3), 3, 100, 0) == (None,)
