"""Batch scoring shard by shard against LightGBM's bare predict on the same rows.

    python -m benchmarks.batch_scoring

writes benchmarks/results/batch_scoring.json. Both predict with the same booster (400 trees, one thread) on the same
rows. The bare one has them as one matrix; ours as a feature table that is shared out by the hash of the customer, and
adds calibration, the single buyers' rate, spend and lifetime value where the step says so. ``share`` is our rows per
processor second over the bare ones (aim: 0.8 for the probability); peaks are of whole processes, data included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.measured import alone, record
from holdfast.features.catalog import FEATURE_NAMES
from holdfast.model.boosting import PARAMETERS, BoostedTrees, fit_boosting
from holdfast.model.calibration import Calibration
from holdfast.model.served import ServedModel
from holdfast.model.worth import fit_worth
from holdfast.pipelines.score import shard_of

SHARDS = 8
SIZES = (50_000, 200_000)
TRAINED_ON = 20_000


def customers(count: int, seed: int) -> pd.DataFrame:
    """Made-up customers: every feature a number, a tenth of some null, orders and tenure that fit together."""
    draw = np.random.default_rng(seed)
    values = draw.gamma(2.0, 10.0, (count, len(FEATURE_NAMES)))
    values[:, ::3] = np.where(draw.uniform(size=values[:, ::3].shape) < 0.1, np.nan, values[:, ::3])
    orders, since = draw.integers(1, 40, count).astype(float), draw.uniform(0, 56, count)
    known = {"order_count": orders, "days_since_order": since, "tenure_days": since + 9 * orders}
    rows = pd.DataFrame(values, columns=list(FEATURE_NAMES)).assign(**known, amount_per_order=draw.gamma(2, 20, count))
    return rows.assign(customer_id=[f"c{i}" for i in range(count)])


def boosted() -> BoostedTrees:
    rows = customers(TRAINED_ON, seed=1)
    churned = (rows["days_since_order"] > 30).to_numpy(float)
    return fit_boosting(rows[list(FEATURE_NAMES)], churned, 7, **PARAMETERS)


def model() -> ServedModel:
    rows = customers(TRAINED_ON, seed=1)
    spend = np.where(rows["days_since_order"] > 30, 0.0, rows["amount_per_order"])
    labelled = rows.assign(cutoff="2017-11-26", spend=spend)
    return ServedModel(boosted(), Calibration("platt", (0.9, 0.1)), 0.4, fit_worth(labelled, list(FEATURE_NAMES), 7))


def bare(count: int) -> Callable[[], Any]:
    booster = boosted().booster
    values = customers(count, seed=2)[list(FEATURE_NAMES)].to_numpy()
    return lambda: booster.predict(values, num_threads=1)


def by_shard(count: int, worth: bool) -> Callable[[], Any]:
    served, everyone = model(), customers(count, seed=2)

    def step() -> None:
        shards = np.array([shard_of(one, SHARDS) for one in everyone["customer_id"]])
        for shard in range(SHARDS):
            rows = everyone[shards == shard]
            served.probabilities(rows)
            if worth:
                served.spend_if_buying(rows)
                served.lifetime_value(rows)

    return step


def rows() -> Iterator[dict[str, Any]]:
    for count in SIZES:
        alone_bare = alone(bare, count)
        yield {"customers": count, "step": "bare predict", "figures": alone_bare}
        for step, worth in (("probability, by shard", False), ("probability, spend and lifetime, by shard", True)):
            ours = alone(by_shard, count, worth)
            share = round(alone_bare.cpu_seconds / ours.cpu_seconds, 2)
            yield {"customers": count, "step": step, "figures": ours, "share": share}


if __name__ == "__main__":
    record("batch_scoring", rows(), ["lightgbm", "numpy", "pandas"])
