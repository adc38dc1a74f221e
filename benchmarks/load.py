"""A load generator that costs little: prepared HTTP requests on kept connections, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil


@dataclass(frozen=True)
class Load:
    """Requests to one server: by ``clients`` that each wait for their answer, or ``per_second`` whatever happens."""

    host: str
    port: int
    requests: Sequence[bytes]
    clients: int
    seconds: float
    per_second: float | None = None


@dataclass(frozen=True)
class Seen:
    """Requests answered a second and by status, percentiles in milliseconds, the server's processor time a request."""

    per_second: float
    p50: float
    p95: float
    p99: float
    server_cpu_us: float | None
    statuses: dict[str, int]
    unanswered: int


def request(method: str, path: str, body: Any = None, key: str | None = None) -> bytes:
    """An HTTP/1.1 request, ready to send."""
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    if key:
        lines.append(f"Authorization: Bearer {key}")
    if content:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join([*lines, "", ""]).encode() + content


def measure(load: Load, server: int) -> Seen:
    """Put the load on the server with process id ``server`` (and its children), after a second to warm up."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_generate, args=(sender, load))
    child.start()
    sender.close()
    receiver.recv()  # it is warm
    before = cpu_seconds(server)
    told = receiver.recv()
    used = cpu_seconds(server) - before
    child.join()
    latencies = np.array(told["latencies"]) * 1000
    p50, p95, p99 = (round(float(one), 3) for one in np.percentile(latencies, [50, 95, 99]))
    return Seen(
        round(len(latencies) / told["seconds"], 1),
        p50,
        p95,
        p99,
        round(used / len(latencies) * 1e6, 1),
        told["statuses"],
        told["unanswered"],
    )


def cpu_seconds(server: int) -> float:
    processes = [psutil.Process(server), *psutil.Process(server).children(recursive=True)]
    return sum(sum(one.cpu_times()[:2]) for one in processes)


class _Client(asyncio.Protocol):
    """One connection; ``done`` is called with the status of each answer."""

    def __init__(self, done: Any) -> None:
        self._done = done
        self._buffer = b""
        self.transport: Any = None
        self.busy = False
        self.lost = False

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, _error: Exception | None) -> None:
        self.lost = True

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head = self._buffer.find(b"\r\n\r\n")
        if head < 0:
            return
        at = self._buffer[:head].lower().find(b"content-length: ")
        length = int(self._buffer[at + 16 : head + 2].split(b"\r\n", 1)[0])
        if len(self._buffer) < head + 4 + length:
            return
        status = self._buffer[9:12].decode()
        self._buffer = self._buffer[head + 4 + length :]
        self.busy = False
        self._done(self, status)


def _generate(pipe: Any, load: Load) -> None:
    import uvloop

    told = uvloop.run(_open(pipe, load, load.per_second) if load.per_second else _closed(pipe, load))
    pipe.send(told)


async def _connect(load: Load, done: Any) -> list[_Client]:
    loop = asyncio.get_running_loop()
    opened = [await loop.create_connection(lambda: _Client(done), load.host, load.port) for _ in range(load.clients)]
    return [client for _, client in opened]


async def _closed(pipe: Any, load: Load) -> dict[str, Any]:
    """Each client sends its next request as soon as it has the answer to the one before."""
    clock = time.perf_counter
    latencies: list[float] = []
    statuses: Counter[str] = Counter()
    sent_at: dict[_Client, float] = {}
    number = 0
    ends = clock() + 1.0 + load.seconds
    finished = asyncio.get_running_loop().create_future()

    def send(client: _Client) -> None:
        nonlocal number
        number += 1
        sent_at[client] = clock()
        client.transport.write(load.requests[number % len(load.requests)])

    def done(client: _Client, status: str) -> None:
        now = clock()
        latencies.append(now - sent_at[client])
        statuses[status] += 1
        if now < ends:
            send(client)
        elif not finished.done():
            finished.set_result(None)

    clients = await _connect(load, done)
    for client in clients:
        send(client)
    await asyncio.sleep(1.0)
    latencies.clear()
    statuses.clear()
    pipe.send("warm")
    started = clock()
    await asyncio.wait_for(finished, load.seconds + 60)
    return {"latencies": latencies, "seconds": clock() - started, "statuses": dict(statuses), "unanswered": 0}


async def _open(pipe: Any, load: Load, per_second: float) -> dict[str, Any]:
    """Requests leave at even intervals; latency counts from the moment at which each should have left."""
    clock = time.perf_counter
    latencies: list[float] = []
    statuses: Counter[str] = Counter()
    due: dict[_Client, float] = {}
    waiting: list[float] = []
    # The longest idle goes first: a server closes a connection that it has not heard of for a few seconds.
    idle: deque[_Client] = deque()
    number = 0

    def send(client: _Client, at: float) -> None:
        nonlocal number
        number += 1
        due[client] = at
        client.transport.write(load.requests[number % len(load.requests)])

    def done(client: _Client, status: str) -> None:
        latencies.append(clock() - due.pop(client))
        statuses[status] += 1
        if waiting:
            send(client, waiting.pop(0))
        else:
            idle.append(client)

    idle += await _connect(load, done)
    started, sent, warm = clock(), 0, False
    while (passed := clock() - started) < load.seconds + 1.0:
        if not warm and passed >= 1.0:
            latencies.clear()
            statuses.clear()
            pipe.send("warm")
            warm = True
        while sent < passed * per_second:
            at = started + sent / per_second
            sent += 1
            if idle:
                send(idle.popleft(), at)
            else:
                waiting.append(at)
        await asyncio.sleep(0.0005)
    until = clock() + 10
    while (due or waiting) and clock() < until:
        await asyncio.sleep(0.01)
    return {
        "latencies": latencies,
        "seconds": load.seconds,
        "statuses": dict(statuses),
        "unanswered": len(due) + len(waiting),
    }
