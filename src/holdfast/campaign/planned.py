"""What a plan writes for its treated customers: coupons and messages, by column, since there may be a million."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from holdfast.campaign.definition import Arm, CampaignRun
from holdfast.campaign.eligibility import in_quiet_hours, quiet_until
from holdfast.campaign.offers import Terms
from holdfast.campaign.outbox import idempotency_key, reference
from holdfast.rules import Outreach
from holdfast.windows import Window


@dataclass(frozen=True)
class Coupons:
    """The coupons of one arm: a code for each customer, on the same terms."""

    customer_ids: Sequence[str]
    codes: Sequence[str]
    terms: Terms


@dataclass(frozen=True)
class Messages:
    """The messages of one arm: an entry a customer in every column; ``contexts`` is what their words need."""

    channel: str
    customer_ids: Sequence[str]
    references: Sequence[str]
    due_at: Sequence[datetime]
    not_after: datetime
    timezones: Sequence[str]
    contexts: Sequence[dict[str, Any] | None]


def plain(column: pd.Series) -> list[Any]:
    """A column as a list, every kind of missing value as None."""
    return [None if missing else value for value, missing in zip(column.tolist(), column.isna().tolist(), strict=True)]


def messages_of(
    run: CampaignRun,
    arm: Arm,
    *,
    treated: pd.DataFrame,
    window: Window,
    terms: Terms | None,
    outreach: Outreach,
    contexts: Sequence[dict[str, Any] | None],
) -> Messages:
    """The messages to the arm's ``treated`` customers (customer_id, timezone), in their order.

    A message leaves within the campaign's ``window``, but not in quiet hours and not once its coupon has ended.
    """
    ids = treated["customer_id"].tolist()
    zones = treated["timezone"].to_numpy(object)
    due = [window.start] * len(ids)
    if outreach.quiet_hours is not None and run.campaign.purpose == "marketing":
        ends = quiet_until(zones, outreach.quiet_hours, window.start)
        quiet = in_quiet_hours(zones, outreach.quiet_hours, window.start)
        due = [end if waits else start for start, end, waits in zip(due, ends, quiet, strict=True)]
    channel = arm.message.channel
    return Messages(
        channel,
        ids,
        [reference(idempotency_key(run.id, customer, channel)) for customer in ids],
        due,
        window.end if terms is None else min(window.end, terms.valid.end),
        zones.tolist(),
        contexts,
    )
