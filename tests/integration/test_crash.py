"""Senders killed by the system at any moment, over real SMTP: every doubt is kept, and nothing is sent twice."""

import os
import random
import signal
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from holdfast.adapters.channels.email import SmtpChannel, SmtpServer
from holdfast.adapters.operations import database
from holdfast.campaign.outbox import LEASE
from tests.fakes.counting_sink import counting_sink
from tests.fakes.operations import NOON, SENDER, Intervention, campaign, intervention, reachable, scores

WORKERS = 3


def sender(url: str, port: int, customers: int) -> Intervention:
    table = scores(*((str(i), 0.6, "high", 50.0) for i in range(customers)))
    channel = SmtpChannel(SmtpServer("127.0.0.1", port, hello="shop.example"), SENDER)
    return intervention(database.connect(url), table, channel, shards=1)


def forked(url: str, port: int, at: datetime) -> int:
    """A process that sends whatever is due, on connections of its own; returns its id."""
    child = os.fork()
    if child == 0:
        try:
            use_case = sender(url, port, 1)
            [batch] = use_case.batches([{"campaign_id": "win_back@2017-11-26"}])
            use_case.send(batch, lambda: at)
        finally:
            os._exit(0)
    return child


@pytest.mark.parametrize(
    ("rounds", "customers"), [(6, 300), pytest.param(170, 12_000, marks=pytest.mark.full)], ids=["short", "full"]
)
def test_however_often_senders_are_killed_no_message_is_doubled_and_every_doubt_is_seen(
    url: str, tmp_path: Path, rounds: int, customers: int
) -> None:
    chance = random.Random(7)  # noqa: S311 - moments, not secrets
    reachable(database.connect(url), [str(i) for i in range(customers)])
    killed = 0
    with counting_sink(tmp_path / "taken") as sink:
        use_case = sender(url, sink.port, customers)
        plan = use_case.plan(campaign(control_share=0.1))
        [batch] = use_case.batches([plan])
        at = NOON
        for _ in range(rounds):
            senders = [forked(url, sink.port, at) for _ in range(WORKERS)]
            for child in senders:
                time.sleep(chance.uniform(0.0, 0.25))  # not a wait for anything: the moment of the kill is the input
                os.kill(child, signal.SIGKILL)
            killed += sum(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL for child in senders)
            at += LEASE + timedelta(seconds=1)
        before = sum(sink.taken.values())
        use_case.send(batch, lambda: at)
        [account] = use_case.account([plan["campaign_id"]])
        taken = sink.taken
    print(  # noqa: T201 - the figures that the proof is quoted by
        f"{killed} kills of {rounds * WORKERS}; {before} sent under fire; {account['sent']} sent, "
        f"{account['unknown']} unknown, {len(taken)} taken by the server"
    )
    assert set(taken.values()) <= {1}
    assert account["unknown"] <= killed
    assert (account["waiting"], account["failed"], account["skipped_at_send"]) == (0, 0, 0)
    assert account["sent"] + account["unknown"] == account["planned"] == plan["treated"]
    assert account["sent"] <= len(taken) <= account["sent"] + account["unknown"]
