"""The closed set of operations by which a source mapping builds a canonical value out of source columns.

Every value is text and stays text: an operation that cannot be carried out on a row leaves what it found there, so
that the data contract rejects the row and quarantine shows the value as the shop wrote it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import reduce
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from holdfast.rules import Rule

_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_DECIMALS = 9  # hides the noise of binary fractions (6 × 2.55 is 15.3), yet keeps a millionth of a cent
_EPOCHS: Mapping[str, Literal["s", "ms"]] = {"epoch seconds": "s", "epoch milliseconds": "ms"}
_FARTHEST = 1e17  # no time, in seconds or milliseconds, and too large to be looked at as one
_DIGEST_LENGTH = 16

ROW = "row"
"""Name of the column that carries each row's number in its file (the header is row 1)."""

Text: TypeAlias = pa.ChunkedArray
"""A column of text without nulls; empty text stands for a missing value."""


def _operand(value: Any) -> Any:
    return {"column": value} if isinstance(value, str) else value


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _regex(pattern: str) -> str:
    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except pa.ArrowInvalid as error:
        raise ValueError(f"no regular expression in RE2's syntax: {error}") from error
    return pattern


def _time_format(form: str) -> str:
    if form not in _EPOCHS:
        some_time = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)
        try:
            datetime.strptime(some_time.strftime(form), form)  # noqa: DTZ007 - only whether it can be read
            pd.to_datetime(pd.Series([""]), format=form, errors="coerce", utc="%z" in form)
        except (ValueError, re.error) as error:  # the latter for a directive that is written twice
            raise ValueError(f"write it as in '%d/%m/%Y %H:%M', or {' or '.join(map(repr, _EPOCHS))}") from error
    return form


Pattern = Annotated[str, AfterValidator(_regex)]
TimeFormat = Annotated[str, AfterValidator(_time_format)]


class Condition(Rule):
    """Whether something holds for a row: one test ``of`` a value, or all, any or none of several conditions.

    ``equals`` compares with one text or several; ``matches`` searches for an RE2 regular expression; ``missing`` asks
    whether the value is empty; the four bounds compare numbers, and do not hold for what is no number.
    """

    of: Operand | None = None
    equals: Annotated[list[str] | None, BeforeValidator(_one_or_more)] = None
    matches: Pattern | None = None
    missing: bool | None = None
    below: float | None = None
    above: float | None = None
    at_least: float | None = None
    at_most: float | None = None
    all: Annotated[list[Condition] | None, Field(min_length=1)] = None
    any: Annotated[list[Condition] | None, Field(min_length=1)] = None
    none: Annotated[list[Condition] | None, Field(min_length=1)] = None

    @model_validator(mode="after")
    def _one_question(self) -> Condition:
        asked = [name for name in type(self).model_fields if name != "of" and getattr(self, name) is not None]
        if len(asked) != 1 or (self.of is None) != (asked[0] in ("all", "any", "none")):
            raise ValueError(
                "write one test of a value, as in {of: Quantity, below: 0}, or one of all, any and none "
                "with a list of conditions"
            )
        return self

    @property
    def sources(self) -> list[str]:
        """The source columns read."""
        parts: list[Expression | Condition] = [*(self.all or []), *(self.any or []), *(self.none or [])]
        if self.of is not None:
            parts.append(self.of)
        return _distinct(name for part in parts for name in part.sources)


class Case(Rule):
    """A value for the rows that meet a condition."""

    when: Condition
    then: Operand


class Expression(Rule):
    """Where a value comes from: exactly one operation, and the options that belong to it.

    An operand is the name of a source column or again an expression. See ``docs/sources.md`` for each operation's
    meaning with an example.
    """

    column: str | None = None
    value: str | None = None
    first: Several | None = None
    join: Several | None = None
    digest: Operands | None = None
    split: Operand | None = None
    lower: Operand | None = None
    upper: Operand | None = None
    whole: Operand | None = None
    number: Operand | None = None
    sum: Several | None = None
    product: Several | None = None
    difference: Annotated[list[Operand] | None, Field(min_length=2, max_length=2)] = None
    negate: Operand | None = None
    absolute: Operand | None = None
    time: Operand | None = None
    json_field: Operand | None = None
    replace: Operand | None = None
    cases: Annotated[list[Case] | None, Field(min_length=1)] = None
    row_number: list[Operand] | None = None

    separator: str = Field(default="-", min_length=1)
    part: Annotated[int, Field(ge=1, le=1000)] | None = None
    decimal: Annotated[str, Field(min_length=1, max_length=1)] = "."
    thousands: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    format: TimeFormat | None = None
    key: str | None = None
    table: dict[str, str] | None = None
    otherwise: Operand | None = None

    @model_validator(mode="after")
    def _one_operation(self) -> Expression:
        given = [name for name in _OPERATIONS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"write a source column's name, or exactly one operation such as {{value: EUR}}; known are "
                f"{', '.join(_OPERATIONS)}"
            )
        (operation,) = given
        options = _OPTIONS.get(operation, {})
        strange = [name for name in sorted(self.model_fields_set) if name != operation and name not in options]
        if strange:
            raise ValueError(f"{operation} has no option {strange[0]!r}")
        lacking = [name for name, needed in options.items() if needed and name not in self.model_fields_set]
        if lacking:
            raise ValueError(f"{operation} needs {lacking[0]!r} beside it")
        return self

    @property
    def operation(self) -> str:
        return next(name for name in _OPERATIONS if getattr(self, name) is not None)

    @property
    def sources(self) -> list[str]:
        """The source columns read."""
        if self.column is not None:
            return [self.column]
        parts: list[Expression | Condition] = [*_operands(self)]
        parts += [part for case in self.cases or [] for part in (case.when, case.then)]
        if self.otherwise is not None:
            parts.append(self.otherwise)
        return _distinct(name for part in parts for name in part.sources)


Operand = Annotated[Expression, BeforeValidator(_operand)]
Operands = Annotated[list[Operand], Field(min_length=1)]
Several = Annotated[list[Operand], Field(min_length=2)]

# Conditions and expressions hold each other, so that pydantic can complete them only now.
for _model in (Condition, Case, Expression):
    _model.model_rebuild()

_OPTIONS: Mapping[str, Mapping[str, bool]] = {
    "join": {"separator": False},
    "split": {"separator": True, "part": True},
    "number": {"decimal": False, "thousands": False},
    "time": {"format": True},
    "json_field": {"key": True},
    "replace": {"table": True, "otherwise": False},
    "cases": {"otherwise": True},
}
"""The options of each operation, and whether it cannot do without."""


def _operands(expression: Expression) -> list[Expression]:
    given = getattr(expression, expression.operation)
    several = given if isinstance(given, list) else [given]
    return [one for one in several if isinstance(one, Expression)]


def _distinct(names: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(names))


def evaluate(expression: Expression, rows: pa.Table) -> Text:
    """The expression's value for every row of ``rows`` (text columns), without surrounding blanks."""
    return _OPERATIONS[expression.operation](expression, rows)


def holds(condition: Condition, rows: pa.Table) -> pa.ChunkedArray:
    """Whether the condition holds, for every row; never null."""
    for combine, parts in ((pc.and_, condition.all), (pc.or_, condition.any), (pc.or_, condition.none)):
        if parts is not None:
            combined = reduce(combine, [holds(part, rows) for part in parts])
            return pc.invert(combined) if parts is condition.none else combined
    if condition.of is None:
        raise ValueError("a condition without parts has a value to test")
    text = evaluate(condition.of, rows)
    if condition.missing is not None:
        return pc.equal(pc.equal(text, ""), condition.missing)
    if condition.equals is not None:
        return pc.is_in(text, value_set=pa.array(condition.equals, pa.string()))
    if condition.matches is not None:
        return pc.match_substring_regex(text, condition.matches)
    number = _numbers(text)
    compare, bound = next(
        (compare, bound)
        for compare, bound in (
            (pc.less, condition.below),
            (pc.greater, condition.above),
            (pc.greater_equal, condition.at_least),
            (pc.less_equal, condition.at_most),
        )
        if bound is not None
    )
    return pc.fill_null(compare(number, bound), False)


def _numbers(text: Text) -> pa.ChunkedArray:
    """The text as numbers; null where it is none."""
    return pc.cast(pc.if_else(pc.match_substring_regex(text, _NUMBER), text, None), pa.float64())


def _plain(numbers: pa.ChunkedArray) -> Text:
    return pc.cast(pc.round(numbers, _DECIMALS), pa.string())


def _column(expression: Expression, rows: pa.Table) -> Text:
    return pc.utf8_trim_whitespace(rows[expression.column])


def _value(expression: Expression, rows: pa.Table) -> Text:
    return pa.chunked_array([pa.repeat(pa.scalar(expression.value, pa.string()), rows.num_rows)])


def _first(expression: Expression, rows: pa.Table) -> Text:
    parts = _texts(expression, rows)
    return reduce(lambda found, part: pc.if_else(pc.equal(found, ""), part, found), parts)


def _join(expression: Expression, rows: pa.Table) -> Text:
    """The parts side by side, leaving out empty ones."""
    parts = _texts(expression, rows)
    joined = parts[0]
    for part in parts[1:]:
        both = pc.and_(pc.not_equal(joined, ""), pc.not_equal(part, ""))
        joined = pc.binary_join_element_wise(joined, pc.if_else(both, expression.separator, ""), part, "")
    return joined


def _digest(expression: Expression, rows: pa.Table) -> Text:
    """A short id that is equal where all parts are."""
    parts = [text.to_pylist() for text in _texts(expression, rows)]

    def of(values: Sequence[str]) -> str:
        return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:_DIGEST_LENGTH]

    return pa.chunked_array([pa.array([of(values) for values in zip(*parts, strict=True)], pa.string())])


def _split(expression: Expression, rows: pa.Table) -> Text:
    """The part of this number, counted from one; empty where there are fewer."""
    wanted = (expression.part or 1) - 1
    lists = pc.split_pattern(_text(expression, rows), expression.separator).combine_chunks()
    slices = pc.list_slice(lists, wanted, wanted + 1, return_fixed_size_list=True)
    parts = pc.fill_null(slices.flatten(), "")
    return pc.utf8_trim_whitespace(pa.chunked_array([parts]))


def _lower(expression: Expression, rows: pa.Table) -> Text:
    return pc.utf8_lower(_text(expression, rows))


def _upper(expression: Expression, rows: pa.Table) -> Text:
    return pc.utf8_upper(_text(expression, rows))


def _whole(expression: Expression, rows: pa.Table) -> Text:
    """An id that a spreadsheet or a data frame made a number of: 17850.0 becomes 17850, all else stays."""
    return pc.replace_substring_regex(_text(expression, rows), r"^([+-]?\d+)\.0+$", r"\1")


def _number(expression: Expression, rows: pa.Table) -> Text:
    """A number written with other signs (1.234,50) as plain text (1234.50)."""
    text = _text(expression, rows)
    decimal, thousands = _escaped(expression.decimal), _escaped(expression.thousands or "")
    grouped = rf"\d{{1,3}}(?:{thousands}\d{{3}})+|\d+" if expression.thousands else r"\d+"
    written = pc.match_substring_regex(text, rf"^[+-]?(?:{grouped})?(?:{decimal}\d*)?$")
    ungrouped = pc.replace_substring(text, expression.thousands, "") if expression.thousands else text
    return pc.if_else(written, pc.replace_substring(ungrouped, expression.decimal, "."), text)


def _escaped(sign: str) -> str:
    return f"\\x{{{ord(sign):x}}}" if sign else ""


def _sum(expression: Expression, rows: pa.Table) -> Text:
    return _calculated(pc.add, " + ", _texts(expression, rows))


def _product(expression: Expression, rows: pa.Table) -> Text:
    return _calculated(pc.multiply, " × ", _texts(expression, rows))


def _difference(expression: Expression, rows: pa.Table) -> Text:
    return _calculated(pc.subtract, " − ", _texts(expression, rows))


def _calculated(operation: Callable[..., pa.ChunkedArray], sign: str, parts: Sequence[Text]) -> Text:
    """The result as text; empty where a part is missing; where one is no number, the parts with the sign between."""
    result = _plain(reduce(operation, [_numbers(part) for part in parts]))
    shown = pc.binary_join_element_wise(*parts, sign)
    missing = reduce(pc.or_, [pc.equal(part, "") for part in parts])
    return pc.if_else(missing, "", pc.fill_null(result, shown))


def _negate(expression: Expression, rows: pa.Table) -> Text:
    text = _text(expression, rows)
    return pc.coalesce(_plain(pc.subtract(0.0, _numbers(text))), text)


def _absolute(expression: Expression, rows: pa.Table) -> Text:
    text = _text(expression, rows)
    return pc.coalesce(_plain(pc.abs(_numbers(text))), text)


def _time(expression: Expression, rows: pa.Table) -> Text:
    """A time in another notation as ISO 8601: with Z where the notation itself fixes the instant, else as it was."""
    text = _text(expression, rows)
    form = expression.format or ""
    series: pd.Series[str] = text.to_pandas()
    if form in _EPOCHS:
        numbers = pd.to_numeric(series, errors="coerce")
        numbers = numbers if numbers.dtype == np.int64 else numbers.astype(np.float64)
        numbers = numbers.where(numbers.abs() < _FARTHEST)
        times = pd.to_datetime(numbers, unit=_EPOCHS[form], utc=True, errors="coerce")
    else:
        times = pd.to_datetime(series, format=form, errors="coerce", utc="%z" in form)
    suffix = "" if times.dt.tz is None else "Z"
    written = times.dt.strftime(f"%Y-%m-%dT%H:%M:%S.%f{suffix}")
    return pa.chunked_array([pa.array(written.where(times.notna(), series), pa.string())])


def _json_field(expression: Expression, rows: pa.Table) -> Text:
    """The value under ``key`` of an object written as JSON; empty where there is none."""
    found = [_member(text, expression.key or "") for text in _text(expression, rows).to_pylist()]
    return pa.chunked_array([pa.array(found, pa.string())])


def _member(text: str, key: str) -> str:
    try:
        value = json.loads(text, parse_float=str, parse_int=str).get(key) if text else None
        if value is None:
            return ""
        found = value.strip() if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        found.encode()  # half a character (an unpaired surrogate) is no text
    except (ValueError, AttributeError, RecursionError):
        return ""
    return found


def _replace(expression: Expression, rows: pa.Table) -> Text:
    """The table's text for each value that it names; ``otherwise``, or the value itself, for the others."""
    text, table = _text(expression, rows), expression.table or {}
    other = text if expression.otherwise is None else evaluate(expression.otherwise, rows)
    position = pc.index_in(text, value_set=pa.array(list(table), pa.string()))
    return pc.coalesce(pc.take(pa.array(table.values(), pa.string()), position), other)


def _cases(expression: Expression, rows: pa.Table) -> Text:
    """The value of the first case whose condition holds, else ``otherwise``."""
    result = evaluate(expression.otherwise, rows) if expression.otherwise else None
    for case in reversed(expression.cases or []):
        result = pc.if_else(holds(case.when, rows), evaluate(case.then, rows), result)
    return result


def _row_number(expression: Expression, rows: pa.Table) -> Text:
    """The row's number, counted from one in the file's order, among those with equal values of the operands.

    Without operands it is the row's place in its file, whichever rows feed the table.
    """
    if not expression.row_number:
        places = np.asarray(rows[ROW].to_numpy(), dtype=np.int64) - 1
        return pa.chunked_array([pa.array(places.astype(str), pa.string())])
    values = pd.DataFrame({str(i): text.to_pandas() for i, text in enumerate(_texts(expression, rows))})
    numbers = values.groupby(list(values.columns), sort=False).cumcount() + 1
    return pa.chunked_array([pa.array(numbers.astype(str), pa.string())])


def _texts(expression: Expression, rows: pa.Table) -> list[Text]:
    return [evaluate(operand, rows) for operand in _operands(expression)]


def _text(expression: Expression, rows: pa.Table) -> Text:
    return _texts(expression, rows)[0]


_OPERATIONS: Mapping[str, Callable[[Expression, pa.Table], Text]] = {
    "column": _column,
    "value": _value,
    "first": _first,
    "join": _join,
    "digest": _digest,
    "split": _split,
    "lower": _lower,
    "upper": _upper,
    "whole": _whole,
    "number": _number,
    "sum": _sum,
    "product": _product,
    "difference": _difference,
    "negate": _negate,
    "absolute": _absolute,
    "time": _time,
    "json_field": _json_field,
    "replace": _replace,
    "cases": _cases,
    "row_number": _row_number,
}
