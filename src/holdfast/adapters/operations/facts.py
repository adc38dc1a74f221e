"""What the send gate asks of the database about customers, for a handful or for a million."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
from sqlalchemy import Column, ColumnElement, Connection, MetaData, Select, String, Table, and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute

from holdfast.adapters.operations.bulk import insert_columns
from holdfast.adapters.operations.models import CampaignRow, ConsentRow, ContactRow, OutboxRow, SuppressionRow
from holdfast.adapters.operations.vault import ADDRESSES
from holdfast.adapters.parameters import AT_ONCE
from holdfast.campaign.eligibility import Known
from holdfast.campaign.feedback import ALL_CHANNELS
from holdfast.campaign.outbox import State
from holdfast.rules import FrequencyCap

_ASKED = Table("asked_customers", MetaData(), Column("customer_id", String(200), primary_key=True), prefixes=["TEMP"])


class Facts:
    """What is known of some customers, each asked about once; answers are in their order."""

    def __init__(self, connection: Connection, customer_ids: Sequence[str]) -> None:
        self._connection = connection
        self._ids = list(customer_ids)
        self._all: Any = self._ids
        if len(self._ids) > AT_ONCE:
            _ASKED.drop(connection, checkfirst=True)
            _ASKED.create(connection)
            insert_columns(connection, _ASKED, {"customer_id": self._ids})
            self._all = select(_ASKED.c.customer_id)

    def _among(self, column: InstrumentedAttribute[str]) -> ColumnElement[bool]:
        return column.in_(self._all)

    def known(self, channel: str, caps: Sequence[FrequencyCap], at: datetime, *, planned: bool) -> Known:
        """All of it, for one channel and marketing; all ``planned`` messages count against the caps, or leased ones."""
        return Known(
            self._reachable(channel),
            self.consents("marketing", channel),
            self._suppressed(channel),
            self._recent(caps, at, planned=planned),
        )

    def _reachable(self, channel: str) -> npt.NDArray[np.bool_]:
        """Whether there is an address by the channel, told without opening it."""
        if channel not in ADDRESSES:
            return np.ones(len(self._ids), dtype=bool)
        flag = getattr(ContactRow, ADDRESSES[channel].reachable)
        return self._are(select(ContactRow.customer_id).where(flag, self._among(ContactRow.customer_id)))

    def consents(self, purpose: str, channel: str) -> npt.NDArray[np.object_]:
        """The latest decision about the channel or all ("given", "withdrawn"); None where none was ever recorded."""
        # Of two decisions recorded at the same instant the withdrawal counts: "withdrawn" sorts after "given".
        latest_first = (ConsentRow.recorded_at.desc(), ConsentRow.status.desc())
        rank = func.row_number().over(partition_by=ConsentRow.customer_id, order_by=latest_first).label("rank")
        ranked = (
            select(ConsentRow.customer_id, ConsentRow.status, rank)
            .where(ConsentRow.purpose == purpose, ConsentRow.channel.in_([channel, ALL_CHANNELS]))
            .where(self._among(ConsentRow.customer_id))
            .subquery()
        )
        query = select(ranked.c.customer_id, ranked.c.status).where(ranked.c.rank == 1)
        return self._in_order(dict(self._connection.execute(query).all()))

    def _suppressed(self, channel: str) -> npt.NDArray[np.bool_]:
        """Whether a suppression holds for the channel or for all."""
        query = select(SuppressionRow.customer_id).where(
            SuppressionRow.channel.in_([channel, ALL_CHANNELS]), self._among(SuppressionRow.customer_id)
        )
        return self._are(query)

    def _recent(self, caps: Sequence[FrequencyCap], at: datetime, *, planned: bool) -> npt.NDArray[np.int64]:
        """How many marketing messages count against each cap: claimed within its window, planned, or leased."""
        # A handful of campaigns, whatever the number of messages.
        transactional = select(CampaignRow.id).where(CampaignRow.definition["purpose"].as_string() == "transactional")
        waiting = OutboxRow.state == State.PLANNED
        if not planned:
            waiting = and_(waiting, OutboxRow.lease_until.is_not(None))
        counts = np.zeros((len(self._ids), len(caps)), dtype=np.int64)
        for i, cap in enumerate(caps):
            claimed = and_(
                OutboxRow.state.in_([State.CLAIMED, State.SENT, State.UNKNOWN]),
                OutboxRow.claimed_at > at - timedelta(days=cap.days),
            )
            query = (
                select(OutboxRow.customer_id, func.count())
                .where(or_(waiting, claimed), self._among(OutboxRow.customer_id))
                .where(OutboxRow.campaign_id.not_in(transactional))
                .group_by(OutboxRow.customer_id)
            )
            found = dict(self._connection.execute(query).all())
            counts[:, i] = [found.get(one, 0) for one in self._ids]
        return counts

    def _are(self, query: Select[str]) -> npt.NDArray[np.bool_]:
        found = set(self._connection.scalars(query).all())
        return np.array([one in found for one in self._ids], dtype=bool)

    def _in_order(self, found: Mapping[str, Any]) -> npt.NDArray[np.object_]:
        return _objects([found.get(one) for one in self._ids])


def _objects(values: Sequence[Any]) -> npt.NDArray[np.object_]:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array
