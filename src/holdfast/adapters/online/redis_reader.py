"""Reads from Feast's Redis online store, many customers in one round trip, on one connection a process."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from hiredis import HiredisError, ProtocolError, Reader, ReplyError, pack_command

from holdfast.adapters.online.layout import entity_keys, moment, value
from holdfast.adapters.online.redis_rows import hash_field
from holdfast.errors import FeatureStoreError
from holdfast.ports import Asked

TIMEOUT_SECONDS = 1.0
"""How long connecting, or an answer, may take."""

_PORT = 6379


class RedisReader:
    """The OnlineReader on the Redis server at ``url``.

    Commands of all requests go down one connection as they come, and answers come back in that order. A connection that
    fails, or that an answer is missing on for too long, is given up with all that waits on it; the next read opens
    another.
    """

    def __init__(self, url: str, timeout: float = TIMEOUT_SECONDS) -> None:
        self._url = url
        self._timeout = timeout
        self._connection: _Connection | None = None
        self._opening: asyncio.Task[_Connection] | None = None

    async def read(self, asked: Asked, customers: Sequence[str]) -> list[list[Any]]:
        command = _command(asked.project, tuple(asked.views.items()))
        keys = [key + command.project for key in entity_keys(customers)]
        packed = b"".join([b"%b$%d\r\n%b\r\n%b" % (command.head, len(key), key, command.tail) for key in keys])
        rows = await self._ask(packed, len(keys))
        times = command.times
        return [
            [(None if cell is None else _moment(cell)) if at in times else value(cell) for at, cell in enumerate(row)]
            for row in rows
        ]

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.give_up(ConnectionError("closed"))

    async def _ask(self, packed: bytes, answers: int) -> list[Any]:
        try:
            connection = self._connection
            if connection is None or connection.closed:
                connection = await self._open()
            told = await connection.ask(packed, answers, self._timeout)
        except (OSError, TimeoutError, HiredisError) as error:
            raise _unreachable(error) from error
        refused = next((one for one in told if isinstance(one, ReplyError)), None)
        if refused is not None:
            raise _unreachable(refused)
        return told

    async def _open(self) -> _Connection:
        """The connection that is being opened, by whoever came first."""
        if self._opening is None:
            self._opening = asyncio.create_task(self._connect())
            self._opening.add_done_callback(self._opened)
        return await asyncio.shield(self._opening)

    def _opened(self, _task: object) -> None:
        self._opening = None

    async def _connect(self) -> _Connection:
        parts = urlsplit(self._url)
        async with asyncio.timeout(self._timeout):
            _, connection = await asyncio.get_running_loop().create_connection(
                _Connection,
                parts.hostname or "",
                parts.port or _PORT,
                ssl=ssl.create_default_context() if parts.scheme == "rediss" else None,
            )
        first: list[Any] = [("SELECT", parts.path.strip("/"))]
        if parts.password:
            user = (unquote(parts.username),) if parts.username else ()
            first.insert(0, ("AUTH", *user, unquote(parts.password)))
        told = await connection.ask(b"".join(pack_command(one) for one in first), len(first), self._timeout)
        refused = next((one for one in told if isinstance(one, ReplyError)), None)
        if refused is not None:
            connection.give_up(refused)
            raise ConnectionError(str(refused))
        self._connection = connection
        return connection


def _unreachable(error: Exception) -> FeatureStoreError:
    return FeatureStoreError(
        f"the Redis online store cannot be reached or refuses to serve: {str(error) or type(error).__name__}. Check "
        "HOLDFAST_FEAST_ONLINE_URL and the server"
    )


@dataclass(frozen=True)
class _Command:
    """HMGET for one selection, packed but for the customer's key; ``times`` are the places of event times."""

    project: bytes
    head: bytes
    tail: bytes
    times: frozenset[int]


@lru_cache(maxsize=256)
def _command(project: str, views: tuple[tuple[str, tuple[str, ...]], ...]) -> _Command:
    fields: list[bytes] = []
    times = set()
    for view, features in views:
        times.add(len(fields))
        fields += [f"_ts:{view}".encode(), *(hash_field(view, feature) for feature in features)]
    head = b"*%d\r\n$5\r\nHMGET\r\n" % (2 + len(fields))
    tail = b"".join(b"$%d\r\n%b\r\n" % (len(one), one) for one in fields)
    return _Command(project.encode(), head, tail, frozenset(times))


_moment = lru_cache(maxsize=4096)(moment)  # customers share the event times of a few cutoffs


@dataclass
class _Waiting:
    """A request under way: its future, how many answers are still to come, and those that came."""

    done: asyncio.Future[list[Any]]
    missing: int
    answers: list[Any] = field(default_factory=list)


class _Connection(asyncio.Protocol):
    """One connection, on which requests are answered in their order."""

    def __init__(self) -> None:
        self._reader = Reader()
        self._waiting: deque[_Waiting] = deque()
        self._transport: asyncio.Transport | None = None
        self.closed = False

    async def ask(self, packed: bytes, answers: int, timeout: float) -> list[Any]:
        """Send commands and return their answers. Raises TimeoutError when the server says nothing for so long."""
        if self._transport is None or self.closed:
            raise ConnectionError("the connection was closed")
        waiting = _Waiting(asyncio.get_running_loop().create_future(), answers)
        self._waiting.append(waiting)
        self._transport.write(packed)
        timer = asyncio.get_running_loop().call_later(timeout, self._late, waiting, timeout)
        try:
            return await waiting.done
        finally:
            timer.cancel()

    def _late(self, waiting: _Waiting, timeout: float) -> None:
        if not waiting.done.done():
            self.give_up(TimeoutError(f"no answer in {timeout:g} s"))

    def give_up(self, error: Exception) -> None:
        """Close, and let everything that waits fail."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()
        while self._waiting:
            done = self._waiting.popleft().done
            if not done.done():
                done.set_exception(error)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        reader, waiting = self._reader, self._waiting
        reader.feed(data)
        try:
            while waiting:
                first = waiting[0]
                while first.missing and (answer := reader.gets()) is not False:
                    first.answers.append(answer)
                    first.missing -= 1
                if first.missing:
                    return
                waiting.popleft()
                if not first.done.done():  # whoever asked may have gone
                    first.done.set_result(first.answers)
        except ProtocolError as error:
            self.give_up(error)

    def connection_lost(self, error: Exception | None) -> None:
        self.give_up(error or ConnectionError("the server closed the connection"))
