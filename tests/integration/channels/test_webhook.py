"""The webhook channel against real servers: signed, once, within its deadline, and nowhere it may not go."""

import ipaddress
import json
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest

from holdfast.adapters.channels.network import may_connect
from holdfast.adapters.channels.webhook import RESPONSE_CAP, WebhookChannel, WebhookTarget
from holdfast.campaign.envelope import Envelope, WayOut
from holdfast.campaign.signing import is_signed
from holdfast.errors import (
    AmbiguousDeliveryError,
    ChannelUnavailableError,
    HoldfastError,
    MessageRefusedError,
    TemporaryChannelError,
)
from tests.fakes.certificates import self_signed
from tests.fakes.operations import NOON
from tests.fakes.scripted_server import (
    Scripted,
    Story,
    answering,
    hang,
    headers_and_body,
    read_request,
    scripted_server,
    status,
)

KEY = b"k" * 32
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
SMS = Envelope(
    channel="sms",
    recipient="+12025550143",
    idempotency_key="win_back@2017-11-26:7:sms",
    at=NOON,
    text="您好，券码 7KQ2",
    language="zh",
    way_out=WayOut("https://shop.example/preferences/abc", "https://shop.example/unsubscribe/abc"),
)


def target(server: Scripted, **changes: object) -> WebhookTarget:
    options: dict[str, object] = {"deadline": 5.0, "allow": LOOPBACK} | changes
    return WebhookTarget(f"http://127.0.0.1:{server.port}/hook", KEY, **options)


def deliver(to: WebhookTarget, *envelopes: Envelope) -> None:
    with WebhookChannel(to, lambda: NOON).connect() as connection:
        for envelope in envelopes:
            connection.prepare(envelope)()


def refused(story: Story, **changes: object) -> HoldfastError:
    with scripted_server(story) as server, pytest.raises(HoldfastError) as caught:
        deliver(target(server, **changes), SMS)
    return caught.value


def test_a_message_arrives_signed_with_its_key_and_its_way_out() -> None:
    with scripted_server(answering(status("202 Accepted"))) as server:
        deliver(target(server), SMS)
    headers, body = headers_and_body(server.heard[0])
    assert is_signed([KEY], headers, body, NOON + timedelta(seconds=1))
    assert headers["idempotency-key"] == SMS.reference == headers["webhook-id"]
    assert json.loads(body) == {
        "channel": "sms",
        "recipient": "+12025550143",
        "reference": SMS.reference,
        "at": "2017-11-26T17:00:00+00:00",
        "language": "zh",
        "subject": "",
        "text": "您好，券码 7KQ2",
        "preferences": "https://shop.example/preferences/abc",
        "data": {},
    }


def test_many_messages_go_over_one_connection() -> None:
    with scripted_server(answering(status("200 OK", b"{}"))) as server:
        deliver(target(server), *(replace(SMS, idempotency_key=str(n)) for n in range(5)))
        assert len(server.heard) == 5
        assert server.connections == 1


def test_over_tls_a_certificate_that_nobody_vouches_for_is_refused_before_anything_is_said(tmp_path: Path) -> None:
    theirs, ours = self_signed(tmp_path)

    def secret(connection: socket.socket, server: Scripted) -> None:
        with theirs.wrap_socket(connection, server_side=True) as safe:
            answering(status("200 OK"))(safe, server)

    with scripted_server(secret) as server:
        https = replace(target(server), url=f"https://127.0.0.1:{server.port}/hook")
        deliver(replace(https, tls=ours), SMS)
        with pytest.raises(ChannelUnavailableError, match=r"(?i)certificate.*nothing was sent"):
            deliver(https, SMS)
    assert len(server.heard) == 1


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("400 Bad Request", MessageRefusedError),
        ("422 Unprocessable", MessageRefusedError),
        ("429 Too Many", TemporaryChannelError),
        ("503 Unavailable", ChannelUnavailableError),
        ("401 Unauthorized", ChannelUnavailableError),
        ("404 Not Found", ChannelUnavailableError),
        ("302 Found", ChannelUnavailableError),
        ("409 Conflict", AmbiguousDeliveryError),
        ("500 Oops", AmbiguousDeliveryError),
        ("502 Bad Gateway", AmbiguousDeliveryError),
    ],
)
def test_an_answer_means_what_is_certain_of_it(line: str, error: type[HoldfastError]) -> None:
    answer = refused(answering(status(line, b"no +12025550143")))
    assert type(answer) is error
    assert f"answered {line[:3]}: no the recipient" in str(answer)


def test_a_redirect_is_not_followed() -> None:
    with scripted_server(answering(status("200 OK"))) as elsewhere:
        moved = status("307 Moved", headers=f"Location: http://127.0.0.1:{elsewhere.port}/\r\n")
        assert "redirects are not followed" in str(refused(answering(moved)))
    assert elsewhere.heard == []


def test_nobody_listening_is_unavailable() -> None:
    with scripted_server(hang) as server:
        gone = target(server)
    with pytest.raises(ChannelUnavailableError, match="nothing was sent"):
        deliver(gone, SMS)


def after_the_request(then: Callable[[socket.socket, Scripted], None]) -> Story:
    def story(connection: socket.socket, server: Scripted) -> None:
        server.heard.append(read_request(connection))
        then(connection, server)

    return story


def drip_headers(connection: socket.socket, server: Scripted) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while not server.over.wait(0.02):
        connection.sendall(b"x")


def leave(_connection: socket.socket, _server: Scripted) -> None:
    pass


def babble(connection: socket.socket, _server: Scripted) -> None:
    connection.sendall(b"220 not HTTP at all\r\n")


@pytest.mark.parametrize("then", [hang, drip_headers, leave, babble])
def test_a_service_that_has_the_request_and_gives_no_answer_leaves_a_doubt(then: Story) -> None:
    doubt = refused(after_the_request(then), deadline=0.4)
    assert type(doubt) is AmbiguousDeliveryError
    assert SMS.reference in str(doubt)


def test_a_tls_handshake_that_never_ends_is_unavailable(tmp_path: Path) -> None:
    with scripted_server(hang) as server, pytest.raises(ChannelUnavailableError):
        deliver(replace(target(server, deadline=0.3), url=f"https://127.0.0.1:{server.port}/"), SMS)


def gigabyte(line: bytes) -> Story:
    def story(connection: socket.socket, server: Scripted) -> None:
        read_request(connection)
        connection.sendall(b"HTTP/1.1 " + line + b"\r\nContent-Length: 1000000000\r\n\r\n")
        megabyte = b"x" * 1_000_000
        for sent in range(1_000):
            server.heard.append(b"")
            if sent and server.over.is_set():
                return
            connection.sendall(megabyte)

    return story


def test_of_an_answer_of_a_gigabyte_only_the_beginning_is_read() -> None:
    with scripted_server(gigabyte(b"200 OK")) as server:
        deliver(target(server), SMS)
    assert len(server.heard) < 100  # megabytes that left the server, nearly all of them into the system's buffers
    with scripted_server(gigabyte(b"400 No")) as server, pytest.raises(MessageRefusedError) as caught:
        deliver(target(server), SMS)
    assert len(server.heard) < 100
    assert len(str(caught.value)) < 400 < RESPONSE_CAP


def test_an_answer_whose_body_drips_is_judged_by_its_status() -> None:
    def drip_body(connection: socket.socket, server: Scripted) -> None:
        connection.sendall(b"HTTP/1.1 400 No\r\nContent-Length: 1000\r\n\r\n")
        while not server.over.wait(0.02):
            connection.sendall(b"x")

    assert type(refused(after_the_request(drip_body), deadline=0.4)) is MessageRefusedError


def test_a_private_address_is_not_connected_to_unless_allowed() -> None:
    with scripted_server(answering(status("200 OK"))) as server:
        for url in (f"http://127.0.0.1:{server.port}", f"http://localhost:{server.port}"):
            with pytest.raises(ChannelUnavailableError, match=r"leads to .* no public address.*`allow`"):
                deliver(replace(target(server, allow=()), url=url), SMS)
        assert server.connections == 0


def test_a_name_that_changes_its_address_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def changing(host: str, port: int, *_: object, **__: object) -> list[tuple]:
        address = host
        if host == "rebinding.example":
            asked.append(host)
            address = "127.0.0.1" if len(asked) == 1 else "10.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    with scripted_server(answering(status("200 OK"))) as server:
        monkeypatch.setattr("holdfast.adapters.channels.network.socket.getaddrinfo", changing)
        deliver(replace(target(server), url=f"http://rebinding.example:{server.port}/"), SMS)
    assert asked == ["rebinding.example"]
    assert server.connections == 1


def test_a_name_that_nobody_resolves_in_time_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    over = Event()

    def silent(*_: object, **__: object) -> list[tuple]:
        over.wait(30)
        raise socket.gaierror(socket.EAI_AGAIN, "gave up by itself")

    monkeypatch.setattr("holdfast.adapters.channels.network.socket.getaddrinfo", silent)
    with pytest.raises(ChannelUnavailableError, match=r"silent\.example was not looked up in time.*nothing was sent"):
        deliver(WebhookTarget("https://silent.example/hook", KEY, deadline=0.2), SMS)
    over.set()


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1"),  # noqa: S104
        *("224.0.0.1", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "ff02::1"),
    ],
)
def test_every_kind_of_private_address_is_known(address: str) -> None:
    assert not may_connect(address, ())


def test_a_public_address_is_free_and_an_allowed_network_is_allowed() -> None:
    assert may_connect("93.184.215.14", ())
    assert may_connect("::ffff:10.1.2.3", (ipaddress.ip_network("10.0.0.0/8"),))
