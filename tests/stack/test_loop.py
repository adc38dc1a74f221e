"""The whole loop on the production services, and that it comes to what it comes to in one process."""

from __future__ import annotations

import mailbox
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlsplit

import pandas as pd
import psycopg
import pytest
import redis

from tests.stack import local
from tests.stack.airflow_api import answer
from tests.stack.conftest import Stack
from tests.stack.outcome import Outcome

pytestmark = pytest.mark.stack

ONLINE = """
import json
from holdfast import wiring
rows = wiring.feature_store().online({customers!r})
print(rows[["customer_id", "probability", "tier"]].to_json(orient="records"))
"""


def test_the_stack_scores_whom_one_process_scores_and_alike(produced: Outcome, embedded: Outcome) -> None:
    assert produced.rows == embedded.rows
    assert produced.features == embedded.features
    pd.testing.assert_frame_equal(produced.scores, embedded.scores, rtol=1e-6)


def test_the_stack_treats_whom_one_process_treats_and_alike(produced: Outcome, embedded: Outcome) -> None:
    assert produced.assignments == embedded.assignments
    assert produced.messages == embedded.messages


def test_every_message_was_sent_once(after_the_loop: Stack, produced: Outcome) -> None:
    sent = sum(count for (_, state), count in produced.messages.items() if state == "sent")
    kept = mailbox.Maildir(after_the_loop.home / "mail", create=False)
    ids = Counter(message["Message-ID"] for message in kept)
    assert sent > 0
    assert sent == len(ids) == produced.emails
    assert set(ids.values()) == {1}


def test_redis_serves_the_scores_of_the_lake(after_the_loop: Stack, produced: Outcome) -> None:
    customers = list(produced.scores["customer_id"])
    served = pd.DataFrame(after_the_loop.inside("worker-1", ONLINE.format(customers=customers)))
    served = served[["customer_id", "probability", "tier"]].sort_values("customer_id", ignore_index=True)
    pd.testing.assert_frame_equal(served, produced.scores, check_dtype=False)
    secrets = after_the_loop.secrets
    with redis.Redis(port=after_the_loop.place.ports["redis", 6379], password=secrets["REDIS_PASSWORD"]) as store:
        assert store.info("persistence")["aof_enabled"] == 1
        assert store.dbsize() >= len(customers)


def test_the_champion_is_in_mlflow_with_the_marketers_name_on_it(after_the_loop: Stack) -> None:
    champion = after_the_loop.inside(
        "worker-1",
        "import json, mlflow\n"
        "one = mlflow.MlflowClient().get_model_version_by_alias('holdfast-churn', 'champion')\n"
        "rules = mlflow.artifacts.load_text(f'runs:/{one.run_id}/rules.json')\n"
        "print(json.dumps({'tags': one.tags, 'rules': rules}))",
    )
    assert "mara" in champion["tags"]["decision"]
    assert champion["rules"].startswith("{")


def test_tasks_ran_on_both_workers(after_the_loop: Stack) -> None:
    logs = {name: (after_the_loop.place.home / "logs" / f"{name}.log").read_text() for name in ("worker-1", "worker-2")}
    assert {name for name, log in logs.items() if "succeeded in" in log} == {"worker-1", "worker-2"}


def test_the_preference_page_serves_the_links_that_were_sent(after_the_loop: Stack) -> None:
    kept = mailbox.Maildir(after_the_loop.home / "mail", create=False)
    link = next(message["List-Unsubscribe"] for message in kept if "List-Unsubscribe" in message)
    path = urlsplit(link.strip("<>")).path
    status, page = answer(after_the_loop.place.url("preferences", 8090, path))
    assert status == 200
    assert "Complete Journey" in page


def test_no_service_made_a_key_of_its_own(after_the_loop: Stack) -> None:
    assert not (after_the_loop.home / "secrets").exists()


def test_a_role_reaches_its_own_database_alone(stack: Stack) -> None:
    passwords = stack.model["services"]["postgres"]["environment"]
    port = stack.place.ports["postgres", 5432]
    names = ("airflow", "mlflow", "feast", "operations")
    for name in names:
        with local.database(stack.model, stack.place, name) as own:
            assert own.execute("SELECT current_user").fetchone() == (name,)
        for other in set(names) - {name}:
            password = passwords[f"{name.upper()}_DATABASE_PASSWORD"]
            refused = pytest.raises(psycopg.OperationalError, match="permission denied for database")
            with refused:
                psycopg.connect(host="127.0.0.1", port=port, user=name, password=password, dbname=other)
    with pytest.raises(psycopg.OperationalError, match=r"no password supplied|password authentication failed"):
        psycopg.connect(host="127.0.0.1", port=port, user="postgres", dbname="postgres")


def test_redis_refuses_who_has_no_password(stack: Stack) -> None:
    with (
        redis.Redis(port=stack.place.ports["redis", 6379]) as store,
        pytest.raises(redis.exceptions.AuthenticationError),
    ):
        store.ping()


def test_the_record(after_the_loop: Stack, produced: Outcome, tell: Callable[[str], None]) -> None:
    """Prints what was measured; the seconds are of this machine, as busy as it was."""
    tiers = produced.scores["tier"].value_counts().to_dict()
    tell("\n\nThe loop on PostgreSQL, Redis, MLflow with log-in, and Airflow with two Celery workers:")
    for name, seconds in after_the_loop.record.seconds.items():
        tell(f"  {name:<28} {seconds:6.1f} s")
    tell(f"  rows in the lake             {produced.rows}")
    tell(f"  customers scored             {len(produced.scores)}: {tiers}")
    tell(f"  messages                     {dict(produced.messages)}; {produced.emails} e-mails kept")
    assert after_the_loop.record.seconds
