"""A campaign sent to a peer in every bad mood, over real sockets: nothing lost, nothing doubled, every doubt kept."""

import hashlib
import ipaddress
import json
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from holdfast.adapters.channels.email import SmtpChannel, SmtpServer
from holdfast.adapters.channels.webhook import WebhookChannel, WebhookTarget
from holdfast.adapters.operations.models import OutboxRow
from holdfast.errors import TemporaryChannelError
from holdfast.ports import Channel
from tests.fakes.correspondence import rows
from tests.fakes.operations import NOON, SENDER, campaign, intervention, operations_engine, reachable, scores
from tests.fakes.scripted_server import Scripted, Story, hang, read_request, scripted_server

CUSTOMERS = [str(i) for i in range(80)]
DEADLINE = 0.3  # seconds that a silent peer is given
MOODS = ("kind", "kind", "kind", "kind", "later", "never", "broken off", "silent", "away")


class Moody:
    """A peer whose mood changes with every message; ``kept`` holds the recipients of the messages that it took."""

    def __init__(self) -> None:
        self.kept: Counter[str] = Counter()
        self.moods: Counter[str] = Counter()
        self._lock = threading.Lock()

    def mood(self) -> str:
        with self._lock:
            digest = hashlib.sha256(str(self.moods.total()).encode()).digest()
            mood = MOODS[digest[0] % len(MOODS)]
            self.moods[mood] += 1
        return mood

    def keep(self, recipient: str) -> None:
        with self._lock:
            self.kept[recipient] += 1


def mail_server(peer: Moody) -> Story:
    """Speaks SMTP on one connection for as long as its mood allows; the mood is that of each MAIL."""
    refusals = {("MAIL", "away"): b"421 away", ("RCPT", "later"): b"451 later", ("RCPT", "never"): b"550 never"}

    def story(connection: socket.socket, server: Scripted) -> None:
        connection.sendall(b"220 moody\r\n")
        lines, mood = connection.makefile("rb"), "kind"
        for line in lines:
            command = line[:4].decode().upper()
            mood = peer.mood() if command == "MAIL" else mood
            kind = {"DATA": b"354 go ahead", "QUIT": b"221 bye"}.get(command, b"250 OK")
            connection.sendall(refusals.get((command, mood), kind) + b"\r\n")
            if command == "DATA":
                received = b"".join(iter(lines.readline, b".\r\n"))
                found = re.search(rb"^To: (\S+)", received, re.MULTILINE)
                assert found
                peer.keep(found[1].decode())
                if mood == "silent":
                    hang(connection, server)
                if mood in ("broken off", "silent"):
                    return
                connection.sendall(b"250 kept\r\n")

    return story


def gateway(peer: Moody) -> Story:
    def story(connection: socket.socket, server: Scripted) -> None:
        while request := read_request(connection):
            mood = peer.mood()
            if mood in ("kind", "broken off", "silent"):
                peer.keep(json.loads(request.partition(b"\r\n\r\n")[2])["recipient"])
            if mood == "silent":
                hang(connection, server)
            if mood in ("broken off", "silent"):
                return
            answer = {"kind": b"200 OK", "later": b"429 Slow", "never": b"422 No", "away": b"503 Away"}[mood]
            connection.sendall(b"HTTP/1.1 " + answer + b"\r\nContent-Length: 0\r\n\r\n")

    return story


def smtp(port: int) -> Channel:
    return SmtpChannel(SmtpServer("127.0.0.1", port, hello="shop.example", deadline=DEADLINE), SENDER)


def webhook(port: int) -> Channel:
    target = WebhookTarget(f"http://127.0.0.1:{port}/", b"k" * 32, DEADLINE, (ipaddress.ip_network("127.0.0.0/8"),))
    return WebhookChannel(target, lambda: NOON)


@pytest.mark.parametrize(("peer_of", "channel_to"), [(mail_server, smtp), (gateway, webhook)], ids=["SMTP", "webhook"])
def test_whatever_the_peer_does_each_message_is_accounted_for_and_none_arrives_twice(
    tmp_path: Path, peer_of: Callable[[Moody], Story], channel_to: Callable[[int], Channel]
) -> None:
    engine, peer = operations_engine(tmp_path), Moody()
    reachable(engine, CUSTOMERS)
    table = scores(*((c, 0.6, "high", 50.0) for c in CUSTOMERS))
    at, told = NOON, []
    with scripted_server(peer_of(peer)) as server:
        use_case = intervention(engine, table, channel_to(server.port), shards=1)
        plan = use_case.plan(campaign())
        (batch,) = use_case.batches([plan])
        for _ in range(150):
            try:
                use_case.send(batch, lambda: at)  # noqa: B023  (called within the round)
            except TemporaryChannelError as error:
                told.append(str(error))
            at += timedelta(hours=1)
            if not {state for _, state in rows(engine, OutboxRow, "customer_id", "state")} & {"planned", "claimed"}:
                break
    states = {f"{customer}@shop.example": state for customer, state in rows(engine, OutboxRow, "customer_id", "state")}
    (account,) = use_case.account([plan["campaign_id"]])
    assert peer.moods.keys() == set(MOODS)
    assert account["sent"] + account["failed"] + account["unknown"] == account["planned"] == len(states)
    assert max(peer.kept.values()) == 1
    assert {to for to, state in states.items() if state == "sent"} <= set(peer.kept)
    assert {states[to] for to in peer.kept} == {"sent", "unknown"}
    assert told
    assert all("stay planned" in one or "broke off" in one or "answered" in one or "held back" in one for one in told)
