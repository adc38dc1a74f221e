"""Erasing a customer of the running stack: from PostgreSQL, Redis, the lake, the mailbox and every log."""

from __future__ import annotations

from collections.abc import Collection

import pytest
import redis
from psycopg import sql

from tests.fakes.canary import hits
from tests.stack import local
from tests.stack.conftest import Stack
from tests.stack.outcome import Outcome

pytestmark = pytest.mark.stack

SOMEONE_WRITTEN_TO = """
import json
from holdfast import wiring
store = wiring.vault()
print(json.dumps([store.own_id({customer!r}), store.contact({customer!r})["email"]]))
"""
STORES = {"lake", "vault", "online store", "feature files", "mailbox"}


def in_postgresql(stack: Stack, words: Collection[str]) -> list[str]:
    """Tables of the four databases with a row in which one of the words stands, as text or as bytes."""
    patterns = [f"%{form}%" for word in words for form in (word, word.encode().hex())]
    found = []
    for name in ("operations", "airflow", "mlflow", "feast"):
        with local.database(stack.model, stack.place, name) as connection:
            for (table,) in connection.execute(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            ).fetchall():
                query = sql.SQL("SELECT COUNT(*) FROM {0} WHERE {0}::text LIKE ANY(%s)").format(sql.Identifier(table))
                if connection.execute(query, [patterns]).fetchone() != (0,):
                    found.append(f"{name}.{table}")
    return sorted(found)


def in_redis(stack: Stack, words: Collection[str]) -> list[str]:
    """Keys of all of Redis's databases that hold one of the words, or have it in their name."""
    found = []
    for number in (0, 1):
        with redis.Redis(
            port=stack.place.ports["redis", 6379], password=stack.secrets["REDIS_PASSWORD"], db=number
        ) as store:
            for key in store.scan_iter():
                kept = key + (store.dump(key) or b"")
                found += [f"{number}: {key!r}" for word in words if word.encode() in kept]
    return found


def test_after_an_erasure_no_store_and_no_log_of_the_stack_knows_the_customer(
    after_the_loop: Stack, produced: Outcome
) -> None:
    stack = after_the_loop
    with local.database(stack.model, stack.place, "operations") as connection:
        [(customer,)] = connection.execute(
            "SELECT customer_id FROM outbox WHERE state = 'sent' ORDER BY customer_id LIMIT 1"
        ).fetchall()
    own_id, email = stack.inside("worker-1", SOMEONE_WRITTEN_TO.format(customer=customer))
    landing, words = stack.home / "landing", (customer, email)
    assert customer in set(produced.scores["customer_id"])
    assert in_postgresql(stack, words)
    assert in_redis(stack, words)
    assert hits(stack.home / "lake", words)
    assert hits(stack.home / "mail", words)

    told = stack.call("worker-1", "holdfast", "privacy", "erase", own_id, "--yes")

    assert in_postgresql(stack, words) == []
    assert in_redis(stack, words) == []
    assert hits(stack.home, words, [landing]) == []
    assert hits(stack.place.home / "mlflow", words) == []
    assert hits(stack.place.home / "logs", words) == []
    with local.database(stack.model, stack.place, "operations") as connection:
        [(subject, details)] = connection.execute(
            "SELECT subject, details FROM audit WHERE action = 'privacy.erase'"
        ).fetchall()
    assert details["certificate"] == subject
    assert details["certificate"] in told
    assert details["erased"].keys() >= STORES
    assert details["left_to_shop"]["landing files"] > 0
