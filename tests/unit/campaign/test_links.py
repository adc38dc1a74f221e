"""Preference links: signed, silent about the customer, good after a change of keys."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.campaign.links import Links
from holdfast.errors import SettingsError

LINKS = Links("https://shop.example/mail/", ("a key",))
REFERENCE = "0123456789abcdef0123456789abcdef"
TOKEN = LINKS.way_out(REFERENCE).page.rpartition("/")[2]


def test_both_addresses_lie_below_the_base_and_carry_the_same_token() -> None:
    assert LINKS.way_out(REFERENCE).page == f"https://shop.example/mail/preferences/{TOKEN}"
    assert LINKS.way_out(REFERENCE).one_click == f"https://shop.example/mail/unsubscribe/{TOKEN}"
    assert LINKS.reference(TOKEN) == REFERENCE


@given(place=st.integers(0, len(TOKEN) - 1), sign=st.sampled_from("AZaz09-_."))
def test_no_altered_token_is_read(place: int, sign: str) -> None:
    altered = TOKEN[:place] + sign + TOKEN[place + 1 :]
    assert (LINKS.reference(altered) is None) or altered == TOKEN


def test_a_token_with_other_spare_bits_is_altered_too() -> None:
    twins = [TOKEN[:-1] + sign for sign in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"]
    assert [twin for twin in twins if LINKS.reference(twin)] == [TOKEN]


@given(st.text(max_size=200))
def test_whatever_is_no_token_is_nothing_and_no_error(token: str) -> None:
    assert LINKS.reference(token) is None


def test_a_link_of_an_older_key_stays_good_and_one_of_another_shop_does_not() -> None:
    assert Links("https://shop.example", ("a key", "a newer key")).reference(TOKEN) == REFERENCE
    assert Links("https://shop.example", ("a newer key",)).reference(TOKEN) is None


@pytest.mark.parametrize("base", ["http://shop.example", "http://10.0.0.1", "ftp://127.0.0.1", "shop.example"])
def test_an_address_that_mail_programs_would_not_use_is_refused(base: str) -> None:
    with pytest.raises(SettingsError, match=r"HTTPS.*RFC 8058"):
        Links(base, ("a key",))


@pytest.mark.parametrize("base", ["https://müller.example", "https://shop.example/my mail", "https://shop.example\r\n"])
def test_an_address_that_no_mail_header_can_hold_is_refused(base: str) -> None:
    with pytest.raises(SettingsError, match="printable ASCII"):
        Links(base, ("a key",))


def test_no_key_is_refused_and_keys_are_never_shown() -> None:
    with pytest.raises(SettingsError, match="HOLDFAST_LINK_KEYS"):
        Links("https://shop.example", ())
    assert "a key" not in repr(LINKS)
