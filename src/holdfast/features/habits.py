"""Habits: on which days and at what hours of the shop's clock the customer orders."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from holdfast.features.arithmetic import SECONDS_PER_DAY, Floats, ratio, running_sum
from holdfast.features.cutoffs import Cutoffs
from holdfast.features.log import Log
from holdfast.features.spec import Family, Feature
from holdfast.timeline import Ints

_THURSDAY, _SATURDAY = 3, 5  # Monday is 0; the epoch began on a Thursday


def _compute(log: Log, cutoffs: Cutoffs) -> Mapping[str, Floats]:
    history = cutoffs.history(log.orders)
    day, second = np.divmod(log.orders.clock(cutoffs.zone), SECONDS_PER_DAY)
    weekday, hour = (day + _THURSDAY) % 7, second // 3_600
    weekend = running_sum(weekday >= _SATURDAY)
    customer = log.orders.customer
    same_weekday = _earlier_in_group(customer * 7 + weekday)
    same_daypart = _earlier_in_group(customer * 4 + hour // 6)
    return {
        "weekend_share": ratio(history.total(weekend), history.count),
        "evening_share": ratio(history.total(running_sum(hour >= 18)), history.count),
        # The square of a count grows by 2n + 1 with the order after the n-th, so squares are running sums too.
        "weekday_concentration": ratio(history.total(running_sum(2 * same_weekday + 1)), history.count**2),
        "daypart_concentration": ratio(history.total(running_sum(2 * same_daypart + 1)), history.count**2),
    }


def _earlier_in_group(group: Ints) -> Ints:
    """For each event, how many before it are of its group."""
    return pd.Series(group).groupby(group).cumcount().to_numpy().astype(np.int64)


HABITS = Family(
    name="habits",
    meaning="on which days and at what hours of the shop's clock the customer orders",
    tables=("orders", "order_lines"),
    features=(
        Feature(
            "weekend_share",
            "share of all orders placed on a Saturday or Sunday",
            "share",
            "placed {weekend_share:.0%} of all orders at weekends",
            maximum=1,
        ),
        Feature(
            "evening_share",
            "share of all orders placed from 18:00 on",
            "share",
            "placed {evening_share:.0%} of all orders in the evening",
            maximum=1,
        ),
        Feature(
            "weekday_concentration",
            "how strongly orders keep to the same weekdays: 1/7 evenly spread, 1 always the same day",
            "index",
            "keeps to the same weekdays with an index of {weekday_concentration:.2f} (1: always, 0.14: any)",
            minimum=1 / 7,
            maximum=1,
            source="Herfindahl index: the sum of the squared shares of the seven weekdays",
        ),
        Feature(
            "daypart_concentration",
            "how strongly orders keep to the same quarter of the day: 1/4 evenly spread, 1 always the same",
            "index",
            "keeps to the same quarter of the day with an index of {daypart_concentration:.2f} (1: always, 0.25: any)",
            minimum=1 / 4,
            maximum=1,
            source="Herfindahl index: the sum of the squared shares of the day's four quarters",
        ),
    ),
    compute=_compute,
)
