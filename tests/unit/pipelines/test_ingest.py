from __future__ import annotations

import json
from contextlib import suppress
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.adapters.lake import DeltaLake
from holdfast.errors import BatchRefusedError, MissingDataError, QualityError
from holdfast.pipelines.ingest import LEDGER, QUARANTINE
from tests.fakes.faults import HookedLake, PowerCutError
from tests.fakes.landing_shop import CUSTOMERS, Shop, first_day


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return first_day(tmp_path / "landing")


def test_one_file_fills_several_tables_and_the_ledger(shop: Shop) -> None:
    shop.run()
    assert shop.column("orders", "order_id") == ["o1"]
    assert shop.column("order_lines", "line_id") == ["p1", "p2"]
    ledger = shop.lake.read(LEDGER).set_index("file")
    assert ledger.loc["2017-03-01/sales.csv", ["status", "day", "rows", "accepted", "rejected"]].to_list() == [
        "accepted",
        "2017-03-01",
        2,
        3,
        0,
    ]
    assert json.loads(ledger.loc["2017-03-01/sales.csv", "tables"]) == {"orders": 1, "order_lines": 2}


def test_a_run_returns_counts_that_airflow_can_carry(shop: Shop) -> None:
    result = shop.run()[0]
    assert result == {
        "files": 2,
        "accepted": 7,
        "rejected": 0,
        "duplicates": 0,
        "tables": {"customers": 2, "orders": 1, "order_lines": 2, "contacts": 2},
        "refused": [],
        "late_from": None,
    }
    assert json.loads(json.dumps(result)) == result


def test_a_second_run_changes_no_table(shop: Shop) -> None:
    shards = shop.ingest.pending()
    shop.run()
    tables = ("customers", "orders", "order_lines", LEDGER)
    versions = [shop.lake.version(table) for table in tables]
    assert shop.ingest.pending() == []
    for shard in shards:
        assert shop.ingest.run(shard)["files"] == 0
    assert [shop.lake.version(table) for table in tables] == versions


def test_a_bad_row_goes_to_quarantine_with_its_place_and_the_rest_goes_in(shop: Shop) -> None:
    shop.land_sales(
        "2017-03-02",
        "o2,c1,2017-03-02 12:00:00,p1,1,-2.50",
        "o2,c1,2017-03-02 12:00:00,p2,1,2.50",
        "o3,c1",
    )
    shop.run()
    file = "2017-03-02/sales.csv"
    assert shop.quarantine() == [
        (file, 2, "order_lines", "amount", "below minimum"),
        (file, 4, None, None, "number of columns"),
    ]
    assert shop.column("order_lines", "line_id") == ["p1", "p2", "p2"]
    ledger = shop.lake.read(LEDGER).set_index("file")
    assert ledger.loc[file, ["rows", "accepted", "rejected"]].to_list() == [3, 2, 2]


def test_the_lines_of_a_rejected_order_are_rejected_too(shop: Shop) -> None:
    shop.land_sales("2017-03-02", "o2,nobody,2017-03-02 12:00:00,p1,1,2.50")
    shop.run()
    assert [entry[2:] for entry in shop.quarantine()] == [
        ("order_lines", "order_id", "unknown reference"),
        ("orders", "customer_id", "unknown reference"),
    ]


def test_a_row_may_refer_to_what_an_earlier_shard_brought(shop: Shop) -> None:
    shop.run()
    shop.land_sales("2017-03-02", "o2,c2,2017-03-02 12:00:00,p1,1,2.50")
    shop.run()
    assert shop.column("orders", "order_id") == ["o1", "o2"]
    assert not shop.lake.exists(QUARANTINE)


def test_a_row_from_after_the_landing_day_is_rejected_by_the_shops_own_midnight(shop: Shop) -> None:
    shop.land_sales(
        "2017-03-02",
        "o2,c1,2017-03-03 04:59:59,p1,1,2.50",  # still 2017-03-02 in New York
        "o3,c1,2017-03-03 05:00:00,p1,1,2.50",
    )
    shop.run()
    assert shop.column("orders", "order_id") == ["o1", "o2"]
    assert ("2017-03-02/sales.csv", 3, "orders", "ordered_at", "future time") in shop.quarantine()


def test_an_event_landed_again_is_a_duplicate_and_with_another_body_a_conflict(shop: Shop) -> None:
    shop.run()
    shop.land_sales(
        "2017-03-02",
        "o1,c1,2017-03-01 12:00:00,p1,1,2.50",
        "o1,c1,2017-03-01 12:00:00,p2,9,9.00",
        "o1,c1,2017-03-01 12:00:00,p3,1,1.00",
    )
    result = shop.run()[0]
    assert [entry[1:] for entry in shop.quarantine()] == [
        (2, "order_lines", "order_id, line_id", "duplicate"),
        (2, "orders", "order_id", "duplicate"),
        (3, "order_lines", "order_id, line_id", "conflict"),
    ]
    assert (result["accepted"], result["rejected"], result["duplicates"]) == (1, 3, 2)
    assert sorted(shop.lake.read("order_lines")["amount"]) == [1.0, 2.5, 4.0]


def test_the_same_content_under_another_name_is_entered_as_repeated(shop: Shop) -> None:
    shop.run()
    shop.land("2017-03-05/customers.csv", CUSTOMERS)
    shop.run()
    ledger = shop.lake.read(LEDGER).set_index("file")
    assert ledger.loc["2017-03-05/customers.csv", "status"] == "repeated"
    assert shop.column("customers", "customer_id") == ["c1", "c2"]
    assert shop.ingest.pending() == []


def test_a_refused_file_is_on_record_and_the_others_of_the_shard_go_in(shop: Shop) -> None:
    shop.land("2017-03-01/sales.csv.bak", "x")
    results = shop.run()
    assert shop.column("orders", "order_id") == ["o1"]
    ledger = shop.lake.read(LEDGER).set_index("file")
    assert ledger.loc["2017-03-01/sales.csv.bak", "status"] == "refused"
    with pytest.raises(BatchRefusedError, match=r"2017-03-01/sales\.csv\.bak: no input .* Rename or map it"):
        shop.ingest.finish(results)
    assert shop.quality.published == 1


def test_every_empty_file_is_refused_though_their_contents_are_equal(shop: Shop) -> None:
    shop.land("2017-03-02/sales.csv", "")
    shop.run()
    shop.land("2017-03-03/sales.csv", "")
    assert "2017-03-03/sales.csv: the file is empty" in shop.run()[0]["refused"][0]


def test_a_refused_file_is_not_tried_again_until_its_content_changes(shop: Shop) -> None:
    shop.land("2017-03-02/sales.csv", "")
    shop.run()
    assert shop.ingest.pending() == []
    shop.land_sales("2017-03-02", "o2,c1,2017-03-02 12:00:00,p1,1,2.50")
    assert shop.ingest.pending() == [["2017-03-02/sales.csv"]]
    shop.run()
    assert shop.column("orders", "order_id") == ["o1", "o2"]


@pytest.mark.parametrize("real", [False, True])
def test_what_was_stored_is_news_until_it_was_announced_though_a_repeated_drain_finds_nothing(
    shop: Shop, tmp_path: Path, real: bool
) -> None:
    shop.lake = DeltaLake(tmp_path / "lake") if real else shop.lake
    assert shop.run(), "stored, and then whoever was to tell of it stopped"
    assert shop.run() == []
    assert shop.ingest.news([])
    finished = shop.ingest.finish([])
    assert shop.ingest.news([]), "nothing tells yet that the event is out"
    shop.ingest.announced(finished)
    assert not shop.ingest.news([])
    shop.land_sales("2017-03-02", "o2,c1,2017-03-02 12:00:00,p1,1,2.50")
    shop.ingest.announced(shop.ingest.finish(shop.run()))
    assert not shop.ingest.news([])


def test_a_file_that_lands_after_finish_is_news_though_that_is_announced_later(shop: Shop) -> None:
    finished = shop.ingest.finish(shop.run())
    shop.land_sales("2017-03-02", "o2,c1,2017-03-02 12:00:00,p1,1,2.50")
    shop.run()
    shop.ingest.announced(finished)
    assert shop.ingest.news([])


def test_a_refusal_is_told_once_and_rows_that_a_retry_stores_are_news(shop: Shop) -> None:
    shop.land_sales("2017-03-02", "o2,c1,2017-03-02 12:00:00,p1,1,2.50", "o3,c9,2017-03-02 12:00:00,p1,1,2.50")
    shop.ingest.announced(shop.ingest.finish(shop.run()))
    shop.land("2017-03-03/sales.csv", "")
    refused = shop.run()
    assert shop.ingest.news(refused), "so that finish names the file"
    assert not shop.ingest.news([]), "it stored nothing"
    (shop.directory / "2017-03-03" / "sales.csv").unlink()
    shop.land("2017-03-04/customers.csv", "id,email\nc9,eve@shop.example\n")
    shop.ingest.announced(shop.ingest.finish(shop.run()))
    assert [one.accepted for one in shop.retry("2017-03-02/sales.csv")] == [2]
    assert shop.ingest.news([])


def test_finish_adds_the_shards_up_and_says_where_the_record_is(shop: Shop) -> None:
    shop.land_sales("2017-03-02", "o2,c1,2017-03-02 12:00:00,p1,1,2.50")
    done = shop.ingest.finish(shop.run())
    assert done == {
        "files": 3,
        "accepted": 9,
        "rejected": 0,
        "duplicates": 0,
        "tables": {"customers": 2, "orders": 2, "order_lines": 3, "contacts": 2},
        "stored": 3,
        "late_from": None,
        "findings": [],
        "data_docs": "data_docs/index.html",
    }


def test_few_days_are_a_shard_each_and_many_a_shard_a_month(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    for day in range(1, 8):
        shop.land(f"2017-03-0{day}/sales.csv", f"{day}")
    assert [len(shard) for shard in shop.ingest.pending()] == [1] * 7
    for day in range(1, 4):
        shop.land(f"2017-04-0{day}/sales.csv", f"april {day}")
    shop.land("2017-04-01/customers.csv", "c")
    assert [len(shard) for shard in shop.ingest.pending()] == [7, 4]


def test_a_shard_waits_for_earlier_days(shop: Shop) -> None:
    shop.land_sales("2017-03-02", "o2,c1,2017-03-02 12:00:00,p1,1,2.50")
    first, second = shop.ingest.pending()
    with pytest.raises(MissingDataError, match=r"2017-03-01/.* is still pending"):
        shop.ingest.run(second)
    shop.ingest.run(first)
    assert shop.ingest.run(second)["accepted"] == 2


def test_contact_details_reach_the_vault_and_nothing_else(shop: Shop) -> None:
    shop.land("2017-03-02/customers.csv", "id,email\nc1,\nc9,eve@shop.example\nc1,eve@shop.example\n")
    shop.run()
    assert not shop.lake.exists("contacts")
    assert sorted(shop.vault.tables["contacts"]["email"])[:2] == ["ann@shop.example", "bob@shop.example"]
    assert "contacts" not in {table for table, _, _ in shop.quality.checked}
    assert "@shop.example" not in shop.lake.read(QUARANTINE).to_json()


def test_expectations_are_checked_once_a_table_and_shard(shop: Shop) -> None:
    shop.run()
    assert shop.quality.checked == [
        ("customers", "2017-03-01", 2),
        ("orders", "2017-03-01", 1),
        ("order_lines", "2017-03-01", 2),
    ]


def test_a_shard_that_breaks_an_expectation_stores_nothing_and_stays_pending(shop: Shop) -> None:
    shop.quality.failing = {"order_lines"}
    with pytest.raises(QualityError):
        shop.run()
    assert not any(shop.lake.exists(table) for table in ("customers", "orders", "order_lines", LEDGER))
    assert shop.vault.tables == {}
    assert shop.quality.published == 1
    shop.quality.failing = set()
    shop.run()
    assert shop.column("orders", "order_id") == ["o1"]


def test_data_are_complete_to_the_day_after_the_last_accepted_file(shop: Shop) -> None:
    with pytest.raises(MissingDataError, match="no landing file has been accepted yet"):
        shop.ingest.complete_to()
    shop.land("2017-03-09/sales.csv", "")
    shop.run()
    assert shop.ingest.complete_to() == date(2017, 3, 2)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(crashes=st.lists(st.tuples(st.integers(1, 6), st.booleans()), max_size=4))
def test_crashes_at_any_commit_then_a_retry_store_every_row_once(
    tmp_path_factory: pytest.TempPathFactory, crashes: list[tuple[int, bool]]
) -> None:
    shop = Shop(tmp_path_factory.mktemp("landing"))
    shop.land("2017-03-01/customers.csv", CUSTOMERS)
    shop.land_sales(
        "2017-03-01",
        "o1,c1,2017-03-01 12:00:00,p1,1,2.50",
        "o1,c1,2017-03-01 12:00:00,p1,1,2.50",
        "o2,c1,2017-03-01 12:00:00,p1,1,-1",
    )
    shop.lake = lake = HookedLake()
    for countdown, committed in crashes:
        lake.cut_power(countdown, committed)
        with suppress(PowerCutError):
            shop.run()
    lake.countdown = 0
    shop.run()
    assert shop.column("customers", "customer_id") == ["c1", "c2"]
    assert shop.column("orders", "order_id") == ["o1", "o2"]
    assert shop.column("order_lines", "order_id") == ["o1"]
    assert [entry[4] for entry in shop.quarantine()] == ["duplicate", "below minimum"]
    assert shop.column(LEDGER, "status") == ["accepted", "accepted"]
    assert len(shop.vault.tables["contacts"]) == 2


def test_a_file_of_nothing_but_bad_rows_leaves_only_its_record(shop: Shop) -> None:
    shop.run()
    shop.land_sales("2017-03-02", "o2,c1", "o3")
    shop.land_sales("2017-03-03", "o4,nobody,2017-03-03 12:00:00,p1,1,2.50")
    results = shop.run()
    assert [(result["accepted"], result["rejected"]) for result in results] == [(0, 2), (0, 2)]
    assert shop.column("orders", "order_id") == ["o1"]
    assert shop.ingest.finish(results)["rejected"] == 4
