"""A shop's source mapping: which landing files there are and how their columns become canonical ones.

The mapping is data (``sources/<shop>.yaml``). Applying it moves text about and never judges a value: that is the data
contract's part (``holdfast.contract``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BeforeValidator, Field, model_validator

from holdfast.errors import SourceError
from holdfast.rules import Rule, TimeZoneName
from holdfast.schemas import TABLES

ROW = "row"
"""Name of the column that carries each row's number in its file (the header is row 1)."""

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_DAY = r"(?P<day>\d{4}-\d{2}-\d{2})"


def nearest(name: str, known: list[str]) -> str:
    """A hint for an unknown name: the nearest known one, or all of them."""
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(known))}"


class Expression(Rule):
    """Where a canonical column's value comes from: exactly one of the first four.

    ``column`` copies a source column. ``value`` is a constant. ``sum`` adds source columns as numbers. ``join`` puts
    the text of source columns side by side with ``separator`` between them, leaving out empty ones.
    """

    column: str | None = None
    value: str | None = None
    sum: Annotated[list[str] | None, Field(min_length=2)] = None
    join: Annotated[list[str] | None, Field(min_length=2)] = None
    separator: str = "-"

    @model_validator(mode="after")
    def _exactly_one(self) -> Expression:
        given = [name for name in ("column", "value", "sum", "join") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("write a source column's name, or one of {value: …}, {sum: [a, b]}, {join: [a, b]}")
        return self

    @property
    def sources(self) -> list[str]:
        """The source columns read."""
        if self.column is not None:
            return [self.column]
        return self.sum or self.join or []


def _named(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


class Feed(Rule):
    """How one input fills one canonical table; ``distinct`` keeps one of several rows that map alike."""

    columns: dict[str, Annotated[Expression, BeforeValidator(_named)]]
    distinct: bool = False


class Input(Rule):
    """One kind of landing file.

    ``path`` is relative to the landing directory and holds ``{day}``, the landing day (YYYY-MM-DD). ``times`` is the
    time zone of times written without one; without it such a time is rejected. ``ignore`` lists the source columns
    left aside on purpose: any other that is not mapped is an error.
    """

    path: str
    format: Literal["csv", "parquet"]
    times: TimeZoneName | None = None
    ignore: tuple[str, ...] = ()
    tables: Annotated[dict[str, Feed], Field(min_length=1)]

    @model_validator(mode="after")
    def _fits_the_contract(self) -> Input:
        if self.path.count("{day}") != 1:
            raise ValueError(f"path {self.path!r} must hold {{day}} once, as in '{{day}}/orders.csv'")
        for name, feed in self.tables.items():
            if name not in TABLES:
                raise ValueError(f"no canonical table is called {name!r}; {nearest(name, list(TABLES))}")
            table = TABLES[name]
            for column in feed.columns:
                if column not in table.names:
                    raise ValueError(f"table {name} has no column {column!r}; {nearest(column, list(table.names))}")
            missing = [c.name for c in table.columns if not c.nullable and c.name not in feed.columns]
            if missing:
                raise ValueError(f"table {name} needs a mapping for {', '.join(missing)}")
        return self

    def day(self, path: str) -> date | None:
        """The landing day in ``path``, or None where the path is not one of this input's.

        Raises ValueError where the path fits but names no day of the calendar.
        """
        before, after = self.path.split("{day}")
        match = re.fullmatch(f"{re.escape(before)}{_DAY}{re.escape(after)}", path)
        return date.fromisoformat(match["day"]) if match else None


@dataclass(frozen=True)
class Place:
    """The input that reads a landing file, and the file's landing day."""

    input: Input
    day: date


class Mapping(Rule):
    """All inputs of one shop, by name."""

    inputs: Annotated[dict[str, Input], Field(min_length=1)]

    def place(self, path: str) -> Place:
        """Where a landing file belongs by its path. Raises SourceError where it belongs nowhere."""
        for source in self.inputs.values():
            try:
                day = source.day(path)
            except ValueError as error:
                raise SourceError(f"{path}: no calendar has the landing day in this path. Rename the file.") from error
            if day is not None:
                return Place(source, day)
        expected = ", ".join(source.path for source in self.inputs.values())
        raise SourceError(f"{path}: no input of the mapping has this path; known are {expected}. Rename or map it.")


def apply(source: Input, rows: pa.Table, file: str) -> dict[str, pa.Table]:
    """The canonical tables' rows in ``rows``, every value still text without surrounding blanks.

    A column ``row``, each row's number in the file, is carried along.

    Raises SourceError, naming ``file`` and the column, when ``rows`` has a column that is neither mapped nor ignored,
    or lacks a mapped one.
    """
    _check_columns(source, [name for name in rows.column_names if name != ROW], file)
    return {name: _feed(feed, rows) for name, feed in source.tables.items()}


def _check_columns(source: Input, present: list[str], file: str) -> None:
    mapped = {name for feed in source.tables.values() for e in feed.columns.values() for name in e.sources}
    expected = sorted(mapped | set(source.ignore))
    missing = sorted(mapped - set(present))
    unknown = [name for name in present if name not in expected]
    if unknown:
        raise SourceError(
            f"{file}, line 1: unknown column {unknown[0]!r}; {nearest(unknown[0], expected)} "
            "Map it in the shop's source mapping, or list it there under ignore."
        )
    if missing:
        raise SourceError(
            f"{file}, line 1: column {missing[0]!r} is missing; the file has {', '.join(present)}. "
            "Deliver the column, or change the shop's source mapping."
        )


def _feed(feed: Feed, rows: pa.Table) -> pa.Table:
    mapped = pa.table({name: _evaluate(expression, rows) for name, expression in feed.columns.items()})
    mapped = mapped.append_column(ROW, rows[ROW])
    if not feed.distinct:
        return mapped
    first = mapped.group_by(list(feed.columns), use_threads=False).aggregate([(ROW, "min")])
    return first.rename_columns([*feed.columns, ROW]).select(mapped.column_names)


def _evaluate(expression: Expression, rows: pa.Table) -> pa.ChunkedArray:
    if expression.value is not None:
        return pa.chunked_array([pa.repeat(pa.scalar(expression.value), rows.num_rows)])
    columns = [pc.utf8_trim_whitespace(rows[name]) for name in expression.sources]
    if expression.sum is not None:
        return _sum(columns)
    if expression.join is not None:
        return _join(columns, expression.separator)
    return columns[0]


def _join(columns: list[pa.ChunkedArray], separator: str) -> pa.ChunkedArray:
    joined = columns[0]
    for part in columns[1:]:
        both = pc.and_(pc.not_equal(joined, ""), pc.not_equal(part, ""))
        between = pc.if_else(both, separator, "")
        joined = pc.binary_join_element_wise(joined, between, part, "")
    return joined


def _sum(columns: list[pa.ChunkedArray]) -> pa.ChunkedArray:
    """The columns' sum as text; where a part is no number, the parts joined by ' + ', for the contract to reject."""
    plain = [pc.fill_null(pc.match_substring_regex(column, _NUMBER), False) for column in columns]
    numeric = plain[0]
    for part in plain[1:]:
        numeric = pc.and_(numeric, part)
    total = None
    for column in columns:
        number = pc.cast(pc.if_else(numeric, column, "0"), pa.float64())
        total = number if total is None else pc.add(total, number)
    text = pc.binary_join_element_wise(*columns, " + ", null_handling="replace", null_replacement="")
    return pc.if_else(numeric, pc.cast(total, pa.string()), text)
