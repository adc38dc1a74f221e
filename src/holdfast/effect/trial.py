"""A trial: who was given which arm by chance, at which cost, and over which window its outcomes are observed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from holdfast import windows
from holdfast.campaign.definition import CONTROL, CampaignRun
from holdfast.errors import CampaignError, NobodyAssignedError
from holdfast.windows import Window

ASSIGNED = ("customer_id", "arm", "propensity", "chances", "probability", "value", "tier", "persona", "cost")
"""Columns of a customer's assignment as it was logged when the campaign was planned."""

REPORTED = ("exposed", "discount")
"""Columns of what became of the assignment: a message went out; what redeemed coupons took off."""

CUSTOMERS = (*ASSIGNED, *REPORTED, "contact_cost")
"""Columns of ``Trial.customers``: the last is what the messages that went out to the customer cost."""


@dataclass(frozen=True)
class Trial:
    """A campaign run as an experiment, with one row of ``customers`` for each assigned customer, sorted by id.

    ``customers`` holds ``CUSTOMERS``: customer_id; the arm assigned; ``propensity``, the probability with which
    chance gave this very arm (NaN where chance had no part); ``chances``, the probability of each of the run's arms
    in the order of its definition (None where it was not logged); ``probability`` of churn and ``value`` (expected
    spend within the horizon) as they were scored, with tier and persona (NaN or None where nobody scored); ``cost``,
    what treating was expected to cost; ``exposed``, whether a message was sent, or may have been; ``discount``, what
    the customer's redeemed coupons of this run took off within the window; ``contact_cost``, what the messages that
    went out cost. Everybody counts in the arm assigned, whatever was sent to whom (intention to treat).

    ``arms`` gives each treatment arm's cost of one message, control not among them. Outcomes are observed in
    ``window``, and covariates in ``before``, as many days up to the cutoff. ``margin`` is the share of a sale that the
    shop keeps. ``imported`` says that another system assigned.
    """

    campaign_id: str
    cutoff: date
    planned_at: datetime
    window: Window
    before: Window
    arms: Mapping[str, float]
    margin: float
    customers: pd.DataFrame
    stopped_at: datetime | None = None
    imported: bool = False

    @property
    def randomised(self) -> bool:
        """Whether chance assigned everybody, with a known probability, and left a control: what a claim needs."""
        known = self.customers["propensity"].notna().all()
        arms = set(self.customers["arm"])
        return bool(known and CONTROL in arms and len(arms) > 1)

    @property
    def days(self) -> int:
        """The window's length in days of the shop's calendar."""
        return round((self.window.end - self.window.start).total_seconds() / 86_400)

    def results(self, outcomes: pd.DataFrame) -> pd.DataFrame:
        """``customers`` with their ``outcomes`` (``holdfast.effect.outcomes``) and ``net``.

        ``net`` is the margin after offer and contact cost. The shop's amounts are what it receives after coupons, so
        that a discount ``d`` has left the revenue ``r`` already: the goods cost (1 − m)(r + d), and what is left of r
        is m·r − (1 − m)·d.
        """
        joined = self.customers.merge(outcomes, on="customer_id", how="left", validate="one_to_one")
        missing = int(joined["retained"].isna().sum())
        if missing:
            raise CampaignError(f"{self.campaign_id}: {missing} assigned customers have no outcome row. Ask for all.")
        joined["net"] = joined["margin"] - (1 - self.margin) * joined["discount"] - joined["contact_cost"]
        return joined


def trial_of(run: CampaignRun, assigned: pd.DataFrame, days: int, zone: ZoneInfo, margin: float) -> Trial:
    """The trial of a planned run; ``assigned`` has ``ASSIGNED`` and ``REPORTED``, a row a customer.

    Raises NobodyAssignedError.
    """
    if assigned.empty:
        raise NobodyAssignedError(
            f"{run.id} assigned nobody: its audience was empty, or nobody passed the send gate, so there is no effect "
            "to read"
        )
    window, before = outcome_windows(run.cutoff, days, zone)
    arms = {arm.name: float(arm.cost_per_contact) for arm in run.campaign.arms}
    return Trial(
        campaign_id=run.id,
        cutoff=run.cutoff,
        planned_at=run.planned_at,
        window=window,
        before=before,
        arms=arms,
        margin=margin,
        customers=_with_contact_cost(assigned, arms),
        stopped_at=run.stopped_at,
    )


def imported_trial(
    campaign_id: str,
    started_at: datetime,
    assigned: pd.DataFrame,
    deliveries: pd.DataFrame,
    *,
    days: int,
    zone: ZoneInfo,
    margin: float,
    contact_cost: float = 0,
) -> Trial:
    """The trial of a campaign that another system ran, from canonical past_assignments and past_deliveries of it.

    Outcomes are observed from the shop's day on which it started. Nobody scored its customers, and what its coupons
    took off is not told, so that both are missing and no discount is counted. Raises NobodyAssignedError.
    """
    if assigned.empty:
        raise NobodyAssignedError(
            f"{campaign_id} assigned nobody that is known: land its past_assignments, controls included, so that its "
            "arms can be compared"
        )
    cutoff = started_at.astimezone(zone).date()
    window, before = outcome_windows(cutoff, days, zone)
    arms = dict.fromkeys(sorted(set(assigned["arm"]) - {CONTROL}), contact_cost)
    customers = assigned[["customer_id", "arm", "propensity"]].assign(
        chances=None,
        probability=np.nan,
        value=np.nan,
        tier=None,
        persona=None,
        cost=0.0,
        exposed=assigned["customer_id"].isin(deliveries["customer_id"]),
        discount=0.0,
    )
    return Trial(
        campaign_id=campaign_id,
        cutoff=cutoff,
        planned_at=started_at,
        window=window,
        before=before,
        arms=arms,
        margin=margin,
        customers=_with_contact_cost(customers, arms),
        imported=True,
    )


def outcome_windows(cutoff: date, days: int, zone: ZoneInfo) -> tuple[Window, Window]:
    """The window of the outcomes, ``[cutoff, cutoff + days)``, and as many days before the cutoff."""
    return windows.horizon(cutoff, days, zone), windows.observation_window(cutoff, days, zone)


def _with_contact_cost(customers: pd.DataFrame, arms: Mapping[str, float]) -> pd.DataFrame:
    """``CUSTOMERS``, sorted by id; each message that went out cost what its arm's messages cost."""
    per_message = customers["arm"].map({CONTROL: 0.0, **arms}).to_numpy(float)
    costed = customers.assign(contact_cost=np.where(customers["exposed"], per_message, 0.0))
    return costed[[*CUSTOMERS]].sort_values("customer_id", ignore_index=True)
