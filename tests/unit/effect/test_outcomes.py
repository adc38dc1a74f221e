"""What customers did in a window and before it, written down line by line."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from holdfast.effect.outcomes import outcomes
from holdfast.effect.trial import outcome_windows
from holdfast.labels import labels
from tests.fakes.shop import ZONE, Event, Line, tables

CUTOFF = date(2017, 10, 1)
WINDOW, BEFORE = outcome_windows(CUTOFF, 28, ZONE)


def found(lines: list[Line], *customers: str, events: list[Event] | None = None, margin: float = 0.25) -> pd.DataFrame:
    shop = tables(lines, events=events or [])
    rows = outcomes(shop.orders, shop.order_lines, shop.events, customers, window=WINDOW, before=BEFORE, margin=margin)
    return rows.set_index("customer_id")


def test_orders_revenue_and_margin_count_within_the_window_and_apart_from_what_came_before() -> None:
    rows = found(
        [
            Line("ann", "2017-09-10T12:00", amount=7),
            Line("ann", "2017-10-01T00:00", amount=20),
            Line("ann", "2017-10-28T23:59", amount=4),
            Line("ann", "2017-10-29T00:00", amount=1000),
            Line("ann", "2017-09-02T23:59", amount=1000),
        ],
        "ann",
    )
    assert rows.loc["ann"].to_dict() == {
        "retained": 1,
        "orders": 2,
        "revenue": 24,
        "margin": 6,
        "visited": 0,
        "days_to_order": 0,
        "retained_before": 1,
        "orders_before": 1,
        "revenue_before": 7,
        "visited_before": 0,
    }


def test_customers_come_in_the_order_asked_and_silence_is_zero() -> None:
    rows = found([Line("ann", "2017-10-05T12:00"), Line("stranger", "2017-10-05T12:00")], "zoe", "ann")
    assert rows.index.tolist() == ["zoe", "ann"]
    assert rows["revenue"].tolist() == [0, 10]
    assert rows["retained"].tolist() == [0, 1]
    assert rows["days_to_order"].tolist() == pytest.approx([float("nan"), 4.5], nan_ok=True)


@pytest.mark.parametrize(("kind", "visited"), [("view", 1), ("cart", 1), ("support", 0), ("return", 0)])
def test_a_visit_is_what_the_customer_came_to_do_in_the_shop(kind: str, visited: int) -> None:
    rows = found([Line("ann", "2017-09-10T12:00")], "ann", events=[Event("ann", "2017-10-03T12:00", type=kind)])
    assert rows.loc["ann", "visited"] == visited
    assert rows.loc["ann", "visited_before"] == 0


def test_who_is_retained_has_not_churned_by_the_label() -> None:
    lines = [
        *(Line(customer, "2017-09-01T12:00") for customer in ("ann", "ben", "cat", "dan", "eve")),
        Line("ann", "2017-10-28T23:59:59"),
        Line("ben", "2017-10-29T00:00"),
        Line("cat", "2017-10-05T12:00", status="cancelled"),
        Line("dan", "2017-10-05T12:00", amount=0),
    ]
    shop = tables(lines)
    label = labels(shop.orders, shop.order_lines, [CUTOFF], 28, ZONE, date(2018, 1, 1)).set_index("customer_id")
    rows = found(lines, *label.index)
    assert (1 - rows["retained"]).tolist() == label["churned"].tolist() == [0, 1, 1, 1, 1]
