"""Uplift learners behind one interface: from a randomised comparison of one arm with the control to an effect.

Every fitted learner is a weighted sum of regressions (``Effect``), so that all of them are stored and served alike.
Propensities are known from the assignment, never estimated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from holdfast.effect.bases import FORMS, Base, Regression, fit_linear, fit_trees
from holdfast.errors import ModelError
from holdfast.model.matrix import Matrix, Vector

INNER_FOLDS = 3
"""How many folds give the learners' own out-of-fold predictions."""


@dataclass(frozen=True)
class Comparison:
    """Customers of one arm and of the control, drawn by known chance.

    ``values`` has a row a customer and a column a feature (NaN: missing). ``propensity`` is each one's probability of
    the arm, given that it was the arm or the control. ``outcome`` is better when greater; ``binary`` if it is 0 or 1.
    ``folds`` (0 to INNER_FOLDS − 1) keeps the rows of one customer together.
    """

    values: Matrix
    treated: NDArray[np.bool_]
    propensity: Vector
    outcome: Vector
    binary: bool
    folds: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.outcome)

    def only(self, rows: NDArray[np.bool_]) -> Comparison:
        """The comparison among these rows."""
        return Comparison(
            self.values[rows],
            self.treated[rows],
            self.propensity[rows],
            self.outcome[rows],
            self.binary,
            self.folds[rows],
        )


@dataclass(frozen=True)
class Term:
    """A regression with its coefficient; ``treated`` (0 or 1) is put to a regression that knows of the treatment."""

    coefficient: float
    regression: Regression
    treated: int | None = None
    interacted: bool = False

    def __call__(self, values: Matrix) -> Vector:
        if self.treated is None:
            return self.coefficient * self.regression.predict(values)
        given = np.full(len(values), float(self.treated))
        return self.coefficient * self.regression.predict(_with_treatment(values, given, self.interacted))


@dataclass(frozen=True)
class Effect:
    """What an arm adds to each customer's expected outcome: ``shift`` plus the sum of the terms.

    Of a rival (``Learner.rival``) it is no effect but only an order.
    """

    terms: tuple[Term, ...]
    shift: float = 0.0

    def __call__(self, values: Matrix) -> Vector:
        total: Vector = np.sum([term(values) for term in self.terms], axis=0) + self.shift
        return total

    def scaled(self, slope: float, shift: float = 0.0) -> Effect:
        """``slope`` times this effect, plus ``shift``."""
        terms = tuple(replace(term, coefficient=slope * term.coefficient) for term in self.terms)
        return Effect(terms, slope * self.shift + shift)

    def content(self) -> dict[str, Any]:
        """All of it as plain values, fit for JSON."""
        terms = [
            {
                "coefficient": term.coefficient,
                "treated": term.treated,
                "interacted": term.interacted,
                "form": term.regression.form,
                "regression": term.regression.content(),
            }
            for term in self.terms
        ]
        return {"shift": self.shift, "terms": terms}

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Effect:
        terms = tuple(
            Term(
                float(one["coefficient"]),
                FORMS[one["form"]](one["regression"]),
                one["treated"],
                bool(one["interacted"]),
            )
            for one in content["terms"]
        )
        return cls(terms, float(content["shift"]))


Fit: TypeAlias = Callable[[Comparison, Base, bool], Effect]
"""Fits a comparison with a base; the flag says whether the base is additive in its columns."""


def single(on: Comparison, base: Base, additive: bool) -> Effect:
    """S-learner: one regression that knows of the treatment, with its interactions where the base has none itself."""
    design = _with_treatment(on.values, on.treated.astype(float), additive)
    fitted = base(design, on.outcome, np.ones(len(on)), on.binary)
    return Effect((Term(1, fitted, 1, additive), Term(-1, fitted, 0, additive)))


def two(on: Comparison, base: Base, additive: bool) -> Effect:
    """T-learner: a regression of the treated less one of the untreated."""
    treated, untreated = _outcomes(on, base)
    return Effect((Term(1, treated), Term(-1, untreated)))


def crossed(on: Comparison, base: Base, additive: bool) -> Effect:
    """X-learner: effects imputed by the other side's regression, weighted by the share treated.

    Source: S. Künzel, J. Sekhon, P. Bickel, B. Yu, "Metalearners for estimating heterogeneous treatment effects using
    machine learning", PNAS 116(10), 2019.
    """
    treated, untreated = _outcomes(on, base)
    ones, given = np.ones(len(on)), on.treated
    of_treated = base(on.values[given], on.outcome[given] - untreated.predict(on.values[given]), ones[given], False)
    of_untreated = base(on.values[~given], treated.predict(on.values[~given]) - on.outcome[~given], ones[~given], False)
    share = float(on.propensity.mean())
    return Effect((Term(share, of_untreated), Term(1 - share, of_treated)))


def doubly_robust(on: Comparison, base: Base, additive: bool) -> Effect:
    """DR-learner: a regression of each customer's doubly robust score, from out-of-fold outcome regressions.

    Source: E. Kennedy, "Towards optimal doubly robust estimation of heterogeneous causal effects", Electronic Journal
    of Statistics 17(2), 2023.
    """
    treated, untreated = np.empty(len(on)), np.empty(len(on))
    for held in _held_out(on):
        of_treated, of_untreated = _outcomes(on.only(~held), base)
        treated[held], untreated[held] = of_treated.predict(on.values[held]), of_untreated.predict(on.values[held])
    given, chance = on.treated, on.propensity
    score = treated - untreated
    score += np.where(given, (on.outcome - treated) / chance, -(on.outcome - untreated) / (1 - chance))
    return Effect((Term(1, base(on.values, score, np.ones(len(on)), False)),))


def residual(on: Comparison, base: Base, additive: bool) -> Effect:
    """R-learner: what is left of the outcome on what is left of the treatment.

    Source: X. Nie, S. Wager, "Quasi-oracle estimation of heterogeneous treatment effects", Biometrika 108(2), 2021.
    """
    expected = np.empty(len(on))
    for held in _held_out(on):
        rest = on.only(~held)
        expected[held] = base(rest.values, rest.outcome, np.ones(len(rest)), on.binary).predict(on.values[held])
    left = on.treated - on.propensity
    return Effect((Term(1, base(on.values, (on.outcome - expected) / left, left**2, False)),))


def transformed(on: Comparison, base: Base, additive: bool) -> Effect:
    """Class transformation: a classifier of *treated and good, or untreated and bad*, each row weighted to even odds.

    Source: M. Jaskowski, S. Jaroszewicz, "Uplift modeling for clinical trial data", ICML workshop, 2012. An outcome
    that is no class is transformed as S. Athey, G. Imbens, "Recursive partitioning for heterogeneous causal effects",
    PNAS 113(27), 2016: its regression is the effect.
    """
    chance = np.where(on.treated, on.propensity, 1 - on.propensity)
    if on.binary:
        same = (on.outcome == on.treated).astype(float)
        return Effect((Term(2, base(on.values, same, 0.5 / chance, True)),), shift=-1.0)
    score = np.where(on.treated, on.outcome, -on.outcome) / chance
    return Effect((Term(1, base(on.values, score, np.ones(len(on)), False)),))


def response(on: Comparison, base: Base, additive: bool) -> Effect:
    """A rival: whoever is likeliest to respond once treated. No effect."""
    given = on.treated
    return Effect((Term(1, base(on.values[given], on.outcome[given], np.ones(int(given.sum())), on.binary)),))


def risk(on: Comparison, base: Base, additive: bool) -> Effect:
    """A rival: whoever is worst off untreated, as a churn model ranks. No effect."""
    other = ~on.treated
    return Effect((Term(-1, base(on.values[other], on.outcome[other], np.ones(int(other.sum())), on.binary)),))


def averaged(on: Comparison, base: Base, additive: bool) -> Effect:
    """The mean of a smooth learner and one that finds corners: what only one of them takes from noise counts half."""
    both = single(on, fit_linear, True), crossed(on, fit_trees, False)
    return Effect(tuple(term for one in both for term in one.scaled(1 / len(both)).terms))


def matched(effect: Effect, on: Comparison) -> Effect:
    """What this arm does to customers for whom ``effect`` is learned of several arms: the line that fits best.

    An arm that moves nobody, or others than the effect says, gets its mean effect for everybody. Source: V.
    Chernozhukov, M. Demirer, E. Duflo, I. Fernández-Val, "Generic machine learning inference on heterogeneous treatment
    effects in randomized experiments", NBER 24678, 2018 (best linear predictor).
    """
    found = effect(on.values)
    middle = float(found.mean())
    left = on.treated - on.propensity
    design = np.column_stack([np.ones(len(on)), found, left, left * (found - middle)])
    # Inverse variances of the treatment, so that customers drawn by unequal chances count as they should.
    root = 1 / np.sqrt(on.propensity * (1 - on.propensity))
    mean, slope = np.linalg.lstsq(design * root[:, None], on.outcome * root, rcond=None)[0][2:]
    slope = max(float(slope), 0.0)
    return effect.scaled(slope, float(mean) - slope * middle)


def causal_forest(on: Comparison, base: Base, additive: bool) -> Effect:
    """``econml``'s causal forest; it lives in memory alone. Raises ModelError where econml is not installed.

    Source: S. Athey, J. Tibshirani, S. Wager, "Generalized random forests", Annals of Statistics 47(2), 2019.
    """
    try:
        from econml.grf import CausalForest
    except ImportError as error:
        raise ModelError("the learner causal_forest needs econml: pip install 'holdfast[causal]'") from error
    values = np.where(np.isnan(on.values), _medians(on.values), on.values)
    forest = CausalForest(
        n_estimators=200, min_samples_leaf=min(200, max(5, len(on) // 20)), max_depth=8, random_state=0, n_jobs=1
    )
    left = (on.treated - on.propensity)[:, None]
    forest.fit(values, left, on.outcome - on.outcome.mean())
    return Effect((Term(1, _Forest(forest, _medians(on.values))),))


@dataclass(frozen=True)
class _Forest:
    forest: Any
    medians: Vector

    form: ClassVar[str] = "causal_forest"

    def predict(self, values: Matrix) -> Vector:
        found: Vector = np.ravel(self.forest.predict(np.where(np.isnan(values), self.medians, values)))
        return found

    def content(self) -> dict[str, Any]:
        raise ModelError("a causal forest could only be stored by pickle, and is not. Let another learner compete.")


@dataclass(frozen=True)
class Learner:
    """A way to learn an arm's effect. ``rival`` if it only ranks; ``storable`` if it could become champion.

    One that is ``pooled`` learns from all arms at once, and is then matched to each (``matched``).
    """

    name: str
    fit_by: Fit
    base: Base
    additive: bool
    rival: bool = False
    storable: bool = True
    pooled: bool = False

    def fit(self, on: Comparison) -> Effect:
        """Raises ModelError when one of the sides has nobody."""
        if on.treated.all() or not on.treated.any():
            raise ModelError(
                f"there is nothing to compare: {int(on.treated.sum())} customers of the arm and "
                f"{int((~on.treated).sum())} of the control. Wait for outcomes of both."
            )
        return self.fit_by(on, self.base, self.additive)


_METHODS: Mapping[str, Fit] = {
    "s": single,
    "t": two,
    "x": crossed,
    "dr": doubly_robust,
    "r": residual,
    "class": transformed,
}

LEARNERS: Mapping[str, Learner] = {
    **{f"{name}_logistic": Learner(f"{name}_logistic", fit, fit_linear, True) for name, fit in _METHODS.items()},
    **{f"{name}_lightgbm": Learner(f"{name}_lightgbm", fit, fit_trees, False) for name, fit in _METHODS.items()},
    "pooled": Learner("pooled", averaged, fit_linear, True, pooled=True),
    "causal_forest": Learner("causal_forest", causal_forest, fit_trees, False, storable=False),
    "response": Learner("response", response, fit_linear, True, rival=True),
    "churn_risk": Learner("churn_risk", risk, fit_linear, True, rival=True),
}


def learner(name: str) -> Learner:
    """The learner of this name. Raises ModelError when there is none."""
    if name not in LEARNERS:
        raise ModelError(f"there is no learner {name!r}; there are {', '.join(LEARNERS)}")
    return LEARNERS[name]


def _outcomes(on: Comparison, base: Base) -> tuple[Regression, Regression]:
    """The outcome's regressions among the treated and the untreated."""
    of = [
        base(on.values[side], on.outcome[side], np.ones(int(side.sum())), on.binary)
        for side in (on.treated, ~on.treated)
    ]
    return of[0], of[1]


def _held_out(on: Comparison) -> list[NDArray[np.bool_]]:
    return [on.folds == fold for fold in np.unique(on.folds)]


def _with_treatment(values: Matrix, treated: Vector, interacted: bool) -> Matrix:
    given = treated[:, None]
    return np.hstack([values, given, values * given] if interacted else [values, given])


def _medians(values: Matrix) -> Vector:
    known: Vector = np.nan_to_num(np.nanmedian(values, axis=0))
    return known
