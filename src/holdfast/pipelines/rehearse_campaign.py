"""A campaign on a simulated shop like the real one, before it starts: what it may cost and keep, and whether it shows.

How customers respond is assumed, and told as an assumption; nothing is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from holdfast import proving
from holdfast.campaign.definition import Arm, Campaign
from holdfast.effect.power import detectable
from holdfast.errors import CampaignError
from holdfast.pipelines import canonical
from holdfast.pipelines.planning import Preview
from holdfast.ports import Lake
from holdfast.rules import Shop
from holdfast.simulator.config import ShopConfig
from holdfast.simulator.fit import fitted
from holdfast.simulator.lives import Treatment
from holdfast.simulator.shop import SimulatedShop

CUSTOMERS, HISTORY_DAYS, SEED = 20_000, 140, 1
_Z = 1.96


@dataclass(frozen=True)
class Expected:
    """A figure with the interval in which 95 of 100 such campaigns would end, if the assumptions held."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Foreseen:
    """What an arm may come to: coupons used, their cost with that of the contacts, and customers kept."""

    arm: str
    customers: int
    redemptions: Expected
    cost: Expected
    kept: Expected


@dataclass(frozen=True)
class CampaignRehearsal:
    """A simulated campaign. ``risk`` is the audience's mean probability of churn, real and simulated.

    ``effect`` is the assumed difference in retention of all arms together, ``detectable`` the least that the campaign
    would show with a power of 80 %.
    """

    shop: ShopConfig
    arms: tuple[Foreseen, ...]
    control: int
    risk: tuple[float, float]
    effect: float
    detectable: float


def treatment_of(arm: Arm) -> Treatment:
    """The arm as its customers see it."""
    offer = arm.offer
    if offer is None:
        return Treatment()
    return Treatment(
        discount=float(offer.largest_discount),
        minimum_basket=float(offer.minimum_basket),
        percent=float(offer.percent) if offer.kind == "percent" else None,
        valid_days=offer.valid_days,
    )


def rehearse_campaign(
    lake: Lake, campaign: Campaign, preview: Preview, shop: Shop, assumed: ShopConfig
) -> CampaignRehearsal:
    """The campaign as ``preview`` (with all its treated) would plan it, on a shop with the lake's rhythm and baskets.

    The simulated audience is as likely to churn as the real one, on average. Raises CampaignError when nobody would be
    treated, MissingDataError when the lake has too few orders.
    """
    treated = preview.first
    if treated.empty:
        skipped = "; ".join(f"{count} skipped: {reason}" for reason, count in preview.plan["skipped"].items())
        raise CampaignError(
            f"{campaign.name} would treat nobody of the {preview.plan['audience']} in its audience"
            f"{f' ({skipped})' if skipped else ''}, so there is nothing to rehearse"
        )
    orders, lines = canonical.read(lake, "orders"), canonical.read(lake, "order_lines")
    config = fitted(assumed, orders, lines, shop.name, shop.zone)
    last = orders["ordered_at"].max().tz_convert(shop.timezone).date()
    config = config.model_copy(update={"first_day": last - timedelta(days=HISTORY_DAYS)})
    watched = proving.Watched(SimulatedShop(config, CUSTOMERS, SEED))
    watched.live(HISTORY_DAYS)
    who = watched.active()
    scored = proving.risk(watched, who)
    real = float(treated["probability"].mean())
    order = np.argsort(-scored)
    means = np.cumsum(scored[order]) / np.arange(1, len(order) + 1)
    chosen = order[: max(int(np.argmin(np.abs(means - real))) + 1, min(500, len(order)))]
    audience = who[chosen]
    none = watched.shop.outcome(None, audience, proving.HORIZON_DAYS)
    arms, changes = [], []
    for name, count in preview.plan["arms"].items():
        arm = campaign.arm(name)
        told = watched.shop.outcome(treatment_of(arm), audience, proving.HORIZON_DAYS)
        kept = (told.retained.astype(float) - none.retained)[audience]
        coupon = told.coupon[audience]
        arms.append(
            Foreseen(
                name,
                count,
                _expected((coupon > 0).astype(float), count),
                _expected(coupon + float(arm.cost_per_contact), count),
                _expected(kept, count),
            )
        )
        changes.append((count, float(kept.mean())))
    everyone = sum(count for count, _ in changes)
    retained = float(np.clip(none.retained[audience].mean(), 0.01, 0.99))
    return CampaignRehearsal(
        shop=config,
        arms=tuple(arms),
        control=preview.plan["control"],
        risk=(real, float(scored[chosen].mean())),
        effect=sum(count * mean for count, mean in changes) / everyone,
        detectable=detectable(everyone + preview.plan["control"], campaign.control_share, retained),
    )


def _expected(each: np.ndarray, count: int) -> Expected:
    """The sum over ``count`` customers like these."""
    mean, reach = count * float(each.mean()), _Z * float(np.sqrt(count) * each.std())
    return Expected(mean, mean - reach, mean + reach)
