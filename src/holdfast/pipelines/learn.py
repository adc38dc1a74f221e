"""Learning from what campaigns did: whom each arm moves, whether that may decide, and how arms share the treated."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from typing import Any, TypedDict

import numpy as np
import pandas as pd

from holdfast.campaign import policy
from holdfast.campaign.definition import CONTROL, Campaign, CampaignRun
from holdfast.effect import arm_shares
from holdfast.effect.learners import learner
from holdfast.effect.randomised import Randomised
from holdfast.effect.trial import Trial
from holdfast.effect.uplift_evaluation import out_of_fold
from holdfast.effect.uplift_gate import declined, told
from holdfast.errors import ModelError, NobodyAssignedError
from holdfast.features.catalog import present
from holdfast.model.approval import Approval
from holdfast.model.matrix import Vector
from holdfast.pipelines.trials import Trials
from holdfast.pipelines.uplift_review import Evidence, assessed, run_of, story_of
from holdfast.pipelines.uplift_scores import ARM_SHARES
from holdfast.ports import HistoricalFeatures, Scratch, UpliftRegistry
from holdfast.windows import instant

OUTCOME = "retained"
"""What is learned of: whether the customer ordered within the horizon."""

NET_VALUE = "net_value"


class Prepared(TypedDict):
    """The evidence of one campaign: its matured runs, and where their customers are kept; ``why`` if there are none.

    ``by_uplift`` says whether the campaign chooses by uplift, so that there is a model to learn.
    """

    campaign: str
    by_uplift: bool
    cutoff: str
    runs: list[str]
    rows: int
    path: str
    why: str | None


@dataclass(frozen=True)
class Learning:
    """The steps of learning as of a cutoff, each fit to be a task; tables go through ``scratch``.

    ``registry`` gives the uplift models of a campaign. A run counts once its outcome window has ended by the cutoff, so
    that whoever answers late is not taken for somebody who did not answer.
    """

    trials: Trials
    store: HistoricalFeatures
    registry: Callable[[str], UpliftRegistry]
    scratch: Scratch

    def prepare(self, campaign: Campaign, cutoff: str) -> Prepared:
        """Every customer of the campaign's matured runs: arm, chances, features as of the run's cutoff, and outcome."""
        parts = [
            rows for run in self._matured(campaign, date.fromisoformat(cutoff)) if (rows := self._rows(run)) is not None
        ]
        found = Prepared(
            campaign=campaign.name,
            by_uplift=campaign.policy.by == "uplift",
            cutoff=cutoff,
            runs=[],
            rows=0,
            path="",
            why=None,
        )
        if not parts:
            why = f"no run of {campaign.name} has matured by {cutoff}, so that there is nothing to learn from yet"
            return {**found, "why": why}
        rows = pd.concat(parts, ignore_index=True)
        entities = rows[["customer_id", "event_timestamp"]].drop_duplicates()
        features = self.store.historical(entities)
        known = rows.merge(features, on=["customer_id", "event_timestamp"], how="left", validate="m:1")
        path = self.scratch.write(f"{cutoff}/learn-{campaign.name}", known)
        return {**found, "runs": sorted(rows["campaign_id"].unique()), "rows": len(rows), "path": path}

    def tasks(self, prepared: Sequence[Prepared]) -> list[dict[str, Any]]:
        """One task a campaign with evidence and learner."""
        return [
            {"prepared": one, "learner": name}
            for one in prepared
            if one["by_uplift"] and one["why"] is None
            for name in self.trials.rules.uplift.learners
        ]

    def fit(self, campaign: Campaign, name: str, prepared: Prepared) -> dict[str, Any]:
        """Cross-fit one learner; returns the path of its out-of-fold effects, a column an arm.

        A learner that this evidence does not suffice for is told of, and left out.
        """
        on = randomised(campaign, self._customers(campaign, prepared))
        told = {"campaign": campaign.name, "learner": name}
        try:
            effects = out_of_fold(learner(name), on, self.trials.rules.uplift.folds)
        except ModelError as error:
            return {**told, "path": None, "why": str(error)}
        path = f"{prepared['cutoff']}/learn-{campaign.name}-{name}"
        return {**told, "path": self.scratch.write(path, pd.DataFrame(effects, columns=list(on.arms))), "why": None}

    def weigh(
        self, campaign: Campaign, prepared: Prepared, fitted: Sequence[Mapping[str, Any]], page: Callable[[str], str]
    ) -> dict[str, Any]:
        """Compare the learners, fit the best on everybody, register it as challenger, and say whether it may decide.

        Returns the decision in words, and the story that a person decides by. ``page`` is where a version is seen.
        """
        tried = [one for one in fitted if one["campaign"] == campaign.name]
        own = [one for one in tried if one["path"]]
        told_of = {"campaign": campaign.name, "passed": False, "story": "", "version": None, "replacing": None}
        if not prepared["by_uplift"]:
            return {**told_of, "reason": f"{campaign.name} does not choose by uplift."}
        if prepared["why"] is not None or not own:
            why = prepared["why"] or "; ".join(sorted({str(one["why"]) for one in tried}))
            return {**told_of, "reason": declined(why)}
        rows, registry = self._customers(campaign, prepared), self.registry(campaign.name)
        on, champion = randomised(campaign, rows), registry.aliased("champion")
        effects = {one["learner"]: self.scratch.read(one["path"]).to_numpy(float) for one in own}
        evidence = Evidence(campaign, prepared["runs"], rows, on, effects, self.trials.rules)
        try:
            found = assessed(evidence, champion, registry)
        except ModelError as error:
            return {**told_of, "reason": declined(str(error))}
        run = run_of(evidence, found, date.fromisoformat(prepared["cutoff"]), self.trials.lake)
        version = registry.register(registry.log(run))
        story = story_of(evidence, found, version, champion, page=page(version.version))
        registry.judge(version, found.verdict, story)
        return {
            "campaign": campaign.name,
            "version": version.version,
            "learner": version.candidate,
            "replacing": champion.version if champion else None,
            "passed": found.verdict.passed,
            "reason": told(found.verdict),
            "checks": [asdict(check) for check in found.verdict.checks],
            "story": story,
        }

    def decide(self, weighed: Mapping[str, Any], decision: Approval) -> dict[str, Any]:
        """Do as decided with a model that passed, and write on it who decided.

        Raises ModelError when another one has become challenger or champion since it was weighed.
        """
        registry = self.registry(weighed["campaign"])
        challenger = registry.aliased("challenger")
        if challenger is None or challenger.version != weighed["version"]:
            raise ModelError(
                f"version {weighed['version']} of {weighed['campaign']} is no longer the challenger: another run came "
                "between. Run the learn DAG again."
            )
        registry.decide(challenger, decision, weighed["replacing"])
        return {
            **weighed,
            "promoted": decision.approved,
            "reason": f"{weighed['reason']} {str(decision).capitalize()}.",
        }

    def share(self, campaign: Campaign, prepared: Prepared) -> dict[str, Any]:
        """Learn the arms' shares from the matured runs, for plans from this cutoff on, and keep them in the lake.

        The same log gives the same shares.
        """
        rule, arms = campaign.arm_shares, [arm.name for arm in campaign.arms]
        if rule is None or prepared["why"] is not None:
            return {"campaign": campaign.name, "segments": 0}
        rows = self._customers(campaign, prepared)
        rows = rows.assign(segment=policy.segments_of(rows, rule.segments))
        runs = [own for _, own in rows.groupby("campaign_id")]
        found = arm_shares.learned(runs, arms, rule.floor).assign(
            campaign=campaign.name, cutoff=prepared["cutoff"], runs=", ".join(prepared["runs"])
        )
        where = {"campaign": [campaign.name], "cutoff": [prepared["cutoff"]]}
        self.trials.lake.replace(ARM_SHARES, found, where=where)
        shares = {
            str(segment): {str(arm): round(float(one), 4) for arm, one in zip(own["arm"], own["share"], strict=True)}
            for segment, own in found.groupby("segment")
        }
        return {"campaign": campaign.name, "segments": len(shares), "shares": shares, "runs": prepared["runs"]}

    def _matured(self, campaign: Campaign, cutoff: date) -> list[CampaignRun]:
        horizon = timedelta(days=self.trials.rules.label.horizon_days)
        with self.trials.operations.reading() as tx:
            runs = [tx.run(one) for one in tx.run_ids() if one.startswith(f"{campaign.name}@")]
        return [run for run in runs if run is not None and run.cutoff + horizon <= cutoff]

    def _rows(self, run: CampaignRun) -> pd.DataFrame | None:
        try:
            evidence = self.trials.evidence(run.id)
        except NobodyAssignedError:
            return None
        trial, results = evidence.trial, evidence.results
        worth = results["value"].to_numpy(float) * trial.margin
        kept = results[["customer_id", "arm", "propensity", "tier", "persona", "probability", "value", OUTCOME]]
        return kept.assign(
            **{f"chance_{name}": chances for name, chances in chances_of(run, trial).items()},
            worth=worth,
            **{NET_VALUE: worth * results[OUTCOME] - results["cost"].to_numpy(float)},
            campaign_id=run.id,
            run_cutoff=run.cutoff.isoformat(),
            event_timestamp=pd.Timestamp(instant(run.cutoff, self.trials.rules.shop.zone)),
        )

    def _customers(self, campaign: Campaign, prepared: Prepared) -> pd.DataFrame:
        """The prepared rows, without customers of arms that the campaign no longer has."""
        rows = self.scratch.read(prepared["path"])
        return rows[rows["arm"].isin([CONTROL, *(arm.name for arm in campaign.arms)])].reset_index(drop=True)


def randomised(campaign: Campaign, rows: pd.DataFrame) -> Randomised:
    """The prepared rows as learners take them. An arm that a run did not have was impossible in it."""
    never = pd.Series(0.0, index=rows.index)
    chances = {
        name: np.asarray(rows.get(f"chance_{name}", never).fillna(0.0), dtype=float)
        for name in (CONTROL, *(arm.name for arm in campaign.arms))
    }
    return Randomised.of(
        rows,
        features=present(rows),
        outcome=OUTCOME,
        chances=chances,
        binary=True,
        worth=rows["worth"].to_numpy(float),
        costs={arm.name: float(arm.cost) for arm in campaign.arms},
    )


def chances_of(run: CampaignRun, trial: Trial) -> dict[str, Vector]:
    """Each customer's probability of the control and of each arm, as logged, or by weight where it was not."""
    campaign, customers = run.campaign, trial.customers
    weights = np.array([arm.weight for arm in campaign.arms], dtype=float)
    by_weight = ((1 - campaign.control_share) * weights / weights.sum()).tolist()
    each = np.array([one if isinstance(one, list) else by_weight for one in customers["chances"]], dtype=float)
    found = {arm.name: each[:, place] for place, arm in enumerate(campaign.arms)}
    return {CONTROL: np.full(len(customers), campaign.control_share), **found}
