"""Whether groups are treated alike: told with intervals, judged only where it is sure."""

from dataclasses import FrozenInstanceError

import numpy as np
import pandas as pd
import pytest

from holdfast.model.fairness import Fairness, assess
from holdfast.rules import Fairness as FairnessRule
from holdfast.rules import FairnessLimits, ThresholdTiers

TIERS = ThresholdTiers(by="threshold", high=0.5, medium=0.3)
RULE = FairnessRule(columns={"age_band": "asked for when signing up"}, least_customers=50)


def group(name: str | None, size: int, churned: int, probability: float, flagged_churners: int = 0) -> pd.DataFrame:
    """Customers of one group, all with one probability but ``flagged_churners``, who have 0.9 instead."""
    outcome = np.array([1] * churned + [0] * (size - churned))
    likely = np.array([0.9] * flagged_churners + [probability] * (size - flagged_churners))
    ids = [f"{name}-{number}" for number in range(size)]
    return pd.DataFrame(
        {"customer_id": ids, "cutoff": "2017-10-29", "churned": outcome, "probability": likely, "age_band": name}
    )


def judge(*groups: pd.DataFrame, rule: FairnessRule = RULE) -> Fairness:
    rows = pd.concat(groups, ignore_index=True)
    return assess(rows.drop(columns="age_band"), rows[["customer_id", "age_band"]], rule, TIERS)


def test_rates_and_gaps_are_those_of_the_group_with_wilsons_interval() -> None:
    found = judge(group("19-24", 100, 10, 0.1), group("65+", 100, 30, 0.2))
    young = found.groups[0]
    assert (young.column, young.name, young.customers) == ("age_band", "19-24", 100)
    assert (young.churned.value, young.flagged.value) == (0.1, 0.0)
    # Wilson's 95 % interval of 10 in 100, as tables give it.
    assert (young.churned.low, young.churned.high) == pytest.approx((0.0552, 0.1744), abs=1e-4)
    assert young.calibration_gap.value == pytest.approx(0.0)
    assert found.groups[1].calibration_gap.value == pytest.approx(-0.1)
    assert found.everyone.churned.value == 0.2


def test_the_interval_of_the_auc_is_hanley_and_mcneils() -> None:
    draw = np.random.default_rng(3)
    churned = draw.uniform(size=400) < 0.3
    rows = group("19-24", 400, 0, 0.1).assign(churned=churned, probability=draw.beta(2 + 2 * churned, 4))
    area = judge(rows).groups[0].auc
    assert area is not None
    resampled = [judge(some).groups[0].auc for some in (resample(rows, seed) for seed in range(60))]
    spread = np.std([one.value for one in resampled if one is not None])
    assert (area.high - area.low) / (2 * 1.96) == pytest.approx(spread, rel=0.3)


def resample(rows: pd.DataFrame, seed: int) -> pd.DataFrame:
    drawn = rows.sample(len(rows), replace=True, random_state=seed, ignore_index=True)
    return drawn.assign(customer_id=[str(number) for number in range(len(rows))])


def test_a_group_surely_beyond_the_limit_is_named_with_its_figures() -> None:
    found = judge(group("19-24", 1000, 100, 0.1), group("65+", 1000, 400, 0.1))
    assert not found.within_limit
    [told] = [breach for breach in found.breaches if "mean probability" in breach]
    assert told.startswith("age_band 65+ (1000 customers)")
    assert "-0.300" in told
    assert "the limit is 0.05" in told


def test_a_group_whose_interval_reaches_the_limit_is_no_breach() -> None:
    assert judge(group("19-24", 60, 6, 0.1), group("65+", 60, 9, 0.1)).within_limit


def test_a_group_too_small_to_judge_is_shown_all_the_same() -> None:
    found = judge(group("19-24", 1000, 100, 0.1), group("65+", 49, 49, 0.1))
    assert found.within_limit
    assert [one.name for one in found.groups] == ["19-24", "65+"]


def test_churners_of_a_group_who_are_found_less_often_break_the_limit() -> None:
    found = judge(
        group("19-24", 400, 200, 0.29, flagged_churners=180),
        group("65+", 400, 200, 0.29, flagged_churners=20),
        rule=RULE.model_copy(update={"limits": FairnessLimits(calibration_gap=1, found_gap=0.2, auc_gap=1)}),
    )
    assert [one.found.value for one in found.groups if one.found] == [0.9, 0.1]
    assert len(found.breaches) == 1
    assert "share of churners found is 0.100" in found.breaches[0]


def test_who_told_nothing_is_in_no_group_but_counts_among_everyone() -> None:
    found = judge(group("19-24", 60, 6, 0.1), group(None, 40, 4, 0.1))
    assert [one.name for one in found.groups] == ["19-24"]
    assert found.everyone.customers == 100


def test_the_share_of_very_few_churners_found_is_shown_and_not_judged() -> None:
    strict = RULE.model_copy(update={"limits": FairnessLimits(calibration_gap=1, found_gap=0.2, auc_gap=1)})
    found = judge(group("19-24", 400, 200, 0.29, flagged_churners=180), group("65+", 400, 49, 0.1), rule=strict)
    assert found.groups[1].found is not None
    assert found.groups[1].found.high < 0.1
    assert found.within_limit


def ranked_badly(churned: int) -> pd.DataFrame:
    """A group of 200 in which those who churn have the lowest probabilities."""
    rows = group("65+", 200, churned, 0.1)
    return rows.assign(probability=np.linspace(0.01, 0.2, len(rows)))


def test_the_auc_of_very_few_churners_is_shown_and_not_judged() -> None:
    strict = RULE.model_copy(update={"limits": FairnessLimits(calibration_gap=1, found_gap=1, auc_gap=0.1)})
    well = group("19-24", 400, 200, 0.1, flagged_churners=180)
    few, enough = judge(well, ranked_badly(3), rule=strict), judge(well, ranked_badly(20), rule=strict)
    assert few.groups[1].auc is not None
    assert few.groups[1].auc.high < 0.1
    assert few.within_limit
    assert [breach for breach in enough.breaches if "65+" in breach and "AUC" in breach]


def test_only_the_latest_cutoff_counts_so_that_nobody_counts_twice() -> None:
    late, early = group("19-24", 60, 6, 0.1), group("19-24", 90, 90, 0.1).assign(cutoff="2017-10-01")
    found = assess(pd.concat([late, early]).drop(columns="age_band"), early[["customer_id", "age_band"]], RULE, TIERS)
    assert (found.everyone.customers, found.everyone.churned.value) == (60, 0.1)


def test_a_group_in_which_all_did_the_same_has_no_auc_and_none_found() -> None:
    [only] = judge(group("19-24", 60, 0, 0.1)).groups
    assert (only.auc, only.found) == (None, None)


def test_the_result_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        judge(group("19-24", 60, 6, 0.1)).breaches = ()  # type: ignore[misc]
