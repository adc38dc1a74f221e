"""The message: greeting, offer, code, validity; the right words for the right reader, and nobody else's."""

import json
import re
from decimal import Decimal
from functools import partial

import pytest
from jinja2 import FileSystemLoader

from holdfast.campaign.definition import Message
from holdfast.campaign.envelope import Envelope
from holdfast.campaign.messages import Case, Composer, Personal, Product, day, money
from holdfast.campaign.offers import Coupon, issue
from holdfast.campaign.rendering import environment, render
from holdfast.errors import CampaignError
from tests.fakes.operations import LINKS, NOON, SHOP, campaign, composer

COUPON = issue("7", "7KQ2-M0XD-9RTA", campaign().arms[0].offer, NOON, SHOP.zone)
KEY = "win_back@2017-11-26:7:email"
MESSAGE = Message(channel="email", template="m")
CASE = Case("7", "high", 0.61, 200.0, ("usually orders every 12 days, silent for 31",))


def composed(
    templates: dict[str, str] | None = None,
    *,
    message: Message = MESSAGE,
    recipient: str = "anna@shop.example",
    coupon: Coupon | None = COUPON,
    personal: Personal = Personal(),  # noqa: B008
    by: Composer | None = None,
) -> Envelope:
    return (by or composer(templates)).compose(
        message,
        key=KEY,
        recipient=recipient,
        given_name="Anna",
        coupon=coupon,
        at=NOON,
        personal=personal,
    )


def test_the_envelope_names_channel_recipient_key_time_and_way_out() -> None:
    envelope = composed()
    assert (envelope.channel, envelope.recipient) == ("email", "anna@shop.example")
    assert (envelope.idempotency_key, envelope.at) == (KEY, NOON)
    assert (envelope.subject, envelope.text) == ("$5 off", "Hello Anna: 7KQ2-M0XD-9RTA")
    assert envelope.way_out == LINKS.way_out(envelope.reference)


@pytest.fixture
def shipped(project) -> Composer:
    templates = environment(FileSystemLoader(project / "campaigns" / "templates"))
    return Composer(partial(render, templates), SHOP, LINKS, "care@shop.example")


def test_the_campaign_that_ships_states_offer_code_validity_basket_and_way_out(shipped: Composer) -> None:
    envelope = composed(by=shipped, message=Message(channel="email", template="win_back"))
    for body in (envelope.text, envelope.html or ""):
        for said in ("Hello Anna,", "$5 cheaper", "7KQ2-M0XD-9RTA", "17 December 2017", "$25 or more", SHOP.name):
            assert said in body
        assert envelope.way_out is not None
        assert envelope.way_out.page in body
        assert "risk" not in body
        assert "score" not in body


@pytest.mark.parametrize(
    ("channel", "template"),
    [("email", "win_back"), ("email", "win_back_sorry"), ("sms", "win_back_sms"), ("care_desk", "care_call")],
)
def test_every_template_that_ships_fills_in_every_language_with_and_without_what_a_customer_may_lack(
    shipped: Composer, channel: str, template: str
) -> None:
    shipped.try_out(Message(channel=channel, template=template), COUPON, NOON)


def test_a_chinese_reader_is_written_to_in_chinese(shipped: Composer) -> None:
    envelope = composed(by=shipped, message=Message(channel="email", template="win_back"), personal=Personal("zh-CN"))
    assert envelope.language == "zh"
    for said in ("Anna，您好", "优惠码", "2017年12月17日", "退订"):
        assert said in envelope.text
        assert said in (envelope.html or "")


def test_the_ticket_tells_the_reasons_and_how_to_begin(shipped: Composer) -> None:
    message = Message(channel="care_desk", template="care_call")
    ticket = composed(by=shipped, message=message, recipient="7", personal=Personal(case=CASE))
    assert ticket.subject == "Call customer 7: high risk of leaving"
    for said in ("usually orders every 12 days, silent for 31", "61 %", "A way to begin", "7KQ2-M0XD-9RTA"):
        assert said in ticket.text


def test_a_percentage_says_its_upper_limit() -> None:
    ten_percent = {"kind": "percent", "percent": "12.50", "maximum_discount": 8, "minimum_basket": 20, "valid_days": 14}
    coupon = issue("7", "CODE", campaign(offer=ten_percent).arms[0].offer, NOON, SHOP.zone)
    assert composed({"m/body.en.txt.j2": "{{ discount }}, at most {{ at_most }}"}, coupon=coupon).text == (
        "12.5%, at most $8"
    )


def test_a_message_without_a_coupon_has_no_terms() -> None:
    assert composed({"m/body.en.txt.j2": "{{ code }}", "m/subject.en.txt.j2": "Hi"}, coupon=None).text == "None"


def test_the_customers_own_reason_chooses_the_template() -> None:
    other = {"sorry/body.en.txt.j2": "We are sorry", "sorry/subject.en.txt.j2": "Sorry"}
    message = Message(channel="email", template="m", by_reason={"service": "sorry"})
    assert composed(other, message=message, personal=Personal(reason="service")).text == "We are sorry"
    assert composed(other, message=message, personal=Personal(reason="rhythm")).text.startswith("Hello")


def test_products_are_shown_with_price_picture_and_page() -> None:
    rice = Product("1", "Rice", "2.50", "https://shop.example/1.jpg", "https://shop.example/1")
    line = "{% for p in products %}{{ p.name }} {{ p.price }} {{ p.picture }} {{ p.page }}{% endfor %}"
    assert composed({"m/body.en.txt.j2": line}, personal=Personal(products=(rice,))).text == (
        "Rice $2.50 https://shop.example/1.jpg https://shop.example/1"
    )


def test_what_is_personal_survives_being_kept_as_json() -> None:
    personal = Personal("zh-CN", "rhythm", (Product("1", "Rice", "2.50"),), CASE)
    assert Personal.of(json.loads(json.dumps(personal.as_json()))) == personal
    assert Personal.of(None) == Personal()


def test_the_care_desk_is_told_the_case_and_a_customer_never() -> None:
    template = {"m/body.en.txt.j2": "{{ case.reasons[0] if case else 'nothing' }}"}
    desk = composed(
        template, message=Message(channel="care_desk", template="m"), recipient="shop-7", personal=Personal(case=CASE)
    )
    assert desk.text == "usually orders every 12 days, silent for 31"
    assert desk.data["customer_id"] == "shop-7", "the desk knows the customer by the shop's own id"
    assert desk.way_out is None
    assert composed(template, personal=Personal(case=CASE)).text == "nothing"
    assert composed(template, personal=Personal(case=CASE)).data == {}


@pytest.mark.parametrize("own_id", ["K 4711", "Müller-7", "a, b; c", "7" * 900])
def test_the_shops_own_id_is_a_recipient_however_it_is_written(own_id: str) -> None:
    assert composed(message=Message(channel="care_desk", template="m"), recipient=own_id).recipient == own_id


@pytest.mark.parametrize(
    ("channel", "recipient"),
    [
        ("email", "a@shop.example, b@shop.example"),
        ("email", "Anna <a@shop.example>"),
        ("email", "a@shop.example\nBcc: b@x"),
        ("sms", "020 7946 0018"),
        ("sms", "+12025550143,+12025550144"),
        ("push", "token1 token2"),
        ("push", ""),
    ],
)
def test_anything_but_one_recipient_is_refused_without_repeating_it(channel: str, recipient: str) -> None:
    with pytest.raises(CampaignError) as caught:
        composed(message=Message(channel=channel, template="m"), recipient=recipient)
    assert not [part for part in re.split(r"[\s,<>]+", recipient) if part and part in str(caught.value)]


def test_trying_out_finds_a_template_that_breaks_for_some_customers_only() -> None:
    message = Message(channel="email", template="m", by_reason={"service": "sorry"})
    sorry = {"sorry/body.en.txt.j2": "Sorry", "sorry/body.zh.txt.j2": "{{ products[0].name }}"}
    with pytest.raises(CampaignError, match=r"sorry/body\.zh"):
        composer(sorry).try_out(message, COUPON, NOON)


@pytest.mark.parametrize(
    ("amount", "currency", "said"),
    [("5", "USD", "$5"), ("7.5", "GBP", "£7.50"), ("1250", "EUR", "€1,250"), ("5", "CNY", "CN¥5")],
)
def test_money_reads_as_people_write_it(amount: str, currency: str, said: str) -> None:
    assert money(Decimal(amount), currency) == said


def test_chinese_readers_get_their_own_way_of_writing() -> None:
    assert money(Decimal("7.5"), "CNY", "zh-CN") == "¥7.50"
    assert day(NOON.date(), "zh-CN") == "2017年11月26日"
