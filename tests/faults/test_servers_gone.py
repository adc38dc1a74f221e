"""PostgreSQL, Redis and SMTP servers that are killed, slow or fall silent under our code: it ends, and says what is."""

import asyncio
import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
import redis
from sqlalchemy import text

from holdfast.adapters.airflow.conventions import RETRIES
from holdfast.adapters.channels.email import SmtpChannel, SmtpServer
from holdfast.adapters.online import redis_rows
from holdfast.adapters.online.configured import feast_config
from holdfast.adapters.online.layout import Rows
from holdfast.adapters.online.redis_rows import RedisRows
from holdfast.adapters.operations import database
from holdfast.adapters.operations.bounded import BoundedConnection
from holdfast.campaign.envelope import Envelope
from holdfast.campaign.outbox import LEASE
from holdfast.errors import (
    AmbiguousDeliveryError,
    ChannelUnavailableError,
    HoldfastError,
    StorageError,
    StoreUnavailableError,
)
from tests.fakes import postgres_server as postgres
from tests.fakes import redis_server as redis_fake
from tests.fakes.channel import FakeChannel
from tests.fakes.operations import CUTOFF, NOON, SENDER, Intervention, campaign, intervention, reachable, scores
from tests.fakes.smtp_server import smtp_server
from tests.faults.proxy import Proxy, proxy
from tests.machine import lacking

RUN = f"win_back@{CUTOFF}"
PEOPLE = [str(i) for i in range(60)]
AT = datetime(2017, 11, 26, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A PostgreSQL server of these tests' own, with a migrated database."""
    absent = postgres.why_absent()
    if absent:
        lacking(absent)
    with postgres.postgres_server() as url:
        yield url


@pytest.fixture
def fresh(server: str) -> str:
    engine = database.connect(server)
    with engine.connect() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
        connection.commit()
    engine.dispose()
    database.upgrade(server)
    return server


@contextmanager
def far_away(url: str) -> Iterator[tuple[Proxy, str]]:
    """The server behind a proxy, and its URL there."""
    socket = Path(url.rpartition("host=")[2]) / ".s.PGSQL.5432"
    with proxy(lambda: asyncio.open_unix_connection(socket)) as between:
        yield between, f"postgresql+psycopg://holdfast@127.0.0.1:{between.port}/postgres"


def use_case(url: str, channel: FakeChannel, worker: str = "test") -> Intervention:
    table = scores(*((one, 0.6, "high", 50.0) for one in PEOPLE))
    return intervention(database.connect(url), table, channel, shards=1, worker=worker, at_once=10)


def test_a_slow_network_only_takes_longer(fresh: str) -> None:
    reachable(database.connect(fresh), PEOPLE)
    channel = FakeChannel()
    with far_away(fresh) as (between, url):
        between.delay = 0.002
        mine = use_case(url, channel)
        [batch] = mine.batches([mine.plan(campaign(control_share=0.2))])
        mine.send(batch, lambda: NOON)
        mine.planning.operations._engine.dispose()
    assert len(channel.delivered) == len(set(channel.recipients)) > 30


def test_a_postgresql_that_falls_silent_is_waited_for_no_longer_than_the_limit(
    fresh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedConnection, "longest_wait", 0.5)
    with far_away(fresh) as (between, url):
        engine = database.connect(url)

        def read() -> None:
            with database.reading(engine) as connection:
                connection.execute(text("SELECT 1"))

        read()
        monkeypatch.setitem(database._SIGNS_OF_LIFE, "connect_timeout", 2)
        between.silent = True
        with pytest.raises(StoreUnavailableError, match="postgres does not answer: connection"):
            read()
        engine = database.connect(url)
        with pytest.raises(StoreUnavailableError, match="HOLDFAST_OPERATIONS_URL"):
            read()


@pytest.mark.parametrize("silent_after", [60, 61, 62, 63, 90, 121])
def test_a_network_that_falls_silent_while_messages_leave_doubles_none_and_leaves_one_doubt_at_most(
    fresh: str, monkeypatch: pytest.MonkeyPatch, silent_after: int
) -> None:
    reachable(database.connect(fresh), PEOPLE)
    channel = FakeChannel()
    near = use_case(fresh, channel)
    [batch] = near.batches([near.plan(campaign(control_share=0.2))])
    with far_away(fresh) as (between, url):
        monkeypatch.setattr(BoundedConnection, "longest_wait", 0.5)
        between.silent_after = silent_after
        with pytest.raises(StoreUnavailableError):
            use_case(url, channel).send(batch, lambda: NOON)
        monkeypatch.undo()
    finished(near, channel, most_doubts=1)


def test_postgresql_killed_while_senders_are_at_work_loses_nothing_and_doubles_nothing(fresh: str) -> None:
    reachable(database.connect(fresh), PEOPLE)
    channel, killed = FakeChannel(), threading.Event()
    near = use_case(fresh, channel)
    [batch] = near.batches([near.plan(campaign(control_share=0.2))])
    deliver = channel.send

    def deliver_and_kill(envelope: Envelope) -> None:
        deliver(envelope)
        if len(channel.delivered) == 15 and not killed.is_set():
            killed.set()
            postgres.kill_and_start_again(fresh)

    channel.send = deliver_and_kill

    def work(worker: str) -> HoldfastError | None:
        try:
            use_case(fresh, channel, worker).send(batch, lambda: NOON)
        except HoldfastError as error:
            return error
        return None

    with ThreadPoolExecutor(3) as workers:
        ends = list(workers.map(work, "abc"))
    assert killed.is_set()
    assert {type(one) for one in ends if one} == {StoreUnavailableError}
    finished(near, channel, most_doubts=3)


def finished(near: Intervention, channel: FakeChannel, most_doubts: int) -> None:
    """Another sender, after the lease, sends the rest; every message is accounted for and none came twice."""
    near.planning.operations._engine.dispose()
    [batch] = near.batches([{"campaign_id": RUN}])
    near.send(batch, lambda: NOON + LEASE + timedelta(seconds=1))
    [account] = near.account([RUN])
    assert max(Counter(channel.recipients).values()) == 1
    assert account["sent"] + account["unknown"] == account["planned"] > 30
    assert account["unknown"] <= most_doubts
    assert account["sent"] <= len(channel.delivered) <= account["planned"]


@pytest.mark.parametrize(("error", "action"), [(StoreUnavailableError, "RETRY"), (StorageError, "FAIL")])
def test_airflow_tries_again_where_a_server_was_gone_and_not_where_a_person_must_act(
    error: type[HoldfastError], action: str
) -> None:
    assert next(rule.action.name for rule in RETRIES.rules if issubclass(error, rule.exception)) == action


@pytest.fixture
def redis_folder(tmp_path: Path) -> Path:
    absent = redis_fake.why_absent()
    if absent:
        lacking(absent)
    return tmp_path


def rows(customers: int, value: float, at: datetime = AT) -> Rows:
    return Rows("v", at, at, [str(i) for i in range(customers)], {"x": pa.array([value] * customers)})


def test_a_redis_that_falls_silent_is_waited_for_no_longer_than_the_limit(
    redis_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_rows, "TIMEOUTS", {"socket_connect_timeout": 0.5, "socket_timeout": 0.5})
    with redis_fake.redis_server(redis_folder) as url:
        port = int(url.rpartition(":")[2])
        with proxy(lambda: asyncio.open_connection("127.0.0.1", port)) as between:
            store = RedisRows(f"redis://127.0.0.1:{between.port}/0")
            assert store.write("holdfast", [rows(10, 1.0)]) == 10
            between.silent = True
            with pytest.raises(StoreUnavailableError, match="a repeated run completes it"):
                store.write("holdfast", [rows(10, 2.0)])
            between.silent = False
            assert store.write("holdfast", [rows(10, 2.0)]) == 10


def test_feast_itself_waits_for_redis_no_longer_than_we_do() -> None:
    assert "socket_timeout=30" in feast_config("redis://127.0.0.1:6379/0")
    assert "socket_connect_timeout=10" in feast_config("redis://127.0.0.1:6379/0")


def test_redis_killed_in_the_middle_of_a_write_leaves_whole_rows_and_a_repeated_run_completes_them(
    redis_folder: Path,
) -> None:
    batches, size = 40, 250
    with redis_fake.redis_server(redis_folder, "--appendonly", "yes", "--appendfsync", "always") as url:
        client = redis.Redis.from_url(url)
        process = int(client.info("server")["process_id"])

        def killing() -> Iterator[Rows]:
            for number in range(batches):
                if number == batches // 2:
                    os.kill(process, signal.SIGKILL)
                start = number * size
                customers = [str(i) for i in range(start, start + size)]
                yield Rows("v", AT, AT, customers, {"x": pa.array([1.0] * size), "y": pa.array([2.0] * size)})

        with pytest.raises(StoreUnavailableError, match="what was written is whole"):
            RedisRows(f"{url}/0").write("holdfast", killing())
    with redis_fake.redis_server(redis_folder, "--appendonly", "yes") as url:
        client = redis.Redis.from_url(url)
        kept = [client.hlen(key) for key in client.scan_iter(count=1000)]
        assert size < len(kept) < batches * size
        assert set(kept) == {3}  # two features and the event time
        process = int(client.info("server")["process_id"])
        whole = (
            Rows("v", AT, AT, [str(i)], {"x": pa.array([1.0]), "y": pa.array([2.0])}) for i in range(batches * size)
        )
        assert RedisRows(f"{url}/0").write("holdfast", whole) == batches * size
        assert client.dbsize() == batches * size


MAIL = Envelope("email", "anna@shop.example", "win_back@2017-11-26:7:email", at=NOON, text="Hello", subject="A word")


def test_a_mail_server_that_falls_silent_anywhere_is_down_or_leaves_a_doubt_and_never_hangs() -> None:
    """At first, then a piece later every time; how a conversation is cut into pieces differs from time to time."""
    ends: set[str] = set()
    for _ in range(5):
        ends |= {mailed(pieces) for pieces in range(3, 16)}
        if len(ends) == 3:
            break
    assert ends == {"down", "doubt", "sent"}


def mailed(pieces: int) -> str:
    """How a mail ends of whose conversation so many pieces, both ways together, come through and no more."""
    with smtp_server() as server, proxy(lambda: asyncio.open_connection("127.0.0.1", server.port)) as between:
        between.silent_after = pieces
        address = SmtpServer("127.0.0.1", between.port, hello="shop.example", timeout=0.3, deadline=0.6)
        try:
            with SmtpChannel(address, SENDER).connect() as connection:
                connection.prepare(MAIL)()
        except ChannelUnavailableError:
            assert server.delivered == []
            return "down"
        except AmbiguousDeliveryError as doubt:
            assert "look for its Message-ID there" in str(doubt)  # noqa: PT017 - one of three ends
            return "doubt"
        assert len(server.delivered) == 1
        return "sent"
