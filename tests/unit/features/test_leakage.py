"""What the features of a cutoff may not depend on, proven over many small histories."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import windows
from holdfast.features.catalog import FAMILIES, FEATURES
from holdfast.features.compute import assemble, compute, kernel
from holdfast.features.log import Log, arrow
from tests.fakes.shop import CATEGORIES, ZONE, Event, Line, Message, Redemption, Review, Tables, tables
from tests.unit.features.story import exact, features

# Weekly and irregular, either side of the end of daylight saving on 2017-11-05.
CUTOFFS = [date(2017, 10, 8), date(2017, 10, 29), date(2017, 11, 5), date(2017, 11, 6), date(2017, 12, 3)]

_EDGES = sorted({cutoff - timedelta(days=days) for cutoff in CUTOFFS for days in (0, 7, 28, 56, 84, 112)})
_at_an_edge = st.builds(
    lambda day, off: (pd.Timestamp(day) + pd.Timedelta(off, "us")).isoformat(),
    st.sampled_from(_EDGES),
    st.sampled_from([-1, 0, 1]),
)
_anywhere = st.builds(
    lambda minute: (pd.Timestamp("2017-06-01T03:00") + pd.Timedelta(11 * minute, "min")).isoformat(),
    st.integers(0, 26_000),
).filter(lambda at: not at.startswith("2017-11-05T01"))  # the hour that comes twice
_around_a_cutoff = st.builds(
    lambda day, hours: (pd.Timestamp(day) + pd.Timedelta(hours, "h")).isoformat(),
    st.sampled_from(CUTOFFS),
    st.sampled_from([-9, -2, 3, 9]),
)
_times = st.one_of(_at_an_edge, _anywhere, _around_a_cutoff)
_few_times = st.one_of(st.sampled_from(["2017-10-01T10:00:00", "2017-11-01T10:00:00"]), _times)  # some at one moment
_customers = st.sampled_from(["00123", "NA", "ann", "ben"])
_money = st.one_of(st.sampled_from([0.0, 0.1, 0.2, 0.3, 1_000_000.0]), st.floats(0, 500, allow_subnormal=False))
_lines = st.lists(
    st.builds(
        Line,
        customer=_customers,
        at=_times,
        product=st.sampled_from(list(CATEGORIES)),
        amount=_money,
        quantity=st.sampled_from([0.0, 1.0, 2.5, 89_638.0]),
        discount=_money,
        coupon=st.one_of(st.just(0.0), _money),
        status=st.sampled_from([*["completed"] * 6, "returned", "cancelled"]),
        basket=st.sampled_from(["", "", "", "again"]),  # two orders in one moment
    ),
    min_size=12,  # about two dozen on average: enough for neighbours in the log to meet
    max_size=60,
)
_redemptions = st.lists(st.builds(Redemption, customer=_customers, at=_times), max_size=6)
_events = st.lists(
    st.builds(
        Event,
        customer=_customers,
        at=_times,
        type=st.sampled_from(["view", "view", "search", "cart", "login", "support", "return"]),
        duration=st.one_of(st.none(), st.floats(0, 3600, allow_subnormal=False)),
    ),
    max_size=40,
)
_reviews = st.lists(
    st.builds(Review, customer=_customers, at=_few_times, rating=st.sampled_from([1.0, 2.0, 3.5, 5.0])), max_size=8
)
_messages = st.lists(
    st.builds(lambda customer, times: Message(customer, min(times), max(times)), _customers, st.tuples(_times, _times)),
    max_size=8,
)
_shops = st.builds(tables, _lines, _redemptions, _events, _reviews, _messages)
_many = settings(max_examples=100, deadline=None)


def before(shop: Tables, cutoff: date) -> Tables:
    """The tables as they were at the cutoff's instant."""
    end = windows.instant(cutoff, ZONE)
    orders = shop.orders[shop.orders["ordered_at"] < end]
    sent = shop.past_deliveries[shop.past_deliveries["sent_at"] < end]
    return dataclasses.replace(
        shop,
        orders=orders,
        order_lines=shop.order_lines[shop.order_lines["order_id"].isin(orders["order_id"])],
        redemptions=shop.redemptions[shop.redemptions["redeemed_at"] < end],
        events=shop.events[shop.events["occurred_at"] < end],
        reviews=shop.reviews[shop.reviews["written_at"] < end],
        past_deliveries=sent.assign(opened_at=sent["opened_at"].where(sent["opened_at"] < end)),
    )


def of_customers(shop: Tables, customers: Sequence[str]) -> Tables:
    orders = shop.orders[shop.orders["customer_id"].isin(customers)]
    return dataclasses.replace(
        shop,
        orders=orders,
        order_lines=shop.order_lines[shop.order_lines["order_id"].isin(orders["order_id"])],
        **{
            name: getattr(shop, name)[getattr(shop, name)["customer_id"].isin(customers)]
            for name in ("redemptions", "events", "reviews", "past_deliveries")
        },
    )


@_many
@given(shop=_shops, cutoff=st.sampled_from(CUTOFFS))
def test_events_at_or_after_the_cutoff_change_no_feature(shop: Tables, cutoff: date) -> None:
    assert exact(features(shop, [cutoff])) == exact(features(before(shop, cutoff), [cutoff]))


@pytest.mark.parametrize(("at", "orders"), [("2017-11-05T23:59:59.999999", 2), ("2017-11-06T00:00:00", 1)])
def test_an_order_at_the_very_instant_of_the_cutoff_is_not_yet_known(at: str, orders: int) -> None:
    shop = tables([Line("ann", "2017-10-01T12:00"), Line("ann", at)], [Redemption("ann", at)])
    (row,) = features(shop, [date(2017, 11, 6)]).to_dict("records")
    assert (row["order_count"], row["redemptions_84d"]) == (orders, orders - 1)


@_many
@given(shop=_shops, seed=st.integers(0, 2**32 - 1))
def test_the_order_of_rows_does_not_matter(shop: Tables, seed: int) -> None:
    random = np.random.default_rng(seed)
    shuffled = Tables(*(frame.iloc[random.permutation(len(frame))] for frame in vars(shop).values()))
    assert exact(features(shop, CUTOFFS)) == exact(features(shuffled, CUTOFFS))


@_many
@given(shop=_shops, part=st.fixed_dictionaries({name: st.integers(0, 2) for name in ("00123", "NA", "ann", "ben")}))
def test_splitting_customers_into_any_parts_does_not_matter(shop: Tables, part: dict[str, int]) -> None:
    parts = [of_customers(shop, [name for name in part if part[name] == number]) for number in range(3)]
    kernels = [kernel(Log.build(arrow(vars(one))), CUTOFFS, ZONE) for one in parts]
    whole = compute(Log.build(arrow(vars(shop))), CUTOFFS, ZONE)
    for day in CUTOFFS:
        for view, frame in assemble([one[day] for one in kernels], day, ZONE).items():
            expected = whole[view][whole[view]["cutoff"] == day.isoformat()]
            assert exact(frame) == exact(expected)
            assert frame["customer_id"].tolist() == expected["customer_id"].tolist()


@_many
@given(shop=_shops, size=st.integers(1, 4))
def test_how_many_customers_are_taken_at_a_time_does_not_matter(shop: Tables, size: int) -> None:
    log = Log.build(arrow(vars(shop)))
    blocks = [kernel(block, CUTOFFS, ZONE) for block in log.blocks(size)]
    for day, rows in kernel(log, CUTOFFS, ZONE).items():
        taken = pa.concat_tables([tables[day] for tables in blocks])
        assert taken["customer_id"].to_pylist() == rows["customer_id"].to_pylist()
        for name in rows.column_names[1:]:
            assert taken[name].to_numpy().tobytes() == rows[name].to_numpy().tobytes(), name


@_many
@given(shop=_shops)
def test_many_cutoffs_at_once_equal_one_at_a_time(shop: Tables) -> None:
    one_at_a_time: dict[tuple[str, str, str], bytes] = {}
    for cutoff in CUTOFFS:
        one_at_a_time |= exact(features(shop, [cutoff]))
    assert one_at_a_time == exact(features(shop, CUTOFFS[::-1]))


@_many
@given(shop=_shops)
def test_every_value_keeps_its_declared_bounds_and_every_reason_can_be_told(shop: Tables) -> None:
    frame = features(shop, CUTOFFS)
    for row in frame.to_dict("records"):
        for feature in FEATURES.values():
            value = row[feature.name]
            if np.isnan(value):
                assert feature.nullable, feature.name
                continue
            assert np.isfinite(value), feature.name
            assert feature.minimum is None or value >= feature.minimum, (feature.name, value)
            assert feature.maximum is None or value <= feature.maximum, (feature.name, value)
            # A reason names only numbers that are known whenever its own feature is.
            assert "nan" not in feature.reason.format_map({name: row[name] for name in FEATURES})


def test_a_shop_without_purchases_has_no_rows_and_all_columns() -> None:
    frame = features(tables([Line("ann", "2017-10-01T12:00", status="cancelled")]), CUTOFFS)
    assert len(frame) == 0
    assert list(frame.columns[3:]) == [feature.name for family in FAMILIES for feature in family.features]
