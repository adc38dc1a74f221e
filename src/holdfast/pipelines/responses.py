"""What finished campaigns measured of how customers respond, arm by arm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sqrt

from holdfast.campaign.definition import Arm
from holdfast.effect.belief import Belief
from holdfast.effect.estimate import Effect
from holdfast.effect.readout import Reading
from holdfast.pipelines import readouts
from holdfast.ports import Lake, Operations


@dataclass(frozen=True)
class Measured:
    """What one run measured of an arm as it was then.

    ``churn`` is the share of its control that did not order, ``retained`` the effect on the share that does, and
    ``discount`` what coupons took off per customer assigned the arm (None without an offer).
    """

    campaign: str
    arm: Arm
    churn: float
    retained: Belief
    discount: Belief | None


def measured(lake: Lake, operations: Operations, days: int) -> list[Measured]:
    """Of each run with a final readout over so many days in which chance decided and no check failed, every arm.

    Imported campaigns are left out: what their arms offered is not recorded.
    """
    found = []
    for one in readouts.latest(lake):
        if not (one.status == "measured" and one.final and one.days == days) or one.imported:
            continue
        with operations.reading() as tx:
            run = tx.run(one.campaign_id)
        if run is not None:  # else a quarter of the programme
            exposed = {group.arm: group.exposed for group in one.groups}
            arms = {arm.name: arm for arm in run.campaign.arms}
            found += [
                Measured(run.campaign.name, arm, 1 - effect.control, _belief(effect), _discount(reading, arm, exposed))
                for reading, effect in _of_retention(one.readings)
                if (arm := arms.get(reading.arm)) is not None
            ]
    return found


def _of_retention(readings: tuple[Reading, ...]) -> Iterator[tuple[Reading, Effect]]:
    for reading in readings:
        for effect in reading.effects:
            if effect.outcome == "retained":
                yield reading, effect


def _belief(effect: Effect) -> Belief:
    from scipy.stats import norm

    return Belief(effect.difference, (effect.high - effect.low) / (2 * float(norm.ppf((1 + effect.confidence) / 2))))


def _discount(reading: Reading, arm: Arm, exposed: dict[str, int]) -> Belief | None:
    """The mean of what coupons took off, and the most that its standard error can be.

    A figure between 0 and the largest discount D with the mean m has a variance of at most m (D − m) (R. Bhatia,
    C. Davis, "A better bound on the variance", 2000). One customer who uses all of it and one who uses nothing are
    added to m there, so that a run in which nobody redeemed is not taken for certain.
    """
    if arm.offer is None:
        return None
    most = float(arm.offer.largest_discount)
    total = max(reading.spent - float(arm.cost_per_contact) * exposed[reading.arm], 0.0)
    share = min((total / most + 1) / (reading.customers + 2), 1.0)
    return Belief(total / reading.customers, most * sqrt(share * (1 - share) / reading.customers))
