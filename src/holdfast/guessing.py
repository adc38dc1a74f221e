"""Guesses a first source mapping from samples of a shop's files, every guess marked as one for a person to check."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from holdfast.expressions import ROW
from holdfast.mapping import Format
from holdfast.schemas import CONTACTS, TABLES, Column, Type

_LOOKED_AT = 1_000
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_PLAIN = re.compile(r"^[+-]?\d+(\.\d+)?$")
_COMMA = re.compile(r"^[+-]?(\d{1,3}(\.\d{3})+|\d+),\d+$")
_WHOLE_AS_FRACTION = re.compile(r"^\d+\.0$")
_ISO = re.compile(r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?)?(?P<offset>Z|[+-]\d{2}:?\d{2})?$")
_FORMATS = (
    "%d/%m/%Y %H:%M",
    "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y",
    "%m/%d/%Y %H:%M",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y",
    "%d.%m.%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y",
    "%Y%m%d",
)

# What other shops call the columns, without case and signs; the first that a file has is taken.
_SYNONYMS: Mapping[str, str] = {
    "customer_id": "customer cust_id client_id client user_id user member_id member household_id buyer_id buyer "
    "shopper_id account_id visitor_id",
    "order_id": "order order_number order_no invoice_no invoice_id invoice basket_id transaction_id receipt_id receipt",
    "line_id": "line line_no line_number order_line_id item_number position",
    "product_id": "product sku stock_code item_id item article_id article upc ean",
    "ordered_at": "order_date invoice_date transaction_timestamp purchased_at "
    "created_at timestamp datetime date time ts",
    "occurred_at": "event_time timestamp ts created_at datetime time date",
    "quantity": "qty units pieces count",
    "amount": "sales_value line_total total net_amount revenue value sales",
    "discount": "discount_amount retail_disc rebate",
    "coupon_discount": "coupon_disc voucher voucher_amount",
    "currency": "currency_code",
    "status": "order_status state",
    "email": "email_address mail",
    "phone": "phone_number telephone telephone_number mobile mobile_phone mobile_number cell_phone",
    "push_token": "device_token fcm_token registration_token",
    "given_name": "first_name forename",
    "country": "country_code",
    "locale": "language",
    "signed_up_at": "signup_date registered_at customer_since",
    "name": "product_name description title",
    "brand": "manufacturer maker",
    "category": "category_path department category_code",
    "price": "list_price unit_price",
    "event_id": "hit_id id",
    "type": "event_type event action",
    "rating": "stars score",
    "text": "review comment body",
    "review_id": "id",
    "written_at": "review_date created_at timestamp date",
}
_UNIT_PRICE = {"unitprice", "price", "itemprice"}

# What tells that a file feeds a table; the tables of one kind of file, the telling one first.
_TELLING: tuple[tuple[frozenset[str], tuple[str, ...]], ...] = (
    (frozenset({"order_id", "product_id", "quantity"}), ("order_lines", "orders", "customers", "products")),
    (frozenset({"customer_id", "rating"}), ("reviews",)),
    (frozenset({"customer_id", "type", "occurred_at"}), ("events",)),
    (frozenset({"order_id", "customer_id"}), ("orders", "customers")),
    *((frozenset({"customer_id", way}), ("contacts", "customers")) for way in CONTACTS.any_of),
    (frozenset({"customer_id"}), ("customers",)),
    (frozenset({"product_id"}), ("products",)),
)
_DERIVED = {"customers", "products"}  # made known by files that are about something else
_CONSTANTS = {
    "status": ("completed", "no column tells what became of an order"),
    "discount": ("0", "no column tells the shop's own discount"),
    "coupon_discount": ("0", "no column tells the coupon's discount"),
}


@dataclass(frozen=True)
class Sample:
    """A file to guess from: its name as it would land, how it is written, and its rows as text."""

    name: str
    form: Format
    rows: pa.Table


@dataclass(frozen=True)
class _Entry:
    """One line of a feed: a canonical column, its expression in YAML, and what to check about it."""

    column: str
    expression: str
    sources: tuple[str, ...]
    doubt: str | None = None


def mapping_text(shop: str, samples: Sequence[Sample], currency: str) -> str:
    """A source mapping in YAML that reads such files; every guess carries a comment beginning with ``guess:``.

    It loads as it stands, and ``holdfast source check`` names what is still wrong: a column that nothing in the
    sample seems to fit is called FILL_IN.
    """
    lines = [
        f"# {shop}: a first mapping, guessed from samples. Check every guess, then delete its comment.",
        "# The operations and options are described in docs/sources.md; `holdfast source check FILE` shows the effect.",
        f"currency: {currency}",
        "",
        "inputs:",
    ]
    names: list[str] = []
    for sample in samples:
        names.append(_input_name(sample.name, names))
        lines += _input(names[-1], sample, currency)
    return "\n".join(lines) + "\n"


def _input_name(file: str, taken: Sequence[str]) -> str:
    stem = _DAY.sub("", file.rsplit("/", maxsplit=1)[-1].split(".", maxsplit=1)[0])
    name = re.sub(r"\W+", "_", stem).strip("_").lower() or "daily"
    return name if name not in taken else f"{name}_{len(taken) + 1}"


def _input(name: str, sample: Sample, currency: str) -> Iterator[str]:
    columns = {column: _values(sample.rows[column]) for column in sample.rows.column_names if column != ROW}
    known = _known(list(columns))
    tables = next((tables for telling, tables in _TELLING if telling <= known.keys()), ("customers",))
    feeds = {table: list(_feed(table, known, columns, currency)) for table in tables}
    used = {source for entries in feeds.values() for entry in entries for source in entry.sources}
    yield f"  {name}:"
    yield f"    path: {_quoted(_path(sample.name))}"
    yield f"    format: {_format(sample.form)}"
    if _has_naive_times(known, columns):
        yield "    # guess: these times carry no zone. Say whose clock wrote them, or every row will be rejected:"
        yield "    # times: Europe/London"
    unused = [column for column in columns if column not in used]
    if unused:
        yield f"    ignore: [{', '.join(map(_quoted, unused))}]  # guess: nothing needs these"
    yield "    tables:"
    for table, entries in feeds.items():
        yield f"      {table}:"
        if table in _DERIVED and table != tables[0]:
            yield "        keep: new  # guess: no other file brings them"
        elif table == "orders" and tables[0] == "order_lines":
            yield "        keep: first  # guess: one row is one line, so that an order's own columns repeat"
        yield "        columns:"
        for entry in entries:
            doubt = f"  # guess: {entry.doubt}" if entry.doubt else ""
            yield f"          {entry.column}: {entry.expression}{doubt}"


def _feed(
    table: str, known: Mapping[str, str], columns: Mapping[str, Sequence[str]], currency: str
) -> Iterator[_Entry]:
    for column in TABLES[table].columns:
        source = known.get(column.name)
        if table == "orders" and column.name == "ordered_at" and source is None:
            source = known.get("occurred_at")
        if source is not None:
            yield _from_column(column, source, columns[source])
        elif column.name == "line_id":
            parts = ", ".join(map(_quoted, columns))
            doubt = "no line number; exact copies of a line count once"
            yield _Entry("line_id", f"{{digest: [{parts}]}}", tuple(columns), doubt)
        elif column.name == "amount":
            yield _amount(known, columns)
        elif column.name == "currency":
            yield _Entry("currency", f"{{value: {currency}}}", (), "no column tells the currency")
        elif column.name in _CONSTANTS:
            value, why = _CONSTANTS[column.name]
            yield _Entry(column.name, f"{{value: {_quoted(value)}}}", (), why)
        elif not column.nullable:
            yield _Entry(column.name, "FILL_IN", (), "nothing in the sample seems to be this")


def _from_column(column: Column, source: str, values: Sequence[str]) -> _Entry:
    named = None if _plain(source) == _plain(column.name) else f"by the name of {source!r}"
    expression, doubt = {Type.STRING: _as_text, Type.FLOAT: _as_number, Type.TIMESTAMP: _as_time}[column.type](
        column, _quoted(source), values
    )
    return _Entry(column.name, expression, (source,), doubt or named)


def _as_text(column: Column, source: str, values: Sequence[str]) -> tuple[str, str | None]:
    if values and column.name.endswith("_id") and all(_WHOLE_AS_FRACTION.match(one) for one in values):
        return f"{{whole: {source}}}", f"ids written as {values[0]}"
    if column.allowed and not set(values) <= set(column.allowed):
        table = ", ".join(f"{_quoted(one)}: {_nearest_allowed(one, column)}" for one in sorted(set(values))[:20])
        return f"{{replace: {source}, table: {{{table}}}}}", f"allowed are {', '.join(column.allowed)}"
    return source, None


def _as_number(column: Column, source: str, values: Sequence[str]) -> tuple[str, str | None]:
    if any(_COMMA.match(one) for one in values):
        return f'{{number: {source}, decimal: ",", thousands: "."}}', "decimal commas"
    if column.minimum == 0 and any(one.startswith("-") for one in values):
        return source, f"{column.name} may not be negative; exclude such rows, or mark returns"
    strange = next((one for one in values if not _PLAIN.match(one)), None)
    return source, f"by its name, though {strange!r} is no number" if strange else None


def _as_time(column: Column, source: str, values: Sequence[str]) -> tuple[str, str | None]:
    form = _time_format(values)
    if form is None:
        return source, None
    return f"{{time: {source}, format: {_quoted(form)}}}", f"{column.name} {values[0]!r} read so"


def _amount(known: Mapping[str, str], columns: Mapping[str, Sequence[str]]) -> _Entry:
    price = next((name for name in columns if _plain(name) in _UNIT_PRICE), None)
    if price is None or "quantity" not in known:
        return _Entry("amount", "FILL_IN", (), "nothing in the sample seems to be what the shop received for the line")
    factors = (known["quantity"], price)
    return _Entry("amount", f"{{product: [{', '.join(map(_quoted, factors))}]}}", factors, f"{price!r} is of one piece")


def _nearest_allowed(value: str, column: Column) -> str:
    allowed = column.allowed or ()
    lowered = value.lower()
    return next((one for one in allowed if one in lowered or lowered in one), allowed[0])


def _known(names: Sequence[str]) -> dict[str, str]:
    """The source column for each canonical column that a name speaks for."""
    plain = {_plain(name): name for name in reversed(names)}
    return {
        column: plain[found]
        for column, synonyms in _SYNONYMS.items()
        if (found := next((_plain(one) for one in (column, *synonyms.split()) if _plain(one) in plain), None))
    }


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _values(column: pa.ChunkedArray) -> list[str]:
    """Some of the column's values that are not empty."""
    trimmed = pc.utf8_trim_whitespace(column.slice(0, _LOOKED_AT))
    return [value for value in trimmed.to_pylist() if value]


def _has_naive_times(known: Mapping[str, str], columns: Mapping[str, Sequence[str]]) -> bool:
    times = [columns[known[name]] for name in ("ordered_at", "occurred_at", "written_at") if name in known]
    return any(
        values and (_time_format(values) or "").find("%z") < 0 and not _has_offset(values[0]) and not _is_epoch(values)
        for values in times
    )


def _has_offset(value: str) -> bool:
    match = _ISO.match(value)
    return match is not None and match["offset"] is not None


def _is_epoch(values: Sequence[str]) -> bool:
    return all(value.isdigit() and len(value) in (10, 13) for value in values)


def _time_format(values: Sequence[str]) -> str | None:
    """The notation of these times where it is not ISO 8601, or None."""
    if not values or all(_ISO.match(value) for value in values):
        return None
    if _is_epoch(values):
        return "epoch seconds" if len(values[0]) == 10 else "epoch milliseconds"
    return next((form for form in _FORMATS if all(_reads(value, form) for value in values)), None)


def _reads(value: str, form: str) -> bool:
    try:
        datetime.strptime(value, form)  # noqa: DTZ007 - only whether it can be read
    except ValueError:
        return False
    return True


def _path(file: str) -> str:
    named = _DAY.sub("{day}", file, count=1)
    return named if "{day}" in named else f"{{day}}/{file.rsplit('/', maxsplit=1)[-1]}"


def _format(form: Format) -> str:
    options = [f"{name}: {_quoted(str(getattr(form, name)))}" for name in sorted(form.model_fields_set - {"kind"})]
    return f"{{kind: {form.kind}, {', '.join(options)}}}" if options else form.kind


_NOT_PLAIN = {"yes", "no", "on", "off", "true", "false", "null", "y", "n"}


def _quoted(text: str) -> str:
    """As a YAML scalar: plain where that is safe, else in double quotes."""
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", text) and text.lower() not in _NOT_PLAIN:
        return text
    return json.dumps(text, ensure_ascii=False)
