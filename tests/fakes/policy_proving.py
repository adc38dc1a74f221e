"""What learned policies bring on shops whose truth is known, beside others and beside those who know; pure.

Policies learn as production does: the effect on retention, valued by what the customer would spend if kept, less what
the arm costs. Nothing hidden reaches them; the truth is for the comparison at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from holdfast.campaign.assignment import draw
from holdfast.campaign.definition import CONTROL
from holdfast.effect.bases import fit_trees
from holdfast.effect.learners import learner
from holdfast.effect.randomised import Randomised
from holdfast.effect.uplift_evaluation import fit_arms
from holdfast.effect.uplift_gate import at_random, by_merit, policy_of
from holdfast.proving import (
    CONTACT_COST,
    COUPON,
    FEATURES,
    HORIZON_DAYS,
    REMINDER,
    Floats,
    Indices,
    Share,
    Watched,
    net_of,
    risk,
)
from holdfast.simulator.config import ResponseType, ShopConfig
from holdfast.simulator.lives import Phase
from holdfast.simulator.shop import SimulatedShop

TREATMENTS = {"coupon": COUPON, "reminder": REMINDER}
_CHANCES = {name: np.full(1, 1 / 3) for name in (CONTROL, *TREATMENTS)}


@dataclass(frozen=True)
class Policies:
    """What each policy brings at one campaign, in money, by its name; and churn of persuadables without and with it.

    ``share`` is how much of the audience each may treat. ``churn`` is by policy ("nobody" among them), for persuadables
    who waver, and ``churn_all`` for all persuadables.
    """

    seed: int
    share: float
    audience: int
    net: Mapping[str, float]
    churn: Mapping[str, float]
    churn_all: Mapping[str, float]


@dataclass(frozen=True)
class Taught:
    """A shop after so many randomised campaigns, and what they tell: a row a customer and campaign.

    ``evidence`` has customer_id, arm, ``FEATURES``, and of the horizon retained, revenue and the coupon's discount.
    """

    watched: Watched
    evidence: pd.DataFrame


def taught(config: ShopConfig, seed: int, *, customers: int, history_days: int, campaigns: int) -> Taught:
    """So many campaigns, each a third of the active customers the coupon, a third the reminder, a third nothing."""
    watched = Watched(SimulatedShop(config, customers, seed))
    watched.live(history_days)
    shop, evidence = watched.shop, []
    for number in range(campaigns):
        who, start = watched.active(), shop.day
        known = watched.features(who, start)
        drawn = draw(f"{seed}-{number}", known["customer_id"].tolist(), 1 / 3, list(TREATMENTS), np.ones((1, 2)))
        for name, treatment in TREATMENTS.items():
            shop.receive([(int(one), treatment, None) for one in who[drawn.arm == name]])
        watched.live(HORIZON_DAYS)
        became = watched.outcomes(who, start)[["retained", "revenue", "discount"]]
        evidence.append(known.assign(arm=drawn.arm, **became))
    return Taught(watched, pd.concat(evidence, ignore_index=True))


def learned_policies(
    shop: Taught, *, shares: Sequence[float], learners: Sequence[str], knowing: Mapping[str, Oracle]
) -> list[Policies]:
    """Let each policy treat each of ``shares`` of the audience that is active now.

    What the policies bring is the sum of what their treatments change, by the truth.
    """
    watched, evidence = shop.watched, shop.evidence
    who = watched.active()
    audience = watched.features(who, watched.shop.day)
    worth = _worth(evidence, audience, watched.shop.config.basket.margin)
    coupons = evidence.loc[evidence["arm"] == "coupon", "discount"]
    costs = {"coupon": CONTACT_COST + float(coupons.mean()), "reminder": CONTACT_COST}
    on = Randomised.of(evidence, features=FEATURES, outcome="retained", chances=_CHANCES, binary=True, costs=costs)
    then = Randomised.of(
        audience.assign(arm=CONTROL, retained=0.0),
        features=FEATURES,
        outcome="retained",
        chances=_CHANCES,
        binary=True,
        worth=worth,
        costs=costs,
    )
    effects = {name: np.column_stack([one(then.values) for one in fit_arms(learner(name), on)]) for name in learners}
    probability = risk(watched, who)
    # An oracle's gains are money already.
    money = Randomised.of(
        audience.assign(arm=CONTROL, net=0.0), features=FEATURES, outcome="net", chances=_CHANCES, binary=False
    )
    gains = {name: one.gains(watched, who) for name, one in knowing.items()}
    truth = _Truth.of(watched, who)
    return [
        truth.of_policies(
            share,
            {
                "nobody": at_random(then, 0.0),
                "random": at_random(then, share),
                "top risk": by_merit(then, probability, share),
                "value at risk": by_merit(then, probability * worth, share),
                **{name: policy_of(money, found, share) for name, found in gains.items()},
                **{name: policy_of(then, found, share) for name, found in effects.items()},
            },
        )
        for share in shares
    ]


def _worth(evidence: pd.DataFrame, audience: pd.DataFrame, margin: float) -> Floats:
    """What the shop keeps of each customer's spend within the horizon if they buy at all, learned from who did."""
    bought = evidence[evidence["revenue"] > 0]
    values, revenue = bought[list(FEATURES)].to_numpy(float), bought["revenue"].to_numpy(float)
    spend = fit_trees(values, revenue, np.ones(len(bought)), False).predict(audience[list(FEATURES)].to_numpy(float))
    return margin * spend


@dataclass(frozen=True)
class _Truth:
    """What each customer brings (``net``) and whether they are lost, under control and each treatment (a column each).

    ``persuadable`` and ``wavering`` tell who is of that kind, and who of these wavers now.
    """

    seed: int
    net: Floats
    lost: Floats
    persuadable: npt.NDArray[np.bool_]
    wavering: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, watched: Watched, who: Indices) -> _Truth:
        shop = watched.shop
        outcomes = [shop.outcome(what, who, HORIZON_DAYS) for what in (None, *TREATMENTS.values())]
        costs = (0.0, *(CONTACT_COST for _ in TREATMENTS))
        persuadable = shop.who.kind[who] == ResponseType.PERSUADABLE
        return cls(
            shop.seed,
            np.column_stack([net_of(one, shop.config)[who] - cost for one, cost in zip(outcomes, costs, strict=True)]),
            np.column_stack([1.0 - one.retained[who] for one in outcomes]),
            persuadable,
            persuadable & (shop.lives.phase[who] == Phase.WAVERING),
        )

    def of_policies(self, share: float, policies: Mapping[str, Floats]) -> Policies:
        """What policies (probabilities of control and the treatments, a row a customer) bring."""
        gained = self.net - self.net[:, :1]
        return Policies(
            self.seed,
            share,
            len(self.net),
            {name: float((one * gained).sum()) for name, one in policies.items()},
            {name: float((one * self.lost)[self.wavering].sum()) for name, one in policies.items()},
            {name: float((one * self.lost)[self.persuadable].sum()) for name, one in policies.items()},
        )


@dataclass(frozen=True)
class Oracle:
    """Knows what each treatment brings on average to customers alike: the truth of other shops, told by no experiment.

    One that is ``seeing`` knows of a customer what the shop's files tell, as a learner does; the other also knows the
    hidden kind and state. Neither knows what chance will do: nobody could. ``models`` has a regression a treatment, of
    a finite number of customers: the seeing one is a yardstick, not a limit.
    """

    seeing: bool
    models: Sequence[Any]

    def gains(self, watched: Watched, who: Indices) -> Floats:
        """What the coupon and the reminder (a column each) bring on average to each of these customers."""
        state = _state(watched, who, self.seeing)
        return np.column_stack([model.predict(state) for model in self.models])


def oracles(shops: Iterable[Watched]) -> dict[str, Oracle]:
    """The ``oracle`` and the ``seeing oracle``, from the truth of shops with the same past as those to be judged."""
    from lightgbm import LGBMRegressor

    states: dict[bool, list[Floats]] = {False: [], True: []}
    gains = []
    for watched in shops:
        who = watched.active()
        for seeing, told in states.items():
            told.append(_state(watched, who, seeing))
        net = _Truth.of(watched, who).net
        gains.append(net[:, 1:] - net[:, :1])
    gain = np.concatenate(gains)

    def fitted(seeing: bool) -> Oracle:
        # Flat trees: most of what a single customer's two lives differ by is chance.
        new = partial(
            LGBMRegressor, n_estimators=100, num_leaves=15, min_child_samples=300, learning_rate=0.05, n_jobs=1
        )
        state = np.concatenate(states[seeing])
        return Oracle(seeing, [new(verbose=-1).fit(state, column) for column in gain.T])

    return {"oracle": fitted(False), "seeing oracle": fitted(True)}


def _state(watched: Watched, who: Indices, seeing: bool) -> Floats:
    shop, traits, lives = watched.shop, watched.shop.who, watched.shop.lives
    if seeing:
        return watched.features(who, shop.day)[list(FEATURES)].to_numpy(float)
    since = shop.day - lives.last_order[who]
    held = np.maximum(lives.coupon_until[who] - shop.day, -1)
    hidden = (traits.kind, lives.phase, traits.gap, traits.spend, traits.sales, traits.wavers)
    return np.column_stack([*(one[who] for one in hidden), since, since / traits.gap[who], held]).astype(float)


def share_of(done: Sequence[Policies], policy: str, best: str, resamples: int = 2000) -> Share:
    """What a policy brings as a share of what ``best`` does, over all seeds together; interval by resampling seeds."""
    of, most = (np.array([one.net[name] for one in done]) for name in (policy, best))
    return _ratio(of, most, resamples)


def churn_cut(done: Sequence[Policies], policy: str, *, wavering: bool, resamples: int = 2000) -> Share:
    """By what share a policy cuts the churn of persuadables, ``wavering`` or all; interval by resampling seeds."""
    churn = [one.churn if wavering else one.churn_all for one in done]
    without, with_it = (np.array([one[name] for one in churn]) for name in ("nobody", policy))
    return _ratio(without - with_it, without, resamples)


def _ratio(of: Floats, whole: Floats, resamples: int) -> Share:
    drawn = np.random.default_rng(0).integers(0, len(of), (resamples, len(of)))
    low, high = np.quantile(of[drawn].sum(axis=1) / whole[drawn].sum(axis=1), [0.025, 0.975])
    return Share(float(of.sum() / whole.sum()), float(low), float(high), len(of))
