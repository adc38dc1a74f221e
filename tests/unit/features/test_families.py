"""One customer's story per family, worked out by hand."""

from __future__ import annotations

from datetime import date
from math import isnan, sqrt

import pytest

from tests.fakes.shop import Line, Redemption, tables
from tests.unit.features.story import customer, features

CUTOFF = "2017-10-01"  # a Sunday; no change of clocks in the 112 days before


def test_rhythm_tells_a_broken_habit() -> None:
    story = customer(
        [
            Line("ann", "2017-08-01T00:00"),
            Line("ann", "2017-08-05T00:00"),
            Line("ann", "2017-08-11T00:00"),
            Line("ann", "2017-09-01T00:00"),
        ],
        CUTOFF,
    )  # gaps of 4, 6 and 21 days; silent for 30
    mean = 31 / 3
    assert story["days_since_order"] == 30
    assert story["order_count"] == 4
    assert story["tenure_days"] == 61
    assert story["gap_mean_days"] == pytest.approx(mean)
    assert story["gap_std_days"] == pytest.approx(sqrt((16 + 36 + 441) / 3 - mean**2))
    assert story["gap_median_days"] == 6
    assert story["gap_longest_days"] == 21
    assert story["gap_last_days"] == 21
    assert story["gap_recent_days"] == pytest.approx(mean)
    assert story["gap_growth"] == 1
    assert story["silence_to_gap_mean"] == pytest.approx(30 / mean)
    assert story["silence_to_gap_longest"] == pytest.approx(30 / 21)
    assert story["overdue_share"] == 1


def test_the_time_between_two_customers_is_no_gap() -> None:
    lines = [Line("ann", "2017-06-01T00:00"), Line("ben", "2017-09-01T00:00"), Line("ben", "2017-09-08T00:00")]
    _, ben = features(tables(lines), [date.fromisoformat(CUTOFF)]).to_dict("records")
    assert (ben["gap_longest_days"], ben["gap_mean_days"]) == (7, 7)


def test_recent_gaps_are_the_last_five() -> None:
    days = [1, 2, 3, 4, 5, 6, 26]  # gaps of 1, 1, 1, 1, 1 and 20 days
    story = customer([Line("ann", f"2017-08-{day:02d}T00:00") for day in days], "2017-08-28")
    assert story["gap_recent_days"] == (1 + 1 + 1 + 1 + 20) / 5
    assert story["gap_growth"] == pytest.approx(4.8 / (25 / 6))
    assert story["overdue_share"] == 5 / 6  # silent for two days: longer than the five gaps of one day


def test_the_median_of_an_even_number_of_gaps_lies_between_the_middle_two() -> None:
    story = customer([Line("ann", f"2017-08-{day:02d}T00:00") for day in (1, 3, 9)], CUTOFF)
    assert story["gap_median_days"] == 4


def test_a_single_order_has_no_rhythm_yet() -> None:
    story = customer([Line("ann", "2017-09-30T12:00")], CUTOFF)
    assert story["days_since_order"] == 0.5
    for name in ("gap_mean_days", "gap_std_days", "gap_median_days", "silence_to_gap_mean", "overdue_share"):
        assert isnan(story[name])


def test_activity_tells_where_orders_and_money_are_heading() -> None:
    story = customer(
        [
            Line("ann", "2017-06-11T00:00", amount=84.0),  # 112 days before: the window's first instant
            Line("ann", "2017-09-02T23:59:59", amount=168.0),  # a second before the last 28 days
            Line("ann", "2017-09-03T00:00", amount=5.0),
            Line("ann", "2017-09-03T09:00", amount=9.0),
            Line("ann", "2017-09-30T23:59:59", amount=14.0),
        ],
        CUTOFF,
    )
    assert [story[f"orders_{days}d"] for days in (14, 28, 56, 84)] == [1, 3, 4, 4]
    assert story["order_days_84d"] == 3
    assert story["amount_28d"] == 28
    assert story["amount_84d"] == 196
    assert story["amount_per_order"] == 56
    assert story["weeks_with_order_84d"] == 3
    rate, before = 28 / 28, 252 / 84
    assert story["amount_trend"] == pytest.approx((rate - before) / (rate + before))
    rate, before = 3 / 28, 2 / 84
    assert story["orders_trend"] == pytest.approx((rate - before) / (rate + before))


def test_weekly_spend_that_grows_by_the_same_amount_has_that_slope() -> None:
    week_starts = ["07-09", "07-16", "07-23", "07-30", "08-06", "08-13", "08-20", "08-27", "09-03", "09-10", "09-17"]
    lines = [Line("ann", f"2017-{day}T08:00", amount=2.0 * week) for week, day in enumerate(week_starts)]
    story = customer([*lines, Line("ann", "2017-09-24T08:00", amount=22.0)], CUTOFF)
    assert story["amount_slope"] == pytest.approx(2 / 11)  # 2 a week on a mean of 11


def test_older_weeks_with_an_order_fade() -> None:
    last_week = customer([Line("ann", "2017-09-30T12:00")], CUTOFF)["faded_weeks_with_order"]
    two_weeks_earlier = customer([Line("ann", "2017-09-16T12:00")], CUTOFF)["faded_weeks_with_order"]
    assert last_week == pytest.approx(0.1 / (1 - 0.9**26), rel=1e-5)
    assert two_weeks_earlier == pytest.approx(0.81 * last_week, rel=1e-5)


def test_trends_wait_until_there_is_something_to_compare_with() -> None:
    story = customer([Line("ann", "2017-08-06T00:00:01"), Line("ann", "2017-09-30T12:00")], CUTOFF)
    assert isnan(story["orders_trend"])


def test_basket_tells_breadth_and_size() -> None:
    story = customer(
        [
            Line("ann", "2017-08-10T10:00", "milk"),
            Line("ann", "2017-08-10T10:00", "bread"),
            Line("ann", "2017-08-10T10:00", "soap", quantity=89_638.0),
            Line("ann", "2017-08-10T10:00", "mystery"),
            Line("ann", "2017-09-20T10:00", "milk", quantity=2.5),
            Line("ann", "2017-09-20T10:00", "cream"),
        ],
        CUTOFF,
    )
    assert story["lines_per_order"] == 3
    assert story["lines_per_order_growth"] == pytest.approx(2 / 3)
    assert story["pieces_per_order_84d"] == (3 + 100 + 3.5) / 2
    assert (story["products_28d"], story["products_84d"]) == (2, 5)
    assert (story["categories_28d"], story["categories_84d"]) == (1, 3)
    assert story["categories_change"] == 1 - 3
    assert story["new_product_share_84d"] == 5 / 6
    assert story["top_category_share"] == 3 / 6  # milk, milk and cream: GROCERY > DAIRY


def test_savings_tell_dependence_on_discounts_and_coupons() -> None:
    story = customer(
        [
            Line("ann", "2017-05-01T10:00", amount=100.0),
            Line("ann", "2017-08-10T10:00", amount=60.0, discount=40.0),
            Line("ann", "2017-09-20T10:00", amount=80.0, discount=10.0, coupon=10.0),
        ],
        CUTOFF,
        [Redemption("ann", "2017-07-08T23:59:59"), Redemption("ann", "2017-09-21T00:00")],
    )
    assert story["discount_share"] == pytest.approx(50 / 300)
    assert story["discount_share_change"] == pytest.approx(10 / 100 - 50 / 300)
    assert story["coupon_share"] == pytest.approx(10 / 300)
    assert story["coupon_order_share_84d"] == 1 / 2
    assert story["redemptions_84d"] == 1
    assert story["days_since_redemption"] == 10


def test_who_never_redeemed_has_no_last_redemption_even_if_others_have() -> None:
    story = customer([Line("ann", "2017-09-20T10:00")], CUTOFF, [Redemption("ben", "2017-09-21T00:00")])
    assert story["redemptions_84d"] == 0
    assert isnan(story["days_since_redemption"])


def test_habits_follow_the_clock_of_the_shop() -> None:
    story = customer(
        [
            Line("ann", "2017-09-22T23:30"),  # Friday night in New York, Saturday in UTC
            Line("ann", "2017-09-23T12:00"),
            Line("ann", "2017-09-29T17:59"),
            Line("ann", "2017-09-29T18:00"),
        ],
        CUTOFF,
    )
    assert story["weekend_share"] == 1 / 4
    assert story["evening_share"] == 2 / 4
    assert story["weekday_concentration"] == (3**2 + 1) / 4**2
    assert story["daypart_concentration"] == (2**2 + 2**2) / 4**2


def test_only_completed_orders_that_brought_in_money_count() -> None:
    story = customer(
        [
            Line("ann", "2017-09-01T00:00"),
            Line("ann", "2017-09-10T00:00", status="cancelled"),
            Line("ann", "2017-09-11T00:00", status="returned"),
            Line("ann", "2017-09-12T00:00", amount=0.0),
        ],
        CUTOFF,
    )
    assert (story["order_count"], story["days_since_order"]) == (1, 30)


def test_a_window_over_the_end_of_daylight_saving_is_an_hour_longer() -> None:
    cutoff = "2017-11-26"  # 28 days back is 2017-10-29, before the clocks went back on 2017-11-05
    inside = customer([Line("ann", "2017-10-29T00:00")], cutoff)
    outside = customer([Line("ann", "2017-10-28T23:59:59")], cutoff)
    assert (inside["orders_28d"], outside["orders_28d"]) == (1, 0)
    assert inside["days_since_order"] == 28 + 1 / 24
