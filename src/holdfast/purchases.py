"""What counts as a purchase. Features and labels share this one rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from holdfast.timeline import Ints

MONEY_SCALE = 10_000
"""Fixed-point units of money in one unit of the shop's currency."""

UNDONE_AT = ("cancelled_at", "returned_at")
"""Columns of orders that say when an order was undone; a shop may lack them."""


@dataclass(frozen=True)
class Purchases:
    """``order`` holds the rows of the orders table that are purchases.

    ``of_line`` gives, for each row of the order lines table, the position of its purchase in ``order``; −1 where its
    order is no purchase.
    """

    order: Ints
    of_line: Ints


def fixed_point(money: pa.ChunkedArray) -> Ints:
    """``money`` in ten-thousandths, as integers: their sums are exact, so no result depends on the order of rows."""
    scaled: Ints = np.rint(money.to_numpy() * MONEY_SCALE).astype(np.int64)
    return scaled


def purchases(orders: pd.DataFrame, order_lines: pd.DataFrame) -> pd.DataFrame:
    """The rows of the canonical ``orders`` that are purchases (``find_purchases``): order, customer and time."""
    found = find_purchases(
        _arrow(orders, ("order_id", "status", *UNDONE_AT)), _arrow(order_lines, ("order_id", "amount"))
    )
    return orders[["order_id", "customer_id", "ordered_at"]].iloc[found.order].reset_index(drop=True)


def find_purchases(orders: pa.Table, order_lines: pa.Table) -> Purchases:
    """The orders whose lines' amounts sum to more than zero, unless they were undone at a moment nobody recorded.

    An order that the shop says when it undid (``cancelled_at``, ``returned_at``) stays a purchase, before that moment
    and after it: what is known only later must not reach back to an earlier cutoff. One whose ``status`` alone says
    that it was undone never counts, since there is no telling from when on.
    """
    owner = _positions(order_lines["order_id"], orders["order_id"])
    known = owner >= 0
    amount = np.bincount(  # adds in float64, exact for integers below 2^53
        owner[known], weights=fixed_point(order_lines["amount"])[known], minlength=len(orders)
    )
    counts = pc.equal(orders["status"], "completed")
    for column in UNDONE_AT:
        if column in orders.column_names:
            counts = pc.or_(counts, pc.is_valid(orders[column]))
    bought = (amount > 0) & counts.to_numpy()
    position = np.where(bought, np.cumsum(bought) - 1, -1)
    return Purchases(np.flatnonzero(bought), np.where(known, position[owner], -1) if len(orders) else owner)


def _arrow(rows: pd.DataFrame, columns: Sequence[str]) -> pa.Table:
    """Those of the columns that ``rows`` has, as Arrow."""
    return pa.Table.from_pandas(rows[[name for name in columns if name in rows.columns]], preserve_index=False)


def _positions(values: pa.ChunkedArray, among: pa.ChunkedArray) -> Ints:
    """The row in ``among`` of each value; −1 where it is not there."""
    found = pc.index_in(values, value_set=among.combine_chunks())
    positions: NDArray[np.int32] = pc.fill_null(found, -1).to_numpy()
    return positions.astype(np.int64)
