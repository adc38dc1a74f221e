"""A blend: the plain mean of several models' log-odds. Models that err in different places mend each other."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from holdfast.model.attribution import from_log_odds, log_odds
from holdfast.model.fitted import FittedModel
from holdfast.model.matrix import Matrix, Vector

_FILE = "blend.json"


@dataclass(frozen=True)
class Blend:
    """Fitted members, by name, each of which reads the same features. Every member has the same weight.

    Weights fitted to past cutoffs would be one more thing to overfit, and did not help (docs/models.md).
    """

    members: tuple[tuple[str, FittedModel], ...]

    format: ClassVar[str] = "blend"

    @property
    def features(self) -> tuple[str, ...]:
        return self.members[0][1].features

    def probabilities(self, rows: pd.DataFrame) -> Vector:
        odds = [log_odds(member.probabilities(rows)) for _, member in self.members]
        return from_log_odds(np.mean(odds, axis=0))

    def contributions(self, rows: pd.DataFrame) -> Matrix:
        added: Matrix = np.mean([member.contributions(rows) for _, member in self.members], axis=0)
        return added

    def save(self, directory: Path) -> None:
        for name, member in self.members:
            (directory / name).mkdir()
            member.save(directory / name)
        formats = {name: member.format for name, member in self.members}
        (directory / _FILE).write_text(json.dumps(formats), encoding="utf-8")

    @classmethod
    def load(cls, directory: Path, part: Callable[[str, Path], FittedModel]) -> Blend:
        """``part`` loads a model of a format from a directory."""
        formats = json.loads((directory / _FILE).read_text(encoding="utf-8"))
        return cls(tuple((name, part(one, directory / name)) for name, one in formats.items()))


def fit_blend(
    fits: Sequence[tuple[str, Callable[[pd.DataFrame, Vector, int], FittedModel]]],
    rows: pd.DataFrame,
    churned: Vector,
    seed: int,
) -> Blend:
    """Fit every member, by name, on the same rows."""
    return Blend(tuple((name, fit(rows, churned, seed)) for name, fit in fits))
