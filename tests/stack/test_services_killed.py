"""kill -9 of a service in the middle of each stage: the loop comes to what it comes to undisturbed, in one process.

Nothing is repeated by hand: Airflow tries again by itself, and whatever ended is started again as the engine does.
"""

from __future__ import annotations

import contextlib
import mailbox
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import psutil
import pyarrow.parquet as pq
import pytest

from tests.stack import local
from tests.stack.airflow_api import BOUND, Account
from tests.stack.conftest import Record, Stack, hire, loop, started
from tests.stack.outcome import Outcome

pytestmark = [pytest.mark.stack, pytest.mark.full]

SERVICES = ("worker", "scheduler", "redis", "postgres")
STAGES = {
    "ingest": "lake/order_lines/_delta_log/*1.json",
    "features": "feast/offline/*/*.parquet",
    "train": "work/*/backtest-*.parquet",
    "score": "work/*/scores-*.parquet",
    "intervene": "mail/new/*",
}
"""Where the first of what a stage writes is to be seen, in the stack's home: then it is in its middle."""
TOLD = {
    "worker": ("scheduler", "Detected a task instance without a heartbeat"),
    "scheduler": ("scheduler", "from a dead executor"),
    "redis": ("worker-", "Connection to broker lost"),
    "postgres": ("postgres", "was not properly shut down; automatic recovery in progress"),
}
"""Which service's log tells an operator that this one was killed, and in which words."""


@dataclass
class Strikes:
    """Kills one service in the middle of each stage, and starts again whatever ends: ``restart: unless-stopped``."""

    stack: Stack
    turn: int
    killed: list[str] = field(default_factory=list)
    """Which service in which stage."""

    @contextlib.contextmanager
    def restarting(self) -> Iterator[None]:
        done = threading.Event()

        def look() -> None:
            while not done.wait(1):
                for child in list(self.stack.processes.children):
                    if child.process.poll() is not None:
                        self.stack.processes.start_again(child)

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def strike(self, operator: Account, dag: str, run: str) -> None:
        """Wait for the middle of the stage, and kill the service whose turn it is."""
        if dag not in STAGES:
            return
        service = SERVICES[(list(STAGES).index(dag) + self.turn) % len(SERVICES)]
        parent = self.await_middle(service, operator, dag, run)
        for process in (*parent.children(recursive=True), parent):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.killed.append(f"{service} in {dag}")

    def await_middle(self, service: str, operator: Account, dag: str, run: str) -> psutil.Process:
        """The service, or the worker that is at work, once the stage has begun to write and a task of it runs."""
        deadline = time.monotonic() + BOUND
        while time.monotonic() < deadline:
            if any(self.stack.home.glob(STAGES[dag])):
                for one in operator.tasks(dag, run):
                    if one["state"] == "running":
                        found = self.worker_of(one["id"]) if service == "worker" else self.process_of(service)
                        if found is not None:
                            return found
            time.sleep(0.05)
        return pytest.fail(f"{dag} never came to its middle: {operator.states(dag, run)}")

    def process_of(self, service: str) -> psutil.Process:
        return psutil.Process(local.child(self.stack.processes, service).process.pid)

    def worker_of(self, task: str) -> psutil.Process | None:
        """The worker that is at work on this task instance, which its process has in its title."""
        for worker in (self.process_of("worker-1"), self.process_of("worker-2")):
            for process in worker.children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if task in " ".join(process.cmdline()):
                        return worker
        return None


def deliver_the_rest(stack: Stack) -> None:
    """What a killed sender had on lease, once its leases have ended: now, instead of after a quarter of an hour."""
    with local.database(stack.model, stack.place, "operations") as connection:
        connection.execute("UPDATE outbox SET lease_until = planned_at WHERE lease_until IS NOT NULL")
    operator = stack.person("oleg", patience=BOUND)
    operator.switch_on("deliver")
    operator.await_end("deliver", operator.trigger("deliver", {}))


@pytest.mark.parametrize("turn", range(len(SERVICES)))
def test_the_loop_comes_to_the_same_though_a_service_is_killed_in_each_stage(
    turn: int, embedded: Outcome, project: Path, tell: Callable[[str], None]
) -> None:
    with started(project / "var" / f"stack-killed-{turn}", project, Record()) as stack:
        hire(stack)
        strikes = Strikes(stack, turn)
        with strikes.restarting():
            loop(stack, strikes.strike, patience=BOUND)
            before = stack.outcome()
            deliver_the_rest(stack)
        after = stack.outcome()
        logs = {path.stem: path.read_text(errors="replace") for path in (stack.place.home / "logs").glob("*.log")}
        ids = Counter(message["Message-ID"] for message in mailbox.Maildir(stack.home / "mail", create=False))
        features = [pq.read_metadata(path).num_rows for path in (stack.home / "feast").rglob("*.parquet")]
    tell(f"\n  turn {turn}: {', '.join(strikes.killed)}")
    for name, seconds in stack.record.seconds.items():
        tell(f"    {name:<28} {seconds:6.1f} s")
    in_doubt = after.messages.get(("email", "unknown"), 0)
    tell(f"    messages                     {dict(before.messages)}; {before.emails} e-mails kept")
    tell(f"    once leases have ended       {dict(after.messages)}; {after.emails} e-mails kept")
    assert len(strikes.killed) == len(STAGES)
    assert after.rows == embedded.rows
    pd.testing.assert_frame_equal(after.scores, embedded.scores, rtol=1e-6)
    assert after.assignments == embedded.assignments
    sent = embedded.messages["email", "sent"]
    assert after.messages.get(("email", "sent"), 0) + in_doubt == sent, "a message was lost"
    assert set(ids.values()) == {1}, "a message was sent twice"
    assert sent - in_doubt <= after.emails <= sent
    assert features, "the feature files are whole, each of them"
    for strike in strikes.killed:
        service, words = TOLD[strike.split()[0]]
        assert any(words in log for name, log in logs.items() if name.startswith(service)), strike
