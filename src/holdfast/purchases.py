"""What counts as a purchase: a completed order that brought in money. Features and labels share this one rule."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MONEY_SCALE = 10_000
"""Fixed-point units of money in one unit of the shop's currency."""


def fixed_point(money: pd.Series) -> NDArray[np.int64]:
    """``money`` in ten-thousandths, as integers: their sums are exact, so no result depends on the order of rows."""
    scaled: NDArray[np.int64] = np.rint(money.to_numpy(np.float64) * MONEY_SCALE).astype(np.int64)
    return scaled


def purchases(orders: pd.DataFrame, order_lines: pd.DataFrame) -> pd.DataFrame:
    """The orders of status completed whose lines' amounts sum to more than zero.

    Takes the canonical ``orders`` and ``order_lines``; returns order_id, customer_id and ordered_at, sorted by
    customer, time and order id, so that the order of the given rows does not matter.
    """
    amounts = pd.Series(fixed_point(order_lines["amount"])).groupby(order_lines["order_id"].to_numpy()).sum()
    paid = orders["order_id"].isin(amounts.index[amounts > 0])
    bought = orders.loc[paid & (orders["status"] == "completed"), ["order_id", "customer_id", "ordered_at"]]
    return bought.sort_values(["customer_id", "ordered_at", "order_id"], ignore_index=True)
