"""Activity: orders and money of the last days, and where they are heading."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from holdfast.features.arithmetic import SECONDS_PER_DAY, Floats, ratio, running_sum
from holdfast.features.cutoffs import Cutoffs
from holdfast.features.log import Log
from holdfast.features.spec import Family, Feature
from holdfast.purchases import MONEY_SCALE
from holdfast.timeline import Ints

_WEEKS = 12
_FADING_WEEKS = 26
_FADING = 0.9
_TREND_TENURE_DAYS = 56

_NEW_OR_SILENT = "first order less than 56 days ago, or no order in 112 days"
_NO_ORDER_84D = "no order in the last 84 days"


def _compute(log: Log, cutoffs: Cutoffs) -> Mapping[str, Floats]:
    second = log.orders.second
    amount = running_sum(log.orders["amount"])
    history = cutoffs.history(log.orders)
    window = {days: cutoffs.window(log.orders, days) for days in (14, 28, 56, 84)}
    before = cutoffs.window(log.orders, 112, until=28)
    tenure_days = cutoffs.since(second[history.start]) / SECONDS_PER_DAY
    per_order = ratio(history.total(amount), history.count) / MONEY_SCALE

    weeks = [cutoffs.window(log.orders, 7 * (week + 1), until=7 * week) for week in range(_FADING_WEEKS)]
    ordered = [(week.count > 0).astype(np.int64) for week in weeks]
    weights = [round(_FADING**week * 1_000_000) for week in range(_FADING_WEEKS)]  # whole, so that sums are exact
    faded = np.sum([weight * flag for weight, flag in zip(weights, ordered, strict=True)], axis=0) / sum(weights)
    # The slope needs weeks counted from their middle; counted in halves they are whole, so that sums are exact.
    halves = [_WEEKS - 1 - 2 * week for week in range(_WEEKS)]
    leaning = np.sum([half * week.total(amount) for half, week in zip(halves, weeks, strict=False)], axis=0)

    return {
        **{f"orders_{days}d": span.count.astype(np.float64) for days, span in window.items()},
        "order_days_84d": window[84].total(running_sum(_opens_day(log, cutoffs))).astype(np.float64),
        "amount_28d": window[28].total(amount) / MONEY_SCALE,
        "amount_84d": window[84].total(amount) / MONEY_SCALE,
        "amount_per_order": per_order,
        "orders_trend": _trend(window[28].count, before.count, tenure_days),
        "amount_trend": _trend(window[28].total(amount), before.total(amount), tenure_days),
        "amount_slope": ratio(leaning * (2.0 * _WEEKS), np.sum(np.square(halves)) * window[84].total(amount)),
        "weeks_with_order_84d": np.sum(ordered[:_WEEKS], axis=0).astype(np.float64),
        "faded_weeks_with_order": faded,
    }


def _opens_day(log: Log, cutoffs: Cutoffs) -> NDArray[np.bool_]:
    """Whether each order is its customer's first on that day of the shop."""
    day = log.orders.clock(cutoffs.zone) // SECONDS_PER_DAY
    customer = log.orders.customer
    opens = np.ones(len(day), dtype=np.bool_)
    opens[1:] = (day[1:] != day[:-1]) | (customer[1:] != customer[:-1])
    return opens


def _trend(last_28: Ints, before_84: Ints, tenure_days: Floats) -> Floats:
    """(r − p) / (r + p) of the daily rates r in the last 28 days and p in the 84 before, as far as the customer
    was one by then; null for customers of less than 56 days."""
    recent = last_28 / 28
    previous = before_84 / np.clip(tenure_days - 28, 28, 84)
    return np.where(tenure_days < _TREND_TENURE_DAYS, np.nan, ratio(recent - previous, recent + previous))


def _orders(days: int) -> Feature:
    return Feature(
        f"orders_{days}d",
        f"orders in the last {days} days",
        "orders",
        f"{{orders_{days}d:.0f}} order(s) in the last {days} days, {{order_count:.0f}} in all",
    )


def _amount(days: int) -> Feature:
    return Feature(
        f"amount_{days}d",
        f"money spent in the last {days} days",
        "currency",
        f"spent {{amount_{days}d:,.2f}} in the last {days} days",
    )


ACTIVITY = Family(
    name="activity",
    meaning="orders and money of the last days, and where they are heading",
    tables=("orders", "order_lines"),
    features=(
        *(_orders(days) for days in (14, 28, 56, 84)),
        Feature(
            "order_days_84d",
            "days of the shop with an order, in the last 84 days",
            "days",
            "ordered on {order_days_84d:.0f} of the last 84 days",
            maximum=84,
        ),
        _amount(28),
        _amount(84),
        Feature(
            "amount_per_order",
            "mean amount of an order, over all",
            "currency",
            "spends {amount_per_order:,.2f} an order on average",
        ),
        Feature(
            "orders_trend",
            "orders a day in the last 28 days (r) against the 84 days before (p): (r − p) / (r + p)",
            "index from −1 (stopped) over 0 (steady) to 1 (new)",
            "{orders_28d:.0f} order(s) in the last 28 days, {orders_84d:.0f} in the last 84",
            null=_NEW_OR_SILENT,
            minimum=-1,
            maximum=1,
        ),
        Feature(
            "amount_trend",
            "money a day in the last 28 days (r) against the 84 days before (p): (r − p) / (r + p)",
            "index from −1 (stopped) over 0 (steady) to 1 (new)",
            "spent {amount_28d:,.2f} in the last 28 days, {amount_84d:,.2f} in the last 84",
            null=_NEW_OR_SILENT,
            minimum=-1,
            maximum=1,
        ),
        Feature(
            "amount_slope",
            "change of the weekly amount from week to week over the last 12 weeks, as a share of their mean",
            "share of the mean, a week",
            "weekly spend moved by {amount_slope:+.0%} a week over the last 12 weeks",
            null=_NO_ORDER_84D,
            # Largest when all the money falls in the first or the last of the 12 weeks: 11/2 · 12 / 143.
            minimum=-0.4616,
            maximum=0.4616,
            source="ordinary least squares of the weekly amount on the week",
        ),
        Feature(
            "weeks_with_order_84d",
            "weeks with an order among the last 12",
            "weeks",
            "ordered in {weeks_with_order_84d:.0f} of the last 12 weeks",
            maximum=_WEEKS,
        ),
        Feature(
            "faded_weeks_with_order",
            f"share of the last {_FADING_WEEKS} weeks with an order, each week weighing {_FADING} of the one after it",
            "share",
            "ordered in {weeks_with_order_84d:.0f} of the last 12 weeks, {orders_28d:.0f} order(s) in the last 28 days",
            maximum=1,
            source=f"exponential smoothing with a factor of {_FADING} a week",
        ),
    ),
    compute=_compute,
)
