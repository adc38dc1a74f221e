"""Inserting a million rows: straight through the driver, since an ORM's per-value work would take minutes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from sqlalchemy import Connection, Table


@dataclass(frozen=True)
class Same:
    """One value for every row of a column."""

    value: object


def insert_columns(connection: Connection, table: Table, columns: Mapping[str, Sequence[Any] | Same]) -> int:
    """Insert rows given by column, each a sequence of equal length or ``Same``; returns their number.

    Values are converted as SQLAlchemy would, each distinct one once: COPY on PostgreSQL, one prepared statement on
    SQLite. Columns left out get what the model declares as their default.
    """
    rows = max((len(values) for values in columns.values() if not isinstance(values, Same)), default=0)
    if not rows:
        return 0
    given: dict[str, Sequence[Any] | Same] = dict(columns)
    for column in table.columns:
        if column.name not in given and column.default is not None:
            given[column.name] = Same(column.default.arg)  # type: ignore[attr-defined]
    stored = [_stored(connection, table, name, values) for name, values in given.items()]
    driver: Any = connection.connection.driver_connection
    names = ", ".join(given)
    if connection.dialect.name == "postgresql":
        with driver.cursor() as cursor, cursor.copy(f"COPY {table.name} ({names}) FROM STDIN") as copy:
            for row in zip(*stored, strict=False):
                copy.write_row(row)
    else:
        marks = ", ".join("?" * len(given))
        driver.executemany(f"INSERT INTO {table.name} ({names}) VALUES ({marks})", zip(*stored, strict=False))  # noqa: S608 - names of our own models
    return rows


def _stored(connection: Connection, table: Table, name: str, values: Sequence[Any] | Same) -> Iterable[Any]:
    """The column's values as the driver takes them; endless for ``Same``."""
    convert = table.columns[name].type.dialect_impl(connection.dialect).bind_processor(connection.dialect)
    if isinstance(values, Same):
        return repeat(values.value if convert is None else convert(values.value))
    return values if convert is None else _converted(convert, values)


def _converted(convert: Callable[[Any], Any], values: Sequence[Any]) -> Iterator[Any]:
    known: dict[int, tuple[Any, Any]] = {}  # by identity: the same object converts to the same value
    for value in values:
        found = known.get(id(value))
        if found is None or found[0] is not value:
            found = known[id(value)] = (value, convert(value))
        yield found[1]
