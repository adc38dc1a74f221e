"""Envelope encryption for the vault: every customer has a data key, and a key outside the database wraps it.

AES-256-GCM throughout (NIST SP 800-38D), with random 96-bit nonces. The associated data binds a value to its customer
and field, so that nothing sealed can be put in another one's place unseen. Deleting a customer's data key makes all
that it sealed unreadable, in backups of other tables too.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from holdfast.errors import SettingsError

_NONCE = 12
_KEY = 32
_WRAPPING = "data key"


@dataclass(frozen=True)
class Wrapped:
    """A customer's data key as the database keeps it: under the key-encryption key called ``key_id``."""

    key_id: str
    data_key: bytes


@dataclass(frozen=True)
class Keyring:
    """The key-encryption keys, the newest last: it wraps new data keys, all of them unwrap.

    Each is any text; the AES key is derived from it. Raises SettingsError when there is none.
    """

    keys: tuple[str, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if not self.keys or not all(self.keys):
            raise SettingsError("there is no key to seal contact details with; set HOLDFAST_VAULT_KEYS")

    @property
    def newest(self) -> str:
        """The id of the key that wraps."""
        return _id(self.keys[-1])

    def make(self, customer_id: str) -> tuple[Wrapped, DataKey]:
        """A new data key for the customer."""
        key = os.urandom(_KEY)
        return self._wrap(customer_id, key), DataKey(customer_id, key)

    def open(self, customer_id: str, wrapped: Wrapped) -> DataKey:
        """The customer's data key. Raises SettingsError naming the key that is missing, or one that does not fit."""
        return DataKey(customer_id, self._unwrap(customer_id, wrapped))

    def rewrap(self, customer_id: str, wrapped: Wrapped) -> Wrapped:
        """The same data key under the newest key. Raises as ``open`` does."""
        return self._wrap(customer_id, self._unwrap(customer_id, wrapped))

    def _wrap(self, customer_id: str, key: bytes) -> Wrapped:
        sealed = _seal(AESGCM(_derived(self.keys[-1])), key, _WRAPPING, customer_id)
        return Wrapped(self.newest, sealed)

    def _unwrap(self, customer_id: str, wrapped: Wrapped) -> bytes:
        key = next((one for one in self.keys if _id(one) == wrapped.key_id), None)
        if key is None:
            raise SettingsError(
                f"the vault holds values under the key {wrapped.key_id}, which HOLDFAST_VAULT_KEYS does not have "
                f"({', '.join(map(_id, self.keys))}). Add it, and remove it only after `holdfast privacy rotate`."
            )
        return _open(AESGCM(_derived(key)), wrapped.data_key, _WRAPPING, customer_id)


class DataKey:
    """One customer's own key: seals and opens what the vault keeps of them."""

    def __init__(self, customer_id: str, key: bytes) -> None:
        self._customer_id = customer_id
        self._cipher = AESGCM(key)

    def seal(self, name: str, value: str | None) -> bytes | None:
        """The value of the field ``name``, readable with this key alone; None stays None."""
        return None if value is None else _seal(self._cipher, value.encode(), name, self._customer_id)

    def open(self, name: str, sealed: bytes | None) -> str | None:
        """What was sealed as ``name``. Raises SettingsError when it is not what this key sealed there."""
        return None if sealed is None else _open(self._cipher, sealed, name, self._customer_id).decode()

    def seal_all(self, values: Mapping[str, str | None], names: Sequence[str]) -> dict[str, bytes | None]:
        """Each of these fields, sealed."""
        return {name: self.seal(name, values.get(name)) for name in names}


def _seal(cipher: AESGCM, value: bytes, name: str, customer_id: str) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + cipher.encrypt(nonce, value, _bound(name, customer_id))


def _open(cipher: AESGCM, sealed: bytes, name: str, customer_id: str) -> bytes:
    try:
        return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], _bound(name, customer_id))
    except InvalidTag as error:
        raise SettingsError(
            f"the vault's {name} of customer {customer_id} cannot be opened: it was changed, or put there from "
            "another row. Restore the operations database from a backup, or land the customer's contacts again."
        ) from error


def _bound(name: str, customer_id: str) -> bytes:
    return f"{name}\n{customer_id}".encode()


def _derived(key: str) -> bytes:
    """The AES key: HMAC as a key derivation function (NIST SP 800-108), since a setting is any text."""
    return hmac.digest(key.encode(), b"holdfast vault", hashlib.sha256)


def _id(key: str) -> str:
    """A name for the key that does not tell it."""
    return hmac.digest(key.encode(), b"holdfast vault key id", hashlib.sha256).hex()[:12]
