"""Simulated customers understand the shop's real templates, and nothing else."""

from datetime import UTC, date, datetime
from decimal import Decimal
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import partial
from pathlib import Path

import pytest
from jinja2 import FileSystemLoader

from holdfast.campaign import offers
from holdfast.campaign.definition import AmountOff, Message, PercentOff
from holdfast.campaign.messages import Composer
from holdfast.campaign.mime import as_email
from holdfast.campaign.rendering import environment, render
from holdfast.errors import HoldfastError
from holdfast.simulator.lives import Treatment
from holdfast.simulator.mail import Received, understand
from tests.fakes.operations import LINKS, SHOP

PLANNED = datetime(2024, 7, 15, 12, tzinfo=UTC)
TODAY = date(2024, 7, 15)


def mail(project: Path, template: str, offer: AmountOff | PercentOff | None) -> EmailMessage:
    """The template's message as it leaves, to customer 17."""
    by = Composer(
        partial(render, environment(FileSystemLoader(project / "campaigns" / "templates"))),
        SHOP,
        LINKS,
        "a@shop.example",
    )
    coupon = offers.issue("sim-17", "7KQ2-M0XD-9RTA", offer, PLANNED, SHOP.zone) if offer else None
    message = Message(channel="email", template=template)
    envelope = next(one.envelope for one in by.specimens(message, coupon, PLANNED) if one.locale == "en")
    sent = as_email(envelope, "Shop <care@shop.example>")
    sent.replace_header("To", "sim-17@shop.example")
    read = message_from_bytes(sent.as_bytes(), policy=policy.default)
    assert isinstance(read, EmailMessage)
    return read


def test_a_coupon_is_understood_with_its_terms(project: Path) -> None:
    off = AmountOff(kind="amount", amount=Decimal(5), minimum_basket=Decimal(20), valid_days=21)
    told = understand(mail(project, "win_back", off), TODAY)
    assert told == Received(17, Treatment(discount=5, minimum_basket=20, valid_days=21), "7KQ2-M0XD-9RTA")


def test_a_percentage_is_understood_with_its_limit(project: Path) -> None:
    off = PercentOff(
        kind="percent",
        percent=Decimal(10),
        maximum_discount=Decimal("7.50"),
        minimum_basket=Decimal(1200),
        valid_days=7,
    )
    told = understand(mail(project, "win_back_sorry", off), TODAY)
    assert told is not None
    assert told.treatment == Treatment(discount=7.5, percent=10, minimum_basket=1200, valid_days=7)


def test_a_message_without_an_offer_is_a_reminder(project: Path) -> None:
    assert understand(mail(project, "we_miss_you", None), TODAY) == Received(17, Treatment(), None)


def test_mail_to_others_is_none_of_the_customers_business(project: Path) -> None:
    digest = mail(project, "we_miss_you", None)
    digest.replace_header("To", "on-call@shop.example")
    assert understand(digest, TODAY) is None


def test_a_code_without_terms_is_an_error_that_shows_the_words() -> None:
    odd = EmailMessage()
    odd["To"] = "sim-17@shop.example"
    odd.set_content("Your code:  ABCD-EFGH-JKLM, a surprise!")
    with pytest.raises(HoldfastError, match="cannot read the terms of a coupon in: 'Your code: ABCD"):
        understand(odd, TODAY)
