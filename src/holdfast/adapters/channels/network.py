"""Connections that go only where they may: never to a private address unless allowed, never beyond a deadline."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterable, Sequence
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import httpcore

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class AddressRefusedError(httpcore.ConnectError):
    """The host's name leads to an address that may not be connected to."""


class Deadline:
    """How long one exchange may still take; ``start`` begins the next."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = 0.0

    def start(self) -> None:
        self._end = time.monotonic() + self._seconds

    def left(self) -> float:
        """Seconds, 0 when it is over."""
        return max(0.0, self._end - time.monotonic())


class GuardedBackend(httpcore.NetworkBackend):
    """Resolves a name once, looks at the addresses, and connects to what it looked at.

    So no name can answer with a public address when it is checked and with a private one when it is used.
    """

    def __init__(self, allow: Sequence[Network], deadline: Deadline) -> None:
        self._allow = allow
        self._deadline = deadline
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """As ``httpcore.NetworkBackend``. Raises AddressRefusedError when an address of the host is refused."""
        addresses = _looked_up(host, port, self._deadline.left())
        for address in addresses:
            if not may_connect(address, self._allow):
                raise AddressRefusedError(f"{host} leads to {address}, which is no public address and is not allowed")
        failure: Exception = httpcore.ConnectError(f"no address for {host}")
        for address in addresses:
            left = self._deadline.left()
            if left == 0:
                raise httpcore.ConnectTimeout("the deadline is over")
            try:
                stream = self._plain.connect_tcp(address, port, left, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _BoundedStream(stream, self._deadline)
        raise failure


def _looked_up(host: str, port: int, seconds: float) -> list[str]:
    """The host's addresses, each once.

    The system's look-up cannot be given a time, so that a thread makes it, which is left behind when it takes longer.
    """
    answers: SimpleQueue[list[str] | OSError | UnicodeError] = SimpleQueue()

    def look_up() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:  # the latter of a name that cannot be one
            answers.put(error)
        else:
            answers.put(list(dict.fromkeys(str(one[4][0]) for one in found)))

    Thread(target=look_up, daemon=True).start()
    try:
        answer = answers.get(timeout=seconds)
    except Empty as error:
        raise httpcore.ConnectTimeout(f"{host} was not looked up in time") from error
    if isinstance(answer, list):
        return answer
    raise httpcore.ConnectError(f"no address for {host}: {answer}") from answer


class _BoundedStream(httpcore.NetworkStream):
    """A stream on which every wait ends with the deadline, however much arrives in between."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = self._deadline.left()
        if left == 0:
            raise httpcore.ReadTimeout("the deadline is over")
        return self._stream.read(max_bytes, left)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        left = self._deadline.left()
        if left == 0:
            raise httpcore.WriteTimeout("the deadline is over")
        self._stream.write(buffer, left)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._deadline.left()
        if left == 0:
            raise httpcore.ConnectTimeout("the deadline is over")
        return _BoundedStream(self._stream.start_tls(ssl_context, server_hostname, left), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def may_connect(address: str, allow: Sequence[Network]) -> bool:
    """Whether the address is public, or in one of the networks allowed."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    return (ip.is_global and not ip.is_multicast) or any(ip in network for network in allow)
