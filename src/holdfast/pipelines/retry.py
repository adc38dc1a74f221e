"""Another try for what quarantine holds, after the mapping or a file was mended: what now passes goes in exactly once.

A retry reads the landing file again instead of a copy of the row. So there is one way for every table, ids and times
come out as the first time, quarantine needs no second store of personal data, and a file mended meanwhile is noticed
by its content. The price: a file must stay in the landing directory for as long as one may want to retry it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from holdfast import mapping
from holdfast.contract import BATCH, RowRule
from holdfast.errors import MissingDataError, SourceError
from holdfast.pipelines import landed, ledger
from holdfast.pipelines.earliest import earliest
from holdfast.pipelines.ingest import QUARANTINE, REFUSED, Ingest, introduced
from holdfast.pipelines.judge import Judged, expect, judge
from holdfast.pipelines.ledger import LEDGER
from holdfast.pipelines.quarantine import RESOLUTIONS, RESOLVED, resolution, standing
from holdfast.ports import Lake, Landing, Quality, Vault
from holdfast.pseudonyms import Identities
from holdfast.schemas import TABLES, Home

_Place = tuple[str | None, int]
"""A canonical table (None: of no table) and a row's number in the file."""


@dataclass(frozen=True)
class Retried:
    """What became of one file: quarantined rows ``tried``, rows of canonical tables ``accepted``, rows still ``open``.

    ``note`` says what else a person should know.
    """

    file: str
    tried: int = 0
    accepted: int = 0
    open: int = 0
    note: str = ""


_OTHER_REASON = "rejected for another reason"


@dataclass(frozen=True)
class _Attempt:
    """Rows ``accepted`` under the attempt's name; ``complete`` when nothing is left for another one to do."""

    accepted: int
    complete: bool


@dataclass(frozen=True)
class _Verdict:
    """Resolutions of quarantined rows, and the rejections that quarantine does not hold yet.

    ``complete`` unless accepted rows were kept out by another attempt of the same name.
    """

    settled: pd.DataFrame
    rejected: pd.DataFrame
    complete: bool


class Retry:
    """Takes quarantined rows and refused files through the present mapping once more.

    A retry of a file's rows is a batch of its own, ``<content>#retry-<n>``, so that every table takes it at most once;
    the ledger, which counts it as done, is written last. A retry that broke off is taken up under the same identity.
    Of two at once the tables let only one add its rows: each notes the batch in every table that it could fill, even
    without rows, before the ledger lets a next one begin, and settles only the rows that it finds stored.
    """

    def __init__(
        self,
        ingest: Ingest,
        *,
        landing: Landing,
        source: mapping.Mapping,
        zone: ZoneInfo,
        lake: Lake,
        vault: Vault,
        quality: Quality,
        now: datetime,
        identities: Identities = Identities(),  # noqa: B008 - frozen
    ) -> None:
        self._ingest = ingest
        self._landing = landing
        self._source = source
        self._zone = zone
        self._lake = lake
        self._vault = vault
        self._quality = quality
        self._now = now
        self._identities = identities

    def run(self, file: str | None = None, rule: str | None = None) -> list[Retried]:
        """Retry what is open, of one file or under one rule if given, files of earlier days first.

        Naming the ``rule`` of rows that were left out on purpose retries those as well. Raises MissingDataError when
        ``file`` has nothing in quarantine, and QualityError when rows break an expectation (nothing of that file is
        stored then).
        """
        rows = self._candidates(file, rule)
        if file is not None and rows.empty:
            raise MissingDataError(f"quarantine holds nothing open of {file!r}. See `holdfast quarantine list`.")
        return [self._file(path, rule) for path in sorted(set(rows["file"]), key=lambda path: (self._day(path), path))]

    def _candidates(self, file: str | None, rule: str | None, content: str | None = None) -> pd.DataFrame:
        """What to retry; with ``content``, only single rows of a file with this content."""
        rows = standing(self._lake)
        wanted = rows["how"].isna()
        if rule is not None:
            wanted = (wanted | (rows["how"] == "left out on purpose")) & (rows["rule"] == rule)
        if file is not None:
            wanted &= rows["file"] == file
        if content is not None:
            wanted &= (rows[BATCH].map(ledger.content) == content) & (rows["rule"] != REFUSED)
        return rows[wanted]

    def _day(self, path: str) -> date:
        try:
            return self._source.place(path).day
        except SourceError:
            return date.min

    def _file(self, path: str, rule: str | None) -> Retried:
        rows = self._candidates(path, rule)
        if path not in self._landing.paths():
            return Retried(path, open=len(rows), note="no longer in the landing directory; land it again, then retry")
        content = self._landing.batch(path)
        entries = ledger.read(self._lake)
        latest_refused = set(ledger.refused(entries).query("file == @path")[BATCH].map(ledger.content))
        if (content, path) not in ledger.dealt_with(entries) or content in latest_refused:
            return self._whole(path, len(rows))
        return self._rows(path, content, rule)

    def _whole(self, path: str, tried: int) -> Retried:
        """A file that was refused, or has another content than what quarantine knows: ingested as any other."""
        done = self._ingest.run([path], again=True)
        left = len(self._candidates(path, None))
        return Retried(path, tried, done["accepted"], left, "; ".join(done["refused"]))

    def _rows(self, path: str, content: str, rule: str | None) -> Retried:
        """The quarantined rows of an accepted file: attempts, until one has stored all that it accepted."""
        tried, accepted = len(self._candidates(path, rule, content)), 0
        while True:
            rows = self._candidates(path, rule, content)
            batch = ledger.next_retry(ledger.read(self._lake), content)
            try:
                read = landed.read(self._landing, self._source, self._zone, path, batch, identities=self._identities)
            except SourceError as error:
                return Retried(path, tried, accepted, len(rows), str(error))
            texts, note = self._chosen(read.texts, rows, path)
            done = self._attempt(path, batch, rows, texts, read.own_ids)
            accepted += done.accepted
            if done.complete:
                return Retried(path, tried, accepted, len(self._candidates(path, None)), note)

    def _chosen(self, texts: Mapping[str, pa.Table], rows: pd.DataFrame, path: str) -> tuple[dict[str, pa.Table], str]:
        """The mapped text of the quarantined rows; a row of no table is wanted by every table."""
        wanted = _numbers_by_table(rows)
        chosen, note = {}, ""
        for name, text in texts.items():
            numbers = sorted(wanted.get(name, set()) | wanted.get(None, set()))
            some = text.filter(pc.is_in(text["row"], value_set=pa.array(numbers, pa.int64())))
            if some.num_rows and self._may_be_outdated(name, path):
                note = f"{name} of a later day are known, which an older row must not replace: deliver it in a new file"
                continue
            chosen[name] = some
        return chosen, note

    def _may_be_outdated(self, name: str, path: str) -> bool:
        """Whether a row of a table that keeps only the latest might replace a later one."""
        if TABLES[name].home is not Home.VAULT or TABLES[name].time is not None:
            return False
        later = ledger.read(self._lake).query("day > @day", local_dict={"day": str(self._day(path))})
        return any(json.loads(counts).get(name) for counts in later["tables"].dropna())

    def _attempt(
        self, path: str, batch: str, rows: pd.DataFrame, texts: Mapping[str, pa.Table], own_ids: Mapping[str, str]
    ) -> _Attempt:
        """Judge the text of the quarantined ``rows`` and store, settle and enter in the ledger what comes of it."""
        judged = judge([texts], self._lake)
        expect(self._quality, judged.accepted, f"{self._day(path)} retried")
        anything = any(len(some) for some in judged.accepted.values())
        self._vault.identify(introduced(judged.accepted, [own_ids]))
        stored = self._store(batch, judged) if anything else {}
        verdict = _verdict(batch, rows, texts=texts, judged=judged, stored=stored, now=self._now)
        settled, complete = verdict.settled, verdict.complete
        if not anything and settled.empty and verdict.rejected.empty:
            return _Attempt(0, True)
        if self._append(QUARANTINE, verdict.rejected, batch) < len(verdict.rejected):
            settled, complete = settled[settled["how"] != _OTHER_REASON], False
        complete &= self._append(RESOLUTIONS, settled, batch) == len(settled)
        counts = {name: len(some) for name, some in stored.items() if len(some)}
        self._append(
            LEDGER, self._entry(path, batch, counts, earliest(stored, self._lake, self._zone).get(batch)), batch
        )
        return _Attempt(sum(counts.values()), complete)

    def _append(self, table: str, rows: pd.DataFrame, batch: str) -> int:
        return 0 if rows.empty else self._lake.append(table, rows, [batch])

    def _store(self, batch: str, judged: Judged) -> dict[str, pd.DataFrame]:
        """Append the accepted rows; returns, by table, the rows that are now stored under ``batch``.

        A table is appended to even without rows, so that a slower attempt of this name finds it closed. What is stored
        may differ from what was accepted, when an attempt that broke off, or one at the same time, came first.
        """
        stored = {}
        for name, some in judged.accepted.items():
            if TABLES[name].home is Home.VAULT:
                # The vault cannot tell whose rows it holds; it takes the same row again without doubling it.
                stored[name] = some if self._vault.append(name, some, [batch]) else some[:0]
            else:
                self._lake.append(name, some, [batch])
                stored[name] = self._lake.read(name, None, {BATCH: [batch]})
        return stored

    def _entry(self, path: str, batch: str, counts: Mapping[str, int], first: str | None) -> pd.DataFrame:
        row: dict[str, Any] = {BATCH: batch, "file": path, "day": str(self._day(path)), "status": "retried"}
        row |= {"reason": None, "rows": 0, "accepted": sum(counts.values()), "rejected": 0, "duplicates": 0}
        row |= {"tables": json.dumps(counts, sort_keys=True), "earliest": first}
        return ledger.stamped([row], self._now)


def _numbers_by_table(rows: pd.DataFrame) -> dict[str | None, set[int]]:
    wanted: dict[str | None, set[int]] = {}
    for table, number in _places(rows):
        wanted.setdefault(table, set()).add(number)
    return wanted


def _places(rows: pd.DataFrame) -> list[_Place]:
    return [
        (None if pd.isna(table) else table, int(number))
        for table, number in zip(rows["table"], rows["row"], strict=True)
    ]


def _judgements(rows: pd.DataFrame) -> list[tuple[object, ...]]:
    """Place, field, rule and value of every rejection."""
    return [
        (*place, *judgement)
        for place, *judgement in zip(_places(rows), rows["field"], rows["rule"], rows["value"], strict=True)
    ]


def _verdict(
    batch: str,
    rows: pd.DataFrame,
    *,
    texts: Mapping[str, pa.Table],
    judged: Judged,
    stored: Mapping[str, pd.DataFrame],
    now: datetime,
) -> _Verdict:
    """What the attempt settles of the quarantined ``rows``, and what it rejects for a reason not in quarantine yet."""
    rejected = judged.rejected[judged.rejected["rule"] != str(RowRule.DUPLICATE)]
    now_wrong = dict(zip(_places(rejected), _judgements(rejected), strict=True))
    before = _judgements(rows)
    held = set(_places(judged.rejected)) - now_wrong.keys()
    went_in = {(name, number) for name in stored for number in _numbers(name, judged, stored[name])}
    accepted = {(name, int(number)) for name, numbers in judged.numbers.items() for number in numbers}

    def how(place: _Place, judgement: object) -> str | None:
        related = {place} if place[0] is not None else {(name, place[1]) for name in texts}
        if related & (accepted - went_in):
            return None
        if related & now_wrong.keys():
            return None if judgement == now_wrong.get(place) else _OTHER_REASON
        if related & went_in:
            return "accepted"
        if related & held:
            return "held already"
        return "no longer mapped" if place[0] in texts else None

    outcomes = pd.Series(list(map(how, _places(rows), before)), index=rows.index, dtype=object)
    settled = [resolution(batch, rows[outcomes == one], one, now) for one in outcomes.dropna().unique()]
    unknown = [judgement not in set(before) for judgement in now_wrong.values()]
    return _Verdict(
        settled=pd.concat(settled, ignore_index=True) if settled else pd.DataFrame(columns=list(RESOLVED)),
        rejected=rejected[np.array(unknown, dtype=bool)],
        complete=accepted == went_in,
    )


def _numbers(name: str, judged: Judged, stored: pd.DataFrame) -> list[int]:
    """The numbers in the file of those accepted rows that are stored."""
    key = list(TABLES[name].key)
    numbered = judged.accepted[name][key].assign(row=judged.numbers[name])
    return [int(number) for number in numbered.merge(stored[key], on=key)["row"]]
