"""The figures of merit of predictions, for many weightings of the same customers at once.

One weighting of all ones gives the figures themselves; weightings drawn at random give their spread
(``holdfast.model.resampling``). So a figure and its interval come from one formula.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from holdfast.model.matrix import Matrix, Vector

CALIBRATION_BINS = 15
RECALL_ASKED = 0.9
TOP_SHARE = 0.1

_PROFIT_NODES = 40
_CHANCE_DRAWS = 200
_SMALLEST = 1e-12


@dataclass(frozen=True)
class Campaign:
    """What the expected maximum profit assumes of a retention campaign, by default as published.

    Source: T. Verbraken, W. Verbeke, B. Baesens, "A Novel Profit Maximizing Metric for Measuring Classification
    Performance of Customer Churn Prediction Models", IEEE Transactions on Knowledge and Data Engineering 25 (2013).
    A churner who is contacted stays with a probability drawn from Beta(``alpha``, ``beta``). A customer is worth
    ``lifetime_value``, an accepted offer costs ``offer`` and a contact ``contact``, all in one currency.
    """

    alpha: float = 6.0
    beta: float = 14.0
    lifetime_value: float = 200.0
    offer: float = 10.0
    contact: float = 1.0


PUBLISHED = Campaign()


@dataclass(frozen=True)
class Judged:
    """Customers with their outcome (0 or 1) and predicted ``probability``.

    ``lead_days`` is how many days each still had before the own rhythm broke (null where there is no rhythm).
    """

    churned: Vector
    probability: Vector
    lead_days: Vector


def figures(of: Judged, weights: Matrix, threshold: float, campaign: Campaign = PUBLISHED) -> Mapping[str, Vector]:
    """Every figure under each weighting (one row of ``weights`` a weighting, one column a customer).

    NaN where a figure does not exist: rankings without both outcomes, precision without anyone at ``threshold`` or
    above. Customers of equal probability count as one group: no figure depends on the order of rows.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        curve = _Curve.of(of, weights)
        flagged = of.probability >= threshold
        churn_rate = curve.churners / curve.total
        return {
            "base_rate": churn_rate,
            "majority_accuracy": np.maximum(churn_rate, 1 - churn_rate),
            "auc": curve.auc(),
            "average_precision": curve.average_precision(),
            "brier": _average(weights, (of.probability - of.churned) ** 2),
            "log_loss": _average(weights, log_loss(of.churned, of.probability)),
            "calibration_error": curve.calibration_error(),
            "lift_top_tenth": curve.share_found(TOP_SHARE) / TOP_SHARE,
            "precision_at_recall_90": curve.precision_at(RECALL_ASKED),
            "expected_maximum_profit": curve.expected_maximum_profit(campaign),
            **_at_threshold(of, weights, flagged),
        }


def log_loss(churned: Vector, probability: Vector) -> Vector:
    """Each customer's negative log-likelihood."""
    said = np.clip(np.where(churned > 0, probability, 1 - probability), _SMALLEST, 1)
    loss: Vector = -np.log(said)
    return loss


def calibration_error_by_chance(probability: Vector, seed: int) -> float:
    """The mean calibration error of outcomes drawn from these very probabilities: even a perfect model has it."""
    draws = np.random.default_rng(seed).uniform(size=(_CHANCE_DRAWS, len(probability)))
    order = np.argsort(probability, kind="stable")
    gap = probability[order] - (draws < probability)[:, order]
    edges = np.linspace(0, len(order), min(CALIBRATION_BINS, len(order)) + 1).astype(int)[:-1]
    return float(np.abs(np.add.reduceat(gap, edges, axis=1)).sum(axis=1).mean() / len(order))


@dataclass(frozen=True)
class _Curve:
    """Weights of churners and retained at or above each distinct probability, falling; a row per weighting."""

    probability: Vector
    churned: Matrix
    retained: Matrix
    total: Vector
    _weights: Matrix  # by falling probability
    _sorted: Vector
    _sizes: NDArray[np.int64]

    @classmethod
    def of(cls, judged: Judged, weights: Matrix) -> _Curve:
        order = np.argsort(-judged.probability, kind="stable")
        falling, churned, weight = judged.probability[order], judged.churned[order], weights[:, order].astype(float)
        ends = np.flatnonzero(np.append(np.diff(falling) != 0, True))
        return cls(
            probability=falling[ends],
            churned=np.cumsum(weight * churned, axis=1)[:, ends],
            retained=np.cumsum(weight * (1 - churned), axis=1)[:, ends],
            total=weight.sum(axis=1),
            _weights=weight,
            _sorted=falling,
            _sizes=np.diff(np.append(-1, ends)),
        )

    @property
    def churners(self) -> Vector:
        return self.churned[:, -1]

    @property
    def recall(self) -> Matrix:
        return self.churned / self.churned[:, -1:]

    @property
    def false_positive_rate(self) -> Matrix:
        return self.retained / self.retained[:, -1:]

    @property
    def precision(self) -> Matrix:
        return np.nan_to_num(self.churned / (self.churned + self.retained))

    def auc(self) -> Vector:
        recall = _from_zero(self.recall)
        area: Vector = (np.diff(_from_zero(self.false_positive_rate)) * (recall[:, 1:] + recall[:, :-1]) / 2).sum(
            axis=1
        )
        return area

    def average_precision(self) -> Vector:
        average: Vector = (np.diff(_from_zero(self.recall)) * self.precision).sum(axis=1)
        return average

    def precision_at(self, recall: float) -> Vector:
        """Precision at the highest threshold that finds this share of the churners."""
        first = np.argmax(self.recall >= recall, axis=1)
        return np.where(self.churners > 0, np.take_along_axis(self.precision, first[:, None], axis=1)[:, 0], np.nan)

    def share_found(self, share: float) -> Vector:
        """Share of the churners among this share of all customers, likeliest first; ties are shared out."""
        contacted = _from_zero((self.churned + self.retained) / self.total[:, None])
        found = _from_zero(self.recall)
        return np.array([np.interp(share, x, y) for x, y in zip(contacted, found, strict=True)])

    def calibration_error(self) -> Vector:
        """|predicted − observed| averaged over bins of equal weight."""
        churned, retained = np.diff(_from_zero(self.churned)), np.diff(_from_zero(self.retained))
        rate = np.repeat(np.nan_to_num(churned / (churned + retained)), self._sizes, axis=1)
        before = np.cumsum(self._weights, axis=1) - self._weights / 2
        bins = (
            np.nan_to_num(before / self.total[:, None] * CALIBRATION_BINS)
            .astype(np.int64)
            .clip(max=CALIBRATION_BINS - 1)
        )
        row = np.arange(len(bins))[:, None] * CALIBRATION_BINS
        gap = self._weights * (self._sorted - rate)
        by_bin = np.bincount((row + bins).ravel(), gap.ravel(), len(bins) * CALIBRATION_BINS)
        error: Vector = np.abs(by_bin.reshape(len(bins), -1)).sum(axis=1) / self.total
        return error

    def expected_maximum_profit(self, campaign: Campaign) -> Vector:
        """Profit a customer, at the best threshold for each acceptance rate, averaged over acceptance rates.

        The average runs over ``_PROFIT_NODES`` equally likely values of the beta distribution.
        """
        from scipy import stats

        worth, offer = campaign.lifetime_value, campaign.offer / campaign.lifetime_value
        contact = campaign.contact / campaign.lifetime_value
        middles = (np.arange(_PROFIT_NODES) + 0.5) / _PROFIT_NODES
        accepted = stats.beta.ppf(middles, campaign.alpha, campaign.beta)
        churned, retained = (_from_zero(one / self.total[:, None]) for one in (self.churned, self.retained))
        lost = worth * (offer + contact) * retained
        best = [(worth * (rate * (1 - offer) - contact) * churned - lost).max(axis=1) for rate in accepted]
        profit: Vector = np.mean(best, axis=0)
        return profit


def _at_threshold(of: Judged, weights: Matrix, flagged: NDArray[np.bool_]) -> dict[str, Vector]:
    churned = of.churned > 0
    hits, flags, churners = (weights @ one.astype(float) for one in (churned & flagged, flagged, churned))
    precision, recall = hits / flags, hits / churners
    early = churned & flagged & ~np.isnan(of.lead_days)
    return {
        "accuracy": _average(weights, (churned == flagged).astype(float)),
        "precision": precision,
        "recall": recall,
        "f1": 2 * hits / (flags + churners),
        "lead_days": weights @ np.where(early, of.lead_days, 0.0) / (weights @ early.astype(float)),
    }


def _average(weights: Matrix, values: Vector) -> Vector:
    average: Vector = weights @ values / weights.sum(axis=1)
    return average


def _from_zero(rising: Matrix) -> Matrix:
    return np.hstack([np.zeros((len(rising), 1)), rising])
