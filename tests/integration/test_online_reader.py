"""The online store read by us, against what Feast's own SDK reads from it: SQLite and a real Redis."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from holdfast.adapters.feature_store import CARD_SERVICE, FeastStore
from holdfast.adapters.online.configured import reader, writer
from holdfast.adapters.online.layout import Rows, moment, timestamp, value, values
from holdfast.adapters.online.redis_reader import RedisReader
from holdfast.errors import FeatureStoreError
from holdfast.features.catalog import FAMILIES, FEATURE_NAMES
from holdfast.ports import Asked
from holdfast.scores import SCORE_NAMES, SCORES_VIEW
from holdfast.windows import instant
from tests.fakes.lookup import TableReader
from tests.fakes.offline_tables import scores, tables
from tests.fakes.shop import ZONE
from tests.integration.conftest import Url

NOVEMBER = date(2017, 11, 26)
CUSTOMERS = ["007", "NA", "zoë", "顾客-1", "a b/c", "x" * 300]
ALL = {family.view: tuple(feature.name for feature in family.features) for family in FAMILIES} | {
    SCORES_VIEW: SCORE_NAMES
}


def read(url: str, asked: Asked, customers: list[str]) -> list[list[Any]]:
    async def once() -> list[list[Any]]:
        store = reader(url)
        try:
            return await store.read(asked, customers)
        finally:
            await store.close()

    return asyncio.run(once())


def by_feast(store: FeastStore, customers: list[str]) -> dict[str, list[Any]]:
    """Values and event times (seconds; 0 where there are none), by feature, as the SDK has them."""
    answer = store.sdk.get_online_features(
        features=store.sdk.get_feature_service(CARD_SERVICE),
        entity_rows=[{"customer_id": customer} for customer in customers],
    )
    return answer.to_dict(include_event_timestamps=True)


def scored() -> pd.DataFrame:
    rows = scores(NOVEMBER, ("007", 0.25, "low", ""), ("顾客-1", -0.0, "high", "沉默了 31 天 – “late” " * 50))
    rows.loc[0, ["expected_spend", "persona"]] = [np.nan, None]
    return rows


@pytest.fixture
def filled(new_url: Url, open_store: Callable[..., FeastStore]) -> tuple[str, FeastStore]:
    """A store that holds features of all customers and scores of two, with nulls, text and an empty text."""
    url = new_url()
    store = open_store(url)
    store.write(tables(NOVEMBER, CUSTOMERS, base=0.1))
    store.materialize(instant(NOVEMBER, ZONE))
    store.write_scores(scored())
    return url, store


def test_every_value_and_event_time_is_what_feasts_sdk_reads(filled: tuple[str, FeastStore]) -> None:
    url, store = filled
    asked = [*CUSTOMERS, "unknown", "007"]
    theirs = by_feast(store, asked)
    ours = read(url, Asked(store.sdk.project, ALL), asked)
    at = 0
    for view, names in ALL.items():
        times = [row[at] for row in ours]
        for number, name in enumerate(names, 1):
            np.testing.assert_array_equal(
                np.array([row[at + number] for row in ours], dtype=object),
                np.array(theirs[name], dtype=object),
                err_msg=name,
            )
            assert [int(time or 0) for time in times] == theirs[f"{name}__ts"], view
        at += 1 + len(names)
    assert [row[0] for row in ours[:1]] == [instant(NOVEMBER, ZONE).timestamp()]


def test_a_view_can_be_asked_for_its_event_time_alone(filled: tuple[str, FeastStore]) -> None:
    url, store = filled
    asked = Asked(store.sdk.project, {SCORES_VIEW: ("tier",), FAMILIES[0].view: ()})
    at = instant(NOVEMBER, ZONE).timestamp()
    assert read(url, asked, ["007", "NA", "unknown"]) == [[at, "low", at], [None, None, at], [None, None, None]]


def test_the_fake_of_the_look_up_tests_answers_as_both_stores_do(filled: tuple[str, FeastStore]) -> None:
    url, store = filled
    at = instant(NOVEMBER, ZONE).timestamp()
    written = tables(NOVEMBER, CUSTOMERS, base=0.1) | {SCORES_VIEW: scored()}
    held = {
        (row["customer_id"], view): (at, {name: None if pd.isna(value) else value for name, value in row.items()})
        for view, rows in written.items()
        for row in rows.to_dict("records")
    }
    customers = ["007", "unknown", *CUSTOMERS[::-1], "007"]
    for views in (ALL, dict(reversed(ALL.items())), {SCORES_VIEW: ("tier", "persona"), FAMILIES[0].view: ()}):
        asked = Asked(store.sdk.project, views)
        assert asyncio.run(TableReader(held).read(asked, customers)) == read(url, asked, customers)


def test_more_customers_than_one_statement_takes_are_read_in_the_order_asked(
    new_url: Url, open_store: Callable[..., FeastStore]
) -> None:
    url = new_url()
    store = open_store(url)
    customers = [str(number) for number in range(2_500)]
    store.write(tables(NOVEMBER, customers, base=0))
    store.materialize_view(FAMILIES[0].view, instant(NOVEMBER, ZONE))
    wanted = [*customers[::-1], "unknown"]
    rows = read(url, Asked(store.sdk.project, {FAMILIES[0].view: (FEATURE_NAMES[0],)}), wanted)
    assert [row[1] for row in rows] == [*(100.0 * number for number in range(2_499, -1, -1)), None]


def test_reads_at_once_on_one_connection_each_get_their_own_answer(filled: tuple[str, FeastStore]) -> None:
    url, store = filled
    names = FEATURE_NAMES[:1]
    asked = Asked(store.sdk.project, {FAMILIES[0].view: names})

    async def at_once() -> list[list[list[Any]]]:
        store = reader(url)
        try:
            return await asyncio.gather(*(store.read(asked, [CUSTOMERS[n % 6]] * (n % 4 + 1)) for n in range(200)))
        finally:
            await store.close()

    answers = asyncio.run(at_once())
    assert [{row[1] for row in rows} for rows in answers] == [{0.1 + 100 * (n % 6)} for n in range(200)]
    assert [len(rows) for rows in answers] == [n % 4 + 1 for n in range(200)]


def test_an_sqlite_store_without_tables_says_what_to_run(tmp_path: Any) -> None:
    file = tmp_path / "online.db"
    file.touch()
    with pytest.raises(FeatureStoreError, match=r"online.db cannot serve: no such table.*features DAG"):
        read(f"sqlite:///{file}", Asked("holdfast", {"customer_rhythm": ()}), ["7"])
    with pytest.raises(FeatureStoreError, match="unable to open"):
        read(f"sqlite:///{tmp_path / 'none.db'}", Asked("holdfast", {"customer_rhythm": ()}), ["7"])


def test_a_redis_that_nobody_runs_says_which_setting_to_check() -> None:
    with pytest.raises(FeatureStoreError, match="HOLDFAST_FEAST_ONLINE_URL"):
        read("redis://127.0.0.1:1/0", Asked("holdfast", {"v": ()}), ["7"])


@contextmanager
def silent_server(first_words: bytes) -> Iterator[str]:
    """A server that greets each connection with these bytes once it was spoken to, and then says nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                held.append(connection)
                connection.recv(1000)
                connection.sendall(first_words)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        server.shutdown(socket.SHUT_RDWR)
    for one in held:
        one.close()


@pytest.mark.parametrize("words", [b"", b"+OK\r\n", b"+OK\r\n-LOADING the dataset\r\n", b"+OK\r\nrubbish\r\n"])
def test_a_redis_that_falls_silent_or_refuses_is_given_up_in_time(words: bytes) -> None:
    with silent_server(words) as url:

        async def once() -> None:
            store = RedisReader(url, timeout=0.2)
            try:
                await asyncio.wait_for(store.read(Asked("holdfast", {"v": ()}), ["7"]), timeout=20)
            finally:
                await store.close()

        with pytest.raises(FeatureStoreError, match="cannot be reached or refuses"):
            asyncio.run(once())


def test_a_connection_that_was_lost_is_opened_anew(redis_url: str) -> None:
    import redis

    url, at = f"{redis_url}/8", instant(NOVEMBER, ZONE)
    asked = Asked("holdfast", {FAMILIES[0].view: ()})
    writer(url).write("holdfast", [Rows(FAMILIES[0].view, at, at, ["007"], {"x": pa.array([1.0])})])

    async def story() -> list[list[Any]]:
        ours = reader(url)
        before = await ours.read(asked, ["007"])
        with closing(redis.Redis.from_url(url)) as other:
            other.client_kill_filter(_type="normal", skipme=True)
        for _ in range(100):
            try:
                after = await ours.read(asked, ["007"])
            except FeatureStoreError:
                continue  # it was on its way when the connection went
            break
        await ours.close()
        return [*before, *after]

    rows = asyncio.run(story())
    assert rows[0] == rows[1] == [at.timestamp()]


def test_what_is_written_reads_back_cell_by_cell() -> None:
    numbers = [0.0, -0.0, 1e308, 5e-324, float("inf"), 3.25]
    assert [value(cell) for cell in values(pa.array(numbers))] == numbers
    texts = ["", "é", "x" * 20_000, None]
    assert [value(cell) for cell in values(pa.array(texts))] == texts
    assert value(values(pa.array([float("nan")]))[0]) is None
    assert value(None) is None
    at = instant(NOVEMBER, ZONE)
    assert moment(timestamp(at)) == at.timestamp()
    assert moment(timestamp(at.replace(microsecond=250_000))) == at.timestamp() + 0.25


@pytest.mark.parametrize("cell", [b"\x20\x01", b"\x31" + struct.pack("<d", 1.0), b"\x12\x05ab", b"\x29\x00"])
def test_a_cell_of_another_type_or_cut_short_is_refused(cell: bytes) -> None:
    with pytest.raises(FeatureStoreError, match="neither a double nor a string"):
        value(cell)
