"""What a simulated shop is like: a validated YAML, ``config/simulator.yaml``."""

from __future__ import annotations

from datetime import date, timedelta
from enum import IntEnum
from typing import Annotated
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from pydantic import Field, field_validator, model_validator

from holdfast.rules import CurrencyCode, Rule, Share, TimeZoneName

Positive = Annotated[float, Field(gt=0)]
AtLeastZero = Annotated[float, Field(ge=0)]
Factor = Annotated[float, Field(gt=0, le=20)]

LABEL = "simulated"
"""The word that the name of every simulated shop must hold."""


class ResponseType(IntEnum):
    """The hidden kinds of customers, by what a message does to whether they stay.

    Source of the four names: E. Siegel, "Uplift modeling", 2011.
    """

    PERSUADABLE = 0
    SURE_THING = 1
    LOST_CAUSE = 2
    DO_NOT_DISTURB = 3


class Response(Rule):
    """How customers of one kind behave once they waver, and what a message changes.

    ``share`` is how many customers are of the kind, ``leaves`` the probability that one who wavers ends up leaving.
    A message brings a wavering one back with probability ``returns`` (that of the strongest treatment), drives one away
    with probability ``annoyed``, and brings a visit within two days with probability ``visits``. Whoever holds a coupon
    and orders uses it with probability ``redeems``. One who wavers visits ``looks`` times as often as before: some stay
    away, others look around and do not buy.
    """

    share: Annotated[float, Field(gt=0, lt=1)]
    leaves: Share
    returns: Share = 0
    annoyed: Share = 0
    visits: Share = 0
    redeems: Share = 0
    looks: Annotated[float, Field(ge=0, le=5)] = 0.3


class Responses(Rule):
    """The four kinds. ``readable`` is how far what customers do tells their kind: 0 not at all, 1 much.

    A message without an offer has the strength ``message`` (of 1); an offer adds to it with its value, two thirds of
    the rest at ``offer_scale`` (in the shop's currency).
    """

    persuadable: Response
    sure_thing: Response
    lost_cause: Response
    do_not_disturb: Response
    readable: AtLeastZero = 1
    message: Share = 0.3
    offer_scale: Positive = 4

    @model_validator(mode="after")
    def _shares_make_one(self) -> Responses:
        total = sum(one.share for one in self.in_order)
        if abs(total - 1) > 1e-6:
            raise ValueError(f"the shares of the four kinds add up to {total:.4g}; make them add up to 1")
        return self

    @property
    def in_order(self) -> tuple[Response, ...]:
        """By ResponseType."""
        return self.persuadable, self.sure_thing, self.lost_cause, self.do_not_disturb

    def column(self, name: str) -> npt.NDArray[np.float64]:
        """A figure of all four kinds, by ResponseType."""
        return np.array([getattr(one, name) for one in self.in_order], dtype=float)


class Rhythm(Rule):
    """How often customers order: the gap between orders (median of all customers, in days) and its spread.

    ``spread`` is the standard deviation of the logarithm of customers' own mean gaps; ``regularity`` is the shape of
    the Weibull distribution of one customer's gaps: 1 is without memory, more is more regular.
    """

    gap_days: Positive = 18
    spread: AtLeastZero = 0.5
    regularity: Annotated[float, Field(ge=0.5, le=5)] = 1.5


class Season(Rule):
    """Factors on how often customers order and visit, by weekday (from Monday) and by month (from January)."""

    weekdays: Annotated[tuple[Factor, ...], Field(min_length=7, max_length=7)] = (1.0,) * 7
    months: Annotated[tuple[Factor, ...], Field(min_length=12, max_length=12)] = (1.0,) * 12

    def factor(self, day: date) -> float:
        return self.weekdays[day.weekday()] * self.months[day.month - 1]


class Basket(Rule):
    """What an order holds: ``lines`` on average (up to 6) of ``products`` products whose prices are log-normal.

    ``margin`` is the share of a sale that the shop keeps; ``sale_discount`` is what a line on sale costs less.
    """

    lines: Annotated[float, Field(ge=1, le=4)] = 2.2
    products: Annotated[int, Field(ge=10, le=100_000)] = 240
    price: Positive = 14
    price_spread: AtLeastZero = 0.6
    margin: Annotated[float, Field(gt=0, le=1)] = 0.35
    sale_discount: Annotated[float, Field(ge=0, lt=1)] = 0.2


class Leaving(Rule):
    """How customers begin to waver and what becomes of it.

    ``wavers_after_days`` is the median time until a loyal customer wavers (``spread`` as in Rhythm), ``wavering_days``
    how long that lasts on average; those who then leave come back, on average, after ``back_after_days``. A wavering
    customer orders ``wavering_activity`` times as often as before. Trouble with an order makes a customer waver
    ``trouble_factor`` times as soon, for ``trouble_days``.
    """

    wavers_after_days: Positive = 110
    spread: AtLeastZero = 0.4
    wavering_days: Positive = 24
    wavering_activity: Share = 0.3
    back_after_days: Positive = 700
    trouble_factor: Annotated[float, Field(ge=1)] = 4
    trouble_days: Annotated[int, Field(ge=1)] = 42


class Browsing(Rule):
    """Visits beside orders: so many ``visits_per_gap`` between two orders; shares of visits with search and cart."""

    visits_per_gap: AtLeastZero = 3
    searches: Share = 0.35
    carts: Share = 0.3


class Voice(Rule):
    """What customers say: shares of orders with trouble, of troubles with a call or a return, of orders reviewed."""

    trouble: Share = 0.05
    calls: Share = 0.7
    returns: Share = 0.4
    reviews: Share = 0.08


class ShopConfig(Rule):
    """A simulated shop.

    ``established`` is the share of customers that are there on ``first_day``; the others join at random within
    ``joining_days``. ``consents`` is the share of customers with consent to e-mail.
    """

    name: Annotated[str, Field(min_length=1, max_length=80)]
    timezone: TimeZoneName
    currency: CurrencyCode
    first_day: date
    established: Annotated[float, Field(gt=0, le=1)] = 0.75
    joining_days: Annotated[int, Field(ge=1)] = 360
    consents: Share = 0.95
    rhythm: Rhythm = Rhythm()
    season: Season = Season()
    basket: Basket = Basket()
    leaving: Leaving = Leaving()
    browsing: Browsing = Browsing()
    voice: Voice = Voice()
    responses: Responses

    @field_validator("name")
    @classmethod
    def _says_what_it_is(cls, name: str) -> str:
        if LABEL not in name.lower():
            raise ValueError(
                f"a simulated shop must not pass for a real one: write 'simulated' into its name, as in "
                f"'{name} (simulated)'"
            )
        return name

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    def calendar_day(self, day: int) -> date:
        """The calendar day of this number; the first is 0."""
        return self.first_day + timedelta(days=day)
