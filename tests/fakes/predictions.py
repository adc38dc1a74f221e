"""Predictions of a model, and what then happened."""

from __future__ import annotations

import numpy as np
import pandas as pd


def customers(count: int = 400, seed: int = 3) -> pd.DataFrame:
    """Predictions of one cutoff that are right about the rates, with ties."""
    draw = np.random.default_rng(seed)
    probability = np.round(draw.beta(1, 5, count), 2)
    return pd.DataFrame(
        {
            "customer_id": [f"c{i}" for i in range(count)],
            "cutoff": "2017-09-03",
            "churned": (draw.uniform(size=count) < probability).astype(int),
            "probability": probability,
            "order_count": draw.integers(1, 15, count).astype(float),
        }
    )
