"""How much a customer spent within the horizon after a cutoff. Like a label, it is never a feature."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import pandas as pd

from holdfast import windows
from holdfast.purchases import purchases

SPEND = "spend"


def spend(
    orders: pd.DataFrame, order_lines: pd.DataFrame, rows: pd.DataFrame, horizon_days: int, zone: ZoneInfo
) -> pd.Series:
    """For each of ``rows`` (customer_id, cutoff), the amount of the purchases in ``[cutoff, cutoff + horizon_days)``.

    Takes the canonical orders and order lines. Zero where nothing was bought; in the shop's currency.
    """
    bought = purchases(orders, order_lines)
    amount = bought["order_id"].map(order_lines.groupby("order_id")["amount"].sum())
    spent = pd.Series(0.0, index=rows.index, name=SPEND)
    for cutoff, asked in rows.groupby("cutoff"):
        window = windows.horizon(date.fromisoformat(str(cutoff)), horizon_days, zone)
        inside = (bought["ordered_at"] >= window.start) & (bought["ordered_at"] < window.end)
        totals = amount[inside].groupby(bought.loc[inside, "customer_id"]).sum()
        spent[asked.index] = asked["customer_id"].map(totals).fillna(0.0)
    return spent
