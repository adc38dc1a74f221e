"""A campaign's measured effect beside the true one, which only a simulated shop has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Compared:
    """One figure of one arm: measured with its interval, and true.

    ``outcome`` is ``retained`` (a difference of shares) or ``net`` (money a customer assigned).
    """

    campaign_id: str
    arm: str
    outcome: str
    customers: int
    measured: float
    low: float
    high: float
    true: float

    @property
    def covered(self) -> bool:
        """Whether the interval holds the true effect."""
        return self.low <= self.true <= self.high


def true_effect(truth: pd.DataFrame, assigned: pd.DataFrame, shares: Mapping[str, float], outcome: str) -> float:
    """What the arms change, on average over everybody who took part in the experiment.

    ``truth`` has customer_id, ``OUTCOME_none`` and ``OUTCOME_ARM``; ``assigned`` customer_id. ``shares`` weighs the
    arms and adds up to 1.
    """
    known = truth.set_index("customer_id").loc[assigned["customer_id"]]
    changes = [share * (known[f"{outcome}_{arm}"] - known[f"{outcome}_none"]) for arm, share in shares.items()]
    return float(sum(change.mean() for change in changes))
