"""The Lake port's contract, on Delta tables and on the fake, and what only real files can show."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import deltalake
import pandas as pd
import pytest
from deltalake import DeltaTable

from holdfast.adapters import lake as lake_module
from holdfast.adapters.lake import DeltaLake
from holdfast.errors import MissingDataError
from holdfast.ports import Lake
from tests.fakes.lake import FakeLake


@pytest.fixture(params=["delta", "fake"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    return DeltaLake(tmp_path / "lake") if request.param == "delta" else FakeLake()


def orders(batch: str, *ids: str) -> pd.DataFrame:
    return pd.DataFrame({"order_id": list(ids), "batch": batch})


def ids(lake: Lake, table: str = "orders") -> list[str]:
    return sorted(lake.read(table)["order_id"])


def test_appended_rows_are_read_back(lake: Lake) -> None:
    assert lake.append("orders", orders("a", "1", "2"), ["a"]) == 2
    assert ids(lake) == ["1", "2"]


def test_a_batch_appended_twice_is_there_once_and_makes_no_version(lake: Lake) -> None:
    lake.append("orders", orders("a", "1", "2"), ["a"])
    version = lake.version("orders")
    assert lake.append("orders", orders("a", "1", "2"), ["a"]) == 0
    assert ids(lake) == ["1", "2"]
    assert lake.version("orders") == version


def test_of_several_batches_only_the_new_ones_are_added(lake: Lake) -> None:
    lake.append("orders", orders("a", "1"), ["a"])
    both = pd.concat([orders("a", "1"), orders("b", "2")])
    assert lake.append("orders", both, ["a", "b"]) == 1
    assert ids(lake) == ["1", "2"]


def test_a_table_that_was_never_written_is_named(lake: Lake) -> None:
    assert not lake.exists("orders")
    with pytest.raises(MissingDataError, match="'orders'"):
        lake.read("orders")
    with pytest.raises(MissingDataError, match="'orders'"):
        lake.version("orders")


def test_a_column_that_came_into_the_contract_later_is_null_in_older_rows(lake: Lake) -> None:
    lake.append("orders", orders("a", "1"), ["a"])
    assert lake.read("orders", ["order_id", "gift"]).isna().to_numpy().tolist() == [[False, True]]
    lake.append("orders", orders("b", "2").assign(gift="yes"), ["b"])
    read = lake.read("orders", ["order_id", "gift"]).sort_values("order_id")
    assert [value if isinstance(value, str) else None for value in read["gift"]] == [None, "yes"]


def test_reading_takes_the_columns_and_rows_asked_for(lake: Lake) -> None:
    rows = pd.DataFrame({"order_id": ["1", "2", "3"], "customer_id": ["x", "y", "x"], "batch": "a"})
    lake.append("orders", rows, ["a"])
    found = lake.read("orders", columns=["order_id"], where={"customer_id": ["x", "unknown"]})
    assert sorted(found["order_id"]) == ["1", "3"]
    assert list(found.columns) == ["order_id"]
    assert lake.read("orders", where={"customer_id": []}).empty
    assert list(lake.read("orders", where={"customer_id": ["x"], "order_id": ["2", "3"]})["order_id"]) == ["3"]


def test_replace_exchanges_the_named_rows_and_leaves_the_others(lake: Lake) -> None:
    for cutoff in ("2017-10-01", "2017-10-08"):
        scores = pd.DataFrame({"cutoff": cutoff, "customer_id": ["x", "y"], "score": [0.1, 0.2]})
        lake.replace("scores", scores, {"cutoff": [cutoff]})
    lake.replace("scores", pd.DataFrame({"cutoff": ["2017-10-08"], "customer_id": ["x"], "score": [0.9]}),
                 {"cutoff": ["2017-10-08"]})  # fmt: skip
    found = lake.read("scores").sort_values(["cutoff", "customer_id"])
    assert list(found["score"]) == [0.1, 0.2, 0.9]


def test_a_batch_without_rows_is_noted_and_whoever_is_slower_adds_nothing_under_its_name(lake: Lake) -> None:
    lake.append("orders", orders("a", "1"), ["a"])
    assert lake.append("orders", orders("b"), ["b"]) == 0
    assert lake.append("orders", orders("b", "2"), ["b"]) == 0
    assert ids(lake) == ["1"]


def test_an_earlier_version_is_read_as_it_was(lake: Lake) -> None:
    lake.append("orders", orders("a", "1"), ["a"])
    version = lake.version("orders")
    lake.append("orders", orders("b", "2"), ["b"])
    assert list(lake.read("orders", version=version)["order_id"]) == ["1"]
    assert ids(lake) == ["1", "2"]
    with pytest.raises(MissingDataError, match="no version 99"):
        lake.read("orders", version=99)


def test_a_table_name_may_hold_a_slash(lake: Lake) -> None:
    lake.append("features/rhythm", orders("a", "1"), ["a"])
    assert lake.exists("features/rhythm")
    assert ids(lake, "features/rhythm") == ["1"]


def test_times_ids_and_nothing_survive_the_round_trip(lake: Lake) -> None:
    moment = pd.Timestamp("2017-03-12 07:30:00.123456", tz="UTC")
    rows = pd.DataFrame({"id": ["00123", "NA"], "at": [moment, pd.NaT], "note": None, "amount": [0.1, None]})
    rows["at"] = rows["at"].astype("datetime64[us, UTC]")
    lake.append("events", rows.assign(batch="a"), ["a"])
    found = lake.read("events").sort_values("id")
    assert list(found["id"]) == ["00123", "NA"]
    assert found["at"].iloc[0] == moment
    assert str(found["at"].dtype) == "datetime64[us, UTC]"
    assert found["note"].isna().all()
    assert found["amount"].iloc[0] == 0.1


def test_a_value_with_a_quotation_mark_is_no_sql(tmp_path: Path) -> None:
    lake = DeltaLake(tmp_path)
    lake.append("orders", orders("a", "1", "o'clock"), ["a"])
    lake.replace("orders", orders("b", "o'clock"), {"order_id": ["o'clock"]})
    assert sorted(zip(lake.read("orders")["order_id"], lake.read("orders")["batch"], strict=True)) == [
        ("1", "a"),
        ("o'clock", "b"),
    ]


def test_a_time_without_zone_never_enters_the_lake(tmp_path: Path) -> None:
    naive = pd.DataFrame({"at": [pd.Timestamp("2017-01-01")], "batch": "a"})
    with pytest.raises(ValueError, match="'at'"):
        DeltaLake(tmp_path).append("events", naive, ["a"])


def _append_all(root: str, writer: int, start: multiprocessing.synchronize.Barrier, *, same: bool) -> None:
    lake = DeltaLake(Path(root))
    start.wait()
    for number in range(4):
        batch = f"batch-{number}" if same else f"batch-{writer}-{number}"
        lake.append("orders", orders(batch, *(f"{batch}-{row}" for row in range(5))), [batch])


@pytest.mark.parametrize(("same", "expected"), [(True, 4 * 5), (False, 3 * 4 * 5)])
def test_processes_appending_at_once_lose_and_double_nothing(tmp_path: Path, *, same: bool, expected: int) -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(3)
    writers = [
        context.Process(target=_append_all, args=(str(tmp_path), writer, start), kwargs={"same": same})
        for writer in range(3)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    found = DeltaLake(tmp_path).read("orders")
    assert len(found) == found["order_id"].nunique() == expected


def test_a_reader_during_a_replace_sees_the_old_or_the_new_never_half(tmp_path: Path) -> None:
    lake = DeltaLake(tmp_path)

    def generation(number: int) -> pd.DataFrame:
        return pd.DataFrame({"shard": "0", "generation": number, "row": range(200)})

    lake.replace("scores", generation(0), {"shard": ["0"]})
    seen: list[tuple[int, int]] = []
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            found = lake.read("scores")
            seen.append((found["generation"].nunique(), len(found)))

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(1, 15):
        lake.replace("scores", generation(number), {"shard": ["0"]})
    stop.set()
    reader.join()
    assert set(seen) == {(1, 200)}


def test_a_writer_killed_before_its_commit_leaves_nothing_visible(tmp_path: Path) -> None:
    lake = DeltaLake(tmp_path)
    lake.append("orders", orders("a", "1"), ["a"])
    stray = next((tmp_path / "orders").glob("*.parquet"))
    # What such a writer leaves: a data file, or half of one, that no commit names.
    (tmp_path / "orders" / "part-stray.parquet").write_bytes(stray.read_bytes()[:40])
    assert ids(lake) == ["1"]
    assert lake.append("orders", orders("b", "2"), ["b"]) == 1
    assert ids(lake) == ["1", "2"]


BY_DAY = {"placed_at": pd.to_datetime(["2017-01-01", "2017-06-01"], utc=True)}
SPRING = datetime(2017, 4, 1, tzinfo=UTC)


def two_days(batch: str) -> pd.DataFrame:
    return orders(batch, f"{batch}-1", f"{batch}-2").assign(**BY_DAY)


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.parquet*")}


def test_a_file_that_its_writer_has_yet_to_commit_is_not_taken_for_an_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, written, go_on = DeltaLake(tmp_path), threading.Event(), threading.Event()
    lake.append("orders", two_days("a"), ["a"])
    in_flight = tmp_path / "orders" / "part-in-flight.parquet"
    commit = deltalake.write_deltalake

    def write(*arguments: Any, **options: Any) -> None:
        in_flight.write_bytes(next((tmp_path / "orders").glob("*.parquet")).read_bytes())
        written.set()
        assert go_on.wait(60)
        commit(*arguments, **options)

    monkeypatch.setattr(deltalake, "write_deltalake", write)
    with ThreadPoolExecutor(2) as workers:
        writing = workers.submit(lake.append, "orders", two_days("b"), ["b"])
        assert written.wait(60)
        expiring = workers.submit(DeltaLake(tmp_path).expire, "orders", "placed_at", SPRING)
        with suppress(TimeoutError):
            expiring.result(timeout=0.5)
        kept = in_flight.exists()
        go_on.set()
        assert writing.result() == 2
        expiring.result()
    assert kept
    assert not in_flight.exists()  # no commit names it, and its writer has ended
    assert ids(lake) == ["a-2", "b-1", "b-2"]


@pytest.mark.parametrize("read", ["read", "scan"])
def test_a_reader_of_the_version_before_an_expiry_comes_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: str
) -> None:
    lake, opened, go_on = DeltaLake(tmp_path), threading.Event(), threading.Event()
    lake.append("orders", two_days("a"), ["a"])
    version, dataset = lake.version("orders"), lake_module._dataset

    def slowly(*arguments: Any) -> Any:
        found = dataset(*arguments)
        if threading.current_thread().name.startswith("reader"):
            opened.set()
            assert go_on.wait(60)
        return found

    def ids_read() -> list[str]:
        if read == "read":
            return ids(DeltaLake(tmp_path))
        return [one for batch in lake.scan("orders", ["order_id"], version) for one in batch["order_id"].to_pylist()]

    monkeypatch.setattr(lake_module, "_dataset", slowly)
    with ThreadPoolExecutor(1, "reader") as readers, ThreadPoolExecutor(1) as workers:
        reading = readers.submit(ids_read)
        assert opened.wait(60)
        expiring = workers.submit(DeltaLake(tmp_path).expire, "orders", "placed_at", SPRING)
        with suppress(TimeoutError):
            expiring.result(timeout=0.5)
        go_on.set()
        assert sorted(reading.result()) == ["a-1", "a-2"]
        expiring.result()
    assert ids(lake) == ["a-2"]
    with pytest.raises(MissingDataError, match=f"version {version} .* whose time to be kept was over"):
        list(lake.scan("orders", ["order_id"], version))
    assert files(tmp_path / "orders") == {Path(one).name for one in lake.files("orders", lake.version("orders"))}


@pytest.mark.parametrize("name", ["part-stray.parquet", "part-stray.parquet#1"])
def test_an_erasure_takes_what_a_killed_writer_left_half_written(tmp_path: Path, name: str) -> None:
    lake = DeltaLake(tmp_path)
    lake.append("orders", orders("a", "1", "2"), ["a"])
    stray = tmp_path / "orders" / name
    stray.write_bytes(next((tmp_path / "orders").glob("*.parquet")).read_bytes()[:200])
    lake.erase("orders", {"order_id": ["1"]})
    assert not stray.exists()
    assert ids(lake) == ["2"]


def daily(lake: DeltaLake, days: int) -> None:
    for day in range(days):
        lake.append("orders", orders(f"day {day}", *(f"{day}-{row}" for row in range(3))), [f"day {day}"])


def test_compaction_keeps_rows_batches_and_earlier_versions(tmp_path: Path) -> None:
    lake = DeltaLake(tmp_path)
    daily(lake, 40)
    trained_on, before = lake.version("orders"), ids(lake)
    done = lake.compact("orders")
    assert (done.before, done.after) == (40, 1)
    assert ids(lake) == before
    assert sorted(lake.read("orders", version=trained_on)["order_id"]) == before
    assert len(lake.read("orders", version=10)) == 33
    compacted = lake.version("orders")
    daily(lake, 40)
    assert (lake.version("orders"), ids(lake)) == (compacted, before)
    assert lake.append("orders", orders("day 40", "new"), ["day 40"]) == 1


def test_a_table_of_few_files_is_left_alone(tmp_path: Path) -> None:
    lake = DeltaLake(tmp_path)
    daily(lake, 5)
    version = lake.version("orders")
    assert lake.compact("orders").after == 5
    assert lake.version("orders") == version
    assert lake.compact("orders", least_files=2).after == 1
    assert lake.tables() == ["orders"]


def test_versions_older_than_deltas_own_thirty_days_stay_readable(tmp_path: Path) -> None:
    lake = DeltaLake(tmp_path)
    daily(lake, 110)  # every hundredth commit writes a checkpoint, after which Delta clears old versions away
    long_ago = time.time() - 90 * 24 * 3600
    for entry in (tmp_path / "orders" / "_delta_log").iterdir():
        os.utime(entry, (long_ago, long_ago))
    daily(lake, 210)
    assert len(lake.read("orders", version=4)) == 15
    lake.replace("scores", pd.DataFrame({"cutoff": ["2017-10-01"]}), {"cutoff": ["2017-10-01"]})
    kept = [DeltaTable(tmp_path / table).metadata().configuration for table in ("orders", "scores")]
    assert {one["delta.enableExpiredLogCleanup"] for one in kept} == {"false"}


def _compact_now(root: str, start: multiprocessing.synchronize.Barrier) -> None:
    start.wait()
    for _ in range(4):
        DeltaLake(Path(root)).compact("orders", least_files=2)


def test_compaction_while_others_append_loses_and_doubles_nothing(tmp_path: Path) -> None:
    daily(DeltaLake(tmp_path), 20)
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(3)
    workers = [context.Process(target=_compact_now, args=(str(tmp_path), start))] + [
        context.Process(target=_append_all, args=(str(tmp_path), writer, start), kwargs={"same": True})
        for writer in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    found = DeltaLake(tmp_path).read("orders")
    assert len(found) == found["order_id"].nunique() == 20 * 3 + 4 * 5
