"""Simulated customers of a known truth, and campaign after campaign that learns from them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from holdfast.campaign.definition import Campaign
from holdfast.effect.closed_loop import Loop, Population
from holdfast.effect.uplift_gate import Terms

FEATURES = ("rhythm", "spend", "browse", "noise", "probability")
MESSAGE = {"channel": "email", "template": "m"}


def population(count: int, seed: int, strength: float = 1.0) -> Population:
    """Persuadable, sure, lost and do-not-disturb customers; who is most at risk is lost, not persuadable."""
    draw = np.random.default_rng(seed)
    columns = pd.DataFrame({name: draw.normal(size=count) for name in FEATURES[:-1]})
    persuadable = columns["rhythm"] + 0.3 * draw.normal(size=count) > 0.6
    disturbed, lost = columns["rhythm"] < -1.0, columns["browse"] > 0
    kinds = [persuadable, disturbed, lost]
    risk = np.select(kinds, [0.45, 0.3, 0.8], default=0.1) + 0.05 * draw.normal(size=count)
    coupon = np.select(kinds, [0.25, -0.12, 0.02], default=0.01)
    reminder = np.select(kinds, [0.1, -0.06, 0.0], default=0.01)
    customers = columns.assign(
        customer_id=[f"c{i}" for i in range(count)],
        probability=np.clip(risk, 0.02, 0.95),
        value=np.exp(3.5 + 0.5 * columns["spend"]),
    )
    return Population(customers, FEATURES, strength * np.column_stack([coupon, reminder]))


def campaign(count: int) -> Campaign:
    """Money for about one coupon in five customers, and messages for four in ten."""
    return Campaign.model_validate(
        {
            "name": "loop",
            "audience": {"tiers": ["high"]},
            "control_share": 0.2,
            "policy": {"by": "uplift", "until": {"by": "random"}, "explore": 0.1},
            "arms": [
                {"name": "coupon", "message": MESSAGE, "cost_per_contact": "1.50"},
                {"name": "reminder", "message": MESSAGE, "cost_per_contact": "0.05"},
            ],
            "budget": {"money": 0.3 * count, "contacts": int(0.4 * count)},
        }
    )


def loop(count: int, seed: int, strength: float = 1.0) -> Loop:
    return Loop(
        population(count, seed, strength),
        campaign(count),
        margin=0.3,
        learners=("s_logistic", "t_logistic", "dr_logistic"),
        terms=Terms(resamples=100, folds=3),
        seed=f"seed {seed}",
    )
