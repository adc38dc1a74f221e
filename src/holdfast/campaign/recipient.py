"""Telling one plain e-mail address from anything that could reach somebody else."""

from __future__ import annotations

from email.errors import HeaderParseError
from email.headerregistry import Address
from email.utils import getaddresses

_LONGEST = 254  # RFC 5321, 4.5.3.1.3: a path holds 256 octets, two of them the angle brackets


def is_plain_address(text: str) -> bool:
    """Whether ``text`` is exactly one ``local@domain`` of printable ASCII: no name, list, group, comment or break."""
    if not (text.isascii() and text.isprintable()) or len(text) > _LONGEST or " " in text:
        return False
    try:
        address = Address(addr_spec=text)
    except (HeaderParseError, ValueError, IndexError):
        return False
    return bool(address.username and address.domain) and getaddresses([text]) == [("", text)]
