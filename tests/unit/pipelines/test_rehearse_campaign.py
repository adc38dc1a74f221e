"""A campaign rehearsed before it starts, on a simulated shop in the image of the lake's orders."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from holdfast.adapters.operations.repository import OperationsDatabase
from holdfast.adapters.yaml_files import load
from holdfast.campaign.definition import Campaign, CampaignRun
from holdfast.campaign.policy import Selection
from holdfast.effect.belief import Belief
from holdfast.effect.estimate import Effect
from holdfast.errors import CampaignError
from holdfast.pipelines import rehearse_campaign as use_case
from holdfast.pipelines import responses
from holdfast.pipelines.planning import Plan, Preview
from holdfast.pipelines.readouts import keep
from holdfast.proving import Indices
from holdfast.simulator.config import ShopConfig
from holdfast.simulator.lives import Treatment
from holdfast.simulator.shop import SimulatedShop
from holdfast.simulator.truth import Outcome
from tests.fakes import readouts
from tests.fakes.lake import FakeLake
from tests.fakes.operations import campaign, operations_engine
from tests.fakes.small_shop import RULES

OFFER = {"kind": "amount", "amount": "5", "minimum_basket": "20", "valid_days": 21, "assumed_redemption": 0.2}


@pytest.fixture(scope="module")
def assumed(project: Path) -> ShopConfig:
    return load(project / "config" / "simulator.yaml", ShopConfig)


@pytest.fixture(autouse=True)
def a_smaller_shop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use_case, "CUSTOMERS", 4_096)


@pytest.fixture(scope="module")
def lake(assumed: ShopConfig) -> FakeLake:
    """Five months of orders."""
    shop, lake = SimulatedShop(assumed, 600, 3), FakeLake()
    parts = [part for _ in range(150) for part in shop.live()]
    for name in ("orders", "order_lines"):
        rows = pa.concat_tables([part[name] for part in parts if name in part]).to_pandas()
        lake.replace(name, rows, where={})
    return lake


@pytest.fixture
def operations(tmp_path: Path) -> OperationsDatabase:
    return OperationsDatabase(operations_engine(tmp_path))


def planned(probability: float, one: Campaign, customers: int = 400) -> Preview:
    """A plan that treats so many customers, all as likely to churn, beside as many in control."""
    [arm] = one.arms
    treated = pd.DataFrame({"customer_id": [str(i) for i in range(customers)], "probability": probability})
    plan = Plan(
        campaign_id="win_back@2024-06-01",
        scored=1_000,
        audience=2 * customers + 7,
        skipped={"frequency_cap": 7},
        control=customers,
        treated=customers,
        arms={arm.name: customers} if customers else {},
        planned=customers,
        expected_cost=0.0,
        chosen_by=None,
        passed_over=None,
    )
    return Preview(plan, 0.0, 0.0, treated)


def rehearse(
    lake: FakeLake,
    operations: OperationsDatabase,
    one: Campaign,
    preview: Preview,
    assumed: ShopConfig,
    *,
    horizon_days: int = 28,
) -> use_case.CampaignRehearsal:
    return use_case.rehearse_campaign(
        lake, operations, one, preview, shop=RULES.shop, horizon_days=horizon_days, assumed=assumed
    )


def test_a_coupon_for_those_at_risk_costs_and_keeps_some(
    lake: FakeLake, operations: OperationsDatabase, assumed: ShopConfig
) -> None:
    one = campaign(offer=OFFER)
    found = rehearse(lake, operations, one, planned(0.45, one), assumed)
    [arm] = found.arms
    assert (arm.customers, found.control) == (400, 400)
    assert arm.redemptions.low < arm.redemptions.value < arm.redemptions.high
    assert 0 < arm.redemptions.value < 400
    assert arm.cost.value == pytest.approx(5 * arm.redemptions.value + 400 * float(one.arms[0].cost_per_contact), 0.01)
    assert 0 < arm.kept.value < 200
    assert found.effect == pytest.approx(arm.kept.value / 400)
    assert found.risk == (pytest.approx(0.45), pytest.approx(0.45, abs=0.02)), (
        "the simulated audience is as likely to churn"
    )
    assert found.detectable > 0.05, "400 against 400 show no small effect"
    assert found.shop.config.name == "Small (simulated)"


def test_where_a_message_is_assumed_to_do_nothing_nothing_is_kept(
    lake: FakeLake, operations: OperationsDatabase, assumed: ShopConfig
) -> None:
    def deaf(name: str) -> dict[str, object]:
        return getattr(assumed.responses, name).model_dump() | {"returns": 0, "annoyed": 0, "visits": 0}

    kinds = ("persuadable", "sure_thing", "lost_cause", "do_not_disturb")
    told = assumed.model_dump() | {"responses": assumed.responses.model_dump() | {name: deaf(name) for name in kinds}}
    one = campaign(offer=None)
    shop = ShopConfig.model_validate(told)
    found = rehearse(lake, operations, one, planned(0.45, one), shop)
    assert [arm.kept.value for arm in found.arms] == [0]
    assert [arm.redemptions.value for arm in found.arms] == [0]


def test_a_campaign_that_treats_nobody_is_refused_with_the_reasons(
    lake: FakeLake, operations: OperationsDatabase, assumed: ShopConfig
) -> None:
    one = campaign(offer=None)
    why = r"win_back@2024-06-01 would treat nobody of the 7 in its audience \(7 skipped: frequency_cap\), so there is"
    with pytest.raises(CampaignError, match=why):
        rehearse(lake, operations, one, planned(0.45, one, 0), assumed)


ARMS = [
    {"name": "mail", "message": {"channel": "email", "template": "m"}},
    {"name": "mail_and_coupon", "message": {"channel": "email", "template": "m"}, "offer": OFFER},
]


def finished(lake: FakeLake, operations: OperationsDatabase, days: int = 28) -> dict[str, Effect]:
    """The lake with the readout of a run of win_back with both ``ARMS``; returns what it found of retention by arm."""
    of, found = FakeLake(), readouts.measured()
    found = replace(found, days=days, complete_to=found.cutoff + timedelta(days=days))
    keep(of, found)
    run = CampaignRun(campaign(arms=ARMS), found.cutoff, found.planned_at, 3_000, 3_000)
    nobody = pd.DataFrame(
        columns=["customer_id", "arm", "propensity", "tier", "probability", "value", "cost", "reason"]
    )
    with operations.planning() as tx:
        tx.add(run, Selection(nobody, nobody), [], [])
    lake.replace("readouts", of.read("readouts"), where={})
    return {arm["name"]: found.reading(arm["name"]).effect("retained") for arm in ARMS}


@pytest.fixture
def history(lake: FakeLake) -> FakeLake:
    """A lake of one's own with the same orders."""
    own = FakeLake()
    for name in ("orders", "order_lines"):
        own.replace(name, lake.read(name), where={})
    return own


def test_an_arm_is_moved_by_its_own_runs_and_scaled_by_the_others(
    history: FakeLake, operations: OperationsDatabase, assumed: ShopConfig
) -> None:
    measured = finished(history, operations)
    one = campaign(arms=ARMS[1:])
    found = rehearse(history, operations, one, planned(0.45, one), assumed)
    [arm] = found.arms
    assert (arm.evidence.own, arm.evidence.others) == (1, 1)
    assert arm.evidence.scale > 1, "the mail alone did more than is assumed of it"
    scaled = arm.evidence.scale * arm.assumed
    low, high = sorted((scaled, measured["mail_and_coupon"].difference))
    assert low < arm.effect < high
    assert arm.kept.value == pytest.approx(400 * arm.effect)


@pytest.mark.parametrize("days", [14, 90])
def test_the_shop_is_simulated_and_its_runs_are_believed_over_the_labels_own_horizon(
    history: FakeLake,
    operations: OperationsDatabase,
    assumed: ShopConfig,
    monkeypatch: pytest.MonkeyPatch,
    days: int,
) -> None:
    real, ahead, outcome = {14: 0.6, 90: 0.3}[days], [], SimulatedShop.outcome

    def watched(shop: SimulatedShop, treatment: Treatment | None, who: Indices, days: int) -> Outcome:
        ahead.append(days)
        return outcome(shop, treatment, who, days)

    monkeypatch.setattr(SimulatedShop, "outcome", watched)
    finished(history, operations, days)
    one = campaign(arms=ARMS[1:])
    found = rehearse(history, operations, one, planned(real, one), assumed, horizon_days=days)
    assert (found.days, set(ahead)) == (days, {days})
    assert found.risk[1] == pytest.approx(real, abs=0.03)
    assert (found.arms[0].evidence.own, found.arms[0].evidence.others) == (1, 1)


def test_with_another_offer_it_is_another_arm(
    history: FakeLake, operations: OperationsDatabase, assumed: ShopConfig
) -> None:
    finished(history, operations)
    one = campaign(arms=[ARMS[1] | {"offer": OFFER | {"amount": "9"}}])
    found = rehearse(history, operations, one, planned(0.45, one), assumed)
    [arm] = found.arms
    assert (arm.evidence.own, arm.evidence.others) == (0, 2)
    assert arm.effect == pytest.approx(arm.evidence.scale * arm.assumed)
    wide = arm.kept.high - arm.kept.low
    assert wide > 2 * 1.96 * 400 * abs(arm.assumed) * 0.1, "how surely it was measured is part of the interval"


def test_a_readout_of_another_horizon_or_not_yet_final_says_nothing(
    history: FakeLake, operations: OperationsDatabase, assumed: ShopConfig
) -> None:
    finished(history, operations)
    stored = readouts.measured()
    for changed in (
        replace(stored, days=14),
        replace(stored, complete_to=stored.cutoff),
        replace(stored, imported=True),
    ):
        history.replace("readouts", pd.DataFrame(), where={})
        keep(history, changed)
        assert responses.measured(history, operations, 28) == []
    keep(history, stored)
    assert [one.arm.name for one in responses.measured(history, operations, 28)] == ["mail", "mail_and_coupon"]


def test_that_nobody_redeemed_is_no_certainty() -> None:
    """Of 98 customers nobody used a coupon of 5: as if one in a hundred had, 0 ± 0.05."""
    arm = campaign(arms=ARMS[1:]).arms[0]
    reading = replace(readouts.measured().reading("mail_and_coupon"), customers=98, spent=0.0)
    assert responses._discount(reading, arm, {"mail_and_coupon": 98}) == Belief(
        0.0, pytest.approx(5 * (0.01 * 0.99 / 98) ** 0.5)
    )
