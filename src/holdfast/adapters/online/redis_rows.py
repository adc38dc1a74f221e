"""Bulk writes into Feast's Redis online store."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import chain, repeat
from typing import Any

from holdfast.adapters.online.layout import Rows, View, entity_keys, timestamp, values
from holdfast.errors import StoreUnavailableError

# KEYS[1]: a customer. ARGV: the field of the view's event time, that time, then field after value. Comparing and
# writing are one step for every other client, so that two writers cannot interleave. A Timestamp message is the byte
# 8 and the seconds as a variable-length integer, then the byte 16 and the nanoseconds; what is zero is left out.
_PUT_UNLESS_OLDER = """
local function moment(message)
    local parts, at = {[8] = 0, [16] = 0}, 1
    while at <= #message do
        local field, value, scale = string.byte(message, at), 0, 1
        repeat
            at = at + 1
            local byte = string.byte(message, at)
            value, scale = value + (byte % 128) * scale, scale * 128
        until byte < 128
        parts[field], at = value, at + 1
    end
    return parts[8], parts[16]
end

local held = redis.call('HGET', KEYS[1], ARGV[1])
if held and held ~= ARGV[2] then
    local held_seconds, held_nanos = moment(held)
    local seconds, nanos = moment(ARGV[2])
    if held_seconds > seconds or (held_seconds == seconds and held_nanos > nanos) then
        return 0
    end
end
redis.call('HSET', KEYS[1], unpack(ARGV))
return 1
"""


TIMEOUTS = {"socket_connect_timeout": 10, "socket_timeout": 30}
"""Seconds that a server may take to be reached and to answer; redis-py by itself waits for ever."""


class RedisRows:
    """The OnlineWriter on the Redis server at ``url``: one hash a customer, with the fields of every view.

    Each row is written by the server in one step, so that a crash leaves whole rows. Of two rows for one customer the
    one with the later event time stays; at the same event time the one that arrives last, for Feast's layout in Redis
    has no room for the time of creation. A cluster or a sentinel is not supported.
    """

    def __init__(self, url: str) -> None:
        self._url = url

    def write(self, project: str, batches: Iterable[Rows]) -> int:
        with self.explained(), closing(self._client()) as client:
            return _write(client, project, batches)

    def held(self, project: str, customer: str) -> int:
        with self.explained(), closing(self._client()) as client:
            [key] = entity_keys([customer])
            return int(client.hlen(key + project.encode()))

    def erase(self, project: str, customers: Sequence[str], view: View | None = None) -> None:
        with self.explained(), closing(self._client()) as client:
            pipeline = client.pipeline(transaction=False)
            for key in entity_keys(customers):
                if view is None:
                    pipeline.unlink(key + project.encode())
                else:
                    fields = [hash_field(view.name, feature) for feature in view.features]
                    pipeline.hdel(key + project.encode(), f"_ts:{view.name}", *fields)
            pipeline.execute()

    def _client(self) -> Any:
        from redis import Redis

        return Redis.from_url(self._url, **TIMEOUTS)

    @contextmanager
    def explained(self) -> Iterator[None]:
        from redis.exceptions import RedisError

        try:
            yield
        except RedisError as error:
            raise StoreUnavailableError(
                f"the Redis online store cannot be reached or refuses to serve: {error}. Check "
                "HOLDFAST_FEAST_ONLINE_URL and the server; what was written is whole, and a repeated run completes it."
            ) from error


def _write(client: Any, project: str, batches: Iterable[Rows]) -> int:
    """Send batch after batch; while the server works on one, the next is put together."""
    script = client.script_load(_PUT_UNLESS_OLDER)
    connection = client.connection_pool.get_connection()
    written = awaited = 0
    try:
        for rows in batches:
            commands = _commands(script, project, rows)
            written += _answers(connection, awaited)
            connection.send_packed_command([commands])
            awaited = len(rows.customers)
        return written + _answers(connection, awaited)
    except BaseException:
        connection.disconnect()  # answers may be under way: nobody else may use this connection
        raise
    finally:
        client.connection_pool.release(connection)


def _answers(connection: Any, count: int) -> int:
    return sum(connection.read_response() for _ in range(count))


def _commands(script: str, project: str, rows: Rows) -> bytes:
    """One script call a customer, in Redis' own protocol; no Python code runs for a single cell."""
    from hiredis import pack_command

    keys = [key + project.encode() for key in entity_keys(rows.customers)]
    fields = chain.from_iterable(
        (repeat(hash_field(rows.view, name)), values(column)) for name, column in rows.columns.items()
    )
    head = (repeat("EVALSHA"), repeat(script), repeat("1"), keys)
    when = (repeat(f"_ts:{rows.view}"), repeat(timestamp(rows.event_time)))
    return b"".join(map(pack_command, zip(*head, *when, *fields, strict=False)))


def hash_field(view: str, feature: str) -> bytes:
    """The hash field of a feature: its name's 32-bit murmur hash, lowest byte first."""
    import mmh3

    return struct.pack("<I", mmh3.hash(f"{view}:{feature}", signed=False))
