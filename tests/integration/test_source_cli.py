"""The `holdfast source` commands, as typed."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
from typer.testing import CliRunner

from holdfast.adapters import files
from holdfast.cli import app
from holdfast.mapping import Format

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


def test_pull_lands_a_file_a_day_and_nothing_where_nothing_has_changed(
    shop: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with sqlite3.connect(shop / "erp.db") as erp:
        erp.execute("CREATE TABLE sale (id TEXT, at TEXT)")
        sales = [("1", "2010-12-01 08:26:00"), ("2", "2010-12-01 23:59:59"), ("3", "2010-12-03 00:00:00")]
        erp.executemany("INSERT INTO sale VALUES (?, ?)", sales)
    erp.close()
    mapping = (shop / "sources" / "online_retail.yaml").read_text(encoding="utf-8")
    sql = "SELECT id AS InvoiceNo, at AS InvoiceDate FROM sale WHERE at >= :start AND at < :end"
    query = f'format: parquet\n    query: {{database: erp, sql: "{sql}"}}'
    changed = mapping.replace('path: "{day}.csv"', 'path: "{day}.parquet"').replace("format: csv", query)
    (shop / "sources" / "online_retail.yaml").write_text(changed, encoding="utf-8")
    monkeypatch.setenv("HOLDFAST_RULES", str(shop / "config" / "online_retail.yaml"))
    monkeypatch.setenv("HOLDFAST_SOURCE_URLS", json.dumps({"erp": f"sqlite:///{shop / 'erp.db'}"}))
    days = ("pull", "--day", "2010-12-01", "--until", "2010-12-04")
    assert typed(capfd, *days) == (
        0,
        "2010-12-01  sales: 2 rows in 2010-12-01.parquet\n"
        "2010-12-02  sales: nothing new\n"
        "2010-12-03  sales: 1 rows in 2010-12-03.parquet\n",
    )
    landed = files.read(shop / "var" / "landing" / "2010-12-01.parquet", Format(kind="parquet"), "2010-12-01.parquet")
    assert landed.rows.to_pydict()["InvoiceNo"] == ["1", "2"]
    assert typed(capfd, *days)[1].count("nothing new") == 3
