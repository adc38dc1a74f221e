"""Looking every day without fooling oneself: a confidence sequence for the effect on retention.

An interval at 95 % is good for one look. Looked at every day, it excludes the truth on some day far more often than
once in twenty. A confidence sequence holds on all days together, at the price of being wider.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from holdfast.effect.estimate import hajek

_LEAST = 10
"""Customers of each group who have ordered, and who have not: with fewer, a mean is not near enough to normal."""


@dataclass(frozen=True)
class Look:
    """The share who have ordered by the end of day ``day`` (1 is the first), treated minus control, on all days' terms.

    ``low`` and ``high`` are the confidence sequence's.
    """

    day: int
    arm: str
    control: float
    treated: float
    difference: float
    low: float
    high: float

    @property
    def harms(self) -> bool:
        """Whether the treated have surely ordered less."""
        return self.high < 0


def width(information: float, tuned_for: float, alpha: float) -> float:
    """By how many standard errors the confidence sequence reaches out at this information; tightest at ``tuned_for``.

    Source: I. Waudby-Smith, D. Arbour, R. Sinha, E. H. Kennedy, A. Ramdas, "Time-uniform central limit theory and
    asymptotic confidence sequences", Annals of Statistics 52(6), 2024 (arXiv:2103.06476): equation (6), with ρ chosen
    as in their appendix B.2.
    """
    scale = information / tuned_for * (-2 * np.log(alpha) + np.log(-2 * np.log(alpha) + 1))
    return float(np.sqrt((scale + 1) / scale * np.log((scale + 1) / alpha**2)))


def looks(
    groups: Mapping[str, pd.DataFrame], controls: Mapping[str, pd.DataFrame], days: int, alpha: float
) -> list[Look]:
    """The effect on having ordered, by the end of each of the first ``days`` days, arm by arm.

    ``groups`` and ``controls`` are each arm's customers and the control's that they are held against, with propensity,
    ``days_to_order`` and probability (of churn, as scored beforehand). Each arm's sequence holds with probability
    1 − ``alpha`` ÷ arms, so that all of them hold together with 1 − ``alpha``. Days on which a group has too few
    customers who have, or have not, ordered are left out.

    What grows from day to day is the share ``p`` who have ordered. Between two days the difference of two such shares
    does not move independently of the past, but the difference divided by 1 − p does: it is a Brownian motion in the
    odds p ÷ (1 − p), as the empirical process of J. L. Doob (Annals of Mathematical Statistics 20, 1949) is. So the
    odds are the information, and the sequence is tuned for those expected at the end.
    """
    found = []
    for arm, rows in groups.items():
        pair = [controls[arm], rows]
        scored = pd.concat(pair)["probability"].dropna()
        expected = float(np.clip(1 - scored.mean(), 0.05, 0.95)) if len(scored) else 0.5
        weights = [1 / one["propensity"].to_numpy(float) for one in pair]
        for day in range(1, days + 1):
            ordered = [(one["days_to_order"].to_numpy(float) < day).astype(float) for one in pair]
            if any(min(one.sum(), (1 - one).sum()) < _LEAST for one in ordered):
                continue
            values = [hajek(one, weight) for one, weight in zip(ordered, weights, strict=True)]
            means = [float(one.mean()) for one in values]
            error = float(np.sqrt(sum(one.var(ddof=1) / len(one) for one in values)))
            share = float(np.concatenate(ordered).mean())
            reach = error * width(share / (1 - share), expected / (1 - expected), alpha / len(groups))
            difference = means[1] - means[0]
            low, high = max(difference - reach, -1.0), min(difference + reach, 1.0)
            found.append(Look(day, arm, means[0], means[1], difference, low, high))
    return found
