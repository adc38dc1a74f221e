"""Intermediate tables in memory."""

from __future__ import annotations

import pandas as pd

from holdfast.errors import MissingDataError


class FakeScratch:
    """The Scratch port; ``tables`` holds what was written, by path."""

    def __init__(self) -> None:
        self.tables: dict[str, pd.DataFrame] = {}

    def write(self, name: str, rows: pd.DataFrame) -> str:
        self.tables[f"{name}.parquet"] = rows.reset_index(drop=True)
        return f"{name}.parquet"

    def read(self, path: str) -> pd.DataFrame:
        if path not in self.tables:
            raise MissingDataError(f"{path} is gone")
        return self.tables[path].copy()
