"""The coupon ledger: codes given out once, redemptions accepted once, and what is still owed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, case, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from holdfast.adapters.operations import audit
from holdfast.adapters.operations.models import CampaignRow, ImportedCodeRow, OfferRow, RedemptionRow
from holdfast.adapters.parameters import parts
from holdfast.campaign.offers import Balance, Coupon, OfferState, Redeemed, RedemptionReport, Terms, judge
from holdfast.errors import CampaignError
from holdfast.windows import Window


class SqlLedger:
    """``ports.Ledger`` on one open connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def import_codes(self, pool: str, codes: Sequence[str], actor: str, at: datetime) -> int:
        wanted = list(dict.fromkeys(codes))
        known: set[str] = set()
        for some in parts(wanted):
            known.update(self._connection.scalars(select(ImportedCodeRow.code).where(ImportedCodeRow.code.in_(some))))
            known.update(self._connection.scalars(select(OfferRow.code).where(OfferRow.code.in_(some))))
        fresh = [code for code in wanted if code not in known]
        if fresh:
            self._connection.execute(
                insert(ImportedCodeRow),
                [{"code": code, "pool": pool, "imported_at": at, "taken": False} for code in fresh],
            )
        audit.append(
            self._connection,
            at=at,
            actor=actor,
            action="codes.import",
            subject=pool,
            details={"new": len(fresh), "known": len(known)},
        )
        return len(fresh)

    def take_codes(self, pool: str, count: int) -> list[str]:
        free = select(ImportedCodeRow.code).where(ImportedCodeRow.pool == pool, ~ImportedCodeRow.taken)
        first = free.order_by(ImportedCodeRow.code).limit(count)
        taken = self._connection.scalars(
            update(ImportedCodeRow)
            .where(ImportedCodeRow.code.in_(first), ~ImportedCodeRow.taken)
            .values(taken=True)
            .returning(ImportedCodeRow.code)
        ).all()
        if len(taken) < count:
            raise CampaignError(
                f"the pool {pool!r} holds {len(taken)} free codes, but {count} are needed. Import more with "
                f"`holdfast coupons import {pool} FILE`, or lower the campaign's budget.contacts."
            )
        return sorted(taken)

    def redeem(self, report: RedemptionReport, source: str, at: datetime) -> Redeemed:
        # The coupon's row is locked, so that of two redemptions at once the second sees the first.
        row = self._connection.execute(
            select(OfferRow.__table__).where(OfferRow.code == report.code).with_for_update()
        ).one_or_none()
        told = self._answer(report.id)
        if told is not None:
            return told
        coupon, state = None, None
        if row is not None:
            coupon, state = coupon_of(row), OfferState(row.state)
        outcome = judge(report, coupon, state)
        try:
            with self._connection.begin_nested():
                self._connection.execute(
                    insert(RedemptionRow).values(
                        id=report.id,
                        code=report.code,
                        outcome=outcome.value,
                        redeemed_at=report.redeemed_at,
                        basket=report.basket,
                        discount=report.discount,
                        order_id=report.order_id,
                        source=source,
                        received_at=at,
                    )
                )
        except IntegrityError:  # told a moment ago by another, where no row of a coupon made the two wait
            told = self._answer(report.id)
            if told is None:
                raise
            return told
        if outcome is Redeemed.ACCEPTED:
            self._connection.execute(
                update(OfferRow).where(OfferRow.code == report.code).values(state=OfferState.REDEEMED.value)
            )
        return outcome

    def _answer(self, report_id: str) -> Redeemed | None:
        """What the report was answered before, if it was told before."""
        told = self._connection.scalar(select(RedemptionRow.outcome).where(RedemptionRow.id == report_id))
        return None if told is None else Redeemed(told)

    def balances(self, at: datetime) -> list[Balance]:
        issued = OfferRow.state == OfferState.ISSUED
        redeemed = OfferRow.state == OfferState.REDEEMED
        accepted = and_(RedemptionRow.code == OfferRow.code, RedemptionRow.outcome == Redeemed.ACCEPTED)
        in_force = and_(issued, OfferRow.valid_to > at)
        query = (
            select(
                OfferRow.campaign_id,
                func.count().label("issued"),
                _count(redeemed).label("redeemed"),
                _count(OfferRow.state == OfferState.VOID).label("void"),
                _count(and_(issued, OfferRow.valid_to <= at)).label("expired"),
                _count(in_force).label("open"),
            )
            .add_columns(
                func.sum(case((in_force, OfferRow.maximum_discount), else_=Decimal(0))).label("liability"),
                func.sum(func.coalesce(RedemptionRow.discount, Decimal(0))).label("discount"),
                _count(RedemptionRow.discount > OfferRow.maximum_discount).label("beyond"),
                _count(and_(redeemed, RedemptionRow.id.is_(None))).label("untold"),
            )
            .join(CampaignRow, CampaignRow.id == OfferRow.campaign_id)
            .outerjoin(RedemptionRow, accepted)
            .group_by(OfferRow.campaign_id, CampaignRow.planned_at)
            .order_by(CampaignRow.planned_at, OfferRow.campaign_id)
        )
        return [Balance(**row) for row in self._connection.execute(query).mappings()]

    def refusals(self) -> dict[str, int]:
        query = (
            select(RedemptionRow.outcome, func.count())
            .where(RedemptionRow.outcome != Redeemed.ACCEPTED)
            .group_by(RedemptionRow.outcome)
        )
        return dict(self._connection.execute(query).all())


def coupon_of(row: Row[Any]) -> Coupon:
    """The coupon in a row of offers, or one joined to it."""
    valid = Window(row.valid_from, row.valid_to)
    terms = Terms(row.amount, row.percent, row.maximum_discount, row.minimum_basket, valid)
    return Coupon(row.customer_id, row.code, terms)


def _count(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)
