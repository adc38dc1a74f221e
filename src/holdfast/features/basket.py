"""Basket: how much an order holds, and how many different products."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from holdfast.features.arithmetic import Floats, ratio, running_sum
from holdfast.features.cutoffs import Cutoffs
from holdfast.features.items import distinct
from holdfast.features.log import PIECES_SCALE, Items, Log
from holdfast.features.spec import Family, Feature
from holdfast.timeline import Ints, Timeline

_NO_ORDER_28D = "no order in the last 28 days"
_NO_ORDER_84D = "no order in the last 84 days"


def _compute(log: Log, cutoffs: Cutoffs) -> Mapping[str, Floats]:
    history = cutoffs.history(log.orders)
    days_28 = cutoffs.window(log.orders, 28)
    days_84 = cutoffs.window(log.orders, 84)
    lines = running_sum(log.orders["lines"])
    lines_per_order = ratio(history.total(lines), history.count)
    products_per_order = running_sum(_per_order(log.products, np.ones_like(log.products.order), log.orders))
    fresh_per_order = running_sum(_per_order(log.products, log.products.fresh, log.orders))

    return {
        "lines_per_order": lines_per_order,
        "lines_per_order_growth": ratio(ratio(days_28.total(lines), days_28.count), lines_per_order),
        "pieces_per_order_84d": ratio(days_84.total(running_sum(log.orders["pieces"])), days_84.count * PIECES_SCALE),
        "products_28d": distinct(log.products, log.orders, cutoffs, 28).astype(np.float64),
        "products_84d": distinct(log.products, log.orders, cutoffs, 84).astype(np.float64),
        "new_product_share_84d": ratio(days_84.total(fresh_per_order), days_84.total(products_per_order)),
    }


def _per_order(items: Items, values: Ints, orders: Timeline) -> Ints:
    # bincount adds in float64, exact for integers below 2^53.
    return np.bincount(items.order, weights=values, minlength=len(orders)).astype(np.int64)


BASKET = Family(
    name="basket",
    meaning="how much an order holds, and how many different products",
    tables=("orders", "order_lines"),
    features=(
        Feature(
            "lines_per_order",
            "mean number of lines of an order, over all",
            "lines",
            "an order holds {lines_per_order:.1f} items on average",
            minimum=1,
        ),
        Feature(
            "lines_per_order_growth",
            "mean lines of an order in the last 28 days over that of all; below 1 the baskets shrink",
            "ratio",
            "orders of the last 28 days held {lines_per_order_growth:.0%} of the usual {lines_per_order:.1f} items",
            null=_NO_ORDER_28D,
        ),
        Feature(
            "pieces_per_order_84d",
            "mean pieces of an order in the last 84 days, at most 100 counted per line",
            "pieces",
            "orders of the last 84 days held {pieces_per_order_84d:.1f} pieces",
            null=_NO_ORDER_84D,
        ),
        Feature(
            "products_28d",
            "different products bought in the last 28 days",
            "products",
            "bought {products_28d:.0f} different products in the last 28 days, {products_84d:.0f} in the last 84",
        ),
        Feature(
            "products_84d",
            "different products bought in the last 84 days",
            "products",
            "bought {products_84d:.0f} different products in the last 84 days",
        ),
        Feature(
            "new_product_share_84d",
            "share of the products in orders of the last 84 days that the customer had never bought before",
            "share",
            "{new_product_share_84d:.0%} of what was bought in the last 84 days was new to the customer",
            null=_NO_ORDER_84D,
            maximum=1,
        ),
    ),
    compute=_compute,
)
