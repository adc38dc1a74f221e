"""Coupons: when and how often the customer redeems what a campaign offered."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from holdfast.features.arithmetic import Floats
from holdfast.features.cutoffs import Cutoffs
from holdfast.features.log import Log
from holdfast.features.spec import Family, Feature


def _compute(log: Log, cutoffs: Cutoffs) -> Mapping[str, Floats]:
    return {
        "redemptions_84d": cutoffs.window(log.redemptions, 84).count.astype(np.float64),
        "days_since_redemption": cutoffs.days_since_last(log.redemptions),
    }


COUPONS = Family(
    name="coupons",
    meaning="when and how often the customer redeems what a campaign offered",
    tables=("orders", "order_lines", "redemptions"),
    features=(
        Feature(
            "redemptions_84d",
            "campaign coupons redeemed in the last 84 days",
            "redemptions",
            "redeemed {redemptions_84d:.0f} campaign coupon(s) in the last 84 days",
        ),
        Feature(
            "days_since_redemption",
            "time from the last redemption of a campaign coupon to the cutoff",
            "days of 24 hours",
            "redeemed the last campaign coupon {days_since_redemption:.0f} days ago",
            null="has never redeemed a campaign coupon",
        ),
    ),
    compute=_compute,
)
