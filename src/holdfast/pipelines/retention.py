"""Periods: what is deleted when its time is over, told beforehand by whoever asks for a dry run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import pandas as pd

from holdfast import mapping
from holdfast.errors import SourceError
from holdfast.pipelines import ledger
from holdfast.pipelines.canonical import read
from holdfast.pipelines.holdings import ErasableLake
from holdfast.pipelines.ingest import QUARANTINE
from holdfast.schemas import EVENTS

_HAPPENED = "occurred_at"


class Dated(Protocol):
    """Something of which what is old can be told and dropped."""

    def old(self, before: datetime) -> int:
        """How much of it is older."""
        ...

    def drop(self, before: datetime) -> None:
        """Delete that. A repeated call deletes nothing more."""
        ...


@dataclass(frozen=True)
class Period:
    """What is kept for so many ``days``."""

    name: str
    days: int
    of: Dated


@dataclass(frozen=True)
class Dropped:
    """How much of ``name`` was (or, in a dry run, would be) dropped for being older than ``before``."""

    name: str
    days: int
    before: datetime
    count: int


def enforce(periods: Sequence[Period], now: datetime, *, dry: bool) -> list[Dropped]:
    """Drop all whose time is over; a dry run only counts."""
    done = []
    for one in periods:
        before = now - timedelta(days=one.days)
        count = one.of.old(before)
        if count and not dry:
            one.of.drop(before)
        done.append(Dropped(one.name, one.days, before, count))
    return done


class OldLanding(Protocol):
    """The landing directory, for what has served its purpose."""

    def paths(self) -> Sequence[str]: ...

    def batch(self, path: str) -> str: ...

    def delete(self, paths: Sequence[str]) -> None: ...


@dataclass(frozen=True)
class LandingFiles:
    """Landing files that were dealt with, by landing day. One that is still pending or belongs nowhere stays."""

    landing: OldLanding
    source: mapping.Mapping
    zone: ZoneInfo
    lake: ErasableLake

    def old(self, before: datetime) -> int:
        return len(self._old(before))

    def drop(self, before: datetime) -> None:
        self.landing.delete(self._old(before))

    def _old(self, before: datetime) -> list[str]:
        done, last = ledger.dealt_with(ledger.read(self.lake)), before.astimezone(self.zone).date()
        return [path for path in self.landing.paths() if self._is_before(path, last) and self._known(path, done)]

    def _is_before(self, path: str, last: Any) -> bool:
        try:
            return bool(self.source.place(path).day < last)
        except SourceError:
            return False

    def _known(self, path: str, done: set[tuple[str, str]]) -> bool:
        return (self.landing.batch(path), path) in done


@dataclass(frozen=True)
class QuarantinedRows:
    """Rejections, by when their file was taken in; whether they were settled by then no longer matters."""

    lake: ErasableLake

    def old(self, before: datetime) -> int:
        where = {"batch": self._batches(before)}
        return len(self.lake.read(QUARANTINE, ["batch"], where)) if where["batch"] else 0

    def drop(self, before: datetime) -> None:
        self.lake.erase(QUARANTINE, {"batch": self._batches(before)})

    def _batches(self, before: datetime) -> list[str]:
        if not self.lake.exists(QUARANTINE):
            return []
        entries = ledger.read(self.lake)
        old = set(entries.loc[entries["at"] < pd.Timestamp(before), "batch"])
        return sorted(old & set(self.lake.read(QUARANTINE, ["batch"])["batch"]))


@dataclass(frozen=True)
class Events:
    """What customers did besides ordering, by when they did it."""

    lake: ErasableLake

    def old(self, before: datetime) -> int:
        return self.lake.older(EVENTS.name, _HAPPENED, before) if self.lake.exists(EVENTS.name) else 0

    def drop(self, before: datetime) -> None:
        self.lake.expire(EVENTS.name, _HAPPENED, before)


class ContactBook(Protocol):
    """Contact details in the vault."""

    def reachable(self, customer_ids: Sequence[str]) -> list[str]:
        """Those of the customers of whom contact details are kept."""
        ...

    def forget_contacts(self, customer_ids: Sequence[str]) -> None: ...


@dataclass(frozen=True)
class ContactsOfTheGone:
    """Contact details of customers who signed up, and ordered last, longer ago. Who never did either stays."""

    lake: ErasableLake
    contacts: ContactBook

    def old(self, before: datetime) -> int:
        return len(self.contacts.reachable(self._gone(before)))

    def drop(self, before: datetime) -> None:
        self.contacts.forget_contacts(self._gone(before))

    def _gone(self, before: datetime) -> list[str]:
        orders, customers = read(self.lake, "orders"), read(self.lake, "customers")
        seen = pd.concat(
            [orders.groupby("customer_id")["ordered_at"].max(), customers.set_index("customer_id")["signed_up_at"]]
        ).dropna()
        last = seen.groupby(level=0).max()
        return sorted(map(str, last[last < pd.Timestamp(before)].index))


@dataclass(frozen=True)
class Files:
    """Files below the folders, by when they were written last."""

    roots: tuple[Path, ...]

    def old(self, before: datetime) -> int:
        return len(self._old(before))

    def drop(self, before: datetime) -> None:
        for path in self._old(before):
            path.unlink(missing_ok=True)

    def _old(self, before: datetime) -> list[Path]:
        return [
            path
            for root in self.roots
            for path in sorted(root.rglob("*"))
            if path.is_file() and path.stat().st_mtime < before.timestamp()
        ]
