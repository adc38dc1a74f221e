"""Messages a second through the outbox with four workers, beside a bare smtplib loop over one connection.

    python -m benchmarks.outbox [MESSAGES]

writes benchmarks/results/outbox.json. The sink is a process of its own on loopback that writes down each Message-ID.
The bare loop composes and sends the same mails one after the other: no database, no gate, no lease. Beside it, the
same loop with all mails composed beforehand: what SMTP alone allows.
"""

from __future__ import annotations

import multiprocessing
import smtplib
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measured import record
from holdfast.adapters.channels.email import SmtpChannel, SmtpServer
from holdfast.adapters.operations import database
from holdfast.campaign.mime import as_email
from holdfast.campaign.offers import issue
from tests.fakes.counting_sink import counting_sink
from tests.fakes.operations import NOON, SENDER, SHOP, Intervention, campaign, composer, intervention, reachable, scores
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


def bare(name: str, messages: int, folder: Path, *, composing: bool) -> dict[str, Any]:
    """One connection, one mail after the other, each composed in the loop or all of them beforehand."""
    fill, arm = composer(), campaign().arms[0]

    def mail(number: int) -> tuple[str, bytes]:
        recipient = f"{number}@shop.example"
        coupon = issue(str(number), "7KQ2-M0XD-9RTA", arm.offer, NOON, SHOP.zone)
        key = {"key": f"bare:{number}", "recipient": recipient, "given_name": None, "coupon": coupon}
        return recipient, as_email(fill.compose(arm.message, **key, at=NOON), SENDER).as_bytes()

    mails = range(messages) if composing else [mail(number) for number in range(messages)]
    with counting_sink(folder / name) as sink:
        began, cpu = time.perf_counter(), time.process_time()
        with smtplib.SMTP("127.0.0.1", sink.port) as server:
            for one in mails:
                recipient, content = mail(one) if isinstance(one, int) else one
                server.sendmail("care@shop.example", recipient, content)
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        if len(sink.taken) != messages:
            raise RuntimeError(f"{len(sink.taken)} of {messages} messages taken")
    return told(messages, took, cpu)


def side_by_side(name: str, url: str, messages: int, folder: Path) -> dict[str, Any]:
    """The bare loops before and after, so that what else the machine does meets all."""

    def both(turn: int) -> dict[bool, dict[str, Any]]:
        return {
            composing: bare(f"{name}-{composing}-{turn}", messages // 2, folder, composing=composing)
            for composing in (True, False)
        }

    before, ours, after = both(1), outbox(name, url, messages, folder), both(2)
    loops = {composing: [before[composing], after[composing]] for composing in before}
    rates = {composing: sum(one["a_second"] for one in turns) / 2 for composing, turns in loops.items()}
    return {
        "database": name,
        "workers": WORKERS,
        "outbox": ours,
        "bare_loop": loops[True],
        "bare_loop_of_finished_mails": loops[False],
        "share_of_bare_loop": round(ours["a_second"] / rates[True], 2),
        "share_of_bare_loop_of_finished_mails": round(ours["a_second"] / rates[False], 2),
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
