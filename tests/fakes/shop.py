"""Canonical tables of a very small shop in New York, written down line by line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa

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
    """One order line. ``at`` is the shop's local time; lines of one customer, time and basket are one order."""

    customer: str
    at: str
    product: str = "milk"
    amount: float = 10.0
    quantity: float = 1.0
    discount: float = 0.0
    coupon: float = 0.0
    status: str = "completed"
    basket: str = ""

    @property
    def order(self) -> str:
        return f"{self.customer} {self.at} {self.basket}".strip()


@dataclass(frozen=True)
class Redemption:
    """One coupon used; ``at`` is the shop's local time."""

    customer: str
    at: str


@dataclass(frozen=True)
class Event:
    """Something the customer did in the shop; ``at`` is the shop's local time."""

    customer: str
    at: str
    type: str = "view"
    duration: float | None = None


@dataclass(frozen=True)
class Review:
    """One rating; ``at`` is the shop's local time."""

    customer: str
    at: str
    rating: float


@dataclass(frozen=True)
class Message:
    """One message sent to the customer; ``at`` and ``opened`` are the shop's local time."""

    customer: str
    at: str
    opened: str | None = None


@dataclass(frozen=True)
class Tables:
    """The canonical tables that features and labels read."""

    orders: pd.DataFrame
    order_lines: pd.DataFrame
    products: pd.DataFrame
    redemptions: pd.DataFrame
    events: pd.DataFrame
    reviews: pd.DataFrame
    past_deliveries: pd.DataFrame


def tables(
    lines: Sequence[Line],
    redemptions: Sequence[Redemption] = (),
    events: Sequence[Event] = (),
    reviews: Sequence[Review] = (),
    messages: Sequence[Message] = (),
) -> Tables:
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
            "customer_id": _text([redemption.customer for redemption in redemptions]),
            "offer_id": "10% off",
            "campaign_id": "spring",
            "redeemed_at": _utc([redemption.at for redemption in redemptions]),
        }
    )
    happened = pd.DataFrame(
        {
            "event_id": [str(number) for number in range(len(events))],
            "customer_id": _text([event.customer for event in events]),
            "occurred_at": _utc([event.at for event in events]),
            "type": _text([event.type for event in events]),
            "product_id": _text([None for _ in events]),
            "duration_s": pd.Series([event.duration for event in events], dtype=float),
        }
    )
    written = pd.DataFrame(
        {
            "review_id": [str(number) for number in range(len(reviews))],
            "customer_id": _text([review.customer for review in reviews]),
            "rating": pd.Series([review.rating for review in reviews], dtype=float),
            "written_at": _utc([review.at for review in reviews]),
        }
    )
    sent = pd.DataFrame(
        {
            "delivery_id": [str(number) for number in range(len(messages))],
            "customer_id": _text([message.customer for message in messages]),
            "sent_at": _utc([message.at for message in messages]),
            "opened_at": _utc([message.opened for message in messages]),
        }
    )
    return Tables(orders, order_lines, products, used, happened, written, sent)


def _text(values: Sequence[str | None]) -> pd.Series:
    return pd.Series(values, dtype=pd.ArrowDtype(pa.string()))


def _utc(local: Sequence[str | None]) -> pd.Series:
    times = pd.Series(pd.to_datetime(list(local), format="ISO8601"), dtype="datetime64[us]")
    return times.dt.tz_localize(ZONE).dt.tz_convert("UTC")
