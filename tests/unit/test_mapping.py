from __future__ import annotations

from datetime import date

import pyarrow as pa
import pytest
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


def test_a_sum_adds_numbers_and_shows_what_is_none() -> None:
    source = products({"brand": {"sum": ["a", "b"]}})
    table = rows(sku=["1", "2", "3"], a=["1.5", "x", ""], b=["2", "2", "2"])
    assert mapped(source, table, "brand") == ["3.5", "x + 2", " + 2"]


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
