"""From logged assignments to a trial whose every customer counts in the arm assigned."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pandas as pd
import pytest

from holdfast.campaign.definition import CampaignRun
from holdfast.effect.trial import Trial, trial_of
from holdfast.errors import CampaignError, NobodyAssignedError
from tests.fakes.operations import NOON, SHOP, campaign

RUN = CampaignRun(campaign(cost_per_contact=Decimal("0.10")), date(2017, 11, 26), NOON, scored=4, audience=3)


def assigned(*rows: tuple[str, str, float | None, bool, float]) -> pd.DataFrame:
    """Rows of customer, arm, propensity, exposed, discount."""
    table = pd.DataFrame(rows, columns=["customer_id", "arm", "propensity", "exposed", "discount"])
    return table.assign(probability=0.5, value=40.0, tier="high", persona=None, chances=None, cost=5.0)


def trial(*rows: tuple[str, str, float | None, bool, float], margin: float = 1) -> Trial:
    return trial_of(RUN, assigned(*rows), 28, SHOP.zone, margin)


def outcome(revenue: dict[str, float], margin: float) -> pd.DataFrame:
    rows = pd.DataFrame({"customer_id": list(revenue), "revenue": list(revenue.values())})
    return rows.assign(retained=1.0, orders=1.0, margin=rows["revenue"] * margin)


def test_the_window_is_the_horizon_from_the_cutoff_on_by_the_shops_clock() -> None:
    one = trial(("a", "treatment", 0.5, True, 0), ("b", "control", 0.5, False, 0))
    assert one.window.start == datetime(2017, 11, 26, 5, tzinfo=UTC)
    assert one.window.end == datetime(2017, 12, 24, 5, tzinfo=UTC)
    assert one.before.start == datetime(2017, 10, 29, 4, tzinfo=UTC)  # the clocks went back in between
    assert one.days == 28
    assert one.arms == {"treatment": 0.1}


def test_whoever_was_not_sent_the_message_still_counts_as_treated_and_costs_no_contact() -> None:
    one = trial(("a", "treatment", 0.5, False, 0), ("b", "treatment", 0.5, True, 0), ("c", "control", 0.5, False, 0))
    results = one.results(outcome({"a": 50, "b": 50, "c": 50}, 1))
    assert results["arm"].tolist() == ["treatment", "treatment", "control"]
    assert results["contact_cost"].tolist() == [0, 0.1, 0]


def test_a_coupon_is_paid_for_once() -> None:
    # A basket of 50 whose goods cost 40 (the shop keeps a fifth), 5 of it paid by coupon: 45 − 40 − 0.10 is left.
    one = trial(("a", "treatment", 0.5, True, 5), ("c", "control", 0.5, False, 0), margin=0.2)
    assert one.results(outcome({"a": 45, "c": 50}, 0.2))["net"].tolist() == pytest.approx([4.9, 10])


@pytest.mark.parametrize(
    ("rows", "randomised"),
    [
        ([("a", "treatment", 0.5, True, 0), ("b", "control", 0.5, False, 0)], True),
        ([("a", "treatment", None, True, 0), ("b", "control", None, False, 0)], False),
        ([("a", "treatment", 0.5, True, 0), ("b", "control", None, False, 0)], False),
        ([("a", "treatment", 0.5, True, 0)], False),
        ([("b", "control", 0.5, False, 0)], False),
    ],
)
def test_a_trial_needs_chance_with_known_odds_and_a_control(rows: list, randomised: bool) -> None:
    assert trial(*rows).randomised is randomised


def test_a_run_that_assigned_nobody_says_so() -> None:
    with pytest.raises(NobodyAssignedError, match="win_back@2017-11-26 assigned nobody"):
        trial()


def test_a_customer_without_an_outcome_is_not_taken_for_a_silent_one() -> None:
    one = trial(("a", "treatment", 0.5, True, 0), ("b", "control", 0.5, False, 0))
    with pytest.raises(CampaignError, match="1 assigned customers have no outcome"):
        one.results(outcome({"a": 50}, 1))
