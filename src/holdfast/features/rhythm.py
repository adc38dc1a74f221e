"""Rhythm: how often the customer orders, and whether the present silence breaks that habit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from holdfast.features.arithmetic import SECONDS_PER_DAY, Floats, Span, ratio, running_max, running_sum
from holdfast.features.cutoffs import Cutoffs
from holdfast.features.log import Log
from holdfast.features.ranks import WaveletMatrix
from holdfast.features.spec import Family, Feature
from holdfast.timeline import Ints

_RECENT_GAPS = 5
_SECONDS_PER_HOUR = 3_600
_HOUR_BITS = 16  # gaps are ranked in whole hours, up to 2^16 hours (seven years)

_ONE_ORDER = "fewer than two orders so far"
_TWO_ORDERS = "fewer than three orders so far"


def _compute(log: Log, cutoffs: Cutoffs) -> Mapping[str, Floats]:
    second, customer = log.orders.second, log.orders.customer
    history = cutoffs.history(log.orders)
    orders = history.count
    last = history.end - 1

    gap = np.zeros(len(second), dtype=np.int64)
    gap[1:] = np.where(np.diff(customer) == 0, np.diff(second), 0)
    gaps = Span(history.start + 1, history.end)  # a customer's first order ends no gap
    silence = cutoffs.since(second[last])
    mean = ratio(gaps.total(running_sum(gap)), gaps.count)
    mean_square = ratio(gaps.total(running_sum(gap * gap)), gaps.count)
    longest = np.where(orders > 1, running_max(gap, customer)[last], 0)
    recent = Span(np.maximum(gaps.start, gaps.end - _RECENT_GAPS), gaps.end)
    recent_mean = ratio(recent.total(running_sum(gap)), recent.count)
    hours = WaveletMatrix.of(gap // _SECONDS_PER_HOUR, _HOUR_BITS)

    return {
        "days_since_order": silence / SECONDS_PER_DAY,
        "order_count": orders.astype(np.float64),
        "tenure_days": cutoffs.since(second[history.start]) / SECONDS_PER_DAY,
        "gap_mean_days": mean / SECONDS_PER_DAY,
        "gap_std_days": np.where(
            orders > 2, np.sqrt(np.maximum(mean_square - mean * mean, 0)) / SECONDS_PER_DAY, np.nan
        ),
        "gap_median_days": _median(hours, gaps) * _SECONDS_PER_HOUR / SECONDS_PER_DAY,
        "gap_longest_days": np.where(orders > 1, longest / SECONDS_PER_DAY, np.nan),
        "gap_last_days": np.where(orders > 1, gap[last] / SECONDS_PER_DAY, np.nan),
        "gap_recent_days": recent_mean / SECONDS_PER_DAY,
        "gap_growth": ratio(recent_mean, mean),
        "silence_to_gap_mean": ratio(silence, mean),
        "silence_to_gap_longest": ratio(silence, longest),
        "overdue_share": ratio(hours.below(gaps, silence // _SECONDS_PER_HOUR), gaps.count),
    }


def _median(values: WaveletMatrix, span: Span) -> Floats:
    """The median of each slice, the mean of the middle two where their number is even; null where it is empty."""
    count: Ints = np.maximum(span.count, 1)
    middle = (values.smallest(span, (count - 1) // 2) + values.smallest(span, count // 2)) / 2
    return np.where(span.count > 0, middle, np.nan)


RHYTHM = Family(
    name="rhythm",
    meaning="how often the customer orders, and whether the present silence breaks that habit",
    tables=("orders", "order_lines"),
    features=(
        Feature(
            "days_since_order",
            "time from the last order to the cutoff",
            "days of 24 hours",
            "has not ordered for {days_since_order:.0f} days",
        ),
        Feature(
            "order_count",
            "orders ever placed",
            "orders",
            "has placed {order_count:.0f} order(s) so far",
            minimum=1,
        ),
        Feature(
            "tenure_days",
            "time from the first order to the cutoff",
            "days of 24 hours",
            "has been a customer for {tenure_days:.0f} days",
        ),
        Feature(
            "gap_mean_days",
            "mean time between two orders in a row",
            "days of 24 hours",
            "usually orders every {gap_mean_days:.1f} days, silent for {days_since_order:.0f}",
            null=_ONE_ORDER,
        ),
        Feature(
            "gap_std_days",
            "standard deviation of the time between two orders in a row (over all gaps, not a sample's estimate)",
            "days of 24 hours",
            "orders every {gap_mean_days:.1f} days, give or take {gap_std_days:.1f}",
            null=_TWO_ORDERS,
        ),
        Feature(
            "gap_median_days",
            "median time between two orders in a row, each in whole hours",
            "days of 24 hours",
            "half of the gaps between orders last at most {gap_median_days:.1f} days; silent for "
            "{days_since_order:.0f}",
            null=_ONE_ORDER,
        ),
        Feature(
            "gap_longest_days",
            "longest time between two orders in a row",
            "days of 24 hours",
            "has never before stayed away longer than {gap_longest_days:.0f} days; silent for {days_since_order:.0f}",
            null=_ONE_ORDER,
        ),
        Feature(
            "gap_last_days",
            "time between the last two orders",
            "days of 24 hours",
            "{gap_last_days:.1f} days passed between the last two orders, {gap_mean_days:.1f} between two on average",
            null=_ONE_ORDER,
        ),
        Feature(
            "gap_recent_days",
            f"mean of the last {_RECENT_GAPS} gaps between orders (of all, where there are fewer)",
            "days of 24 hours",
            "lately orders every {gap_recent_days:.1f} days, {gap_mean_days:.1f} over all",
            null=_ONE_ORDER,
        ),
        Feature(
            "gap_growth",
            f"mean of the last {_RECENT_GAPS} gaps over the mean of all; above 1 the customer slows down",
            "ratio",
            "the last gaps between orders were {gap_growth:.1f} times as long as usual",
            null="fewer than two orders so far, or all at one moment",
        ),
        Feature(
            "silence_to_gap_mean",
            "time since the last order over the customer's own mean gap",
            "ratio",
            "usually orders every {gap_mean_days:.1f} days, silent for {days_since_order:.0f}: "
            "{silence_to_gap_mean:.1f} times the usual gap",
            null="fewer than two orders so far, or all at one moment",
        ),
        Feature(
            "silence_to_gap_longest",
            "time since the last order over the customer's own longest gap; above 1 the silence is without precedent",
            "ratio",
            "silent for {days_since_order:.0f} days, and never before longer than {gap_longest_days:.0f}",
            null="fewer than two orders so far, or all at one moment",
        ),
        Feature(
            "overdue_share",
            "share of the customer's own gaps that were shorter than the present silence (in whole hours)",
            "share",
            "in {overdue_share:.0%} of the past gaps the customer had ordered again by now",
            null=_ONE_ORDER,
            maximum=1,
            source="empirical distribution function of the gaps; one minus it is the survival function",
        ),
    ),
    compute=_compute,
)
