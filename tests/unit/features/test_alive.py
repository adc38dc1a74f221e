"""The BG/NBD fit and probability, against the paper's figures and against the model itself."""

from __future__ import annotations

import numpy as np
import pytest

from holdfast.features.alive import BgNbd, _Cells, fit

CDNOW = BgNbd(r=0.243, alpha=4.414, a=0.793, b=2.426)  # Fader, Hardie and Lee 2005, table 2


def simulated(model: BgNbd, customers: int, weeks: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Repeats, week of the last order and age of customers who behave as the model says."""
    draw = np.random.default_rng(seed)
    age = draw.uniform(weeks / 2, weeks, customers)
    rate = draw.gamma(model.r, 1 / model.alpha, customers)
    leaves = draw.beta(model.a, model.b, customers)
    repeats, last = np.zeros(customers), np.zeros(customers)
    for i in range(customers):
        at = 0.0
        while draw.uniform() >= leaves[i] or at == 0.0:  # nobody leaves before the first repeat
            at += draw.exponential(1 / rate[i])
            if at > age[i]:
                break
            repeats[i], last[i] = repeats[i] + 1, at
    return repeats, last, age


def test_the_probability_is_that_of_the_papers_first_customer() -> None:
    (alive,) = CDNOW.probability_alive(np.array([2.0]), np.array([30.43]), np.array([38.86]))
    assert alive == pytest.approx(0.7266, abs=5e-5)


def test_a_single_order_tells_nothing_and_a_long_silence_much() -> None:
    repeats, last, age = np.array([0.0, 20.0, 20.0]), np.array([0.0, 50.0, 10.0]), np.array([52.0, 52.0, 52.0])
    single, lively, silent = CDNOW.probability_alive(repeats, last, age)
    assert single == 1
    assert lively > 0.9
    assert silent < 0.01


def test_the_fit_finds_what_the_customers_were_drawn_from() -> None:
    truth = BgNbd(r=0.8, alpha=3.0, a=0.9, b=2.5)
    found = fit(*simulated(truth, 4_000, 60, seed=1))
    assert found.r == pytest.approx(truth.r, rel=0.15)
    assert found.r / found.alpha == pytest.approx(truth.r / truth.alpha, rel=0.15)
    assert found.a / (found.a + found.b) == pytest.approx(truth.a / (truth.a + truth.b), rel=0.15)


def test_the_fit_is_a_maximum_of_the_likelihood() -> None:
    customers = simulated(BgNbd(r=0.8, alpha=3.0, a=0.9, b=2.5), 1_000, 60, seed=2)
    found = fit(*customers)
    logs = np.log([found.r, found.alpha, found.a, found.b])
    cells = _Cells.of(*customers)
    best, gradient = cells.loss(logs)
    assert np.abs(gradient).max() < 1e-3
    for at in range(4):
        for step in (-0.05, 0.05):
            assert cells.loss(logs + step * np.eye(4)[at])[0] > best


def test_the_gradient_is_that_of_the_likelihood() -> None:
    cells = _Cells.of(*simulated(CDNOW, 300, 40, seed=3))
    logs, step = np.array([-0.5, 1.0, -0.2, 0.7]), 1e-6
    numeric = [(cells.loss(logs + step * one)[0] - cells.loss(logs - step * one)[0]) / (2 * step) for one in np.eye(4)]
    np.testing.assert_allclose(cells.loss(logs)[1], numeric, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("repeats", [0.0, 3.0])
def test_customers_who_tell_nothing_still_give_finite_parameters(repeats: float) -> None:
    found = fit(np.full(5, repeats), np.full(5, min(repeats, 1.0)), np.full(5, 1.0))
    assert all(np.isfinite(one) and one > 0 for one in (found.r, found.alpha, found.a, found.b))


def test_neither_the_order_of_customers_nor_where_they_stand_changes_a_bit() -> None:
    repeats, last, age = simulated(CDNOW, 2_000, 40, seed=4)
    order = np.random.default_rng(5).permutation(len(repeats))
    assert fit(repeats, last, age) == fit(repeats[order], last[order], age[order])
    whole = CDNOW.probability_alive(repeats, last, age)
    parts = [CDNOW.probability_alive(repeats[i : i + 7], last[i : i + 7], age[i : i + 7]) for i in range(0, 2_000, 7)]
    assert np.concatenate(parts).tobytes() == whole.tobytes()
