"""One finished message on its way to one recipient, whatever the channel that carries it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from holdfast.campaign.outbox import reference


@dataclass(frozen=True)
class WayOut:
    """How the recipient stops such messages: a page to look at, and the address of RFC 8058's one-click POST."""

    page: str
    one_click: str


@dataclass(frozen=True)
class Envelope:
    """A message for exactly one recipient.

    ``recipient`` is an address in the channel's own terms: an e-mail address, a phone number in international form, a
    device token, or the customer's id where the channel's other side knows customers by it. ``idempotency_key`` is the
    outbox's natural key: whoever gets the same key twice has the same message before them. ``subject`` is one line, or
    empty where the channel has none; ``html`` is None where it carries plain text alone. ``way_out`` is None for
    messages that are not marketing. ``data`` are fields for a receiving system; ``at`` dates the message.
    """

    channel: str
    recipient: str
    idempotency_key: str
    at: datetime
    text: str
    subject: str = ""
    html: str | None = None
    language: str = "en"
    way_out: WayOut | None = None
    data: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def reference(self) -> str:
        """What the message calls itself to the outside; it names no customer and no campaign."""
        return reference(self.idempotency_key)
