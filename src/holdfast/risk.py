"""From probability to risk tier, by the shop's rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum

from holdfast.rules import CapacityTiers, ThresholdTiers


class Tier(StrEnum):
    """How urgent a customer is."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


def tiers(probabilities: Mapping[str, float], rule: ThresholdTiers | CapacityTiers) -> dict[str, Tier]:
    """The tier of each customer (id → probability of churn).

    By threshold a customer's tier depends on that customer alone; by capacity on the rank among all given, where
    equal probabilities rank by customer id, so that the same scores always give the same tiers.
    """
    if isinstance(rule, ThresholdTiers):
        return {customer: _by_threshold(p, rule) for customer, p in probabilities.items()}
    ranked = sorted(probabilities, key=lambda customer: (-probabilities[customer], customer))
    return _by_rank(ranked, rule)


def _by_threshold(probability: float, rule: ThresholdTiers) -> Tier:
    if probability >= rule.high:
        return Tier.HIGH
    return Tier.MEDIUM if probability >= rule.medium else Tier.LOW


def _by_rank(ranked: Sequence[str], rule: CapacityTiers) -> dict[str, Tier]:
    medium_until = rule.high + rule.medium
    return {
        customer: Tier.HIGH if rank < rule.high else Tier.MEDIUM if rank < medium_until else Tier.LOW
        for rank, customer in enumerate(ranked)
    }
