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
from tests.stack.airflow_api import Account
from tests.stack.outcome import Outcome, outcome

CUTOFF = "2017-11-26"
SHARE = 0.12
"""Of the sample's households: about 300."""
PEOPLE = {"vera": roles.VIEWER, "mara": roles.MARKETER, "oleg": roles.OPERATOR}
PASSWORD = "correct horse battery staple"


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

    def person(self, name: str) -> Account:
        return Account.log_in(self.airflow, name, PASSWORD)

    def inside(self, service: str, code: str) -> Any:
        """What Python code prints as JSON on its last line, run as a process of this service."""
        one = next(known for known in local.services(self.model, self.place) if known.name == service)
        done = subprocess.run(
            [local.BIN / "holdfast", "exec", "python", "-c", code],
            env=local.environment() | dict(one.environment),
            cwd=self.place.project,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])


@contextmanager
def started(home: Path, project: Path, record: Record) -> Iterator[Stack]:
    """A stack with fresh secrets in an empty folder, where mail stays."""
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    env_file.write(home / ".env")
    at = local.place(local.model(project, home / ".env"), home, project)
    mail = {"HOLDFAST_SMTP_HOST": "127.0.0.1", "HOLDFAST_SMTP_PORT": str(at.ports["mailbox", 8025])}
    model = local.model(project, home / ".env", AIRFLOW_WORKER_CONCURRENCY="2", **mail)
    secrets = {name: value or "" for name, value in dotenv_values(home / ".env", interpolate=False).items()}
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


def loop(stack: Stack) -> None:
    """Land the sample and carry it through every DAG as people would: switched on, and a model approved by a marketer.

    Schedules and assets start the runs: ingest and train are due as soon as they are switched on.
    """
    record, operator = stack.record, stack.person("oleg")
    sample.land(stack.home / "landing", until=date.fromisoformat(CUTOFF), customers_share=SHARE)
    with record.timed("ingest"):
        for dag in ("ingest", "features"):
            operator.switch_on(dag)
        operator.await_end("ingest", operator.await_run_of("ingest"))
    with record.timed("features"):
        operator.await_end("features", operator.await_run_of("features"))
    with record.timed("train, a marketer approves"):
        operator.switch_on("train")
        approve(stack, operator.await_run_of("train"))
    with record.timed("score"):
        for dag in ("score", "intervene", "report"):
            operator.switch_on(dag)
        operator.await_end("score", operator.trigger("score", {"cutoff": CUTOFF}))
    for dag in ("intervene", "report"):
        with record.timed(dag):
            operator.await_end(dag, operator.await_run_of(dag))


def approve(stack: Stack, run: str) -> None:
    """Answer the question whether the challenger shall become champion, and await the run's end."""
    marketer, operator = stack.person("mara"), stack.person("oleg")
    ready = operator.await_state("train", run, "approve", "awaiting_input")
    assert ready, f"nobody was asked: {operator.states('train', run)}"
    question = f"/api/v2/dags/train/dagRuns/{run}/taskInstances/approve/-1/hitlDetails"
    marketer.ask("PATCH", question, {"chosen_options": ["Approve"], "params_input": {}})
    operator.await_end("train", run)


@pytest.fixture(scope="session", autouse=True)
def stops_on_sigterm() -> None:
    """So that the services end with a test run that a service manager or a shell ends."""
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))


@pytest.fixture(scope="session")
def stack(project: Path) -> Iterator[Stack]:
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
    settings = local.services(after_the_loop.model, after_the_loop.place)
    environment = next(one.environment for one in settings if one.name == "worker-1")
    return outcome(after_the_loop.home, environment["HOLDFAST_OPERATIONS_URL"])


@pytest.fixture(scope="session")
def embedded(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What the same sample gives in one process, on SQLite: `holdfast run`, with the same pseudonyms."""
    home = tmp_path_factory.mktemp("embedded")
    chosen = {"HOLDFAST_HOME": str(home), "HOLDFAST_APPROVAL": "auto"}
    pseudonyms = {"HOLDFAST_PSEUDONYM_KEY": stack.secrets["HOLDFAST_PSEUDONYM_KEY"]}
    subprocess.run(
        [local.BIN / "holdfast", "run", "--sample", "complete-journey", "--cutoff", CUTOFF, "--share", str(SHARE)],
        env=local.environment() | chosen | pseudonyms,
        check=True,
        capture_output=True,
    )
    return outcome(home, f"sqlite:///{home / 'operations.db'}")


@pytest.fixture(scope="session")
def tell(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Print a line of the record, whatever is captured."""
    capture: Any = request.config.pluginmanager.getplugin("capturemanager")

    def told(line: str) -> None:
        with capture.global_and_fixture_disabled():
            print(line)  # noqa: T201 - the record is what `make stack` is for

    return told
