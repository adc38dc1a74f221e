"""What came into the lake's feature tables between two versions of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc

from holdfast.adapters.lake import DeltaLake
from holdfast.errors import MissingDataError
from holdfast.features.log import COLUMNS, TIMES

ALWAYS = datetime.max.replace(tzinfo=UTC)

_NEEDED = ("orders", "order_lines")


@dataclass(frozen=True)
class Added:
    """Rows that came in, by table; every order line among them belongs to an order among them."""

    rows: Mapping[str, pa.Table]

    @property
    def earliest(self) -> datetime:
        """When the earliest of the events happened; ``ALWAYS`` when there are none."""
        times = [pc.min(self.rows[name][time]).as_py() for name, time in TIMES.items() if name in self.rows]
        return min((time for time in times if time is not None), default=ALWAYS)

    @property
    def customers(self) -> pa.Array:
        """Whose rows came in."""
        ids = [self.rows[name]["customer_id"].combine_chunks() for name in TIMES if name in self.rows]
        return pc.unique(pa.concat_arrays([one.cast(pa.string()) for one in ids])) if ids else pa.array([], pa.string())

    def __len__(self) -> int:
        return sum(len(rows) for rows in self.rows.values())


def versions_now(lake: DeltaLake) -> dict[str, int]:
    """The present version of each table that features read, as far as there is one.

    Raises MissingDataError when the lake holds no orders, or not their lines.
    """
    for name in _NEEDED:
        if not lake.exists(name):
            raise MissingDataError(f"the lake holds no table {name!r} yet. Run the stage that writes it first.")
    return {name: lake.version(name) for name in COLUMNS if lake.exists(name)}


def unchanged_before(lake: DeltaLake, since: Mapping[str, int], now: Mapping[str, int]) -> datetime | None:
    """As ``FeatureEngine.unchanged_before``, between two sets of versions."""
    new = added(lake, since, now)
    return None if new is None else new.earliest


def added(lake: DeltaLake, since: Mapping[str, int], now: Mapping[str, int]) -> Added | None:
    """What came in between two sets of versions.

    None when that is more than new events: a table appeared or vanished, rows were changed or deleted, lines came in
    for an order that was there before, or a product for lines that were there before.
    """
    if set(since) != set(now):
        return None
    rows: dict[str, pa.Table] = {}
    for name, version in now.items():
        new = lake.added(name, COLUMNS[name], since[name], version) if since[name] != version else None
        if new is None and since[name] != version:
            return None
        if new is not None and len(new):
            rows[name] = new
    if "order_lines" in rows and not _all_among(rows["order_lines"], "order_id", rows.get("orders")):
        return None
    if "products" in rows and _sold_before(lake, rows, now["order_lines"]):
        return None
    return Added(rows)


def _all_among(rows: pa.Table, column: str, others: pa.Table | None) -> bool:
    if others is None:
        return False
    return bool(pc.all(pc.is_in(rows[column], value_set=others[column].combine_chunks())).as_py())


def _sold_before(lake: DeltaLake, rows: Mapping[str, pa.Table], version: int) -> bool:
    """Whether a line from before names a product that came in only now."""
    products = rows["products"]["product_id"].combine_chunks().cast(pa.string())

    def lines_of(column: pa.Array) -> int:
        if pa.types.is_dictionary(column.type):
            found = pc.is_in(column.dictionary, value_set=products).take(column.indices)
        else:
            found = pc.is_in(column, value_set=products)
        return int(pc.sum(found).as_py() or 0)

    ever = sum(lines_of(batch["product_id"]) for batch in lake.scan("order_lines", ["product_id"], version))
    new = sum(lines_of(one) for one in rows["order_lines"]["product_id"].chunks) if "order_lines" in rows else 0
    return ever > new
