from __future__ import annotations

from datetime import date
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from holdfast.errors import SourceError
from holdfast.mapping import Input, Mapping
from holdfast.mapping import apply as apply_mapping

PRODUCTS = {"product_id": "sku"}


def products(columns: dict[str, object], **more: object) -> Input:
    feed = {"columns": PRODUCTS | columns}
    return Input.model_validate({"path": "{day}/p.csv", "format": "csv", "tables": {"products": feed}} | more)


def rows(**columns: list[str]) -> pa.Table:
    count = len(next(iter(columns.values())))
    return pa.table({**columns, "row": pa.array(range(2, 2 + count), pa.int64())})


def apply(source: Input, table: pa.Table, file: str) -> dict[str, pa.Table]:
    return apply_mapping(source, table, file).tables


def mapped(source: Input, table: pa.Table, column: str) -> list[str | None]:
    return apply(source, table, "p.csv")["products"][column].to_pylist()


def test_a_column_is_copied_without_surrounding_blanks() -> None:
    assert mapped(products({}), rows(sku=[" 00123 ", "NA"]), "product_id") == ["00123", "NA"]


def test_a_constant_fills_every_row() -> None:
    assert mapped(products({"brand": {"value": "own"}}), rows(sku=["1", "2"]), "brand") == ["own", "own"]


def test_joined_parts_leave_out_empty_ones() -> None:
    source = products({"category": {"join": ["wide", "fine"], "separator": " > "}})
    table = rows(sku=["1", "2", "3"], wide=["FOOD", "FOOD", ""], fine=["BREAD", "", ""])
    assert mapped(source, table, "category") == ["FOOD > BREAD", "FOOD", ""]


def test_a_sum_adds_numbers_shows_what_is_none_and_is_missing_with_a_part() -> None:
    source = products({"brand": {"sum": ["a", "b"]}})
    table = rows(sku=["1", "2", "3"], a=["1.5", "x", ""], b=["2", "2", "2"])
    assert mapped(source, table, "brand") == ["3.5", "x + 2", ""]


def test_distinct_keeps_the_first_of_rows_that_map_alike() -> None:
    source = Input.model_validate(
        {
            "path": "{day}/p.csv",
            "format": "csv",
            "ignore": ["line"],
            "tables": {"products": {"keep": "distinct", "columns": PRODUCTS}},
        }
    )
    table = apply(source, rows(sku=["1", "1", "2"], line=["a", "b", "c"]), "p.csv")["products"]
    assert table.to_pydict() == {"product_id": ["1", "2"], "row": [2, 4]}


def test_an_unknown_source_column_is_named_with_the_nearest_known() -> None:
    with pytest.raises(SourceError, match=r"p\.csv, line 1: unknown column 'brnad'; did you mean 'brand'\?"):
        apply(products({"brand": "brand"}), rows(sku=["1"], brand=["x"], brnad=["y"]), "p.csv")


def test_an_ignored_source_column_is_left_aside() -> None:
    table = apply(products({}, ignore=["colour"]), rows(sku=["1"], colour=["red"]), "p.csv")["products"]
    assert table.column_names == ["product_id", "row"]


def test_a_missing_source_column_is_named_with_those_present() -> None:
    with pytest.raises(SourceError, match=r"column 'sku' is missing; the file has colour"):
        apply(products({}, ignore=["colour"]), rows(colour=["red"]), "p.csv")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"tables": {"product": {"columns": PRODUCTS}}}, "did you mean 'products'"),
        ({"tables": {"products": {"columns": PRODUCTS | {"brnd": "b"}}}}, "did you mean 'brand'"),
        ({"tables": {"products": {"columns": {"brand": "b"}}}}, "needs a mapping for product_id"),
        ({"path": "p.csv"}, r"\{day\} once"),
        ({"tables": {"products": {"columns": {"product_id": {"value": "1", "sum": ["a", "b"]}}}}}, "exactly one"),
    ],
)
def test_a_mapping_that_does_not_fit_the_contract_is_refused(source: dict[str, object], message: str) -> None:
    good = {"path": "{day}/p.csv", "format": "csv", "tables": {"products": {"columns": PRODUCTS}}}
    with pytest.raises(ValidationError, match=message):
        Input.model_validate(good | source)


def test_the_place_of_a_file_is_its_input_and_landing_day() -> None:
    shop = Mapping(inputs={"products": products({})})
    place = shop.place("2017-03-01/p.csv")
    assert place.day == date(2017, 3, 1)
    assert place.input == shop.inputs["products"]


@pytest.mark.parametrize(
    ("path", "message"),
    [("2017-03-01/q.csv", "no input"), ("2017-02-30/p.csv", "no calendar"), ("x/2017-03-01/p.csv", "no input")],
)
def test_a_file_that_belongs_nowhere_is_named(path: str, message: str) -> None:
    with pytest.raises(SourceError, match=f"{path}.*{message}"):
        Mapping(inputs={"products": products({})}).place(path)


SALES: dict[str, Any] = {
    "path": "{day}/s.csv",
    "format": "csv",
    "exclude": [
        {"rule": "test order", "when": {"of": "buyer", "matches": "^test"}, "reason": "Nobody bought."},
        {"rule": "no buyer", "when": {"of": "buyer", "missing": True}, "remedy": "Ask the till."},
    ],
    "tables": {
        "customers": {"keep": "new", "columns": {"customer_id": "buyer"}},
        "contacts": {"keep": "new", "columns": {"customer_id": "buyer", "email": "mail"}},
        "orders": {
            "keep": "first",
            "columns": {
                "order_id": "order",
                "customer_id": "buyer",
                "ordered_at": "at",
                "status": {"value": "completed"},
                "currency": "currency",
            },
        },
    },
}


def sales(**columns: list[str]) -> pa.Table:
    count = len(next(iter(columns.values())))
    filled = {"order": "o1", "buyer": "c1", "mail": "a@shop.example", "at": "2017-03-01", "currency": "EUR"}
    return rows(**{name: columns.get(name, [value] * count) for name, value in filled.items()})


def test_a_row_is_excluded_by_the_first_rule_it_meets_and_feeds_no_table() -> None:
    done = apply_mapping(Input.model_validate(SALES), sales(buyer=["test", "", "c1"]), "s.csv")
    assert [(one.rule, one.rows, one.values, one.remedy, one.deliberate) for one in done.excluded] == [
        ("test order", (2,), ("test",), "Nothing to do: left out on purpose. Nobody bought.", True),
        ("no buyer", (3,), ("",), "Ask the till.", False),
    ]
    assert {name: table["row"].to_pylist() for name, table in done.tables.items()} == {
        "customers": [4],
        "contacts": [4],
        "orders": [4],
    }


def test_what_may_name_a_person_is_not_shown_when_it_decides_an_exclusion() -> None:
    by_mail = {"rule": "staff", "when": {"of": "mail", "matches": "@shop"}, "reason": "Our own."}
    unmapped = {"rule": "blocked", "when": {"of": "note", "equals": "blocked"}, "reason": "Asked for."}
    source = Input.model_validate(SALES | {"exclude": [by_mail, unmapped]})
    table = sales(mail=["a@shop.example", "b@home.example"]).append_column("note", pa.array(["", "blocked"]))
    done = apply_mapping(source, table, "s.csv")
    assert [(one.rule, one.fields, one.values) for one in done.excluded] == [
        ("staff", "mail", (None,)),
        ("blocked", "note", (None,)),
    ]


def test_the_first_row_of_a_key_in_the_file_stays() -> None:
    table = sales(order=["o1", "o1", "o2"], at=["2017-03-01", "2017-03-02", "2017-03-03"])
    done = apply_mapping(Input.model_validate(SALES), table, "s.csv")
    assert done.tables["orders"]["ordered_at"].to_pylist() == ["2017-03-01", "2017-03-03"]
    assert done.repeatable == {"customers", "contacts"}


def test_an_order_in_another_currency_than_the_shops_is_set_aside() -> None:
    table = sales(order=["o1", "o2", "o3"], currency=["EUR", "USD", ""])
    done = apply_mapping(Input.model_validate(SALES), table, "s.csv", "EUR")
    assert [(one.rule, one.rows, one.values, one.deliberate) for one in done.excluded] == [
        ("other currency", (3,), ("USD",), False)
    ]
    assert done.tables["orders"]["order_id"].to_pylist() == ["o1", "o3"]  # the contract judges the missing one


def test_rows_that_feed_a_table_by_condition_feed_no_other_and_none_is_lost() -> None:
    feed = {"when": {"of": "kind", "equals": "p"}, "columns": PRODUCTS}
    source = Input.model_validate({"path": "{day}/p.csv", "format": "csv", "tables": {"products": feed}})
    done = apply_mapping(source, rows(sku=["1", "2"], kind=["p", "q"]), "p.csv")
    assert done.tables["products"]["product_id"].to_pylist() == ["1"]
    assert [(one.rule, one.rows, one.fields) for one in done.excluded] == [("feeds no table", (3,), "kind")]


def test_an_objects_absent_member_is_an_empty_value_not_a_missing_column() -> None:
    source = products({"brand": "maker"}, format="jsonl")
    assert mapped(source, rows(sku=["1"]), "brand") == [""]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"exclude": [{"rule": "x", "when": {"of": "a", "missing": True}}]}, "either a reason"),
        ({"exclude": [SALES["exclude"][0], SALES["exclude"][0]]}, "two exclusions are called 'test order'"),
        ({"format": {"kind": "parquet", "delimiter": ";"}}, "format parquet has no option 'delimiter'"),
        ({"format": {"kind": "csv", "delimiter": "ab"}}, "pattern"),
        ({"format": {"kind": "csv", "encoding": "latin-9"}}, "'utf-8', 'utf-16' or 'cp1252'"),
    ],
)
def test_an_input_that_contradicts_itself_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Input.model_validate(SALES | changed)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["o1", "o2"]), st.sampled_from(["test", "", "c1", "c2"]), st.sampled_from(["EUR", "USD"])
        ),
        min_size=1,
        max_size=12,
    )
)
def test_every_row_of_a_file_is_mapped_or_excluded_once(lines: list[tuple[str, str, str]]) -> None:
    order, buyer, currency = (list(values) for values in zip(*lines, strict=True))
    every = {**SALES["tables"]["orders"], "keep": "all"}
    source = Input.model_validate(SALES | {"tables": {**SALES["tables"], "orders": every}})
    done = apply_mapping(source, sales(order=order, buyer=buyer, currency=currency), "s.csv", "EUR")
    excluded = [row for one in done.excluded for row in one.rows]
    assert sorted([*done.tables["orders"]["row"].to_pylist(), *excluded]) == list(range(2, 2 + len(lines)))


def test_contacts_need_a_mapping_for_one_way_of_contact_and_any_will_do() -> None:
    def contacts(**columns: str) -> Input:
        feed = {"columns": {"customer_id": "buyer"} | columns}
        return Input.model_validate({"path": "{day}/c.csv", "format": "csv", "tables": {"contacts": feed}})

    assert contacts(push_token="device").sources == {"buyer", "device"}
    with pytest.raises(ValidationError, match="contacts needs a mapping for at least one of email, phone, push_token"):
        contacts(given_name="name")
