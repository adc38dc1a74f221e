"""A local SMTP server that keeps every message in a Maildir: where the demo's mail goes."""

from __future__ import annotations

import logging
import mailbox
import socket
from asyncio import AbstractServer
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiosmtpd.controller import Controller

from holdfast.errors import SettingsError

if TYPE_CHECKING:
    from aiosmtpd.smtp import SMTP, Envelope, Session


@contextmanager
def mail_sink(folder: Path, host: str, port: int) -> Iterator[int]:
    """Listen on ``host``:``port`` while the block runs, and yield the port; 0 lets the system choose a free one.

    The server runs on a thread of this process. A message is acknowledged only when it is in the Maildir ``folder``.
    Raises SettingsError when the port is taken.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    logging.getLogger("mail.log").setLevel(logging.WARNING)  # it names every recipient at INFO
    try:
        listener = socket.create_server((host, port))
    except OSError as error:
        raise SettingsError(
            f"the mail sink cannot listen on {host}:{port} ({error.strerror}); stop what does, or choose another port "
            "by HOLDFAST_SMTP_PORT"
        ) from error
    controller = _Controller(_Keep(mailbox.Maildir(folder, create=True)), listener)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


class _Controller(Controller):
    """aiosmtpd's controller on a socket that listens already: so port 0 works, and a port in use is told at once."""

    def __init__(self, handler: _Keep, listener: socket.socket) -> None:
        host, port = listener.getsockname()
        super().__init__(handler, hostname=host, port=port, server_hostname="localhost")
        self._listener = listener

    def _create_server(self) -> Awaitable[AbstractServer]:
        return self.loop.create_server(self._factory_invoker, sock=self._listener)


class _Keep:
    """Stores each message with the envelope's addresses in front, as a mail server does on delivery."""

    def __init__(self, maildir: mailbox.Maildir) -> None:
        self._maildir = maildir

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802  (its name)
        delivered: Any = envelope.content
        to = "".join(f"Delivered-To: {recipient}\r\n" for recipient in envelope.rcpt_tos)
        self._maildir.add(f"Return-Path: <{envelope.mail_from}>\r\n{to}".encode() + delivered)
        return "250 kept"
