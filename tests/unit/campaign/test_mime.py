"""The e-mail that an envelope becomes."""

from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.campaign.envelope import Envelope, WayOut
from holdfast.campaign.mime import as_email
from holdfast.errors import SettingsError
from tests.fakes.operations import NOON, SENDER

ENVELOPE = Envelope(
    channel="email",
    recipient="anna@shop.example",
    idempotency_key="win_back@2017-11-26:7:email",
    at=NOON,
    text="Hello Anna – ü\n",
    subject="$5 off",
    html="<p>Hello Anna</p>\n",
    way_out=WayOut("https://shop.example/preferences/abc", "https://shop.example/unsubscribe/abc"),
)


def arrived(envelope: Envelope, sender: str = SENDER) -> EmailMessage:
    """The message as it arrives: made, sent as bytes and read again."""
    return message_from_bytes(as_email(envelope, sender).as_bytes(), policy=policy.default)


def test_the_headers_name_one_sender_one_recipient_a_stable_id_and_the_time() -> None:
    message = arrived(ENVELOPE)
    assert message["From"] == SENDER
    assert message["To"] == "anna@shop.example"
    assert message["Subject"] == "$5 off"
    assert message["Date"].datetime == NOON
    assert message["Message-ID"] == f"<{ENVELOPE.reference}@shop.example>"
    assert "win_back" not in message["Message-ID"]
    assert message["Content-Language"] == "en"


def test_marketing_carries_the_one_click_way_out_as_a_link_not_as_an_encoded_word() -> None:
    endless = "https://shop.example/unsubscribe/" + "a" * 200
    raw = as_email(replace(ENVELOPE, way_out=WayOut("https://shop.example/p", endless)), SENDER).as_bytes()
    assert f"List-Unsubscribe: <{endless}>\r\n".encode() in raw
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in raw
    assert all(len(line) <= 78 for line in raw.partition(b"\r\n\r\n")[2].split(b"\r\n"))


def test_a_message_that_is_not_marketing_has_no_way_out() -> None:
    assert arrived(replace(ENVELOPE, way_out=None))["List-Unsubscribe"] is None


def test_text_and_html_arrive_as_written_in_seven_bits() -> None:
    message = arrived(ENVELOPE)
    assert message.get_body(("plain",)).get_content() == "Hello Anna – ü\r\n"
    assert message.get_body(("html",)).get_content() == "<p>Hello Anna</p>\r\n"
    assert as_email(ENVELOPE, SENDER).as_bytes().isascii()


def test_an_envelope_without_html_is_plain_text() -> None:
    assert arrived(replace(ENVELOPE, html=None)).get_content_type() == "text/plain"


@pytest.mark.parametrize("changes", [{"subject": "Hello\r\nBcc: all@shop.example"}, {"language": "en\r\nBcc: a@b"}])
def test_a_line_break_never_reaches_the_headers(changes: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match="line break"):
        as_email(replace(ENVELOPE, **changes), SENDER)


@pytest.mark.parametrize("sender", ["Complete Journey", "a@shop.example, b@shop.example"])
def test_a_sender_that_is_no_single_address_is_refused(sender: str) -> None:
    with pytest.raises(SettingsError, match="is not one address; write"):
        as_email(ENVELOPE, sender)


def test_a_subject_and_a_senders_name_in_any_script_arrive_as_written() -> None:
    message = arrived(replace(ENVELOPE, subject="超市送您 ¥5 优惠" * 8), "超市 <care@shop.example>")
    assert message["Subject"] == "超市送您 ¥5 优惠" * 8
    assert message["From"].addresses[0].display_name == "超市"


@pytest.mark.parametrize("recipient", ["a@shop.example, b@shop.example", "a@shop.example\r\nBcc: b@shop.example", ""])
def test_anything_but_one_recipient_is_refused(recipient: str) -> None:
    with pytest.raises(SettingsError, match="one plain"):
        as_email(replace(ENVELOPE, recipient=recipient), SENDER)


@given(st.text(), st.text(), st.text(min_size=1))
def test_whatever_the_words_are_no_header_is_added_and_the_text_arrives(subject: str, language: str, body: str) -> None:
    try:
        message = arrived(replace(ENVELOPE, subject=subject, language=language, text=body))
    except SettingsError:
        return
    assert sorted(set(message.keys())) == sorted(arrived(ENVELOPE).keys())
    assert message["To"] == "anna@shop.example"
