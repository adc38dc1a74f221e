"""What a plan brings in truth, beside rivals that may treat as many of the same customers; needs a simulated shop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from holdfast.campaign.definition import CONTROL
from holdfast.effect.randomised import Randomised
from holdfast.effect.uplift_gate import at_random, by_merit, policy_of
from holdfast.model.matrix import Matrix, Vector

PLAN, RANDOM, TOP_RISK, VALUE_AT_RISK, ORACLE = "the plan", "random", "top risk", "value at risk", "oracle"


@dataclass(frozen=True)
class Treatable:
    """Everybody whom a campaign could have treated, a row each, with a column an arm in the matrices.

    ``chances`` are the probabilities of the arms as planned, all zero for whoever was passed over. ``true`` is what
    each arm changes of the net margin, contacts paid, and ``expected`` the same on average over chances other than
    those that the customers met. ``probability`` is that of churn as scored, ``value`` the spend expected within the
    horizon.
    """

    arms: tuple[str, ...]
    chances: Matrix
    true: Matrix
    expected: Matrix
    probability: Vector
    value: Vector


@dataclass(frozen=True)
class Valued:
    """What a policy brings in truth beyond treating nobody (``net``, money), by treating so many customers.

    Both are means over the draw of arms and control.
    """

    campaign_id: str
    policy: str
    treated: float
    net: float


def valued(campaign_id: str, of: Treatable, control_share: float) -> tuple[Valued, ...]:
    """The plan as it was, and rivals that may choose as many customers, of whom ``control_share`` get nothing as well.

    All but the oracle give each arm alike. The oracle knows what to expect of every customer, but not what chance will
    do, and leaves alone whom it does not expect to gain by.
    """
    share = float((of.chances.sum(axis=1) > 0).mean())
    on = _everybody(of)
    rivals: Mapping[str, Matrix] = {
        RANDOM: at_random(on, share),
        TOP_RISK: by_merit(on, of.probability, share),
        VALUE_AT_RISK: by_merit(on, of.probability * of.value, share),
        ORACLE: policy_of(on, of.expected, share),
    }
    odds = {PLAN: of.chances} | {name: (1 - control_share) * one[:, 1:] for name, one in rivals.items()}
    return tuple(
        Valued(campaign_id, name, float(one.sum()), float((one * of.true).sum())) for name, one in odds.items()
    )


def _everybody(of: Treatable) -> Randomised:
    """The customers in the form that policies take: a unit of the outcome is worth one, and costs are paid already."""
    rows = pd.DataFrame({"customer_id": np.arange(len(of.value)), "arm": CONTROL, "net": 0.0})
    chances = {CONTROL: np.ones(len(rows)), **dict.fromkeys(of.arms, np.zeros(len(rows)))}
    return Randomised.of(rows, features=(), outcome="net", chances=chances, binary=False)
