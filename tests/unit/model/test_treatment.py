"""How a model's probabilities are treated: from what was known at each cutoff, and from nothing later."""

from datetime import date, timedelta

import numpy as np
import pandas as pd

from holdfast.dataset import Split
from holdfast.model import treatment
from holdfast.model.candidates import Candidate
from holdfast.model.fitted import FittedModel
from holdfast.model.logistic import fit_logistic
from holdfast.model.matrix import Vector
from tests.fakes.small_shop import RULES

DAYS = [date(2017, 1, 1) + timedelta(days=28 * i) for i in range(7)]
SPLITS = [Split(day, (DAYS[0],)) for day in DAYS[1:]]
STUDY, TESTS = SPLITS[:3], SPLITS[3:]
FEATURES = ["days_since_order"]


def training_rows() -> pd.DataFrame:
    """700 customers at each cutoff; half of them, single buyers, churn at a rate that nothing tells."""
    draw = np.random.default_rng(6)
    silence = draw.uniform(0, 50, 700 * len(DAYS))
    single = np.arange(len(silence)) % 2 == 0
    return pd.DataFrame(
        {
            "customer_id": [f"c{i}" for i in range(700)] * len(DAYS),
            "cutoff": np.repeat([day.isoformat() for day in DAYS], 700),
            "days_since_order": silence,
            "order_count": np.where(single, 1.0, 5.0),
            "churned": (draw.uniform(size=len(silence)) < np.where(single, 0.3, silence / 50)).astype(int),
        }
    )


ROWS = training_rows()


def outcome(rows: pd.DataFrame, baseline: bool = False) -> treatment.Tested:
    def fit(some: pd.DataFrame, churned: Vector, seed: int) -> FittedModel:
        return fit_logistic(some, churned, seed, FEATURES)

    one = Candidate("one", "one", fit, baseline=baseline)
    return treatment.treated_backtest(one, rows, TESTS, FEATURES, study=STUDY, rules=RULES.training, horizon_days=28)


def test_what_happens_at_a_cutoff_changes_no_prediction_of_it_or_of_one_before() -> None:
    later = ROWS["cutoff"] >= TESTS[1].test.isoformat()
    turned = ROWS.assign(churned=np.where(later, 1 - ROWS["churned"], ROWS["churned"]))
    ours, theirs = (outcome(rows).predictions for rows in (ROWS, turned))
    known = ours["cutoff"] <= TESTS[1].test.isoformat()
    pd.testing.assert_series_equal(ours.loc[known, "probability"], theirs.loc[known, "probability"])
    assert not np.allclose(ours.loc[~known, "probability"], theirs.loc[~known, "probability"])


def test_only_the_test_cutoffs_are_judged() -> None:
    assert sorted(outcome(ROWS).predictions["cutoff"].unique()) == [split.test.isoformat() for split in TESTS]


def test_a_baseline_is_left_as_it_is() -> None:
    found = outcome(ROWS, baseline=True)
    assert found.treatment is treatment.AS_IT_IS
    np.testing.assert_array_equal(found.predictions["probability"], found.predictions["raw"])


def test_the_model_for_use_is_fitted_on_all_cutoffs_and_treated_as_decided() -> None:
    found = outcome(ROWS.assign(gap_longest_days=1.0)).treatment
    one = Candidate("one", "one", lambda rows, churned, seed: fit_logistic(rows, churned, seed, FEATURES))
    served = treatment.served(one, ROWS, DAYS, FEATURES, treatment=found, worth=None, seed=1)
    assert served.calibration == found.fitted
    rate = ROWS.loc[ROWS["order_count"] == 1, "churned"].mean()
    assert served.cohort_rate == (rate if found.single_buyers.use_cohort else None)
