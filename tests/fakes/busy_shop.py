"""Tables of a shop in which customers do everything that features look at, drawn at random from a seed."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd

from holdfast.features.log import TIMES
from tests.fakes.shop import CATEGORIES, Event, Line, Message, Redemption, Review, Tables, tables

FIRST_DAY, DAYS = date(2017, 6, 1), 180
TYPES = ["view", "view", "view", "search", "cart", "login", "support", "return"]


def busy_shop(customers: int, seed: int) -> Tables:
    """About 60 rows a customer over half a year, either side of the end of daylight saving."""
    draw = np.random.default_rng(seed)
    names = [f"c{number:04}" for number in range(customers)]

    def at(minute: int) -> str:
        moment = pd.Timestamp(FIRST_DAY) + pd.Timedelta(minutes=int(minute))
        return (moment + pd.Timedelta("3h") if moment.hour < 3 else moment).isoformat()  # no hour that comes twice

    def whenever() -> str:
        return at(draw.integers(0, DAYS * 1440))

    lines, redemptions, events, reviews, messages = [], [], [], [], []
    for name in names:
        for _ in range(draw.integers(0, 12)):
            moment = whenever()
            for product in draw.choice(list(CATEGORIES), draw.integers(1, 4), replace=False):
                amount, off = round(draw.gamma(2, 10), 2), draw.random() < 0.3
                status = "completed" if draw.random() < 0.9 else "cancelled"
                lines.append(Line(name, moment, str(product), amount, discount=amount * off / 10, status=status))
        redemptions += [Redemption(name, whenever()) for _ in range(draw.integers(0, 3))]
        events += [Event(name, whenever(), str(draw.choice(TYPES)), draw.random() * 100) for _ in range(30)]
        reviews += [Review(name, whenever(), float(draw.integers(1, 6))) for _ in range(draw.integers(0, 3))]
        for _ in range(draw.integers(0, 4)):
            minute = draw.integers(0, DAYS * 1440)
            opened = at(minute + draw.integers(200, 9000)) if draw.random() < 0.5 else None
            messages.append(Message(name, at(minute), opened))
    return tables(lines, redemptions, events, reviews, messages)


def between(shop: Tables, start: pd.Timestamp | None, end: pd.Timestamp | None) -> Tables:
    """What happened in ``[start, end)``, order lines with their order; the products when ``start`` is None."""
    cut = {}
    for name, time in TIMES.items():
        rows = getattr(shop, name)
        chosen = pd.Series(True, index=rows.index)
        if start is not None:
            chosen &= rows[time] >= start
        if end is not None:
            chosen &= rows[time] < end
        cut[name] = rows[chosen]
    cut["order_lines"] = shop.order_lines[shop.order_lines["order_id"].isin(cut["orders"]["order_id"])]
    cut["products"] = shop.products if start is None else shop.products.head(0)
    return Tables(**cut)
