"""Who gets which arm when the budget does not reach everybody: the multiple-choice knapsack, by its prices.

Each customer is given one arm at most. In place of the whole-numbered problem its Lagrangian dual is solved: a price
for each limited thing (money, contacts, liability), at which everybody takes the arm that brings most after paying. The
dual's value bounds what any choice can bring, so that each answer comes with how far from perfect it may be. Source: H.
Kellerer, U. Pferschy, D. Pisinger, "Knapsack Problems", Springer 2004, chapter 11.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from holdfast.errors import CampaignError

Numbers = NDArray[np.float64]

# Cutting planes meet in about ten rounds a limit; what is then left open is told as the gap.
_ROUNDS = 60
_CLOSE = 1e-6
_PASSES = 20
_SLACK = 1e-7  # sums of floats


@dataclass(frozen=True)
class Choice:
    """The answer: ``arm`` of each customer (−1: none), at the ``prices`` of the limits.

    ``preferred`` is the arm that each would be given with more budget, and ``merit`` what that arm brings after paying
    the prices (NaN: no arm brings anything). ``value`` is what all chosen arms bring, and ``bound`` what no choice
    within the limits can exceed.
    """

    arm: NDArray[np.int64]
    preferred: NDArray[np.int64]
    merit: Numbers
    prices: Numbers
    value: float
    bound: float

    @property
    def gap(self) -> float:
        """How much the best choice could be better, as a share of the bound; 0 when this is the best."""
        return max(0.0, (self.bound - self.value) / self.bound) if self.bound > 0 else 0.0


def choose(values: Numbers, uses: Numbers, limits: Numbers) -> Choice:
    """Choose an arm, or none, for each customer, so that the sum of values is great within the limits.

    ``values`` has a row a customer and a column an arm: what it brings; one that brings nothing or is NaN is never
    chosen. ``uses`` (customers or 1, arms, limits) is what each takes of each limit. Raises CampaignError for a
    negative use or limit.
    """
    if (uses < 0).any() or (limits < 0).any():
        raise CampaignError("a cost or limit is negative, so that there is no budget to keep to")
    values = np.where(values > 0, values, -np.inf)  # NaN as well
    uses = np.broadcast_to(uses, (*values.shape, len(limits)))
    prices, bound = _prices(values, uses, limits)
    after = values - uses @ prices
    preferred, merit = after.argmax(axis=1), after.max(axis=1)
    arm = _within(preferred, merit, uses, limits)
    arm = _upgraded(arm, values, after, uses, limits)
    rows = np.flatnonzero(arm >= 0)
    told_merit = np.where(np.isfinite(merit), merit, np.nan)
    return Choice(arm, preferred, told_merit, prices, float(values[rows, arm[rows]].sum()), bound)


@dataclass(frozen=True)
class BudgetPoint:
    """What a budget of so much ``money`` brings, and what one more unit of money would (its price)."""

    money: float
    value: float
    marginal: float


def budget_curve(values: Numbers, uses: Numbers, limits: Numbers, shares: Numbers) -> list[BudgetPoint]:
    """The best choice at each share of the first limit, money, the others as they are."""
    points = []
    for share in shares:
        asked = np.concatenate([[limits[0] * share], limits[1:]])
        found = choose(values, uses, asked)
        points.append(BudgetPoint(float(asked[0]), found.value, float(found.prices[0])))
    return points


def _prices(values: Numbers, uses: Numbers, limits: Numbers) -> tuple[Numbers, float]:
    """The prices of least dual value, by Kelley's cutting planes, and that value.

    Any prices give a bound; these the least found.
    """
    from scipy.optimize import linprog

    count = len(limits)
    best, bound = np.zeros(count), np.inf
    cuts, levels = [], []
    prices = np.zeros(count)
    top = _highest_prices(values, uses)
    for _ in range(_ROUNDS):
        after = values - uses @ prices
        arm, most = after.argmax(axis=1), after.max(axis=1)
        taken = most > 0
        level = float(most[taken].sum() + limits @ prices)
        if level < bound:
            best, bound = prices, level
        slope = limits - uses[np.flatnonzero(taken), arm[taken]].sum(axis=0)
        cuts.append(np.append(slope, -1.0))
        levels.append(float(slope @ prices) - level)
        # The least that the dual can be, judged by all tangents so far.
        lowest = linprog(
            np.append(np.zeros(count), 1.0),
            A_ub=np.array(cuts),
            b_ub=np.array(levels),
            bounds=[*((0.0, high) for high in top), (None, None)],
        )
        if lowest.status != 0 or bound - lowest.fun <= _CLOSE * max(abs(bound), 1e-12):
            break
        prices = lowest.x[:-1]
    return best, bound


def _highest_prices(values: Numbers, uses: Numbers) -> Numbers:
    """From which price on of each limit nobody takes an arm that uses it."""
    finite = np.where(np.isfinite(values), values, 0.0)[:, :, None]
    ratio = np.divide(finite, uses, out=np.zeros_like(uses), where=uses > 0)
    highest: Numbers = ratio.max(axis=(0, 1)) if ratio.size else np.zeros(uses.shape[2])
    return highest


def _within(arm: NDArray[np.int64], merit: Numbers, uses: Numbers, limits: Numbers) -> NDArray[np.int64]:
    """The choice of greatest merit as far as the limits reach, none for the rest.

    Where one limit is used up, those who take nothing of it may still fit.
    """
    kept = np.full(len(arm), -1, dtype=np.int64)
    order = np.argsort(-merit, kind="stable")
    order, left = order[np.isfinite(merit[order])], limits
    for _ in range(_PASSES):
        order = order[(uses[order, arm[order]] <= left + _SLACK).all(axis=1)]
        taken = order[_fits(uses[order, arm[order]], left)]
        if not len(taken):
            break
        kept[taken] = arm[taken]
        left = left - uses[taken, arm[taken]].sum(axis=0)
        order = order[kept[order] < 0]
    return kept


def _upgraded(
    arm: NDArray[np.int64], values: Numbers, after: Numbers, uses: Numbers, limits: Numbers
) -> NDArray[np.int64]:
    """With what the limits have left, a better arm for those who lose least by it at the prices.

    At the prices many customers may be equally well off with two arms; the dual does not say how many of them should
    have which.
    """
    rows = np.flatnonzero(arm >= 0)
    if not len(rows):
        return arm
    own = arm[rows]
    more = uses[rows] - uses[rows, own][:, None, :]
    raises = (values[rows] > values[rows, own][:, None]) & (more >= 0).all(axis=2)
    loss = np.where(raises, after[rows, own][:, None] - after[rows], np.inf)
    better, least = loss.argmin(axis=1), loss.min(axis=1)
    order = np.argsort(least, kind="stable")
    order = order[np.isfinite(least[order])]
    left = limits - uses[rows, own].sum(axis=0)
    chosen = order[_fits(more[order, better[order]], left)]
    arm = arm.copy()
    arm[rows[chosen]] = better[chosen]
    return arm


def _fits(uses: Numbers, limits: Numbers) -> NDArray[np.bool_]:
    """Which of the customers in this order the limits reach, until one does not fit."""
    sums = np.cumsum(uses, axis=0)
    return np.asarray((sums <= limits + _SLACK).all(axis=1), dtype=bool)
