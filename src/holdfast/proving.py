"""What the readout achieves on shops whose truth is known, over many seeds; pure.

What customers do, and what the shop can see of it, is the simulator's; experiments are read by ``holdfast.effect`` as a
real campaign's are. Nothing hidden reaches either but for the comparison at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from holdfast.campaign.assignment import draw
from holdfast.campaign.definition import CONTROL
from holdfast.effect.estimate import CONFIDENCE, Effect, compare
from holdfast.effect.readout import ADJUSTED_BY
from holdfast.effect.sequence import looks
from holdfast.simulator.config import ShopConfig
from holdfast.simulator.lives import Treatment
from holdfast.simulator.shop import SimulatedShop
from holdfast.simulator.truth import Outcome

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

COUPON, REMINDER = Treatment(discount=5, minimum_basket=20), Treatment()
CONTACT_COST = 0.02
HORIZON_DAYS, ACTIVE_DAYS = 28, 56
_Z = 1.96
FEATURES = (
    "days_since_order",
    "gap",
    "overdue",
    "orders_28d",
    "orders_84d",
    "visits_14d",
    "visits_28d",
    "visits_84d",
    "visits_per_order",
    "visits_since_order",
    "days_since_visit",
    "revenue_84d",
    "order_value",
    "sale_share",
    "coupons",
    "tenure",
)
"""What the shop's own files tell of a customer, in the manner of Holdfast's catalogue."""


@dataclass
class Watched:
    """A shop and what its files have told so far: a row a day in each matrix, a column a customer."""

    shop: SimulatedShop
    orders: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    visits: list[npt.NDArray[np.bool_]] = field(default_factory=list)
    revenue: list[Floats] = field(default_factory=list)
    off: list[Floats] = field(default_factory=list)
    coupon: list[Floats] = field(default_factory=list)

    def live(self, days: int) -> None:
        """So many further days."""
        n = self.shop.customers
        for _ in range(days):
            ordered, visited, paid, off, coupon = np.zeros(n, bool), np.zeros(n, bool), *np.zeros((3, n))
            for who, happened in self.shop.pass_day():
                bought = happened.orders
                at = who.start + bought.customer
                ordered[at], paid[at], coupon[at] = True, bought.total, np.nan_to_num(bought.coupon)
                off[at] = np.bincount(bought.order, bought.discount, len(at))
                visited[who.start + happened.visitors] = True
            for kept, today in zip(
                (self.orders, self.visits, self.revenue, self.off, self.coupon),
                (ordered, visited, paid, off, coupon),
                strict=True,
            ):
                kept.append(today)  # type: ignore[attr-defined]  # the lists differ in their arrays' type

    def active(self) -> Indices:
        """The customers who ordered within the last ``ACTIVE_DAYS`` days."""
        return np.flatnonzero(np.any(self.orders[-ACTIVE_DAYS:], axis=0))

    def features(self, who: Indices, until: int) -> pd.DataFrame:
        """``FEATURES`` of these customers as of the morning of day ``until``, and customer_id."""
        orders = np.array([day[who] for day in self.orders[:until]])
        visits, revenue, off, coupon = (
            np.array([day[who] for day in kept[max(0, until - 84) : until]])
            for kept in (self.visits, self.revenue, self.off, self.coupon)
        )
        first = orders.argmax(axis=0)
        count = np.maximum(orders.sum(axis=0), 1)
        since = orders[::-1].argmax(axis=0) + 1.0
        gap = (until - first) / count
        orders_84 = orders[-84:].sum(axis=0)
        paid = revenue.sum(axis=0)
        columns = (
            since,
            gap,
            since / gap,
            orders[-28:].sum(axis=0),
            orders_84,
            visits[-14:].sum(axis=0),
            visits[-28:].sum(axis=0),
            visits.sum(axis=0),
            visits.sum(axis=0) / np.maximum(orders_84, 1),
            (visits[::-1] & (np.arange(len(visits))[:, None] < since - 1)).sum(axis=0),
            np.where(visits.any(axis=0), visits[::-1].argmax(axis=0) + 1.0, len(visits)),
            paid,
            paid / np.maximum(orders_84, 1),
            off.sum(axis=0) / np.maximum(paid + off.sum(axis=0), 1),
            (coupon > 0).sum(axis=0),
            until - first,
        )
        told = pd.DataFrame(dict(zip(FEATURES, columns, strict=True))).astype(float)
        return told.assign(customer_id=[f"sim-{one}" for one in who])

    def outcomes(self, who: Indices, start: int, days: int = HORIZON_DAYS) -> pd.DataFrame:
        """What these customers did in the ``days`` from day ``start`` on, and before it, as a readout takes it."""
        margin = self.shop.config.basket.margin
        inside, before = slice(start, start + days), slice(max(0, start - days), start)
        orders = np.array([day[who] for day in self.orders[inside]])
        told = pd.DataFrame({"customer_id": [f"sim-{one}" for one in who]})
        for suffix, span in (("", inside), ("_before", before)):
            told[f"orders{suffix}"] = np.sum([day[who] for day in self.orders[span]], axis=0).astype(float)
            told[f"retained{suffix}"] = (told[f"orders{suffix}"] > 0).astype(float)
            told[f"revenue{suffix}"] = np.sum([day[who] for day in self.revenue[span]], axis=0)
            told[f"visited{suffix}"] = np.any([day[who] for day in self.visits[span]], axis=0).astype(float)
        discount = np.sum([day[who] for day in self.coupon[inside]], axis=0)
        told["discount"] = discount
        told["net"] = margin * told["revenue"] - (1 - margin) * discount
        told["days_to_order"] = np.where(orders.any(axis=0), orders.argmax(axis=0) + 0.5, np.nan)
        return told


def risk(watched: Watched, who: Indices, days: int = HORIZON_DAYS) -> Floats:
    """Each customer's probability of no order within so many ``days``, learned from those that have just passed."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    then = watched.shop.day - days
    known = np.flatnonzero(np.any(watched.orders[then - ACTIVE_DAYS : then], axis=0))
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(watched.features(known, then)[list(FEATURES)], watched.outcomes(known, then, days)["retained"] == 0)
    scored: Floats = model.predict_proba(watched.features(who, watched.shop.day)[list(FEATURES)])[:, 1]
    return scored


@dataclass(frozen=True)
class Trialled:
    """One experiment beside its truth.

    ``effects`` are what was measured (by outcome), ``true`` the mean of what the treatment changes for the very
    customers who were in it. ``claimed`` is whether, without any effect, looking at the confidence sequence every day
    would have claimed one; ``naive`` the same of a 95 % interval looked at every day.
    """

    seed: int
    customers: int
    effects: Mapping[str, Effect]
    true: Mapping[str, float]
    claimed: bool
    naive: bool


def experiments(config: ShopConfig, seed: int, shops: int, customers: int, history_days: int) -> Iterator[Trialled]:
    """``shops`` experiments on as many disjoint groups of ``customers``, all active customers of each drawn by hash.

    Half get the coupon. A quarter is the control, and another quarter gets nothing under another name: between those
    two there is no effect.
    """
    watched = Watched(SimulatedShop(config, shops * customers, seed))
    watched.live(history_days)
    shop, who, start = watched.shop, watched.active(), watched.shop.day
    scored = risk(watched, who)
    drawn = draw(f"proof-{seed}", [f"sim-{one}" for one in who], 0.25, ["coupon", "nothing"], np.array([[2.0, 1.0]]))
    treated = who[drawn.arm == "coupon"]
    without, with_it = (shop.outcome(what, who, HORIZON_DAYS) for what in (None, COUPON))
    gain = {
        "retained": (with_it.retained.astype(float) - without.retained)[who],
        "net": net_of(with_it, config)[who] - net_of(without, config)[who],
    }
    shop.receive([(int(one), COUPON, None) for one in treated])
    watched.live(HORIZON_DAYS)
    rows = watched.outcomes(who, start).assign(arm=drawn.arm, probability=scored, value=0.0)
    rows["net"] -= CONTACT_COST * (rows["arm"] == "coupon")
    for shop_number in range(shops):
        mine = who // customers == shop_number
        yield _trialled(seed, rows[mine], {name: float(of[mine].mean()) for name, of in gain.items()})


def _trialled(seed: int, rows: pd.DataFrame, true: Mapping[str, float]) -> Trialled:
    rows = rows.assign(propensity=0.5)
    untreated, treated = rows[rows["arm"] != "coupon"], rows[rows["arm"] == "coupon"]
    effects = {name: compare(untreated, treated, name, ADJUSTED_BY) for name in true}
    control = untreated[untreated["arm"] == CONTROL]
    nothing = untreated[untreated["arm"] == "nothing"]
    seen = looks({"nothing": nothing}, {"nothing": control}, HORIZON_DAYS, 1 - CONFIDENCE)
    return Trialled(
        seed,
        len(rows),
        {name: one for name, one in effects.items() if one is not None},
        true,
        claimed=any(look.low > 0 or look.high < 0 for look in seen),
        naive=_peeked(untreated),
    )


def _peeked(rows: pd.DataFrame) -> bool:
    """Whether a plain 95 % interval, looked at every day, excludes zero on any."""
    control, other = (rows[rows["arm"] == arm]["days_to_order"].to_numpy() for arm in (CONTROL, "nothing"))
    for day in range(1, HORIZON_DAYS + 1):
        shares = [(one < day).mean() for one in (control, other)]
        error = np.sqrt(sum(p * (1 - p) / len(one) for p, one in zip(shares, (control, other), strict=True)))
        if error > 0 and abs(shares[1] - shares[0]) > _Z * error:
            return True
    return False


def net_of(told: Outcome, config: ShopConfig) -> Floats:
    return told.net(config.basket.margin)


@dataclass(frozen=True)
class Share:
    """A share with its 95 % interval (Wilson's, or by resampling seeds), and over how many cases."""

    value: float
    low: float
    high: float
    cases: int


def coverage(done: Sequence[Trialled]) -> dict[str, Share]:
    """How often the interval covered the truth, by outcome; and how often an effect was claimed where there is none.

    The truth of ``retained`` and ``net`` is the mean effect on all customers of all seeds: a campaign's own customers
    are a sample of them. ``OUTCOME, own customers`` takes each campaign's own true effect instead.
    """
    told: dict[str, Share] = {}
    for name in done[0].true:
        mean = float(np.average([one.true[name] for one in done], weights=[one.customers for one in done]))
        measured = [(one.effects[name], one.true[name]) for one in done if name in one.effects]
        told[name] = _wilson([effect.low <= mean <= effect.high for effect, _ in measured])
        told[f"{name}, own customers"] = _wilson([effect.low <= own <= effect.high for effect, own in measured])
    told["false claims, confidence sequence"] = _wilson([one.claimed for one in done])
    told["false claims, plain interval looked at daily"] = _wilson([one.naive for one in done])
    return told


def _wilson(hits: Sequence[bool]) -> Share:
    """Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927."""
    n, z = len(hits), _Z
    p = sum(hits) / n
    middle, half = (p + z * z / (2 * n)) / (1 + z * z / n), z / (1 + z * z / n)
    reach = half * float(np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)))
    return Share(p, middle - reach, middle + reach, n)
