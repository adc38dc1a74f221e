"""What a model goes by as a whole: how much each feature and family matters, and which way the strongest push."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from holdfast.features.spec import Family
from holdfast.model.fitted import FittedModel
from holdfast.model.matrix import Vector

_ROWS = 500
_POINTS = 15
_CURVES = 6


@dataclass(frozen=True)
class Dependence:
    """A feature's partial dependence: the mean probability of churn when everyone has each of these values."""

    values: Vector
    probability: Vector


@dataclass(frozen=True)
class Explanation:
    """Mean absolute contributions in log-odds by feature and by family, the largest first, and how the strongest push.

    A family's contribution is the sum of its features', so that what cancels within it does not count.
    """

    by_feature: Mapping[str, float]
    by_family: Mapping[str, float]
    dependence: Mapping[str, Dependence]


def explain(model: FittedModel, rows: pd.DataFrame, families: Sequence[Family], seed: int) -> Explanation:
    """Explain the model on these customers, or on ``_ROWS`` of them drawn by ``seed`` where there are more."""
    some = rows.sample(min(_ROWS, len(rows)), random_state=seed)
    effect = pd.DataFrame(model.contributions(some), columns=list(model.features))
    by_feature = _largest_first(effect.abs().mean())
    members = {family.name: [one.name for one in family.features if one.name in effect] for family in families}
    by_family = {name: float(effect[own].sum(axis=1).abs().mean()) for name, own in members.items() if own}
    strongest = [name for name, size in by_feature.items() if size > 0][:_CURVES]
    return Explanation(
        by_feature,
        _largest_first(pd.Series(by_family, dtype=float)),
        {name: partial_dependence(model, some, name) for name in strongest},
    )


def partial_dependence(model: FittedModel, rows: pd.DataFrame, feature: str) -> Dependence:
    """Over at most ``_POINTS`` of the feature's quantiles between 2 % and 98 %, nulls left out.

    Source: J. Friedman, "Greedy function approximation: a gradient boosting machine", Annals of Statistics 29 (2001).
    """
    known = rows[feature].dropna()
    values = np.unique(known.quantile(np.linspace(0.02, 0.98, _POINTS)).to_numpy(float)) if len(known) else np.empty(0)
    probability = [float(model.probabilities(rows.assign(**{feature: value})).mean()) for value in values.tolist()]
    return Dependence(values, np.array(probability))


def _largest_first(sizes: pd.Series) -> dict[str, float]:
    return {str(name): float(size) for name, size in sizes.sort_values(ascending=False, kind="stable").items()}
