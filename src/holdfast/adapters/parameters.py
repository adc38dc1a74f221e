"""How many values one SQL statement may name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

Value = TypeVar("Value")

AT_ONCE = 5_000
"""Few enough for a statement that names them several times: SQLite takes 32,766 parameters (SQLITE_MAX_VARIABLE_NUMBER,
https://sqlite.org/limits.html), PostgreSQL 65,535.
"""


def parts(values: Sequence[Value]) -> Iterator[Sequence[Value]]:
    """The values in their order, ``AT_ONCE`` at most in each part."""
    for start in range(0, len(values), AT_ONCE):
        yield values[start : start + AT_ONCE]
