"""How well an ordering of customers finds those whom treatment moves: Qini, AUUC, and the curve behind them.

Everything is weighted by the inverse of the known probability of what was drawn, so that unequal shares do no harm, and
is computed for many weightings of the customers at once: ones give the figure, resamples its spread.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from holdfast.effect.learners import Comparison, Effect, Learner, matched
from holdfast.effect.randomised import Randomised
from holdfast.model.matrix import Matrix, Vector
from holdfast.model.resampling import Interval, Resamples


def fit_arms(learner: Learner, on: Randomised) -> tuple[Effect, ...]:
    """The learner fitted for each arm."""
    comparisons = [on.comparison(arm) for arm in range(1, len(on.arms) + 1)]
    if not learner.pooled:
        return tuple(learner.fit(one) for one in comparisons)
    of_any = learner.fit(on.of_any_arm())
    return tuple(matched(of_any, one) for one in comparisons)


def out_of_fold(learner: Learner, on: Randomised, folds: int) -> Matrix:
    """Each customer's effect (a column an arm), by a learner that was fitted without the customer's fold."""
    of, effects = on.folds(folds), np.empty((len(on), len(on.arms)))
    for fold in np.unique(of):
        held = of == fold
        fitted = fit_arms(learner, on.only(~held))
        effects[held] = np.column_stack([effect(on.values[held]) for effect in fitted])
    return effects


@dataclass(frozen=True)
class Ranking:
    """The figures of an ordering, with their intervals where customers were drawn again.

    ``qini`` is Radcliffe's coefficient as scikit-uplift 0.5 normalises it (``qini_auc_score``): the area between the
    Qini curve and the straight line to its end, as a share of the same area of the perfect order, in which those who
    are treated and do well come first and those who are untreated and do well last. 0 is random. Source: N. Radcliffe,
    "Using control groups to target on predicted lift", Direct Marketing Analytics Journal 3, 2007.

    ``auuc`` is the area under what treating the first x of all customers adds to the mean outcome, over x from 0 to 1.
    """

    qini: float
    auuc: float
    intervals: Mapping[str, Interval]


def rank(on: Comparison, order: Vector, customers: NDArray[np.object_], resamples: int, seed: int) -> Ranking:
    """Rank the comparison's customers by ``order``, the greatest first; equal ones count as one step."""
    found = _figures(on, order, np.ones((1, len(on))))
    ids = pd.Series(customers, dtype=object)
    drawn = Resamples.of(ids, resamples, seed).spread(ids, lambda weights: _figures(on, order, weights))
    intervals = {name: interval for name, values in drawn.items() if (interval := Interval.of(values)) is not None}
    return Ranking(float(found["qini"][0]), float(found["auuc"][0]), intervals)


def gain_curve(on: Comparison, order: Vector) -> tuple[Vector, Vector]:
    """Shares of customers treated, and what treating them adds to the mean outcome over all customers."""
    found = _cumulated(on, order, np.ones((1, len(on))))
    return found.share[0], (found.share * found.uplift)[0]


def _figures(on: Comparison, order: Vector, weights: Matrix) -> dict[str, Vector]:
    own = _cumulated(on, order, weights)
    best = _cumulated(on, np.where(on.treated, on.outcome, -on.outcome), weights).above_line()
    with np.errstate(divide="ignore", invalid="ignore"):
        qini = np.where(best > 0, own.above_line() / best, np.nan)
    return {"qini": qini, "auuc": np.asarray(np.trapezoid(own.share * own.uplift, own.share, axis=1))}


@dataclass(frozen=True)
class _Cumulated:
    """At the end of every step of equal order, from the greatest, and at the start (a column each; a row a weighting):

    the share of customers so far, the share of the treated, and the mean outcome of the treated less the untreated.
    """

    share: Matrix
    of_treated: Matrix
    uplift: Matrix

    def above_line(self) -> Vector:
        """The area between the Qini curve and the straight line to its end."""
        curve = self.of_treated * self.uplift
        area: Vector = np.trapezoid(curve, self.share, axis=1) - curve[:, -1] / 2
        return area


def _cumulated(on: Comparison, order: Vector, weights: Matrix) -> _Cumulated:
    by = np.argsort(-order, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(order[by])), len(by) - 1)
    given, drawn = on.treated[by], weights[:, by]
    inverse = np.where(given, 1 / on.propensity[by], 1 / (1 - on.propensity[by])) * drawn
    means, counts = [], []
    for side in (given, ~given):
        counted = np.cumsum(inverse * side, axis=1)[:, ends]
        summed = np.cumsum(inverse * side * on.outcome[by], axis=1)[:, ends]
        means.append(np.divide(summed, counted, out=np.zeros_like(summed), where=counted > 0))
        counts.append(counted)
    share = np.cumsum(drawn, axis=1)[:, ends]
    parts = share / share[:, -1:], counts[0] / counts[0][:, -1:], means[0] - means[1]
    return _Cumulated(*(np.hstack([np.zeros((len(weights), 1)), part]) for part in parts))
