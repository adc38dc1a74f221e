"""Calibration: maps a model's probability to the rate that was seen, if that proves to help later in time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

import numpy as np
import pandas as pd

from holdfast import windows
from holdfast.model.attribution import from_log_odds, log_odds
from holdfast.model.comparison import paired_bootstrap
from holdfast.model.evaluation import evaluate
from holdfast.model.matrix import Vector

Method = Literal["none", "platt", "isotonic", "beta"]

# The flat ends of isotonic regression say 0 or 1 where a few customers did the same.
_SUREST = 1e-3
_RESAMPLES = 200


@dataclass(frozen=True)
class Calibration:
    """A fitted calibration.

    ``numbers`` are the slope of the log-odds and the intercept (platt), the slopes of ln p and of −ln(1 − p) and the
    intercept (beta), or the places of a broken line followed by its heights (isotonic).
    """

    method: Method = "none"
    numbers: tuple[float, ...] = ()

    def __call__(self, probability: Vector) -> Vector:
        """The calibrated probabilities; never falling where ``probability`` rises."""
        return _APPLY[self.method](probability, np.array(self.numbers))


UNCALIBRATED = Calibration()


@dataclass(frozen=True)
class Trial:
    """How one method did on later cutoffs: means over them."""

    method: Method
    brier: float
    calibration_error: float


@dataclass(frozen=True)
class Decision:
    """The method chosen, why in one sentence, and every method's figures on the cutoffs it was tried on."""

    method: Method
    reason: str
    cutoffs: tuple[date, ...] = ()
    trials: tuple[Trial, ...] = ()


def fit(method: Method, probability: Vector, churned: Vector) -> Calibration:
    """Fit on out-of-time predictions and what then happened.

    Sources: J. Platt, "Probabilistic Outputs for Support Vector Machines" (1999); B. Zadrozny, C. Elkan, "Transforming
    Classifier Scores into Accurate Multiclass Probability Estimates" (2002); M. Kull, T. Silva Filho, P. Flach, "Beta
    Calibration" (2017), of whose two slopes one that turns out negative is left out, as they advise.
    """
    from sklearn.isotonic import IsotonicRegression

    if method == "platt":
        return Calibration("platt", _line(log_odds(probability)[:, None], churned))
    if method == "beta":
        logs = _logs(probability)
        *slopes, intercept = _line(logs, churned)
        if min(slopes) < 0:
            kept = int(np.argmax(slopes))
            slope, intercept = _line(logs[:, [kept]], churned)
            slopes = [slope, 0.0] if kept == 0 else [0.0, slope]
        return Calibration("beta", (*slopes, intercept))
    if method == "isotonic":
        steps = IsotonicRegression(y_min=_SUREST, y_max=1 - _SUREST).fit(probability, churned)
        return Calibration("isotonic", (*steps.X_thresholds_.tolist(), *steps.y_thresholds_.tolist()))
    return UNCALIBRATED


def choose(predictions: pd.DataFrame, methods: Sequence[Method], horizon_days: int, seed: int) -> Decision:
    """Choose a method on out-of-time predictions of several cutoffs (``holdfast.model.backtest``).

    Each cutoff tries what the cutoffs before it teach whose labels had matured by then. A method earns its place when,
    over all these cutoffs, it lowers the calibration error, and the Brier score by more than chance (the whole interval
    of a paired bootstrap); among several the lowest Brier score wins.
    """
    frames = {date.fromisoformat(str(day)): rows for day, rows in predictions.groupby("cutoff", sort=True)}
    known = {day: _matured(frames, day, horizon_days) for day in frames}
    tried = [day for day, before in known.items() if len(before)]
    if not tried:
        return Decision("none", "The history is too short to try a calibration on later cutoffs, so that none is used.")
    raw = pd.concat([frames[day] for day in tried])
    mended = {
        method: pd.concat([_mended(method, known[day], frames[day]) for day in tried]) for method in ("none", *methods)
    }
    trials = {method: _trial(method, rows) for method, rows in mended.items()}
    plain = trials["none"]
    earned = [
        trials[method]
        for method in methods
        if trials[method].calibration_error < plain.calibration_error
        and paired_bootstrap(mended[method], raw, "brier", resamples=_RESAMPLES, seed=seed).interval.low > 0
    ]
    on = f"out of time on {', '.join(map(str, tried))}"
    if not earned:
        reason = f"No method lowers the Brier score ({plain.brier:.4f}) by more than chance, {on}."
        return Decision("none", reason, tuple(tried), tuple(trials.values()))
    best = min(earned, key=lambda one: one.brier)
    reason = (
        f"{best.method} lowers the calibration error from {plain.calibration_error:.4f} to "
        f"{best.calibration_error:.4f} and the Brier score from {plain.brier:.4f} to {best.brier:.4f}, {on}."
    )
    return Decision(best.method, reason, tuple(tried), tuple(trials.values()))


def _matured(frames: Mapping[date, pd.DataFrame], day: date, horizon_days: int) -> pd.DataFrame:
    """The predictions whose outcome was known by ``day``."""
    known = [rows for one, rows in frames.items() if windows.is_mature(one, horizon_days, day)]
    return pd.concat(known) if known else pd.DataFrame()


def _mended(method: Method, before: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    learnt = fit(method, before["probability"].to_numpy(float), before["churned"].to_numpy(float))
    return rows.assign(probability=learnt(rows["probability"].to_numpy(float)))


def _trial(method: Method, rows: pd.DataFrame) -> Trial:
    found = evaluate(rows).mean
    return Trial(method, found.brier, found.calibration_error)


def _line(inputs: Vector, churned: Vector) -> tuple[float, ...]:
    """Slopes and intercept of a logistic regression without penalty."""
    from sklearn.linear_model import LogisticRegression

    line = LogisticRegression(C=np.inf, max_iter=1000).fit(inputs, churned)
    return (*line.coef_[0].tolist(), float(line.intercept_[0]))


def _logs(probability: Vector) -> Vector:
    inside = np.clip(probability, 1e-12, 1 - 1e-12)
    return np.column_stack([np.log(inside), -np.log(1 - inside)])


def _isotonic(probability: Vector, numbers: Vector) -> Vector:
    places, heights = np.split(numbers, 2)
    return np.interp(probability, places, heights)


_APPLY: Mapping[Method, Callable[[Vector, Vector], Vector]] = {
    "none": lambda probability, _: probability,
    "platt": lambda probability, numbers: from_log_odds(numbers[0] * log_odds(probability) + numbers[1]),
    "beta": lambda probability, numbers: from_log_odds(_logs(probability) @ numbers[:2] + numbers[2]),
    "isotonic": _isotonic,
}
