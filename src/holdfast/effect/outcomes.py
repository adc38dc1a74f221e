"""What customers did in a window, and in as long a one before it: the outcomes of a trial and their covariates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from holdfast.purchases import purchases
from holdfast.windows import Window

OUTCOMES = ("retained", "orders", "revenue", "margin", "visited")
COVARIATES = ("retained_before", "orders_before", "revenue_before", "visited_before")

VISITS = frozenset({"view", "search", "cart", "uncart", "wishlist", "checkout", "login"})
"""Types of events that a customer does in the shop of their own accord."""


def outcomes(
    orders: pd.DataFrame,
    order_lines: pd.DataFrame,
    events: pd.DataFrame,
    customers: Sequence[str],
    *,
    window: Window,
    before: Window,
    margin: float,
) -> pd.DataFrame:
    """For each of ``customers``, in their order: customer_id, ``OUTCOMES`` and ``days_to_order`` in ``window``,
    ``COVARIATES`` in ``before``.

    Takes the canonical orders, order lines and events. What counts as a purchase is what counts for the label:
    ``retained`` (1 or 0) is whether there was any, the opposite of the label churned. ``revenue`` is what the shop
    received in its currency, ``margin`` the share of it that it keeps; ``visited`` (1 or 0) whether there was an event
    of ``VISITS``; ``days_to_order`` the days from the window's start to the first purchase in it, NaN if there is none.
    All are float64; a customer of whom nothing is known has zeros.
    """
    found = pd.DataFrame({"customer_id": np.asarray(customers, dtype=object)})
    bought = _of(purchases(orders, order_lines), "ordered_at", found["customer_id"], Window(before.start, window.end))
    lines = order_lines[order_lines["order_id"].isin(bought["order_id"])]
    bought = bought.assign(amount=bought["order_id"].map(lines.groupby("order_id")["amount"].sum()))
    visits = events[events["type"].isin(VISITS)]
    for suffix, span in (("", window), ("_before", before)):
        totals = _of(bought, "ordered_at", found["customer_id"], span).groupby("customer_id")["amount"]
        count = found["customer_id"].map(totals.size()).fillna(0).to_numpy(float)
        visited = found["customer_id"].isin(_of(visits, "occurred_at", found["customer_id"], span)["customer_id"])
        found[f"retained{suffix}"] = (count > 0).astype(float)
        found[f"orders{suffix}"] = count
        found[f"revenue{suffix}"] = found["customer_id"].map(totals.sum()).fillna(0).to_numpy(float)
        found[f"visited{suffix}"] = visited.to_numpy(float)
    found["margin"] = margin * found["revenue"]
    first = _of(bought, "ordered_at", found["customer_id"], window).groupby("customer_id")["ordered_at"].min()
    days = (first - pd.Timestamp(window.start)).dt.total_seconds() / 86_400
    found["days_to_order"] = found["customer_id"].map(days).to_numpy(float)
    return found[["customer_id", *OUTCOMES, "days_to_order", *COVARIATES]]


def _of(rows: pd.DataFrame, time: str, customers: pd.Series, span: Window) -> pd.DataFrame:
    """The rows of these customers within the span."""
    inside = (rows[time] >= span.start) & (rows[time] < span.end)
    return rows[inside & rows["customer_id"].isin(customers)]
