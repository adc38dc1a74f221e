"""One landing file, read and mapped: what it holds for each canonical table, still as text, customers by pseudonym."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from holdfast import mapping
from holdfast.contract import BATCH, REJECTED, REPEATABLE, WITHHELD, remedy, together
from holdfast.errors import SourceError
from holdfast.ports import FileContent, Landing
from holdfast.pseudonyms import Identities, replaced
from holdfast.schemas import TABLES, Column, Privacy, Type
from holdfast.windows import instant


@dataclass(frozen=True)
class Landed:
    """``texts``: rows by canonical table, as ``contract.check`` takes them; ``rejected``: rows that reach no table.

    ``rows`` counts the file's own rows, with those that reach no table. ``own_ids`` has the shop's id behind each
    pseudonym.
    """

    texts: Mapping[str, pa.Table]
    rejected: pd.DataFrame
    rows: int
    own_ids: Mapping[str, str] = field(default_factory=dict)


ERASED = "erased customer"
"""The rule in quarantine of a row about someone who was erased; the row itself is dropped."""


def read(
    landing: Landing,
    source: mapping.Mapping,
    zone: ZoneInfo,
    path: str,
    batch: str,
    *,
    identities: Identities = Identities(),  # noqa: B008 - frozen
) -> Landed:
    """The file at ``path``, its rows attributed to ``batch``, its customers called as ``identities`` says.

    Rows about erased customers are left out. Raises SourceError, naming place and remedy, when the file belongs
    nowhere, breaks its manifest's promise, or cannot be read or mapped.
    """
    place = source.place(path)
    content = landing.read(path, place.input.format)
    _hold_to_promise(landing, path, content.rows.num_rows + len(content.broken))
    done = mapped(content, place, path, batch, zone=zone, currency=source.currency)
    return _without(identities, _by_pseudonym(identities, source, place.input, done), batch, path)


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


def telling(source: mapping.Mapping, of: mapping.Input, table: str) -> list[Column]:
    """The columns of the table that tell who a customer is: ids, and what the mapping makes of an id (a key, mostly).

    What is made of an id is as telling as the id, since there are few to try. It is found by the source columns' names,
    over all inputs, so that a key made alike in two files stays the same in both.
    """
    ids = _id_sources(source)
    feed = of.tables[table].columns
    found = [TABLES[table].column(name) for name in feed]
    return [
        column
        for column in found
        if column.privacy is Privacy.PSEUDONYM
        or (
            column.privacy is Privacy.NONE
            and column.type is Type.STRING
            and column.allowed is None
            and ids.intersection(feed[column.name].sources)
        )
    ]


def _id_sources(source: mapping.Mapping) -> set[str]:
    """The source columns that customers' ids are read from."""
    return {
        name
        for one in source.inputs.values()
        for fed, feed in one.tables.items()
        for column, expression in feed.columns.items()
        if TABLES[fed].column(column).privacy is Privacy.PSEUDONYM
        for name in expression.sources
    }


def _by_pseudonym(identities: Identities, source: mapping.Mapping, of: mapping.Input, landed: Landed) -> Landed:
    texts, own_ids = dict(landed.texts), {}
    for name, table in texts.items():
        for column in telling(source, of, name):
            words, behind = replaced(table[column.name], identities.pseudonym, column.longest)
            table = table.set_column(table.column_names.index(column.name), column.name, words)  # noqa: PLW2901
            if column.privacy is Privacy.PSEUDONYM:
                own_ids.update(behind)
        texts[name] = table
    ids = _id_sources(source)
    telling_rows = landed.rejected["field"].map(lambda fields: bool(ids.intersection(str(fields).split(", "))))
    filled = landed.rejected["table"].isna() & landed.rejected["value"].fillna("").ne("")
    values = landed.rejected["value"].mask(filled & telling_rows.astype(bool), WITHHELD)
    return Landed(texts, landed.rejected.assign(value=values), landed.rows, own_ids)


def _without(identities: Identities, landed: Landed, batch: str, path: str) -> Landed:
    """Without any row of the file that is about an erased customer; quarantine counts them and says no more."""
    erased = pa.array(sorted(identities.erased(landed.own_ids.keys())), pa.string())
    if not len(erased):
        return landed
    dropped: set[int] = set()
    for name, table in landed.texts.items():
        for column in TABLES[name].columns:
            if column.privacy is Privacy.PSEUDONYM and column.name in table.column_names:
                theirs = table.filter(pc.is_in(table[column.name], value_set=erased))
                dropped.update(theirs["row"].to_pylist())
    numbers = pa.array(sorted(dropped), pa.int64())
    kept = {name: one.filter(pc.invert(pc.is_in(one["row"], value_set=numbers))) for name, one in landed.texts.items()}
    whole: dict[str, Any] = {BATCH: batch, "file": path, "table": None, "field": None, "deliberate": True}
    told = {
        "rule": ERASED,
        "value": WITHHELD,
        "remedy": "Nothing to do: the customer was erased. Stop delivering them.",
    }
    rows = [whole | told | {"row": number} for number in sorted(dropped)]
    rejected = pd.DataFrame(rows, columns=list(REJECTED)).astype({"row": "Int64"})
    own_ids = {word: own for word, own in landed.own_ids.items() if word not in set(erased.to_pylist())}
    return Landed(kept, together([landed.rejected, rejected]), landed.rows, own_ids)


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
