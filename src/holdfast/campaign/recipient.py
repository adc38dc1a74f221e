"""Telling one plain address from anything that could reach somebody else."""

from __future__ import annotations

import re
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.utils import getaddresses

_LONGEST = 254  # RFC 5321, 4.5.3.1.3: a path holds 256 octets, two of them the angle brackets
_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")  # ITU-T E.164: international form, at most 15 digits
_LONGEST_TOKEN = 500


def is_plain_address(text: str) -> bool:
    """Whether ``text`` is exactly one ``local@domain`` of printable ASCII: no name, list, group, comment or break."""
    if not (text.isascii() and text.isprintable()) or len(text) > _LONGEST or " " in text:
        return False
    try:
        address = Address(addr_spec=text)
    except (HeaderParseError, ValueError, IndexError):
        return False
    return bool(address.username and address.domain) and getaddresses([text]) == [("", text)]


def is_phone_number(text: str) -> bool:
    """Whether ``text`` is one number in international form, such as ``+8613800138000``."""
    return _PHONE.fullmatch(text) is not None


def is_device_token(text: str) -> bool:
    """Whether ``text`` is one plain word, as push services hand them out."""
    return 0 < len(text) <= _LONGEST_TOKEN and text.isascii() and text.isprintable() and not set(text) & set(" ,;")


def is_one_recipient(channel: str, text: str) -> bool:
    """Whether ``text`` is exactly one recipient of the channel: an e-mail address, a phone number, a device token.

    Other channels know customers by the shop's own id, which may be written as the shop likes.
    """
    if channel == "email":
        return is_plain_address(text)
    if channel == "sms":
        return is_phone_number(text)
    if channel == "push":
        return is_device_token(text)
    return text != ""
