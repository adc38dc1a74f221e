"""Events of many customers in one sorted array, searched by customer and instant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Ints = NDArray[np.int64]

# A key is a customer's number (up to 2^30) followed by the seconds since 1900 (up to the year 2172), in one int64.
_SECOND_BITS = 33
_LAST_SECOND = (1 << _SECOND_BITS) - 1
_ORIGIN = int(datetime(1900, 1, 1, tzinfo=UTC).timestamp())


@dataclass(frozen=True)
class Timeline:
    """Sorted events: ``customer`` (number) and ``second`` (UTC epoch, rounded down), ``key`` holding both.

    Whole seconds lose nothing: every window starts and ends at a midnight, so an event lies before the bound exactly
    when its second does.
    """

    customer: Ints
    second: Ints
    key: Ints

    @classmethod
    def of(cls, customer: Ints, time: pd.Series) -> Timeline:
        """The timeline of events that are already sorted by customer and time (UTC, datetime64)."""
        second = time.dt.as_unit("us").astype(np.int64).to_numpy() // 1_000_000
        return cls(customer, second, _key(customer, second))

    def clock(self, zone: ZoneInfo) -> pd.DatetimeIndex:
        """Each event's time by the clock of ``zone``."""
        return pd.DatetimeIndex(self.second.astype("datetime64[s]"), tz="UTC").tz_convert(zone)

    def __len__(self) -> int:
        return len(self.key)

    def first(self, customer: Ints) -> Ints:
        """For each customer, the position of their first event (or where it would stand)."""
        return np.searchsorted(self.key, customer << _SECOND_BITS)

    def position(self, customer: Ints, second: Ints) -> Ints:
        """For each pair, the position just past the customer's last event strictly before ``second``."""
        return np.searchsorted(self.key, _key(customer, second))


def _key(customer: Ints, second: Ints) -> Ints:
    return (customer << _SECOND_BITS) | np.clip(second - _ORIGIN, 0, _LAST_SECOND)
