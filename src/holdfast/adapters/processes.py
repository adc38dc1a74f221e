"""Services as child processes: started, awaited until each answers, watched, and stopped whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import psutil

from holdfast.errors import HoldfastError

START_SECONDS = 120
STOP_SECONDS = 20


@dataclass(frozen=True)
class Service:
    """A child process: its command, how it tells that it is ready, and what it listens on (None: nothing).

    ``health`` is a page that then answers, or a command that then ends with 0. Where the page is about several
    services, ``part`` is the key of this one in it. ``environment`` goes on top of what all services get. ``user`` is
    who it runs as (None: as we do).
    """

    name: str
    command: tuple[str, ...]
    health: str | tuple[str, ...]
    port: int | None = None
    part: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None


@dataclass(frozen=True)
class Child:
    """A service that was started, and the file that keeps what it prints."""

    service: Service
    process: subprocess.Popen[bytes]
    log: Path
    environment: Mapping[str, str]

    def require_running(self) -> None:
        """Raise HoldfastError if it has ended."""
        code = self.process.poll()
        if code is not None:
            raise HoldfastError(
                f"{self.service.name} ended with code {code}, so everything was stopped. Its last words: "
                f"{_last_line(self.log)!r}; more in {self.log}"
            )

    def healthy(self) -> bool:
        """Whether it answers now."""
        if isinstance(self.service.health, str):
            return _answers(self.service.health, self.service.part)
        check = subprocess.run(  # noqa: S603 - our own checks, no shell of ours
            self.service.health, env=dict(self.environment), capture_output=True, check=False, user=self.service.user
        )
        return check.returncode == 0


class Supervised:
    """The children of one stack. Made by ``supervised``, which stops them."""

    def __init__(self, logs: Path, environment: Mapping[str, str]) -> None:
        self._logs = logs
        self._environment = environment
        self.children: list[Child] = []

    def start(self, *services: Service) -> list[Child]:
        """Start the services in this order and return at once."""
        started = []
        for service in services:
            started.append(self._start(service))
            self.children.append(started[-1])
        return started

    def start_again(self, ended: Child) -> Child:
        """Start a service anew in the place of its child that has ended."""
        again = self._start(ended.service)
        self.children[self.children.index(ended)] = again
        return again

    def run(self, service: Service) -> None:
        """Run a service that ends by itself. Raises HoldfastError with its last words when it fails."""
        (child,) = self.start(service)
        code = child.process.wait()
        self.children.remove(child)
        if code:
            raise HoldfastError(
                f"{service.name} failed with code {code}. Its last words: {_last_line(child.log)!r}; "
                f"more in {child.log}"
            )

    def await_healthy(self, children: Sequence[Child], seconds: float = START_SECONDS) -> None:
        """Until each answers; raises HoldfastError as soon as any child has ended, or when the time is up."""
        deadline = time.monotonic() + seconds
        waiting = list(children)
        while waiting:
            for child in self.children:
                child.require_running()
            while waiting and waiting[0].healthy():  # a check may cost as much as the start: no look at the others yet
                waiting.pop(0)
            if waiting and time.monotonic() > deadline:
                late = waiting[0]
                raise HoldfastError(
                    f"{late.service.name} did not answer in {seconds} seconds, so everything was stopped; "
                    f"see {late.log}"
                )
            time.sleep(0.5)

    def _start(self, service: Service) -> Child:
        self._logs.mkdir(parents=True, exist_ok=True)
        path = self._logs / f"{service.name}.log"
        environment = {**self._environment, **service.environment}
        with path.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own programs, no shell of ours
                service.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                user=service.user,
                start_new_session=True,  # Ctrl-C reaches us alone, and all that it starts is known by its session
            )
        return Child(service, process, path, environment)


@contextlib.contextmanager
def supervised(logs: Path, environment: Mapping[str, str]) -> Iterator[Supervised]:
    """A stack of child processes with this environment; all of them are stopped on the way out, whatever happened."""
    stack = Supervised(logs, environment)
    try:
        yield stack
    finally:
        _stop(stack.children)


def watch(children: Sequence[Child]) -> NoReturn:
    """Wait for as long as every child runs. Raises HoldfastError naming the first that ends by itself."""
    while True:
        for child in children:
            child.require_running()
        time.sleep(0.5)


def _answers(page: str, part: str | None) -> bool:
    try:
        with urllib.request.urlopen(page, timeout=2) as answer:  # noqa: S310 - an address on loopback
            told = answer.read()
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False
    return part is None or json.loads(told)[part]["status"] == "healthy"


def _stop(children: Sequence[Child]) -> None:
    """Ask each service to end; after ``STOP_SECONDS``, or a second Ctrl-C, kill all that is left of their sessions.

    Airflow's tasks have process groups of their own, so a session is what holds a service's processes together.
    """
    deadline = time.monotonic() + STOP_SECONDS
    try:
        for child in reversed(children):
            child.process.terminate()
        for child in children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(timeout=max(0.1, deadline - time.monotonic()))
    finally:
        left = _members({child.process.pid for child in children})
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        for child in children:
            child.process.wait()
        psutil.wait_procs(left, timeout=STOP_SECONDS)


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1].strip()[-300:] if lines else "nothing"


def _members(sessions: set[int]) -> list[psutil.Process]:
    """The processes of these sessions."""
    members = []
    for process in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getsid(process.pid) in sessions:
                members.append(process)
    return members
