"""The message: greeting, offer, code, validity; safe against what templates and contacts may hold."""

from decimal import Decimal
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from jinja2 import DictLoader, FileSystemLoader

from holdfast.campaign.definition import MessageTemplates
from holdfast.campaign.messages import compose, environment, money
from holdfast.campaign.offers import Coupon, issue
from holdfast.errors import CampaignError
from tests.fakes.operations import NOON, SENDER, SHOP, campaign

PLAIN = {"m.txt": "Hello {{ given_name }}: {{ code }}", "m.html": "<p>Hello {{ given_name }}: {{ code }}</p>"}
COUPON = issue("7", "7KQ2-M0XD-9RTA", campaign().offer, NOON, SHOP.zone)


def mail(
    templates: dict[str, str] | None = None,
    *,
    subject: str = "{{ discount }} off",
    recipient: str = "anna@shop.example",
    given_name: str | None = "Anna",
    sender: str = SENDER,
    coupon: Coupon = COUPON,
) -> EmailMessage:
    """The message as it arrives: composed, sent as bytes and read again."""
    words = MessageTemplates(channel="email", subject=subject, text="m.txt", html="m.html")
    composed = compose(
        environment(DictLoader(PLAIN | (templates or {}))),
        message=words,
        shop=SHOP,
        sender=sender,
        recipient=recipient,
        given_name=given_name,
        coupon=coupon,
        reference="0123456789abcdef0123456789abcdef",
        at=NOON,
    )
    return message_from_bytes(composed.as_bytes(), policy=policy.default)


def text(message: EmailMessage) -> str:
    return message.get_body(("plain",)).get_content()


def html(message: EmailMessage) -> str:
    return message.get_body(("html",)).get_content()


def test_the_headers_name_one_sender_one_recipient_a_stable_id_and_a_way_out() -> None:
    message = mail()
    assert message["From"] == SENDER
    assert message["To"] == "anna@shop.example"
    assert message["Subject"] == "$5 off"
    assert message["Message-ID"] == "<0123456789abcdef0123456789abcdef@shop.example>"
    assert message["Date"].datetime == NOON


def test_the_unsubscribe_link_arrives_as_a_link_not_as_an_encoded_word() -> None:
    raw = compose(
        environment(DictLoader(PLAIN)),
        message=MessageTemplates(channel="email", subject="s", text="m.txt", html="m.html"),
        shop=SHOP,
        sender="A Shop With A Long Name <customer-care-and-retention@mail.a-shop-with-a-long-name.example>",
        recipient="anna@shop.example",
        given_name=None,
        coupon=COUPON,
        reference="0123456789abcdef0123456789abcdef",
        at=NOON,
    ).as_bytes()
    link = (
        b"List-Unsubscribe: <mailto:customer-care-and-retention@mail.a-shop-with-a-long-name.example"
        b"?subject=unsubscribe%200123456789abcdef0123456789abcdef>\r\n"
    )
    assert link in raw
    assert all(len(line) <= 78 for line in raw.partition(b"\r\n\r\n")[2].split(b"\r\n"))


def test_the_campaign_that_ships_greets_and_states_offer_code_validity_and_basket(project) -> None:
    shipped = environment(FileSystemLoader(project / "campaigns" / "templates"))
    words = MessageTemplates(
        channel="email", subject="{{ discount }} off at {{ shop }}", text="win_back.txt.j2", html="win_back.html.j2"
    )
    message = compose(
        shipped,
        message=words,
        shop=SHOP,
        sender=SENDER,
        recipient="anna@shop.example",
        given_name="Anna & Ben",
        coupon=COUPON,
        reference="0123456789abcdef0123456789abcdef",
        at=NOON,
    )
    for body, name in ((text(message), "Anna & Ben"), (html(message), "Anna &amp; Ben")):
        for said in (
            f"Hello {name},",
            "$5 cheaper",
            "7KQ2-M0XD-9RTA",
            "17 December 2017",
            "$25 or more",
            "Complete Journey",
        ):
            assert said in body
        assert "risk" not in body
        assert "score" not in body


def test_html_is_escaped_and_text_is_not() -> None:
    message = mail(given_name="<b>Anna</b>")
    assert "&lt;b&gt;Anna&lt;/b&gt;" in html(message)
    assert "<b>Anna</b>" in text(message)


def test_a_percentage_says_its_upper_limit() -> None:
    ten_percent = {"kind": "percent", "percent": "12.50", "maximum_discount": 8, "minimum_basket": 20, "valid_days": 14}
    coupon = issue("7", "CODE", campaign(offer=ten_percent).offer, NOON, SHOP.zone)
    assert "12.5%, at most $8" in text(mail({"m.txt": "{{ discount }}, at most {{ at_most }}"}, coupon=coupon))


@pytest.mark.parametrize(
    ("amount", "currency", "said"),
    [("5", "USD", "$5"), ("7.5", "GBP", "£7.50"), ("1250", "EUR", "€1,250"), ("5", "CHF", "CHF 5")],
)
def test_money_reads_as_people_write_it(amount: str, currency: str, said: str) -> None:
    assert money(Decimal(amount), currency) == said


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{{ probability }}", "'probability' is undefined"),
        ("{% if %}", "line 1"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{% include 'other.txt' %}", "other.txt does not exist"),
    ],
)
def test_a_template_that_is_broken_or_asks_for_more_is_refused_by_name(template: str, told: str) -> None:
    with pytest.raises(CampaignError, match=told):
        mail({"m.txt": template})


@pytest.mark.parametrize("subject", ["{{ '\\r\\n' }}Bcc: all@shop.example{{ code }}", "{{ '' }}", "{{ nobody }}"])
def test_a_subject_that_renders_to_anything_but_one_line_is_refused(subject: str) -> None:
    with pytest.raises(CampaignError, match="subject"):
        mail(subject="Hello " + subject if "Bcc" in subject else subject)


def test_a_name_with_line_breaks_cannot_reach_the_headers() -> None:
    with pytest.raises(CampaignError, match="one line"):
        mail(subject="Hello {{ given_name }}", given_name="Anna\r\nBcc: all@shop.example")


@pytest.mark.parametrize(
    "recipient", ["a@shop.example, b@shop.example", "Anna <a@shop.example>", "a@shop.example\nBcc: b@x"]
)
def test_a_recipient_list_is_refused_without_repeating_it(recipient: str) -> None:
    with pytest.raises(CampaignError) as caught:
        mail(recipient=recipient)
    assert "shop.example" not in str(caught.value)


def test_a_sender_that_is_no_single_address_is_refused() -> None:
    with pytest.raises(CampaignError, match="is not one address; write"):
        mail(sender="Complete Journey")
