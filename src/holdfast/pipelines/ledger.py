"""The ledger: a row for every landing file that was dealt with, and what follows from all of them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

import pandas as pd

from holdfast.contract import BATCH
from holdfast.ports import Lake

LEDGER = "batches"
"""Lake table with one row for every landing file that was dealt with, and for every retry of rejected rows.

``batch`` is the identity of an accepted file's content, and as such of its rows in every table. A refused or repeated
file is entered as ``<content>@<path>``, so that it never passes for an accepted one (refused again for another reason:
``<content>@<path>#retry-1``, and so on); a retry of a file's rejected rows as ``<content>#retry-<n>``.
"""

ANNOUNCED = "announced"
"""Lake table of one row for the ``ledger``: how many ``entries`` that stored rows (``stored``) an event has told of."""

COUNTS = ("accepted", "rejected", "duplicates")
"""Rows of canonical tables in the ledger: accepted; in quarantine; and those of the latter that repeat another row."""

COLUMNS = (BATCH, "file", "day", "status", "reason", "rows", *COUNTS, "tables", "earliest", "at")
"""The ledger's columns: ``rows`` of the file itself; ``tables`` the accepted rows by table, as JSON; ``earliest`` the
shop's day (ISO) of the earliest event accepted, if any; ``at`` the instant of the entry."""


@dataclass(frozen=True)
class Entry:
    """A landing file and what became of it."""

    batch: str
    file: str
    day: date
    status: Literal["accepted", "refused", "repeated", "retried"]
    reason: str | None = None
    rows: int = 0


def read(lake: Lake) -> pd.DataFrame:
    """The whole ledger, columns ``COLUMNS``; empty before the first run."""
    found = lake.read(LEDGER) if lake.exists(LEDGER) else pd.DataFrame()
    # A ledger begun by an earlier release lacks the later columns.
    return found.reindex(columns=list(COLUMNS))


def content(batch: str) -> str:
    """The content identity in a ledger entry's or quarantined row's ``batch``."""
    return re.split("[@#]", batch, maxsplit=1)[0]


def dealt_with(ledger: pd.DataFrame) -> set[tuple[str, str]]:
    """Content identity and path of every file that needs no ingestion."""
    return {(content(batch), file) for batch, file in zip(ledger[BATCH], ledger["file"], strict=True)}


def accepted(ledger: pd.DataFrame) -> pd.DataFrame:
    """The entries of accepted files."""
    return ledger[ledger["status"] == "accepted"]


def refused(ledger: pd.DataFrame) -> pd.DataFrame:
    """The latest entry of every path whose latest entry is a refusal: a later accepted file there lifts it."""
    files = ledger[ledger["status"] != "retried"]
    latest = files.sort_values("at", kind="stable", na_position="first").drop_duplicates("file", keep="last")
    return latest[latest["status"] == "refused"].sort_values(["day", "file"], ignore_index=True)


def stored(ledger: pd.DataFrame) -> int:
    """How many entries brought rows into the lake or the vault: those of accepted files and of retries."""
    return int(ledger["status"].isin(["accepted", "retried"]).sum())


def announced(lake: Lake) -> int:
    """How many such entries an event has told of."""
    return int(lake.read(ANNOUNCED)["entries"].iloc[0]) if lake.exists(ANNOUNCED) else 0


def announce(lake: Lake, entries: int) -> None:
    """Note that an event has told of so many."""
    row = pd.DataFrame({"ledger": [LEDGER], "entries": [entries]})
    lake.replace(ANNOUNCED, row, where={"ledger": [LEDGER]})


def next_retry(ledger: pd.DataFrame, batch: str) -> str:
    """The identity of the next retry of the accepted or refused entry ``batch``.

    Only a finished retry is in the ledger, so that one that was broken off is taken up under the same identity.
    """
    before = sum(one.startswith(f"{batch}#retry-") for one in ledger[BATCH])
    return f"{batch}#retry-{before + 1}"


def stamped(rows: list[dict[str, object]], at: datetime) -> pd.DataFrame:
    """Ledger rows entered at ``at``."""
    frame = pd.DataFrame(rows, columns=[name for name in COLUMNS if name != "at"])
    return frame.assign(at=pd.Timestamp(at).as_unit("us"))
