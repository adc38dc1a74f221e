"""The production stack, run once a session, and the whole loop on it: what the tests of this folder look at."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values

from holdfast.adapters import sample
from holdfast.adapters.processes import Supervised
from holdfast.adapters.production import env_file, roles
from tests.fakes import postgres_server, redis_server
from tests.stack import local
from tests.stack.airflow_api import BOUND, Account
from tests.stack.outcome import Outcome, outcome

CUTOFF = "2017-11-26"
SHARE = 0.12
"""Of the sample's households: about 300."""
PEOPLE = {"vera": roles.VIEWER, "mara": roles.MARKETER, "oleg": roles.OPERATOR}
PASSWORD = "correct horse battery staple"
PSEUDONYM_KEY = "a pseudonym key for tests"
"""Of every loop of this folder: arms are drawn from pseudonyms, and the loops shall come to the same."""


@dataclass
class Record:
    """What was measured, by name, printed when it is complete."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.seconds[name] = time.monotonic() - began


@dataclass(frozen=True)
class Stack:
    """A running stack: its model, its place, its processes, its secrets, and what was measured on it."""

    model: local.Model
    place: local.Place
    processes: Supervised
    secrets: dict[str, str]
    record: Record

    @property
    def home(self) -> Path:
        """What the containers would see as /var/lib/holdfast."""
        return self.place.home / "home"

    @property
    def airflow(self) -> str:
        return self.place.url("api-server", 8080)

    @property
    def mlflow(self) -> str:
        return self.place.url("mlflow", 5000)

    def admin(self) -> Account:
        return Account.log_in(
            self.airflow, self.secrets["AIRFLOW_ADMIN_USERNAME"], self.secrets["AIRFLOW_ADMIN_PASSWORD"]
        )

    def person(self, name: str, patience: float = 0) -> Account:
        return Account.log_in(self.airflow, name, PASSWORD, patience)

    def outcome(self) -> Outcome:
        """What its loop has left behind."""
        (worker,) = (one for one in local.services(self.model, self.place) if one.name == "worker-1")
        return outcome(self.home, worker.environment["HOLDFAST_OPERATIONS_URL"])

    def call(self, service: str, *command: str) -> str:
        """What a program prints that ends well, run as a process of this service."""
        one = next(known for known in local.services(self.model, self.place) if known.name == service)
        done = subprocess.run(
            [local.BIN / "holdfast", "exec", *command],
            env=local.environment() | dict(one.environment),
            cwd=self.place.project,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def inside(self, service: str, code: str) -> Any:
        """What Python code prints as JSON on its last line, run as a process of this service."""
        return json.loads(self.call(service, "python", "-c", code).splitlines()[-1])


@dataclass(frozen=True)
class OneProcess:
    """A loop without a stack, at work in this home."""

    home: Path
    process: subprocess.Popen[bytes]


@contextmanager
def started(home: Path, project: Path, record: Record) -> Iterator[Stack]:
    """A stack with fresh secrets in an empty folder, where mail stays."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    env_file.write(home / ".env")
    at = local.place(local.model(project, home / ".env"), home, project)
    chosen = {
        "AIRFLOW_WORKER_CONCURRENCY": "2",
        "HOLDFAST_PSEUDONYM_KEY": PSEUDONYM_KEY,
        "HOLDFAST_SMTP_HOST": "127.0.0.1",
        "HOLDFAST_SMTP_PORT": str(at.ports["mailbox", 8025]),
    }
    model = local.model(project, home / ".env", **chosen)
    written = dotenv_values(home / ".env", interpolate=False)
    secrets = {name: value or "" for name, value in {**written, **chosen}.items()}
    began = time.monotonic()
    with local.running(model, at) as processes:
        record.seconds["every service healthy"] = time.monotonic() - began
        yield Stack(model, at, processes, secrets, record)


def hire(stack: Stack) -> None:
    """An account for one person of each role."""
    admin = stack.admin()
    for name, role in PEOPLE.items():
        person = {"username": name, "first_name": name, "last_name": "Doe", "email": f"{name}@shop.example"}
        admin.ask("POST", "/auth/fab/v1/users", person | {"password": PASSWORD, "roles": [{"name": role}]})


def undisturbed(_operator: Account, _dag: str, _run: str) -> None:
    """Let the run be."""


def loop(stack: Stack, during: Callable[[Account, str, str], None] = undisturbed, patience: float = 0) -> None:
    """Land the sample and carry it through every DAG as people would: switched on, and a model approved by a marketer.

    Schedules and assets start the runs: ingest and train are due as soon as they are switched on. ``during`` is called
    with the operator, who has this much patience, and the DAG's run as soon as there is one.
    """
    record, operator, marketer = stack.record, stack.person("oleg", patience), stack.person("mara", patience)
    sample.land(stack.home / "landing", until=date.fromisoformat(CUTOFF), customers_share=SHARE)

    def switch_on(*dags: str) -> None:
        for dag in dags:
            operator.switch_on(dag)

    def carry(dag: str, run: str, approve_as: Account | None = None) -> None:
        during(operator, dag, run)
        if approve_as is not None:
            approve(approve_as, operator, run)
        operator.await_end(dag, run)

    with record.timed("ingest"):
        switch_on("ingest", "features")
        carry("ingest", operator.await_run_of("ingest"))
    with record.timed("features"):
        carry("features", operator.await_run_of("features"))
    with record.timed("train, a marketer approves"):
        switch_on("train")
        carry("train", operator.await_run_of("train"), approve_as=marketer)
    with record.timed("score"):
        switch_on("score", "intervene", "report")
        carry("score", operator.trigger("score", {"cutoff": CUTOFF}))
    for dag in ("intervene", "report"):
        with record.timed(dag):
            carry(dag, operator.await_run_of(dag))


def approve(marketer: Account, operator: Account, run: str) -> None:
    """Answer the question whether the challenger shall become champion."""
    ready = operator.await_state("train", run, "approve", "awaiting_input")
    assert ready, f"nobody was asked: {operator.states('train', run)}"
    question = f"/api/v2/dags/train/dagRuns/{run}/taskInstances/approve/-1/hitlDetails"
    marketer.ask("PATCH", question, {"chosen_options": ["Approve"], "params_input": {}})


@pytest.fixture(scope="session", autouse=True)
def stops_on_sigterm() -> None:
    """So that the services end with a test run that a service manager or a shell ends."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))


@pytest.fixture(scope="session")
def one_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneProcess]:
    """The same sample on its way through one process, on SQLite: `holdfast run`, with the same pseudonyms.

    It takes the time that a stack leaves to others while it starts and waits.
    """
    home = tmp_path_factory.mktemp("embedded")
    chosen = {"HOLDFAST_HOME": str(home), "HOLDFAST_APPROVAL": "auto", "HOLDFAST_PSEUDONYM_KEY": PSEUDONYM_KEY}
    sample_of = ("--sample", "complete-journey", "--share", str(SHARE))
    with (home / "terminal.txt").open("wb") as told:
        process = subprocess.Popen(
            ["nice", "-n", "5", local.BIN / "holdfast", "run", *sample_of, "--cutoff", CUTOFF],
            env=local.environment() | chosen,
            stdout=told,
            stderr=subprocess.STDOUT,
        )
    yield OneProcess(home, process)
    process.kill()
    process.wait()


@pytest.fixture(scope="session")
def stack(project: Path, one_process: OneProcess) -> Iterator[Stack]:
    """The stack below var/stack, where its logs stay after it; the loop has not run on it yet."""
    for absent in (postgres_server.why_absent(), redis_server.why_absent()):
        if absent is not None:
            pytest.fail(absent)
    with started(project / "var" / "stack", project, Record()) as running:
        hire(running)
        yield running


@pytest.fixture(scope="session")
def after_the_loop(stack: Stack) -> Stack:
    """The stack once the loop has gone through it."""
    loop(stack)
    return stack


@pytest.fixture(scope="session")
def produced(after_the_loop: Stack) -> Outcome:
    """What the loop left behind on the stack."""
    return after_the_loop.outcome()


@pytest.fixture(scope="session")
def embedded(one_process: OneProcess) -> Outcome:
    """What the loop left behind in one process."""
    assert one_process.process.wait(BOUND) == 0, (one_process.home / "terminal.txt").read_text()
    return outcome(one_process.home, f"sqlite:///{one_process.home / 'operations.db'}")


@pytest.fixture(scope="session")
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Print a line of the record, whatever is captured."""
    capture: Any = request.config.pluginmanager.getplugin("capturemanager")

    def told(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(line)  # noqa: T201 - the record is what `make stack` is for

    return told
