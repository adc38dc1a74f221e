"""What each feature adds to a score, for models that cannot tell it themselves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from holdfast.model.matrix import Matrix, Vector

_CERTAIN = 1e-12


def log_odds(probability: Vector) -> Vector:
    """Of 0 and 1 too, which get those of a probability very close to them."""
    inside = np.clip(probability, _CERTAIN, 1 - _CERTAIN)
    odds: Vector = np.log(inside / (1 - inside))
    return odds


def from_log_odds(odds: Vector) -> Vector:
    """The probability of these log-odds."""
    probability: Vector = 1 / (1 + np.exp(-odds))
    return probability


def shapley(score: Callable[[Matrix], Vector], values: Matrix, reference: Vector) -> Matrix:
    """Shapley values of ``score`` for each row of ``values``, against the customer ``reference``.

    The features are turned from the reference's value to the row's own one after another, once in a fixed random order
    and once in the reverse; a feature's value is the mean of the two steps it makes. So each row's values add up to its
    score minus the reference's exactly; how they are shared among features that act together is an estimate.
    Source: E. Štrumbelj, I. Kononenko, "An Efficient Explanation of Individual Classifications using Game Theory",
    Journal of Machine Learning Research 11 (2010); the antithetic order is R. Mitchell et al., "Sampling Permutations
    for Shapley Value Estimation", Journal of Machine Learning Research 23 (2022).
    """
    added = np.zeros(values.shape)
    if not len(values):
        return added
    order = np.random.default_rng(0).permutation(values.shape[1])
    for walk in (order, order[::-1]):
        customer = np.tile(reference, (len(values), 1))
        before = score(customer)
        for feature in walk:
            customer[:, feature] = values[:, feature]
            after = score(customer)
            added[:, feature] += (after - before) / 2
            before = after
    return added
