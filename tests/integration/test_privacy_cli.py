"""The `holdfast privacy` commands for keys, pseudonyms and periods, as typed, on a real database and lake."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
import yaml
from sqlalchemy import select, update
from typer.testing import CliRunner

from holdfast import wiring
from holdfast.adapters.operations import database
from holdfast.adapters.operations.models import OutboxRow
from holdfast.adapters.sources import LandingDirectory
from holdfast.cli import app
from holdfast.pipelines.ingest import QUARANTINE
from holdfast.pipelines.ledger import LEDGER
from tests.fakes.correspondence import sent

ANN = {"email": "ann@shop.example", "given_name": "Ann"}
DAYS = {"landing": 1, "quarantine": 2, "events": 3, "messages": 4, "contacts": 5, "work": 6, "logs": 7, "exports": 8}


@pytest.fixture
def home(tmp_path: Path, url: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home that keeps every kind of thing for some days, with Ann in its vault, under the key "old"."""
    rules = yaml.safe_load((project / "config" / "retention.yaml").read_text(encoding="utf-8")) | {"retention": DAYS}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    before = dict(os.environ)
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOLDFAST_OPERATIONS_URL", url)
    monkeypatch.setenv("HOLDFAST_RULES", str(tmp_path / "rules.yaml"))
    with_keys(monkeypatch, "old")
    wiring.vault().identify({wiring.customer_id("ann-4711"): "ann-4711"})
    contact("ann-4711", **ANN)
    yield tmp_path / "home"
    os.environ.clear()
    os.environ.update(before)


def with_keys(monkeypatch: pytest.MonkeyPatch, *keys: str) -> None:
    monkeypatch.setenv("HOLDFAST_VAULT_KEYS", json.dumps(keys))


def contact(own_id: str, **details: str) -> None:
    customer = wiring.customer_id(own_id)
    wiring.vault().append("contacts", pd.DataFrame([{"customer_id": customer, "batch": own_id, **details}]), [own_id])


def typed(capfd: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["privacy", *arguments])
    shown = capfd.readouterr()
    assert result.exit_code == code, shown.err + result.output
    return " ".join((shown.out + result.output).split())


def test_after_a_rotation_the_old_key_can_be_removed_and_opens_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    ann = wiring.customer_id("ann-4711")
    with_keys(monkeypatch, "old", "new")
    assert typed(capfd, "rotate").startswith("1 data keys are now under the newest key")
    assert typed(capfd, "rotate").startswith("0 data keys are now under the newest key")
    with_keys(monkeypatch, "new")
    assert wiring.vault().contact(ann) == ANN
    assert typed(capfd, "who", ann) == "ann-4711"
    with_keys(monkeypatch, "old")
    assert "which HOLDFAST_VAULT_KEYS does not have" in typed(capfd, "who", ann, code=1)


def test_a_pseudonym_leads_to_the_shops_id_and_back_and_a_stranger_is_told(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pseudonym = typed(capfd, "pseudonym", "ann-4711")
    assert pseudonym == wiring.pseudonyms()("ann-4711")
    assert typed(capfd, "pseudonym", pseudonym) == pseudonym
    assert typed(capfd, "who", pseudonym) == "ann-4711"
    stranger = typed(capfd, "pseudonym", "bob")
    assert f"the vault knows no customer '{stranger}': misspelt, or erased since." in typed(
        capfd, "who", stranger, code=1
    )


def test_a_dry_run_of_retention_tells_and_deletes_nothing_and_the_real_one_deletes_just_that(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    aged(home, days=30)
    aged(home, days=0)
    before = held(home)
    counts = {"landing": 1, "quarantine": 2, "events": 1, "messages": 1, "contacts": 1, "work": 1, "logs": 2}
    rows = [f"{name} {DAYS[name]} {count}" for name, count in (counts | {"exports": 1}).items()]
    assert typed(capfd, "retention", "--dry-run") == f"what kept for days would be deleted {' '.join(rows)}"
    assert held(home) == before
    assert typed(capfd, "retention") == f"what kept for days deleted {' '.join(rows)}"
    assert held(home) == {kind: [one for one in kept if not one.startswith("30")] for kind, kept in before.items()}
    assert all(held(home).values()), "what is young stays"
    nothing = [f"{name} {days} 0" for name, days in DAYS.items()]
    assert typed(capfd, "retention", "--dry-run").endswith(" ".join(nothing))


def aged(home: Path, days: int) -> None:
    """Put something of every kind into the home that is so many days old and is called so."""
    at, lake = datetime.now(UTC) - timedelta(days=days), wiring.lake()
    customer = wiring.customer_id(f"{days}")
    landed = f"{at - timedelta(days=1):%Y-%m-%d}/customers.csv"
    for name in (f"landing/{landed}", f"work/{days}", f"logs/{days}", f"airflow/logs/{days}/1", f"exports/{days}/x"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(f"{days}")
        os.utime(home / name, (at.timestamp(), at.timestamp()))
    batch = LandingDirectory(home / "landing").batch(landed)
    entry = {"batch": batch, "file": landed, "day": at.date(), "status": "accepted", "rows": 1, "accepted": 1, "at": at}
    lake.append(LEDGER, pd.DataFrame([entry]), [batch])
    lake.append(QUARANTINE, pd.DataFrame({"value": [f"{days}a", f"{days}b"], "batch": batch}), [batch])
    order = {"order_id": f"{days}", "customer_id": customer, "ordered_at": pd.Timestamp(at), "batch": batch}
    lake.append("orders", pd.DataFrame([order | {"status": "completed", "currency": "USD"}]), [batch])
    event = {"event_id": f"{days}", "customer_id": customer, "occurred_at": pd.Timestamp(at), "type": "view"}
    lake.append("events", pd.DataFrame([event | {"batch": batch}]), [batch])
    contact(f"{days}", email=f"{days}@shop.example")
    engine = database.connect(wiring.settings().operations)
    reference = sent(engine, f"{days}", locale="en")
    with database.writing(engine) as connection:
        connection.execute(update(OutboxRow).where(OutboxRow.reference == reference).values(finished_at=at))


def held(home: Path) -> dict[str, list[str]]:
    """What the home holds, by kind, as the ages it was put there with."""
    kept = {
        folder: sorted(path.read_text() for path in (home / folder).rglob("*") if path.is_file())
        for folder in ("landing", "work", "logs", "airflow/logs", "exports")
    }
    with database.reading(database.connect(wiring.settings().operations)) as connection:
        messages = connection.execute(select(OutboxRow.customer_id).where(OutboxRow.context.is_not(None))).scalars()
        composed = sorted(messages)
    return kept | {
        "quarantine": sorted(wiring.lake().read(QUARANTINE)["value"]),
        "events": sorted(wiring.lake().read("events")["event_id"]),
        "messages": composed,
        "contacts": [age for age in ("0", "30") if wiring.vault().contact(wiring.customer_id(age))],
    }
