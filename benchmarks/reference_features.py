"""Sixty features of the plainest kind in pandas, DuckDB and Polars, as of one cutoff: what ours are measured beside.

Of each of nine kinds of events: how many in the last 14, 28, 56 and 84 days and ever, and the days since the last one;
of orders also the money in the same windows and ever, and the tenure. No medians, no distinct counts, no sessions, no
model: simpler than the catalogue.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from holdfast.features.log import TIMES

WINDOWS = (14, 28, 56, 84)
EVENT_TYPES = ("view", "search", "cart", "login", "support")
OTHERS = ("past_deliveries", "redemptions", "reviews")


def in_pandas(lake: Path, cutoff: datetime) -> Callable[[], Any]:
    import pandas as pd

    def features(rows: pd.DataFrame, time: str, name: str, money: bool = False) -> pd.DataFrame:
        rows = rows[rows[time] < cutoff]
        days = (pd.Timestamp(cutoff) - rows[time]).dt.total_seconds() / 86_400
        columns = {f"{name}_{window}d": (days <= window).astype("int64") for window in WINDOWS}
        if money:
            columns |= {f"amount_{window}d": rows["amount"].where(days <= window, 0.0) for window in WINDOWS}
            columns["amount"] = rows["amount"]
        by = rows["customer_id"].astype("category")
        grouped = pd.DataFrame(columns).groupby(by, observed=True)
        ages = days.groupby(by, observed=True).agg(["size", "min", *(["max"] if money else [])])
        return pd.concat([grouped.sum(), ages.add_prefix(f"{name}_")], axis=1)

    def read(name: str, columns: list[str]) -> pd.DataFrame:
        return pd.read_parquet(lake / name, columns=columns)

    def step() -> Any:
        lines = read("order_lines", ["order_id", "amount"]).groupby("order_id")["amount"].sum()
        orders = read("orders", ["order_id", "customer_id", "ordered_at", "status"])
        orders = orders[orders["status"] == "completed"].assign(amount=lambda rows: rows["order_id"].map(lines))
        parts = [features(orders, "ordered_at", "orders", money=True)]
        events = read("events", ["customer_id", "occurred_at", "type"])
        parts += [features(events[events["type"] == kind], "occurred_at", kind) for kind in EVENT_TYPES]
        parts += [features(read(name, ["customer_id", TIMES[name]]), TIMES[name], name) for name in OTHERS]
        return pd.concat(parts, axis=1)

    return step


def in_duckdb(lake: Path, cutoff: datetime) -> Callable[[], Any]:
    import duckdb

    def counted(name: str, time: str, condition: str = "true") -> str:
        age = f"epoch(TIMESTAMPTZ '{cutoff.isoformat()}' - {time})"
        filtered = [f"count(*) FILTER ({condition} AND {age} <= {days * 86_400}) AS {name}_{days}d" for days in WINDOWS]
        return ", ".join([*filtered, f"count(*) FILTER ({condition}) AS {name}", f"min({age}) FILTER ({condition})"])

    def source(name: str) -> str:
        return f"read_parquet('{lake / name}/*.parquet')"

    age = f"epoch(TIMESTAMPTZ '{cutoff.isoformat()}' - ordered_at)"
    money = ", ".join(f"sum(amount) FILTER ({age} <= {days * 86_400}) AS amount_{days}d" for days in WINDOWS)
    events = ", ".join(counted(kind, "occurred_at", f"type = '{kind}'") for kind in EVENT_TYPES)

    def grouped(columns: str, rows: str, time: str, condition: str = "true") -> str:
        before = f"{time} < TIMESTAMPTZ '{cutoff.isoformat()}'"
        return f"SELECT customer_id, {columns} FROM {rows} WHERE {before} AND {condition} GROUP BY 1"  # noqa: S608

    paid = f"(SELECT order_id, sum(amount) AS amount FROM {source('order_lines')} GROUP BY 1)"  # noqa: S608
    orders = f"{source('orders')} JOIN {paid} USING (order_id)"
    columns = f"{counted('orders', 'ordered_at')}, {money}, sum(amount), max({age})"
    parts = [
        grouped(columns, orders, "ordered_at", "status = 'completed'"),
        grouped(events, source("events"), "occurred_at"),
        *(grouped(counted(name, TIMES[name]), source(name), TIMES[name]) for name in OTHERS),
    ]
    joined = f"({parts[0]}) AS p0 " + " ".join(
        f"LEFT JOIN ({part}) AS p{number} USING (customer_id)" for number, part in enumerate(parts[1:], 1)
    )
    connection = duckdb.connect()
    connection.execute("SET threads = 1; SET TimeZone = 'UTC'")
    return lambda: connection.sql(f"SELECT * FROM {joined}").to_arrow_table()  # noqa: S608


def in_polars(lake: Path, cutoff: datetime) -> Callable[[], Any]:
    import polars as pl

    def counted(name: str, time: str, condition: Any = None) -> list[Any]:
        at = pl.col(time) if condition is None else pl.col(time).filter(condition)
        within = [(at >= cutoff - timedelta(days=days)).sum().alias(f"{name}_{days}d") for days in WINDOWS]
        return [*within, at.count().alias(name), at.max().alias(f"{name}_last")]

    def scan(name: str, time: str) -> Any:
        return pl.scan_parquet(f"{lake / name}/*.parquet").filter(pl.col(time) < cutoff)

    def step() -> Any:
        lines = pl.scan_parquet(f"{lake / 'order_lines'}/*.parquet").group_by("order_id").agg(pl.col("amount").sum())
        orders = scan("orders", "ordered_at").filter(pl.col("status") == "completed").join(lines, on="order_id")
        recent = [pl.col("ordered_at") >= cutoff - timedelta(days=days) for days in WINDOWS]
        money = [
            pl.col("amount").filter(one).sum().alias(f"amount_{days}d")
            for one, days in zip(recent, WINDOWS, strict=True)
        ]
        everything = [*money, pl.col("amount").sum(), pl.col("ordered_at").min().alias("first")]
        joined = orders.group_by("customer_id").agg(*counted("orders", "ordered_at"), *everything)
        kinds = [one for kind in EVENT_TYPES for one in counted(kind, "occurred_at", pl.col("type") == kind)]
        joined = joined.join(
            scan("events", "occurred_at").group_by("customer_id").agg(*kinds), on="customer_id", how="left"
        )
        for name in OTHERS:
            part = scan(name, TIMES[name]).group_by("customer_id").agg(*counted(name, TIMES[name]))
            joined = joined.join(part, on="customer_id", how="left")
        return joined.collect(engine="streaming")

    return step
