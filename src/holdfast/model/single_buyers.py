"""Customers with one order so far: whether the model can tell them apart at all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from holdfast.model.evaluation import by_orders

ORDERS = "order_count"
NO_SKILL = 0.5
LEAST_ROWS = 50
"""Fewer rows than these show no skill: of so few, all may be ranked right by luck."""


@dataclass(frozen=True)
class Decision:
    """Whether single buyers get their cohort's rate instead of the model's probability, and why in one sentence."""

    use_cohort: bool
    reason: str


def decide(predictions: pd.DataFrame, resamples: int, seed: int) -> Decision:
    """The model keeps the single buyers only if its AUC on them is above NO_SKILL with its whole interval.

    That takes at least LEAST_ROWS of them. ``predictions`` are out of time (``holdfast.model.backtest``); without any,
    or without single buyers among them, there is nothing to decide and the model keeps them.
    """
    groups = by_orders(predictions, resamples, seed) if len(predictions) else []
    single = next((group for group in groups if group.last == 1), None)
    if single is None:
        return Decision(False, "No single buyers were predicted out of time: the model scores them like all others.")
    told = f"of {single.rows:,} single buyers out of time"
    if single.rows < LEAST_ROWS or single.auc is None or single.interval is None:
        return Decision(True, f"No skill can be shown on {single.rows:,} single buyers: they get their cohort's rate.")
    interval = f"{single.auc:.3f} (95 % from {single.interval.low:.3f} to {single.interval.high:.3f})"
    if single.interval.low > NO_SKILL:
        return Decision(False, f"The model ranks single buyers with an AUC of {interval}, {told}: it keeps them.")
    return Decision(True, f"The AUC is {interval}, {told}, no better than chance: they get their cohort's rate.")


def cohort_rate(rows: pd.DataFrame) -> float | None:
    """The churn rate of the single buyers among training rows; None if there are none."""
    single = rows.loc[rows[ORDERS] == 1, "churned"]
    return float(single.mean()) if len(single) else None


def are_single(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Which rows are single buyers."""
    single: NDArray[np.bool_] = rows[ORDERS].to_numpy(float) == 1
    return single
