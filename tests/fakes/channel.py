"""A channel in memory. What happens to a message is written in the recipient's local part: ``later.7@…``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from holdfast.campaign.envelope import Envelope
from holdfast.errors import (
    AmbiguousDeliveryError,
    ChannelUnavailableError,
    MessageRefusedError,
    TemporaryChannelError,
)

OUTCOMES = {
    "later": TemporaryChannelError,  # 4xx to RCPT
    "full": TemporaryChannelError,  # 4xx at the end of DATA
    "never": MessageRefusedError,  # 5xx to RCPT
    "spam": MessageRefusedError,  # 5xx at the end of DATA
    "gone": ChannelUnavailableError,  # the server drops the connection before DATA
    "lost": AmbiguousDeliveryError,  # the server drops the connection after the message was handed over
}


def word(address: str) -> str:
    """The part of the address that says what happens; anything not in OUTCOMES is delivered."""
    return address.partition("@")[0].partition(".")[0]


class FakeChannel:
    """The Channel port. ``delivered`` holds the messages taken; ``running`` False refuses every connection."""

    def __init__(self) -> None:
        self.delivered: list[Envelope] = []
        self.running = True

    @property
    def recipients(self) -> list[str]:
        return [envelope.recipient for envelope in self.delivered]

    @contextmanager
    def connect(self) -> Iterator[FakeChannel]:
        if not self.running:
            raise ChannelUnavailableError("the fake server does not run")
        yield self

    def prepare(self, envelope: Envelope) -> Callable[[], None]:
        return lambda: self.send(envelope)

    def send(self, envelope: Envelope) -> None:
        error = OUTCOMES.get(word(envelope.recipient))
        if error is not None:
            raise error("the recipient's address asked for this")
        self.delivered.append(envelope)
