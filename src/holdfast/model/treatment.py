"""What is done to a model's probabilities before they are used, decided anew at each cutoff from earlier ones alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import pandas as pd

from holdfast import windows
from holdfast.dataset import Split
from holdfast.model import calibration, single_buyers
from holdfast.model.backtest import PROBABILITY, backtest, fit_on, rows_of
from holdfast.model.calibration import Calibration
from holdfast.model.candidates import Candidate
from holdfast.model.served import ServedModel
from holdfast.model.worth import Worth
from holdfast.rules import Training

RAW = "raw"
"""The column of a model's own probability, beside the treated one."""


@dataclass(frozen=True)
class Treatment:
    """What was decided, and the calibration fitted accordingly."""

    calibration: calibration.Decision
    single_buyers: single_buyers.Decision
    fitted: Calibration


@dataclass(frozen=True)
class Tested:
    """A candidate's backtest: treated predictions with RAW, and the treatment of the model for use.

    Each test cutoff's predictions were treated as decided from those whose labels had matured by then, so that nothing
    is chosen on the rows it is judged on. The model for use is treated as all of the predictions decide.
    """

    predictions: pd.DataFrame
    treatment: Treatment


_SHOWN = "A baseline is shown as it is."
AS_IT_IS = Treatment(
    calibration.Decision("none", _SHOWN), single_buyers.Decision(False, _SHOWN), calibration.UNCALIBRATED
)


def decide(known: pd.DataFrame, rules: Training, horizon_days: int) -> Treatment:
    """From out-of-time predictions (``holdfast.model.backtest``) whose outcome is known."""
    chosen = calibration.choose(known, rules.calibration, horizon_days, rules.seed)
    outcome = known["churned"].to_numpy(float)
    return Treatment(
        chosen,
        single_buyers.decide(known, rules.resamples, rules.seed),
        calibration.fit(chosen.method, known[PROBABILITY].to_numpy(float), outcome),
    )


def treated_backtest(
    candidate: Candidate,
    rows: pd.DataFrame,
    splits: Sequence[Split],
    features: Sequence[str],
    *,
    study: Sequence[Split],
    rules: Training,
    horizon_days: int,
) -> Tested:
    """Backtest on ``splits``; the earlier splits of the ``study`` are predicted too, but only to decide the treatment.

    A baseline is shown as it is.
    """
    if candidate.baseline:
        raw = backtest(candidate, rows, splits, features, rules.seed)
        return Tested(raw.assign(**{RAW: raw[PROBABILITY]}), AS_IT_IS)
    raw = backtest(candidate, rows, [*study, *splits], features, rules.seed)
    by_cutoff = {date.fromisoformat(str(day)): part for day, part in raw.groupby("cutoff", sort=True)}
    treated = []
    for split in splits:
        known = [part for day, part in by_cutoff.items() if windows.is_mature(day, horizon_days, split.test)]
        decided = decide(pd.concat(known) if known else raw.head(0), rules, horizon_days)
        treated.append(_treat(by_cutoff[split.test], decided, rows_of(rows, split.train)))
    return Tested(pd.concat(treated, ignore_index=True), decide(raw, rules, horizon_days))


def served(
    candidate: Candidate,
    rows: pd.DataFrame,
    cutoffs: Sequence[date],
    features: Sequence[str],
    *,
    treatment: Treatment,
    worth: Worth | None,
    seed: int,
) -> ServedModel:
    """The model for use: fitted on all ``cutoffs``, treated as decided."""
    rate = single_buyers.cohort_rate(rows_of(rows, cutoffs)) if treatment.single_buyers.use_cohort else None
    return ServedModel(fit_on(candidate, rows, cutoffs, features, seed), treatment.fitted, rate, worth)


def _treat(predictions: pd.DataFrame, treatment: Treatment, training: pd.DataFrame) -> pd.DataFrame:
    raw = predictions[PROBABILITY]
    treated = pd.Series(treatment.fitted(raw.to_numpy(float)), index=raw.index)
    if treatment.single_buyers.use_cohort:
        rate = single_buyers.cohort_rate(training)
        if rate is not None:
            treated[single_buyers.are_single(predictions)] = rate
    return predictions.assign(**{RAW: raw, PROBABILITY: treated})
