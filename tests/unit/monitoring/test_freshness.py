from __future__ import annotations

import csv
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path

import pytest

from holdfast.monitoring.freshness import Kind, complete_to, expected, findings, missing
from holdfast.rules import Calendar, Closure
from tests.machine import shared_data

LEARNED = Calendar()
NO_SUNDAYS = Calendar(closed_weekdays=frozenset({"sunday"}))
MONDAY = date(2017, 3, 6)


def days(first: date, count: int, without: Iterable[date] = ()) -> set[date]:
    return {first + timedelta(days=i) for i in range(count)} - set(without)


def weekdays(first: date, weeks: int) -> set[date]:
    return {day for day in days(first, 7 * weeks) if day.weekday() < 5}


def test_a_weekday_without_landings_is_learned_to_be_closed() -> None:
    landed = weekdays(MONDAY, 4)
    saturday, monday = MONDAY + timedelta(days=33), MONDAY + timedelta(weeks=4)
    assert not expected(saturday, landed, LEARNED)
    assert expected(monday, landed, LEARNED)


def test_one_odd_opening_is_no_habit_and_a_habit_is_forgotten_after_eight_weeks() -> None:
    saturday = MONDAY + timedelta(days=5)
    assert not expected(saturday + timedelta(weeks=1), {saturday}, LEARNED)
    twice = {saturday, saturday + timedelta(weeks=1)}
    assert expected(saturday + timedelta(weeks=8), twice, LEARNED)
    assert not expected(saturday + timedelta(weeks=9), twice, LEARNED)


def test_declared_weekdays_leave_nothing_to_learn() -> None:
    assert expected(MONDAY, set(), NO_SUNDAYS)
    assert not expected(MONDAY + timedelta(days=6), days(MONDAY - timedelta(weeks=3), 21), NO_SUNDAYS)


def test_declared_closures_are_single_days_and_spans() -> None:
    calendar = Calendar(closed=(MONDAY, Closure(first=date(2017, 3, 8), last=date(2017, 3, 9))))
    landed = days(MONDAY - timedelta(weeks=3), 21)
    closed = [day for day in days(MONDAY, 7) if not expected(day, landed, calendar)]
    assert sorted(closed) == [MONDAY, date(2017, 3, 8), date(2017, 3, 9)]


def test_data_are_complete_up_to_the_first_day_that_should_have_arrived_and_did_not() -> None:
    gap = MONDAY + timedelta(days=16)
    assert complete_to(days(MONDAY, 20), set(), LEARNED) == MONDAY + timedelta(days=20)
    assert complete_to(days(MONDAY, 20, without=[gap]), set(), LEARNED) == gap
    assert complete_to(days(MONDAY, 20, without=[gap]), set(), Calendar(closed=(gap,))) == MONDAY + timedelta(days=20)
    assert complete_to(set(), set(), LEARNED) is None


def test_a_day_with_a_refused_file_is_not_complete_though_another_file_of_it_arrived() -> None:
    landed, refused = days(MONDAY, 5), MONDAY + timedelta(days=2)
    assert complete_to(landed, {refused}, LEARNED) == refused
    assert complete_to(landed, {MONDAY + timedelta(days=9)}, LEARNED) == MONDAY + timedelta(days=5)


def test_closed_days_after_the_last_landing_are_not_taken_for_complete() -> None:
    landed = weekdays(MONDAY, 4)
    assert complete_to(landed, set(), LEARNED) == MONDAY + timedelta(days=26)  # the Saturday after the last Friday


def test_a_gap_is_one_finding_across_closed_days_and_says_what_to_do() -> None:
    landed = weekdays(MONDAY, 6) - days(MONDAY + timedelta(days=31), 4)  # Thursday to Sunday
    [gap] = findings("sales", dict.fromkeys(landed - {MONDAY + timedelta(days=35)}, 10), LEARNED, max(landed))
    assert (gap.kind, gap.day) == (Kind.MISSING, date(2017, 4, 6))
    assert "3 trading days from 2017-04-06 to 2017-04-10" in gap.text
    assert "shop.calendar.closed" in gap.text
    assert "complete only up to 2017-04-06" in gap.text


def test_a_landing_between_two_missing_days_makes_them_two_findings() -> None:
    landed = days(MONDAY, 40, without=[MONDAY + timedelta(days=30), MONDAY + timedelta(days=32)])
    found = findings("sales", dict.fromkeys(landed, 10), LEARNED, max(landed))
    assert [finding.day for finding in found] == [MONDAY + timedelta(days=30), MONDAY + timedelta(days=32)]


def test_what_should_have_arrived_by_the_day_of_the_run_is_missed() -> None:
    landed = days(MONDAY, 28)
    until = MONDAY + timedelta(days=29)
    assert missing(landed, LEARNED, until) == [MONDAY + timedelta(days=28)]
    assert missing(landed, LEARNED, MONDAY + timedelta(days=28)) == []


@pytest.mark.parametrize(
    ("rows", "kind"), [(400, Kind.LOW), (450, None), (1000, None), (2300, None), (2500, Kind.HIGH), (0, Kind.LOW)]
)
def test_a_volume_far_outside_the_same_weekdays_is_a_finding(rows: int, kind: Kind | None) -> None:
    volumes = dict.fromkeys(days(MONDAY, 56), 5000) | {MONDAY + timedelta(weeks=w): 1000 for w in range(8)}
    today = MONDAY + timedelta(weeks=8)
    found = findings("sales", volumes | {today: rows}, LEARNED, today + timedelta(days=1))
    assert [(finding.kind, finding.day) for finding in found] == ([(kind, today)] if kind else [])


def test_a_varying_weekday_gets_a_wider_band() -> None:
    mondays = {MONDAY + timedelta(weeks=week): rows for week, rows in enumerate([300, 1000, 3000, 500, 2000, 900])}
    today = MONDAY + timedelta(weeks=6)
    assert findings("sales", mondays | {today: 5000}, Calendar(closed_weekdays=frozenset()), MONDAY) == []
    assert [one.kind for one in findings("sales", mondays | {today: 5000}, LEARNED, today + timedelta(days=1))] == []


def test_too_short_a_history_judges_no_volume() -> None:
    volumes = {MONDAY + timedelta(weeks=week): 1000 for week in range(3)} | {MONDAY + timedelta(weeks=3): 1}
    assert findings("sales", volumes, LEARNED, MONDAY + timedelta(weeks=3, days=1)) == []


CHRISTMAS = Closure(first=date(2010, 12, 24), last=date(2011, 1, 3))
EASTER = Closure(first=date(2011, 4, 22), last=date(2011, 4, 25))
BANK_HOLIDAYS = (date(2011, 4, 29), date(2011, 5, 2), date(2011, 5, 30), date(2011, 8, 29))


@pytest.fixture(scope="module")
def online_retail(project: Path) -> dict[date, int]:
    """Rows by landing day of UCI "Online Retail"."""
    folder = shared_data(project, "online_retail_by_day")

    def rows(path: Path) -> int:
        with path.open(encoding="utf-8", newline="") as lines:
            return sum(1 for _ in csv.reader(lines)) - 1

    return {date.fromisoformat(path.stem): rows(path) for path in folder.glob("*.csv")}


def raised(volumes: dict[date, int], calendar: Calendar) -> list[tuple[date, Kind, date]]:
    """Day by day, as a daily run would find them: what was found new, and on which day's run."""
    known: set[tuple[Kind, date]] = set()
    found = []
    for day in sorted(volumes):
        so_far = {landed: rows for landed, rows in volumes.items() if landed <= day}
        new = {(one.kind, one.day) for one in findings("sales", so_far, calendar, day + timedelta(days=1))} - known
        found += [(day, *one) for one in sorted(new)]
        known |= new
    return found


def test_online_retail_has_no_saturdays_and_closes_over_christmas_without_a_false_alarm(
    online_retail: dict[date, int],
) -> None:
    assert raised(online_retail, Calendar(closed=(CHRISTMAS, EASTER, *BANK_HOLIDAYS))) == []


def test_closures_of_online_retail_that_nobody_declared_are_found_and_nothing_else_is(
    online_retail: dict[date, int],
) -> None:
    found = raised(online_retail, Calendar())
    assert {kind for _, kind, _ in found} == {Kind.MISSING}
    assert [day for _, _, day in found] == [CHRISTMAS.first, EASTER.first, *BANK_HOLIDAYS]


def test_a_day_of_online_retail_cut_to_a_third_is_found(online_retail: dict[date, int]) -> None:
    day = date(2011, 6, 14)
    cut = {landed: rows // (3 if landed == day else 1) for landed, rows in online_retail.items() if landed <= day}
    last = [one for one in findings("sales", cut, Calendar(), day + timedelta(days=1)) if one.kind is not Kind.MISSING]
    assert [(one.kind, one.day) for one in last] == [(Kind.LOW, day)]
