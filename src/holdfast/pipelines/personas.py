"""Finding personas anew when the present ones have grown old, and the ones that a cutoff goes by."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pandas as pd

from holdfast import dataset
from holdfast.model.personas import FEWEST, Personas, fit_personas, from_json, to_json
from holdfast.ports import FeatureStore, Lake
from holdfast.rules import Rules

PERSONAS = "personas"
"""The lake table of segmentations, one row a fit: the cutoff it was fitted on, and its JSON."""


def refresh(lake: Lake, store: FeatureStore, rules: Rules, cutoff: str) -> dict[str, Any]:
    """See to it that the cutoff's personas are at most ``scoring.personas_days`` old; says which it goes by.

    They are found anew as well when a feature that they go by is no longer there. A repeated call changes nothing. A
    shop with too few active customers keeps the personas it has, if any.
    """
    day = date.fromisoformat(cutoff)
    rows = dataset.active(store.snapshot(day), rules.population.active_days).sort_values("customer_id")
    fitted_at, present = _fitted_at(lake, cutoff), standing(lake, cutoff)
    usable = fitted_at is not None and present is not None and set(present.features) <= set(rows.columns)
    old = fitted_at is None or date.fromisoformat(fitted_at) <= day - timedelta(days=rules.scoring.personas_days)
    if (old or not usable) and len(rows) >= FEWEST:
        fitted_at, present = cutoff, fit_personas(rows, rules.training.seed, present)
        row = pd.DataFrame({"fitted_at": [cutoff], "personas": [to_json(present)]})
        lake.replace(PERSONAS, row, where={"fitted_at": [cutoff]})
    return {"fitted_at": fitted_at, "personas": [one.id for one in present.personas] if present else []}


def standing(lake: Lake, cutoff: str) -> Personas | None:
    """The personas of the latest fit up to ``cutoff``, if there is one."""
    fitted_at = _fitted_at(lake, cutoff)
    if fitted_at is None:
        return None
    return from_json(str(lake.read(PERSONAS, where={"fitted_at": [fitted_at]})["personas"].iloc[0]))


def _fitted_at(lake: Lake, cutoff: str) -> str | None:
    if not lake.exists(PERSONAS):
        return None
    fits = lake.read(PERSONAS, columns=["fitted_at"])["fitted_at"]
    return max((str(one) for one in fits if one <= cutoff), default=None)
