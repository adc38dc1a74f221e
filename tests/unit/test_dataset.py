from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from holdfast import dataset, windows
from holdfast.errors import ImmatureLabelError, LeakageError, MissingDataError
from holdfast.rules import Training
from tests.fakes.shop import ZONE


def training(**changes: object) -> Training:
    return Training.model_validate(
        {
            "first_cutoff": date(2017, 3, 26),
            "step_days": 7,
            "test_cutoffs": 3,
            "test_step_days": 28,
            "candidates": ["recency_rule"],
            "metric": "auc",
            "seed": 7,
            **changes,
        }
    )


def rows(*keys: tuple[str, str]) -> pd.DataFrame:
    instants = [pd.Timestamp(windows.instant(date.fromisoformat(cutoff), ZONE)) for _, cutoff in keys]
    return pd.DataFrame(
        {
            "customer_id": [customer for customer, _ in keys],
            "cutoff": [cutoff for _, cutoff in keys],
            "event_timestamp": pd.Series(instants, dtype="datetime64[us, UTC]"),
            "days_since_order": [10.0 * (number + 1) for number in range(len(keys))],
        }
    )


def outcomes(*keys: tuple[str, str, int]) -> pd.DataFrame:
    return pd.DataFrame(keys, columns=["customer_id", "cutoff", "churned"]).astype({"churned": "int8"})


def test_test_cutoffs_are_the_last_matured_ones_and_the_latest_comes_last() -> None:
    found = dataset.splits(training(), horizon_days=28, complete_to=date(2017, 12, 24))
    assert [split.test for split in found] == [date(2017, 10, 1), date(2017, 10, 29), date(2017, 11, 26)]


def test_a_split_trains_only_on_labels_matured_by_its_test_cutoff() -> None:
    for split in dataset.splits(training(), horizon_days=28, complete_to=date(2017, 12, 24)):
        assert split.train[0] == date(2017, 3, 26)
        assert split.train[-1] == split.test - pd.Timedelta(days=28)


def test_a_horizon_off_the_grid_still_never_overlaps_the_test() -> None:
    for split in dataset.splits(training(), horizon_days=30, complete_to=date(2017, 12, 24)):
        assert split.train[-1] == split.test - pd.Timedelta(days=35)


def test_the_model_that_goes_live_trains_on_every_matured_cutoff() -> None:
    found = dataset.matured(training(), horizon_days=28, complete_to=date(2017, 12, 23))
    assert (found[0], found[-1], len(found)) == (date(2017, 3, 26), date(2017, 11, 19), 35)


def test_a_history_without_a_matured_label_is_refused() -> None:
    with pytest.raises(ImmatureLabelError, match=r"2017-03-26 mature on 2017-04-23, but orders end on 2017-04-22"):
        dataset.matured(training(), horizon_days=28, complete_to=date(2017, 4, 22))


def test_a_history_too_short_for_the_backtest_is_refused_with_what_to_change() -> None:
    shortest = date(2017, 7, 16)  # 28 days to mature, 2 × 28 between the tests, 28 for the last label
    assert dataset.splits(training(), 28, shortest)[0].train == (date(2017, 3, 26),)
    with pytest.raises(ImmatureLabelError, match=r"first test cutoff 2017-04-16.*test_cutoffs below 3.*2017-03-19"):
        dataset.splits(training(), 28, date(2017, 7, 15))


def test_the_population_ends_before_its_number_of_days() -> None:
    known = rows(("ann", "2017-10-01"), ("ben", "2017-10-01"), ("eve", "2017-10-01"))
    assert list(dataset.active(known, active_days=20)["customer_id"]) == ["ann"]


def test_labels_join_by_customer_and_cutoff_whatever_their_order() -> None:
    known = rows(("ann", "2017-10-01"), ("ann", "2017-10-08"), ("ben", "2017-10-01"))
    outcome = outcomes(
        ("eve", "2017-10-01", 1), ("ben", "2017-10-01", 1), ("ann", "2017-10-08", 1), ("ann", "2017-10-01", 0)
    )
    joined = dataset.training_frame(known, outcome, ZONE)
    assert list(joined["churned"]) == [0, 1, 1]
    assert joined["churned"].dtype == "int8"
    pd.testing.assert_frame_equal(joined.drop(columns="churned"), known)


def test_features_computed_after_their_cutoff_are_refused() -> None:
    known = rows(("ann", "2017-10-01"), ("ben", "2017-10-01"))
    known.loc[1, "event_timestamp"] += pd.Timedelta(1, "us")
    with pytest.raises(LeakageError, match=r"1 feature row\(s\).*customer ben at cutoff 2017-10-01.*04:00:00\.000001"):
        dataset.training_frame(known, outcomes(("ann", "2017-10-01", 0), ("ben", "2017-10-01", 0)), ZONE)


def test_a_label_among_the_features_is_refused() -> None:
    known = rows(("ann", "2017-10-01")).assign(churned=1.0)
    with pytest.raises(LeakageError, match="'churned' is among the feature columns"):
        dataset.training_frame(known, outcomes(("ann", "2017-10-01", 0)), ZONE)


def test_a_feature_row_without_a_label_is_refused() -> None:
    with pytest.raises(MissingDataError, match="first customer ben at cutoff 2017-10-01"):
        dataset.training_frame(
            rows(("ann", "2017-10-01"), ("ben", "2017-10-01")), outcomes(("ann", "2017-10-01", 0)), ZONE
        )


def test_the_study_lies_before_the_backtest_and_its_labels_have_matured_by_then() -> None:
    found = dataset.study_splits(training(), horizon_days=28, complete_to=date(2017, 12, 24))
    assert [split.test for split in found] == [date(2017, 7, 9), date(2017, 8, 6), date(2017, 9, 3)]
    assert [split.train[-1] for split in found] == [date(2017, 6, 11), date(2017, 7, 9), date(2017, 8, 6)]


def test_a_short_history_leaves_a_smaller_study_or_none() -> None:
    short = training(first_cutoff=date(2017, 7, 9))
    assert [s.test for s in dataset.study_splits(short, 28, date(2017, 12, 24))] == [date(2017, 8, 6), date(2017, 9, 3)]
    assert dataset.study_splits(training(first_cutoff=date(2017, 9, 3)), 28, date(2017, 12, 24)) == []
    assert dataset.study_splits(training(study_cutoffs=0), 28, date(2017, 12, 24)) == []
