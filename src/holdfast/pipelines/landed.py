"""One landing file, read and mapped: what it holds for each canonical table, still as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa

from holdfast import mapping
from holdfast.contract import BATCH, REJECTED, REPEATABLE, WITHHELD, remedy, together
from holdfast.errors import SourceError
from holdfast.ports import FileContent, Landing
from holdfast.windows import instant


@dataclass(frozen=True)
class Landed:
    """``texts``: rows by canonical table, with ``contract.PROVENANCE``; ``rejected``: rows that reach no table.

    ``rows`` counts the file's own rows, with those that reach no table.
    """

    texts: Mapping[str, pa.Table]
    rejected: pd.DataFrame
    rows: int


def read(landing: Landing, source: mapping.Mapping, zone: ZoneInfo, path: str, batch: str) -> Landed:
    """The file at ``path``, its rows attributed to ``batch``.

    Raises SourceError, naming place and remedy, when the file belongs nowhere, breaks its manifest's promise, or cannot
    be read or mapped.
    """
    place = source.place(path)
    content = landing.read(path, place.input.format)
    _hold_to_promise(landing, path, content.rows.num_rows + len(content.broken))
    return mapped(content, place, path, batch, zone=zone, currency=source.currency)


def mapped(
    content: FileContent, place: mapping.Place, path: str, batch: str, *, zone: ZoneInfo, currency: str | None
) -> Landed:
    """The file's content, mapped as its place says. Raises SourceError where its columns do not fit."""
    done = mapping.apply(place.input, content.rows, path, currency)
    latest = instant(place.day + timedelta(days=1), zone)
    provenance = {
        BATCH: pa.scalar(batch),
        "file": pa.scalar(path),
        "zone": pa.scalar(place.input.times, pa.string()),
        "latest": pa.scalar(latest, pa.timestamp("us", tz="UTC")),
    }
    texts = {}
    for name, table in done.tables.items():
        repeatable = pa.scalar(name in done.repeatable)
        for column, value in (provenance | {REPEATABLE: repeatable}).items():
            table = table.append_column(column, pa.repeat(value, table.num_rows))  # noqa: PLW2901
        texts[name] = table
    rejected = together([_broken(content, batch, path), _excluded(done, batch, path)])
    return Landed(texts, rejected, content.rows.num_rows + len(content.broken))


def _hold_to_promise(landing: Landing, path: str, rows: int) -> None:
    promise = landing.promise(path)
    if promise is None:
        return
    content = landing.batch(path)
    if promise.sha256 not in (None, content):
        raise SourceError(
            f"{path}: its SHA-256 is {content}, but {promise.manifest} promises {promise.sha256}. "
            "Deliver the file again, or correct the manifest and retry the file."
        )
    if promise.rows not in (None, rows):
        raise SourceError(
            f"{path}: holds {rows:,} rows, but {promise.manifest} promises {promise.rows:,}. "
            "Deliver the file again, or correct the manifest and retry the file."
        )


def _broken(content: FileContent, batch: str, path: str) -> pd.DataFrame:
    """The quarantine's rows for rows that could not be read into columns."""
    whole: dict[str, Any] = {BATCH: batch, "file": path, "table": None, "field": None, "deliberate": False}
    rows = [
        whole | {"row": one.row, "rule": str(one.rule), "value": one.found, "remedy": remedy(one.rule)}
        for one in content.broken
    ]
    return pd.DataFrame(rows, columns=list(REJECTED)).astype({"row": "Int64"})


def _excluded(done: mapping.Mapped, batch: str, path: str) -> pd.DataFrame:
    """The quarantine's rows for rows that the mapping keeps out of every table."""
    parts = []
    for one in done.excluded:
        shown = [WITHHELD if value is None else value for value in one.values]
        rows = pd.DataFrame({"row": pd.array(one.rows, dtype="Int64"), "value": shown})
        whole = {BATCH: batch, "file": path, "table": None, "field": one.fields, "rule": one.rule}
        parts.append(rows.assign(**whole, remedy=one.remedy, deliberate=one.deliberate)[list(REJECTED)])
    return together(parts)
