"""The online store written in bulk, against what Feast itself writes and reads: SQLite and a real Redis."""

import os
import signal
import sqlite3
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from holdfast.adapters.feature_store import FeastStore
from holdfast.adapters.online.configured import feast_config, writer
from holdfast.adapters.online.layout import Rows, entity_keys, values
from holdfast.errors import FeatureStoreError, MissingDataError, SettingsError, StoreUnavailableError
from holdfast.features.catalog import FAMILIES, FEATURE_NAMES
from holdfast.settings import Settings
from holdfast.windows import instant
from tests.fakes.feast_server import feast_server, look_up
from tests.fakes.offline_tables import expected, scores, tables
from tests.fakes.redis_server import why_absent
from tests.fakes.shop import ZONE
from tests.integration.conftest import WRITTEN, Url
from tests.machine import lacking

OCTOBER, NOVEMBER = date(2017, 10, 29), date(2017, 11, 26)
CUSTOMERS = ["007", "NA", "zoë", "顾客-1", "a b/c", "x" * 300]
VIEW = FAMILIES[0].view
ROW = {"probability": 0.5, "tier": "high"}


def contents(url: str) -> dict[Any, Any]:
    """Everything the online store holds, byte for byte."""
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for name in names}  # noqa: S608
    import redis

    client = redis.Redis.from_url(url)
    return {key: client.hgetall(key) for key in client.scan_iter(count=1000)}


def batch(customers: list[str], value: float, at: date, created: datetime = WRITTEN, view: str = VIEW) -> Rows:
    features = next(family for family in FAMILIES if family.view == view).features
    column = pa.array([value] * len(customers))
    return Rows(view, instant(at, ZONE), created, customers, {feature.name: column for feature in features})


def test_every_byte_is_what_feast_itself_would_write(new_url: Url, open_store: Callable[..., FeastStore]) -> None:
    by_feast, by_us = new_url(), new_url()
    reasons = ["[]", "", "long " * 9000, "沉默了 31 天 – “late”", None, 'a "quoted" text']
    scored = scores(NOVEMBER, *((one, 0.5, "high", text) for one, text in zip(CUSTOMERS, reasons, strict=True)))
    scored.loc[1, "probability"] = -0.0
    scored.loc[2, ["probability", "tier"]] = [np.nan, None]

    theirs = open_store(by_feast)
    theirs.write(tables(NOVEMBER, CUSTOMERS, base=1e-3))
    at = instant(NOVEMBER, ZONE)
    theirs.sdk.materialize(at - timedelta(seconds=1), at, [family.view for family in FAMILIES])
    theirs.sdk.write_to_online_store("churn_scores", df=scored.assign(created_timestamp=pd.Timestamp(WRITTEN)))
    ours = open_store(by_us)
    ours.materialize(at)
    ours.write_scores(scored)

    assert contents(by_feast)
    assert contents(by_us) == contents(by_feast)


def test_feasts_sdk_and_server_read_what_was_written(new_url: Url, open_store: Callable[..., FeastStore]) -> None:
    store = open_store(new_url())
    store.write(tables(NOVEMBER, CUSTOMERS, base=5000))
    store.materialize(instant(NOVEMBER, ZONE))
    store.write_scores(scores(NOVEMBER, ("zoë", 0.625, "high", "[]")))
    online = store.online([*CUSTOMERS, "unknown"])
    for i in range(len(CUSTOMERS)):
        np.testing.assert_array_equal(online[list(FEATURE_NAMES)].iloc[i].to_numpy(float), expected(5000, i))
    assert online[list(FEATURE_NAMES)].iloc[-1].isna().all()
    settings = Settings()
    with feast_server(settings, settings.logs / "feast.log") as server:
        served = look_up(server, "customer_card_v1", ["zoë", "顾客-1"])
    for i in (0, 1):
        answered = np.array([served[name][i] for name in FEATURE_NAMES], dtype=float)
        np.testing.assert_array_equal(answered, expected(5000, 2 + i))
    assert (served["probability"], served["tier"]) == ([0.625, None], ["high", None])


def test_an_erased_customer_is_served_and_stored_no_more_and_the_others_are(
    new_url: Url, open_store: Callable[..., FeastStore]
) -> None:
    url = new_url()
    store = open_store(url)
    store.write(tables(NOVEMBER, CUSTOMERS, base=1))
    store.materialize(instant(NOVEMBER, ZONE))
    store.write_scores(scores(NOVEMBER, *((one, 0.625, "high", "[]") for one in CUSTOMERS)))
    first, second = CUSTOMERS[:2]
    store.erase_scores([second])
    assert store.online([second])["probability"].isna().all()
    assert store.held_online(second), "features are still served"
    [row] = store.held_online(first)
    assert row["probability"] == 0.625
    store.erase_online(first)
    store.erase_online(first)
    assert store.held_online(first) == []
    assert store.online([first]).drop(columns="customer_id").isna().all(axis=None)
    [key] = entity_keys([first])
    if url.startswith("sqlite"):
        assert key not in Path(url.removeprefix("sqlite:///")).read_bytes()
    else:
        assert not [held for held in contents(url) if held.startswith(key)]
    assert store.held_online(CUSTOMERS[2])


def test_feast_is_told_up_to_when_its_views_are_online(new_url: Url, open_store: Callable[..., FeastStore]) -> None:
    store = open_store(new_url())
    store.write(tables(NOVEMBER, CUSTOMERS, base=1))
    store.materialize(instant(NOVEMBER, ZONE))
    for family in FAMILIES:
        assert store.sdk.get_feature_view(family.view).most_recent_end_time == instant(NOVEMBER, ZONE)


def test_an_older_row_never_replaces_a_newer_one(new_url: Url, open_store: Callable[..., FeastStore]) -> None:
    store = open_store(new_url())
    store.write(tables(OCTOBER, ["007", "gone"], base=1000))
    store.write(tables(NOVEMBER, ["007", "NA"], base=5000))
    store.materialize(instant(NOVEMBER, ZONE))
    store.write_scores(scores(NOVEMBER, ("007", 0.9, "high", "[]")))
    store.materialize(instant(OCTOBER, ZONE))
    store.write_scores(scores(OCTOBER, ("007", 0.1, "low", "[]")))
    online = store.online(["007", "gone"])
    np.testing.assert_array_equal(online[list(FEATURE_NAMES)].iloc[0].to_numpy(float), expected(5000, 0))
    np.testing.assert_array_equal(online[list(FEATURE_NAMES)].iloc[1].to_numpy(float), expected(1000, 1))
    assert online["tier"].iloc[0] == "high"


def test_a_cutoff_computed_anew_replaces_its_own_values(new_url: Url, open_store: Callable[..., FeastStore]) -> None:
    url = new_url()
    for base, written in ((1000, WRITTEN), (2000, WRITTEN + timedelta(hours=1))):
        store = open_store(url, written)
        store.write(tables(NOVEMBER, ["007"], base=base))
        store.materialize(instant(NOVEMBER, ZONE))
    np.testing.assert_array_equal(store.online(["007"])[list(FEATURE_NAMES)].iloc[0].to_numpy(float), expected(2000, 0))


def test_sqlite_keeps_the_row_created_later_at_one_event_time(tmp_path: Path, open_store: Callable) -> None:
    url = f"sqlite:///{tmp_path / 'online.db'}"
    store = open_store(url)
    online = writer(url)
    assert online.write("holdfast", [batch(["007", "NA"], 2.0, NOVEMBER, WRITTEN)]) == 2
    assert online.write("holdfast", [batch(["007", "9"], 1.0, NOVEMBER, WRITTEN - timedelta(hours=1))]) == 1
    served = store.online(["007", "NA", "9"])[FAMILIES[0].features[0].name]
    assert served.tolist() == [2.0, 2.0, 1.0]


@pytest.mark.parametrize("newer", [timedelta(microseconds=1), timedelta(seconds=1), timedelta(days=9000)])
def test_redis_compares_event_times_to_the_microsecond(redis_url: str, newer: timedelta) -> None:
    import redis

    redis.Redis.from_url(f"{redis_url}/9").flushdb()
    online, at = writer(f"{redis_url}/9"), instant(NOVEMBER, ZONE)
    early = Rows(VIEW, at, WRITTEN, ["007"], {"x": pa.array([1.0])})
    late = Rows(VIEW, at + newer, WRITTEN, ["007"], {"x": pa.array([2.0])})
    assert [online.write("p", [rows]) for rows in (late, early, late)] == [1, 0, 1]
    assert struct.pack("<d", 2.0) in b"".join(next(iter(contents(f"{redis_url}/9").values())).values())


def test_two_writers_at_once_leave_the_newer_rows(new_url: Url, open_store: Callable[..., FeastStore]) -> None:
    url = new_url()
    store = open_store(url)
    customers = [str(i) for i in range(2000)]

    def write(day: date, value: float) -> None:
        parts = [customers[start : start + 50] for start in range(0, len(customers), 50)]
        writer(url).write("holdfast", (batch(part, value, day) for part in parts))

    writers = [threading.Thread(target=write, args=args) for args in ((NOVEMBER, 2.0), (OCTOBER, 1.0))]
    for one in writers:
        one.start()
    for one in writers:
        one.join()
    names = [feature.name for feature in FAMILIES[0].features]
    assert (store.online(customers)[names] == 2.0).all(axis=None)


WRITER_TO_KILL = """
import sys
from holdfast.adapters.online.configured import writer
from tests.integration.test_online_store import NOVEMBER, batch

customers = [f"c{i}" for i in range(200_000)]
print("writing", flush=True)
writer(sys.argv[1]).write("holdfast", (batch(customers[at : at + 500], 1.0, NOVEMBER) for at in range(0, 200_000, 500)))
"""


def test_kill_9_in_the_middle_leaves_whole_rows(new_url: Url, open_store: Callable, project: Path) -> None:
    url = new_url()
    store = open_store(url)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(project), *sys.path])}
    child = subprocess.Popen([sys.executable, "-c", WRITER_TO_KILL, url], env=environment, stdout=subprocess.PIPE)
    child.stdout.readline()
    deadline = time.monotonic() + 60
    while not (held := customers_held(url)) and time.monotonic() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert held
    held = customers_held(url)
    assert len(held) < 200_000, "the writer had ended before it was killed"
    customers = [f"c{i}" for i in range(len(held))]  # they are written in this order
    names = [feature.name for feature in FAMILIES[0].features]
    for start in range(0, len(customers), 5000):
        assert (store.online(customers[start : start + 5000])[names] == 1.0).all(axis=None)


def customers_held(url: str) -> set[bytes]:
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///"), timeout=60) as connection:
            return {key for (key,) in connection.execute(f"SELECT DISTINCT entity_key FROM holdfast_{VIEW}")}  # noqa: S608
    import redis

    return set(redis.Redis.from_url(url).scan_iter(count=10_000))


class Recording:
    """An OnlineWriter that keeps only how many rows came at once."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def write(self, project: str, batches: Any) -> int:
        self.sizes += [len(rows.customers) for rows in batches]
        return sum(self.sizes)

    def explained(self) -> AbstractContextManager[None]:
        return nullcontext()


def test_no_more_than_ten_thousand_rows_are_held_on_their_way_online(tmp_path: Path, open_store: Callable) -> None:
    online = Recording()
    store = open_store(f"sqlite:///{tmp_path / 'online.db'}", online=online)
    store.write(tables(NOVEMBER, [str(i) for i in range(25_000)], base=1))
    store.materialize(instant(NOVEMBER, ZONE))
    assert max(online.sizes) <= 10_000
    assert sum(online.sizes) == 25_000 * len(FAMILIES)


def test_a_cutoff_without_offline_rows_is_an_error_that_says_what_to_run(tmp_path: Path, open_store: Callable) -> None:
    store = open_store(f"sqlite:///{tmp_path / 'online.db'}")
    store.write(tables(NOVEMBER, ["007"], base=1))
    with pytest.raises(MissingDataError, match=rf"{VIEW}.*2017-10-29.*features DAG"):
        store.materialize(instant(OCTOBER, ZONE))


def test_an_sqlite_store_without_tables_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(FeatureStoreError, match=r"empty.db cannot serve: no such table.*features DAG"):
        writer(f"sqlite:///{tmp_path / 'empty.db'}").write("holdfast", [batch(["007"], 1.0, NOVEMBER)])


def test_an_unreachable_redis_says_which_setting_to_check(open_store: Callable[..., FeastStore]) -> None:
    absent = why_absent()
    if absent:
        lacking(absent)
    nobody = "redis://127.0.0.1:1/0"
    with pytest.raises(StoreUnavailableError, match=r"cannot be reached.*HOLDFAST_FEAST_ONLINE_URL"):
        writer(nobody).write("holdfast", [batch(["007"], 1.0, NOVEMBER)])
    store = open_store(nobody)
    with pytest.raises(StoreUnavailableError, match=r"cannot be reached.*HOLDFAST_FEAST_ONLINE_URL"):
        store.online(["007"])


def test_a_type_that_no_feature_has_is_refused_by_name() -> None:
    with pytest.raises(FeatureStoreError, match="type int64 cannot be written online"):
        values(pa.array([1]))


def test_an_entity_key_is_the_bytes_of_serialisation_version_3() -> None:
    head = b"\x01\0\0\0" + b"\x02\0\0\0" + b"\x0b\0\0\0customer_id" + b"\x02\0\0\0"
    assert entity_keys(["é"]) == [head + b"\x02\0\0\0" + "é".encode()]


def test_one_url_configures_feast_and_us_alike() -> None:
    from feast.infra.online_stores.redis import RedisOnlineStore

    config = feast_config("rediss://care:p%40ss=12@store.example:6380/3")
    assert '"type": "redis"' in config
    nodes, options = RedisOnlineStore._parse_connection_string(config.split('"connection_string": ')[1].strip('"}'))
    assert nodes == [{"host": "store.example", "port": "6380"}]
    assert options["db"] == 3
    assert options["ssl"] is True
    assert feast_config("sqlite:////data/online.db") == '{"type": "sqlite", "path": "/data/online.db"}'


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("redis://user:hunter2@host:6379", r"'redis://host:6379': write sqlite:////"),
        ("sqlite://relative.db", "write sqlite:////absolute"),
        ("postgresql://host/db", "redis://host:port/database"),
        ("redis://:a%2Cb@host:6379/0", "comma in its user name or password"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_its_password(url: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told) as refused:
        feast_config(url)
    assert "hunter2" not in str(refused.value)
