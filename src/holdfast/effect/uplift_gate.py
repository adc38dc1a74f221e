"""Whether what was learned may decide who is treated: learners side by side, and the one question asked of the best.

An uplift policy replaces the present one only where it surely brings more, at the same budget; otherwise the answer is
no, in words. A greater Qini is no reason: it says how well customers are ordered, not what a budget gains by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from holdfast.campaign import knapsack
from holdfast.effect.learners import Learner, learner
from holdfast.effect.policy_value import Gain, gains, scores
from holdfast.effect.randomised import Randomised
from holdfast.effect.uplift_evaluation import Ranking, out_of_fold, rank
from holdfast.model.matrix import Matrix, Vector
from holdfast.model.promotion import Check, Verdict

# Figures beside the decision, which rests on the gains alone; sorting is what takes the time.
_RANKING_RESAMPLES = 200

LEAST_CUSTOMERS = 200
"""Fewer customers of an arm, or of the control, prove nothing."""


@dataclass(frozen=True)
class Terms:
    """On what policies are compared.

    All of them may treat ``budget_share`` of the customers, at the price of the dearest arm. Effects are out of
    ``folds``; intervals come from ``resamples`` draws of the customers.
    """

    budget_share: float = 0.3
    folds: int = 5
    resamples: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class Assessed:
    """One learner: its ``effects`` out of fold (a column an arm), its ranking by arm, and what its policy gains."""

    learner: Learner
    effects: Matrix
    rankings: Mapping[str, Ranking]
    over_present: Gain
    over_random: Gain
    treated: float


@dataclass(frozen=True)
class Assessment:
    """All learners on the same customers; ``best`` of those that could replace the present policy.

    ``random`` is what treating the same share at random brings over treating nobody.
    """

    learners: tuple[Assessed, ...]
    random: Gain
    best: Assessed
    verdict: Verdict


def assess(
    on: Randomised,
    names: Sequence[str],
    terms: Terms,
    *,
    present: Vector | None = None,
    present_name: str = "treating at random",
    unit: str = "money",
) -> Assessment:
    """Cross-fit the learners and hold their policies against the present one and against chance.

    ``present`` is the merit by which the present policy takes customers (NaN: never), each arm alike; None is chance
    itself. Raises ModelError when an arm or the control has nobody, or no learner could become champion.
    """
    everyone = on.overlap
    among = on.only(everyone)
    value = scores(on, terms.folds)[everyone]
    entrants = [learner(name) for name in names]
    effects = {one.name: out_of_fold(one, on, terms.folds)[everyone] for one in entrants}
    policies = {one.name: policy_of(among, effects[one.name], terms.budget_share, rival=one.rival) for one in entrants}
    chance = at_random(among, terms.budget_share)
    standing = chance if present is None else by_merit(among, present[everyone], terms.budget_share)
    rest = (terms.resamples, terms.seed)
    contenders = [one.name for one in entrants if not one.rival and one.storable]
    others = [one.name for one in entrants if one.name not in contenders]
    over: list[dict[str, Gain]] = [{}, {}]
    for found, rival in zip(over, (standing, chance), strict=True):
        for group in (contenders, others):  # rivals are shown, and widen nobody's interval
            if group:
                found.update(gains(among, value, {name: policies[name] for name in group}, rival, *rest))
    nobody = np.zeros_like(chance)
    nobody[:, 0] = 1.0
    assessed = tuple(
        Assessed(
            one,
            effects[one.name],
            _rankings(among, effects[one.name], terms),
            over[0][one.name],
            over[1][one.name],
            float(1 - policies[one.name][:, 0].mean()),
        )
        for one in entrants
    )
    best = max((one for one in assessed if one.learner.name in contenders), key=_surest)
    against_chance = gains(among, value, {"random": chance}, nobody, *rest)["random"]
    checks = _checks(among, best, len(contenders), present_name if present is not None else None, unit)
    return Assessment(assessed, against_chance, best, Verdict(checks))


def policy_of(on: Randomised, effects: Matrix, share: float, *, rival: bool = False) -> Matrix:
    """The probabilities (control, arms) of the policy that follows the effects within the budget share.

    A rival's effects only rank: its policy takes the first of them, each arm alike.
    """
    if rival:
        return by_merit(on, effects.mean(axis=1), share)
    limits = np.array([share * len(on) * on.costs.max(), share * len(on)])
    uses = np.stack([on.costs, np.ones(len(on.costs))], axis=1)[None]
    arm = knapsack.choose(effects * on.worth[:, None] - on.costs, uses, limits).arm
    return np.asarray(np.arange(-1, len(on.arms)) == arm[:, None], dtype=float)


def at_random(on: Randomised, share: float) -> Matrix:
    """Everybody treated with the probability ``share``, by each arm alike."""
    each = np.full((len(on), len(on.arms) + 1), share / len(on.arms))
    each[:, 0] = 1 - share
    return each


def by_merit(on: Randomised, merit: Vector, share: float) -> Matrix:
    """The first ``share`` of the customers by merit treated, by each arm alike; NaN never."""
    order = np.argsort(-merit, kind="stable")  # NaN sorts last
    taken = np.zeros(len(on), dtype=bool)
    taken[order[: round(share * len(on))]] = True
    taken &= ~np.isnan(merit)
    each = np.where(taken[:, None], 1 / len(on.arms), 0.0) * np.ones(len(on.arms))
    return np.column_stack([1 - taken, each])


def _surest(one: Assessed) -> float:
    return min(one.over_present.interval.low, one.over_random.interval.low)


def _rankings(on: Randomised, effects: Matrix, terms: Terms) -> dict[str, Ranking]:
    found = {}
    for place, name in enumerate(on.arms, 1):
        rows = on.against_control(place)
        found[name] = rank(
            on.comparison(place),
            effects[rows, place - 1],
            on.customers[rows],
            min(terms.resamples, _RANKING_RESAMPLES),
            terms.seed,
        )
    return found


def _checks(on: Randomised, best: Assessed, among: int, present: str | None, unit: str) -> tuple[Check, ...]:
    names = ("control", *on.arms)
    counts = {name: int((on.given == place).sum()) for place, name in enumerate(names)}
    fewest = min(counts, key=lambda name: counts[name])
    enough = counts[fewest] >= LEAST_CUSTOMERS
    amount = f"{counts[fewest]:,} customers of {fewest}" + ("" if enough else f", fewer than {LEAST_CUSTOMERS}")
    return (
        Check("evidence", enough, amount),
        *((_more_than("present policy", best, best.over_present, present, among, unit),) if present else ()),
        _more_than("chance", best, best.over_random, "treating at random", among, unit),
    )


def _more_than(name: str, best: Assessed, gain: Gain, rival: str, among: int, unit: str) -> Check:
    sure = gain.interval.low > 0
    told = (
        f"{best.learner.name} {'brings' if sure else 'is not shown to bring'} more than {rival} at the same budget: "
        f"{1000 * gain.value:+,.1f} {unit} per 1,000 customers, 95 % interval {1000 * gain.interval.low:+,.1f} to "
        f"{1000 * gain.interval.high:+,.1f} over {among} learners at once"
    )
    return Check(name, sure, told)


def told(verdict: Verdict) -> str:
    """The decision as the product says it."""
    found = "; ".join(check.found for check in verdict.checks if check.passed == verdict.passed)
    if verdict.passed:
        return f"Accepted: {found}."
    return f"Declined: {found}. The present policy stays."
