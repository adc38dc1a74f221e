"""From scores to delivered messages: plan a campaign once, send what is planned, account for every customer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TypedDict

import numpy as np
import pandas as pd
from jinja2 import Environment

from holdfast.campaign import messages, offers, policy
from holdfast.campaign.assignment import Arm
from holdfast.campaign.definition import Campaign, CampaignRun
from holdfast.campaign.eligibility import Candidate, may_be_sent
from holdfast.campaign.outbox import STALE_AFTER, Claim, Counts, Outcome, State, check_sums, outcome_of
from holdfast.errors import (
    AmbiguousDeliveryError,
    CampaignError,
    ChannelError,
    ChannelUnavailableError,
    MissingDataError,
    TemporaryChannelError,
)
from holdfast.ports import Lake, MailChannel, MailConnection, Operations, OperationsTransaction
from holdfast.rules import Shop

Clock = Callable[[], datetime]


class Plan(TypedDict):
    """What a campaign run decided. ``audience`` = sum of ``skipped`` + ``control`` + ``treated``."""

    campaign_id: str
    scored: int
    audience: int
    skipped: dict[str, int]
    control: int
    treated: int
    planned: int
    expected_cost: float


class Account(Plan):
    """A plan and what came of it.

    ``planned`` = ``sent`` + ``failed`` + ``unknown`` + ``skipped_at_send`` + ``waiting``; ``offers`` counts coupons
    by state.
    """

    sent: int
    failed: int
    unknown: int
    skipped_at_send: int
    waiting: int
    offers: dict[str, int]


class Batch(TypedDict):
    """The planned messages of one campaign run whose outbox id leaves the remainder ``shard`` modulo ``shards``."""

    campaign_id: str
    shard: int
    shards: int


class Sent(Batch):
    """What became of the messages that one call claimed."""

    sent: int
    failed: int
    unknown: int
    skipped_at_send: int


@dataclass(frozen=True)
class Intervention:
    """The use case and its ports.

    ``sender`` is the From of every message; ``worker`` names this process in the outbox; ``shards`` is how many
    batches a campaign's messages are split into; ``new_code`` draws a coupon code.
    """

    lake: Lake
    operations: Operations
    channel: MailChannel
    templates: Environment
    shop: Shop
    sender: str
    worker: str
    shards: int = 2
    new_code: Callable[[], str] = offers.new_code

    def plan(self, campaign: Campaign, cutoff: str, planned_at: datetime) -> Plan:
        """Write the campaign's run on the scores of ``cutoff`` (ISO date): arms, skips, coupons and messages, or none.

        All in one transaction. A run that is planned already is left as it is, its coupon codes included, and
        counted again; so any number of repeated or simultaneous calls plan once.

        Raises CampaignError when a template cannot be rendered, a score is not a number, nobody is of a persona that
        the audience names, or the run was planned by another definition; MissingDataError when nobody is scored.
        """
        self._try_templates(campaign, planned_at)
        candidates = self._candidates(cutoff)
        _require_personas(campaign, candidates)
        day = date.fromisoformat(cutoff)
        campaign_id = campaign.run_id(day)
        with self.operations.planning() as tx:
            known = tx.run(campaign_id)
            if known is None:
                ranked = policy.audience(campaign, candidates)
                since = planned_at - timedelta(days=campaign.contact_cap.days)
                standings = tx.standings([one.customer_id for one in ranked], since)
                selection = policy.select(campaign, campaign_id, ranked, standings)
                coupons = [self._issue(campaign, customer, planned_at) for customer in selection.treated]
                run = CampaignRun(campaign, day, planned_at, scored=len(candidates), audience=len(ranked))
                tx.add(run, selection, coupons)
            elif known.campaign.digest != campaign.digest:
                raise CampaignError(
                    f"{campaign_id} was planned on {known.planned_at:%Y-%m-%d %H:%M} UTC by another definition. A "
                    f"planned run never changes: give the new definition a name other than {campaign.name!r}, or "
                    "plan it on a later cutoff"
                )
            return _plan(_known(tx, campaign_id), tx.counts(campaign_id))

    def batches(self, planned: Sequence[Plan]) -> list[Batch]:
        """The batches to send, every campaign's messages once; at least one batch for each campaign."""
        return [
            Batch(campaign_id=one["campaign_id"], shard=shard, shards=self.shards)
            for one in planned
            for shard in range(self.shards)
        ]

    def send(self, batch: Batch, clock: Clock) -> Sent:
        """Send the batch's planned messages, each claimed and committed before it leaves.

        A message is tried at most once in a call, and any number of calls at once send it at most once. Claims older
        than STALE_AFTER become unknown first. A message that is refused for now stays planned, until MAX_ATTEMPTS;
        when the server is gone, the rest is left untouched. In both cases TemporaryChannelError is raised at the end,
        so that the task is retried later; nothing is lost or sent twice by it.
        """
        campaign_id = batch["campaign_id"]
        with self.operations.writing() as tx:
            tx.lapse_claims(campaign_id, clock() - STALE_AFTER)
        with self.operations.reading() as tx:
            run = _known(tx, campaign_id)
            outbox_ids = tx.planned(campaign_id, batch["shard"], batch["shards"])
        outcomes: Counter[State] = Counter()
        if outbox_ids:
            with self.channel.connect() as connection:
                for outbox_id in outbox_ids:
                    outcome = self._send_one(connection, run.campaign, outbox_id, clock)
                    if outcome is not None:
                        outcomes[outcome.state] += 1
        if outcomes[State.PLANNED]:
            raise TemporaryChannelError(
                f"{campaign_id}: {outcomes[State.PLANNED]} of {len(outbox_ids)} messages were refused for now and "
                f"stay planned; {outcomes[State.SENT]} were sent. Send again later; `detail` in the outbox says why"
            )
        return Sent(
            **batch,
            sent=outcomes[State.SENT],
            failed=outcomes[State.FAILED],
            unknown=outcomes[State.UNKNOWN],
            skipped_at_send=outcomes[State.SKIPPED],
        )

    def account(self, campaign_ids: Sequence[str]) -> list[Account]:
        """What became of every customer and message of these runs; CampaignError when the sums do not add up."""
        with self.operations.reading() as tx:
            return [_account(_known(tx, one), tx.counts(one)) for one in campaign_ids]

    def _send_one(self, connection: MailConnection, campaign: Campaign, outbox_id: int, clock: Clock) -> Outcome | None:
        """Claim, send and mark one message; None when somebody else has it. Raises ChannelUnavailableError."""
        with self.operations.writing() as tx:
            at = clock()
            claim = tx.claim(outbox_id, self.worker, at)
            if claim is None:
                return None
            coupon = tx.coupon(claim.campaign_id, claim.customer_id)
            standing = tx.standings([claim.customer_id], since=at)[claim.customer_id]
            obstacle = may_be_sent(standing, coupon, at)
            if obstacle is not None:
                skipped = Outcome(State.SKIPPED, obstacle.detail)
                tx.finish(claim, skipped, at)
                return skipped
            # Composed before the claim is committed: an error here leaves the message planned, not in doubt.
            message = messages.compose(
                self.templates,
                message=campaign.message,
                shop=self.shop,
                sender=self.sender,
                recipient=standing.address or "",  # the gate has seen that there is one
                given_name=standing.given_name,
                coupon=coupon,
                reference=claim.reference,
                at=at,
            )
        try:
            connection.send(message)
        except ChannelUnavailableError as error:
            self._finish(claim, outcome_of(error, claim.attempt), clock)
            raise
        except (ChannelError, AmbiguousDeliveryError) as error:
            return self._finish(claim, outcome_of(error, claim.attempt), clock)
        return self._finish(claim, Outcome(State.SENT), clock)

    def _finish(self, claim: Claim, outcome: Outcome, clock: Clock) -> Outcome:
        with self.operations.writing() as tx:
            if tx.finish(claim, outcome, clock()):
                return outcome
        return Outcome(State.UNKNOWN, "the claim had lapsed before its outcome was known")

    def _issue(self, campaign: Campaign, customer_id: str, at: datetime) -> offers.Coupon:
        return offers.issue(customer_id, self.new_code(), campaign.offer, at, self.shop.zone)

    def _try_templates(self, campaign: Campaign, at: datetime) -> None:
        """Compose a specimen with and without a name, so that a broken template is found before anything is written."""
        for given_name in ("Alex", None):
            messages.compose(
                self.templates,
                message=campaign.message,
                shop=self.shop,
                sender=self.sender,
                recipient="specimen@example.com",
                given_name=given_name,
                coupon=self._issue(campaign, "specimen", at),
                reference="specimen",
                at=at,
            )

    def _candidates(self, cutoff: str) -> list[Candidate]:
        scores = self.lake.read(
            "scores",
            columns=["customer_id", "probability", "tier", "value", "persona"],
            where={"cutoff": [cutoff]},
        )
        if scores.empty:
            raise MissingDataError(f"no customer is scored as of {cutoff}. Run the score DAG for this cutoff first.")
        unusable = scores.loc[~np.isfinite(scores["probability"] * scores["value"]), "customer_id"]
        if len(unusable):
            raise CampaignError(
                f"{len(unusable)} scores of cutoff {cutoff} have a probability or value that is no number (first: "
                f"customer {unusable.iloc[0]}); score the cutoff again"
            )
        return [
            Candidate(str(customer), float(probability), str(tier), float(value), None if pd.isna(persona) else persona)
            for customer, probability, tier, value, persona in scores.itertuples(index=False)
        ]


def _require_personas(campaign: Campaign, candidates: Sequence[Candidate]) -> None:
    """Nobody may be left out since a persona's id is misspelt, or is one that no customer has any more."""
    known = {one.persona for one in candidates if one.persona is not None}
    unknown = [one for one in campaign.audience.personas or () if one not in known]
    if unknown:
        raise CampaignError(
            f"{campaign.name}: audience.personas names {', '.join(unknown)}, but the scored customers are of "
            f"{', '.join(sorted(known)) or 'no persona'}; the report lists the personas by id"
        )


def _known(tx: OperationsTransaction, campaign_id: str) -> CampaignRun:
    run = tx.run(campaign_id)
    if run is None:
        raise CampaignError(f"campaign run {campaign_id!r} was never planned; plan it first")
    return run


def _plan(run: CampaignRun, counts: Counts) -> Plan:
    check_sums(run, counts)
    treated = counts.arms.get(Arm.TREATMENT, 0)
    return Plan(
        campaign_id=run.id,
        scored=run.scored,
        audience=run.audience,
        skipped=dict(counts.skips),
        control=counts.arms.get(Arm.CONTROL, 0),
        treated=treated,
        planned=sum(counts.messages.values()),
        expected_cost=float(run.campaign.cost_per_customer * treated),
    )


def _account(run: CampaignRun, counts: Counts) -> Account:
    return Account(
        **_plan(run, counts),
        sent=counts.messages.get(State.SENT, 0),
        failed=counts.messages.get(State.FAILED, 0),
        unknown=counts.messages.get(State.UNKNOWN, 0),
        skipped_at_send=counts.messages.get(State.SKIPPED, 0),
        waiting=counts.messages.get(State.PLANNED, 0) + counts.messages.get(State.CLAIMED, 0),
        offers=dict(counts.offers),
    )
