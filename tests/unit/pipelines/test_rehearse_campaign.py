"""A campaign rehearsed before it starts, on a simulated shop in the image of the lake's orders."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from holdfast.adapters.yaml_files import load
from holdfast.campaign.definition import Campaign
from holdfast.errors import CampaignError
from holdfast.pipelines import rehearse_campaign as use_case
from holdfast.pipelines.planning import Plan, Preview
from holdfast.simulator.config import ShopConfig
from holdfast.simulator.shop import SimulatedShop
from tests.fakes.lake import FakeLake
from tests.fakes.operations import campaign
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
    )
    return Preview(plan, 0.0, 0.0, treated)


def test_a_coupon_for_those_at_risk_costs_and_keeps_some(lake: FakeLake, assumed: ShopConfig) -> None:
    one = campaign(offer=OFFER)
    found = use_case.rehearse_campaign(lake, one, planned(0.45, one), RULES.shop, assumed)
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
    assert found.shop.name == "Small (simulated)"


def test_where_a_message_is_assumed_to_do_nothing_nothing_is_kept(lake: FakeLake, assumed: ShopConfig) -> None:
    def deaf(name: str) -> dict[str, object]:
        return getattr(assumed.responses, name).model_dump() | {"returns": 0, "annoyed": 0, "visits": 0}

    kinds = ("persuadable", "sure_thing", "lost_cause", "do_not_disturb")
    told = assumed.model_dump() | {"responses": assumed.responses.model_dump() | {name: deaf(name) for name in kinds}}
    one = campaign(offer=None)
    found = use_case.rehearse_campaign(lake, one, planned(0.45, one), RULES.shop, ShopConfig.model_validate(told))
    assert [arm.kept.value for arm in found.arms] == [0]
    assert [arm.redemptions.value for arm in found.arms] == [0]


def test_a_campaign_that_treats_nobody_is_refused_with_the_reasons(lake: FakeLake, assumed: ShopConfig) -> None:
    one = campaign(offer=None)
    why = r"win_back would treat nobody of the 7 in its audience \(7 skipped: frequency_cap\), so there is nothing to"
    with pytest.raises(CampaignError, match=why):
        use_case.rehearse_campaign(lake, one, planned(0.45, one, 0), RULES.shop, assumed)
