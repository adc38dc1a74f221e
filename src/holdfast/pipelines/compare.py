"""The candidates side by side on the backtest of the configured shop. Nothing is registered, nothing is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import pandas as pd

from holdfast import dataset
from holdfast.model.candidates import configured, inputs
from holdfast.model.evaluation import Evaluation, OrderGroup, by_orders, evaluate
from holdfast.model.search import tuned
from holdfast.model.treatment import Treatment, treated_backtest
from holdfast.rules import Rules


@dataclass(frozen=True)
class Compared:
    """One candidate: how its model for use would be treated, and its figures on the test cutoffs.

    ``features`` is how many columns it was given.
    """

    candidate: str
    baseline: bool
    features: int
    treatment: Treatment
    evaluation: Evaluation
    groups: tuple[OrderGroup, ...]


def compare(
    rows: pd.DataFrame, names: Sequence[str], rules: Rules, complete_to: date, blend: Sequence[str] | None = None
) -> Iterator[Compared]:
    """Backtest each candidate on the training set ``rows`` exactly as a training run does (``pipelines.train``).

    ``blend`` names other members of the blend than the rules do.
    """
    own, horizon = rules.training, rules.label.horizon_days
    splits = dataset.splits(own, horizon, complete_to)
    study = dataset.study_splits(own, horizon, complete_to)
    for name in names:
        chosen = configured(name, horizon, blend or own.blend)
        features = inputs(chosen, rows)
        chosen = tuned(chosen, rows, study, features, rules=own).candidate
        tested = treated_backtest(chosen, rows, splits, features, study=study, rules=own, horizon_days=horizon)
        yield Compared(
            name,
            chosen.baseline,
            len(features),
            tested.treatment,
            evaluate(tested.predictions, own.threshold, own.resamples, own.seed),
            tuple(by_orders(tested.predictions, own.resamples, own.seed)),
        )
