"""The tables of the operations database. Their unique keys are what makes a repeated or doubled run harmless."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    CheckConstraint,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from holdfast.adapters.operations.columns import FixedPoint, RowNumber, UtcInstant
from holdfast.campaign.eligibility import Reason
from holdfast.campaign.feedback import Feedback, SuppressionReason
from holdfast.campaign.offers import OfferState, Redeemed
from holdfast.campaign.outbox import State

_ID = String(200)
_WORD = String(60)
_MONEY = FixedPoint(2)
_COST = FixedPoint(4)  # a message may cost a tenth of a cent


def _among(column: str, words: type[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{word.value}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class CampaignRow(Base):
    """A campaign run: one campaign on the scores of one cutoff, with the definition it was planned by.

    ``contacts`` and ``spent`` are what its messages took of the budget; ``stopped_at`` is when a person ended it;
    ``chosen_by`` says which policy chose its customers.
    """

    __tablename__ = "campaigns"

    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    name: Mapped[str] = mapped_column(_ID)
    cutoff: Mapped[date] = mapped_column(Date)
    definition: Mapped[dict[str, Any]] = mapped_column(JSON)
    definition_hash: Mapped[str] = mapped_column(String(64))
    planned_at: Mapped[datetime] = mapped_column(UtcInstant)
    scored: Mapped[int]
    audience: Mapped[int]
    contacts: Mapped[int] = mapped_column(default=0)
    spent: Mapped[Decimal] = mapped_column(_COST, default=Decimal(0))
    stopped_at: Mapped[datetime | None] = mapped_column(UtcInstant)
    chosen_by: Mapped[str | None] = mapped_column(Text)


class AssignmentRow(Base):
    """A customer's arm in a campaign run, with the probability of being given that arm.

    ``arm`` is "control" or one of the campaign's arms; ``cost`` is what treating the customer is expected to cost.
    ``chances`` lists the probability of each arm in the order of the campaign's definition.
    """

    __tablename__ = "assignments"

    campaign_id: Mapped[str] = mapped_column(ForeignKey("campaigns.id"), primary_key=True)
    customer_id: Mapped[str] = mapped_column(_ID, primary_key=True)
    arm: Mapped[str] = mapped_column(_WORD)
    tier: Mapped[str] = mapped_column(String(20))
    persona: Mapped[str | None] = mapped_column(_WORD)
    probability: Mapped[float]
    value: Mapped[float]
    propensity: Mapped[float]
    chances: Mapped[list[float] | None] = mapped_column(JSON(none_as_null=True))
    cost: Mapped[Decimal] = mapped_column(_COST)


class SkipRow(Base):
    """Why a customer of the audience is not in the campaign run."""

    __tablename__ = "skips"
    __table_args__ = (_among("reason", Reason),)

    campaign_id: Mapped[str] = mapped_column(ForeignKey("campaigns.id"), primary_key=True)
    customer_id: Mapped[str] = mapped_column(_ID, primary_key=True)
    reason: Mapped[str] = mapped_column(String(20))


class OfferRow(Base):
    """The coupon ledger: one coupon per treated customer of an arm with an offer.

    Amounts are in the shop's currency; validity is half-open.
    """

    __tablename__ = "offers"
    __table_args__ = (
        ForeignKeyConstraint(["campaign_id", "customer_id"], ["assignments.campaign_id", "assignments.customer_id"]),
        CheckConstraint("(amount IS NULL) <> (percent IS NULL)", name="one_discount"),
        _among("state", OfferState),
        Index("ix_offers_campaign_id_state", "campaign_id", "state"),
        Index("ix_offers_customer_id", "customer_id", **_where("state = 'issued'")),
    )

    campaign_id: Mapped[str] = mapped_column(_ID, primary_key=True)
    customer_id: Mapped[str] = mapped_column(_ID, primary_key=True)
    code: Mapped[str] = mapped_column(_WORD, unique=True)
    amount: Mapped[Decimal | None] = mapped_column(_MONEY)
    percent: Mapped[Decimal | None] = mapped_column(_MONEY)
    maximum_discount: Mapped[Decimal] = mapped_column(_MONEY)
    minimum_basket: Mapped[Decimal] = mapped_column(_MONEY)
    valid_from: Mapped[datetime] = mapped_column(UtcInstant)
    valid_to: Mapped[datetime] = mapped_column(UtcInstant)
    state: Mapped[str] = mapped_column(String(20))


class ImportedCodeRow(Base):
    """A code that the shop made itself, to be given out once. ``taken`` is whether an offer holds it."""

    __tablename__ = "imported_codes"
    __table_args__ = (Index("ix_imported_codes_pool_code", "pool", "code", **_where("NOT taken")),)

    code: Mapped[str] = mapped_column(_WORD, primary_key=True)
    pool: Mapped[str] = mapped_column(_WORD)
    imported_at: Mapped[datetime] = mapped_column(UtcInstant)
    taken: Mapped[bool] = mapped_column(default=False)


class RedemptionRow(Base):
    """A shop's report that a coupon was used, and the ledger's answer. A code is accepted once for ever."""

    __tablename__ = "reported_redemptions"
    __table_args__ = (
        _among("outcome", Redeemed),
        Index("uq_reported_redemptions_code", "code", unique=True, **_where("outcome = 'accepted'")),
    )

    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    code: Mapped[str] = mapped_column(_WORD)
    outcome: Mapped[str] = mapped_column(String(20))
    redeemed_at: Mapped[datetime] = mapped_column(UtcInstant)
    basket: Mapped[Decimal] = mapped_column(_MONEY)
    discount: Mapped[Decimal] = mapped_column(_MONEY)
    order_id: Mapped[str | None] = mapped_column(_ID)
    source: Mapped[str] = mapped_column(_WORD)
    received_at: Mapped[datetime] = mapped_column(UtcInstant)


class OutboxRow(Base):
    """A message to deliver: one per treated customer and campaign run.

    ``reference`` is what the message calls itself to the outside; ``due_at`` is the earliest moment to send it,
    ``not_after`` the moment from which on it is too late.
    ``leased_by`` may claim it until ``lease_until``; ``epoch`` counts the leases and fences off a former holder.
    ``attempts`` counts claims. ``timezone`` is the customer's; ``context`` is what its words need and was known when it
    was planned. ``reason`` says why it was skipped, ``detail`` why it failed, waits or is in doubt.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        ForeignKeyConstraint(["campaign_id", "customer_id"], ["assignments.campaign_id", "assignments.customer_id"]),
        UniqueConstraint("campaign_id", "customer_id"),
        _among("state", State),
        Index("ix_outbox_campaign_id_state", "campaign_id", "state"),
        Index("ix_outbox_customer_id", "customer_id"),
        Index("ix_outbox_channel_due_at", "channel", "due_at", "id", **_where("state = 'planned'")),
        Index("ix_outbox_lease_until", "lease_until", **_where("lease_until IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(RowNumber, primary_key=True, autoincrement=True)
    reference: Mapped[str] = mapped_column(String(32), unique=True)
    campaign_id: Mapped[str] = mapped_column(_ID)
    customer_id: Mapped[str] = mapped_column(_ID)
    channel: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20))
    planned_at: Mapped[datetime] = mapped_column(UtcInstant)
    due_at: Mapped[datetime] = mapped_column(UtcInstant)
    not_after: Mapped[datetime] = mapped_column(UtcInstant)
    timezone: Mapped[str] = mapped_column(_WORD)
    context: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    leased_by: Mapped[str | None] = mapped_column(_ID)
    lease_until: Mapped[datetime | None] = mapped_column(UtcInstant)
    epoch: Mapped[int] = mapped_column(default=0)
    claimed_at: Mapped[datetime | None] = mapped_column(UtcInstant)
    attempts: Mapped[int] = mapped_column(default=0)
    finished_at: Mapped[datetime | None] = mapped_column(UtcInstant)
    reason: Mapped[str | None] = mapped_column(String(20))
    detail: Mapped[str | None] = mapped_column(Text)


class DeliveryRow(Base):
    """What a channel told of a message after it was sent: delivered, opened, clicked, bounced, complained."""

    __tablename__ = "deliveries"
    __table_args__ = (_among("kind", Feedback), Index("ix_deliveries_reference", "reference"))

    id: Mapped[str] = mapped_column(_ID, primary_key=True)  # the channel's own id of the event
    reference: Mapped[str] = mapped_column(ForeignKey("outbox.reference"))
    kind: Mapped[str] = mapped_column(String(20))
    occurred_at: Mapped[datetime] = mapped_column(UtcInstant)
    received_at: Mapped[datetime] = mapped_column(UtcInstant)


class ChannelRow(Base):
    """What all senders of one channel share: the rate limit's tokens, and the circuit breaker."""

    __tablename__ = "channels"

    name: Mapped[str] = mapped_column(String(20), primary_key=True)
    tokens: Mapped[float]
    refilled_at: Mapped[datetime] = mapped_column(UtcInstant)
    failures: Mapped[int] = mapped_column(default=0)
    open_until: Mapped[datetime | None] = mapped_column(UtcInstant)


class IdentityRow(Base):
    """Who a pseudonym is. ``own_id`` is the shop's own id, sealed with ``data_key``, which ``key_id`` wraps.

    ``alias`` is what the audit log calls the customer. Without this row nothing leads from either name to the person,
    and nothing opens what the data key sealed.
    """

    __tablename__ = "identities"

    customer_id: Mapped[str] = mapped_column(_ID, primary_key=True)
    own_id: Mapped[bytes | None] = mapped_column(LargeBinary)
    alias: Mapped[str] = mapped_column(String(32), unique=True)
    key_id: Mapped[str] = mapped_column(String(12), index=True)
    data_key: Mapped[bytes] = mapped_column(LargeBinary)


class ContactRow(Base):
    """How a customer is reached, sealed with their data key. Contact details are kept in this table and nowhere else.

    ``by_email``, ``by_sms`` and ``by_push`` say whether what is sealed is exactly one address of the channel.
    """

    __tablename__ = "contacts"

    customer_id: Mapped[str] = mapped_column(ForeignKey("identities.customer_id"), primary_key=True)
    email: Mapped[bytes | None] = mapped_column(LargeBinary)
    phone: Mapped[bytes | None] = mapped_column(LargeBinary)
    push_token: Mapped[bytes | None] = mapped_column(LargeBinary)
    given_name: Mapped[bytes | None] = mapped_column(LargeBinary)
    by_email: Mapped[bool] = mapped_column(default=False)
    by_sms: Mapped[bool] = mapped_column(default=False)
    by_push: Mapped[bool] = mapped_column(default=False)


class ErasureRow(Base):
    """A customer who was erased: known again by ``tombstone`` alone, so that no file brings them back.

    ``counts`` is what was found in each store and erased there; ``finished_at`` is null while an erasure goes on.
    """

    __tablename__ = "erasures"

    tombstone: Mapped[str] = mapped_column(String(32), primary_key=True)
    certificate: Mapped[str] = mapped_column(String(32), unique=True)
    begun_at: Mapped[datetime] = mapped_column(UtcInstant)
    finished_at: Mapped[datetime | None] = mapped_column(UtcInstant)
    counts: Mapped[dict[str, Any]] = mapped_column(JSON)


class ConsentRow(Base):
    """A recorded decision. The status is part of the key, so that no withdrawal is ever taken for a repetition."""

    __tablename__ = "consents"

    customer_id: Mapped[str] = mapped_column(_ID, primary_key=True)
    purpose: Mapped[str] = mapped_column(String(20), primary_key=True)
    channel: Mapped[str] = mapped_column(String(20), primary_key=True)
    recorded_at: Mapped[datetime] = mapped_column(UtcInstant, primary_key=True)
    status: Mapped[str] = mapped_column(String(20), primary_key=True)
    source: Mapped[str | None] = mapped_column(_WORD)


class SuppressionRow(Base):
    """A customer who must not be contacted by a channel ("all" for every one), whatever they consented to before."""

    __tablename__ = "suppressions"
    __table_args__ = (_among("reason", SuppressionReason),)

    customer_id: Mapped[str] = mapped_column(_ID, primary_key=True)
    channel: Mapped[str] = mapped_column(String(20), primary_key=True)
    reason: Mapped[str] = mapped_column(String(20), primary_key=True)
    recorded_at: Mapped[datetime] = mapped_column(UtcInstant)
    source: Mapped[str] = mapped_column(_WORD)


class GateRow(Base):
    """One row, whose number changes whenever anything changes that the send gate asks about a customer."""

    __tablename__ = "gate"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    version: Mapped[int]


class ApiKeyRow(Base):
    """A key of the look-up API: never the key itself, but its SHA-256. ``rate`` is requests a second."""

    __tablename__ = "api_keys"

    id: Mapped[str] = mapped_column(String(12), primary_key=True)
    name: Mapped[str] = mapped_column(_WORD)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    scopes: Mapped[list[str]] = mapped_column(JSON)
    rate: Mapped[float]
    burst: Mapped[int]
    created_at: Mapped[datetime] = mapped_column(UtcInstant)
    expires_at: Mapped[datetime] = mapped_column(UtcInstant)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcInstant)


class AuditRow(Base):
    """What people and programmes decided; the database refuses to change or delete a row.

    ``hash`` covers the row and the hash of the one before it.
    """

    __tablename__ = "audit"

    seq: Mapped[int] = mapped_column(RowNumber, primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(UtcInstant)
    actor: Mapped[str] = mapped_column(_ID)
    action: Mapped[str] = mapped_column(_WORD)
    subject: Mapped[str] = mapped_column(_ID)
    details: Mapped[dict[str, Any]] = mapped_column(JSON)
    hash: Mapped[str] = mapped_column(String(64), unique=True)


class LoadedBatchRow(Base):
    """Which landing batches each vault table holds already."""

    __tablename__ = "loaded_batches"

    table_name: Mapped[str] = mapped_column(_WORD, primary_key=True)
    batch: Mapped[str] = mapped_column(_ID, primary_key=True)
