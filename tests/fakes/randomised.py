"""Randomised customers whose response to treatment is known: simulated, from a seed."""

from __future__ import annotations

import numpy as np
import pandas as pd

from holdfast.effect.randomised import Randomised
from holdfast.model.matrix import Vector

FEATURES = ("moved_by", "level", "noise")


def effect_of(rows: pd.DataFrame, strength: float) -> Vector:
    """What treatment adds to the chance of a good outcome: up for one half of customers, down for the other."""
    return np.asarray(strength * np.sign(rows["moved_by"].to_numpy(float)))


def customers(count: int, seed: int, *, strength: float = 0.2, share: float = 0.5) -> pd.DataFrame:
    """customer_id, ``FEATURES``, arm (mail or control, by ``share``), and ``good``: whether the outcome was good.

    ``level`` moves the outcome and not the effect: whoever is worst off is no better to treat than anybody else.
    """
    rng = np.random.default_rng(seed)
    rows = pd.DataFrame({name: rng.uniform(-1, 1, count) for name in FEATURES})
    treated = rng.random(count) < share
    chance = 0.5 + 0.25 * rows["level"] + treated * effect_of(rows, strength)
    good = (rng.random(count) < chance).astype(float)
    ids = [f"c{i}" for i in range(count)]
    return rows.assign(customer_id=ids, arm=np.where(treated, "mail", "control"), good=good)


def trial(count: int, seed: int, *, strength: float = 0.2, share: float = 0.5, cost: float = 0.0) -> Randomised:
    """The same as what learners take; a good outcome is worth 1."""
    rows = customers(count, seed, strength=strength, share=share)
    return Randomised.of(
        rows,
        features=FEATURES,
        outcome="good",
        chances={"control": np.full(count, 1 - share), "mail": np.full(count, share)},
        binary=True,
        costs={"mail": cost},
    )
