"""The features that a cutoff's customers are scored on, against those that the champion learned from last."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import date, timedelta
from typing import Any

import pandas as pd

from holdfast import dataset
from holdfast.errors import MissingDataError
from holdfast.features.catalog import families_in
from holdfast.monitoring.drift import Drift, Level, drift
from holdfast.ports import FeatureStore, Lake, ModelRegistry
from holdfast.rules import Rules

DRIFT = "drift"
"""The lake table of comparisons, one row per cutoff and feature; ``reference`` is the cutoff compared with."""


@dataclass(frozen=True)
class DriftWatch:
    """Compares and records; it stops nothing, for a shop's seasons move its features every year."""

    lake: Lake
    store: FeatureStore
    registry: ModelRegistry
    rules: Rules

    def compare(self, cutoff: str) -> dict[str, Any]:
        """Compare the active customers of the cutoff with those of the champion's last training cutoff.

        Returns the cutoff compared with and the features that moved, by level. Raises MissingDataError when there is
        no champion, or no features of one of the cutoffs.
        """
        champion = self.registry.aliased("champion")
        if champion is None:
            raise MissingDataError("no model is champion yet. Run the train DAG first.")
        reference = champion.trained_to - timedelta(days=self.rules.label.horizon_days)
        then, now = self._active(reference), self._active(date.fromisoformat(cutoff))
        shared = [feature for family in families_in(then) for feature in family.features if feature.name in now]
        found = drift(then, now, shared)
        rows = pd.DataFrame([asdict(one) for one in found]).assign(cutoff=cutoff, reference=reference.isoformat())
        self.lake.replace(DRIFT, rows.astype({"level": str}), where={"cutoff": [cutoff]})
        return {
            "cutoff": cutoff,
            "reference": reference.isoformat(),
            "features": len(found),
            "major": [one.feature for one in found if one.level is Level.MAJOR],
            "moderate": [one.feature for one in found if one.level is Level.MODERATE],
        }

    def _active(self, cutoff: date) -> pd.DataFrame:
        rows = dataset.active(self.store.snapshot(cutoff), self.rules.population.active_days)
        if rows.empty:
            raise MissingDataError(f"no customer is active at {cutoff}, so there is nobody to compare.")
        return rows


def drifted(lake: Lake, cutoff: str) -> list[Drift]:
    """The features that had moved at this cutoff, the furthest first; none where nothing was compared."""
    if not lake.exists(DRIFT):
        return []
    names = [one.name for one in fields(Drift)]
    rows = lake.read(DRIFT, names, where={"cutoff": [cutoff]})
    found = [Drift(*row) for row in rows.assign(level=rows["level"].map(Level))[names].itertuples(index=False)]
    return sorted((one for one in found if one.level is not Level.STABLE), key=lambda one: (-one.index, one.feature))
