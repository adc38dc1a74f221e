"""Trials with a known truth, drawn from a seed: simulated customers who order, and what treatment does to them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from holdfast.effect.trial import CUSTOMERS, Trial, outcome_windows

ZONE = ZoneInfo("UTC")
CUTOFF = date(2018, 3, 5)
NOBODY = pd.DataFrame({"campaign_id": [], "customer_id": []})


def trial(customers: pd.DataFrame, days: int = 28, margin: float = 0.3, cost: float = 0.1, **changes: object) -> Trial:
    """A trial of customers with arm, propensity, and whatever else of ``CUSTOMERS`` they have."""
    window, before = outcome_windows(CUTOFF, days, ZONE)
    rows = customers.copy()
    rows["exposed"] = rows.get("exposed", rows["arm"] != "control")
    for name, value in {
        "chances": None,
        "probability": np.nan,
        "value": np.nan,
        "tier": "high",
        "persona": None,
        "cost": 0.0,
    }.items():
        rows[name] = rows.get(name, value)
    rows["discount"] = rows.get("discount", 0.0)
    rows["contact_cost"] = np.where(rows["exposed"], cost, 0.0)
    given = {
        "campaign_id": "win_back@2018-03-05",
        "cutoff": CUTOFF,
        "planned_at": datetime(2018, 3, 5, 9, tzinfo=UTC),
        "window": window,
        "before": before,
        "arms": dict.fromkeys(sorted(set(rows["arm"]) - {"control"}), cost),
        "margin": margin,
        "customers": rows[[*CUSTOMERS]],
    }
    return Trial(**(given | changes))


def simulated(
    seed: int,
    *,
    customers: int = 2_000,
    control_share: float = 0.2,
    effect: float = 0.0,
    days: int = 28,
    explored: bool = False,
) -> tuple[Trial, pd.DataFrame]:
    """A simulated trial and its results: customers order by rates of their own; treatment adds ``effect`` to retention.

    With ``explored``, how likely a customer is treated depends on the churn probability, as a policy's draw may.
    """
    draw = np.random.default_rng(seed)
    rate = draw.gamma(0.7, 0.06, customers)
    stays = 1 - np.exp(-rate * days)
    propensity = (
        np.clip(1 - control_share - 0.6 * stays, 0.2, 0.9) if explored else np.full(customers, 1 - control_share)
    )
    treated = draw.random(customers) < propensity
    first = draw.exponential(1 / rate)
    # Of those who would stay away, treatment brings back as many as make up the effect over all customers.
    persuaded = (first >= days) & (draw.random(customers) < effect / (1 - stays.mean()))
    first = np.where(persuaded & treated, draw.uniform(0, days, customers), first)
    retained = (first < days).astype(float)
    orders = retained * (1 + draw.poisson(rate * days / 2))
    revenue = orders * draw.lognormal(3, 0.6, customers)
    before = draw.poisson(rate * days).astype(float)
    rows = pd.DataFrame(
        {
            "customer_id": [f"{i:06}" for i in range(customers)],
            "arm": np.where(treated, "treatment", "control"),
            "propensity": np.where(treated, propensity, 1 - propensity),
            "probability": np.clip(1 - stays + draw.normal(0, 0.05, customers), 0.01, 0.99),
            "value": 20 * rate * days,
        }
    )
    of = trial(rows, days=days)
    outcomes = pd.DataFrame(
        {
            "customer_id": rows["customer_id"],
            "retained": retained,
            "orders": orders,
            "revenue": revenue,
            "margin": of.margin * revenue,
            "visited": 0.0,
            "days_to_order": np.where(retained > 0, first, np.nan),
            "retained_before": (before > 0).astype(float),
            "orders_before": before,
            "revenue_before": before * 20.0,
            "visited_before": 0.0,
        }
    )
    return of, of.results(outcomes)
