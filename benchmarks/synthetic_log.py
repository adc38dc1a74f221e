"""A synthetic shop's log of any size as a lake of Delta tables, sorted by time: 100 rows a customer and year.

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
from deltalake import DeltaTable, convert_to_deltalake, write_deltalake
from numpy.typing import NDArray

ROWS_PER_CUSTOMER = 100
PRODUCTS = 10_000
START, END = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (2017, 2018))

_SHARES: Mapping[str, int] = {"events": 70, "orders": 8, "past_deliveries": 4, "redemptions": 1, "reviews": 1}
_LINES_PER_ORDER = 2
_TYPES = {"view": 45, "search": 10, "cart": 8, "login": 5, "support": 1, "return": 1}
_CHUNKS = 16  # written one after another, so that memory stays small


def write(lake: Path, rows: int, seed: int = 7) -> None:
    """Write every canonical table that features read as a Delta table below ``lake``, ``rows`` rows in all."""
    for name in (*_SHARES, "order_lines", "products"):
        (lake / name).mkdir(parents=True)
    customers = rows // ROWS_PER_CUSTOMER
    draw = np.random.default_rng(seed)
    # A customer's share of all that happens: most do little, some do very much.
    weights = draw.gamma(1.5, size=customers)
    slots = np.repeat(np.arange(customers), np.maximum(np.rint(weights / weights.mean() * 32), 1).astype(int))
    ids = _ids("c", np.arange(customers))
    _products(lake, draw)
    edges = np.linspace(START, END, _CHUNKS + 1).astype(int)
    writers: dict[str, pq.ParquetWriter] = {}
    ordered = 0
    for start, end in pairwise(edges):
        for name, share in _SHARES.items():
            count = rows * share // (ROWS_PER_CUSTOMER * _CHUNKS)
            second = np.sort(draw.integers(start, end, count))
            table = _table(name, ids.take(pa.array(draw.choice(slots, count))), second, draw, ordered)
            _append(writers, lake, name, table)
            if name == "orders":
                _append(writers, lake, "order_lines", _lines(table["order_id"], draw))
                ordered += count
    for writer in writers.values():
        writer.close()
    for table in lake.iterdir():
        convert_to_deltalake(str(table))


def one_day(lake: Path, share: float, seed: int = 8) -> None:
    """Append the day after the year to ``write``'s lake: this share of the customers, a few rows each."""
    draw = np.random.default_rng(seed)
    customers = DeltaTable(lake / "events").count() // _SHARES["events"]
    active = _ids("c", draw.choice(customers, max(int(customers * share), 1), replace=False))
    first = DeltaTable(lake / "orders").count()
    for name, per_customer in {"events": 4, "orders": 1, "past_deliveries": 1}.items():
        second = np.sort(draw.integers(END, END + 86_400, len(active) * per_customer))
        who = active.take(pa.array(np.repeat(np.arange(len(active)), per_customer)))
        table = _table(name, who, second, draw, first)
        write_deltalake(lake / name, table, mode="append")
        if name == "orders":
            write_deltalake(lake / "order_lines", _lines(table["order_id"], draw), mode="append")


def _append(writers: dict[str, pq.ParquetWriter], lake: Path, name: str, table: pa.Table) -> None:
    if name not in writers:
        writers[name] = pq.ParquetWriter(lake / name / "part-0.parquet", table.schema)
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


def _products(lake: Path, draw: np.random.Generator) -> None:
    path = [f"D{one % 12} > C{one % 150} > T{one % 900}" for one in draw.integers(0, 10_000, PRODUCTS)]
    pq.write_table(pa.table({"product_id": _product_ids(), "category": path}), lake / "products" / "part-0.parquet")


def _product_ids() -> pa.Array:
    return _ids("p", np.arange(PRODUCTS))


def _ids(letter: str, numbers: NDArray[np.int64]) -> pa.Array:
    padded = pc.utf8_lpad(pc.cast(pa.array(numbers), pa.string()), width=8, padding="0")
    return pc.binary_join_element_wise(letter, padded, "")
