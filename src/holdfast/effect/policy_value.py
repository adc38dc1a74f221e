"""What a policy is worth, told from randomised customers alone: doubly robust, with intervals over customers.

Source of the estimator: M. Dudík, D. Erhan, J. Langford, L. Li, "Doubly robust policy evaluation and optimization",
Statistical Science 29(4), 2014. As the chances are known, it is unbiased whatever the outcome regressions are worth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from holdfast.effect.bases import fit_linear
from holdfast.effect.randomised import Randomised
from holdfast.model.matrix import Matrix, Vector
from holdfast.model.resampling import COVERAGE, Interval, Resamples


def scores(on: Randomised, folds: int) -> Matrix:
    """Each customer's doubly robust net value under the control (column 0) and each arm.

    Net value is outcome times worth, less the arm's cost. Its mean over customers with overlap, weighted by a policy's
    probabilities, is the policy's value. The outcome regressions are out of fold.
    """
    of, expected = on.folds(folds), np.zeros((len(on), len(on.arms) + 1))
    for fold in np.unique(of):
        held = of == fold
        for arm in range(len(on.arms) + 1):
            side = ~held & (on.given == arm)
            if side.any():
                fitted = fit_linear(on.values[side], on.outcome[side], np.ones(int(side.sum())), on.binary)
                expected[held, arm] = fitted.predict(on.values[held])
    drawn = np.arange(len(on.arms) + 1) == on.given[:, None]
    left = (on.outcome[:, None] - expected) / on.chance_of_given[:, None]
    costs = np.concatenate([[0.0], on.costs])
    found: Matrix = on.worth[:, None] * (expected + np.where(drawn, left, 0.0)) - costs
    return found


@dataclass(frozen=True)
class Gain:
    """What a policy brings beyond another, a customer of the evidence, in money or units of the outcome.

    ``interval`` holds for all policies that were compared together at once: whoever wins among many has luck on their
    side, and the interval is so much wider.
    """

    value: float
    interval: Interval


def gains(
    on: Randomised, of: Matrix, policies: Mapping[str, Matrix], present: Matrix, *, resamples: int, seed: int
) -> Mapping[str, Gain]:
    """Each policy against the ``present`` one, on the same customers; ``of`` are their ``scores``.

    A policy has a row a customer and a column for the control and each arm: the probability of giving it. The intervals
    are simultaneous: a studentised bootstrap over customers of the greatest deviation among the policies. Source of the
    method: J. Romano, M. Wolf, "Stepwise multiple testing as formalized data snooping", Econometrica 73(4), 2005.
    """
    names = list(policies)
    each = np.column_stack([((policies[name] - present) * of).sum(axis=1) for name in names])
    found = each.mean(axis=0)
    ids = pd.Series(on.customers, dtype=object)

    def means(weights: Matrix) -> Mapping[str, Vector]:
        total = weights.sum(axis=1, keepdims=True)
        return dict(zip(names, (weights @ each / total).T, strict=True))

    spread = Resamples.of(ids, resamples, seed).spread(ids, means)
    drawn = np.column_stack([spread[name] for name in names])
    errors = drawn.std(axis=0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        deviation = np.where(errors > 0, np.abs(drawn - found) / errors, 0.0).max(axis=1)
    reach = float(np.quantile(deviation, COVERAGE)) * errors
    return {
        name: Gain(float(value), Interval(float(value - half), float(value + half)))
        for name, value, half in zip(names, found, reach, strict=True)
    }
