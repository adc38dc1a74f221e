"""UCI "Online Retail", a day at a time through the committed mapping: every line ends in one place, for one reason."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from holdfast.adapters.lake import DeltaLake
from holdfast.adapters.quality import GreatExpectations
from holdfast.adapters.sources import LandingDirectory
from holdfast.adapters.yaml_files import load
from holdfast.mapping import Mapping
from holdfast.pipelines.ingest import QUARANTINE, Ingest
from holdfast.purchases import purchases
from tests.fakes.vault import FakeVault
from tests.machine import shared_data

ZONE = ZoneInfo("Europe/London")


@pytest.fixture(scope="module")
def days(project: Path) -> list[Path]:
    """The landing files, one a trading day."""
    return sorted(shared_data(project, "online_retail_by_day").glob("*.csv"))


class Shop:
    """The lake of a shop whose files have gone in one day after the other."""

    def __init__(self, project: Path, root: Path, files: list[Path]) -> None:
        self.lake = DeltaLake(root / "lake")
        landing = root / "landing"
        landing.mkdir()
        ingest = Ingest(
            landing=LandingDirectory(landing),
            source=load(project / "sources" / "online_retail.yaml", Mapping),
            zone=ZONE,
            lake=self.lake,
            vault=FakeVault(),
            quality=GreatExpectations(project / "great_expectations", root / "quality"),
            now=datetime(2011, 12, 10, 5, tzinfo=UTC),
        )
        self.runs = []
        for file in files:
            (landing / file.name).symlink_to(file)
            self.runs.append(ingest.run([file.name]))

    def verdicts(self) -> pd.DataFrame:
        """The quarantine: file, row and rule of every line that was not accepted."""
        return self.lake.read(QUARANTINE)


def classes(files: list[Path]) -> pd.DataFrame:
    """Every line's file, row, and the classes of dirt it belongs to, read without any code under test."""
    parts = [pd.read_csv(file, dtype=str, keep_default_na=False).assign(file=file.name) for file in files]
    lines = pd.concat([part.assign(row=range(2, 2 + len(part))) for part in parts], ignore_index=True)
    quantity, price = lines["Quantity"].astype(int), lines["UnitPrice"].astype(float)
    cancelled = lines["InvoiceNo"].str.startswith("C")
    return lines[["file", "row"]].assign(
        no_customer=lines["CustomerID"] == "",
        cancellation=cancelled,
        bad_debt=lines["InvoiceNo"].str.startswith("A"),
        price_not_positive=price <= 0,
        negative_quantity=(quantity < 0) & ~cancelled,
        copy=lines.drop(columns=["row"]).duplicated(),
    )


def counts(rules: pd.Series) -> dict[str, int]:
    return {str(rule): int(count) for rule, count in rules.fillna("accepted").value_counts().items()}


def test_twenty_days_end_line_by_line_in_orders_or_under_a_rule(
    project: Path, tmp_path: Path, days: list[Path]
) -> None:
    shop = Shop(project, tmp_path, days[:20])
    verdicts = shop.verdicts()
    assert not verdicts[["file", "row"]].duplicated().any()
    assert len(shop.lake.read("order_lines")) + len(verdicts) == 42_481
    assert counts(verdicts["rule"]) == {
        "no customer": 15_284,
        "duplicate": 496,
        "price not positive": 203,
        "postage": 133,
        "stock adjustment": 70,
        "manual entry": 40,
        "discount entry": 8,
        "marketplace fee": 7,
        "bank charges": 3,
        "samples": 2,
    }
    assert set(verdicts.loc[~verdicts["deliberate"], "rule"]) == {"duplicate"}


def test_a_cancellation_is_a_returned_order_with_positive_amounts_and_no_purchase(
    project: Path, tmp_path: Path, days: list[Path]
) -> None:
    lake = Shop(project, tmp_path, days[:1]).lake
    orders, lines = lake.read("orders"), lake.read("order_lines")
    (cancellation,) = orders[orders["order_id"] == "C536391"].to_dict("records")
    assert (cancellation["status"], cancellation["customer_id"]) == ("returned", "17548")
    returned = lines[(lines["order_id"] == "C536391") & (lines["product_id"] == "22556")]
    assert returned[["quantity", "amount"]].to_numpy().tolist() == [[12.0, 19.8]]
    assert "C536391" not in set(purchases(orders, lines)["order_id"])


@pytest.mark.full
def test_305_daily_runs_account_for_every_line_and_every_class_of_dirt(
    project: Path, tmp_path: Path, days: list[Path]
) -> None:
    shop = Shop(project, tmp_path, days)
    verdicts = shop.verdicts()
    lines = classes(days).merge(verdicts[["file", "row", "rule"]], on=["file", "row"], how="left", validate="1:1")
    assert (len(shop.runs), len(lines)) == (305, 541_909)
    assert len(shop.lake.read("order_lines")) + len(verdicts) == 541_909
    assert counts(lines["rule"]) == {
        "accepted": 399_659,
        "no customer": 131_617,
        "duplicate": 5_220,
        "postage": 2_110,
        "stock adjustment": 1_336,
        "price not positive": 1_165,
        "manual entry": 572,
        "discount entry": 77,
        "samples": 63,
        "bank charges": 37,
        "marketplace fee": 34,
        "charity commission": 16,
        "bad debt": 3,
    }
    ends = {name: counts(lines.loc[lines[name], "rule"]) for name in lines.columns.drop(["file", "row", "rule"])}
    assert {name: sum(of.values()) for name, of in ends.items()} == {
        "no_customer": 135_080,
        "cancellation": 9_288,
        "bad_debt": 3,
        "price_not_positive": 2_517,
        "negative_quantity": 1_336,
        "copy": 5_268,
    }
    # Dirt of one class alone may be accepted: cancellations, as returned orders.
    assert {name for name, of in ends.items() if "accepted" in of} == {"cancellation"}
    assert ends["cancellation"]["accepted"] == 8_506
    assert ends["negative_quantity"] == {"stock adjustment": 1_336}
    assert ends["copy"]["duplicate"] == 5_220
    orders, order_lines = shop.lake.read("orders"), shop.lake.read("order_lines")
    assert counts(orders["status"]) == {"completed": 18_402, "returned": 3_383}
    assert len(purchases(orders, order_lines)) == 18_402
    assert (len(shop.lake.read("customers")), len(shop.lake.read("products"))) == (4_362, 3_677)
