"""Campaigns that learn: matured runs, a model that must prove itself, and the next plan that goes by it."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from holdfast.adapters.operations.trials import TrialDatabase
from holdfast.campaign.assignment import uniforms
from holdfast.campaign.definition import Campaign
from holdfast.errors import CampaignError, ModelError
from holdfast.model.approval import Approval
from holdfast.pipelines.learn import Learning, Prepared, randomised
from holdfast.pipelines.trials import Trials
from holdfast.pipelines.uplift_scores import ARM_SHARES, UPLIFTS, UpliftScoring, budget_points
from holdfast.rules import FrequencyCap, Outreach
from holdfast.windows import instant
from tests.fakes.channel import FakeChannel
from tests.fakes.feature_store import FakeFeatureStore, by_view
from tests.fakes.lake import FakeLake
from tests.fakes.operations import SHOP, Intervention, campaign, intervention, operations_engine, reachable
from tests.fakes.registry import FakeRegistry
from tests.fakes.scratch import FakeScratch
from tests.fakes.small_shop import RULES

FIRST = date(2018, 1, 7)
CUSTOMERS = [f"c{i}" for i in range(1_500)]
MESSAGE = {"channel": "email", "template": "m"}
ARMS = [
    {"name": "coupon", "message": MESSAGE, "cost_per_contact": "1.00"},
    {"name": "reminder", "message": MESSAGE, "cost_per_contact": "0.10"},
]
RULE = RULES.model_copy(
    update={
        "uplift": RULES.uplift.model_copy(
            update={"learners": ["t_logistic", "dr_logistic", "churn_risk"], "folds": 3, "resamples": 200}
        ),
        "outreach": Outreach(frequency_caps=(FrequencyCap(messages=99, days=14),)),
    }
)
APPROVED = Approval(True, "Ada", datetime(2018, 3, 1, tzinfo=UTC))


def learning_campaign(**changes: object) -> Campaign:
    """Two arms; anybody at random until uplift may decide."""
    sections: dict[str, object] = {
        "arms": ARMS,
        "audience": {"tiers": ["high"]},
        "control_share": 0.3,
        "policy": {"by": "uplift", "until": {"by": "random"}, "explore": 0.2},
        "arm_shares": {"floor": 0.1},
        "budget": {"money": 900, "contacts": 900},
    }
    return campaign(**(sections | changes))


class Shop:
    """Customers worth 100 each; the coupon keeps half of them and drives off the other half, the reminder does little.

    ``helped`` (order_count above 5) are in the features; ``silent`` (days_since_order) are likelier to churn and are
    moved no more than others.
    """

    def __init__(self, folder: Path, effect: float = 0.3) -> None:
        engine = operations_engine(folder)
        reachable(engine, CUSTOMERS)
        self.effect, self.lake, self.store = effect, FakeLake(), FakeFeatureStore()
        draw = np.random.default_rng(3)
        self.orders, self.silent = draw.integers(1, 11, len(CUSTOMERS)), draw.integers(1, 28, len(CUSTOMERS))
        machine = intervention(engine, pd.DataFrame(), FakeChannel(), lake=self.lake, outreach=RULE.outreach)
        self.machine: Intervention = machine
        self.trials = Trials(self.lake, machine.planning.operations, TrialDatabase(engine), RULE)
        self.registries: dict[str, FakeRegistry] = defaultdict(FakeRegistry)
        self.learning = Learning(self.trials, self.store, self.registries.__getitem__, FakeScratch())
        self._bought: list[tuple[str, datetime]] = []

    def score(self, cutoff: date) -> None:
        scores = pd.DataFrame(
            {
                "customer_id": CUSTOMERS,
                "cutoff": cutoff.isoformat(),
                "probability": self.silent / 28,
                "tier": "high",
                "value": 100.0,
                "value_at_risk": 100.0 * self.silent / 28,
                "persona": None,
                "lifetime_value": 500.0,
            }
        )
        self.lake.replace("scores", scores, where={"cutoff": [cutoff.isoformat()]})
        features = {"order_count": self.orders.astype(float), "days_since_order": self.silent.astype(float)}
        rows = pd.DataFrame({"customer_id": CUSTOMERS, **features, "cutoff": cutoff.isoformat()})
        self.store.write(by_view(rows.assign(event_timestamp=pd.Timestamp(instant(cutoff, SHOP.zone)))))

    def campaign_ran(self, one: Campaign, cutoff: date) -> pd.DataFrame:
        """Plan the campaign, and let its customers answer in the days after."""
        self.score(cutoff)
        at = instant(cutoff, SHOP.zone)
        self.machine.plan(one, cutoff.isoformat(), at)
        assigned = self.trials.trial(one.run_id(cutoff)).customers
        place = [int(customer[1:]) for customer in assigned["customer_id"]]
        sign = np.where(self.orders[place] > 5, 1, -1)
        moved = assigned["arm"].map({"control": 0.0, "coupon": self.effect, "reminder": 0.02}).to_numpy(float)
        stays = 0.75 - 0.4 * self.silent[place] / 28 + np.where(assigned["arm"] == "coupon", sign, 1) * moved
        stayed = uniforms(f"answer {cutoff}", assigned["customer_id"].tolist()) < stays
        self._bought += [(customer, at + timedelta(days=3)) for customer in assigned["customer_id"][stayed]]
        ids = [f"o{i}" for i in range(len(self._bought))]
        orders = pd.DataFrame(self._bought, columns=["customer_id", "ordered_at"])
        self.lake.replace("orders", orders.assign(order_id=ids, status="completed", currency="USD"), where={})
        lines = pd.DataFrame({"order_id": ids, "line_id": "1", "product_id": "p", "quantity": 1.0, "amount": 100.0})
        self.lake.replace("order_lines", lines.assign(discount=0.0, coupon_discount=0.0), where={})
        return assigned

    def learned(self, one: Campaign, cutoff: date) -> tuple[Prepared, dict[str, object]]:
        prepared = self.learning.prepare(one, cutoff.isoformat())
        fitted = [self.learning.fit(one, task["learner"], prepared) for task in self.learning.tasks([prepared])]
        return prepared, self.learning.weigh(one, prepared, fitted, lambda version: f"http://mlflow/{version}")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def after(runs: int) -> date:
    """The day on which so many fortnightly runs have matured."""
    return FIRST + timedelta(days=14 * runs)


def test_from_random_runs_to_a_model_that_a_person_approves_and_that_the_next_plan_goes_by(shop: Shop) -> None:
    one = learning_campaign()
    for number in range(3):
        shop.campaign_ran(one, after(number))
    prepared, weighed = shop.learned(one, after(3))
    assert prepared["runs"] == [one.run_id(after(number)) for number in range(3)]
    assert weighed["passed"], weighed["reason"]
    assert "brings more than choosing by random at the same budget" in str(weighed["reason"])
    assert "http://mlflow/1" in str(weighed["story"])
    registry = shop.registries["win_back"]
    assert "champion" not in registry.aliases  # nobody has approved it yet
    shop.score(after(3))
    before = shop.machine.planning.preview(one, after(3).isoformat(), instant(after(3), SHOP.zone), 5)
    assert before.plan["chosen_by"] == ("random, since no uplift model of win_back with these arms is champion yet")
    assert shop.learning.decide(weighed, APPROVED)["promoted"]

    scoring = UpliftScoring(shop.lake, shop.store, shop.registries.__getitem__, RULE)
    assert scoring.score(one, after(3).isoformat())["customers"] == len(CUSTOMERS)
    assert len(shop.lake.read(UPLIFTS)) == 2 * len(CUSTOMERS)
    assigned = shop.campaign_ran(one, after(3))
    plan = shop.machine.plan(one, after(3).isoformat(), instant(after(3), SHOP.zone))
    assert plan["chosen_by"] == "uplift, by version 1 of the uplift model of win_back"
    coupon = assigned[assigned["arm"] == "coupon"]
    orders = shop.orders[[int(customer[1:]) for customer in coupon["customer_id"]]]
    assert (orders > 5).mean() > 0.85  # the rest are explored
    explored = assigned[[min(chances) > 0 for chances in assigned["chances"]]]
    assert 0.1 < len(explored) / len(assigned) < 0.35
    assert (assigned["arm"] == "control").mean() == pytest.approx(0.3, abs=0.06)


def test_where_treatment_moves_nobody_the_product_declines_and_the_plan_stays_as_it_was(tmp_path: Path) -> None:
    still, one = Shop(tmp_path, effect=0.02), learning_campaign()
    for number in range(2):
        still.campaign_ran(one, after(number))
    _, weighed = still.learned(one, after(2))
    assert not weighed["passed"]
    assert str(weighed["reason"]).startswith("Declined: ")
    assert "is not shown to bring more than" in str(weighed["reason"])
    assert still.registries["win_back"].versions["1"].verdict


def test_a_run_whose_outcomes_are_not_all_in_yet_does_not_count(shop: Shop) -> None:
    one = learning_campaign()
    shop.campaign_ran(one, FIRST)
    young = shop.learning.prepare(one, (FIRST + timedelta(days=13)).isoformat())
    assert young["runs"] == []
    assert shop.learning.tasks([young]) == []
    assert "no run of win_back has matured" in str(young["why"])
    weighed = shop.learning.weigh(one, young, [], str)
    assert str(weighed["reason"]).startswith("Declined: no run of win_back has matured")
    assert shop.learning.prepare(one, (FIRST + timedelta(days=14)).isoformat())["runs"] == [one.run_id(FIRST)]


def test_a_run_that_assigned_nobody_teaches_nothing_and_a_customer_without_outcome_is_told(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = learning_campaign()
    shop.campaign_ran(one, FIRST)
    nobody = learning_campaign(audience={"tiers": ["low"]})
    shop.score(after(1))
    shop.machine.plan(nobody, after(1).isoformat(), instant(after(1), SHOP.zone))
    assert shop.learning.prepare(one, after(2).isoformat())["runs"] == [one.run_id(FIRST)]
    everybody = Trials.outcomes
    monkeypatch.setattr(Trials, "outcomes", lambda own, trial, customers: everybody(own, trial, customers[1:]))
    with pytest.raises(CampaignError, match="1 assigned customers have no outcome row"):
        shop.learning.prepare(one, after(2).isoformat())


def test_why_nothing_is_learned_is_told_of_the_campaigns_own_learners_alone(shop: Shop) -> None:
    one = learning_campaign()
    shop.campaign_ran(one, FIRST)
    prepared = shop.learning.prepare(one, after(1).isoformat())
    fitted = [
        {"campaign": "win_back", "learner": "t_logistic", "path": None, "why": "too few customers"},
        {"campaign": "other", "learner": "t_logistic", "path": None, "why": "no control"},
        {"campaign": "other", "learner": "dr_logistic", "path": "other", "why": None},
    ]
    assert (
        shop.learning.weigh(one, prepared, fitted, str)["reason"]
        == "Declined: too few customers. The present policy stays."
    )


def test_a_champion_is_met_only_on_runs_that_it_has_not_learned_from(shop: Shop) -> None:
    one = learning_campaign()
    for number in range(3):
        shop.campaign_ran(one, after(number))
    _, first = shop.learned(one, after(3))
    shop.learning.decide(first, APPROVED)
    _, again = shop.learned(one, after(3))
    assert not again["passed"]
    assert "no run has matured since the champion (version 1) learned from the last" in str(again["reason"])
    with pytest.raises(ModelError, match="no longer the challenger"):
        shop.learning.decide({**again, "version": "1"}, APPROVED)


def test_a_second_model_of_more_runs_takes_the_place_of_the_first(shop: Shop) -> None:
    one = learning_campaign()
    for number in range(2):
        shop.campaign_ran(one, after(number))
    _, first = shop.learned(one, after(2))
    assert first["replacing"] is None
    shop.learning.decide(first, APPROVED)
    shop.campaign_ran(one, after(2))
    _, second = shop.learned(one, after(3))
    assert second["passed"], second["reason"]
    assert (second["version"], second["replacing"]) == ("2", "1")
    assert "instead of version 1" in str(second["story"])
    shop.learning.decide(second, APPROVED)
    assert shop.registries["win_back"].aliases["champion"] == "2"
    assert shop.registries["win_back"].aliases["previous"] == "1"


def test_arms_share_by_what_they_brought_and_the_next_plan_draws_by_it(shop: Shop) -> None:
    one = learning_campaign(policy={"by": "random"}, arm_shares={"floor": 0.1})
    for number in range(2):
        shop.campaign_ran(one, after(number))
    prepared = shop.learning.prepare(one, after(2).isoformat())
    assert shop.learning.tasks([prepared]) == []  # it does not choose by uplift
    done, again = (shop.learning.share(one, prepared) for _ in range(2))
    assert done == again
    kept = shop.lake.read(ARM_SHARES)
    assert kept["share"].sum() == pytest.approx(1)
    assert kept["share"].min() >= 0.1
    assert kept["runs"].iloc[0] == ", ".join(prepared["runs"])
    share = kept.set_index("arm").loc["coupon", "share"]
    assert share < 0.35  # the coupon keeps as many as it drives off, and costs more
    assigned = shop.campaign_ran(one, after(2))
    chances = pd.DataFrame(assigned["chances"].tolist(), columns=["coupon", "reminder"])
    assert chances["coupon"].to_numpy() == pytest.approx(np.full(len(assigned), 0.7 * share))
    plan = shop.machine.plan(one, after(2).isoformat(), instant(after(2), SHOP.zone))
    assert str(plan["chosen_by"]).endswith("arms by learned shares")
    drawn_then = shop.trials.trial(one.run_id(after(1))).customers["chances"]
    assert drawn_then.map(tuple).nunique() == 1  # an earlier plan keeps the chances that it was drawn by


def test_whom_every_arm_harms_is_not_disturbed(tmp_path: Path) -> None:
    shop = Shop(tmp_path, effect=0.35)
    hardly_exploring = {"by": "uplift", "until": {"by": "random"}, "explore": 0.01}
    one = learning_campaign(arms=ARMS[:1], arm_shares=None, policy=hardly_exploring)
    for number in range(3):
        shop.campaign_ran(one, after(number))
    _, weighed = shop.learned(one, after(3))
    assert weighed["passed"], weighed["reason"]
    shop.learning.decide(weighed, APPROVED)
    shop.score(after(3))
    UpliftScoring(shop.lake, shop.store, shop.registries.__getitem__, RULE).score(one, after(3).isoformat())
    plan = shop.machine.plan(one, after(3).isoformat(), instant(after(3), SHOP.zone))
    assert plan["skipped"]["do_not_disturb"] > 300
    assigned = shop.trials.trial(one.run_id(after(3))).customers
    assert (shop.orders[[int(customer[1:]) for customer in assigned["customer_id"]]] > 5).mean() > 0.95


def test_a_model_that_does_not_know_an_arm_leaves_the_choice_to_the_policy_until_then(shop: Shop) -> None:
    one = learning_campaign(arms=ARMS[:1], arm_shares=None)
    for number in range(3):
        shop.campaign_ran(one, after(number))
    _, weighed = shop.learned(one, after(3))
    shop.learning.decide(weighed, APPROVED)
    shop.score(after(3))
    UpliftScoring(shop.lake, shop.store, shop.registries.__getitem__, RULE).score(one, after(3).isoformat())
    more = learning_campaign(arm_shares=None)
    told = shop.machine.planning.preview(more, after(3).isoformat(), instant(after(3), SHOP.zone), 1).plan["chosen_by"]
    assert told == "random, since no uplift model of win_back with these arms is champion yet"


def test_more_money_brings_more_and_each_further_unit_less(shop: Shop) -> None:
    one = learning_campaign()
    shop.campaign_ran(one, FIRST)
    prepared = shop.learning.prepare(one, after(1).isoformat())
    on = randomised(one, shop.learning.scratch.read(prepared["path"]))
    assert on.costs.tolist() == [1.0, 0.1]
    values = np.abs(np.random.default_rng(1).normal(1, 1, (len(on), 2)))
    points = budget_points(one, values)
    assert [point.money for point in points] == sorted(point.money for point in points)
    amounts, marginals = [point.value for point in points], [point.marginal for point in points]
    assert amounts == sorted(amounts)
    assert marginals == sorted(marginals, reverse=True)
    assert 0 < amounts[0] < amounts[-1]
    assert marginals[-1] < marginals[0]
