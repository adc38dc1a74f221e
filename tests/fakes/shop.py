"""Canonical tables of a very small shop in New York, written down line by line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import pandas as pd

ZONE = ZoneInfo("America/New_York")

CATEGORIES = {
    "milk": "GROCERY > DAIRY > MILK",
    "cream": "GROCERY > DAIRY > CREAM",
    "bread": "GROCERY > BREAD",
    "soap": "DRUG",
    "mystery": None,
}


@dataclass(frozen=True)
class Line:
    """One order line. ``at`` is the shop's local time; lines of one customer at one time are one order."""

    customer: str
    at: str
    product: str = "milk"
    amount: float = 10.0
    quantity: float = 1.0
    discount: float = 0.0
    coupon: float = 0.0
    status: str = "completed"

    @property
    def order(self) -> str:
        return f"{self.customer} {self.at}"


@dataclass(frozen=True)
class Redemption:
    """One coupon used; ``at`` is the shop's local time."""

    customer: str
    at: str


@dataclass(frozen=True)
class Tables:
    """The canonical tables that features and labels read."""

    orders: pd.DataFrame
    order_lines: pd.DataFrame
    products: pd.DataFrame
    redemptions: pd.DataFrame


def tables(lines: Sequence[Line], redemptions: Sequence[Redemption] = ()) -> Tables:
    """The tables of these events, rows in the given order."""
    orders = pd.DataFrame(
        {
            "order_id": [line.order for line in lines],
            "customer_id": [line.customer for line in lines],
            "ordered_at": _utc([line.at for line in lines]),
            "status": [line.status for line in lines],
            "currency": "USD",
        }
    ).drop_duplicates("order_id", ignore_index=True)
    order_lines = pd.DataFrame(
        {
            "order_id": [line.order for line in lines],
            "line_id": [str(number) for number in range(len(lines))],
            "product_id": [line.product for line in lines],
            "quantity": pd.Series([line.quantity for line in lines], dtype=float),
            "amount": pd.Series([line.amount for line in lines], dtype=float),
            "discount": pd.Series([line.discount for line in lines], dtype=float),
            "coupon_discount": pd.Series([line.coupon for line in lines], dtype=float),
        }
    )
    products = pd.DataFrame({"product_id": list(CATEGORIES), "category": list(CATEGORIES.values()), "brand": None})
    used = pd.DataFrame(
        {
            "redemption_id": [str(number) for number in range(len(redemptions))],
            "customer_id": [redemption.customer for redemption in redemptions],
            "offer_id": "10% off",
            "campaign_id": "spring",
            "redeemed_at": _utc([redemption.at for redemption in redemptions]),
        }
    )
    return Tables(orders, order_lines, products, used)


def _utc(local: Sequence[str]) -> pd.Series:
    times = pd.Series(pd.to_datetime(list(local), format="ISO8601"), dtype="datetime64[us]")
    return times.dt.tz_localize(ZONE).dt.tz_convert("UTC")
