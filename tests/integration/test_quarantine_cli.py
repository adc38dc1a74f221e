"""The `holdfast quarantine` and `holdfast lake` commands, as typed, on real stores."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from holdfast import wiring
from holdfast.cli import app
from holdfast.errors import BatchRefusedError

CUSTOMERS = "household_id,age,income,home_ownership,marital_status,household_size,household_comp,kids_count\n"
SALES = (
    "household_id,store_id,basket_id,product_id,quantity,sales_value,retail_disc,coupon_disc,coupon_match_disc,"
    "week,transaction_timestamp\n"
)
DAY = "2017-03-02"


def sale(basket: str, product: str, amount: str = "2.50", quantity: str = "1") -> str:
    return f"1,330,{basket},{product},{quantity},{amount},0,0,0,1,{DAY} 12:00:00\n"


@pytest.fixture
def shop(tmp_path: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own: one day went in well, of the next the mapping has forgotten the times' zone."""
    shutil.copytree(project / "sources", tmp_path / "sources")
    shutil.copytree(project / "config", tmp_path / "config")
    shutil.copytree(project / "great_expectations", tmp_path / "great_expectations")
    monkeypatch.setenv("HOLDFAST_PROJECT", str(tmp_path))
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path / "var"))
    monkeypatch.setenv("COLUMNS", "240")
    land(tmp_path, "2017-03-01/customers.csv", CUSTOMERS + "1,,,,,,,\n,19-24,,,,,,\n")
    land(tmp_path, "2017-03-01/contacts.csv", "household_id,email\n1,\n")
    land(tmp_path, f"{DAY}/transactions.csv", SALES + sale("b1", "p1") + sale("b1", "p2") + sale("b2", "p1", "=1+1"))
    zone(tmp_path, None)
    wiring.prepare()
    ingest()
    zone(tmp_path, "UTC")
    return tmp_path


def land(shop: Path, path: str, text: str) -> None:
    (shop / "var" / "landing" / path).parent.mkdir(parents=True, exist_ok=True)
    (shop / "var" / "landing" / path).write_text(text, encoding="utf-8")


def zone(shop: Path, name: str | None) -> None:
    path = shop / "sources" / "complete_journey.yaml"
    source = yaml.safe_load(path.read_text())
    source["inputs"]["transactions"]["times"] = name
    path.write_text(yaml.safe_dump(source))


def ingest() -> None:
    use_case = wiring.ingest()
    use_case.finish(use_case.drain())


def typed(capfd: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str]:
    """Exit code, and what the command printed (the terminal writes to a copy of standard output)."""
    capfd.readouterr()
    result = CliRunner().invoke(app, list(map(str, words)))
    shown = capfd.readouterr()
    return result.exit_code, " ".join((shown.out + shown.err + result.output).split())


def test_list_counts_reasons_and_says_what_to_do(shop: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, shown = typed(capfd, "quarantine", "list")
    assert code == 0
    assert "2 2 1 time without zone orders.ordered_at Write ordered_at with an offset or Z, or declare" in shown
    assert "1 1 1 missing customers.customer_id Fill in customer_id" in shown
    _, by_file = typed(capfd, "quarantine", "list", "--by-file")
    assert f"time without zone {DAY}/transactions.csv orders.ordered_at" in by_file


def test_show_tells_the_place_and_masks_what_is_personal(shop: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _, shown = typed(capfd, "quarantine", "show", "--rule", "not a number")
    assert f"{DAY}/transactions.csv 4 order_lines.amount not a number =1+1 Write amount as a plain number" in shown
    _, contact = typed(capfd, "quarantine", "show", "2017-03-01/contacts.csv")
    assert "contacts.email, phone, push_token none given (withheld: personal)" in contact
    assert "2 more: --limit shows them" in typed(capfd, "quarantine", "show", "--limit", "5")[1]


def test_row_shows_a_row_as_the_mapping_reads_it_now(shop: Path, capfd: pytest.CaptureFixture[str]) -> None:
    _, shown = typed(capfd, "quarantine", "row", f"{DAY}/transactions.csv", "4")
    assert "orders order_id: b2 customer_id: 1 ordered_at: 2017-03-02 12:00:00" in shown
    assert "order_lines order_id: b2 line_id: p1 product_id: p1" in shown
    _, masked = typed(capfd, "quarantine", "row", "2017-03-01/customers.csv", "3")
    assert "age_band: (masked: personal)" in masked
    _, told = typed(capfd, "quarantine", "row", "2017-03-01/customers.csv", "3", "--personal")
    assert "age_band: 19-24" in told
    assert "feeds no table" in typed(capfd, "quarantine", "row", f"{DAY}/transactions.csv", "99")[1]


def test_export_writes_no_cell_that_runs_as_a_formula(shop: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, shown = typed(capfd, "quarantine", "export", shop / "rows.csv", "--rule", "not a number")
    assert (code, shown) == (0, f"Wrote 1 rows to {shop}/rows.csv")
    with (shop / "rows.csv").open(encoding="utf-8", newline="") as lines:
        (line,) = csv.DictReader(lines)
    assert (line["file"], line["row"], line["value"]) == (f"{DAY}/transactions.csv", "4", "'=1+1")


def test_retry_takes_in_what_a_mended_mapping_lets_pass_and_a_second_one_nothing(
    shop: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, shown = typed(capfd, "quarantine", "retry")
    assert code == 0, shown
    assert f"{DAY}/transactions.csv 5 4 1" in shown
    assert sorted(wiring.lake().read("orders")["order_id"]) == ["b1", "b2"]
    assert sorted(wiring.lake().read("order_lines")["line_id"]) == ["p1", "p2"]
    _, again = typed(capfd, "quarantine", "retry", f"{DAY}/transactions.csv")
    assert f"{DAY}/transactions.csv 1 0 1" in again
    assert len(wiring.lake().read("order_lines")) == 2
    _, settled = typed(capfd, "quarantine", "show", f"{DAY}/transactions.csv", "--all")
    assert settled.count("accepted") == 4


def test_a_file_without_anything_open_is_said_to_have_nothing(shop: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code, shown = typed(capfd, "quarantine", "retry", "2017-03-09/transactions.csv")
    assert code == 1
    assert "quarantine holds nothing open of '2017-03-09/transactions.csv'" in shown


def test_a_refused_file_is_listed_and_retried(shop: Path, capfd: pytest.CaptureFixture[str]) -> None:
    land(shop, "2017-03-03/products.csv", "x\n1\n")
    with pytest.raises(BatchRefusedError):
        ingest()
    assert "1 1 1 file refused" in typed(capfd, "quarantine", "list")[1]
    _, shown = typed(capfd, "quarantine", "retry", "2017-03-03/products.csv")
    assert "no input of the mapping has this path" in shown


def test_compact_puts_small_files_into_one_and_ingesting_again_stays_a_no_op(
    shop: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    typed(capfd, "quarantine", "retry")
    _, shown = typed(capfd, "lake", "compact")
    assert "batches 3 1" in shown
    before = wiring.lake().version("batches")
    ingest()
    assert wiring.ingest().drain() == []
    assert wiring.lake().version("batches") == before
    assert "No table has many small files" in typed(capfd, "lake", "compact")[1]
