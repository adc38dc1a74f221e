"""Whom a batch touches, and from which day on: what an incremental run of the features has to compute anew.

Rows land in their own event time, so a late one changes the past: every cutoff after its day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

import pandas as pd

from holdfast.contract import BATCH
from holdfast.pipelines.ledger import LEDGER
from holdfast.ports import Lake
from holdfast.schemas import ORDER_LINES, ORDERS, PRODUCTS, TABLES, Home

TOUCHED = "touched"
"""Lake table: for each batch and each customer it touches, ``day``: the shop's day (ISO) of the earliest event."""

_COLUMNS = (BATCH, "customer_id", "day")


@dataclass(frozen=True)
class Touched:
    """``customers``: one row a customer, customer_id and ``day``, the earliest of their touched events (ISO date).

    Every cutoff after ``day`` has other features than before. ``version`` is the ledger's, to be asked from next time.
    """

    version: int
    customers: pd.DataFrame

    @property
    def earliest(self) -> date | None:
        """The earliest day that anyone was touched on."""
        return None if self.customers.empty else date.fromisoformat(self.customers["day"].min())


def touched_since(lake: Lake, version: int | None) -> Touched:
    """What has come in since ``version`` of the ledger (None: since the beginning).

    Raises MissingDataError when nothing has been ingested yet.
    """
    now = lake.version(LEDGER)
    batches = set(lake.read(LEDGER, [BATCH], version=now)[BATCH])
    if version is not None:
        batches -= set(lake.read(LEDGER, [BATCH], version=version)[BATCH])
    rows = lake.read(TOUCHED) if lake.exists(TOUCHED) and batches else pd.DataFrame(columns=list(_COLUMNS))
    mine = rows[rows[BATCH].isin(batches)]
    return Touched(now, mine.groupby("customer_id")["day"].min().reset_index())


def touched(accepted: Mapping[str, pd.DataFrame], lake: Lake, zone: ZoneInfo) -> pd.DataFrame:
    """Rows of ``TOUCHED`` for the accepted rows of one or more batches, by canonical table.

    An event touches its own customer on its own day. An order line touches the customer of its order on the order's
    day, and a product everyone who bought it, whenever either came in.
    """
    parts = [part for part in _events(accepted, lake) if len(part)]
    if not parts:
        return pd.DataFrame(columns=list(_COLUMNS))
    events = pd.concat(parts, ignore_index=True)
    events["day"] = events.pop("time").dt.tz_convert(zone).dt.strftime("%Y-%m-%d")
    return events.groupby([BATCH, "customer_id"])["day"].min().reset_index()


def earliest(rows: pd.DataFrame) -> dict[str, str]:
    """The earliest touched day (ISO) by batch, of rows from ``touched``."""
    return {str(batch): str(day) for batch, day in rows.groupby(BATCH)["day"].min().items()}


def _events(accepted: Mapping[str, pd.DataFrame], lake: Lake) -> Iterator[pd.DataFrame]:
    """Batch, customer_id and time of every touched event."""
    for name, rows in accepted.items():
        table = TABLES[name]
        if table.home is Home.LAKE and table.time is not None and "customer_id" in table.names:
            yield rows[[BATCH, "customer_id", table.time]].rename(columns={table.time: "time"})
    lines = [accepted[ORDER_LINES.name][[BATCH, "order_id"]]] if ORDER_LINES.name in accepted else []
    lines += [_bought(accepted[PRODUCTS.name], lake)] if PRODUCTS.name in accepted else []
    for some in lines:
        orders = _orders(set(some["order_id"]), accepted, lake)
        yield some.merge(orders, on="order_id")[[BATCH, "customer_id", "time"]]


def _bought(products: pd.DataFrame, lake: Lake) -> pd.DataFrame:
    """The stored order lines of these products, each with the batch that brought the product."""
    if products.empty or not lake.exists(ORDER_LINES.name):
        return pd.DataFrame({BATCH: [], "order_id": []}, dtype=object)
    wanted = {"product_id": list(products["product_id"])}
    lines = lake.read(ORDER_LINES.name, ["order_id", "product_id"], wanted)
    return lines.merge(products[["product_id", BATCH]], on="product_id")[[BATCH, "order_id"]]


def _orders(wanted: set[str], accepted: Mapping[str, pd.DataFrame], lake: Lake) -> pd.DataFrame:
    """order_id, customer_id and time of these orders, among the accepted ones and in the lake."""
    columns = ["order_id", "customer_id", "ordered_at"]
    fresh = accepted[ORDERS.name][columns] if ORDERS.name in accepted else pd.DataFrame(columns=columns)
    older = wanted - set(fresh["order_id"])
    parts = [fresh[fresh["order_id"].isin(wanted)]]
    if older and lake.exists(ORDERS.name):
        parts.append(lake.read(ORDERS.name, columns, {"order_id": list(older)}))
    parts = [part for part in parts if len(part)] or parts[:1]
    found = pd.concat(parts).drop_duplicates("order_id")
    return found.rename(columns={"ordered_at": "time"})
