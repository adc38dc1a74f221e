"""What customers spent within the horizon after a cutoff."""

import pandas as pd

from holdfast.spend import spend
from tests.fakes.shop import ZONE, Line, tables

ASKED = pd.DataFrame(
    {"customer_id": ["ann", "ann", "bob"], "cutoff": ["2017-05-01", "2017-05-15", "2017-05-01"]}, index=[7, 8, 9]
)


def spent(*lines: Line) -> list[float]:
    of = tables(list(lines))
    found = spend(of.orders, of.order_lines, ASKED, 14, ZONE)
    assert found.index.tolist() == [7, 8, 9]
    return found.tolist()


def test_all_purchases_within_the_horizon_count() -> None:
    assert spent(Line("ann", "2017-05-02T10:00:00", amount=5.0), Line("ann", "2017-05-03T10:00:00", amount=2.5)) == [
        7.5,
        0.0,
        0.0,
    ]


def test_the_cutoff_belongs_to_the_horizon_and_its_end_does_not() -> None:
    assert spent(
        Line("ann", "2017-04-30T23:59:59", amount=1.0),
        Line("ann", "2017-05-01T00:00:00", amount=10.0),
        Line("ann", "2017-05-15T00:00:00", amount=100.0),
    ) == [10.0, 100.0, 0.0]


def test_one_customers_money_is_not_anothers() -> None:
    assert spent(Line("bob", "2017-05-02T10:00:00", amount=3.0)) == [0.0, 0.0, 3.0]
