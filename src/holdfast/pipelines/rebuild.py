"""Makes a registered model again from nothing but its record: the same data, rules, features and seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from holdfast.errors import ModelError
from holdfast.features.catalog import families_in
from holdfast.features.compute import KEYS, compute
from holdfast.features.fingerprint import fingerprint
from holdfast.features.log import COLUMNS, Log, arrow
from holdfast.features.spec import Family
from holdfast.model import artifacts
from holdfast.model.record import ModelVersion
from holdfast.pipelines.train import Training
from holdfast.ports import Lake, ModelRegistry, Scratch
from holdfast.rules import Rules
from holdfast.windows import instant


@dataclass(frozen=True)
class Rebuilt:
    """What came of it: ``identical`` files, or else the greatest ``difference`` in probability over ``rows`` customers.

    ``other_code`` says that features are computed by other code now than when the model was made.
    """

    version: ModelVersion
    identical: bool
    difference: float
    rows: int
    other_code: bool


@dataclass(frozen=True)
class Rebuild:
    """Writes nothing but to ``scratch``, which nothing else uses; ``studies`` is where searches were kept."""

    lake: Lake
    registry: ModelRegistry
    scratch: Scratch
    studies: Path

    def again(self, version: ModelVersion) -> Rebuilt:
        """Train the version's candidate again as of its cutoff, and compare the two on the latest training cutoff.

        Raises ModelError when the record lacks what is needed, and MissingDataError when the lake has lost a version.
        """
        record = self.registry.record(version)
        rules = Rules.model_validate_json(record.rules)
        lake = _PinnedLake(self.lake, record.lake_versions)
        features = _Recomputed(lake, rules, families_in(version.service.features))
        training = Training(lake, features, self.registry, self.scratch, rules, studies=self.studies)
        prepared = training.prepare(record.cutoff.isoformat())
        model = training.trained(version.candidate, prepared).run.model
        with TemporaryDirectory() as work:
            sha256 = artifacts.save(model, Path(work) / "model")
        rows = self.scratch.read(prepared["path"])
        latest = rows[rows["cutoff"] == rows["cutoff"].max()]
        gap = np.abs(model.probabilities(latest) - self.registry.load(version).probabilities(latest))
        return Rebuilt(
            version, sha256 == version.sha256, float(gap.max()), len(latest), record.feature_code != fingerprint()
        )


@dataclass(frozen=True)
class _PinnedLake:
    """The lake as it was: the tables that features read at their recorded versions. It takes nothing."""

    lake: Lake
    versions: Mapping[str, int]

    def read(
        self,
        table: str,
        columns: Sequence[str] | None = None,
        where: Mapping[str, Sequence[str]] | None = None,
        version: int | None = None,
    ) -> pd.DataFrame:
        return self.lake.read(table, columns, where, self.versions.get(table, version))

    def exists(self, table: str) -> bool:
        return table in self.versions if table in COLUMNS else self.lake.exists(table)

    def version(self, table: str) -> int:
        return self.versions[table] if table in self.versions else self.lake.version(table)

    def append(self, table: str, rows: pd.DataFrame, batches: Sequence[str]) -> int:
        raise ModelError(f"a rebuild writes nothing, but was about to append to {table}")

    def replace(self, table: str, rows: pd.DataFrame, where: Mapping[str, Sequence[str]]) -> None:
        raise ModelError(f"a rebuild writes nothing, but was about to replace rows of {table}")


@dataclass(frozen=True)
class _Recomputed:
    """Features computed from the lake's rows, as the feature store had them."""

    lake: Lake
    rules: Rules
    families: Sequence[Family]

    def lacking(self, cutoffs: Sequence[date]) -> list[date]:
        return []  # each is computed

    def historical(self, entities: pd.DataFrame) -> pd.DataFrame:
        zone = self.rules.shop.zone
        asked = entities["event_timestamp"].drop_duplicates().sort_values()
        days = [at.tz_convert(zone).date() for at in asked]
        if [pd.Timestamp(instant(day, zone)) for day in days] != list(asked):
            raise ModelError("features can be computed again as of midnights of the shop only")
        log = Log.build(arrow({name: self.lake.read(name) for name in COLUMNS if self.lake.exists(name)}))
        wide: pd.DataFrame | None = None
        for rows in compute(log, days, zone, self.families).values():
            wide = rows if wide is None else wide.merge(rows, on=list(KEYS), validate="1:1")
        if wide is None:
            raise ModelError("the version's record names no feature family")
        known = wide.drop(columns="cutoff")
        return entities.merge(known, on=["customer_id", "event_timestamp"], how="left", validate="1:1")
