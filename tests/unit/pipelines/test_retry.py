"""A mended mapping or file is tried again: what now passes goes in exactly once, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from copy import copy
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from holdfast.errors import MissingDataError, QualityError
from holdfast.mapping import Mapping
from holdfast.pipelines.ingest import LEDGER, QUARANTINE
from holdfast.pipelines.quarantine import standing
from holdfast.rules import Ingestion
from tests.fakes.faults import HookedLake, PowerCutError
from tests.fakes.landing_shop import Shop, first_day

LATER = datetime(2017, 3, 11, 9, tzinfo=UTC)
FILE = "2017-03-02/sales.csv"


def with_input(source: Mapping, name: str, **changes: object) -> Mapping:
    """The mapping with one input changed."""
    return Mapping.model_validate(
        {"inputs": {key: one.model_dump(exclude_unset=True) for key, one in source.inputs.items()}}
        | {"inputs": {key: one.model_dump(exclude_unset=True) | (changes if key == name else {})
                      for key, one in source.inputs.items()}}
    )  # fmt: skip


def without_zone(source: Mapping) -> Mapping:
    """The mapping as it was before someone declared the zone of its times."""
    return with_input(source, "sales", times=None)


def spoilt(directory: Path, *lines: str) -> Shop:
    """A shop whose second day was rejected, since its mapping lacked a zone; the mapping is mended by now."""
    shop = first_day(directory)
    shop.run()
    mended, shop.source = shop.source, without_zone(shop.source)
    shop.land_sales("2017-03-02", *lines)
    shop.run()
    shop.source, shop.now = mended, LATER
    return shop


LINES = (
    "o2,c1,2017-03-02 12:00:00,p1,1,2.50",
    "o2,c1,2017-03-02 12:00:00,p2,1,2.50",
    "o3,c2,2017-03-02 13:00:00,p1,1,-1.00",
)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return spoilt(tmp_path / "landing", *LINES)


def left(shop: Shop) -> list[tuple[int, str, str]]:
    """Row, table and rule of what is open."""
    rows = standing(shop.lake)
    rows = rows[rows["how"].isna()].sort_values(["row", "table"])
    return list(rows[["row", "table", "rule"]].itertuples(index=False, name=None))


def test_rows_that_a_mended_mapping_lets_pass_go_in_and_the_others_stay(shop: Shop) -> None:
    assert len(left(shop)) == 5
    [done] = shop.retry()
    assert (done.file, done.tried, done.accepted, done.open, done.note) == (FILE, 5, 4, 1, "")
    assert shop.column("orders", "order_id") == ["o1", "o2", "o3"]
    assert shop.column("order_lines", "order_id") == ["o1", "o1", "o2", "o2"]
    assert left(shop) == [(4, "order_lines", "below minimum")]
    settled = standing(shop.lake).dropna(subset=["how"])
    assert list(settled["how"]) == ["accepted"] * 4
    assert set(settled["at"]) == {pd.Timestamp(LATER)}


def test_a_row_that_fails_for_another_reason_now_is_shown_with_that_one(tmp_path: Path) -> None:
    shop = spoilt(tmp_path, "o2,nobody,2017-03-02 12:00:00,p1,1,2.50")
    assert left(shop) == [(2, "order_lines", "unknown reference"), (2, "orders", "time without zone")]
    [done] = shop.retry()
    assert (done.accepted, done.open) == (0, 2)
    assert left(shop) == [(2, "order_lines", "unknown reference"), (2, "orders", "unknown reference")]
    assert list(standing(shop.lake)["how"].dropna()) == ["rejected for another reason"]


def test_a_second_retry_changes_nothing(shop: Shop) -> None:
    shop.retry()
    tables = ("orders", "order_lines", LEDGER, QUARANTINE, "resolutions")
    before = {table: shop.lake.version(table) for table in tables}
    [again] = shop.retry()
    assert (again.tried, again.accepted, again.open) == (1, 0, 1)
    assert {table: shop.lake.version(table) for table in tables} == before


def test_a_retry_is_in_the_ledger_with_the_day_from_which_it_changes_the_past(shop: Shop) -> None:
    shop.retry()
    [entry] = shop.lake.read(LEDGER).query("status == 'retried'").to_dict("records")
    assert entry["batch"].endswith("#retry-1")
    assert (entry["file"], entry["rows"], entry["accepted"], entry["earliest"]) == (FILE, 0, 4, "2017-03-02")


def test_without_a_mend_a_retry_writes_nothing(shop: Shop) -> None:
    shop.source = without_zone(shop.source)
    version = shop.lake.version(LEDGER)
    [done] = shop.retry()
    assert (done.accepted, done.open) == (0, 5)
    assert shop.lake.version(LEDGER) == version


def test_rows_that_break_an_expectation_are_not_stored(shop: Shop) -> None:
    shop.quality.failing = {"order_lines"}
    with pytest.raises(QualityError):
        shop.retry()
    assert shop.column("orders", "order_id") == ["o1"]
    shop.quality.failing = set()
    assert shop.retry()[0].accepted == 4


def test_a_row_that_was_delivered_anew_meanwhile_is_settled_and_not_doubled(shop: Shop) -> None:
    shop.land_sales("2017-03-05", LINES[0])
    shop.run()
    shop.retry()
    assert shop.column("orders", "order_id") == ["o1", "o2", "o3"]
    assert shop.column("order_lines", "line_id") == ["p1", "p1", "p2", "p2"]
    assert sorted(standing(shop.lake)["how"].dropna()) == [*["accepted"] * 2, *["held already"] * 2]


def test_a_row_whose_customer_has_come_in_by_now_goes_in(tmp_path: Path) -> None:
    shop = first_day(tmp_path)
    shop.land_sales("2017-03-02", "o2,c9,2017-03-02 12:00:00,p1,1,2.50")
    shop.land("2017-03-03/customers.csv", "id,email\nc9,eve@shop.example\n")
    shop.run()
    [done] = shop.retry(rule="unknown reference")
    assert (done.tried, done.accepted, done.open) == (2, 2, 0)
    assert shop.column("orders", "order_id") == ["o1", "o2"]


def test_a_refused_file_goes_in_once_the_mapping_is_mended_and_leaves_the_refused_state(tmp_path: Path) -> None:
    shop = first_day(tmp_path)
    shop.run()
    mended, shop.source = shop.source, with_input(shop.source, "sales", path="{day}/verkauf.csv")
    shop.land_sales("2017-03-02", *LINES)
    shop.run()
    assert shop.retry()[0].note.startswith(f"{FILE}: no input of the mapping has this path")
    assert len(left_files(shop)) == 1
    assert sorted(standing(shop.lake)["how"].dropna()) == ["refused again"]
    shop.source = mended
    shop.now = LATER
    [done] = shop.retry(FILE)
    assert (done.accepted, done.open) == (4, 1)
    assert left_files(shop) == []
    assert set(standing(shop.lake).query("rule == 'file refused'")["how"]) == {"file taken in"}
    assert shop.ingest.pending() == []
    with pytest.raises(MissingDataError, match=r"nothing open of '2017-03-09/sales\.csv'"):
        shop.retry("2017-03-09/sales.csv")


def left_files(shop: Shop) -> list[str]:
    rows = standing(shop.lake)
    return list(rows[rows["how"].isna() & (rows["rule"] == "file refused")]["file"])


def test_a_file_refused_for_its_rejected_rows_goes_in_after_the_limit_was_raised(tmp_path: Path) -> None:
    shop = first_day(tmp_path)
    shop.rules = Ingestion(reject_rows=1, reject_share=0.2)
    shop.land_sales("2017-03-02", *LINES)
    shop.run()
    assert left_files(shop) == [FILE]
    shop.rules = Ingestion(reject_rows=1, reject_share=0.5)
    assert (shop.retry()[0].accepted, left_files(shop)) == (4, [])
    assert shop.column("orders", "order_id") == ["o1", "o2", "o3"]


def test_a_mended_file_replaces_what_quarantine_holds_of_the_old_one(shop: Shop) -> None:
    mended = [line.replace("-1.00", "1.00") for line in LINES]
    shop.land_sales("2017-03-02", *mended)
    [done] = shop.retry(FILE)
    assert (done.accepted, done.open, left(shop)) == (5, 0, [])
    assert set(standing(shop.lake)["how"]) == {"replaced by a later file"}
    assert len(shop.column("order_lines", "order_id")) == 5


def test_rows_left_out_on_purpose_are_tried_only_if_their_rule_is_named(tmp_path: Path) -> None:
    shop = first_day(tmp_path)
    mended = shop.source
    exclusion = {"rule": "staff", "when": {"of": "customer", "equals": "c2"}, "reason": "Staff are no customers."}
    shop.source = with_input(mended, "sales", exclude=[exclusion])
    shop.land_sales("2017-03-02", *LINES)
    shop.run()
    assert left(shop) == []
    shop.source = with_input(mended, "sales", exclude=[])
    assert shop.retry() == []
    [done] = shop.retry(rule="staff")
    assert (done.tried, done.accepted) == (1, 1)
    assert shop.column("orders", "order_id") == ["o1", "o2", "o3"]
    # The row's order went in, its line did not.
    assert left(shop) == [(4, "order_lines", "below minimum")]


def test_a_file_that_has_left_the_landing_directory_says_so(shop: Shop) -> None:
    (shop.directory / FILE).unlink()
    [done] = shop.retry()
    assert (done.accepted, done.open) == (0, 5)
    assert "land it again" in done.note


def test_a_retried_contact_never_replaces_a_later_one(tmp_path: Path) -> None:
    shop = first_day(tmp_path)
    shop.land("2017-03-02/customers.csv", "id,email\nc8,\n")
    shop.run()
    shop.land("2017-03-02/customers.csv", "id,email\nc8,\nc9,nine@shop.example\n")
    # c8's address is missing in the mended file, too; a later file brings it.
    shop.land("2017-03-04/customers.csv", "id,email\nc8,late@shop.example\n")
    shop.run()
    mended = with_input(
        shop.source,
        "customers",
        ignore=("email",),
        tables={
            "customers": {"columns": {"customer_id": "id"}},
            "contacts": {"columns": {"customer_id": "id", "email": {"value": "old@shop.example"}}},
        },
    )
    shop.source = mended
    [done] = shop.retry("2017-03-02/customers.csv")
    assert "deliver it in a new file" in done.note
    assert "old@shop.example" not in set(shop.vault.tables["contacts"]["email"])


def hooked(directory: Path) -> tuple[Shop, HookedLake]:
    lake = HookedLake()
    shop = first_day(directory)
    shop.lake = lake
    shop.run()
    mended, shop.source = shop.source, without_zone(shop.source)
    shop.land_sales("2017-03-02", *LINES)
    shop.run()
    shop.source = mended
    return shop, lake


def assert_once(shop: Shop) -> None:
    assert shop.column("orders", "order_id") == ["o1", "o2", "o3"]
    lines = sorted(
        zip(shop.lake.read("order_lines")["order_id"], shop.lake.read("order_lines")["line_id"], strict=True)
    )
    assert lines == [("o1", "p1"), ("o1", "p2"), ("o2", "p1"), ("o2", "p2")]
    assert left(shop) == [(4, "order_lines", "below minimum")]


def half_mended(source: Mapping) -> Mapping:
    """A mapping mended by half: orders have their zone, but the lines' amounts are read from the wrong column."""
    tables = {name: feed.model_dump(exclude_unset=True) for name, feed in source.inputs["sales"].tables.items()}
    tables["order_lines"]["columns"] |= {"amount": {"column": "order"}}
    return with_input(source, "sales", ignore=("amount",), tables=tables)


MAPPINGS = st.sampled_from(["broken", "half", "mended"])
MOMENTS = st.tuples(st.integers(1, 7), st.booleans())
"""At which append of a retry, and whether before or just after its commit."""


def mapped(mended: Mapping, which: str) -> Mapping:
    return {"broken": without_zone(mended), "half": half_mended(mended), "mended": mended}[which]


@settings(max_examples=80, deadline=None)
@example(crashes=[((2, True), "half")])
@given(crashes=st.lists(st.tuples(MOMENTS, MAPPINGS), max_size=4))
def test_crashes_at_any_commit_and_mends_in_between_store_every_row_once(
    tmp_path_factory: pytest.TempPathFactory, crashes: list[tuple[tuple[int, bool], str]]
) -> None:
    shop, lake = hooked(tmp_path_factory.mktemp("landing"))
    mended = shop.source
    for (countdown, committed), which in crashes:
        shop.source = mapped(mended, which)
        lake.cut_power(countdown, committed)
        with suppress(PowerCutError):
            shop.retry()
    lake.countdown, shop.source = 0, mended
    shop.retry()
    assert_once(shop)


@settings(max_examples=80, deadline=None)
@example(meetings=[((2, False), "mended", ["half", "mended"])])
@given(meetings=st.lists(st.tuples(MOMENTS, MAPPINGS, st.lists(MAPPINGS, max_size=3)), min_size=1, max_size=3))
def test_a_retry_overtaken_by_others_at_any_commit_stores_every_row_once(
    tmp_path_factory: pytest.TempPathFactory, meetings: list[tuple[tuple[int, bool], str, list[str]]]
) -> None:
    shop, lake = hooked(tmp_path_factory.mktemp("landing"))
    mended = shop.source

    def overtake(others: list[str]) -> Callable[[], None]:
        def run() -> None:
            for which in others:
                other = copy(shop)
                other.source = mapped(mended, which)
                other.retry()

        return run

    for (countdown, committed), which, others in meetings:
        shop.source = mapped(mended, which)
        lake.countdown = countdown
        lake.before, lake.after = (None, overtake(others)) if committed else (overtake(others), None)
        shop.retry()
    lake.countdown, shop.source = 0, mended
    shop.retry()
    assert_once(shop)
