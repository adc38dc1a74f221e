"""``ports.Operations``: campaign runs, with the outbox, the ledger and customers' preferences beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pandas as pd
from sqlalchemy import ColumnElement, Connection, Engine, and_, func, insert, select, update
from sqlalchemy.orm import InstrumentedAttribute

from holdfast.adapters.operations import audit, database
from holdfast.adapters.operations.bulk import Same, insert_columns
from holdfast.adapters.operations.facts import Facts
from holdfast.adapters.operations.kept import Kept
from holdfast.adapters.operations.ledger import SqlLedger
from holdfast.adapters.operations.models import AssignmentRow, Base, CampaignRow, OfferRow, OutboxRow, SkipRow
from holdfast.adapters.operations.outbox import SqlOutbox
from holdfast.adapters.operations.sealing import Keyring
from holdfast.adapters.operations.vault import change_gate
from holdfast.campaign.audit import Entry
from holdfast.campaign.definition import Campaign, CampaignRun
from holdfast.campaign.eligibility import Known, explained
from holdfast.campaign.offers import OfferState
from holdfast.campaign.outbox import Counts, CustomerRecord, State
from holdfast.campaign.planned import Coupons, Messages, plain
from holdfast.campaign.policy import Selection
from holdfast.errors import CampaignError
from holdfast.rules import FrequencyCap


class OperationsDatabase:
    """The campaign tables behind one engine (see ``database.connect``), whose schema is up to date.

    Handing out messages opens their addresses, for which it needs the ``keyring``.
    """

    def __init__(self, engine: Engine, keyring: Keyring | None = None) -> None:
        self._engine = engine
        self._keyring = keyring

    @contextmanager
    def reading(self) -> Iterator[Transaction]:
        with database.reading(self._engine) as connection:
            yield Transaction(connection, self._keyring)

    @contextmanager
    def writing(self) -> Iterator[Transaction]:
        with database.writing(self._engine) as connection:
            yield Transaction(connection, self._keyring)

    @contextmanager
    def kept(self) -> Iterator[Kept]:
        with database.kept(self._engine) as connection:
            yield Kept(connection, partial(Transaction, keyring=self._keyring))

    @contextmanager
    def planning(self) -> Iterator[Transaction]:
        with database.exclusive(self._engine) as connection:
            yield Transaction(connection, self._keyring)


class Transaction:
    """``ports.OperationsTransaction`` on one open connection."""

    def __init__(self, connection: Connection, keyring: Keyring | None) -> None:
        self._connection = connection
        self.outbox = SqlOutbox(connection, keyring)
        self.ledger = SqlLedger(connection)

    def run(self, campaign_id: str) -> CampaignRun | None:
        row = self._connection.execute(select(CampaignRow.__table__).where(CampaignRow.id == campaign_id)).one_or_none()
        if row is None:
            return None
        campaign = Campaign.model_validate(row.definition)
        return CampaignRun(
            campaign, row.cutoff, row.planned_at, row.scored, row.audience, row.stopped_at, row.chosen_by
        )

    def run_ids(self) -> list[str]:
        return list(self._connection.scalars(select(CampaignRow.id).order_by(CampaignRow.planned_at, CampaignRow.id)))

    def known(
        self, customer_ids: Sequence[str], channels: Sequence[str], caps: Sequence[FrequencyCap], at: datetime
    ) -> dict[str, Known]:
        facts = Facts(self._connection, customer_ids)
        return {channel: facts.known(channel, caps, at, planned=True) for channel in channels}

    def add(
        self, run: CampaignRun, selection: Selection, coupons: Sequence[Coupons], messages: Sequence[Messages]
    ) -> None:
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
                chosen_by=run.chosen_by,
            )
        )
        assigned, skipped = selection.assigned, selection.skipped
        names = ("customer_id", "arm", "tier", "persona", "probability", "value", "propensity", "chances", "cost")
        self._insert(run, AssignmentRow, {name: _values(assigned, name) for name in names})
        self._insert(run, SkipRow, {name: _values(skipped, name) for name in ("customer_id", "reason")})
        for one in coupons:
            self._insert(
                run,
                OfferRow,
                {
                    "customer_id": one.customer_ids,
                    "code": one.codes,
                    "amount": Same(one.terms.amount),
                    "percent": Same(one.terms.percent),
                    "maximum_discount": Same(one.terms.maximum_discount),
                    "minimum_basket": Same(one.terms.minimum_basket),
                    "valid_from": Same(one.terms.valid.start),
                    "valid_to": Same(one.terms.valid.end),
                    "state": Same(OfferState.ISSUED.value),
                },
            )
        for some in messages:
            self._insert(
                run,
                OutboxRow,
                {
                    "channel": Same(some.channel),
                    "customer_id": some.customer_ids,
                    "reference": some.references,
                    "due_at": some.due_at,
                    "not_after": Same(some.not_after),
                    "timezone": some.timezones,
                    "context": some.contexts,
                    "state": Same(State.PLANNED.value),
                    "planned_at": Same(run.planned_at),
                },
            )

    def _insert(self, run: CampaignRun, row: type[Base], columns: Mapping[str, Sequence[Any] | Same]) -> None:
        insert_columns(
            self._connection, row.metadata.tables[row.__tablename__], {"campaign_id": Same(run.id), **columns}
        )

    def stop(self, campaign_id: str, actor: str, at: datetime) -> int:
        change_gate(self._connection)
        stopped = self._connection.execute(
            update(CampaignRow)
            .where(CampaignRow.id == campaign_id, CampaignRow.stopped_at.is_(None))
            .values(stopped_at=at)
        )
        if stopped.rowcount == 0:
            raise CampaignError(f"no campaign run {campaign_id!r} is going on: it was never planned, or is stopped.")
        self.log(at, actor, "campaign.stop", campaign_id, {})
        waiting = select(func.count()).where(OutboxRow.campaign_id == campaign_id, OutboxRow.state == State.PLANNED)
        return self._connection.scalar(waiting) or 0

    def log(self, at: datetime, actor: str, action: str, subject: str, details: Mapping[str, Any]) -> None:
        audit.append(self._connection, at=at, actor=actor, action=action, subject=subject, details=details)

    def audited(self) -> Iterator[Entry]:
        return audit.entries(self._connection)

    def counts(self, campaign_id: str) -> Counts:
        unsent = OutboxRow.state.in_([State.FAILED, State.SKIPPED])
        void_owed = (
            select(func.count())
            .select_from(OutboxRow)
            .join(
                OfferRow,
                and_(OfferRow.campaign_id == OutboxRow.campaign_id, OfferRow.customer_id == OutboxRow.customer_id),
            )
            .where(OutboxRow.campaign_id == campaign_id, unsent, OfferRow.state != OfferState.REDEEMED)
        )
        cost = select(func.sum(AssignmentRow.cost)).where(AssignmentRow.campaign_id == campaign_id)
        return Counts(
            skips=self._tally(SkipRow.reason, SkipRow.campaign_id == campaign_id),
            arms=self._tally(AssignmentRow.arm, AssignmentRow.campaign_id == campaign_id),
            offers=self._tally(OfferRow.state, OfferRow.campaign_id == campaign_id),
            messages=self._tally(OutboxRow.state, OutboxRow.campaign_id == campaign_id),
            skipped_at_send=self._tally(
                OutboxRow.reason, OutboxRow.campaign_id == campaign_id, OutboxRow.state == State.SKIPPED
            ),
            cost=self._connection.scalar(cost) or Decimal(0),
            void_owed=self._connection.scalar(void_owed) or 0,
        )

    def _tally(self, column: InstrumentedAttribute[Any], *where: ColumnElement[bool]) -> dict[str, int]:
        return dict(self._connection.execute(select(column, func.count()).where(*where).group_by(column)).all())

    def history(self, customer_id: str) -> list[CustomerRecord]:
        met = (
            select(CampaignRow.id, CampaignRow.planned_at, SkipRow.reason.label("not_planned"))
            .add_columns(AssignmentRow.arm, OfferRow.code, OfferRow.valid_to)
            .add_columns(OutboxRow.state, OutboxRow.reference, OutboxRow.finished_at, OutboxRow.detail)
            .add_columns(OutboxRow.reason)
            .select_from(CampaignRow)
        )
        for row in (SkipRow, AssignmentRow, OfferRow, OutboxRow):
            met = met.outerjoin(row, and_(row.campaign_id == CampaignRow.id, row.customer_id == customer_id))
        met = met.where(AssignmentRow.arm.is_not(None) | SkipRow.reason.is_not(None))
        return [
            CustomerRecord(
                row.id,
                row.planned_at,
                skipped=row.not_planned,
                arm=row.arm,
                code=row.code,
                valid_until=row.valid_to,
                message=row.state,
                reference=row.reference,
                finished_at=row.finished_at,
                detail=row.detail or explained(row.reason or row.not_planned),
            )
            for row in self._connection.execute(met.order_by(CampaignRow.planned_at.desc(), CampaignRow.id.desc()))
        ]


def _values(rows: pd.DataFrame, name: str) -> list[Any]:
    """A column as plain values, every kind of missing value as None."""
    if name not in rows:
        return [None] * len(rows)
    column = rows[name]
    return plain(column) if column.isna().any() else column.tolist()
