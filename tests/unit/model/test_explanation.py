"""What a model goes by as a whole."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest

from holdfast.features.spec import Family, Feature
from holdfast.model.explanation import explain, partial_dependence
from holdfast.model.matrix import Matrix, Vector


@dataclass(frozen=True)
class Known:
    """A model that adds 2 for each ``a``, takes 1 for each ``b``, and does not look at ``c``."""

    features: tuple[str, ...] = ("a", "b", "c")
    format: ClassVar[str] = "known"

    def probabilities(self, rows: pd.DataFrame) -> Vector:
        score: Vector = 1 / (1 + np.exp(-(2 * rows["a"] - rows["b"]).to_numpy(float)))
        return score

    def contributions(self, rows: pd.DataFrame) -> Matrix:
        return np.column_stack([2 * rows["a"], -rows["b"], 0 * rows["c"]])

    def save(self, directory: Path) -> None: ...


def family(name: str, *features: str) -> Family:
    return Family(name, name, (), tuple(Feature(one, one, "", one) for one in features), lambda log, cutoffs: {})


FAMILIES = (family("both", "a", "b"), family("idle", "c"), family("off", "d"))
ROWS = pd.DataFrame({"a": [1.0, -1.0, 0.0, 2.0], "b": [2.0, -2.0, 0.0, 4.0], "c": [9.0, 9.0, 9.0, 9.0]})


def test_features_are_ranked_by_mean_absolute_contribution() -> None:
    assert explain(Known(), ROWS, FAMILIES, seed=7).by_feature == {"a": 2.0, "b": 2.0, "c": 0.0}


def test_what_cancels_within_a_family_does_not_count_and_a_family_that_is_off_is_left_out() -> None:
    assert explain(Known(), ROWS.assign(b=2 * ROWS["a"]), FAMILIES, seed=7).by_family == {"both": 0.0, "idle": 0.0}


def test_partial_dependence_follows_the_feature_and_leaves_out_what_is_without_effect() -> None:
    explained = explain(Known(), ROWS, FAMILIES, seed=7)
    assert set(explained.dependence) == {"a", "b"}
    assert (np.diff(explained.dependence["a"].probability) > 0).all()
    assert (np.diff(explained.dependence["b"].probability) < 0).all()


def test_partial_dependence_is_the_mean_when_everyone_has_the_value() -> None:
    rows = pd.DataFrame({"a": [0.5], "b": [0.0], "c": [0.0]})
    drawn = partial_dependence(Known(), rows, "a")
    assert drawn.values.tolist() == [0.5]
    assert drawn.probability[0] == pytest.approx(1 / (1 + np.exp(-1)))


def test_a_feature_that_nobody_has_has_no_curve() -> None:
    assert partial_dependence(Known(), ROWS.assign(a=np.nan), "a").values.size == 0
