"""Personal data through the whole loop: found in the vault's keeping and the sent mail, and nowhere else; then gone."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from holdfast import wiring
from holdfast.adapters.operations import database
from holdfast.adapters.operations.models import AuditRow, ErasureRow
from holdfast.cli import app
from tests.dags.conftest import CUTOFF, Loop
from tests.fakes.canary import DETAILS, OWN_ID, hits


@pytest.fixture(scope="module")
def pseudonym(loop: Loop) -> str:
    return wiring.customer_id(OWN_ID)


def apart(loop: Loop) -> list[Path]:
    """The shop's own files, the keys, and the mail that was sent."""
    return [loop.settings.landing, loop.settings.secrets, loop.settings.mailbox]


def test_the_canary_went_through_the_whole_loop(loop: Loop, pseudonym: str) -> None:
    assert not wiring.lake().read("scores", None, {"customer_id": [pseudonym], "cutoff": [CUTOFF]}).empty
    assert hits(loop.settings.mailbox, [DETAILS["email"]])
    for folder in (loop.settings.feast_offline, loop.settings.lake, loop.settings.work):
        assert hits(folder, [pseudonym])


def test_no_store_holds_a_contact_detail_a_name_the_shops_id_or_a_key(loop: Loop) -> None:
    keys = [os.environ["HOLDFAST_PSEUDONYM_KEY"], *(path.read_text() for path in loop.settings.secrets.iterdir())]
    assert len(keys) >= 3
    assert hits(loop.settings.home, [OWN_ID, *DETAILS.values(), *keys], apart(loop)) == []


def test_deltas_log_and_what_airflow_and_mlflow_keep_name_no_customer(loop: Loop) -> None:
    everyone = wiring.lake().read("customers", ["customer_id"])["customer_id"].tolist()
    for folder in (loop.settings.airflow_home, loop.settings.home / "mlflow", loop.settings.logs):
        assert hits(folder, everyone) == []
    logs = [path for table in wiring.lake().tables() for path in (loop.settings.lake / table / "_delta_log").iterdir()]
    assert not [path for path in logs if any(one.encode() in path.read_bytes() for one in everyone)]


def test_the_export_tells_all_that_is_held_in_words_of_the_shop(loop: Loop, pseudonym: str) -> None:
    told = CliRunner().invoke(app, ["privacy", "export", OWN_ID], catch_exceptions=False)
    assert told.exit_code == 0, told.output
    [file] = loop.settings.exports.rglob("held.json")
    held = json.loads(file.read_text())["held"]
    tables = {row["table"] for row in held["lake"]}
    assert {"customers", "orders", "order_lines", "scores"} <= tables
    assert {"operations database", "online store", "feature files", "scratch", "landing files", "vault"} <= {
        name for name, rows in held.items() if rows
    }
    opened = next(row for row in held["vault"] if row["table"] == "contacts, opened")
    assert DETAILS.items() <= opened.items()
    assert DETAILS["email"] in file.with_suffix(".md").read_text()


def test_after_an_erasure_not_even_the_pseudonym_is_left(loop: Loop, pseudonym: str) -> None:
    told = CliRunner().invoke(app, ["privacy", "erase", OWN_ID, "--yes"], catch_exceptions=False)
    assert told.exit_code == 0, told.output
    assert hits(loop.settings.home, [pseudonym], []) == []
    words = [OWN_ID, *DETAILS.values()]
    assert hits(loop.settings.home, words, [loop.settings.landing]) == []
    assert wiring.feature_store().held_online(pseudonym) == []
    engine = database.connect(loop.settings.operations)
    with database.reading(engine) as connection:
        [entry] = connection.execute(select(AuditRow.__table__).where(AuditRow.action == "privacy.erase")).all()
        erased = connection.execute(select(ErasureRow.__table__)).one()
    assert entry.details["certificate"] == entry.subject == erased.certificate
    assert entry.details["erased"].keys() >= {"lake", "vault", "online store", "feature files", "mailbox"}
    assert entry.details["left_to_shop"]["landing files"] > 0
    assert wiring.erase_person(OWN_ID, "anna", datetime.now(UTC)).certificate is None, "nothing is left"
