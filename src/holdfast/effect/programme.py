"""The programme as a whole, quarter by quarter: everyone whom campaigns may contact against the global holdout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from holdfast.campaign.assignment import uniforms
from holdfast.campaign.definition import CONTROL
from holdfast.effect.trial import CUSTOMERS, Trial, outcome_windows

ARM = "programme"


@dataclass(frozen=True)
class Quarter:
    """A quarter of the calendar: its first day, and the first day of the next."""

    start: date
    end: date

    @classmethod
    def of(cls, day: date) -> Quarter:
        """The quarter in which ``day`` lies."""
        first = date(day.year, 3 * ((day.month - 1) // 3) + 1, 1)
        following = first + timedelta(days=95)
        return cls(first, date(following.year, following.month, 1))

    @property
    def name(self) -> str:
        return f"{self.start.year}Q{(self.start.month + 2) // 3}"


@dataclass(frozen=True)
class HoldoutInForce:
    """The holdout that the rules named on some day of the quarter."""

    quarter: str
    name: str
    share: float


def run_id(quarter: Quarter) -> str:
    """What a quarter's readout is kept under; no campaign run ends on the name of a quarter."""
    return f"{ARM}@{quarter.name}"


def one_holdout(quarter: str, recorded: Sequence[HoldoutInForce]) -> HoldoutInForce | None:
    """The quarter's holdout; None where it had none, or more than one, so that nobody was withheld all along."""
    found = {one for one in recorded if one.quarter == quarter}
    return found.pop() if len(found) == 1 else None


def why_unread(quarter: str, recorded: Sequence[HoldoutInForce]) -> str:
    """Why a quarter without ``one_holdout`` cannot be read."""
    found = sorted(f"{one.name} ({one.share:.3g})" for one in recorded if one.quarter == quarter)
    if not found:
        return "no global holdout was in force (outreach.holdout in the rules), so that nobody was withheld"
    return f"the holdout changed within it ({', '.join(found)}), so that nobody was withheld all along"


def programme_trial(
    quarter: Quarter,
    cutoff: date,
    scores: pd.DataFrame,
    holdout: HoldoutInForce,
    met: pd.DataFrame,
    *,
    zone: ZoneInfo,
    margin: float,
) -> Trial:
    """The quarter as a trial of everybody scored at ``cutoff``, its first; outcomes are observed to the quarter's end.

    ``met`` is what campaigns did to customers within that time (customer_id, exposed, discount, contact_cost), a row a
    campaign and customer. Who is in the holdout is drawn anew from its name, as campaigns draw it.
    """
    window, before = outcome_windows(cutoff, (quarter.end - cutoff).days, zone)
    ids = scores["customer_id"].tolist()
    held = uniforms(holdout.name, ids) < holdout.share
    totals = met.groupby("customer_id")[["exposed", "discount", "contact_cost"]].sum().reindex(ids, fill_value=0)
    customers = pd.DataFrame(
        {
            "customer_id": ids,
            "arm": np.where(held, CONTROL, ARM),
            "propensity": np.where(held, holdout.share, 1 - holdout.share),
            "chances": None,
            "probability": scores["probability"].to_numpy(float),
            "value": scores["value"].to_numpy(float),
            "tier": scores["tier"].to_numpy(object),
            "persona": None,
            "cost": 0.0,
            "exposed": totals["exposed"].to_numpy(float) > 0,
            "discount": totals["discount"].to_numpy(float),
            "contact_cost": totals["contact_cost"].to_numpy(float),
        }
    )
    return Trial(
        campaign_id=run_id(quarter),
        cutoff=cutoff,
        planned_at=window.start,
        window=window,
        before=before,
        arms={ARM: 0.0},
        margin=margin,
        customers=customers[[*CUSTOMERS]].sort_values("customer_id", ignore_index=True),
    )
