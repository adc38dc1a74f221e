"""The audit log in the operations database, which refuses to change or delete an entry."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from holdfast.adapters.operations.database import Lock, hold
from holdfast.adapters.operations.models import AuditRow
from holdfast.campaign.audit import FIRST, Entry, chained


def append(
    connection: Connection, *, at: datetime, actor: str, action: str, subject: str, details: Mapping[str, Any]
) -> None:
    """Add an entry in the transaction of what it tells of; entries of several processes follow one another."""
    hold(connection, Lock.AUDIT)
    last = connection.execute(select(AuditRow.seq, AuditRow.hash).order_by(AuditRow.seq.desc()).limit(1)).one_or_none()
    seq, before = (last.seq + 1, last.hash) if last else (1, FIRST)
    entry = chained(before, seq=seq, at=at, actor=actor, action=action, subject=subject, details=details)
    connection.execute(insert(AuditRow).values(**vars(entry)))


def entries(connection: Connection) -> Iterator[Entry]:
    """The log in order."""
    for row in connection.execute(select(AuditRow.__table__).order_by(AuditRow.seq)):
        yield Entry(row.seq, row.at, row.actor, row.action, row.subject, row.details, row.hash)
