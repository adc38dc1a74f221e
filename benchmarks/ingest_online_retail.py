"""How fast UCI's Online Retail (541,909 lines) goes in, validation included, and what Great Expectations takes of it.

    python benchmarks/ingest_online_retail.py

reads ../shared/data/online_retail_by_day and writes benchmarks/results/ingest_online_retail.json. The references,
measured in the same run: reading all files as text, and mapping them as well.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from holdfast import mapping
from holdfast.adapters import files
from holdfast.adapters.lake import DeltaLake
from holdfast.adapters.operations import database
from holdfast.adapters.operations.sealing import Keyring
from holdfast.adapters.operations.vault import SqlVault
from holdfast.adapters.quality import GreatExpectations
from holdfast.adapters.sources import LandingDirectory
from holdfast.adapters.yaml_files import load
from holdfast.pipelines.ingest import Ingest

PROJECT = Path(__file__).resolve().parents[1]
DATA = PROJECT.parent / "shared" / "data" / "online_retail_by_day"
RESULT = PROJECT / "benchmarks" / "results" / "ingest_online_retail.json"
LINES = 541_909


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


def timed(work: Callable[[], Any]) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    seconds = time.perf_counter() - wall
    used = time.process_time() - cpu
    return {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(used, 2),
        "rows_per_second": round(LINES / seconds),
        "rows_per_cpu_second": round(LINES / round(used, 2)),
    }


def ingested(source: mapping.Mapping, landed: list[Path], *, daily: bool) -> dict[str, float]:
    """Figures of ingest into a new lake: a run a day, or the backlog at once as it is sharded by the pipeline."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        database.upgrade(f"sqlite:///{root / 'operations.db'}")
        quality = TimedQuality(GreatExpectations(PROJECT / "great_expectations", root / "quality"))
        landing = root / "landing"
        landing.mkdir()
        ingest = Ingest(
            landing=LandingDirectory(landing),
            source=source,
            zone=ZoneInfo("Europe/London"),
            lake=DeltaLake(root / "lake"),
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

        figures = timed(by_day if daily else at_once)
        return figures | {"share_of_great_expectations": round(quality.seconds / figures["seconds"], 3)}


def main() -> None:
    landed = sorted(DATA.glob("*.csv"))
    if not landed:
        sys.exit(f"{DATA} holds no landing files")
    source = load(PROJECT / "sources" / "online_retail.yaml", mapping.Mapping)
    form = source.inputs["sales"].format
    import great_expectations  # noqa: F401 - its import is no part of validation

    contents = {file: files.read(file, form, file.name) for file in landed}
    figures = {
        "read as text": timed(lambda: [files.read(file, form, file.name) for file in landed]),
        "map": timed(
            lambda: [mapping.apply(source.inputs["sales"], one.rows, file.name) for file, one in contents.items()]
        ),
        "ingest, the backlog at once": ingested(source, landed, daily=False),
        "ingest, 305 daily runs": ingested(source, landed, daily=True),
    }
    packages = ("great-expectations", "deltalake", "pyarrow", "pandas")
    result = {
        "measured_at": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": {"cores": os.cpu_count(), "platform": platform.machine(), "load_before": round(LOAD, 1)},
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
        "lines": LINES,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "figures": figures,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    sys.stdout.write(RESULT.read_text(encoding="utf-8"))


LOAD = os.getloadavg()[0]

if __name__ == "__main__":
    main()
