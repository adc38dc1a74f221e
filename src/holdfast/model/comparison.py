"""Two models on the same customers: is one better, or does it only look so?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from holdfast.dataset import KEYS
from holdfast.errors import ModelError
from holdfast.labels import LABEL
from holdfast.model import metrics
from holdfast.model.evaluation import FLAGGED_FROM, judge
from holdfast.model.matrix import Matrix, Vector
from holdfast.model.resampling import Interval, Resamples

BETTER_WHEN_SMALLER = frozenset({"brier", "log_loss", "calibration_error"})


@dataclass(frozen=True)
class Difference:
    """The challenger's mean figure over the cutoffs minus the champion's, and its interval.

    The difference of a figure that is better when smaller is turned round: positive means that the challenger is
    better. ``better`` is the share of resamples in which it is.
    """

    metric: str
    value: float
    interval: Interval
    better: float


def paired_bootstrap(
    challenger: pd.DataFrame,
    champion: pd.DataFrame,
    metric: str,
    *,
    resamples: int = 1000,
    seed: int = 0,
    threshold: float = FLAGGED_FROM,
) -> Difference:
    """Compare two sets of predictions of the very same customers at the very same cutoffs.

    Both frames are as from ``holdfast.model.backtest``; their order does not matter. Each resample draws customers
    with all their rows, the same for both sides, so that what both find hard cancels out. ``metric`` is any figure of
    ``holdfast.model.metrics.figures``. Raises ModelError when the rows or their outcomes differ, or a cutoff's
    customers all did the same.
    """
    keys = list(KEYS)
    pairs = challenger.merge(champion, on=keys, suffixes=("", "_champion"), validate="one_to_one")
    if not len(pairs) == len(challenger) == len(champion) or (pairs[LABEL] != pairs[f"{LABEL}_champion"]).any():
        raise ModelError(
            f"the challenger predicted {len(challenger)} customer-cutoff rows and the champion {len(champion)}, of "
            f"which {len(pairs)} are the same: they can be compared only on the same rows with the same outcomes. "
            "Let both predict the training set of one run."
        )
    drawn = Resamples.of(pairs["customer_id"], resamples, seed)
    found, spread = [], []
    for _, rows in pairs.groupby("cutoff", sort=True):
        difference = _differ(rows, metric, threshold)
        found.append(difference(np.ones((1, len(rows))))["difference"][0])
        spread.append(drawn.spread(rows["customer_id"], difference)["difference"])
    value, over_resamples = float(np.mean(found)), np.mean(spread, axis=0)
    interval = Interval.of(over_resamples)
    if np.isnan(value) or interval is None:
        raise ModelError(
            f"{metric} cannot be compared: at a cutoff it does not exist for one of the two, for instance since all "
            "customers did the same. Compare on cutoffs with both outcomes."
        )
    return Difference(metric, value, interval, float((over_resamples > 0).mean()))


def _differ(rows: pd.DataFrame, metric: str, threshold: float) -> Callable[[Matrix], Mapping[str, Vector]]:
    """Challenger minus champion at one cutoff, as a function of weights."""
    sides = judge(rows), judge(rows.assign(probability=rows["probability_champion"]))
    sign = -1.0 if metric in BETTER_WHEN_SMALLER else 1.0

    def difference(weights: Matrix) -> Mapping[str, Vector]:
        challenger, champion = (metrics.figures(side, weights, threshold)[metric] for side in sides)
        return {"difference": sign * (challenger - champion)}

    return difference
