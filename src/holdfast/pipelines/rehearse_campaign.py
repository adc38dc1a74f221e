"""A campaign on a simulated shop like the real one, before it starts: what it may cost and keep, and whether it shows.

How customers respond is assumed, and corrected by what finished campaigns measured; nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from holdfast import proving
from holdfast.campaign.definition import Arm, Campaign
from holdfast.effect.belief import Belief, updated
from holdfast.effect.power import detectable
from holdfast.pipelines import canonical
from holdfast.pipelines.planning import Preview, refuse_nobody
from holdfast.pipelines.responses import Measured, measured
from holdfast.ports import Lake, Operations
from holdfast.rules import Shop
from holdfast.simulator.config import ShopConfig
from holdfast.simulator.fit import Fitted, fitted
from holdfast.simulator.lives import Treatment
from holdfast.simulator.shop import SimulatedShop
from holdfast.simulator.truth import Outcome

CUSTOMERS, SEED = 20_000, 1
LOOKBACK_DAYS = 112  # what the probability of churn is learned from looks back 84; four weeks let the shop begin
_Z = 1.96
_FEWEST = 500
_LEAST = 0.02
"""An assumed effect may always be wrong by 2 points, an assumed redemption by 2 % of the largest discount."""


@dataclass(frozen=True)
class Expected:
    """A figure with the interval in which 95 of 100 such campaigns would end, if what it rests on holds."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Evidence:
    """What a figure of an arm rests on beside the assumption.

    ``own`` runs gave this very arm with this very offer; ``others`` measured other arms, and on the whole found
    ``scale`` times what is assumed of those.
    """

    own: int
    others: int
    scale: float


@dataclass(frozen=True)
class Foreseen:
    """What an arm may come to: coupons used, their cost with that of the contacts, and customers kept.

    ``effect`` is its effect on the share retained, ``assumed`` what that would be by the assumption alone.
    """

    arm: str
    customers: int
    redemptions: Expected
    cost: Expected
    kept: Expected
    effect: float
    assumed: float
    evidence: Evidence


@dataclass(frozen=True)
class CampaignRehearsal:
    """A simulated campaign. ``risk`` is the audience's mean probability of churn, real and simulated.

    ``effect`` is the expected difference in retention within ``days`` of all arms together, ``detectable`` the least
    that the campaign would show with a power of 80 %.
    """

    shop: Fitted
    days: int
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
    lake: Lake,
    operations: Operations,
    campaign: Campaign,
    preview: Preview,
    *,
    shop: Shop,
    horizon_days: int,
    assumed: ShopConfig,
) -> CampaignRehearsal:
    """The campaign as ``preview`` (with all its treated) would plan it, on a shop with the lake's rhythm and baskets.

    Churn, and what an arm is assumed and was measured to do, are those within the label's ``horizon_days``.
    The simulated audience is as likely to churn as the real one, on average. What is assumed of an arm is first scaled
    by what other arms were measured to do, then moved towards what its own runs measured, each as far as its standard
    error allows. Raises CampaignError when nobody would be treated, MissingDataError when the lake has too few orders.
    """
    refuse_nobody(preview)
    orders, lines = canonical.read(lake, "orders"), canonical.read(lake, "order_lines")
    like = fitted(assumed, orders, lines, shop.name, shop.zone)
    last = orders["ordered_at"].max().tz_convert(shop.timezone).date()
    config = like.config.model_copy(update={"first_day": last - timedelta(days=LOOKBACK_DAYS + horizon_days)})
    stage = _Stage.of(config, horizon_days)
    known = [_Held.of(one, stage) for one in measured(lake, operations, horizon_days)]
    real = float(preview.first["probability"].mean())
    audience = stage.as_likely(real)
    arms = tuple(
        _foreseen(campaign.name, campaign.arm(name), count, stage=stage, audience=audience, known=known)
        for name, count in preview.plan["arms"].items()
    )
    everyone = sum(one.customers for one in arms)
    retained = float(np.clip(stage.lived(None).retained[audience].mean(), 0.01, 0.99))
    return CampaignRehearsal(
        shop=Fitted(config, like.months_alike),
        days=horizon_days,
        arms=arms,
        control=preview.plan["control"],
        risk=(real, float(stage.risk[np.isin(stage.who, audience)].mean())),
        effect=sum(one.customers * one.effect for one in arms) / everyone,
        detectable=detectable(everyone + preview.plan["control"], campaign.control_share, retained),
    )


@dataclass(frozen=True)
class _Stage:
    """A simulated shop on the day of the campaign: its active customers ``who``, the likeliest to churn first.

    ``lives`` remembers what all of them would do within ``days`` under each treatment that was asked for.
    """

    shop: SimulatedShop
    days: int
    who: proving.Indices
    risk: proving.Floats
    lives: dict[Treatment | None, Outcome]

    @classmethod
    def of(cls, config: ShopConfig, days: int) -> _Stage:
        watched = proving.Watched(SimulatedShop(config, CUSTOMERS, SEED))
        watched.live(LOOKBACK_DAYS + days)
        who = watched.active()
        risk = proving.risk(watched, who, days)
        order = np.argsort(-risk)
        return cls(watched.shop, days, who[order], risk[order], {})

    def lived(self, treatment: Treatment | None) -> Outcome:
        if treatment not in self.lives:
            self.lives[treatment] = self.shop.outcome(treatment, self.who, self.days)
        return self.lives[treatment]

    def as_likely(self, risk: float) -> proving.Indices:
        """The riskiest customers, so many that they are this likely to churn on average."""
        means = np.cumsum(self.risk) / np.arange(1, len(self.risk) + 1)
        return self.who[: max(int(np.argmin(np.abs(means - risk))) + 1, min(_FEWEST, len(self.who)))]

    def kept(self, treatment: Treatment, audience: proving.Indices) -> proving.Floats:
        """What the treatment changes in each of the audience: 1 for one kept, -1 for one driven away."""
        changed: proving.Floats = self.lived(treatment).retained.astype(float) - self.lived(None).retained
        return changed[audience]


@dataclass(frozen=True)
class _Held:
    """A measured arm beside what is assumed of it, on an audience as likely to churn as its control was."""

    measured: Measured
    retained: float
    discount: float

    @classmethod
    def of(cls, one: Measured, stage: _Stage) -> _Held:
        treatment, audience = treatment_of(one.arm), stage.as_likely(one.churn)
        kept, coupons = stage.kept(treatment, audience), stage.lived(treatment).coupon[audience]
        return cls(one, float(kept.mean()), float(coupons.mean()))


def _foreseen(
    campaign: str, arm: Arm, count: int, *, stage: _Stage, audience: proving.Indices, known: Sequence[_Held]
) -> Foreseen:
    treatment = treatment_of(arm)
    kept, coupon = stage.kept(treatment, audience), stage.lived(treatment).coupon[audience]
    own = [one.measured for one in known if _is_the_same(one.measured, campaign, arm)]
    others = [one for one in known if one.retained != 0 and not _is_the_same(one.measured, campaign, arm)]
    scale = _scale([(one.measured.retained, one.retained) for one in others])
    retained = _believed(float(kept.mean()), scale, [one.retained for one in own], _LEAST)
    discount = _believed(
        float(coupon.mean()),
        _scale([(one.measured.discount, one.discount) for one in others if one.measured.discount is not None]),
        [one.discount for one in own if one.discount is not None],
        _LEAST * treatment.discount,
    )
    used = coupon[coupon > 0] if (coupon > 0).any() else np.array([max(treatment.discount, 1.0)])
    each, contact = float(used.mean()), float(arm.cost_per_contact)
    share = float(np.clip(discount.mean / each, 0, 1))
    spread = float(np.sqrt(max(share * float((used**2).mean()) - (share * each) ** 2, 0.0)))
    return Foreseen(
        arm=arm.name,
        customers=count,
        redemptions=_expected(count, Belief(share, discount.sd / each), float(np.sqrt(share * (1 - share)))),
        cost=_expected(count, Belief(share * each + contact, discount.sd), spread),
        kept=_expected(count, retained, float(kept.std())),
        effect=retained.mean,
        assumed=float(kept.mean()),
        evidence=Evidence(len(own), len(others), scale.mean),
    )


def _is_the_same(one: Measured, campaign: str, arm: Arm) -> bool:
    """Whether it was this arm of this campaign, with the offer that it has now."""
    return (one.campaign, one.arm.name) == (campaign, arm.name) and treatment_of(one.arm) == treatment_of(arm)


def _scale(others: Sequence[tuple[Belief, float]]) -> Belief:
    """How many times what is assumed was measured, of pairs of both. The assumption may be wrong by all that it says.

    Without any pair it is 1, and beyond doubt: then everything is told under the assumption.
    """
    ratios = [Belief(one.mean / assumed, one.sd / abs(assumed)) for one, assumed in others if assumed != 0]
    return updated(Belief(1, 1), ratios) if ratios else Belief(1, 0)


def _believed(assumed: float, scale: Belief, own: Sequence[Belief], least: float) -> Belief:
    """The assumed figure, scaled, and moved by ``own`` measurements. It may be wrong by its own size, or ``least``."""
    mean = scale.mean * assumed
    if not own:
        return Belief(mean, scale.sd * abs(assumed))
    return updated(Belief(mean, max(abs(mean), least)), own)


def _expected(count: int, mean: Belief, spread: float) -> Expected:
    """The sum over ``count`` customers; each differs by ``spread``, and the mean is known as far as its sd says."""
    value, reach = count * mean.mean, _Z * float(np.sqrt(count * spread**2 + (count * mean.sd) ** 2))
    return Expected(value, value - reach, value + reach)
