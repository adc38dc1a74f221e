"""What every model can do once it is fitted."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Protocol

import pandas as pd

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
