"""The model as it scores customers: calibrated, and silent about single buyers where it knows nothing of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from holdfast.errors import ModelError
from holdfast.model.attribution import log_odds
from holdfast.model.calibration import UNCALIBRATED, Calibration
from holdfast.model.fitted import FittedModel
from holdfast.model.matrix import Matrix, Vector
from holdfast.model.single_buyers import are_single
from holdfast.model.worth import Worth

_FILE = "served.json"


@dataclass(frozen=True)
class ServedModel:
    """A fitted model, its calibration, the rate that single buyers get instead (None: none), and customers' worth."""

    model: FittedModel
    calibration: Calibration = UNCALIBRATED
    cohort_rate: float | None = None
    worth: Worth | None = None

    format: ClassVar[str] = "served"

    @property
    def features(self) -> tuple[str, ...]:
        return self.model.features

    def probabilities(self, rows: pd.DataFrame) -> Vector:
        calibrated = self.calibration(self.model.probabilities(rows))
        if self.cohort_rate is None:
            return calibrated
        return np.where(are_single(rows), self.cohort_rate, calibrated)

    def contributions(self, rows: pd.DataFrame) -> Matrix:
        """As the model's own, stretched so that they add up to the calibrated log-odds; none for a cohort's rate."""
        own = self.model.contributions(rows)
        raw = log_odds(self.model.probabilities(rows))
        level = raw - own.sum(axis=1)
        calibrated, calibrated_level = (log_odds(self.calibration(1 / (1 + np.exp(-odds)))) for odds in (raw, level))
        with np.errstate(invalid="ignore", divide="ignore"):
            stretch = np.where(raw == level, 0.0, (calibrated - calibrated_level) / (raw - level))
        if self.cohort_rate is not None:
            stretch[are_single(rows)] = 0.0
        stretched: Matrix = own * stretch[:, None]
        return stretched

    def spend_if_buying(self, rows: pd.DataFrame) -> Vector:
        """What each customer is expected to spend within the horizon, given that they buy at all."""
        return self._worth().spend_if_buying(rows)

    def lifetime_value(self, rows: pd.DataFrame) -> Vector:
        """What each customer is expected to spend in the next year (``worth.LIFETIME_DAYS``)."""
        return self._worth().lifetime_value(rows)

    def _worth(self) -> Worth:
        if self.worth is None:
            raise ModelError(
                f"this {self.model.format} model knows no customer's worth, so it is none for use. Train again."
            )
        return self.worth

    def basis(self, rows: pd.DataFrame) -> NDArray[np.str_]:
        """What each row's probability rests on: ``model`` or ``cohort``."""
        single = are_single(rows) if self.cohort_rate is not None else np.zeros(len(rows), dtype=bool)
        return np.where(single, "cohort", "model")

    def save(self, directory: Path) -> None:
        (directory / "model").mkdir()
        self.model.save(directory / "model")
        if self.worth is not None:
            (directory / "worth").mkdir()
            self.worth.save(directory / "worth")
        content = {
            "format": self.model.format,
            "calibration": {"method": self.calibration.method, "numbers": self.calibration.numbers},
            "cohort_rate": self.cohort_rate,
            "worth": self.worth is not None,
        }
        (directory / _FILE).write_text(json.dumps(content), encoding="utf-8")

    @classmethod
    def load(cls, directory: Path, part: Callable[[str, Path], FittedModel]) -> ServedModel:
        """``part`` loads a model of a format from a directory."""
        content = json.loads((directory / _FILE).read_text(encoding="utf-8"))
        calibration = content["calibration"]
        return cls(
            part(content["format"], directory / "model"),
            Calibration(calibration["method"], tuple(calibration["numbers"])),
            content["cohort_rate"],
            Worth.load(directory / "worth") if content["worth"] else None,
        )
