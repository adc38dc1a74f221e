"""A psycopg connection that waits for no answer without end: libpq has no such limit of its own."""

from __future__ import annotations

from typing import Any

import psycopg

LONGEST_WAIT = 300.0
"""Seconds. Far longer than planning a million customers holds others up; shorter than a lease."""


class BoundedConnection(psycopg.Connection[Any]):
    """Breaks off and raises OperationalError when a server takes longer than ``longest_wait`` seconds to answer.

    A peer that is gone is noticed by TCP; one that takes what is sent and says nothing, as behind a stalled proxy, is
    not.
    """

    longest_wait = LONGEST_WAIT

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return super().wait(gen, interval, self.longest_wait if timeout is None else timeout)
        except psycopg.errors._WaitTimeout as error:
            if timeout is not None:
                raise
            self.pgconn.finish()
            raise psycopg.OperationalError(
                f"connection broken off: no answer within {self.longest_wait:g} seconds"
            ) from error
