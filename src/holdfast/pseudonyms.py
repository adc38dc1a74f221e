"""Pseudonyms: what customers are called everywhere but in the shop's own files and the vault.

A pseudonym is a keyed hash of the shop's id: the same customer has the same one in every table, and nobody without the
key can tell it from a random word, nor find it out by trying ids.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

Pseudonym: TypeAlias = Callable[[str], str]
"""Gives the pseudonym of a shop's own id. ``str``, which changes nothing, is for whoever has pseudonyms already."""

_BYTES = 16  # 128 bits: a collision among a thousand million customers is less likely than 2e-21
_FORM = re.compile(r"c_[a-z2-7]{26}")


@dataclass(frozen=True)
class Pseudonyms:
    """HMAC-SHA-256 (RFC 2104) under ``key``, its first 128 bits in base32: ``c_`` and 26 letters or digits.

    The same key gives the same words for ever; under another one all that is kept would be about strangers.
    """

    key: str = field(repr=False)

    def __call__(self, own_id: str) -> str:
        """The pseudonym of the shop's own id."""
        return f"c_{self._word('customer', own_id)}"

    def tombstone(self, pseudonym: str) -> str:
        """What stands for an erased customer: enough to know them again, and no key to anything that is kept."""
        return self._word("tombstone", pseudonym)

    def _word(self, purpose: str, text: str) -> str:
        digest = hmac.digest(self.key.encode(), f"{purpose}:{text}".encode(), hashlib.sha256)
        return base64.b32encode(digest[:_BYTES]).decode("ascii").rstrip("=").lower()


def is_pseudonym(text: str) -> bool:
    """Whether the text has the form of a pseudonym."""
    return _FORM.fullmatch(text) is not None


def replaced(texts: pa.ChunkedArray, pseudonym: Pseudonym, longest: int) -> tuple[pa.ChunkedArray, dict[str, str]]:
    """The texts as pseudonyms, and the own id behind each. What is null, empty or longer than ``longest`` stays."""
    codes = texts.combine_chunks().dictionary_encode()
    own_ids = {pseudonym(own): own for own in codes.dictionary.to_pylist() if own and len(own) <= longest}
    forward = {own: word for word, own in own_ids.items()}
    words = pa.array([forward.get(own, own) for own in codes.dictionary.to_pylist()], pa.string())
    return pa.chunked_array([pc.take(words, codes.indices)]), own_ids


def nobody(_: Set[str]) -> Set[str]:
    """None of them."""
    return frozenset()


@dataclass(frozen=True)
class Identities:
    """How customers are called on their way in: ``pseudonym`` of their own id; ``erased``, those who must stay away."""

    pseudonym: Pseudonym = str
    erased: Callable[[Set[str]], Set[str]] = nobody
