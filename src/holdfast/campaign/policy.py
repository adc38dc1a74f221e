"""Policies: whom to treat first and how likely each arm is; and the budget that cuts the list.

A policy is a function of the scores behind one interface, ``Policy``; a campaign chooses one by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

from holdfast.campaign import knapsack
from holdfast.campaign.assignment import draw, uniforms
from holdfast.campaign.definition import CONTROL, AtRandom, Budget, ByUplift, Campaign, PolicyChoice
from holdfast.campaign.eligibility import Reason
from holdfast.errors import MissingDataError

Numbers: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Proposal:
    """A policy's answer about each candidate.

    ``merit`` ranks them, the greatest first; NaN leaves a customer alone. ``weights`` (a row a candidate, or one row
    for all; a column an arm) are the arms' odds for whoever is treated. ``disturbed`` are those whom every arm surely
    harms, which is why they are left alone.
    """

    merit: Numbers
    weights: Numbers
    disturbed: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Case:
    """What a policy decides about: the candidates' scores, the campaign, its run's id, and the shop's margin.

    ``candidates`` has customer_id, probability and value (expected spend within the horizon), and whatever else the
    scores hold: persona, value_at_risk, lifetime_value, uplift_ARM, harms_ARM. ``shares`` gives, by segment (a value of
    the column that ``campaign.arm_shares`` names), the arms' learned shares of the treated, in the campaign's order.
    """

    candidates: pd.DataFrame
    campaign: Campaign
    campaign_id: str
    margin: float
    shares: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def column(self, name: str) -> Numbers:
        """A column of the scores. Raises MissingDataError when they lack it, or hold no number for some customer."""
        if name not in self.candidates or (len(self.candidates) and self.candidates[name].isna().all()):
            raise MissingDataError(
                f"policy {self.in_force.by!r} of campaign {self.campaign.name!r} needs the scores' column "
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
    def has_uplift(self) -> bool:
        """Whether a model has said what each arm would do to these candidates."""
        return all(f"uplift_{arm.name}" in self.candidates for arm in self.campaign.arms)

    @property
    def in_force(self) -> PolicyChoice:
        """The policy that decides: the campaign's own, or the one until an uplift model is there."""
        own = self.campaign.policy
        return own.until if isinstance(own, ByUplift) and not self.has_uplift else own

    @property
    def weights(self) -> Numbers:
        """The arms' odds: what has been learned of each one's segment, else their own weights."""
        own = np.array([arm.weight for arm in self.campaign.arms], dtype=float)
        learned = self.campaign.arm_shares
        if learned is None or not self.shares:
            return own[None]
        segments = segments_of(self.candidates, learned.segments)
        of = {name: np.array(self.shares.get(name, own / own.sum())) for name in segments.unique()}
        return np.array([of[name] for name in segments]).reshape(len(segments), len(own))

    def profits(self, saved: Numbers) -> Numbers:
        """Expected profit of treating each candidate: what each arm saves (a column an arm) less its cost."""
        costs = np.array([float(arm.cost) for arm in self.campaign.arms])
        shares = self.weights / self.weights.sum(axis=1, keepdims=True)
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
    band = case.in_force
    assert isinstance(band, AtRandom)  # noqa: S101 - chosen by this very type
    probability = case.column("probability")
    inside = (probability >= band.at_least) & (probability < band.below)
    order = uniforms(f"{case.campaign_id}:order", case.candidates["customer_id"].tolist())
    return Proposal(np.where(inside, 1 - order, np.nan), case.weights)


def _by_uplift(case: Case) -> Proposal:
    """The arms that are predicted to bring most within the budget, by the multiple-choice knapsack.

    ``uplift_ARM`` is the drop in churn probability that the arm brings; ``harms_ARM`` bars an arm. Whoever is to be
    explored, by hash, gets an arm by the odds of other policies. The knapsack knows the odds of exploring, not whom it
    meets, so that this moves nobody in or out of the budget.
    """
    choice, arms = case.in_force, case.campaign.arms
    assert isinstance(choice, ByUplift)  # noqa: S101 - chosen by this very type
    barred = harmed(case)
    values = np.where(barred, np.nan, net_values(case))
    limits, uses = budget_uses(case.campaign, choice.explore)
    found = knapsack.choose(values, uses[None], limits)
    chosen = found.arm >= 0
    merit, left = found.merit.copy(), found.merit[~chosen & ~np.isnan(found.merit)]
    if chosen.any() and len(left):  # what is left over after the best may have gone to lesser ones that still fit
        merit[chosen] += max(0.0, float(left.max() - merit[chosen].min()) + 1e-9)
    best = np.eye(len(arms))[np.where(chosen, found.arm, found.preferred)]
    explored = uniforms(f"{case.campaign_id}:explore", case.candidates["customer_id"].tolist()) < choice.explore
    # Where no arm is predicted to bring anything, too: else a model that sees no gain would be the last one learned.
    merit[explored & np.isnan(merit) & ~barred.all(axis=1)] = np.min(merit, initial=0.0, where=~np.isnan(merit)) - 1
    odds = np.where(explored[:, None], np.where(barred, 0.0, case.weights), best)
    return Proposal(merit, odds, np.asarray(barred.all(axis=1)))


def net_values(case: Case) -> Numbers:
    """What each arm (a column) is predicted to bring: churn averted × value × margin, less its cost."""
    effects = np.column_stack([case.column(f"uplift_{arm.name}") for arm in case.campaign.arms])
    costs = np.array([float(arm.cost) for arm in case.campaign.arms])
    return np.asarray(effects * (case.column("value") * case.margin)[:, None] - costs)


def harmed(case: Case) -> npt.NDArray[np.bool_]:
    """Which arms (a column each) surely harm each candidate."""
    nothing = pd.Series(False, index=case.candidates.index)
    known = [case.candidates.get(f"harms_{arm.name}", nothing) for arm in case.campaign.arms]
    return np.column_stack([one.eq(True).to_numpy(bool) for one in known])  # of whom nothing is known, no harm is


def budget_uses(campaign: Campaign, explore: float = 0.0) -> tuple[Numbers, Numbers]:
    """The budget's limits (money, contacts, maybe liability), and what each arm (a row) takes of each.

    Where a share is explored, an arm takes that share of the dearest arm's cost.
    """
    parts = [
        (float(campaign.budget.money), [float(arm.cost) for arm in campaign.arms]),
        (float(campaign.budget.contacts), [1.0] * len(campaign.arms)),
    ]
    if campaign.budget.liability is not None:
        parts.append((float(campaign.budget.liability), [float(arm.liability) for arm in campaign.arms]))
    uses = np.array([of for _, of in parts]).T
    return np.array([limit for limit, _ in parts]), (1 - explore) * uses + explore * uses.max(axis=0)


def segments_of(rows: pd.DataFrame, column: str | None) -> pd.Series:
    """Each row's segment as text; all are of one where there is no column."""
    return (
        pd.Series("all", index=rows.index) if column is None else rows[column].astype(object).fillna("none").astype(str)
    )


POLICIES: Mapping[str, Policy] = {
    "risk": _by_risk,
    "value_at_risk": _by_value_at_risk,
    "expected_profit": _by_expected_profit,
    "random": _at_random,
    "uplift": _by_uplift,
}


def propose(case: Case) -> Proposal:
    """What the campaign's policy says. Raises MissingDataError when the scores lack what it needs."""
    return POLICIES[case.in_force.by](case)


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

    ``assigned`` adds merit, arm, propensity, chances and cost to the candidates' columns: ``propensity`` is the
    probability of the arm or control that was drawn, ``chances`` lists that of each arm in the campaign's order.
    ``skipped`` has customer_id and reason.
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
    open_ = np.array([reason is None for reason in reasons], dtype=bool)
    # Whoever may not be contacted must not be weighed against those who may.
    proposal = propose(replace(case, candidates=case.candidates[open_].reset_index(drop=True)))
    merit, weights = np.full(len(open_), np.nan), np.ones((len(open_), len(campaign.arms)))
    merit[open_], weights[open_] = proposal.merit, proposal.weights
    ids = case.candidates["customer_id"].to_numpy(str)
    taken = affordable(merit, worst_cost(campaign, weights), worst_liability(campaign, weights), ids, campaign.budget)
    final = reasons.copy()
    final[open_ & np.isnan(merit)] = Reason.NOT_CHOSEN
    final[open_ & ~np.isnan(merit) & ~taken] = Reason.BUDGET
    if proposal.disturbed is not None:
        final[np.flatnonzero(open_)[proposal.disturbed]] = Reason.DO_NOT_DISTURB
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
        chosen.assign(
            arm=drawn.arm,
            propensity=drawn.propensity,
            chances=_told_chances(weights[taken], campaign.control_share),
            cost=[costs[name] for name in drawn.arm],
        ),
        skipped,
    )


def _told_chances(weights: Numbers, control_share: float) -> list[list[float]]:
    """Each customer's probability of each arm; equal rows are one object, since there may be a million."""
    chances = (1 - control_share) * weights / weights.sum(axis=1, keepdims=True)
    rows, which = np.unique(chances, axis=0, return_inverse=True)
    told = [[float(one) for one in row] for row in rows]
    return [told[place] for place in np.ravel(which)]


def expected_saved(case: Case, selection: Selection) -> float:
    """What the treated customers' arms are assumed to save of their margin at risk, together."""
    treated = selection.treated
    effects = {arm.name: arm.assumed_effect for arm in case.campaign.arms}
    at_risk = replace(case, candidates=treated).at_risk
    return float((at_risk * np.array([effects[name] for name in treated["arm"]], dtype=float)).sum())
