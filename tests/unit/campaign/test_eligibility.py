"""The send gate asks in a fixed order and says the first reason."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from holdfast.campaign.definition import Audience, ContactCap
from holdfast.campaign.eligibility import (
    UNKNOWN_CUSTOMER,
    Candidate,
    Reason,
    Standing,
    in_audience,
    may_be_planned,
    may_be_sent,
)
from holdfast.campaign.offers import issue
from holdfast.risk import Tier
from tests.fakes.operations import NOON, SHOP, campaign

CAP = ContactCap(messages=2, days=14)
FINE = Standing(address="anna@shop.example", given_name=None, consent="given", recent_messages=1)
COUPON = issue("7", "CODE", campaign().offer, NOON, SHOP.zone)


def reason(standing: Standing) -> Reason | None:
    obstacle = may_be_planned(standing, CAP)
    return obstacle.reason if obstacle else None


def test_a_customer_with_address_consent_and_room_under_the_cap_may_be_contacted() -> None:
    assert reason(FINE) is None


def test_the_first_reason_found_is_the_one_given() -> None:
    assert reason(UNKNOWN_CUSTOMER) is Reason.NO_CONTACT
    assert reason(replace(FINE, address="", consent=None)) is Reason.NO_CONTACT
    assert reason(replace(FINE, consent=None, recent_messages=2)) is Reason.NO_CONSENT
    assert reason(replace(FINE, consent="withdrawn")) is Reason.NO_CONSENT
    assert reason(replace(FINE, recent_messages=2)) is Reason.CONTACT_CAP


def test_an_address_that_could_reach_somebody_else_is_no_contact_and_is_not_repeated() -> None:
    obstacle = may_be_planned(replace(FINE, address="anna@shop.example, ben@shop.example"), CAP)
    assert obstacle is not None
    assert obstacle.reason is Reason.NO_CONTACT
    assert "anna" not in obstacle.detail


def test_at_the_send_a_withdrawn_consent_or_an_ended_offer_stands_in_the_way_but_the_cap_does_not() -> None:
    end = datetime(2017, 12, 18, 5, tzinfo=UTC)
    assert COUPON.valid.end == end
    assert may_be_sent(replace(FINE, recent_messages=99), COUPON, end - timedelta(seconds=1)) is None
    assert may_be_sent(FINE, COUPON, end).reason is Reason.OFFER_ENDED
    assert may_be_sent(replace(FINE, consent="withdrawn"), COUPON, NOON).reason is Reason.NO_CONSENT


def test_the_audience_is_a_matter_of_tier_and_value() -> None:
    audience = Audience(tiers=("high",), minimum_value=20)
    assert in_audience(Candidate("1", 0.9, "high", 20), audience)
    assert not in_audience(Candidate("1", 0.9, "high", 19.99), audience)
    assert not in_audience(Candidate("1", 0.9, "medium", 50), audience)


def test_an_audience_may_be_of_certain_personas_only() -> None:
    audience = Audience(tiers=(Tier.HIGH,), personas=("P1",))
    assert in_audience(Candidate("1", 0.9, "high", 20, persona="P1"), audience)
    assert not in_audience(Candidate("1", 0.9, "high", 20, persona="P2"), audience)
    assert not in_audience(Candidate("1", 0.9, "high", 20), audience)
