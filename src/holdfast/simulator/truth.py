"""What the product may never see: each customer's kind, and what becomes of them with and without each treatment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from holdfast.simulator.draws import Floats, Indices
from holdfast.simulator.lives import Lives, Treatment, live, receive
from holdfast.simulator.population import Traits, World


@dataclass(frozen=True)
class Outcome:
    """What customers did in a window, an entry a customer: number of orders, what they paid, and what coupons took off.

    ``visited`` is whether they came to the shop at all.
    """

    orders: npt.NDArray[np.int64]
    revenue: Floats
    coupon: Floats
    visited: npt.NDArray[np.bool_]

    @property
    def retained(self) -> npt.NDArray[np.bool_]:
        """Whether there was an order."""
        return self.orders > 0

    def net(self, margin: float, cost_per_contact: float = 0) -> Floats:
        """What the shop keeps: ``margin`` of the sales before the coupon, less the coupon and the contact."""
        return (self.revenue + self.coupon) * margin - self.coupon - cost_per_contact


def outcome(
    world: World,
    who: Traits,
    lives: Lives,
    *,
    day: int,
    days: int,
    treated: Indices,
    treatment: Treatment | None,
) -> Outcome:
    """What all of ``who`` do in ``[day, day + days)`` if the places ``treated`` get the treatment on ``day``.

    ``lives`` is left as it is. None treats nobody; nothing else is sent in the window.
    """
    lives, n = lives.copy(), len(who.joined)
    told = Outcome(np.zeros(n, np.int64), np.zeros(n), np.zeros(n), np.zeros(n, bool))
    if treatment is not None:
        receive(world, who, lives, day=day, at=treated, what=treatment)
    for one in range(day, day + days):
        happened = live(world, who, lives, one)
        bought = happened.orders
        told.orders[bought.customer] += 1
        told.revenue[bought.customer] += bought.total
        told.coupon[bought.customer] += np.nan_to_num(bought.coupon)
        told.visited[happened.visitors] = True
    return told
