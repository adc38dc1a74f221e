"""Messages for the shop's own people, sent to one fixed mailbox: care-desk tickets, alerts to the on-call team."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from holdfast.campaign.envelope import Envelope
from holdfast.ports import Channel, ChannelConnection


class MailboxChannel:
    """``ports.Channel`` that sends everything over ``mail`` to ``address``, whoever the message is about."""

    def __init__(self, mail: Channel, address: str) -> None:
        self._mail = mail
        self._address = address

    @contextmanager
    def connect(self) -> Iterator[MailboxConnection]:
        with self._mail.connect() as connection:
            yield MailboxConnection(connection, self._address)


class MailboxConnection:
    """An open way to the mailbox."""

    def __init__(self, mail: ChannelConnection, address: str) -> None:
        self._mail = mail
        self._address = address

    def prepare(self, envelope: Envelope) -> Callable[[], None]:
        """See ``ports.ChannelConnection.prepare``."""
        return self._mail.prepare(replace(envelope, recipient=self._address))
