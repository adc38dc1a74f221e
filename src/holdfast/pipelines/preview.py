"""A look at what a source mapping makes of one file, before anything is ingested. Nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import PurePath
from zoneinfo import ZoneInfo

import pandas as pd

from holdfast import mapping
from holdfast.contract import BATCH, WITHHELD, check, together
from holdfast.errors import SourceError
from holdfast.expressions import Expression
from holdfast.features.catalog import FAMILIES
from holdfast.pipelines import landed
from holdfast.ports import Landing
from holdfast.schemas import TABLES, Privacy, Table

_BATCH_NAME = "preview"
_EXAMPLES = 3
_SHOWN = ["row", "table", "field", "rule", "value", "remedy", "deliberate"]


@dataclass(frozen=True)
class TablePreview:
    """What a file brings to one canonical table.

    ``origins`` says, for each column, which source columns it is made of; ``filled`` which share of the accepted rows
    has a value in it. ``first`` are the first accepted rows as text, direct identifiers withheld.
    """

    table: str
    accepted: int
    origins: Mapping[str, str]
    filled: Mapping[str, float]
    first: pd.DataFrame


@dataclass(frozen=True)
class Finding:
    """Rows that one rule rejects, with a few examples (row number and value)."""

    rule: str
    table: str | None
    field: str
    rows: int
    examples: tuple[tuple[int, str], ...]
    remedy: str
    deliberate: bool


@dataclass(frozen=True)
class Coverage:
    """Whether the shop's mapping feeds all tables of a feature family; ``lacking`` are those that it does not."""

    family: str
    lacking: tuple[str, ...]


@dataclass(frozen=True)
class Preview:
    """What a mapping makes of one file.

    ``by_path`` tells whether the input was found by the file's path, or else by its columns. ``rejected`` has a line
    for every row that would not be accepted, ``findings`` the same by rule. ``assumed`` are the tables whose keys were
    taken as known, since they come with other files.
    """

    file: str
    input: str
    by_path: bool
    rows: int
    tables: tuple[TablePreview, ...]
    rejected: pd.DataFrame
    findings: tuple[Finding, ...]
    assumed: tuple[str, ...]
    coverage: tuple[Coverage, ...]


@dataclass(frozen=True)
class _Match:
    """The input that reads a file: its name, the file's rows, and the landing day if the path says it."""

    name: str
    input: mapping.Input
    day: date | None


def preview(
    source: mapping.Mapping, landing: Landing, path: str, *, zone: ZoneInfo, today: date, show: int = 5
) -> Preview:
    """Map and check the file at ``path`` as ingest would, against an empty lake.

    A file whose path fits no input is read by the first input whose columns fit, and as if it had landed ``today``.
    Raises SourceError when the file cannot be read or fits no input.
    """
    match = _match(source, landing, path)
    content = landing.read(path, match.input.format)
    place = mapping.Place(match.input, match.day or today)
    mapped = landed.mapped(content, place, path, _BATCH_NAME, zone=zone, currency=source.currency)
    previews, assumed, rejected = [], set(), [mapped.rejected]
    accepted: dict[str, pd.DataFrame] = {}
    for table in (table for table in TABLES.values() if table.name in mapped.texts):
        rows = mapped.texts[table.name]
        known = {}
        for column in table.columns:
            if column.references in accepted:
                known[column.name] = set(accepted[column.references][TABLES[column.references].key[0]])
            elif column.references is not None:
                known[column.name] = set(rows[column.name].to_pylist())
                assumed.add(column.references)
        checked = check(table, rows, known, pd.DataFrame(columns=[*table.names, BATCH]))
        accepted[table.name] = checked.accepted
        rejected.append(checked.rejected)
        previews.append(_table_preview(table, match.input.tables[table.name], checked.accepted, show))
    everything = together(rejected)[_SHOWN].fillna({"table": "", "field": ""})
    return Preview(
        file=path,
        input=match.name,
        by_path=match.day is not None,
        rows=mapped.rows,
        tables=tuple(previews),
        rejected=everything,
        findings=_findings(everything),
        assumed=tuple(sorted(assumed)),
        coverage=coverage(source),
    )


def coverage(source: mapping.Mapping) -> tuple[Coverage, ...]:
    """Which feature families the mapping, over all its inputs, can feed."""
    fed = {name for one in source.inputs.values() for name in one.tables}
    return tuple(
        Coverage(family.name, tuple(table for table in family.tables if table not in fed)) for family in FAMILIES
    )


def _match(source: mapping.Mapping, landing: Landing, path: str) -> _Match:
    parts = PurePath(path).parts
    # A file may lie anywhere; the end of its path is what it would be called in the landing directory.
    for tail in ("/".join(parts[start:]) for start in reversed(range(len(parts)))):
        try:
            place = source.place(tail)
        except SourceError:
            continue
        return _Match(next(name for name, one in source.inputs.items() if one is place.input), place.input, place.day)
    faults = []
    for name, one in source.inputs.items():
        try:
            mapping.apply(one, landing.read(path, one.format).rows, path)
        except SourceError as error:
            faults.append(f"{name} ({one.path}): {error}")
            continue
        return _Match(name, one, None)
    raise SourceError("\n".join([f"{path} fits no input of the mapping, neither by path nor by columns:", *faults]))


def _table_preview(table: Table, feed: mapping.Feed, accepted: pd.DataFrame, show: int) -> TablePreview:
    first = accepted[list(table.names)].head(show)
    first = first.astype(object).where(first.notna(), "").astype(str)
    for column in table.columns:
        if column.privacy is Privacy.DIRECT:
            first[column.name] = WITHHELD
    return TablePreview(
        table=table.name,
        accepted=len(accepted),
        origins={name: origin(expression) for name, expression in feed.columns.items()},
        filled={name: float(accepted[name].notna().mean()) if len(accepted) else 0.0 for name in table.names},
        first=first,
    )


def origin(expression: Expression) -> str:
    """What an expression is made of, in a few words."""
    if expression.column is not None:
        return expression.column
    if expression.value is not None:
        return f"always {expression.value!r}"
    return f"{expression.operation} of {', '.join(expression.sources)}"


def _findings(rejected: pd.DataFrame) -> tuple[Finding, ...]:
    """Rejected rows by table, field and rule: wrong ones before those left out on purpose, the commonest first."""
    found = []
    for (table, field, rule), rows in rejected.groupby(["table", "field", "rule"], sort=False):
        examples = [(int(row), str(value)) for row, value in zip(rows["row"], rows["value"], strict=True)]
        found.append(
            Finding(
                rule=str(rule),
                table=str(table) or None,
                field=str(field),
                rows=len(rows),
                examples=tuple(examples[:_EXAMPLES]),
                remedy=str(rows["remedy"].iloc[0]),
                deliberate=bool(rows["deliberate"].iloc[0]),
            )
        )
    return tuple(sorted(found, key=lambda one: (one.deliberate, -one.rows)))
