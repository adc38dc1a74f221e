"""Feature tables with values that tell where they belong."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import pandas as pd

from holdfast.features.catalog import FAMILIES, FEATURE_NAMES
from holdfast.windows import instant
from tests.fakes.shop import ZONE


def tables(cutoff: date, customers: Sequence[str], base: float) -> dict[str, pd.DataFrame]:
    """Every view's rows at ``cutoff``; the value of customer i's feature j is base + 100 i + j, and j = 1 is null."""
    rows = {}
    for family in FAMILIES:
        frame = pd.DataFrame({"customer_id": list(customers), "cutoff": cutoff.isoformat()})
        frame["event_timestamp"] = pd.Timestamp(instant(cutoff, ZONE))
        for feature in family.features:
            j = FEATURE_NAMES.index(feature.name)
            frame[feature.name] = [np.nan if j == 1 else base + 100.0 * i + j for i in range(len(customers))]
        rows[family.view] = frame
    return rows


def expected(base: float, i: int) -> list[float]:
    """All features of customer i, in the order of the catalogue."""
    return [np.nan if j == 1 else base + 100 * i + j for j in range(len(FEATURE_NAMES))]


def scores(cutoff: date, *rows: tuple[str, float, str, str]) -> pd.DataFrame:
    """Scores as of ``cutoff``; a row is customer, probability, tier and reasons."""
    frame = pd.DataFrame(rows, columns=["customer_id", "probability", "tier", "reasons"])
    name = '{"en": "orders often", "zh": "下单频繁"}'
    worth = {"basis": "model", "expected_spend": 12.5, "value_at_risk": 20.25, "lifetime_value": 250.75}
    return frame.assign(
        event_timestamp=pd.Timestamp(instant(cutoff, ZONE)), model_version="3", persona="P1", persona_name=name, **worth
    )
