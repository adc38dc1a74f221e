"""Stores whose process loses power, or is overtaken, at a chosen commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any

import pandas as pd

from holdfast.campaign.outbox import Lease, Outcome, Step
from holdfast.ports import KeptOperations, Operations, OperationsTransaction
from tests.fakes.lake import FakeLake


class PowerCutError(BaseException):
    """The process is gone: nothing that it would still do happens."""


def power_cut() -> None:
    raise PowerCutError


class PowerCut:
    """``ports.Operations`` that works until its ``boundary``-th commit boundary, and never again after it.

    Each writing transaction has two boundaries, just before its commit (all of it is lost) and just after.
    """

    def __init__(self, operations: Operations, boundary: int) -> None:
        self._operations = operations
        self._left = boundary

    def reading(self) -> AbstractContextManager[OperationsTransaction]:
        self._alive()
        return self._operations.reading()

    def writing(self) -> AbstractContextManager[OperationsTransaction]:
        return self._cut(self._operations.writing)

    def planning(self) -> AbstractContextManager[OperationsTransaction]:
        return self._cut(self._operations.planning)

    @contextmanager
    def kept(self) -> Iterator[KeptUntilCut]:
        self._alive()
        with self._operations.kept() as kept:
            yield KeptUntilCut(kept, self._cut, self._boundary)

    @contextmanager
    def _cut(self, opened: Any) -> Iterator[OperationsTransaction]:
        self._alive()
        with opened() as tx:
            yield tx
            self._boundary()
        self._boundary()

    def _boundary(self) -> None:
        self._left -= 1
        self._alive()

    def _alive(self) -> None:
        if self._left <= 0:
            raise PowerCutError


class KeptUntilCut:
    """``ports.KeptOperations`` of a ``PowerCut``."""

    def __init__(self, kept: KeptOperations, cut: Any, boundary: Callable[[], None]) -> None:
        self._kept, self._cut, self._boundary = kept, cut, boundary

    def writing(self) -> AbstractContextManager[OperationsTransaction]:
        return self._cut(self._kept.writing)

    def step(self, last: tuple[Lease, Outcome] | None, following: Lease, at: datetime) -> Step:
        self._boundary()
        done = self._kept.step(last, following, at)
        self._boundary()
        return done


class HookedLake(FakeLake):
    """A lake that calls ``before`` or ``after`` around its ``countdown``-th append from now on."""

    def __init__(self) -> None:
        super().__init__()
        self.countdown = 0
        self.before: Callable[[], None] | None = None
        self.after: Callable[[], None] | None = None

    def append(self, table: str, rows: pd.DataFrame, batches: Sequence[str]) -> int:
        self.countdown -= 1
        mine = self.countdown == 0
        if mine and self.before:
            self.before()
        added = super().append(table, rows, batches)
        if mine and self.after:
            self.after()
        return added

    def cut_power(self, countdown: int, committed: bool) -> None:
        """Let the ``countdown``-th append from now on be the last thing that happens, ``committed`` or not."""
        self.countdown = countdown
        self.before, self.after = (None, power_cut) if committed else (power_cut, None)
