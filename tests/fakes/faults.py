"""An operations database whose process loses power at a chosen commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any

from holdfast.campaign.outbox import Lease, Outcome, Step
from holdfast.ports import KeptOperations, Operations, OperationsTransaction


class PowerCutError(BaseException):
    """The process is gone: nothing that it would still do happens."""


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
