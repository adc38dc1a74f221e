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

    A repeated call changes nothing. A shop with too few active customers keeps the personas it has, if any.
    """
    oldest = date.fromisoformat(cutoff) - timedelta(days=rules.scoring.personas_days)
    fitted_at = _fitted_at(lake, cutoff)
    if fitted_at is None or date.fromisoformat(fitted_at) <= oldest:
        rows = dataset.active(store.snapshot(date.fromisoformat(cutoff)), rules.population.active_days)
        if len(rows) >= FEWEST:
            found = fit_personas(rows, rules.training.seed, standing(lake, cutoff))
            row = pd.DataFrame({"fitted_at": [cutoff], "personas": [to_json(found)]})
            lake.replace(PERSONAS, row, where={"fitted_at": [cutoff]})
            fitted_at = cutoff
    present = standing(lake, cutoff)
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
