"""Periods on real stores: what is old goes, from earlier versions too, and nothing that is younger."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import Engine, select, update

from holdfast.adapters.lake import DeltaLake
from holdfast.adapters.operations import database
from holdfast.adapters.operations.erasure import MessageWords
from holdfast.adapters.operations.models import OutboxRow
from holdfast.adapters.operations.vault import SqlVault
from holdfast.adapters.sources import LandingDirectory
from holdfast.pipelines.ingest import QUARANTINE
from holdfast.pipelines.retention import (
    ContactsOfTheGone,
    Dated,
    Events,
    Files,
    LandingFiles,
    Period,
    QuarantinedRows,
    enforce,
)
from tests.fakes.correspondence import sent
from tests.fakes.landing_shop import SOURCE, ZONE, Shop
from tests.fakes.operations import KEYRING, NOON, contacts

MARCH = datetime(2017, 3, 3, 5, tzinfo=UTC)
"""Midnight of 3 March at the shop."""


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Three landing days with an order a day, of which two have a wrong row; the third is not taken in yet."""
    shop = Shop(tmp_path / "landing")
    shop.lake = DeltaLake(tmp_path / "lake")
    shop.land("2017-03-01/customers.csv", "id,email\nc1,ann@shop.example\nc2,bob@shop.example\n")
    for day in (1, 2, 3):
        rows = [f"o{day},c{min(day, 2)},2017-03-0{day} 12:00:00,p1,1,2.50", f"x{day},c1,soon,p1,1,2.50"]
        shop.land_sales(f"2017-03-0{day}", *rows)
        if day < 3:
            shop.now = MARCH + timedelta(days=10 * day)
            shop.run()
    return shop


def drop(of: Dated, before: datetime) -> list[int]:
    """Counts of a dry run, of the real one and of another one after it."""
    period = [Period("it", 1, of)]
    return [enforce(period, before + timedelta(days=1), dry=dry)[0].count for dry in (True, False, False)]


def test_landing_files_go_by_their_day_once_they_were_taken_in(shop: Shop) -> None:
    landing = LandingDirectory(shop.directory)
    kept = LandingFiles(landing, SOURCE, ZONE, shop.lake)  # type: ignore[arg-type]
    assert drop(kept, MARCH - timedelta(days=1)) == [2, 2, 0]
    assert landing.paths() == ["2017-03-02/sales.csv", "2017-03-03/sales.csv"]
    assert not (shop.directory / "2017-03-01").exists()
    assert drop(kept, MARCH + timedelta(days=99)) == [1, 1, 0], "what is still pending stays"
    assert [path for shard in shop.ingest.pending() for path in shard] == ["2017-03-03/sales.csv"]


def test_quarantine_goes_by_when_the_file_was_taken_in(shop: Shop) -> None:
    before = set(shop.lake.read(QUARANTINE)["file"])
    assert drop(QuarantinedRows(shop.lake), MARCH + timedelta(days=15)) == [2, 2, 0]  # type: ignore[arg-type]
    assert before - set(shop.lake.read(QUARANTINE)["file"]) == {"2017-03-01/sales.csv"}


def test_events_go_by_when_they_happened_and_out_of_earlier_versions(tmp_path: Path) -> None:
    lake = DeltaLake(tmp_path)
    times = pd.to_datetime(["2017-03-01 12:00", "2017-03-03 05:00", "2017-03-04 12:00"], utc=True)
    for batch in ("a", "b"):
        rows = pd.DataFrame({"event_id": [f"{batch}{i}" for i in range(3)], "occurred_at": times, "batch": batch})
        lake.append("events", rows, [batch])
    assert drop(Events(lake), MARCH) == [2, 2, 0]
    assert sorted(lake.read("events")["event_id"]) == ["a1", "a2", "b1", "b2"]
    present = set(lake.files("events", lake.version("events")))
    assert {path.name for path in (tmp_path / "events").glob("*.parquet")} == {Path(one).name for one in present}
    assert Events(DeltaLake(tmp_path / "none")).old(MARCH) == 0


def test_contacts_go_when_the_customer_has_long_been_gone(shop: Shop, engine: Engine) -> None:
    contacts(engine, {"c1": "ann@shop.example", "c2": "bob@shop.example", "never": "eve@shop.example"})
    vault = SqlVault(engine, KEYRING)
    assert drop(ContactsOfTheGone(shop.lake, vault), datetime(2017, 3, 2, tzinfo=UTC)) == [1, 1, 0]  # type: ignore[arg-type]
    assert [bool(vault.contact(one)) for one in ("c1", "c2", "never")] == [False, True, True]


def test_the_words_of_finished_messages_go_and_those_of_waiting_ones_stay(engine: Engine) -> None:
    old, late, waiting = (sent(engine, one, locale="en") for one in ("1", "2", "3"))
    with database.writing(engine) as connection:
        for reference, finished in ((old, NOON - timedelta(days=9)), (late, NOON), (waiting, None)):
            mine = update(OutboxRow).where(OutboxRow.reference == reference)
            connection.execute(mine.values(finished_at=finished, detail="550 unknown"))
    assert drop(MessageWords(engine), NOON - timedelta(days=1)) == [1, 1, 0]
    with database.reading(engine) as connection:
        found = connection.execute(select(OutboxRow.reference, OutboxRow.context, OutboxRow.detail))
        words = {row.reference: (row.context and row.context["locale"], row.detail) for row in found}
    assert words == {old: (None, None), late: ("en", "550 unknown"), waiting: ("en", "550 unknown")}


def test_files_go_by_when_they_were_written(tmp_path: Path) -> None:
    for name, days in (("old.log", 9), ("new.log", 1)):
        (tmp_path / name).write_text("x")
        when = (NOON - timedelta(days=days)).timestamp()
        os.utime(tmp_path / name, (when, when))
    assert drop(Files((tmp_path, tmp_path / "absent")), NOON - timedelta(days=5)) == [1, 1, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["new.log"]
