"""How far each customer of a campaign run came, in the operations database: ``ports.CampaignProgress``."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import Engine, and_, case, exists, func, or_, select

from holdfast.adapters.operations import database
from holdfast.adapters.operations.models import AssignmentRow, CampaignRow, DeliveryRow, OfferRow, OutboxRow
from holdfast.campaign.feedback import Feedback
from holdfast.campaign.funnel import Attention, Progress
from holdfast.campaign.offers import OfferState
from holdfast.campaign.outbox import State

_SEEN = (Feedback.OPENED.value, Feedback.CLICKED.value)


class ProgressDatabase:
    """``ports.CampaignProgress`` behind one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def runs(self, cutoff: date) -> list[str]:
        query = select(CampaignRow.id).where(CampaignRow.cutoff == cutoff)
        with database.reading(self._engine) as connection:
            return list(connection.scalars(query.order_by(CampaignRow.planned_at, CampaignRow.id)))

    def of(self, campaign_id: str) -> list[Progress]:
        opened = exists().where(DeliveryRow.reference == OutboxRow.reference, DeliveryRow.kind.in_(_SEEN))
        same = AssignmentRow.campaign_id, AssignmentRow.customer_id
        query = (
            select(AssignmentRow.customer_id, AssignmentRow.arm, OutboxRow.channel, OutboxRow.state)
            .add_columns(OfferRow.state.label("offer"), opened.label("opened"))
            .outerjoin(OutboxRow, and_(OutboxRow.campaign_id == same[0], OutboxRow.customer_id == same[1]))
            .outerjoin(OfferRow, and_(OfferRow.campaign_id == same[0], OfferRow.customer_id == same[1]))
            .where(AssignmentRow.campaign_id == campaign_id)
        )
        with database.reading(self._engine) as connection:
            rows = connection.execute(query).all()
            telling = set(
                connection.scalars(
                    select(OutboxRow.channel)
                    .join(DeliveryRow, DeliveryRow.reference == OutboxRow.reference)
                    .where(DeliveryRow.kind.in_(_SEEN))
                    .distinct()
                )
            )
        return [
            Progress(
                row.customer_id,
                row.arm,
                row.channel,
                row.state,
                told=row.channel in telling,
                opened=bool(row.opened),
                redeemed=row.offer == OfferState.REDEEMED,
            )
            for row in rows
        ]

    def attention(self, at: datetime, failed_since: datetime) -> list[Attention]:
        abandoned = and_(OutboxRow.state == State.CLAIMED, OutboxRow.lease_until <= at)  # its sender will not tell
        kinds = {
            "in_doubt": or_(OutboxRow.state == State.UNKNOWN, abandoned),
            "failed": and_(OutboxRow.state == State.FAILED, OutboxRow.finished_at >= failed_since),
            "overdue": and_(OutboxRow.state == State.PLANNED, OutboxRow.due_at <= at),
        }
        query = (
            select(CampaignRow.id.label("campaign_id"))
            .add_columns(*(func.sum(case((kind, 1), else_=0)).label(name) for name, kind in kinds.items()))
            .join(OutboxRow, OutboxRow.campaign_id == CampaignRow.id)
            .where(or_(*kinds.values()))
            .group_by(CampaignRow.id, CampaignRow.planned_at)
            .order_by(CampaignRow.planned_at, CampaignRow.id)
        )
        with database.reading(self._engine) as connection:
            return [Attention(**row) for row in connection.execute(query).mappings()]
