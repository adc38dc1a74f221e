"""Reads Parquet as text."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from holdfast.adapters.files.compression import LARGEST
from holdfast.adapters.files.rows import FIRST_ROW, of_texts, refuse_columns
from holdfast.errors import SourceError
from holdfast.mapping import Format
from holdfast.ports import FileContent

_MOST_FIELDS = 250_000_000  # a file of repeated values stays small however many there are


def read(content: bytes, form: Format, name: str) -> FileContent:
    """The rows of a Parquet file; raises SourceError when it is damaged, too large, or a column is no plain text."""
    try:
        file = pq.ParquetFile(pa.BufferReader(content))
        _refuse_oversized(file.metadata, name)
        table = file.read()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        cause = str(error).splitlines()[0]
        raise SourceError(
            f"{name}: {len(content):,} bytes that are no whole Parquet file ({cause}). Deliver it again."
        ) from error
    refuse_columns(table.column_names, name)
    texts = {}
    for column in table.column_names:
        try:
            texts[column] = pc.fill_null(pc.cast(table[column], pa.string()), "").combine_chunks()
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise SourceError(
                f"{name}: column {column!r} holds {table[column].type}, which has no plain text. Flatten or drop it."
            ) from error
    return FileContent(of_texts(texts, np.arange(FIRST_ROW, FIRST_ROW + table.num_rows)))


def _refuse_oversized(metadata: pq.FileMetaData, name: str) -> None:
    size = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    fields = metadata.num_rows * metadata.num_columns
    if size > LARGEST or fields > _MOST_FIELDS:
        raise SourceError(
            f"{name}: {size:,} bytes in {fields:,} fields once unpacked; at most {LARGEST:,} bytes and "
            f"{_MOST_FIELDS:,} fields are read at once. Deliver it in smaller files."
        )
