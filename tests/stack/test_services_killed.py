"""kill -9 of a service, or of a task alone, in the middle of each stage: the loop comes to the same as undisturbed.

Nothing is repeated by hand: Airflow tries again by itself, and whatever ended is started again as the engine does.
"""

from __future__ import annotations

import contextlib
import mailbox
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import psutil
import pytest

from tests.stack import local
from tests.stack.airflow_api import BOUND, Account
from tests.stack.conftest import Record, Stack, hire, loop, started
from tests.stack.outcome import Outcome

pytestmark = [pytest.mark.stack, pytest.mark.full]

STAGES = {
    "ingest": "lake/order_lines/_delta_log/*1.json",
    "features": "feast/offline/*/*.parquet",
    "train": "work/*/backtest-*.parquet",
    "score": "work/*/scores-*.parquet",
    "intervene": "mail/new/*",
}
"""Where the first of what a stage writes is to be seen, in the stack's home: then it is in its middle."""
SERVICES = ("worker", "scheduler", "redis", "postgres")
TURNS = (
    *([SERVICES[(stage + turn) % len(SERVICES)] for stage in range(len(STAGES))] for turn in range(len(SERVICES))),
    ["task"] * len(STAGES),
)
"""What is killed in each stage: every service in every one of them, then the task's own process."""
TOLD = {
    "task": ("attempt=", "Process terminated by signal"),
    "worker": ("scheduler", "Detected a task instance without a heartbeat"),
    "scheduler": ("scheduler", "Starting the scheduler.*Starting the scheduler"),
    "redis": ("worker-", "Connection to broker lost"),
    "postgres": ("postgres", "was not properly shut down; automatic recovery in progress"),
}
"""Which log, of a service or of a task's try, tells an operator that this one was killed, and what it says."""


@dataclass
class Strikes:
    """Kills something in the middle of each stage, and starts again whatever ends: ``restart: unless-stopped``."""

    stack: Stack
    victims: Mapping[str, str]
    """By stage."""
    killed: list[str] = field(default_factory=list)
    """Which victim in which stage."""

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
        """Wait for the middle of the stage, and kill what is to be killed there."""
        if dag not in STAGES:
            return
        victim = self.victims[dag]
        parent = self.await_middle(victim, operator, dag, run)
        for process in (*parent.children(recursive=True), parent):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.killed.append(f"{victim} in {dag}")

    def await_middle(self, victim: str, operator: Account, dag: str, run: str) -> psutil.Process:
        """The victim's process, once the stage has begun to write and a task of it runs."""
        deadline = time.monotonic() + BOUND
        while time.monotonic() < deadline:
            if any(self.stack.home.glob(STAGES[dag])):
                for one in operator.tasks(dag, run):
                    if one["state"] == "running":
                        found = self.at_work(victim, one["id"])
                        if found is not None:
                            return found
            time.sleep(0.05)
        return pytest.fail(f"{dag} never came to its middle: {operator.states(dag, run)}")

    def at_work(self, victim: str, task: str) -> psutil.Process | None:
        """This task instance's own process, the worker that runs it, or a service; None if it is just not there."""
        if victim not in ("task", "worker"):
            return self.process_of(victim)
        for worker in (self.process_of("worker-1"), self.process_of("worker-2")):
            for process in worker.children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    if " ".join(process.cmdline()).strip() == f"airflow worker -- {task}":
                        return process if victim == "task" else worker
        return None

    def process_of(self, service: str) -> psutil.Process:
        return psutil.Process(local.child(self.stack.processes, service).process.pid)


def deliver_the_rest(stack: Stack) -> None:
    """What a killed sender had on lease, once its leases have ended: now, instead of after a quarter of an hour."""
    with local.database(stack.model, stack.place, "operations") as connection:
        connection.execute("UPDATE outbox SET lease_until = planned_at WHERE lease_until IS NOT NULL")
    operator = stack.person("oleg", patience=BOUND)
    operator.switch_on("deliver")
    operator.await_end("deliver", operator.trigger("deliver", {}))


@pytest.mark.parametrize("turn", range(len(TURNS)))
def test_the_loop_comes_to_the_same_though_something_is_killed_in_each_stage(
    turn: int, embedded: Outcome, project: Path, tell: Callable[[str], None]
) -> None:
    with started(project / "var" / f"stack-killed-{turn}", project, Record()) as stack:
        hire(stack)
        strikes = Strikes(stack, dict(zip(STAGES, TURNS[turn], strict=True)))
        with strikes.restarting():
            loop(stack, strikes.strike, patience=BOUND)
            before = stack.outcome()
            deliver_the_rest(stack)
        after = stack.outcome()
        logs = [(path.name, path.read_text(errors="replace")) for path in stack.place.home.rglob("*.log")]
        ids = Counter(message["Message-ID"] for message in mailbox.Maildir(stack.home / "mail", create=False))
    tell(f"\n  turn {turn}: {', '.join(strikes.killed)}")
    for name, seconds in stack.record.seconds.items():
        tell(f"    {name:<28} {seconds:6.1f} s")
    in_doubt = after.messages.get(("email", "unknown"), 0)
    tell(f"    messages                     {dict(before.messages)}; {before.emails} e-mails kept")
    tell(f"    once leases have ended       {dict(after.messages)}; {after.emails} e-mails kept")
    assert len(strikes.killed) == len(STAGES)
    assert after.rows == embedded.rows
    assert after.features == embedded.features
    pd.testing.assert_frame_equal(after.scores, embedded.scores, rtol=1e-6)
    assert after.assignments == embedded.assignments
    sent = embedded.messages["email", "sent"]
    assert after.messages.get(("email", "sent"), 0) + in_doubt == sent, "a message was lost"
    assert set(ids.values()) == {1}, "a message was sent twice"
    assert sent - in_doubt <= after.emails <= sent
    for strike in strikes.killed:
        log, words = TOLD[strike.split()[0]]
        assert any(re.search(words, text, re.DOTALL) for name, text in logs if name.startswith(log)), strike
