"""Feast's own feature server as a process of its own, and a client that knows nothing but HTTP."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from holdfast.adapters.environment import for_child
from holdfast.settings import Settings

START_SECONDS = 120


@contextlib.contextmanager
def feast_server(settings: Settings, log: Path) -> Iterator[str]:
    """Start the server on the settings' online store; gives its URL."""
    with socket.socket() as free:
        free.bind((settings.loopback, 0))
        port = free.getsockname()[1]
    url = f"http://{settings.loopback}:{port}"
    feast = str(Path(sys.executable).parent / "feast")
    command = [feast, "--chdir", str(settings.feast_repo), "serve", "--host", settings.loopback]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        child = subprocess.Popen(
            [*command, "--port", str(port), "--no-access-log"],
            env=for_child(settings, {}),
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and child.poll() is None:
            with contextlib.suppress(urllib.error.URLError), urllib.request.urlopen(f"{url}/health", timeout=2):
                break
            time.sleep(0.1)
        yield url
    finally:
        child.terminate()
        child.wait(timeout=20)


def look_up(url: str, service: str, customers: list[str]) -> dict[str, list[Any]]:
    """The values that the server answers, by feature, in the order of ``customers``."""
    body = {"feature_service": service, "entities": {"customer_id": customers}}
    request = urllib.request.Request(
        f"{url}/get-online-features", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        told = json.load(answer)
    names = told["metadata"]["feature_names"]
    return {name: column["values"] for name, column in zip(names, told["results"], strict=True)}
