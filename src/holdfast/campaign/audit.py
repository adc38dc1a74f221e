"""The audit log's chain: each entry's hash covers the entry and the hash before it, so that no change goes unseen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

FIRST = "0" * 64
"""What stands for the hash before the first entry's."""


@dataclass(frozen=True)
class Entry:
    """Who did what to what, and when. ``details`` is JSON."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    details: Mapping[str, Any]
    hash: str


def chained(
    last: str, *, seq: int, at: datetime, actor: str, action: str, subject: str, details: Mapping[str, Any]
) -> Entry:
    """The entry that follows the one whose hash is ``last``."""
    told = [seq, at.astimezone(UTC).isoformat(), actor, action, subject, details, last]
    canonical = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Entry(seq, at, actor, action, subject, details, hashlib.sha256(canonical.encode()).hexdigest())


def _again(entry: Entry, last: str) -> Entry:
    told = {name: value for name, value in vars(entry).items() if name != "hash"}
    return chained(last, **told)


def first_break(entries: Iterable[Entry]) -> int | None:
    """The number of the first entry that was changed, removed or put in, given in order from 1; None when all hold."""
    last, expected = FIRST, 1
    for one in entries:
        if one.seq != expected:
            return expected
        if _again(one, last).hash != one.hash:
            return one.seq
        last, expected = one.hash, expected + 1
    return None
