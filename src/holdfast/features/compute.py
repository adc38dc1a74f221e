"""All features of a log as of many cutoffs, one frame per family."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from zoneinfo import ZoneInfo

import pandas as pd

from holdfast.features.catalog import FAMILIES
from holdfast.features.log import Cutoffs, Log


def compute(log: Log, cutoffs: Sequence[date], zone: ZoneInfo) -> dict[str, pd.DataFrame]:
    """The features of every customer with a purchase before each cutoff, by family view.

    Every frame holds the same rows, sorted by customer_id and cutoff: customer_id, cutoff (ISO date),
    event_timestamp (the cutoff's instant, datetime64[us, UTC]) and the family's features (float64). A customer's
    values depend on that customer's own events strictly before the cutoff and on nothing else.
    """
    rows = Cutoffs.of(log, cutoffs, zone)
    days = pd.Index([day.isoformat() for day in rows.days], dtype=object)
    instants = pd.DatetimeIndex(rows.seconds().astype("datetime64[s]").astype("datetime64[us]"), tz="UTC")
    keys = {
        "customer_id": log.customers[rows.customer],
        "cutoff": days.take(rows.cutoff),
        "event_timestamp": instants.take(rows.cutoff),
    }
    frames = {}
    for family in FAMILIES:
        values = family.compute(log, rows)
        frames[family.view] = pd.DataFrame(
            {**keys, **{feature.name: values[feature.name] for feature in family.features}}
        )
    return frames
