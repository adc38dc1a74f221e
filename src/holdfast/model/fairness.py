"""Does the model serve every group of customers alike? Rates, ranking and calibration by group, with intervals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from holdfast.model.matrix import Vector
from holdfast.risk import Tier, tiers
from holdfast.rules import Fairness as FairnessRule
from holdfast.rules import TierRule

EVERYONE = "everyone"
_CONFIDENCE = 0.95
_DEVIATIONS = 1.96

_LEAST_OF_EACH = 20
"""With fewer churners, or fewer others, the normal interval of an AUC is too narrow to judge by."""


@dataclass(frozen=True)
class Figure:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Group:
    """One group of customers, each counted once.

    ``churned`` is the share who churned; ``flagged`` the share whom the tiers call high or medium; ``found`` the share
    of the churners who were flagged, None without churners; ``calibration_gap`` the mean probability less the share
    who churned; ``auc`` how well the group is ranked within itself, None where all did the same.
    """

    column: str
    name: str
    customers: int
    churned: Figure
    flagged: Figure
    found: Figure | None
    calibration_gap: Figure
    auc: Figure | None


@dataclass(frozen=True)
class Fairness:
    """Everyone, each group, and in words which groups are surely beyond a limit."""

    everyone: Group
    groups: tuple[Group, ...]
    breaches: tuple[str, ...]

    @property
    def within_limit(self) -> bool:
        return not self.breaches


def assess(predictions: pd.DataFrame, customers: pd.DataFrame, rule: FairnessRule, tier_rule: TierRule) -> Fairness:
    """Judge out-of-time predictions (customer_id, cutoff, churned, probability) by the groups that the rule names.

    ``customers`` holds customer_id and the rule's columns; who has no value in a column is in none of its groups. Only
    the latest cutoff counts, so that each customer counts once: rows of one customer are alike, and would make every
    interval too narrow. A group breaches a limit when not only its figure but its whole interval lies beyond; a figure
    of fewer than ``rule.least_customers`` customers (churners, for the share of them found) is shown and not judged.
    Rates have Wilson's interval.
    """
    latest = predictions[predictions["cutoff"] == predictions["cutoff"].max()]
    rows = latest.merge(customers[["customer_id", *rule.columns]], on="customer_id", how="left", validate="1:1")
    given = tiers(rows.set_index("customer_id")["probability"], tier_rule)
    rows["flagged"] = (given != Tier.LOW.value).to_numpy()
    everyone = _group(EVERYONE, EVERYONE, rows)
    groups = tuple(
        _group(column, str(name), part) for column in rule.columns for name, part in rows.groupby(column, sort=True)
    )
    judged = [group for group in groups if group.customers >= rule.least_customers]
    return Fairness(everyone, groups, tuple(told for group in judged for told in _breaches(group, everyone, rule)))


def _group(column: str, name: str, rows: pd.DataFrame) -> Group:
    churned, flagged = rows["churned"].to_numpy(float), rows["flagged"].to_numpy(bool)
    probability = rows["probability"].to_numpy(float)
    rate = _rate(churned)
    predicted = float(probability.mean())
    return Group(
        column=column,
        name=name,
        customers=len(rows),
        churned=rate,
        flagged=_rate(flagged),
        found=_rate(flagged[churned == 1]) if churned.any() else None,
        calibration_gap=Figure(predicted - rate.value, predicted - rate.high, predicted - rate.low),
        auc=_auc(churned, probability),
    )


def _breaches(group: Group, everyone: Group, rule: FairnessRule) -> Iterator[str]:
    who, limits = f"{group.column} {group.name} ({group.customers} customers)", rule.limits
    gap = group.calibration_gap
    if max(gap.low, -gap.high) > limits.calibration_gap:
        yield (
            f"{who}: the mean probability differs from the share who churned by {gap.value:+.3f} "
            f"({gap.low:+.3f} to {gap.high:+.3f}); the limit is {limits.calibration_gap}"
        )
    churners = group.churned.value * group.customers
    found = group.found if churners >= rule.least_customers else None
    ranked = group.auc if min(churners, group.customers - churners) >= _LEAST_OF_EACH else None
    for what, own, all_, limit in (
        ("share of churners found", found, everyone.found, limits.found_gap),
        ("AUC", ranked, everyone.auc, limits.auc_gap),
    ):
        if own is not None and all_ is not None and own.high < all_.value - limit:
            yield (
                f"{who}: the {what} is {own.value:.3f} ({own.low:.3f} to {own.high:.3f}) against {all_.value:.3f} of "
                f"everyone; the limit is {limit} less"
            )


def _rate(happened: Vector | NDArray[np.bool_]) -> Figure:
    """The share of some customers to whom it happened, with Wilson's interval."""
    from scipy.stats import binomtest

    of = binomtest(int(happened.sum()), len(happened))
    interval = of.proportion_ci(_CONFIDENCE, method="wilson")
    return Figure(float(of.statistic), float(interval.low), float(interval.high))


def _auc(churned: Vector, probability: NDArray[np.float64]) -> Figure | None:
    """The area under the ROC curve with a normal interval; None where all did the same.

    Source of the standard error: J. Hanley, B. McNeil, "The meaning and use of the area under a receiver operating
    characteristic (ROC) curve", Radiology 143 (1982).
    """
    from sklearn.metrics import roc_auc_score

    found, others = int(churned.sum()), int(len(churned) - churned.sum())
    if not found or not others:
        return None
    area = float(roc_auc_score(churned, probability))
    both_churned, both_others = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + (found - 1) * (both_churned - area**2) + (others - 1) * (both_others - area**2)) / (
        found * others
    )
    reach = _DEVIATIONS * max(variance, 0.0) ** 0.5
    return Figure(area, max(area - reach, 0.0), min(area + reach, 1.0))
