"""Events of many customers in one sorted array, searched by customer and instant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

Ints = NDArray[np.int64]

# A key is a customer's number (up to 2^30) followed by the seconds since 1900 (up to the year 2172), in one int64.
_SECOND_BITS = 33
_LAST_SECOND = (1 << _SECOND_BITS) - 1
_ORIGIN = int(datetime(1900, 1, 1, tzinfo=UTC).timestamp())

_QUARTER = 15 * 60


@dataclass(frozen=True, eq=False)
class Timeline:
    """Events sorted by ``key``, which holds each event's customer (a number) and second (UTC epoch, rounded down).

    ``values`` are whole numbers that go with the events, one array each, aligned with ``key``. Whole seconds lose
    nothing: every window starts and ends at a midnight, so an event lies before the bound exactly when its second
    does. Events of one customer in one second stand in no particular order, unless a ``tie`` says so.
    """

    key: Ints
    values: Mapping[str, Ints] = field(default_factory=dict)

    @classmethod
    def of(cls, key: Ints, values: Mapping[str, Ints] | None = None, tie: Ints | None = None) -> Timeline:
        """The timeline of events in any order, ``values`` aligned with them. ``tie`` orders those of one second."""
        if not values:
            return cls(np.sort(key))
        order = np.argsort(key) if tie is None else np.lexsort((tie, key))
        return cls(key[order], {name: value[order] for name, value in values.items()})

    @classmethod
    def empty(cls) -> Timeline:
        return cls(np.empty(0, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.key)

    def __getitem__(self, name: str) -> Ints:
        return self.values[name]

    @property
    def customer(self) -> Ints:
        return self.key >> _SECOND_BITS

    @property
    def second(self) -> Ints:
        return (self.key & _LAST_SECOND) + _ORIGIN

    def clock(self, zone: ZoneInfo) -> Ints:
        """Each event's second by the clock of ``zone``, counted as if that clock were UTC's."""
        quarter = self.second // _QUARTER
        if not len(quarter):
            return quarter
        years = (
            (np.array([quarter.min(), quarter.max() + 1]) * _QUARTER).astype("datetime64[s]").astype("datetime64[Y]")
        )
        shifts = _shifts(zone, *(int(year) + 1970 for year in years.astype(np.int64)))
        return self.second + shifts.by_quarter[quarter - shifts.first]

    def first(self, customer: Ints) -> Ints:
        """For each customer, the position of their first event (or where it would stand)."""
        return np.searchsorted(self.key, customer << _SECOND_BITS)

    def position(self, customer: Ints, second: Ints) -> Ints:
        """For each pair, the position just past the customer's last event strictly before ``second``."""
        return np.searchsorted(self.key, keys(customer, second))

    def where(self, chosen: NDArray[np.bool_]) -> Timeline:
        """The events marked in ``chosen``."""
        return Timeline(self.key[chosen], {name: value[chosen] for name, value in self.values.items()})

    def customers(self, start: int, end: int) -> Timeline:
        """The events of the customers from ``start`` up to (not including) ``end``, who are numbered from 0 on."""
        first, last = np.searchsorted(self.key, np.array([start, end], dtype=np.int64) << _SECOND_BITS)
        return Timeline(
            self.key[first:last] - (start << _SECOND_BITS),
            {name: value[first:last] for name, value in self.values.items()},
        )


@dataclass(frozen=True)
class _Shifts:
    """By quarter of an hour, counted from ``first`` (of the UTC epoch), how many seconds a clock is ahead of UTC."""

    first: int
    by_quarter: Ints


@lru_cache(maxsize=16)
def _shifts(zone: ZoneInfo, first_year: int, last_year: int) -> _Shifts:
    """The clock of these years; every zone changes its clock at a quarter of an hour (since 1972)."""
    first, end = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (first_year, last_year + 1))
    start = np.arange(first, end, _QUARTER)
    local = pd.DatetimeIndex(start.astype("datetime64[s]"), tz="UTC").tz_convert(zone).tz_localize(None)
    return _Shifts(first // _QUARTER, local.to_numpy("datetime64[s]").astype(np.int64) - start)


def seconds(times: pa.ChunkedArray) -> Ints:
    """Times (Arrow timestamps without nulls) as whole seconds of the UTC epoch, rounded down."""
    whole: Ints = times.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()).to_numpy() // 1_000_000
    return whole


def keys(customer: NDArray[np.signedinteger], second: Ints) -> Ints:
    """Keys of events by these customers (numbers) in these seconds; times out of range count as its ends."""
    key: Ints = (customer.astype(np.int64) << _SECOND_BITS) | np.clip(second - _ORIGIN, 0, _LAST_SECOND)
    return key
