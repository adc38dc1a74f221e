"""A file that is not what was written: one clear error that names it and says what to do, wherever it is met."""

import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd
import pytest

from holdfast.adapters.feature_store import FeastStore
from holdfast.adapters.lake import DeltaLake
from holdfast.adapters.online.configured import writer
from holdfast.adapters.operations import database
from holdfast.adapters.scratch import FileScratch
from holdfast.errors import HoldfastError, StorageError
from holdfast.features.catalog import FAMILIES
from holdfast.settings import Settings
from tests.fakes.offline_tables import tables

CUTOFF = date(2017, 11, 26)
WRITTEN = datetime(2017, 11, 26, 6, tzinfo=UTC)
ROWS = pd.DataFrame({"customer_id": ["1", "2"], "x": [0.5, 1.5], "batch": "b1"})


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def emptied(file: Path) -> None:
    file.write_bytes(b"")


def overwritten(file: Path) -> None:
    """The middle half is other bytes, as after a bad sector."""
    content = bytearray(file.read_bytes())
    start, end = len(content) // 4, len(content) * 3 // 4
    content[start:end] = b"\xa5" * (end - start)
    file.write_bytes(content)


DAMAGES = [cut_short, emptied, overwritten]
Damage = Callable[[Path], None]


def told(read: Callable[[], object]) -> str:
    with pytest.raises(HoldfastError) as error:
        read()
    assert type(error.value) is StorageError
    return str(error.value)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_data_file_of_the_lake(tmp_path: Path, damage: Damage) -> None:
    lake = DeltaLake(tmp_path)
    lake.append("orders", ROWS, ["b1"])
    [file] = (tmp_path / "orders").glob("*.parquet")
    damage(file)
    said = told(lambda: lake.read("orders"))
    assert f"{tmp_path / 'orders'} cannot be read" in said
    assert "from a backup" in said


def test_a_data_file_of_the_lake_that_is_gone(tmp_path: Path) -> None:
    lake = DeltaLake(tmp_path)
    lake.append("orders", ROWS, ["b1"])
    [file] = (tmp_path / "orders").glob("*.parquet")
    file.unlink()
    assert "from a backup" in told(lambda: lake.read("orders"))


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("act", ["read", "append", "replace"])
def test_a_commit_of_the_lakes_log(tmp_path: Path, damage: Damage, act: str) -> None:
    lake = DeltaLake(tmp_path)
    lake.append("orders", ROWS, ["b1"])
    lake.append("orders", ROWS.assign(batch="b2"), ["b2"])
    damage(tmp_path / "orders/_delta_log/00000000000000000001.json")
    acts = {
        "read": lambda: lake.read("orders"),
        "append": lambda: lake.append("orders", ROWS.assign(batch="b3"), ["b3"]),
        "replace": lambda: lake.replace("orders", ROWS, where={"customer_id": ["1"]}),
    }
    said = told(acts[act])
    assert str(tmp_path / "orders") in said
    assert "from a backup" in said
    assert not (tmp_path / "orders/_delta_log/00000000000000000002.json").exists()


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_intermediate_file(tmp_path: Path, damage: Damage) -> None:
    scratch = FileScratch(tmp_path)
    path = scratch.write("2017-11-26/training", ROWS)
    damage(Path(path))
    said = told(lambda: scratch.read(path))
    assert path in said
    assert "Clear the run from its first task on" in said


@pytest.fixture
def store(settings: Settings, tmp_path: Path) -> FeastStore:
    online = writer(f"sqlite:///{tmp_path / 'online.db'}")
    store = FeastStore(settings.feast_repo, tmp_path / "offline", WRITTEN, online)
    store.write({name: rows for name, rows in tables(CUTOFF, ["1", "2"], 10.0).items() if name == FAMILIES[0].view})
    return store


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_feature_file(store: FeastStore, tmp_path: Path, damage: Damage) -> None:
    file = tmp_path / "offline" / FAMILIES[0].view / "2017-11-26.parquet"
    damage(file)
    said = told(lambda: store.snapshot(CUTOFF))
    assert str(file) in said
    assert "delete the file and run the features DAG" in said


@pytest.mark.parametrize("damage", [cut_short, overwritten])
def test_feasts_registry(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: Damage) -> None:
    file = tmp_path / "registry.db"
    shutil.copy(made_registry(settings, monkeypatch, tmp_path), file)
    damage(file)
    said = told(lambda: opened(settings, monkeypatch, file).apply())
    assert "Feast's registry" in said
    assert "with the file deleted, the features DAG makes it anew" in said


def test_a_registry_of_no_bytes_is_an_empty_one_that_says_which_dag_fills_it(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "registry.db"
    emptied(file)
    with pytest.raises(HoldfastError, match=r"Feast knows no service customer_card_v1\. Run the features DAG first"):
        opened(settings, monkeypatch, file).online(["1"])


def made_registry(settings: Settings, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    made = folder / "made.db"
    opened(settings, monkeypatch, made).apply()
    return made


def opened(settings: Settings, monkeypatch: pytest.MonkeyPatch, registry: Path) -> FeastStore:
    monkeypatch.setenv("FEAST_REGISTRY_URL", f"sqlite:///{registry}")
    online = writer(f"sqlite:///{registry.parent / 'online.db'}")
    return FeastStore(settings.feast_repo, registry.parent / "offline", WRITTEN, online)


@pytest.mark.parametrize("damage", [cut_short, overwritten])
def test_the_operations_database(tmp_path: Path, damage: Damage) -> None:
    file = tmp_path / "operations.db"
    database.upgrade(f"sqlite:///{file}")
    damage(file)

    def read() -> None:
        with database.writing(database.connect(f"sqlite:///{file}")) as connection:
            connection.exec_driver_sql("UPDATE outbox SET state = 'sent'")
            connection.exec_driver_sql("SELECT * FROM contacts").all()
            connection.exec_driver_sql("SELECT * FROM outbox").all()
            connection.exec_driver_sql("PRAGMA integrity_check").all()

    said = told(read)
    assert str(file) in said
    assert "latest backup" in said
