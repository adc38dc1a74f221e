"""A campaign's measured effect beside the true one, which only a simulated shop has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
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


def true_effect(truth: pd.DataFrame, chances: pd.DataFrame, arms: Sequence[str], outcome: str) -> float:
    """What the arms change, on average over everybody whom chance could have given one of them.

    ``truth`` has customer_id, ``OUTCOME_none`` and ``OUTCOME_ARM``; ``chances`` customer_id and the probability of each
    arm. A customer's own odds among ``arms`` weigh them, so that it is the effect of what was planned for whom.
    """
    open_to = chances[chances[list(arms)].sum(axis=1) > 0]
    shares = open_to[list(arms)].div(open_to[list(arms)].sum(axis=1), axis=0)
    known = truth.set_index("customer_id").loc[open_to["customer_id"]]
    changes = np.column_stack([known[f"{outcome}_{arm}"] - known[f"{outcome}_none"] for arm in arms])
    return float((shares.to_numpy(float) * changes).sum(axis=1).mean())
