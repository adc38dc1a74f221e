"""Bulk online write against Feast's own materialize, on SQLite and on Redis, 30 features in 3 views.

    python -m benchmarks.online_write

writes benchmarks/results/online_write.json. Needs redis-server for the part on Redis. A million customers are written
by us alone: Feast would take minutes.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.feature_files import VIEWS, open_store, write
from benchmarks.measured import alone, record
from tests.fakes.redis_server import redis_server, why_absent

SIDE_BY_SIDE = (10_000, 100_000)
OURS_ALONE = 1_000_000


def by_us(folder: Path, url: str, cutoff: datetime) -> Callable[[], Any]:
    store = open_store(folder, url)

    def step() -> None:
        for view in VIEWS:
            store.materialize_view(view, cutoff)

    return step


def by_feast(folder: Path, url: str, cutoff: datetime) -> Callable[[], Any]:
    store = open_store(folder, url).sdk
    return lambda: store.materialize(cutoff - timedelta(seconds=1), cutoff)


def side_by_side(customers: int, store: str, urls: tuple[str, str]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        [cutoff] = write(root / "offline", customers, 1, timedelta(0))
        ours, feast = alone(by_us, root, urls[0], cutoff), alone(by_feast, root, urls[1], cutoff)
    return {
        "store": store,
        "customers": customers,
        "features": 30,
        "ours": ours,
        "feast": feast,
        "feast_over_ours": round(feast.seconds / ours.seconds, 1),
        "feast_over_ours_cpu": round(feast.cpu_seconds / ours.cpu_seconds, 1),
    }


def ours_alone(customers: int, url: str) -> dict[str, Any]:
    """Redis only; the server's own processor time is told too, since it is another process."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        [cutoff] = write(root / "offline", customers, 1, timedelta(0))
        before = server_cpu_seconds(url)
        figures = alone(by_us, root, url, cutoff)
    used = round(server_cpu_seconds(url) - before, 2)
    return {"store": "redis", "customers": customers, "features": 30, "ours": figures, "server_cpu_seconds": used}


def server_cpu_seconds(url: str) -> float:
    from redis import Redis

    told: Any = Redis.from_url(url).info("cpu")
    return float(told["used_cpu_user"] + told["used_cpu_sys"])


def rows() -> Iterator[dict[str, Any]]:
    for customers in SIDE_BY_SIDE:
        with tempfile.TemporaryDirectory() as folder:
            urls = f"sqlite:///{folder}/ours.db", f"sqlite:///{folder}/feast.db"
            yield side_by_side(customers, "sqlite", urls)
    absent = why_absent()
    if absent:
        sys.stdout.write(f"Redis is left out: {absent}\n")
        return
    with tempfile.TemporaryDirectory() as folder, redis_server(Path(folder)) as url:
        for number, customers in enumerate(SIDE_BY_SIDE):
            yield side_by_side(customers, "redis", (f"{url}/{2 * number}", f"{url}/{2 * number + 1}"))
        yield ours_alone(OURS_ALONE, f"{url}/15")


if __name__ == "__main__":
    record("online_write", rows(), ("feast", "redis", "hiredis", "pyarrow", "numpy"))
