"""Landing files into the lake: accepted rows to their tables, rejected ones to quarantine, every file to the ledger."""

from __future__ import annotations

import json
from collections import ChainMap, Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa

from holdfast import mapping
from holdfast.contract import BATCH, REJECTED, RowRule, together
from holdfast.errors import ArrivalError, BatchRefusedError, MissingDataError, SourceError
from holdfast.monitoring import freshness
from holdfast.monitoring.freshness import Finding, Kind
from holdfast.pipelines import landed, ledger
from holdfast.pipelines.earliest import earliest
from holdfast.pipelines.judge import expect, judge
from holdfast.pipelines.ledger import COUNTS, LEDGER, Entry
from holdfast.ports import Lake, Landing, Quality, Vault
from holdfast.pseudonyms import Identities
from holdfast.rules import Calendar, Ingestion
from holdfast.schemas import CUSTOMERS, ORDERS, TABLES, Home

QUARANTINE = "quarantine"
"""Lake table of rejected rows and refused files, with the columns ``contract.REJECTED``."""

REFUSED = "file refused"
"""The rule in quarantine of a file refused as a whole."""

_FEW_DAYS = 7
"""Up to so many pending days each makes a shard of its own; more are taken together by calendar month."""

_REASONS_TOLD = 5


@dataclass(frozen=True)
class _File:
    """A landing file that could be read, with its text by canonical table and the rows that reach none."""

    entry: Entry
    texts: Mapping[str, pa.Table]
    rejected: pd.DataFrame
    own_ids: Mapping[str, str]


@dataclass(frozen=True)
class _Shard:
    """What one run has read and decided, before anything is written."""

    entries: Sequence[Entry]
    accepted: Mapping[str, pd.DataFrame]
    rejected: pd.DataFrame
    earliest: Mapping[str, str]
    own_ids: Mapping[str, str]

    @property
    def name(self) -> str:
        """The landing days that it spans."""
        days = sorted({str(entry.day) for entry in self.entries if entry.status == "accepted"})
        return " to ".join(dict.fromkeys([*days[:1], *days[-1:]]))

    def ledger(self, at: datetime) -> pd.DataFrame:
        """One row a file: what became of it, and its rows in canonical tables by outcome."""
        accepted: dict[str, dict[str, int]] = {entry.batch: {} for entry in self.entries}
        for name, rows in self.accepted.items():
            for batch, count in rows[BATCH].value_counts().items():
                accepted[str(batch)][name] = int(count)
        rejected = self.rejected[self.rejected["row"].notna()]
        duplicates = rejected[rejected["rule"] == str(RowRule.DUPLICATE)]
        return ledger.stamped(
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
                    "earliest": self.earliest.get(entry.batch),
                }
                for entry in self.entries
            ],
            at,
        )


class Ingest:
    """Takes shards of landing files through contract and expectations into the lake and the vault.

    Shards go in oldest first, since a row may refer to one that landed earlier. Running a shard again, after success
    or after a crash at any point, adds nothing twice: every table knows the batches it holds, and the ledger, by which
    a file counts as dealt with, is written last. ``now`` is the instant that the ledger notes; customers are stored as
    ``identities`` calls them, and the vault keeps the shop's own ids.
    """

    def __init__(
        self,
        *,
        landing: Landing,
        source: mapping.Mapping,
        zone: ZoneInfo,
        lake: Lake,
        vault: Vault,
        quality: Quality,
        now: datetime,
        rules: Ingestion = Ingestion(),  # noqa: B008 - frozen
        calendar: Calendar = Calendar(),  # noqa: B008 - frozen
        identities: Identities = Identities(),  # noqa: B008 - frozen
    ) -> None:
        self._landing = landing
        self._source = source
        self._zone = zone
        self._lake = lake
        self._vault = vault
        self._quality = quality
        self._now = now
        self._rules = rules
        self._calendar = calendar
        self._identities = identities

    def pending(self) -> list[list[str]]:
        """Paths of the landing files not dealt with yet, in shards of whole landing days, oldest first.

        When a manifest lists a file that has not landed, the files of its day and of all later ones are held back,
        since their rows may refer to it.
        """
        done = ledger.dealt_with(ledger.read(self._lake))
        held = min((day for day, _ in self._awaited()), default=date.max)
        days = {path: self._day(path) for path in self._landed()}
        paths = [path for path, day in days.items() if day < held and (self._landing.batch(path), path) not in done]
        count = len({days[path] for path in paths})

        def shard(path: str) -> str:
            day = f"{days[path]}"
            return day if count <= _FEW_DAYS else day[: len("2017-01")]

        return [list(group) for _, group in groupby(paths, key=shard)]

    def drain(self) -> list[dict[str, Any]]:
        """Run every pending shard, oldest first, and return their results; empty when nothing had landed.

        When one fails, those before it are stored, and a repeated call goes on from there.
        """
        return [self.run(shard) for shard in self.pending()]

    def run(self, shard: Sequence[str], again: bool = False) -> dict[str, Any]:
        """Check and store the files of one shard; returns counts, and the reasons of refused files.

        Files that the ledger knows are passed over, except that ``again`` gives refused ones another try. A file of
        which too many rows are rejected is refused as a whole. Raises MissingDataError when files of earlier days are
        still pending, and QualityError, with nothing stored, when accepted rows break an expectation.
        """
        entries = ledger.read(self._lake)
        self._refuse_to_run_early(shard, entries)
        decided = self._decide(*self._read(shard, entries, again), entries)
        expect(self._quality, decided.accepted, decided.name)
        return self._store(decided)

    def watch(self, at: datetime | None = None) -> list[dict[str, str]]:
        """``findings`` as dicts with kind, day and text. Raises ArrivalError when there are and the rules say stop."""
        found = self.findings(at)
        if found and self._rules.findings == "stop":
            raise ArrivalError(
                f"{len(found)} finding(s) about landing files stop the line (rules: ingest.findings):\n"
                + "\n".join(finding.text for finding in found)
            )
        return [{name: str(value) for name, value in asdict(finding).items()} for finding in found]

    def findings(self, at: datetime | None = None) -> list[Finding]:
        """What is missing or out of the ordinary among the landing files.

        Days are expected up to the one before ``at``; without it, up to the latest landing.
        """
        series = self._arrivals(ledger.read(self._lake))
        landed = [day for volumes in series.values() for day in volumes]
        until = at.astimezone(self._zone).date() if at else max(landed, default=date.min) + timedelta(days=1)
        found = [
            finding
            for name, volumes in series.items()
            for finding in freshness.findings(name, volumes, self._calendar, until)
        ]
        return found + [Finding(Kind.AWAITED, day, text) for day, text in self._awaited()]

    def news(self, results: Sequence[Mapping[str, Any]]) -> bool:
        """Whether there is something to finish: files dealt with now, or rows stored that were never ``announced``.

        The latter were stored by a run that failed or was killed before its event went out, or by a retry.
        """
        return bool(results) or ledger.stored(ledger.read(self._lake)) > ledger.announced(self._lake)

    def finish(
        self, results: Iterable[Mapping[str, Any]], findings: Sequence[Mapping[str, str]] = ()
    ) -> dict[str, Any]:
        """Add up the shards' results, with the findings of ``watch``, and bring Data Docs up to date.

        ``late_from`` is the earliest day of an event that came later than on its own landing day, or None: features of
        cutoffs after it change. ``stored`` is what ``announced`` needs to know. Raises BatchRefusedError naming every
        refused file, its place and remedy; all other files are stored by then.
        """
        results, stored = list(results), ledger.stored(ledger.read(self._lake))
        docs = self._quality.publish()
        refused = [reason for result in results for reason in result["refused"]]
        if refused:
            raise BatchRefusedError(
                f"{len(refused)} landing file(s) refused, everything else is stored. Mend them and land them again:\n"
                + "\n".join([*refused, *(finding["text"] for finding in findings)])
            )
        tables: Counter[str] = Counter()
        for result in results:
            tables.update(result["tables"])
        totals = {name: sum(result[name] for result in results) for name in ("files", *COUNTS)}
        late = [result["late_from"] for result in results if result["late_from"]]
        return {
            **totals,
            "tables": dict(tables),
            "stored": stored,
            "late_from": min(late, default=None),
            "findings": [dict(finding) for finding in findings],
            "data_docs": str(docs),
        }

    def announced(self, finished: Mapping[str, Any]) -> None:
        """Note that the event which told of what ``finish`` returned is out; until then it is told again."""
        ledger.announce(self._lake, finished["stored"])

    def complete_to(self) -> date:
        """The day up to (not including) which data are complete: up to it every expected landing day has arrived.

        A day without a file that the calendar expects, or with one that stands refused in the landing directory, ends
        completeness. Raises MissingDataError when nothing has been accepted yet.
        """
        entries = ledger.read(self._lake)
        refused = ledger.refused(entries)
        blocked = {
            self._day(path)
            for path, batch in zip(refused["file"], refused[BATCH], strict=True)
            if path in self._landing.paths() and self._landing.batch(path) == ledger.content(batch)
        } - {date.min}
        ends = [
            freshness.complete_to(set(volumes), blocked, self._calendar) for volumes in self._arrivals(entries).values()
        ]
        complete = min((end for end in ends if end is not None), default=None)
        if complete is None:
            raise MissingDataError("no landing file has been accepted yet. Land files and run ingest first.")
        return complete

    def _arrivals(self, entries: pd.DataFrame) -> dict[str, dict[date, int]]:
        """Rows by landing day, for each input that is expected day by day, named by its path.

        Those are the inputs that bring orders: the others land when there is something to tell. A shop whose files
        have brought no order yet is judged by all its files together.
        """
        every: Counter[date] = Counter()
        orders: dict[str, Counter[date]] = {}
        files = ledger.accepted(entries)
        for path, rows in zip(files["file"], files["rows"], strict=True):
            try:
                place = self._source.place(path)
            except SourceError:  # an input that the mapping no longer has
                continue
            every[place.day] += int(rows)
            if ORDERS.name in place.input.tables:
                orders.setdefault(place.input.path, Counter())[place.day] += int(rows)
        return {name: dict(volumes) for name, volumes in orders.items()} or {"any input": dict(every)}

    def _awaited(self) -> list[tuple[date, str]]:
        """The landing day of every file that a manifest lists in vain, and what to say of it."""
        return [
            (
                day,
                f"{one.file}: listed in {one.manifest}, but has not landed. Files of {day} and later days wait for it; "
                "deliver it, or take it off the manifest.",
            )
            for one in self._landing.awaited()
            if (day := self._day(one.file)) > date.min
        ]

    def _landed(self) -> list[str]:
        return sorted(self._landing.paths(), key=lambda path: (self._day(path), path))

    def _day(self, path: str) -> date:
        """The landing day; a file that belongs nowhere comes before all others, to be refused."""
        try:
            return self._source.place(path).day
        except SourceError:
            return date.min

    def _refuse_to_run_early(self, shard: Sequence[str], entries: pd.DataFrame) -> None:
        start = min((self._day(path) for path in shard), default=date.min)
        known = {*entries["file"], *shard}
        earlier = [path for path in self._landed() if path not in known and date.min < self._day(path) < start]
        if earlier:
            raise MissingDataError(
                f"{earlier[0]} is still pending and of an earlier day than this shard ({start}), whose rows may refer "
                "to it. Run the earlier shard first."
            )

    def _read(self, shard: Sequence[str], entries: pd.DataFrame, again: bool) -> tuple[list[_File], list[Entry]]:
        """The files that could be read, and the entries of those refused or repeated."""
        refused = set(ledger.refused(entries)["file"]) if again else set()
        done = ledger.dealt_with(entries)
        accepted = set(ledger.accepted(entries)[BATCH])
        files: list[_File] = []
        others: list[Entry] = []
        for path in sorted(shard, key=lambda path: (self._day(path), path)):
            batch = self._landing.batch(path)
            if (batch, path) in done and path not in refused:
                continue
            if batch in accepted:
                others.append(self._aside(path, batch, "repeated", "ingested under another path", entries))
                continue
            try:
                files.append(self._read_file(path, batch))
            except SourceError as error:
                others.append(self._aside(path, batch, "refused", str(error), entries))
            else:
                accepted.add(batch)
        return files, others

    def _read_file(self, path: str, batch: str) -> _File:
        read = landed.read(self._landing, self._source, self._zone, path, batch, identities=self._identities)
        entry = Entry(batch, path, self._day(path), "accepted", rows=read.rows)
        return _File(entry, read.texts, read.rejected, read.own_ids)

    def _aside(self, path: str, batch: str, status: Any, reason: str, entries: pd.DataFrame) -> Entry:
        """The entry of a file that stores nothing: refused or repeated."""
        identity = f"{batch}@{path}"
        if (entries[BATCH] == identity).any():
            identity = ledger.next_retry(entries, identity)
        return Entry(identity, path, self._day(path), status, reason=reason)

    def _decide(self, files: list[_File], others: list[Entry], entries: pd.DataFrame) -> _Shard:
        """Judge the files, refusing those with too many rejected rows, and the rest anew without them."""
        while True:
            judged = judge([file.texts for file in files], self._lake)
            rejected = together([judged.rejected, *(file.rejected for file in files)])
            excess = {file.entry.batch: reason for file in files if (reason := self._excess(file, rejected))}
            if not excess:
                break
            others += [
                self._aside(file.entry.file, file.entry.batch, "refused", excess[file.entry.batch], entries)
                for file in files
                if file.entry.batch in excess
            ]
            files = [file for file in files if file.entry.batch not in excess]
        refusals = _refusals([entry for entry in others if entry.status == "refused"])
        return _Shard(
            entries=[*(file.entry for file in files), *others],
            accepted=judged.accepted,
            rejected=together([rejected, refusals]),
            earliest=earliest(judged.accepted, self._lake, self._zone),
            own_ids=introduced(judged.accepted, [file.own_ids for file in files]),
        )

    def _excess(self, file: _File, rejected: pd.DataFrame) -> str | None:
        """Why the file is refused for its rejected rows, or None."""
        mine = rejected[rejected[BATCH] == file.entry.batch]
        deliberate = mine["deliberate"].astype(bool)
        wrong = mine[~deliberate & (mine["rule"] != str(RowRule.DUPLICATE))]
        count, meant = wrong["row"].nunique(), file.entry.rows - mine.loc[deliberate, "row"].nunique()
        limit = self._rules.reject_share
        if count < self._rules.reject_rows or count <= limit * meant:
            return None
        return (
            f"{file.entry.file}: {count:,} of {meant:,} rows ({count / meant:.0%}) are rejected, more than the "
            f"{limit:.0%} allowed (rules: ingest.reject_share): {_told(wrong)}. Nothing of the file is stored. Deliver "
            "it again in order, or correct the mapping and retry it."
        )

    def _store(self, decided: _Shard) -> dict[str, Any]:
        """Write own ids, tables, quarantine, then the ledger: a crash in between leaves the files to be run again."""
        batches = [entry.batch for entry in decided.entries]
        self._vault.identify(decided.own_ids)
        for name, rows in decided.accepted.items():
            store = self._vault if TABLES[name].home is Home.VAULT else self._lake
            if not rows.empty:
                store.append(name, rows, batches)
        entered = decided.ledger(self._now)
        for name, rows in ((QUARANTINE, decided.rejected), (LEDGER, entered)):
            if not rows.empty:
                self._lake.append(name, rows, batches)
        late = entered.loc[entered["earliest"].notna() & (entered["earliest"] < entered["day"]), "earliest"]
        return {
            "files": len(entered),
            **{name: int(entered[name].sum()) for name in COUNTS},
            "tables": {name: len(rows) for name, rows in decided.accepted.items()},
            "refused": [entry.reason for entry in decided.entries if entry.status == "refused"],
            "late_from": None if late.empty else str(late.min()),
        }


def introduced(accepted: Mapping[str, pd.DataFrame], own_ids: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """The shop's own id of every customer whose row is accepted here for the first time, by pseudonym."""
    if CUSTOMERS.name not in accepted:
        return {}
    known = ChainMap(*map(dict, own_ids))
    return {word: known[word] for word in accepted[CUSTOMERS.name]["customer_id"]}


def _told(wrong: pd.DataFrame) -> str:
    """Rejections counted by table, field and rule, the most frequent first, each with its first row."""
    places = wrong[["table", "field", "rule"]].fillna("").agg(" ".join, axis=1).str.strip()
    first = wrong.groupby(places)["row"].min()
    told = [
        f"{place} {count:,} times, first in row {first[place]}"
        for place, count in Counter(places).most_common(_REASONS_TOLD)
    ]
    return "; ".join([*told, "…"] if len(first) > _REASONS_TOLD else told)


def _refusals(refused: Sequence[Entry]) -> pd.DataFrame:
    """The quarantine's rows for files refused as a whole."""
    whole = {"row": None, "table": None, "field": None, "rule": REFUSED, "value": None, "deliberate": False}
    rows = [whole | {BATCH: entry.batch, "file": entry.file, "remedy": entry.reason} for entry in refused]
    return pd.DataFrame(rows, columns=list(REJECTED)).astype({"row": "Int64"})
