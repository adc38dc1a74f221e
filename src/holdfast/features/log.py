"""A set of customers' purchases and redemptions as sorted arrays, and the rows that features are computed for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from holdfast import windows
from holdfast.features.arithmetic import Span
from holdfast.purchases import fixed_point, purchases
from holdfast.timeline import Ints, Timeline

NEVER = np.iinfo(np.int64).max
"""The second of an event that has not happened."""

# A line of fuel or of goods sold by the gram can hold tens of thousands of units: it must not drown the pieces.
_PIECES_PER_LINE = 100
PIECES_SCALE = 1_000
_CATEGORY_DEPTH = 2
_SEPARATOR = " > "


@dataclass(frozen=True)
class Items:
    """Which items (products, or categories) each purchase holds: one row per purchase and item.

    Rows are sorted by item and ``order`` (position in ``Log.orders``), so that one customer's purchases of one item
    stand together. ``lines`` counts the order's lines of the item; ``fresh`` marks the customer's first purchase of
    it; ``next_second`` is when the customer next buys it, or NEVER.
    """

    order: Ints
    item: Ints
    lines: Ints
    fresh: NDArray[np.bool_]
    next_second: Ints

    @classmethod
    def of(cls, order: Ints, item: Ints, orders: Timeline) -> Items:
        """The items of order lines, each given as position of its order and code of its item (negative: unknown)."""
        known = item >= 0
        size = max(len(orders), 1)
        pair, lines = np.unique(item[known] * size + order[known], return_counts=True)
        code, position = np.divmod(pair, size)
        customer = orders.customer[position]
        repeat = (code[1:] == code[:-1]) & (customer[1:] == customer[:-1])
        fresh = np.ones(len(pair), dtype=np.bool_)
        fresh[1:] = ~repeat
        next_second = np.full(len(pair), NEVER)
        next_second[:-1][repeat] = orders.second[position][1:][repeat]
        return cls(position, code, lines.astype(np.int64), fresh, next_second)


@dataclass(frozen=True)
class Log:
    """What features are computed from: the purchases and redemptions of a set of customers.

    ``customers`` are the ids of those with a purchase, sorted; elsewhere a customer is a position in it. The arrays
    from ``amount`` to ``pieces`` have one value per purchase, in the order of ``orders`` (customer, time, order id):
    money in ten-thousandths of the currency, ``pieces`` in thousandths with at most 100 pieces counted per line.
    """

    customers: NDArray[np.object_]
    orders: Timeline
    amount: Ints
    discount: Ints
    coupon_discount: Ints
    lines: Ints
    pieces: Ints
    products: Items
    categories: Items
    redemptions: Timeline

    @classmethod
    def build(
        cls, orders: pd.DataFrame, order_lines: pd.DataFrame, products: pd.DataFrame, redemptions: pd.DataFrame
    ) -> Log:
        """The log of canonical tables (``holdfast.schemas``); the order of their rows does not matter.

        Orders that are no purchase (``holdfast.purchases``) and redemptions by customers without any are left out.
        """
        bought = purchases(orders, order_lines)
        customer, customers = pd.factorize(bought["customer_id"])
        order_timeline = Timeline.of(customer.astype(np.int64), bought["ordered_at"])

        position = pd.Index(bought["order_id"]).get_indexer(pd.Index(order_lines["order_id"]))
        known = position >= 0
        lines, position = order_lines[known], position[known].astype(np.int64)

        def per_order(values: Ints) -> Ints:
            # bincount adds in float64, exact for integers below 2^53.
            return np.bincount(position, weights=values, minlength=len(bought)).astype(np.int64)

        pieces = np.minimum(lines["quantity"].to_numpy(np.float64), _PIECES_PER_LINE)
        product, product_ids = pd.factorize(lines["product_id"])
        category = _category_codes(pd.Index(product_ids), products)
        return cls(
            customers=np.asarray(customers, dtype=np.object_),
            orders=order_timeline,
            amount=per_order(fixed_point(lines["amount"])),
            discount=per_order(fixed_point(lines["discount"])),
            coupon_discount=per_order(fixed_point(lines["coupon_discount"])),
            lines=np.bincount(position, minlength=len(bought)).astype(np.int64),
            pieces=per_order(np.rint(pieces * PIECES_SCALE).astype(np.int64)),
            products=Items.of(position, product.astype(np.int64), order_timeline),
            categories=Items.of(position, category[product], order_timeline),
            redemptions=_redemption_timeline(redemptions, pd.Index(customers)),
        )


@dataclass(frozen=True)
class Cutoffs:
    """The rows to compute: for each cutoff, every customer with a purchase strictly before it.

    Rows are sorted by ``customer`` (position in ``Log.customers``) and ``cutoff`` (position in ``days``, which
    ascend), so that searches run along the sorted events.
    """

    days: tuple[date, ...]
    zone: ZoneInfo
    customer: Ints
    cutoff: Ints

    @classmethod
    def of(cls, log: Log, days: Sequence[date], zone: ZoneInfo) -> Cutoffs:
        ascending = tuple(sorted(set(days)))
        everyone = np.arange(len(log.customers), dtype=np.int64)
        first_second = log.orders.second[log.orders.first(everyone)]
        customer, cutoff = np.nonzero(first_second[:, None] < _seconds(ascending, zone, 0)[None, :])
        return cls(ascending, zone, customer.astype(np.int64), cutoff.astype(np.int64))

    def __len__(self) -> int:
        return len(self.customer)

    def seconds(self, days_before: int = 0) -> Ints:
        """Per cutoff (not per row), the instant ``days_before`` calendar days of the shop earlier, in epoch seconds."""
        return _seconds(self.days, self.zone, days_before)

    def since(self, second: Ints) -> Ints:
        """Per row, the seconds from ``second`` to the cutoff."""
        return self.seconds()[self.cutoff] - second

    def history(self, events: Timeline) -> Span:
        """Per row, the customer's events before the cutoff."""
        return Span(events.first(self.customer), self._position(events, 0))

    def window(self, events: Timeline, days: int, until: int = 0) -> Span:
        """Per row, the customer's events in ``[cutoff − days, cutoff − until)``, in calendar days of the shop."""
        return Span(self._position(events, days), self._position(events, until))

    def _position(self, events: Timeline, days_before: int) -> Ints:
        return events.position(self.customer, self.seconds(days_before)[self.cutoff])


def _seconds(days: Sequence[date], zone: ZoneInfo, days_before: int) -> Ints:
    bounds = [windows.instant(day - timedelta(days=days_before), zone) for day in days]
    return np.array([int(bound.timestamp()) for bound in bounds], dtype=np.int64)


def _category_codes(product_ids: pd.Index, products: pd.DataFrame) -> Ints:
    """Per product id, the code of the first two parts of its category path; −1 where unknown."""
    known = products.dropna(subset=["category"])
    paths = dict(zip(known["product_id"], known["category"], strict=True))
    found = [paths.get(product_id) for product_id in product_ids]
    categories = [_SEPARATOR.join(path.split(_SEPARATOR)[:_CATEGORY_DEPTH]) if path else None for path in found]
    codes, _ = pd.factorize(np.array(categories, dtype=np.object_))
    return codes.astype(np.int64)


def _redemption_timeline(redemptions: pd.DataFrame, customers: pd.Index) -> Timeline:
    customer = customers.get_indexer(pd.Index(redemptions["customer_id"]))
    known = customer >= 0
    time = redemptions.loc[known, "redeemed_at"]
    by_customer_and_time = np.lexsort((time.to_numpy("datetime64[us]"), customer[known]))
    return Timeline.of(customer[known][by_customer_and_time].astype(np.int64), time.iloc[by_customer_and_time])
