"""What a loop leaves behind, in a form in which that of two deployments can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
from sqlalchemy import create_engine, text

from holdfast.adapters.lake import DeltaLake

LAKE = ("batches", "customers", "orders", "order_lines", "products", "redemptions", "quarantine", "feature_cutoffs")


@dataclass(frozen=True)
class Outcome:
    """Rows of the lake by table and of Feast's files by name; scores by customer; assignments and messages without what
    is drawn anew each time.
    """

    rows: Mapping[str, int]
    features: Mapping[str, int]
    scores: pd.DataFrame
    assignments: frozenset[tuple[str, str, str]]
    messages: Mapping[tuple[str, str], int]
    emails: int


def outcome(home: Path, operations: str) -> Outcome:
    """What the loop left in this home and operations database."""
    lake = DeltaLake(home / "lake")
    known = set(lake.tables())
    engine = create_engine(operations)
    with engine.connect() as connection:

        def rows(query: str) -> list[Any]:
            return list(connection.execute(text(query)))

        assignments = frozenset((a, b, c) for a, b, c in rows("SELECT campaign_id, customer_id, arm FROM assignments"))
        messages = {
            (channel, state): count
            for channel, state, count in rows("SELECT channel, state, COUNT(*) FROM outbox GROUP BY channel, state")
        }
    engine.dispose()
    scores = lake.read("scores")[["customer_id", "probability", "tier"]]
    return Outcome(
        rows={table: len(lake.read(table)) for table in LAKE if table in known},
        features={
            path.relative_to(home).as_posix(): pq.read_metadata(path).num_rows
            for path in (home / "feast/offline").rglob("*.parquet")
        },
        scores=scores.sort_values("customer_id", ignore_index=True),
        assignments=assignments,
        messages=messages,
        emails=len(list((home / "mail" / "new").iterdir())),
    )
