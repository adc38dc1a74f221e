"""The vault: who is who, contact details, consents; loaded from landing batches, opened only to write to someone."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    Select,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from holdfast.adapters.operations import database
from holdfast.adapters.operations.database import Lock, hold
from holdfast.adapters.operations.models import ConsentRow, ContactRow, GateRow, IdentityRow, LoadedBatchRow
from holdfast.adapters.operations.sealing import DataKey, Keyring, Wrapped
from holdfast.adapters.parameters import AT_ONCE, parts
from holdfast.campaign.eligibility import has_one_recipient
from holdfast.campaign.feedback import ALL_CHANNELS
from holdfast.campaign.replies import MARKETING, PROFILING
from holdfast.errors import SettingsError
from holdfast.schemas import CONSENTS, CONTACTS, TABLES, Home


class Address(NamedTuple):
    """The columns of contacts that hold a channel's address, sealed, and whether it is exactly one."""

    sealed: str
    reachable: str


ADDRESSES = {
    "email": Address("email", "by_email"),
    "sms": Address("phone", "by_sms"),
    "push": Address("push_token", "by_push"),
}
"""By channel; others than these know the customer by the shop's own id."""

_SEALED = ("email", "phone", "push_token", "given_name")
_CONSENT_KEY = ("customer_id", "purpose", "channel", "recorded_at", "status")


class SqlVault:
    """``ports.Vault`` in the operations database. Without a ``keyring`` it takes consents alone."""

    def __init__(self, engine: Engine, keyring: Keyring | None = None) -> None:
        self._engine = engine
        self._keyring = keyring

    def append(self, table: str, rows: pd.DataFrame, batches: Sequence[str]) -> int:
        """As the port says; the batches are entered in a ledger in the same transaction as their rows.

        Raises ValueError for a table whose home is not the vault.
        """
        if table not in TABLES or TABLES[table].home is not Home.VAULT:
            raise ValueError(f"table {table!r} does not belong to the vault")
        with database.exclusive(self._engine) as connection:
            change_gate(connection)
            fresh = _enter(connection, table, batches)
            records = _records(rows[rows["batch"].isin(fresh)], TABLES[table].names)
            if table == CONTACTS.name:
                _put_contacts(connection, required(self._keyring), records)
            elif table == CONSENTS.name:
                _put_consents(connection, records)
        return len(records)

    def identify(self, own_ids: Mapping[str, str]) -> None:
        if not own_ids:
            return
        with database.exclusive(self._engine) as connection:
            _identify(connection, required(self._keyring), own_ids)

    def rotate(self, at_once: int = AT_ONCE) -> int:
        """Wrap every data key with the newest key; returns how many were under another.

        Some at a time, each in a transaction of its own: broken off, a repeated call goes on. Afterwards the other keys
        open nothing any more and can be removed.
        """
        keyring, done = required(self._keyring), 0
        stale = select(IdentityRow.__table__).where(IdentityRow.key_id != keyring.newest)
        while True:
            with database.exclusive(self._engine) as connection:
                some = connection.execute(stale.limit(at_once)).all()
                if not some:
                    return done
                wrapped = [(one.customer_id, keyring.rewrap(one.customer_id, wrapped_of(one))) for one in some]
                connection.execute(
                    update(IdentityRow)
                    .where(IdentityRow.customer_id == bindparam("id"))
                    .values(key_id=bindparam("kek"), data_key=bindparam("key")),
                    [{"id": one, "kek": new.key_id, "key": new.data_key} for one, new in wrapped],
                )
            done += len(some)

    def own_id(self, customer_id: str) -> str | None:
        """The shop's own id of the customer; None where it is not known, or not any more."""
        with database.reading(self._engine) as connection:
            row = connection.execute(
                select(IdentityRow.__table__).where(IdentityRow.customer_id == customer_id)
            ).one_or_none()
        if row is None:
            return None
        return required(self._keyring).open(customer_id, wrapped_of(row)).open("own_id", row.own_id)

    def contact(self, customer_id: str) -> dict[str, str]:
        """The customer's contact details, opened, as far as there are any."""
        query = (
            select(IdentityRow.__table__)
            .add_columns(*(getattr(ContactRow, name) for name in _SEALED))
            .join(ContactRow, ContactRow.customer_id == IdentityRow.customer_id)
        )
        with database.reading(self._engine) as connection:
            row = connection.execute(query.where(IdentityRow.customer_id == customer_id)).one_or_none()
        if row is None:
            return {}
        key = required(self._keyring).open(customer_id, wrapped_of(row))
        return {name: value for name in _SEALED if (value := key.open(name, getattr(row, name))) is not None}

    def reachable(self, customer_ids: Sequence[str]) -> list[str]:
        """Those of the customers of whom contact details are kept."""
        with database.reading(self._engine) as connection:
            some = (
                connection.scalars(select(ContactRow.customer_id).where(ContactRow.customer_id.in_(ids)))
                for ids in parts(customer_ids)
            )
            return [customer for found in some for customer in found]

    def forget_contacts(self, customer_ids: Sequence[str]) -> None:
        """Delete the contact details of these customers."""
        with database.exclusive(self._engine) as connection:
            change_gate(connection)
            for some in parts(customer_ids):
                connection.execute(delete(ContactRow).where(ContactRow.customer_id.in_(some)))

    def objectors(self) -> frozenset[str]:
        """The customers who must not be profiled, see ``objected``."""
        with database.reading(self._engine) as connection:
            return frozenset(connection.scalars(objected()))

    def anyone(self) -> str | None:
        """The pseudonym of some customer whose own id is kept; None where there is none."""
        with database.reading(self._engine) as connection:
            known = select(IdentityRow.customer_id).where(IdentityRow.own_id.is_not(None)).limit(1)
            return connection.scalar(known)


def required(keyring: Keyring | None) -> Keyring:
    """The keyring. Raises SettingsError where there is none and something sealed is to be written or read."""
    if keyring is None:
        raise SettingsError("contact details are sealed, and no key was given to open them with: HOLDFAST_VAULT_KEYS")
    return keyring


def wrapped_of(row: Row[Any]) -> Wrapped:
    """The data key in a row of identities, or one joined to it."""
    return Wrapped(row.key_id, row.data_key)


def objected() -> Select[str]:
    """The customers who objected to profiling, or to direct marketing as such, and have not allowed it again since.

    Marketing by all channels withdrawn is such an objection (GDPR, Art. 21(2) and (3)); one channel withdrawn is not.
    """

    def latest(status: str, *more: ColumnElement[bool]) -> ColumnElement[datetime | None]:
        return func.max(case((and_(ConsentRow.status == status, *more), ConsentRow.recorded_at)))

    withdrawn, given = latest("withdrawn", ConsentRow.channel == ALL_CHANNELS), latest("given")
    return (
        select(ConsentRow.customer_id)
        .where(ConsentRow.purpose.in_([MARKETING, PROFILING]))
        .group_by(ConsentRow.customer_id, ConsentRow.purpose)
        .having(withdrawn.is_not(None), or_(given.is_(None), given <= withdrawn))
    )


def audit_name(connection: Connection, customer_id: str) -> str:
    """What the audit log calls the customer: a word that nothing leads to once the customer is erased."""
    alias = connection.scalar(select(IdentityRow.alias).where(IdentityRow.customer_id == customer_id))
    return alias or "a customer without identity"


def change_gate(connection: Connection) -> None:
    """Wait for whoever is claiming a message, and have every message that is leased but not claimed asked again.

    To be called before anything is written that the send gate asks about a customer.
    """
    hold(connection, Lock.GATE)
    connection.execute(update(GateRow).values(version=GateRow.version + 1))


def _enter(connection: Connection, table: str, batches: Iterable[str]) -> list[str]:
    """Enter in the ledger the batches that are not there yet, and return them."""
    wanted = list(dict.fromkeys(batches))
    known = set(connection.scalars(select(LoadedBatchRow.batch).where(LoadedBatchRow.table_name == table)))
    fresh = [batch for batch in wanted if batch not in known]
    if fresh:
        connection.execute(insert(LoadedBatchRow), [{"table_name": table, "batch": batch} for batch in fresh])
    return fresh


def _records(rows: pd.DataFrame, names: Sequence[str]) -> list[dict[str, Any]]:
    """The rows as plain Python values, every kind of missing value, and a missing column, as None."""
    plain = rows.reindex(columns=list(names)).astype(object)
    return [
        {
            str(name): None if pd.isna(value) else value.to_pydatetime() if isinstance(value, pd.Timestamp) else value
            for name, value in record.items()
        }
        for record in plain.to_dict("records")
    ]


def _data_keys(connection: Connection, keyring: Keyring, customer_ids: Sequence[str]) -> dict[str, DataKey]:
    """Each customer's data key, made for those who have none."""
    keys: dict[str, DataKey] = {}
    for some in parts(customer_ids):
        rows = connection.execute(select(IdentityRow.__table__).where(IdentityRow.customer_id.in_(some)))
        keys.update({row.customer_id: keyring.open(row.customer_id, wrapped_of(row)) for row in rows})
    made = []
    for customer in dict.fromkeys(one for one in customer_ids if one not in keys):
        wrapped, keys[customer] = keyring.make(customer)
        made.append({"customer_id": customer, "alias": secrets.token_hex(16), **vars(wrapped)})
    if made:
        connection.execute(insert(IdentityRow), made)
    return keys


def _identify(connection: Connection, keyring: Keyring, own_ids: Mapping[str, str]) -> None:
    keys = _data_keys(connection, keyring, list(own_ids))
    connection.execute(
        update(IdentityRow)
        .where(IdentityRow.customer_id == bindparam("id"), IdentityRow.own_id.is_(None))
        .values(own_id=bindparam("sealed")),
        [{"id": one, "sealed": keys[one].seal("own_id", own)} for one, own in own_ids.items()],
    )


def _put_contacts(connection: Connection, keyring: Keyring, records: Sequence[dict[str, Any]]) -> None:
    """Replace the customers' contacts; of several in one batch the last row counts."""
    latest = {record["customer_id"]: record for record in records}
    if not latest:
        return
    for some in parts(list(latest)):
        connection.execute(delete(ContactRow).where(ContactRow.customer_id.in_(some)))
    keys = _data_keys(connection, keyring, list(latest))
    reachable = {
        at.reachable: has_one_recipient(np.array([one[at.sealed] for one in latest.values()], dtype=object), channel)
        for channel, at in ADDRESSES.items()
    }
    rows = [
        {"customer_id": customer, **keys[customer].seal_all(record, _SEALED)} for customer, record in latest.items()
    ]
    for flag, answers in reachable.items():
        for row, answer in zip(rows, answers.tolist(), strict=True):
            row[flag] = answer
    connection.execute(insert(ContactRow), rows)


def _put_consents(connection: Connection, records: Sequence[dict[str, Any]]) -> int:
    """Add the decisions that are not recorded yet, and return their number."""
    wanted = {tuple(record[name] for name in _CONSENT_KEY): record for record in records}
    if not wanted:
        return 0
    columns = [getattr(ConsentRow, name) for name in _CONSENT_KEY]
    for some in parts(list({record["customer_id"] for record in records})):
        for known in connection.execute(select(*columns).where(ConsentRow.customer_id.in_(some))):
            wanted.pop(tuple(known), None)
    if wanted:
        connection.execute(insert(ConsentRow), list(wanted.values()))
    return len(wanted)
