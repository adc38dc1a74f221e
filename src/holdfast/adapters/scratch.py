"""Intermediate tables as Parquet files in a folder that every task of a DAG run can reach."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from holdfast.adapters.atomic import write_parquet
from holdfast.adapters.storage import reading
from holdfast.errors import MissingDataError


class FileScratch:
    """The Scratch port on ``root``."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, name: str, rows: pd.DataFrame) -> str:
        path = self._root / f"{name}.parquet"
        write_parquet(path, rows)
        return str(path)

    def read(self, path: str) -> pd.DataFrame:
        if not Path(path).exists():
            raise MissingDataError(
                f"{path} is gone: an earlier task of this run wrote it. Clear the run from its first task on."
            )
        with reading(path, "Clear the run from its first task on, which writes it anew."):
            return pd.read_parquet(path)
