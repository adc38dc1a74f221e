"""Two connections at once: a reader sees one moment, and nobody waits in a circle."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from sqlalchemy import Connection, Engine, text, update

from holdfast.adapters.operations import database
from holdfast.adapters.operations.database import Lock, hold
from holdfast.adapters.operations.erasure import CampaignRows
from holdfast.adapters.operations.models import CampaignRow
from holdfast.adapters.operations.progress import ProgressDatabase
from holdfast.adapters.operations.replies import RepliesDatabase, SqlReplies
from holdfast.adapters.operations.repository import OperationsDatabase
from holdfast.campaign.feedback import Feedback
from holdfast.campaign.outbox import LEASE, Batch, Lease, Outcome, State, reference
from holdfast.campaign.replies import Told
from holdfast.errors import StoreUnavailableError
from holdfast.pipelines.replies import Feedback as Replies
from holdfast.ports import Person
from holdfast.rules import Outreach
from tests.fakes.channel import FakeChannel
from tests.fakes.operations import CUTOFF, KEYRING, NOON, campaign, intervention, operations_url, reachable, scores

RUN = f"win_back@{CUTOFF}"
ANN = Person("ann-4711", "1", ())


@pytest.fixture
def engine(url: str) -> Engine:
    return database.connect(url)


def planned(engine: Engine, *customers: str) -> OperationsDatabase:
    reachable(engine, customers)
    rows = scores(*((one, 0.6, "high", 90.0) for one in customers))
    intervention(engine, rows, FakeChannel(), shards=1).plan(campaign(control_share=0.01))
    return OperationsDatabase(engine, KEYRING)


def lease(operations: OperationsDatabase) -> list[Lease]:
    with operations.writing() as tx:
        return list(tx.outbox.lease(Batch("email"), 9, "w", Outreach(), NOON).leases)


def fail(operations: OperationsDatabase, held: Lease) -> None:
    with operations.writing() as tx:
        assert tx.outbox.claim(held, NOON)
        assert tx.outbox.finish(held, Outcome(State.FAILED, "no such mailbox"), NOON)


def test_what_a_reading_counts_is_one_moment_whatever_is_sent_meanwhile(engine: Engine, url: str) -> None:
    operations = planned(engine, "1", "2")
    first, second = lease(operations)
    fail(operations, first)
    other = OperationsDatabase(database.connect(url), KEYRING)
    with operations.reading() as tx:
        before = tx.counts(RUN)
        fail(other, second)
        assert tx.counts(RUN) == before
    with operations.reading() as tx:
        assert (tx.counts(RUN).messages, tx.counts(RUN).offers) == ({"failed": 2}, {"void": 2})


# Waiting for one another, on PostgreSQL: SQLite has one writer at a time


@pytest.fixture
def server(tmp_path: Path) -> str:
    return operations_url(tmp_path, "postgresql")


def both_end(url: str, held: Callable[[Connection], object], *works: Callable[[], object]) -> None:
    """Start the works one after the other, each once the one before waits for a lock, and then let go of ``held``."""
    engine = database.connect(url)
    with ThreadPoolExecutor(len(works)) as workers:
        with database.writing(engine) as connection:
            held(connection)
            started = []
            for work in works:
                started.append(workers.submit(work))
                until_waiting(engine, len(started))
        for one in started:
            one.result(timeout=60)


def until_waiting(engine: Engine, sessions: int) -> None:
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with database.reading(engine) as connection:
            if connection.scalar(waiting) == sessions:
                return
        time.sleep(0.02)
    pytest.fail(f"no {sessions} sessions wait for a lock")


def erasing(url: str) -> Callable[[], None]:
    return lambda: CampaignRows(database.connect(url), NOON).erase(ANN)


def the_campaign(connection: Connection) -> None:
    connection.execute(update(CampaignRow).values(scored=CampaignRow.scored))


def test_an_erasure_beside_a_sender_that_leases_waits_for_it_and_not_the_other_way_round(server: str) -> None:
    operations = planned(database.connect(server), "1", "2")
    both_end(server, lambda connection: hold(connection, Lock.LEASES), lambda: lease(operations), erasing(server))
    assert lease(operations) == []


def test_an_erasure_beside_a_sender_that_gives_messages_back(server: str) -> None:
    operations = planned(database.connect(server), "1", "2")
    held = lease(operations)

    def give_back() -> None:
        with operations.writing() as tx:
            tx.outbox.release(held)

    both_end(server, the_campaign, erasing(server), give_back)
    assert [one.draft.customer_id for one in lease(operations)] == ["2"]


def test_messages_given_back_while_their_leases_run_out(server: str) -> None:
    operations = planned(database.connect(server), "1", "2")
    held = lease(operations)

    def give_back() -> None:
        with operations.writing() as tx:
            tx.outbox.release(held[::-1])

    def lease_anew() -> None:
        with operations.writing() as tx:
            tx.outbox.lease(Batch("email"), 9, "another", Outreach(), NOON + LEASE)

    both_end(server, the_campaign, give_back, lease_anew)
    with operations.reading() as tx:
        run = tx.run(RUN)
        assert run is not None
        assert tx.counts(RUN).messages == {"planned": 2}


def test_an_erasure_beside_a_report_that_a_message_was_opened(server: str) -> None:
    operations = planned(database.connect(server), "1", "2")
    [held] = [one for one in lease(operations) if one.draft.customer_id == "1"]
    opened = Told("o1", reference(held.draft.idempotency_key), Feedback.OPENED, NOON)
    both_end(server, lambda connection: SqlReplies(connection).tell("email", opened, NOON), erasing(server))
    assert sum(one.opened for one in ProgressDatabase(database.connect(server)).of(RUN)) == 1


def test_an_erasure_beside_a_bounce_that_ends_contact(server: str) -> None:
    engine = database.connect(server)
    operations = planned(engine, "1", "2")
    [held] = [one for one in lease(operations) if one.draft.customer_id == "1"]
    bounced = Told("b1", reference(held.draft.idempotency_key), Feedback.BOUNCED, NOON, permanent=True)

    def tell() -> None:
        Replies(RepliesDatabase(engine)).receive("email", bounced, NOON)

    both_end(server, the_campaign, erasing(server), tell)


def test_two_who_do_wait_in_a_circle_are_told_to_try_again(server: str) -> None:
    together = Barrier(2)

    def work(first: Lock, second: Lock) -> str:
        try:
            with database.writing(database.connect(server)) as connection:
                hold(connection, first)
                together.wait(60)
                hold(connection, second)
        except StoreUnavailableError as error:
            return str(error)
        return "done"

    with ThreadPoolExecutor(2) as workers:
        told = sorted(workers.map(work, (Lock.GATE, Lock.AUDIT), (Lock.AUDIT, Lock.GATE)))
    assert told[0] == "done"
    assert "deadlock detected" in told[1]
    assert told[1].endswith("Run the stage again.")
