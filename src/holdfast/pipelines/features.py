"""Features as of a cutoff and of the training cutoffs before it: offline tables, registry, online store."""

from __future__ import annotations

from datetime import date
from typing import Any

from holdfast.errors import MissingDataError
from holdfast.features.catalog import FEATURE_NAMES
from holdfast.features.compute import compute
from holdfast.features.log import Log
from holdfast.pipelines import canonical
from holdfast.ports import FeatureStore, Lake
from holdfast.rules import Rules
from holdfast.windows import cutoffs, instant


class Features:
    """``complete_to`` is the day up to (not including) which the lake holds all that happened."""

    def __init__(self, lake: Lake, store: FeatureStore, rules: Rules, complete_to: date) -> None:
        self._lake = lake
        self._store = store
        self._rules = rules
        self._complete_to = complete_to

    def compute(self, cutoff: str) -> dict[str, Any]:
        """Compute and store; returns how many customers, features and cutoffs were written.

        Raises MissingDataError when the lake is not complete up to ``cutoff`` or knows no purchase before it.
        """
        day = date.fromisoformat(cutoff)
        if day > self._complete_to:
            raise MissingDataError(
                f"features as of {day} need all that happened before it, but the lake is complete only up to "
                f"{self._complete_to}. Land the missing days, or choose a cutoff no later than {self._complete_to}."
            )
        training = self._rules.training
        days = sorted({*cutoffs(training.first_cutoff, day, training.step_days), day})
        log = Log.build(
            self._lake.read("orders"),
            self._lake.read("order_lines"),
            canonical.read(self._lake, "products"),
            canonical.read(self._lake, "redemptions"),
        )
        tables = compute(log, days, self._rules.shop.zone)
        self._store.write(tables)
        present = [int((rows["cutoff"] == cutoff).sum()) for rows in tables.values()]
        if not present or not present[0]:
            raise MissingDataError(f"no customer has a purchase before {day}. Land earlier history first.")
        return {
            "cutoff": cutoff,
            "customers": present[0],
            "features": len(FEATURE_NAMES),
            "cutoffs": len(days),
            "rows": int(sum(len(rows) for rows in tables.values())),
        }

    def materialize(self, cutoff: str, computed: dict[str, Any]) -> dict[str, Any]:
        """Apply the registry and copy the cutoff's features online; ``computed`` passed on with the views' names."""
        views = self._store.apply()
        self._store.materialize(instant(date.fromisoformat(cutoff), self._rules.shop.zone))
        return {**computed, "views": views}
