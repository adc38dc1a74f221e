"""Alive: the probability that the customer still buys here at all, by the shop's own BG/NBD model as of each cutoff.

Source: P. Fader, B. Hardie, K. Lee, "'Counting Your Customers' the Easy Way: An Alternative to the Pareto/NBD Model",
Marketing Science 24 (2005): while alive a customer orders at random at a rate of their own, and after any order leaves
for good with a probability of their own; rates are gamma and probabilities beta distributed over customers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from holdfast.features.arithmetic import Floats
from holdfast.features.spec import Family, Feature
from holdfast.timeline import Ints

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

_DAYS_PER_WEEK = 7
_LOG_BOUND = 7.0  # every parameter lies between e^−7 and e^7, also where the data do not tell it
_WEEK_BITS = 14


@dataclass(frozen=True)
class BgNbd:
    """Fitted parameters: the gamma's shape ``r`` and rate ``alpha`` (weeks), the beta's ``a`` and ``b``."""

    r: float
    alpha: float
    a: float
    b: float

    def probability_alive(self, repeats: Floats, last_week: Floats, age_weeks: Floats) -> Floats:
        """For customers with so many ``repeats``, the last ``last_week`` weeks after the first order, which lies
        ``age_weeks`` back: the paper's equation for P(alive), 1 for those without repeats."""
        from scipy.special import expit, xlogy

        # The functions of scipy.special give each element the same bits wherever it stands in an array.
        leave = xlogy(1, self.a / (self.b + np.maximum(repeats, 1) - 1))
        silent = xlogy(self.r + repeats, (self.alpha + age_weeks) / (self.alpha + last_week))
        return np.where(repeats > 0, expit(-(leave + silent)), 1.0)


def fit(repeats: Floats, last_week: Floats, age_weeks: Floats) -> BgNbd:
    """The maximum-likelihood parameters of these customers, each time taken as the middle of its week.

    The likelihood is a sum over the distinct triples with the number of customers of each: whole numbers, which no
    order of customers and no partition changes.
    """
    from scipy.optimize import minimize

    cells = _Cells.of(repeats, last_week, age_weeks)
    with _threads().limit(limits=1, user_api="blas"):  # four numbers: more threads would only wait for each other
        bounds = [(-_LOG_BOUND, _LOG_BOUND)] * 4
        found = minimize(cells.loss, np.zeros(4), jac=True, method="L-BFGS-B", bounds=bounds)
    return BgNbd(*(float(one) for one in np.exp(found.x)))


@cache
def _threads() -> ThreadpoolController:
    """Of the libraries loaded when first asked; finding them takes longer than a fit."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@dataclass(frozen=True)
class _Cells:
    """Customers counted by repeats, week of the last order and age in weeks.

    Each axis holds its distinct values (of a week its middle) and, for each cell, the position among them.
    """

    count: Floats
    repeats: Ints
    last: Floats
    age: Floats
    of_repeats: Ints
    of_last: Ints
    of_age: Ints

    @classmethod
    def of(cls, repeats: Floats, last_week: Floats, age_weeks: Floats) -> _Cells:
        last, age = np.floor(last_week).astype(np.int64), np.floor(age_weeks).astype(np.int64)
        packed = (repeats.astype(np.int64) << 2 * _WEEK_BITS) | (last << _WEEK_BITS) | age
        cell, count = np.unique(packed, return_counts=True)
        mask = (1 << _WEEK_BITS) - 1
        repeated, of_repeats = np.unique(cell >> 2 * _WEEK_BITS, return_inverse=True)
        weeks, of_last = np.unique((cell >> _WEEK_BITS) & mask, return_inverse=True)
        ages, of_age = np.unique(cell & mask, return_inverse=True)
        return cls(count.astype(np.float64), repeated, weeks + 0.5, ages + 0.5, of_repeats, of_last, of_age)

    def loss(self, logs: Floats) -> tuple[float, Floats]:
        """The negative mean log-likelihood of parameters given by their logarithms, and its gradient."""
        from scipy.special import expit, gammaln, psi

        r, alpha, a, b = np.exp(logs)
        x, at = self.repeats.astype(np.float64), self.of_repeats
        repeated = x[at] > 0
        safe = np.maximum(x, 1)
        by_repeats = (
            gammaln(r + x) - gammaln(r) + r * np.log(alpha) + gammaln(a + b) + gammaln(b + x) - gammaln(b)
            - gammaln(a + b + x)
        )  # fmt: skip
        log_age, log_last = np.log(alpha + self.age)[self.of_age], np.log(alpha + self.last)[self.of_last]
        power = r + x[at]
        alive = -power * log_age
        left = np.where(repeated, np.log(a / (b + safe - 1))[at] - power * log_last, -np.inf)
        likelihood = by_repeats[at] + np.logaddexp(alive, left)
        share = np.where(repeated, expit(left - alive), 0.0)  # of the likelihood, that the customer has left

        weight = self.count / self.count.sum()
        d_r = (psi(r + x) - psi(r) + np.log(alpha))[at] - (1 - share) * log_age - share * log_last
        d_alpha = r / alpha - power * (
            (1 - share) / (alpha + self.age[self.of_age]) + share / (alpha + self.last[self.of_last])
        )
        d_a = (psi(a + b) - psi(a + b + x))[at] + share / a
        d_b = (psi(a + b) + psi(b + x) - psi(b) - psi(a + b + x))[at] - share / (b + safe - 1)[at]
        # Not a dot product: BLAS adds up in as many parts as it has threads, and the last bits follow.
        gradient = np.array([np.sum(weight * one) for one in (d_r, d_alpha, d_a, d_b)]) * np.array([r, alpha, a, b])
        return -float(np.sum(weight * likelihood)), -gradient


def _derive(values: Mapping[str, Floats]) -> Mapping[str, Floats]:
    repeats = values["order_count"] - 1
    last_week = (values["tenure_days"] - values["days_since_order"]) / _DAYS_PER_WEEK
    age_weeks = values["tenure_days"] / _DAYS_PER_WEEK
    model = fit(repeats, last_week, age_weeks)
    return {"probability_alive": model.probability_alive(repeats, last_week, age_weeks)}


ALIVE = Family(
    name="alive",
    meaning="whether the customer still buys here at all, by a model fitted on all customers as of the cutoff",
    tables=("orders", "order_lines"),
    features=(
        Feature(
            "probability_alive",
            "probability that the customer has not left for good; 1 after a single order, which tells nothing",
            "probability",
            "buys here still with a probability of {probability_alive:.0%}, going by rhythm and silence",
            maximum=1,
            source="BG/NBD, Fader, Hardie and Lee 2005, fitted by maximum likelihood on what came before the cutoff",
        ),
    ),
    derive=_derive,
)
