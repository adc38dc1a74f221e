"""Synthetic feature tables as Parquet, and a Feast repository that reads them: 30 features in 3 views."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from holdfast.adapters.atomic import ROWS_PER_GROUP
from holdfast.adapters.feature_store import FeastStore
from holdfast.adapters.online.configured import feast_config, writer

VIEWS = {f"view_{v}": [f"feature_{v}_{i}" for i in range(10)] for v in range(3)}
TTL = timedelta(days=35)
FIRST = datetime(2024, 1, 7, tzinfo=UTC)
WRITTEN = datetime(2025, 1, 1, tzinfo=UTC)

_CONFIG = """
project: benchmark
provider: local
registry: {{registry_type: sql, path: "sqlite:///{folder}/registry.db"}}
offline_store: {{type: duckdb}}
online_store: {online}
entity_key_serialization_version: 3
materialization: {{pull_latest_features: true, online_write_batch_size: 10000}}
"""


def write(folder: Path, customers: int, cutoffs: int, step: timedelta) -> list[datetime]:
    """One file a view and cutoff, rows sorted by customer; returns the cutoffs."""
    draw = np.random.default_rng(7)
    ids = pa.array([f"customer-{i:08d}" for i in range(customers)])
    times = [FIRST + step * number for number in range(cutoffs)]
    for view, names in VIEWS.items():
        (folder / view).mkdir(parents=True, exist_ok=True)
        for at in times:
            columns = {name: draw.random(customers) for name in names}
            table = pa.table(
                {"customer_id": ids, "event_timestamp": _always(at, customers)}
                | columns
                | {"created_timestamp": _always(WRITTEN, customers)}
            )
            pq.write_table(table, folder / view / f"{at:%Y-%m-%d}.parquet", row_group_size=ROWS_PER_GROUP)
    return times


def entities(customers: int, times: list[datetime]) -> pd.DataFrame:
    """Each customer asked for at every cutoff, sorted by customer, as a training set is."""
    ids = np.array([f"customer-{i:08d}" for i in range(customers)], dtype=object)
    moments = pd.DatetimeIndex(times).as_unit("us")
    return pd.DataFrame(
        {
            "customer_id": np.repeat(ids, len(times)),
            "event_timestamp": moments.take(np.tile(np.arange(len(times)), customers)),
        }
    )


def open_store(folder: Path, online_url: str) -> FeastStore:
    """A store on a new Feast repository in ``folder`` over ``folder/offline``, its views applied."""
    from feast import Entity, FeatureView, Field, FileSource, ValueType
    from feast.data_format import ParquetFormat
    from feast.types import Float64, String

    (folder / "feature_store.yaml").write_text(_CONFIG.format(folder=folder, online=feast_config(online_url)))
    store = FeastStore(folder, folder / "offline", WRITTEN, writer(online_url))
    customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.STRING)
    views = [
        FeatureView(
            name=view,
            entities=[customer],
            ttl=TTL,
            schema=[Field(name="customer_id", dtype=String), *(Field(name=name, dtype=Float64) for name in names)],
            source=FileSource(
                name=f"{view}_source",
                path=str(folder / "offline" / view / "*.parquet"),
                file_format=ParquetFormat(),
                timestamp_field="event_timestamp",
                created_timestamp_column="created_timestamp",
            ),
        )
        for view, names in VIEWS.items()
    ]
    store.sdk.apply([customer, *views])
    return store


def _always(moment: datetime, rows: int) -> pa.Array:
    return pa.array(np.full(rows, np.datetime64(moment.replace(tzinfo=None), "us")), pa.timestamp("us", "UTC"))
