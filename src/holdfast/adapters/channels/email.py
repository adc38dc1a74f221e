"""E-mail over SMTP, told apart by what is certain: taken, refused for now, refused for good, or in doubt."""

from __future__ import annotations

import re
import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from threading import Event, Lock, Thread
from time import monotonic

from holdfast.campaign.envelope import Envelope
from holdfast.campaign.mime import as_email, sender_address
from holdfast.errors import (
    AmbiguousDeliveryError,
    ChannelUnavailableError,
    MessageRefusedError,
    SettingsError,
    TemporaryChannelError,
)

_LONGEST_DETAIL = 300
_DONE, _GO_AHEAD = 2, 3  # kinds of reply by their first digit (RFC 5321 4.2.1)
_CLOSING = 421  # the server ends the session
_ANSWERS = (200, 600)  # every reply code there is


_SIGNED = (
    *("From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type", "Content-Language"),
    *("List-Unsubscribe", "List-Unsubscribe-Post"),  # RFC 8058 asks for these two
)


@dataclass(frozen=True)
class Dkim:
    """The key that signs for the sender's domain; its public half is published in DNS under ``selector``.

    Raises SettingsError for a key that cannot sign.
    """

    selector: str
    private_key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        self.sign(b"From: specimen@shop.example\r\n\r\n", "shop.example")

    def sign(self, mail: bytes, domain: str) -> bytes:
        """The mail with its DKIM-Signature (RFC 6376) in front. Raises SettingsError when it cannot be signed."""
        import dkim

        headers = [name.lower().encode() for name in _SIGNED]
        try:
            signature: bytes = dkim.sign(
                mail,
                self.selector.encode(),
                domain.encode(),
                self.private_key,
                canonicalize=(b"relaxed", b"relaxed"),
                include_headers=[name for name in headers if re.search(rb"(?mi)^" + name + rb":", mail)],
            )
        except (dkim.DKIMException, ValueError) as error:  # the latter of a key that is cut short
            raise SettingsError(
                f"the DKIM key cannot sign ({error}); HOLDFAST_DKIM_KEY names a file with an RSA key in PEM form"
            ) from error
        return signature + mail


@dataclass(frozen=True)
class SmtpServer:
    """Where and how to hand in mail. ``hello`` is the name we greet with.

    ``timeout`` bounds each wait for the server and ``deadline`` one whole message, both in seconds: a server that
    sends a byte now and then keeps within the first for ever. A log-in needs STARTTLS (SettingsError otherwise): a
    password never travels in the clear.
    """

    host: str
    port: int
    hello: str
    starttls: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    timeout: float = 30
    deadline: float = 120
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context, repr=False)

    def __post_init__(self) -> None:
        if self.user and not self.starttls:
            raise SettingsError(
                "an SMTP log-in without STARTTLS would send the password in the clear; set HOLDFAST_SMTP_STARTTLS=true"
            )

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class SmtpChannel:
    """``ports.Channel`` over one SMTP server; ``sender`` is the From of every message, ``Shop <care@shop.example>``."""

    def __init__(self, server: SmtpServer, sender: str, dkim: Dkim | None = None) -> None:
        self._server = server
        self._sender = sender
        self._dkim = dkim

    @contextmanager
    def connect(self) -> Iterator[SmtpConnection]:
        connection = SmtpConnection(self._server, self._sender, self._dkim)
        try:
            yield connection
        finally:
            connection.close()


class SmtpConnection:
    """One SMTP session, opened at once and opened again when the server has dropped it between two messages."""

    def __init__(self, server: SmtpServer, sender: str, dkim: Dkim | None = None) -> None:
        self._server = server
        self._sender = sender
        self._dkim = dkim
        self._smtp = _open(server)
        self._between_messages = True  # False once a message was refused halfway, which RSET ends
        self._watch = _Watch(lambda: self._smtp, server.deadline)

    def prepare(self, envelope: Envelope) -> Callable[[], None]:
        """See ``ports.ChannelConnection.prepare``."""
        sender = sender_address(self._sender)
        mail = as_email(envelope, self._sender).as_bytes()
        if self._dkim is not None:
            mail = self._dkim.sign(mail, sender.rpartition("@")[2])
        return partial(self._send, sender, envelope.recipient, _dot_stuffed(mail))

    def _send(self, sender: str, recipient: str, content: bytes) -> None:
        with self._watch.step() as over:
            between_messages, self._between_messages = self._between_messages, False
            self._hand_over(sender, recipient, content, over, between_messages=between_messages)
            self._between_messages = True

    def _begin(self, sender: str, over: Event, *, between_messages: bool) -> tuple[int, bytes]:
        """The answer to MAIL, on a session opened anew if the last one has ended.

        A server may drop an idle session: then the first command fails, and a new session does no harm.
        """
        with suppress(smtplib.SMTPException, OSError):
            if between_messages or self._smtp.rset()[0] == 250:
                answer = self._smtp.mail(sender)
                if answer[0] != _CLOSING:
                    return answer
        if over.is_set():
            raise smtplib.SMTPServerDisconnected("no answer in time")
        self._smtp.close()
        self._smtp = _open(self._server)
        return self._smtp.mail(sender)

    def _hand_over(self, sender: str, recipient: str, content: bytes, over: Event, *, between_messages: bool) -> None:
        try:
            self._expect(_DONE, self._begin(sender, over, between_messages=between_messages), "MAIL", recipient)
            self._expect(_DONE, self._smtp.rcpt(recipient), "RCPT", recipient)
            self._expect(_GO_AHEAD, self._smtp.docmd("DATA"), "DATA", recipient)
            # If this raises, the lone dot that ends the message was not handed to the system: nobody has all of it.
            self._smtp.send(content)
        except (smtplib.SMTPException, OSError) as error:
            self._hang_up()
            raise ChannelUnavailableError(
                f"{self._server} broke off before the message was handed over ({type(error).__name__})"
            ) from error
        try:
            answer = self._smtp.getreply()
            if over.is_set() or not _ANSWERS[0] <= answer[0] < _ANSWERS[1]:
                # smtplib takes the beginning of a line that broke off, or no SMTP at all, for an answer.
                raise smtplib.SMTPServerDisconnected("no complete answer")
        except (smtplib.SMTPException, OSError) as error:
            self._hang_up()
            raise AmbiguousDeliveryError(
                f"{self._server} broke off after the message was handed over ({type(error).__name__}); "
                "it may or may not have been delivered: look for its Message-ID there"
            ) from error
        self._expect(_DONE, answer, "end of DATA", recipient)

    def close(self) -> None:
        self._watch.close()
        self._hang_up()

    def _hang_up(self) -> None:
        with suppress(smtplib.SMTPException, OSError):
            self._smtp.quit()
        self._smtp.close()

    def _expect(self, kind: int, answer: tuple[int, bytes], step: str, recipient: str) -> None:
        code, reply = answer
        if code // 100 == kind:
            return
        said = _without_address(reply, recipient)
        refusal = f"{self._server} answered {code} to {step}: {said}"
        if code == _CLOSING or (step == "MAIL" and code >= 500):
            # The server is closing, or refuses our sender: the next message would fare no better.
            self._hang_up()
            raise ChannelUnavailableError(refusal)
        if code >= 500:
            raise MessageRefusedError(refusal)
        raise TemporaryChannelError(refusal)


class _Session(smtplib.SMTP):
    """A session not yet connected, so that connecting can be held to a deadline."""

    def __init__(self, server: SmtpServer) -> None:
        super().__init__(local_hostname=server.hello, timeout=server.timeout)
        self._host = server.host  # the name that the certificate must bear; connect() by itself does not note it


def _open(server: SmtpServer) -> smtplib.SMTP:
    smtp = _Session(server)
    watch = _Watch(lambda: smtp, server.deadline)
    try:
        with watch.step():
            smtp.connect(server.host, server.port)
            if server.starttls:
                smtp.starttls(context=server.tls)
            if server.user:
                smtp.login(server.user, server.password or "")
            smtp.ehlo_or_helo_if_needed()
    except (smtplib.SMTPException, OSError) as error:
        smtp.close()
        raise ChannelUnavailableError(
            f"no SMTP session with {server}: {type(error).__name__}: {error}. Check HOLDFAST_SMTP_HOST and _PORT, and "
            "that the server runs; nothing was sent"
        ) from error
    finally:
        watch.close()
    return smtp


class _Watch:
    """Breaks a session's connection off when a step takes longer than it may: whoever waits on it sees its end.

    One thread serves all steps of a session, since starting one for every message cost more than sending it. It need
    not be told of a new step: no step that begins while it waits ends before it looks again.
    """

    def __init__(self, session: Callable[[], smtplib.SMTP], seconds: float) -> None:
        self._session, self._seconds = session, seconds
        self._step: _Step | None = None
        self._closed = Event()
        self._turn = Lock()  # a connection is never broken off for a step that has ended
        Thread(target=self._look, daemon=True).start()

    @contextmanager
    def step(self) -> Iterator[Event]:
        """Hold the block to the time; yields an event that is set when it was broken off."""
        step = self._step = _Step(monotonic() + self._seconds)
        try:
            yield step.over
        finally:
            with self._turn:
                self._step = None

    def close(self) -> None:
        self._closed.set()

    def _look(self) -> None:
        wait = self._seconds
        while not self._closed.wait(wait):
            with self._turn:
                wait = self._break_off_if_late()

    def _break_off_if_late(self) -> float:
        """Seconds until it may be late again."""
        step = self._step
        if step is None or step.over.is_set():
            return self._seconds
        left = step.ends - monotonic()
        if left > 0:
            return left
        step.over.set()
        connection = self._session().sock
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        return self._seconds


@dataclass(frozen=True)
class _Step:
    """A step under way; ``ends`` is by the monotonic clock."""

    ends: float
    over: Event = field(default_factory=Event)


def _dot_stuffed(content: bytes) -> bytes:
    """The message as it follows DATA: a line that starts with a dot gets another, a lone dot ends it (RFC 5321 4.5.2).

    ``content`` has CRLF line ends and ends with one.
    """
    return re.sub(rb"(?m)^\.", b"..", content) + b".\r\n"


def _without_address(reply: bytes, recipient: str) -> str:
    """What the server said, for logs and the outbox: servers quote the address, which belongs in the vault alone."""
    said = reply.decode("utf-8", "replace").replace("\n", " ")
    return re.sub(re.escape(recipient), "the recipient", said, flags=re.IGNORECASE)[:_LONGEST_DETAIL]
