"""Basket: how much an order holds, and how broad the customer's choice is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from holdfast.features.arithmetic import Floats, ratio, running_max, running_sum
from holdfast.features.log import PIECES_SCALE, Cutoffs, Items, Log
from holdfast.features.spec import Family, Feature
from holdfast.timeline import Ints, Timeline

_NO_ORDER_28D = "no order in the last 28 days"
_NO_ORDER_84D = "no order in the last 84 days"


def _compute(log: Log, cutoffs: Cutoffs) -> Mapping[str, Floats]:
    history = cutoffs.history(log.orders)
    days_28 = cutoffs.window(log.orders, 28)
    days_84 = cutoffs.window(log.orders, 84)
    lines = running_sum(log.lines)
    lines_per_order = ratio(history.total(lines), history.count)
    products_per_order = running_sum(_per_order(log.products, np.ones_like(log.products.order), log.orders))
    fresh_per_order = running_sum(_per_order(log.products, log.products.fresh.astype(np.int64), log.orders))
    categories_28d = _distinct(log.categories, log.orders, cutoffs, 28)
    categories_before = _distinct(log.categories, log.orders, cutoffs, 56, until=28)

    return {
        "lines_per_order": lines_per_order,
        "lines_per_order_growth": ratio(ratio(days_28.total(lines), days_28.count), lines_per_order),
        "pieces_per_order_84d": ratio(days_84.total(running_sum(log.pieces)), days_84.count * PIECES_SCALE),
        "products_28d": _distinct(log.products, log.orders, cutoffs, 28).astype(np.float64),
        "products_84d": _distinct(log.products, log.orders, cutoffs, 84).astype(np.float64),
        "categories_28d": categories_28d.astype(np.float64),
        "categories_84d": _distinct(log.categories, log.orders, cutoffs, 84).astype(np.float64),
        "categories_change": (categories_28d - categories_before).astype(np.float64),
        "new_product_share_84d": ratio(days_84.total(fresh_per_order), days_84.total(products_per_order)),
        "top_category_share": ratio(_top_lines(log)[history.end - 1], history.total(lines)),
    }


def _per_order(items: Items, values: Ints, orders: Timeline) -> Ints:
    # bincount adds in float64, exact for integers below 2^53.
    return np.bincount(items.order, weights=values, minlength=len(orders)).astype(np.int64)


def _distinct(items: Items, orders: Timeline, cutoffs: Cutoffs, days: int, until: int = 0) -> Ints:
    """Per row, how many different items the customer bought in ``[cutoff − days, cutoff − until)``.

    A purchase stands for its item at those cutoffs whose window holds it and not yet the customer's next purchase of
    the same item. These cutoffs follow one another, so each purchase adds one at the first and takes it away past
    the last; a running sum along the cutoffs gives the counts. The cost is that of purchases plus rows.
    """
    starts, ends = cutoffs.seconds(days), cutoffs.seconds(until)
    second = orders.second[items.order]
    enters = np.searchsorted(ends, second, side="right")
    leaves = np.minimum(
        np.searchsorted(starts, second, side="right"), np.searchsorted(ends, items.next_second, side="right")
    )
    stands = enters < leaves
    customers, width = int(orders.customer[-1]) + 1 if len(orders) else 0, len(ends) + 1
    cell = orders.customer[items.order[stands]] * width
    size = customers * width
    change = np.bincount(cell + enters[stands], minlength=size) - np.bincount(cell + leaves[stands], minlength=size)
    count: Ints = change.reshape(customers, width).cumsum(axis=1)[cutoffs.customer, cutoffs.cutoff]
    return count


def _top_lines(log: Log) -> Ints:
    """Per purchase, the lines that the customer had by then bought of the category they had bought most of."""
    items = log.categories
    first_of_item = np.flatnonzero(items.fresh)
    so_far = running_sum(items.lines)
    lines_of_item = so_far[1:] - np.repeat(so_far[first_of_item], np.diff(first_of_item, append=len(items.fresh)))
    top = np.zeros(len(log.orders), dtype=np.int64)
    np.maximum.at(top, items.order, lines_of_item)
    return running_max(top, log.orders.customer)


BASKET = Family(
    name="basket",
    meaning="how much an order holds, and how broad the customer's choice is",
    tables=("orders", "order_lines", "products"),
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
            "categories_28d",
            "different categories (first two parts of the path) bought in the last 28 days",
            "categories",
            "bought from {categories_28d:.0f} categories in the last 28 days, {categories_84d:.0f} in the last 84",
        ),
        Feature(
            "categories_84d",
            "different categories (first two parts of the path) bought in the last 84 days",
            "categories",
            "bought from {categories_84d:.0f} categories in the last 84 days",
        ),
        Feature(
            "categories_change",
            "different categories in the last 28 days less those in the 28 days before",
            "categories",
            "categories bought from changed by {categories_change:+.0f} against the four weeks before",
            minimum=None,
        ),
        Feature(
            "new_product_share_84d",
            "share of the products in orders of the last 84 days that the customer had never bought before",
            "share",
            "{new_product_share_84d:.0%} of what was bought in the last 84 days was new to the customer",
            null=_NO_ORDER_84D,
            maximum=1,
        ),
        Feature(
            "top_category_share",
            "share of all lines that fall in the customer's most bought category; 0 where no category is known",
            "share",
            "{top_category_share:.0%} of all items are from one category",
            maximum=1,
        ),
    ),
    compute=_compute,
)
