"""Which planned messages may leave now: the send gate asked again, with the budget as it stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import numpy as np

from holdfast.campaign.eligibility import Reason, Standings, gate, quiet_from, quiet_until
from holdfast.campaign.outbox import Draft
from holdfast.rules import Outreach


@dataclass(frozen=True)
class Pending:
    """A message that is due. ``cost`` is its expected cost; ``stopped`` is whether a person ended its campaign."""

    outbox_id: int
    epoch: int
    attempts: int
    not_after: datetime
    stopped: bool
    cost: Decimal
    draft: Draft


@dataclass(frozen=True)
class Spent:
    """What a campaign run's messages have taken of its budget."""

    contacts: int
    money: Decimal


@dataclass(frozen=True)
class Dispatch:
    """What is to happen to each pending message.

    ``send`` says up to which moment the gate's answer holds, ``postpone`` when the message is due again.
    """

    send: tuple[tuple[Pending, datetime], ...]
    skip: tuple[tuple[Pending, Reason], ...]
    postpone: tuple[tuple[Pending, datetime], ...]


def dispatch(
    pending: Sequence[Pending],
    standings: Standings,
    *,
    spent: Mapping[str, Spent],
    outreach: Outreach,
    at: datetime,
) -> Dispatch:
    """Decide about messages of one channel, at most one a customer; ``spent`` is by campaign run.

    A message that meets quiet hours waits for their end, unless that would be too late for it.
    """
    exempt = np.array([one.draft.campaign.purpose == "transactional" for one in pending], dtype=bool)
    reasons = gate(standings, outreach, at, within_budget=_within_budget(pending, spent), exempt=exempt)
    quiet = outreach.quiet_hours
    ends = quiet_until(standings.timezone, quiet, at) if quiet else None
    starts = quiet_from(standings.timezone, quiet, at) if quiet else None
    send, skip, postpone = [], [], []
    for i, (one, reason) in enumerate(zip(pending, reasons, strict=True)):
        if one.stopped:
            skip.append((one, Reason.STOPPED))
        elif at >= one.not_after:
            skip.append((one, Reason.TOO_LATE))
        elif reason is Reason.QUIET_HOURS and ends is not None and ends[i] < one.not_after:
            postpone.append((one, ends[i]))
        elif reason is not None:
            skip.append((one, reason))
        else:
            until = one.not_after if exempt[i] or starts is None else min(one.not_after, starts[i])
            send.append((one, until))
    return Dispatch(tuple(send), tuple(skip), tuple(postpone))


def _within_budget(pending: Sequence[Pending], spent: Mapping[str, Spent]) -> np.ndarray:
    """Whether the budget of each message's campaign reaches it, after those before it."""
    left = dict(spent)
    within = np.zeros(len(pending), dtype=bool)
    for i, one in enumerate(pending):
        budget, used = one.draft.campaign.budget, left[one.draft.campaign_id]
        after = Spent(used.contacts + 1, used.money + one.cost)
        if after.contacts <= budget.contacts and after.money <= budget.money:
            within[i] = True
            left[one.draft.campaign_id] = after
    return within
