"""A stack that was started as a person starts it, and ways to ask it."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.machine import new_terminal

HOLDFAST = str(Path(sys.executable).parent / "holdfast")
PORTS = ("AIRFLOW", "MLFLOW", "FEAST", "PREFERENCES", "LOOKUP", "SMTP")


@dataclass
class Up:
    """A running `holdfast up`, and all that it prints."""

    process: subprocess.Popen[bytes]
    home: Path
    ports: Mapping[str, int]
    output: Path

    def url(self, service: str, path: str) -> str:
        return f"http://127.0.0.1:{self.ports[service]}{path}"

    @property
    def printed(self) -> str:
        return self.output.read_text()

    @property
    def password(self) -> str:
        found = re.search(r"log in as admin, password (\S+)", self.printed)
        assert found
        return found[1]

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)


def until(holds: Callable[[], Any], seconds: float, what: str) -> Any:
    """Wait for something true and return it; fail, naming it, after so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = holds()
        if found:
            return found
        time.sleep(0.1)
    return pytest.fail(f"not within {seconds} seconds: {what}")


def alive(process: psutil.Process) -> bool:
    """Whether it still runs (an ended one stays listed until its parent, or the system's first process, has looked)."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def free_ports() -> dict[str, int]:
    with ExitStack() as held:
        return {name: held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for name in PORTS}


def environment(home: Path, ports: Mapping[str, int]) -> dict[str, str]:
    """What a newly opened terminal would have, and where this stack shall live."""
    own = {"HOLDFAST_HOME": str(home)} | {f"HOLDFAST_{name}_PORT": str(port) for name, port in ports.items()}
    return new_terminal() | own


def start(home: Path, ports: Mapping[str, int]) -> Up:
    """`holdfast up`, once it says that all is well."""
    home.mkdir(exist_ok=True)
    output = home / "terminal.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [HOLDFAST, "up"], stdout=file, stderr=subprocess.STDOUT, env=environment(home, ports), cwd=home
        )
    up = Up(process, home, ports, output)
    until(lambda: "Ctrl-C stops" in up.printed or process.poll() is not None, 300, "holdfast up")
    assert process.poll() is None, up.printed
    return up


def answer(url: str, headers: Mapping[str, str] | None = None, body: Any = None) -> tuple[int, str, Mapping[str, str]]:
    """Status, text and headers of what the server says."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json", **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            return response.status, response.read().decode(), response.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(), error.headers


def log_in(up: Up, password: str) -> tuple[int, str, Mapping[str, str]]:
    return answer(up.url("AIRFLOW", "/auth/token"), body={"username": "admin", "password": password})


def api(up: Up, token: str, path: str) -> Any:
    status, text, _ = answer(up.url("AIRFLOW", f"/api/v2{path}"), {"Authorization": f"Bearer {token}"})
    assert status == 200, text
    return json.loads(text)


def log_in_as_admin(up: Up) -> str:
    """The token that the log-in with the printed password gives."""
    status, text, _ = log_in(up, up.password)
    assert status == 201
    token: str = json.loads(text)["access_token"]
    return token
