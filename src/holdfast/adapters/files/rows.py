"""What all readers share: the check of column names, and numbered rows of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.errors import SourceError
from holdfast.expressions import ROW

FIRST_ROW = 2
"""Number of the first row below the header."""


def refuse_columns(columns: Sequence[str], name: str) -> None:
    """Raise SourceError for a column without name, a name used twice, or the reserved name."""
    for number, column in enumerate(columns, start=1):
        if not column.strip():
            raise SourceError(f"{name}, line 1: column {number} has no name. Name it.")
        if column in columns[: number - 1]:
            raise SourceError(f"{name}, line 1: column {column!r} appears twice. Rename or drop one of them.")
        if column == ROW:
            raise SourceError(f"{name}, line 1: a column may not be called {ROW!r} here. Rename it.")


def of_texts(columns: Mapping[str, Any], numbers: Sequence[int] | np.ndarray) -> pa.Table:
    """The rows of these text columns under their numbers in the file."""
    texts = {name: pa.array(values, pa.string()) for name, values in columns.items()}
    return pa.table({**texts, ROW: pa.array(numbers, pa.int64())})


def without_blank(table: pa.Table) -> pa.Table:
    """The rows in which any field holds something."""
    blank = pc.equal(table[0], "")
    if not pc.any(blank).as_py():
        return table
    for name in table.column_names[1:]:
        if name != ROW:
            blank = pc.and_(blank, pc.equal(table[name], ""))
    return table.filter(pc.invert(blank))


def place(content: bytes, offset: int) -> str:
    """Where a byte stands, for people."""
    line = content.count(b"\n", 0, offset) + 1
    return f"line {line}, byte {offset}"
