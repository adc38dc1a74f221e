"""What learning hands to planning, in the lake: predicted effects by customer and arm, and the arms' learned shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from holdfast import dataset
from holdfast.campaign import knapsack, policy
from holdfast.campaign.definition import Campaign
from holdfast.errors import MissingDataError
from holdfast.features.catalog import MODEL_SERVICE, present
from holdfast.model.matrix import Matrix
from holdfast.model.record import FeatureService, ModelVersion, unserved
from holdfast.ports import Alias, FeatureStore, Lake, UpliftRegistry
from holdfast.rules import Rules

UPLIFTS = "uplifts"
"""The lake table of predicted effects, one row a cutoff, campaign, customer and arm.

``uplift`` is the drop in churn probability that the arm brings, ``harms`` whether it surely does harm,
``model_version`` that of the campaign's uplift model."""

ARM_SHARES = "arm_shares"
"""The lake table of learned shares, one row a campaign, cutoff of learning, segment and arm.

``share`` is the arm's part of the treated; ``effect`` and ``error`` are what it brought a customer beyond the control
in the matured ``runs``, in money, with its standard error; ``customers`` is how many those runs treated with it."""


_BUDGETS = np.array([0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0])


def predicted(lake: Lake, campaign: Campaign, cutoff: str) -> pd.DataFrame:
    """customer_id, uplift_version, and uplift_ARM and harms_ARM of each of the campaign's arms; or customer_id alone.

    The latter where the champion of the campaign did not score this cutoff, or does not know all of its arms.
    """
    nothing = pd.DataFrame({"customer_id": pd.Series(dtype=object)})
    if not lake.exists(UPLIFTS):
        return nothing
    rows = lake.read(UPLIFTS, where={"cutoff": [cutoff], "campaign": [campaign.name]})
    arms = [arm.name for arm in campaign.arms]
    if not set(arms) <= set(rows["arm"]):
        return nothing
    wide = rows.pivot(index="customer_id", columns="arm", values=["uplift", "harms"])
    columns = {f"{value}_{arm}": wide[value, arm] for arm in arms for value in ("uplift", "harms")}
    versions = rows.drop_duplicates("customer_id").set_index("customer_id")["model_version"]
    found = pd.DataFrame(columns).assign(uplift_version=versions).reset_index()
    return found.astype({f"uplift_{arm}": float for arm in arms} | {f"harms_{arm}": bool for arm in arms})


def shares_in_force(lake: Lake, campaign: Campaign, cutoff: str) -> dict[str, tuple[float, ...]]:
    """By segment, the shares of the campaign's arms as last learned at or before ``cutoff``, if they were."""
    if campaign.arm_shares is None or not lake.exists(ARM_SHARES):
        return {}
    rows = lake.read(ARM_SHARES, where={"campaign": [campaign.name]})
    rows = rows[rows["cutoff"] <= cutoff]
    rows = rows[rows["cutoff"] == rows["cutoff"].max()]
    arms = [arm.name for arm in campaign.arms]
    found: dict[str, tuple[float, ...]] = {}
    for segment, own in rows.groupby("segment"):
        by_arm = dict(zip(own["arm"], own["share"], strict=True))
        if set(arms) == set(by_arm):
            found[str(segment)] = tuple(float(by_arm[arm]) for arm in arms)
    return found


def budget_points(campaign: Campaign, values: Matrix) -> list[knapsack.BudgetPoint]:
    """What the campaign's money, and shares and multiples of it, would bring: ``values`` by customer and arm."""
    limits, uses = policy.budget_uses(campaign)
    return knapsack.budget_curve(values, uses[None], limits, _BUDGETS)


def budget_of(lake: Lake, campaign: Campaign, cutoff: str, margin: float) -> list[knapsack.BudgetPoint]:
    """``budget_points`` of all who are scored and of the campaign's tiers; the send gate is not asked.

    Raises MissingDataError where no uplift model of the campaign has scored the cutoff.
    """
    known = predicted(lake, campaign, cutoff)
    if "uplift_version" not in known:
        raise MissingDataError(
            f"no uplift model of {campaign.name} has scored {cutoff}. Run the learn DAG, then the score DAG."
        )
    scores = lake.read("scores", columns=["customer_id", "tier", "probability", "value"], where={"cutoff": [cutoff]})
    meant = scores[scores["tier"].isin([tier.value for tier in campaign.audience.tiers])]
    case = policy.Case(meant.merge(known, on="customer_id"), campaign, campaign.name, margin)
    return budget_points(campaign, np.where(policy.harmed(case), np.nan, policy.net_values(case)))


@dataclass(frozen=True)
class BudgetCurve:
    """What budgets would bring, and where it is drawn."""

    points: list[knapsack.BudgetPoint]
    picture: Path


@dataclass(frozen=True)
class UpliftStanding:
    """What is known of whom a campaign moves.

    ``models`` are its uplift models by alias; a challenger that has become champion is not told twice. Without a
    champion ``until`` is what chooses customers; None where the campaign does not choose by uplift. ``shares`` are the
    arms' as of the latest learning (``ARM_SHARES``). ``predicted`` customers are known to the model at the cutoff, of
    whom every arm surely harms ``spared``.
    """

    campaign: str
    models: Mapping[Alias, ModelVersion]
    until: str | None
    shares: pd.DataFrame
    predicted: int
    spared: int


def standing_uplift(
    lake: Lake, registry: UpliftRegistry, campaign: Campaign, cutoff: str | None = None
) -> UpliftStanding:
    """What has been learned of the campaign up to ``cutoff`` (default: so far), and predicted at it."""
    aliases: tuple[Alias, ...] = ("champion", "previous", "challenger")
    held = {alias: version for alias in aliases if (version := registry.aliased(alias)) is not None}
    if "champion" in held and "challenger" in held and held["challenger"].version == held["champion"].version:
        del held["challenger"]
    chosen = campaign.policy
    shares, predictions = (_latest(lake, table, campaign, cutoff) for table in (ARM_SHARES, UPLIFTS))
    arms = [arm.name for arm in campaign.arms]
    harms = predictions[predictions["arm"].isin(arms)].groupby("customer_id")["harms"].all()
    return UpliftStanding(
        campaign=campaign.name,
        models=held,
        until=chosen.until.by if chosen.by == "uplift" else None,
        shares=shares,
        predicted=len(harms),
        spared=int(harms.sum()),
    )


def _latest(lake: Lake, table: str, campaign: Campaign, cutoff: str | None) -> pd.DataFrame:
    """The campaign's rows of the latest cutoff, or of the latest up to ``cutoff``."""
    if not lake.exists(table):
        return pd.DataFrame(columns=["cutoff", "customer_id", "arm", "harms"])
    rows = lake.read(table, where={"campaign": [campaign.name]})
    known = rows if cutoff is None else rows[rows["cutoff"] <= cutoff]
    found: pd.DataFrame = known[known["cutoff"] == known["cutoff"].max()]
    return found


@dataclass(frozen=True)
class UpliftScoring:
    """Predicts every arm's effect on every customer who is active at a cutoff, but the ``objectors``, for planning."""

    lake: Lake
    store: FeatureStore
    registry: Callable[[str], UpliftRegistry]
    rules: Rules
    objectors: Callable[[], Set[str]] = frozenset

    def score(self, campaign: Campaign, cutoff: str) -> dict[str, Any]:
        """By the campaign's champion, in the place of earlier predictions; without one, nothing is predicted.

        Returns how many customers it was predicted for, and why for nobody.
        """
        registry = self.registry(campaign.name)
        champion = registry.aliased("champion")
        where = {"cutoff": [cutoff], "campaign": [campaign.name]}
        told = {"campaign": campaign.name, "customers": 0}
        if champion is None:
            return {**told, "why": f"no uplift model of {campaign.name} is champion yet"}
        known = self.store.snapshot(date.fromisoformat(cutoff))
        why = unserved(champion, FeatureService(MODEL_SERVICE, tuple(present(known))))
        if why is not None:
            if self.lake.exists(UPLIFTS):
                self.lake.replace(UPLIFTS, self.lake.read(UPLIFTS).head(0), where=where)
            return {**told, "why": f"{why}. Run the learn DAG"}
        rows = dataset.active(known, self.rules.population.active_days)
        rows = rows[~rows["customer_id"].isin(self.objectors())]
        model = registry.load(champion)
        uplifts = model.uplifts(rows)
        harms = model.harms(uplifts)
        found = [
            pd.DataFrame(
                {
                    "customer_id": rows["customer_id"].to_numpy(object),
                    "arm": arm,
                    "uplift": uplifts[:, place],
                    "harms": harms[:, place],
                }
            )
            for place, arm in enumerate(model.arms)
        ]
        stamped = pd.concat(found, ignore_index=True).assign(
            cutoff=cutoff, campaign=campaign.name, model_version=champion.version
        )
        self.lake.replace(UPLIFTS, stamped, where=where)
        return {**told, "customers": len(rows), "version": champion.version, "why": None}
