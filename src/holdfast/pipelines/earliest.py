"""How far into the past a batch reaches: rows land in their own event time, so a late one changes every cutoff after.

The feature engine finds from the lake's own log which cutoffs to compute anew; the ledger tells people the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from zoneinfo import ZoneInfo

import pandas as pd

from holdfast.contract import BATCH
from holdfast.ports import Lake
from holdfast.schemas import ORDER_LINES, ORDERS, PRODUCTS, TABLES, Home


def earliest(accepted: Mapping[str, pd.DataFrame], lake: Lake, zone: ZoneInfo) -> dict[str, str]:
    """The shop's day (ISO) of the earliest event that each batch touches, of batches that touch any.

    ``accepted`` are the accepted rows by canonical table. An event counts on its own day, an order line on its order's
    day, and a product on the day of the first order it was bought in, whenever either came in.
    """
    parts = [part for part in _events(accepted, lake) if len(part)]
    if not parts:
        return {}
    first = pd.concat(parts).groupby(BATCH)["time"].min().dt.tz_convert(zone).dt.strftime("%Y-%m-%d")
    return {str(batch): day for batch, day in first.items()}


def _events(accepted: Mapping[str, pd.DataFrame], lake: Lake) -> Iterator[pd.DataFrame]:
    """Batch and time of every touched event."""
    for name, rows in accepted.items():
        table = TABLES[name]
        if table.home is Home.LAKE and table.time is not None and "customer_id" in table.names:
            yield rows[[BATCH, table.time]].rename(columns={table.time: "time"})
    lines = [accepted[ORDER_LINES.name][[BATCH, "order_id"]]] if ORDER_LINES.name in accepted else []
    lines += [_bought(accepted[PRODUCTS.name], lake)] if PRODUCTS.name in accepted else []
    for some in lines:
        orders = _orders(set(some["order_id"]), accepted, lake)
        yield some.merge(orders, on="order_id")[[BATCH, "time"]]


def _bought(products: pd.DataFrame, lake: Lake) -> pd.DataFrame:
    """The stored order lines of these products, each with the batch that brought the product."""
    if products.empty or not lake.exists(ORDER_LINES.name):
        return pd.DataFrame({BATCH: [], "order_id": []}, dtype=object)
    wanted = {"product_id": list(products["product_id"])}
    lines = lake.read(ORDER_LINES.name, ["order_id", "product_id"], wanted)
    return lines.merge(products[["product_id", BATCH]], on="product_id")[[BATCH, "order_id"]]


def _orders(wanted: set[str], accepted: Mapping[str, pd.DataFrame], lake: Lake) -> pd.DataFrame:
    """order_id and time of these orders, among the accepted ones and in the lake."""
    columns = ["order_id", "ordered_at"]
    fresh = accepted[ORDERS.name][columns] if ORDERS.name in accepted else pd.DataFrame(columns=columns)
    older = wanted - set(fresh["order_id"])
    parts = [fresh[fresh["order_id"].isin(wanted)]]
    if older and lake.exists(ORDERS.name):
        parts.append(lake.read(ORDERS.name, columns, {"order_id": list(older)}))
    parts = [part for part in parts if len(part)] or parts[:1]
    found = pd.concat(parts).drop_duplicates("order_id")
    return found.rename(columns={"ordered_at": "time"})
