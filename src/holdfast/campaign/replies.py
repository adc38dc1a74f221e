"""What customers choose on the preference page, and what channels tell of messages they took."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from holdfast.campaign.feedback import Feedback, SuppressionReason

MARKETING, PROFILING = "marketing", "profiling"
"""The purposes that consents on the preference page are for: being written to, and being scored to choose with what."""

CHANNELS = ("email", "sms", "push")
"""Channels that a customer can choose, in the order in which the page shows them."""

LIFTED_BY_CUSTOMER = (SuppressionReason.UNSUBSCRIBED, SuppressionReason.COMPLAINED)
"""Suppressions that end when customers themselves choose the channel again."""


@dataclass(frozen=True)
class Addressee:
    """Who a message went to, by which channel, and in which locale it was written."""

    customer_id: str
    channel: str
    locale: str | None


@dataclass(frozen=True)
class Choice:
    """One channel: whether it may be used, and whether the customer can choose it (an address that bounced cannot)."""

    channel: str
    allowed: bool
    open: bool = True


@dataclass(frozen=True)
class Told:
    """A channel's report about a message. ``id`` is the channel's own, the same for every repetition of the report.

    ``permanent`` tells a bounce that will always bounce from a mailbox that is full today.
    """

    id: str
    reference: str
    kind: Feedback
    occurred_at: datetime
    permanent: bool = False

    @property
    def ends_contact(self) -> SuppressionReason | None:
        """Why the customer must not be contacted by this channel any more, if this report says so: one is enough."""
        if self.kind is Feedback.COMPLAINED:
            return SuppressionReason.COMPLAINED
        if self.kind is Feedback.BOUNCED and self.permanent:
            return SuppressionReason.BOUNCED
        return None
