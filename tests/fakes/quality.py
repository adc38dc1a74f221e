"""Expectations that note what they were asked to check."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from holdfast.errors import QualityError


class FakeQuality:
    """The Quality port. ``checked`` records (table, name, rows); a table in ``failing`` breaks its expectations."""

    def __init__(self) -> None:
        self.checked: list[tuple[str, str, int]] = []
        self.failing: set[str] = set()
        self.published = 0

    def check(self, table: str, rows: pd.DataFrame, name: str) -> None:
        self.checked.append((table, name, len(rows)))
        if table in self.failing:
            raise QualityError(f"{table}, {name}: an expectation fails")

    def publish(self) -> Path:
        self.published += 1
        return Path("data_docs/index.html")
