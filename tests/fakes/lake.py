"""A lake in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from holdfast.errors import MissingDataError


class FakeLake:
    """The Lake port; every write that changes something makes a version, as in Delta."""

    def __init__(self) -> None:
        self._tables: dict[str, pd.DataFrame] = {}
        self._history: dict[str, list[pd.DataFrame]] = {}
        self._batches: set[tuple[str, str]] = set()

    def append(self, table: str, rows: pd.DataFrame, batches: Sequence[str]) -> int:
        new = [batch for batch in batches if (table, batch) not in self._batches]
        fresh = rows[rows["batch"].isin(new)]
        if not new:
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
        self,
        table: str,
        columns: Sequence[str] | None = None,
        where: Mapping[str, Sequence[str]] | None = None,
        version: int | None = None,
    ) -> pd.DataFrame:
        present = self.version(table)
        if version is not None and not 0 <= version <= present:
            raise MissingDataError(f"the lake's table {table!r} has no version {version}")
        rows = self._history[table][present if version is None else version]
        found = rows[_matches(rows, where or {})]
        return found.reindex(columns=columns if columns is not None else found.columns).reset_index(drop=True)

    def exists(self, table: str) -> bool:
        return table in self._tables

    def version(self, table: str) -> int:
        if table not in self._history:
            raise MissingDataError(f"the lake holds no table {table!r} yet. Run the stage that writes it first.")
        return len(self._history[table]) - 1

    def _write(self, table: str, parts: Sequence[pd.DataFrame | None]) -> None:
        given = [part for part in parts if part is not None]
        rows = pd.concat([part for part in given if len(part)] or given[:1], ignore_index=True)
        self._tables[table] = rows
        self._history.setdefault(table, []).append(rows)


def _matches(rows: pd.DataFrame, where: Mapping[str, Sequence[str]]) -> pd.Series:
    chosen = pd.Series(True, index=rows.index)
    for column, values in where.items():
        chosen &= rows[column].isin(list(values))
    return chosen
