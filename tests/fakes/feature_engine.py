"""A feature engine on a lake in memory: the plain kernel over all customers at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

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

    def inputs(self) -> FeatureInputs:
        versions = {name: self._lake.version(name) for name in COLUMNS if self._lake.exists(name)}
        filled = [name for name in versions if len(self._lake.read(name))]
        types = set(self._lake.read("events")["type"]) if "events" in filled else set()
        return FeatureInputs(versions, fed_by(filled, types))

    def unchanged_before(self, versions: Mapping[str, int]) -> datetime | None:
        same = dict(versions) == self.inputs().versions
        return datetime.max.replace(tzinfo=UTC) if same else self._unchanged

    def compute(self, cutoffs: Sequence[date]) -> Iterator[FeaturesAsOf]:
        self.asked.append(sorted(cutoffs))
        inputs = self.inputs()
        tables = arrow({name: self._lake.read(name) for name in inputs.versions})
        for day, rows in kernel(Log.build(tables), cutoffs, self._zone, inputs.families).items():
            yield FeaturesAsOf(day, assemble([rows], day, self._zone, inputs.families))
