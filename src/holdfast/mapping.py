"""A shop's source mapping: which landing files there are and how their columns become canonical ones.

The mapping is data (``sources/<shop>.yaml``). Applying it moves text about and sets aside the rows that the mapping
itself excludes; it never judges a value: that is the data contract's part (``holdfast.contract``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from difflib import get_close_matches
from functools import reduce
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, model_validator

from holdfast.errors import SourceError
from holdfast.expressions import ROW, Condition, Operand, evaluate, holds
from holdfast.rules import CurrencyCode, Rule, TimeZoneName
from holdfast.schemas import TABLES, Privacy

_DAY = r"(?P<day>\d{4}-\d{2}-\d{2})"


def nearest(name: str, known: list[str]) -> str:
    """A hint for an unknown name: the nearest known one, or all of them."""
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(sorted(known))}"


class Exclusion(Rule):
    """Rows that feed no table, and the rule under which quarantine keeps them.

    Exactly one of ``reason`` (they are left out on purpose, and why) and ``remedy`` (they are wrong, and what to do).
    """

    rule: Annotated[str, Field(min_length=1)]
    when: Condition
    reason: str | None = None
    remedy: str | None = None

    @model_validator(mode="after")
    def _on_purpose_or_wrong(self) -> Exclusion:
        if (self.reason is None) == (self.remedy is None):
            raise ValueError(
                f"rule {self.rule!r} needs either a reason (rows left out on purpose: why) or a remedy (rows that are "
                "wrong: what to do)"
            )
        return self


class Feed(Rule):
    """How one input fills one canonical table.

    ``when`` chooses the rows (default: all that no exclusion takes). ``keep`` says which of them count: ``all``;
    ``distinct``: one of several that map alike; ``first``: the first of each key in the file; ``new``: the same, and a
    key that is held already is passed over, for a table that lives off another one's file.
    """

    columns: dict[str, Operand]
    when: Condition | None = None
    keep: Literal["all", "distinct", "first", "new"] = "all"

    @property
    def sources(self) -> list[str]:
        """The source columns read."""
        of_columns = [name for expression in self.columns.values() for name in expression.sources]
        return [*of_columns, *(self.when.sources if self.when else [])]


class Format(Rule):
    """How a file is written.

    ``csv`` and ``jsonl`` (one JSON object a line) may be compressed with gzip. ``delimiter`` and ``encoding`` are for
    csv (``encoding`` also for jsonl), ``sheet`` for excel (default: the first).
    """

    kind: Literal["csv", "jsonl", "parquet", "excel"]
    delimiter: Annotated[str, Field(pattern=r"^[^\w\s\"]$|^\t$")] = ","
    encoding: Literal["utf-8", "utf-16", "cp1252"] = "utf-8"
    sheet: str | None = None

    @model_validator(mode="after")
    def _fitting_options(self) -> Format:
        fitting = {"csv": {"delimiter", "encoding"}, "jsonl": {"encoding"}, "excel": {"sheet"}}.get(self.kind, set())
        strange = sorted(self.model_fields_set - fitting - {"kind"})
        if strange:
            raise ValueError(f"format {self.kind} has no option {strange[0]!r}")
        return self


def _kind(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


class Query(Rule):
    """A query whose rows land as files: ``database`` names the entry of HOLDFAST_SOURCE_URLS that says where it runs.

    ``sql`` selects one landing day by the parameters ``:start`` and ``:end``, UTC instants of the shop's midnights.
    """

    database: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    sql: str

    @model_validator(mode="after")
    def _by_day(self) -> Query:
        absent = [name for name in (":start", ":end") if name not in self.sql]
        if absent:
            raise ValueError(f"the query must use {absent[0]}, as in WHERE ordered_at >= :start AND ordered_at < :end")
        return self


class Input(Rule):
    """One kind of landing file.

    ``path`` is relative to the landing directory and holds ``{day}``, the landing day (YYYY-MM-DD). ``times`` is the
    time zone of times written without one; without it such a time is rejected. ``ignore`` lists the source columns
    left aside on purpose: any other that is not mapped is an error. Each row is taken by the first rule of ``exclude``
    whose condition it meets. With a ``query`` the files are made by ``holdfast source pull``, in Parquet.
    """

    path: str
    format: Annotated[Format, BeforeValidator(_kind)]
    query: Query | None = None
    times: TimeZoneName | None = None
    ignore: tuple[str, ...] = ()
    exclude: tuple[Exclusion, ...] = ()
    tables: Annotated[dict[str, Feed], Field(min_length=1)]

    @model_validator(mode="after")
    def _fits_the_contract(self) -> Input:
        if self.path.count("{day}") != 1:
            raise ValueError(f"path {self.path!r} must hold {{day}} once, as in '{{day}}/orders.csv'")
        if self.query is not None and self.format.kind != "parquet":
            raise ValueError(f"an input with a query lands as parquet, not as {self.format.kind}")
        names = [exclusion.rule for exclusion in self.exclude]
        repeated = [name for name in names if names.count(name) > 1]
        if repeated:
            raise ValueError(f"two exclusions are called {repeated[0]!r}; give each a name of its own")
        for name, feed in self.tables.items():
            _require_fit(name, feed)
        return self

    @property
    def sources(self) -> set[str]:
        """The source columns read."""
        fed = {name for feed in self.tables.values() for name in feed.sources}
        return fed.union(*(exclusion.when.sources for exclusion in self.exclude))

    @property
    def showable(self) -> set[str]:
        """The source columns whose values people may see: those that fill canonical columns, none of which is direct.

        What a column that fills none says of a person is not known.
        """
        fills: dict[str, set[Privacy]] = {}
        for table, feed in self.tables.items():
            for column, expression in feed.columns.items():
                for name in expression.sources:
                    fills.setdefault(name, set()).add(TABLES[table].column(column).privacy)
        return {name for name, classes in fills.items() if Privacy.DIRECT not in classes}

    def day(self, path: str) -> date | None:
        """The landing day in ``path``, or None where the path is not one of this input's.

        Raises ValueError where the path fits but names no day of the calendar.
        """
        before, after = self.path.split("{day}")
        match = re.fullmatch(f"{re.escape(before)}{_DAY}{re.escape(after)}", path)
        return date.fromisoformat(match["day"]) if match else None


def _require_fit(name: str, feed: Feed) -> None:
    if name not in TABLES:
        raise ValueError(f"no canonical table is called {name!r}; {nearest(name, list(TABLES))}")
    table = TABLES[name]
    for column in feed.columns:
        if column not in table.names:
            raise ValueError(f"table {name} has no column {column!r}; {nearest(column, list(table.names))}")
    missing = [c.name for c in table.columns if not c.nullable and c.name not in feed.columns]
    if missing:
        raise ValueError(f"table {name} needs a mapping for {', '.join(missing)}")
    if table.any_of and not feed.columns.keys() & set(table.any_of):
        raise ValueError(f"table {name} needs a mapping for at least one of {', '.join(table.any_of)}")


@dataclass(frozen=True)
class Place:
    """The input that reads a landing file, and the file's landing day."""

    input: Input
    day: date


class Mapping(Rule):
    """All inputs of one shop, by name. ``currency`` is the shop's only one: orders in another are set aside."""

    inputs: Annotated[dict[str, Input], Field(min_length=1)]
    currency: CurrencyCode | None = None

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


@dataclass(frozen=True)
class Excluded:
    """A file's rows that one rule keeps out of every table.

    ``rows`` are their numbers in the file. ``values`` has what each holds in ``fields``, the source columns that
    decided, or None where people may not see it. ``deliberate`` rows need no mending.
    """

    rule: str
    rows: tuple[int, ...]
    fields: str
    values: tuple[str | None, ...]
    remedy: str
    deliberate: bool


@dataclass(frozen=True)
class Mapped:
    """A file's rows, mapped: per canonical table its rows, and the rows that feed none.

    The tables' values are still text. Each has the column ``row``, and is named in ``repeatable`` if a row whose key
    is held already is no news.
    """

    tables: dict[str, pa.Table]
    excluded: tuple[Excluded, ...]
    repeatable: frozenset[str]


def apply(source: Input, rows: pa.Table, file: str, currency: str | None = None) -> Mapped:
    """Map ``rows``, the text columns and row numbers of ``file``. Every row feeds a table or is excluded by one rule.

    Orders in another currency than ``currency`` are excluded; None leaves the currencies alone. Raises SourceError,
    naming ``file`` and the column, when ``rows`` has a column that is neither mapped nor ignored, or lacks a mapped
    one.
    """
    _check_columns(source, [name for name in rows.column_names if name != ROW], file)
    for name in source.sources - set(rows.column_names):
        rows = rows.append_column(name, pa.repeat("", rows.num_rows))
    free = np.ones(rows.num_rows, dtype=np.bool_)
    excluded = []
    for exclusion in source.exclude:
        taken = free & _mask(holds(exclusion.when, rows))
        free &= ~taken
        excluded.append(_excluded(_why(exclusion), source, exclusion.when.sources, rows.filter(taken)))
    for foreign, columns in _foreign(source, rows, currency):
        taken = free & foreign
        free &= ~taken
        why = _Why("other currency", f"Write all amounts in {currency}, the currency of the shop.")
        excluded.append(_excluded(why, source, columns, rows.filter(taken)))
    chosen = {name: free & _chosen(feed, rows) for name, feed in source.tables.items()}
    unused = free & ~reduce(np.logical_or, chosen.values())
    deciding = [name for feed in source.tables.values() if feed.when for name in feed.when.sources]
    excluded.append(_excluded(_UNUSED, source, deciding, rows.filter(unused)))
    return Mapped(
        tables={name: _feed(name, feed, rows.filter(chosen[name])) for name, feed in source.tables.items()},
        excluded=tuple(one for one in excluded if one.rows),
        repeatable=frozenset(name for name, feed in source.tables.items() if feed.keep == "new"),
    )


def _check_columns(source: Input, present: list[str], file: str) -> None:
    mapped = source.sources
    expected = sorted(mapped | set(source.ignore))
    # An object of JSON lines leaves out what it has no value for; so may a whole day of them.
    missing = [] if source.format.kind == "jsonl" else sorted(mapped - set(present))
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


@dataclass(frozen=True)
class _Why:
    """The rule that keeps a row out, and what to do about it."""

    rule: str
    remedy: str
    deliberate: bool = False


_UNUSED = _Why(
    "feeds no table",
    "Let a table's `when` in the source mapping take such rows, or exclude them there by a rule of their own.",
)


def _why(exclusion: Exclusion) -> _Why:
    if exclusion.remedy is not None:
        return _Why(exclusion.rule, exclusion.remedy)
    return _Why(exclusion.rule, f"Nothing to do: left out on purpose. {exclusion.reason}", deliberate=True)


def _excluded(why: _Why, source: Input, columns: Sequence[str], rows: pa.Table) -> Excluded:
    deciding = list(dict.fromkeys(columns))
    values: tuple[str | None, ...] = (None,) * rows.num_rows
    if deciding and set(deciding) <= source.showable:
        values = tuple(", ".join(parts) for parts in zip(*(rows[name].to_pylist() for name in deciding), strict=True))
    return Excluded(
        rule=why.rule,
        rows=tuple(rows[ROW].to_pylist()),
        fields=", ".join(deciding),
        values=values,
        remedy=why.remedy,
        deliberate=why.deliberate,
    )


def _foreign(source: Input, rows: pa.Table, currency: str | None) -> list[tuple[NDArray[np.bool_], list[str]]]:
    """For each feed with a currency, the rows in another than the shop's, and the columns that say so."""
    found = []
    for feed in source.tables.values():
        if "currency" in feed.columns and currency is not None:
            written = evaluate(feed.columns["currency"], rows)
            foreign = pc.and_(pc.not_equal(written, currency), pc.not_equal(written, ""))
            found.append((_mask(foreign) & _chosen(feed, rows), feed.columns["currency"].sources))
    return found


def _chosen(feed: Feed, rows: pa.Table) -> NDArray[np.bool_]:
    return np.ones(rows.num_rows, dtype=np.bool_) if feed.when is None else _mask(holds(feed.when, rows))


def _feed(name: str, feed: Feed, rows: pa.Table) -> pa.Table:
    mapped = pa.table({column: evaluate(expression, rows) for column, expression in feed.columns.items()})
    mapped = mapped.append_column(ROW, rows[ROW])
    if feed.keep == "all":
        return mapped
    alike = list(feed.columns) if feed.keep == "distinct" else list(TABLES[name].key)
    firsts = mapped.group_by(alike, use_threads=False).aggregate([(ROW, "min")])
    return mapped.filter(pc.is_in(mapped[ROW], value_set=firsts[f"{ROW}_min"]))


def _mask(values: pa.ChunkedArray) -> NDArray[np.bool_]:
    return np.asarray(values.to_numpy(), dtype=np.bool_)
