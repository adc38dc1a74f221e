"""The log of assignments in bulk, out of the operations database: ``ports.TrialLog``."""

from __future__ import annotations

import pandas as pd
from sqlalchemy import Engine, and_, func, select

from holdfast.adapters.operations import database
from holdfast.adapters.operations.models import AssignmentRow, OfferRow, OutboxRow, RedemptionRow, SkipRow
from holdfast.campaign.offers import Redeemed
from holdfast.campaign.outbox import State
from holdfast.effect.trial import ASSIGNED, REPORTED
from holdfast.windows import Window

_MAY_HAVE_LEFT = (State.SENT, State.UNKNOWN, State.CLAIMED)


class TrialDatabase:
    """``ports.TrialLog`` behind one engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def assigned(self, campaign_id: str, window: Window) -> pd.DataFrame:
        same = AssignmentRow.campaign_id, AssignmentRow.customer_id
        taken = (
            select(OfferRow.customer_id, func.sum(RedemptionRow.discount).label("discount"))
            .join(RedemptionRow, RedemptionRow.code == OfferRow.code)
            .where(OfferRow.campaign_id == campaign_id, RedemptionRow.outcome == Redeemed.ACCEPTED.value)
            .where(RedemptionRow.redeemed_at >= window.start, RedemptionRow.redeemed_at < window.end)
            .group_by(OfferRow.customer_id)
            .subquery()
        )
        query = (
            select(*(getattr(AssignmentRow, name) for name in ASSIGNED), OutboxRow.state, taken.c.discount)
            .outerjoin(OutboxRow, and_(OutboxRow.campaign_id == same[0], OutboxRow.customer_id == same[1]))
            .outerjoin(taken, taken.c.customer_id == same[1])
            .where(same[0] == campaign_id)
            .order_by(same[1])
        )
        with database.reading(self._engine) as connection:
            rows = connection.execute(query).all()
        found = pd.DataFrame(rows, columns=[*ASSIGNED, "state", "discount"])
        found["exposed"] = found["state"].isin([state.value for state in _MAY_HAVE_LEFT])
        for name in ("cost", "discount"):
            found[name] = [0.0 if value is None else float(value) for value in found[name]]
        return found[[*ASSIGNED, *REPORTED]]

    def skipped(self, campaign_id: str) -> pd.DataFrame:
        query = select(SkipRow.customer_id, SkipRow.reason).where(SkipRow.campaign_id == campaign_id)
        with database.reading(self._engine) as connection:
            rows = connection.execute(query.order_by(SkipRow.customer_id)).all()
        return pd.DataFrame(rows, columns=["customer_id", "reason"])
