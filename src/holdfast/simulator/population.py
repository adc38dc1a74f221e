"""Who the simulated customers are: traits for life, among them the hidden kind, and the products they buy."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from holdfast.simulator.config import Basket, Responses, ResponseType, ShopConfig
from holdfast.simulator.draws import BLOCK, Floats, Purpose, uniforms

CATEGORIES = ("Kitchen", "Garden", "Books", "Toys", "Bath", "Office", "Sports", "Pets")

_CALIBRATION_SEED = 0
_LONGEST_GAP = 120.0


@dataclass(frozen=True)
class Traits:
    """What customers ``[start, stop)`` are like, an entry a customer.

    ``joined`` is the day of the first order (0 and before: there already); ``kind`` a ResponseType, never told to the
    product; ``gap`` the mean days between orders; ``wavers`` the daily probability of beginning to waver; ``sales`` the
    share of lines bought on sale; ``visits`` the daily probability of a visit; ``spend`` a factor on prices; ``hour``
    the favourite hour; ``category`` the favourite one; ``consents`` whether e-mail is agreed to.
    """

    start: int
    joined: npt.NDArray[np.int32]
    kind: npt.NDArray[np.uint8]
    gap: npt.NDArray[np.float32]
    wavers: npt.NDArray[np.float32]
    sales: npt.NDArray[np.float32]
    visits: npt.NDArray[np.float32]
    spend: npt.NDArray[np.float32]
    hour: npt.NDArray[np.uint8]
    category: npt.NDArray[np.uint8]
    consents: npt.NDArray[np.bool_]

    @property
    def stop(self) -> int:
        return self.start + len(self.joined)

    @property
    def span(self) -> tuple[int, int]:
        return self.start, self.stop

    def part(self, start: int, stop: int) -> Traits:
        """The traits of the customers ``[start, stop)``, which must be among these."""
        places = slice(start - self.start, stop - self.start)
        arrays = {one.name: getattr(self, one.name)[places] for one in fields(self) if one.name != "start"}
        return Traits(start=start, **arrays)


def traits(config: ShopConfig, seed: int, start: int, stop: int) -> Traits:
    """The traits of the customers ``[start, stop)``."""
    u = uniforms(seed, Purpose.TRAITS, 0, (start, stop), 11)
    rhythm, leaving = config.rhythm, config.leaving
    gaps, sales, browsing = ndtri(u[0]), ndtri(u[1]), ndtri(u[2])
    gap = np.clip(rhythm.gap_days * np.exp(rhythm.spread * gaps), 1.5, _LONGEST_GAP)
    half_life = leaving.wavers_after_days * np.exp(leaving.spread * ndtri(u[3]))
    visits = config.browsing.visits_per_gap * np.exp(0.5 * browsing) / gap
    joined = np.where(u[5] < config.established, 0, np.ceil(u[6] * config.joining_days))
    return Traits(
        start=start,
        joined=joined.astype(np.int32),
        kind=_kinds(config.responses, gaps, sales, browsing, u[4]),
        gap=gap.astype(np.float32),
        wavers=(1 - 0.5 ** (1 / half_life)).astype(np.float32),
        sales=(0.8 * ndtr(sales)).astype(np.float32),
        visits=np.minimum(visits, 0.9).astype(np.float32),
        spend=np.exp(0.35 * ndtri(u[7])).astype(np.float32),
        hour=(8 + 13 * u[8]).astype(np.uint8),
        category=(u[9] * len(CATEGORIES)).astype(np.uint8),
        consents=u[10] < config.consents,
    )


@dataclass(frozen=True)
class Products:
    """The shop's products, an entry a product: list price (to the cent) and category (an index of CATEGORIES)."""

    price: Floats
    category: npt.NDArray[np.uint8]


def products(basket: Basket, seed: int) -> Products:
    """The products; the categories take turns, so that each has its share."""
    u = uniforms(seed, Purpose.PRODUCTS, 0, (0, basket.products), 1)[0]
    price = np.round(basket.price * np.exp(basket.price_spread * ndtri(u)), 2)
    return Products(np.maximum(price, 0.5), (np.arange(basket.products) % len(CATEGORIES)).astype(np.uint8))


@dataclass(frozen=True)
class World:
    """What all customers share: the configuration, the seed and the products."""

    config: ShopConfig
    seed: int
    goods: Products

    @classmethod
    def of(cls, config: ShopConfig, seed: int) -> World:
        return cls(config, seed, products(config.basket, seed))


def _kinds(responses: Responses, gaps: Floats, sales: Floats, browsing: Floats, u: Floats) -> npt.NDArray[np.uint8]:
    """Each customer's kind, drawn by its share and by how readable it is from rhythm, sales and browsing."""
    odds = np.exp(_leanings(responses.readable, gaps, sales, browsing) + np.array(_intercepts(responses))[:, None])
    below = np.cumsum(odds / odds.sum(axis=0), axis=0)
    return np.asarray(np.minimum((u >= below).sum(axis=0), len(ResponseType) - 1), dtype=np.uint8)


def _leanings(readable: float, gaps: Floats, sales: Floats, browsing: Floats) -> Floats:
    """How much more likely each kind (a row) is by what can be seen: log odds, before the shares."""
    rows = {
        ResponseType.PERSUADABLE: sales,  # who looks for a bargain
        ResponseType.SURE_THING: -0.7 * gaps,  # who orders often
        ResponseType.LOST_CAUSE: 0.7 * gaps,  # who orders rarely
        ResponseType.DO_NOT_DISTURB: -browsing,  # who comes only to buy
    }
    return readable * np.stack([rows[kind] for kind in ResponseType])


@lru_cache(maxsize=8)
def _intercepts(responses: Responses) -> tuple[float, ...]:
    """The log odds that give each kind its share of all customers, found on one block of invented customers."""
    z = ndtri(uniforms(_CALIBRATION_SEED, Purpose.TRAITS, 0, (0, BLOCK), 3))
    leanings, shares = _leanings(responses.readable, *z), responses.column("share")
    intercepts = np.log(shares)
    for _ in range(100):
        odds = np.exp(leanings + intercepts[:, None])
        intercepts = intercepts + np.log(shares) - np.log((odds / odds.sum(axis=0)).mean(axis=1))
    return tuple(intercepts)
