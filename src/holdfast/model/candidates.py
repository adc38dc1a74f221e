"""The models that compete, behind one interface: simple rules to beat, and the models that must beat them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from importlib.util import find_spec
from typing import Any

import pandas as pd

from holdfast.errors import MissingDataError, SettingsError
from holdfast.features.catalog import present
from holdfast.model import bgnbd, estimators
from holdfast.model.blend import Blend, fit_blend
from holdfast.model.boosting import PARAMETERS, fit_boosting
from holdfast.model.fitted import FittedModel
from holdfast.model.gru import fit_gru
from holdfast.model.logistic import fit_logistic
from holdfast.model.matrix import Vector
from holdfast.weeks import WEEK_COLUMNS


@dataclass(frozen=True)
class Range:
    """Where a search looks for a parameter: from ``low`` to ``high``, evenly or (``log``) by orders of magnitude.

    A range between whole numbers has whole numbers only.
    """

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Candidate:
    """A way to get a model: ``fitter(rows, churned, seed, **parameters)`` reads every column of ``rows`` as a feature.

    ``parameters`` are what the run's record shows too; ``space`` is where a search may look for better ones. A
    ``baseline`` is printed beside the models and must be beaten by them; it is never promoted. A ``weekly`` one reads
    the last weeks (``holdfast.weeks``) beside the features. ``requires`` is a package of an optional extra.
    """

    name: str
    meaning: str
    fitter: Callable[..., FittedModel]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    space: Mapping[str, Range] = field(default_factory=dict)
    baseline: bool = False
    weekly: bool = False
    requires: str | None = None

    @property
    def installed(self) -> bool:
        """Whether what it requires is there."""
        return self.requires is None or find_spec(self.requires) is not None

    def fit(self, rows: pd.DataFrame, churned: Vector, seed: int) -> FittedModel:
        return self.fitter(rows, churned, seed, **self.parameters)

    def with_parameters(self, changed: Mapping[str, Any]) -> Candidate:
        """The same with these parameters changed; those that it does not have are left out."""
        own = {name: value for name, value in changed.items() if name in self.parameters}
        return replace(self, parameters={**self.parameters, **own})


def _rule(name: str, meaning: str, *features: str) -> Candidate:
    return Candidate(name, meaning, fit_logistic, parameters={"used": features}, baseline=True)


def _estimator(name: str, meaning: str, parameters: Mapping[str, Any], space: Mapping[str, Range]) -> Candidate:
    return Candidate(name, meaning, partial(estimators.fit_estimator, getattr(estimators, name)), parameters, space)


def _blend(rows: pd.DataFrame, churned: Vector, seed: int, members: Sequence[str], horizon_days: int) -> Blend:
    fits = [(name, configured(name, horizon_days).fit) for name in members]
    return fit_blend(fits, rows, churned, seed)


# From simple to complex: of two that do as well, the earlier one is preferred.
CANDIDATES: dict[str, Candidate] = {
    candidate.name: candidate
    for candidate in (
        _rule("recency_rule", "how long ago the last order was", "days_since_order"),
        # Not their quotient: where most customers order weekly, a broken rhythm mostly mends within the horizon.
        _rule("rhythm_rule", "how long ago, and the customer's own mean gap", "days_since_order", "gap_mean_days"),
        Candidate(
            "bgnbd",
            "BG/NBD: orders at random at a rate of the customer's own, until they leave",
            bgnbd.fit_bgnbd,
            parameters={"horizon_days": 28},
            baseline=True,
        ),
        Candidate(
            "logistic",
            "logistic regression on every feature's rank",
            fit_logistic,
            parameters={"used": None, "inverse_penalty": 1.0},
            space={"inverse_penalty": Range(0.001, 10.0, log=True)},
        ),
        _estimator(
            "decision_tree",
            "one decision tree",
            {"max_depth": 8, "min_samples_leaf": 200},
            {"max_depth": Range(3, 14), "min_samples_leaf": Range(20, 1000, log=True)},
        ),
        _estimator(
            "random_forest",
            "the mean of many decision trees on random rows and features",
            {"n_estimators": 100, "min_samples_leaf": 20, "max_features": 0.3, "max_samples": 0.3},
            {"min_samples_leaf": Range(5, 200, log=True), "max_features": Range(0.1, 1.0)},
        ),
        _estimator(
            "svm",
            "support vector machine with a radial kernel, by 300 landmarks",
            {"components": 300, "C": 0.01},
            {"C": Range(0.0001, 1.0, log=True)},
        ),
        _estimator(
            "hist_gradient_boosting",
            "gradient-boosted trees by scikit-learn",
            {
                "max_iter": 300,
                "learning_rate": 0.03,
                "max_leaf_nodes": 15,
                "min_samples_leaf": 60,
                "max_features": 0.3,
                "l2_regularization": 5.0,
            },
            {"learning_rate": Range(0.005, 0.1, log=True), "max_leaf_nodes": Range(7, 63, log=True)},
        ),
        Candidate(
            "lightgbm",
            "gradient-boosted trees by LightGBM",
            fit_boosting,
            PARAMETERS,
            {
                "num_leaves": Range(7, 63, log=True),
                "min_data_in_leaf": Range(20, 300, log=True),
                "feature_fraction": Range(0.1, 1.0),
                "lambda_l2": Range(0.1, 50.0, log=True),
            },
        ),
        _estimator(
            "mlp",
            "a small neural net on every feature's rank",
            {"hidden_layer_sizes": (32,), "alpha": 1.0, "max_iter": 15},
            {"alpha": Range(0.01, 10.0, log=True), "max_iter": Range(5, 40)},
        ),
        Candidate(
            "gru",
            "a recurrent net over the customer's last weeks (needs the extra [deep])",
            fit_gru,
            parameters={"hidden": 16, "epochs": 8, "learning_rate": 0.005},
            weekly=True,
            requires="torch",
        ),
        Candidate(
            "blend",
            "the mean of several models' log-odds",
            _blend,
            parameters={"members": ("logistic", "lightgbm", "bgnbd"), "horizon_days": 28},
        ),
    )
}


def candidate(name: str) -> Candidate:
    """The candidate of this name; an unknown name is a SettingsError that suggests the nearest."""
    if name not in CANDIDATES:
        nearest = get_close_matches(name, CANDIDATES, n=1, cutoff=0)[0]
        raise SettingsError(
            f"training.candidates names {name!r}, which is unknown. Did you mean {nearest!r}? "
            f"Known are {', '.join(CANDIDATES)}."
        )
    return CANDIDATES[name]


def configured(name: str, horizon_days: int, members: Sequence[str] | None = None) -> Candidate:
    """The candidate as the shop's rules want it: for their horizon, and, if it is the blend, of these members."""
    chosen = candidate(name).with_parameters({"horizon_days": horizon_days})
    if "members" not in chosen.parameters:
        return chosen
    names = tuple(chosen.parameters["members"] if members is None else members)
    return replace(chosen.with_parameters({"members": names}), weekly=any(candidate(one).weekly for one in names))


def inputs(of: Candidate, rows: pd.DataFrame) -> list[str]:
    """The columns of a training set that the candidate is given: the features that are on, and weeks if it reads them.

    Raises MissingDataError when the training set was made without them.
    """
    if not of.weekly:
        return present(rows)
    if not set(WEEK_COLUMNS) <= set(rows.columns):
        raise MissingDataError(
            f"{of.name} reads the customers' last weeks, which the training set lacks. Name {of.name} in "
            "training.candidates, so that it is prepared with them."
        )
    return [*present(rows), *WEEK_COLUMNS]
