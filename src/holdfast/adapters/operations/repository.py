"""Campaign runs, coupons and the outbox in the operations database: ``ports.Operations``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import Connection, Engine, Select, and_, func, insert, select, update

from holdfast.adapters.operations import database, vault
from holdfast.adapters.operations.models import AssignmentRow, CampaignRow, OfferRow, OutboxRow, SkipRow
from holdfast.campaign.definition import Campaign, CampaignRun
from holdfast.campaign.eligibility import Standing
from holdfast.campaign.offers import Coupon, OfferState
from holdfast.campaign.outbox import (
    Claim,
    Counts,
    CustomerRecord,
    Outcome,
    State,
    idempotency_key,
    reference,
)
from holdfast.campaign.policy import Selection
from holdfast.windows import Window

_CAPPED = (State.PLANNED, State.CLAIMED, State.SENT, State.UNKNOWN)  # a failed or skipped message reached nobody


class OperationsDatabase:
    """The campaign tables behind one engine (see ``database.connect``), whose schema is up to date."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        with database.reading(self._engine) as connection:
            yield Transaction(connection)

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        with database.writing(self._engine) as connection:
            yield Transaction(connection)

    @contextmanager
    def planning(self) -> Iterator[Transaction]:
        with database.exclusive(self._engine) as connection:
            yield Transaction(connection)


class Transaction:
    """``ports.OperationsTransaction`` on one open connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def run(self, campaign_id: str) -> CampaignRun | None:
        row = self._connection.execute(select(CampaignRow.__table__).where(CampaignRow.id == campaign_id)).one_or_none()
        if row is None:
            return None
        campaign = Campaign.model_validate(row.definition)
        return CampaignRun(campaign, row.cutoff, row.planned_at, row.scored, row.audience)

    def standings(self, customer_ids: Sequence[str], since: datetime) -> Mapping[str, Standing]:
        standings: dict[str, Standing] = {}
        for some in vault.id_batches(customer_ids):
            contacts = vault.contacts(self._connection, some)
            consents = vault.latest_consents(self._connection, some, purpose="marketing", channel="email")
            recent = self._recent_messages(some, since)
            for customer in some:
                contact = contacts.get(customer)
                standings[customer] = Standing(
                    address=contact.email if contact else None,
                    given_name=contact.given_name if contact else None,
                    consent=consents.get(customer),
                    recent_messages=recent.get(customer, 0),
                )
        return standings

    def _recent_messages(self, customer_ids: Sequence[str], since: datetime) -> dict[str, int]:
        query = (
            select(OutboxRow.customer_id, func.count())
            .where(OutboxRow.customer_id.in_(customer_ids), OutboxRow.planned_at > since, OutboxRow.state.in_(_CAPPED))
            .group_by(OutboxRow.customer_id)
        )
        return self._tally(query)

    def add(self, run: CampaignRun, selection: Selection, coupons: Sequence[Coupon]) -> None:
        self._connection.execute(
            insert(CampaignRow).values(
                id=run.id,
                name=run.campaign.name,
                cutoff=run.cutoff,
                definition=run.campaign.model_dump(mode="json"),
                definition_hash=run.campaign.digest,
                planned_at=run.planned_at,
                scored=run.scored,
                audience=run.audience,
            )
        )
        self._insert(
            AssignmentRow,
            [
                {
                    "campaign_id": run.id,
                    "customer_id": a.customer_id,
                    "arm": a.arm.value,
                    "tier": a.tier,
                    "probability": a.probability,
                    "value": a.value,
                    "propensity": a.propensity,
                    "cost": run.campaign.cost_per_customer,
                }
                for a in selection.assignments
            ],
        )
        self._insert(
            SkipRow,
            [
                {
                    "campaign_id": run.id,
                    "customer_id": skip.customer_id,
                    "reason": skip.obstacle.reason.value,
                }
                for skip in selection.skips
            ],
        )
        self._insert(OfferRow, [_offer_values(run.id, coupon) for coupon in coupons])
        self._insert(OutboxRow, [_outbox_values(run, coupon.customer_id) for coupon in coupons])

    def _insert(
        self, row: type[AssignmentRow | SkipRow | OfferRow | OutboxRow], values: Sequence[Mapping[str, object]]
    ) -> None:
        if values:  # an empty list would insert one row of defaults
            self._connection.execute(insert(row), values)

    def counts(self, campaign_id: str) -> Counts:
        return Counts(
            skips=self._tally(
                select(SkipRow.reason, func.count()).where(SkipRow.campaign_id == campaign_id).group_by(SkipRow.reason)
            ),
            arms=self._tally(
                select(AssignmentRow.arm, func.count())
                .where(AssignmentRow.campaign_id == campaign_id)
                .group_by(AssignmentRow.arm)
            ),
            offers=self._tally(
                select(OfferRow.state, func.count()).where(OfferRow.campaign_id == campaign_id).group_by(OfferRow.state)
            ),
            messages=self._tally(
                select(OutboxRow.state, func.count())
                .where(OutboxRow.campaign_id == campaign_id)
                .group_by(OutboxRow.state)
            ),
        )

    def _tally(self, query: Select[str, int]) -> dict[str, int]:
        return dict(self._connection.execute(query).all())

    def planned(self, campaign_id: str, shard: int, shards: int) -> list[int]:
        query = (
            select(OutboxRow.id)
            .where(
                OutboxRow.campaign_id == campaign_id,
                OutboxRow.state == State.PLANNED,
                OutboxRow.id % shards == shard,
            )
            .order_by(OutboxRow.id)
        )
        return list(self._connection.scalars(query))

    def claim(self, outbox_id: int, worker: str, at: datetime) -> Claim | None:
        # One conditional update decides who has it, whatever was read before: the row count is the answer.
        taken = self._connection.execute(
            update(OutboxRow)
            .where(OutboxRow.id == outbox_id, OutboxRow.state == State.PLANNED)
            .values(state=State.CLAIMED.value, leased_by=worker, claimed_at=at, attempts=OutboxRow.attempts + 1)
        )
        if taken.rowcount != 1:
            return None
        row = self._connection.execute(select(OutboxRow.__table__).where(OutboxRow.id == outbox_id)).one()
        return Claim(row.id, row.campaign_id, row.customer_id, row.reference, row.attempts)

    def coupon(self, campaign_id: str, customer_id: str) -> Coupon:
        row = self._connection.execute(
            select(OfferRow.__table__).where(OfferRow.campaign_id == campaign_id, OfferRow.customer_id == customer_id)
        ).one()
        return Coupon(
            row.customer_id,
            row.code,
            row.amount,
            row.percent,
            row.maximum_discount,
            row.minimum_basket,
            Window(row.valid_from, row.valid_to),
        )

    def finish(self, claim: Claim, outcome: Outcome, at: datetime) -> bool:
        # The attempt is a fence: a claim that lapsed, or was handed out anew, is no longer its old holder's to finish.
        finished = self._connection.execute(
            update(OutboxRow)
            .where(
                OutboxRow.id == claim.outbox_id,
                OutboxRow.state == State.CLAIMED,
                OutboxRow.attempts == claim.attempt,
            )
            .values(
                state=outcome.state.value,
                detail=outcome.detail,
                finished_at=None if outcome.state is State.PLANNED else at,
            )
        )
        if finished.rowcount != 1:
            return False
        if outcome.state in (State.FAILED, State.SKIPPED):
            self._connection.execute(
                update(OfferRow)
                .where(OfferRow.campaign_id == claim.campaign_id, OfferRow.customer_id == claim.customer_id)
                .values(state=OfferState.VOID.value)
            )
        return True

    def lapse_claims(self, campaign_id: str, claimed_before: datetime) -> int:
        lapsed = self._connection.execute(
            update(OutboxRow)
            .where(
                OutboxRow.campaign_id == campaign_id,
                OutboxRow.state == State.CLAIMED,
                OutboxRow.claimed_at < claimed_before,
            )
            .values(
                state=State.UNKNOWN.value,
                detail="its sender ended between claim and mark: look for the Message-ID at the mail server",
            )
        )
        return lapsed.rowcount

    def history(self, customer_id: str) -> list[CustomerRecord]:
        met = (
            select(CampaignRow.id, CampaignRow.planned_at, SkipRow.reason)
            .add_columns(AssignmentRow.arm, OfferRow.code, OfferRow.valid_to)
            .add_columns(OutboxRow.state, OutboxRow.reference, OutboxRow.finished_at, OutboxRow.detail)
            .select_from(CampaignRow)
        )
        for row in (SkipRow, AssignmentRow, OfferRow, OutboxRow):
            met = met.outerjoin(row, and_(row.campaign_id == CampaignRow.id, row.customer_id == customer_id))
        met = met.where(AssignmentRow.arm.is_not(None) | SkipRow.reason.is_not(None))
        return [
            CustomerRecord(
                row.id,
                row.planned_at,
                skipped=row.reason,
                arm=row.arm,
                code=row.code,
                valid_until=row.valid_to,
                message=row.state,
                reference=row.reference,
                finished_at=row.finished_at,
                detail=row.detail,
            )
            for row in self._connection.execute(met.order_by(CampaignRow.planned_at.desc(), CampaignRow.id.desc()))
        ]

    def run_ids(self) -> list[str]:
        return list(self._connection.scalars(select(CampaignRow.id).order_by(CampaignRow.planned_at, CampaignRow.id)))


def _offer_values(campaign_id: str, coupon: Coupon) -> dict[str, object]:
    return {
        "campaign_id": campaign_id,
        "customer_id": coupon.customer_id,
        "code": coupon.code,
        "amount": coupon.amount,
        "percent": coupon.percent,
        "maximum_discount": coupon.maximum_discount,
        "minimum_basket": coupon.minimum_basket,
        "valid_from": coupon.valid.start,
        "valid_to": coupon.valid.end,
        "state": OfferState.ISSUED.value,
    }


def _outbox_values(run: CampaignRun, customer_id: str) -> dict[str, object]:
    channel = run.campaign.message.channel
    key = idempotency_key(run.id, customer_id, channel)
    return {
        "reference": reference(key),
        "campaign_id": run.id,
        "customer_id": customer_id,
        "channel": channel,
        "state": State.PLANNED.value,
        "planned_at": run.planned_at,
        "due_at": run.planned_at,
    }
