"""Messages that were sent, put straight into an operations database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine, insert, select

from holdfast.adapters.operations import database
from holdfast.adapters.operations.models import AssignmentRow, Base, CampaignRow, OutboxRow
from holdfast.campaign.outbox import idempotency_key, reference
from tests.fakes.operations import NOON

RUN = "win_back@2017-11-26"


def sent(engine: Engine, customer: str, channel: str = "email", locale: str | None = None, run: str = RUN) -> str:
    """One message of a campaign run to the customer, sent at noon; returns its reference."""
    name = reference(idempotency_key(run, customer, channel))
    with database.writing(engine) as connection:
        if connection.execute(select(CampaignRow.id).where(CampaignRow.id == run)).first() is None:
            campaign = {"id": run, "name": "win_back", "cutoff": date(2017, 11, 26), "definition": {}}
            counts = {"definition_hash": "0" * 64, "planned_at": NOON, "scored": 1, "audience": 1}
            connection.execute(insert(CampaignRow).values(**campaign, **counts))
        assignment = {"campaign_id": run, "customer_id": customer, "arm": "treatment", "tier": "high"}
        figures = {"probability": 0.6, "value": 20.0, "propensity": 0.5, "cost": Decimal(1)}
        connection.execute(insert(AssignmentRow).values(**assignment, **figures))
        message: dict[str, Any] = {"reference": name, "campaign_id": run, "customer_id": customer, "channel": channel}
        message["timezone"] = "UTC"
        times = {"planned_at": NOON, "due_at": NOON, "claimed_at": NOON, "finished_at": NOON, "not_after": NOON}
        context = None if locale is None else {"locale": locale, "reason": None, "products": [], "case": None}
        connection.execute(insert(OutboxRow).values(**message, **times, state="sent", attempts=1, context=context))
    return name


def rows(engine: Engine, table: type[Base], *columns: str) -> Sequence[tuple[Any, ...]]:
    """These columns of the table's rows, sorted."""
    with database.reading(engine) as connection:
        found = connection.execute(select(*(getattr(table, column) for column in columns)))
        return sorted(tuple(row) for row in found)
