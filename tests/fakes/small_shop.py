"""Sixty customers with rhythms of their own, some of which break off: enough to train on in no time."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

import numpy as np

from holdfast.features.catalog import fed_by
from holdfast.features.compute import compute
from holdfast.features.log import Log, arrow
from holdfast.rules import Rules
from holdfast.windows import cutoffs
from tests.fakes.feature_store import FakeFeatureStore
from tests.fakes.lake import FakeLake
from tests.fakes.shop import ZONE, Line, Tables, tables

FIRST_DAY, LAST_DAY = date(2017, 1, 1), date(2017, 7, 2)
RULES = Rules.model_validate(
    {
        "shop": {"name": "Small", "source": "small", "timezone": "America/New_York", "currency": "USD"},
        "label": {"horizon_days": 14, "word": "lapsing"},
        "population": {"active_days": 28},
        "training": {
            "first_cutoff": "2017-02-05",
            "step_days": 7,
            "test_cutoffs": 2,
            "test_step_days": 14,
            "candidates": ["recency_rule", "logistic"],
            "metric": "auc",
            "seed": 7,
        },
        "tiers": {"by": "threshold", "high": 0.5, "medium": 0.2},
        "scoring": {"shards": 3, "reasons": 2},
    }
)


def lines() -> list[Line]:
    """Each customer orders every 1 to 15 days, and after some orders pauses for three to five weeks."""
    draw = np.random.default_rng(5)
    written = []
    for i in range(60):
        day, gap = FIRST_DAY + timedelta(days=i % 7), 1 + i // 4
        while day < LAST_DAY:
            at = datetime.combine(day, time(12))
            written.append(Line(f"c{i:02}", at.isoformat(), product="milk", amount=float(5 + i)))
            pause = int(draw.integers(21, 36)) if draw.uniform() < gap / 60 else 0
            day += timedelta(days=gap + pause)
    return written


def lake(of: Tables) -> FakeLake:
    filled = FakeLake()
    for name, rows in vars(of).items():
        filled.replace(name, rows, where={})
    return filled


def feature_store(of: Tables) -> FakeFeatureStore:
    """A store that holds the features as of every day of the training grid."""
    store = FakeFeatureStore()
    log = Log.build(arrow(vars(of)))
    filled = [name for name, rows in vars(of).items() if len(rows)]
    days = cutoffs(RULES.training.first_cutoff, LAST_DAY, 7)
    store.write(compute(log, days, ZONE, fed_by(filled, set(of.events["type"]))))
    return store


def shop() -> Tables:
    return tables(lines())
