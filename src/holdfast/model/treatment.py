"""What is done to a model's probabilities before they are used, decided on cutoffs earlier than those that judge it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import pandas as pd

from holdfast.dataset import Split
from holdfast.model import calibration, single_buyers
from holdfast.model.backtest import PROBABILITY, backtest, fit_on, rows_of
from holdfast.model.calibration import Calibration
from holdfast.model.candidates import Candidate
from holdfast.model.served import ServedModel
from holdfast.model.worth import Worth
from holdfast.rules import Training


@dataclass(frozen=True)
class Study:
    """Out-of-time predictions on the study cutoffs, and what they decided."""

    predictions: pd.DataFrame
    calibration: calibration.Decision
    single_buyers: single_buyers.Decision

    def calibrated(self, later: Sequence[pd.DataFrame] = ()) -> Calibration:
        """The chosen calibration, fitted on the study's predictions and ``later`` ones."""
        rows = pd.concat([self.predictions, *later])
        if self.calibration.method == "none":
            return calibration.UNCALIBRATED
        return calibration.fit(
            self.calibration.method, rows[PROBABILITY].to_numpy(float), rows["churned"].to_numpy(float)
        )


def study(
    candidate: Candidate,
    rows: pd.DataFrame,
    splits: Sequence[Split],
    features: Sequence[str],
    *,
    rules: Training,
    horizon_days: int,
) -> Study:
    """Backtest the candidate on the study's ``splits`` (``dataset.study_splits``) and decide.

    A baseline is shown as it is: nothing is decided for it.
    """
    predictions = pd.DataFrame({"customer_id": [], "cutoff": [], "churned": [], PROBABILITY: []})
    if splits and not candidate.baseline:
        predictions = backtest(candidate, rows, splits, features, rules.seed)
    return Study(
        predictions,
        calibration.choose(predictions, rules.calibration, horizon_days, rules.seed),
        single_buyers.decide(predictions, rules.resamples, rules.seed),
    )


def backtest_treated(
    candidate: Candidate,
    rows: pd.DataFrame,
    splits: Sequence[Split],
    features: Sequence[str],
    *,
    of: Study,
    seed: int,
) -> pd.DataFrame:
    """As ``backtest``, with the study's decisions applied, and ``raw``: the model's own probability.

    All of the study's labels had matured by the first test cutoff, so each split may use them.
    """
    raw = backtest(candidate, rows, splits, features, seed)
    treated = of.calibrated()(raw[PROBABILITY].to_numpy(float))
    predictions = raw.assign(raw=raw[PROBABILITY], **{PROBABILITY: treated})
    if of.single_buyers.use_cohort:
        single = single_buyers.are_single(predictions)
        for split in splits:
            rate = single_buyers.cohort_rate(rows_of(rows, split.train))
            if rate is not None:
                predictions.loc[single & (predictions["cutoff"] == split.test.isoformat()), PROBABILITY] = rate
    return predictions


def served(
    candidate: Candidate,
    rows: pd.DataFrame,
    cutoffs: Sequence[date],
    features: Sequence[str],
    *,
    of: Study,
    predictions: pd.DataFrame,
    worth: Worth | None,
    seed: int,
) -> ServedModel:
    """The model for use: fitted on all ``cutoffs``, calibrated on the study and the backtest (``predictions``)."""
    tested = predictions.assign(**{PROBABILITY: predictions["raw"]})
    rate = single_buyers.cohort_rate(rows_of(rows, cutoffs)) if of.single_buyers.use_cohort else None
    return ServedModel(fit_on(candidate, rows, cutoffs, features, seed), of.calibrated([tested]), rate, worth)
