"""Every test session has a home of its own; Airflow, Feast and MLflow are pointed at it before they are imported."""

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from sqlalchemy import Engine
from xdist.scheduler import LoadFileScheduling

from tests.machine import lacking, ours

# A runner started in the background by a shell ignores Ctrl-C, and so would every child that a test sends it to.
signal.signal(signal.SIGINT, signal.default_int_handler)

# No deadline for one example: a busy machine would fail it, and speed is measured in benchmarks/.
hypothesis.settings.register_profile("holdfast", deadline=None)
hypothesis.settings.load_profile("holdfast")

# At import time: Airflow reads its configuration when it is first imported, which collection may do.
_HOME = tempfile.TemporaryDirectory(prefix="holdfast-tests-")
for _name in ours():
    del os.environ[_name]
os.environ["HOLDFAST_HOME"] = _HOME.name
os.environ["HOLDFAST_APPROVAL"] = "auto"
os.environ["HOLDFAST_PSEUDONYM_KEY"] = "a pseudonym key for tests"  # arms are drawn from pseudonyms

from holdfast.adapters.environment import activate  # noqa: E402
from holdfast.settings import Settings  # noqa: E402

activate(Settings())


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """Who runs what, with ``-n``: a file's tests stay together, and so do those that look at one run of the loop."""
    return ByWhatIsShared(config, log)


class ByWhatIsShared(LoadFileScheduling):
    """Hands out whole files, and tests/dags as one, so that nothing is built twice; in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        return "tests/dags" if nodeid.startswith("tests/dags/") else super()._split_scope(nodeid)


@pytest.fixture(scope="session")
def project() -> Path:
    """The checkout."""
    return Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def settings() -> Settings:
    """The session's settings."""
    return Settings()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh operations database, on SQLite and on PostgreSQL."""
    from tests.fakes.operations import operations_url

    return operations_url(tmp_path, request.param)


@pytest.fixture
def engine(url: str) -> Engine:
    """The same, opened."""
    from holdfast.adapters.operations import database

    return database.connect(url)


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Redis server's URL, without a database number."""
    from tests.fakes.redis_server import redis_server, why_absent

    absent = why_absent()
    if absent:
        lacking(absent)
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url
