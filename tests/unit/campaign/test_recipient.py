"""Exactly one plain address, or none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.campaign.recipient import is_plain_address


@pytest.mark.parametrize("address", ["anna@shop.example", "a.b+c@x-y.example", "7@shop.example"])
def test_a_plain_address_is_one(address: str) -> None:
    assert is_plain_address(address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "anna",
        "@shop.example",
        "anna@",
        "a@b@shop.example",
        "anna@shop.example, ben@shop.example",
        "anna@shop.example;ben@shop.example",
        "anna@shop.example,",
        "Anna <anna@shop.example>",
        "<anna@shop.example>",
        "friends: anna@shop.example, ben@shop.example;",
        "anna@shop.example (work)",
        " anna@shop.example",
        "anna@shop.example\r\nBcc: ben@shop.example",
        "anna@shop.example\x00",
        "änna@shop.example",
        '"anna ben"@shop.example',
        "a" * 250 + "@shop.example",
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    assert not is_plain_address(text)


@given(st.text(alphabet='ab@.,;:<>()"\\ \r\n\t[]', max_size=30))
def test_what_is_accepted_names_one_mailbox_and_nothing_more(text: str) -> None:
    if is_plain_address(text):
        assert text.count("@") == 1
        assert not set(text) & set(" ,;<>()\r\n\t")
