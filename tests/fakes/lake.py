"""A lake in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from holdfast.errors import MissingDataError


class FakeLake:
    """The Lake port; every write that changes something makes a version, as in Delta."""

    def __init__(self) -> None:
        self._tables: dict[str, pd.DataFrame] = {}
        self._versions: dict[str, int] = {}
        self._batches: set[tuple[str, str]] = set()

    def append(self, table: str, rows: pd.DataFrame, batches: Sequence[str]) -> int:
        new = [batch for batch in batches if (table, batch) not in self._batches]
        fresh = rows[rows["batch"].isin(new)]
        if fresh.empty:
            return 0
        self._batches.update((table, batch) for batch in new)
        self._write(table, [self._tables.get(table), fresh])
        return len(fresh)

    def replace(self, table: str, rows: pd.DataFrame, where: Mapping[str, Sequence[str]]) -> None:
        kept = None
        if table in self._tables:
            present = self._tables[table]
            kept = present[~_matches(present, where)]
        self._write(table, [kept, rows])

    def read(
        self, table: str, columns: Sequence[str] | None = None, where: Mapping[str, Sequence[str]] | None = None
    ) -> pd.DataFrame:
        if table not in self._tables:
            raise MissingDataError(f"the lake holds no table {table!r} yet. Run the stage that writes it first.")
        rows = self._tables[table]
        found = rows[_matches(rows, where or {})]
        return found.reindex(columns=columns if columns is not None else found.columns).reset_index(drop=True)

    def exists(self, table: str) -> bool:
        return table in self._tables

    def version(self, table: str) -> int:
        if table not in self._versions:
            raise MissingDataError(f"the lake holds no table {table!r} yet. Run the stage that writes it first.")
        return self._versions[table]

    def _write(self, table: str, parts: Sequence[pd.DataFrame | None]) -> None:
        self._tables[table] = pd.concat([part for part in parts if part is not None], ignore_index=True)
        self._versions[table] = self._versions.get(table, -1) + 1


def _matches(rows: pd.DataFrame, where: Mapping[str, Sequence[str]]) -> pd.Series:
    chosen = pd.Series(True, index=rows.index)
    for column, values in where.items():
        chosen &= rows[column].isin(list(values))
    return chosen
