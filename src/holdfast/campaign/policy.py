"""Policies: whom to treat first and how likely each arm is; and the budget that cuts the list.

A policy is a function of the scores behind one interface, ``Policy``; a campaign chooses one by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from holdfast.campaign.assignment import draw, uniforms
from holdfast.campaign.definition import CONTROL, AtRandom, Budget, Campaign
from holdfast.campaign.eligibility import Reason
from holdfast.errors import MissingDataError

Numbers: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Proposal:
    """A policy's answer about each candidate.

    ``merit`` ranks them, the greatest first; NaN leaves a customer alone. ``weights`` (a row a candidate, or one row
    for all; a column an arm) are the arms' odds for whoever is treated.
    """

    merit: Numbers
    weights: Numbers


@dataclass(frozen=True)
class Case:
    """What a policy decides about: the candidates' scores, the campaign, its run's id, and the shop's margin.

    ``candidates`` has customer_id, probability and value (expected spend within the horizon), and whatever else the
    scores hold: persona, value_at_risk, lifetime_value, uplift_ARM.
    """

    candidates: pd.DataFrame
    campaign: Campaign
    campaign_id: str
    margin: float

    def column(self, name: str) -> Numbers:
        """A column of the scores. Raises MissingDataError when they lack it, or hold no number for some customer."""
        if name not in self.candidates or (len(self.candidates) and self.candidates[name].isna().all()):
            raise MissingDataError(
                f"policy {self.campaign.policy.by!r} of campaign {self.campaign.name!r} needs the scores' column "
                f"{name!r}, which these scores lack. Score the cutoff with a model that gives it, or choose another "
                "policy."
            )
        return self.candidates[name].to_numpy(float)

    @property
    def at_risk(self) -> Numbers:
        """Each candidate's expected margin at risk: probability × value (or the scores' own figure) × the margin."""
        if "value_at_risk" in self.candidates and self.candidates["value_at_risk"].notna().all():
            return self.column("value_at_risk") * self.margin
        return self.column("probability") * self.column("value") * self.margin

    @property
    def weights(self) -> Numbers:
        """The arms' own weights, the same for everyone."""
        return np.array([[arm.weight for arm in self.campaign.arms]])

    def profits(self, saved: Numbers) -> Numbers:
        """Expected profit of treating each candidate: what each arm saves (a column an arm) less its cost."""
        costs = np.array([float(arm.cost) for arm in self.campaign.arms])
        shares = self.weights / self.weights.sum()
        return np.asarray(((saved - costs) * shares).sum(axis=1))

    @property
    def expected_saved(self) -> Numbers:
        """What each arm is assumed to save of each candidate's margin at risk (a column an arm)."""
        return np.asarray(self.at_risk[:, None] * np.array([arm.assumed_effect for arm in self.campaign.arms]))


Policy: TypeAlias = Callable[[Case], Proposal]


def _by_risk(case: Case) -> Proposal:
    return Proposal(case.column("probability"), case.weights)


def _by_value_at_risk(case: Case) -> Proposal:
    return Proposal(case.at_risk, case.weights)


def _by_expected_profit(case: Case) -> Proposal:
    """The knapsack's greedy order, profit for the money; exact where every customer costs the same (Dantzig, 1957)."""
    profits = case.profits(case.expected_saved)
    cost = worst_cost(case.campaign, case.weights)
    ratio = np.divide(profits, cost, out=profits.copy(), where=cost > 0)
    return Proposal(np.where(profits > 0, ratio, np.nan), case.weights)


def _at_random(case: Case) -> Proposal:
    band = case.campaign.policy
    assert isinstance(band, AtRandom)  # noqa: S101 - chosen by this very type
    probability = case.column("probability")
    inside = (probability >= band.at_least) & (probability < band.below)
    order = uniforms(f"{case.campaign_id}:order", case.candidates["customer_id"].tolist())
    return Proposal(np.where(inside, 1 - order, np.nan), case.weights)


def _by_uplift(case: Case) -> Proposal:
    """By profit at the predicted effects: ``uplift_ARM`` is the drop in churn probability that the arm brings."""
    effects = np.column_stack([case.column(f"uplift_{arm.name}") for arm in case.campaign.arms])
    profits = case.profits(effects * (case.column("value") * case.margin)[:, None])
    return Proposal(np.where(profits > 0, profits, np.nan), case.weights)


POLICIES: Mapping[str, Policy] = {
    "risk": _by_risk,
    "value_at_risk": _by_value_at_risk,
    "expected_profit": _by_expected_profit,
    "random": _at_random,
    "uplift": _by_uplift,
}


def propose(case: Case) -> Proposal:
    """What the campaign's policy says. Raises MissingDataError when the scores lack what it needs."""
    return POLICIES[case.campaign.policy.by](case)


def worst_cost(campaign: Campaign, weights: Numbers) -> Numbers:
    """The cost of the dearest arm that each customer may be given."""
    costs = np.array([float(arm.cost) for arm in campaign.arms])
    return np.asarray(np.where(weights > 0, costs, 0).max(axis=1))


def worst_liability(campaign: Campaign, weights: Numbers) -> Numbers:
    """The largest discount of any arm that each customer may be given."""
    liabilities = np.array([float(arm.liability) for arm in campaign.arms])
    return np.asarray(np.where(weights > 0, liabilities, 0).max(axis=1))


def affordable(merit: Numbers, cost: Numbers, liability: Numbers, ids: npt.NDArray[Any], budget: Budget) -> Any:
    """Which candidates the budget reaches, taken by merit, the greatest first, until one does not fit.

    Equal merits rank by customer id; NaN is never taken.
    """
    order = np.lexsort((ids, -merit))  # NaN sorts last
    order = order[~np.isnan(merit[order])]
    fits = np.arange(1, len(order) + 1) <= budget.contacts
    for amounts, limit in ((cost, budget.money), (liability, budget.liability)):
        if limit is not None:
            hundredths_of_cents = np.round(np.broadcast_to(amounts, merit.shape)[order] * 10_000).astype(np.int64)
            fits &= np.cumsum(hundredths_of_cents) <= int(limit * 10_000)
    taken = np.zeros(len(merit), dtype=bool)
    taken[order[np.logical_and.accumulate(fits)]] = True
    return taken


@dataclass(frozen=True)
class Selection:
    """Everybody in the audience, exactly once.

    ``assigned`` adds merit, arm, propensity and cost to the candidates' columns; ``skipped`` has customer_id and
    reason.
    """

    assigned: pd.DataFrame
    skipped: pd.DataFrame

    @property
    def treated(self) -> pd.DataFrame:
        return self.assigned[self.assigned["arm"] != CONTROL]


def select(case: Case, reasons: npt.NDArray[np.object_]) -> Selection:
    """Pass the candidates through the gate's answers, the policy, the budget, and last through the draw of arms.

    ``reasons`` is the gate's answer about each candidate. The order makes the comparison of arms fair. Every check
    before the draw is blind to the arm, so treated and control customers come from the same set: all of them could
    have been contacted, and all of them rank within the budget. The budget is cut before the draw, as if everybody were
    to be given the dearest arm. Cutting afterwards would end the list at a rank that depends on how the draw fell, and
    controls would be taken from ranks that treatment had no money for. The price is that a part of the budget stays
    unspent; the gain is that each customer's propensity is exact and spending cannot exceed the budget whatever the
    draw.
    """
    campaign = case.campaign
    proposal = propose(case)
    open_ = np.array([reason is None for reason in reasons], dtype=bool)
    merit = np.where(open_, proposal.merit, np.nan)
    weights = np.broadcast_to(proposal.weights, (len(merit), len(campaign.arms)))
    ids = case.candidates["customer_id"].to_numpy(str)
    taken = affordable(merit, worst_cost(campaign, weights), worst_liability(campaign, weights), ids, campaign.budget)
    final = reasons.copy()
    final[open_ & np.isnan(proposal.merit)] = Reason.NOT_CHOSEN
    final[open_ & ~np.isnan(proposal.merit) & ~taken] = Reason.BUDGET
    skipped = pd.DataFrame({"customer_id": case.candidates["customer_id"], "reason": final})[~taken]
    chosen = case.candidates[taken].assign(merit=merit[taken])
    drawn = draw(
        case.campaign_id,
        chosen["customer_id"].tolist(),
        campaign.control_share,
        [arm.name for arm in campaign.arms],
        weights[taken],
    )
    costs = {arm.name: arm.cost for arm in campaign.arms} | {CONTROL: campaign.arms[0].cost * 0}
    return Selection(
        chosen.assign(arm=drawn.arm, propensity=drawn.propensity, cost=[costs[name] for name in drawn.arm]),
        skipped,
    )


def expected_saved(case: Case, selection: Selection) -> float:
    """What the treated customers' arms are assumed to save of their margin at risk, together."""
    treated = selection.treated
    effects = {arm.name: arm.assumed_effect for arm in case.campaign.arms}
    at_risk = replace(case, candidates=treated).at_risk
    return float((at_risk * np.array([effects[name] for name in treated["arm"]], dtype=float)).sum())
