"""Arithmetic on sorted events that gives the same bytes however customers are split or rows are ordered.

Sums run over integers and are exact. On floats only the four operations and the square root are used, which IEEE 754
rounds one way; logarithms and exponentials may differ in the last bit with the length of an array.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from holdfast.timeline import Ints

Floats = NDArray[np.float64]

SECONDS_PER_DAY = 86_400


def running_sum(values: NDArray[np.int64] | NDArray[np.bool_]) -> Ints:
    """``result[i]`` is the sum of ``values[:i]``. Overflow is harmless: differences stay exact modulo 2^64."""
    sums = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(values, out=sums[1:])
    return sums


def running_max(values: Ints, group: Ints) -> Ints:
    """The largest value so far within each group; groups ascend, values are not negative."""
    # Each group is lifted above all that stood before it.
    lift = group * (int(values.max(initial=0)) + 1)
    return np.maximum.accumulate(values + lift) - lift


def ratio(numerator: Ints | Floats, denominator: Ints | Floats) -> Floats:
    """``numerator / denominator``, null (NaN) where the denominator is zero or null."""
    below = np.asarray(denominator, dtype=np.float64)
    result = np.full(below.shape, np.nan)
    np.divide(numerator, below, out=result, where=below != 0)
    return result


@dataclass(frozen=True)
class Span:
    """For each row, the half-open slice ``[start, end)`` of a timeline's events."""

    start: Ints
    end: Ints

    @property
    def count(self) -> Ints:
        return self.end - self.start

    def total(self, running: Ints) -> Ints:
        """Per row, the sum over the slice of the values whose ``running_sum`` is given."""
        return running[self.end] - running[self.start]
