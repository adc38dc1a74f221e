"""The vault: contact details and consents, loaded from landing batches and read only in order to write to someone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pandas as pd
from sqlalchemy import Connection, Engine, delete, insert, select, update

from holdfast.adapters.operations import database
from holdfast.adapters.operations.database import Lock, hold
from holdfast.adapters.operations.models import ConsentRow, ContactRow, GateRow, LoadedBatchRow
from holdfast.schemas import CONSENTS, CONTACTS, TABLES, Home

_IDS_AT_ONCE = 10_000  # below SQLite's limit of 32,766 parameters
_CONSENT_KEY = ("customer_id", "purpose", "channel", "recorded_at", "status")


class SqlVault:
    """``ports.Vault`` in the operations database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

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
                _put_contacts(connection, records)
            elif table == CONSENTS.name:
                _put_consents(connection, records)
        return len(records)


def change_gate(connection: Connection) -> None:
    """Wait for whoever is claiming a message, and have every message that is leased but not claimed asked again.

    To be called before anything is written that the send gate asks about a customer.
    """
    hold(connection, Lock.GATE)
    connection.execute(update(GateRow).values(version=GateRow.version + 1))


def _id_batches(customer_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """The ids in parts small enough for one query."""
    for start in range(0, len(customer_ids), _IDS_AT_ONCE):
        yield customer_ids[start : start + _IDS_AT_ONCE]


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


def _put_contacts(connection: Connection, records: Sequence[dict[str, Any]]) -> None:
    """Replace the customers' contacts; of several in one batch the last row counts."""
    latest = {record["customer_id"]: record for record in records}
    if not latest:
        return
    for some in _id_batches(list(latest)):
        connection.execute(delete(ContactRow).where(ContactRow.customer_id.in_(some)))
    connection.execute(insert(ContactRow), list(latest.values()))


def _put_consents(connection: Connection, records: Sequence[dict[str, Any]]) -> int:
    """Add the decisions that are not recorded yet, and return their number."""
    wanted = {tuple(record[name] for name in _CONSENT_KEY): record for record in records}
    if not wanted:
        return 0
    columns = [getattr(ConsentRow, name) for name in _CONSENT_KEY]
    for some in _id_batches(list({record["customer_id"] for record in records})):
        for known in connection.execute(select(*columns).where(ConsentRow.customer_id.in_(some))):
            wanted.pop(tuple(known), None)
    if wanted:
        connection.execute(insert(ConsentRow), list(wanted.values()))
    return len(wanted)
