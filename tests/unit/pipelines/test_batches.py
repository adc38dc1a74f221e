"""What a landing batch may and may not do: manifests, reject share, late rows, the calendar."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from holdfast.errors import ArrivalError, BatchRefusedError
from holdfast.pipelines import ledger
from holdfast.pipelines.ingest import LEDGER, QUARANTINE
from holdfast.rules import Calendar, Ingestion
from tests.fakes.landing_shop import Shop, first_day


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return first_day(tmp_path / "landing")


def sale(order: str, day: str, amount: str = "2.50", customer: str = "c1", product: str = "p1") -> str:
    return f"{order},{customer},{day} 12:00:00,{product},1,{amount}"


def promise(shop: Shop, manifest: str, content: Any) -> None:
    shop.land(manifest, json.dumps(content))


def digest(shop: Shop, path: str) -> str:
    return hashlib.sha256((shop.directory / path).read_bytes()).hexdigest()


def test_a_file_that_keeps_its_manifest_goes_in_and_the_manifest_is_no_landing_file(shop: Shop) -> None:
    path = "2017-03-01/sales.csv"
    promise(shop, f"{path}.manifest.json", {"rows": 2, "sha256": digest(shop, path)})
    promise(shop, "2017-03-01/manifest.json", {"customers.csv": {"rows": 2}})
    assert shop.run()[0]["files"] == 2
    assert shop.column("orders", "order_id") == ["o1"]


@pytest.mark.parametrize("manifest", ["2017-03-01/sales.csv.manifest.json", "2017-03-01/manifest.json"])
@pytest.mark.parametrize(
    ("promised", "told"),
    [
        ({"rows": 3}, r"holds 2 rows, but \S+ promises 3\."),
        ({"rows": 2, "sha256": "0" * 64}, r"its SHA-256 is [0-9a-f]{64}, but \S+ promises 0{64}\."),
        ({"rows": "3"}, r"rows '3' for \S+ is no number of rows"),
        ({"sha256": "abc"}, r"sha256 'abc' for \S+ is no hexadecimal SHA-256"),
        ({"lines": 2}, r"Write \{\"rows\""),
    ],
)
def test_a_broken_promise_refuses_the_file_with_both_values_and_the_others_go_in(
    shop: Shop, manifest: str, promised: dict[str, Any], told: str
) -> None:
    promise(shop, manifest, {"sales.csv": promised} if manifest.endswith("/manifest.json") else promised)
    results = shop.run()
    assert not shop.lake.exists("orders")
    assert shop.column("customers", "customer_id") == ["c1", "c2"]
    with pytest.raises(BatchRefusedError, match=told):
        shop.ingest.finish(results)


def test_a_manifest_that_is_no_json_refuses_what_it_speaks_of_by_name(shop: Shop) -> None:
    shop.land("2017-03-01/sales.csv.manifest.json", '{"rows": ')
    assert "2017-03-01/sales.csv.manifest.json: not readable as JSON" in shop.run()[0]["refused"][0]


def test_a_listed_file_that_has_not_landed_keeps_its_day_and_later_ones_pending_and_is_told(shop: Shop) -> None:
    shop.land_sales("2017-03-02", sale("o2", "2017-03-02"))
    shop.land_sales("2017-03-03", sale("o3", "2017-03-03"))
    promise(shop, "2017-03-02/manifest.json", {"sales.csv": {"rows": 1}, "customers.csv": {"rows": 1}})
    shop.run()
    assert shop.column("orders", "order_id") == ["o1"]
    [finding] = shop.ingest.watch()
    assert (finding["kind"], finding["day"]) == ("awaited file", "2017-03-02")
    assert "2017-03-02/customers.csv: listed in 2017-03-02/manifest.json, but has not landed" in finding["text"]
    assert set(shop.lake.read(LEDGER)["status"]) == {"accepted"}
    shop.land("2017-03-02/customers.csv", "id,email\nc3,eve@shop.example\n")
    shop.run()
    assert shop.column("orders", "order_id") == ["o1", "o2", "o3"]
    assert shop.ingest.watch() == []


def test_a_file_with_too_many_rejected_rows_is_refused_whole_and_changes_nothing(shop: Shop) -> None:
    wrong = [sale(f"bad{i}", "2017-03-02", amount="-1") for i in range(30)]
    good = [sale(f"good{i}", "2017-03-02") for i in range(20)]
    shop.land_sales("2017-03-02", *wrong, *good)
    shop.land("2017-03-02/customers.csv", "id,email\nc3,eve@shop.example\n")
    results = shop.run()
    assert shop.column("orders", "order_id") == ["o1"]
    assert shop.column("customers", "customer_id") == ["c1", "c2", "c3"]
    with pytest.raises(BatchRefusedError) as told:
        shop.ingest.finish(results)
    assert "2017-03-02/sales.csv: 30 of 50 rows (60%) are rejected, more than the 50% allowed" in str(told.value)
    assert "order_lines amount below minimum 30 times, first in row 2" in str(told.value)
    assert list(shop.lake.read(QUARANTINE)["rule"]) == ["file refused"]


def test_rows_that_rest_on_a_refused_file_are_judged_without_it(shop: Shop) -> None:
    shop.rules = Ingestion(reject_rows=1)
    shop.land("2017-03-02/customers.csv", "id,email\nc3,\nc4,\nc5,\n,\n")
    shop.land_sales(
        "2017-03-02", sale("o2", "2017-03-02", customer="c3"), sale("o3", "2017-03-02"), sale("o4", "2017-03-02")
    )
    shop.run()
    assert shop.column("customers", "customer_id") == ["c1", "c2"]
    assert shop.column("orders", "order_id") == ["o1", "o3", "o4"]
    assert ("2017-03-02/sales.csv", 2, "orders", "customer_id", "unknown reference") in shop.quarantine()


def test_a_few_bad_rows_of_a_small_file_do_not_stop_the_line(shop: Shop) -> None:
    shop.land_sales("2017-03-02", *(sale(f"o{i}", "2017-03-02", amount="-1") for i in range(10, 29)))
    assert shop.run()[-1]["refused"] == []
    assert len(shop.quarantine()) == 19


def test_repeated_rows_do_not_count_as_rejected(shop: Shop) -> None:
    rows = [sale(f"o{i}", "2017-03-02") for i in range(10, 50)]
    shop.land_sales("2017-03-02", *rows)
    shop.run()
    shop.land_sales("2017-03-03", *rows, sale("o99", "2017-03-03"))
    assert shop.run()[0]["refused"] == []
    assert "o99" in shop.column("orders", "order_id")


def reaches_back_to(shop: Shop) -> str | None:
    """The earliest day that the batch which came in last touches."""
    before = set(ledger.read(shop.lake)["batch"])
    shop.run()
    entries = ledger.read(shop.lake)
    [day] = entries.loc[~entries["batch"].isin(before), "earliest"]
    return day


def test_a_late_row_lands_in_its_own_time_and_tells_from_when_on_it_changes_the_past(shop: Shop) -> None:
    shop.run()
    shop.land_sales("2017-03-09", sale("o8", "2017-03-05", customer="c2"), sale("o9", "2017-03-09"))
    result = shop.run()[0]
    assert result["late_from"] == "2017-03-05"
    assert shop.ingest.finish([result])["late_from"] == "2017-03-05"
    assert not shop.lake.exists(QUARANTINE)


def test_the_day_is_the_shops_own(shop: Shop) -> None:
    shop.run()
    shop.land_sales("2017-03-02", "o2,c2,2017-03-03 04:59:59,p1,1,2.50")  # 23:59:59 in New York
    assert reaches_back_to(shop) == "2017-03-02"


def test_a_line_that_comes_after_its_order_reaches_back_to_the_orders_day(shop: Shop) -> None:
    shop.run()
    shop.land_sales("2017-03-07", "o1,c1,2017-03-01 12:00:00,p9,1,1.00")
    assert reaches_back_to(shop) == "2017-03-01"


def test_completeness_ends_at_a_missing_day_and_goes_on_when_it_has_arrived(shop: Shop) -> None:
    for day in range(2, 29):
        if day != 20:
            shop.land_sales(f"2017-03-{day:02}", sale(f"d{day}", f"2017-03-{day:02}"))
    shop.run()
    assert shop.ingest.complete_to() == date(2017, 3, 20)
    [finding] = shop.ingest.watch()
    assert (finding["kind"], finding["day"]) == ("missing day", "2017-03-20")
    shop.calendar = Calendar(closed=(date(2017, 3, 20),))
    assert shop.ingest.complete_to() == date(2017, 3, 29)
    shop.calendar = Calendar()
    shop.land_sales("2017-03-20", sale("d20", "2017-03-20"))
    assert shop.run()[0]["late_from"] is None
    assert (shop.ingest.complete_to(), shop.ingest.watch()) == (date(2017, 3, 29), [])


def test_completeness_ends_at_a_refused_file_until_it_is_mended_or_withdrawn(shop: Shop) -> None:
    shop.land_sales("2017-03-02", sale("o2", "2017-03-02"))
    shop.land("2017-03-02/customers.csv", "")
    shop.land_sales("2017-03-03", sale("o3", "2017-03-03"))
    shop.run()
    assert shop.ingest.complete_to() == date(2017, 3, 2)
    (shop.directory / "2017-03-02/customers.csv").unlink()
    assert shop.ingest.complete_to() == date(2017, 3, 4)
    shop.land("2017-03-02/customers.csv", "id,email\nc3,eve@shop.example\n")
    shop.run()
    assert shop.ingest.complete_to() == date(2017, 3, 4)


def test_a_file_with_a_strange_name_does_not_hold_completeness_up(shop: Shop) -> None:
    shop.land("notes.txt", "x")
    shop.run()
    assert shop.ingest.complete_to() == date(2017, 3, 2)


def test_a_day_on_which_only_other_inputs_landed_has_not_arrived(shop: Shop) -> None:
    shop.calendar = Calendar(closed_weekdays=frozenset())
    shop.land("2017-03-02/customers.csv", "id,email\nc3,eve@shop.example\n")
    shop.land_sales("2017-03-03", sale("o3", "2017-03-03"))
    shop.run()
    assert shop.ingest.complete_to() == date(2017, 3, 2)


def test_a_scheduled_run_misses_the_day_before_its_own_by_the_shops_clock(shop: Shop) -> None:
    shop.calendar = Calendar(closed_weekdays=frozenset())
    shop.run()
    assert shop.ingest.watch() == []
    assert shop.ingest.watch(datetime(2017, 3, 3, 4, 59, tzinfo=UTC)) == []  # still 2017-03-02 in New York
    [finding] = shop.ingest.watch(datetime(2017, 3, 3, 5, tzinfo=UTC))
    assert (finding["kind"], finding["day"]) == ("missing day", "2017-03-02")
    assert "{day}/sales.csv: nothing has arrived for 2017-03-02" in finding["text"]


def test_findings_only_warn_unless_the_rules_say_stop(shop: Shop) -> None:
    shop.calendar = Calendar(closed_weekdays=frozenset())
    shop.land_sales("2017-03-03", sale("o3", "2017-03-03"))
    results = shop.run()
    findings = shop.ingest.watch()
    assert shop.ingest.finish(results, findings)["findings"] == findings != []
    shop.rules = Ingestion(findings="stop")
    with pytest.raises(ArrivalError, match=r"ingest\.findings(?s:.*)2017-03-02"):
        shop.ingest.watch()
    assert shop.column("orders", "order_id") == ["o1", "o3"]
