"""What a score costs beside the bare library's prediction: contributions, reasons in two languages, personas.

    python -m benchmarks.scoring

writes benchmarks/results/scoring.json: 100,000 made-up customers with every feature of the catalogue, scored by a
LightGBM model of the usual size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.measured import alone, record
from holdfast.features.catalog import FAMILIES, FEATURE_NAMES
from holdfast.model.boosting import BoostedTrees, fit_boosting
from holdfast.model.matrix import matrix
from holdfast.model.personas import fit_personas
from holdfast.model.reasons import as_json, top_reasons

CUSTOMERS = 100_000
_TRAINED_ON = 20_000


@cache
def customers() -> pd.DataFrame:
    draw = np.random.default_rng(1)
    return pd.DataFrame(draw.gamma(2.0, 5.0, (CUSTOMERS, len(FEATURE_NAMES))), columns=list(FEATURE_NAMES))


@cache
def model() -> BoostedTrees:
    rows = customers().head(_TRAINED_ON)
    score = rows["days_since_order"] - rows["gap_mean_days"] + rows["orders_28d"] / 2
    noise = np.random.default_rng(2).normal(0, 8, len(rows))
    return fit_boosting(rows, (score + noise > 10).to_numpy(float), seed=7)


def bare_prediction() -> Callable[[], Any]:
    values, booster = matrix(customers(), FEATURE_NAMES), model().booster
    return lambda: booster.predict(values, num_threads=1)


def probabilities() -> Callable[[], Any]:
    rows, fitted = customers(), model()
    return lambda: fitted.probabilities(rows)


def contributions() -> Callable[[], Any]:
    rows, fitted = customers(), model()
    return lambda: fitted.contributions(rows)


def reasons() -> Callable[[], Any]:
    rows, fitted = customers(), model()
    effect = fitted.contributions(rows)
    return lambda: [as_json(one) for one in top_reasons(effect, fitted.features, rows, FAMILIES, 3)]


def personas() -> Callable[[], Any]:
    rows = customers()
    found = fit_personas(rows, seed=7)
    return lambda: found.assign(rows)


def rows() -> Iterator[dict[str, Any]]:
    bare = alone(bare_prediction)
    yield {"step": "bare prediction", "customers": CUSTOMERS, "figures": bare}
    for step in (probabilities, contributions, reasons, personas):
        figures = alone(step)
        times = round(figures.cpu_seconds / bare.cpu_seconds, 2)
        yield {"step": step.__name__, "customers": CUSTOMERS, "figures": figures, "cpu_over_bare_prediction": times}


if __name__ == "__main__":
    record("scoring", rows(), ("lightgbm", "scikit-learn", "numpy", "pandas"))
