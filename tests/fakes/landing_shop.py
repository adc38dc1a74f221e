"""A landing directory with everything that ingestion fills from it, in memory where it can be."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from holdfast.adapters.sources import LandingDirectory
from holdfast.mapping import Mapping
from holdfast.pipelines.ingest import QUARANTINE, Ingest
from holdfast.pipelines.retry import Retried, Retry
from holdfast.ports import Lake
from holdfast.pseudonyms import Identities
from holdfast.rules import Calendar, Ingestion
from tests.fakes.lake import FakeLake
from tests.fakes.quality import FakeQuality
from tests.fakes.vault import FakeVault

ZONE = ZoneInfo("America/New_York")
SOURCE = Mapping.model_validate(
    {
        "inputs": {
            "customers": {
                "path": "{day}/customers.csv",
                "format": "csv",
                "tables": {
                    "customers": {"columns": {"customer_id": "id"}},
                    "contacts": {"columns": {"customer_id": "id", "email": "email"}},
                },
            },
            "sales": {
                "path": "{day}/sales.csv",
                "format": "csv",
                "times": "UTC",
                "tables": {
                    "orders": {
                        "keep": "distinct",
                        "columns": {
                            "order_id": "order",
                            "customer_id": "customer",
                            "ordered_at": "at",
                            "status": {"value": "completed"},
                            "currency": {"value": "USD"},
                        },
                    },
                    "order_lines": {
                        "columns": {
                            "order_id": "order",
                            "line_id": "product",
                            "product_id": "product",
                            "quantity": "quantity",
                            "amount": "amount",
                            "discount": {"value": "0"},
                            "coupon_discount": {"value": "0"},
                        }
                    },
                },
            },
        }
    }
)
NOW = datetime(2017, 3, 10, 5, tzinfo=UTC)
CUSTOMERS = "id,email\nc1,ann@shop.example\nc2,bob@shop.example\n"
SALES_HEADER = "order,customer,at,product,quantity,amount\n"


class Shop:
    """A shop whose day lands in ``directory``."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.source = SOURCE
        self.lake: Lake = FakeLake()
        self.vault = FakeVault()
        self.quality = FakeQuality()
        self.rules = Ingestion()
        self.calendar = Calendar()
        self.now = NOW

    @property
    def identities(self) -> Identities:
        """Customers keep the shop's own ids, which are easier to read in tests."""
        return Identities()

    @property
    def ingest(self) -> Ingest:
        return Ingest(
            landing=LandingDirectory(self.directory),
            source=self.source,
            zone=ZONE,
            lake=self.lake,
            vault=self.vault,
            quality=self.quality,
            now=self.now,
            rules=self.rules,
            calendar=self.calendar,
            identities=self.identities,
        )

    def retry(self, file: str | None = None, rule: str | None = None) -> list[Retried]:
        return Retry(
            self.ingest,
            landing=LandingDirectory(self.directory),
            source=self.source,
            zone=ZONE,
            lake=self.lake,
            vault=self.vault,
            quality=self.quality,
            now=self.now,
            identities=self.identities,
        ).run(file, rule)

    def land(self, path: str, text: str) -> None:
        (self.directory / path).parent.mkdir(parents=True, exist_ok=True)
        (self.directory / path).write_text(text, encoding="utf-8")

    def land_sales(self, day: str, *lines: str) -> None:
        self.land(f"{day}/sales.csv", SALES_HEADER + "".join(f"{line}\n" for line in lines))

    def run(self) -> list[dict[str, Any]]:
        return self.ingest.drain()

    def column(self, table: str, name: str) -> list[Any]:
        return sorted(self.lake.read(table)[name])

    def quarantine(self) -> list[tuple[str, int, str, str, str]]:
        rows = self.lake.read(QUARANTINE)
        return [
            (row["file"], row["row"], row["table"], row["field"], row["rule"])
            for _, row in rows.sort_values(["file", "row", "table"]).iterrows()
        ]


def first_day(directory: Path) -> Shop:
    """A shop of two customers, whose first day with one order of two lines has landed."""
    shop = Shop(directory)
    shop.land("2017-03-01/customers.csv", CUSTOMERS)
    shop.land_sales(
        "2017-03-01",
        "o1,c1,2017-03-01 12:00:00,p1,1,2.50",
        "o1,c1,2017-03-01 12:00:00,p2,2,4.00",
    )
    return shop
