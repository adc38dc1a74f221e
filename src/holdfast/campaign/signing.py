"""Signatures of webhooks, ours and those we are sent, as the Standard Webhooks specification 1.0 writes them.

Three headers: ``webhook-id`` (the same for every repetition), ``webhook-timestamp`` (Unix seconds) and
``webhook-signature``, a list of ``v1,<base64>`` of HMAC-SHA256 over ``id.timestamp.body``. A secret is ``whsec_`` and
base64 of 24 to 64 random bytes. Receivers find a library for their language at https://www.standardwebhooks.com.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from holdfast.errors import SettingsError

TOLERANCE = timedelta(minutes=5)
"""How far a webhook's own time may lie from ours: an older one may be somebody's recording."""

_PREFIX = "whsec_"


def key_of(secret: str) -> bytes:
    """The key in a secret. Raises SettingsError, without repeating it, for anything else."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not secret.startswith(_PREFIX) or not 24 <= len(key) <= 64:
        raise SettingsError(
            "a webhook secret is 'whsec_' and base64 of 24 to 64 random bytes; make one with `holdfast preferences key`"
        )
    return key


def new_secret() -> str:
    """A fresh secret of 32 bytes from the operating system's source of randomness."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def sign(key: bytes, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The three headers for ``body``, sent ``at``."""
    timestamp = str(int(at.timestamp()))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{_signature(key, message_id, timestamp, body)}",
    }


def is_signed(keys: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: datetime) -> bool:
    """Whether one of ``keys`` signed the body under these headers (names in lower case) within TOLERANCE of ``now``."""
    message_id, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not (message_id and timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 12):
        return False
    if abs(now.timestamp() - int(timestamp)) > TOLERANCE.total_seconds():
        return False
    given = [one.removeprefix("v1,") for one in headers.get("webhook-signature", "").split() if one.startswith("v1,")]
    return any(
        hmac.compare_digest(_signature(key, message_id, timestamp, body).encode(), one.encode())
        for key in keys
        for one in given
    )


def _signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{message_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
