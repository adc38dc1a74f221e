from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
import yaml

from holdfast.guessing import Sample, mapping_text
from holdfast.mapping import Format, Input, Mapping, apply


def sample(name: str, **columns: list[str]) -> Sample:
    count = len(next(iter(columns.values())))
    rows = pa.table({**columns, "row": pa.array(range(2, 2 + count), pa.int64())})
    return Sample(name, Format(kind="csv"), rows)


RETAIL = sample(
    "landing/2010-12-01.csv",
    InvoiceNo=["536365", "C536379"],
    StockCode=["85123A", "D"],
    Description=["HOLDER", "Discount"],
    Quantity=["6", "-1"],
    InvoiceDate=["2010-12-01 08:26:00", "2010-12-01 09:41:00"],
    UnitPrice=["2.55", "27.5"],
    CustomerID=["17850.0", "14527.0"],
    Fax=["", ""],
)


def guessed(*samples: Sample) -> tuple[str, Mapping]:
    text = mapping_text("shop", samples, "GBP")
    return text, Mapping.model_validate(yaml.safe_load(text))


def only(source: Mapping) -> Input:
    (one,) = source.inputs.values()
    return one


def test_a_file_of_order_lines_feeds_lines_orders_customers_and_products() -> None:
    text, source = guessed(RETAIL)
    one = only(source)
    assert one.path == "landing/{day}.csv"
    assert set(one.tables) == {"order_lines", "orders", "customers", "products"}
    mapped = apply(one, RETAIL.rows, "x").tables
    assert mapped["orders"].select(["order_id", "customer_id", "currency"]).to_pylist() == [
        {"order_id": "536365", "customer_id": "17850", "currency": "GBP"},
        {"order_id": "C536379", "customer_id": "14527", "currency": "GBP"},
    ]
    assert mapped["order_lines"]["amount"].to_pylist() == ["15.3", "-27.5"]
    assert "# guess: ids written as 17850.0" in text
    assert "quantity may not be negative" in text


def test_times_without_a_zone_are_never_given_one_by_guessing() -> None:
    text, source = guessed(RETAIL)
    assert only(source).times is None
    assert "# times: Europe/London" in text
    zoned = sample("2017-03-01/e.csv", user=["1"], event=["view"], ts=["2017-03-01T10:00:00Z"], event_id=["e1"])
    assert "# times:" not in guessed(zoned)[0]


@pytest.mark.parametrize(
    ("values", "form"),
    [
        (["26/11/2017 14:05", "01/02/2017 09:00"], "%d/%m/%Y %H:%M"),
        (["11/26/2017"], "%m/%d/%Y"),
        (["26.11.2017 14:05:59"], "%d.%m.%Y %H:%M:%S"),
        (["1511704800"], "epoch seconds"),
        (["1511704800123"], "epoch milliseconds"),
    ],
)
def test_the_notation_of_times_is_guessed(values: list[str], form: str) -> None:
    count = len(values)
    one = sample("e.csv", user=["1"] * count, event=["view"] * count, ts=values, event_id=["e"] * count)
    occurred: Any = only(guessed(one)[1]).tables["events"].columns["occurred_at"]
    assert occurred.format == form


def test_decimal_commas_and_the_shops_own_words_are_translated() -> None:
    one = sample(
        "o.csv",
        order_id=["1", "2"],
        customer=["a", "b"],
        date=["2017-03-01", "2017-03-01"],
        status=["completed", "RETURNED"],
        product=["p", "q"],
        qty=["1", "2"],
        total=["1.234,50", "3,20"],
    )
    text, source = guessed(one)
    mapped = apply(only(source), one.rows, "o.csv").tables
    assert mapped["orders"]["status"].to_pylist() == ["completed", "returned"]
    assert mapped["order_lines"]["amount"].to_pylist() == ["1234.50", "3.20"]
    assert "# guess: decimal commas" in text


def test_what_nothing_in_the_sample_fits_is_left_for_a_person_to_fill_in() -> None:
    text, source = guessed(sample("o.csv", order=["1"], customer=["a"], colour=["red"]))
    assert "ordered_at: FILL_IN  # guess: nothing in the sample seems to be this" in text
    assert only(source).ignore == ("colour",)


def test_several_samples_make_several_inputs() -> None:
    contacts = sample("2017-03-01/contacts.csv", customer_id=["1"], email=["a@shop.example"])
    _, source = guessed(RETAIL, contacts)
    assert set(source.inputs) == {"daily", "contacts"}
    assert source.inputs["contacts"].path == "{day}/contacts.csv"
    assert set(source.inputs["contacts"].tables) == {"contacts", "customers"}


def test_a_file_of_telephone_numbers_feeds_contacts() -> None:
    _, source = guessed(sample("2017-03-01/phones.csv", customer_id=["1"], mobile=["+12025550143"]))
    assert set(only(source).tables["contacts"].columns) == {"customer_id", "phone"}
