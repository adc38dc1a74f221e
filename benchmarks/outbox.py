"""Messages a second through the outbox with four workers, beside a bare smtplib loop over one connection.

    python -m benchmarks.outbox [MESSAGES]

writes benchmarks/results/outbox.json. The sink is a process of its own on loopback that writes down each Message-ID.
The bare loop sends the same mails, composed beforehand, one after the other: no database, no templates, no gate.
"""

from __future__ import annotations

import multiprocessing
import smtplib
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.measured import record
from holdfast.adapters.channels.email import SmtpChannel, SmtpServer
from holdfast.adapters.operations import database
from holdfast.campaign.mime import as_email
from tests.fakes.counting_sink import counting_sink
from tests.fakes.operations import NOON, SENDER, Intervention, campaign, composer, intervention, reachable, scores
from tests.fakes.postgres_server import postgres_server, why_absent

WORKERS = 4
MESSAGES = 4_000


def use_case(url: str, port: int, customers: int) -> Intervention:
    table = scores(*((str(i), 0.6, "high", 50.0) for i in range(customers)))
    channel = SmtpChannel(SmtpServer("127.0.0.1", port, hello="shop.example"), SENDER)
    return intervention(database.connect(url), table, channel, shards=WORKERS)


def work(url: str, port: int, shard: int, start: Any, used: Any) -> None:
    mine = use_case(url, port, 1)
    batch = mine.batches([{"campaign_id": "win_back@2017-11-26"}])[shard]  # type: ignore[typeddict-item]
    start.wait()
    cpu = time.process_time()
    mine.send(batch, lambda: NOON)
    used.value = time.process_time() - cpu


def outbox(name: str, url: str, messages: int, folder: Path) -> dict[str, Any]:
    database.upgrade(url)
    customers = round(messages / 0.9)
    reachable(database.connect(url), [str(i) for i in range(customers)])
    with counting_sink(folder / f"{name}-outbox") as sink:
        planning = use_case(url, sink.port, customers)
        plan = planning.plan(campaign(control_share=0.1))
        context = multiprocessing.get_context("spawn")
        start = context.Barrier(WORKERS + 1)
        used = [context.Value("d", 0.0) for _ in range(WORKERS)]
        workers = [
            context.Process(target=work, args=(url, sink.port, shard, start, used[shard])) for shard in range(WORKERS)
        ]
        for one in workers:
            one.start()
        start.wait()
        began = time.perf_counter()
        for one in workers:
            one.join()
        took = time.perf_counter() - began
        [account] = planning.account([plan["campaign_id"]])
        if not account["sent"] == plan["planned"] == len(sink.taken):
            raise RuntimeError(f"{account} but {len(sink.taken)} messages taken")
    cpu = sum(one.value for one in used)
    return told(account["sent"], took, cpu)


def told(messages: int, seconds: float, cpu: float) -> dict[str, Any]:
    """Messages a second by the clock, and senders' milliseconds of processor time for each."""
    return {
        "messages": messages,
        "seconds": round(seconds, 2),
        "a_second": round(messages / seconds),
        "cpu_ms_each": round(cpu / messages * 1000, 2),
    }


def bare(name: str, messages: int, folder: Path) -> dict[str, Any]:
    arm, fill = campaign(offer=None).arms[0], composer()
    mails = []
    for i in range(messages):
        recipient = f"{i}@shop.example"
        key = {"key": f"bare:{i}", "recipient": recipient, "given_name": None, "coupon": None}
        mails.append((recipient, as_email(fill.compose(arm.message, **key, at=datetime.now(UTC)), SENDER).as_bytes()))
    with counting_sink(folder / f"{name}-bare") as sink:
        began, cpu = time.perf_counter(), time.process_time()
        with smtplib.SMTP("127.0.0.1", sink.port) as server:
            for recipient, content in mails:
                server.sendmail("care@shop.example", recipient, content)
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        if len(sink.taken) != messages:
            raise RuntimeError(f"{len(sink.taken)} of {messages} messages taken")
    return told(messages, took, cpu)


def side_by_side(name: str, url: str, messages: int, folder: Path) -> dict[str, Any]:
    """The bare loop before and after, so that what else the machine does meets both."""
    before = bare(f"{name}-1", messages // 2, folder)
    ours = outbox(name, url, messages, folder)
    after = bare(f"{name}-2", messages // 2, folder)
    plain = (before["a_second"] + after["a_second"]) / 2
    return {"database": name, "workers": WORKERS, "outbox": ours, "bare": [before, after]} | {
        "share_of_bare": round(ours["a_second"] / plain, 2)
    }


def rows(messages: int) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        yield side_by_side("sqlite", f"sqlite:///{folder}/operations.db", messages, Path(folder))
    absent = why_absent()
    if absent:
        sys.stdout.write(f"PostgreSQL is left out: {absent}\n")
        return
    with tempfile.TemporaryDirectory() as folder, postgres_server() as url:
        yield side_by_side("postgresql", url, messages, Path(folder))


if __name__ == "__main__":
    record("outbox", rows(int(sys.argv[1]) if len(sys.argv) > 1 else MESSAGES), ("sqlalchemy", "psycopg", "aiosmtpd"))
