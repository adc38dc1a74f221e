"""The models that compete, behind one interface: two simple rules to beat, and the models that must beat them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import ClassVar, Protocol

import pandas as pd

from holdfast.errors import SettingsError
from holdfast.model.boosting import PARAMETERS, fit_boosting
from holdfast.model.logistic import fit_logistic
from holdfast.model.matrix import Matrix, Vector


class FittedModel(Protocol):
    """A model after fitting. ``rows`` may hold more columns than ``features``; a null feature is NaN."""

    format: ClassVar[str]

    @property
    def features(self) -> tuple[str, ...]:
        """The features it was fitted with, in order."""
        ...

    def probabilities(self, rows: pd.DataFrame) -> Vector:
        """The probability of churn of each row."""
        ...

    def contributions(self, rows: pd.DataFrame) -> Matrix:
        """What each feature (column, as ``features``) adds to each row's log-odds, measured from the average row."""
        ...

    def save(self, directory: Path) -> None:
        """Write the model into an existing directory, without pickle."""
        ...


@dataclass(frozen=True)
class Candidate:
    """A way to get a model: ``fit(rows, churned, seed)`` reads every column of ``rows`` as a feature.

    ``parameters`` are what the run's record shows. A ``baseline`` is printed beside the models and must be beaten by
    them; it is never promoted.
    """

    name: str
    meaning: str
    fit: Callable[[pd.DataFrame, Vector, int], FittedModel]
    parameters: Mapping[str, str | float] = field(default_factory=dict)
    baseline: bool = False


def _rule(name: str, meaning: str, *features: str) -> Candidate:
    return Candidate(
        name,
        meaning,
        lambda rows, churned, seed: fit_logistic(rows, churned, features, seed),
        parameters={"features": ", ".join(features)},
        baseline=True,
    )


CANDIDATES: dict[str, Candidate] = {
    candidate.name: candidate
    for candidate in (
        _rule("recency_rule", "how long ago the last order was", "days_since_order"),
        # Not their quotient: where most customers order weekly, a broken rhythm mostly mends within the horizon.
        _rule("rhythm_rule", "how long ago, and the customer's own mean gap", "days_since_order", "gap_mean_days"),
        Candidate(
            "logistic",
            "logistic regression on every feature's rank",
            lambda rows, churned, seed: fit_logistic(rows, churned, list(rows.columns), seed),
            parameters={"penalty": "l2", "C": 1.0},
        ),
        Candidate("lightgbm", "gradient-boosted trees", fit_boosting, parameters=PARAMETERS),
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
