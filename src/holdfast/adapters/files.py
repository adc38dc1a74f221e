"""Reads one landing file with every field as text, and refuses what no row check could repair.

Text keeps what guessing types would lose: ``00123`` and ``NA`` stay the ids they are.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from holdfast.errors import SourceError
from holdfast.mapping import ROW
from holdfast.ports import FileContent, RaggedRow

_FIRST_ROW = 2
"""Number of the first row below the header."""


def read(path: Path, kind: str, name: str) -> FileContent:
    """The rows of a file of ``kind`` (csv, parquet); ``name`` is what errors call it.

    Raises SourceError naming the file, the place and the remedy.
    """
    content = path.read_bytes()
    if not content.strip():
        raise SourceError(f"{name}: the file is empty. Deliver it again; a day without rows needs no file.")
    result = _READERS[kind](content, name)
    if result.rows.num_rows == 0 and not result.ragged:
        raise SourceError(f"{name}: a header but no rows. Deliver the rows; a day without rows needs no file.")
    return result


def _read_csv(content: bytes, name: str) -> FileContent:
    _refuse_broken_text(content, name)
    columns = _header(content, name)
    bad: list[pacsv.InvalidRow] = []

    def set_aside(row: pacsv.InvalidRow) -> str:
        bad.append(row)
        return "skip"

    try:
        table = pacsv.read_csv(
            pa.BufferReader(content),
            # One block and one thread: rows keep their numbers, and no field is too long.
            read_options=pacsv.ReadOptions(use_threads=False, block_size=len(content) + 1),
            # Blank lines are dropped only after numbering.
            parse_options=pacsv.ParseOptions(
                newlines_in_values=True, ignore_empty_lines=False, invalid_row_handler=set_aside
            ),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        raise SourceError(f"{name}: not readable as CSV: {error}. Export the file again.") from error
    ragged = tuple(RaggedRow(row.number, row.actual_columns, row.expected_columns) for row in bad if row.text.strip())
    numbers = np.arange(_FIRST_ROW, _FIRST_ROW + table.num_rows + len(bad))
    numbers = np.setdiff1d(numbers, [row.number for row in bad], assume_unique=True)
    return FileContent(_without_blank(_numbered(table, numbers)), ragged)


def _refuse_broken_text(content: bytes, name: str) -> None:
    place = content.find(b"\0")
    if place >= 0:
        raise SourceError(f"{name}, {_place(content, place)}: a NUL byte; the file is damaged. Export it again.")
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{name}, {_place(content, error.start)}: byte {content[error.start]:#04x} is not UTF-8. "
            "Export the file as UTF-8."
        ) from error
    if content.count(b'"') % 2:
        raise SourceError(f"{name}: a quotation mark is never closed. Double quotation marks inside values.")


def _header(content: bytes, name: str) -> list[str]:
    columns = next(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    _refuse_columns(columns, name)
    return columns


def _refuse_columns(columns: list[str], name: str) -> None:
    for number, column in enumerate(columns, start=1):
        if not column.strip():
            raise SourceError(f"{name}, line 1: column {number} has no name. Name it.")
        if column in columns[: number - 1]:
            raise SourceError(f"{name}, line 1: column {column!r} appears twice. Rename or drop one of them.")
        if column == ROW:
            raise SourceError(f"{name}, line 1: a column may not be called {ROW!r} here. Rename it.")


def _read_parquet(content: bytes, name: str) -> FileContent:
    try:
        table = pq.read_table(pa.BufferReader(content))
    except (pa.ArrowInvalid, OSError) as error:
        cause = str(error).splitlines()[0]
        raise SourceError(
            f"{name}: {len(content):,} bytes that are no whole Parquet file ({cause}). Deliver it again."
        ) from error
    _refuse_columns(table.column_names, name)
    texts = {}
    for column in table.column_names:
        try:
            texts[column] = pc.fill_null(pc.cast(table[column], pa.string()), "")
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise SourceError(
                f"{name}: column {column!r} holds {table[column].type}, which has no plain text. Flatten or drop it."
            ) from error
    return FileContent(_numbered(pa.table(texts), np.arange(_FIRST_ROW, _FIRST_ROW + table.num_rows)))


def _numbered(table: pa.Table, numbers: np.ndarray) -> pa.Table:
    return table.append_column(ROW, pa.array(numbers, pa.int64()))


def _without_blank(table: pa.Table) -> pa.Table:
    blank = pc.equal(table[0], "")
    if not pc.any(blank).as_py():
        return table
    for column in table.columns[1:-1]:
        blank = pc.and_(blank, pc.equal(column, ""))
    return table.filter(pc.invert(blank))


def _place(content: bytes, offset: int) -> str:
    line = content.count(b"\n", 0, offset) + 1
    return f"line {line}, byte {offset}"


_READERS: Mapping[str, Callable[[bytes, str], FileContent]] = {"csv": _read_csv, "parquet": _read_parquet}
