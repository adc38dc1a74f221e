"""Files that are either the old one or the new one, never half of each."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd

from holdfast.adapters.storage import storing

ROWS_PER_GROUP = 100_000
"""Rows of a Parquet file that a reader must hold at once."""


def write_bytes(path: Path, content: bytes) -> None:
    """Write aside, flush to disk, rename: a full disk or a crash leaves the previous file as it was.

    Raises StorageError when it cannot be written.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with aside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)


def write_parquet(path: Path, frame: pd.DataFrame) -> None:
    """``frame`` as Parquet, without its index, times as microseconds (DuckDB refuses pandas' nanoseconds)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.Table.from_pandas(frame, preserve_index=False), sink, coerce_timestamps="us", row_group_size=ROWS_PER_GROUP
    )
    write_bytes(path, sink.getvalue().to_pybytes())
