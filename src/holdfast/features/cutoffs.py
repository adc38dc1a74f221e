"""The rows that features are computed for, and where each row's windows begin and end in the sorted events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from holdfast import windows
from holdfast.features.arithmetic import SECONDS_PER_DAY, Floats, Span
from holdfast.features.log import Log
from holdfast.timeline import Ints, Timeline


@dataclass(frozen=True)
class Cutoffs:
    """For each cutoff, every customer with a purchase strictly before it.

    Rows are sorted by ``cutoff`` (position in ``days``, which ascend) and ``customer`` (position in
    ``Log.customers``). ``known`` marks them in a table of all cutoffs and customers. Positions are searched once for
    each kind of event and instant, however many families and cutoffs ask for them.
    """

    days: tuple[date, ...]
    zone: ZoneInfo
    known: NDArray[np.bool_]
    cutoff: Ints
    customer: Ints
    _at: dict[tuple[Timeline, int], Ints] = field(default_factory=dict, repr=False)
    _rows: dict[tuple[Timeline, int | None], Ints] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, log: Log, days: Sequence[date], zone: ZoneInfo, skip: NDArray[np.bool_] | None = None) -> Cutoffs:
        """The rows of the log's customers, but for those (by position) whom ``skip`` marks."""
        ascending = tuple(sorted(set(days)))
        everyone = np.arange(len(log.customers), dtype=np.int64)
        before = [log.orders.position(everyone, second) for second in _seconds(ascending, zone, 0)[:, None]]
        known = np.array(before).reshape(len(ascending), len(everyone)) > log.orders.first(everyone)
        if skip is not None:
            known &= ~skip
        cutoff, customer = np.nonzero(known)
        return cls(ascending, zone, known, cutoff.astype(np.int64), customer.astype(np.int64))

    def __len__(self) -> int:
        return len(self.customer)

    def seconds(self, days_before: int = 0) -> Ints:
        """Per cutoff (not per row), the instant ``days_before`` calendar days of the shop earlier, in epoch seconds."""
        return _seconds(self.days, self.zone, days_before)

    def since(self, second: Ints) -> Ints:
        """Per row, the seconds from ``second`` to the cutoff."""
        return self.seconds()[self.cutoff] - second

    def days_since_last(self, events: Timeline) -> Floats:
        """Per row, the days of 24 hours from the customer's last such event to the cutoff; null without one."""
        history = self.history(events)
        # Who has none reads another's event, or the 0 appended; np.where drops it.
        last = np.append(events.second, 0)[history.end - 1]
        return np.where(history.count == 0, np.nan, self.since(last) / SECONDS_PER_DAY)

    def history(self, events: Timeline) -> Span:
        """Per row, the customer's events before the cutoff."""
        return Span(self._position(events, None), self._position(events, 0))

    def window(self, events: Timeline, days: int, until: int = 0) -> Span:
        """Per row, the customer's events in ``[cutoff − days, cutoff − until)``, in calendar days of the shop."""
        return Span(self._position(events, days), self._position(events, until))

    def _position(self, events: Timeline, days_before: int | None) -> Ints:
        """Per row, the position of the customer's first event from that many days before the cutoff on (None: ever)."""
        if (events, days_before) not in self._rows:
            if days_before is None:
                by_customer = events.first(np.arange(self.known.shape[1], dtype=np.int64))
                self._rows[events, None] = by_customer[self.customer]
            else:
                instants = self.seconds(days_before)
                self._search(events, instants)
                by_cutoff = np.stack([self._at[events, int(second)] for second in instants])
                self._rows[events, days_before] = by_cutoff[self.known]
        return self._rows[events, days_before]

    def _search(self, events: Timeline, instants: Ints) -> None:
        """Make known, per customer, the position of the first event from each of the instants on."""
        new = np.array([second for second in instants if (events, int(second)) not in self._at], dtype=np.int64)
        everyone = np.arange(self.known.shape[1], dtype=np.int64)
        if len(new) * len(everyone) <= len(events):
            found = events.position(everyone, new[:, None])
        else:
            # One pass over the events is cheaper than so many searches.
            before = np.searchsorted(new, events.second, side="right")
            cell = events.customer * (len(new) + 1) + before
            counts = np.bincount(cell, minlength=len(everyone) * (len(new) + 1)).reshape(len(everyone), -1)
            found = (events.first(everyone)[:, None] + counts.cumsum(axis=1)[:, :-1]).T
        self._at.update({(events, int(second)): one for second, one in zip(new, found, strict=True)})


def _seconds(days: Sequence[date], zone: ZoneInfo, days_before: int) -> Ints:
    bounds = [windows.instant(day - timedelta(days=days_before), zone) for day in days]
    return np.array([int(bound.timestamp()) for bound in bounds], dtype=np.int64)
