"""A campaign file is refused by name when it asks for nonsense."""

from datetime import date
from decimal import Decimal

import pytest
from pydantic import ValidationError

from holdfast.adapters.yaml_files import load
from holdfast.campaign.definition import Campaign
from tests.fakes.operations import campaign

PERCENT = {"kind": "percent", "percent": 10, "maximum_discount": 8, "minimum_basket": 0, "valid_days": 14}
AMOUNT = {"kind": "amount", "amount": 5, "minimum_basket": 25, "valid_days": 14}
MESSAGE = {"channel": "email", "template": "win_back"}


@pytest.mark.parametrize(
    ("section", "value", "where", "why"),
    [
        ("offer", PERCENT | {"percent": 150}, "percent", "less than or equal to 100"),
        ("offer", PERCENT | {"percent": 0}, "percent", "greater than 0"),
        ("offer", AMOUNT | {"amount": 30}, "amount", "pays for the whole basket"),
        ("offer", AMOUNT | {"amount": "5.001"}, "amount", "2 decimal places"),
        ("offer", AMOUNT | {"kind": "gift"}, "offer", "'amount', 'percent'"),
        ("budget", {"money": -1, "contacts": 10}, "money", "greater than or equal to 0"),
        ("budget", {"money": "NaN", "contacts": 10}, "money", "finite"),
        ("control_share", 1.2, "control_share", "less than 1"),
        ("control_share", 0, "control_share", "greater than 0"),
        ("audience", {"tiers": ["urgent"]}, "tiers", "'high', 'medium' or 'low'"),
        ("audience", {"tiers": []}, "tiers", "name at least one"),
        ("audience", {"tiers": ["high", "high"]}, "tiers", "high named more than once"),
        ("contact_cap", {"messages": 0, "days": 14}, "messages", "greater than or equal to 1"),
        ("message", MESSAGE | {"channel": "carrier pigeon"}, "channel", "should match pattern"),
        ("message", MESSAGE | {"template": "../../etc/passwd"}, "template", "should match pattern"),
        ("message", MESSAGE | {"by_reason": {"rhythm": "../m"}}, "by_reason", "should match pattern"),
        ("name", "Win back!", "name", "should match pattern"),
        ("budgets", {}, "budgets", "Extra inputs"),
    ],
)
def test_nonsense_is_refused_where_it_stands(section: str, value: object, where: str, why: str) -> None:
    with pytest.raises(ValidationError) as caught:
        campaign(**{section: value})
    (fault,) = caught.value.errors()
    assert where in fault["loc"] or section in fault["loc"]
    assert why in fault["msg"]


def test_the_expected_cost_of_one_customer_is_message_plus_discount_times_assumed_use() -> None:
    ten_percent = campaign(
        offer=PERCENT | {"assumed_redemption": 0.25},
        budget={"money": 10, "contacts": 1, "cost_per_contact": "0.01"},
    )
    assert ten_percent.cost_per_customer == Decimal("2.01")


def test_a_run_is_called_by_campaign_and_cutoff() -> None:
    assert campaign().run_id(date(2017, 11, 26)) == "win_back@2017-11-26"


def test_the_digest_changes_with_the_definition_and_survives_storage() -> None:
    stored = Campaign.model_validate(campaign().model_dump(mode="json"))
    assert stored.digest == campaign().digest
    assert campaign(control_share=0.4).digest != campaign().digest


def test_the_campaign_that_ships_is_valid(project) -> None:
    assert load(project / "campaigns" / "win_back.yaml", Campaign).name == "win_back"
