"""A server on loopback that does with every connection what a story says, byte by byte if need be."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Scripted:
    """``heard`` is for stories to note what they were sent; ``over`` is set when the test ends."""

    port: int
    connections: int = 0
    heard: list[bytes] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)


Story = Callable[[socket.socket, Scripted], None]


@contextmanager
def scripted_server(story: Story) -> Iterator[Scripted]:
    """Serve on a free port of 127.0.0.1, each connection on a thread of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Scripted(listener.getsockname()[1])
        threads: list[threading.Thread] = []

        def tell(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                story(connection, server)

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                server.connections += 1
                thread = threading.Thread(target=tell, args=[connection], daemon=True)
                threads.append(thread)
                thread.start()

        acceptor = threading.Thread(target=accept, daemon=True)
        acceptor.start()
        try:
            yield server
        finally:
            server.over.set()
            listener.shutdown(socket.SHUT_RDWR)
            acceptor.join()
            for thread in threads:
                thread.join()


def drip(connection: socket.socket, server: Scripted, pause: float = 0.02) -> None:
    """Send a byte now and then, and never the end of a line, until the client has gone or the test is over."""
    while not server.over.wait(pause):
        connection.sendall(b"2")


def hang(_connection: socket.socket, server: Scripted) -> None:
    """Say nothing."""
    server.over.wait()


def smtp_until_data(connection: socket.socket, server: Scripted, answers: dict[str, bytes] | None = None) -> None:
    """Speak SMTP up to and with the answer to DATA; ``answers`` replaces the answer to a command.

    Returns when the client may send its message, or has left.
    """
    replies = {"EHLO": b"250 hello", "RSET": b"250 OK", "MAIL": b"250 OK", "RCPT": b"250 OK", "DATA": b"354 go ahead"}
    replies |= answers or {}
    connection.sendall(b"220 scripted\r\n")
    lines = connection.makefile("rb")
    for line in lines:
        command = line[:4].decode().upper()
        if command == "QUIT":
            connection.sendall(b"221 bye\r\n")
            return
        connection.sendall(replies[command] + b"\r\n")
        if command == "DATA":
            return


def read_request(connection: socket.socket) -> bytes:
    """One request with its whole body; empty when the client has left."""
    received = b""
    while b"\r\n\r\n" not in received:
        more = connection.recv(65_536)
        if not more:
            return b""
        received += more
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    while len(body) < length:
        body += connection.recv(65_536)
    return head + b"\r\n\r\n" + body


def answering(answer: bytes) -> Story:
    """Answer every request of a connection with these bytes."""

    def story(connection: socket.socket, server: Scripted) -> None:
        while request := read_request(connection):
            server.heard.append(request)
            connection.sendall(answer)

    return story


def status(line: str, body: bytes = b"", headers: str = "") -> bytes:
    """An HTTP answer, for ``answering``."""
    return f"HTTP/1.1 {line}\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


def headers_and_body(request: bytes) -> tuple[dict[str, str], bytes]:
    """A request's headers, by their names in lower case, and its body."""
    head, _, body = request.partition(b"\r\n\r\n")
    lines = (line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    return {name.lower(): value for name, value in lines}, body
