from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from holdfast.dataset import active
from holdfast.history import History
from tests.fakes.shop import ZONE, Line, tables
from tests.fakes.small_shop import lines
from tests.unit.features.story import features


def history(of: list[Line]) -> History:
    shop = tables(of)
    return History.of(shop.orders, shop.order_lines)


def test_who_bought_within_a_half_open_window_is_known() -> None:
    known = history([Line("ann", "2017-10-01T00:00"), Line("ben", "2017-10-02T00:00"), Line("eve", "2017-09-30T23:59")])
    start, end = datetime(2017, 10, 1, 4, tzinfo=UTC), datetime(2017, 10, 2, 4, tzinfo=UTC)
    assert known.customers[known.bought(start, end)].tolist() == ["ann"]


def test_an_order_that_is_no_purchase_is_not_in_the_history() -> None:
    known = history([Line("ann", "2017-10-01T12:00"), Line("ben", "2017-10-01T12:00", status="cancelled")])
    assert known.customers.tolist() == ["ann"]


@pytest.mark.parametrize("days", [1, 7, 28])
def test_the_active_are_those_whom_the_features_call_active(days: int) -> None:
    exact = [Line("edge", "2017-05-28T00:00:00"), Line("inside", "2017-05-28T00:00:01"), *lines()]
    shop, cutoff = tables(exact), date(2017, 6, 4)
    known = History.of(shop.orders, shop.order_lines)
    by_features = active(features(shop, [cutoff]), days)["customer_id"].tolist()
    assert sorted(known.customers[known.active(cutoff, days, ZONE)]) == sorted(by_features)
    assert days != 7 or ("inside" in by_features and "edge" not in by_features)
