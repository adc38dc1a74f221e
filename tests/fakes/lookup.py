"""The look-up API on a real operations database, with an online store that is a table in memory."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import FastAPI
from sqlalchemy import Engine

from holdfast.access import Scope, new_key
from holdfast.adapters.operations.access import EntitlementDatabase, KeyDatabase
from holdfast.errors import FeatureStoreError
from holdfast.lookup.app import create_app
from holdfast.lookup.customers import Lookup
from holdfast.lookup.door import Door
from holdfast.lookup.journal import Journal, Metrics
from holdfast.ports import ApiKeys, Asked, Entitlements, Served, ServedFeature, ServedView
from holdfast.scores import SCORE_FIELDS, SCORES_VIEW

NOW = datetime(2017, 11, 27, 12, tzinfo=UTC)
CUTOFF = datetime(2017, 11, 26, 5, tzinfo=UTC).timestamp()
LONG_AGO = datetime(2017, 10, 1, tzinfo=UTC).timestamp()
TTL = timedelta(days=35)

SERVED = Served(
    "holdfast",
    (
        ServedView(
            "customer_rhythm",
            "how a customer orders",
            TTL,
            (
                ServedFeature("days_since_order", "days since the last order", "number", "days", "never null"),
                ServedFeature("gap_mean", "mean days between orders", "number", "days", "fewer than two orders"),
            ),
        ),
        ServedView("customer_basket", "what a customer buys", TTL, (ServedFeature("basket_mean", "x", "number"),)),
        ServedView(
            SCORES_VIEW,
            "scores",
            TTL,
            tuple(ServedFeature(field.name, field.meaning, field.kind) for field in SCORE_FIELDS),
        ),
    ),
)

SCORE = {
    "probability": 0.625,
    "tier": "high",
    "reasons": '[{"family": "rhythm", "feature": "days_since_order", "contribution": 0.5, '
    '"text": {"en": "has not ordered for 31 days", "zh": "已 31 天未下单"}}]',
    "basis": "model",
    "expected_spend": 12.5,
    "value_at_risk": 20.25,
    "lifetime_value": 250.75,
    "persona": "P1",
    "persona_name": '{"en": "orders often", "zh": "下单频繁"}',
    "model_version": "3",
}

Held = dict[tuple[str, str], tuple[float, dict[str, Any]]]
"""Event time and values by customer and view."""

HELD: Held = {
    ("7", "customer_rhythm"): (CUTOFF, {"days_since_order": 31.0}),
    ("7", "customer_basket"): (LONG_AGO, {"basket_mean": 20.5}),
    ("7", SCORES_VIEW): (CUTOFF, SCORE),
    ("8", "customer_rhythm"): (CUTOFF, {"days_since_order": 3.0, "gap_mean": 4.0}),
    ("9", "customer_rhythm"): (LONG_AGO, {"days_since_order": 90.0}),
    ("9", SCORES_VIEW): (LONG_AGO, SCORE | {"reasons": "", "persona": None, "persona_name": None}),
}


class TableReader:
    """An OnlineReader on ``held``, whose ``fault`` it raises when there is one. It counts its round trips."""

    def __init__(self, held: Held) -> None:
        self.held = held
        self.fault: Exception | None = None
        self.trips = 0

    async def read(self, asked: Asked, customers: Sequence[str]) -> list[list[Any]]:
        self.trips += 1
        if self.fault is not None:
            raise self.fault
        rows = []
        for customer in customers:
            row: list[Any] = []
            for view, names in asked.views.items():
                at, values = self.held.get((customer, view), (None, {}))
                row += [at, *(values.get(name) for name in names)]
            rows.append(row)
        return rows

    async def close(self) -> None:
        self.fault = FeatureStoreError("closed")


def add_key(engine: Engine, *scopes: Scope, at: datetime = NOW, **changes: Any) -> str:
    """Make a key and return its text."""
    given: dict[str, Any] = {"name": f"test-{'-'.join(scopes)}", "rate": 1e6, "burst": 1_000_000}
    given |= {"valid_for": timedelta(days=1)} | changes
    text, key = new_key(scopes=scopes, at=at, **given)
    KeyDatabase(engine).add(key, "test")
    return text


def bearer(key: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {key}"}


def lookup_app(
    engine: Engine,
    reader: TableReader | None = None,
    *,
    room: int = 64,
    log: io.StringIO | None = None,
    clock: Any = lambda: NOW,
    keys: ApiKeys | None = None,
    entitlements: Entitlements | None = None,
    served: Any = lambda: SERVED,
    patience: float = 2.0,
) -> FastAPI:
    lookup = Lookup(
        reader or TableReader(dict(HELD)),
        entitlements or EntitlementDatabase(engine),
        currency="USD",
        stored_id=lambda customer: customer,
        clock=clock,
        patience=patience,
    )
    door = Door(
        keys or KeyDatabase(engine),
        room=room,
        share=1.0,
        metrics=Metrics(None),
        journal=Journal(log or io.StringIO(), clock),
        clock=clock,
    )
    return create_app(lookup, door, served)
