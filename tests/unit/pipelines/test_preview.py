from __future__ import annotations

from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from holdfast.adapters.sources import LandingDirectory
from holdfast.adapters.yaml_files import load
from holdfast.contract import WITHHELD
from holdfast.errors import SourceError
from holdfast.mapping import Mapping
from holdfast.pipelines.preview import Preview, preview

SHOP = Mapping.model_validate(
    {
        "currency": "EUR",
        "inputs": {
            "customers": {
                "path": "{day}/customers.csv",
                "format": "csv",
                "tables": {
                    "customers": {"columns": {"customer_id": "id"}},
                    "contacts": {"columns": {"customer_id": "id", "email": "mail"}},
                },
            },
            "orders": {
                "path": "{day}/orders.csv",
                "format": "csv",
                "times": "UTC",
                "exclude": [{"rule": "test order", "when": {"of": "buyer", "equals": "test"}, "reason": "A test."}],
                "tables": {
                    "orders": {
                        "columns": {
                            "order_id": "order",
                            "customer_id": "buyer",
                            "ordered_at": "at",
                            "status": {"value": "completed"},
                            "currency": {"upper": "money"},
                        }
                    }
                },
            },
        },
    }
)


def look(directory: Path, path: str, text: str, source: Mapping = SHOP) -> Preview:
    (directory / path).parent.mkdir(parents=True, exist_ok=True)
    (directory / path).write_text(text, encoding="utf-8")
    landing = LandingDirectory(directory)
    return preview(source, landing, path, zone=ZoneInfo("UTC"), today=date(2017, 3, 1), show=2)


def test_a_preview_says_what_maps_where_and_which_rows_would_be_rejected_and_why(tmp_path: Path) -> None:
    lines = [
        "o1,c1,2017-03-01,eur",
        "o2,test,2017-03-01,eur",
        "o3,c1,soon,eur",
        "o4,c1,later,eur",
        "o5",
        "o1,c1,2017-03-01,eur",
    ]
    shown = look(tmp_path, "in/2017-03-01/orders.csv", "order,buyer,at,money\n" + "\n".join(lines) + "\n")
    (orders,) = shown.tables
    assert (shown.input, shown.by_path, shown.rows, orders.accepted) == ("orders", True, 6, 1)
    assert orders.origins == {
        "order_id": "order",
        "customer_id": "buyer",
        "ordered_at": "at",
        "status": "always 'completed'",
        "currency": "upper of money",
    }
    assert orders.first[["order_id", "currency"]].to_numpy().tolist() == [["o1", "EUR"]]
    assert shown.assumed == ("customers",)
    assert [(one.rule, one.field, one.rows, one.examples, one.deliberate) for one in shown.findings] == [
        ("not a time", "ordered_at", 2, ((4, "soon"), (5, "later")), False),
        ("number of columns", "", 1, ((6, "1 columns, not 4"),), False),
        ("duplicate", "order_id", 1, ((7, "o1"),), False),
        ("test order", "buyer", 1, ((3, "test"),), True),
    ]
    assert sorted(shown.rejected["row"]) == [3, 4, 5, 6, 7]


def test_addresses_are_withheld_everywhere(tmp_path: Path) -> None:
    shown = look(tmp_path, "2017-03-01/customers.csv", "id,mail\nc1,ann@shop.example\nc1,bob@shop.example\n")
    contacts = next(one for one in shown.tables if one.table == "contacts")
    assert list(contacts.first["email"]) == [WITHHELD]
    assert "shop.example" not in repr(shown)


def test_a_file_elsewhere_is_known_by_its_columns(tmp_path: Path) -> None:
    shown = look(tmp_path, "export-final.csv", "order,buyer,at,money\no1,c1,2017-03-01,EUR\n")
    assert (shown.input, shown.by_path, shown.tables[0].accepted) == ("orders", False, 1)


def test_a_file_that_fits_nothing_is_told_why_for_every_input(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"(?s)neither by path nor by columns.*customers .*'x'.*orders .*'x'"):
        look(tmp_path, "export.csv", "x\n1\n")


def test_families_without_their_tables_are_told_to_be_off(tmp_path: Path) -> None:
    shown = look(tmp_path, "export.csv", "order,buyer,at,money\no1,c1,2017-03-01,EUR\n")
    lacking = {one.family: one.lacking for one in shown.coverage}
    assert "redemptions" in lacking["coupons"]
    assert any("order_lines" in tables for tables in lacking.values())


def test_the_click_stream_example_maps_events(tmp_path: Path, project: Path) -> None:
    source = load(project / "sources" / "examples" / "clickstream.yaml", Mapping)
    view = (
        '{"id": "e1", "visitor": "c7", "ts": 1488362400123, "action": "product_view", "sku": "p9", "ms": 5300, '
        '"context": {"device": "phone", "referrer": "newsletter"}, "bot": false}'
    )
    lines = [
        view,
        '{"id": "e2", "visitor": "c7", "ts": 1488362460000, "action": "search", "query": "{\\"words\\": \\"tea\\"}"}',
        '{"id": "e3", "visitor": "c7", "ts": 1488362470000, "action": "spin_wheel"}',
        '{"id": "e4", "ts": 1488362480000, "action": "product_view"}',
        '{"id": "e5", "visitor": "b1", "ts": 1488362490000, "action": "product_view", "bot": true}',
        '{"id": "e6", "visitor": "c7", "ts": "yesterday", "action": "product_view"}',
    ]
    shown = look(tmp_path, "2017-03-01/clicks.jsonl.gz", "\n".join(lines) + "\n", source)
    (events,) = shown.tables
    assert events.accepted == 3
    first = events.first[["occurred_at", "type", "product_id", "duration_s", "device", "referrer", "properties"]]
    assert first.to_numpy().tolist() == [
        ["2017-03-01 10:00:00.123000+00:00", "view", "p9", "5.3", "phone", "newsletter", ""],
        ["2017-03-01 10:01:00+00:00", "search", "", "", "", "", '{"words": "tea"}'],
    ]
    assert [(one.rule, one.rows, one.deliberate) for one in shown.findings] == [
        ("not a time", 1, False),
        ("robot", 1, True),
        ("anonymous visitor", 1, True),
    ]
