"""The look-up API as a process of its own, as a person starts it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from holdfast.adapters.environment import for_child
from holdfast.settings import Settings

START_SECONDS = 120


@dataclass(frozen=True)
class Server:
    """Where it listens, its process, and the file with what it prints."""

    port: int
    pid: int
    log: Path


@contextmanager
def lookup_server(settings: Settings, **variables: str) -> Iterator[Server]:
    """Start ``holdfast lookup serve`` on a free port, with these variables too; gives it once it is ready."""
    with socket.socket() as free:
        free.bind((settings.loopback, 0))
        port = free.getsockname()[1]
    settings.logs.mkdir(parents=True, exist_ok=True)
    log = settings.logs / f"lookup-{port}.log"
    command = [str(Path(sys.executable).parent / "holdfast"), "lookup", "serve"]
    environment = for_child(settings, {"HOLDFAST_LOOKUP_PORT": str(port), **variables})
    with log.open("wb") as file:
        child = subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"http://{settings.loopback}:{port}/readyz", timeout=2).close()
                break
            except (urllib.error.URLError, OSError):
                if child.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the look-up API did not get ready: {log.read_text()[-2000:]}") from None
                time.sleep(0.1)
        yield Server(port, child.pid, log)
    finally:
        child.terminate()
        child.wait(timeout=30)
