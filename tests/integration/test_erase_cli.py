"""The `holdfast privacy` commands, as typed, in a home that has taken in two customers."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from holdfast import wiring
from holdfast.adapters.operations.erasure import SqlErasures
from holdfast.cli import app
from tests.fakes.canary import hits

CUSTOMERS = "household_id,age,income,home_ownership,marital_status,household_size,household_comp,kids_count\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path))
    day = tmp_path / "landing" / "2017-03-01"
    day.mkdir(parents=True)
    (day / "customers.csv").write_text(f"{CUSTOMERS}4711,,,,,,,\n4712,,,,,,,\n")
    (day / "contacts.csv").write_text("household_id,email\n4711,ann@shop.example\n4712,bob@shop.example\n")
    wiring.prepare()
    taking_in = wiring.ingest()
    taking_in.finish(taking_in.drain())
    return tmp_path


def typed(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """Exit code, and what the command printed (the terminal writes to a copy of standard output)."""
    capfd.readouterr()
    result = CliRunner().invoke(app, ["privacy", *words])
    shown = capfd.readouterr()
    return result.exit_code, " ".join((shown.out + shown.err + result.output).split())


def tombstones() -> frozenset[str]:
    return SqlErasures(wiring.stores.engine()).tombstones()


def test_an_export_of_the_customer_goes_with_them_and_that_of_another_stays(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for day, own_id in ((1, "4711"), (2, "4712")):
        wiring.export_person(own_id, datetime(2017, 3, day, tzinfo=UTC))
    assert hits(home / "exports", ["ann@shop.example"])
    assert typed(capfd, "erase", "4711", "--yes")[0] == 0
    assert hits(home, ["ann@shop.example", wiring.customer_id("4711")], [home / "landing"]) == []
    assert hits(home / "exports", ["bob@shop.example"])


def test_a_customer_can_be_named_by_the_pseudonym_that_a_report_shows(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shown = wiring.customer_id("4711")
    ended, told = typed(capfd, "erase", shown, "--yes")
    assert (ended, tombstones()) == (0, {wiring.stores.pseudonyms().tombstone(shown)})
    assert "landing files: 2 rows are the shop's own" in told
    assert hits(home, ["ann@shop.example", shown], [home / "landing"]) == []


def test_an_id_or_a_pseudonym_that_leads_to_nobody_is_refused_and_leaves_no_tombstone(
    home: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    ended, told = typed(capfd, "erase", "4771", "--yes")
    assert ended == 1
    assert "nothing is held about customer '4771', and no erasure of theirs was begun: the id is misspelt" in told
    stranger = "c_" + "a" * 26
    for command in (("export", stranger), ("erase", stranger, "--yes"), ("who", stranger)):
        ended, told = typed(capfd, *command)
        assert ended == 1
        assert f"the vault knows no customer '{stranger}': misspelt, or erased since" in told
    assert tombstones() == frozenset()
