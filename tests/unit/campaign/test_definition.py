"""A campaign file is refused by name when it asks for nonsense."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from holdfast.adapters.yaml_files import load
from holdfast.campaign.definition import Campaign, Schedule
from holdfast.windows import Window
from tests.fakes.operations import NOON, campaign

PERCENT = {"kind": "percent", "percent": 10, "maximum_discount": 8, "minimum_basket": 0, "valid_days": 14}
AMOUNT = {"kind": "amount", "amount": 5, "minimum_basket": 25, "valid_days": 14}
MESSAGE = {"channel": "email", "template": "win_back"}

ARM = {"name": "coupon", "message": MESSAGE, "offer": AMOUNT}


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
        ("weight", 0, "weight", "greater than 0"),
        ("cost_per_contact", "0.00001", "cost_per_contact", "4 decimal places"),
        ("arms", [], "arms", "give at least one"),
        ("arms", [ARM, ARM], "arms", "two arms are called coupon"),
        ("arm_shares", {"floor": 0.6}, "floor", "less than or equal to 0.5"),
        ("arm_shares", {"segments": "age"}, "segments", "'tier' or 'persona'"),
        ("policy", {"by": "uplift", "explore": 0}, "explore", "greater than 0"),
        ("policy", {"by": "uplift", "until": {"by": "uplift"}}, "until", "'risk', 'value_at_risk'"),
        ("arms", [ARM | {"name": "control"}], "name", "choose another name"),
        ("policy", {"by": "magic"}, "policy", "'random'"),
        ("policy", {"by": "random", "at_least": 0.6, "below": 0.2}, "random", "must be greater than at_least"),
        ("schedule", {"timezone": "Mars/Olympus"}, "timezone", "no IANA time zone"),
        ("schedule", {"first_day": "2018-01-02", "last_day": "2018-01-01"}, "schedule", "must not lie before"),
        ("audience", {"tiers": ["high"], "where": {"of": "x", "below": 1, "above": 0}}, "where", "write one test"),
        ("budget", {"money": 1, "contacts": 1, "liability": -1}, "liability", "greater than or equal to 0"),
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
    assert {where, section} & set(fault["loc"])
    assert why in fault["msg"]


def test_the_expected_cost_of_one_customer_is_message_plus_discount_times_assumed_use() -> None:
    [ten_percent] = campaign(offer=PERCENT | {"assumed_redemption": 0.25}, cost_per_contact="0.01").arms
    assert (ten_percent.cost, ten_percent.liability) == (Decimal("2.01"), 8)
    [reminder] = campaign(offer=None, cost_per_contact="0.001").arms
    assert (reminder.cost, reminder.liability) == (Decimal("0.001"), 0)


def test_the_expected_cost_is_rounded_up_to_the_places_that_are_kept_of_it() -> None:
    [odd] = campaign(offer=AMOUNT | {"amount": "4.99", "assumed_redemption": 0.125}, cost_per_contact="0").arms
    assert odd.cost == Decimal("0.6238")  # of 0.62375


def test_messages_leave_from_the_first_day_to_the_last_by_the_schedules_own_calendar() -> None:
    shop = ZoneInfo("America/New_York")
    days = Schedule(first_day=date(2017, 12, 1), last_day=date(2017, 12, 3), timezone="Europe/London")
    assert days.window(NOON, shop) == Window(datetime(2017, 12, 1, tzinfo=UTC), datetime(2017, 12, 4, tzinfo=UTC))
    assert Schedule(within_days=2).window(NOON, shop) == Window(NOON, NOON + timedelta(days=2))
    past = Schedule(first_day=date(2017, 1, 1), last_day=date(2017, 12, 31), within_days=1)
    assert past.window(NOON, shop) == Window(NOON, NOON + timedelta(days=1))


def test_outside_its_days_by_its_own_calendar_a_schedule_says_why_nobody_is_planned() -> None:
    shop = ZoneInfo("America/New_York")
    days = Schedule(first_day=date(2017, 12, 1), last_day=date(2017, 12, 3), timezone="Europe/London")
    begin, end, second = datetime(2017, 12, 1, tzinfo=UTC), datetime(2017, 12, 4, tzinfo=UTC), timedelta(seconds=1)
    told = [days.closed(at, shop) for at in (begin - second, begin, end - second, end)]
    assert told == ["begins on 2017-12-01", None, None, "over since 2017-12-04"]
    assert Schedule(last_day=date(2017, 12, 3)).closed(end, shop) is None, "by the shop's calendar it is still the 3rd"
    assert Schedule().closed(end, shop) is None


def test_a_run_is_called_by_campaign_and_cutoff() -> None:
    assert campaign().run_id(date(2017, 11, 26)) == "win_back@2017-11-26"


def test_an_audience_with_a_condition_survives_storage() -> None:
    where = {"all": [{"of": "days_since_order", "above": 20}, {"of": {"first": ["a", "b"]}, "missing": False}]}
    narrowed = campaign(audience={"tiers": ["high"], "where": where})
    stored = Campaign.model_validate(narrowed.model_dump(mode="json"))
    assert (stored.digest, stored.audience.where.sources) == (narrowed.digest, ["days_since_order", "a", "b"])


def test_the_digest_changes_with_the_definition_and_survives_storage() -> None:
    stored = Campaign.model_validate(campaign().model_dump(mode="json"))
    assert stored.digest == campaign().digest
    assert campaign(control_share=0.4).digest != campaign().digest


def test_the_campaign_that_ships_is_valid(project) -> None:
    assert load(project / "campaigns" / "win_back.yaml", Campaign).name == "win_back"


def test_shares_of_one_arm_and_floors_that_leave_nothing_to_learn_are_refused() -> None:
    with pytest.raises(ValidationError, match="arm_shares: there is one arm only"):
        campaign(arm_shares={"floor": 0.1})
    three = [ARM | {"name": name} for name in ("a", "b", "c")]
    with pytest.raises(ValidationError, match=r"arm_shares.floor 0.4 for each of 3 arms .* 0.333 is the most"):
        campaign(arms=three, arm_shares={"floor": 0.4})
