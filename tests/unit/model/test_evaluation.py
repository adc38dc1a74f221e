"""Metrics of predictions on later cutoffs."""

from datetime import date

import numpy as np
import pandas as pd
import pytest

from holdfast.errors import ModelError
from holdfast.model import metrics
from holdfast.model.evaluation import Metrics, by_orders, calibration_bins, evaluate, gain, measure
from holdfast.model.metrics import Judged
from tests.fakes.predictions import customers


def floats(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)


def judged(churned: np.ndarray, probability: np.ndarray, threshold: float = 0.5, **known: object) -> Metrics:
    return measure(pd.DataFrame({"churned": churned, "probability": probability, **known}), threshold, "here")


def test_a_perfect_ranking_has_auc_one_and_a_reversed_one_zero() -> None:
    churned = floats(0, 0, 1, 1)
    assert judged(churned, floats(0.1, 0.2, 0.8, 0.9)).auc == 1
    assert judged(churned, floats(0.9, 0.8, 0.2, 0.1)).auc == 0


def test_brier_and_log_loss_punish_the_confident_mistake() -> None:
    found = judged(floats(0, 1), floats(0.5, 0.5))
    assert found.brier == pytest.approx(0.25)
    assert found.log_loss == pytest.approx(np.log(2))


def test_calibration_error_is_the_gap_between_said_and_seen() -> None:
    churned = floats(*[1, 0, 0, 0] * 30)  # a quarter churns
    assert judged(churned, np.full(120, 0.25)).calibration_error == pytest.approx(0)
    assert judged(churned, np.full(120, 0.65)).calibration_error == pytest.approx(0.4)


def test_calibration_bins_hold_equal_counts() -> None:
    bins = calibration_bins(floats(*[0, 1] * 50), np.linspace(0, 1, 100))
    assert len(bins.count) == 15
    assert set(bins.count) <= {6, 7}
    assert (np.diff(bins.predicted) > 0).all()


def test_fewer_customers_than_bins_leave_no_empty_bin() -> None:
    assert calibration_bins(floats(0, 1, 1), floats(0.1, 0.5, 0.9)).count.tolist() == [1, 1, 1]


def test_lift_is_the_top_tenths_rate_over_the_base_rate() -> None:
    churned = floats(*[1, 1, *[0] * 18])
    assert judged(churned, np.linspace(1, 0, 20)).lift_top_tenth == pytest.approx(10)
    assert judged(churned, np.linspace(0, 1, 20)).lift_top_tenth == pytest.approx(0)


def test_a_prediction_that_is_the_same_for_all_has_no_lift_whatever_the_order() -> None:
    churned = floats(*[1] * 5, *[0] * 15)
    assert judged(churned, np.full(20, 0.3)).lift_top_tenth == pytest.approx(1)
    assert judged(churned[::-1], np.full(20, 0.3)).lift_top_tenth == pytest.approx(1)


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
        measure(pd.DataFrame({"churned": outcome, "probability": [0.1, 0.2, 0.3]}), 0.5, "cutoff 2017-09-03")


def test_the_figures_are_scikit_learns() -> None:
    from sklearn.metrics import average_precision_score, brier_score_loss, f1_score, log_loss, roc_auc_score

    rows = customers()
    found = judged(rows["churned"], rows["probability"], threshold=0.3)
    assert found.auc == pytest.approx(roc_auc_score(rows["churned"], rows["probability"]))
    assert found.average_precision == pytest.approx(average_precision_score(rows["churned"], rows["probability"]))
    assert found.brier == pytest.approx(brier_score_loss(rows["churned"], rows["probability"]))
    assert found.log_loss == pytest.approx(log_loss(rows["churned"], rows["probability"]))
    assert found.f1 == pytest.approx(f1_score(rows["churned"], rows["probability"] >= 0.3))


def test_drawing_a_customer_twice_is_the_same_as_having_two_of_them() -> None:
    rows = customers(60)
    times = np.random.default_rng(1).integers(0, 4, 60)
    several = rows.loc[rows.index.repeat(times)]
    weighted, repeated = (
        metrics.figures(
            Judged(some["churned"].to_numpy(float), some["probability"].to_numpy(), some["order_count"].to_numpy()),
            weights[None, :].astype(float),
            threshold=0.3,
        )
        for some, weights in ((rows, times), (several, np.ones(len(several))))
    )
    for name in weighted.keys() - {"calibration_error"}:  # its bins are cut between customers, not through them
        np.testing.assert_allclose(weighted[name], repeated[name], err_msg=name)


def test_precision_at_recall_is_that_of_the_highest_threshold_that_finds_nine_tenths() -> None:
    churned = floats(*[1] * 8, 0, 1, 1, *[0] * 9)
    assert judged(churned, np.linspace(1, 0, 20)).precision_at_recall_90 == pytest.approx(9 / 10)


def test_calling_everyone_what_most_are_is_the_accuracy_to_beat() -> None:
    found = judged(floats(1, 0, 0, 0), floats(0.9, 0.8, 0.1, 0.1))
    assert (found.majority_accuracy, found.accuracy, found.precision, found.recall) == (0.75, 0.75, 0.5, 1)


def test_the_best_campaign_contacts_whom_it_pays_to_contact() -> None:
    """All churners found: each is worth 200 × (0.3 × 0.95 − 0.005) at the mean acceptance of 6 / 20."""
    found = judged(floats(*[1, 0] * 50), floats(*[0.9, 0.1] * 50))
    assert found.expected_maximum_profit == pytest.approx(0.5 * 200 * (0.3 * 0.95 - 0.005), rel=1e-3)


def test_a_campaign_without_any_skill_may_still_pay_but_never_loses() -> None:
    assert judged(floats(1, *[0] * 999), np.full(1000, 0.5)).expected_maximum_profit == 0


def test_lead_time_is_the_days_left_before_a_found_churners_longest_silence() -> None:
    found = judged(
        floats(1, 1, 1, 0),
        floats(0.9, 0.8, 0.1, 0.9),
        days_since_order=[5.0, 30.0, 1.0, 1.0],
        gap_longest_days=[15.0, 26.0, 90.0, 90.0],
    )
    assert found.lead_days == pytest.approx(((15 - 5) + (26 - 30)) / 2)


def test_a_figure_that_does_not_exist_is_left_out_of_the_record() -> None:
    nobody_flagged = judged(floats(0, 1), floats(0.1, 0.2)).as_dict()
    assert "precision" not in nobody_flagged
    assert nobody_flagged["recall"] == 0


def test_even_perfect_probabilities_have_a_calibration_error_and_it_shrinks_with_size() -> None:
    few, many = (judged(rows["churned"], rows["probability"]) for rows in (customers(400), customers(6400)))
    assert many.calibration_error_by_chance == pytest.approx(few.calibration_error_by_chance / 4, rel=0.2)


def test_an_interval_holds_the_figure_and_narrows_with_more_customers() -> None:
    few, many = (evaluate(customers(count), resamples=200) for count in (400, 6400))
    narrow, wide = many.mean_intervals["auc"], few.mean_intervals["auc"]
    assert wide.low < few.mean.auc < wide.high
    assert narrow.high - narrow.low < (wide.high - wide.low) / 2


def test_a_second_cutoff_of_the_same_customers_adds_no_certainty() -> None:
    once = customers()
    twice = pd.concat([once, once.assign(cutoff="2017-10-01")])
    assert evaluate(twice, resamples=100).mean_intervals == evaluate(once, resamples=100).mean_intervals


def test_customers_are_reported_by_the_number_of_their_orders() -> None:
    rows = customers()
    groups = {group.label: group for group in by_orders(rows, resamples=50, seed=1)}
    assert list(groups) == ["1", "2", "3–5", "6–10", "11 or more"]
    assert sum(group.rows for group in groups.values()) == len(rows)
    single = groups["1"]
    assert single.rows == (rows["order_count"] == 1).sum()
    assert single.interval is not None
    assert single.auc is not None
    assert single.interval.low <= single.auc <= single.interval.high
