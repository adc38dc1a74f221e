"""Features as of a cutoff and of the training cutoffs before it: offline tables, registry, online store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import pandas as pd

from holdfast.errors import MissingDataError
from holdfast.features.catalog import FAMILIES
from holdfast.features.fingerprint import fingerprint
from holdfast.ports import FeatureEngine, FeatureInputs, FeatureStore, Lake
from holdfast.rules import Rules
from holdfast.windows import cutoffs, instant

COMPUTED = "feature_cutoffs"
"""Lake table with one row for every cutoff whose features are stored: how many customers, and what they rest on."""


@dataclass(frozen=True)
class _Basis:
    """What stored features rest on: the code, the families that were on, and the lake's versions."""

    fingerprint: str
    families: tuple[str, ...]
    versions: tuple[tuple[str, int], ...]

    @classmethod
    def of(cls, inputs: FeatureInputs) -> _Basis:
        families = tuple(family.name for family in inputs.families)
        return cls(fingerprint(), families, tuple(sorted(inputs.versions.items())))

    def text(self) -> str:
        return json.dumps([self.fingerprint, self.families, self.versions])

    @classmethod
    def parse(cls, text: str) -> _Basis:
        code, families, versions = json.loads(text)
        return cls(code, tuple(families), tuple((name, version) for name, version in versions))


class Features:
    """``complete_to`` is the day up to (not including) which the lake holds all that happened."""

    def __init__(self, engine: FeatureEngine, lake: Lake, store: FeatureStore, rules: Rules, complete_to: date) -> None:
        self._engine = engine
        self._lake = lake
        self._store = store
        self._rules = rules
        self._complete_to = complete_to

    def compute(self, cutoff: str) -> dict[str, Any]:
        """Store the features as of ``cutoff`` and of every training cutoff before it.

        What is stored already is computed again only where the lake has changed before that cutoff, or the code or the
        families that are on have. Returns how many customers, features and cutoffs are stored, how many cutoffs were
        computed for it, and which families are off. Raises MissingDataError when the lake is not complete up to
        ``cutoff`` or knows no purchase before it.
        """
        day = date.fromisoformat(cutoff)
        if day > self._complete_to:
            raise MissingDataError(
                f"features as of {day} need all that happened before it, but the lake is complete only up to "
                f"{self._complete_to}. Land the missing days, or choose a cutoff no later than {self._complete_to}."
            )
        training = self._rules.training
        days = sorted({*cutoffs(training.first_cutoff, day, training.step_days), day})
        inputs = self._engine.inputs()
        customers = self._valid(days, inputs)
        new = [one for one in days if one not in customers]
        for found in self._engine.compute(new):
            self._store.write(found.views)
            customers[found.cutoff] = max(len(rows) for rows in found.views.values())
        if not customers[day]:
            raise MissingDataError(f"no customer has a purchase before {day}. Land earlier history first.")
        self._remember(customers, inputs)
        on = {family.name for family in inputs.families}
        return {
            "cutoff": cutoff,
            "customers": customers[day],
            "features": sum(len(family.features) for family in inputs.families),
            "cutoffs": len(days),
            "computed": len(new),
            "off": [family.name for family in FAMILIES if family.name not in on],
        }

    def materialize(self, cutoff: str, computed: dict[str, Any]) -> dict[str, Any]:
        """Apply the registry and copy the cutoff's features online; ``computed`` passed on with the views' names."""
        views = self._store.apply()
        self._store.materialize(instant(date.fromisoformat(cutoff), self._rules.shop.zone))
        return {**computed, "views": views}

    def _valid(self, days: Sequence[date], inputs: FeatureInputs) -> dict[date, int]:
        """Those of the days whose stored features are what a computation would give now; how many customers each."""
        if not self._lake.exists(COMPUTED):
            return {}
        now = _Basis.of(inputs)
        stored = self._store.stored([family.view for family in inputs.families])
        rows = self._lake.read(COMPUTED, where={"cutoff": [day.isoformat() for day in days]})
        valid = {}
        for text, those in rows.groupby("basis"):
            basis = _Basis.parse(str(text))
            if (basis.fingerprint, basis.families) != (now.fingerprint, now.families):
                continue
            unchanged = self._engine.unchanged_before(dict(basis.versions))
            for cutoff, customers in zip(those["cutoff"], those["customers"], strict=True):
                at = instant(date.fromisoformat(cutoff), self._rules.shop.zone)
                if unchanged is not None and at <= unchanged and cutoff in stored:
                    valid[date.fromisoformat(cutoff)] = int(customers)
        return valid

    def _remember(self, customers: dict[date, int], inputs: FeatureInputs) -> None:
        names = [day.isoformat() for day in customers]
        rows = pd.DataFrame({"cutoff": names, "customers": list(customers.values()), "basis": _Basis.of(inputs).text()})
        self._lake.replace(COMPUTED, rows, where={"cutoff": names})
