"""The horizon study: regret, the pause curve, and what is recommended."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest

from holdfast import windows
from holdfast.errors import MissingDataError
from holdfast.history import History
from holdfast.horizon import MIN_CHURNED, HorizonStudy, PauseCurve, Regret, advice, pause_curve, study
from holdfast.horizon_plot import draw
from holdfast.labels import labels
from holdfast.rules import Label
from tests.fakes.shop import ZONE, Line, tables
from tests.fakes.small_shop import LAST_DAY, RULES, lines

CUTOFF, END = date(2017, 6, 4), date(2017, 12, 31)


def history(*of: Line) -> History:
    shop = tables(of)
    return History.of(shop.orders, shop.order_lines)


def judged(of: History, horizons: list[int], cutoffs: list[date], end: date = END) -> HorizonStudy:
    return study(of, horizons, cutoffs, active_days=28, zone=ZONE, complete_to=end)


def found(churned: int, returned: int, days: int = 28) -> Regret:
    return Regret(days, 1, 1000, churned, returned, 0.1)


def test_regret_is_the_share_of_the_churned_who_buy_within_the_next_two_horizons() -> None:
    known = history(
        Line("stays", "2017-06-01T12:00"), Line("stays", "2017-06-10T12:00"),
        Line("returns", "2017-06-01T12:00"), Line("returns", "2017-06-18T00:00"),
        Line("late", "2017-06-01T12:00"), Line("late", "2017-07-15T23:59"),
        Line("too late", "2017-06-01T12:00"), Line("too late", "2017-07-16T00:00"),
        Line("gone", "2017-06-01T12:00"),
        Line("long gone", "2017-01-01T12:00"),
    )  # fmt: skip
    [one] = judged(known, [14], [CUTOFF]).regrets
    assert (one.customers, one.churned, one.returned) == (5, 4, 2)
    assert (one.churn_rate, one.share) == (0.8, 0.5)


def test_churned_means_what_the_label_means() -> None:
    shop = tables(lines())
    known, cutoffs = History.of(shop.orders, shop.order_lines), windows.cutoffs(date(2017, 3, 5), date(2017, 5, 21), 7)
    [one] = study(known, [14], cutoffs, active_days=10_000, zone=ZONE, complete_to=LAST_DAY).regrets
    labelled = labels(shop.orders, shop.order_lines, cutoffs, 14, ZONE, LAST_DAY)
    assert (one.customers, one.churned) == (len(labelled), labelled["churned"].sum())


def test_only_cutoffs_after_which_three_horizons_have_elapsed_judge_a_horizon() -> None:
    cutoffs = windows.cutoffs(CUTOFF, CUTOFF + timedelta(days=70), 7)
    made = judged(history(Line("ann", "2017-06-01T12:00")), [7, 14, 90], cutoffs, end=CUTOFF + timedelta(days=49))
    assert [(one.horizon_days, one.cutoffs) for one in made.regrets] == [(7, 5), (14, 2)]
    assert made.too_long == (90,)


def test_a_history_too_short_for_every_horizon_says_how_much_is_missing() -> None:
    with pytest.raises(MissingDataError, match=r"shortest horizon, 14 days, needs 42 days.*2017-06-04.*2017-07-01"):
        judged(history(Line("ann", "2017-06-01T12:00")), [14, 28], [CUTOFF], end=date(2017, 7, 1))


def test_pauses_are_counted_in_days_of_the_shop_and_the_last_one_is_censored() -> None:
    known = history(
        Line("ann", "2017-06-01T23:00"), Line("ann", "2017-06-02T01:00"), Line("ann", "2017-06-02T20:00"),
        Line("ann", "2017-06-05T12:00"), Line("ben", "2017-06-01T12:00"),
    )  # fmt: skip
    curve = pause_curve(known, ZONE, date(2017, 6, 8))
    # Pauses of 1 and 3 days ended; one of 3 days (ann) and one of 7 days (ben) went on at the end of the data:
    # after 1 day 3 of 4 are left, after 3 days another third of those.
    assert [curve.after(days) for days in (0, 1, 2, 3, 7)] == pytest.approx([1, 3 / 4, 3 / 4, 1 / 2, 1 / 2])


def test_the_shortest_horizon_below_the_limit_is_recommended() -> None:
    assert found(churned=1000, returned=249).acceptable
    assert not found(churned=1000, returned=250).acceptable
    assert not found(churned=MIN_CHURNED - 1, returned=0).acceptable
    shop = [Line(f"gone {i}", "2017-06-01T12:00") for i in range(MIN_CHURNED)]
    assert judged(history(*shop), [28, 14], [CUTOFF]).recommended == 14


def test_a_shop_without_an_honest_horizon_is_told_to_call_it_lapsing() -> None:
    pauses = PauseCurve(np.array([1.0]), np.array([0.5]))
    none = HorizonStudy((found(1000, 700),), (90, 180), pauses, None)
    told = " ".join(advice(none, RULES.label))
    assert "too short to judge 90, 180 days" in told
    assert "No horizon has a regret below 0.25" in told
    assert "Call the label lapsing" in told
    some = HorizonStudy((found(1000, 100),), (), pauses, 28)
    assert advice(some, Label(horizon_days=90, word="leaving")) == [
        "Recommended: 28 days, the shortest horizon with a regret below 0.25. label.horizon_days is 90."
    ]


def test_the_study_is_drawn_as_a_png() -> None:
    made = judged(history(*lines()), [7, 14], [CUTOFF], end=LAST_DAY)
    assert draw(made, "Small").startswith(b"\x89PNG")
