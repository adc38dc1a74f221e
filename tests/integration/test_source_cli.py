"""The `holdfast source` commands, as typed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from holdfast.cli import app

CSV = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
GOOD = "1,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850.0,United Kingdom\n"
GUEST = "2,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,,United Kingdom\n"


@pytest.fixture
def shop(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder of its own with the committed mappings, and one sample file."""
    shutil.copytree(project / "sources", tmp_path / "sources")
    shutil.copytree(project / "config", tmp_path / "config")
    monkeypatch.setenv("HOLDFAST_PROJECT", str(tmp_path))
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path / "var"))
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "2010-12-01.csv").write_text(CSV + GOOD + GUEST, encoding="utf-8")
    return tmp_path


def typed(capfd: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str]:
    """Exit code, and what the command printed (the terminal writes to a copy of standard output)."""
    result = CliRunner().invoke(app, ["source", *map(str, words)])
    return result.exit_code, capfd.readouterr().out + result.output


def test_check_shows_the_mapping_the_first_rows_and_the_rejections(
    shop: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, shown = typed(capfd, "check", shop / "2010-12-01.csv", "--source", "online_retail")
    assert code == 0
    for part in ("whole of CustomerID", "17850", "no customer", "Guest sales", "off", "coupons: no redemptions"):
        assert part in shown
    assert not (shop / "var").exists()


def test_check_writes_the_rejected_rows_for_people_with_formulas_defused(
    shop: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bad = GOOD.replace("6,2010", "=1+1,2010")
    (shop / "2010-12-01.csv").write_text(CSV + GOOD + bad, encoding="utf-8")
    code, _ = typed(capfd, "check", shop / "2010-12-01.csv", "--source", "online_retail", "--rejected", shop / "r.csv")
    assert code == 0
    header, line = (shop / "r.csv").read_text(encoding="utf-8").splitlines()
    assert header == '"row","table","field","rule","value","remedy","deliberate"'
    assert line.startswith('3,"order_lines","quantity","not a number","\'=1+1",')


def test_new_writes_a_mapping_that_check_can_use_and_never_overwrites_one(
    shop: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sample = shop / "2010-12-01.csv"
    assert typed(capfd, "new", sample, "--name", "mine", "--currency", "GBP")[0] == 0
    code, shown = typed(capfd, "check", sample, "--source", "mine")
    assert code == 0
    assert "time without zone" in shown  # the one thing that no sample can tell
    before = (shop / "sources" / "mine.yaml").read_text(encoding="utf-8")
    code, shown = typed(capfd, "new", sample, "--name", "mine")
    assert code == 1
    assert "is not overwritten" in shown
    assert (shop / "sources" / "mine.yaml").read_text(encoding="utf-8") == before


def test_pull_says_what_is_missing(shop: Path, capfd: pytest.CaptureFixture[str]) -> None:
    mapping = (shop / "sources" / "online_retail.yaml").read_text(encoding="utf-8")
    query = 'format: parquet\n    query: {database: erp, sql: "SELECT 1 WHERE :start < :end"}'
    changed = mapping.replace('path: "{day}.csv"', 'path: "{day}.parquet"').replace("format: csv", query)
    (shop / "sources" / "online_retail.yaml").write_text(changed, encoding="utf-8")
    code, shown = typed(capfd, "pull", "--day", "2010-12-01", "--source", "online_retail")
    assert code == 1
    assert "HOLDFAST_SOURCE_URLS" in shown
