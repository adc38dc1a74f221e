"""How good predictions were on cutoffs later than the training: the metrics, per test cutoff and on average."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from holdfast.errors import ModelError
from holdfast.model import metrics
from holdfast.model.matrix import Vector
from holdfast.model.metrics import Judged
from holdfast.model.resampling import Interval, Resamples

FLAGGED_FROM = 0.5
"""The probability from which on a customer counts as flagged, unless the rules say otherwise."""

ORDER_GROUPS = ((1, 1), (2, 2), (3, 5), (6, 10), (11, None))
"""Numbers of past orders that are reported apart, first and last included."""

_MISSING = float("nan")
# Drawing customers again adds scatter to every bin, so that all resamples lie above the figure. Beside it stands what
# chance alone would give.
_WITHOUT_INTERVAL = frozenset({"calibration_error"})


@dataclass(frozen=True)
class Metrics:
    """Figures for the customers of one test cutoff, or their plain mean over several.

    ``brier``, ``log_loss`` and ``calibration_error`` are better when smaller; ``calibration_error_by_chance`` is what
    a perfect model would have at this size. ``majority_accuracy`` is that of calling everyone what most are.
    ``lift_top_tenth`` is the churn rate of the tenth with the highest probability, divided by the base rate. Accuracy,
    precision, recall and F1 are those at the threshold. ``expected_maximum_profit`` (``metrics.Campaign``) is in its
    currency, a customer. ``lead_days`` is how long before the break of their own rhythm (a silence longer than any
    before) the churners found were flagged, on average; negative when later. NaN: the figure does not exist.
    """

    rows: float
    base_rate: float
    auc: float
    average_precision: float
    brier: float
    log_loss: float
    calibration_error: float
    lift_top_tenth: float
    majority_accuracy: float = _MISSING
    calibration_error_by_chance: float = _MISSING
    precision_at_recall_90: float = _MISSING
    accuracy: float = _MISSING
    precision: float = _MISSING
    recall: float = _MISSING
    f1: float = _MISSING
    expected_maximum_profit: float = _MISSING
    lead_days: float = _MISSING

    def as_dict(self) -> dict[str, float]:
        """The figures that exist."""
        return {name: value for name, value in asdict(self).items() if not np.isnan(value)}


Intervals = Mapping[str, Interval]
"""By the names of Metrics."""


@dataclass(frozen=True)
class Evaluation:
    """One candidate's metrics on each test cutoff, with intervals of the cutoffs' figures and of their means."""

    by_cutoff: dict[date, Metrics]
    intervals: Mapping[date, Intervals] = field(default_factory=dict)
    mean_intervals: Intervals = field(default_factory=dict)

    @property
    def cutoffs(self) -> tuple[date, ...]:
        return tuple(sorted(self.by_cutoff))

    @property
    def mean(self) -> Metrics:
        """Each metric averaged over the cutoffs, every cutoff with the same weight."""
        return _mean(self.by_cutoff.values())

    def on(self, cutoffs: Iterable[date]) -> Evaluation:
        """The same figures restricted to these cutoffs; each must be among its own."""
        return Evaluation({cutoff: self.by_cutoff[cutoff] for cutoff in cutoffs})


@dataclass(frozen=True)
class OrderGroup:
    """Customers with ``first`` to ``last`` (None: any more) past orders, over all test cutoffs together.

    ``auc`` is None, and so is its interval, where all of them did the same.
    """

    first: int
    last: int | None
    rows: int
    base_rate: float
    auc: float | None
    interval: Interval | None

    @property
    def label(self) -> str:
        if self.last == self.first:
            return f"{self.first}"
        return f"{self.first}–{self.last}" if self.last else f"{self.first} or more"


def evaluate(
    predictions: pd.DataFrame, threshold: float = FLAGGED_FROM, resamples: int = 0, seed: int = 0
) -> Evaluation:
    """Evaluate out-of-time predictions (``holdfast.model.backtest``).

    Intervals are made from so many ``resamples`` of the customers; with none, there are no intervals.
    """
    frames = {date.fromisoformat(str(cutoff)): rows for cutoff, rows in predictions.groupby("cutoff", sort=True)}
    by_cutoff = {cutoff: measure(rows, threshold, f"cutoff {cutoff}") for cutoff, rows in frames.items()}
    if not resamples:
        return Evaluation(by_cutoff)
    drawn = Resamples.of(predictions["customer_id"], resamples, seed)
    spread = {cutoff: _spread(drawn, rows, threshold) for cutoff, rows in frames.items()}
    names = next(iter(spread.values()))
    means = {name: np.mean([one[name] for one in spread.values()], axis=0) for name in names}
    return Evaluation(by_cutoff, {cutoff: _intervals(one) for cutoff, one in spread.items()}, _intervals(means))


def measure(rows: pd.DataFrame, threshold: float, where: str) -> Metrics:
    """The metrics of one set of customers (``churned``, ``probability``); ``where`` names it in an error.

    Raises ModelError when the customers are all churned or all retained: no metric of ranking exists then.
    """
    judged = judge(rows)
    if not 0 < judged.churned.sum() < len(rows):
        raise ModelError(
            f"{where}: {int(judged.churned.sum())} of {len(rows)} customers churned, so predictions cannot be judged. "
            "Test on cutoffs with both outcomes: more customers, or another label.horizon_days."
        )
    found = metrics.figures(judged, np.ones((1, len(rows))), threshold)
    return Metrics(
        rows=float(len(rows)),
        calibration_error_by_chance=metrics.calibration_error_by_chance(judged.probability, seed=0),
        **{name: float(values[0]) for name, values in found.items()},
    )


def judge(rows: pd.DataFrame) -> Judged:
    """Predictions as arrays. How long before its break a rhythm was is unknown where the rows do not tell it."""
    silence, longest = (
        rows[name].to_numpy(float) if name in rows else np.full(len(rows), np.nan)
        for name in ("days_since_order", "gap_longest_days")
    )
    return Judged(rows["churned"].to_numpy(float), rows["probability"].to_numpy(float), longest - silence)


def by_orders(predictions: pd.DataFrame, resamples: int, seed: int) -> list[OrderGroup]:
    """The predictions by number of past orders (ORDER_GROUPS); a group without customers is left out."""
    drawn = Resamples.of(predictions["customer_id"], resamples, seed)
    orders = predictions["order_count"]
    groups = []
    for first, last in ORDER_GROUPS:
        rows = predictions[orders.between(first, np.inf if last is None else last)]
        if not len(rows):
            continue
        base_rate = float(rows["churned"].mean())
        auc: float | None = None
        interval: Interval | None = None
        if 0 < base_rate < 1:
            auc = measure(rows, FLAGGED_FROM, f"customers with {first} orders").auc
            interval = Interval.of(_spread(drawn, rows, FLAGGED_FROM)["auc"]) if resamples else None
        groups.append(OrderGroup(first, last, len(rows), base_rate, auc, interval))
    return groups


@dataclass(frozen=True)
class CalibrationBins:
    """Customers in bins of equal count, by rising probability: mean predicted and observed churn rate, and count."""

    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    count: NDArray[np.float64]


def calibration_bins(churned: Vector, probability: Vector, bins: int = metrics.CALIBRATION_BINS) -> CalibrationBins:
    """Bins of equal count (fewer when there are fewer customers than ``bins``)."""
    order = np.argsort(probability, kind="stable")
    observed = _rate_among_equals(churned, probability)[order]
    parts = [part for part in np.array_split(np.arange(len(order)), bins) if len(part)]
    return CalibrationBins(
        predicted=np.array([probability[order][part].mean() for part in parts]),
        observed=np.array([observed[part].mean() for part in parts]),
        count=np.array([len(part) for part in parts], dtype=float),
    )


def gain(churned: Vector, probability: Vector) -> Vector:
    """Share of all churners among the 0, 1, …, n customers with the highest probability."""
    found = _rate_among_equals(churned, probability)[np.argsort(-probability, kind="stable")].cumsum()
    return np.append(0, found / churned.sum())


def _spread(drawn: Resamples, rows: pd.DataFrame, threshold: float) -> dict[str, Vector]:
    judged = judge(rows)
    return drawn.spread(rows["customer_id"], lambda weights: metrics.figures(judged, weights, threshold))


def _intervals(spread: Mapping[str, Vector]) -> dict[str, Interval]:
    found = {name: Interval.of(values) for name, values in spread.items() if name not in _WITHOUT_INTERVAL}
    return {name: interval for name, interval in found.items() if interval is not None}


def _rate_among_equals(churned: Vector, probability: Vector) -> Vector:
    """Each customer's outcome, replaced by the churn rate of all customers with the same probability.

    A cut through a group of ties then takes its share of the group, whatever the order of the rows.
    """
    _, group = np.unique(probability, return_inverse=True)
    rate: NDArray[np.float64] = np.bincount(group, weights=churned) / np.bincount(group)
    return rate[group]


def _mean(of: Iterable[Metrics]) -> Metrics:
    rows = list(of)
    means: dict[str, Any] = {
        one.name: float(np.mean([getattr(row, one.name) for row in rows])) for one in fields(Metrics)
    }
    return Metrics(**means)
