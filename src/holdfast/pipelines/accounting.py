"""What became of a campaign run's customers, messages and coupons; the sums must hold."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.campaign.definition import CampaignRun
from holdfast.campaign.outbox import Counts, State
from holdfast.pipelines.planning import Plan, known_run, planned
from holdfast.ports import Operations


class Account(Plan):
    """A plan and what came of it.

    ``planned`` = ``sent`` + ``failed`` + ``unknown`` + ``skipped_at_send`` + ``waiting``; ``send_skips`` tells those
    skipped at the send by reason; ``offers`` counts coupons by state.
    """

    sent: int
    failed: int
    unknown: int
    skipped_at_send: int
    send_skips: dict[str, int]
    waiting: int
    offers: dict[str, int]


def accounts(operations: Operations, campaign_ids: Sequence[str]) -> list[Account]:
    """What became of every customer and message of these runs; CampaignError when the sums do not add up."""
    with operations.reading() as tx:
        return [_account(known_run(tx, one), tx.counts(one)) for one in campaign_ids]


def accounts_of(operations: Operations, cutoff: str) -> list[Account]:
    """Those of all runs on the scores of this cutoff (ISO date)."""
    with operations.reading() as tx:
        runs = [campaign_id for campaign_id in tx.run_ids() if campaign_id.endswith(f"@{cutoff}")]
    return accounts(operations, runs)


def _account(run: CampaignRun, counts: Counts) -> Account:
    return Account(
        **planned(run, counts),
        sent=counts.messages.get(State.SENT, 0),
        failed=counts.messages.get(State.FAILED, 0),
        unknown=counts.messages.get(State.UNKNOWN, 0),
        skipped_at_send=counts.messages.get(State.SKIPPED, 0),
        send_skips=dict(counts.skipped_at_send),
        waiting=counts.messages.get(State.PLANNED, 0) + counts.messages.get(State.CLAIMED, 0),
        offers=dict(counts.offers),
    )
