"""The policy: who of the scored customers is treated, who is control, who is skipped and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from holdfast.campaign.assignment import Arm, Assignment, arm, propensity
from holdfast.campaign.definition import Campaign
from holdfast.campaign.eligibility import (
    UNKNOWN_CUSTOMER,
    Candidate,
    Obstacle,
    Reason,
    Standing,
    in_audience,
    may_be_planned,
)


@dataclass(frozen=True)
class Skip:
    """A customer of the audience who is not in the campaign, and the first reason found."""

    customer_id: str
    obstacle: Obstacle


@dataclass(frozen=True)
class Selection:
    """Everybody in the audience, exactly once: assigned (treatment or control) or skipped."""

    assignments: tuple[Assignment, ...]
    skips: tuple[Skip, ...]

    @property
    def treated(self) -> tuple[str, ...]:
        return tuple(a.customer_id for a in self.assignments if a.arm is Arm.TREATMENT)


def audience(campaign: Campaign, candidates: Sequence[Candidate]) -> list[Candidate]:
    """The campaign's audience by value at risk, the greatest first; equal values rank by customer id."""
    chosen = [candidate for candidate in candidates if in_audience(candidate, campaign.audience)]
    return sorted(chosen, key=lambda candidate: (-candidate.value_at_risk, candidate.customer_id))


def places(campaign: Campaign) -> int:
    """How many customers the budget could treat: limited by contacts and by money over the expected cost of one."""
    cost = campaign.cost_per_customer
    if not cost:
        return campaign.budget.contacts
    return min(campaign.budget.contacts, int(campaign.budget.money // cost))


def select(
    campaign: Campaign, campaign_id: str, ranked: Sequence[Candidate], standings: Mapping[str, Standing]
) -> Selection:
    """Pass the ranked audience through contact details, consent, cap, budget, and last through the draw of arms.

    The order makes the comparison of arms fair. Every check before the draw is blind to the arm, so treated and
    control customers come from the same set: all of them could have been contacted, and all of them rank within the
    budget. The budget is cut before the draw, as if everybody were to be treated. Cutting afterwards would end the
    list at a rank that depends on how the draw fell, and controls would be taken from ranks that treatment had no
    money for. The price is that about ``control_share`` of the budget stays unspent; the gain is that each customer's
    propensity is exact and spending cannot exceed the budget whatever the draw.
    """
    free = places(campaign)
    assignments: list[Assignment] = []
    skips: list[Skip] = []
    for candidate in ranked:
        obstacle = may_be_planned(standings.get(candidate.customer_id, UNKNOWN_CUSTOMER), campaign.contact_cap)
        if obstacle is None and len(assignments) >= free:
            obstacle = Obstacle(Reason.BUDGET, f"the budget reaches {free} customers of higher value at risk")
        if obstacle is not None:
            skips.append(Skip(candidate.customer_id, obstacle))
            continue
        drawn = arm(campaign_id, candidate.customer_id, campaign.control_share)
        assignments.append(
            Assignment(
                candidate.customer_id,
                drawn,
                candidate.tier,
                candidate.probability,
                candidate.value,
                propensity(drawn, campaign.control_share),
            )
        )
    return Selection(tuple(assignments), tuple(skips))
