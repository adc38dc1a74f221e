"""An assumption gives way to measurements as far as they are surer than it."""

import pytest

from holdfast.effect.belief import Belief, updated


def test_without_a_measurement_the_prior_stays() -> None:
    assert updated(Belief(0.03, 0.02), []) == Belief(0.03, pytest.approx(0.02))


def test_a_measurement_as_sure_as_the_prior_meets_it_half_way() -> None:
    found = updated(Belief(0.04, 0.02), [Belief(0.0, 0.02)])
    assert (found.mean, found.sd) == (pytest.approx(0.02), pytest.approx(0.02 / 2**0.5))


def test_two_measurements_count_as_one_that_pools_them() -> None:
    """Of 1/0.02² = 2,500 and 1/0.01² = 10,000 the pooled mean is (2,500 · 5 + 10,000 · 0) ÷ 12,500 = 1 point."""
    prior = Belief(0.03, 0.03)
    one_by_one = updated(prior, [Belief(0.05, 0.02), Belief(0.0, 0.01)])
    assert one_by_one.mean == pytest.approx(updated(prior, [Belief(0.01, 12_500**-0.5)]).mean)


def test_a_vague_measurement_changes_next_to_nothing() -> None:
    assert updated(Belief(0.03, 0.02), [Belief(-0.9, 2.0)]).mean == pytest.approx(0.03, abs=1e-3)
