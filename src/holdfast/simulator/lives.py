"""How simulated customers live, a day at a time: loyal, wavering, gone; orders and visits; and what a message does.

The same uniforms serve a customer's day whatever was sent, so that two lives differ by the treatment alone: what a
customer does with and without it are both known.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum

import numpy as np
import numpy.typing as npt
from scipy.special import gamma

from holdfast.simulator.config import Responses, ShopConfig
from holdfast.simulator.draws import Floats, Indices, Purpose, uniforms
from holdfast.simulator.population import Products, Traits, World

MOST_LINES = 6
LONG_AGO = -10_000


class Phase(IntEnum):
    """Where a customer stands with the shop."""

    LOYAL = 0
    WAVERING = 1
    GONE = 2


@dataclass(frozen=True)
class Treatment:
    """One message as the customer sees it.

    ``discount`` is what its coupon takes off (``percent`` of the basket, at most ``discount``, where that is set), on a
    basket of at least ``minimum_basket``, up to and including ``last_day``. Without a coupon it is 0.
    """

    discount: float = 0
    minimum_basket: float = 0
    percent: float | None = None
    valid_days: int = 21

    def strength(self, responses: Responses) -> float:
        """How much it can move a customer, from 0 to 1."""
        offer = 1 - np.exp(-self.discount / responses.offer_scale)
        return float(responses.message + (1 - responses.message) * offer)


@dataclass
class Lives:
    """What may change in customers' lives, an entry a customer; days are numbers from the shop's first.

    ``troubled`` is the day of the last order that went wrong, ``prompted`` the last day on which a message brings a
    visit. The coupon held is good up to ``coupon_until``.
    """

    phase: npt.NDArray[np.uint8]
    last_order: npt.NDArray[np.int32]
    troubled: npt.NDArray[np.int32]
    prompted: npt.NDArray[np.int32]
    coupon_until: npt.NDArray[np.int32]
    coupon_discount: npt.NDArray[np.float32]
    coupon_percent: npt.NDArray[np.float32]
    coupon_minimum: npt.NDArray[np.float32]

    def part(self, start: int, stop: int) -> Lives:
        """The lives of the customers at these places: views, so that what happens to them happens here."""
        return Lives(**{field.name: getattr(self, field.name)[start:stop] for field in fields(self)})

    def copy(self) -> Lives:
        return Lives(**{field.name: getattr(self, field.name).copy() for field in fields(self)})


@dataclass(frozen=True)
class Orders:
    """The orders of a day.

    By order: ``customer`` (place within the traits), ``coupon`` (what it took off; NaN where none was used),
    ``trouble``. By line: ``order`` (place), ``line``, ``product``, ``quantity``, ``discount``,
    ``coupon_discount`` and ``amount`` received.
    """

    customer: Indices
    coupon: Floats
    trouble: npt.NDArray[np.bool_]
    order: Indices
    line: Indices
    product: Indices
    quantity: npt.NDArray[np.int64]
    discount: Floats
    coupon_discount: Floats
    amount: Floats

    @property
    def total(self) -> Floats:
        """What the shop receives for each order."""
        return np.bincount(self.order, self.amount, len(self.customer)).astype(np.float64)


@dataclass(frozen=True)
class Happened:
    """What a day brought: the orders, and the places of those who visited (whoever orders visits as well)."""

    orders: Orders
    visitors: Indices


def newborn(world: World, who: Traits) -> Lives:
    """Lives on the morning of the first day: most are loyal, and have ordered within their own rhythm."""
    u = uniforms(world.seed, Purpose.LIVES, 0, who.span, 2)
    established = who.joined == 0
    phase = np.where(established & (u[0] < 0.12), Phase.WAVERING, Phase.LOYAL)
    n = len(who.joined)
    return Lives(
        phase=phase.astype(np.uint8),
        last_order=np.where(established, -np.ceil(u[1] * who.gap * 1.5), who.joined).astype(np.int32),
        troubled=np.full(n, LONG_AGO, np.int32),
        prompted=np.full(n, LONG_AGO, np.int32),
        coupon_until=np.full(n, LONG_AGO, np.int32),
        coupon_discount=np.zeros(n, np.float32),
        coupon_percent=np.zeros(n, np.float32),
        coupon_minimum=np.zeros(n, np.float32),
    )


def receive(world: World, who: Traits, lives: Lives, *, day: int, at: Indices, what: Treatment) -> None:
    """The customers at these places get the message in the morning of ``day``; their lives change at once.

    A second message on one day meets the same chances as the first.
    """
    responses, kind = world.config.responses, who.kind[at]
    u = uniforms(world.seed, Purpose.RESPONSES, day, who.span, 3, at=at)
    phase = lives.phase[at]
    back = (phase == Phase.WAVERING) & (u[0] < responses.column("returns")[kind] * what.strength(responses))
    off = (phase != Phase.GONE) & ~back & (u[1] < responses.column("annoyed")[kind])
    lives.phase[at] = np.where(back, Phase.LOYAL, np.where(off, Phase.GONE, phase))
    visits = (phase != Phase.GONE) & ~off & (u[2] < responses.column("visits")[kind])
    lives.prompted[at] = np.where(visits, day, lives.prompted[at])
    if what.discount > 0:
        lives.coupon_until[at] = day + what.valid_days
        lives.coupon_discount[at] = what.discount
        lives.coupon_percent[at] = np.nan if what.percent is None else what.percent
        lives.coupon_minimum[at] = what.minimum_basket


def live(world: World, who: Traits, lives: Lives, day: int) -> Happened:
    """One day of these customers' lives: changes ``lives`` and tells what the shop could see of it."""
    config, leaving = world.config, world.config.leaving
    u = uniforms(world.seed, Purpose.LIVES, day + 1, who.span, 5)
    here = who.joined <= day
    _move(config, who, lives, day, u)

    activity = np.array([1, leaving.wavering_activity, 0])[lives.phase] * config.season.factor(config.calendar_day(day))
    shape = config.rhythm.regularity
    scale = who.gap / gamma(1 + 1 / shape)
    since = np.maximum(day - lives.last_order, 0)
    hazard = ((since + 1) / scale) ** shape - (since / scale) ** shape
    joins = who.joined == day
    orders = here & ((joins & (day > 0)) | (u[2] < -np.expm1(-np.minimum(hazard, 3) * activity)))
    bought = _buy(world, who, lives, day, np.flatnonzero(orders))
    lives.last_order[bought.customer] = day
    lives.troubled[bought.customer[bought.trouble]] = day

    looks = np.where(
        lives.phase == Phase.WAVERING, config.responses.column("looks")[who.kind], lives.phase == Phase.LOYAL
    )
    visits = here & (u[3] < who.visits * looks * config.season.factor(config.calendar_day(day)))
    prompted = here & (lives.prompted == day)
    return Happened(bought, np.flatnonzero(visits | prompted | orders))


def _move(config: ShopConfig, who: Traits, lives: Lives, day: int, u: Floats) -> None:
    """From loyal to wavering, from wavering to gone or back, from gone to loyal."""
    leaving, phase = config.leaving, lives.phase.copy()
    troubled = day - lives.troubled <= leaving.trouble_days
    chance = np.where(troubled, np.minimum(who.wavers * leaving.trouble_factor, 1), who.wavers)
    chance = np.where(phase == Phase.WAVERING, 1 / leaving.wavering_days, chance)
    chance = np.where(phase == Phase.GONE, 1 / leaving.back_after_days, chance)
    moves = (u[0] < chance) & (who.joined <= day)
    ends = np.where(u[1] < config.responses.column("leaves")[who.kind], Phase.GONE, Phase.LOYAL)
    after = np.where(phase == Phase.LOYAL, Phase.WAVERING, np.where(phase == Phase.WAVERING, ends, Phase.LOYAL))
    lives.phase[:] = np.where(moves, after, phase)


def _buy(world: World, who: Traits, lives: Lives, day: int, customer: Indices) -> Orders:
    """The orders of the customers at these places, with lines, discounts and any coupon used."""
    basket, goods, n = world.config.basket, world.goods, len(customer)
    u = uniforms(world.seed, Purpose.ORDERS, day, who.span, 3 + 3 * MOST_LINES, at=customer)
    # Lines beyond the first are geometric, by their inverse distribution; the mean is the one asked for.
    more = np.log(u[0]) / np.log(1 - 1 / basket.lines) if basket.lines > 1 else np.zeros(n)
    lines = 1 + np.minimum(np.floor(more), MOST_LINES - 1).astype(np.int64)
    order = np.repeat(np.arange(n), lines)
    line = np.arange(len(order)) - np.repeat(np.cumsum(lines) - lines, lines)
    which, on_sale, pieces = (u[3 + part * MOST_LINES + line, order] for part in range(3))
    buyer = customer[order]
    product = _choose(goods, who.category[buyer], which, line)
    quantity = np.where(pieces < 0.8, 1, np.where(pieces < 0.95, 2, 3))
    listed = goods.price[product] * quantity * who.spend[buyer]
    discount: Floats = np.round(listed * np.where(on_sale < who.sales[buyer], basket.sale_discount, 0.0), 2)
    full: Floats = np.round(listed, 2) - discount
    total = np.bincount(order, full, n).astype(np.float64)
    coupon = _use(world.config, who, lives, day=day, customer=customer, total=total, u=u[1])
    # Rounded down, so that the lines together never take off more than the coupon is good for.
    coupon_discount: Floats = np.floor((np.nan_to_num(coupon) / total)[order] * full * 100) / 100
    taken = np.round(np.bincount(order, coupon_discount, n), 2)
    return Orders(
        customer=customer,
        coupon=np.where(np.isnan(coupon), np.nan, taken),
        trouble=u[2] < world.config.voice.trouble,
        order=order,
        line=line,
        product=product,
        quantity=quantity,
        discount=discount,
        coupon_discount=coupon_discount,
        amount=np.round(full - coupon_discount, 2),
    )


def _choose(goods: Products, favourite: npt.NDArray[np.uint8], which: Floats, line: Indices) -> Indices:
    """A product for each line: mostly of the favourite category, and the earlier ones of the list more often."""
    categories = int(goods.category.max()) + 1
    shelf = len(goods.price) // categories
    # The later digits of a uniform number are uniform, too, and know nothing of the first ones.
    elsewhere, where = which * 1_000 % 1, which * 1_000_000 % 1
    category = np.where(elsewhere < 0.4, (where * categories).astype(np.int64), favourite)
    place = ((which * which * shelf).astype(np.int64) + line) % shelf
    return np.asarray(category + categories * place, dtype=np.int64)


def _use(
    config: ShopConfig, who: Traits, lives: Lives, *, day: int, customer: Indices, total: Floats, u: Floats
) -> Floats:
    """What a coupon takes off each order (NaN: none is used); a used coupon is gone."""
    uses = (day <= lives.coupon_until[customer]) & (total >= lives.coupon_minimum[customer])
    uses &= u < config.responses.column("redeems")[who.kind[customer]]
    most = lives.coupon_discount[customer].astype(float)
    percent = lives.coupon_percent[customer]
    off = np.where(np.isnan(percent), most, np.minimum(most, total * percent / 100))
    used = customer[uses]
    lives.coupon_until[used] = LONG_AGO
    return np.where(uses, np.round(np.minimum(off, total), 2), np.nan)
