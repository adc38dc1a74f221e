"""A feature engine on a lake in memory: the plain kernel over all customers at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import cached_property
from zoneinfo import ZoneInfo

import pandas as pd

from holdfast.features.catalog import fed_by
from holdfast.features.compute import assemble, kernel
from holdfast.features.log import COLUMNS, Log, arrow
from holdfast.ports import FeatureInputs, FeaturesAsOf, Lake


class FakeFeatureEngine:
    """The FeatureEngine port; ``asked`` holds the cutoffs of every computation.

    ``unchanged`` is what it says when asked about other versions than the present ones.
    """

    def __init__(self, lake: Lake, zone: ZoneInfo, unchanged: datetime | None = None) -> None:
        self._lake = lake
        self._zone = zone
        self._unchanged = unchanged
        self.asked: list[list[date]] = []

    @cached_property
    def _versions(self) -> dict[str, int]:
        return {name: self._lake.version(name) for name in COLUMNS if self._lake.exists(name)}

    def _read(self, table: str) -> pd.DataFrame:
        return self._lake.read(table, version=self._versions[table])

    def inputs(self) -> FeatureInputs:
        filled = [name for name in self._versions if len(self._read(name))]
        types = set(self._read("events")["type"]) if "events" in filled else set()
        return FeatureInputs(self._versions, fed_by(filled, types))

    def unchanged_before(self, versions: Mapping[str, int]) -> datetime | None:
        same = dict(versions) == self._versions
        return datetime.max.replace(tzinfo=UTC) if same else self._unchanged

    def compute(self, cutoffs: Sequence[date]) -> Iterator[FeaturesAsOf]:
        self.asked.append(sorted(cutoffs))
        families = self.inputs().families
        tables = arrow({name: self._read(name) for name in self._versions})
        for day, rows in kernel(Log.build(tables), cutoffs, self._zone, families).items():
            yield FeaturesAsOf(day, assemble([rows], day, self._zone, families))
