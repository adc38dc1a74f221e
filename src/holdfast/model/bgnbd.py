"""BG/NBD as a model of churn: three numbers of a customer (repeat orders, last order, age) and nothing else."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from holdfast.features import alive
from holdfast.features.alive import BgNbd
from holdfast.model.attribution import from_log_odds, log_odds, shapley
from holdfast.model.matrix import Matrix, Vector, matrix

USED = ("order_count", "tenure_days", "days_since_order")

_DAYS_PER_WEEK = 7
_FILE = "bgnbd.json"


@dataclass(frozen=True)
class BgNbdModel:
    """Fitted BG/NBD parameters, and the line that maps its log-odds of silence to those that were seen.

    The parameters are those of the customers in the training rows, who have all ordered lately; the line (``slope``,
    ``intercept``) mends what that choice does to the level. ``reference`` is the median customer (as USED).
    """

    features: tuple[str, ...]
    population: BgNbd
    horizon_days: float
    slope: float
    intercept: float
    reference: tuple[float, ...]

    format: ClassVar[str] = "bgnbd"

    def probabilities(self, rows: pd.DataFrame) -> Vector:
        return from_log_odds(self._log_odds(matrix(rows, USED)))

    def contributions(self, rows: pd.DataFrame) -> Matrix:
        """Shapley values in log-odds against the median customer (``holdfast.model.attribution``)."""
        added = np.zeros((len(rows), len(self.features)))
        own = shapley(self._log_odds, matrix(rows, USED), np.array(self.reference))
        added[:, [self.features.index(name) for name in USED]] = own
        return added

    def save(self, directory: Path) -> None:
        (directory / _FILE).write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> BgNbdModel:
        content = json.loads((directory / _FILE).read_text(encoding="utf-8"))
        content |= {name: tuple(content[name]) for name in ("features", "reference")}
        return cls(**content | {"population": BgNbd(**content["population"])})

    def _log_odds(self, values: Matrix) -> Vector:
        odds = log_odds(silence(self.population, counts(values), self.horizon_days))
        return self.intercept + self.slope * odds


@dataclass(frozen=True)
class Counts:
    """What BG/NBD knows of customers: repeat orders, and weeks from the first order to the last and to the cutoff."""

    repeats: Vector
    last_week: Vector
    age_weeks: Vector


def counts(values: Matrix) -> Counts:
    """From columns as USED."""
    orders, tenure, since = values.T
    return Counts(orders - 1, np.maximum(tenure - since, 0) / _DAYS_PER_WEEK, tenure / _DAYS_PER_WEEK)


def silence(population: BgNbd, of: Counts, horizon_days: float) -> Vector:
    """The probability of no order within the horizon.

    Who is alive orders at a rate whose distribution, after ``repeats`` orders in ``age_weeks`` weeks, is gamma with
    shape r + repeats and rate alpha + age_weeks; nobody leaves before their next order. So the probability of silence
    is that of having left, plus that of being alive times the gamma's Laplace transform at the horizon.
    """
    alive_now = population.probability_alive(of.repeats, of.last_week, of.age_weeks)
    rate = population.alpha + of.age_weeks
    quiet = (rate / (rate + horizon_days / _DAYS_PER_WEEK)) ** (population.r + of.repeats)
    probability: Vector = 1 - alive_now * (1 - quiet)
    return probability


def fit_bgnbd(rows: pd.DataFrame, churned: Vector, seed: int, horizon_days: float) -> BgNbdModel:
    """Fit on the columns USED; ``seed`` does not matter. A customer counts once for each cutoff in ``rows``."""
    from sklearn.linear_model import LogisticRegression

    values = matrix(rows, USED)
    known = counts(values)
    population = alive.fit(known.repeats, known.last_week, known.age_weeks)
    odds = log_odds(silence(population, known, horizon_days))
    line = LogisticRegression(C=np.inf).fit(odds[:, None], churned)
    return BgNbdModel(
        features=tuple(rows.columns),
        population=population,
        horizon_days=float(horizon_days),
        slope=float(line.coef_[0, 0]),
        intercept=float(line.intercept_[0]),
        reference=tuple(np.median(values, axis=0).tolist()),
    )
