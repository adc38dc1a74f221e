"""``ports.KeptOperations``: one connection for a message after another, each step a single exchange on PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Update
from sqlalchemy.dialects.postgresql import psycopg

from holdfast.adapters.operations.database import SHARE_GATE
from holdfast.adapters.operations.outbox import CLAIM, FINISH, claiming, finishing
from holdfast.campaign.outbox import Lease, Outcome, State, Step
from holdfast.ports import OperationsTransaction


class Kept:
    """The connection (see ``database.kept``), and what turns it into a transaction's ports."""

    def __init__(self, connection: Connection, transaction: Callable[[Connection], OperationsTransaction]) -> None:
        self._connection = connection
        self._transaction = transaction
        self._pipelined = connection.dialect.name == "postgresql"

    def writing(self) -> AbstractContextManager[OperationsTransaction]:
        return self._writing()

    @contextmanager
    def _writing(self) -> Iterator[OperationsTransaction]:
        with self._connection.begin():
            yield self._transaction(self._connection)

    def step(self, last: tuple[Lease, Outcome] | None, following: Lease, at: datetime) -> Step:
        if self._pipelined and last is not None and last[1].state is State.SENT and at < following.until:
            return self._in_one_exchange(*last, following, at)
        with self.writing() as tx:
            marked = last is None or tx.outbox.finish(*last, at)
            return Step(marked, tx.outbox.claim(following, at))

    def _in_one_exchange(self, last: Lease, outcome: Outcome, following: Lease, at: datetime) -> Step:
        """The statements that ``writing`` would run, handed to the server at once: five waits for it become one.

        They stay statements of their own: each sees what was committed when it began, so that the claim sees whatever
        the lock before it has waited for.
        """
        driver: Any = self._connection.connection.driver_connection
        with driver.pipeline():
            driver.execute(SHARE_GATE)
            marked = _run(driver, FINISH, finishing(last, outcome, at))
            claimed = _run(driver, CLAIM, claiming(following, at))
            driver.commit()
        return Step(marked.rowcount == 1, claimed.rowcount == 1)


def _run(driver: Any, statement: Update, values: dict[str, Any]) -> Any:
    words, fixed = _for_the_driver(statement)
    return driver.execute(words, fixed | values)


@cache
def _for_the_driver(statement: Update) -> tuple[str, dict[str, Any]]:
    """The statement in psycopg's words, and its constants; all values are such as psycopg takes as they are."""
    compiled = statement.compile(dialect=psycopg.dialect())  # type: ignore[no-untyped-call]
    return str(compiled), dict(compiled.params)
