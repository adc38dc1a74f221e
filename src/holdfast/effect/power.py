"""Before a campaign starts: the smallest effect it can show, and how many customers and how long another one takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from holdfast.effect.estimate import CONFIDENCE
from holdfast.errors import CampaignError

POWER = 0.8
"""The probability with which a campaign should show an effect that is there."""


@dataclass(frozen=True)
class Design:
    """A campaign to come: ``customers`` assigned in one run, control among them, and who stays without treatment."""

    customers: int
    control_share: float
    retained: float


@dataclass(frozen=True)
class Plan:
    """What it takes to show an ``effect`` on retention (a difference of shares): customers, runs and days."""

    effect: float
    customers: int
    runs: int
    days: int


def detectable(customers: int, control_share: float, retained: float, confidence: float = CONFIDENCE) -> float:
    """The smallest difference of retention that so many customers show with ``POWER``, as a share of customers.

    ``retained`` is the share expected to be retained without treatment. Raises CampaignError when there are too few
    customers to have both groups.
    """
    _check(control_share, retained)
    if min(customers * control_share, customers * (1 - control_share)) < 2:
        raise CampaignError(
            f"{customers:,} customers with a control of {control_share:.0%} leave a group of fewer than two; there is "
            "nothing to compare. Take a larger audience, or a larger control"
        )
    return float(_solved("effect_size", control_share, retained, confidence, n_obs=customers)[1])


def needed(effect: float, design: Design, *, days_between_runs: int, horizon_days: int) -> Plan:
    """What it takes to show the ``effect`` with ``POWER`` when runs of this design follow one another.

    Days count from the first cutoff to the end of the last run's horizon.
    """
    _check(design.control_share, design.retained)
    if effect == 0 or not 0 <= design.retained + effect <= 1:
        raise CampaignError(
            f"an effect of {100 * effect:g} points on a retention of {100 * design.retained:g} % cannot be: it is "
            "none, or leads out of 0 to 100 %"
        )
    customers = int(_solved("n_obs", design.control_share, design.retained, CONFIDENCE, effect_size=effect)[3])
    runs = math.ceil(customers / design.customers)
    return Plan(effect, customers, runs, (runs - 1) * days_between_runs + horizon_days)


def told(customers: int, control_share: float, effect: float) -> str:
    """The smallest detectable effect in one sentence."""
    return (
        f"with {customers:,} customers and a {100 * control_share:.3g} % control the smallest detectable effect is "
        f"{100 * effect:.2g} points"
    )


def _check(control_share: float, retained: float) -> None:
    for what, value in (("control share", control_share), ("retention expected without treatment", retained)):
        if not 0 < value < 1:
            raise CampaignError(f"the {what} is {value:g}; it must lie between 0 and 1, both excluded")


def _solved(parameter: Any, control_share: float, retained: float, confidence: float, **given: Any) -> Any:
    from tea_tasting import Mean
    from tea_tasting.aggr import Aggregates

    # By the normal distribution: the search begins at groups of less than one, for which Student's t has no freedom.
    odds = (1 - control_share) / control_share
    metric = Mean("value", alpha=1 - confidence, power=POWER, ratio=odds, use_t=False, **given)
    sample = Aggregates(count_=1, mean_={"value": retained}, var_={"value": retained * (1 - retained)})
    return metric.solve_power_from_aggregates(sample, parameter)[0]
