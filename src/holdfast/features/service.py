"""Service: what went wrong: returns and calls for support."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from holdfast.features.arithmetic import Floats, ratio
from holdfast.features.cutoffs import Cutoffs
from holdfast.features.log import Log
from holdfast.features.spec import Family, Feature


def _compute(log: Log, cutoffs: Cutoffs) -> Mapping[str, Floats]:
    returns = cutoffs.window(log.returns, 84)
    return {
        "support_28d": cutoffs.window(log.support, 28).count.astype(np.float64),
        "support_84d": cutoffs.window(log.support, 84).count.astype(np.float64),
        "days_since_support": cutoffs.days_since_last(log.support),
        "returns_84d": returns.count.astype(np.float64),
        "returns_per_order_84d": ratio(returns.count, cutoffs.window(log.orders, 84).count),
        "days_since_return": cutoffs.days_since_last(log.returns),
    }


SERVICE = Family(
    name="service",
    meaning="what went wrong: returns and calls for support",
    tables=("orders", "order_lines", "events"),
    features=(
        Feature(
            "support_28d",
            "contacts with the care desk in the last 28 days",
            "contacts",
            "asked the care desk for help {support_28d:.0f} time(s) in the last 28 days",
        ),
        Feature(
            "support_84d",
            "contacts with the care desk in the last 84 days",
            "contacts",
            "asked the care desk for help {support_84d:.0f} time(s) in the last 84 days",
        ),
        Feature(
            "days_since_support",
            "time from the last contact with the care desk to the cutoff",
            "days of 24 hours",
            "asked the care desk for help {days_since_support:.0f} days ago",
            null="has never asked for help",
        ),
        Feature(
            "returns_84d",
            "returns in the last 84 days",
            "returns",
            "sent back {returns_84d:.0f} item(s) in the last 84 days",
        ),
        Feature(
            "returns_per_order_84d",
            "returns for each order, in the last 84 days",
            "returns",
            "sent back {returns_per_order_84d:.1f} item(s) for each order of the last 84 days",
            null="no order in the last 84 days",
        ),
        Feature(
            "days_since_return",
            "time from the last return to the cutoff",
            "days of 24 hours",
            "sent something back {days_since_return:.0f} days ago",
            null="has never sent anything back",
        ),
    ),
    compute=_compute,
    event_types=("support", "return"),
)
