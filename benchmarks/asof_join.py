"""Our as-of join against Feast's DuckDB store and Polars' join_asof, over the same Parquet files.

    python -m benchmarks.asof_join [CASE ...]

writes benchmarks/results/asof_join.json: 30 features in 3 views, each customer asked for at six cutoffs four weeks
apart, and a deep history of 180 daily cutoffs. Polars takes part where it can be imported (for instance from a folder
made by ``pip install --target FOLDER polars`` and put on PYTHONPATH); it is no dependency. Before anything is measured,
all are asked the same few thousand questions and must give the same answers.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from benchmarks.feature_files import TTL, VIEWS, entities, open_store, write
from benchmarks.measured import alone, record
from holdfast.asof import FeatureTable, asof_join

CASES = {  # name: customers, cutoffs, days between them; the last six cutoffs are asked for
    "10k x 6": (10_000, 6, 28),
    "100k x 6": (100_000, 6, 28),
    "1M x 6": (1_000_000, 6, 28),
    "deep: 20k x 180": (20_000, 180, 1),
}
ASKED = 6
FEATURES = [name for names in VIEWS.values() for name in names]
SMALL = 500
"""Customers of the questions that all must answer alike."""


Join = Callable[[Path, int, list[datetime]], Callable[[], Any]]
"""Made ready for files, a number of customers, and when each is asked about; called, it joins."""


def ours(offline: Path, customers: int, times: list[datetime]) -> Callable[[], Any]:
    asked = entities(customers, times)

    def tables() -> Iterator[FeatureTable]:
        for view in VIEWS:
            yield FeatureTable(pq.read_table(offline / view, read_dictionary=["customer_id"]), TTL)

    return lambda: asof_join(asked, tables())


def polars(offline: Path, customers: int, times: list[datetime]) -> Callable[[], Any]:
    import polars as pl

    asked = pl.from_pandas(entities(customers, times)).with_row_index("row")

    def step() -> Any:
        joined = asked.sort("event_timestamp")
        for view in VIEWS:
            right = pl.read_parquet(offline / view / "*.parquet").sort("event_timestamp", "created_timestamp")
            joined = joined.join_asof(
                right.drop("created_timestamp"),
                on="event_timestamp",
                by="customer_id",
                tolerance=TTL,
                check_sortedness=False,
            )
        return joined.sort("row")

    return step


def feast(offline: Path, customers: int, times: list[datetime]) -> Callable[[], Any]:
    asked = entities(customers, times)
    with tempfile.TemporaryDirectory() as unused:
        store = open_store(offline.parent, f"sqlite:///{unused}/online.db").sdk
    features = [f"{view}:{name}" for view, names in VIEWS.items() for name in names]
    return lambda: store.get_historical_features(entity_df=asked, features=features).to_df()


def require_same_answers(joins: Mapping[str, Join]) -> None:
    """Ask at and between cutoffs, before the first, and at the end of the last values' time to live and just after."""
    with tempfile.TemporaryDirectory() as folder:
        offline = Path(folder) / "offline"
        known = write(offline, SMALL, ASKED, timedelta(days=28))
        first, last, second = known[0], known[-1], timedelta(seconds=1)
        times = [first - second, *known, last - second, last + TTL, last + TTL + second]
        found = {name: _answers(join(offline, SMALL, times)()) for name, join in joins.items()}
    for name, answers in found.items():
        pd.testing.assert_frame_equal(answers, found["ours"], check_dtype=False, obj=f"the answers of {name}")
    nulls = found["ours"][FEATURES[0]].isna().sum()
    if nulls != 2 * SMALL:
        raise RuntimeError(f"{nulls} of {len(times) * SMALL} questions have no answer, where {2 * SMALL} have none")


def _answers(joined: Any) -> pd.DataFrame:
    """Features by question, however the join gives them."""
    rows: pd.DataFrame = joined if isinstance(joined, pd.DataFrame) else joined.to_pandas()
    seconds = rows["event_timestamp"].map(lambda at: at.timestamp()).rename("asked_at")
    return rows.set_index([rows["customer_id"].astype(str), seconds])[FEATURES].sort_index()


def rows(cases: Sequence[str]) -> Iterator[dict[str, Any]]:
    joins: dict[str, Join] = {"ours": ours, "feast": feast}
    if find_spec("polars"):
        joins["polars"] = polars
    else:
        sys.stdout.write("Polars is left out: it cannot be imported\n")
    require_same_answers(joins)
    for name in cases:
        customers, cutoffs, step = CASES[name]
        with tempfile.TemporaryDirectory() as folder:
            offline = Path(folder) / "offline"
            times = write(offline, customers, cutoffs, timedelta(days=step))[-ASKED:]
            found = {who: alone(join, offline, customers, times) for who, join in joins.items()}
        base = found["ours"]
        ratios: dict[str, float] = {}
        for other in [one for one in ("polars", "feast") if one in found]:
            ratios[f"ours_over_{other}"] = round(base.seconds / found[other].seconds, 2)
            ratios[f"ours_over_{other}_cpu"] = round(base.cpu_seconds / found[other].cpu_seconds, 2)
        yield {"case": name, "questions": customers * ASKED} | found | ratios


if __name__ == "__main__":
    known = ("feast", "duckdb", "pyarrow", "numpy", *(["polars"] if find_spec("polars") else []))
    record("asof_join", rows(sys.argv[1:] or list(CASES)), known)
