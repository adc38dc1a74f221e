"""Online stores to meet: Feast's own, empty, on SQLite and on a real Redis."""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from holdfast.adapters.environment import activate
from holdfast.adapters.feature_store import FeastStore
from holdfast.adapters.online.configured import OnlineWriter, writer
from holdfast.settings import Settings

WRITTEN = datetime(2017, 11, 26, 6, tzinfo=UTC)
Url = Callable[[], str]


@pytest.fixture(params=["sqlite", "redis"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Url:
    """Each call names another empty online store of one kind."""
    if request.param == "sqlite":
        numbers = iter(range(16))
        return lambda: f"sqlite:///{tmp_path / f'online-{next(numbers)}.db'}"
    url = request.getfixturevalue("redis_url")
    import redis

    redis.Redis.from_url(f"{url}/0").flushall()
    databases = iter(range(16))
    return lambda: f"{url}/{next(databases)}"


@pytest.fixture
def open_store(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., FeastStore]:
    """Opens Feast on the online store of a URL; all stores of one test share their offline tables."""
    environment = dict(os.environ)

    def at(url: str, written_at: datetime = WRITTEN, online: OnlineWriter | None = None) -> FeastStore:
        monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path))
        monkeypatch.setenv("HOLDFAST_FEAST_ONLINE_URL", url)
        settings = Settings()
        activate(settings)
        store = FeastStore(settings.feast_repo, settings.feast_offline, written_at, online or writer(url))
        store.apply()  # reads the configuration, so that the next store can have another
        return store

    yield at
    os.environ.clear()
    os.environ.update(environment)
