"""Customer lifetime value: how many orders BG/NBD expects, times what Gamma-Gamma expects of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
import pandas as pd

from holdfast.features import alive
from holdfast.features.alive import BgNbd
from holdfast.model import bgnbd
from holdfast.model.bgnbd import Counts, counts
from holdfast.model.matrix import Matrix, Vector, matrix

USED = (*bgnbd.USED, "amount_per_order")

_DAYS_PER_WEEK = 7
_NODES = 32
_LOG_BOUND = 9.0
_LEAST = 1e-9


@dataclass(frozen=True)
class GammaGamma:
    """The spread of order amounts: a customer's orders are gamma with shape ``p`` and a rate that is itself gamma
    distributed over customers with shape ``q`` and rate ``v``.

    Source: P. Fader, B. Hardie, "The Gamma-Gamma Model of Monetary Value" (2013).
    """

    p: float
    q: float
    v: float

    def expected_amount(self, orders: Vector, mean_amount: Vector) -> Vector:
        """What an order of a customer is worth whose ``orders`` so far had this mean: the note's equation 5."""
        amount: Vector = self.p * (self.v + orders * mean_amount) / (self.p * orders + self.q - 1)
        return amount


@dataclass(frozen=True)
class Lifetime:
    """Both models, fitted on the same customers."""

    orders: BgNbd
    amounts: GammaGamma

    def value(self, rows: pd.DataFrame, days: float) -> Vector:
        """What each customer is expected to spend in the next ``days`` days (columns USED), without discounting."""
        values = matrix(rows, USED)
        amount = self.amounts.expected_amount(values[:, 0], values[:, 3])
        return expected_orders(self.orders, counts(values[:, :3]), days) * amount

    def numbers(self) -> dict[str, tuple[float, ...]]:
        """The parameters, fit for JSON."""
        return {"orders": astuple(self.orders), "amounts": astuple(self.amounts)}

    @classmethod
    def of(cls, numbers: dict[str, Sequence[float]]) -> Lifetime:
        return cls(BgNbd(*numbers["orders"]), GammaGamma(*numbers["amounts"]))


def fit_lifetime(rows: pd.DataFrame) -> Lifetime:
    """Fit on customers, each in one row, as of one cutoff (columns USED)."""
    values = matrix(rows, USED)
    known = counts(values[:, :3])
    return Lifetime(
        alive.fit(known.repeats, known.last_week, known.age_weeks), _fit_amounts(values[:, 0], values[:, 3])
    )


def expected_orders(population: BgNbd, of: Counts, days: float) -> Vector:
    """Orders in the next ``days`` days.

    A customer who is alive and leaves after an order with probability π orders (1 − exp(−λπt)) / π times on average in
    time t. This is averaged over the rate λ, gamma with shape r + repeats and rate alpha + age, in closed form, and
    over π, beta with a and b + repeats, at ``_NODES`` equally likely values; it is the conditional expectation of
    Fader, Hardie and Lee (2005) without its hypergeometric function, which overflows for frequent customers.
    """
    from scipy import stats

    weeks = days / _DAYS_PER_WEEK
    middles = (np.arange(_NODES) + 0.5) / _NODES
    repeats, customer = np.unique(of.repeats, return_inverse=True)
    leaving = np.maximum(stats.beta.ppf(middles, population.a, population.b + repeats[:, None]), _LEAST)
    expected = np.zeros(len(customer))
    for node in leaving.T:
        share = node[customer]
        discount = np.log1p(share * weeks / (population.alpha + of.age_weeks))
        expected += -np.expm1(-(population.r + of.repeats) * discount) / share
    alive_now = population.probability_alive(of.repeats, of.last_week, of.age_weeks)
    return alive_now * expected / _NODES


def _fit_amounts(orders: Vector, mean_amount: Vector) -> GammaGamma:
    """Maximum likelihood: the note's equation 1a. ``q`` is held above 1, where the expectation exists."""
    from scipy.optimize import minimize

    scale = float(np.median(mean_amount))
    paid = np.maximum(mean_amount / scale, _LEAST)

    def loss(logs: Matrix) -> float:
        return -float(np.mean(_log_likelihood(_amounts(logs), orders, paid)))

    found = minimize(loss, np.zeros(3), method="L-BFGS-B", bounds=[(-_LOG_BOUND, _LOG_BOUND)] * 3)
    unit = _amounts(found.x)
    return GammaGamma(unit.p, unit.q, unit.v * scale)


def _amounts(logs: Vector) -> GammaGamma:
    p, q_above_one, v = (float(one) for one in np.exp(logs))
    return GammaGamma(p, 1 + q_above_one, v)


def _log_likelihood(of: GammaGamma, orders: Vector, mean_amount: Vector) -> Vector:
    from scipy.special import gammaln

    shape = of.p * orders
    likelihood: Vector = (
        gammaln(shape + of.q) - gammaln(shape) - gammaln(of.q) + of.q * np.log(of.v)
        + (shape - 1) * np.log(mean_amount) + shape * np.log(orders)
        - (shape + of.q) * np.log(of.v + orders * mean_amount)
    )  # fmt: skip
    return likelihood
