"""Engagement: visits to the shop, how deep they go, and what is searched for or put in the cart but not bought."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from holdfast.features.arithmetic import Floats, Span, ratio, running_sum
from holdfast.features.cutoffs import Cutoffs
from holdfast.features.log import ANSWER_HOURS, BROWSING, Log
from holdfast.features.spec import Family, Feature
from holdfast.timeline import Timeline

_NEVER = "has never visited, as far as recorded"
_NO_VISIT_28D = "no visit in the last 28 days"
_NO_VISIT_112D = "no visit in the last 112 days"


def _compute(log: Log, cutoffs: Cutoffs) -> Mapping[str, Floats]:
    visits = cutoffs.window(log.visits, 28)
    sessions = cutoffs.window(log.sessions, 28)
    views = cutoffs.window(log.views, 28)
    before = cutoffs.window(log.sessions, 112, until=28)
    minutes = visits.total(running_sum(log.visits["milliseconds"])) / 60_000
    recent, previous = sessions.count / 28, before.count / 84

    return {
        "days_since_visit": cutoffs.days_since_last(log.visits),
        "sessions_28d": sessions.count.astype(np.float64),
        "sessions_84d": cutoffs.window(log.sessions, 84).count.astype(np.float64),
        "sessions_trend": ratio(recent - previous, recent + previous),
        "views_28d": views.count.astype(np.float64),
        "views_per_session_28d": ratio(views.count, sessions.count),
        "minutes_per_session_28d": ratio(minutes, sessions.count),
        "searches_28d": cutoffs.window(log.searches, 28).count.astype(np.float64),
        "carts_28d": cutoffs.window(log.carts, 28).count.astype(np.float64),
        "search_without_order_84d": _unanswered(log.searches, cutoffs),
        "cart_abandonment_84d": _unanswered(log.carts, cutoffs),
        "sessions_per_order_84d": ratio(cutoffs.window(log.sessions, 84).count, cutoffs.window(log.orders, 84).count),
    }


def _unanswered(asked: Timeline, cutoffs: Cutoffs) -> Floats:
    """Share of the events that no order followed; those of the last day are left out, whose end is not yet known."""
    settled: Span = cutoffs.window(asked, 84, until=1)
    return 1 - ratio(settled.total(running_sum(asked["answered"])), settled.count)


ENGAGEMENT = Family(
    name="engagement",
    meaning="visits to the shop, how deep they go, and what is searched for or put in the cart but not bought",
    tables=("orders", "order_lines", "events"),
    features=(
        Feature(
            "days_since_visit",
            "time from the last visit (anything done in the shop but ordering) to the cutoff",
            "days of 24 hours",
            "has not visited the shop for {days_since_visit:.0f} days",
            null=_NEVER,
        ),
        Feature(
            "sessions_28d",
            "visits in a row without a pause of over half an hour, in the last 28 days",
            "sessions",
            "visited {sessions_28d:.0f} time(s) in the last 28 days, {sessions_84d:.0f} in the last 84",
        ),
        Feature(
            "sessions_84d",
            "visits in a row without a pause of over half an hour, in the last 84 days",
            "sessions",
            "visited {sessions_84d:.0f} time(s) in the last 84 days",
        ),
        Feature(
            "sessions_trend",
            "sessions a day in the last 28 days (r) against the 84 days before (p): (r − p) / (r + p)",
            "index from −1 (stopped) over 0 (steady) to 1 (new)",
            "visited {sessions_28d:.0f} time(s) in the last 28 days, {sessions_84d:.0f} in the last 84",
            null=_NO_VISIT_112D,
            minimum=-1,
            maximum=1,
        ),
        Feature(
            "views_28d",
            "product pages viewed in the last 28 days",
            "views",
            "viewed {views_28d:.0f} product page(s) in the last 28 days",
        ),
        Feature(
            "views_per_session_28d",
            "browsing depth: product pages viewed a session, in the last 28 days",
            "views",
            "viewed {views_per_session_28d:.1f} product pages a visit in the last 28 days",
            null=_NO_VISIT_28D,
        ),
        Feature(
            "minutes_per_session_28d",
            "time spent a session, in the last 28 days, where the shop records durations",
            "minutes",
            "stayed {minutes_per_session_28d:.1f} minutes a visit in the last 28 days",
            null=_NO_VISIT_28D,
        ),
        Feature(
            "searches_28d",
            "searches in the last 28 days",
            "searches",
            "searched {searches_28d:.0f} time(s) in the last 28 days",
        ),
        Feature(
            "carts_28d",
            "products put in the cart in the last 28 days",
            "products",
            "put {carts_28d:.0f} product(s) in the cart in the last 28 days",
        ),
        Feature(
            "search_without_order_84d",
            f"share of searches with no order within {ANSWER_HOURS} hours, in the last 84 days but one",
            "share",
            "ordered nothing after {search_without_order_84d:.0%} of the searches of the last 84 days",
            null="no search in the last 84 days but one",
            maximum=1,
        ),
        Feature(
            "cart_abandonment_84d",
            f"share of what was put in the cart with no order within {ANSWER_HOURS} hours, in the last 84 days but one",
            "share",
            "left {cart_abandonment_84d:.0%} of what was put in the cart in the last 84 days",
            null="nothing put in the cart in the last 84 days but one",
            maximum=1,
        ),
        Feature(
            "sessions_per_order_84d",
            "sessions for each order, in the last 84 days",
            "sessions",
            "came {sessions_per_order_84d:.1f} time(s) for each order of the last 84 days",
            null="no order in the last 84 days",
        ),
    ),
    compute=_compute,
    event_types=BROWSING,
)
