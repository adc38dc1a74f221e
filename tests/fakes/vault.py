"""A vault in memory."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd


class FakeVault:
    """The Vault port; ``tables`` holds what was appended, all of it."""

    def __init__(self) -> None:
        self.tables: dict[str, pd.DataFrame] = {}
        self._batches: set[tuple[str, str]] = set()

    def append(self, table: str, rows: pd.DataFrame, batches: Sequence[str]) -> int:
        new = [batch for batch in batches if (table, batch) not in self._batches]
        fresh = rows[rows["batch"].isin(new)]
        self._batches.update((table, batch) for batch in new)
        self.tables[table] = pd.concat([self.tables[table], fresh]) if table in self.tables else fresh
        return len(fresh)
