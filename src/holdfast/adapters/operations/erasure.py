"""The operations database for a person's rights: what it holds of a customer, and how it forgets.

A campaign's figures must still add up when a customer is gone. So the rows of campaigns stay and lose whose they are:
the pseudonym, and a message's reference, which is made from it, give way to random words, from which nothing leads to
the person. What tells more than a figure is emptied.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    String,
    Table,
    and_,
    cast,
    delete,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    update,
)

from holdfast.adapters.operations import audit, database
from holdfast.adapters.operations.models import (
    AuditRow,
    Base,
    ConsentRow,
    ContactRow,
    DeliveryRow,
    ErasureRow,
    IdentityRow,
    OfferRow,
    OutboxRow,
    RedemptionRow,
    SuppressionRow,
)
from holdfast.adapters.operations.outbox import SqlOutbox
from holdfast.adapters.operations.vault import SqlVault, change_gate
from holdfast.ports import Erasure, Person, Row

_ID = "customer_id"
_IN_VAULT = (ContactRow, ConsentRow, IdentityRow)
_OF_VAULT = frozenset(row.__tablename__ for row in _IN_VAULT)
_SECRET = frozenset({"own_id", "key_id", "data_key", "email", "phone", "push_token", "given_name"})


@dataclass(frozen=True)
class CampaignRows:
    """What campaigns know of the customer: arms, skips, coupons, messages and what came back, suppressions, audit."""

    engine: Engine
    clock: datetime
    name: str = "operations database"
    kept_by: Literal["us"] = "us"

    def held(self, person: Person) -> list[Row]:
        with database.reading(self.engine) as connection:
            return list(_held(connection, person.customer_id))

    def erase(self, person: Person) -> None:
        with _forgetting(self.engine) as connection:
            SqlOutbox(connection, None).withdraw(person.customer_id, self.clock)
            _empty(connection, person.customer_id)
            connection.execute(delete(SuppressionRow).where(SuppressionRow.customer_id == person.customer_id))
            _rename_messages(connection, person.customer_id)
            _rename(connection, person.customer_id, f"erased-{secrets.token_hex(13)}")


@dataclass(frozen=True)
class VaultRows:
    """Who the customer is, how they are reached and what they allowed. Erased last: it alone leads from one to another.

    The audit log's entries about the customer stay, under a name that this row alone explains.
    """

    engine: Engine
    vault: SqlVault
    name: str = "vault"
    kept_by: Literal["us"] = "us"

    def held(self, person: Person) -> list[Row]:
        with database.reading(self.engine) as connection:
            rows = [
                {"table": one.__tablename__, **_told(row)}
                for one in _IN_VAULT
                for row in connection.execute(select(one.__table__).where(one.customer_id == person.customer_id))
            ]
            names = select(IdentityRow.alias).where(IdentityRow.customer_id == person.customer_id)
            entries = connection.execute(select(AuditRow.__table__).where(AuditRow.subject.in_(names)))
            audited = [
                {"table": "audit", "at": row.at.isoformat(), "action": row.action, "details": row.details}
                for row in entries
            ]
        contact = self.vault.contact(person.customer_id)
        opened = [{"table": "contacts, opened", **contact}] if contact else []
        return [*rows, *opened, *audited]

    def erase(self, person: Person) -> None:
        with _forgetting(self.engine) as connection:
            change_gate(connection)
            for one in _IN_VAULT:
                connection.execute(delete(one).where(one.customer_id == person.customer_id))


@dataclass(frozen=True)
class MessageWords:
    """What finished messages were composed of, and why they failed: ``pipelines.retention.Dated``."""

    engine: Engine

    def old(self, before: datetime) -> int:
        with database.reading(self.engine) as connection:
            return connection.scalar(select(func.count()).where(_spent(before))) or 0

    def drop(self, before: datetime) -> None:
        with database.writing(self.engine) as connection:
            connection.execute(update(OutboxRow).where(_spent(before)).values(context=null(), detail=None))


def _spent(before: datetime) -> ColumnElement[bool]:
    words = cast(OutboxRow.context, String) != "null"  # NULL is not unequal
    return and_(OutboxRow.finished_at < before, or_(words, OutboxRow.detail.is_not(None)))


@dataclass(frozen=True)
class SqlErasures:
    """``pipelines.privacy.Erasures``."""

    engine: Engine

    def begin(self, tombstone: str, at: datetime) -> Erasure:
        with database.exclusive(self.engine) as connection:
            query = select(ErasureRow.__table__).where(ErasureRow.tombstone == tombstone)
            row = connection.execute(query).one_or_none()
            if row is None:
                made = {"tombstone": tombstone, "certificate": secrets.token_hex(16), "begun_at": at, "counts": {}}
                connection.execute(insert(ErasureRow).values(made))
                row = connection.execute(query).one()
            return Erasure(row.certificate, row.begun_at, row.counts, row.finished_at)

    def found(self, tombstone: str, holding: str, count: int) -> None:
        with database.exclusive(self.engine) as connection:
            mine = ErasureRow.tombstone == tombstone
            counts = connection.scalars(select(ErasureRow.counts).where(mine)).one()
            connection.execute(update(ErasureRow).where(mine).values(counts={**counts, holding: count}))

    def finish(self, tombstone: str, certificate: Mapping[str, Any], actor: str, at: datetime) -> None:
        with database.writing(self.engine) as connection:
            connection.execute(update(ErasureRow).where(ErasureRow.tombstone == tombstone).values(finished_at=at))
            subject = str(certificate["certificate"])
            audit.append(
                connection, at=at, actor=actor, action="privacy.erase", subject=subject, details=dict(certificate)
            )

    def tombstones(self) -> frozenset[str]:
        with database.reading(self.engine) as connection:
            return frozenset(connection.scalars(select(ErasureRow.tombstone)))


@contextmanager
def _forgetting(engine: Engine) -> Iterator[Connection]:
    """A transaction after which SQLite's file holds nothing of what was deleted: pages wiped, the log emptied."""
    lite = engine.dialect.name == "sqlite"
    with database.exclusive(engine) as connection:
        if lite:
            connection.connection.driver_connection.execute("PRAGMA secure_delete = ON")  # type: ignore[union-attr]
        yield connection
    if lite:
        with engine.connect() as connection:
            connection.connection.driver_connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[union-attr]


def _campaign_tables() -> list[Table]:
    """The tables with customers in them, but for the vault's; a table comes after those that it refers to."""
    return [one for one in Base.metadata.sorted_tables if _ID in one.columns and one.name not in _OF_VAULT]


def _held(connection: Connection, customer_id: str) -> Iterator[Row]:
    for table in _campaign_tables():
        for row in connection.execute(select(table).where(table.c[_ID] == customer_id)):
            yield {"table": table.name, **_told(row)}
    mine = select(OutboxRow.reference).where(OutboxRow.customer_id == customer_id)
    for row in connection.execute(select(DeliveryRow.__table__).where(DeliveryRow.reference.in_(mine))):
        yield {"table": DeliveryRow.__tablename__, **_told(row)}
    codes = select(OfferRow.code).where(OfferRow.customer_id == customer_id)
    for row in connection.execute(select(RedemptionRow.__table__).where(RedemptionRow.code.in_(codes))):
        yield {"table": RedemptionRow.__tablename__, **_told(row)}


def _told(row: Any) -> dict[str, Any]:
    """The row for a person to read; what is sealed is told opened, elsewhere."""
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in row._mapping.items()
        if name not in _SECRET and value is not None
    }


def _empty(connection: Connection, customer_id: str) -> None:
    """Drop what tells more than a figure: words of messages, why they failed, the shop's order numbers."""
    codes = select(OfferRow.code).where(OfferRow.customer_id == customer_id)
    connection.execute(update(RedemptionRow).where(RedemptionRow.code.in_(codes)).values(order_id=None))
    mine = OutboxRow.customer_id == customer_id
    connection.execute(update(OutboxRow).where(mine).values(context=None, detail=None, timezone="UTC"))


def _rename_messages(connection: Connection, customer_id: str) -> None:
    """Call the customer's messages, and what channels told of them, by random words. Reports are written anew: they
    refer to the message, and either name may change only while the other is not there.
    """
    messages = select(OutboxRow.id, OutboxRow.reference).where(OutboxRow.customer_id == customer_id)
    for number, reference in connection.execute(messages.with_for_update()).all():  # no report comes in meanwhile
        mine, new = DeliveryRow.reference == reference, secrets.token_hex(16)
        reports = connection.execute(select(DeliveryRow.__table__).where(mine)).mappings().all()
        connection.execute(delete(DeliveryRow).where(mine))
        connection.execute(update(OutboxRow).where(OutboxRow.id == number).values(reference=new))
        if reports:
            named = [{**one, "id": f"erased-{secrets.token_hex(13)}", "reference": new} for one in reports]
            connection.execute(insert(DeliveryRow), named)


def _rename(connection: Connection, customer_id: str, word: str) -> None:
    """Give the customer's rows to nobody. Rows that others refer to are copied, then left by those, then deleted."""
    tables = _campaign_tables()
    referred = {key.column.table.name for table in tables for key in table.foreign_keys if key.column.name == _ID}
    for table in tables:
        if table.name in referred:
            copied = [literal(word) if column.name == _ID else column for column in table.columns]
            mine = select(*copied).where(table.c[_ID] == customer_id)
            connection.execute(insert(table).from_select([column.name for column in table.columns], mine))
        else:
            connection.execute(update(table).where(table.c[_ID] == customer_id).values({_ID: word}))
    for table in reversed(tables):
        if table.name in referred:
            connection.execute(delete(table).where(table.c[_ID] == customer_id))
