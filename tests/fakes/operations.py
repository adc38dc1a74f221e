"""A real operations database in a test's folder, and stories to put into it."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from tempfile import mkdtemp

import pandas as pd
from jinja2 import DictLoader
from sqlalchemy import Engine

from holdfast.adapters.operations import database
from holdfast.adapters.operations.repository import OperationsDatabase
from holdfast.adapters.operations.vault import SqlVault
from holdfast.campaign.definition import Campaign
from holdfast.campaign.links import Links
from holdfast.campaign.messages import Composer
from holdfast.campaign.rendering import environment, render
from holdfast.pipelines.intervene import Intervention
from holdfast.ports import Channel
from holdfast.rules import Shop
from tests.fakes.lake import FakeLake

SHOP = Shop(name="Complete Journey", source="complete_journey", timezone="America/New_York", currency="USD")
SENDER = "Complete Journey <care@shop.example>"
CUTOFF = "2017-11-26"
TEMPLATES = {
    "m/subject.en.txt.j2": "{{ discount }} off",
    "m/body.en.txt.j2": "Hello {{ given_name }}: {{ code }}",
    "m/body.en.html.j2": "<p>{{ code }}</p>",
}
LINKS = Links("https://shop.example/mail", ("a key for tests",))
NOON = datetime(2017, 11, 26, 17, tzinfo=UTC)


@cache
def _migrated() -> Path:
    file = Path(mkdtemp(prefix="holdfast-operations-")) / "operations.db"
    database.upgrade(f"sqlite:///{file}")
    return file


def operations_url(folder: Path) -> str:
    """The URL of a fresh, migrated SQLite file in ``folder``."""
    file = folder / "operations.db"
    shutil.copy(_migrated(), file)
    return f"sqlite:///{file}"


def operations_engine(folder: Path) -> Engine:
    return database.connect(operations_url(folder))


def contacts(engine: Engine, emails: Mapping[str, str], names: Mapping[str, str] | None = None) -> None:
    """Load customer → address, as one batch."""
    rows = [{"customer_id": c, "email": e, "given_name": (names or {}).get(c), "batch": "b"} for c, e in emails.items()]
    SqlVault(engine).append(
        "contacts", pd.DataFrame(rows, columns=["customer_id", "email", "given_name", "batch"]), ["b"]
    )


def decide(engine: Engine, customers: Iterable[str], status: str, at: datetime) -> None:
    """Record that these customers gave or withdrew consent at that moment."""
    batch = f"{status} {at}"
    rows = [
        {
            "customer_id": c,
            "purpose": "marketing",
            "channel": "email",
            "status": status,
            "recorded_at": at,
            "batch": batch,
        }
        for c in customers
    ]
    if rows:
        SqlVault(engine).append("consents", pd.DataFrame(rows), [batch])


def reachable(engine: Engine, customers: Iterable[str], emails: Mapping[str, str] | None = None) -> None:
    """Give each customer an address (``ID@shop.example`` unless named) and a consent given long ago."""
    ids = list(customers)
    contacts(engine, {c: (emails or {}).get(c, f"{c}@shop.example") for c in ids})
    decide(engine, ids, "given", datetime(2017, 1, 1, tzinfo=UTC))


def scores(*rows: tuple[str, float, str, float], cutoff: str = CUTOFF) -> pd.DataFrame:
    """Scores of (customer, probability, tier, value)."""
    return pd.DataFrame(rows, columns=["customer_id", "probability", "tier", "value"]).assign(cutoff=cutoff)


def campaign(**changes: object) -> Campaign:
    """A campaign with room for everyone and half in control; ``changes`` replace whole sections."""
    sections: dict[str, object] = {
        "name": "win_back",
        "audience": {"tiers": ["high", "medium"]},
        "control_share": 0.5,
        "offer": {"kind": "amount", "amount": 5, "minimum_basket": 25, "valid_days": 21},
        "budget": {"money": 100_000, "contacts": 10_000},
        "contact_cap": {"messages": 1, "days": 14},
        "message": {"channel": "email", "template": "m"},
    }
    return Campaign.model_validate(sections | changes)


def composer(templates: Mapping[str, str] | None = None) -> Composer:
    """A composer on these templates over the plain ones."""
    parts = environment(DictLoader(TEMPLATES | dict(templates or {})))
    return Composer(partial(render, parts), SHOP, LINKS, contact="care@shop.example")


def intervention(engine: Engine, table: pd.DataFrame, channel: Channel, **changes: object) -> Intervention:
    """The use case on a real operations database, with these scores and this channel."""
    lake = FakeLake()
    lake.replace("scores", table, where={"cutoff": [CUTOFF]})
    ports: dict[str, object] = {
        "lake": lake,
        "operations": OperationsDatabase(engine),
        "channels": {"email": channel},
        "composer": composer(),
        "shop": SHOP,
        "worker": "test",
    }
    return Intervention(**(ports | changes))
