"""A customer's last weeks before a cutoff, one after another: what a sequence model reads in place of features."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from holdfast import windows
from holdfast.purchases import purchases

WEEKS = 26
ORDERS = tuple(f"orders_week_{week}" for week in range(WEEKS, 0, -1))
AMOUNTS = tuple(f"amount_week_{week}" for week in range(WEEKS, 0, -1))
WEEK_COLUMNS = (*ORDERS, *AMOUNTS)
"""Orders and their amount in each of the last WEEKS weeks, the earliest first; week 1 ends at the cutoff."""

_SECONDS = 7 * 86_400


def weekly(orders: pd.DataFrame, order_lines: pd.DataFrame, rows: pd.DataFrame, zone: ZoneInfo) -> pd.DataFrame:
    """WEEK_COLUMNS for each of ``rows`` (customer_id, cutoff), read strictly before the cutoff; no null.

    Takes the canonical orders and order lines. Weeks are 7 times 24 hours.
    """
    bought = purchases(orders, order_lines)
    amount = bought["order_id"].map(order_lines.groupby("order_id")["amount"].sum()).to_numpy(float)
    counted = np.zeros((len(rows), 2 * WEEKS))
    place = pd.Series(np.arange(len(rows)), index=pd.MultiIndex.from_frame(rows[["customer_id", "cutoff"]]))
    for cutoff in rows["cutoff"].unique():
        at = pd.Timestamp(windows.instant(date.fromisoformat(str(cutoff)), zone))
        before = (at - bought["ordered_at"]).dt.total_seconds().to_numpy()
        inside = (before > 0) & (before <= WEEKS * _SECONDS)
        customer = bought.loc[inside, "customer_id"].map(place.xs(cutoff, level="cutoff")).to_numpy(float)
        asked = ~np.isnan(customer)
        row = customer[asked].astype(int)
        week = WEEKS - np.ceil(before[inside][asked] / _SECONDS).astype(int)
        np.add.at(counted, (row, week), 1.0)
        np.add.at(counted, (row, WEEKS + week), amount[inside][asked])
    return pd.DataFrame(counted, columns=list(WEEK_COLUMNS), index=rows.index)
