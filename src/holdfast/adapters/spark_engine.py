"""The feature kernel on Spark, for when one machine is too small: the same kernel on each part of the customers.

Spark shares the rows out by customer and runs the kernel on each part under ``mapInArrow``; the parts of one cutoff
are put together here, as everywhere, since some families look at all customers at once.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from holdfast.adapters import feature_changes
from holdfast.adapters.feature_changes import versions_now
from holdfast.adapters.lake import DeltaLake
from holdfast.errors import SettingsError
from holdfast.features.catalog import FAMILIES, fed_by
from holdfast.features.compute import CUSTOMER, assemble, kernel
from holdfast.features.log import COLUMNS, Log
from holdfast.ports import FeatureInputs, FeaturesAsOf

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_TABLE, _CUTOFF = "table", "cutoff"
_SEPARATOR = "__"


class SparkEngine:
    """The FeatureEngine port. ``master`` is Spark's; ``home`` must be a folder that driver and executors share."""

    def __init__(self, lake: DeltaLake, zone: ZoneInfo, home: Path, master: str, parts: int) -> None:
        self._lake = lake
        self._zone = zone
        self._home = home
        self._master = master
        self._parts = parts

    @cached_property
    def _versions(self) -> dict[str, int]:
        return versions_now(self._lake)

    @cached_property
    def _filled(self) -> list[str]:
        """The tables that hold any row."""
        return [name for name, version in self._versions.items() if self._lake.rows(name, version)]

    @cached_property
    def _inputs(self) -> FeatureInputs:
        types = []
        if "events" in self._filled:
            types = [row[0] for row in self._read("events").select("type").distinct().collect()]
        return FeatureInputs(self._versions, fed_by(self._filled, types))

    def inputs(self) -> FeatureInputs:
        return self._inputs

    def unchanged_before(self, versions: Mapping[str, int]) -> datetime | None:
        return feature_changes.unchanged_before(self._lake, versions, self._versions)

    def compute(self, cutoffs: Sequence[date]) -> Iterator[FeaturesAsOf]:
        days, families = sorted(set(cutoffs)), self.inputs().families
        if not days:
            return
        out = self._home / f"spark-{os.getpid()}"
        names = [family.name for family in families]
        own = [feature.name for family in families if family.compute is not None for feature in family.features]
        schema = f"{CUSTOMER} string, {_CUTOFF} string, " + ", ".join(f"{name} double" for name in own)
        try:
            by_customer = self._rows().repartition(self._parts, CUSTOMER)
            computed = by_customer.mapInArrow(_on_part(self._products(), days, self._zone, names), schema)
            computed.write.partitionBy(_CUTOFF).parquet(str(out))
            for day in days:
                files = sorted((out / f"{_CUTOFF}={day}").glob("*.parquet"))
                parts = [pq.ParquetFile(path).read() for path in files]
                rows = pa.concat_tables(parts) if parts else pa.table({name: [] for name in (CUSTOMER, *own)})
                in_order = rows.take(pc.sort_indices(rows[CUSTOMER]))
                yield FeaturesAsOf(day, assemble([in_order], day, self._zone, families))
        finally:
            shutil.rmtree(out, ignore_errors=True)

    def _rows(self) -> DataFrame:
        """The rows of all tables in one frame: whose they are, of which table, and that table's columns."""
        frames = {name: self._read(name) for name in self._filled if name != "products"}
        owner = frames["orders"].select("order_id", CUSTOMER)
        frames["order_lines"] = frames["order_lines"].join(owner, "order_id")
        tagged = [_tagged(name, frame) for name, frame in frames.items()]
        rows = tagged[0]
        for one in tagged[1:]:
            rows = rows.unionByName(one, allowMissingColumns=True)
        return rows

    def _read(self, name: str) -> DataFrame:
        frame = self._session.read.parquet(*self._lake.files(name, self._versions[name]))
        return frame.select(*(column for column in COLUMNS[name] if column in frame.columns))

    def _products(self) -> pa.Table | None:
        if "products" not in self._filled:
            return None
        return pa.Table.from_batches(self._lake.scan("products", COLUMNS["products"], self._versions["products"]))

    @cached_property
    def _session(self) -> SparkSession:
        try:
            from pyspark.sql import SparkSession
        except ModuleNotFoundError as error:
            raise SettingsError(
                "HOLDFAST_FEATURE_ENGINE is spark, but PySpark is not installed. Install holdfast[spark] and Java 17, "
                "or set HOLDFAST_FEATURE_ENGINE=local."
            ) from error
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
        options = {
            "spark.sql.session.timeZone": "UTC",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.ui.enabled": "false",
            "spark.sql.mergeSchema": "true",
        }
        builder: Any = SparkSession.builder.master(self._master).appName("holdfast-features")
        for name, value in options.items():
            builder = builder.config(name, value)
        session: SparkSession = builder.getOrCreate()
        return session


def _tagged(name: str, frame: DataFrame) -> DataFrame:
    from pyspark.sql import functions

    others = [functions.col(one).alias(f"{name}{_SEPARATOR}{one}") for one in frame.columns if one != CUSTOMER]
    return frame.select(functions.col(CUSTOMER), functions.lit(name).alias(_TABLE), *others)


def _on_part(
    products: pa.Table | None, days: Sequence[date], zone: ZoneInfo, names: Sequence[str]
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """What each part does: from its rows, as ``SparkEngine._rows`` tags them, to its features by cutoff."""
    zone_name = zone.key

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        arrived = list(batches)
        tables = _untagged(pa.Table.from_batches(arrived)) if arrived else {}
        if "orders" not in tables or "order_lines" not in tables:
            return
        if products is not None:
            tables["products"] = products
        families = [family for family in FAMILIES if family.name in names]
        for day, found in kernel(Log.build(tables), days, ZoneInfo(zone_name), families).items():
            cutoff = pa.array([day.isoformat()] * len(found), pa.string())
            yield from found.add_column(1, _CUTOFF, cutoff).combine_chunks().to_batches()

    return run


def _untagged(rows: pa.Table) -> dict[str, pa.Table]:
    """The canonical tables in the rows of one part."""
    tables = {}
    for name in pc.unique(rows[_TABLE]).to_pylist():
        own = rows.filter(pc.equal(rows[_TABLE], name))
        columns = {CUSTOMER: own[CUSTOMER]} | {
            one.removeprefix(name + _SEPARATOR): own[one]
            for one in rows.column_names
            if one.startswith(name + _SEPARATOR)
        }
        tables[name] = pa.table(columns)
    return tables
