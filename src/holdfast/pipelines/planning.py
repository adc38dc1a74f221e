"""From scores to a plan: who is treated how, who is control, who is skipped and why; written once, or only shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, TypedDict

import numpy as np
import pandas as pd
import pyarrow as pa

from holdfast import expressions
from holdfast.campaign import offers, policy
from holdfast.campaign.definition import CONTROL, Arm, Audience, Campaign, CampaignRun
from holdfast.campaign.eligibility import Objects, Reason, Standings, gate, zone_or
from holdfast.campaign.messages import STAFF_CHANNELS, Composer
from holdfast.campaign.outbox import Batch, Counts, check_sums
from holdfast.campaign.planned import Coupons, messages_of, plain
from holdfast.campaign.policy import Selection
from holdfast.errors import CampaignError, MissingDataError
from holdfast.mapping import nearest
from holdfast.pipelines.personal import personals
from holdfast.pipelines.recommend import RECOMMENDATIONS
from holdfast.pipelines.uplift_scores import predicted, shares_in_force
from holdfast.ports import Channel, FeatureStore, Lake, Operations, OperationsTransaction
from holdfast.rules import Outreach, Shop

_LISTED = ["customer_id", "tier", "probability", "value", "arm", "cost"]
_NOBODY = pd.DataFrame(columns=_LISTED)


class Plan(TypedDict):
    """What a campaign run decided. ``audience`` = sum of ``skipped`` + ``control`` + ``treated``.

    ``arms`` counts the treated by arm; ``expected_cost`` is theirs, in the shop's currency. ``chosen_by`` says which
    policy chose them, and why it was not the campaign's own where that had to wait. ``passed_over`` is None, or says
    why nothing was planned at all: "over since …", "begins on …".
    """

    campaign_id: str
    scored: int
    audience: int
    skipped: dict[str, int]
    control: int
    treated: int
    arms: dict[str, int]
    planned: int
    expected_cost: float
    chosen_by: str | None
    passed_over: str | None


@dataclass(frozen=True)
class Preview:
    """What a plan would be: nothing was written.

    ``expected_saved`` is what the treated customers' arms are assumed to save; ``liability`` is the most that their
    coupons can take off; ``first`` are the customers of greatest merit, with arm and cost.
    """

    plan: Plan
    expected_saved: float
    liability: float
    first: pd.DataFrame


def refuse_nobody(preview: Preview) -> None:
    """Raise CampaignError, with the reasons, when the campaign would treat nobody."""
    plan = preview.plan
    if plan["treated"] == 0:
        skipped = [f"{count} skipped: {reason}" for reason, count in plan["skipped"].items()]
        why = "; ".join([plan["passed_over"], *skipped] if plan["passed_over"] else skipped)
        raise CampaignError(
            f"{plan['campaign_id']} would treat nobody of the {plan['audience']} in its audience"
            f"{f' ({why})' if why else ''}, so there is nothing to foresee"
        )


@dataclass(frozen=True)
class Planning:
    """The use case and its ports. ``new_codes`` makes so many coupon codes."""

    lake: Lake
    store: Callable[[], FeatureStore]
    operations: Operations
    channels: Mapping[str, Channel]
    composer: Composer
    shop: Shop
    outreach: Outreach
    new_codes: Callable[[int], Sequence[str]] = offers.new_codes

    def plan(self, campaign: Campaign, cutoff: str, planned_at: datetime) -> Plan:
        """Write the campaign's run on the scores of ``cutoff`` (ISO date): arms, skips, coupons and messages, or none.

        All in one transaction. A run that is planned already is left as it is, its coupon codes included, and
        counted again; so any number of repeated or simultaneous calls plan once. Outside its schedule's days a campaign
        is passed over: nobody is planned, no code of a pool is taken.

        Raises CampaignError when a channel or template is missing or broken, a score is not a number, the codes of a
        pool do not suffice, or the run was planned by another definition; MissingDataError when nobody is scored, or
        the scores lack what the policy needs.
        """
        campaign_id = campaign.run_id(date.fromisoformat(cutoff))
        with self.operations.reading() as tx:  # so that a repeated call keeps nobody waiting
            known = tx.run(campaign_id)
        closed = None if known else campaign.schedule.closed(planned_at, self.shop.zone)
        if closed:
            return _nobody(campaign_id, closed)
        self._try_out(campaign, planned_at)
        scored, candidates = (0, pd.DataFrame()) if known else self._candidates(campaign, cutoff)
        with self.operations.planning() as tx:
            known = tx.run(campaign_id)
            if known is None:
                run = self._run(campaign, cutoff, planned_at, scored, candidates)
                self._write(tx, run, self._select(tx, run, candidates))
            elif known.campaign.digest != campaign.digest:
                raise CampaignError(
                    f"{campaign_id} was planned on {known.planned_at:%Y-%m-%d %H:%M} UTC by another definition. A "
                    f"planned run never changes: give the new definition a name other than {campaign.name!r}, or "
                    "plan it on a later cutoff"
                )
        with self.operations.reading() as tx:  # one moment, though others send meanwhile
            return planned(known_run(tx, campaign_id), tx.counts(campaign_id))

    def preview(self, campaign: Campaign, cutoff: str, at: datetime, first: int) -> Preview:
        """What ``plan`` would do now, with the ``first`` customers; nothing is written. Raises as ``plan`` does.

        Of a campaign that has yet to begin it tells what a plan would be if it had begun.
        """
        over = campaign.schedule.over(at, self.shop.zone)
        if over:
            return Preview(_nobody(campaign.run_id(date.fromisoformat(cutoff)), over), 0.0, 0.0, _NOBODY)
        self._try_out(campaign, at)
        scored, candidates = self._candidates(campaign, cutoff)
        run = self._run(campaign, cutoff, at, scored, candidates)
        with self.operations.reading() as tx:
            selection = self._select(tx, run, candidates)
        treated = selection.treated
        arms = _tally(treated["arm"])
        told = Plan(
            campaign_id=run.id,
            scored=scored,
            audience=run.audience,
            skipped=_tally(selection.skipped["reason"]),
            control=len(selection.assigned) - len(treated),
            treated=len(treated),
            arms=arms,
            planned=len(treated),
            expected_cost=sum(float(campaign.arm(name).cost * count) for name, count in arms.items()),
            chosen_by=run.chosen_by,
            passed_over=campaign.schedule.closed(at, self.shop.zone),
        )
        return Preview(
            told,
            policy.expected_saved(self._case(run, candidates), selection),
            sum(float(campaign.arm(name).liability * count) for name, count in arms.items()),
            treated.sort_values("merit", ascending=False, kind="stable").head(first)[_LISTED],
        )

    def batches(self, plans: Sequence[Plan], channel: str, shards: int) -> list[dict[str, Any]]:
        """The batches of one channel's messages, as plain values; none for a campaign that does not use it."""
        with self.operations.reading() as tx:
            runs = [known_run(tx, one["campaign_id"]) for one in plans if one.get("passed_over") is None]
        return [
            vars(Batch(channel, shard, shards, run.id))
            for run in runs
            if channel in run.campaign.channels
            for shard in range(shards)
        ]

    def _select(self, tx: OperationsTransaction, run: CampaignRun, candidates: pd.DataFrame) -> Selection:
        campaign = run.campaign
        reasons: Objects = np.full(len(candidates), None, dtype=object)
        if len(candidates):
            customers = candidates["customer_id"].tolist()
            zones = candidates["timezone"].to_numpy(object)
            exempt = np.full(len(candidates), campaign.purpose == "transactional")
            everyone = np.ones(len(candidates), dtype=bool)
            start = campaign.schedule.window(run.planned_at, self.shop.zone).start
            known = tx.known(customers, campaign.channels, self.outreach.frequency_caps, start)
            for channel in campaign.channels:  # whoever may be given any arm must be within reach of every arm
                standings = Standings.of(customers, known[channel], zones, self.outreach)
                found = gate(standings, self.outreach, start, within_budget=everyone, exempt=exempt)
                found[found == Reason.QUIET_HOURS] = None  # the message waits until they are over
                reasons = np.where([reason is None for reason in reasons], found, reasons)
        return policy.select(self._case(run, candidates), reasons)

    def _run(self, campaign: Campaign, cutoff: str, at: datetime, scored: int, candidates: pd.DataFrame) -> CampaignRun:
        run = CampaignRun(campaign, date.fromisoformat(cutoff), at, scored, audience=len(candidates))
        return replace(run, chosen_by=_chosen_by(self._case(run, candidates), candidates))

    def _case(self, run: CampaignRun, candidates: pd.DataFrame) -> policy.Case:
        shares = shares_in_force(self.lake, run.campaign, run.cutoff.isoformat())
        return policy.Case(candidates, run.campaign, run.id, self.outreach.margin, shares)

    def _write(self, tx: OperationsTransaction, run: CampaignRun, selection: Selection) -> None:
        campaign, window = run.campaign, run.campaign.schedule.window(run.planned_at, self.shop.zone)
        coupons, messages = [], []
        for arm in campaign.arms:
            treated = selection.assigned[selection.assigned["arm"] == arm.name]
            terms = offers.terms(arm.offer, run.planned_at, self.shop.zone) if arm.offer else None
            if arm.offer and terms:
                pool, count = arm.offer.codes, len(treated)
                codes = tx.ledger.take_codes(pool, count) if pool else self.new_codes(count)
                coupons.append(Coupons(treated["customer_id"].tolist(), codes, terms))
            contexts = self._contexts(run, arm, treated)
            messages.append(
                messages_of(
                    run, arm, treated=treated, window=window, terms=terms, outreach=self.outreach, contexts=contexts
                )
            )
        tx.add(run, selection, coupons, messages)
        counted = _tally(selection.assigned["arm"])
        tx.log(
            run.planned_at,
            "planner",
            "campaign.plan",
            run.id,
            {"definition": campaign.digest, "arms": counted, "chosen_by": run.chosen_by},
        )

    def _contexts(self, run: CampaignRun, arm: Arm, treated: pd.DataFrame) -> list[dict[str, Any] | None]:
        """What each message knows of its customer; None where it is nothing."""
        customers = treated["customer_id"].tolist()
        if not _depends_on_customer(arm, treated, self.lake):
            return [None] * len(customers)
        known = personals(self.lake, run.cutoff.isoformat(), customers)
        return [known[one].as_json() if one in known else None for one in customers]

    def _try_out(self, campaign: Campaign, at: datetime) -> None:
        """Find a broken template or an unknown channel before anything is written."""
        for arm in campaign.arms:
            if arm.message.channel not in self.channels:
                raise CampaignError(
                    f"campaign {campaign.name}: arm {arm.name!r} goes by channel {arm.message.channel!r}; "
                    f"{nearest(arm.message.channel, list(self.channels))}"
                )
            specimen = None
            if arm.offer:
                specimen = offers.issue("specimen", "SPECIMEN", arm.offer, at, self.shop.zone)
            self.composer.try_out(arm.message, specimen, at)

    def _candidates(self, campaign: Campaign, cutoff: str) -> tuple[int, pd.DataFrame]:
        """How many customers are scored, and the campaign's audience among them with time zone and locale."""
        columns = ["customer_id", "probability", "tier", "value", "value_at_risk", "persona", "lifetime_value"]
        scores = self.lake.read("scores", columns=columns, where={"cutoff": [cutoff]})
        if scores.empty:
            raise MissingDataError(f"no customer is scored as of {cutoff}. Run the score DAG for this cutoff first.")
        unusable = scores.loc[~np.isfinite(scores["probability"] * scores["value"]), "customer_id"]
        if len(unusable):
            raise CampaignError(
                f"{len(unusable)} scores of cutoff {cutoff} have a probability or value that is no number (first: "
                f"customer {unusable.iloc[0]}); score the cutoff again"
            )
        chosen = scores[_in_audience(scores, campaign.audience)]
        if campaign.audience.where is not None:
            chosen = chosen[self._meets(campaign, cutoff, chosen)]
        if campaign.policy.by == "uplift":
            chosen = chosen.merge(predicted(self.lake, campaign, cutoff), how="left", on="customer_id")
        chosen = chosen.assign(**self._whereabouts(chosen["customer_id"])).reset_index(drop=True)
        return len(scores), chosen.assign(customer_id=chosen["customer_id"].astype(object))

    def _meets(self, campaign: Campaign, cutoff: str, scores: pd.DataFrame) -> np.ndarray:
        """Whether each scored customer's features as of the cutoff meet the audience's condition."""
        where = campaign.audience.where
        features = self.store().snapshot(date.fromisoformat(cutoff))
        known = [str(name) for name in features.columns]
        for name in where.sources if where else ():
            if name not in known:
                raise CampaignError(
                    f"campaign {campaign.name}, audience.where: no feature is called {name!r}; {nearest(name, known)}"
                )
        names = ["customer_id", *(where.sources if where else ())]
        rows = scores[["customer_id"]].merge(features[names], how="left", on="customer_id")
        texts = {name: rows[name].astype(object).where(rows[name].notna(), "").astype(str) for name in names}
        table = pa.table({name: pa.chunked_array([pa.array(text, pa.string())]) for name, text in texts.items()})
        assert where is not None  # noqa: S101 - the caller asks only where there is one
        return np.asarray(expressions.holds(where, table).to_numpy(zero_copy_only=False), dtype=bool)

    def _whereabouts(self, customer_ids: pd.Series) -> dict[str, Any]:
        """Each customer's time zone (the shop's where none is known) and locale."""
        if not self.lake.exists("customers"):
            return {"timezone": self.shop.zone.key, "locale": None}
        rows = self.lake.read("customers", columns=["customer_id", "timezone", "locale"])
        rows = rows.drop_duplicates("customer_id", keep="last").set_index("customer_id").reindex(customer_ids)
        zones = {zone: zone_or(self.shop.zone, zone) for zone in rows["timezone"].dropna().unique()}
        return {
            "timezone": rows["timezone"].map(zones).fillna(self.shop.zone.key).to_numpy(object),
            "locale": plain(rows["locale"]),
        }


def known_run(tx: OperationsTransaction, campaign_id: str) -> CampaignRun:
    """The campaign run. Raises CampaignError when it was never planned."""
    run = tx.run(campaign_id)
    if run is None:
        raise CampaignError(f"campaign run {campaign_id!r} was never planned; {nearest(campaign_id, tx.run_ids())}")
    return run


def planned(run: CampaignRun, counts: Counts) -> Plan:
    """The run's plan as the database holds it. Raises CampaignError when the sums do not add up."""
    check_sums(run, counts)
    arms = {arm: count for arm, count in counts.arms.items() if arm != CONTROL}
    return Plan(
        campaign_id=run.id,
        scored=run.scored,
        audience=run.audience,
        skipped=dict(counts.skips),
        control=counts.arms.get(CONTROL, 0),
        treated=sum(arms.values()),
        arms=arms,
        planned=sum(counts.messages.values()),
        expected_cost=float(counts.cost),
        chosen_by=run.chosen_by,
        passed_over=None,
    )


def _nobody(campaign_id: str, why: str) -> Plan:
    """The plan of a campaign that is passed over."""
    return Plan(
        campaign_id=campaign_id,
        scored=0,
        audience=0,
        skipped={},
        control=0,
        treated=0,
        arms={},
        planned=0,
        expected_cost=0.0,
        chosen_by=None,
        passed_over=why,
    )


def _in_audience(scores: pd.DataFrame, audience: Audience) -> pd.Series:
    chosen = scores["tier"].isin([tier.value for tier in audience.tiers]) & (scores["value"] >= audience.minimum_value)
    if audience.personas is not None:
        if scores["persona"].isna().all():
            raise MissingDataError(
                "the audience names personas, but the scores of this cutoff hold none. Score it by a model with "
                "personas, or leave them out."
            )
        unknown = sorted(set(audience.personas) - set(scores["persona"].dropna()))
        if unknown:  # else nobody would be told that an id is misspelt, or of a kind that nobody is of any more
            raise CampaignError(
                f"the audience names the personas {', '.join(unknown)}, but the scored customers are of "
                f"{', '.join(sorted(scores['persona'].dropna().unique()))}; the report lists the personas by id"
            )
        chosen &= scores["persona"].isin(audience.personas)
    return chosen


def _chosen_by(case: policy.Case, candidates: pd.DataFrame) -> str:
    """The policy in force, in words."""
    name, told = case.campaign.name, str(case.in_force.by)
    if case.in_force.by == "uplift":
        versions = sorted(set(candidates["uplift_version"].dropna()))
        told += f", by version {', '.join(versions)} of the uplift model of {name}"
    elif case.campaign.policy.by == "uplift":
        told += f", since no uplift model of {name} with these arms is champion yet"
    return told + ("; arms by learned shares" if case.shares else "")


def _tally(words: pd.Series) -> dict[str, int]:
    return {str(word): int(count) for word, count in words.value_counts().items()}


def _depends_on_customer(arm: Arm, treated: pd.DataFrame, lake: Lake) -> bool:
    """Whether the arm's messages say anything that differs between customers, besides address and coupon."""
    own_words = bool(arm.message.by_reason) or arm.message.channel in STAFF_CHANNELS
    return own_words or lake.exists(RECOMMENDATIONS) or bool(treated["locale"].notna().any())
