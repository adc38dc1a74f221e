"""Reads from Feast's SQLite online store, many customers and views in one statement."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from holdfast.adapters.online.layout import entity_keys, value
from holdfast.adapters.threads import OneThread
from holdfast.errors import FeatureStoreError
from holdfast.ports import Asked

_KEYS_PER_QUERY = 1_000
_LOCK_SECONDS = 1.0


class SqliteReader:
    """The OnlineReader on the SQLite file at ``path``; a thread of its own reads, so that nobody else waits for it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = OneThread("online-store")

    async def read(self, asked: Asked, customers: Sequence[str]) -> list[list[Any]]:
        return await self._thread.run(self._read, asked, customers)

    async def close(self) -> None:
        self._thread.close()

    def _read(self, asked: Asked, customers: Sequence[str]) -> list[list[Any]]:
        keys = entity_keys(customers)
        wanted = list(dict.fromkeys(keys))
        rows: dict[bytes, list[Any]] = {}
        try:
            with closing(sqlite3.connect(f"{self._path.as_uri()}?mode=ro", timeout=_LOCK_SECONDS, uri=True)) as opened:
                for start in range(0, len(wanted), _KEYS_PER_QUERY):
                    self._read_some(opened, asked, wanted[start : start + _KEYS_PER_QUERY], rows)
        except sqlite3.Error as error:
            raise FeatureStoreError(
                f"the online store {self._path} cannot serve: {error}. Where a table is missing, run the features DAG "
                "(or `feast apply`) first."
            ) from error
        empty = [None] * sum(1 + len(features) for features in asked.views.values())
        return [rows.get(key, empty) for key in keys]

    def _read_some(
        self, connection: sqlite3.Connection, asked: Asked, keys: list[bytes], rows: dict[bytes, list[Any]]
    ) -> None:
        """Add the rows of these keys. One statement sees one state of the store."""
        size = sum(1 + len(features) for features in asked.views.values())
        places: dict[tuple[int, str], int] = {}
        parts, at = [], 0
        marks = ",".join(f"?{number}" for number in range(1, len(keys) + 1))
        for number, (view, features) in enumerate(asked.views.items()):
            places[number, ""] = at
            places |= {(number, feature): at + 1 + i for i, feature in enumerate(features)}
            at += 1 + len(features)
            parts.append(
                f"SELECT {number}, entity_key, feature_name, value, event_ts "  # noqa: S608 - names from the registry
                f'FROM "{asked.project}_{view}" WHERE entity_key IN ({marks})'
            )
        for number, key, feature, cell, event_time in connection.execute(" UNION ALL ".join(parts), keys):
            row = rows.setdefault(key, [None] * size)
            row[places[number, ""]] = _moment(event_time)
            place = places.get((number, feature))
            if place is not None:
                row[place] = value(cell)


@lru_cache(maxsize=4096)
def _moment(stored: int) -> float:
    """Seconds of the epoch from a time as Feast keeps it in SQLite: the UTC clock reading, taken for local time."""
    return datetime.fromtimestamp(stored).replace(tzinfo=UTC).timestamp()  # noqa: DTZ006
