"""An SMTP server in a process of its own that writes down the Message-ID of every message it takes."""

from __future__ import annotations

import multiprocessing
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class CountingSink:
    """Where it listens, and what it has taken so far."""

    port: int
    record: Path

    @property
    def taken(self) -> Counter[str]:
        return Counter(self.record.read_text(encoding="utf-8").splitlines())

    @property
    def count(self) -> int:
        """How many messages, doubles included."""
        return self.record.read_bytes().count(b"\n")


@contextmanager
def counting_sink(record: Path) -> Iterator[CountingSink]:
    """Listen on loopback while the block runs. A message is written down before it is acknowledged."""
    record.touch()
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(sender, record), daemon=True)
    process.start()
    try:
        yield CountingSink(receiver.recv(), record)
    finally:
        process.terminate()
        process.join()


def _serve(ready: Any, record: Path) -> None:
    import asyncio

    from aiosmtpd.smtp import SMTP

    class Count:
        def __init__(self) -> None:
            self._out = record.open("a", encoding="utf-8", buffering=1)

        async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802
            found = re.search(rb"(?mi)^Message-ID:\s*(\S+)", envelope.content)
            self._out.write(f"{found.group(1).decode() if found else '?'}\n")
            return "250 OK"

    async def serve() -> None:
        handler = Count()
        server = await asyncio.get_running_loop().create_server(
            lambda: SMTP(handler, hostname="localhost"), "127.0.0.1", 0
        )
        ready.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(serve())
