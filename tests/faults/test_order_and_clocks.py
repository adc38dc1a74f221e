"""Events that come in any order, and clocks that are wrong: what is newer stays, and nothing is sent twice."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.adapters.online.layout import Rows, entity_keys
from holdfast.adapters.online.redis_rows import RedisRows
from holdfast.adapters.online.sqlite_rows import SqliteRows
from holdfast.adapters.operations import database
from holdfast.adapters.operations.repository import OperationsDatabase
from holdfast.campaign.offers import Redeemed, RedemptionReport
from holdfast.campaign.outbox import LEASE
from holdfast.errors import TemporaryChannelError
from holdfast.pipelines.redeem import redeem
from tests.fakes.channel import FakeChannel
from tests.fakes.counting_sink import counting_sink
from tests.fakes.operations import CUTOFF, NOON, campaign, intervention, reachable, scores
from tests.machine import lacking

START = datetime(2017, 11, 1, tzinfo=UTC)
VIEWS = ("features", "churn_scores")
RUN = f"win_back@{CUTOFF}"
SENDER = "tests.faults.sender_by_its_own_clock"
PEOPLE = [str(i) for i in range(80)]


def sqlite_store(folder: Path) -> Path:
    file = folder / "online.db"
    with sqlite3.connect(file) as connection:
        for view in VIEWS:
            connection.execute(f"DROP TABLE IF EXISTS p_{view}")
            connection.execute(
                f"CREATE TABLE p_{view} (entity_key BLOB, feature_name TEXT, value BLOB, value_text TEXT, "
                "vector_value BLOB, event_ts TIMESTAMP, created_ts TIMESTAMP, PRIMARY KEY (entity_key, feature_name))"
            )
    return file


def one_row(view: str, customer: str, day: int) -> Rows:
    """A row whose value is its day; it was computed long after, and the older ones last."""
    at = START + timedelta(days=day)
    return Rows(view, at, START + timedelta(days=999 - day), [customer], {"x": pa.array([float(day)])})


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    written=st.lists(
        st.tuples(st.sampled_from(VIEWS), st.sampled_from(["007", "NA", "顾客"]), st.integers(0, 30)), max_size=25
    )
)
def test_whatever_the_order_of_writes_both_stores_hold_the_newest_row(
    redis_url: str, tmp_path: Path, written: list[tuple[str, str, int]]
) -> None:
    online = f"{redis_url}/0"
    client, file = redis.Redis.from_url(online), sqlite_store(tmp_path)
    client.flushdb()
    for view, customer, day in written:
        rows = [one_row(view, customer, day)]
        assert SqliteRows(file).write("p", rows) == RedisRows(online).write("p", rows)
    newest: dict[tuple[str, str], int] = {}
    for view, customer, day in written:
        newest[view, customer] = max(day, newest.get((view, customer), day))
    for (view, customer), day in newest.items():
        [key] = entity_keys([customer])
        with sqlite3.connect(file) as connection:
            query = f"SELECT value, value_text FROM p_{view} WHERE entity_key = ?"  # noqa: S608 - a name of this test
            [(value, shown)] = connection.execute(query, [key])
        assert float(shown) == day
        held = client.hgetall(key + b"p")
        assert value in held.values()
        assert len(held) == 2 * sum(one == customer for _, one in newest)


@pytest.mark.parametrize(
    "skews", [(-3600, 0, 3600), (-1200, -1, 1200), (86_400, 0, -86_400)], ids=["an-hour", "past-the-lease", "a-day"]
)
def test_senders_whose_clocks_differ_by_more_than_a_lease_send_nothing_twice(url: str, skews: tuple[int, ...]) -> None:
    reachable(database.connect(url), PEOPLE)
    table, channel = scores(*((one, 0.6, "high", 50.0) for one in PEOPLE)), FakeChannel()

    def work(skew: int) -> None:
        mine = intervention(database.connect(url), table, channel, shards=1, worker=str(skew), at_once=7)
        [batch] = mine.batches([{"campaign_id": RUN}])
        with suppress(TemporaryChannelError):
            mine.send(batch, lambda: NOON + timedelta(seconds=skew))

    right = intervention(database.connect(url), table, channel, shards=1)
    plan = right.plan(campaign(control_share=0.1), at=NOON - timedelta(days=2))
    with ThreadPoolExecutor(3) as senders:
        list(senders.map(work, skews))
    [batch] = right.batches([plan])
    right.send(batch, lambda: NOON + timedelta(days=2) + LEASE)
    [account] = right.account([RUN])
    assert max(Counter(channel.recipients).values()) == 1
    assert account["sent"] + account["unknown"] == account["planned"] > 60
    assert account["sent"] <= len(channel.delivered) <= account["planned"]


def test_senders_on_machines_whose_clocks_are_a_day_apart_send_nothing_twice(
    url: str, tmp_path: Path, project: Path
) -> None:
    faketime = shutil.which("faketime")
    if faketime is None:
        lacking("no faketime here (Debian package faketime)")
    reachable(database.connect(url), PEOPLE)
    table = scores(*((one, 0.6, "high", 50.0) for one in PEOPLE))
    right = intervention(database.connect(url), table, FakeChannel(), shards=1)
    plan = right.plan(campaign(control_share=0.1), at=NOON - timedelta(days=2))
    clocks = [NOON + timedelta(days=days) for days in (-1, 0, 1)]
    with counting_sink(tmp_path / "taken") as sink:
        senders = [
            subprocess.Popen(
                [faketime, "-f", f"@{clock:%Y-%m-%d %H:%M:%S}", sys.executable, "-m", SENDER, url, str(sink.port), RUN],
                env=os.environ | {"TZ": "UTC"},
                cwd=project,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for clock in clocks
        ]
        told = [one.communicate(timeout=120) for one in senders]
        taken = sink.taken
    assert [one.returncode for one in senders] == [0, 0, 0], [error for _, error in told]
    shown = [datetime.fromisoformat(out.strip()) for out, _ in told]
    assert all(timedelta(0) <= one - clock < timedelta(minutes=5) for one, clock in zip(shown, clocks, strict=True))
    [batch] = right.batches([plan])
    right.send(batch, lambda: NOON + timedelta(days=2) + LEASE)
    [account] = right.account([RUN])
    assert max(taken.values()) == 1
    assert account["sent"] + account["unknown"] == account["planned"] > 60
    assert len(taken) >= account["sent"] - len(right.sending.channels["email"].delivered) > 0


@pytest.mark.parametrize("wrong", [timedelta(days=-400), timedelta(0), timedelta(days=400)])
def test_a_coupon_counts_by_when_it_was_used_whatever_our_own_clock_says(url: str, wrong: timedelta) -> None:
    engine = database.connect(url)
    reachable(engine, ["1", "2", "3", "4"])
    made = intervention(engine, scores(*((one, 0.6, "high", 50.0) for one in "1234")), FakeChannel(), shards=1)
    made.plan(campaign(control_share=0.0001))
    operations = OperationsDatabase(engine)
    with operations.reading() as tx:
        codes = [record.code for one in "1234" for record in tx.history(one) if record.code]
    for code, used_after, outcome in (
        (codes[0], timedelta(days=3), Redeemed.ACCEPTED),
        (codes[1], timedelta(days=60), Redeemed.EXPIRED),
        (codes[0], timedelta(days=4), Redeemed.ALREADY_REDEEMED),
    ):
        report = RedemptionReport(f"{code}-{used_after.days}", code, NOON + used_after, Decimal(40), Decimal(5), None)
        told = redeem(operations, [report], "till", NOON + wrong)
        assert list(told.values()) == [outcome]
