"""From probability to risk tier, by the shop's rule, and the curve that shows what the rule chose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from holdfast.rules import CapacityTiers, ProfitTiers, ThresholdTiers, TierRule

Vector = NDArray[np.float64]


class Tier(StrEnum):
    """How urgent a customer is."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


def tiers(probabilities: pd.Series, rule: TierRule, previous: Mapping[str, str] | None = None) -> pd.Series:
    """The tier of each customer; ``probabilities`` of churn and the answer are indexed by customer id.

    ``previous`` holds the tiers of the scoring before, as far as there are any; the rule's margin is measured against
    them. By threshold and by profit a tier depends on that customer alone: it rises only from ``margin`` above an edge
    on, and falls only below ``margin`` under it, so that two changes of the same edge in opposite directions lie at
    least twice the margin apart. By capacity it depends on the rank among all given, where equal probabilities rank by
    customer id; who has a place gives way only to a customer likelier by more than the margin.
    """
    before = probabilities.index.map(dict(previous or {}))
    if isinstance(rule, CapacityTiers):
        at_least_medium, high = _by_rank(probabilities, rule, before)
    else:
        at_least_medium, high = _by_edge(probabilities, rule, before)
    named = np.select([high, at_least_medium], [Tier.HIGH.value, Tier.MEDIUM.value], Tier.LOW.value)
    return pd.Series(named, index=probabilities.index, dtype=object)


def _by_edge(
    probabilities: pd.Series, rule: ThresholdTiers | ProfitTiers, before: pd.Index
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Who is at least medium, and who is high, by edges in probability."""
    known = before.notna()
    above = []
    for edge, held in ((rule.medium, _AT_LEAST_MEDIUM), (rule.high, _HIGH)):
        raised = np.where(known & ~before.isin(held), edge + rule.margin, edge)
        needed = np.where(before.isin(held), edge - rule.margin, raised)
        above.append(probabilities.to_numpy(float) >= needed)
    return above[0], above[1]


def _by_rank(
    probabilities: pd.Series, rule: CapacityTiers, before: pd.Index
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Who has one of the ``high`` + ``medium`` places, and who one of the ``high`` ones, which are given first."""
    likelihood, customers = probabilities.to_numpy(float), probabilities.index.to_numpy(str)
    high = _placed(likelihood + np.where(before.isin(_HIGH), rule.margin, 0.0), customers, rule.high)
    staying = likelihood + np.where(before.isin(_AT_LEAST_MEDIUM), rule.margin, 0.0)
    return _placed(np.where(high, np.inf, staying), customers, rule.high + rule.medium), high


def _placed(standing: Vector, customers: NDArray[np.str_], places: int) -> NDArray[np.bool_]:
    """Who is among the ``places`` of highest standing; equals rank by customer id."""
    placed = np.zeros(len(standing), dtype=bool)
    placed[np.lexsort((customers, -standing))[:places]] = True
    return placed


_HIGH = (Tier.HIGH.value,)
_AT_LEAST_MEDIUM = (Tier.HIGH.value, Tier.MEDIUM.value)


@dataclass(frozen=True)
class TierCurve:
    """What the choice of edges trades off, and where the rule put them.

    ``gained`` holds, for the 0, 1, …, n likeliest customers, the number of ``meaning``; ``edges`` how many customers
    lie above each tier's edge, without any margin.
    """

    meaning: str
    gained: Vector
    edges: Mapping[Tier, int]


def curve(probabilities: Vector, rule: TierRule) -> TierCurve:
    """The curve behind the rule: by profit the expected profit of treating the likeliest, else the expected churners.

    The expected churners among some customers are the sum of their probabilities, which are calibrated.
    """
    likeliest = np.sort(probabilities)[::-1]
    if isinstance(rule, ProfitTiers):
        meaning, each = "expected profit", rule.expected_profit(likeliest)
    else:
        meaning, each = "expected churners", likeliest
    if isinstance(rule, CapacityTiers):
        edges = {Tier.HIGH: rule.high, Tier.MEDIUM: rule.high + rule.medium}
    else:
        edges = {Tier.HIGH: int((likeliest >= rule.high).sum()), Tier.MEDIUM: int((likeliest >= rule.medium).sum())}
    within = {tier: min(place, len(likeliest)) for tier, place in edges.items()}
    return TierCurve(meaning, np.append(0.0, each.cumsum()), within)
