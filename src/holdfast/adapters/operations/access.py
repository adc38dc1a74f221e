"""What the look-up API asks of the operations database: its keys, and the coupons in force."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, bindparam, insert, select, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from holdfast.access import ApiKey, Scope, require_room
from holdfast.adapters.operations import audit, database
from holdfast.adapters.operations.ledger import coupon_of
from holdfast.adapters.operations.models import ApiKeyRow, OfferRow
from holdfast.adapters.parameters import parts
from holdfast.campaign.offers import Entitlement, OfferState
from holdfast.errors import AccessError, StoreUnavailableError

_IN_FORCE = select(OfferRow.__table__).where(
    OfferRow.customer_id.in_(bindparam("customers", expanding=True)),
    OfferRow.state == OfferState.ISSUED,
    OfferRow.valid_from <= bindparam("at"),
    OfferRow.valid_to > bindparam("at"),
)


class KeyDatabase:
    """``ports.ApiKeys`` behind one engine. What is done to keys is told to the audit log."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def all(self) -> list[ApiKey]:
        query = select(ApiKeyRow.__table__).order_by(ApiKeyRow.created_at, ApiKeyRow.id)
        with _explained(), database.reading(self._engine) as connection:
            return [
                ApiKey(**{**row, "scopes": frozenset(map(Scope, row["scopes"]))})
                for row in connection.execute(query).mappings()
            ]

    def add(self, key: ApiKey, actor: str) -> None:
        with database.exclusive(self._engine) as connection:
            require_room(self.all(), key.name, key.created_at)
            scopes = sorted(key.scopes)
            connection.execute(insert(ApiKeyRow).values(**{**vars(key), "scopes": scopes}))
            audit.append(
                connection,
                at=key.created_at,
                actor=actor,
                action="key.new",
                subject=key.id,
                details={"name": key.name, "scopes": scopes, "expires_at": key.expires_at.isoformat()},
            )

    def revoke(self, key_id: str, actor: str, at: datetime) -> ApiKey:
        with database.writing(self._engine) as connection:
            ended = connection.execute(
                update(ApiKeyRow).where(ApiKeyRow.id == key_id, ApiKeyRow.revoked_at.is_(None)).values(revoked_at=at)
            )
            if ended.rowcount:
                audit.append(connection, at=at, actor=actor, action="key.revoke", subject=key_id, details={})
        found = next((key for key in self.all() if key.id == key_id), None)
        if found is None:
            raise AccessError(f"there is no key {key_id!r}; `holdfast lookup key list` shows the ids of all.")
        return found


class EntitlementDatabase:
    """``ports.Entitlements`` behind one engine, on a connection that it keeps: one thread may use it at a time.

    A connection that was lost since the last question is opened anew.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._kept: Connection | None = None

    def in_force(self, customers: Sequence[str], at: datetime) -> Mapping[str, Sequence[Entitlement]]:
        found: dict[str, list[Entitlement]] = {}
        for some in parts(customers):
            for row in self._rows({"customers": some, "at": at}):
                found.setdefault(row.customer_id, []).append(Entitlement(row.campaign_id, coupon_of(row)))
        for several in found.values():
            several.sort(key=lambda one: (one.coupon.terms.valid.end, one.coupon.code))
        return found

    def _rows(self, asked: Mapping[str, Any]) -> Sequence[Row[Any]]:
        with _explained():
            try:
                return self._ask(asked)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
                return self._ask(asked)

    def _ask(self, asked: Mapping[str, Any]) -> Sequence[Row[Any]]:
        if self._kept is None:
            self._kept = self._engine.connect()
            if self._kept.dialect.name == "postgresql":  # one statement is a transaction: no round trips around it
                self._kept = self._kept.execution_options(isolation_level="AUTOCOMMIT")
        try:
            rows = self._kept.execute(_IN_FORCE, asked).all()
            self._kept.rollback()  # the next question must see what has been committed since
        except SQLAlchemyError:
            kept, self._kept = self._kept, None
            kept.close()
            raise
        return rows


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise StoreUnavailableError(
            f"the operations database cannot be read ({type(error).__name__}). Check HOLDFAST_OPERATIONS_URL and the "
            "server."
        ) from error
