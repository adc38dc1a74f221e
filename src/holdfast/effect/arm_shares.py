"""How the arms of a campaign share the treated, by what each has brought: Thompson sampling, a segment at a time.

In Thompson sampling an arm is given as often as it is probably the best. That probability is computed, not sampled, and
each customer's arm is drawn by hash with it as the odds: so every propensity is exact, and the shares follow from the
log alone. Source: O. Chapelle, L. Li, "An empirical evaluation of Thompson sampling", NIPS 2011; they find as well that
outcomes that come late, in batches, do it little harm.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from holdfast.campaign.definition import CONTROL
from holdfast.model.matrix import Vector

LEAST_CUSTOMERS = 30
"""A run says nothing of a segment in which an arm, or the control, had fewer.

A rule of thumb, not a figure that was measured: the standard error that weighs a run is itself estimated, and of 30
values it is off by about an eighth (1 / √(2 · 29)) where they are normal, by more where, as with money, they are not.
"""

SHARES = ("segment", "arm", "share", "effect", "error", "customers")

_GRID = 2_001
_REACH = 6.0


def learned(runs: Sequence[pd.DataFrame], arms: Sequence[str], floor: float) -> pd.DataFrame:
    """Each segment's shares, with the columns ``SHARES``, from matured runs alone.

    A run has customer_id, segment, arm, propensity and net_value: what came of the customer in money, after the arm's
    cost. Its arms are held against its own control, weighted by the inverse of the propensity, and runs are pooled by
    the inverse of the variance. ``effect`` is per customer, ``error`` its standard error. A segment of which some arm
    has no evidence is left out. No share is below ``floor``.
    """
    found = []
    for segment in sorted({str(one) for run in runs for one in run["segment"]}):
        own = [run[run["segment"] == segment] for run in runs]
        effects = [_pooled(own, arm) for arm in arms]
        if any(effect is None for effect in effects):
            continue
        told = np.array(effects, dtype=float)
        shares = floor + (1 - floor * len(arms)) * best_chances(told[:, 0], told[:, 1])
        for arm, share, (effect, error, customers) in zip(arms, shares, told, strict=True):
            found.append((segment, arm, float(share), effect, error, int(customers)))
    return pd.DataFrame(found, columns=list(SHARES))


def best_chances(effects: Vector, errors: Vector) -> Vector:
    """How probably each arm is the best, if its effect is normal about its estimate with that standard error.

    By the trapezoidal rule; without any error the greatest is the best, and equals share.
    """
    from scipy.stats import norm

    errors = np.maximum(errors, 1e-9 * max(1.0, float(np.abs(effects).max())))
    chances = np.empty(len(effects))
    for place, (effect, error) in enumerate(zip(effects, errors, strict=True)):
        at = effect + error * np.linspace(-_REACH, _REACH, _GRID)
        others = np.delete(np.arange(len(effects)), place)
        below = norm.cdf((at[:, None] - effects[others]) / errors[others]).prod(axis=1)
        chances[place] = np.trapezoid(norm.pdf(at, effect, error) * below, at)
    total: Vector = chances / chances.sum()
    return total


def _pooled(runs: Sequence[pd.DataFrame], arm: str) -> tuple[float, float, int] | None:
    """The arm's effect on the net value of a customer, its standard error, and how many were given it."""
    effects, variances, customers = [], [], 0
    for run in runs:
        given, control = run[run["arm"] == arm], run[run["arm"] == CONTROL]
        if min(len(given), len(control)) < LEAST_CUSTOMERS:
            continue
        (mean, variance), (mean_control, variance_control) = _mean(given), _mean(control)
        effects.append(mean - mean_control)
        variances.append(variance + variance_control)
        customers += len(given)
    if not effects or not all(variance > 0 for variance in variances):
        return None
    weights = 1 / np.array(variances)
    return float(weights @ np.array(effects) / weights.sum()), float(weights.sum() ** -0.5), customers


def _mean(rows: pd.DataFrame) -> tuple[float, float]:
    """The mean net value of all customers, had they been in these rows' arm, and its variance (Hájek's estimator)."""
    weights, values = 1 / rows["propensity"].to_numpy(float), rows["net_value"].to_numpy(float)
    mean = float(weights @ values / weights.sum())
    return mean, float((weights**2) @ (values - mean) ** 2 / weights.sum() ** 2)
