"""A disk that is full at any write: the last good version stays readable, and one error says where and what to do."""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from holdfast.adapters import sample
from holdfast.adapters.atomic import write_bytes
from holdfast.adapters.feature_store import FeastStore
from holdfast.adapters.lake import DeltaLake
from holdfast.adapters.online.layout import Rows
from holdfast.adapters.online.sqlite_rows import SqliteRows
from holdfast.adapters.operations import database
from holdfast.adapters.operations.models import ContactRow
from holdfast.adapters.operations.vault import SqlVault
from holdfast.adapters.registry import MlflowRegistry
from holdfast.adapters.scratch import FileScratch
from holdfast.errors import StorageError
from tests.fakes.candidate_run import candidate_run
from tests.fakes.operations import KEYRING
from tests.faults.small_disk import SmallDisk, small_disk

LARGE = 8_000
"""Rows of a second version that do not fit."""

DAY = datetime(2017, 11, 26, 5, tzinfo=UTC)


@dataclass(frozen=True)
class Site:
    """A place that is written to: ``write`` puts the n-th version there, ``read`` gives what a reader sees.

    ``write`` may add to what is there; ``read`` is compared with itself before and after a write that failed. Where it
    shows the first version alone, ``size`` is what a second one changes.
    """

    write: Callable[[int], object]
    read: Callable[[], object]
    named: str
    size: Callable[[], int] | None = None


def noise(rows: int, seed: int) -> pd.DataFrame:
    """Rows that no compression makes small."""
    drawn = np.random.default_rng(seed).random((rows, 8))
    table = pd.DataFrame(drawn, columns=[f"x{i}" for i in range(8)])
    return table.assign(customer_id=[f"{i}" for i in range(rows)], cutoff="2017-11-26", batch=f"batch-{seed}")


def rows(version: int) -> int:
    return 10 if version == 1 else LARGE


def lake_append(root: Path) -> Site:
    lake = DeltaLake(root / "lake")
    return Site(
        lambda version: lake.append("orders", noise(rows(version), version), [f"batch-{version}"]),
        lambda: (lake.version("orders"), len(lake.read("orders"))),
        "lake/orders",
    )


def scores(root: Path) -> Site:
    lake = DeltaLake(root / "lake")
    return Site(
        lambda version: lake.replace("scores", noise(rows(version), version), where={"cutoff": ["2017-11-26"]}),
        lambda: list(lake.read("scores")["x0"]),
        "lake/scores",
    )


def scratch(root: Path) -> Site:
    kept = FileScratch(root / "work")
    return Site(
        lambda version: kept.write("2017-11-26/training", noise(rows(version), version)),
        lambda: list(kept.read(str(root / "work/2017-11-26/training.parquet"))["x0"]),
        "work/2017-11-26/training.parquet",
    )


def feature_file(root: Path) -> Site:
    store = FeastStore(root, root / "offline", DAY, SqliteRows(root / "online.db"))

    def write(version: int) -> None:
        table = noise(rows(version), version).rename(columns={"x0": "days_since_order"})
        store.write({"order_recency": table[["customer_id", "cutoff", "days_since_order"]].assign(event_timestamp=DAY)})

    file = root / "offline/order_recency/2017-11-26.parquet"
    return Site(write, lambda: list(pd.read_parquet(file)["days_since_order"]), str(file))


def online_store(root: Path) -> Site:
    file = root / "online.db"
    with sqlite3.connect(file) as connection:
        connection.execute(
            "CREATE TABLE holdfast_v (entity_key BLOB, feature_name TEXT, value BLOB, value_text TEXT, "
            "vector_value BLOB, event_ts TIMESTAMP, created_ts TIMESTAMP, PRIMARY KEY (entity_key, feature_name))"
        )

    def write(version: int) -> None:
        table = noise(rows(version), version)
        columns = {name: pa.array(table[name]) for name in ("x0", "x1")}
        batch = Rows("v", DAY, DAY.replace(hour=5 + version), table["customer_id"].tolist(), columns)
        SqliteRows(file).write("holdfast", [batch])

    def read() -> list[tuple[object, ...]]:
        with sqlite3.connect(file) as connection:
            return connection.execute("SELECT * FROM holdfast_v ORDER BY 1, 2").fetchall()

    return Site(write, read, str(file))


def report(root: Path) -> Site:
    file = root / "reports/2017-11-26.html"
    return Site(
        lambda version: write_bytes(file, bytes(str(version), "ascii") * 1_000 * rows(version)),
        file.read_bytes,
        str(file),
    )


def landing_sample(root: Path) -> Site:
    first: list[Path] = []

    def landed() -> list[Path]:
        return [path for path in sorted((root / "landing").rglob("*.*")) if path.suffix in (".csv", ".parquet")]

    def write(version: int) -> None:
        until = date(2017, 1, 2) if version == 1 else date(2017, 3, 1)
        sample.land(root / "landing", until, customers_share=0.02 if version == 1 else 1)
        if version == 1:
            first.extend(landed())

    def read() -> dict[str, bytes]:
        """The files of the first version; and every file that is there is whole: each ends with its last line."""
        assert all(path.read_bytes().endswith(b"\n") for path in landed() if path.suffix == ".csv")
        return {path.name: path.read_bytes() for path in first}

    return Site(write, read, "landing/2017-", size=lambda: len(landed()))


def mlflow_artefact(root: Path) -> Site:
    engine = database.connect(f"sqlite:///{root.parent / 'operations.db'}")
    registry = MlflowRegistry(
        f"sqlite:///{root.parent / 'mlflow.db'}", root / "artifacts", lambda: database.exclusive(engine)
    )
    run = candidate_run()

    def write(version: int) -> None:
        large = replace(run, texts={"card/model_card.md": "x" * 1_000 * rows(version)})
        registry.register(registry.log(large))

    def read() -> object:
        version = registry.aliased("challenger")
        assert version is not None
        return version, registry.load(version).features

    return Site(write, read, str(root / "artifacts"))


def operations(root: Path) -> Site:
    url = f"sqlite:///{root / 'operations.db'}"
    database.upgrade(url)
    engine = database.connect(url)

    def read() -> int:
        with database.reading(engine) as connection:
            return len(connection.execute(ContactRow.__table__.select()).all())

    def write(version: int) -> None:
        customers = [f"{i}" for i in range(rows(version))]
        emails = [f"{one}-{'x' * 200}@shop.example" for one in customers]
        batch = f"batch-{version}"
        table = pd.DataFrame({"customer_id": customers, "email": emails, "given_name": None, "batch": batch})
        SqlVault(engine, KEYRING).append("contacts", table, [batch])

    return Site(write, read, "operations.db")


SITES = [
    lake_append, scores, scratch, feature_file, online_store, report, landing_sample, mlflow_artefact, operations,
]  # fmt: skip


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "small") as one:
        yield one


@pytest.mark.parametrize("place", SITES)
@pytest.mark.parametrize(
    "leaving", [0, pytest.param(20_000, marks=pytest.mark.full)], ids=["nothing-left", "a-little-left"]
)
def test_a_full_disk_leaves_the_last_good_version_and_one_error_with_path_and_remedy(
    disk: SmallDisk, place: Callable[[Path], Site], leaving: int
) -> None:
    site = place(disk.root)
    site.write(1)
    seen = site.size or site.read
    before, first = site.read(), seen()
    disk.fill(leaving)
    with pytest.raises(StorageError) as told:
        site.write(2)
    assert site.named in str(told.value)
    assert "Free space there, or point HOLDFAST_HOME at another disk" in str(told.value)
    assert site.read() == before
    disk.clear()
    site.write(2)
    assert seen() != first
    assert not list(disk.root.rglob(".*.part"))
