from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from holdfast import windows

NEW_YORK = ZoneInfo("America/New_York")


def test_a_cutoff_is_midnight_by_the_clock_of_the_shop() -> None:
    assert windows.instant(date(2017, 7, 1), NEW_YORK) == datetime(2017, 7, 1, 4, tzinfo=UTC)
    assert windows.instant(date(2017, 12, 1), NEW_YORK) == datetime(2017, 12, 1, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cutoff", "hours"),
    [(date(2017, 3, 13), 24 * 7 - 1), (date(2017, 7, 1), 24 * 7), (date(2017, 11, 6), 24 * 7 + 1)],
    ids=["clocks go forward", "summer", "clocks go back"],
)
def test_a_window_of_a_week_spans_seven_days_of_the_shop(cutoff: date, hours: int) -> None:
    window = windows.observation_window(cutoff, 7, NEW_YORK)
    assert window.end - window.start == timedelta(hours=hours)


def test_observation_window_and_horizon_meet_at_the_cutoff_without_sharing_it() -> None:
    cutoff = date(2017, 11, 5)
    known, predicted = windows.observation_window(cutoff, 28, NEW_YORK), windows.horizon(cutoff, 28, NEW_YORK)
    moment = windows.instant(cutoff, NEW_YORK)
    assert known.end == predicted.start == moment
    assert moment not in known
    assert moment in predicted
    assert moment - timedelta(microseconds=1) in known
    assert predicted.end not in predicted


def test_a_label_matures_on_the_day_its_horizon_ends() -> None:
    assert windows.is_mature(date(2017, 10, 1), 28, complete_to=date(2017, 10, 29))
    assert not windows.is_mature(date(2017, 10, 1), 28, complete_to=date(2017, 10, 28))


def test_cutoffs_step_along_the_grid_and_stop_in_time() -> None:
    first = date(2017, 3, 26)
    assert windows.cutoffs(first, date(2017, 4, 9), 7) == [first, date(2017, 4, 2), date(2017, 4, 9)]
    assert windows.cutoffs(first, date(2017, 4, 8), 7) == [first, date(2017, 4, 2)]
    assert windows.cutoffs(first, date(2017, 3, 25), 7) == []
