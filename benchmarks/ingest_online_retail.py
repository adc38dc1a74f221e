"""How fast UCI's Online Retail (541,909 lines) goes in, validation included, and what Great Expectations takes of it.

    python -m benchmarks.ingest_online_retail [DAYS]

reads ../shared/data/online_retail_by_day (the first so many days of it) and writes
benchmarks/results/ingest_online_retail.json. The references, measured in the same run: reading all files as text, and
mapping them as well. Every line must end in order_lines or in quarantine.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from benchmarks.measured import record
from holdfast import mapping
from holdfast.adapters import files
from holdfast.adapters.lake import DeltaLake
from holdfast.adapters.operations import database
from holdfast.adapters.operations.sealing import Keyring
from holdfast.adapters.operations.vault import SqlVault
from holdfast.adapters.quality import GreatExpectations
from holdfast.adapters.sources import LandingDirectory
from holdfast.adapters.yaml_files import load
from holdfast.pipelines.ingest import QUARANTINE, Ingest

PROJECT = Path(__file__).resolve().parents[1]
DATA = PROJECT.parent / "shared" / "data" / "online_retail_by_day"
LINES = 541_909
"""Of all 305 files."""


class TimedQuality:
    """Great Expectations, with the time it takes added up."""

    def __init__(self, inner: GreatExpectations) -> None:
        self._inner = inner
        self.seconds = 0.0

    def check(self, table: str, rows: pd.DataFrame, name: str) -> None:
        begun = time.perf_counter()
        self._inner.check(table, rows, name)
        self.seconds += time.perf_counter() - begun

    def publish(self) -> Path:
        begun = time.perf_counter()
        page = self._inner.publish()
        self.seconds += time.perf_counter() - begun
        return page


def timed(work: Callable[[], Any], lines: int) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    seconds = time.perf_counter() - wall
    used = time.process_time() - cpu
    return {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(used, 2),
        "rows_per_second": round(lines / seconds),
        "rows_per_cpu_second": round(lines / max(used, 0.01)),
    }


def ingested(source: mapping.Mapping, landed: Sequence[Path], lines: int, *, daily: bool) -> dict[str, float]:
    """Figures of ingest into a new lake: a run a day, or the backlog at once as it is sharded by the pipeline.

    Raises RuntimeError when a line is neither accepted nor in quarantine.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        database.upgrade(f"sqlite:///{root / 'operations.db'}")
        quality = TimedQuality(GreatExpectations(PROJECT / "great_expectations", root / "quality"))
        lake = DeltaLake(root / "lake")
        landing = root / "landing"
        landing.mkdir()
        ingest = Ingest(
            landing=LandingDirectory(landing),
            source=source,
            zone=ZoneInfo("Europe/London"),
            lake=lake,
            vault=SqlVault(database.connect(f"sqlite:///{root / 'operations.db'}"), Keyring(("a key",))),
            quality=quality,
            now=datetime.now(UTC),
        )

        def by_day() -> None:
            for file in landed:
                (landing / file.name).symlink_to(file)
                ingest.run([file.name])

        def at_once() -> None:
            for file in landed:
                (landing / file.name).symlink_to(file)
            ingest.finish(ingest.drain())

        figures = timed(by_day if daily else at_once, lines)
        accepted = len(lake.read("order_lines", ["order_id"]))
        rejected = len(lake.read(QUARANTINE, ["file", "row"]).drop_duplicates())
        if accepted + rejected != lines:
            raise RuntimeError(f"{lines} lines went in, {accepted} were accepted and {rejected} are in quarantine")
        share = round(quality.seconds / figures["seconds"], 3)
        return figures | {"accepted": accepted, "in_quarantine": rejected, "share_of_great_expectations": share}


def rows(days: int | None) -> Iterator[dict[str, Any]]:
    landed = sorted(DATA.glob("*.csv"))[:days]
    if not landed:
        sys.exit(f"{DATA} holds no landing files")
    source = load(PROJECT / "sources" / "online_retail.yaml", mapping.Mapping)
    form = source.inputs["sales"].format
    import great_expectations  # noqa: F401 - its import is no part of validation

    contents = {file: files.read(file, form, file.name) for file in landed}
    lines = sum(one.rows.num_rows + len(one.broken) for one in contents.values())
    if days is None and lines != LINES:
        raise RuntimeError(f"{DATA} holds {lines} lines, not the {LINES} of the data set")

    def reading() -> None:
        for file in landed:
            files.read(file, form, file.name)

    def mapping_too() -> None:
        for file, one in contents.items():
            mapping.apply(source.inputs["sales"], one.rows, file.name)

    of = {"files": len(landed), "lines": lines}
    yield {"step": "read as text"} | of | timed(reading, lines)
    yield {"step": "map"} | of | timed(mapping_too, lines)
    yield {"step": "ingest, the backlog at once"} | of | ingested(source, landed, lines, daily=False)
    yield {"step": "ingest, a run a day"} | of | ingested(source, landed, lines, daily=True)


if __name__ == "__main__":
    record(
        "ingest_online_retail",
        rows(int(sys.argv[1]) if sys.argv[1:] else None),
        ("great-expectations", "deltalake", "pyarrow", "pandas"),
    )
