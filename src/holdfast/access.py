"""API keys: made at random, shown once, known to us by their digest; what each may read, and how fast.

A key is ``hf_``, twelve hexadecimal digits that name it in lists and logs, ``_`` and 32 random bytes in base64. So much
randomness needs no slow hash: SHA-256 of the whole key is what is kept.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from holdfast.errors import AccessError

AT_ONCE = 2
"""How many keys of one name may be valid at once: the one in use, and the one that is to replace it."""

LONGEST_NAME = 60

_FORM = re.compile(rb"hf_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")


class Scope(StrEnum):
    """What a key may read."""

    SCORES = "scores"
    FEATURES = "features"
    OFFERS = "offers"
    METRICS = "metrics"


@dataclass(frozen=True)
class ApiKey:
    """A key as it is kept. ``name`` is who uses it; ``digest`` is the SHA-256 of the key, in hexadecimal.

    It may ask ``rate`` times a second on average and ``burst`` times at once, from ``created_at`` until
    ``expires_at`` or ``revoked_at``, whichever comes first.
    """

    id: str
    name: str
    digest: str
    scopes: frozenset[Scope]
    rate: float
    burst: int
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None

    def valid(self, at: datetime) -> bool:
        return self.revoked_at is None and at < self.expires_at


def new_key(
    name: str, scopes: Iterable[Scope], *, rate: float, burst: int, valid_for: timedelta, at: datetime
) -> tuple[str, ApiKey]:
    """A fresh key: its text, to be shown once, and what is kept of it.

    Raises AccessError for a name that a list could not show.
    """
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise AccessError(
            f"{name!r} is no name for a key: use 1 to {LONGEST_NAME} printable characters, such as web-shop"
        )
    key_id = secrets.token_hex(6)
    text = f"hf_{key_id}_{secrets.token_urlsafe(32)}"
    return text, ApiKey(key_id, name, digest(text.encode()), frozenset(scopes), rate, burst, at, at + valid_for)


def digest(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()


def require_room(keys: Iterable[ApiKey], name: str, at: datetime) -> None:
    """Raise AccessError when as many keys of this name are valid as may be."""
    valid = [key.id for key in keys if key.name == name and key.valid(at)]
    if len(valid) >= AT_ONCE:
        raise AccessError(
            f"{name!r} has {len(valid)} valid keys already ({', '.join(valid)}), which is enough to change from one to "
            "the next. Revoke the one that is no longer used with `holdfast lookup key revoke ID`."
        )


class Bucket:
    """A token bucket: ``burst`` tokens at most, refilled at ``rate`` a second. Times are seconds of a steady clock."""

    __slots__ = ("_at", "_burst", "_left", "_rate")

    def __init__(self, rate: float, burst: float, at: float) -> None:
        self._rate, self._burst = rate, burst
        self._left, self._at = burst, at

    def take(self, tokens: float, at: float) -> float:
        """Take the tokens and return 0; or take none, and return the seconds after which they will be there.

        More tokens than the bucket holds are given when it is full, and leave it in debt.
        """
        self._left = min(self._burst, self._left + (at - self._at) * self._rate)
        self._at = at
        missing = min(tokens, self._burst) - self._left
        if missing > 0:
            return missing / self._rate
        self._left -= tokens
        return 0.0


@dataclass(frozen=True)
class Grant:
    """A valid key in use."""

    key: ApiKey
    bucket: Bucket


class Keyring:
    """The keys that are known, in memory. ``share`` of each key's rate is ours: several processes serve the same keys.

    Unknown keys cost no look-up elsewhere, and a key's bucket lasts for as long as the key.
    """

    def __init__(self, share: float = 1.0) -> None:
        self._share = share
        self._grants: Mapping[str, Grant] = {}

    def replace(self, keys: Iterable[ApiKey], at: float) -> None:
        """Let these be all the keys there are."""
        former = self._grants
        self._grants = {
            key.id: Grant(
                key,
                held.bucket
                if (held := former.get(key.id)) and (held.key.rate, held.key.burst) == (key.rate, key.burst)
                else Bucket(key.rate * self._share, max(1.0, key.burst * self._share), at),
            )
            for key in keys
        }

    def find(self, presented: bytes, at: datetime) -> Grant | None:
        """The grant of the presented key; None for one that is unknown, expired or revoked.

        The id, which is no secret, is looked up; the digests are compared in constant time.
        """
        form = _FORM.fullmatch(presented)
        grant = self._grants.get(form[1].decode()) if form else None
        known = hmac.compare_digest(digest(presented), grant.key.digest if grant else _NOBODY)
        return grant if grant is not None and known and grant.key.valid(at) else None


_NOBODY = digest(b"")
