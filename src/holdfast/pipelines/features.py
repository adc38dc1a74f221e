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
from holdfast.ports import FeatureEngine, FeatureInputs, FeaturesAsOf, FeatureStore, Lake, Quality
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


@dataclass(frozen=True)
class Features:
    """``complete_to`` is the day up to (not including) which the lake holds all that happened."""

    engine: FeatureEngine
    lake: Lake
    quality: Quality
    store: FeatureStore
    rules: Rules
    complete_to: date

    def compute(self, cutoff: str) -> dict[str, Any]:
        """Store the features as of ``cutoff`` and of every training cutoff before it.

        What is stored already is computed again only where the lake has changed before that cutoff, or the code or the
        families that are on have. What is declared of the features is expected of those as of ``cutoff``. Returns how
        many customers, features and cutoffs are stored, how many cutoffs were computed for it, and which families are
        off. Raises MissingDataError when the lake is not complete up to ``cutoff`` or knows no purchase before it, and
        QualityError when a feature is not as declared.
        """
        day = date.fromisoformat(cutoff)
        if day > self.complete_to:
            raise MissingDataError(
                f"features as of {day} need all that happened before it, but the lake is complete only up to "
                f"{self.complete_to}. Land the missing days, or choose a cutoff no later than {self.complete_to}."
            )
        training = self.rules.training
        days = sorted({*cutoffs(training.first_cutoff, day, training.step_days), day})
        inputs = self.engine.inputs()
        customers = self._valid(days, inputs)
        new = [one for one in days if one not in customers]
        for found in self.engine.compute(new):
            if found.cutoff == day:
                self._expect(found)
            self.store.write(found.views)
            customers[found.cutoff] = found.customers
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

    def _expect(self, found: FeaturesAsOf) -> None:
        if not found.customers:
            raise MissingDataError(f"no customer has a purchase before {found.cutoff}. Land earlier history first.")
        for view, rows in found.views.items():
            self.quality.check(view, rows, f"features as of {found.cutoff}")

    def materialize(self, cutoff: str, computed: dict[str, Any]) -> dict[str, Any]:
        """Apply the registry and copy the cutoff's features online; ``computed`` passed on with the views' names."""
        views = self.store.apply()
        self.store.materialize(instant(date.fromisoformat(cutoff), self.rules.shop.zone))
        return {**computed, "views": views}

    def _valid(self, days: Sequence[date], inputs: FeatureInputs) -> dict[date, int]:
        """Those of the days whose stored features are what a computation would give now; how many customers each."""
        if not self.lake.exists(COMPUTED):
            return {}
        now = _Basis.of(inputs)
        stored = self.store.stored([family.view for family in inputs.families])
        rows = self.lake.read(COMPUTED, where={"cutoff": [day.isoformat() for day in days]})
        valid = {}
        for text, those in rows.groupby("basis"):
            basis = _Basis.parse(str(text))
            if (basis.fingerprint, basis.families) != (now.fingerprint, now.families):
                continue
            unchanged = self.engine.unchanged_before(dict(basis.versions))
            for cutoff, customers in zip(those["cutoff"], those["customers"], strict=True):
                at = instant(date.fromisoformat(cutoff), self.rules.shop.zone)
                if unchanged is not None and at <= unchanged and cutoff in stored:
                    valid[date.fromisoformat(cutoff)] = int(customers)
        return valid

    def _remember(self, customers: dict[date, int], inputs: FeatureInputs) -> None:
        names = [day.isoformat() for day in customers]
        rows = pd.DataFrame({"cutoff": names, "customers": list(customers.values()), "basis": _Basis.of(inputs).text()})
        self.lake.replace(COMPUTED, rows, where={"cutoff": names})
