"""One customer's story per family about what customers do besides ordering, worked out by hand."""

from __future__ import annotations

from math import isnan

import pytest

from tests.fakes.shop import Event, Line, Message, Redemption, Review
from tests.unit.features.story import customer

CUTOFF = "2017-10-01"
ORDER = Line("ann", "2017-09-20T12:00")


def test_engagement_tells_sessions_depth_and_time_spent() -> None:
    visits = [
        Event("ann", "2017-07-01T10:00"),
        Event("ann", "2017-09-20T10:00", duration=60),
        Event("ann", "2017-09-20T10:30", "search", duration=30),  # half an hour later: still the same session
        Event("ann", "2017-09-20T11:00:01", duration=90),  # a second more: the next one
        Event("ann", "2017-09-30T12:00", "login"),
        Event("ann", "2017-09-30T12:01", "other"),  # no visit
    ]
    story = customer([ORDER], CUTOFF, events=visits)
    assert story["days_since_visit"] == 0.5
    assert (story["sessions_28d"], story["sessions_84d"]) == (3, 3)
    assert story["sessions_trend"] == pytest.approx((3 / 28 - 1 / 84) / (3 / 28 + 1 / 84))
    assert (story["views_28d"], story["searches_28d"]) == (2, 1)
    assert story["views_per_session_28d"] == pytest.approx(2 / 3)
    assert story["minutes_per_session_28d"] == pytest.approx(3 / 3)
    assert story["sessions_per_order_84d"] == 3


def test_what_no_order_follows_within_twelve_hours_is_left() -> None:
    story = customer(
        [ORDER],
        CUTOFF,
        events=[
            Event("ann", "2017-09-20T00:00", "cart"),  # the order comes twelve hours later, to the second
            Event("ann", "2017-09-19T23:59:59", "cart"),
            Event("ann", "2017-09-20T12:00", "cart"),
            Event("ann", "2017-09-20T12:00:01", "cart"),
            Event("ann", "2017-09-20T11:00", "search"),
            Event("ann", "2017-09-30T00:00", "cart"),  # the last day: what follows is not yet known
        ],
    )
    assert story["carts_28d"] == 5
    assert story["cart_abandonment_84d"] == 2 / 4
    assert story["search_without_order_84d"] == 0


def test_an_order_after_the_cutoff_empties_no_cart_before_it() -> None:
    cart = [Event("ann", "2017-09-30T23:00", "cart"), Event("ann", "2017-09-29T23:59", "cart")]
    bought = customer([ORDER, Line("ann", "2017-10-01T01:00")], CUTOFF, events=cart)
    assert bought["cart_abandonment_84d"] == 1


def test_who_never_visited_has_no_visit_to_count_from() -> None:
    story = customer([ORDER], CUTOFF)
    assert story["sessions_28d"] == 0
    for name in ("days_since_visit", "views_per_session_28d", "cart_abandonment_84d", "sessions_trend"):
        assert isnan(story[name])


def test_service_tells_help_and_returns() -> None:
    story = customer(
        [ORDER, Line("ann", "2017-09-21T12:00")],
        CUTOFF,
        events=[
            Event("ann", "2017-07-20T00:00", "support"),
            Event("ann", "2017-09-21T00:00", "support"),
            Event("ann", "2017-09-26T00:00", "return"),
        ],
    )
    assert (story["support_28d"], story["support_84d"], story["days_since_support"]) == (1, 2, 10)
    assert (story["returns_84d"], story["returns_per_order_84d"], story["days_since_return"]) == (1, 0.5, 5)


def test_opinion_tells_mean_last_and_low_ratings() -> None:
    story = customer(
        [ORDER],
        CUTOFF,
        reviews=[
            Review("ann", "2017-09-21T00:00", 1.0),
            Review("ann", "2017-09-11T00:00", 5.0),
            Review("ann", "2017-09-21T00:00", 4.0),  # in the same second: the lower one counts as the last
            Review("ann", "2017-10-01T00:00", 5.0),
        ],
    )
    assert story["review_count"] == 3
    assert story["rating_mean"] == pytest.approx(10 / 3)
    assert story["rating_last"] == 1
    assert story["low_rating_share"] == 1 / 3
    assert story["days_since_review"] == 10


def test_contact_tells_messages_opens_and_redemptions() -> None:
    story = customer(
        [ORDER],
        CUTOFF,
        [Redemption("ann", "2017-09-21T10:00")],
        messages=[
            Message("ann", "2017-08-01T09:00", opened="2017-08-02T00:00"),
            Message("ann", "2017-09-20T09:00"),
            Message("ann", "2017-09-29T00:00", opened="2017-10-01T00:00"),  # opened at the cutoff: not yet known
        ],
    )
    assert (story["messages_28d"], story["messages_84d"], story["days_since_message"]) == (2, 3, 2)
    assert story["days_since_open"] == 60
    assert story["opens_per_message_84d"] == 1 / 3
    assert story["redemptions_per_message_84d"] == 1 / 3


@pytest.mark.parametrize("column", ["returned_at", "cancelled_at"])
def test_an_order_undone_at_a_known_time_stays_a_purchase_at_every_cutoff(column: str) -> None:
    from datetime import date

    import pandas as pd

    from tests.fakes.shop import tables
    from tests.unit.features.story import features

    shop = tables([ORDER, Line("ann", "2017-09-22T12:00", status="returned")])
    known = shop.orders.assign(**{column: [pd.NaT, pd.Timestamp("2017-09-25T12:00", tz="UTC")]})
    timed = type(shop)(**{**vars(shop), "orders": known})
    days = [date(2017, 9, 24), date(2017, 10, 1)]
    assert features(timed, days)["order_count"].tolist() == [2, 2]
    assert features(shop, days)["order_count"].tolist() == [1, 1]
