"""A simulated day as the rows of landing files, and as the truth that is kept apart from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from holdfast.simulator.config import ResponseType, ShopConfig
from holdfast.simulator.draws import Floats, Indices, Purpose, uniforms
from holdfast.simulator.lives import Happened, Lives, Orders, Phase
from holdfast.simulator.population import CATEGORIES, Products, Traits, World
from holdfast.simulator.words import review
from holdfast.windows import instant

MOST_VIEWS = 8
_DEVICES = ("phone", "desktop", "tablet")
_REFERRERS = ("direct", "search", "social")
_CALL_AFTER, _RETURN_AFTER, _REVIEW_AFTER = 2, 6, 3
"""Days from an order to what customers do about it."""


def customer_ids(numbers: Indices) -> pa.Array:
    """The shop's ids of customers by number: ``sim-17``."""
    return pc.binary_join_element_wise("sim", pc.cast(pa.array(numbers), pa.string()), "-")


def product_ids(numbers: Indices) -> pa.Array:
    return pc.binary_join_element_wise("P", pc.cast(pa.array(numbers), pa.string()), "")


def product_rows(goods: Products, margin: float) -> pa.Table:
    """The shop's products."""
    numbers = np.arange(len(goods.price))
    category = pa.array(CATEGORIES).take(pa.array(goods.category))
    return pa.table(
        {
            "product_id": product_ids(numbers),
            "category": category,
            "name": pc.binary_join_element_wise(category, pc.cast(pa.array(numbers), pa.string()), " item "),
            "price": goods.price,
            "margin": np.round(goods.price * margin, 2),
        }
    )


def new_customers(config: ShopConfig, who: Traits, day: int) -> pa.Table:
    """The customers who are in the shop's files from ``day`` on, with their address and consent."""
    places = np.flatnonzero(who.joined == day)
    ids, midnight = customer_ids(who.start + places), _midnight(config, day)
    return pa.table(
        {
            "customer_id": ids,
            "signed_up_at": _times(midnight, np.zeros(len(places))),
            "email": pc.binary_join_element_wise(ids, "shop.example", "@"),
            "consent": pa.array(np.where(who.consents[places], "given", "withdrawn"), pa.string()),
        }
    )


def day_rows(world: World, who: Traits, lives: Lives, happened: Happened, day: int) -> dict[str, pa.Table]:
    """What the shop's own systems recorded of the day, by table."""
    visits, voices = _visits_of(world.seed, who, day), _voices(world, who, lives, day)
    return {
        **_orders(world.config, who, happened.orders, day, visits),
        "events": pa.concat_tables([_visits(world.config, who, happened, day, visits), voices["events"]]),
        "reviews": voices["reviews"],
    }


def order_ids(who: Traits, orders: Orders, day: int) -> pa.Array:
    """A customer orders at most once a day: ``sim-17-204``."""
    return _by_day(who.start + orders.customer, day)


def order_times(world: World, who: Traits, orders: Orders, day: int) -> list[datetime]:
    """When each order of the day was placed, in UTC, as its landing row says."""
    midnight = _midnight(world.config, day)
    minutes = _visits_of(world.seed, who, day).ordered_at[orders.customer]
    return [midnight + timedelta(minutes=int(one)) for one in minutes]


def truth_rows(who: Traits, lives: Lives) -> pa.Table:
    """Each customer's hidden kind and where they stand; ``rehearse`` alone may read it."""
    kinds, phases = ([one.name.lower() for one in names] for names in (ResponseType, Phase))
    return pa.table(
        {
            "customer_id": customer_ids(np.arange(who.start, who.stop)),
            "response_type": pa.array(kinds).take(pa.array(who.kind)),
            "joined_day": who.joined,
            "gap_days": who.gap,
            "phase": pa.array(phases).take(pa.array(lives.phase)),
        }
    )


@dataclass(frozen=True)
class _VisitPlan:
    """When everybody would visit on a day (minute of the day) and how many products they would look at."""

    start: Indices
    views: Indices
    u: Floats

    @property
    def ordered_at(self) -> Indices:
        return self.start + self.views + 2


def _visits_of(seed: int, who: Traits, day: int) -> _VisitPlan:
    u = uniforms(seed, Purpose.VISITS, day, who.span, 6)
    start = who.hour.astype(np.int64) * 60 + (u[0] * 50).astype(np.int64)
    return _VisitPlan(start, 1 + np.minimum(np.log(u[1]) / np.log(0.6), MOST_VIEWS - 1).astype(np.int64), u)


def _midnight(config: ShopConfig, day: int) -> datetime:
    return instant(config.calendar_day(day), config.zone)


def _by_day(numbers: Indices, day: int) -> pa.Array:
    return pc.binary_join_element_wise(customer_ids(numbers), str(day), "-")


def _times(midnight: datetime, minutes: npt.NDArray[np.int64] | Floats) -> pa.Array:
    seconds = int(midnight.timestamp()) + (np.asarray(minutes) * 60).astype(np.int64)
    return pa.array(seconds, pa.int64()).cast(pa.timestamp("s", tz="UTC"))


def _orders(config: ShopConfig, who: Traits, orders: Orders, day: int, plan: _VisitPlan) -> dict[str, pa.Table]:
    ids = order_ids(who, orders, day)
    return {
        "orders": pa.table(
            {
                "order_id": ids,
                "customer_id": customer_ids(who.start + orders.customer),
                "ordered_at": _times(_midnight(config, day), plan.ordered_at[orders.customer]),
                "status": pa.repeat("completed", len(orders.customer)),
                "currency": pa.repeat(config.currency, len(orders.customer)),
            }
        ),
        "order_lines": pa.table(
            {
                "order_id": ids.take(pa.array(orders.order)),
                "line_id": pc.cast(pa.array(orders.line), pa.string()),
                "product_id": product_ids(orders.product),
                "quantity": orders.quantity,
                "amount": orders.amount,
                "discount": orders.discount,
                "coupon_discount": orders.coupon_discount,
            }
        ),
    }


def _visits(config: ShopConfig, who: Traits, happened: Happened, day: int, plan: _VisitPlan) -> pa.Table:
    """The events of the day's visits: product views a minute apart, perhaps a search before, perhaps a cart after."""
    came, u, views = happened.visitors, plan.u, plan.views
    ordered = np.isin(came, happened.orders.customer, assume_unique=True)
    times = views[came]
    viewer = np.repeat(np.arange(len(came)), times)
    step = np.arange(len(viewer)) - np.repeat(np.cumsum(times) - times, times)
    shown = ((u[5, came][viewer] * 10.0 ** (step % 3) % 1) * config.basket.products).astype(np.int64)
    searcher = np.flatnonzero(u[2, came] < config.browsing.searches)
    carter = np.flatnonzero(ordered | (u[3, came] < config.browsing.carts))
    visitor = np.concatenate([searcher, viewer, carter])
    minute = np.concatenate([np.zeros(len(searcher), np.int64), step + 1, times[carter] + 1])
    products = np.concatenate([np.full(len(searcher), -1), shown, shown[(np.cumsum(times) - 1)[carter]]])
    kinds = np.repeat(["search", "view", "cart"], [len(searcher), len(viewer), len(carter)])
    device = (u[4, came] * len(_DEVICES)).astype(np.int64)[visitor]
    referrer = (u[4, came] * 1_000 % 1 * len(_REFERRERS)).astype(np.int64)[visitor]
    return _events(
        who.start + came[visitor],
        day,
        kinds=kinds,
        minute_of_visit=minute,
        times=_times(_midnight(config, day), plan.start[came][visitor] + minute),
        products=pc.if_else(pa.array(products >= 0), product_ids(products), None),
        durations=np.where(kinds == "view", 60.0, np.nan),
        device=pa.array(_DEVICES).take(pa.array(device)),
        referrer=pa.array(_REFERRERS).take(pa.array(referrer)),
    )


def _events(
    numbers: Indices,
    day: int,
    *,
    kinds: npt.NDArray[np.str_],
    minute_of_visit: Indices,
    times: pa.Array,
    products: pa.Array,
    durations: Floats,
    device: pa.Array,
    referrer: pa.Array,
) -> pa.Table:
    kind = pa.array(kinds, pa.string())
    return pa.table(
        {
            "event_id": pc.binary_join_element_wise(
                _by_day(numbers, day), kind, pc.cast(pa.array(minute_of_visit), pa.string()), "-"
            ),
            "customer_id": customer_ids(numbers),
            "occurred_at": times,
            "type": kind,
            "product_id": products,
            "duration_s": pa.array(durations, from_pandas=True),
            "device": device,
            "referrer": referrer,
        }
    )


def _voices(world: World, who: Traits, lives: Lives, day: int) -> Mapping[str, pa.Table]:
    """Calls and returns after trouble, and reviews; by table."""
    u, voice = uniforms(world.seed, Purpose.VOICES, day, who.span, 5), world.config.voice
    midnight = _midnight(world.config, day)
    minutes = (9 * 60 + u[3] * 600).astype(np.int64)
    calls = np.flatnonzero((lives.troubled == day - _CALL_AFTER) & (u[0] < voice.calls))
    returns = np.flatnonzero((lives.troubled == day - _RETURN_AFTER) & (u[1] < voice.returns))
    both = np.concatenate([calls, returns])
    nothing = pa.nulls(len(both), pa.string())
    events = _events(
        who.start + both,
        day,
        kinds=np.repeat(["support", "return"], [len(calls), len(returns)]),
        minute_of_visit=np.zeros(len(both), np.int64),
        times=_times(midnight, minutes[both]),
        products=nothing,
        durations=np.full(len(both), np.nan),
        device=nothing,
        referrer=nothing,
    )
    numbers = np.arange(who.start, who.stop)
    writes = (lives.last_order == day - _REVIEW_AFTER - numbers % 5) & (u[2] < voice.reviews) & (lives.last_order >= 0)
    writers = np.flatnonzero(writes)
    cross = lives.troubled[writers] == lives.last_order[writers]
    rating = np.where(cross, 1 + (u[4, writers] < 0.4), 5 - (u[4, writers] * 2.2).astype(np.int64))
    texts = [
        review(int(stars), CATEGORIES[category], float(number))
        for stars, category, number in zip(rating, who.category[writers], u[4, writers], strict=True)
    ]
    reviews = pa.table(
        {
            "review_id": _by_day(who.start + writers, day),
            "customer_id": customer_ids(who.start + writers),
            "written_at": _times(midnight, minutes[writers]),
            "rating": rating.astype(float),
            "text": pa.array(texts, pa.string()),
            "language": pa.repeat("en", len(writers)),
        }
    )
    return {"events": events, "reviews": reviews}
