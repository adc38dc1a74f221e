"""Landing files into the lake: accepted rows to their tables, rejected ones to quarantine, every file to the ledger."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import groupby
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa

from holdfast import mapping
from holdfast.contract import BATCH, REJECTED, REPEATABLE, WITHHELD, RowRule, check, no_rejections, remedy
from holdfast.errors import BatchRefusedError, MissingDataError, QualityError, SourceError
from holdfast.ports import FileContent, Lake, Landing, Quality, Vault
from holdfast.schemas import TABLES, Home, Table
from holdfast.windows import instant

LEDGER = "batches"
"""Lake table with one row for every landing file that was dealt with.

``batch`` is the identity of the file's content. A refused or repeated file is entered as ``<identity>@<path>``, so
that it never passes for an accepted one.
"""

QUARANTINE = "quarantine"
"""Lake table of rejected rows and refused files, with the columns ``contract.REJECTED``."""

_COUNTS = ("accepted", "rejected", "duplicates")
"""Rows of canonical tables in the ledger: accepted; in quarantine; and those of the latter that repeat another row."""

_LEDGER_COLUMNS = [BATCH, "file", "day", "status", "reason", "rows", *_COUNTS, "tables"]

_FEW_DAYS = 7
"""Up to so many pending days each makes a shard of its own; more are taken together by calendar month."""


@dataclass(frozen=True)
class _Entry:
    """A landing file and what became of it, for the ledger."""

    batch: str
    file: str
    day: date
    status: Literal["accepted", "refused", "repeated"]
    reason: str | None = None
    rows: int = 0


@dataclass
class _Shard:
    """What one run has read and decided, before anything is written."""

    entries: list[_Entry] = field(default_factory=list)
    texts: dict[str, list[pa.Table]] = field(default_factory=dict)
    accepted: dict[str, pd.DataFrame] = field(default_factory=dict)
    rejected: list[pd.DataFrame] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The landing days that it spans."""
        days = [entry.day for entry in self.entries if entry.status == "accepted"]
        return f"{min(days)}" if min(days) == max(days) else f"{min(days)} to {max(days)}"

    def keys(self, table: Table) -> set[str]:
        """Keys of the table's rows accepted so far."""
        return set(self.accepted[table.name][table.key[0]]) if table.name in self.accepted else set()

    def quarantine(self) -> pd.DataFrame:
        """Rejected rows and refused files."""
        parts = [part for part in self.rejected if not part.empty]
        return pd.concat(parts, ignore_index=True) if parts else no_rejections()

    def ledger(self) -> pd.DataFrame:
        """One row a file: what became of it, and its rows in canonical tables by outcome."""
        accepted: dict[str, dict[str, int]] = {entry.batch: {} for entry in self.entries}
        for name, rows in self.accepted.items():
            for batch, count in rows[BATCH].value_counts().items():
                accepted[str(batch)][name] = int(count)
        rejected = self.quarantine()
        rejected = rejected[rejected["row"].notna()]
        duplicates = rejected[rejected["rule"] == str(RowRule.DUPLICATE)]
        return pd.DataFrame(
            [
                {
                    BATCH: entry.batch,
                    "file": entry.file,
                    "day": str(entry.day),
                    "status": entry.status,
                    "reason": entry.reason,
                    "rows": entry.rows,
                    "accepted": sum(accepted[entry.batch].values()),
                    "rejected": int((rejected[BATCH] == entry.batch).sum()),
                    "duplicates": int((duplicates[BATCH] == entry.batch).sum()),
                    "tables": json.dumps(accepted[entry.batch], sort_keys=True),
                }
                for entry in self.entries
            ],
            columns=_LEDGER_COLUMNS,
        )


class Ingest:
    """Takes shards of landing files through contract and expectations into the lake and the vault.

    Shards go in oldest first, since a row may refer to one that landed earlier. Running a shard again, after success
    or after a crash at any point, adds nothing twice: every table knows the batches it holds, and the ledger, by which
    a file counts as dealt with, is written last.
    """

    def __init__(
        self, *, landing: Landing, source: mapping.Mapping, zone: ZoneInfo, lake: Lake, vault: Vault, quality: Quality
    ) -> None:
        self._landing = landing
        self._source = source
        self._zone = zone
        self._lake = lake
        self._vault = vault
        self._quality = quality

    def pending(self) -> list[list[str]]:
        """Paths of the landing files not dealt with yet, in shards of whole landing days, oldest first."""
        done = _done(self._ledger())
        paths = [path for path in self._landed() if (self._landing.batch(path), path) not in done]
        days = {path: self._day(path) for path in paths}

        def shard(path: str) -> str:
            day = f"{days[path]}"
            return day if len(set(days.values())) <= _FEW_DAYS else day[: len("2017-01")]

        return [list(group) for _, group in groupby(paths, key=shard)]

    def drain(self) -> list[dict[str, Any]]:
        """Run every pending shard, oldest first, and return their results; empty when nothing had landed.

        When one fails, those before it are stored, and a repeated call goes on from there.
        """
        return [self.run(shard) for shard in self.pending()]

    def run(self, shard: Sequence[str]) -> dict[str, Any]:
        """Check and store the files of one shard; returns counts, and the reasons of refused files.

        Files that the ledger knows are passed over. Raises MissingDataError when files of earlier days are still
        pending, and QualityError, with nothing stored, when accepted rows break an expectation.
        """
        ledger = self._ledger()
        self._refuse_to_run_early(shard, ledger)
        decided = self._read(shard, ledger)
        for table in TABLES.values():
            if table.name in decided.texts:
                self._check(table, decided)
        self._expect(decided)
        return self._store(decided)

    def finish(self, results: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Add up the shards' results and bring Data Docs up to date.

        Raises BatchRefusedError naming every refused file, its place and remedy; all other files are stored by then.
        """
        results = list(results)
        docs = self._quality.publish()
        refused = [reason for result in results for reason in result["refused"]]
        if refused:
            raise BatchRefusedError(
                f"{len(refused)} landing file(s) refused, everything else is stored. Mend them and land them again:\n"
                + "\n".join(refused)
            )
        tables: Counter[str] = Counter()
        for result in results:
            tables.update(result["tables"])
        totals = {name: sum(result[name] for result in results) for name in ("files", *_COUNTS)}
        return {**totals, "tables": dict(tables), "data_docs": str(docs)}

    def complete_to(self) -> date:
        """The day up to (not including) which data are complete: the day after the last accepted landing day.

        Raises MissingDataError when nothing has been accepted yet.
        """
        ledger = self._ledger()
        days = ledger.loc[ledger["status"] == "accepted", "day"]
        if days.empty:
            raise MissingDataError("no landing file has been accepted yet. Land files and run ingest first.")
        return date.fromisoformat(days.max()) + timedelta(days=1)

    def _ledger(self) -> pd.DataFrame:
        columns = [BATCH, "file", "day", "status"]
        return self._lake.read(LEDGER, columns) if self._lake.exists(LEDGER) else pd.DataFrame(columns=columns)

    def _landed(self) -> list[str]:
        return sorted(self._landing.paths(), key=lambda path: (self._day(path), path))

    def _day(self, path: str) -> date:
        """The landing day; a file that belongs nowhere comes before all others, to be refused."""
        try:
            return self._source.place(path).day
        except SourceError:
            return date.min

    def _refuse_to_run_early(self, shard: Sequence[str], ledger: pd.DataFrame) -> None:
        start = min((self._day(path) for path in shard), default=date.min)
        known = {*ledger["file"], *shard}
        earlier = [path for path in self._landed() if path not in known and date.min < self._day(path) < start]
        if earlier:
            raise MissingDataError(
                f"{earlier[0]} is still pending and of an earlier day than this shard ({start}), whose rows may refer "
                "to it. Run the earlier shard first."
            )

    def _read(self, shard: Sequence[str], ledger: pd.DataFrame) -> _Shard:
        done = _done(ledger)
        accepted = set(ledger.loc[ledger["status"] == "accepted", BATCH])
        decided = _Shard()
        for path in sorted(shard, key=lambda path: (self._day(path), path)):
            batch = self._landing.batch(path)
            if (batch, path) in done:
                continue
            try:
                entry = self._read_file(path, batch, decided, repeated=batch in accepted)
            except SourceError as error:
                entry = _Entry(f"{batch}@{path}", path, self._day(path), "refused", reason=str(error))
                decided.rejected.append(_refusal(entry))
            decided.entries.append(entry)
            accepted.add(entry.batch)
        return decided

    def _read_file(self, path: str, batch: str, decided: _Shard, *, repeated: bool) -> _Entry:
        """Put the file's mapped text into ``decided``. Raises SourceError before anything is put there."""
        place = self._source.place(path)
        if repeated:
            return _Entry(f"{batch}@{path}", path, place.day, "repeated", reason="ingested under another path")
        content = self._landing.read(path, place.input.format)
        mapped = mapping.apply(place.input, content.rows, path, self._source.currency)
        latest = instant(place.day + timedelta(days=1), self._zone)
        provenance = {
            BATCH: pa.scalar(batch),
            "file": pa.scalar(path),
            "zone": pa.scalar(place.input.times, pa.string()),
            "latest": pa.scalar(latest, pa.timestamp("us", tz="UTC")),
        }
        for name, rows in mapped.tables.items():
            repeatable = pa.scalar(name in mapped.repeatable)
            for column, value in (provenance | {REPEATABLE: repeatable}).items():
                rows = rows.append_column(column, pa.repeat(value, rows.num_rows))  # noqa: PLW2901
            decided.texts.setdefault(name, []).append(rows)
        decided.rejected += [_broken(content, batch, path), _excluded(mapped, batch, path)]
        return _Entry(batch, path, place.day, "accepted", rows=content.rows.num_rows + len(content.broken))

    def _check(self, table: Table, decided: _Shard) -> None:
        rows = pa.concat_tables(decided.texts[table.name], promote_options="default")
        known, stored = {}, {}
        for column in table.columns:
            if column.references is not None:
                reference = TABLES[column.references]
                stored[column.name] = self._stored_keys(reference, _distinct(rows[column.name]))
                known[column.name] = stored[column.name] | decided.keys(reference)
        checked = check(table, rows, known, self._held(table, rows, stored))
        decided.accepted[table.name] = checked.accepted
        decided.rejected.append(checked.rejected)

    def _stored_keys(self, table: Table, wanted: Set[str]) -> set[str]:
        """Those of the wanted keys that the lake holds."""
        if not self._lake.exists(table.name):
            return set()
        key = table.key[0]
        return set(self._lake.read(table.name, [key], {key: list(wanted)})[key])

    def _held(self, table: Table, rows: pa.Table, stored: Mapping[str, Set[str]]) -> pd.DataFrame:
        """Rows in the lake that may have a key of ``rows``; ``stored`` as from ``_stored_keys``, by column.

        A row whose first key column refers to another table can only be held where that table holds the reference.
        """
        first = table.key[0]
        wanted = stored[first] if first in stored else _distinct(rows[first])
        columns = [*table.names, BATCH]
        if table.home is Home.VAULT or not wanted or not self._lake.exists(table.name):
            return pd.DataFrame(columns=columns)
        return self._lake.read(table.name, columns, {first: list(wanted)})

    def _expect(self, decided: _Shard) -> None:
        try:
            for name, rows in decided.accepted.items():
                if TABLES[name].home is Home.LAKE and not rows.empty:
                    self._quality.check(name, rows, decided.name)
        except QualityError:
            self._quality.publish()
            raise

    def _store(self, decided: _Shard) -> dict[str, Any]:
        """Write tables, then quarantine, then ledger: a crash in between leaves the files pending, to be run again."""
        batches = [entry.batch for entry in decided.entries]
        for name, rows in decided.accepted.items():
            store = self._vault if TABLES[name].home is Home.VAULT else self._lake
            if not rows.empty:
                store.append(name, rows, batches)
        ledger = decided.ledger()
        for name, rows in ((QUARANTINE, decided.quarantine()), (LEDGER, ledger)):
            if not rows.empty:
                self._lake.append(name, rows, batches)
        return {
            "files": len(ledger),
            **{name: int(ledger[name].sum()) for name in _COUNTS},
            "tables": {name: len(rows) for name, rows in decided.accepted.items()},
            "refused": [entry.reason for entry in decided.entries if entry.status == "refused"],
        }


def _done(ledger: pd.DataFrame) -> set[tuple[str, str]]:
    """Content identity and path of every file that was dealt with."""
    return {(batch.partition("@")[0], file) for batch, file in zip(ledger[BATCH], ledger["file"], strict=True)}


def _distinct(values: pa.ChunkedArray) -> set[str]:
    return set(values.unique().drop_null().to_pylist())


def _refusal(entry: _Entry) -> pd.DataFrame:
    """The quarantine's row for a file refused as a whole."""
    one: dict[str, Any] = {BATCH: entry.batch, "file": entry.file, "row": None, "table": None, "field": None}
    one |= {"rule": "file refused", "value": None}
    one |= {"remedy": entry.reason, "deliberate": False}
    return pd.DataFrame([one], columns=list(REJECTED)).astype({"row": "Int64"})


def _broken(content: FileContent, batch: str, path: str) -> pd.DataFrame:
    """The quarantine's rows for rows that could not be read into columns."""
    whole: dict[str, Any] = {BATCH: batch, "file": path, "table": None, "field": None, "deliberate": False}
    rows = [
        whole | {"row": one.row, "rule": str(one.rule), "value": one.found, "remedy": remedy(one.rule)}
        for one in content.broken
    ]
    return pd.DataFrame(rows, columns=list(REJECTED)).astype({"row": "Int64"})


def _excluded(mapped: mapping.Mapped, batch: str, path: str) -> pd.DataFrame:
    """The quarantine's rows for rows that the mapping keeps out of every table."""
    parts = [no_rejections()]
    for one in mapped.excluded:
        shown = [WITHHELD if value is None else value for value in one.values]
        rows = pd.DataFrame({"row": pd.array(one.rows, dtype="Int64"), "value": shown})
        whole = {BATCH: batch, "file": path, "table": None, "field": one.fields, "rule": one.rule}
        parts.append(rows.assign(**whole, remedy=one.remedy, deliberate=one.deliberate)[list(REJECTED)])
    return pd.concat([part for part in parts if not part.empty] or parts, ignore_index=True)
