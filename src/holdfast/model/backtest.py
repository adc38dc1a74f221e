"""How a candidate would have predicted at past cutoffs, each time knowing only what had happened by then."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np
import pandas as pd

from holdfast.dataset import KEYS, Split
from holdfast.errors import ModelError
from holdfast.labels import LABEL
from holdfast.model.candidates import Candidate
from holdfast.model.fitted import FittedModel

PROBABILITY = "probability"
ABOUT = ("order_count", "days_since_order", "gap_longest_days")
"""Features that evaluation asks for (``holdfast.model.evaluation``), kept beside the predictions."""


def fit_on(
    candidate: Candidate, rows: pd.DataFrame, cutoffs: Sequence[date], features: Sequence[str], seed: int
) -> FittedModel:
    """The candidate fitted on the rows of these cutoffs.

    Raises ModelError when their customers are all churned or all retained.
    """
    chosen = rows_of(rows, cutoffs)
    churned = chosen[LABEL].to_numpy(dtype=float)
    if np.unique(churned).size < 2:
        raise ModelError(
            f"{candidate.name} cannot be fitted: {int(churned.sum())} of the {len(churned)} training rows of the "
            f"{len(cutoffs)} cutoffs from {cutoffs[0]} to {cutoffs[-1]} churned. Train on more cutoffs or customers."
        )
    return candidate.fit(chosen[list(features)], churned, seed)


def backtest(
    candidate: Candidate, rows: pd.DataFrame, splits: Sequence[Split], features: Sequence[str], seed: int
) -> pd.DataFrame:
    """Out-of-time predictions for every row of every test cutoff, as from ``predict``.

    Each split's model is fitted on that split's own training cutoffs (``holdfast.dataset.splits``).
    """
    return pd.concat(
        [
            predict(fit_on(candidate, rows, split.train, features, seed), rows_of(rows, [split.test]))
            for split in splits
        ],
        ignore_index=True,
    )


def predict(model: FittedModel, rows: pd.DataFrame) -> pd.DataFrame:
    """The model's prediction for labelled rows: customer_id, cutoff, churned, ABOUT as far as known, probability."""
    about = [name for name in ABOUT if name in rows]
    return rows[[*KEYS, LABEL, *about]].assign(**{PROBABILITY: model.probabilities(rows)})


def rows_of(rows: pd.DataFrame, cutoffs: Sequence[date]) -> pd.DataFrame:
    """The rows of these cutoffs."""
    return rows[rows["cutoff"].isin([day.isoformat() for day in cutoffs])]
