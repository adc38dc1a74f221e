"""How good predictions were on cutoffs later than the training: the metrics, per test cutoff and on average."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from holdfast.errors import ModelError

CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Metrics:
    """Figures for the customers of one test cutoff, or their plain mean over several.

    ``brier``, ``log_loss`` and ``calibration_error`` are better when smaller. ``lift_top_tenth`` is the churn rate of
    the tenth with the highest probability, divided by the base rate.
    """

    rows: float
    base_rate: float
    auc: float
    average_precision: float
    brier: float
    log_loss: float
    calibration_error: float
    lift_top_tenth: float

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


@dataclass(frozen=True)
class Evaluation:
    """One candidate's metrics on each test cutoff."""

    by_cutoff: dict[date, Metrics]

    @property
    def cutoffs(self) -> tuple[date, ...]:
        return tuple(sorted(self.by_cutoff))

    @property
    def mean(self) -> Metrics:
        """Each metric averaged over the cutoffs, every cutoff with the same weight."""
        return _mean(self.by_cutoff.values())

    def on(self, cutoffs: Iterable[date]) -> Evaluation:
        """The same evaluation restricted to these cutoffs; each must be among its own."""
        return Evaluation({cutoff: self.by_cutoff[cutoff] for cutoff in cutoffs})


def evaluate(predictions: pd.DataFrame) -> Evaluation:
    """Evaluate out-of-time predictions: columns ``cutoff`` (ISO date), ``churned`` (0 or 1), ``probability``."""
    by_cutoff = {}
    for cutoff, rows in predictions.groupby("cutoff", sort=True):
        churned, probability = rows["churned"].to_numpy(float), rows["probability"].to_numpy(float)
        by_cutoff[date.fromisoformat(str(cutoff))] = measure(churned, probability, f"cutoff {cutoff}")
    return Evaluation(by_cutoff)


def measure(churned: NDArray[np.float64], probability: NDArray[np.float64], where: str) -> Metrics:
    """The metrics of one set of customers; ``where`` names it in an error.

    Raises ModelError when the customers are all churned or all retained: no metric of ranking exists then.
    """
    from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

    base_rate = float(churned.mean()) if len(churned) else 0.0
    if base_rate in (0.0, 1.0):
        raise ModelError(
            f"{where}: {int(churned.sum())} of {len(churned)} customers churned, so predictions cannot be judged. "
            "Test on cutoffs with both outcomes: more customers, or another label.horizon_days."
        )
    return Metrics(
        rows=float(len(churned)),
        base_rate=base_rate,
        auc=float(roc_auc_score(churned, probability)),
        average_precision=float(average_precision_score(churned, probability)),
        brier=float(brier_score_loss(churned, probability)),
        log_loss=float(log_loss(churned, probability)),
        calibration_error=calibration_error(churned, probability),
        lift_top_tenth=lift(churned, probability, share=0.1),
    )


@dataclass(frozen=True)
class CalibrationBins:
    """Customers in bins of equal count, by rising probability: mean predicted and observed churn rate, and count."""

    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    count: NDArray[np.float64]


def calibration_bins(
    churned: NDArray[np.float64], probability: NDArray[np.float64], bins: int = CALIBRATION_BINS
) -> CalibrationBins:
    """Bins of equal count (fewer when there are fewer customers than ``bins``)."""
    order = np.argsort(probability, kind="stable")
    observed = _rate_among_equals(churned, probability)[order]
    parts = [part for part in np.array_split(np.arange(len(order)), bins) if len(part)]
    return CalibrationBins(
        predicted=np.array([probability[order][part].mean() for part in parts]),
        observed=np.array([observed[part].mean() for part in parts]),
        count=np.array([len(part) for part in parts], dtype=float),
    )


def calibration_error(churned: NDArray[np.float64], probability: NDArray[np.float64]) -> float:
    """Expected calibration error: |predicted − observed| averaged over bins of equal count, weighted by count."""
    bins = calibration_bins(churned, probability)
    return float(np.average(np.abs(bins.predicted - bins.observed), weights=bins.count))


def lift(churned: NDArray[np.float64], probability: NDArray[np.float64], share: float) -> float:
    """Churn rate of the ``share`` of customers with the highest probability, divided by the base rate."""
    top = int(np.ceil(len(churned) * share))
    return float(gain(churned, probability)[top] * len(churned) / top)


def gain(churned: NDArray[np.float64], probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of all churners among the 0, 1, …, n customers with the highest probability."""
    found = _rate_among_equals(churned, probability)[np.argsort(-probability, kind="stable")].cumsum()
    return np.append(0, found / churned.sum())


def _rate_among_equals(churned: NDArray[np.float64], probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each customer's outcome, replaced by the churn rate of all customers with the same probability.

    A cut through a group of ties then takes its share of the group, whatever the order of the rows.
    """
    _, group = np.unique(probability, return_inverse=True)
    rate: NDArray[np.float64] = np.bincount(group, weights=churned) / np.bincount(group)
    return rate[group]


def _mean(metrics: Iterable[Metrics]) -> Metrics:
    rows = list(metrics)
    means: dict[str, Any] = {
        field.name: float(np.mean([getattr(row, field.name) for row in rows])) for field in fields(Metrics)
    }
    return Metrics(**means)
