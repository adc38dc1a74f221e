"""Signed addresses of the preference page: whoever holds one may change one customer's choices and nothing else."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from itsdangerous import BadSignature, URLSafeSerializer
from itsdangerous.encoding import base64_decode, base64_encode

from holdfast.campaign.envelope import WayOut
from holdfast.errors import SettingsError

_PURPOSE = "holdfast preferences"


@dataclass(frozen=True)
class Links:
    """Makes and reads the addresses below ``base``, the preference page's own public address.

    ``keys`` are the signing keys, the newest last: it signs, all of them are good for reading, so that a key can be
    changed without closing the way out of messages already sent. A link has no end date for the same reason. Raises
    SettingsError when ``base`` would send a token in the clear (RFC 8058 asks for HTTPS) or cannot stand in a header,
    or there is no key.
    """

    base: str
    keys: tuple[str, ...] = field(repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.base)
        if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts.hostname or "")):
            raise SettingsError(
                f"HOLDFAST_PUBLIC_URL={self.base}: mail programs unsubscribe over HTTPS only (RFC 8058); give the "
                "https:// address at which customers reach the preference page"
            )
        if not (self.base.isascii() and self.base.isprintable()) or " " in self.base:
            raise SettingsError(
                f"HOLDFAST_PUBLIC_URL={self.base}: a mail header holds printable ASCII alone; write the host's name in "
                "its xn-- form, and other signs as %XX"
            )
        if not self.keys or not all(self.keys):
            raise SettingsError("there is no key to sign preference links with; set HOLDFAST_LINK_KEYS")

    def way_out(self, reference: str) -> WayOut:
        """The two addresses for the message that calls itself ``reference``."""
        token = self._serializer().dumps(reference)
        base = self.base.rstrip("/")
        return WayOut(page=f"{base}/preferences/{token}", one_click=f"{base}/unsubscribe/{token}")

    def reference(self, token: str) -> str | None:
        """The message's reference, or None for a token that we did not sign, whatever is wrong with it."""
        try:
            read = self._serializer().loads(token)
        except BadSignature:
            return None
        return read if isinstance(read, str) and _is_canonical(token) else None

    def _serializer(self) -> URLSafeSerializer:
        return URLSafeSerializer(list(self.keys), salt=_PURPOSE)


def _is_canonical(token: str) -> bool:
    """Whether the token is written as we write it: base64 has spare bits, so that two texts can mean the same."""
    return all(base64_encode(base64_decode(part)).decode() == part for part in token.split("."))


def _is_loopback(host: str) -> bool:
    with suppress(ValueError):  # a name
        return ip_address(host).is_loopback
    return host == "localhost"
