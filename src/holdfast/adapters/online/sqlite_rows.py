"""Bulk writes into Feast's SQLite online store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import compress, repeat
from pathlib import Path

from holdfast.adapters.online.layout import Rows, View, entity_keys, texts, values
from holdfast.adapters.parameters import parts
from holdfast.adapters.storage import of_database
from holdfast.errors import FeatureStoreError

LOCK_SECONDS = 60
_SETTING = "HOLDFAST_FEAST_ONLINE_URL"


class SqliteRows:
    """The OnlineWriter on the SQLite file at ``path``, whose tables ``feast apply`` (``FeastStore.apply``) has made.

    A batch is one transaction, so that a crash leaves whole batches. Of two rows for one customer the one with the
    later event time stays; at the same event time, the one created later.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, project: str, batches: Iterable[Rows]) -> int:
        with self.explained(), closing(self._open()) as connection:
            return sum(_write(connection, project, rows) for rows in batches)

    def held(self, project: str, customer: str) -> int:
        if not self._path.exists():
            return 0
        with self.explained(), closing(self._open()) as connection:
            query = "SELECT count(*) FROM {} WHERE entity_key = ?"
            counts = (
                connection.execute(query.format(table), entity_keys([customer])).fetchone()[0]
                for table in _tables(connection, project)
            )
            return sum(counts)

    def erase(self, project: str, customers: Sequence[str], view: View | None = None) -> None:
        with self.explained(), closing(self._open()) as connection:
            connection.execute("PRAGMA secure_delete = ON")
            tables = _tables(connection, project) if view is None else [f'"{project}_{view.name}"']
            keys = [(key,) for key in entity_keys(customers)]
            with _transaction(connection):
                for table in tables:
                    connection.executemany(f"DELETE FROM {table} WHERE entity_key = ?", keys)  # noqa: S608
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=LOCK_SECONDS, isolation_level=None)

    @contextmanager
    def explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            told = of_database(error, f"the online store {self._path}", _SETTING)
            if told is not None:
                raise told from error
            raise FeatureStoreError(
                f"the online store {self._path} cannot serve: {error}. Where a table is missing, run the features DAG "
                "(or `feast apply`) first."
            ) from error


def _tables(connection: sqlite3.Connection, project: str) -> list[str]:
    """The tables that hold the project's views."""
    named = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND substr(name, 1, ?) = ?",
        (len(project) + 1, f"{project}_"),
    )
    return [f'"{name}"' for (name,) in named]


def _write(connection: sqlite3.Connection, project: str, rows: Rows) -> int:
    table = f'"{project}_{rows.view}"'
    at, created = _stored(rows.event_time), _stored(rows.created)
    keys = entity_keys(rows.customers)
    with _transaction(connection):
        newer = _newer(connection, table, keys, (at, created))
        wanted = [key not in newer for key in keys]
        for name, column in rows.columns.items():
            cells = zip(keys, repeat(name), values(column), texts(column), repeat(at), repeat(created))
            connection.executemany(
                f"INSERT INTO {table} (entity_key, feature_name, value, value_text, event_ts, created_ts) "  # noqa: S608
                "VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (entity_key, feature_name) DO UPDATE SET "
                "value = excluded.value, value_text = excluded.value_text, "
                "event_ts = excluded.event_ts, created_ts = excluded.created_ts",
                compress(cells, wanted),
            )
    return sum(wanted)


def _newer(
    connection: sqlite3.Connection, table: str, keys: Sequence[bytes], than: tuple[int, int]
) -> frozenset[bytes]:
    """The keys that hold a newer row already."""
    found: set[bytes] = set()
    at, created = than
    for some in parts(keys):
        query = (
            f"SELECT DISTINCT entity_key FROM {table} WHERE entity_key IN ({','.join('?' * len(some))}) "  # noqa: S608
            "AND (event_ts > ? OR (event_ts = ? AND created_ts > ?))"
        )
        found.update(key for (key,) in connection.execute(query, (*some, at, at, created)))
    return frozenset(found)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One transaction that holds the write lock from its start, so that what it reads nobody changes meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        if connection.in_transaction:  # on a full disk SQLite has rolled back by itself
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _stored(moment: datetime) -> int:
    """A time as Feast keeps it in SQLite: the UTC clock reading, taken for local time, in whole epoch seconds."""
    return int(moment.astimezone(UTC).replace(tzinfo=None).timestamp())
