"""Which online store there is: one URL decides, for Feast and for our own bulk writes alike."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, unquote, urlsplit

from holdfast.adapters.online.layout import Rows, View
from holdfast.adapters.online.redis_reader import RedisReader
from holdfast.adapters.online.redis_rows import TIMEOUTS, RedisRows
from holdfast.adapters.online.sqlite_reader import SqliteReader
from holdfast.adapters.online.sqlite_rows import SqliteRows
from holdfast.errors import SettingsError
from holdfast.ports import OnlineReader

_SETTING = "HOLDFAST_FEAST_ONLINE_URL"
_REDIS_PORT = 6379


class OnlineWriter(Protocol):
    """An online store that takes rows by the batch."""

    def write(self, project: str, batches: Iterable[Rows]) -> int:
        """Write every row that is not older than what the store holds; returns how many were written.

        Raises StoreUnavailableError when the store cannot be reached and FeatureStoreError when it has not been set up.
        """
        ...

    def held(self, project: str, customer: str) -> int:
        """How many values the store holds of the customer, over all views."""
        ...

    def erase(self, project: str, customers: Sequence[str], view: View | None = None) -> None:
        """Delete all that the store holds of the customers, or one view's values, past recovery from its file."""
        ...

    def explained(self) -> AbstractContextManager[None]:
        """Inside the block the store's own errors, of Feast's reading too, become FeatureStoreErrors with a remedy."""
        ...


def writer(url: str) -> OnlineWriter:
    """The bulk writer of the store at ``url``."""
    parts = _parts(url)
    return SqliteRows(_file(parts)) if parts.scheme == "sqlite" else RedisRows(url)


def reader(url: str) -> OnlineReader:
    """The reader of the store at ``url``."""
    parts = _parts(url)
    return SqliteReader(_file(parts)) if parts.scheme == "sqlite" else RedisReader(url)


def feast_config(url: str) -> str:
    """Feast's own configuration of the same store: the value of ``online_store`` in ``feature_store.yaml``, as JSON."""
    parts = _parts(url)
    if parts.scheme == "sqlite":
        return json.dumps({"type": "sqlite", "path": str(_file(parts))})
    return json.dumps({"type": "redis", "connection_string": _connection_string(parts)})


def _parts(url: str) -> SplitResult:
    parts = urlsplit(url)
    if parts.scheme == "sqlite" and parts.path.startswith("//") and not parts.netloc:
        return parts
    if parts.scheme in ("redis", "rediss") and parts.hostname and parts.path.strip("/").isdecimal():
        return parts
    raise SettingsError(
        f"{_SETTING} is {_without_password(parts)!r}: write sqlite:////absolute/path/online.db, or "
        "redis://host:port/database (rediss:// for TLS), such as redis://127.0.0.1:6379/0"
    )


def _file(parts: SplitResult) -> Path:
    return Path(parts.path[1:])


def _connection_string(parts: SplitResult) -> str:
    """Feast's notation of a Redis address: ``host:port,name=value,…``, values as JSON."""
    options = {"db": parts.path.strip("/"), **{name: str(seconds) for name, seconds in TIMEOUTS.items()}}
    if parts.scheme == "rediss":
        options["ssl"] = "true"
    if parts.username:
        options["username"] = json.dumps(unquote(parts.username))
    if parts.password:
        options["password"] = json.dumps(unquote(parts.password))
    if any("," in value for value in options.values()):
        raise SettingsError(f"{_SETTING} has a comma in its user name or password, which Feast cannot take: change it")
    address = f"{parts.hostname}:{parts.port or _REDIS_PORT}"
    return ",".join([address, *(f"{name}={value}" for name, value in options.items())])


def _without_password(parts: SplitResult) -> str:
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
