"""What must hold before an effect is claimed, in numbers small enough to check by hand."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

from holdfast.effect import guards
from holdfast.effect.guards import Level
from tests.fakes.trials import trial


def assigned(*arms: tuple[str, int, float]) -> pd.DataFrame:
    """So many customers in each arm, with this propensity."""
    rows = [(arm, propensity) for arm, count, propensity in arms for _ in range(count)]
    table = pd.DataFrame(rows, columns=["arm", "propensity"])
    return table.assign(customer_id=[str(i) for i in range(len(table))], exposed=table["arm"] != "control")


def test_arms_as_large_as_chance_makes_them_pass() -> None:
    check = guards.sample_ratio(assigned(("treatment", 905, 0.9), ("control", 95, 0.1)))
    assert check.level is Level.WELL
    assert "control 95 of 100.0" in check.text
    # χ² = 5² ÷ 100 + 5² ÷ 900 = 0.278
    assert f"p = {chi2.sf(0.2778, 1):.3g}" in check.text


def test_arms_that_chance_did_not_make_stop_the_reading() -> None:
    check = guards.sample_ratio(assigned(("treatment", 940, 0.9), ("control", 60, 0.1)))
    assert check.level is Level.STOP
    assert "not as large as chance would make them" in check.text


def test_an_arm_that_lost_everybody_is_missed() -> None:
    arms = assigned(("men", 300, 1 / 3), ("control", 300, 1 / 3))
    assert guards.sample_ratio(arms).level is Level.STOP


def test_several_arms_are_tested_together() -> None:
    fair = assigned(("men", 310, 1 / 3), ("women", 290, 1 / 3), ("control", 300, 1 / 3))
    assert guards.sample_ratio(fair).level is Level.WELL


@pytest.mark.parametrize(("lost", "level"), [(0, Level.WELL), (400, Level.STOP)])
def test_where_probabilities_differ_the_control_must_stand_for_everybody(lost: int, level: Level) -> None:
    draw = np.random.default_rng(1)
    of_control = np.where(np.arange(2_000) < 1_000, 0.5, 0.1)
    control = draw.random(2_000) < of_control
    table = pd.DataFrame({"arm": np.where(control, "control", "a"), "propensity": np.where(control, of_control, 0.5)})
    assert guards.sample_ratio(table.drop(table.index[control][:lost])).level is level


def test_a_control_that_was_contacted_is_none() -> None:
    table = assigned(("treatment", 9, 0.9), ("control", 3, 0.1)).assign(exposed=True)
    check = guards.exposure(table)
    assert check.level is Level.STOP
    assert "3 of 3 control customers" in check.text


def test_treated_who_were_not_reached_are_told_and_not_left_out() -> None:
    table = assigned(("treatment", 10, 0.9), ("control", 3, 0.1))
    assert guards.exposure(table).level is Level.WELL
    table.loc[:1, "exposed"] = False
    check = guards.exposure(table)
    assert check.level is Level.WARN
    assert "8 of 10 treated customers" in check.text


def outcomes(customers: int, retained: int, **columns: object) -> pd.DataFrame:
    kept = np.arange(customers) < retained
    return pd.DataFrame({"retained": kept.astype(float), "propensity": 0.5} | columns)


def test_the_smallest_detectable_effect_is_told() -> None:
    check = guards.size(outcomes(220, 110), {"treatment": outcomes(1_980, 1_000)})
    assert check.level is Level.WELL
    assert check.text == "with 2,200 customers and a 10 % control the smallest detectable effect is 10 points"


def test_with_two_arms_each_must_show_more() -> None:
    arms = {"a": outcomes(1_980, 1_000), "b": outcomes(1_980, 1_000)}
    assert guards.size(outcomes(220, 110), arms).text.endswith("is 11 points")


@pytest.mark.parametrize(
    ("control", "treated", "word"),
    [
        (outcomes(49, 25), outcomes(400, 200), "the smallest group has 49 customers"),
        (outcomes(200, 191), outcomes(400, 200), "only 9 stayed or left"),
        (outcomes(100, 95), outcomes(900, 850), "only 5 stayed or left"),
        # 2.8 standard errors of sqrt(2 · 0.16 ÷ 50) are 22 points.
        (outcomes(50, 40), outcomes(50, 40), "only 20 % of the control left: even if the campaign had kept every one"),
    ],
)
def test_too_few_to_tell_is_refused(control: pd.DataFrame, treated: pd.DataFrame, word: str) -> None:
    check = guards.size(control, {"treatment": treated})
    assert check.level is Level.STOP
    assert check.text.startswith("too small: ")
    assert word in check.text


@pytest.mark.parametrize(("complete_to", "level"), [(date(2018, 4, 2), Level.WELL), (date(2018, 4, 1), Level.STOP)])
def test_before_the_window_has_ended_it_is_too_early(complete_to: date, level: Level) -> None:
    check = guards.maturity(trial(assigned(("treatment", 1, 0.5), ("control", 1, 0.5))), complete_to)
    assert check.level is level
    assert ("too early" in check.text) == (level is Level.STOP)


@pytest.mark.parametrize(
    ("arms", "word"),
    [
        ([("treatment", 5, np.nan), ("control", 5, np.nan)], "somebody chose them"),
        ([("treatment", 5, np.nan)], "there is no control"),
        ([("control", 5, 1.0)], "nobody was meant to be treated"),
    ],
)
def test_without_chance_no_effect_is_claimed_and_it_says_why(arms: list, word: str) -> None:
    check = guards.chance(trial(assigned(*arms)))
    assert check.level is Level.STOP
    assert word in check.text


def test_other_campaigns_are_told_and_matter_where_they_met_one_group_more() -> None:
    table = assigned(("treatment", 100, 0.5), ("control", 100, 0.5))

    def met(treated: int, control: int) -> guards.Check:
        ids = [*(str(i) for i in range(treated)), *(str(100 + i) for i in range(control)), "stranger"]
        return guards.contamination(table, pd.DataFrame({"campaign_id": "spring", "customer_id": ids}))

    assert met(0, 0).text == "no other campaign contacted these customers meanwhile"
    assert met(30, 32).level is Level.WELL
    assert "spring contacted 30.0% of the treated and 32.0% of the control" in met(30, 32).text
    assert met(5, 30).level is Level.WARN


def test_what_treatment_cannot_have_done_shows_that_the_groups_differed() -> None:
    def before(orders: list[float]) -> pd.DataFrame:
        table = pd.DataFrame({"orders_before": orders, "propensity": 0.5})
        return table.assign(retained_before=1.0, revenue_before=0.0, visited_before=0.0)

    alike = guards.placebo({"treatment": before([1.0, 2, 3] * 40)}, before([3.0, 1, 2] * 40))
    assert guards.alike_before(alike).level is Level.WELL
    apart = guards.placebo({"treatment": before([3.0, 4, 3] * 40)}, before([3.0, 1, 2] * 40))
    check = guards.alike_before(apart)
    assert check.level is Level.WARN
    assert "orders before was 3.33 in treatment against 2" in check.text
    assert guards.alike_before([]).level is Level.WARN
