"""A simulated shop as a whole: lives its days in parts of bounded size, and takes in what its customers were sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from holdfast.errors import SettingsError
from holdfast.simulator.config import ShopConfig
from holdfast.simulator.draws import BLOCK
from holdfast.simulator.lives import Happened, Lives, Orders, Treatment, live, newborn, receive
from holdfast.simulator.population import Traits, World, traits
from holdfast.simulator.rows import (
    customer_ids,
    day_rows,
    new_customers,
    order_ids,
    order_times,
    product_rows,
    truth_rows,
)
from holdfast.simulator.truth import Outcome, outcome

PART_BLOCKS = 16
"""Blocks of customers that are alive at a time (65,536 customers): what bounds the memory of a day."""

_OTHER_CHANCES = 0x9E3779B97F4A7C15
"""How far apart seeds of other chances lie: odd, so that none comes twice, and far from the seeds that people use."""

Rows = Mapping[str, pa.Table]


@dataclass(frozen=True)
class Used:
    """A coupon used with an order: what the shop's till reports."""

    code: str
    order_id: str
    at: datetime
    basket: float
    discount: float


@dataclass
class SimulatedShop:
    """So many customers of a configured shop, from its first day on.

    ``day`` is the next day to be lived. The same configuration, number, seed and messages make the same shop, whatever
    ``part_blocks`` is; a customer is the same in shops of any number of customers.
    """

    config: ShopConfig
    customers: int
    seed: int
    part_blocks: int = PART_BLOCKS
    day: int = 0
    world: World = field(init=False)
    _who: Traits = field(init=False)
    _lives: Lives = field(init=False)
    _codes: dict[int, str] = field(init=False, default_factory=dict)
    _used: list[Used] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        if self.customers < 1:
            raise SettingsError(f"a shop of {self.customers} customers cannot be simulated; give at least 1")
        if not 0 <= self.seed < 2**64:
            raise SettingsError(f"seed {self.seed} is not between 0 and 2^64 - 1")
        self.world = World.of(self.config, self.seed)
        who = [traits(self.config, self.seed, *span) for span in self._spans()]
        lives = [newborn(self.world, part) for part in who]
        self._who = Traits(start=0, **_concatenated(who, "start"))
        self._lives = Lives(**_concatenated(lives))

    @property
    def who(self) -> Traits:
        """What the customers are like. Nothing that the product reads may come from here."""
        return self._who

    @property
    def lives(self) -> Lives:
        return self._lives

    @property
    def date(self) -> date:
        """The calendar day of ``day``."""
        return self.config.calendar_day(self.day)

    def receive(self, messages: Sequence[tuple[int, Treatment, str | None]]) -> None:
        """Customers (by number) get messages, each with the code of its coupon, in the morning of ``day``.

        Customers who got the same treatment react in one go; the order of messages does not matter.
        """
        by_treatment: dict[Treatment, list[int]] = {}
        for number, treatment, code in messages:
            by_treatment.setdefault(treatment, []).append(number)
            if code is not None:
                self._codes[number] = code
        for treatment, numbers in by_treatment.items():
            at = np.array(sorted(numbers))
            receive(self.world, self._who, self._lives, day=self.day, at=at, what=treatment)

    def live(self) -> Iterator[Rows]:
        """Live ``day``, part by part: the rows that the shop's systems recorded, by table. Then it is the next day."""
        if self.day == 0:
            yield {"products": product_rows(self.world.goods, self.config.basket.margin)}
        day = self.day
        for who, happened in self.pass_day():
            rows = day_rows(self.world, who, self._lives.part(who.start, who.stop), happened, day)
            yield {"customers": new_customers(self.config, who, day), **rows}

    def pass_day(self) -> Iterator[tuple[Traits, Happened]]:
        """Live ``day`` as ``live`` does, without making rows of it: each part's traits, and what happened to it."""
        for start, stop in self._spans():
            who = self._who.part(start, stop)
            happened = live(self.world, who, self._lives.part(start, stop), self.day)
            self._note_coupons(who, happened.orders)
            yield who, happened
        self.day += 1

    def used_coupons(self) -> list[Used]:
        """The coupons used since the last call, in the order of customers and days."""
        used, self._used = self._used, []
        return used

    def truth(self) -> Iterator[pa.Table]:
        """The hidden kind and present standing of every customer, part by part."""
        for start, stop in self._spans():
            yield truth_rows(self._who.part(start, stop), self._lives.part(start, stop))

    def counterfactuals(self, treatments: Mapping[str, Treatment], days: int) -> Iterator[pa.Table]:
        """What each customer would do in the next ``days`` under no treatment and under each one, part by part.

        Columns: customer_id, and for ``none`` and each treatment's name orders_NAME and revenue_NAME.
        """
        for start, stop in self._spans():
            who, lives = self._who.part(start, stop), self._lives.part(start, stop)
            columns: dict[str, pa.Array] = {"customer_id": customer_ids(np.arange(start, stop))}
            for name, treatment in {"none": None, **treatments}.items():
                told = self._outcome(who, lives, treatment, np.arange(stop - start), days)
                columns |= {f"orders_{name}": told.orders, f"revenue_{name}": np.round(told.revenue, 2)}
            yield pa.table(columns)

    def outcome(self, treatment: Treatment | None, treated: np.ndarray, days: int, *, chance: int = 0) -> Outcome:
        """What all customers would do in the next ``days`` if those ``treated`` (numbers) got the treatment now.

        They meet the chances that they will really meet, or, where ``chance`` is not 0, others. The mean over many such
        is what could be expected of each by whoever knows all but what chance will do.
        """
        return self._outcome(self._who, self._lives, treatment, treated, days, chance=chance)

    def _outcome(
        self,
        who: Traits,
        lives: Lives,
        treatment: Treatment | None,
        treated: np.ndarray,
        days: int,
        *,
        chance: int = 0,
    ) -> Outcome:
        world = replace(self.world, seed=(self.seed + chance * _OTHER_CHANCES) % 2**64)
        return outcome(world, who, lives, day=self.day, days=days, treated=treated, treatment=treatment)

    def _note_coupons(self, who: Traits, orders: Orders) -> None:
        with_coupon = np.flatnonzero(~np.isnan(orders.coupon))
        if not len(with_coupon):
            return
        ids, totals = order_ids(who, orders, self.day), orders.total
        times = order_times(self.world, who, orders, self.day)
        for place in with_coupon:
            code = self._codes.pop(int(who.start + orders.customer[place]), None)
            if code is None:  # of a treatment given without a message
                continue
            discount = round(float(orders.coupon[place]), 2)
            basket = round(float(totals[place]) + discount, 2)
            self._used.append(Used(code, ids[place].as_py(), times[place], basket, discount))

    def _spans(self) -> Iterator[tuple[int, int]]:
        step = BLOCK * self.part_blocks
        for start in range(0, self.customers, step):
            yield start, min(start + step, self.customers)


def _concatenated(parts: Sequence[Any], *left_out: str) -> dict[str, Any]:
    """The arrays of dataclasses of one type, end to end, by field."""
    names = [one.name for one in fields(parts[0]) if one.name not in left_out]
    return {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
