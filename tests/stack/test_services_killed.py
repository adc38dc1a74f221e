"""kill -9 of a service in the middle of a stage: the run completes by itself, nothing is lost and nothing doubled."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

import pandas as pd
import psutil
import pytest

from holdfast.adapters.processes import Supervised
from tests.stack import local
from tests.stack.airflow_api import BOUND, Account
from tests.stack.conftest import CUTOFF, Stack
from tests.stack.outcome import Outcome, outcome

pytestmark = [pytest.mark.stack, pytest.mark.full]


@contextlib.contextmanager
def restarting(stack: Supervised) -> Iterator[None]:
    """Start again whatever ends, as the engine does by ``restart: unless-stopped``."""
    done = threading.Event()

    def look() -> None:
        while not done.wait(1):
            for child in list(stack.children):
                if child.process.poll() is not None:
                    stack.start_again(child)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def kill(stack: Stack, service: str) -> None:
    """End the service and all it has started at once, as when its container is killed."""
    parent = psutil.Process(local.child(stack.processes, service).process.pid)
    for process in (*parent.children(recursive=True), parent):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def await_running(person: Account, run: str, task: str) -> None:
    deadline = time.monotonic() + BOUND
    while "running" not in {state for one, state in person.states("score", run).items() if one.startswith(task)}:
        assert time.monotonic() < deadline, f"no {task} ever ran"
        time.sleep(0.2)


def await_success(person: Account, run: str) -> None:
    """As ``Account.await_end``, bearing an api-server that does not answer for a while."""
    deadline = time.monotonic() + BOUND
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, AssertionError):
            if person.ask("GET", f"/api/v2/dags/score/dagRuns/{run}")["state"] in ("success", "failed"):
                break
        time.sleep(1)
    person.await_end("score", run, 60)


@pytest.mark.parametrize("service", ["worker-1", "scheduler", "redis", "postgres"])
def test_a_scoring_run_completes_though_a_service_is_killed(
    after_the_loop: Stack, produced: Outcome, service: str, tell: Callable[[str], None]
) -> None:
    stack = after_the_loop
    operator = stack.person("oleg")
    run = operator.trigger("score", {"cutoff": CUTOFF})
    with restarting(stack.processes):
        await_running(operator, run, "score_shard")
        kill(stack, service)
        began = time.monotonic()
        await_success(operator, run)
        seconds = time.monotonic() - began
        tries = operator.ask("GET", f"/api/v2/dags/score/dagRuns/{run}/taskInstances?limit=100")["task_instances"]
    url = next(one for one in local.services(stack.model, stack.place) if one.name == "worker-1").environment
    after = outcome(stack.home, url["HOLDFAST_OPERATIONS_URL"])
    again = sum(one["try_number"] > 1 for one in tries)
    tell(f"\n  {service:<10} killed: the run completed {seconds:5.1f} s later, {again} tasks were tried again")
    pd.testing.assert_frame_equal(after.scores, produced.scores)
    assert (after.rows, after.assignments, after.messages) == (produced.rows, produced.assignments, produced.messages)
    assert after.emails == produced.emails
    assert not list((stack.home / "lake").rglob("*.part"))
