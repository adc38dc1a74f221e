"""Rows that the source mapping itself keeps out, or that only make a key known."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from holdfast.adapters.sources import LandingDirectory
from holdfast.contract import WITHHELD
from holdfast.mapping import Mapping
from holdfast.pipelines.ingest import QUARANTINE, Ingest
from tests.fakes.lake import FakeLake
from tests.fakes.quality import FakeQuality
from tests.fakes.vault import FakeVault

SOURCE = Mapping.model_validate(
    {
        "currency": "EUR",
        "inputs": {
            "sales": {
                "path": "{day}.csv",
                "format": "csv",
                "times": "UTC",
                "exclude": [
                    {"rule": "test order", "when": {"of": "buyer", "equals": "test"}, "reason": "Nobody bought."},
                    {"rule": "no buyer", "when": {"of": "buyer", "missing": True}, "remedy": "Scan the card."},
                ],
                "tables": {
                    "customers": {"keep": "new", "columns": {"customer_id": "buyer"}},
                    "orders": {
                        "columns": {
                            "order_id": "order",
                            "customer_id": "buyer",
                            "ordered_at": "at",
                            "status": {"value": "completed"},
                            "currency": "currency",
                        }
                    },
                },
            }
        },
    }
)


class Shop:
    """A shop whose only file is that of its sales."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.lake = FakeLake()

    def take(self, day: str, *lines: str) -> list[dict[str, Any]]:
        """Land the day's file and run ingest."""
        self._directory.mkdir(exist_ok=True)
        text = "order,buyer,at,currency\n" + "".join(f"{line}\n" for line in lines)
        (self._directory / f"{day}.csv").write_text(text, encoding="utf-8")
        ingest = Ingest(
            landing=LandingDirectory(self._directory),
            source=SOURCE,
            zone=ZoneInfo("UTC"),
            lake=self.lake,
            vault=FakeVault(),
            quality=FakeQuality(),
            now=datetime(2017, 3, 3, tzinfo=UTC),
        )
        return ingest.drain()


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path / "landing")


def test_excluded_rows_are_kept_under_their_rule_and_told_from_wrong_ones(shop: Shop) -> None:
    (result,) = shop.take(
        "2017-03-01",
        "o1,test,2017-03-01,EUR",
        "o2,,2017-03-01,EUR",
        "o3,c1,2017-03-01,USD",
        "o4,c1,2017-03-01,EUR",
    )
    kept = shop.lake.read(QUARANTINE)[["row", "table", "field", "rule", "value", "remedy", "deliberate"]]
    assert kept.astype(object).where(kept.notna(), None).to_numpy().tolist() == [
        [2, None, "buyer", "test order", WITHHELD, "Nothing to do: left out on purpose. Nobody bought.", True],
        [3, None, "buyer", "no buyer", "", "Scan the card.", False],
        [4, None, "currency", "other currency", "USD", "Write all amounts in EUR, the currency of the shop.", False],
    ]
    assert list(shop.lake.read("orders")["order_id"]) == ["o4"]
    assert (result["accepted"], result["rejected"]) == (2, 3)


def test_a_row_that_only_makes_a_key_known_is_passed_over_when_it_is(shop: Shop) -> None:
    shop.take("2017-03-01", "o1,c1,2017-03-01,EUR")
    shop.take("2017-03-02", "o2,c1,2017-03-02,EUR", "o3,c2,2017-03-02,EUR", "o4,c2,2017-03-02,EUR")
    assert list(shop.lake.read("customers")["customer_id"]) == ["c1", "c2"]
    assert list(shop.lake.read("orders")["order_id"]) == ["o1", "o2", "o3", "o4"]
    assert not shop.lake.exists(QUARANTINE)


def test_a_wrong_row_of_such_a_table_is_still_rejected(shop: Shop) -> None:
    shop.take("2017-03-01", "o1,c1,2017-03-01,EUR", "o2,c1,2017-13-01,EUR")
    assert list(shop.lake.read(QUARANTINE)["rule"]) == ["not a time"]
