"""scikit-learn's classifiers as models: a table of them, stored by skops, which runs no code when it loads."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from holdfast.errors import ModelError
from holdfast.model.attribution import log_odds, shapley
from holdfast.model.matrix import Matrix, Vector, matrix

# Where all of a few rows did the same, a tree says never or always; that claims too much.
_SUREST = 1e-4

_FILE = "estimator.skops"
_ABOUT = "estimator.json"

# What skops does not trust by itself and these classifiers need; a file that asks for more is refused.
_TRUSTED = (
    "numpy.dtype",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.tree._tree.Tree",
)


@dataclass(frozen=True)
class Estimator:
    """A fitted scikit-learn classifier, the columns it reads, and the median customer it explains others against."""

    features: tuple[str, ...]
    reference: Vector
    classifier: Any

    format: ClassVar[str] = "scikit-learn"

    def probabilities(self, rows: pd.DataFrame) -> Vector:
        return self._probabilities(matrix(rows, self.features))

    def contributions(self, rows: pd.DataFrame) -> Matrix:
        """Shapley values in log-odds against the median customer (``holdfast.model.attribution``)."""
        values = matrix(rows, self.features)
        return shapley(lambda some: log_odds(self._probabilities(some)), values, self.reference)

    def save(self, directory: Path) -> None:
        from skops import io

        io.dump(self.classifier, directory / _FILE)
        about = {"features": self.features, "reference": self.reference.tolist()}
        (directory / _ABOUT).write_text(json.dumps(about), encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> Estimator:
        from skops import io
        from skops.io.exceptions import UntrustedTypesFoundException

        about = json.loads((directory / _ABOUT).read_text(encoding="utf-8"))
        try:
            classifier = io.load(directory / _FILE, trusted=list(_TRUSTED))
        except UntrustedTypesFoundException as error:
            raise ModelError(
                f"{directory / _FILE} is not loaded, since it asks for types nobody trusts: {error}"
            ) from error
        return cls(tuple(about["features"]), np.array(about["reference"], dtype=float), classifier)

    def _probabilities(self, values: Matrix) -> Vector:
        if not len(values):
            return np.empty(0)
        probability: Vector = self.classifier.predict_proba(values)[:, 1]
        return np.clip(probability, _SUREST, 1 - _SUREST)


def fit_estimator(
    build: Callable[..., Any], rows: pd.DataFrame, churned: Vector, seed: int, **parameters: Any
) -> Estimator:
    """Fit ``build(seed, **parameters)`` (a function of this module) on all columns of ``rows``."""
    features = tuple(rows.columns)
    values = matrix(rows, features)
    values[:, np.isnan(values).all(axis=0)] = 0.0  # nothing is to be learnt from it, and not every classifier takes it
    classifier = build(seed, **parameters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a net that stops at its last round is meant to
        classifier.fit(values, churned)
    return Estimator(features, np.nanmedian(values, axis=0), classifier)


def decision_tree(seed: int, **parameters: Any) -> Any:
    from sklearn.tree import DecisionTreeClassifier

    return DecisionTreeClassifier(random_state=seed, **parameters)


def random_forest(seed: int, **parameters: Any) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(random_state=seed, n_jobs=1, **parameters)


def hist_gradient_boosting(seed: int, **parameters: Any) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(random_state=seed, early_stopping=False, **parameters)


def svm(seed: int, components: int, **parameters: Any) -> Any:
    """A support vector machine with an approximate radial kernel: the exact one takes hours at this many rows.

    Its margin becomes a probability by a sigmoid, fitted on margins of rows left out; neighbouring rows, which belong
    to one customer, are left out together.
    """
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.kernel_approximation import Nystroem
    from sklearn.svm import LinearSVC

    machine = CalibratedClassifierCV(LinearSVC(random_state=seed, **parameters), method="sigmoid", cv=3, ensemble=False)
    return _on_ranks(Nystroem(n_components=components, gamma=0.02, random_state=seed), machine)


def mlp(seed: int, **parameters: Any) -> Any:
    from sklearn.neural_network import MLPClassifier

    return _on_ranks(MLPClassifier(random_state=seed, **parameters))


def _on_ranks(*steps: Any) -> Any:
    """The steps on each feature's rank among the training rows (a null in the middle) and whether it is null."""
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import QuantileTransformer, StandardScaler

    return make_pipeline(
        QuantileTransformer(n_quantiles=101, subsample=None),
        SimpleImputer(strategy="constant", fill_value=0.5, add_indicator=True, keep_empty_features=True),
        StandardScaler(),
        *steps,
    )
