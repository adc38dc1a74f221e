from __future__ import annotations

from datetime import date

import pytest

from holdfast.errors import ImmatureLabelError
from holdfast.labels import labels
from tests.fakes.shop import ZONE, Line, tables

COMPLETE_TO = date(2018, 1, 1)


def churned(lines: list[Line], *cutoffs: date, horizon_days: int = 28) -> dict[tuple[str, str], int]:
    shop = tables(lines)
    found = labels(shop.orders, shop.order_lines, cutoffs, horizon_days, ZONE, COMPLETE_TO)
    assert found["churned"].dtype == "int8"
    return {(row.customer_id, row.cutoff): row.churned for row in found.itertuples()}


def test_who_orders_within_the_horizon_has_not_churned() -> None:
    lines = [
        Line("ann", "2017-09-01T12:00"),
        Line("ann", "2017-10-05T12:00"),
        Line("ben", "2017-09-01T12:00"),
    ]
    assert churned(lines, date(2017, 10, 1)) == {("ann", "2017-10-01"): 0, ("ben", "2017-10-01"): 1}


@pytest.mark.parametrize(
    ("at", "label"),
    [
        ("2017-09-30T23:59:59.999999", 1),  # before the cutoff: not in the horizon
        ("2017-10-01T00:00:00", 0),  # at the cutoff: the label's, not the features'
        ("2017-10-28T23:59:59.999999", 0),
        ("2017-10-29T00:00:00", 1),  # at the end of the horizon: outside
    ],
)
def test_the_horizon_is_half_open(at: str, label: int) -> None:
    lines = [Line("ann", "2017-09-01T12:00"), Line("ann", at)]
    assert churned(lines, date(2017, 10, 1)) == {("ann", "2017-10-01"): label}


def test_the_horizon_ends_by_the_clock_of_the_shop_after_the_clocks_went_back() -> None:
    lines = [Line("ann", "2017-10-01T12:00"), Line("ann", "2017-11-29T23:30")]
    assert churned(lines, date(2017, 11, 2)) == {("ann", "2017-11-02"): 0}


def test_orders_that_are_no_purchase_neither_keep_a_customer_nor_make_one() -> None:
    lines = [
        Line("ann", "2017-09-01T12:00"),
        Line("ann", "2017-10-05T12:00", status="returned"),
        Line("ann", "2017-10-06T12:00", amount=0.0),
        Line("ben", "2017-09-01T12:00", status="cancelled"),
    ]
    assert churned(lines, date(2017, 10, 1)) == {("ann", "2017-10-01"): 1}


def test_a_customer_is_labelled_only_after_the_first_purchase() -> None:
    lines = [Line("ann", "2017-10-01T00:00:00")]
    assert churned(lines, date(2017, 10, 1), date(2017, 10, 8)) == {("ann", "2017-10-08"): 1}


def test_a_label_whose_horizon_has_not_elapsed_is_refused() -> None:
    with pytest.raises(
        ImmatureLabelError,
        match=r"cutoff 2017-12-05 mature on 2018-01-02, but orders end on 2018-01-01\. .* no later than 2017-12-04\.",
    ):
        churned([Line("ann", "2017-09-01T12:00")], date(2017, 12, 4), date(2017, 12, 5))
