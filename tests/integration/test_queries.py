"""Database queries landed as files, against a real database."""

from __future__ import annotations

import sqlite3
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic import SecretStr, ValidationError

from holdfast.adapters import files
from holdfast.adapters.queries import Pulled, pull
from holdfast.errors import SettingsError, SourceError
from holdfast.mapping import Format, Input

LONDON = ZoneInfo("Europe/London")
DAY = date(2011, 6, 1)  # in summer time: 2011-05-31 23:00 to 2011-06-01 23:00 UTC
SQL = "SELECT id, placed_at, total FROM shop_order WHERE placed_at >= :start AND placed_at < :end"


def orders(**query: str) -> Input:
    columns = {
        "order_id": "id",
        "customer_id": {"value": "c1"},
        "ordered_at": "placed_at",
        "status": {"value": "completed"},
        "currency": {"value": "GBP"},
    }
    return Input.model_validate(
        {
            "path": "{day}/orders.parquet",
            "format": "parquet",
            "query": {"database": "shop", "sql": SQL} | query,
            "ignore": ["total"],
            "tables": {"orders": {"columns": columns}},
        }
    )


@pytest.fixture
def urls(tmp_path: Path) -> dict[str, SecretStr]:
    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as shop:
        shop.execute("CREATE TABLE shop_order (id TEXT, placed_at TEXT, total NUMERIC)")
        shop.executemany(
            "INSERT INTO shop_order VALUES (?, ?, ?)",
            [
                ("early", "2011-05-31 22:59:59", 1),
                ("00123", "2011-05-31 23:00:00", 2.50),
                ("NA", "2011-06-01 22:59:59", None),
                ("late", "2011-06-01 23:00:00", 4),
            ],
        )
    shop.close()
    return {"shop": SecretStr(f"sqlite:///{path}")}


def test_the_rows_of_the_shops_day_land_as_text(tmp_path: Path, urls: dict[str, SecretStr]) -> None:
    assert pull(orders(), tmp_path, DAY, LONDON, urls) == Pulled("2011-06-01/orders.parquet", 2)
    landed = files.read(tmp_path / "2011-06-01/orders.parquet", Format(kind="parquet"), "orders.parquet")
    assert landed.rows.to_pydict() == {
        "id": ["00123", "NA"],
        "placed_at": ["2011-05-31 23:00:00", "2011-06-01 22:59:59"],
        "total": ["2.5", ""],
        "row": [2, 3],
    }


def test_the_same_rows_in_any_order_are_the_same_batch(tmp_path: Path, urls: dict[str, SecretStr]) -> None:
    pull(orders(sql=f"{SQL} ORDER BY id"), tmp_path, DAY, LONDON, urls)
    before = (tmp_path / "2011-06-01/orders.parquet").read_bytes()
    assert pull(orders(sql=f"{SQL} ORDER BY id DESC"), tmp_path, DAY, LONDON, urls) == Pulled(None, 2)
    assert (tmp_path / "2011-06-01/orders.parquet").read_bytes() == before


def test_a_day_without_rows_lands_nothing(tmp_path: Path, urls: dict[str, SecretStr]) -> None:
    assert pull(orders(), tmp_path, date(2011, 7, 1), LONDON, urls) == Pulled(None, 0)
    assert not list(tmp_path.glob("2011-*"))


def test_a_failing_query_is_told_without_its_url(tmp_path: Path) -> None:
    secret = {"shop": SecretStr("sqlite:////nowhere/secret-password/shop.db")}
    with pytest.raises(SourceError, match=r"query on database 'shop' failed: .*Correct") as caught:
        pull(orders(), tmp_path, DAY, LONDON, secret)
    assert "secret-password" not in str(caught.value)
    with pytest.raises(SourceError, match="failed: ArgumentError"):
        pull(orders(), tmp_path, DAY, LONDON, {"shop": SecretStr("secret-password")})


def test_a_database_without_a_url_is_named_with_the_variable_to_set(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"no URL for the database 'shop'. Put it into HOLDFAST_SOURCE_URLS"):
        pull(orders(), tmp_path, DAY, LONDON, {})


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"database": "postgresql://me:secret@host/shop"}, "pattern"),
        ({"sql": "SELECT 1"}, "the query must use :start"),
    ],
)
def test_a_query_with_a_literal_url_or_without_days_is_refused(query: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        orders(**query)
