"""Connecting to the operations database, its kinds of transaction, and bringing its schema up to date."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any

import psycopg
from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_random

from holdfast.adapters.storage import of_database
from holdfast.errors import SettingsError

_BUSY_MILLISECONDS = 60_000
_SIGNS_OF_LIFE = {
    "connect_timeout": 10,  # seconds
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,  # milliseconds
}
"""How soon libpq notices that the machine at the other end is gone, even while nothing is on its way."""

_TAKE, _SHARE = text("SELECT pg_advisory_xact_lock(:key)"), text("SELECT pg_advisory_xact_lock_shared(:key)")


class Lock(IntEnum):
    """What transactions wait for each other at. SQLite has one writer at a time, so that only PostgreSQL needs them.

    Nobody waits in a circle, since every transaction takes what it needs of these in this order: ``EXCLUSIVE``,
    ``LEASES``, ``GATE``, rows of the outbox or reports about them, coupons, campaign runs, and ``AUDIT``, after which
    it takes nothing new. Whoever takes two rows of the outbox that others may hold has ``LEASES``.
    """

    EXCLUSIVE = 0x686F6C64  # planning, loading, erasing and migrating
    LEASES = 0x686F6C65  # handing out messages to send, and taking them back
    GATE = 0x686F6C66  # shared by whoever relies on what the send gate was told, exclusive for whoever changes it
    AUDIT = 0x686F6C67  # the end of the audit log


SHARE_GATE = f"SELECT pg_advisory_xact_lock_shared({int(Lock.GATE)})"
"""``hold(connection, Lock.GATE, shared=True)`` for PostgreSQL's own driver."""


def connect(url: str) -> Engine:
    """An engine on ``url`` (SQLAlchemy form; SQLite or PostgreSQL). Nothing is opened yet, but SQLite's folder made.

    SQLite runs in WAL, so that readers never wait, with foreign keys enforced and a writer waiting for the other.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise SettingsError("HOLDFAST_OPERATIONS_URL is no SQLAlchemy URL; write sqlite:////path/to/file.db") from error
    if parsed.get_backend_name() != "sqlite":
        engine = create_engine(parsed, pool_pre_ping=True, connect_args=_SIGNS_OF_LIFE)
        event.listen(engine, "do_connect", _bounded)
        return _unshared(engine)
    if not parsed.database or parsed.database == ":memory:":
        raise SettingsError("the operations database must be a file: several processes share it")
    Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, connect_args={"timeout": _BUSY_MILLISECONDS / 1000})
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return _unshared(engine)


def _bounded(_dialect: object, _record: object, arguments: list[Any], options: dict[str, Any]) -> Any:
    """A connection on which no answer is waited for without end."""
    from holdfast.adapters.operations.bounded import BoundedConnection

    return BoundedConnection.connect(*arguments, **options)


@contextmanager
def _explained(engine: Engine) -> Iterator[None]:
    """Inside the block, a full disk, a broken file and a server that is gone are told with a remedy."""
    try:
        yield
    except (DBAPIError, psycopg.Error) as error:
        cause = (error.orig or error) if isinstance(error, DBAPIError) else error
        told = of_database(cause, f"the operations database {engine.url}", "HOLDFAST_OPERATIONS_URL")
        if told is None:
            raise
        raise told from error


def _unshared(engine: Engine) -> Engine:
    """Keep pooled connections to the process that opened them: after a fork, two would speak on one connection."""

    @event.listens_for(engine, "connect")
    def _remember_owner(_connection: object, record: ConnectionPoolEntry) -> None:
        record.info["pid"] = os.getpid()

    @event.listens_for(engine, "checkout")
    def _refuse_inherited(_connection: object, record: ConnectionPoolEntry, proxy: PoolProxiedConnection) -> None:
        if record.info["pid"] != os.getpid():
            record.dbapi_connection = proxy.dbapi_connection = None  # type: ignore[misc]
            raise DisconnectionError("the connection belongs to another process; the pool opens a new one")

    return engine


def _configure_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver must not open transactions by itself: see _begin_sqlite
    connection.execute(f"PRAGMA busy_timeout = {_BUSY_MILLISECONDS}")
    connection.execute("PRAGMA foreign_keys = ON")
    _log_ahead(connection)


@retry(
    retry=retry_if_exception_type(sqlite3.OperationalError),
    wait=wait_random(0.01, 0.1),
    stop=stop_after_delay(_BUSY_MILLISECONDS / 1000),
    reraise=True,
)
def _log_ahead(connection: Any) -> None:
    """Switch a new file to WAL; while another process does the same, SQLite answers "locked" whatever its timeout."""
    connection.execute("PRAGMA journal_mode = WAL")


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at the start: a transaction that reads first and writes later would fail, not wait."""
    immediate = connection.get_execution_options().get("holdfast_writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads, and sees what was committed before its first question, whatever comes later."""
    with _explained(engine), engine.connect() as connection:
        if connection.dialect.name == "postgresql":  # which by itself looks anew at every statement
            connection.execution_options(isolation_level="REPEATABLE READ")
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction committed when the block ends and rolled back when it raises."""
    with (
        _explained(engine),
        engine.connect().execution_options(holdfast_writes=True) as connection,
        connection.begin(),
    ):
        yield connection


@contextmanager
def kept(engine: Engine) -> Iterator[Connection]:
    """A connection to be kept for many short writing transactions, each in a ``connection.begin()`` of its own."""
    with _explained(engine), engine.connect().execution_options(holdfast_writes=True) as connection:
        yield connection


@contextmanager
def exclusive(engine: Engine) -> Iterator[Connection]:
    """As ``writing``, and no other exclusive transaction runs meanwhile, in whatever process."""
    with writing(engine) as connection:
        hold(connection, Lock.EXCLUSIVE)
        yield connection


def hold(connection: Connection, lock: Lock, *, shared: bool = False) -> None:
    """Wait for the lock and keep it until the transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(_SHARE if shared else _TAKE, {"key": int(lock)})


def upgrade(url: str) -> None:
    """Bring the schema at ``url`` to the newest migration, in one transaction; two processes at once do it once.

    Raises SettingsError when a version of Holdfast that this one does not know made the tables.
    """
    engine = connect(url)
    config = Config()
    config.set_main_option("script_location", "holdfast:adapters/operations/migrations")
    try:
        with exclusive(engine) as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except CommandError as error:
        raise SettingsError(
            f"the operations database {engine.url.render_as_string()} was made by another version of Holdfast "
            f"({error}). Use that version, or point HOLDFAST_OPERATIONS_URL at a new database"
        ) from error
    finally:
        engine.dispose()
