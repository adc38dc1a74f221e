"""A campaign's uplift model: what each arm does to a customer, as it is kept, stored and served."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import numpy as np
import pandas as pd

from holdfast.effect.learners import Effect, Learner
from holdfast.effect.randomised import Randomised
from holdfast.effect.uplift_evaluation import fit_arms
from holdfast.model import artifacts
from holdfast.model.matrix import Matrix, matrix
from holdfast.model.record import ModelRun

_FILE = "uplift.json"


@dataclass(frozen=True)
class UpliftModel:
    """The effect of each arm by name, and the predicted effect at or below which an arm surely does harm.

    ``features`` are the columns that the effects read, in order.
    """

    learner: str
    features: tuple[str, ...]
    effects: Mapping[str, Effect]
    harmed_below: Mapping[str, float | None]

    format: ClassVar[str] = "uplift"

    @property
    def arms(self) -> tuple[str, ...]:
        return tuple(self.effects)

    def uplifts(self, rows: pd.DataFrame) -> Matrix:
        """What each arm (a column, as ``arms``) adds to each row's expected outcome."""
        values = matrix(rows, self.features)
        return np.column_stack([effect(values) for effect in self.effects.values()])

    def harms(self, uplifts: Matrix) -> np.ndarray:
        """Which of these effects are as low as those that surely do harm."""
        limits = [self.harmed_below[arm] for arm in self.arms]
        return uplifts <= np.array([-np.inf if limit is None else limit for limit in limits])

    def answers(self, rows: pd.DataFrame) -> pd.DataFrame:
        """A column ``uplift_ARM`` for each arm."""
        return pd.DataFrame(self.uplifts(rows), columns=[f"uplift_{arm}" for arm in self.arms], index=rows.index)

    def save(self, directory: Path) -> None:
        content = {
            "learner": self.learner,
            "features": self.features,
            "effects": {arm: effect.content() for arm, effect in self.effects.items()},
            "harmed_below": dict(self.harmed_below),
        }
        (directory / _FILE).write_text(json.dumps(content), encoding="utf-8")

    @classmethod
    def load(cls, directory: Path) -> UpliftModel:
        content: dict[str, Any] = json.loads((directory / _FILE).read_text(encoding="utf-8"))
        return cls(
            content["learner"],
            tuple(content["features"]),
            {arm: Effect.of(effect) for arm, effect in content["effects"].items()},
            content["harmed_below"],
        )


LOADERS = {**artifacts.LOADERS, UpliftModel.format: UpliftModel.load}
"""How models of every format are loaded (``holdfast.model.artifacts``)."""


def fit_model(learner: Learner, on: Randomised, harmed_below: tuple[float | None, ...]) -> UpliftModel:
    """The learner fitted on everybody."""
    effects = dict(zip(on.arms, fit_arms(learner, on), strict=True))
    return UpliftModel(learner.name, on.features, effects, dict(zip(on.arms, harmed_below, strict=True)))


UpliftRun: TypeAlias = ModelRun[UpliftModel]
"""The best learner (``candidate``) of one campaign, fitted on all runs that had matured."""
