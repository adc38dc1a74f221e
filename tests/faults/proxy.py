"""A TCP proxy on loopback that passes on, delays, goes silent or hangs up: a network in every mood."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

Open = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class Proxy:
    """``delay`` is the seconds that each piece of data takes; while ``silent`` is set, data is taken and not passed on.

    ``passed`` counts the pieces that went through; a ``silent_after`` so many makes it silent by itself.
    """

    def __init__(self) -> None:
        self.port = 0
        self.delay = 0.0
        self.silent = False
        self.silent_after: int | None = None
        self.passed = 0

    async def pass_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                await asyncio.sleep(self.delay)
                if self.silent_after is not None and self.passed >= self.silent_after:
                    self.silent = True
                if self.silent:
                    continue
                self.passed += 1
                sink.write(data)
                await sink.drain()
        sink.close()


@contextmanager
def proxy(upstream: Open) -> Iterator[Proxy]:
    """Pass connections to a free port of 127.0.0.1 on to what ``upstream`` opens, in a thread of its own."""
    made, loop, started = Proxy(), asyncio.new_event_loop(), threading.Event()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await upstream()
        except OSError:
            writer.close()
            return
        await asyncio.gather(made.pass_on(reader, far_writer), made.pass_on(far_reader, writer))

    async def serve() -> None:
        server = await asyncio.start_server(meet, "127.0.0.1", 0)
        made.port = server.sockets[0].getsockname()[1]
        started.set()
        with suppress(asyncio.CancelledError):
            await server.serve_forever()

    serving = loop.create_task(serve())

    def run() -> None:
        loop.run_until_complete(serving)
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left))
        loop.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    started.wait()
    try:
        yield made
    finally:
        loop.call_soon_threadsafe(serving.cancel)
        thread.join()
