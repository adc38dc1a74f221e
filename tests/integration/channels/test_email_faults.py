"""Mail servers that are down, slow, refusing or that leave in the middle: each ends in the one error that is true."""

import socket
from dataclasses import replace

import pytest

from holdfast.adapters.channels.email import SmtpChannel, SmtpServer
from holdfast.campaign.envelope import Envelope
from holdfast.errors import (
    AmbiguousDeliveryError,
    ChannelUnavailableError,
    HoldfastError,
    MessageRefusedError,
    TemporaryChannelError,
)
from tests.fakes.operations import NOON, SENDER
from tests.fakes.scripted_server import Scripted, Story, drip, hang, scripted_server, smtp_until_data

MAIL = Envelope("email", "anna@shop.example", "win_back@2017-11-26:7:email", at=NOON, text="Hello", subject="A word")
ENDLESS = replace(MAIL, text="0123456789abcdef" * 2_000_000)  # far more than the system's buffers take


def told(story: Story, envelope: Envelope = MAIL, **bounds: float) -> HoldfastError:
    """What sending one message to a server with this story raises."""
    with scripted_server(story) as server:
        address = SmtpServer("127.0.0.1", server.port, hello="shop.example", **({"timeout": 5.0} | bounds))
        with pytest.raises(HoldfastError) as caught, SmtpChannel(address, SENDER).connect() as connection:
            connection.prepare(envelope)()
    return caught.value


@pytest.mark.parametrize("story", [hang, drip], ids=["silent", "dripping"])
def test_a_server_that_does_not_come_to_greet_is_unavailable(story: Story) -> None:
    assert type(told(story, timeout=0.3, deadline=0.3)) is ChannelUnavailableError


@pytest.mark.parametrize(
    ("step", "answer", "error"),
    [
        ("MAIL", b"451 later", TemporaryChannelError),
        ("RCPT", b"450 later", TemporaryChannelError),
        ("DATA", b"452 full", TemporaryChannelError),
        ("RCPT", b"550 nobody", MessageRefusedError),
        ("DATA", b"554 no", MessageRefusedError),
        ("MAIL", b"550 sender unknown", ChannelUnavailableError),
        ("MAIL", b"421 closing", ChannelUnavailableError),
        ("RCPT", b"421 closing", ChannelUnavailableError),
    ],
)
def test_a_refusal_is_for_now_for_good_or_for_everybody(step: str, answer: bytes, error: type[HoldfastError]) -> None:
    def refuse(connection: socket.socket, server: Scripted) -> None:
        smtp_until_data(connection, server, {step: answer})

    refused = told(refuse)
    assert type(refused) is error
    assert answer.decode()[:3] in str(refused)


def test_a_server_that_leaves_in_the_middle_of_a_long_message_has_not_got_it() -> None:
    def leave_in_the_middle(connection: socket.socket, server: Scripted) -> None:
        smtp_until_data(connection, server)
        connection.recv(10_000)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")

    assert type(told(leave_in_the_middle, ENDLESS)) is ChannelUnavailableError


def test_a_server_that_stops_reading_in_the_middle_has_not_got_it() -> None:
    def stop_reading(connection: socket.socket, server: Scripted) -> None:
        smtp_until_data(connection, server)
        hang(connection, server)

    assert type(told(stop_reading, ENDLESS, timeout=60, deadline=0.5)) is ChannelUnavailableError


def read_all(connection: socket.socket) -> None:
    received = b""
    while not received.endswith(b"\r\n.\r\n"):
        received += connection.recv(10_000)


def babble(connection: socket.socket, _server: Scripted) -> None:
    connection.sendall(b"OK, thank you\r\n")


def leave(_connection: socket.socket, _server: Scripted) -> None:
    pass


@pytest.mark.parametrize("then", [hang, drip, babble, leave])
def test_a_server_that_has_the_whole_message_and_does_not_say_so_leaves_a_doubt(then: Story) -> None:
    def take_and(connection: socket.socket, server: Scripted) -> None:
        smtp_until_data(connection, server)
        read_all(connection)
        then(connection, server)

    doubt = told(take_and, timeout=60, deadline=0.5)
    assert type(doubt) is AmbiguousDeliveryError
    assert "look for its Message-ID" in str(doubt)


def test_a_server_that_is_slow_but_within_the_deadline_delivers() -> None:
    def slowly(connection: socket.socket, server: Scripted) -> None:
        smtp_until_data(connection, server)
        read_all(connection)
        for byte in b"250 kept\r\n":
            server.over.wait(0.02)
            connection.sendall(bytes([byte]))
        server.heard.append(b"message")

    with scripted_server(slowly) as server:
        address = SmtpServer("127.0.0.1", server.port, hello="shop.example")
        with SmtpChannel(address, SENDER).connect() as connection:
            connection.prepare(MAIL)()
    assert server.heard == [b"message"]
