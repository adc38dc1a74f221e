"""Labels: who bought nothing within the horizon after a cutoff. A label is never a feature."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from holdfast import windows
from holdfast.errors import ImmatureLabelError
from holdfast.purchases import purchases
from holdfast.timeline import Timeline, keys

LABEL = "churned"


def labels(  # noqa: PLR0917
    orders: pd.DataFrame,
    order_lines: pd.DataFrame,
    cutoffs: Sequence[date],
    horizon_days: int,
    zone: ZoneInfo,
    complete_to: date,
) -> pd.DataFrame:
    """For each cutoff, who of the customers with a purchase before it made none in ``[cutoff, cutoff + horizon_days)``.

    Takes the canonical orders and order lines, complete up to (not including) ``complete_to``. Returns customer_id,
    cutoff (ISO date) and churned (int8, 1 for no purchase), sorted by customer and cutoff. Raises ImmatureLabelError
    when the horizon of any cutoff reaches past ``complete_to``.
    """
    days = sorted(set(cutoffs))
    _require_mature(days, horizon_days, complete_to)
    bought = purchases(orders, order_lines)
    code, customers = pd.factorize(bought["customer_id"], sort=True)
    timeline = Timeline.of(keys(code, bought["ordered_at"].dt.as_unit("us").astype(np.int64).to_numpy() // 1_000_000))

    horizons = [windows.horizon(day, horizon_days, zone) for day in days]
    starts = np.array([int(window.start.timestamp()) for window in horizons], dtype=np.int64)
    ends = np.array([int(window.end.timestamp()) for window in horizons], dtype=np.int64)
    everyone = np.arange(len(customers), dtype=np.int64)
    first_second = timeline.second[timeline.first(everyone)]
    customer, cutoff = np.nonzero(first_second[:, None] < starts[None, :])
    silent = timeline.position(customer, starts[cutoff]) == timeline.position(customer, ends[cutoff])
    return pd.DataFrame(
        {
            "customer_id": np.asarray(customers, dtype=np.object_)[customer],
            "cutoff": pd.Index([day.isoformat() for day in days], dtype=object).take(cutoff),
            LABEL: silent.astype(np.int8),
        }
    )


def _require_mature(cutoffs: Sequence[date], horizon_days: int, complete_to: date) -> None:
    horizon = timedelta(days=horizon_days)
    for cutoff in cutoffs:
        if not windows.is_mature(cutoff, horizon_days, complete_to):
            raise ImmatureLabelError(
                f"labels for cutoff {cutoff} mature on {cutoff + horizon}, but orders end on {complete_to}. "
                f"Use a cutoff no later than {complete_to - horizon}."
            )
