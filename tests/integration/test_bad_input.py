"""Bad landing files against the real lake, the real expectations and the committed mapping.

Each ends in quarantine or in one clear error that names file, place and remedy; nothing is half-written; the next good
batch goes through.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from holdfast.adapters.lake import DeltaLake
from holdfast.adapters.quality import GreatExpectations
from holdfast.adapters.sources import LandingDirectory
from holdfast.adapters.yaml_files import load
from holdfast.errors import BatchRefusedError
from holdfast.mapping import Mapping
from holdfast.pipelines.ingest import LEDGER, QUARANTINE, Ingest
from tests.fakes.vault import FakeVault

PROJECT = Path(__file__).parents[2]
HEADER = (
    "household_id,store_id,basket_id,product_id,quantity,sales_value,retail_disc,coupon_disc,coupon_match_disc,"
    "week,transaction_timestamp\n"
)
GOOD = "1,330,b1,p1,1,2.50,0,0,0,1,2017-03-02 12:00:00\n"
DAY = "2017-03-02"
NOW = datetime(2017, 3, 10, 5, tzinfo=UTC)


class Shop:
    """A shop whose first day has gone in well."""

    def __init__(self, root: Path) -> None:
        self.landing = root / "landing"
        self.lake = DeltaLake(root / "lake")
        self.source = load(PROJECT / "sources" / "complete_journey.yaml", Mapping)
        self.quality = GreatExpectations(PROJECT / "great_expectations", root / "quality")
        self.vault = FakeVault()
        columns = "household_id,age,income,home_ownership,marital_status,household_size,household_comp,kids_count\n"
        self.land("2017-03-01/customers.csv", (columns + "1,,,,,,,\n00123,,,,,,,\nNA,,,,,,,\n").encode())
        self.ingest()

    def land(self, path: str, content: bytes) -> None:
        (self.landing / path).parent.mkdir(parents=True, exist_ok=True)
        (self.landing / path).write_bytes(content)

    def land_transactions(self, *lines: str, header: str = HEADER, day: str = DAY) -> None:
        self.land(f"{day}/transactions.csv", (header + "".join(lines)).encode())

    def ingest(self) -> None:
        ingest = Ingest(
            landing=LandingDirectory(self.landing),
            source=self.source,
            zone=ZoneInfo("America/New_York"),
            lake=self.lake,
            vault=self.vault,
            quality=self.quality,
            now=NOW,
        )
        ingest.finish([ingest.run(shard) for shard in ingest.pending()])

    def rows(self, table: str) -> pd.DataFrame:
        return self.lake.read(table) if self.lake.exists(table) else pd.DataFrame()

    def accepts_the_next_day(self) -> None:
        before = len(self.rows("order_lines"))
        self.land_transactions("1,330,next,p1,1,2.50,0,0,0,1,2017-03-09 12:00:00\n", day="2017-03-09")
        self.ingest()
        assert len(self.rows("order_lines")) == before + 1


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_an_unknown_column_refuses_the_file(shop: Shop) -> None:
    shop.land_transactions(GOOD.replace("\n", ",x\n"), header=HEADER.replace("\n", ",basket\n"))
    with pytest.raises(BatchRefusedError, match=rf"{DAY}/transactions\.csv, line 1: unknown column 'basket'.*Map it"):
        shop.ingest()
    assert shop.rows("orders").empty
    shop.accepts_the_next_day()


def test_a_missing_required_column_refuses_the_file(shop: Shop) -> None:
    shop.land_transactions(GOOD.replace("b1,", ""), header=HEADER.replace("basket_id,", ""))
    with pytest.raises(
        BatchRefusedError, match=rf"{DAY}/transactions\.csv, line 1: column 'basket_id' is missing.*Deliver"
    ):
        shop.ingest()
    assert shop.rows("orders").empty
    shop.accepts_the_next_day()


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("transactions.csv", b"", r"transactions\.csv: the file is empty. Deliver it again"),
        ("transactions.csv", HEADER.encode(), r"transactions\.csv: a header but no rows. Deliver the rows"),
        (
            "transactions.csv",
            (HEADER + GOOD).encode() + b"1,330,caf\xe9,p1,1,2.50,0,0,0,1,2017-03-02 12:00:00\n",
            r"transactions\.csv, line 3, byte \d+: byte 0xe9 is not UTF-8; as cp1252.*Export the file as UTF-8",
        ),
        (
            "transactions.csv",
            (HEADER + GOOD).encode().replace(b"b1", b"b\0"),
            r"transactions\.csv, line 2, byte \d+: a NUL.*again",
        ),
        ("transactions.tsv", b"x", r"transactions\.tsv: no input of the mapping has this path.*Rename or map it"),
    ],
    ids=["empty", "header only", "not UTF-8", "NUL byte", "unknown file"],
)
def test_a_file_that_cannot_be_read_is_refused_whole(shop: Shop, path: str, content: bytes, message: str) -> None:
    shop.land(f"{DAY}/{path}", content)
    with pytest.raises(BatchRefusedError, match=rf"1 landing file\(s\) refused(?s:.*){DAY}/{message}"):
        shop.ingest()
    assert shop.rows("orders").empty
    assert list(shop.rows(QUARANTINE)["rule"]) == ["file refused"]
    assert sorted(shop.rows(LEDGER)["status"]) == ["accepted", "refused"]
    shop.accepts_the_next_day()


def test_a_truncated_parquet_file_is_refused_whole(shop: Shop) -> None:
    names = ["product_id", "manufacturer_id", "department", "brand", "product_category", "product_type", "package_size"]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({name: ["x"] for name in names}), sink)
    whole = sink.getvalue().to_pybytes()
    shop.land(f"{DAY}/products.parquet", whole[:-10])
    with pytest.raises(
        BatchRefusedError, match=rf"{DAY}/products\.parquet: .* no whole Parquet file.*Deliver it again"
    ):
        shop.ingest()
    assert shop.rows("products").empty
    shop.land(f"{DAY}/products.parquet", whole)
    shop.ingest()
    assert list(shop.rows("products")["product_id"]) == ["x"]


@pytest.mark.parametrize("customer", ["00123", "NA"])
def test_an_id_that_looks_like_a_number_or_like_nothing_stays_an_id(shop: Shop, customer: str) -> None:
    shop.land_transactions(GOOD.replace("1,330", f"{customer},330"))
    shop.ingest()
    assert list(shop.rows("orders")["customer_id"]) == [customer]
    assert customer in set(shop.rows("customers")["customer_id"])


@pytest.mark.parametrize(
    ("bad", "field", "rule", "value"),
    [
        (GOOD.replace("p1,1,", "p2,inf,"), "quantity", "not finite", "inf"),
        (GOOD.replace("p1,1,2.50", "p2,1,-2.50"), "amount", "below minimum", "-2.50"),
        (GOOD, "order_id, line_id", "duplicate", "b1, p1"),
        (GOOD.replace("2.50", "9.99"), "order_id, line_id", "conflict", "b1, p1"),
    ],
    ids=["infinity", "negative price", "duplicate event", "conflicting event"],
)
def test_a_bad_row_goes_to_quarantine_alone(shop: Shop, bad: str, field: str, rule: str, value: str) -> None:
    shop.land_transactions(GOOD, bad)
    shop.ingest()
    (rejected,) = shop.rows(QUARANTINE).to_dict("records")
    assert rejected["remedy"]
    assert {key: rejected[key] for key in ("file", "row", "table", "field", "rule", "value")} == {
        "file": f"{DAY}/transactions.csv",
        "row": 3,
        "table": "order_lines",
        "field": field,
        "rule": rule,
        "value": value,
    }
    assert len(shop.rows("order_lines")) == 1
    shop.accepts_the_next_day()


def test_a_future_date_goes_to_quarantine_with_its_lines(shop: Shop) -> None:
    shop.land_transactions(GOOD, GOOD.replace("b1", "b2").replace(DAY, "2018-03-02"))
    shop.ingest()
    rules = shop.rows(QUARANTINE).set_index("table")["rule"]
    assert rules.to_dict() == {"orders": "future time", "order_lines": "unknown reference"}
    assert list(shop.rows("orders")["order_id"]) == ["b1"]
    shop.accepts_the_next_day()


def test_a_naive_time_without_a_declared_zone_goes_to_quarantine(shop: Shop) -> None:
    transactions = shop.source.inputs["transactions"]
    declared = shop.source
    undeclared = transactions.model_copy(update={"times": None})
    shop.source = Mapping(inputs=declared.inputs | {"transactions": undeclared})
    shop.land_transactions(GOOD)
    shop.ingest()
    rejected = shop.rows(QUARANTINE).set_index("table")
    assert rejected.loc["orders", "rule"] == "time without zone"
    assert "declare the zone" in rejected.loc["orders", "remedy"]
    assert shop.rows("orders").empty
    assert shop.rows("order_lines").empty
    shop.source = declared
    shop.accepts_the_next_day()
