"""Whether what was learned may decide who is treated: learners side by side, and the one question asked of the best.

An uplift policy replaces the present one only where it surely brings more, at the same budget; otherwise the answer is
no, in words. A greater Qini is no reason: it says how well customers are ordered, not what a budget gains by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from holdfast.campaign import knapsack
from holdfast.campaign.definition import CONTROL
from holdfast.effect.learners import Learner, learner
from holdfast.effect.policy_value import Gain, gains, scores
from holdfast.effect.randomised import Randomised
from holdfast.effect.uplift_evaluation import Ranking, out_of_fold, rank
from holdfast.errors import ModelError
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
    """One learner: its ranking by arm, what its policy gains, and the share of customers that it treats."""

    learner: Learner
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


def cross_fitted(on: Randomised, names: Sequence[str], terms: Terms) -> dict[str, Matrix]:
    """Each learner's effects, out of fold."""
    return {name: out_of_fold(learner(name), on, terms.folds) for name in names}


def assess(
    on: Randomised,
    effects: Mapping[str, Matrix],
    terms: Terms,
    *,
    present: Matrix | None = None,
    present_name: str = "the present policy",
    unit: str = "money",
) -> Assessment:
    """Hold the policies of learners, by their out-of-fold ``effects``, against the present policy and against chance.

    ``present`` has the probabilities of the present policy (``by_merit``, ``policy_of``); None is chance itself. Raises
    ModelError when no learner among them could become champion, or some arm has nobody to compare.
    """
    everyone = on.overlap
    among = on.only(everyone)
    absent = [name for place, name in enumerate((CONTROL, *on.arms)) if not (among.given == place).any()]
    if absent:
        raise ModelError(
            f"of those who could have been given any arm, nobody was given {', '.join(absent)}: there is nothing to "
            "compare policies on. Wait for a run that draws all arms by chance"
        )
    value = scores(on, terms.folds)[everyone]
    entrants = [learner(name) for name in effects]
    contenders = [one.name for one in entrants if not one.rival and one.storable]
    if not contenders:
        raise ModelError(f"none of {', '.join(effects)} can become champion: some only rank, some cannot be stored")
    own = {name: found[everyone] for name, found in effects.items()}
    policies = {one.name: policy_of(among, own[one.name], terms.budget_share, rival=one.rival) for one in entrants}
    chance = at_random(among, terms.budget_share)
    standing = chance if present is None else present[everyone]
    nobody = at_random(among, 0.0)

    def gained(names: Sequence[str], rival: Matrix) -> Mapping[str, Gain]:
        some = {name: policies[name] for name in names}
        return gains(among, value, some, rival, resamples=terms.resamples, seed=terms.seed) if some else {}

    def over(rival: Matrix) -> dict[str, Gain]:
        """The contenders at once; the others are shown, and widen nobody's interval."""
        others = [name for name in policies if name not in contenders]
        return {**gained(contenders, rival), **gained(others, rival)}

    over_present, over_chance = over(standing), over(chance)
    assessed = tuple(
        Assessed(
            one,
            _rankings(among, own[one.name], terms),
            over_present[one.name],
            over_chance[one.name],
            float(1 - policies[one.name][:, 0].mean()),
        )
        for one in entrants
    )
    best = max((one for one in assessed if one.learner.name in contenders), key=_surest)
    against_nobody = gains(among, value, {"": chance}, nobody, resamples=terms.resamples, seed=terms.seed)[""]
    checks = _checks(among, best, len(contenders), None if present is None else present_name, unit)
    return Assessment(assessed, against_nobody, best, Verdict(checks))


def fresher(on: Randomised, effects: Matrix, champions: Matrix, terms: Terms, *, champion: str, unit: str) -> Check:
    """Whether a model of more evidence is not surely worse than the champion, on customers neither has learned of.

    It need not be better there: it has learned from all that the champion has and more, which makes it the better bet,
    and what tells two good models apart is rarely there. That it surely beats having no model is asked apart.
    """
    everyone = on.overlap
    if not everyone.any():
        return Check("champion", False, f"no run has matured since {champion} learned from the last")
    among, share = on.only(everyone), terms.budget_share
    own, rival = (policy_of(among, found[everyone], share) for found in (effects, champions))
    value = scores(on, terms.folds)[everyone]
    gain = gains(among, value, {"own": own}, rival, resamples=terms.resamples, seed=terms.seed)["own"]
    told = (
        f"{'not surely' if gain.interval.high >= 0 else 'surely'} worse than {champion} on runs since it has learned: "
        f"{1000 * gain.value:+,.1f} {unit} per 1,000 customers, 95 % interval {1000 * gain.interval.low:+,.1f} to "
        f"{1000 * gain.interval.high:+,.1f}"
    )
    return Check("champion", gain.interval.high >= 0, told)


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
    names = (CONTROL, *on.arms)
    counts = {name: int((on.given == place).sum()) for place, name in enumerate(names)}
    fewest = min(counts, key=lambda name: counts[name])
    enough = counts[fewest] >= LEAST_CUSTOMERS
    amount = f"{counts[fewest]:,} customers of {fewest}" + ("" if enough else f", fewer than {LEAST_CUSTOMERS}")

    at_once = f" over {among} learners at once" if among > 1 else ""

    def more_than(name: str, gain: Gain, rival: str) -> Check:
        sure = gain.interval.low > 0
        told = (
            f"{best.learner.name} {'brings' if sure else 'is not shown to bring'} more than {rival} at the same "
            f"budget: {1000 * gain.value:+,.1f} {unit} per 1,000 customers, 95 % interval "
            f"{1000 * gain.interval.low:+,.1f} to {1000 * gain.interval.high:+,.1f}{at_once}"
        )
        return Check(name, sure, told)

    return (
        Check("evidence", enough, amount),
        *((more_than("present policy", best.over_present, present),) if present else ()),
        more_than("chance", best.over_random, "treating at random"),
    )


def told(verdict: Verdict) -> str:
    """The decision as the product says it."""
    found = "; ".join(check.found for check in verdict.checks if check.passed == verdict.passed)
    if verdict.passed:
        return f"Accepted: {found}."
    return declined(found)


def declined(why: str) -> str:
    """How the product says no."""
    return f"Declined: {why}. The present policy stays."
