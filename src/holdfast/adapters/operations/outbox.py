"""The outbox table: handing out messages under a lease, claiming them one by one, recording what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
from sqlalchemy import ColumnElement, Connection, Integer, Row, Select, and_, bindparam, func, insert, select, update

from holdfast.adapters.operations import audit
from holdfast.adapters.operations.columns import UtcInstant
from holdfast.adapters.operations.database import Lock, hold
from holdfast.adapters.operations.facts import Facts
from holdfast.adapters.operations.ledger import coupon_of
from holdfast.adapters.operations.models import (
    AssignmentRow,
    CampaignRow,
    ChannelRow,
    ContactRow,
    GateRow,
    IdentityRow,
    OfferRow,
    OutboxRow,
)
from holdfast.adapters.operations.sealing import Keyring
from holdfast.adapters.operations.vault import ADDRESSES, audit_name, change_gate, required, wrapped_of
from holdfast.campaign.definition import CONTROL, Campaign
from holdfast.campaign.dispatch import Pending, Spent, dispatch
from holdfast.campaign.eligibility import Reason, Standings
from holdfast.campaign.offers import OfferState
from holdfast.campaign.outbox import (
    LEASE,
    Allowance,
    Batch,
    Draft,
    Lease,
    Leased,
    OutboxEntry,
    Outcome,
    State,
    Throttle,
    after_failure,
    after_success,
    allowance,
)
from holdfast.errors import CampaignError
from holdfast.rules import Outreach

_LAPSED = "its sender ended between claim and mark: look for its reference at the channel, then resolve it"
_MOST_TOKENS = 1e9  # any number above every burst


# The statements of every single message, built once. One conditional update decides who has a message, whatever was
# read before: the row count is the answer. The epoch is a fence: a claim that lapsed, or a lease that was handed out
# anew, is no longer its old holder's.
_OWN = and_(OutboxRow.id == bindparam("lease_id"), OutboxRow.epoch == bindparam("lease_epoch"))
CLAIM = (
    update(OutboxRow)
    .where(
        _OWN,
        OutboxRow.state == State.PLANNED,
        OutboxRow.lease_until > bindparam("at", type_=UtcInstant),
        select(GateRow.version).scalar_subquery() == bindparam("gate"),
    )
    .values(
        state=State.CLAIMED.value,
        claimed_at=bindparam("at", type_=UtcInstant),
        lease_until=bindparam("ends", type_=UtcInstant),
        attempts=OutboxRow.attempts + 1,
    )
)
_MARK = (
    update(OutboxRow)
    .where(_OWN, OutboxRow.state == State.CLAIMED)
    .values(state=bindparam("new_state"), detail=bindparam("new_detail"), lease_until=None)
)
FINISH = _MARK.values(finished_at=bindparam("at", type_=UtcInstant))
_PUT_BACK = _MARK.values(
    due_at=bindparam("at", type_=UtcInstant), attempts=OutboxRow.attempts - bindparam("uncounted", type_=Integer)
)


def claiming(lease: Lease, at: datetime) -> dict[str, Any]:
    """The values of ``CLAIM``."""
    own = {"lease_id": lease.outbox_id, "lease_epoch": lease.epoch, "gate": lease.gate}
    return own | {"at": at, "ends": at + LEASE}


def finishing(lease: Lease, outcome: Outcome, at: datetime) -> dict[str, Any]:
    """The values of ``FINISH``."""
    own = {"lease_id": lease.outbox_id, "lease_epoch": lease.epoch}
    return own | {"new_state": outcome.state.value, "new_detail": outcome.detail, "at": outcome.due_at or at}


class SqlOutbox:
    """``ports.Outbox`` on one open connection."""

    def __init__(self, connection: Connection, keyring: Keyring | None) -> None:
        self._connection = connection
        self._keyring = keyring
        self._shares_gate = False

    def lease(self, batch: Batch, limit: int, worker: str, outreach: Outreach, at: datetime) -> Leased:
        hold(self._connection, Lock.LEASES)
        self._share_gate()
        self._take_back(at)
        allowed = self._allowance(batch, limit, outreach, at)
        if not allowed.messages:
            return Leased(retry_at=allowed.retry_at, why=allowed.why)
        rows = self._due_messages(batch, allowed.messages, at)
        if not rows:
            return Leased()
        customers = [row.customer_id for row in rows]
        known = Facts(self._connection, customers).known(batch.channel, outreach.frequency_caps, at, planned=False)
        campaigns = {row.campaign_id: Campaign.model_validate(row.definition) for row in rows}
        decided = dispatch(
            [_pending(row, campaigns[row.campaign_id], self._contact(row)) for row in rows],
            Standings.of(
                customers,
                known,
                np.array([row.timezone for row in rows], dtype=object),
                outreach,
                control=np.array([row.arm == CONTROL for row in rows], dtype=bool),
            ),
            spent={row.campaign_id: Spent(row.contacts, row.spent) for row in rows},
            outreach=outreach,
            at=at,
        )
        version = self._connection.scalar(select(GateRow.version)) or 0
        leases = tuple(
            Lease(one.outbox_id, one.epoch + 1, one.attempts + 1, version, until, one.draft, allowed.probe)
            for one, until in decided.send
        )
        self._charge(batch.channel, len(leases), outreach, at)
        self._hand_out([lease.outbox_id for lease in leases], worker, at)
        for reason in {reason for _, reason in decided.skip}:
            self._skip([one.outbox_id for one, why in decided.skip if why is reason], reason, at)
        for due_at in {due_at for _, due_at in decided.postpone}:
            self._postpone([one.outbox_id for one, due in decided.postpone if due == due_at], due_at)
        return Leased(leases, len(decided.skip), len(decided.postpone))

    def claim(self, lease: Lease, at: datetime) -> bool:
        self._share_gate()
        if at >= lease.until:
            return False
        return self._connection.execute(CLAIM, claiming(lease, at)).rowcount == 1

    def finish(self, lease: Lease, outcome: Outcome, at: datetime) -> bool:
        self._share_gate()
        statement, values = FINISH, finishing(lease, outcome, at)
        if outcome.state is State.PLANNED:
            statement, values = _PUT_BACK, values | {"uncounted": 0 if outcome.counts else 1}
        if self._connection.execute(statement, values).rowcount != 1:
            return False
        if outcome.state is State.FAILED:
            self._void([lease.outbox_id])
        if outcome.state in (State.FAILED, State.PLANNED):
            self._spend([lease.outbox_id], -1)
        return True

    def release(self, leases: Sequence[Lease]) -> None:
        hold(self._connection, Lock.LEASES)
        released = []
        for lease in leases:
            given_back = self._connection.execute(
                update(OutboxRow)
                .where(
                    OutboxRow.id == lease.outbox_id, OutboxRow.state == State.PLANNED, OutboxRow.epoch == lease.epoch
                )
                .values(leased_by=None, lease_until=None, epoch=OutboxRow.epoch + 1)
            )
            if given_back.rowcount == 1:
                released.append(lease.outbox_id)
        self._spend(released, -1)

    def answered(self, channel: str, up: bool, at: datetime) -> None:
        hold(self._connection, Lock.LEASES)
        row = self._throttle(channel, at)
        self._keep(channel, after_success(row) if up else after_failure(row, at))

    def withdraw(self, customer_id: str, at: datetime) -> None:
        """Let none of the customer's planned messages leave, those that are leased included; their coupons are void."""
        hold(self._connection, Lock.LEASES)
        change_gate(self._connection)
        planned = (OutboxRow.customer_id == customer_id, OutboxRow.state == State.PLANNED)
        leased = select(OutboxRow.id).where(*planned, OutboxRow.lease_until.is_not(None))
        taken = self._connection.scalars(leased).all()
        ids = self._connection.scalars(select(OutboxRow.id).where(*planned)).all()
        fenced = {"leased_by": None, "lease_until": None, "epoch": OutboxRow.epoch + 1}
        self._connection.execute(update(OutboxRow).where(OutboxRow.id.in_(ids)).values(fenced))
        self._skip(ids, Reason.SUPPRESSED, at)
        self._spend(taken, -1)

    def entries(self, state: State | None, campaign_id: str | None, limit: int) -> list[OutboxEntry]:
        query = select(OutboxRow.__table__).order_by(OutboxRow.id).limit(limit)
        if state is not None:
            query = query.where(OutboxRow.state == state)
        if campaign_id is not None:
            query = query.where(OutboxRow.campaign_id == campaign_id)
        return [
            OutboxEntry(
                row.id,
                row.reference,
                row.campaign_id,
                row.customer_id,
                row.channel,
                row.state,
                row.due_at,
                row.claimed_at,
                row.attempts,
                row.detail or row.reason,
            )
            for row in self._connection.execute(query)
        ]

    def resolve(self, reference: str, delivered: bool, actor: str, at: datetime) -> None:
        self._share_gate()
        state = State.SENT if delivered else State.FAILED
        resolved = self._connection.execute(
            update(OutboxRow)
            .where(OutboxRow.reference == reference, OutboxRow.state == State.UNKNOWN)
            .values(state=state.value, finished_at=at, detail=f"resolved by {actor}")
            .returning(OutboxRow.id, OutboxRow.customer_id, OutboxRow.campaign_id)
        ).one_or_none()
        if resolved is None:
            raise CampaignError(
                f"no message {reference!r} is in doubt. `holdfast outbox show --state unknown` lists those that are."
            )
        if not delivered:
            self._void([resolved.id])
            self._spend([resolved.id], -1)
        audit.append(
            self._connection,
            at=at,
            actor=actor,
            action="outbox.resolve",
            subject=audit_name(self._connection, resolved.customer_id),  # a reference would outlive an erasure
            details={"campaign": resolved.campaign_id, "delivered": delivered},
        )

    def next_due(self, channel: str) -> datetime | None:
        return self._connection.scalar(
            select(func.min(OutboxRow.due_at)).where(OutboxRow.state == State.PLANNED, OutboxRow.channel == channel)
        )

    def waiting(self) -> dict[str, int]:
        query = (
            select(OutboxRow.channel, func.count()).where(OutboxRow.state == State.PLANNED).group_by(OutboxRow.channel)
        )
        return dict(self._connection.execute(query).all())

    def _share_gate(self) -> None:
        """Before any row is locked, see ``Lock``."""
        if not self._shares_gate:
            hold(self._connection, Lock.GATE, shared=True)
            self._shares_gate = True

    def _take_back(self, at: datetime) -> None:
        """Stale claims become unknown; leases that ran out can be handed out again, their old holder is fenced off."""
        self._connection.execute(
            update(OutboxRow)
            .where(OutboxRow.lease_until <= at, OutboxRow.state == State.CLAIMED)
            .values(state=State.UNKNOWN.value, detail=_LAPSED, lease_until=None)
        )
        revoked = self._connection.scalars(
            update(OutboxRow)
            .where(OutboxRow.lease_until <= at, OutboxRow.state == State.PLANNED)
            .values(leased_by=None, lease_until=None, epoch=OutboxRow.epoch + 1)
            .returning(OutboxRow.id)
        ).all()
        self._spend(revoked, -1)

    def _allowance(self, batch: Batch, limit: int, outreach: Outreach, at: datetime) -> Allowance:
        """How many messages the channel takes now, if any are due."""
        if not self._connection.scalar(select(self._due(batch, at).exists())):
            return Allowance(0)
        allowed, _ = allowance(self._throttle(batch.channel, at), outreach.limits.get(batch.channel), limit, at)
        return allowed

    def _charge(self, channel: str, messages: int, outreach: Outreach, at: datetime) -> None:
        """Count so many messages, which ``_allowance`` allowed just before, against the channel's rate limit."""
        throttle = self._throttle(channel, at)
        _, after = allowance(throttle, outreach.limits.get(channel), messages, at)
        if after != throttle:
            self._keep(channel, after)

    def _throttle(self, channel: str, at: datetime) -> Throttle:
        query = select(ChannelRow.__table__).where(ChannelRow.name == channel).with_for_update()
        row = self._connection.execute(query).one_or_none()
        if row is None:
            return Throttle(tokens=float("inf"), refilled_at=at)  # full, whatever the burst
        return Throttle(row.tokens, row.refilled_at, row.failures, row.open_until)

    def _keep(self, channel: str, throttle: Throttle) -> None:
        values = {
            "tokens": min(throttle.tokens, _MOST_TOKENS),
            "refilled_at": throttle.refilled_at,
            "failures": throttle.failures,
            "open_until": throttle.open_until,
        }
        kept = self._connection.execute(update(ChannelRow).where(ChannelRow.name == channel).values(**values))
        if kept.rowcount == 0:
            self._connection.execute(insert(ChannelRow).values(name=channel, **values))

    def _due(self, batch: Batch, at: datetime) -> Select[Any]:
        query = select(OutboxRow.id).where(
            OutboxRow.state == State.PLANNED,
            OutboxRow.channel == batch.channel,
            OutboxRow.due_at <= at,
            OutboxRow.lease_until.is_(None),
        )
        if batch.shards > 1:
            query = query.where(OutboxRow.id % batch.shards == batch.shard)
        if batch.campaign_id is not None:
            query = query.where(OutboxRow.campaign_id == batch.campaign_id)
        return query

    def _due_messages(self, batch: Batch, limit: int, at: datetime) -> list[Row[Any]]:
        """Due messages with all that belongs to them, in the order in which they are due, at most one a customer."""
        due = self._due(batch, at).order_by(OutboxRow.due_at, OutboxRow.id).limit(limit).subquery()
        query = (
            select(OutboxRow.__table__)
            .add_columns(AssignmentRow.arm, AssignmentRow.cost)
            .add_columns(CampaignRow.definition, CampaignRow.stopped_at, CampaignRow.contacts, CampaignRow.spent)
            .add_columns(OfferRow.code, OfferRow.amount, OfferRow.percent, OfferRow.maximum_discount)
            .add_columns(OfferRow.minimum_basket, OfferRow.valid_from, OfferRow.valid_to)
            .add_columns(ContactRow.given_name, ContactRow.email, ContactRow.phone, ContactRow.push_token)
            .add_columns(IdentityRow.own_id, IdentityRow.key_id, IdentityRow.data_key)
            .select_from(OutboxRow)
            .join(due, due.c.id == OutboxRow.id)
            .join(CampaignRow, CampaignRow.id == OutboxRow.campaign_id)
            .join(AssignmentRow, _same_customer(AssignmentRow))
            .outerjoin(OfferRow, _same_customer(OfferRow))
            .outerjoin(ContactRow, ContactRow.customer_id == OutboxRow.customer_id)
            .outerjoin(IdentityRow, IdentityRow.customer_id == OutboxRow.customer_id)
            .order_by(OutboxRow.due_at, OutboxRow.id)
        )
        first: dict[str, Row[Any]] = {}
        for row in self._connection.execute(query):
            first.setdefault(row.customer_id, row)
        return list(first.values())

    def _contact(self, row: Row[Any]) -> _Contact:
        """The message's address and whom to greet, opened."""
        if row.data_key is None:
            return _Contact(row.customer_id, None)
        key = required(self._keyring).open(row.customer_id, wrapped_of(row))
        name = key.open("given_name", row.given_name)
        if row.channel not in ADDRESSES:
            return _Contact(key.open("own_id", row.own_id) or row.customer_id, name)
        sealed = ADDRESSES[row.channel].sealed
        return _Contact(key.open(sealed, getattr(row, sealed)) or "", name)

    def _hand_out(self, ids: Sequence[int], worker: str, at: datetime) -> None:
        self._connection.execute(
            update(OutboxRow)
            .where(OutboxRow.id.in_(ids))
            .values(leased_by=worker, lease_until=at + LEASE, epoch=OutboxRow.epoch + 1)
        )
        self._spend(ids, 1)

    def _skip(self, ids: Sequence[int], reason: Reason, at: datetime) -> None:
        self._connection.execute(
            update(OutboxRow)
            .where(OutboxRow.id.in_(ids))
            .values(state=State.SKIPPED.value, reason=reason.value, finished_at=at)
        )
        self._void(ids)

    def _postpone(self, ids: Sequence[int], due_at: datetime) -> None:
        self._connection.execute(update(OutboxRow).where(OutboxRow.id.in_(ids)).values(due_at=due_at))

    def _void(self, ids: Sequence[int]) -> None:
        """A coupon whose message reached nobody cannot have been seen, let alone used."""
        self._connection.execute(
            update(OfferRow)
            .where(
                select(OutboxRow.id).where(OutboxRow.id.in_(ids), _same_customer(OfferRow)).exists(),
                OfferRow.state == OfferState.ISSUED,
            )
            .values(state=OfferState.VOID.value)
        )

    def _spend(self, ids: Sequence[int], sign: int) -> None:
        """Count these messages in (1) or out (-1) of what their campaign runs have taken of their budgets."""
        if not ids:
            return
        query = (
            select(OutboxRow.campaign_id, func.count(), func.sum(AssignmentRow.cost))
            .join(AssignmentRow, _same_customer(AssignmentRow))
            .where(OutboxRow.id.in_(ids))
            .group_by(OutboxRow.campaign_id)
            .order_by(OutboxRow.campaign_id)
        )
        for campaign_id, messages, cost in self._connection.execute(query).all():
            self._connection.execute(
                update(CampaignRow)
                .where(CampaignRow.id == campaign_id)
                .values(contacts=CampaignRow.contacts + sign * messages, spent=CampaignRow.spent + sign * cost)
            )


def _same_customer(row: type[AssignmentRow | OfferRow]) -> ColumnElement[bool]:
    return and_(row.campaign_id == OutboxRow.campaign_id, row.customer_id == OutboxRow.customer_id)


class _Contact(NamedTuple):
    """A message's recipient (empty where there is no address: the gate lets no such message pass) and whom to greet."""

    recipient: str
    given_name: str | None


def _pending(row: Row[Any], campaign: Campaign, contact: _Contact) -> Pending:
    draft = Draft(
        campaign=campaign,
        campaign_id=row.campaign_id,
        customer_id=row.customer_id,
        arm=campaign.arm(row.arm),
        recipient=contact.recipient,
        given_name=contact.given_name,
        coupon=None if row.code is None else coupon_of(row),
        timezone=row.timezone,
        context=row.context or {},
    )
    return Pending(row.id, row.epoch, row.attempts, row.not_after, row.stopped_at is not None, row.cost, draft)
