"""The tables of the operations database. Their unique keys are what makes a repeated or doubled run harmless."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, CheckConstraint, Date, ForeignKey, ForeignKeyConstraint, Index, MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from holdfast.adapters.operations.columns import Hundredths, RowNumber, UtcInstant
from holdfast.campaign.assignment import Arm
from holdfast.campaign.eligibility import Reason
from holdfast.campaign.offers import OfferState
from holdfast.campaign.outbox import State

_ID = String(200)


def _among(column: str, words: type[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{word.value}'" for word in words)
    return CheckConstraint(f"{column} IN ({listed})", name=f"{column}_known")


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
    """A campaign run: one campaign on the scores of one cutoff, with the definition it was planned by."""

    __tablename__ = "campaigns"

    id: Mapped[str] = mapped_column(_ID, primary_key=True)
    name: Mapped[str] = mapped_column(_ID)
    cutoff: Mapped[date] = mapped_column(Date)
    definition: Mapped[dict[str, Any]] = mapped_column(JSON)
    definition_hash: Mapped[str] = mapped_column(String(64))
    planned_at: Mapped[datetime] = mapped_column(UtcInstant)
    scored: Mapped[int]
    audience: Mapped[int]


class AssignmentRow(Base):
    """A customer's arm in a campaign run, with the probability of being given that arm."""

    __tablename__ = "assignments"
    __table_args__ = (_among("arm", Arm),)

    campaign_id: Mapped[str] = mapped_column(ForeignKey("campaigns.id"), primary_key=True)
    customer_id: Mapped[str] = mapped_column(_ID, primary_key=True)
    arm: Mapped[str] = mapped_column(String(20))
    tier: Mapped[str] = mapped_column(String(20))
    probability: Mapped[float]
    value: Mapped[float]
    propensity: Mapped[float]


class SkipRow(Base):
    """Why a customer of the audience is not in the campaign run."""

    __tablename__ = "skips"
    __table_args__ = (_among("reason", Reason),)

    campaign_id: Mapped[str] = mapped_column(ForeignKey("campaigns.id"), primary_key=True)
    customer_id: Mapped[str] = mapped_column(_ID, primary_key=True)
    reason: Mapped[str] = mapped_column(String(20))
    detail: Mapped[str] = mapped_column(String(200))


class OfferRow(Base):
    """The coupon ledger. Amounts are in the shop's currency; validity is half-open."""

    __tablename__ = "offers"
    __table_args__ = (
        ForeignKeyConstraint(["campaign_id", "customer_id"], ["assignments.campaign_id", "assignments.customer_id"]),
        CheckConstraint("(amount IS NULL) <> (percent IS NULL)", name="one_discount"),
        _among("state", OfferState),
    )

    campaign_id: Mapped[str] = mapped_column(_ID, primary_key=True)
    customer_id: Mapped[str] = mapped_column(_ID, primary_key=True)
    code: Mapped[str] = mapped_column(String(40), unique=True)
    amount: Mapped[Decimal | None] = mapped_column(Hundredths)
    percent: Mapped[Decimal | None] = mapped_column(Hundredths)
    maximum_discount: Mapped[Decimal] = mapped_column(Hundredths)
    minimum_basket: Mapped[Decimal] = mapped_column(Hundredths)
    valid_from: Mapped[datetime] = mapped_column(UtcInstant)
    valid_to: Mapped[datetime] = mapped_column(UtcInstant)
    state: Mapped[str] = mapped_column(String(20))


class OutboxRow(Base):
    """A message to deliver.

    ``reference`` is what the message calls itself in its Message-ID; ``attempts`` counts claims; ``detail`` says why
    the message failed, was skipped or is in doubt.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        ForeignKeyConstraint(["campaign_id", "customer_id"], ["offers.campaign_id", "offers.customer_id"]),
        _among("state", State),
        Index("ix_outbox_campaign_id_state", "campaign_id", "state"),
        Index("ix_outbox_customer_id_planned_at", "customer_id", "planned_at"),
    )

    id: Mapped[int] = mapped_column(RowNumber, primary_key=True, autoincrement=True)
    idempotency_key: Mapped[str] = mapped_column(String(500), unique=True)
    reference: Mapped[str] = mapped_column(String(32), unique=True)
    campaign_id: Mapped[str] = mapped_column(_ID)
    customer_id: Mapped[str] = mapped_column(_ID)
    channel: Mapped[str] = mapped_column(String(20))
    state: Mapped[str] = mapped_column(String(20))
    planned_at: Mapped[datetime] = mapped_column(UtcInstant)
    claimed_by: Mapped[str | None] = mapped_column(_ID)
    claimed_at: Mapped[datetime | None] = mapped_column(UtcInstant)
    attempts: Mapped[int] = mapped_column(default=0)
    finished_at: Mapped[datetime | None] = mapped_column(UtcInstant)
    detail: Mapped[str | None] = mapped_column(String(500))


class ContactRow(Base):
    """How a customer is reached. Contact details are kept in this table and nowhere else."""

    __tablename__ = "contacts"

    customer_id: Mapped[str] = mapped_column(_ID, primary_key=True)
    email: Mapped[str] = mapped_column(String(320))
    given_name: Mapped[str | None] = mapped_column(String(200))


class ConsentRow(Base):
    """A recorded decision. The status is part of the key, so that no withdrawal is ever taken for a repetition."""

    __tablename__ = "consents"

    customer_id: Mapped[str] = mapped_column(_ID, primary_key=True)
    purpose: Mapped[str] = mapped_column(String(20), primary_key=True)
    channel: Mapped[str] = mapped_column(String(20), primary_key=True)
    recorded_at: Mapped[datetime] = mapped_column(UtcInstant, primary_key=True)
    status: Mapped[str] = mapped_column(String(20), primary_key=True)


class LoadedBatchRow(Base):
    """Which landing batches each vault table holds already."""

    __tablename__ = "loaded_batches"

    table_name: Mapped[str] = mapped_column(String(60), primary_key=True)
    batch: Mapped[str] = mapped_column(_ID, primary_key=True)
