"""Cutoffs and half-open windows.

A *cutoff* is a calendar day of the shop; its instant is that day's midnight in the shop's time zone. Every window is
half-open, ``[start, end)``: what happens exactly at the cutoff belongs to the label, never to the features. Window
bounds are midnights too, so a day lost or gained by daylight saving never moves an event into another window.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class Window:
    """A half-open span of time ``[start, end)`` between two UTC instants."""

    start: datetime
    end: datetime

    def __contains__(self, moment: datetime) -> bool:
        return self.start <= moment < self.end


def in_utc(moment: datetime) -> datetime:
    """The moment in UTC. Raises ValueError for one without a zone, or outside the years 1 to 9999 in UTC."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("a time outside the years 1 to 9999 in UTC") from error


def instant(day: date, zone: ZoneInfo) -> datetime:
    """The UTC instant at which the shop's calendar day ``day`` begins."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def observation_window(cutoff: date, lookback_days: int, zone: ZoneInfo) -> Window:
    """``[cutoff − lookback_days, cutoff)``: all that features with this lookback may read."""
    return Window(instant(cutoff - timedelta(days=lookback_days), zone), instant(cutoff, zone))


def horizon(cutoff: date, days: int, zone: ZoneInfo) -> Window:
    """``[cutoff, cutoff + days)``: where the label of ``cutoff`` is observed."""
    return Window(instant(cutoff, zone), instant(cutoff + timedelta(days=days), zone))


def is_mature(cutoff: date, horizon_days: int, complete_to: date) -> bool:
    """Whether the horizon of ``cutoff`` has fully elapsed in data complete up to (not including) ``complete_to``."""
    return cutoff + timedelta(days=horizon_days) <= complete_to


def cutoffs(first: date, last: date, step_days: int) -> list[date]:
    """Cutoffs ``first, first + step, …`` up to and including ``last`` where it falls on the grid."""
    count = (last - first).days // step_days + 1
    return [first + timedelta(days=step_days * i) for i in range(max(count, 0))]
