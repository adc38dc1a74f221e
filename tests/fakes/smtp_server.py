"""A real SMTP server on loopback that obeys the recipient's local part, as ``FakeChannel`` does."""

from __future__ import annotations

import email
import email.policy
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.fakes.channel import word


class Obedient:
    """aiosmtpd's handler.

    ``delivered`` holds the messages taken, ``raw`` their bytes, and ``connections`` counts greetings.
    """

    def __init__(self) -> None:
        self.delivered: list[EmailMessage] = []
        self.raw: list[bytes] = []
        self.connections = 0
        self.port = 0

    async def handle_EHLO(self, _server: SMTP, session: Session, _envelope: Envelope, hostname: str, lines: list[str]):  # noqa: N802
        session.host_name = hostname
        self.connections += 1
        return lines

    async def handle_RCPT(self, server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]):  # noqa: N802
        if word(address) == "later":
            return f"451 4.7.1 <{address}> greylisted"
        if word(address) == "never":
            return f"550 5.1.1 <{address}> unknown"
        if word(address) == "gone":
            server.transport.abort()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        asked = word(envelope.rcpt_tos[0])
        if asked == "full":
            return "452 4.2.2 mailbox full"
        if asked == "spam":
            return "554 5.7.1 refused as spam"
        if asked == "lost":
            server.transport.abort()
            return "250 never arrives"
        self.raw.append(envelope.content)
        self.delivered.append(email.message_from_bytes(envelope.content, policy=email.policy.SMTP))
        return "250 OK"


def _let_in(_server: object, _session: object, _envelope: object, mechanism: str, given: LoginPassword) -> AuthResult:
    good = mechanism in ("PLAIN", "LOGIN") and (given.login, given.password) == (b"shop", b"secret")
    return AuthResult(success=good, handled=False)


@contextmanager
def smtp_server(tls: ssl.SSLContext | None = None) -> Iterator[Obedient]:
    """The server on a free port of 127.0.0.1. With ``tls`` it demands STARTTLS and the log-in shop / secret."""
    handler = Obedient()
    locked = {"tls_context": tls, "require_starttls": True, "auth_required": True, "authenticator": _let_in}
    controller = _OnFreePort(handler, **(locked if tls else {}))
    controller.start()
    handler.port = controller.server.sockets[0].getsockname()[1]
    try:
        yield handler
    finally:
        controller.stop()


class _OnFreePort(Controller):
    """Port 0: the system chooses. The controller's own first greeting must go to the port that was chosen."""

    def __init__(self, handler: Obedient, **options: object) -> None:
        super().__init__(handler, hostname="127.0.0.1", port=0, server_hostname="localhost", **options)

    def _trigger_server(self) -> None:
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()
