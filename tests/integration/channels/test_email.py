"""The mail channel against a real SMTP server that accepts, refuses and breaks off; the fake passes the same tests."""

import base64
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from holdfast.adapters.channels.email import Dkim, SmtpChannel, SmtpServer
from holdfast.campaign.envelope import Envelope, WayOut
from holdfast.errors import (
    AmbiguousDeliveryError,
    ChannelUnavailableError,
    HoldfastError,
    MessageRefusedError,
    SettingsError,
    TemporaryChannelError,
)
from holdfast.ports import Channel
from tests.fakes.certificates import self_signed
from tests.fakes.channel import OUTCOMES, FakeChannel
from tests.fakes.operations import NOON, SENDER
from tests.fakes.smtp_server import Obedient, smtp_server


@dataclass
class Peer:
    """A channel and what arrives at its other end."""

    channel: Channel
    delivered: Sequence[Envelope | EmailMessage]


@contextmanager
def real() -> Iterator[Peer]:
    with smtp_server() as server:
        yield Peer(smtp(at(server)), server.delivered)


@contextmanager
def fake() -> Iterator[Peer]:
    channel = FakeChannel()
    yield Peer(channel, channel.delivered)


@pytest.fixture(params=[real, fake], ids=["smtp", "fake"])
def peer(request: pytest.FixtureRequest) -> Iterator[Peer]:
    with request.param() as one:
        yield one


def at(server: Obedient, **options: Any) -> SmtpServer:
    return SmtpServer("127.0.0.1", server.port, hello="shop.example", **options)


def smtp(server: SmtpServer) -> SmtpChannel:
    return SmtpChannel(server, SENDER)


def mail(to: str, body: str = "Hello") -> Envelope:
    return Envelope(
        "email", to, idempotency_key=f"win_back@2017-11-26:{to}:email", at=NOON, text=body, subject="A word"
    )


def recipient(taken: Envelope | EmailMessage) -> str:
    return taken.recipient if isinstance(taken, Envelope) else taken["To"]


def test_messages_accepted_on_one_connection_arrive_in_order(peer: Peer) -> None:
    with peer.channel.connect() as connection:
        for number in range(3):
            connection.prepare(mail(f"{number}@shop.example"))()
    assert [recipient(message) for message in peer.delivered] == ["0@shop.example", "1@shop.example", "2@shop.example"]


@pytest.mark.parametrize(("word", "error"), OUTCOMES.items())
def test_each_failure_has_its_own_error_and_the_next_message_still_goes(
    peer: Peer, word: str, error: type[HoldfastError]
) -> None:
    with peer.channel.connect() as connection:
        with pytest.raises(error) as caught:
            connection.prepare(mail(f"{word}.7@shop.example"))()
        connection.prepare(mail("anna@shop.example"))()
    assert type(caught.value) is error
    assert [recipient(message) for message in peer.delivered] == ["anna@shop.example"]


def test_the_body_arrives_as_written_lone_dots_included() -> None:
    body = "first\n.\n..two dots\n.hidden\nlast – ü\n"
    with smtp_server() as server, smtp(at(server)).connect() as connection:
        connection.prepare(mail("anna@shop.example", body))()
    assert server.delivered[0].get_content().replace("\r\n", "\n") == body


def test_one_connection_serves_many_messages_and_is_reopened_only_when_it_drops() -> None:
    with smtp_server() as server:
        with smtp(at(server)).connect() as connection:
            for _ in range(5):
                connection.prepare(mail("anna@shop.example"))()
            assert server.connections == 1
            with pytest.raises(AmbiguousDeliveryError):
                connection.prepare(mail("lost@shop.example"))()
            connection.prepare(mail("ben@shop.example"))()
        assert server.connections == 2


def test_what_the_server_says_is_told_without_the_address() -> None:
    with smtp_server() as server, smtp(at(server)).connect() as connection:
        with pytest.raises(MessageRefusedError) as refused:
            connection.prepare(mail("never.Anna@shop.example"))()
        with pytest.raises(TemporaryChannelError) as postponed:
            connection.prepare(mail("later.Anna@shop.example"))()
    assert f"127.0.0.1:{server.port} answered 550 to RCPT: 5.1.1 <the recipient> unknown" == str(refused.value)
    assert "451" in str(postponed.value)
    assert "Anna" not in str(postponed.value)


def test_nobody_listening_is_told_with_address_and_remedy() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        nobody = smtp(SmtpServer("127.0.0.1", port, hello="shop.example"))
        with (
            pytest.raises(ChannelUnavailableError, match=rf"127\.0\.0\.1:{port}.*HOLDFAST_SMTP_HOST"),
            nobody.connect(),
        ):
            pass


def test_a_server_that_never_answers_is_given_up_after_the_time_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = SmtpServer("127.0.0.1", silent.getsockname()[1], hello="shop.example", timeout=0.2)
        with pytest.raises(ChannelUnavailableError, match="timed out"), smtp(server).connect():
            pass


def test_a_log_in_over_starttls_delivers_and_a_wrong_password_is_told_but_never_shown(tmp_path: Path) -> None:
    theirs, ours = self_signed(tmp_path)
    with smtp_server(tls=theirs) as server:
        good = at(server, starttls=True, user="shop", password="secret", tls=ours)
        with smtp(good).connect() as connection:
            connection.prepare(mail("anna@shop.example"))()
        wrong = at(server, starttls=True, user="shop", password="hunter2", tls=ours)
        with pytest.raises(ChannelUnavailableError, match="535") as caught, smtp(wrong).connect():
            pass
    assert len(server.delivered) == 1
    assert "hunter2" not in str(caught.value) + repr(wrong)


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    theirs, _ = self_signed(tmp_path)
    with smtp_server(tls=theirs) as server:
        trusting_no_one_new = at(server, starttls=True, user="shop", password="secret")
        with pytest.raises(ChannelUnavailableError, match="certificate"), smtp(trusting_no_one_new).connect():
            pass


def test_a_log_in_without_starttls_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(SettingsError, match="HOLDFAST_SMTP_STARTTLS=true"):
        SmtpServer("127.0.0.1", 25, hello="shop.example", user="shop", password="secret")


def test_a_signature_covers_the_message_and_the_way_out_and_breaks_when_either_is_changed() -> None:
    import dkim
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem, no_password = serialization.Encoding.PEM, serialization.NoEncryption()
    ours = Dkim("holdfast", key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, no_password))
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    record = b"v=DKIM1; k=rsa; p=" + base64.b64encode(public)
    marketing = replace(mail("anna@shop.example"), way_out=WayOut("https://shop.example/p", "https://shop.example/u"))
    with smtp_server() as server, SmtpChannel(at(server), SENDER, ours).connect() as connection:
        connection.prepare(marketing)()
    (taken,) = server.raw
    for changed, good in [
        (taken, True),
        (taken.replace(b"Hello", b"Hullo"), False),
        (taken.replace(b"shop.example/u", b"shop.example/x"), False),
        (taken.replace(b"=One-Click", b"=Two-Click"), False),
    ]:
        assert dkim.verify(changed, dnsfunc=lambda name, timeout=5: record) is good


@pytest.mark.parametrize(
    "key", [b"not a key", b"-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----\n"]
)
def test_a_key_that_cannot_sign_is_told_before_there_is_a_channel_and_never_shown(key: bytes) -> None:
    with pytest.raises(SettingsError, match="HOLDFAST_DKIM_KEY") as caught:
        Dkim("holdfast", key)
    assert key.decode() not in str(caught.value)


def test_a_mail_that_cannot_be_made_is_told_before_the_server_hears_of_it() -> None:
    with smtp_server() as server, smtp(at(server)).connect() as connection:
        with pytest.raises(SettingsError, match="channel newsletter sends e-mail, but its recipient is not one"):
            connection.prepare(replace(mail("shop-7"), channel="newsletter"))
        connection.prepare(mail("anna@shop.example"))()
    assert [taken["To"] for taken in server.delivered] == ["anna@shop.example"]
