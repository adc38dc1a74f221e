"""The feature kernel on this machine: parts of the customers in processes of their own, and only what is new.

Between runs the sorted log of each part is kept (``feature_state``). A run takes everybody from these logs but the
customers with new rows, whose few events it sorts anew together with the new ones; so the features as of one more
cutoff cost little more than looking them up.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from holdfast.adapters import feature_changes, feature_state
from holdfast.adapters.feature_changes import Added, added, versions_now
from holdfast.adapters.lake import DeltaLake
from holdfast.features.catalog import FAMILIES, fed_by
from holdfast.features.compute import CUSTOMER, assemble, kernel, merged
from holdfast.features.fingerprint import fingerprint
from holdfast.features.log import COLUMNS, Log
from holdfast.features.partition import partition_of
from holdfast.ports import FeatureInputs, FeaturesAsOf

ROWS_PER_PART = 4_000_000
"""About how many rows make a part: a process holds one part at a time, in some 0.6 GB."""

_NEW_SHARE = 0.1
"""From this share of new rows on, logs are built anew."""


@dataclass(frozen=True)
class _Manifest:
    """What the kept state was made of: the code, the lake's versions, and per table how many rows it held."""

    fingerprint: str
    versions: dict[str, int]
    rows: dict[str, int]
    event_types: list[str]
    parts: int


@dataclass(frozen=True)
class _State:
    """The kept state, and what the lake holds beyond it."""

    manifest: _Manifest
    added: Added


@dataclass(frozen=True)
class _Asked:
    """A computation: cutoffs, the shop's zone, families by name, and the folder for the parts' files by cutoff."""

    days: Sequence[date]
    zone: ZoneInfo
    families: Sequence[str]
    out: Path


class LocalEngine:
    """The FeatureEngine port. ``home`` is its own folder; ``workers`` is the number of processes at a time."""

    def __init__(
        self, lake: DeltaLake, zone: ZoneInfo, home: Path, workers: int, rows_per_part: int = ROWS_PER_PART
    ) -> None:
        self._lake = lake
        self._zone = zone
        self._home = home
        self._workers = workers
        self._rows_per_part = rows_per_part

    @cached_property
    def _versions(self) -> dict[str, int]:
        return versions_now(self._lake)

    @cached_property
    def _state(self) -> _State:
        """The state on disk, if the lake differs from it by a few new rows only; else one built anew."""
        kept = self._kept()
        if kept is not None and kept.fingerprint == fingerprint():
            new = added(self._lake, kept.versions, self._versions)
            if new is not None and len(new) <= _NEW_SHARE * sum(kept.rows.values()):
                return _State(kept, new)
        return _State(self._build(), Added({}))

    def inputs(self) -> FeatureInputs:
        manifest, new = self._state.manifest, self._state.added.rows
        tables = {name for name, rows in manifest.rows.items() if rows} | set(new)
        types = {*manifest.event_types, *(new["events"]["type"].unique().to_pylist() if "events" in new else [])}
        return FeatureInputs(self._versions, fed_by(tables, types))

    def unchanged_before(self, versions: Mapping[str, int]) -> datetime | None:
        return feature_changes.unchanged_before(self._lake, versions, self._versions)

    def compute(self, cutoffs: Sequence[date]) -> Iterator[FeaturesAsOf]:
        days, families = sorted(set(cutoffs)), self.inputs().families
        if not days:
            return
        out = self._home / f"run-{os.getpid()}"
        asked = _Asked(days, self._zone, [family.name for family in families], out)
        try:
            self._each(_run, [(part, asked, new) for part, new in self._shares(self._state).items()])
            for day in days:
                parts = [feature_state.read(path) for path in sorted((out / day.isoformat()).iterdir())]
                yield FeaturesAsOf(day, assemble(parts, day, self._zone, families))
                shutil.rmtree(out / day.isoformat())
        finally:
            shutil.rmtree(out, ignore_errors=True)
            if "_pool" in vars(self):
                vars(self).pop("_pool").shutdown()

    def _shares(self, state: _State) -> dict[Path, dict[str, pa.Table]]:
        """The new rows of each part's customers."""
        folders = _folders(self._current, state.manifest.parts)
        shares: dict[Path, dict[str, pa.Table]] = {folder: {} for folder in folders}
        rows = dict(state.added.rows)
        lines, products = rows.pop("order_lines", None), rows.pop("products", None)
        for name, table in rows.items():
            own = partition_of(table[CUSTOMER].combine_chunks(), len(folders))
            for number, share in enumerate(shares.values()):
                share[name] = table.filter(pa.array(own == number))
        for share in shares.values():
            if lines is not None and "orders" in share:
                ids = share["orders"]["order_id"].combine_chunks()
                share["order_lines"] = lines.filter(pc.is_in(lines["order_id"], value_set=ids))
            if products is not None:
                share["products"] = products
        return shares

    def _kept(self) -> _Manifest | None:
        try:
            return _Manifest(**json.loads((self._current / "manifest.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def _build(self) -> _Manifest:
        """Split the lake's rows by customer, sort each part, and put the result in the place of the kept state."""
        counts = {name: self._lake.rows(name, version) for name, version in self._versions.items()}
        parts = max(math.ceil(sum(counts.values()) / self._rows_per_part), 1)
        if parts > 1:
            parts = math.ceil(parts / self._workers) * self._workers  # so that all processes end at about one time
        aside = self._home / f"state-{os.getpid()}"
        shutil.rmtree(aside, ignore_errors=True)
        folders = _folders(aside, parts)
        types: set[str] = set()
        with _few_threads():
            tables = {name: self._scan(name, types) for name in self._versions}
            rows = feature_state.split(tables, folders)
        self._each(_build, [(folder,) for folder in folders])
        manifest = _Manifest(fingerprint(), self._versions, rows, sorted(types), parts)
        (aside / "manifest.json").write_text(json.dumps(asdict(manifest)), encoding="utf-8")
        shutil.rmtree(self._current, ignore_errors=True)
        aside.rename(self._current)
        return manifest

    def _scan(self, name: str, types: set[str]) -> Iterable[pa.RecordBatch]:
        for batch in self._lake.scan(name, COLUMNS[name], self._versions[name]):
            if name == "events":
                types.update(batch["type"].unique().to_pylist())
            yield batch

    def _each(self, work: Callable[..., None], tasks: Sequence[tuple[object, ...]]) -> None:
        if min(self._workers, len(tasks)) == 1:
            for task in tasks:
                work(*task)
            return
        for done in [self._pool.submit(work, *task) for task in tasks]:
            done.result()

    @cached_property
    def _pool(self) -> ProcessPoolExecutor:
        """Started once, since a process takes longer to import its libraries than to compute a small part.

        Not forked: a fork inherits locks that this process's threads may hold.
        """
        return ProcessPoolExecutor(self._workers, mp_context=multiprocessing.get_context("spawn"))

    @property
    def _current(self) -> Path:
        return self._home / "state"


def _folders(root: Path, parts: int) -> list[Path]:
    return [root / f"part-{number:03}" for number in range(parts)]


def _build(part: Path) -> None:
    with _few_threads():
        feature_state.build(part)


def _run(part: Path, asked: _Asked, new: Mapping[str, pa.Table]) -> None:
    """The part's features, one file a cutoff: of most customers from the kept log, of those with new rows anew."""
    days, zone = asked.days, asked.zone
    families = [family for family in FAMILIES if family.name in asked.families]
    with _few_threads():
        log = feature_state.log_of(part)
        fresh = Added(new).customers
        skip = pc.is_in(log.customers, value_set=fresh).to_numpy(zero_copy_only=False) if len(fresh) else None
        found = [kernel(log, days, zone, families, skip)]
        if len(fresh):
            kept = feature_state.rows_of(part, fresh)
            found.append(kernel(Log.build(feature_state.joined(kept, new)), days, zone, families))
        for day in days:
            rows = merged([tables[day] for tables in found])
            feature_state.write(asked.out / day.isoformat() / f"{part.name}.arrow", rows)


@contextmanager
def _few_threads() -> Iterator[None]:
    """Processes are what runs side by side here; Arrow's own threads would only get in their way."""
    threads = pa.cpu_count()
    pa.set_cpu_count(1)
    try:
        yield
    finally:
        pa.set_cpu_count(threads)
