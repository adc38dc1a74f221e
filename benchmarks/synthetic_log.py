"""A synthetic shop's log of any size as Parquet, sorted by time: 100 rows a customer on average, over one year.

Of 100 rows 70 are browsing and service events, 8 orders, 16 order lines, 4 messages, 1 redemption and 1 review.
Nothing in it is real; it is there to be measured on.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

ROWS_PER_CUSTOMER = 100
PRODUCTS = 10_000
START, END = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (2017, 2018))

_SHARES: Mapping[str, int] = {"events": 70, "orders": 8, "past_deliveries": 4, "redemptions": 1, "reviews": 1}
_LINES_PER_ORDER = 2
_TYPES = {"view": 45, "search": 10, "cart": 8, "login": 5, "support": 1, "return": 1}
_CHUNKS = 16  # written one after another, so that memory stays small


def write(folder: Path, rows: int, seed: int = 7) -> None:
    """Write ``<table>.parquet`` for every canonical table that features read, ``rows`` rows in all."""
    folder.mkdir(parents=True, exist_ok=True)
    customers = rows // ROWS_PER_CUSTOMER
    draw = np.random.default_rng(seed)
    # A customer's share of all that happens: most do little, some do very much.
    weights = draw.gamma(1.5, size=customers)
    slots = np.repeat(np.arange(customers), np.maximum(np.rint(weights / weights.mean() * 32), 1).astype(int))
    ids = _ids("c", np.arange(customers))
    _products(folder, draw)
    edges = np.linspace(START, END, _CHUNKS + 1).astype(int)
    writers: dict[str, pq.ParquetWriter] = {}
    ordered = 0
    for start, end in pairwise(edges):
        for name, share in _SHARES.items():
            count = rows * share // (ROWS_PER_CUSTOMER * _CHUNKS)
            second = np.sort(draw.integers(start, end, count))
            table = _table(name, ids.take(pa.array(draw.choice(slots, count))), second, draw, ordered)
            _append(writers, folder, name, table)
            if name == "orders":
                _append(writers, folder, "order_lines", _lines(table["order_id"], draw))
                ordered += count
    for writer in writers.values():
        writer.close()


def _append(writers: dict[str, pq.ParquetWriter], folder: Path, name: str, table: pa.Table) -> None:
    if name not in writers:
        writers[name] = pq.ParquetWriter(folder / f"{name}.parquet", table.schema)
    writers[name].write_table(table, row_group_size=1_000_000)


def _table(name: str, customer: pa.Array, second: NDArray[np.int64], draw: np.random.Generator, first: int) -> pa.Table:
    count = len(second)
    time = pa.array(second * 1_000_000, pa.timestamp("us", tz="UTC"))
    if name == "events":
        kinds = np.repeat(np.arange(len(_TYPES)), list(_TYPES.values()))
        kind = pa.DictionaryArray.from_arrays(pa.array(draw.choice(kinds, count)), pa.array(list(_TYPES)))
        duration = draw.integers(1, 300, count).astype(float)
        return pa.table(
            {"customer_id": customer, "occurred_at": time, "type": kind.cast(pa.string()), "duration_s": duration}
        )
    if name == "orders":
        return pa.table(
            {
                "order_id": _ids("o", np.arange(first, first + count)),
                "customer_id": customer,
                "ordered_at": time,
                "status": pa.array(np.where(draw.random(count) < 0.97, "completed", "cancelled")),
            }
        )
    if name == "past_deliveries":
        opened = pa.array(
            (second + draw.integers(60, 90_000, count)) * 1_000_000, pa.int64(), mask=draw.random(count) < 0.7
        ).cast(pa.timestamp("us", tz="UTC"))
        return pa.table({"customer_id": customer, "sent_at": time, "opened_at": opened})
    if name == "reviews":
        return pa.table(
            {"customer_id": customer, "written_at": time, "rating": draw.integers(1, 6, count).astype(float)}
        )
    return pa.table({"customer_id": customer, "redeemed_at": time})


def _lines(order_id: pa.ChunkedArray, draw: np.random.Generator) -> pa.Table:
    count = len(order_id) * _LINES_PER_ORDER
    amount = np.rint(draw.gamma(2.0, 15.0, count) * 100) / 100
    return pa.table(
        {
            "order_id": order_id.take(pa.array(np.repeat(np.arange(len(order_id)), _LINES_PER_ORDER))),
            "product_id": _product_ids().take(pa.array((draw.pareto(1.0, count) * 20).astype(int) % PRODUCTS)),
            "quantity": draw.integers(1, 5, count).astype(float),
            "amount": amount,
            "discount": np.where(draw.random(count) < 0.3, amount / 10, 0.0),
            "coupon_discount": np.where(draw.random(count) < 0.05, amount / 5, 0.0),
        }
    )


def _products(folder: Path, draw: np.random.Generator) -> None:
    path = [f"D{one % 12} > C{one % 150} > T{one % 900}" for one in draw.integers(0, 10_000, PRODUCTS)]
    pq.write_table(pa.table({"product_id": _product_ids(), "category": path}), folder / "products.parquet")


def _product_ids() -> pa.Array:
    return _ids("p", np.arange(PRODUCTS))


def _ids(letter: str, numbers: NDArray[np.int64]) -> pa.Array:
    padded = pc.utf8_lpad(pc.cast(pa.array(numbers), pa.string()), width=8, padding="0")
    return pc.binary_join_element_wise(letter, padded, "")
