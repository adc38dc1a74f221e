"""The outbox: a message's states, what each outcome of a send does to it, when to try again, the sums that hold."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from holdfast.campaign.definition import Arm, Campaign, CampaignRun
from holdfast.campaign.offers import Coupon, OfferState
from holdfast.errors import (
    AmbiguousDeliveryError,
    CampaignError,
    ChannelError,
    ChannelUnavailableError,
    TemporaryChannelError,
)
from holdfast.rules import ChannelLimits

MAX_ATTEMPTS = 5
LEASE = timedelta(minutes=15)  # far longer than one exchange with every time-out used up
_FIRST_DELAY, _LONGEST_DELAY = timedelta(seconds=30), timedelta(hours=6)
_FAILURES_TO_OPEN = 5
_FIRST_BREAK, _LONGEST_BREAK = timedelta(seconds=30), timedelta(minutes=30)


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
class Batch:
    """The planned messages of a channel whose outbox id leaves the remainder ``shard`` modulo ``shards``.

    ``campaign_id`` narrows them to one campaign run; None means all.
    """

    channel: str
    shard: int = 0
    shards: int = 1
    campaign_id: str | None = None


@dataclass(frozen=True)
class Draft:
    """A message before it is written: whom to tell what. ``context`` is what its words need (``Personal``)."""

    campaign: Campaign
    campaign_id: str
    customer_id: str
    arm: Arm
    recipient: str
    given_name: str | None
    coupon: Coupon | None
    timezone: str
    context: Mapping[str, Any]

    @property
    def idempotency_key(self) -> str:
        return idempotency_key(self.campaign_id, self.customer_id, self.arm.message.channel)


@dataclass(frozen=True)
class Lease:
    """The right to claim one planned message, and all that its words need.

    ``epoch`` tells a former holder from the present one. ``gate`` is the version of the facts that the send gate was
    asked about, and ``until`` is the moment up to which its answer holds (quiet hours, the end of the offer). A
    ``probe`` tries whether a channel that failed before is there again.
    """

    outbox_id: int
    epoch: int
    attempt: int
    gate: int
    until: datetime
    draft: Draft
    probe: bool = False


@dataclass(frozen=True)
class Leased:
    """What one request for messages found: some to send, some skipped or put off until the quiet hours are over.

    ``retry_at`` is set where the channel itself holds the rest back: until then, and ``why``.
    """

    leases: tuple[Lease, ...] = ()
    skipped: int = 0
    postponed: int = 0
    retry_at: datetime | None = None
    why: str | None = None

    @property
    def found(self) -> int:
        return len(self.leases) + self.skipped + self.postponed


@dataclass(frozen=True)
class Outcome:
    """What became of a claimed message.

    ``due_at`` is when one that stays planned is due again, ``counts`` whether that was one of its attempts.
    """

    state: State
    detail: str | None = None
    due_at: datetime | None = None
    counts: bool = True


@dataclass(frozen=True)
class Step:
    """Whether a sender could mark its last message, and claim the next one."""

    marked: bool
    claimed: bool


def idempotency_key(campaign_id: str, customer_id: str, channel: str) -> str:
    """The natural key of a message: one per campaign run, customer and channel."""
    return f"{campaign_id}:{customer_id}:{channel}"


def reference(key: str) -> str:
    """What a message calls itself to the outside, in its Message-ID and unsubscribe link: names no customer."""
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def outcome_of(error: ChannelError | AmbiguousDeliveryError, lease: Lease, at: datetime) -> Outcome:
    """What an unsuccessful send makes of the message at its ``attempt``-th attempt (1 is the first).

    A channel that is down says nothing about the message, which waits as long as it may leave at all.
    """
    if isinstance(error, AmbiguousDeliveryError):
        return Outcome(State.UNKNOWN, str(error))
    down = isinstance(error, ChannelUnavailableError)
    if down or (isinstance(error, TemporaryChannelError) and lease.attempt < MAX_ATTEMPTS):
        due = at + delay(1 if down else lease.attempt, reference(lease.draft.idempotency_key))
        return Outcome(State.PLANNED, str(error), due, counts=not down)
    return Outcome(State.FAILED, str(error))


def delay(attempt: int, seed: str) -> timedelta:
    """How long to wait after the ``attempt``-th refusal: four times as long each time, less up to half of it by hash.

    The jitter, by hash of ``seed``, keeps messages refused together from all coming back together.
    """
    longest: timedelta = min(_FIRST_DELAY * 4 ** (attempt - 1), _LONGEST_DELAY)
    digest = hashlib.sha256(f"{seed}:{attempt}".encode()).digest()
    return longest / 2 + longest / 2 * (int.from_bytes(digest[:4]) / 2**32)


@dataclass(frozen=True)
class Throttle:
    """What all senders of a channel share: tokens left at ``refilled_at``, failures in a row, an open circuit's end."""

    tokens: float
    refilled_at: datetime
    failures: int = 0
    open_until: datetime | None = None


@dataclass(frozen=True)
class Allowance:
    """How many messages may leave now, and else when to ask again and why."""

    messages: int
    retry_at: datetime | None = None
    why: str | None = None
    probe: bool = False


def allowance(
    throttle: Throttle, limits: ChannelLimits | None, wanted: int, at: datetime
) -> tuple[Allowance, Throttle]:
    """How many of ``wanted`` messages the channel takes now, and the throttle once they are counted.

    A token bucket, refilled evenly; and a circuit breaker: open after several failures in a row, then half open, when
    one message at a time tries the way.
    """
    if throttle.open_until is not None and at < throttle.open_until:
        return Allowance(0, throttle.open_until, "the channel is down"), throttle
    probe = throttle.failures > 0
    if throttle.failures >= _FAILURES_TO_OPEN:
        wanted = min(wanted, 1)
    if limits is None:
        return Allowance(wanted, probe=probe), throttle
    per_second = limits.per_minute / 60
    passed = (at - throttle.refilled_at).total_seconds()
    tokens = min(limits.burst, throttle.tokens + max(passed, 0) * per_second)
    if tokens < 1:
        wait = timedelta(seconds=(1 - tokens) / per_second)
        return Allowance(0, at + wait, "the channel's rate limit"), replace(throttle, tokens=tokens, refilled_at=at)
    given = min(wanted, int(tokens))
    return Allowance(given, probe=probe), replace(throttle, tokens=tokens - given, refilled_at=at)


def after_failure(throttle: Throttle, at: datetime) -> Throttle:
    """The throttle once the channel did not answer: from the fifth time in a row on, a break that doubles."""
    failures = throttle.failures + 1
    if failures < _FAILURES_TO_OPEN:
        return replace(throttle, failures=failures)
    pause = min(_FIRST_BREAK * 2 ** min(failures - _FAILURES_TO_OPEN, 10), _LONGEST_BREAK)
    return replace(throttle, failures=failures, open_until=at + pause)


def after_success(throttle: Throttle) -> Throttle:
    """The throttle once the channel took, or refused, a message: it is there."""
    return replace(throttle, failures=0, open_until=None)


@dataclass(frozen=True)
class CustomerRecord:
    """One campaign run as one customer met it: skipped for a reason, control, or treated with a message.

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
class OutboxEntry:
    """One message as an operator sees it."""

    id: int
    reference: str
    campaign_id: str
    customer_id: str
    channel: str
    state: str
    due_at: datetime
    claimed_at: datetime | None
    attempts: int
    why: str | None


@dataclass(frozen=True)
class Counts:
    """What the operations database holds about one campaign run: rows by reason, arm or state.

    ``skipped_at_send`` counts skipped messages by reason; ``cost`` is the expected cost of the treated; ``void_owed``
    counts the failed and skipped messages whose coupon nobody has used.
    """

    skips: Mapping[str, int]
    arms: Mapping[str, int]
    offers: Mapping[str, int]
    messages: Mapping[str, int]
    skipped_at_send: Mapping[str, int]
    cost: Decimal
    void_owed: int


def check_sums(run: CampaignRun, counts: Counts) -> None:
    """Raise CampaignError unless every customer and every message of the run is accounted for exactly once."""
    control = counts.arms.get("control", 0)
    treated = sum(counts.arms.values()) - control
    with_offer = sum(count for arm, count in counts.arms.items() if arm != "control" and run.campaign.arm(arm).offer)
    skipped, messages = sum(counts.skips.values()), sum(counts.messages.values())
    void, offers = counts.offers.get(OfferState.VOID, 0), sum(counts.offers.values())
    for left, equals, right, total in (
        ("audience", run.audience, "skipped + control + treated", skipped + control + treated),
        ("treated", treated, "messages in all states", messages),
        ("treated with an offer", with_offer, "offers", offers),
        ("void offers", void, "messages failed or skipped whose arm has an offer", counts.void_owed),
    ):
        if equals != total:
            raise CampaignError(
                f"campaign {run.id}: {left} is {equals}, but {right} make {total}. Rows were changed outside "
                "Holdfast, or a part is missing: compare the tables assignments, skips, offers and outbox, and send "
                "nothing until they agree."
            )
