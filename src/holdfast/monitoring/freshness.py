"""Which landing days were to be expected, up to which day all of them have arrived, and whose volume stands out.

One series at a time: the rows that one input of the shop's mapping brought, by landing day.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

import numpy as np

from holdfast.rules import Calendar

WEEKS = 8
"""How far back the same weekday is looked at, for learning the calendar and for judging a volume."""

_TRADED_IN = 2
"""A weekday is expected once files landed on so many of its last ``WEEKS`` dates: one odd opening founds no habit."""

_LEAST_HISTORY = 4
_NORMAL = 1.4826
"""The median absolute deviation times this estimates a normal distribution's standard deviation."""

_LEAST_SPREAD = 0.25
_FAR = 3.5
"""Modified z-score beyond which a value is called an outlier (Iglewicz and Hoaglin, How to Detect and Handle Outliers,
1993). With ``_LEAST_SPREAD`` on the log scale, a volume below 0.42 or above 2.4 times the median can stand out. On
the 305 days of Online Retail and the 364 of Complete Journey, Christmas trade included, none does."""


class Kind(StrEnum):
    """What a finding is about."""

    MISSING = "missing day"
    AWAITED = "awaited file"
    LOW = "low volume"
    HIGH = "high volume"


@dataclass(frozen=True)
class Finding:
    """Something about the landing files that a person should look at; ``text`` says what, and what to do."""

    kind: Kind
    day: date
    text: str


def expected(day: date, landed: Set[date], calendar: Calendar) -> bool:
    """Whether a file was to be expected on ``day``.

    What the calendar declares counts first. Where it declares no weekdays, those are expected on which files landed on
    at least two of the ``WEEKS`` dates before ``day``.
    """
    if calendar.is_closed(day):
        return False
    if calendar.closed_weekdays is not None:
        return True
    return sum(earlier in landed for earlier in _same_weekday(day)) >= _TRADED_IN


def missing(landed: Set[date], calendar: Calendar, until: date) -> list[date]:
    """The expected days from the first landing up to (not including) ``until`` on which nothing landed."""
    if not landed:
        return []
    days = (min(landed) + timedelta(days=i) for i in range((until - min(landed)).days))
    return [day for day in days if day not in landed and expected(day, landed, calendar)]


def complete_to(landed: Set[date], blocked: Set[date], calendar: Calendar) -> date | None:
    """The day up to (not including) which every expected day has arrived; None when nothing has landed.

    ``blocked`` are days of which a file still stands refused. After the last landing nothing is taken for granted: the
    answer is never later than the day after it.
    """
    if not landed:
        return None
    end = max(landed) + timedelta(days=1)
    return min([end, *missing(landed, calendar, end), *(day for day in blocked if day < end)])


def findings(name: str, volumes: Mapping[date, int], calendar: Calendar, until: date) -> list[Finding]:
    """What stands out in the series ``name`` (rows by landing day) before ``until``, oldest first.

    Every gap up to ``until`` is told, since data count as complete only up to the first one; volumes are judged over
    the last ``WEEKS`` weeks.
    """
    landed = set(volumes)
    gaps = [_gap(name, run) for run in _runs(missing(landed, calendar, until), landed)]
    recent = [day for day in sorted(landed) if until - timedelta(weeks=WEEKS) <= day < until]
    unusual = [finding for day in recent if (finding := _volume(name, day, volumes)) is not None]
    return sorted([*gaps, *unusual], key=lambda finding: finding.day)


def _same_weekday(day: date) -> list[date]:
    return [day - timedelta(weeks=weeks) for weeks in range(1, WEEKS + 1)]


def _runs(days: Sequence[date], landed: Set[date]) -> Iterator[list[date]]:
    """Missing days grouped into gaps; closed days between two of them do not end a gap, a landing does."""
    run: list[date] = []
    for day in days:
        if run and any(run[-1] + timedelta(days=i) in landed for i in range(1, (day - run[-1]).days)):
            yield run
            run = []
        run.append(day)
    if run:
        yield run


def _gap(name: str, days: Sequence[date]) -> Finding:
    when = f"{days[0]}" if len(days) == 1 else f"{len(days):,} trading days from {days[0]} to {days[-1]}"
    return Finding(
        Kind.MISSING,
        days[0],
        f"{name}: nothing has arrived for {when}. Land it, or declare the closure in the rules (shop.calendar.closed): "
        f"until then data count as complete only up to {days[0]}.",
    )


def _volume(name: str, day: date, volumes: Mapping[date, int]) -> Finding | None:
    history = [volumes[earlier] for earlier in _same_weekday(day) if earlier in volumes]
    if len(history) < _LEAST_HISTORY:
        return None
    # Volumes differ by factors, not by amounts: a day of half the rows is as far off as one of twice as many.
    logs = np.log(np.maximum(history, 1))
    spread = max(_NORMAL * float(np.median(np.abs(logs - np.median(logs)))), _LEAST_SPREAD)
    distance = (float(np.log(max(volumes[day], 1))) - float(np.median(logs))) / spread
    if abs(distance) <= _FAR:
        return None
    usual = f"the {len(history)} {day:%A}s before it had {np.median(history):,.0f} in the median"
    advice = (
        "If the export was cut short, land it again whole."
        if distance < 0
        else "If the export repeats rows or covers several days, land it again."
    )
    kind = Kind.LOW if distance < 0 else Kind.HIGH
    return Finding(kind, day, f"{name} of {day}: {volumes[day]:,} rows, where {usual}. {advice}")
