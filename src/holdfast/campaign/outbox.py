"""The outbox's states, what each outcome of a send does to a message, and the sums that must hold."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from holdfast.campaign.assignment import Arm
from holdfast.campaign.definition import CampaignRun
from holdfast.campaign.offers import OfferState
from holdfast.errors import AmbiguousDeliveryError, CampaignError, ChannelError, TemporaryChannelError

MAX_ATTEMPTS = 5
STALE_AFTER = timedelta(minutes=15)  # far longer than one SMTP exchange with every time-out used up


class State(StrEnum):
    """Where a message is.

    planned → claimed → sent | failed | unknown | skipped, and back to planned after a temporary refusal. ``unknown``
    may or may not have been delivered: a person decides, it is never sent again by itself.
    """

    PLANNED = "planned"
    CLAIMED = "claimed"
    SENT = "sent"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Claim:
    """The right to send one message, once. ``attempt`` counts claims and tells a stale holder from the present one."""

    outbox_id: int
    campaign_id: str
    customer_id: str
    reference: str
    attempt: int


@dataclass(frozen=True)
class Outcome:
    """What became of a claimed message."""

    state: State
    detail: str | None = None


def idempotency_key(campaign_id: str, customer_id: str, channel: str) -> str:
    """The natural key of a message: one per campaign run, customer and channel."""
    return f"{campaign_id}:{customer_id}:{channel}"


def reference(key: str) -> str:
    """What a message calls itself to the outside, in its Message-ID and unsubscribe link: names no customer."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def outcome_of(error: ChannelError | AmbiguousDeliveryError, attempt: int) -> Outcome:
    """What an unsuccessful send makes of the message at its ``attempt``-th attempt (1 is the first)."""
    if isinstance(error, AmbiguousDeliveryError):
        return Outcome(State.UNKNOWN, str(error))
    if isinstance(error, TemporaryChannelError) and attempt < MAX_ATTEMPTS:
        return Outcome(State.PLANNED, str(error))
    return Outcome(State.FAILED, str(error))


@dataclass(frozen=True)
class CustomerRecord:
    """One campaign run as one customer met it: skipped for a reason, control, or treated with a coupon and a message.

    What does not apply is None.
    """

    campaign_id: str
    planned_at: datetime
    skipped: str | None
    arm: str | None
    code: str | None
    valid_until: datetime | None
    message: str | None
    reference: str | None
    finished_at: datetime | None
    detail: str | None


@dataclass(frozen=True)
class Counts:
    """What the operations database holds about one campaign run: rows by reason, arm or state."""

    skips: Mapping[str, int]
    arms: Mapping[str, int]
    offers: Mapping[str, int]
    messages: Mapping[str, int]


def check_sums(run: CampaignRun, counts: Counts) -> None:
    """Raise CampaignError unless every customer and every message of the run is accounted for exactly once."""
    treated, control = counts.arms.get(Arm.TREATMENT, 0), counts.arms.get(Arm.CONTROL, 0)
    skipped, messages = sum(counts.skips.values()), sum(counts.messages.values())
    void, offers = counts.offers.get(OfferState.VOID, 0), sum(counts.offers.values())
    unsent = counts.messages.get(State.FAILED, 0) + counts.messages.get(State.SKIPPED, 0)
    for left, equals, right, total in (
        ("audience", run.audience, "skipped + control + treated", skipped + control + treated),
        ("treated", treated, "messages in all states", messages),
        ("treated", treated, "offers", offers),
        ("void offers", void, "messages failed or skipped", unsent),
    ):
        if equals != total:
            raise CampaignError(
                f"campaign {run.id}: {left} is {equals}, but {right} make {total}. Rows were changed outside "
                "Holdfast, or a part is missing: compare the tables assignments, skips, offers and outbox, and send "
                "nothing until they agree."
            )
