from __future__ import annotations

from datetime import UTC, datetime

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.contract import REJECTED, WITHHELD, Checked, check
from holdfast.schemas import TABLES

MIDNIGHT = datetime(2017, 3, 2, 5, tzinfo=UTC)  # the end of 2017-03-01 in New York


def text(rows: list[dict[str, str]], zone: str | None = "UTC", batch: str = "b1") -> pa.Table:
    columns = {name: pa.array([row.get(name, "") for row in rows], pa.string()) for name in rows[0]}
    count = len(rows)
    return pa.table(
        {
            **columns,
            "batch": pa.array([batch] * count),
            "file": pa.array(["2017-03-01/orders.csv"] * count),
            "row": pa.array(range(2, 2 + count), pa.int64()),
            "zone": pa.array([zone] * count, pa.string()),
            "latest": pa.array([MIDNIGHT] * count, pa.timestamp("us", tz="UTC")),
        }
    )


ORDER = {
    "order_id": "o1",
    "customer_id": "c1",
    "ordered_at": "2017-03-01 12:00:00",
    "status": "completed",
    "currency": "USD",
}
LINE = {
    "order_id": "o1",
    "line_id": "1",
    "product_id": "p1",
    "quantity": "2",
    "amount": "3.50",
    "discount": "0",
    "coupon_discount": "0",
}


def check_orders(*rows: dict[str, str], zone: str | None = "UTC", held: pd.DataFrame | None = None) -> Checked:
    return check(TABLES["orders"], text([ORDER | row for row in rows], zone), {"customer_id": {"c1"}}, _held(held))


def check_lines(*rows: dict[str, str]) -> Checked:
    return check(TABLES["order_lines"], text([LINE | row for row in rows]), {"order_id": {"o1"}}, _held(None))


def _held(rows: pd.DataFrame | None) -> pd.DataFrame:
    return pd.DataFrame(columns=[*TABLES["orders"].names, "batch"]) if rows is None else rows


def verdict(checked: Checked) -> tuple[str, str, str]:
    """Field, rule and value of the only rejection."""
    assert len(checked.rejected) == 1
    rejected = checked.rejected.iloc[0]
    return rejected["field"], rejected["rule"], rejected["value"]


def test_a_good_row_is_accepted_with_canonical_types() -> None:
    checked = check_lines({})
    assert checked.rejected.empty
    assert checked.accepted.iloc[0].to_dict() == {
        "order_id": "o1",
        "line_id": "1",
        "product_id": "p1",
        "quantity": 2.0,
        "amount": 3.5,
        "discount": 0.0,
        "coupon_discount": 0.0,
        "batch": "b1",
    }


def test_a_rejection_names_file_row_table_field_rule_value_and_remedy() -> None:
    checked = check_lines({}, {"line_id": "2", "amount": "-1.25"})
    assert tuple(checked.rejected.columns) == REJECTED
    assert checked.rejected.iloc[0].to_dict() == {
        "batch": "b1",
        "file": "2017-03-01/orders.csv",
        "row": 3,
        "table": "order_lines",
        "field": "amount",
        "rule": "below minimum",
        "value": "-1.25",
        "remedy": "amount must be at least 0.",
        "deliberate": False,
    }


@pytest.mark.parametrize("name", ["00123", "NA", "null", "nan", "1e5", "17850.0"])
def test_an_id_stays_the_text_it_is(name: str) -> None:
    checked = check(TABLES["orders"], text([ORDER | {"order_id": name}]), {"customer_id": {"c1"}}, _held(None))
    assert list(checked.accepted["order_id"]) == [name]


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("product_id", "", "missing"),
        ("amount", "", "missing"),
        ("amount", "twelve", "not a number"),
        ("amount", "1,000", "not a number"),
        ("amount", "NaN", "not a number"),
        ("amount", "0x1F", "not a number"),
        ("amount", "1_000", "not a number"),
        ("amount", "٣", "not a number"),
        ("quantity", "inf", "not finite"),
        ("quantity", "-Infinity", "not finite"),
        ("quantity", "1e999", "not finite"),
        ("amount", "-0.01", "below minimum"),
        ("amount", "1000000.01", "above maximum"),
        ("order_id", "o2", "unknown reference"),
    ],
)
def test_a_value_that_breaks_a_rule_is_rejected_by_name(field: str, value: str, rule: str) -> None:
    checked = check_lines({field: value})
    assert verdict(checked) == (field, rule, value)
    assert checked.accepted.empty


@pytest.mark.parametrize("value", ["0", "-0", "+3", ".5", "5.", "1e3", "1000000"])
def test_plain_numbers_up_to_the_bounds_pass(value: str) -> None:
    checked = check_lines({"amount": value})
    assert list(checked.accepted["amount"]) == [float(value)]


def test_a_required_column_of_nothing_rejects_every_row_and_an_optional_one_none() -> None:
    customers = TABLES["customers"]
    rows = [{"customer_id": "c1", "locale": ""}, {"customer_id": "c2", "locale": ""}]
    assert len(check(customers, text(rows), {}, pd.DataFrame(columns=["batch"])).accepted) == 2
    nobody = check(customers, text([row | {"customer_id": ""} for row in rows]), {}, pd.DataFrame(columns=["batch"]))
    assert list(nobody.rejected["rule"]) == ["missing", "missing"]


def test_a_text_too_long_for_its_column_is_rejected_and_shown_cut() -> None:
    checked = check_lines({"product_id": "x" * 1_000, "line_id": "1"}, {"product_id": "x" * 1_001, "line_id": "2"})
    assert len(checked.accepted) == 1
    assert verdict(checked) == ("product_id", "too long", "x" * 200)
    assert "at most 1,000 characters" in checked.rejected["remedy"].iloc[0]


def test_what_may_name_a_row_elsewhere_may_also_name_none() -> None:
    event = {"event_id": "e1", "customer_id": "c1", "occurred_at": "2017-03-01", "type": "view", "product_id": "gone"}
    checked = check(TABLES["events"], text([event]), {"customer_id": {"c1"}}, pd.DataFrame(columns=["batch"]))
    assert list(checked.accepted["product_id"]) == ["gone"]


def test_a_value_outside_the_allowed_ones_is_told_which_are() -> None:
    checked = check_orders({"status": "lost"})
    assert verdict(checked) == ("status", "not allowed", "lost")
    assert "completed, cancelled, returned" in checked.rejected["remedy"].iloc[0]


@pytest.mark.parametrize(
    ("written", "zone", "instant"),
    [
        ("2017-03-01 12:00:00", "UTC", "2017-03-01 12:00:00"),
        ("2017-03-01 12:00:00", "America/New_York", "2017-03-01 17:00:00"),
        ("2017-03-01T12:00:00Z", None, "2017-03-01 12:00:00"),
        ("2017-03-01T12:00:00.123456Z", None, "2017-03-01 12:00:00.123456"),
        ("2017-03-01T12:00:00+05:30", "America/New_York", "2017-03-01 06:30:00"),
        ("2017-03-01 12:00-0500", None, "2017-03-01 17:00:00"),
        ("2017-03-01", "America/New_York", "2017-03-01 05:00:00"),
        ("2016-11-06 01:30:00", "America/New_York", "2016-11-06 05:30:00"),  # the earlier of two
    ],
)
def test_times_become_utc_instants(written: str, zone: str | None, instant: str) -> None:
    checked = check_orders({"ordered_at": written}, zone=zone)
    assert list(checked.accepted["ordered_at"]) == [pd.Timestamp(instant, tz="UTC")]
    assert str(checked.accepted["ordered_at"].dtype) == "datetime64[us, UTC]"


@pytest.mark.parametrize(
    ("written", "zone", "rule"),
    [
        ("2017-03-01 12:00:00", None, "time without zone"),
        ("2016-03-13 02:30:00", "America/New_York", "nonexistent time"),
        ("yesterday", "UTC", "not a time"),
        ("01/03/2017 12:00", "UTC", "not a time"),
        ("2017-02-30 12:00:00", "UTC", "not a time"),
        ("20170301", "UTC", "not a time"),
        ("2017-03-02 05:00:00", "UTC", "future time"),
        ("9999-12-31 00:00:00", "UTC", "not a time"),
    ],
)
def test_a_time_that_means_no_past_instant_is_rejected(written: str, zone: str | None, rule: str) -> None:
    assert verdict(check_orders({"ordered_at": written}, zone=zone)) == ("ordered_at", rule, written)


def test_the_last_instant_of_the_landing_day_is_not_the_future() -> None:
    assert check_orders({"ordered_at": "2017-03-02 04:59:59.999999"}).rejected.empty


def test_rows_of_differing_zones_are_each_read_in_their_own() -> None:
    rows = pa.concat_tables(
        [
            text([ORDER | {"ordered_at": "2017-03-01 12:00:00"}], "UTC"),
            text([ORDER | {"order_id": "o2", "ordered_at": "2017-03-01 12:00:00"}], "America/New_York"),
        ]
    )
    checked = check(TABLES["orders"], rows, {"customer_id": {"c1"}}, _held(None))
    assert [moment.hour for moment in checked.accepted["ordered_at"]] == [12, 17]


def test_of_two_rows_with_one_key_the_first_stays() -> None:
    checked = check_orders({"status": "completed"}, {"status": "returned"})
    assert list(checked.accepted["status"]) == ["completed"]
    assert verdict(checked) == ("order_id", "conflict", "o1")


def test_the_same_row_again_is_told_from_a_conflict() -> None:
    assert verdict(check_orders({}, {})) == ("order_id", "duplicate", "o1")


def test_a_rejected_row_does_not_occupy_its_key() -> None:
    checked = check_orders({"status": "lost"}, {"status": "returned"})
    assert list(checked.accepted["status"]) == ["returned"]
    assert len(checked.rejected) == 1


def held_order(batch: str, status: str) -> pd.DataFrame:
    row = ORDER | {"status": status, "ordered_at": pd.Timestamp("2017-03-01 12:00:00", tz="UTC"), "batch": batch}
    return pd.DataFrame([row])


@pytest.mark.parametrize(("status", "rule"), [("completed", "duplicate"), ("returned", "conflict")])
def test_a_key_held_from_another_batch_is_rejected(status: str, rule: str) -> None:
    checked = check_orders({}, held=held_order("b0", status))
    assert checked.accepted.empty
    assert verdict(checked)[1] == rule


def test_rows_held_from_the_same_batch_do_not_count() -> None:
    assert check_orders({}, held=held_order("b1", "completed")).rejected.empty


def test_a_value_that_reaches_a_person_is_withheld() -> None:
    row = {"customer_id": "c9", "email": "ann@shop.example"}
    rows = text([row | {"customer_id": "c1", "email": ""}, row])
    checked = check(TABLES["contacts"], rows, {"customer_id": {"c1"}}, pd.DataFrame(columns=["batch"]))
    assert list(checked.rejected["value"]) == [WITHHELD, "c9"]
    assert "ann@" not in checked.rejected.to_json()


@pytest.mark.parametrize("way", ["email", "phone", "push_token"])
def test_one_way_of_contact_is_enough(way: str) -> None:
    rows = text([{"customer_id": "c1", "email": "", "phone": "", way: "x"}])
    checked = check(TABLES["contacts"], rows, {"customer_id": {"c1"}}, pd.DataFrame(columns=["batch"]))
    assert checked.rejected.empty
    assert list(checked.accepted[way]) == ["x"]


def test_a_contact_with_no_way_at_all_is_rejected_once_naming_all_of_them() -> None:
    rows = text([{"customer_id": "c1", "phone": "", "given_name": "Ann"}])
    checked = check(TABLES["contacts"], rows, {"customer_id": {"c1"}}, pd.DataFrame(columns=["batch"]))
    assert checked.accepted.empty
    assert verdict(checked) == ("email, phone, push_token", "none given", WITHHELD)
    assert "Fill in at least one of email, phone, push_token" in checked.rejected["remedy"].iloc[0]


def test_a_nullable_column_may_be_absent() -> None:
    checked = check(TABLES["products"], text([{"product_id": "p1", "brand": ""}]), {}, pd.DataFrame(columns=["batch"]))
    assert checked.accepted[["category", "brand"]].isna().all(axis=None)


anything = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["o1", "c1", "1", "-1", "inf", "nan", "", "2017-03-01 12:00", "2017-03-01T12:00Z", "completed"]),
)


@settings(deadline=None)
@given(st.lists(st.fixed_dictionaries(dict.fromkeys(ORDER, anything)), min_size=1, max_size=12))
def test_every_row_is_either_accepted_or_rejected_once(rows: list[dict[str, str]]) -> None:
    checked = check(TABLES["orders"], text(rows), {"customer_id": {"c1"}}, _held(None))
    assert len(checked.accepted) + len(checked.rejected) == len(rows)
    assert checked.rejected["row"].is_unique
    assert checked.accepted["order_id"].is_unique
    assert checked.accepted.notna().all(axis=None)


@settings(deadline=None)
@given(st.lists(anything, min_size=1, max_size=12))
def test_an_accepted_number_is_finite_and_in_range(amounts: list[str]) -> None:
    rows = [LINE | {"line_id": str(number), "amount": amount} for number, amount in enumerate(amounts)]
    accepted = check_lines(*rows).accepted["amount"]
    assert ((accepted >= 0) & (accepted <= 1_000_000)).all()
