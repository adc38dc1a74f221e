"""Planning a campaign for a million scored customers, on SQLite and on PostgreSQL.

    python -m benchmarks.planning [CUSTOMERS]

writes benchmarks/results/planning.json. Everyone is in the audience and may be contacted, but for one in ten who never
consented and one in twenty in the holdout; a fifth is control; the budget reaches all. So nearly everybody is assigned,
and most get a coupon and a message: the most that a plan of that size can have to write.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import DictLoader

from benchmarks.measured import alone, record
from holdfast.adapters.lake import DeltaLake
from holdfast.adapters.operations import database
from holdfast.adapters.operations.bulk import Same, insert_columns
from holdfast.adapters.operations.models import Base
from holdfast.adapters.operations.repository import OperationsDatabase
from holdfast.campaign.messages import Composer
from holdfast.campaign.rendering import environment, render
from holdfast.pipelines.planning import Planning
from holdfast.rules import Holdout, Outreach
from tests.fakes.channel import FakeChannel
from tests.fakes.operations import CUTOFF, KEYRING, LINKS, NOON, SHOP, TEMPLATES, campaign
from tests.fakes.postgres_server import postgres_server, why_absent

MILLION = 1_000_000
LONG_AGO = datetime(2017, 1, 1, tzinfo=UTC)


def prepare(root: Path, url: str, customers: int) -> None:
    """Scores in a Delta lake, contacts and consents in the operations database."""
    rng = np.random.default_rng(7)
    ids = [f"customer-{i}" for i in range(customers)]
    scores = pd.DataFrame(
        {
            "customer_id": ids,
            "cutoff": CUTOFF,
            "probability": rng.uniform(0.2, 0.9, customers),
            "value": rng.gamma(2, 30, customers),
            "tier": rng.choice(["high", "medium"], customers),
        }
    )
    DeltaLake(root / "lake").replace("scores", scores, where={"cutoff": [CUTOFF]})
    database.upgrade(url)
    tables = Base.metadata.tables
    with database.writing(database.connect(url)) as connection:
        sealed = Same(b"never opened by a plan")
        identities = {"customer_id": ids, "alias": [f"{i:032}" for i in range(customers)]}
        insert_columns(connection, tables["identities"], identities | {"key_id": Same("none"), "data_key": sealed})
        insert_columns(connection, tables["contacts"], {"customer_id": ids, "email": sealed, "by_email": Same(True)})
        consents = {"customer_id": [one for i, one in enumerate(ids) if i % 10], "purpose": Same("marketing")}
        given = {"channel": Same("email"), "recorded_at": Same(LONG_AGO), "status": Same("given")}
        insert_columns(connection, tables["consents"], consents | given)


def plan(root: Path, url: str) -> Callable[[], Any]:
    use_case = Planning(
        lake=DeltaLake(root / "lake"),
        store=lambda: None,  # type: ignore[arg-type, return-value] - no condition on features asks for it
        operations=OperationsDatabase(database.connect(url), KEYRING),
        channels={"email": FakeChannel()},
        composer=Composer(partial(render, environment(DictLoader(TEMPLATES))), SHOP, LINKS, "care@shop.example"),
        shop=SHOP,
        outreach=Outreach(holdout=Holdout(share=0.05)),
    )
    everyone = campaign(control_share=0.2, budget={"money": 90_000_000, "contacts": 10_000_000})
    return lambda: use_case.plan(everyone, CUTOFF, NOON)


def measured(name: str, root: Path, url: str, customers: int) -> dict[str, Any]:
    prepare(root, url, customers)
    figures = alone(plan, root, url)
    with OperationsDatabase(database.connect(url), KEYRING).reading() as tx:
        counts = tx.counts(f"win_back@{CUTOFF}")
    written = {"assignments": counts.arms, "skips": counts.skips, "messages": counts.messages}
    return {"database": name, "customers": customers, **written, "plan": figures}


def rows(customers: int) -> Iterator[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        yield measured("sqlite", Path(folder), f"sqlite:///{folder}/operations.db", customers)
    absent = why_absent()
    if absent:
        sys.stdout.write(f"PostgreSQL is left out: {absent}\n")
        return
    with tempfile.TemporaryDirectory() as folder, postgres_server("shared_buffers=512MB", "max_wal_size=4GB") as url:
        yield measured("postgresql", Path(folder), url, customers)


if __name__ == "__main__":
    record("planning", rows(int(sys.argv[1]) if len(sys.argv) > 1 else MILLION), ("sqlalchemy", "psycopg", "pandas"))
