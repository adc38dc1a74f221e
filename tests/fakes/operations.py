"""A real operations database in a test's folder, and stories to put into it."""

from __future__ import annotations

import atexit
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cache, partial
from itertools import count
from pathlib import Path
from tempfile import mkdtemp

import pandas as pd
from jinja2 import DictLoader
from sqlalchemy import URL, Engine, NullPool, create_engine, make_url

from holdfast.adapters.operations import database
from holdfast.adapters.operations.repository import OperationsDatabase
from holdfast.adapters.operations.sealing import Keyring
from holdfast.adapters.operations.vault import SqlVault
from holdfast.campaign.definition import Arm, Campaign
from holdfast.campaign.links import Links
from holdfast.campaign.messages import Composer
from holdfast.campaign.outbox import Batch
from holdfast.campaign.rendering import environment, render
from holdfast.pipelines.accounting import Account, accounts
from holdfast.pipelines.planning import Plan, Planning
from holdfast.pipelines.sending import Sending, Sent
from holdfast.ports import Channel
from holdfast.rules import Outreach, Shop
from tests.fakes.lake import FakeLake
from tests.fakes.postgres_server import postgres_server, why_absent
from tests.machine import lacking

SHOP = Shop(name="Complete Journey", source="complete_journey", timezone="America/New_York", currency="USD")
SENDER = "Complete Journey <care@shop.example>"
CUTOFF = "2017-11-26"
TEMPLATES = {
    "m/subject.en.txt.j2": "{{ discount }} off",
    "m/body.en.txt.j2": "Hello {{ given_name }}: {{ code }}",
    "m/body.en.html.j2": "<p>{{ code }}</p>",
}
LINKS = Links("https://shop.example/mail", ("a key for tests",))
_COPIES, _BATCHES = count(), count()
KEYRING = Keyring(("a vault key for tests",))
NOON = datetime(2017, 11, 26, 17, tzinfo=UTC)


BACKENDS = ("sqlite", "postgresql")


def operations_url(folder: Path, backend: str = "sqlite") -> str:
    """The URL of a fresh, migrated operations database: a file in ``folder``, or one on the session's server."""
    if backend == "postgresql":
        return _copy_on_server()
    file = folder / "operations.db"
    shutil.copy(_migrated_file(), file)
    return f"sqlite:///{file}"


def operations_engine(folder: Path, backend: str = "sqlite") -> Engine:
    return database.connect(operations_url(folder, backend))


@cache
def _migrated_file() -> Path:
    file = Path(mkdtemp(prefix="holdfast-operations-")) / "operations.db"
    database.upgrade(f"sqlite:///{file}")
    return file


@cache
def _server() -> URL:
    """The session's PostgreSQL server, with a migrated database to copy."""
    running = postgres_server("fsync=off", "max_connections=200")
    url = make_url(running.__enter__())
    atexit.register(running.__exit__, None, None, None)
    _on_server(url, "CREATE DATABASE migrated")
    database.upgrade(url.set(database="migrated").render_as_string(hide_password=False))
    return url


def _copy_on_server() -> str:
    absent = why_absent()
    if absent is not None:
        lacking(absent)
    name = f"copy_{next(_COPIES)}"
    _on_server(_server(), f"CREATE DATABASE {name} TEMPLATE migrated")
    return _server().set(database=name).render_as_string(hide_password=False)


def _on_server(url: URL, statement: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.exec_driver_sql(statement)


def contact_rows(*rows: tuple[str | None, str, object, str]) -> pd.DataFrame:
    """Contacts of (customer, address, given name, batch)."""
    return pd.DataFrame(rows, columns=["customer_id", "email", "given_name", "batch"])


def contacts(engine: Engine, emails: Mapping[str, str], names: Mapping[str, str] | None = None) -> None:
    """Load customer → address, as one batch."""
    rows = contact_rows(*((c, email, (names or {}).get(c), "b") for c, email in emails.items()))
    SqlVault(engine, KEYRING).append("contacts", rows, ["b"])


def contact(engine: Engine, customer: str, **details: str) -> None:
    """Load one customer's contact details, by column."""
    batch = f"contact {next(_BATCHES)}"
    rows = pd.DataFrame([{"customer_id": customer, "batch": batch, **details}])
    SqlVault(engine, KEYRING).append("contacts", rows, [batch])


def decide(engine: Engine, customers: Iterable[str], status: str, at: datetime) -> None:
    """Record that these customers gave or withdrew consent at that moment."""
    batch = f"{status} {at} {next(_BATCHES)}"
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


_ARM = {
    "name": "treatment",
    "offer": {"kind": "amount", "amount": 5, "minimum_basket": 25, "valid_days": 21},
    "message": {"channel": "email", "template": "m"},
}


def campaign(**changes: object) -> Campaign:
    """A campaign of one arm with room for everyone and half in control.

    ``changes`` replace whole sections, or fields of the arm.
    """
    own = {name: changes.pop(name) for name in list(changes) if name in Arm.model_fields and name != "name"}
    sections: dict[str, object] = {
        "name": "win_back",
        "audience": {"tiers": ["high", "medium"]},
        "control_share": 0.5,
        "arms": [_ARM | own],
        "budget": {"money": 100_000, "contacts": 10_000},
        "schedule": {"within_days": 60},
    }
    return Campaign.model_validate(sections | changes)


def composer(templates: Mapping[str, str] | None = None) -> Composer:
    """A composer on these templates over the plain ones."""
    parts = environment(DictLoader(TEMPLATES | dict(templates or {})))
    return Composer(partial(render, parts), SHOP, LINKS, contact="care@shop.example")


@dataclass(frozen=True)
class Intervention:
    """Planning and sending on one operations database; a pause takes no time."""

    planning: Planning
    sending: Sending
    shards: int = 2

    def plan(self, one: Campaign, cutoff: str = CUTOFF, at: datetime = NOON) -> Plan:
        return self.planning.plan(one, cutoff, at)

    def batches(self, plans: Sequence[Plan], channel: str = "email") -> list[Batch]:
        return [Batch(**one) for one in self.planning.batches(plans, channel, self.shards)]

    def send(self, batch: Batch, clock: Callable[[], datetime]) -> Sent:
        return self.sending.send(batch, clock, lambda _: None)

    def account(self, campaign_ids: Sequence[str]) -> list[Account]:
        return accounts(self.planning.operations, campaign_ids)


def intervention(engine: Engine, table: pd.DataFrame, channel: Channel, **changes: object) -> Intervention:
    """The use cases on a real operations database, with these scores and this channel.

    ``changes`` replace ports and settings of either use case.
    """
    lake = FakeLake()
    lake.replace("scores", table, where={"cutoff": [CUTOFF]})
    given = {
        "lake": lake,
        "store": None,
        "operations": OperationsDatabase(engine, KEYRING),
        "channels": {"email": channel},
        "composer": composer(),
        "shop": SHOP,
        "outreach": Outreach(),
        "worker": "test",
    } | changes
    shards = given.pop("shards", 2)

    def of(use_case: type) -> dict[str, object]:
        return {one.name: given[one.name] for one in fields(use_case) if one.name in given}

    return Intervention(Planning(**of(Planning)), Sending(**of(Sending)), shards)
