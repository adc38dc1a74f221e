"""Metrics of predictions on later cutoffs."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from holdfast.errors import ModelError
from holdfast.model.evaluation import calibration_bins, calibration_error, evaluate, gain, lift, measure


def floats(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)


def test_a_perfect_ranking_has_auc_one_and_a_reversed_one_zero() -> None:
    churned = floats(0, 0, 1, 1)
    assert measure(churned, floats(0.1, 0.2, 0.8, 0.9), "here").auc == 1
    assert measure(churned, floats(0.9, 0.8, 0.2, 0.1), "here").auc == 0


def test_brier_and_log_loss_punish_the_confident_mistake() -> None:
    metrics = measure(floats(0, 1), floats(0.5, 0.5), "here")
    assert metrics.brier == pytest.approx(0.25)
    assert metrics.log_loss == pytest.approx(np.log(2))


def test_calibration_error_is_the_gap_between_said_and_seen() -> None:
    churned = floats(*[1, 0, 0, 0] * 30)  # a quarter churns
    assert calibration_error(churned, np.full(120, 0.25)) == pytest.approx(0)
    assert calibration_error(churned, np.full(120, 0.65)) == pytest.approx(0.4)


def test_calibration_bins_hold_equal_counts() -> None:
    bins = calibration_bins(floats(*[0, 1] * 50), np.linspace(0, 1, 100))
    assert len(bins.count) == 15
    assert set(bins.count) <= {6, 7}
    assert (np.diff(bins.predicted) > 0).all()


def test_fewer_customers_than_bins_leave_no_empty_bin() -> None:
    assert calibration_bins(floats(0, 1, 1), floats(0.1, 0.5, 0.9)).count.tolist() == [1, 1, 1]


def test_lift_is_the_top_tenths_rate_over_the_base_rate() -> None:
    churned = floats(*[1, 1, *[0] * 18])
    assert lift(churned, np.linspace(1, 0, 20), share=0.1) == pytest.approx(10)
    assert lift(churned, np.linspace(0, 1, 20), share=0.1) == pytest.approx(0)


def test_a_prediction_that_is_the_same_for_all_has_no_lift_whatever_the_order() -> None:
    churned = floats(*[1] * 5, *[0] * 15)
    assert lift(churned, np.full(20, 0.3), share=0.1) == pytest.approx(1)
    assert lift(churned[::-1], np.full(20, 0.3), share=0.1) == pytest.approx(1)


def test_gain_starts_at_none_and_ends_at_all_churners() -> None:
    assert gain(floats(0, 1, 1), floats(0.1, 0.9, 0.8)).tolist() == [0, 0.5, 1, 1]


def test_the_mean_gives_every_cutoff_the_same_weight() -> None:
    evaluation = evaluate(
        pd.DataFrame(
            {
                "cutoff": ["2017-09-03"] * 2 + ["2017-10-01"] * 4,
                "churned": [0, 1, 0, 0, 0, 1],
                "probability": [0.1, 0.9, 0.6, 0.5, 0.4, 0.1],
            }
        )
    )
    assert evaluation.cutoffs == (date(2017, 9, 3), date(2017, 10, 1))
    assert evaluation.mean.auc == pytest.approx(0.5)
    assert evaluation.on([date(2017, 9, 3)]).mean.auc == 1


@pytest.mark.parametrize("outcome", [0, 1])
def test_customers_who_all_did_the_same_cannot_be_judged(outcome: int) -> None:
    with pytest.raises(ModelError, match=r"cutoff 2017-09-03: \d of 3 customers churned"):
        measure(np.full(3, float(outcome)), floats(0.1, 0.2, 0.3), "cutoff 2017-09-03")
