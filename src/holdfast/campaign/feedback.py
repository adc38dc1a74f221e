"""What comes back after a message was sent, and what it says about sending another."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal


class Feedback(StrEnum):
    """What a channel can tell of a message that it took."""

    DELIVERED = "delivered"
    OPENED = "opened"
    CLICKED = "clicked"
    BOUNCED = "bounced"
    COMPLAINED = "complained"


class SuppressionReason(StrEnum):
    """Why a customer must not be contacted any more."""

    UNSUBSCRIBED = "unsubscribed"
    COMPLAINED = "complained"
    BOUNCED = "bounced"


ALL_CHANNELS = "all"
"""The channel of a suppression that holds for every channel."""


@dataclass(frozen=True)
class Decision:
    """A customer's word on being contacted for a purpose by a channel, and by what it was recorded."""

    customer_id: str
    purpose: str
    channel: str
    status: Literal["given", "withdrawn"]
    recorded_at: datetime
    source: str
