"""Who bought when: the shop's purchases in time, and who bought within a window."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from holdfast import windows
from holdfast.purchases import purchases
from holdfast.timeline import Ints

Mask = NDArray[np.bool_]
"""One truth a customer, in the order of ``History.customers``."""


@dataclass(frozen=True)
class History:
    """All purchases, sorted by time: ``customer`` (position in ``customers``) and ``second`` (UTC epoch)."""

    customers: NDArray[np.object_]
    customer: Ints
    second: Ints

    @classmethod
    def of(cls, orders: pd.DataFrame, order_lines: pd.DataFrame) -> History:
        """The purchases (``holdfast.purchases``) in canonical orders and order lines."""
        bought = purchases(orders, order_lines).sort_values("ordered_at", kind="stable")
        customer, customers = pd.factorize(bought["customer_id"], sort=True)
        second = bought["ordered_at"].dt.as_unit("s").astype(np.int64).to_numpy()
        return cls(np.asarray(customers, dtype=np.object_), customer.astype(np.int64), second)

    def bought(self, start: datetime, end: datetime) -> Mask:
        """Who bought in ``[start, end)``."""
        first, last = np.searchsorted(self.second, [start.timestamp(), end.timestamp()])
        who = np.zeros(len(self.customers), dtype=np.bool_)
        who[self.customer[first:last]] = True
        return who

    def active(self, cutoff: date, active_days: int, zone: ZoneInfo) -> Mask:
        """Whose last purchase before the cutoff lies less than ``active_days`` (of 24 hours) before it."""
        at = windows.instant(cutoff, zone)
        return self.bought(at - timedelta(days=active_days) + timedelta(seconds=1), at)
