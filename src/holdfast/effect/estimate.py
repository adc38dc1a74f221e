"""Treated minus control, with an interval: Welch's comparison, the delta method and CUPED are tea-tasting's.

Ours is what it lacks. Where chance gave arms with unequal probabilities, each customer stands for as many as the
inverse of their own (Hájek's estimator). And several covariates are put into one, their best linear forecast of the
outcome, since tea-tasting adjusts by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

if TYPE_CHECKING:
    from tea_tasting.aggr import Aggregates

Numbers: TypeAlias = npt.NDArray[np.float64]

CONFIDENCE = 0.95
_LEAST_A_COVARIATE = 20  # customers of the smaller group: with fewer, a forecast fits chance


@dataclass(frozen=True)
class Effect:
    """The mean of an outcome per assigned customer, with and without treatment, and its interval ``[low, high]``.

    ``relative`` is the difference as a share of the control's mean, None where a mean is not positive. ``adjusted``
    says that covariates took part; ``variance_cut`` is the share of the difference's variance that they took away.
    """

    outcome: str
    control: float
    treated: float
    difference: float
    low: float
    high: float
    relative: float | None
    relative_low: float | None
    relative_high: float | None
    p_value: float
    confidence: float
    adjusted: bool = False
    variance_cut: float = 0.0


def compare(
    control: pd.DataFrame,
    treated: pd.DataFrame,
    outcome: str,
    covariates: Sequence[str] = (),
    confidence: float = CONFIDENCE,
) -> Effect | None:
    """The effect on ``outcome``, a column of both groups' rows beside ``propensity`` and ``covariates``.

    None when it cannot be told: fewer than two customers in a group, or no two outcomes that differ.

    Sources: A. Deng, Y. Xu, R. Kohavi, T. Walker, "Improving the sensitivity of online controlled experiments by
    utilizing pre-experiment data", WSDM 2013 (CUPED); J. Hájek, discussion of D. Basu's essay, 1971, with the variance
    by linearisation as in C.-E. Särndal, B. Swensson, J. Wretman, "Model assisted survey sampling", 1992, 5.7.
    """
    groups = [control[outcome].to_numpy(float), treated[outcome].to_numpy(float)]
    if min(map(len, groups)) < 2 or all(np.ptp(values) == 0 for values in groups):
        return None
    weights = [1 / one["propensity"].to_numpy(float) for one in (control, treated)]
    plain = _analysed(groups, weights, None, confidence)
    forecast = _forecast([control, treated], groups, covariates)
    if forecast is None:
        return _effect(outcome, plain, confidence)
    adjusted = _analysed(groups, weights, forecast, confidence)
    cut = 1 - (_width(adjusted) / _width(plain)) ** 2
    return _effect(outcome, adjusted, confidence, adjusted=True, variance_cut=float(cut))


def ratio(control: pd.DataFrame, treated: pd.DataFrame, numerator: str, denominator: str) -> Effect | None:
    """The effect on a ratio of means, such as revenue per order, by the delta method.

    What is compared are the orders that came, not customers as they were drawn: it describes, and proves nothing. None
    when it cannot be told.
    """
    from tea_tasting import RatioOfMeans

    if min(one[denominator].sum() for one in (control, treated)) == 0 or min(len(control), len(treated)) < 2:
        return None
    stats = []
    alike = True
    for one in (control, treated):
        weights = 1 / one["propensity"].to_numpy(float)
        columns = {name: hajek(one[name].to_numpy(float), weights) for name in (numerator, denominator)}
        stats.append(_aggregates(columns))
        share = columns[numerator].mean() / columns[denominator].mean()
        alike &= np.allclose(columns[numerator], share * columns[denominator])
    if alike:  # every order was worth the same: there is no variance to tell chance by
        return None
    found = RatioOfMeans(numerator, denominator, confidence_level=CONFIDENCE).analyze_aggregates(*stats)
    return _effect(f"{numerator}_by_{denominator}", found, CONFIDENCE)


def hajek(values: Numbers, weights: Numbers) -> Numbers:
    """Values whose plain mean is the weighted mean, and whose variance is that of its linearisation."""
    mean = np.average(values, weights=weights)
    return np.asarray(mean + weights / weights.mean() * (values - mean))


def _analysed(
    groups: Sequence[Numbers], weights: Sequence[Numbers], forecast: Sequence[Numbers] | None, confidence: float
) -> tuple[float, ...]:
    from tea_tasting import Mean

    columns = [{"value": hajek(values, weight)} for values, weight in zip(groups, weights, strict=True)]
    if forecast is not None:
        for one, values, weight in zip(columns, forecast, weights, strict=True):
            one["forecast"] = hajek(values, weight)
    metric = Mean("value", None if forecast is None else "forecast", confidence_level=confidence)
    found: tuple[float, ...] = metric.analyze_aggregates(*map(_aggregates, columns))
    return found


def _aggregates(columns: dict[str, Numbers]) -> Aggregates:
    from tea_tasting.aggr import Aggregates

    names = list(columns)
    covariances = np.atleast_2d(np.cov(np.vstack(list(columns.values()))))
    return Aggregates(
        count_=len(columns[names[0]]),
        mean_={name: float(values.mean()) for name, values in columns.items()},
        var_={name: float(covariances[i, i]) for i, name in enumerate(names)},
        cov_={(a, b): float(covariances[i, j]) for i, a in enumerate(names) for j, b in enumerate(names) if i < j},
    )


def _forecast(
    rows: Sequence[pd.DataFrame], groups: Sequence[Numbers], covariates: Sequence[str]
) -> list[Numbers] | None:
    """The outcome's linear forecast from the covariates known of everybody, fitted within the groups."""
    tables = [one[[name for name in covariates if name in one]].to_numpy(float) for one in rows]
    known = ~np.isnan(np.vstack(tables)).any(axis=0) if tables[0].shape[1] else np.zeros(0, dtype=bool)
    tables = [one[:, known] for one in tables]
    within = np.vstack([one - one.mean(axis=0) for one in tables])
    varies = within.std(axis=0) > 0
    if not varies.any() or min(map(len, groups)) < _LEAST_A_COVARIATE * int(varies.sum()):
        return None
    spread = within[:, varies].std(axis=0)
    deviations = np.concatenate([values - values.mean() for values in groups])
    slopes = np.linalg.lstsq(within[:, varies] / spread, deviations, rcond=None)[0]
    return [one[:, varies] / spread @ slopes for one in tables]


def _width(found: tuple[float, ...]) -> float:
    return float(found[4] - found[3])


def _effect(
    outcome: str, found: tuple[float, ...], confidence: float, *, adjusted: bool = False, variance_cut: float = 0.0
) -> Effect:
    control, treated, difference, low, high, relative, relative_low, relative_high, p_value, _ = map(float, found)
    positive = control > 0 and treated > 0
    return Effect(
        outcome,
        control,
        treated,
        difference,
        low,
        high,
        relative if positive else None,
        relative_low if positive else None,
        relative_high if positive else None,
        p_value,
        confidence,
        adjusted,
        variance_cut,
    )
