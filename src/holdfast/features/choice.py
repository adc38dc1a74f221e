"""Choice: how broad the customer's choice of categories is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from holdfast.features.arithmetic import Floats, ratio, running_max, running_sum
from holdfast.features.cutoffs import Cutoffs
from holdfast.features.items import distinct
from holdfast.features.log import Log
from holdfast.features.spec import Family, Feature
from holdfast.timeline import Ints


def _compute(log: Log, cutoffs: Cutoffs) -> Mapping[str, Floats]:
    history = cutoffs.history(log.orders)
    categories_28d = distinct(log.categories, log.orders, cutoffs, 28)
    categories_before = distinct(log.categories, log.orders, cutoffs, 56, until=28)
    return {
        "categories_28d": categories_28d.astype(np.float64),
        "categories_84d": distinct(log.categories, log.orders, cutoffs, 84).astype(np.float64),
        "categories_change": (categories_28d - categories_before).astype(np.float64),
        "top_category_share": ratio(_top_lines(log)[history.end - 1], history.total(running_sum(log.orders["lines"]))),
    }


def _top_lines(log: Log) -> Ints:
    """Per purchase, the lines that the customer had by then bought of the category they had bought most of."""
    items = log.categories
    first_of_item = np.flatnonzero(items.fresh)
    so_far = running_sum(items.lines)
    lines_of_item = so_far[1:] - np.repeat(so_far[first_of_item], np.diff(first_of_item, append=len(items.fresh)))
    top = np.zeros(len(log.orders), dtype=np.int64)
    np.maximum.at(top, items.order, lines_of_item)
    return running_max(top, log.orders.customer)


CHOICE = Family(
    name="choice",
    meaning="how broad the customer's choice of categories is",
    tables=("orders", "order_lines", "products"),
    features=(
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
            "top_category_share",
            "share of all lines that fall in the customer's most bought category; 0 where no category is known",
            "share",
            "{top_category_share:.0%} of all items are from one category",
            maximum=1,
        ),
    ),
    compute=_compute,
)
