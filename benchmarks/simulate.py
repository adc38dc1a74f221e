"""How fast, and in how much memory, a shop is simulated into landing files: python -m benchmarks.simulate [CUSTOMERS].

Each size in a process of its own, into a folder that is deleted afterwards. Rows are those of all landing tables; the
first day, which brings every established customer, is measured with the others.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measured import alone, record
from holdfast.adapters.simulated_files import simulate
from holdfast.adapters.yaml_files import load
from holdfast.simulator.config import ShopConfig
from holdfast.simulator.shop import SimulatedShop

SEED = 1
SIZES = ((1_000, 365), (100_000, 60), (1_000_000, 10), (10_000_000, 3))
"""Customers and days."""


def config() -> ShopConfig:
    return load(Path(__file__).parents[1] / "config" / "simulator.yaml", ShopConfig)


def simulating(customers: int, days: int, out: str) -> Callable[[], Any]:
    return lambda: simulate(SimulatedShop(config(), customers, SEED), days, Path(out), truth_days=0)


def rows_in(landing: Path) -> int:
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(path).num_rows for path in landing.rglob("*.parquet"))


def measured(most: int) -> Any:
    for customers, days in SIZES:
        if customers > most:
            continue
        with tempfile.TemporaryDirectory(prefix="holdfast-simulate-") as folder:
            figures = alone(simulating, customers, days, folder)
            rows = rows_in(Path(folder) / "landing")
            size = sum(path.stat().st_size for path in Path(folder).rglob("*.parquet"))
        yield {
            "customers": customers,
            "days": days,
            "rows": rows,
            "rows_per_cpu_second": round(rows / figures.cpu_seconds),
            "megabytes_written": size // 1_000_000,
            "figures": figures,
        }


if __name__ == "__main__":
    record("simulate", measured(int(sys.argv[1]) if len(sys.argv) > 1 else SIZES[-1][0]), ["numpy", "pyarrow"])
