from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from holdfast.expressions import Condition, Expression, Operand, evaluate, holds

OPERAND: TypeAdapter[Expression] = TypeAdapter(Operand)


def rows(**columns: list[str]) -> pa.Table:
    return pa.table({name: pa.chunked_array([pa.array(values, pa.string())]) for name, values in columns.items()})


def values(expression: Any, **columns: list[str]) -> list[str]:
    found: list[str] = evaluate(OPERAND.validate_python(expression), rows(**columns)).to_pylist()
    return found


def meet(condition: Any, **columns: list[str]) -> list[bool]:
    found: list[bool] = holds(Condition.model_validate(condition), rows(**columns)).to_pylist()
    return found


@pytest.mark.parametrize(
    ("expression", "written", "meant"),
    [
        ("a", " 00123 ", "00123"),
        ({"value": "EUR"}, "x", "EUR"),
        ({"lower": "a"}, "Ab", "ab"),
        ({"upper": "a"}, "Ab", "AB"),
        ({"whole": "a"}, "17850.0", "17850"),
        ({"whole": "a"}, "17850.00", "17850"),
        ({"whole": "a"}, "0017850", "0017850"),
        ({"whole": "a"}, "17850.5", "17850.5"),
        ({"whole": "a"}, "NA", "NA"),
        ({"number": "a", "decimal": ",", "thousands": "."}, "1.234,50", "1234.50"),
        ({"number": "a", "decimal": ",", "thousands": "."}, "-12,5", "-12.5"),
        ({"number": "a", "decimal": ",", "thousands": "."}, "1.2", "1.2"),  # grouped wrongly: left as it is
        ({"number": "a", "thousands": ","}, "1,234", "1234"),
        ({"negate": "a"}, "-3", "3"),
        ({"negate": "a"}, "three", "three"),
        ({"absolute": "a"}, "-3.5", "3.5"),
        ({"absolute": "a"}, "", ""),
        ({"split": "a", "separator": ">", "part": 2}, "wide > fine", "fine"),
        ({"split": "a", "separator": ">", "part": 3}, "wide > fine", ""),
        ({"time": "a", "format": "%d/%m/%Y %H:%M"}, "26/11/2017 14:05", "2017-11-26T14:05:00.000000"),
        ({"time": "a", "format": "%d/%m/%Y %H:%M %z"}, "26/11/2017 14:05 +0100", "2017-11-26T13:05:00.000000Z"),
        ({"time": "a", "format": "%d/%m/%Y"}, "11/26/2017", "11/26/2017"),
        ({"time": "a", "format": "epoch seconds"}, "1511704800", "2017-11-26T14:00:00.000000Z"),
        ({"time": "a", "format": "epoch milliseconds"}, "1511704800123", "2017-11-26T14:00:00.123000Z"),
        ({"time": "a", "format": "epoch seconds"}, "soon", "soon"),
        ({"time": "a", "format": "epoch seconds"}, "9" * 20, "9" * 20),
        ({"time": "a", "format": "epoch seconds"}, "9" * 17, "9" * 17),
        ({"json_field": "a", "key": "n"}, '{"n": "\\ud800"}', ""),
        ({"json_field": "a", "key": "page"}, '{"page": " cart ", "n": 1.50}', "cart"),
        ({"json_field": "a", "key": "n"}, '{"n": 1.50}', "1.50"),
        ({"json_field": "a", "key": "n"}, '{"n": [1, 2]}', '["1", "2"]'),
        ({"json_field": "a", "key": "n"}, "no JSON", ""),
        ({"json_field": "a", "key": "n"}, "[1]", ""),
        ({"replace": "a", "table": {"1": "one"}}, "1", "one"),
        ({"replace": "a", "table": {"1": "one"}}, "2", "2"),
        ({"replace": "a", "table": {"1": "one"}, "otherwise": {"value": "many"}}, "2", "many"),
    ],
)
def test_an_operation_gives_what_is_meant_and_leaves_what_it_cannot_read(
    expression: Any, written: str, meant: str
) -> None:
    assert values(expression, a=[written]) == [meant]


@pytest.mark.parametrize(
    ("expression", "meant"),
    [
        ({"sum": ["a", "b"]}, ["5.1", "x + 2", "", ""]),
        ({"product": ["a", "b"]}, ["6.3", "x × 2", "", ""]),
        ({"difference": ["a", "b"]}, ["-0.9", "x − 2", "", ""]),
        ({"join": ["a", "b"], "separator": "/"}, ["2.1/3", "x/2", "", "2"]),
        ({"first": ["a", "b"]}, ["2.1", "x", "", "2"]),
    ],
)
def test_several_operands_make_one_value(expression: Any, meant: list[str]) -> None:
    assert values(expression, a=["2.1", "x", "", ""], b=["3", "2", "", "2"]) == meant


def test_operations_nest() -> None:
    expression = {"product": [{"absolute": "quantity"}, "price"]}
    assert values(expression, quantity=["-6", "x"], price=["2.55", "1"]) == ["15.3", "x × 1"]


def test_the_first_case_that_holds_gives_the_value() -> None:
    returned = {"when": {"of": "id", "matches": "^C"}, "then": {"value": "returned"}}
    large = {"when": {"of": "n", "above": 10}, "then": "id"}
    expression = {"cases": [returned, large], "otherwise": {"value": "completed"}}
    assert values(expression, id=["C1", "2", "3"], n=["99", "99", "1"]) == ["returned", "2", "completed"]


def test_rows_are_numbered_within_a_key_in_the_order_of_the_file() -> None:
    assert values({"row_number": ["order"]}, order=["a", "b", "a", "a"]) == ["1", "1", "2", "3"]


def test_a_file_without_ids_has_its_rows_numbered_whichever_of_them_feed_a_table() -> None:
    rows = pa.table({"visit": ["1", "0", "1"], "row": [2, 3, 4]})
    expression = Expression.model_validate({"row_number": []})
    assert evaluate(expression, rows).to_pylist() == ["1", "2", "3"]
    assert evaluate(expression, rows.filter(pa.array([True, False, True]))).to_pylist() == ["1", "3"]


def test_a_digest_is_equal_exactly_where_all_parts_are() -> None:
    a, b, c, d = values({"digest": ["x", "y"]}, x=["1", "1", "12", "1"], y=["23", "23", "3", ""])
    assert a == b
    assert len({a, c, d}) == 3


@pytest.mark.parametrize(
    ("condition", "met"),
    [
        ({"of": "a", "equals": "5"}, [True, False, False, False]),
        ({"of": "a", "equals": ["5", "x"]}, [True, False, True, False]),
        ({"of": "a", "matches": "^-"}, [False, True, False, False]),
        ({"of": "a", "missing": True}, [False, False, False, True]),
        ({"of": "a", "missing": False}, [True, True, True, False]),
        ({"of": "a", "below": 5}, [False, True, False, False]),
        ({"of": "a", "above": -5}, [True, False, False, False]),
        ({"of": "a", "at_least": 5}, [True, False, False, False]),
        ({"of": "a", "at_most": -5}, [False, True, False, False]),
        ({"all": [{"of": "a", "below": 9}, {"of": "a", "above": 0}]}, [True, False, False, False]),
        ({"any": [{"of": "a", "below": 0}, {"of": "a", "missing": True}]}, [False, True, False, True]),
        ({"none": [{"of": "a", "below": 0}, {"of": "a", "missing": True}]}, [True, False, True, False]),
    ],
)
def test_a_condition_holds_row_by_row(condition: Any, met: list[bool]) -> None:
    assert meet(condition, a=["5", "-5", "x", ""]) == met


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ({}, "exactly one operation"),
        ({"value": "1", "column": "a"}, "exactly one operation"),
        ({"join": ["a"]}, "at least 2"),
        ({"join": ["a", "b"], "part": 1}, "join has no option 'part'"),
        ({"split": "a", "separator": ">"}, "split needs 'part' beside it"),
        ({"time": "a"}, "time needs 'format' beside it"),
        ({"time": "a", "format": "%Q"}, "write it as in"),
        ({"cases": [{"when": {"of": "a", "matches": "("}, "then": "a"}], "otherwise": "a"}, "regular expression"),
        ({"cases": [{"when": {"below": 1}, "then": "a"}], "otherwise": "a"}, "one test of a value"),
        ({"cases": [{"when": {"of": "a", "below": 1, "above": 2}, "then": "a"}], "otherwise": "a"}, "one test"),
        ({"cases": [{"when": {"of": "a", "all": []}, "then": "a"}], "otherwise": "a"}, "at least 1"),
    ],
)
def test_an_expression_that_means_nothing_is_refused_when_it_is_loaded(expression: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        OPERAND.validate_python(expression)


def test_all_source_columns_that_are_read_are_known() -> None:
    expression = OPERAND.validate_python(
        {"cases": [{"when": {"any": [{"of": "a", "missing": True}]}, "then": {"join": ["b", "c"]}}], "otherwise": "d"}
    )
    assert expression.sources == ["a", "b", "c", "d"]


ANY_OPERATION = st.sampled_from(
    [
        "a",
        {"whole": "a"},
        {"number": "a", "decimal": ",", "thousands": "."},
        {"sum": ["a", "a"]},
        {"negate": "a"},
        {"absolute": "a"},
        {"split": "a", "separator": "-", "part": 1},
        {"time": "a", "format": "%Y-%m-%d"},
        {"time": "a", "format": "epoch seconds"},
        {"json_field": "a", "key": "k"},
        {"replace": "a", "table": {"1": "2"}},
        {"digest": ["a"]},
        {"row_number": ["a"]},
    ]
)
ANY_TEXT = st.one_of(st.text(max_size=12), st.from_regex(r"-?\d{1,20}(\.\d{0,3})?", fullmatch=True))


@given(ANY_OPERATION, st.lists(ANY_TEXT, min_size=1, max_size=6))
def test_no_text_makes_an_operation_fail_or_give_a_null(expression: Any, texts: list[str]) -> None:
    found = values(expression, a=texts)
    assert len(found) == len(texts)
    assert all(isinstance(value, str) for value in found)
