"""The gate between challenger and champion: what each condition asks, and what it says."""

from datetime import UTC, date, datetime
from typing import cast

import pytest

from holdfast.model.comparison import Difference
from holdfast.model.decision import Decision
from holdfast.model.evaluation import Evaluation, Metrics
from holdfast.model.fairness import Fairness, Group
from holdfast.model.promotion import (
    Check,
    Verdict,
    beats_the_rules,
    calibrated,
    deserves_the_place,
    fair,
    fast,
    known_data,
    trusted_cutoffs,
)
from holdfast.model.record import FeatureService, ModelVersion
from holdfast.model.resampling import Interval
from holdfast.rules import Gate

SEPTEMBER, OCTOBER, NOVEMBER = date(2017, 9, 3), date(2017, 10, 1), date(2017, 10, 29)
GATE = Gate(margin=0.005, calibration_error=0.03, scoring_milliseconds=50)


def difference(value: float, low: float, high: float) -> Difference:
    return Difference("auc", value, Interval(low, high), 0.5)


def version(number: str, candidate: str) -> ModelVersion:
    return ModelVersion(number, "run", candidate, NOVEMBER, "0" * 64, FeatureService("churn_model_v1", ()))


def met(value: float, low: float, high: float, challenger: str = "lightgbm", champion: str = "lightgbm") -> Check:
    found = difference(value, low, high)
    return deserves_the_place(version("4", challenger), version("3", champion), found, GATE)


def test_a_challenger_must_be_better_than_the_rule_that_is_hardest_to_beat() -> None:
    check = beats_the_rules({"recency_rule": difference(0.1, 0.08, 0.12), "rhythm_rule": difference(0.04, 0.02, 0.06)})
    assert check == Check(
        "simple rules", True, "better than rhythm_rule (auc +0.0400, 95 % interval +0.0200 to +0.0600)"
    )
    worse = beats_the_rules({"recency_rule": difference(0.1, 0.08, 0.12), "rhythm_rule": difference(0.0, -0.02, 0.02)})
    assert not worse.passed
    assert worse.found.startswith("no better than rhythm_rule (auc +0.0000")


def test_that_a_lead_over_a_rule_may_be_chance_is_told() -> None:
    check = beats_the_rules({"recency_rule": difference(0.04, -0.01, 0.09)})
    assert check.passed
    assert check.found.endswith("to +0.0900), which may be chance")


def test_better_than_the_champion_is_enough_however_complex() -> None:
    check = met(0.006, 0.001, 0.011, challenger="blend", champion="logistic")
    assert check.passed
    assert check.found == "better than champion version 3 (auc +0.0060, 95 % interval +0.0010 to +0.0110)"


def test_not_worse_and_simpler_takes_the_place() -> None:
    check = met(-0.001, -0.004, 0.002, challenger="logistic", champion="lightgbm")
    assert check.passed
    assert check.found.endswith("and simpler")


def test_not_worse_and_as_simple_takes_the_place_for_what_it_has_learned_since() -> None:
    check = met(0.001, -0.002, 0.004)
    assert check.passed
    assert check.found.endswith("and has learned from outcomes up to 2017-10-29")


def test_not_worse_but_less_simple_does_not() -> None:
    check = met(0.002, -0.001, 0.005, challenger="blend", champion="lightgbm")
    assert not check.passed
    assert check.found.endswith("and blend is less simple")


@pytest.mark.parametrize(("low", "passed"), [(-0.0049, True), (-0.005, False)])
def test_worse_by_the_margin_or_more_is_worse(low: float, passed: bool) -> None:
    assert met(0.001, low, 0.009).passed is passed


def test_a_champion_of_a_kind_no_longer_known_counts_as_complex() -> None:
    assert met(0.0, -0.001, 0.001, challenger="blend", champion="oracle").passed


def test_a_probability_must_mean_what_it_says_as_far_as_so_few_customers_can_tell() -> None:
    def with_error(error: float) -> Evaluation:
        metrics = Metrics(100, 0.2, 0.8, 0.2, 0.1, 0.3, error, 1, calibration_error_by_chance=0.02)
        return Evaluation({NOVEMBER: metrics})

    assert calibrated(with_error(0.049), GATE).passed
    assert calibrated(with_error(0.051), GATE) == Check(
        "calibration", False, "calibration error 0.051, of which 0.020 by chance (limit 0.03 beyond it)"
    )


def test_groups_must_be_served_alike_where_the_rules_name_some() -> None:
    everyone = cast(Group, None)
    assert fair(None).passed
    assert fair(Fairness(everyone, (everyone, everyone), ())) == Check("fairness", True, "fair to 2 groups")
    breached = fair(Fairness(everyone, (everyone,), ("age band old: flagged too often", "age band young: too seldom")))
    assert breached == Check("fairness", False, "not fair: age band old: flagged too often; age band young: too seldom")


def test_scoring_must_be_fast_enough() -> None:
    assert fast(0.1, 2000, GATE) == Check("scoring time", True, "50 ms for 1,000 customers (limit 50)")
    assert not fast(0.102, 2000, GATE).passed


def test_the_data_of_a_run_must_still_be_known() -> None:
    assert known_data({"orders": 3, "order_lines": 4}, {"orders": 5, "order_lines": 4}).passed
    assert not known_data({}, {}).passed
    gone = known_data({"orders": 3, "order_lines": 4}, {"orders": 2})
    assert not gone.passed
    assert "the lake has no orders v3, order_lines v4" in gone.found


def test_a_verdict_says_what_speaks_against_or_else_all_that_speaks_for() -> None:
    good, bad = Check("a", True, "good"), Check("b", False, "bad")
    assert (Verdict((good, bad)).passed, Verdict((good, bad)).reason) == (False, "Not passed: bad.")
    assert (Verdict((good, good)).passed, Verdict((good, good)).reason) == (True, "Passed: good; good.")


def test_a_decision_reads_as_a_sentence() -> None:
    decision = Decision(False, "Ann", datetime(2026, 1, 5, 9, 30, tzinfo=UTC))
    assert str(decision) == "rejected by Ann at 2026-01-05 09:30 UTC"


def test_a_cutoff_on_the_day_the_labels_end_is_later_than_what_was_seen() -> None:
    assert trusted_cutoffs((SEPTEMBER, OCTOBER, NOVEMBER), trained_to=OCTOBER) == (OCTOBER, NOVEMBER)
