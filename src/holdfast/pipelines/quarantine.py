"""Quarantine as a person works on it: what is open and what is settled, by which reason, and the rows to look at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow.compute as pc
from numpy.typing import NDArray

from holdfast import mapping
from holdfast.contract import BATCH, REJECTED, WITHHELD, RowRule
from holdfast.errors import MissingDataError
from holdfast.pipelines import landed, ledger
from holdfast.pipelines.ingest import QUARANTINE, REFUSED
from holdfast.ports import Lake, Landing
from holdfast.schemas import TABLES, Privacy

RESOLUTIONS = "resolutions"
"""Lake table of what retries settled, columns ``RESOLVED``; only ever added to, as quarantine itself."""

RESOLVED = (BATCH, "of", "table", "row", "how", "at")
"""``batch`` is the retry's identity; ``of``, ``table`` and ``row`` name the quarantined row; ``how`` and ``at`` (UTC)
say what became of it."""

MASKED = "(masked: personal)"


@dataclass(frozen=True)
class Reason:
    """Quarantined rows that share table, field and rule; ``file`` is set where they are counted by file too.

    ``open`` of the ``rows`` still need a person; ``files`` have such rows.
    """

    rule: str
    table: str | None
    field: str | None
    file: str | None
    files: int
    rows: int
    open: int
    remedy: str


def standing(lake: Lake) -> pd.DataFrame:
    """Everything ever quarantined, with ``how`` and ``at``: what settled it and when, both null while it is open.

    A row is settled by a retry, or by a later file accepted at its path; a refused file by whatever came of its path
    next. A row left out on purpose, or one that repeats an accepted row, was never open; it has no ``at``.
    """
    if not lake.exists(QUARANTINE):
        return pd.DataFrame(columns=[*REJECTED, "how", "at"])
    rows = lake.read(QUARANTINE).reindex(columns=list(REJECTED))
    # A quarantine begun by an earlier release lacks this column.
    rows["deliberate"] = rows["deliberate"].eq(True)
    rows["how"] = None
    rows["at"] = pd.Series(pd.NaT, index=rows.index, dtype="datetime64[us, UTC]")
    rows.loc[rows["rule"] == str(RowRule.DUPLICATE), "how"] = "held already"
    rows.loc[rows["deliberate"], "how"] = "left out on purpose"
    _settle_by_retry(rows, lake)
    _settle_by_later_file(rows, ledger.read(lake))
    return rows


def reasons(rows: pd.DataFrame, by_file: bool = False) -> list[Reason]:
    """``rows`` of ``standing`` counted by rule, table and field (and by file), those with the most open rows first."""
    names = ["rule", "table", "field", *(["file"] if by_file else [])]
    found = []
    for key, some in rows.assign(**rows[names].fillna("")).groupby(names):
        rule, table, field, *file = map(str, key)
        waiting = some[some["how"].isna()]
        found.append(
            Reason(
                rule=rule,
                table=table or None,
                field=field or None,
                file=file[0] if file else None,
                files=waiting["file"].nunique(),
                rows=len(some),
                open=len(waiting),
                remedy="Each file has its own; look at them." if rule == REFUSED else str(some["remedy"].iloc[0]),
            )
        )
    return sorted(found, key=lambda one: (-one.open, -one.rows, one.rule, one.file or ""))


def masked(rows: pd.DataFrame, personal: bool = False) -> pd.DataFrame:
    """``rows`` with personal values masked unless ``personal``; direct identifiers were never kept.

    What a value that no canonical column holds says of a person is not known, so that it is masked too.
    """
    if personal:
        return rows
    told = [
        value if not value or value == WITHHELD or _is_harmless(table, field) else MASKED
        for value, table, field in zip(rows["value"], rows["table"], rows["field"], strict=True)
    ]
    return rows.assign(value=told)


def _is_harmless(table: str | None, field: str | None) -> bool:
    if field is None:
        return True
    if table is None:
        return False
    return all(_shown(TABLES[table].column(name).privacy) for name in field.split(", "))


def _shown(privacy: Privacy) -> bool:
    return privacy in (Privacy.NONE, Privacy.PSEUDONYM)


def row_values(
    landing: Landing, source: mapping.Mapping, zone: ZoneInfo, *, file: str, number: int, personal: bool = False
) -> dict[str, dict[str, str]]:
    """What the mapping makes of one row of a landing file, as text: values by canonical table and column.

    Direct identifiers are withheld and personal values masked, unless ``personal``. Raises MissingDataError when the
    file is no longer in the landing directory, and SourceError when it cannot be read.
    """
    if file not in landing.paths():
        raise MissingDataError(f"{file} is no longer in the landing directory. Land it again to look into it.")
    found = {}
    for name, rows in landed.read(landing, source, zone, file, landing.batch(file)).texts.items():
        for values in rows.filter(pc.equal(rows["row"], number)).to_pylist():
            found[name] = {
                column.name: _told(values[column.name], column.privacy, personal)
                for column in TABLES[name].columns
                if column.name in values
            }
    return found


def _told(value: str | None, privacy: Privacy, personal: bool) -> str:
    if not value or _shown(privacy):
        return value or ""
    if privacy is Privacy.DIRECT:
        return WITHHELD
    return value if personal else MASKED


def _settle_by_retry(rows: pd.DataFrame, lake: Lake) -> None:
    if not lake.exists(RESOLUTIONS):
        return
    settled = lake.read(RESOLUTIONS).set_index(["of", "table", "row"])[["how", "at"]]
    keys = pd.MultiIndex.from_arrays([rows[BATCH], rows["table"].fillna(""), rows["row"].fillna(-1).astype("int64")])
    found = settled[~settled.index.duplicated()].reindex(keys)
    _settle(rows, found["how"].notna().to_numpy(), found["how"].to_numpy(), found["at"].to_numpy())


def _settle_by_later_file(rows: pd.DataFrame, entries: pd.DataFrame) -> None:
    """Refusals other than the latest of a path, and rows of a content that another one has replaced at its path."""
    files = entries[entries["status"] != "retried"].sort_values("at", kind="stable", na_position="first")
    refusals = rows["rule"] == REFUSED
    latest = files.drop_duplicates("file", keep="last").set_index("file").reindex(rows["file"])
    how = np.where(latest["status"] == "refused", "refused again", "file taken in")
    _settle(rows, (refusals & (latest[BATCH].to_numpy() != rows[BATCH])).to_numpy(), how, latest["at"].to_numpy())
    stored = ledger.accepted(files).drop_duplicates("file", keep="last").set_index("file").reindex(rows["file"])
    replaced = ~refusals & rows["how"].isna() & stored[BATCH].notna().to_numpy()
    replaced &= stored[BATCH].to_numpy() != rows[BATCH].map(ledger.content)
    _settle(rows, replaced.to_numpy(), np.repeat("replaced by a later file", len(rows)), stored["at"].to_numpy())


def _settle(rows: pd.DataFrame, which: NDArray[np.bool_], how: NDArray[np.object_], at: Any) -> None:
    rows.loc[which, "how"] = how[which]
    rows.loc[which, "at"] = pd.to_datetime(at[which], utc=True)


def resolution(retry: str, rows: pd.DataFrame, how: str, at: datetime) -> pd.DataFrame:
    """Rows of ``RESOLUTIONS`` saying that ``retry`` settled these quarantined rows."""
    return pd.DataFrame(
        {
            BATCH: retry,
            "of": rows[BATCH],
            "table": rows["table"].fillna(""),
            "row": rows["row"].astype("int64"),
            "how": how,
            "at": pd.Timestamp(at).as_unit("us"),
        },
        columns=list(RESOLVED),
    )
