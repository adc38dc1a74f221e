"""Senders killed by the system at any moment, over real SMTP: every doubt is kept, and nothing is sent twice."""

import os
import random
import signal
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from holdfast.adapters.channels.email import SmtpChannel, SmtpServer
from holdfast.adapters.operations import database
from holdfast.adapters.operations.models import OutboxRow
from holdfast.campaign.assignment import uniforms
from holdfast.campaign.outbox import LEASE, State, idempotency_key, reference
from holdfast.rules import Holdout, Outreach
from tests.fakes.counting_sink import CountingSink, counting_sink
from tests.fakes.operations import (
    CUTOFF,
    NOON,
    SENDER,
    Intervention,
    campaign,
    decide,
    intervention,
    reachable,
    scores,
)

WORKERS = 3
RUN = f"win_back@{CUTOFF}"
CONTROL, HELD_OUT = 0.1, 0.1


def sender(url: str, port: int, customers: int) -> Intervention:
    table = scores(*((str(i), 0.6, "high", 50.0) for i in range(customers)))
    channel = SmtpChannel(SmtpServer("127.0.0.1", port, hello="shop.example"), SENDER)
    outreach = Outreach(holdout=Holdout(name="programme", share=HELD_OUT))
    return intervention(database.connect(url), table, channel, shards=1, outreach=outreach)


def forked(url: str, port: int, at: datetime) -> int:
    """A process that sends whatever is due, on connections of its own; returns its id."""
    child = os.fork()
    if child == 0:
        try:
            use_case = sender(url, port, 1)
            [batch] = use_case.batches([{"campaign_id": RUN}])
            use_case.send(batch, lambda: at)
        finally:
            os._exit(0)
    return child


def has_ended(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def kill_under_way(child: int, sink: CountingSink, messages: int, moment: float) -> bool:
    """Kill the sender so many messages and seconds from now; False when it had ended before."""
    wanted = sink.count + messages
    while sink.count < wanted and not has_ended(child):
        time.sleep(0.002)
    time.sleep(moment)  # not a wait for anything: where in the message the kill falls is the input
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def still_planned(engine: Engine, customer: str) -> bool:
    with database.reading(engine) as connection:
        return connection.scalar(select(OutboxRow.state).where(OutboxRow.customer_id == customer)) == State.PLANNED


def key(customer: str) -> str:
    return reference(idempotency_key(RUN, customer, "email"))


@pytest.mark.parametrize(
    ("kills", "customers"), [(12, 400), pytest.param(500, 15_000, marks=pytest.mark.full)], ids=["short", "full"]
)
def test_however_often_senders_are_killed_no_message_is_doubled_every_doubt_is_seen_and_an_opt_out_holds(
    url: str, tmp_path: Path, kills: int, customers: int
) -> None:
    chance = random.Random(7)  # noqa: S311 - moments, not secrets
    people = [str(i) for i in range(customers)]
    engine = database.connect(url)
    reachable(engine, people)
    killed, opted_out, at = 0, set(), NOON
    with counting_sink(tmp_path / "taken") as sink:
        use_case = sender(url, sink.port, customers)
        plan = use_case.plan(campaign(control_share=CONTROL))
        [batch] = use_case.batches([plan])
        for _ in range(kills):
            senders = [forked(url, sink.port, at) for _ in range(WORKERS)]
            for child in senders:
                killed += kill_under_way(child, sink, chance.randint(0, 20), chance.uniform(0, 0.01))
                if child is senders[0]:  # the others are sending
                    leaving = chance.choice(people)
                    decide(engine, [leaving], "withdrawn", at)
                    if still_planned(engine, leaving):
                        opted_out.add(leaving)
            at += LEASE + timedelta(seconds=1)
            if killed >= kills:
                break
        before = sum(sink.taken.values())
        use_case.send(batch, lambda: at)
        [account] = use_case.account([plan["campaign_id"]])
        taken = sink.taken
    print(  # noqa: T201 - the figures that the proof is quoted by
        f"{killed} kills of living senders; {before} of {plan['planned']} sent under fire; {account['sent']} sent, "
        f"{account['unknown']} unknown, {account['skipped_at_send']} skipped after {len(opted_out)} opt-outs, "
        f"{len(taken)} taken by the server"
    )
    assert killed >= kills
    assert set(taken.values()) <= {1}
    assert account["unknown"] <= killed
    assert account["skipped_at_send"] == len(opted_out) > 0
    assert (account["waiting"], account["failed"]) == (0, 0)
    assert account["sent"] + account["unknown"] + len(opted_out) == account["planned"] == plan["treated"]
    assert account["sent"] <= len(taken) <= account["sent"] + account["unknown"]
    references = {message_id.strip("<>").partition("@")[0] for message_id in taken}
    control = {one for one, drawn in zip(people, uniforms(RUN, people), strict=True) if drawn < CONTROL}
    held_out = {one for one, drawn in zip(people, uniforms("programme", people), strict=True) if drawn < HELD_OUT}
    assert min(len(control), len(held_out)) > customers / 20
    assert references <= {key(one) for one in people}
    assert not references & {key(one) for one in control | held_out | opted_out}
