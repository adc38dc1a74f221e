"""Chance, counted and not consumed: every number is a function of seed, purpose, day and customer.

NumPy's Philox is a counter-based generator (J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011):
the numbers of a block of customers on a day are found from its counter alone. So they depend neither on what was drawn
before nor on how many customers are simulated at a time, and the same customer meets the same chances with and without
treatment.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

BLOCK = 4096
"""Customers whose numbers come from one counter. Another value gives another shop."""

_TO_UNIT = 2.0**-53


class Purpose(IntEnum):
    """What the numbers are for; each purpose has a stream of its own."""

    TRAITS = 0
    LIVES = 1
    ORDERS = 2
    VISITS = 3
    VOICES = 4
    RESPONSES = 5
    PRODUCTS = 6


def uniforms(
    seed: int, purpose: Purpose, day: int, span: tuple[int, int], count: int, *, at: Indices | None = None
) -> Floats:
    """``count`` numbers in (0, 1) for each of the customers ``[start, stop)`` of ``span`` on a day: a row a number.

    ``at`` asks only for the customers at these places within the span, in their order.
    """
    start, stop = span
    first, last = start // BLOCK, -(-stop // BLOCK)
    bits = np.empty((count, last - first, BLOCK), np.uint64)
    for block in range(first, last):
        bits[:, block - first] = _block(seed, purpose, day, block, count)
    drawn = bits.reshape(count, -1)[:, start - first * BLOCK : stop - first * BLOCK]
    return _unit(drawn if at is None else drawn[:, at])


def _block(seed: int, purpose: Purpose, day: int, block: int, count: int) -> npt.NDArray[np.uint64]:
    bits = np.random.Philox(key=np.array([seed, purpose], np.uint64), counter=np.array([0, 0, day, block], np.uint64))
    raw: npt.NDArray[np.uint64] = bits.random_raw(count * BLOCK).reshape(count, BLOCK)
    return raw


def _unit(raw: npt.NDArray[np.uint64]) -> Floats:
    # The generator's documented stream itself, which no release of NumPy may change.
    unit: Floats = ((raw >> np.uint64(11)).astype(np.float64) + 0.5) * _TO_UNIT
    return unit
