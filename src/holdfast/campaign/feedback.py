"""What comes back after a message was sent, and what it says about sending another."""

from __future__ import annotations

from enum import StrEnum


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
    ERASED = "erased"


ALL_CHANNELS = "all"
"""The channel of a suppression that holds for every channel."""
