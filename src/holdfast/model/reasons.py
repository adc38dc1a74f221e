"""Why a customer's score is high, in words with the customer's own numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Formatter

import numpy as np

from holdfast.features.spec import Family, Feature


@dataclass(frozen=True)
class Reason:
    """One driver of a score. ``contribution`` is what the whole family adds to the log-odds."""

    family: str
    feature: str
    text: str
    contribution: float


def top_reasons(
    contributions: Mapping[str, float], values: Mapping[str, float], families: Sequence[Family], count: int
) -> list[Reason]:
    """The ``count`` families that push one customer's score up most, the strongest first; fewer if fewer push up.

    ``contributions`` and ``values`` are the customer's own, by feature name. A family is told by the feature that
    contributes most within it. A feature that the model does not know contributes nothing.
    """
    reasons = [_reason(family, contributions, values) for family in families]
    pushing = [reason for reason in reasons if reason.contribution > 0]
    return sorted(pushing, key=lambda reason: (-reason.contribution, reason.family))[:count]


def _reason(family: Family, contributions: Mapping[str, float], values: Mapping[str, float]) -> Reason:
    strongest = max(family.features, key=lambda feature: contributions.get(feature.name, 0.0))
    return Reason(
        family=family.name,
        feature=strongest.name,
        text=_tell(strongest, values),
        contribution=float(sum(contributions.get(feature.name, 0.0) for feature in family.features)),
    )


def _tell(feature: Feature, values: Mapping[str, float]) -> str:
    """The feature's reason with the customer's values; what a null means where the reason would name one."""
    named = {name for _, name, _, _ in Formatter().parse(feature.reason) if name}
    if not any(np.isnan(values[name]) for name in named):
        return feature.reason.format_map(values)
    if np.isnan(values[feature.name]):
        return f"{feature.meaning}: {feature.null}"
    return f"{feature.meaning}: {values[feature.name]:.4g} {feature.unit}"
