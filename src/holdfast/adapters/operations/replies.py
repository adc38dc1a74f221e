"""What customers choose and channels report, in the operations database: ``ports.Replies``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import Connection, Engine, delete, insert, select
from sqlalchemy.exc import IntegrityError

from holdfast.adapters.operations import audit, database
from holdfast.adapters.operations.database import Lock, hold
from holdfast.adapters.operations.facts import Facts
from holdfast.adapters.operations.models import ConsentRow, ContactRow, DeliveryRow, OutboxRow, SuppressionRow
from holdfast.adapters.operations.vault import ADDRESSES, audit_name, change_gate, objected
from holdfast.campaign.feedback import ALL_CHANNELS, Decision, SuppressionReason
from holdfast.campaign.replies import CHANNELS, LIFTED_BY_CUSTOMER, MARKETING, Addressee, Choice, Told


class RepliesDatabase:
    """The tables of the operations database that replies concern, behind one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def reading(self) -> Iterator[SqlReplies]:
        with database.reading(self._engine) as connection:
            yield SqlReplies(connection)

    @contextmanager
    def writing(self) -> Iterator[SqlReplies]:
        with database.writing(self._engine) as connection:
            yield SqlReplies(connection)


class SqlReplies:
    """``ports.RepliesTransaction`` on one open connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def addressee(self, reference: str) -> Addressee | None:
        query = select(OutboxRow.customer_id, OutboxRow.channel, OutboxRow.context)
        row = self._connection.execute(query.where(OutboxRow.reference == reference)).one_or_none()
        if row is None:
            return None
        return Addressee(row.customer_id, row.channel, (row.context or {}).get("locale"))

    def choices(self, customer_id: str) -> list[Choice]:
        flags = [getattr(ContactRow, ADDRESSES[channel].reachable) for channel in CHANNELS]
        contact = self._connection.execute(select(*flags).where(ContactRow.customer_id == customer_id)).one_or_none()
        suppressed = self._connection.execute(
            select(SuppressionRow.channel, SuppressionRow.reason).where(SuppressionRow.customer_id == customer_id)
        ).all()
        choices, facts = [], Facts(self._connection, [customer_id])
        for channel in CHANNELS:
            consent = facts.consents(MARKETING, channel)[0]
            reachable = contact is not None and getattr(contact, ADDRESSES[channel].reachable)
            if consent is None and not reachable:
                continue
            reasons = {reason for where, reason in suppressed if where in (channel, ALL_CHANNELS)}
            choices.append(
                Choice(
                    channel,
                    allowed=consent == "given" and not reasons,
                    open=reachable and not reasons - {one.value for one in LIFTED_BY_CUSTOMER},
                )
            )
        return choices

    def profiled(self, customer_id: str) -> bool:
        mine = objected().where(ConsentRow.customer_id == customer_id)
        return self._connection.execute(mine).first() is None

    def decide(self, decision: Decision) -> None:
        change_gate(self._connection)
        self._connection.execute(insert(ConsentRow).values(**asdict(decision)))

    def suppress(self, customer_id: str, channel: str, reason: SuppressionReason, source: str, at: datetime) -> bool:
        change_gate(self._connection)  # first: of two clicks at once the second sees the first
        key = {"customer_id": customer_id, "channel": channel, "reason": reason.value}
        if self._connection.execute(select(SuppressionRow.customer_id).filter_by(**key)).first():
            return False
        self._connection.execute(insert(SuppressionRow).values(**key, recorded_at=at, source=source))
        subject = audit_name(self._connection, customer_id)
        details = {"channel": channel, "reason": reason.value}
        audit.append(self._connection, at=at, actor=source, action="suppress", subject=subject, details=details)
        return True

    def lift(self, customer_id: str, channel: str) -> None:
        change_gate(self._connection)
        self._connection.execute(
            delete(SuppressionRow).where(
                SuppressionRow.customer_id == customer_id,
                SuppressionRow.channel == channel,
                SuppressionRow.reason.in_(LIFTED_BY_CUSTOMER),
            )
        )

    def tell(self, channel: str, told: Told, received_at: datetime) -> bool:
        event = {
            "id": f"{channel}:{told.id}",
            "reference": told.reference,
            "kind": told.kind.value,
            "occurred_at": told.occurred_at,
            "received_at": received_at,
        }
        if told.ends_contact is not None:
            hold(self._connection, Lock.GATE)  # which ``suppress`` will change: before the message's row, see ``Lock``
        try:
            with self._connection.begin_nested():
                self._connection.execute(insert(DeliveryRow).values(event))
        except IntegrityError:  # its id is there, or its message's reference no more, perhaps since a moment ago
            return False
        return True
