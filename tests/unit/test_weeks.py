"""The last weeks before a cutoff, one after another."""

import pandas as pd

from holdfast.weeks import AMOUNTS, ORDERS, WEEKS, weekly
from tests.fakes.shop import ZONE, Line, tables

ASKED = pd.DataFrame({"customer_id": ["ann", "ann", "bob"], "cutoff": ["2017-05-01", "2017-05-08", "2017-05-01"]})


def weeks(*lines: Line) -> pd.DataFrame:
    of = tables(list(lines))
    return weekly(of.orders, of.order_lines, ASKED, ZONE)


def test_an_order_lies_in_the_week_that_it_fell_into_as_seen_from_each_cutoff() -> None:
    found = weeks(Line("ann", "2017-04-30T10:00:00", amount=5.0), Line("ann", "2017-04-29T10:00:00", amount=2.0))
    assert found.loc[0, ["orders_week_1", "amount_week_1"]].tolist() == [2.0, 7.0]
    assert found.loc[1, ["orders_week_1", "orders_week_2", "amount_week_2"]].tolist() == [0.0, 2.0, 7.0]
    assert found.loc[2].sum() == 0


def test_what_happens_at_the_cutoff_or_later_is_not_seen() -> None:
    found = weeks(Line("ann", "2017-05-01T00:00:00", amount=5.0), Line("ann", "2017-05-08T00:00:00", amount=9.0))
    assert found.loc[0].sum() == 0
    assert found.loc[1, list(AMOUNTS)].sum() == 5.0


def test_weeks_run_from_the_earliest_to_the_latest() -> None:
    found = weeks(Line("bob", "2016-11-02T10:00:00", amount=1.0), Line("bob", "2017-04-30T10:00:00", amount=1.0))
    seen = found.loc[2, list(ORDERS)].to_numpy()
    assert (seen[0], seen[-1], seen.sum(), len(seen)) == (1.0, 1.0, 2.0, WEEKS)
