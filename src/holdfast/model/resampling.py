"""How sure a figure is: the spread of it over shops whose customers were drawn again from this shop's.

Customers are drawn, not rows: those of one customer at several cutoffs go together, since they are alike.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from holdfast.model.matrix import Matrix, Vector

COVERAGE = 0.95

# So many weights at a time, to bound the memory.
_WEIGHTS_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class Interval:
    """The percentile interval of COVERAGE."""

    low: float
    high: float

    @classmethod
    def of(cls, values: Vector) -> Interval | None:
        """Of resampled values; None where none of them exists."""
        known = values[~np.isnan(values)]
        if not len(known):
            return None
        low, high = np.quantile(known, [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
        return cls(float(low), float(high))


@dataclass(frozen=True)
class Resamples:
    """How often each customer is drawn in each resample: independent Poisson(1) counts (the Poisson bootstrap).

    ``counts`` has a row a resample and a column for each of ``customers``, which are sorted.
    """

    customers: NDArray[np.object_]
    counts: NDArray[np.uint8]

    @classmethod
    def of(cls, customers: pd.Series, resamples: int, seed: int) -> Resamples:
        distinct = np.unique(customers.to_numpy(dtype=object))
        counts = np.random.default_rng(seed).poisson(1.0, (resamples, len(distinct)))
        return cls(distinct, counts.astype(np.uint8))

    def spread(
        self, customers: pd.Series, measure: Callable[[Matrix], Mapping[str, Vector]]
    ) -> dict[str, NDArray[np.float64]]:
        """``measure`` (weights → figures) of these customers' rows under every resample, by figure."""
        column = np.searchsorted(self.customers, customers.to_numpy(dtype=object))
        step = max(1, _WEIGHTS_AT_ONCE // max(len(column), 1))
        parts: Sequence[Mapping[str, Vector]] = [
            measure(self.counts[start : start + step, column].astype(float))
            for start in range(0, len(self.counts), step)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}
