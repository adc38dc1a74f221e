"""Planning and sending to a hundred customers, on real operations databases and a fake channel."""

import pytest
from sqlalchemy import Engine

from tests.fakes.channel import FakeChannel
from tests.fakes.hundred import HUNDRED, hundred
from tests.fakes.operations import Intervention, intervention, reachable


@pytest.fixture
def engine(engine: Engine) -> Engine:
    """A database by which all of them can be reached."""
    reachable(engine, HUNDRED)
    return engine


@pytest.fixture
def channel() -> FakeChannel:
    return FakeChannel()


@pytest.fixture
def use_case(engine: Engine, channel: FakeChannel) -> Intervention:
    return intervention(engine, hundred(), channel)
