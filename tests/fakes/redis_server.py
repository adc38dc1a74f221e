"""A real Redis server on loopback, in a folder of its own."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

START_SECONDS = 20


def why_absent() -> str | None:
    """Why no Redis server can be started here; None if one can."""
    if shutil.which("redis-server") is None:
        return "redis-server is not installed (Debian: apt-get install redis-server)"
    if find_spec("redis") is None or find_spec("hiredis") is None:
        return "the Python packages redis and hiredis are not installed (extra redis of feast)"
    return None


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[str]:
    """Start a server that keeps nothing on disk, unless ``options`` say so.

    Gives its URL without a database number, such as redis://host:port.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(folder), *options]
    with (folder / "redis.log").open("wb") as log:
        child = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        _await(port, child)
        yield f"redis://127.0.0.1:{port}"
    finally:
        child.terminate()
        child.wait(timeout=START_SECONDS)


def _await(port: int, child: subprocess.Popen[bytes]) -> None:
    """Until it has read what it kept, and serves."""
    from redis import Redis, RedisError

    deadline = time.monotonic() + START_SECONDS
    with Redis(port=port) as client:
        while child.poll() is None and time.monotonic() < deadline:
            try:
                client.ping()
            except RedisError:
                time.sleep(0.05)
            else:
                return
    raise RuntimeError(f"redis-server did not answer on port {port}")
